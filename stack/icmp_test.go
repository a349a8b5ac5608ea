package stack_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func TestEcho(t *testing.T) {
	for _, c := range []struct{ from, to string }{{"10.0.0.9", "10.0.0.1"}, {"2001:db8::9", "2001:db8::1"}} {
		x := newSeat(t, config())
		data := bytes.Repeat([]byte("echo"), 20)
		o := one(t, "an echo request", x.put(icmp(c.from, c.to, wire.ICMPMessage{Kind: wire.ICMPEchoRequest, ID: 7, Seq: 9, Body: data})))
		if o.icmp.Kind != wire.ICMPEchoReply || o.icmp.ID != 7 || o.icmp.Seq != 9 || !bytes.Equal(o.icmp.Body, data) {
			t.Errorf("answered by %+v", o.icmp)
		}
		if o.ip.Src.String() != c.to || o.ip.Dst.String() != c.from {
			t.Errorf("from %v to %v", o.ip.Src, o.ip.Dst)
		}
		none(t, "an echo reply", x.put(icmp(c.from, c.to, wire.ICMPMessage{Kind: wire.ICMPEchoReply})))
	}
	x := newSeat(t, config())
	for _, to := range []string{"10.0.0.255", "255.255.255.255", "224.0.0.1", "10.0.0.7"} {
		none(t, "an echo request to "+to, x.put(icmp("10.0.0.9", to, wire.ICMPMessage{Kind: wire.ICMPEchoRequest})))
	}
	none(t, "an echo request to ff02::1", x.put(icmp("2001:db8::9", "ff02::1", wire.ICMPMessage{Kind: wire.ICMPEchoRequest})))
}

// An echo beyond the MTU comes and goes in fragments; two stacks understand each other.
func TestEchoInFragments(t *testing.T) {
	for _, c := range []struct{ from, to string }{{"10.0.0.9", "10.0.0.1"}, {"2001:db8::9", "2001:db8::1"}} {
		for _, size := range []int{1473, 3000, 65000} {
			x := newSeat(t, config())
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i >> 3)
			}
			got := x.put(icmp(c.from, c.to, wire.ICMPMessage{Kind: wire.ICMPEchoRequest, ID: 7, Seq: 9, Body: data}))
			var r wire.Reassembler
			var whole []byte
			for _, o := range got {
				if !o.ip.Fragment || len(o.raw) > 1500 {
					t.Fatalf("a fragment of %d octets", len(o.raw))
				}
				b, f := r.Add(1, &o.ip)
				if f != wire.FaultNone {
					t.Fatal(f)
				}
				if b != nil {
					whole = b
				}
			}
			if whole == nil {
				t.Fatalf("%d fragments make no packet", len(got))
			}
			o := x.read(1, &wire.Packet{Buf: whole, Head: 0})
			if !bytes.Equal(o.icmp.Body, data) {
				t.Error("the echo is damaged")
			}
			// The fragments as a request, and to another stack.
			y := newSeat(t, config())
			n := 0
			for _, o := range got {
				src := o.ip.Dst // the reply is turned into a packet to 10.0.0.1
				b := bytes.Clone(o.raw)
				turn(b, src)
				n += len(y.put(b))
			}
			if st := y.s.Stats(); n != 0 || st.Reassembled != 1 || st.ICMPIn[wire.ICMPEchoReply] != 1 || st.Fragments != 0 {
				t.Errorf("%d answers, %d reassembled, %d replies", n, st.Reassembled, st.ICMPIn[wire.ICMPEchoReply])
			}
		}
	}
}

// turn exchanges source and destination, which leaves checksums right.
func turn(b []byte, _ wire.Addr) {
	if wire.Version(b) == 4 {
		h := wire.IPv4(b)
		s, d := h.Src(), h.Dst()
		h.SetSrc(d)
		h.SetDst(s)
		return
	}
	h := wire.IPv6(b)
	s, d := h.Src(), h.Dst()
	h.SetSrc(d)
	h.SetDst(s)
}

