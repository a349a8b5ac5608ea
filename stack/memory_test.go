package stack_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// least is what each direction of a connection has however little memory there is.
const least = 2048

// mebibytes returns a Config by which each buffer has a mebibyte, whatever it carries.
func mebibytes() stack.Config {
	cfg := config()
	cfg.TCP.ReceiveBuffer, cfg.TCP.SendBuffer = 1<<20, 1<<20
	return cfg
}

// tight returns the Config of a stack with little memory.
func tight(octets int) stack.Config {
	cfg := mebibytes()
	cfg.TCP.MaxBuffers = octets
	return cfg
}

// fill sends on c until it takes no more.
func (p *pair) fill(c *stack.Conn) (total int) {
	p.t.Helper()
	for {
		n, err := c.Send(p.now, make([]byte, 1<<16))
		if total += n; err != nil || n == 0 {
			return total
		}
	}
}

// bounded fails the test when s holds more than the bound of cfg says.
func (p *pair) bounded(s *stack.Stack, cfg *stack.Config) {
	p.t.Helper()
	if st := s.Stats(); st.Buffers > cfg.TCP.MaxBuffers+2*least*st.Connections {
		p.t.Fatalf("%d octets of buffers in %d connections; the bound is %d", st.Buffers, st.Connections, cfg.TCP.MaxBuffers)
	}
}

// ATTACKS: zero-window hold (CVE-2008-4609). Peers that take nothing lose their connections
// once memory is short and they have had their time; whoever moves keeps theirs, and meanwhile
// goes on.
func TestStalledConnectionsGiveWay(t *testing.T) {
	cfg := tight(8 << 20)
	p := newPair(t, mebibytes(), cfg)
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	goodClient, goodServer := p.connect(l, ap(addrB, 80))
	var bad, peers []*stack.Conn
	for range 20 {
		client, server := p.connect(l, ap(addrB, 80))
		bad, peers = append(bad, server), append(peers, client)
	}
	for range 5 { // the peers' windows fill, then the send buffers
		for _, s := range bad {
			p.fill(s)
		}
		p.bounded(p.b, &cfg)
		p.run(time.Second)
	}
	if n := p.b.Stats().Buffers; n < 7<<20 {
		t.Fatalf("%d octets are in use: the test tests nothing", n)
	}
	start := p.now
	for p.now.Sub(start) < 20*time.Second {
		p.transfer(goodServer, goodClient, 5000)
		p.transfer(goodClient, goodServer, 5000)
		p.run(time.Second)
		p.bounded(p.b, &cfg)
	}
	if n := p.b.Stats().BuffersReclaimed; n != 0 {
		t.Fatalf("%d connections have lost theirs before their time", n)
	}
	for p.now.Sub(start) < 60*time.Second {
		p.transfer(goodServer, goodClient, 5000)
		p.run(time.Second)
		p.bounded(p.b, &cfg)
	}
	st := p.b.Stats()
	if st.Buffers > cfg.TCP.MaxBuffers/8*7 || st.BuffersReclaimed == 0 {
		t.Errorf("%d octets; %d connections have lost theirs", st.Buffers, st.BuffersReclaimed)
	}
	ended := 0
	for i, s := range bad {
		if errors.Is(s.Err(), tcp.ErrResources) {
			ended++
			if !errors.Is(peers[i].Err(), tcp.ErrReset) {
				t.Errorf("a peer is not told: %v", peers[i].Err())
			}
		}
	}
	if ended != int(st.BuffersReclaimed) || ended == len(bad) {
		t.Errorf("%d of %d say so", ended, st.BuffersReclaimed)
	}
	p.want(goodServer, tcp.Established)
	p.transfer(goodClient, goodServer, 1<<20)
}

