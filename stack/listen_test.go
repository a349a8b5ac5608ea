package stack_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func TestListenErrors(t *testing.T) {
	x := newSeat(t, config())
	for _, c := range []struct {
		at   string
		opts stack.ListenOptions
		want error
	}{
		{"10.0.0.1:80", stack.ListenOptions{}, nil},
		{"10.0.0.1:80", stack.ListenOptions{}, stack.ErrAddrInUse},
		{"0.0.0.0:80", stack.ListenOptions{}, stack.ErrAddrInUse}, // 10.0.0.1 is one of any
		{"[::]:80", stack.ListenOptions{}, stack.ErrAddrInUse},
		{"[2001:db8::1]:80", stack.ListenOptions{}, nil},
		{"[::]:80", stack.ListenOptions{V6Only: true}, stack.ErrAddrInUse},
		{"[::]:81", stack.ListenOptions{}, nil},
		{"0.0.0.0:81", stack.ListenOptions{}, stack.ErrAddrInUse}, // :: has it
		{"[::]:82", stack.ListenOptions{V6Only: true}, nil},
		{"0.0.0.0:82", stack.ListenOptions{}, nil},
		{"10.0.0.7:80", stack.ListenOptions{}, stack.ErrAddrNotAvailable},
		{"127.0.0.5:80", stack.ListenOptions{}, nil},
	} {
		if _, err := x.s.Listen(mustAP(c.at), 0, c.opts); !errors.Is(err, c.want) {
			t.Errorf("Listen %s: %v; want %v", c.at, err, c.want)
		}
	}
	if _, err := x.s.Listen(netip.AddrPort{}, 0, stack.ListenOptions{}); !errors.Is(err, stack.ErrInvalidAddr) {
		t.Errorf("Listen nowhere: %v", err)
	}
	dual, err := x.s.Listen(mustAP("[::]:90"), 0, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dual.Close(x.now)
	for _, at := range []string{"0.0.0.0:90", "[::]:90"} {
		if _, err := x.s.Listen(mustAP(at), 0, stack.ListenOptions{V6Only: true}); err != nil {
			t.Errorf("Listen %s after a Close: %v", at, err)
		}
	}
	l, err := x.s.Listen(mustAP("0.0.0.0:0"), 0, stack.ListenOptions{})
	if err != nil || l.Addr().Port() < stack.DefaultPortFirst {
		t.Errorf("Listen on port 0: %v, %v", l.Addr(), err)
	}
}

// Each SYN comes to the listener that has its address; a dual-stack one takes both versions.
func TestWhoGetsTheSYN(t *testing.T) {
	x := newSeat(t, config())
	listen := func(at string, v6only bool) *stack.Listener {
		l, err := x.s.Listen(mustAP(at), 0, stack.ListenOptions{V6Only: v6only})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	any6 := listen("[::]:80", false)
	one4, only6 := listen("10.0.0.1:81", false), listen("[::]:81", true)
	x.link(stack.InterfaceConfig{Prefixes: prefixes("10.2.0.1/24")})
	for _, c := range []struct {
		to   string
		want *stack.Listener
	}{
		{"10.0.0.1:80", any6}, {"10.2.0.1:80", any6}, {"[2001:db8::1]:80", any6},
		{"10.0.0.1:81", one4}, {"[2001:db8::1]:81", only6}, {"10.2.0.1:81", nil}, {"10.2.0.1:82", nil},
	} {
		from := peer4
		if mustAP(c.to).Addr().Is6() {
			from = peer6
		}
		o := one(t, c.to, x.say(from, mustAP(c.to), syn(100)))
		if c.want == nil {
			if !o.seg.Flags.Has(wire.RST) {
				t.Errorf("%s: %v; want a reset", c.to, o.seg.String())
			}
			continue
		}
		x.say(from, mustAP(c.to), wire.Segment{Seq: 101, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000})
		if c.want.Accept(x.now) == nil {
			t.Errorf("%s did not come to its listener", c.to)
		}
	}
}

// RFC 9293 section 3.10.7.2, step by step.
func TestSegmentsForAListener(t *testing.T) {
	for _, c := range []struct {
		flags wire.Flags
		want  string
		rule  tcp.Rule
	}{
		{wire.RST, "", tcp.RuleListenReset},
		{wire.RST | wire.ACK, "", tcp.RuleListenReset},
		{wire.RST | wire.SYN, "", tcp.RuleListenReset},
		{wire.ACK, "<SEQ=7><CTL=RST>", tcp.RuleListenAck},
		{wire.SYN | wire.ACK, "<SEQ=7><CTL=RST>", tcp.RuleListenAck},
		{wire.FIN, "", tcp.RuleListenOther},
		{wire.PSH | wire.URG, "", tcp.RuleListenOther},
	} {
		x := newSeat(t, config())
		x.s.Listen(local4, 0, stack.ListenOptions{})
		got := x.say(peer4, local4, wire.Segment{Seq: 100, Ack: 7, Flags: c.flags, Text: []byte("text")})
		if c.want == "" {
			none(t, c.flags.String(), got)
		} else if o := one(t, c.flags.String(), got); o.seg.String() != c.want {
			t.Errorf("%v is answered by %v; want %v", c.flags, o.seg.String(), c.want)
		}
		if st := x.s.Stats(); st.Rules[c.rule] != 1 || st.Connections != 0 {
			t.Errorf("%v: rule %v counts %d, %d connections", c.flags, c.rule, st.Rules[c.rule], st.Connections)
		}
	}
}

// Nobody has port 0 (RFC 6335 section 6): there is nobody to answer.
func TestFromPortZero(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(local4, 0, stack.ListenOptions{})
	from := netip.AddrPortFrom(peer4.Addr(), 0)
	for _, to := range []netip.AddrPort{local4, mustAP("10.0.0.1:9")} {
		none(t, "a SYN from port 0", x.say(from, to, syn(1)))
	}
	if n := x.s.Stats().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
}

// MUST-11: a reset in SYN-RECEIVED after a passive OPEN returns to LISTEN, and nobody is
// told. The next SYN works.
func TestResetReturnsToListen(t *testing.T) {
	x := newSeat(t, config())
	var told notes
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{Watcher: &told})
	one(t, "a SYN", x.say(peer4, local4, syn(100)))
	none(t, "a reset", x.say(peer4, local4, wire.Segment{Seq: 101, Flags: wire.RST}))
	if st := x.s.Stats(); st.Connections != 0 || st.HalfOpen != 0 || told.got != 0 {
		t.Errorf("after the reset: %d connections, %d half-open, signals %v", st.Connections, st.HalfOpen, told.got)
	}
	o := one(t, "the next SYN", x.say(peer4, local4, syn(5000)))
	x.say(peer4, local4, wire.Segment{Seq: 5001, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000})
	if told.got != tcp.SignalReadable || l.Accept(x.now) == nil {
		t.Errorf("the next connection: signals %v", told.got)
	}
}

// MUST-41: a passive OPEN "MUST NOT affect any previously created connection record";
// MUST-42: it is possible "while a connection block with the same local port is in SYN-SENT or
// SYN-RECEIVED state".
func TestListenBesideConnections(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, err := p.a.Dial(p.now, ap(addrA, 80), ap(addrB, 80), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if l2, err := p.a.Listen(ap(addrA, 80), 0, stack.ListenOptions{}); err != nil { // in SYN-SENT
		t.Fatal(err)
	} else {
		defer l2.Close(p.now)
	}
	p.run(5 * delay)
	server := l.Accept(p.now)
	p.want(client, tcp.Established)
	p.transfer(client, server, 10000)
	l.Close(p.now)
	if _, err := p.b.Listen(ap(addrB, 80), 0, stack.ListenOptions{}); err != nil {
		t.Errorf("Listen while a connection is on the port: %v", err)
	}
	p.transfer(server, client, 10000)
}

// Close aborts what nobody has accepted, and leaves the others alone.
func TestListenerClose(t *testing.T) {
	p := newPair(t, config(), config())
	var told notes
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{Watcher: &told})
	c1, s1 := p.connect(l, ap(addrB, 80))
	c2 := p.dial(p.a, ap(addrB, 80))
	p.run(3 * delay)
	c3 := p.dial(p.a, ap(addrB, 80))
	p.run(delay)
	l.Close(p.now)
	l.Close(p.now)
	p.run(10 * delay)
	p.want(c2, tcp.Closed)
	p.want(c3, tcp.Closed)
	if !errors.Is(c2.Err(), tcp.ErrReset) {
		t.Errorf("c2: %v", c2.Err())
	}
	if told.got&tcp.SignalClosed == 0 {
		t.Errorf("the watcher was told %v", told.got)
	}
	p.transfer(c1, s1, 10000)
	if st := p.b.Stats(); st.Connections != 1 || st.HalfOpen != 0 || st.Listeners != 0 {
		t.Errorf("%d connections, %d half-open, %d listeners", st.Connections, st.HalfOpen, st.Listeners)
	}
	c4 := p.dial(p.a, ap(addrB, 80))
	p.run(3 * delay)
	if !errors.Is(c4.Err(), tcp.ErrRefused) {
		t.Errorf("c4: %v, %v", c4.State(), c4.Err())
	}
}

// Accept gives them in the order in which they were established, and then nothing.
func TestAcceptInOrder(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var want []netip.AddrPort
	for range 5 {
		want = append(want, p.dial(p.a, ap(addrB, 80)).Local())
		p.run(3 * delay)
	}
	for i, at := range want {
		if s := l.Accept(p.now); s == nil || s.Remote() != at {
			t.Fatalf("number %d is not %v", i, at)
		}
	}
	if s := l.Accept(p.now); s != nil {
		t.Errorf("one more: %v", s.Remote())
	}
}

// A full queue makes no connection that would wait: the peer's SYN, or its ACK, is dropped,
// and it says it again until there is room.
func TestBacklog(t *testing.T) {
	p := newPair(t, config(), config())
	l, err := p.b.Listen(ap(addrB, 80), 2, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var conns []*stack.Conn
	for range 5 {
		conns = append(conns, p.dial(p.a, ap(addrB, 80)))
	}
	p.run(5 * delay)
	if n := p.b.Stats().States[tcp.Established]; n != 2 {
		t.Fatalf("%d are established over a backlog of 2", n)
	}
	if p.b.Stats().Rules[tcp.RuleBacklogFull] == 0 {
		t.Error("nothing was dropped")
	}
	for range 5 {
		var s *stack.Conn
		for n := 0; s == nil; n++ {
			if s = l.Accept(p.now); s == nil {
				p.run(time.Second)
			}
			if n > 70 {
				t.Fatal("one never comes")
			}
		}
	}
	for _, c := range conns {
		p.want(c, tcp.Established)
	}
}

// RFC 4987 section 3.6; ATTACKS: SYN flood. Beyond the limit nothing is stored, and a
// legitimate peer gets in with MSS, window scale, SACK and timestamps.
func TestSynFlood(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(mustAP("[::]:80"), 0, stack.ListenOptions{HalfOpen: 8})
	x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
	out, in := 0, 0
	for i := range 20_000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 1000)
		b := segment(from, local4, syn(uint32(i)))
		in += len(b)
		for _, o := range x.put(b) {
			out += len(o.raw)
		}
	}
	st := x.s.Stats()
	if st.Connections != 8 || st.HalfOpen != 8 || st.CookiesSent != 20_000-8 || st.Buffers != 0 {
		t.Errorf("%d connections, %d half-open, %d cookies, %d octets", st.Connections, st.HalfOpen, st.CookiesSent, st.Buffers)
	}
	if out > in*3/2 {
		t.Errorf("%d octets in made %d octets out", in, out)
	}
	for i, c := range []struct {
		opts wire.Options
		want string // what the connection knows of the peer
	}{
		{wire.Options{}, "mss 536"},
		{wire.Options{Set: wire.HasMSS, MSS: 1460}, "mss 1460"},
		{wire.Options{Set: wire.HasMSS, MSS: 1350}, "mss 1300"}, // rounded down
		{wire.Options{Set: wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted, MSS: 1460, WindowScale: 9}, "mss 1460"},
		{wire.Options{Set: wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted | wire.HasTimestamps, MSS: 1460, WindowScale: 9, TSVal: 77}, "mss 1460 timestamps SACK scale 9"},
		{wire.Options{Set: wire.HasMSS | wire.HasTimestamps, MSS: 8960, TSVal: 77}, "mss 8960 timestamps"},
		{wire.Options{Set: wire.HasMSS | wire.HasTimestamps | wire.HasWindowScale, MSS: 536, TSVal: 77}, "mss 536 timestamps scale 0"},
	} {
		first := syn(0xfffffff0)
		first.Options = c.opts
		first.Text = []byte("not kept")
		o := one(t, "a SYN", x.say(peer4, local4, first))
		if o.seg.Flags != wire.SYN|wire.ACK || o.seg.Ack != 0xfffffff1 {
			t.Fatalf("answered by %v", o.seg.String())
		}
		if got := x.s.Stats().Connections; got != 8 {
			t.Fatalf("%d connections before the ACK", got)
		}
		if o.seg.Options.Set&wire.HasTimestamps == 0 && o.seg.Options.Set != wire.HasMSS {
			t.Errorf("without timestamps a cookie offers %v", o.seg.Options)
		}
		if i%2 == 0 {
			x.now = x.now.Add(70 * time.Second) // the next slot
		}
		ack := wire.Segment{Seq: 0xfffffff1, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 100, Text: []byte("hello")}
		if o.seg.Options.Has(wire.HasTimestamps) {
			ack.Options = wire.Options{Set: wire.HasTimestamps, TSVal: 78, TSEcr: o.seg.Options.TSVal}
		}
		x.say(peer4, local4, ack)
		s := l.Accept(x.now)
		if s == nil {
			t.Fatalf("%+v: the cookie made no connection", c.opts)
		}
		st := s.Status()
		got := fmt.Sprintf("mss %d", st.SendMSS)
		if st.Timestamps {
			got += " timestamps"
		}
		if st.SACK {
			got += " SACK"
		}
		if st.Scale {
			got += fmt.Sprintf(" scale %d", st.SndShift)
		}
		if got != c.want || st.SRTT != 0 {
			t.Errorf("the connection: %s, SRTT %v; want %s", got, st.SRTT, c.want)
		}
		if st.ISS != o.seg.Seq || st.IRS != 0xfffffff0 || st.SndWnd != 100<<st.SndShift {
			t.Errorf("ISS %d IRS %d window %d", st.ISS, st.IRS, st.SndWnd)
		}
		buf := make([]byte, 10)
		if n, _ := s.Receive(x.now, buf); string(buf[:n]) != "hello" {
			t.Errorf("text with the ACK: %q", buf[:n])
		}
		// The clock of the timestamps does not step back behind the cookie's.
		if s.Send(x.now, []byte("x")); st.Timestamps {
			for _, d := range x.take() {
				if int32(d.seg.Options.TSVal-o.seg.Options.TSVal) < 0 {
					t.Errorf("TSval %d after %d", d.seg.Options.TSVal, o.seg.Options.TSVal)
				}
			}
		}
		s.Abort(x.now)
		s.Release(x.now)
		x.take()
	}
}