// RFC 1122 section 3.2.2.1, RFC 4443 sections 3.1 and 3.4.
func TestUnreachable(t *testing.T) {
	udp := []byte{0, 1, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	for _, c := range []struct {
		from, to string
		proto    uint8
		kind     wire.ICMPKind
		code     uint8
		pointer  uint32
	}{
		{"10.0.0.9", "10.0.0.1", wire.ProtoUDP, wire.ICMPUnreachable, wire.ICMPv4PortUnreachable, 0},
		{"10.0.0.9", "10.0.0.1", 132, wire.ICMPUnreachable, wire.ICMPv4ProtocolUnreachable, 0},
		{"10.0.0.9", "10.0.0.1", wire.ProtoICMPv6, wire.ICMPUnreachable, wire.ICMPv4ProtocolUnreachable, 0},
		{"2001:db8::9", "2001:db8::1", wire.ProtoUDP, wire.ICMPUnreachable, wire.ICMPv6PortUnreachable, 0},
		{"2001:db8::9", "2001:db8::1", 132, wire.ICMPParameterProblem, wire.ICMPv6UnknownNextHeader, 6},
	} {
		x := newSeat(t, config())
		b := raw(c.from, c.to, c.proto, 9, udp)
		if c.proto == wire.ProtoUDP {
			b = datagram(c.from, c.to, make([]byte, 4))
		}
		o := one(t, "a packet of no protocol", x.put(b))
		if o.icmp.Kind != c.kind || o.icmp.Code != c.code || o.icmp.Pointer != c.pointer {
			t.Errorf("protocol %d, %s: answered by %+v", c.proto, c.to, o.icmp)
		}
		if !bytes.Equal(o.icmp.Body, b) {
			t.Errorf("protocol %d, %s: it quotes %d of %d octets", c.proto, c.to, len(o.icmp.Body), len(b))
		}
	}
	x := newSeat(t, config())
	none(t, "No Next Header", x.put(raw("2001:db8::9", "2001:db8::1", wire.ProtoNone, 9, udp)))
	// Never about what RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e) name.
	for _, c := range []struct{ from, to string }{
		{"10.0.0.9", "10.0.0.255"}, {"10.0.0.9", "224.0.0.1"}, {"0.0.0.0", "10.0.0.1"}, {"10.0.0.255", "10.0.0.1"},
		{"2001:db8::9", "ff02::1"}, {"::", "2001:db8::1"},
	} {
		none(t, "UDP from "+c.from+" to "+c.to, x.put(datagram(c.from, c.to, udp)))
	}
	second := raw("10.0.0.9", "10.0.0.1", 132, 9, udp)
	wire.IPv4(second).SetFragment(false, false, 8)
	wire.IPv4(second).UpdateChecksum()
	none(t, "a fragment", x.put(second))
	about := icmp("10.0.0.9", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPUnreachable, Body: raw("10.0.0.1", "10.0.0.9", 132, 9, udp)})
	none(t, "an ICMP error", x.put(about))
}

// The most an error quotes, RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4 (c).
func TestQuoteIsBounded(t *testing.T) {
	x := newSeat(t, config())
	for _, c := range []struct {
		from, to string
		want     int
	}{{"10.0.0.9", "10.0.0.1", 576}, {"2001:db8::9", "2001:db8::1", 1280}} {
		o := one(t, "a long packet", x.put(datagram(c.from, c.to, make([]byte, 1400))))
		if len(o.raw) != c.want {
			t.Errorf("the error has %d octets; want %d", len(o.raw), c.want)
		}
	}
}