// Who has waited longest goes first, and no more than is needed.
func TestOldestStallGoesFirst(t *testing.T) {
	p := newPair(t, mebibytes(), tight(8<<20))
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var clients, servers []*stack.Conn
	for range 8 {
		c, s := p.connect(l, ap(addrB, 80))
		clients, servers = append(clients, c), append(servers, s)
	}
	hold := func(d time.Duration, who ...int) { // a megabyte each
		for end := p.now.Add(d); p.now < end; p.run(time.Second) {
			for _, i := range who {
				p.fill(servers[i])
			}
		}
	}
	hold(20*time.Second, 0, 1, 2, 3, 4)
	for n := 1; n > 0; p.run(10 * delay) { // the first one's peer takes something at last
		n, _ = clients[0].Receive(p.now, make([]byte, 1<<20))
	}
	hold(60*time.Second, 0, 1, 2, 3, 4)
	if n := p.b.Stats().BuffersReclaimed; n != 0 {
		t.Fatalf("%d are ended though there is memory", n)
	}
	hold(10*time.Second, 5, 6, 7)
	for i, s := range servers {
		if ended := errors.Is(s.Err(), tcp.ErrResources); ended != (i == 1) {
			t.Errorf("connection %d: %v", i, s.Err())
		}
	}
}

// An octet now and then is no progress, and a modest rate is.
func TestTrickleIsNoProgress(t *testing.T) {
	for _, tc := range []struct {
		name   string
		octets int // that the reader takes every five seconds
		ended  bool
	}{{"an octet", 1, true}, {"four kilobytes", 4096, false}} {
		cfg := tight(2 << 20)
		p := newPair(t, mebibytes(), cfg)
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		var clients, servers []*stack.Conn
		for range 3 {
			c, s := p.connect(l, ap(addrB, 80))
			clients, servers = append(clients, c), append(servers, s)
			p.fill(c)
		}
		for range 20 { // b's users read, slowly; their peers always have more
			p.run(5 * time.Second)
			for i := range clients {
				servers[i].Receive(p.now, make([]byte, tc.octets))
				p.fill(clients[i])
			}
			p.bounded(p.b, &cfg)
		}
		for _, s := range servers {
			if n := s.Status().Buffered; n != 0 && errors.Is(s.Err(), tcp.ErrResources) {
				t.Errorf("%s: %d octets are left to one that has lost its buffers", tc.name, n)
			}
		}
		if n := p.b.Stats().BuffersReclaimed; (n > 0) != tc.ended {
			t.Errorf("%s: %d connections have lost their buffers", tc.name, n)
		}
	}
}

// As long as memory is not short, a connection may hold its own for ever.
func TestStallWithoutNeed(t *testing.T) {
	cfg := tight(8 << 20)
	p := newPair(t, mebibytes(), cfg)
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var held []*stack.Conn
	for range 6 {
		_, s := p.connect(l, ap(addrB, 80))
		held = append(held, s)
	}
	for range 600 {
		for _, s := range held {
			p.fill(s)
		}
		p.run(time.Second)
	}
	if st := p.b.Stats(); st.BuffersReclaimed != 0 || st.Buffers < 5<<20 {
		t.Errorf("%d octets, %d connections ended", st.Buffers, st.BuffersReclaimed)
	}
}

// What arrives when there is no memory is dropped with a Rule, sent again, and nothing is lost
// or damaged; when there is memory again the connection is as fast as before.
func TestReceiveWithoutMemory(t *testing.T) {
	cfg := tight(1 << 20)
	cfg.StallTimeout = time.Hour
	p := newPair(t, mebibytes(), cfg)
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	hog, hogServer := p.connect(l, ap(addrB, 80))
	client, server := p.connect(l, ap(addrB, 80)) // it is offered a window before memory is short
	p.fill(hog)
	p.run(10 * time.Second)
	if n := p.b.Stats().Buffers; n < 1<<20 {
		t.Fatalf("%d octets are in use", n)
	}
	p.transfer(client, server, 200_000)
	p.bounded(p.b, &cfg)
	if n := p.b.Stats().Rules[tcp.RuleNoMemory]; n == 0 {
		t.Error("nothing was dropped: the test tests nothing")
	}
	for n := 1; n > 0; { // the hog's user wakes up
		n, _ = hogServer.Receive(p.now, make([]byte, 1<<20))
		p.run(time.Second)
	}
	before := p.b.Stats().Rules[tcp.RuleNoMemory]
	start := p.now
	p.transfer(client, server, 4<<20)
	if d := p.now.Sub(start); d > 5*time.Second {
		t.Errorf("4 MiB take %v afterwards", d)
	}
	if n := p.b.Stats().Rules[tcp.RuleNoMemory] - before; n != 0 {
		t.Errorf("%d segments are dropped though there is memory", n)
	}
}