// A SYN,ACK that nobody answers is sent again five times, twice as late each time, and then
// the connection is gone without a word. The peer's next SYN has a new one.
func TestSynAckRetries(t *testing.T) {
	for _, c := range []struct {
		retries int
		want    []int // seconds
		end     int
	}{{0, []int{1, 3, 7, 15, 31}, 63}, {2, []int{1, 3}, 7}, {-1, nil, 1}} {
		cfg := config()
		cfg.SynAckRetries = c.retries
		x := newSeat(t, cfg)
		l, _ := x.s.Listen(local4, 0, stack.ListenOptions{})
		one(t, "a SYN", x.say(peer4, local4, syn(1000)))
		begin := x.now
		var got []int
		for x.s.Stats().Connections > 0 {
			x.now = x.s.Deadline()
			x.s.Timeout(x.now)
			for _, o := range x.take() {
				if o.seg.Flags != wire.SYN|wire.ACK {
					t.Errorf("%v is sent", o.seg.String())
				}
				got = append(got, int(x.now.Sub(begin)/time.Second))
			}
		}
		if end := int(x.now.Sub(begin) / time.Second); !slices.Equal(got, c.want) || end != c.end {
			t.Errorf("%d retries: again after %v s, gone after %d s; want %v, %d", c.retries, got, end, c.want, c.end)
		}
		if st := x.s.Stats(); st.HalfOpen != 0 || st.HalfOpenTimedOut != 1 || x.s.Deadline() != tcp.Never {
			t.Errorf("%d half-open, %d timed out", st.HalfOpen, st.HalfOpenTimedOut)
		}
		checkCounters(t, x.s)
		o := one(t, "the SYN again", x.say(peer4, local4, syn(1000)))
		x.say(peer4, local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000})
		if l.Accept(x.now) == nil {
			t.Error("it makes no connection")
		}
	}
}

