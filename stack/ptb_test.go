package stack_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// tooBig tells a that a segment of c, of sequence number seq, was too big for mtu octets.
func tooBig(p *pair, c *stack.Conn, seq, mtu uint32) {
	p.a.Arrive(p.now, 1, &wire.Packet{Buf: about(c.Local(), c.Remote(), seq, wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: mtu})})
}

// "A host MUST not increase its estimate of the Path MTU in response to the contents of a
// Datagram Too Big message", RFC 1191 section 3; nor is what is known prolonged by one that
// is not believed, or says more.
func TestPathMTUOnlyFalls(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var conns [4]*stack.Conn
	for i := range conns {
		conns[i], _ = p.connect(l, ap(addrB, 80))
		conns[i].Send(p.now, make([]byte, 20000))
	}
	p.flush()
	p.lose = func(int, *wire.Packet) bool { return true } // all stays in flight
	p.wire = nil
	begins := func() int {
		t.Helper()
		c := p.dial(p.a, ap(addrB, 80))
		defer c.Release(p.now)
		return c.Status().PathMTU
	}
	una := func(c *stack.Conn) uint32 { return uint32(c.Status().SndUna) }
	at := p.now
	tooBig(p, conns[0], una(conns[0]), 1000)
	if got := begins(); got != 1000 {
		t.Fatalf("a connection begins with %d", got)
	}
	p.run(time.Minute)
	tooBig(p, conns[1], una(conns[1]), 1400)   // it believes, for its own
	tooBig(p, conns[2], una(conns[2])-1, 1000) // it does not
	if got := [...]int{begins(), conns[1].Status().PathMTU, conns[2].Status().PathMTU}; got != [...]int{1000, 1400, 1500} {
		t.Errorf("a message that says 1400, one about nothing in flight: %v", got)
	}
	p.run(at.Add(10*time.Minute).Sub(p.now) - 1)
	if got := begins(); got != 1000 {
		t.Errorf("before ten minutes: %d", got)
	}
	p.run(1)
	if got := begins(); got != 1500 {
		t.Errorf("after ten minutes: %d; something has prolonged them", got)
	}
	c, err := p.a.Dial(p.now, netipAP(), ap(addrB, 80), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.flush()
	tooBig(p, c, uint32(c.Status().ISS), 1400)
	if got := begins(); got != 1400 {
		t.Errorf("what is forgotten does not stand in the way: %d", got)
	}
	at = p.now
	p.run(time.Minute)
	tooBig(p, c, uint32(c.Status().ISS), 900)
	p.run(at.Add(10 * time.Minute).Sub(p.now))
	if got := begins(); got != 900 {
		t.Errorf("a minute before the end of what was said last: %d", got)
	}
}

// ATTACKS: forged Packet Too Big (RFC 5927 section 7, CVE-2004-1060). Of a storm of them with
// numbers all over the sequence space those are believed that hit what is in flight, and the
// MSS keeps its floor; each makes be sent again once what is in flight, and no more.
func TestPacketTooBigStorm(t *testing.T) {
	for _, c := range []struct {
		at    string
		floor int
	}{{"10.0.0.2:80", 576}, {"[2001:db8::2]:80", 1280}} {
		p := newPair(t, config(), config())
		at := mustAP(c.at)
		l := p.listen(p.b, at, stack.ListenOptions{})
		client, server := p.connect(l, at)
		client.Send(p.now, make([]byte, 10000))
		p.flush()
		p.wire = nil
		st := client.Status()
		una, nxt := uint32(st.SndUna), uint32(st.SndNxt)
		mss, seen := st.MSS, len(p.seen)
		n := uint32(0)
		for seq := nxt; seq-una < 1<<32-1<<17; seq += 1 << 17 { // blind: none hits
			tooBig(p, client, seq, [...]uint32{0, 1, 68, 296, 575, 576, 1279, 1280, 1400}[n%9])
			n++
		}
		tooBig(p, client, una-1, 1280)
		p.flush()
		if st = client.Status(); n < 30_000 || st.PathMTU != 1500 || st.MSS != mss || len(p.seen) != seen || p.a.Stats().Paths != 0 {
			t.Fatalf("%s: %d blind messages: path MTU %d, MSS %d, %d packets, %d paths", c.at, n, st.PathMTU, st.MSS, len(p.seen)-seen, p.a.Stats().Paths)
		}
		// One who knows the numbers: each message tells of less, then of the same.
		believed := 0
		for mtu := 1400; mtu >= 0; mtu -= 100 {
			for range 100 {
				before := client.Status().PathMTU
				tooBig(p, client, una, uint32(mtu))
				if client.Status().PathMTU != before {
					believed++
				}
				if client.Status().PathMTU < c.floor || client.Status().MSS < uint32(c.floor-60-12) {
					t.Fatalf("%s: path MTU %d, MSS %d", c.at, client.Status().PathMTU, client.Status().MSS)
				}
				p.flush()
			}
		}
		most := believed * (10000/(c.floor-72) + 1)
		if got := len(p.seen) - seen; believed == 0 || believed > 10 || got > most {
			t.Errorf("%s: %d messages were believed, %d packets sent; want at most %d", c.at, believed, got, most)
		}
		p.run(time.Minute)
		if u := server.Status().Unread; u != 10000 {
			t.Errorf("%s: %d octets have arrived", c.at, u)
		}
		p.want(client, tcp.Established)
	}
}
