package stack_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// letGo is what a user does who wants no more of a connection.
func letGo(p *pair, c *stack.Conn) {
	c.CloseReceive(p.now, tcp.Gone)
	c.Close(p.now)
	c.Release(p.now)
}

// ATTACKS: FIN-WAIT-2 and orphan pile-up. There are only so many orphans, and whoever holds
// them open does not keep others from closing: the one that has waited longest makes room.
func TestOrphans(t *testing.T) {
	cfg := config()
	cfg.MaxOrphans = 3
	p := newPair(t, cfg, config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var servers []*stack.Conn
	for range 5 {
		client, server := p.connect(l, ap(addrB, 80))
		servers = append(servers, server)
		letGo(p, client)
	}
	p.run(5 * delay)
	st := p.a.Stats()
	if st.Orphans != 3 || st.Connections != 3 || st.OrphansAborted != 2 {
		t.Errorf("%d orphans, %d connections, %d aborted", st.Orphans, st.Connections, st.OrphansAborted)
	}
	for i, s := range servers {
		if reset := errors.Is(s.Err(), tcp.ErrReset); reset != (i < 2) {
			t.Errorf("connection %d is %v, %v: the oldest two were to make room", i, s.State(), s.Err())
		}
	}
	p.run(tcp.DefaultFinWait2Timeout)
	if st = p.a.Stats(); st.Orphans != 0 || st.Connections != 0 || p.a.Deadline() != tcp.Never {
		t.Errorf("a minute later: %d orphans, %d connections", st.Orphans, st.Connections)
	}
}

// The one that makes room is the one that has waited longest for an acknowledgment, not the
// one that was released first.
func TestOrphanThatMovesKeepsItsPlace(t *testing.T) {
	cfg := config()
	cfg.MaxOrphans = 2
	p := newPair(t, cfg, config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	moving, reader := p.connect(l, ap(addrB, 80))
	still, holder := p.connect(l, ap(addrB, 80))
	third, _ := p.connect(l, ap(addrB, 80))
	for _, c := range []*stack.Conn{moving, still} {
		for n := 1; n > 0; p.run(3 * delay) {
			n, _ = c.Send(p.now, make([]byte, 1<<18))
		}
		letGo(p, c)
	}
	p.run(5 * time.Second)
	for n := 1; n > 0; p.run(3 * delay) { // 1 MiB: the window opens
		n, _ = reader.Receive(p.now, make([]byte, 1<<18))
	}
	letGo(p, third)
	p.run(3 * delay)
	if reader.Err() != nil || !errors.Is(holder.Err(), tcp.ErrReset) {
		t.Errorf("the reader's connection: %v; that of the one who takes nothing: %v", reader.Err(), holder.Err())
	}
}

// An orphan in any state in which something is unacknowledged ends when the peer has
// acknowledged nothing for OrphanTimeout, and says so by a reset.
func TestOrphanTimeout(t *testing.T) {
	for _, c := range []struct {
		state   tcp.State
		prepare func(p *pair, server *stack.Conn)
	}{
		{tcp.FinWait1, func(*pair, *stack.Conn) {}},
		{tcp.LastAck, func(p *pair, server *stack.Conn) {
			server.Close(p.now)
			p.run(3 * delay)
		}},
		{tcp.Closing, nil},
	} {
		p := newPair(t, config(), config())
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		client, server := p.connect(l, ap(addrB, 80))
		if c.prepare != nil {
			c.prepare(p, server)
		}
		p.lose = func(from int, pkt *wire.Packet) bool {
			var ip wire.IP
			wire.ParseIP(pkt.Bytes(), &ip)
			return from == 0 || c.state != tcp.Closing || wire.TCP(ip.Payload).Flags()&wire.FIN == 0
		}
		if c.state == tcp.Closing {
			server.Close(p.now)
		}
		letGo(p, client)
		end := p.now.Add(stack.DefaultOrphanTimeout)
		p.run(end.Sub(p.now) - 1)
		if st := p.a.Stats(); st.Orphans != 1 || st.States[c.state] != 1 {
			t.Errorf("%v: before the end %d orphans, states %v", c.state, st.Orphans, st.States)
		}
		if p.a.Deadline() > end {
			t.Errorf("%v: the deadline is %v late", c.state, p.a.Deadline().Sub(end))
		}
		n := len(p.seen)
		p.run(1)
		if st := p.a.Stats(); st.Orphans != 0 || st.Connections != 0 || st.OrphansTimedOut != 1 || p.a.Deadline() != tcp.Never {
			t.Errorf("%v: at the end %d orphans, %d connections, %d timed out", c.state, st.Orphans, st.Connections, st.OrphansTimedOut)
		}
		if reset := p.seen[len(p.seen)-1]; len(p.seen) == n || reset.from != 0 || reset.seg.Flags&wire.RST == 0 {
			t.Errorf("%v: the peer is not told", c.state)
		}
	}
}

// ATTACKS: zero-window hold (CVE-2008-4609), Netkill. A peer that keeps its window closed, but
// answers every probe, holds what a user has for as long as the user likes (MUST-37), what
// nobody has for OrphanTimeout.
func TestOrphanOfAClosedWindow(t *testing.T) {
	for _, c := range []struct {
		what            string
		released, reads bool
		timeout         time.Duration
		want            bool // that it ends
	}{
		{"a user's", false, false, 0, false},
		{"an orphan", true, false, 0, true},
		{"an orphan whose peer reads a little", true, true, 0, false},
		{"an orphan where there is no limit", true, false, -1, false},
		{"an orphan, a short limit", true, false, time.Second, true},
	} {
		cfg := mebibytes()
		cfg.OrphanTimeout = c.timeout
		p := newPair(t, cfg, config())
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		client, server := p.connect(l, ap(addrB, 80))
		for n := 1; n > 0; p.run(time.Second) {
			n, _ = client.Send(p.now, make([]byte, 1<<20))
		}
		if st := client.Status(); st.SndWnd != 0 || st.Unsent == 0 {
			t.Fatalf("%s: the window is %d: the test tests nothing", c.what, st.SndWnd)
		}
		if c.released {
			letGo(p, client)
		}
		for range 9 { // 9 minutes
			if c.reads {
				server.Receive(p.now, make([]byte, 1<<16))
			}
			p.run(time.Minute)
		}
		st := p.a.Stats()
		if ended := st.Connections == 0; ended != c.want || ended != (st.OrphansTimedOut == 1) {
			t.Errorf("%s: after 9 minutes %d connections, %d timed out, %d octets", c.what, st.Connections, st.OrphansTimedOut, st.Buffers)
		}
		if c.want && (st.Buffers != 0 || !errors.Is(server.Err(), tcp.ErrReset)) {
			t.Errorf("%s: %d octets held, the peer has %v", c.what, st.Buffers, server.Err())
		}
	}
}

// In FIN-WAIT-2 all is acknowledged: FinWait2Timeout alone holds, also where the user has
// not said that nobody reads.
func TestOrphanInFinWait2(t *testing.T) {
	for _, gone := range []bool{true, false} {
		cfg := config()
		cfg.OrphanTimeout, cfg.TCP.FinWait2Timeout = 10*time.Second, 3*time.Minute
		p := newPair(t, cfg, config())
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		client, _ := p.connect(l, ap(addrB, 80))
		client.Close(p.now)
		if gone {
			client.CloseReceive(p.now, tcp.Gone)
		}
		client.Release(p.now)
		p.run(179 * time.Second)
		if st := p.a.Stats(); st.States[tcp.FinWait2] != 1 || st.Orphans != 1 {
			t.Errorf("gone %v, before 3 minutes: %v", gone, st.States)
		}
		p.run(2 * time.Second)
		if st := p.a.Stats(); st.Connections != 0 || st.Orphans != 0 || st.OrphansTimedOut != 0 {
			t.Errorf("gone %v, after 3 minutes: %d connections, %d orphans, %d timed out", gone, st.Connections, st.Orphans, st.OrphansTimedOut)
		}
	}
}