// A number that is no cookie, a cookie of another pair of sockets and one that is too old are
// answered by a reset; none makes a connection, nor one for another sequence number.
func TestBadCookies(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(mustAP("[::]:80"), 0, stack.ListenOptions{HalfOpen: -1})
	o := one(t, "a SYN", x.say(peer4, local4, syn(1000)))
	cookie, sent := o.seg.Seq, x.now
	other := netip.AddrPortFrom(peer4.Addr(), peer4.Port()+1)
	try := func(what string, from netip.AddrPort, seg wire.Segment) {
		t.Helper()
		o := one(t, what, x.say(from, local4, seg))
		if o.seg.Flags != wire.RST || o.seg.Seq != seg.Ack {
			t.Errorf("%s is answered by %v", what, o.seg.String())
		}
		if n := x.s.Stats().Connections; n != 0 {
			t.Errorf("%s makes a connection", what)
		}
	}
	for bit := range 32 {
		seg := wire.Segment{Seq: 1001, Ack: (cookie ^ 1<<bit) + 1, Flags: wire.ACK}
		if bit < 14 { // of the hash over the sequence number
			none(t, "a cookie with one bit wrong", x.say(peer4, local4, seg))
			continue
		}
		try("a cookie with one bit wrong", peer4, seg)
	}
	try("a cookie of another port", other, wire.Segment{Seq: 1001, Ack: cookie + 1, Flags: wire.ACK})
	// One with another sequence number is a later segment of a connection whose first has not
	// come. A reset would end what is about to begin.
	for _, text := range []string{"", "later"} {
		none(t, "a later segment", x.say(peer4, local4, wire.Segment{Seq: 2001, Ack: cookie + 1, Flags: wire.ACK, Text: []byte(text)}))
	}
	try("a cookie of another sequence number and port", other, wire.Segment{Seq: 2001, Ack: cookie + 1, Flags: wire.ACK})
	for range 8 { // among them one whose two bits of time are the cookie's again
		x.now = x.now.Add(129 * time.Second / 2)
		one(t, "another SYN, so that cookies are looked at", x.say(other, local4, syn(1)))
		if x.now.Sub(sent) > 128*time.Second {
			try("an old cookie", peer4, wire.Segment{Seq: 1001, Ack: cookie + 1, Flags: wire.ACK})
		}
	}
	if st := x.s.Stats(); st.CookiesValid != 0 || st.Rules[tcp.RuleBadCookie] == 0 {
		t.Errorf("%d valid, %d bad", st.CookiesValid, st.Rules[tcp.RuleBadCookie])
	}
	// An attacker who guesses: no hit in 100,000.
	for i := range uint32(100_000) {
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: segment(peer4, local4, wire.Segment{Seq: 1001, Ack: seqNum(i * 40503), Flags: wire.ACK})})
	}
	x.take()
	if n := x.s.Stats().CookiesValid; n != 0 {
		t.Errorf("%d guesses were right", n)
	}
}

