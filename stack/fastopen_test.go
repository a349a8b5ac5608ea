package stack_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// TCP Fast Open, RFC 7413, between two stacks and against forged SYNs.

// fastListen listens on B, port 80, with room for n pending requests.
func (p *pair) fastListen(n int) *stack.Listener {
	p.t.Helper()
	return p.listen(p.b, ap(addrB, 80), stack.ListenOptions{FastOpen: n})
}

// fastDial dials B with Fast Open and writes text before the SYN has gone.
func (p *pair) fastDial(text string) *stack.Conn { return p.fastDialTo(ap(addrB, 80), text) }

func (p *pair) fastDialTo(to netip.AddrPort, text string) *stack.Conn {
	p.t.Helper()
	c, err := p.a.Dial(p.now, netip.AddrPort{}, to, stack.ConnOptions{FastOpen: true, NoDelay: true})
	if err != nil {
		p.t.Fatal(err)
	}
	if n, err := c.Send(p.now, []byte(text)); n != len(text) || err != nil {
		p.t.Fatalf("Send: %d, %v", n, err)
	}
	return c
}

// told reads what has arrived, as text.
func (p *pair) read(c *stack.Conn) string {
	b := make([]byte, 1<<17)
	n, _ := c.Receive(p.now, b)
	return string(b[:n])
}

// end ends a connection at both sides without a trace.
func (p *pair) end(conns ...*stack.Conn) {
	for _, c := range conns {
		if c != nil {
			c.Abort(p.now)
			c.Release(p.now)
		}
	}
	p.run(5 * delay)
}

// acquaint has A learn a cookie of B.
func (p *pair) acquaint(l *stack.Listener) {
	p.t.Helper()
	c := p.fastDial("x")
	p.run(5 * delay)
	if c.State() != tcp.Established || !c.Status().FastOpen.Asked {
		p.t.Fatalf("%v: %+v", c.State(), c.Status().FastOpen)
	}
	p.end(c, l.Accept(p.now))
}

// A first connection brings the cookie; with it the second has its text read, and its answer on the
// way, before the handshake's end: the client has the answer after one round trip.
func TestFastOpen(t *testing.T) {
	for _, to := range []netip.AddrPort{ap(addrB, 80), ap(addrB6, 80)} {
		p := newPair(t, config(), config())
		l := p.listen(p.b, ap(netip.IPv6Unspecified(), 80), stack.ListenOptions{FastOpen: 10, Conn: stack.ConnOptions{NoDelay: true}})
		first := p.fastDialTo(to, "first")
		p.run(5 * delay)
		server := l.Accept(p.now)
		if server == nil || p.read(server) != "first" {
			t.Fatal("the first connection does not bring its text by the usual way")
		}
		if f := first.Status().FastOpen; f != (tcp.FastOpen{Asked: true}) {
			t.Fatalf("the first connection: %+v", f)
		}
		began := p.now
		second := p.fastDialTo(to, "second")
		p.run(delay)
		server = l.Accept(p.now)
		if server == nil || server.State() != tcp.SynReceived || p.read(server) != "second" {
			t.Fatalf("%v: after half a round trip the text is not at hand", to)
		}
		if n := p.b.Stats().FastOpen; n != 1 {
			t.Errorf("%d are pending", n)
		}
		server.Send(p.now, []byte("answer"))
		p.run(delay)
		if got := p.read(second); got != "answer" || p.now != began.Add(2*delay) {
			t.Errorf("%v: after one round trip the client has %q", to, got)
		}
		p.run(2 * delay)
		p.want(server, tcp.Established)
		if f := second.Status().FastOpen; f != (tcp.FastOpen{Sent: 6, Acked: 6}) {
			t.Errorf("the client: %+v", f)
		}
		if f := server.Status().FastOpen; f != (tcp.FastOpen{Received: 6}) {
			t.Errorf("the server: %+v", f)
		}
		a, b := p.a.Stats(), p.b.Stats()
		if a.FastOpenSent != 1 || a.FastOpenAcked != 1 || b.FastOpenTaken != 1 || b.FastOpen != 0 || a.HalfOpen+b.HalfOpen != 0 {
			t.Errorf("counted: %d sent, %d acknowledged, %d taken, %d pending", a.FastOpenSent, a.FastOpenAcked, b.FastOpenTaken, b.FastOpen)
		}
		p.transfer(second, server, 300_000)
		p.transfer(server, second, 300_000)
	}
}