// A sender that found no memory is told when there is some.
func TestSendWithoutMemory(t *testing.T) {
	cfg := tight(1 << 20)
	cfg.StallTimeout = time.Hour
	p := newPair(t, mebibytes(), cfg)
	l := p.listen(p.a, ap(addrA, 80), stack.ListenOptions{})
	var ends []*stack.Conn
	for range 3 {
		ends = append(ends, p.dial(p.b, ap(addrA, 80)))
	}
	p.run(3 * delay)
	for range 3 {
		l.Accept(p.now)
	}
	for range 3 {
		p.fill(ends[0])
		p.run(time.Second)
	}
	p.fill(ends[1])
	p.lose = func(from int, _ *wire.Packet) bool { return from == 0 } // no acknowledgment makes room
	n := p.fill(ends[2])
	if n == 0 || n > least {
		t.Fatalf("with no memory Send takes %d octets in all", n)
	}
	var told notes
	ends[2].Watch(&told)
	p.run(10 * delay)
	told.got = 0
	ends[0].Abort(p.now)
	p.run(10 * delay)
	if told.got&tcp.SignalWritable == 0 {
		t.Fatal("memory is free and the sender has not been told")
	}
	if n := p.fill(ends[2]); n < 100_000 {
		t.Errorf("now it takes %d octets", n)
	}
	p.bounded(p.b, &cfg)
}

// Who was seen to stall when memory was short an hour ago is not judged by that.
func TestStallsAreForgotten(t *testing.T) {
	p := newPair(t, mebibytes(), tight(4<<20))
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var servers []*stack.Conn
	short := func() { // four megabytes
		for len(servers) < 4 {
			_, s := p.connect(l, ap(addrB, 80))
			servers = append(servers, s)
		}
		for range 20 {
			for _, s := range servers {
				p.fill(s)
			}
			p.run(time.Second)
		}
		if n := p.b.Stats().Buffers; n <= 4<<20/8*7 {
			t.Fatalf("%d octets are in use", n)
		}
	}
	short()
	for _, s := range servers[1:] {
		s.Abort(p.now)
		s.Release(p.now)
	}
	servers = servers[:1]
	p.run(time.Hour)
	short()
	if n := p.b.Stats().BuffersReclaimed; n != 0 {
		t.Errorf("%d connections are ended after 20 seconds", n)
	}
}

// Those that have gone without memory are not remembered longer than they live.
func TestLacking(t *testing.T) {
	p := newPair(t, mebibytes(), tight(1<<20))
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var servers []*stack.Conn
	for range 20 {
		_, s := p.connect(l, ap(addrB, 80))
		servers = append(servers, s)
		p.fill(s)
		p.run(time.Second)
		p.fill(s)
	}
	if n := p.b.Stats().Lacking; n < 15 {
		t.Fatalf("%d of 20 lack memory", n)
	}
	for _, i := range []int{19, 3, 7, 18, 4, 5} { // those that have the least
		servers[i].Abort(p.now)
		servers[i].Release(p.now)
		p.run(delay)
	}
	before := p.b.Stats().Lacking
	for i, s := range servers {
		if s.Status().Buffered <= least && i < 17 && i > 7 {
			s.Abort(p.now)
			s.Release(p.now)
			p.flush()
			if n := p.b.Stats().Lacking; n != before-1 {
				t.Fatalf("%d lack memory; one of %d has ended", n, before)
			}
			before--
		}
	}
	told := make([]notes, len(servers))
	for i, s := range servers {
		if i > 2 && s.State() == tcp.Established {
			s.Watch(&told[i])
			told[i].got = 0
		}
	}
	for _, s := range servers[:3] { // those that have the most
		s.Abort(p.now)
		p.flush()
	}
	for i, s := range servers {
		if i > 2 && s.State() == tcp.Established && told[i].got&tcp.SignalWritable == 0 {
			t.Errorf("connection %d is not told that there is memory", i)
		}
	}
}