// RFC 1812 section 4.3.2.8, CVE-2016-5696: answers are limited for each destination, and
// what one has used up another does not feel.
func TestAnswersAreLimited(t *testing.T) {
	cfg := config()
	cfg.ErrorRate, cfg.ResetRate, cfg.EchoRate = 10, 20, 30
	for _, c := range []struct {
		what  string
		limit int
		put   func(x *seat, from string) int
	}{
		{"UDP", 10, func(x *seat, from string) int { return len(x.put(datagram(from, "10.0.0.1", nil))) }},
		{"an ACK", 20, func(x *seat, from string) int {
			return len(x.say(ap(netip.MustParseAddr(from), 1), local4, wire.Segment{Flags: wire.ACK}))
		}},
		{"an echo", 30, func(x *seat, from string) int {
			return len(x.put(icmp(from, "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPEchoRequest})))
		}},
	} {
		x := newSeat(t, cfg)
		n := 0
		for range 1000 {
			n += c.put(x, "10.0.0.9")
		}
		if n != c.limit {
			t.Errorf("1000 times %s at once: %d answers; want %d", c.what, n, c.limit)
		}
		if got := x.s.Stats().Rules[tcp.RuleLimited]; got != uint64(1000-c.limit) {
			t.Errorf("%s: %d are counted as dropped", c.what, got)
		}
		if c.put(x, "10.0.0.8") != 1 {
			t.Errorf("%s from another host is not answered", c.what)
		}
		x.now = x.now.Add(time.Second/2 + 1)
		if n = 0; true {
			for range 1000 {
				n += c.put(x, "10.0.0.9")
			}
		}
		if n != c.limit/2 {
			t.Errorf("%s, half a second later: %d answers; want %d", c.what, n, c.limit/2)
		}
	}
}

// MUST-50: unknown options of IPv4 and IPv6 do not stand in the way, source routes do.
func TestIPOptions(t *testing.T) {
	plain := segment(peer4, local4, syn(1))
	with := func(options ...byte) []byte {
		b := append(append(bytes.Clone(plain[:20]), options...), plain[20:]...)
		h := wire.IPv4(b)
		h.SetHeaderLen(20 + len(options))
		h.SetTotalLen(uint16(len(b)))
		h.UpdateChecksum()
		return b
	}
	x := newSeat(t, config())
	if o := one(t, "a SYN with an unknown option", x.put(with(0x9e, 4, 1, 2))); !o.seg.Flags.Has(wire.RST) {
		t.Errorf("%v", o.seg.String())
	}
	none(t, "a SYN with a loose source route", x.put(with(131, 7, 4, 10, 0, 0, 1, 0)))
	none(t, "a SYN with a strict source route", x.put(with(137, 7, 4, 10, 0, 0, 1, 0)))
	if n := x.s.Stats().Rules[tcp.RuleSourceRoute]; n != 2 {
		t.Errorf("%d source routes are counted", n)
	}
	if o := one(t, "an illegal option", x.put(with(0x9e, 1, 0, 0))); o.icmp.Kind != wire.ICMPParameterProblem || o.icmp.Pointer != 21 {
		t.Errorf("%+v", o.icmp)
	}

	plain6 := segment(peer6, local6, syn(1))
	hop := func(kind byte, to string) []byte {
		b := append(append(bytes.Clone(plain6[:40]), wire.ProtoTCP, 0, kind, 4, 0, 0, 0, 0), plain6[40:]...)
		h := wire.IPv6(b)
		h.SetNextHeader(wire.ProtoHopByHop)
		h.SetPayloadLen(uint16(len(b) - 40))
		h.SetDst(wire.AddrFrom(netip.MustParseAddr(to)))
		return b
	}
	for _, c := range []struct {
		kind byte
		to   string
		want wire.ICMPKind // of the answer; ICMPOther: a reset; ICMPEchoReply: none
	}{
		{0x3e, "2001:db8::1", wire.ICMPOther}, // skip
		{0x7e, "2001:db8::1", wire.ICMPEchoReply},
		{0xbe, "2001:db8::1", wire.ICMPParameterProblem},
		{0xfe, "2001:db8::1", wire.ICMPParameterProblem},
		{0xbe, "ff02::1", wire.ICMPParameterProblem}, // "regardless of whether [...] a multicast address"
		{0xfe, "ff02::1", wire.ICMPEchoReply},
		{0xbe, "2001:db8::7", wire.ICMPEchoReply}, // not ours
	} {
		got := x.put(hop(c.kind, c.to))
		switch c.want {
		case wire.ICMPEchoReply:
			none(t, "an IPv6 option", got)
		case wire.ICMPOther:
			if o := one(t, "an option to skip", got); !o.seg.Flags.Has(wire.RST) {
				t.Errorf("%v", o.seg.String())
			}
		default:
			if o := one(t, "an unknown option", got); o.icmp.Kind != c.want || o.icmp.Code != wire.ICMPv6UnknownOption || o.icmp.Pointer != 42 {
				t.Errorf("%#x to %s: %+v", c.kind, c.to, o.icmp)
			}
		}
	}
}

// about is an ICMP error of a router about a segment that from has sent, with sequence
// number seq.
func about(from, to netip.AddrPort, seq uint32, m wire.ICMPMessage) []byte {
	router := "10.0.0.254"
	if from.Addr().Is6() {
		router = "2001:db8::254"
	}
	m.Body = segment(from, to, wire.Segment{Seq: seqNum(seq), Flags: wire.ACK, Text: make([]byte, 1400)})
	return icmp(router, from.Addr().String(), m)
}

// RFC 9293 section 3.9.2.2, MUST-54, MUST-55, MUST-56, SHLD-25, SHLD-26, RFC 5927: what each message
// does to an attempt to connect, and to a connection.
func TestICMPErrors(t *testing.T) {
	unreachable := wire.ICMPUnreachable
	for _, c := range []struct {
		v6     bool
		kind   wire.ICMPKind
		code   uint8
		reason tcp.SoftReason
		hard   bool
	}{
		{false, unreachable, 0, tcp.NetUnreachable, false},
		{false, unreachable, 1, tcp.HostUnreachable, false},
		{false, unreachable, 2, tcp.ProtocolUnreachable, true},
		{false, unreachable, 3, tcp.PortUnreachable, true},
		{false, unreachable, 5, tcp.HostUnreachable, false},
		{false, unreachable, 6, tcp.NetUnreachable, false},
		{false, unreachable, 7, tcp.HostUnreachable, false},
		{false, unreachable, 9, tcp.Prohibited, false},
		{false, unreachable, 10, tcp.Prohibited, false},
		{false, unreachable, 13, tcp.Prohibited, false},
		{false, wire.ICMPTimeExceeded, 0, tcp.TimeExceeded, false},
		{false, wire.ICMPTimeExceeded, 1, tcp.TimeExceeded, false},
		{false, wire.ICMPParameterProblem, 0, tcp.ParameterProblem, false},
		{true, unreachable, 0, tcp.NetUnreachable, false},
		{true, unreachable, 1, tcp.Prohibited, false},
		{true, unreachable, 3, tcp.HostUnreachable, false},
		{true, unreachable, 4, tcp.PortUnreachable, true},
		{true, wire.ICMPTimeExceeded, 0, tcp.TimeExceeded, false},
		{true, wire.ICMPTimeExceeded, 1, tcp.TimeExceeded, false},
		{true, wire.ICMPParameterProblem, 0, tcp.ParameterProblem, false},
		{true, wire.ICMPParameterProblem, 1, tcp.ParameterProblem, false},
		{true, wire.ICMPParameterProblem, 2, tcp.ParameterProblem, false},
	} {
		for _, synchronized := range []bool{false, true} {
			p := newPair(t, config(), config())
			at := ap(addrB, 80)
			if c.v6 {
				at = ap(addrB6, 80)
			}
			l := p.listen(p.b, at, stack.ListenOptions{})
			var client, other *stack.Conn
			if synchronized {
				client, _ = p.connect(l, at)
				other, _ = p.connect(l, at)
				client.Send(p.now, []byte("in flight"))
				other.Send(p.now, []byte("in flight"))
			} else {
				client, other = p.dial(p.a, at), p.dial(p.a, at)
			}
			p.flush()
			p.wire = nil
			message := func(seq uint32) {
				b := about(client.Local(), client.Remote(), seq, wire.ICMPMessage{Kind: c.kind, Code: c.code})
				p.a.Arrive(p.now, 1, &wire.Packet{Buf: b})
			}
			st := client.Status()
			message(uint32(st.SndUna) - 1) // not in flight
			message(uint32(st.SndNxt))
			if client.Status() != st || p.a.Stats().ICMPIgnored != 2 {
				t.Fatalf("%+v: believed without a number in flight", c)
			}
			before := other.Status()
			message(uint32(st.SndUna))
			if client.SoftError().Reason != c.reason || client.SoftError().Hard != c.hard {
				t.Errorf("%+v: %+v", c, client.SoftError())
			}
			if c.hard && !synchronized {
				p.want(client, tcp.Closed)
				if !errors.Is(client.Err(), tcp.ErrUnreachable) {
					t.Errorf("%+v: %v", c, client.Err())
				}
			} else if client.State() != st.State {
				t.Errorf("%+v: %v became %v", c, st.State, client.State())
			}
			if other.Status() != before { // MUST-54: "directing it to the connection that created the error"
				t.Errorf("%+v: another connection changed", c)
			}
		}
	}
}

// An error about UDP is none of TCP's, though sockets and numbers fit.
func TestICMPErrorAboutUDP(t *testing.T) {
	cfg := config()
	cfg.TCP.ISN = func(tcp.Time, wire.Flow) seq.Num { return 0 }
	x := newSeat(t, cfg)
	c, err := x.s.Dial(x.now, netip.AddrPort{}, peer4, stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	one(t, "Dial", x.take())
	for _, proto := range []byte{wire.ProtoUDP, wire.ProtoTCP} { // the second to show that it would
		b := segment(c.Local(), c.Remote(), wire.Segment{Flags: wire.SYN})
		wire.IPv4(b).SetProtocol(proto)
		x.put(icmp("10.0.0.254", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: wire.ICMPv4PortUnreachable, Body: b}))
		if (c.State() == tcp.Closed) != (proto == wire.ProtoTCP) {
			t.Errorf("protocol %d: the connection is %v", proto, c.State())
		}
	}
}

// MUST-55: "TCP implementations MUST silently discard any received ICMP Source Quench".
func TestSourceQuench(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, _ := p.connect(l, ap(addrB, 80))
	client.Send(p.now, []byte("in flight"))
	p.flush()
	st := client.Status()
	b := about(client.Local(), client.Remote(), uint32(st.SndUna), wire.ICMPMessage{Kind: wire.ICMPUnreachable})
	b[20] = 4 // source quench
	wire.ICMP(b[20:]).SetChecksum(0)
	wire.ICMP(b[20:]).SetChecksum(^wire.Sum(0, b[20:]))
	seen := len(p.seen)
	p.a.Arrive(p.now, 1, &wire.Packet{Buf: b})
	p.flush()
	if client.Status() != st || len(p.seen) != seen || p.a.Stats().ICMPIn[wire.ICMPSourceQuench] != 1 {
		t.Error("a source quench did something")
	}
}

// RFC 1191, RFC 8201, RFC 5927 section 7: the path's MTU is learned from what quotes a segment
// in flight, has a floor, and is known to the next connection for ten minutes.
func TestPathMTU(t *testing.T) {
	for _, c := range []struct {
		v6    bool
		claim uint32
		want  int
	}{
		{false, 1400, 1400},
		{false, 100, 576},   // the floor
		{false, 1500, 1500}, // it did fit
		{false, 1450, 1500}, // so did the segment quoted, of 1440 octets
		{false, 9000, 1500},
		{false, 0, 1006}, // a router that does not say: the plateau below 1440
		{true, 1400, 1400},
		{true, 1280, 1280},
		{true, 1279, 1500}, // RFC 8201 section 4: "it must discard it"
		{true, 100, 1500},
		{true, 0, 1500}, // there are no IPv6 routers that do not say
	} {
		p := newPair(t, config(), config())
		at := ap(addrB, 80)
		if c.v6 {
			at = ap(addrB6, 80)
		}
		l := p.listen(p.b, at, stack.ListenOptions{})
		client, server := p.connect(l, at)
		client.Send(p.now, make([]byte, 20000))
		p.flush()
		p.wire = nil // it did not fit
		b := about(client.Local(), client.Remote(), uint32(client.Status().SndUna), wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: c.claim})
		p.a.Arrive(p.now, 1, &wire.Packet{Buf: b})
		seen := len(p.seen)
		p.flush()
		if c.want == 1500 {
			if client.Status().PathMTU != 1500 || len(p.seen) > seen {
				t.Errorf("%+v: PathMTU is %d", c, client.Status().PathMTU)
			}
			continue
		}
		if client.Status().PathMTU != c.want || len(p.seen) == seen {
			t.Errorf("%+v: PathMTU is %d, %d packets at once", c, client.Status().PathMTU, len(p.seen)-seen)
		}
		p.run(time.Minute)
		for _, x := range p.seen[seen:] {
			if x.from == 0 && len(x.ip.Packet) > c.want {
				t.Errorf("%+v: a packet of %d octets", c, len(x.ip.Packet))
			}
		}
		if n := server.Status().Unread; n != 20000 {
			t.Errorf("%+v: %d of 20000 octets arrived", c, n)
		}
		next, _ := p.connect(l, at)
		if got := next.Status().PathMTU; got != c.want {
			t.Errorf("%+v: the next connection begins with %d", c, got)
		}
		p.run(10 * time.Minute)
		later, _ := p.connect(l, at)
		if got := later.Status().PathMTU; got != 1500 {
			t.Errorf("%+v: ten minutes later one begins with %d", c, got)
		}
	}
}

// A claim that names nothing in flight changes nothing, and is not remembered.
func TestForgedPathMTU(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, _ := p.connect(l, ap(addrB, 80))
	client.Send(p.now, make([]byte, 1000))
	p.flush()
	una := uint32(client.Status().SndUna)
	for d := uint32(1000); d != 0; d += 1 << 24 {
		b := about(client.Local(), client.Remote(), una+d, wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: 600})
		p.a.Arrive(p.now, 1, &wire.Packet{Buf: b})
		if d > 1<<31 && d < 1<<31+1<<24 {
			break
		}
	}
	if client.Status().PathMTU != 1500 || p.a.Stats().Paths != 0 {
		t.Errorf("PathMTU is %d, %d paths are known", client.Status().PathMTU, p.a.Stats().Paths)
	}
}

// Of paths only so many are known: the one learned longest ago makes room.
func TestMaxPaths(t *testing.T) {
	cfg := config()
	cfg.MaxPaths = 2
	x := newSeat(t, cfg)
	to := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}), 80)
	}
	for i := range 5 {
		c, err := x.s.Dial(x.now, netip.AddrPort{}, to(i), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		x.take()
		m := wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: 1000}
		x.put(about(c.Local(), c.Remote(), uint32(c.Status().ISS), m))
	}
	if n := x.s.Stats().Paths; n != 2 {
		t.Errorf("%d paths are known", n)
	}
	for i, want := range []int{1500, 1500, 1500, 1000, 1000} {
		c, err := x.s.Dial(x.now, netip.AddrPort{}, to(i), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Status().PathMTU; got != want {
			t.Errorf("to destination %d the MTU is %d; want %d", i, got, want)
		}
	}
}