// Off by default, at both ends: without the option of Dial a SYN asks for nothing, without that of
// Listen nobody gets a cookie, and one is passed over.
func TestFastOpenIsOff(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.fastListen(10)
	p.connect(l, ap(addrB, 80))
	for _, x := range p.seen {
		if x.seg.Options.Has(wire.HasFastOpen) {
			t.Errorf("%v has a Fast Open option", x.seg.String())
		}
	}
	q := newPair(t, config(), config())
	l = q.fastListen(0)
	c := q.fastDial("text")
	q.run(5 * delay)
	if s := l.Accept(q.now); s == nil || q.read(s) != "text" {
		t.Error("the text does not arrive")
	}
	if q.seen[1].seg.Options.Has(wire.HasFastOpen) {
		t.Error("a listener that does no Fast Open gives a cookie")
	}
	q.end(c)
	q.fastDial("again")
	q.flush()
	if last := q.seen[len(q.seen)-1].seg; last.Options.Has(wire.HasFastOpen) || len(last.Text) > 0 {
		t.Error("the client asks a server again at once that has given no cookie")
	}
}

// Cookies outlive the key they were made with by one period, and then a new one comes with the
// SYN,ACK; one older than that is not valid: the text is acknowledged after the handshake, and the
// next connection has the new cookie.
func TestFastOpenKeysRotate(t *testing.T) {
	for _, tc := range []struct {
		after  time.Duration
		valid  bool
		renews bool
	}{{0, true, false}, {12 * time.Hour, true, true}, {24 * time.Hour, false, true}, {1000 * time.Hour, false, true}} {
		p := newPair(t, config(), config())
		l := p.fastListen(10)
		p.acquaint(l)
		p.run(tc.after)
		p.seen = nil
		c := p.fastDial("text")
		p.run(5 * delay)
		if f := c.Status().FastOpen; f.Sent != 4 || (f.Acked == 4) != tc.valid {
			t.Errorf("after %v: %+v", tc.after, f)
		}
		if s := l.Accept(p.now); s == nil || p.read(s) != "text" {
			t.Errorf("after %v the text does not arrive", tc.after)
		}
		if p.seen[1].seg.Options.Has(wire.HasFastOpen) != tc.renews {
			t.Errorf("after %v the SYN,ACK brings a cookie: %v", tc.after, !tc.renews)
		}
		c = p.fastDial("text")
		p.run(5 * delay)
		if f := c.Status().FastOpen; f.Acked != 4 {
			t.Errorf("after %v, the next: %+v", tc.after, f)
		}
	}
}

// askCookie gets a cookie for a host.
func (x *seat) askCookie(from, to netip.AddrPort) []byte {
	x.t.Helper()
	ask := syn(100)
	ask.Options.Set |= wire.HasFastOpen
	o := one(x.t, "a SYN that asks for a cookie", x.say(from, to, ask))
	x.say(from, to, wire.Segment{Seq: 101, Flags: wire.RST})
	if len(o.seg.Options.FastOpen) != 8 || o.seg.Ack != 101 {
		x.t.Fatalf("%v asks for a cookie, and gets %v with %x", from, &o.seg, o.seg.Options.FastOpen)
	}
	return o.seg.Options.FastOpen
}

// fastSYN is a SYN of a client with a cookie and text.
func fastSYN(cookie []byte, text string) wire.Segment {
	s := syn(100)
	s.Options.Set |= wire.HasFastOpen
	s.Options.FastOpen = cookie
	s.Text = []byte(text)
	return s
}