// A SYN that comes twice is answered by a cookie and by a connection in SYN-RECEIVED. Which
// of the two answers the peer takes it may choose.
func TestCookieAndHalfOpen(t *testing.T) {
	for _, c := range []struct {
		what  string
		early bool // a later segment comes before the first
		child bool // the peer takes the second answer
	}{{"the cookie", false, false}, {"the cookie, out of order", true, false}, {"the other", false, true}} {
		x := newSeat(t, config())
		l, _ := x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: 1})
		other := netip.AddrPortFrom(peer4.Addr(), 9)
		one(t, "a SYN of another", x.say(other, local4, syn(1)))
		cookie := one(t, "a SYN", x.say(peer4, local4, syn(1000))).seg.Seq
		none(t, "a reset of the other", x.say(other, local4, wire.Segment{Seq: 2, Flags: wire.RST}))
		again := one(t, "the SYN again", x.say(peer4, local4, syn(1000))).seg.Seq
		if st := x.s.Stats(); st.CookiesSent != 1 || st.HalfOpen != 1 {
			t.Fatalf("%d cookies, %d half-open", st.CookiesSent, st.HalfOpen)
		}
		ack := cookie + 1
		if c.child {
			ack = again + 1
		}
		if c.early {
			none(t, "a later segment", x.say(peer4, local4, wire.Segment{Seq: 2001, Ack: ack, Flags: wire.ACK, Wnd: 1000, Text: []byte("later")}))
		}
		none(t, "the ACK", x.say(peer4, local4, wire.Segment{Seq: 1001, Ack: ack, Flags: wire.ACK, Wnd: 1000}))
		s := l.Accept(x.now)
		if s == nil || s.Status().ISS != ack-1 {
			t.Fatalf("%s: not accepted", c.what)
		}
		if st := x.s.Stats(); st.Connections != 1 || st.HalfOpen != 0 {
			t.Errorf("%s: %d connections, %d half-open", c.what, st.Connections, st.HalfOpen)
		}
		checkCounters(t, x.s)
	}
}

// A connection made by a cookie is one like any other, against the real machine.
func TestConnectionByCookie(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB6, 80), stack.ListenOptions{HalfOpen: -1})
	client, server := p.connect(l, ap(addrB6, 80))
	if n := p.b.Stats().CookiesValid; n != 1 {
		t.Fatalf("%d cookies", n)
	}
	p.transfer(client, server, 300_000)
	p.transfer(server, client, 300_000)
}

// ATTACKS: sockstress and the like. The connections of a listener are bounded, half-open or not.
func TestMaxConnections(t *testing.T) {
	cfg := config()
	cfg.MaxConnections = 3
	p := newPair(t, config(), cfg)
	p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	for range 5 {
		p.dial(p.a, ap(addrB, 80))
	}
	p.run(5 * delay)
	if n := p.b.Stats().Connections; n != 3 {
		t.Errorf("%d connections", n)
	}
	if _, err := p.b.Dial(p.now, netip.AddrPort{}, ap(addrA, 80), stack.ConnOptions{}); !errors.Is(err, stack.ErrLimit) {
		t.Errorf("Dial: %v", err)
	}
}