// ATTACKS: TFO abuse. A cookie is good for the address that it was given to, and at the address that
// gave it; every other is none, in whatever way it differs.
func TestFastOpenForgedCookies(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), 80), 0, stack.ListenOptions{FastOpen: 1000})
	cookie := x.askCookie(peer4, local4)
	if other := x.askCookie(mustAP("10.0.0.10:4000"), local4); string(other) == string(cookie) {
		t.Fatal("two hosts have the same cookie")
	}
	if same := x.askCookie(mustAP("10.0.0.9:5000"), local4); string(same) != string(cookie) {
		t.Error("the cookie depends on the port")
	}
	taken := func(what string, from, to netip.AddrPort, cookie []byte) bool {
		o := one(t, what, x.say(from, to, fastSYN(cookie, "GET /")))
		c := l.Accept(x.now)
		x.say(from, to, wire.Segment{Seq: o.seg.Ack, Flags: wire.RST})
		if c != nil {
			c.Release(x.now)
			x.take()
		}
		if (o.seg.Ack == 106) != (c != nil) || (o.seg.Ack == 101) != (c == nil) {
			t.Fatalf("%s: acknowledged is %v, accepted %v", what, o.seg.Ack, c != nil)
		}
		return c != nil
	}
	if !taken("the cookie itself", peer4, local4, cookie) {
		t.Fatal("the cookie itself is not valid")
	}
	if taken("another host's", mustAP("10.0.0.10:4000"), local4, cookie) || taken("over IPv6", peer6, local6, cookie) {
		t.Error("a cookie is good for another host")
	}
	for bit := range 64 {
		bad := append([]byte(nil), cookie...)
		bad[bit/8] ^= 1 << (bit % 8)
		if taken(fmt.Sprintf("bit %d", bit), peer4, local4, bad) {
			t.Errorf("with another bit %d it is valid", bit)
		}
	}
	for _, bad := range [][]byte{cookie[:4], cookie[:6], append(append([]byte(nil), cookie...), 0, 0), append(append([]byte(nil), cookie...), cookie...)} {
		if taken("of another length", peer4, local4, bad) {
			t.Errorf("%d octets of it are valid", len(bad))
		}
	}
	if n := x.s.Stats().Rules[tcp.RuleFastOpenCookie]; n != 70 {
		t.Errorf("%d are dropped by %v; want 70", n, tcp.RuleFastOpenCookie)
	}
}

// ATTACKS: TFO abuse. A replayed cookie with text floods as far as PendingFastOpenRequests, whoever
// accepts, and whether the forged address resets or not; the rest are as SYNs without, and nothing of
// theirs is held. When the peers have been silent, or a minute after their resets, it works again.
func TestFastOpenFlood(t *testing.T) {
	const most = 20
	for _, resets := range []bool{false, true} {
		for _, accepts := range []bool{false, true} {
			x := newSeat(t, config())
			l, _ := x.s.Listen(local4, 0, stack.ListenOptions{FastOpen: most})
			cookie := x.askCookie(peer4, local4)
			taken := 0
			flood := func(first, n int) {
				for i := range n {
					from := netip.AddrPortFrom(peer4.Addr(), uint16(first+i))
					for _, o := range x.say(from, local4, fastSYN(cookie, "GET /")) {
						switch o.seg.Ack {
						case 106:
							taken++
						case 101:
							if o.seg.Options.Has(wire.HasFastOpen) {
								t.Fatal("beyond the limit a cookie is given")
							}
						default:
							t.Fatalf("answered by %v", &o.seg)
						}
						if resets {
							x.say(from, local4, wire.Segment{Seq: o.seg.Ack, Flags: wire.RST})
						}
					}
					for c := l.Accept(x.now); accepts && c != nil; c = l.Accept(x.now) {
						c.Send(x.now, make([]byte, 1000))
						x.take()
					}
				}
			}
			flood(10_000, 200)
			if taken != most {
				t.Errorf("resets %v, accepted %v: text of %d SYNs is taken; want %d", resets, accepts, taken, most)
			}
			if n := x.s.Stats().Rules[tcp.RuleFastOpenLimit]; n != 200-most {
				t.Errorf("%d are dropped by %v", n, tcp.RuleFastOpenLimit)
			}
			if b := x.s.Stats().Buffers; b > most*4096 {
				t.Errorf("%d octets are held", b)
			}
			x.pass(59 * time.Second)
			flood(20_000, 100)
			if taken != most {
				t.Errorf("resets %v, accepted %v: after 59 s %d more are taken", resets, accepts, taken-most)
			}
			x.pass(65 * time.Second)
			flood(30_000, 1)
			if taken != most+1 {
				t.Errorf("resets %v, accepted %v: after the flood Fast Open does not work again", resets, accepts)
			}
		}
	}
}

// pass lets time pass; what the stack sends is lost.
func (x *seat) pass(d time.Duration) (sent []out) {
	x.t.Helper()
	end := x.now.Add(d)
	for x.s.Deadline() <= end {
		x.now = max(x.now, x.s.Deadline())
		x.s.Timeout(x.now)
		sent = append(sent, x.take()...)
	}
	x.now = end
	return sent
}

// ATTACKS: middlebox reflection. What a SYN with a valid cookie draws towards its address, if that is
// forged, is an initial window, and the SYN,ACK five times more; then the user hears that it has
// timed out.
func TestFastOpenReflection(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{FastOpen: 10})
	cookie := x.askCookie(peer4, local4)
	x.say(peer4, local4, fastSYN(cookie, "GET /"))
	c := l.Accept(x.now)
	n, err := c.Send(x.now, make([]byte, 1<<20))
	if n == 0 || err != nil {
		t.Fatal(n, err)
	}
	octets := 0
	for _, o := range x.take() {
		octets += len(o.seg.Text)
	}
	if octets != 14600 {
		t.Errorf("%d octets of text go at once; RFC 6928 has 14600", octets)
	}
	later := x.pass(10 * time.Minute)
	for _, o := range later {
		if len(o.seg.Text) > 0 {
			t.Errorf("later goes %v", &o.seg)
		}
	}
	if len(later) > stack.DefaultSynAckRetries+1 {
		t.Errorf("later go %d packets", len(later))
	}
	if c.State() != tcp.Closed || !errors.Is(c.Err(), tcp.ErrUserTimeout) {
		t.Errorf("the user's connection is %v, %v", c.State(), c.Err())
	}
	c.Release(x.now)
	x.take()
	if st := x.s.Stats(); st.Connections+st.Buffers+st.FastOpen != 0 {
		t.Errorf("left over: %d connections, %d octets, %d pending", st.Connections, st.Buffers, st.FastOpen)
	}
}

// Whatever ends a pending connection, it counts no more: its user's reset or close, the listener's
// end, a reset from outside.
func TestFastOpenPendingIsCounted(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{FastOpen: 10})
	cookie := x.askCookie(peer4, local4)
	for i := range uint16(4) {
		x.say(netip.AddrPortFrom(peer4.Addr(), 5000+i), local4, fastSYN(cookie, "GET /"))
	}
	a, b := l.Accept(x.now), l.Accept(x.now)
	if n := x.s.Stats().FastOpen; n != 4 {
		t.Fatalf("%d are pending", n)
	}
	a.Abort(x.now)
	a.Release(x.now)
	b.Receive(x.now, make([]byte, 100))
	b.Close(x.now)
	b.Release(x.now)
	fin := x.take()
	if n := x.s.Stats().FastOpen; n != 3 {
		t.Errorf("%d are pending after an abort", n)
	}
	x.say(netip.AddrPortFrom(peer4.Addr(), 5001), local4, wire.Segment{Seq: 106, Ack: fin[len(fin)-1].seg.End(), Flags: wire.ACK})
	if n := x.s.Stats().FastOpen; n != 2 || b.State() != tcp.FinWait2 {
		t.Errorf("%d are pending after the handshake's end in FIN-WAIT-1; %v", n, b.State())
	}
	x.say(netip.AddrPortFrom(peer4.Addr(), 5002), local4, wire.Segment{Seq: 106, Flags: wire.RST})
	if n := x.s.Stats().FastOpen; n != 1 {
		t.Errorf("%d are pending after a reset", n)
	}
	l.Close(x.now)
	x.take()
	if n := x.s.Stats().FastOpen; n != 0 {
		t.Errorf("%d are pending after the listener's end", n)
	}
}

// During a flood of SYNs the listener answers by SYN cookies, which keep nothing: RFC 7413 section
// 8.2, "simply to disable TFO when a host is suspected to be under a SYN flood attack".
func TestFastOpenYieldsToSYNCookies(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{FastOpen: 10, HalfOpen: 1})
	cookie := x.askCookie(peer4, local4)
	x.say(mustAP("10.0.0.8:1"), local4, syn(1)) // half-open
	o := one(t, "a SYN beyond", x.say(peer4, local4, fastSYN(cookie, "GET /")))
	if o.seg.Ack != 101 || o.seg.Options.Has(wire.HasFastOpen) || x.s.Stats().CookiesSent != 1 || l.Accept(x.now) != nil {
		t.Errorf("answered by %v", &o.seg)
	}
}

// A SYN that reopens a connection in TIME-WAIT has its text delivered after the handshake: it may be
// an old duplicate, and there is something to go back to (MAY-2).
func TestFastOpenReopens(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{FastOpen: 10})
	cookie := x.askCookie(peer4, local4)
	o := one(t, "the first SYN", x.say(peer4, local4, fastSYN(cookie, "GET /")))
	c := l.Accept(x.now)
	c.Receive(x.now, make([]byte, 100))
	x.say(peer4, local4, wire.Segment{Seq: 106, Ack: o.seg.End(), Flags: wire.ACK, Wnd: 65535})
	c.Close(x.now)
	x.take()
	x.say(peer4, local4, wire.Segment{Seq: 106, Ack: o.seg.End() + 1, Flags: wire.ACK | wire.FIN, Wnd: 65535})
	if c.State() != tcp.TimeWait {
		t.Fatalf("the server is %v", c.State())
	}
	c.Release(x.now)
	x.take()
	again := fastSYN(cookie, "GET /")
	again.Seq = 5000
	if o := one(t, "the next SYN", x.say(peer4, local4, again)); o.seg.Ack != 5001 || o.seg.Flags != wire.SYN|wire.ACK {
		t.Errorf("answered by %v", &o.seg)
	}
	if l.Accept(x.now) != nil {
		t.Error("accepted before the handshake's end")
	}
}

// box makes another packet of one, as a middlebox does.
func box(pkt *wire.Packet, change func(*wire.Segment)) {
	var ip wire.IP
	var seg wire.Segment
	if wire.ParseIP(pkt.Bytes(), &ip) != wire.FaultNone || wire.ParseTCP(ip.Payload, &seg) != wire.FaultNone {
		return
	}
	flow, _ := ip.Flow()
	flow = flow.Reverse()
	change(&seg)
	*pkt = wire.Packet{Buf: wire.AppendSegment(make([]byte, wire.Headroom), &flow, &seg, wire.ChecksumNone), Head: wire.Headroom}
}

// What middleboxes and losses do to SYNs, RFC 7413 sections 4.1.3.1 and 7.1: the connection comes about
// all the same, its text arrives once, and where there was a negative response the next does without,
// for a minute; then it is tried again. Where only SYN,ACK was lost nothing is amiss.
func TestFastOpenThroughMiddleboxes(t *testing.T) {
	isSYN := func(pkt *wire.Packet) (syn, fast, text bool) {
		box(pkt, func(s *wire.Segment) {
			syn, fast, text = s.Flags.Has(wire.SYN), s.Options.Has(wire.HasFastOpen), s.TextLen() > 0
		})
		return
	}
	once := func(n *int) bool { *n++; return *n == 1 }
	for _, tc := range []struct {
		what     string
		lose     func(n *int, from int, pkt *wire.Packet) bool
		within   time.Duration // until the text has arrived
		fast     bool          // the SYN's text counts
		negative bool
	}{
		{"nothing is done", func(*int, int, *wire.Packet) bool { return false }, delay, true, false},
		{"the option is stripped from SYNs", func(_ *int, from int, pkt *wire.Packet) bool {
			if syn, fast, _ := isSYN(pkt); syn && fast && from == 0 {
				box(pkt, func(s *wire.Segment) { s.Options.Set &^= wire.HasFastOpen })
			}
			return false
		}, 3 * delay, false, true},
		{"text is stripped from SYNs", func(_ *int, from int, pkt *wire.Packet) bool {
			if syn, _, text := isSYN(pkt); syn && text {
				box(pkt, func(s *wire.Segment) { s.Text = nil })
			}
			return false
		}, 3 * delay, false, true},
		{"SYNs with text are dropped", func(_ *int, from int, pkt *wire.Packet) bool {
			syn, _, text := isSYN(pkt)
			return syn && text
		}, time.Second + 3*delay, false, true},
		{"SYNs with the option are dropped", func(_ *int, from int, pkt *wire.Packet) bool {
			syn, fast, _ := isSYN(pkt)
			return syn && fast
		}, time.Second + 3*delay, false, true},
		{"the SYN is lost", func(n *int, from int, pkt *wire.Packet) bool {
			syn, _, _ := isSYN(pkt)
			return syn && from == 0 && once(n)
		}, time.Second + 3*delay, false, true},
		{"the SYN,ACK is lost", func(n *int, from int, pkt *wire.Packet) bool {
			syn, _, _ := isSYN(pkt)
			return syn && from == 1 && once(n)
		}, delay, true, false},
		{"both go once each", func(n *int, from int, pkt *wire.Packet) bool {
			syn, _, _ := isSYN(pkt)
			if *n++; syn && *n <= 1 {
				return true
			}
			return syn && from == 1 && *n <= 3
		}, 3*time.Second + 5*delay, false, true},
	} {
		p := newPair(t, config(), config())
		l := p.fastListen(10)
		p.acquaint(l)
		n := 0
		p.lose = func(from int, pkt *wire.Packet) bool { return tc.lose(&n, from, pkt) }
		c := p.fastDial("some text")
		p.run(tc.within)
		s := l.Accept(p.now)
		if s == nil || p.read(s) != "some text" {
			t.Errorf("%s: after %v the text has not arrived", tc.what, tc.within)
			continue
		}
		s.Send(p.now, make([]byte, 5000))
		p.run(8 * time.Second)
		if got := p.read(c); len(got) != 5000 {
			t.Errorf("%s: %d octets of the answer arrive", tc.what, len(got))
		}
		if extra := p.read(s); extra != "" {
			t.Errorf("%s: %q arrives again", tc.what, extra)
		}
		if f := c.Status().FastOpen; f.Sent != 9 || (f.Acked == 9) != tc.fast {
			t.Errorf("%s: %+v", tc.what, f)
		}
		p.end(c, s)
		p.lose = nil
		for i, sent := range []bool{!tc.negative, true} {
			c = p.fastDial("more")
			p.run(5 * delay)
			if f := c.Status().FastOpen; (f.Sent > 0) != sent || f.Asked {
				t.Errorf("%s: connection %d after it: %+v", tc.what, i+1, f)
			}
			p.end(c, l.Accept(p.now))
			p.run(time.Minute)
		}
	}
}

// A server that gives no cookie is asked again after one minute, then two, up to an hour: RFC 7413
// section 4.2.1, "only attempt another cookie request after a certain period". One that drops SYNs
// with the option is not asked again by the next Dial, even if the user has not waited for the end.
func TestFastOpenAsksLessOften(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.fastListen(0)
	var asked []tcp.Time
	for range 3 * 60 * 5 {
		c, at := p.fastDial("x"), p.now
		p.run(5 * delay)
		if c.Status().FastOpen.Asked {
			asked = append(asked, at)
		}
		p.end(c, l.Accept(p.now))
		p.now = p.now.Add(20*time.Second - 10*delay)
	}
	want := []int{1, 2, 4, 8, 16, 32, 60, 60, 60}
	if len(asked) != len(want)+1 {
		t.Fatalf("asked %d times in 5 h", len(asked))
	}
	for i, minutes := range want {
		if gap := asked[i+1].Sub(asked[i]).Minutes(); gap < float64(minutes) || gap > float64(minutes)+0.35 {
			t.Errorf("asked again after %v min; want %d", gap, minutes)
		}
	}

	p = newPair(t, config(), config())
	p.lose = func(int, *wire.Packet) bool { return true }
	c := p.fastDial("x")
	p.run(3 * time.Second)
	c.Abort(p.now)
	c.Release(p.now)
	if c = p.fastDial("x"); c.Status().FastOpen.Asked {
		t.Error("asked again")
	}
	p.flush()
	if last := p.seen[len(p.seen)-1].seg; last.Options.Has(wire.HasFastOpen) {
		t.Error("the next SYN asks again")
	}
}

// A note of failure is for one port; the cookie is for all ports of the server.
func TestFastOpenCookieIsForAllPorts(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.fastListen(10)
	p.listen(p.b, ap(addrB, 81), stack.ListenOptions{})
	p.listen(p.b, ap(addrB, 82), stack.ListenOptions{FastOpen: 10})
	p.acquaint(l)
	for _, tc := range []struct {
		port        uint16
		sent, acked bool
	}{{81, true, false}, {81, false, false}, {82, true, true}, {80, true, true}, {81, false, false}} {
		c := p.fastDialTo(ap(addrB, tc.port), "text")
		p.run(5 * delay)
		if f := c.Status().FastOpen; (f.Sent > 0) != tc.sent || (f.Acked > 0) != tc.acked {
			t.Errorf("port %d: %+v", tc.port, f)
		}
	}
}

// The cache of cookies has a bound; the one that has not been used for longest goes.
func TestMaxFastOpen(t *testing.T) {
	cfg := config()
	cfg.MaxFastOpen = 3
	p := newPair(t, cfg, config())
	var servers []netip.AddrPort
	for i := range byte(4) {
		a := netip.AddrFrom4([4]byte{10, 0, 0, 20 + i})
		if _, err := p.b.AddInterface(stack.InterfaceConfig{MTU: 1500, Prefixes: []netip.Prefix{netip.PrefixFrom(a, 32)}}); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, ap(a, 80))
	}
	p.listen(p.b, ap(netip.IPv4Unspecified(), 80), stack.ListenOptions{FastOpen: 10})
	try := func(i int) bool {
		c := p.fastDialTo(servers[i], "text")
		p.run(5 * delay)
		if c.State() != tcp.Established {
			t.Fatalf("server %d: %v", i, c.State())
		}
		return c.Status().FastOpen.Acked > 0
	}
	for i, want := range []struct {
		server int
		known  bool
	}{{0, false}, {1, false}, {2, false}, {0, true}, {3, false}, {0, true}, {2, true}, {1, false}, {3, false}} {
		if try(want.server) != want.known {
			t.Errorf("step %d: the cookie of server %d is known: %v", i, want.server, !want.known)
		}
	}
}

// Text beyond one segment: what fits goes with the SYN, by the MSS that the server has announced,
// the rest after it; all arrives in order.
func TestFastOpenLongText(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.fastListen(10)
	p.acquaint(l)
	b := make([]byte, 60_000)
	for i := range b {
		b[i] = byte(i * 31 >> 3)
	}
	p.seen = nil
	c := p.fastDial(string(b))
	p.run(delay)
	s := l.Accept(p.now)
	got := p.read(s)
	if len(got) != 1428 || len(p.seen[0].seg.Text) != 1428 { // 1460 less 32 octets of options
		t.Errorf("the SYN has %d octets, and %d are read", len(p.seen[0].seg.Text), len(got))
	}
	for range 100 {
		p.run(delay)
		got += p.read(s)
	}
	if got != string(b) {
		t.Errorf("%d octets arrive, of %d", len(got), len(b))
	}
	p.want(c, tcp.Established)
}
