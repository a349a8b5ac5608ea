package wire_test

import (
	"bytes"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

// formICMP returns m as a packet between the ends of f.
func formICMP(t testing.TB, f wire.Flow, m wire.ICMPMessage) []byte {
	t.Helper()
	b := bytes.Repeat([]byte{0xff}, wire.MaxPacket) // as an earlier packet left it
	n := wire.PutICMP(b, f.Local, f.Remote, 0, 0, &m)
	if n == 0 {
		t.Fatalf("PutICMP(%+v) = 0", m)
	}
	if n != wire.ICMPLen(f.Local, &m) {
		t.Fatalf("ICMPLen %d; the packet has %d", wire.ICMPLen(f.Local, &m), n)
	}
	return b[:n]
}

func parseICMP(t testing.TB, b []byte) (wire.IP, wire.ICMPMessage) {
	t.Helper()
	var ip wire.IP
	var m wire.ICMPMessage
	if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
		t.Fatal(f)
	}
	if f := wire.ParseICMP(&ip, &m); f != wire.FaultNone {
		t.Fatal(f)
	}
	return ip, m
}

// Types and codes as RFC 792 and RFC 4443 number them, and where the second word is.
func TestICMPLayout(t *testing.T) {
	body := []byte("abcdefgh")
	tests := []struct {
		name   string
		m      wire.ICMPMessage
		v4, v6 []byte // the eight octets without the checksum
	}{
		{"echo request", wire.ICMPMessage{Kind: wire.ICMPEchoRequest, ID: 0x0102, Seq: 0x0304}, []byte{8, 0, 1, 2, 3, 4}, []byte{128, 0, 1, 2, 3, 4}},
		{"echo reply", wire.ICMPMessage{Kind: wire.ICMPEchoReply, ID: 0x0102, Seq: 0x0304}, []byte{0, 0, 1, 2, 3, 4}, []byte{129, 0, 1, 2, 3, 4}},
		{"unreachable", wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: 3}, []byte{3, 3, 0, 0, 0, 0}, []byte{1, 3, 0, 0, 0, 0}},
		{"too big", wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: 1280}, []byte{3, 4, 0, 0, 5, 0}, []byte{2, 0, 0, 0, 5, 0}},
		{"time exceeded", wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Code: 1}, []byte{11, 1, 0, 0, 0, 0}, []byte{3, 1, 0, 0, 0, 0}},
		{"parameter problem", wire.ICMPMessage{Kind: wire.ICMPParameterProblem, Pointer: 20}, []byte{12, 0, 20, 0, 0, 0}, []byte{4, 0, 0, 0, 0, 20}},
	}
	for _, tt := range tests {
		tt.m.Body = body
		for _, v := range []struct {
			f    wire.Flow
			want []byte
			n    int
		}{{flow4, tt.v4, 20}, {flow6, tt.v6, 40}} {
			b := formICMP(t, v.f, tt.m)
			h := b[v.n:]
			if got := append([]byte{h[0], h[1]}, h[4:8]...); !bytes.Equal(got, v.want) {
				t.Errorf("%s, %v: %x; want %x", tt.name, v.f, got, v.want)
			}
			sum := slowSum(h) // ICMPv4 has no pseudo-header
			if v.n == 40 {
				sum = slowSum(slowPseudo(v.f.Local, v.f.Remote, 58, len(h)), h)
			}
			if sum != 0xffff {
				t.Errorf("%s, %v: the checksum does not fit", tt.name, v.f)
			}
			ip, m := parseICMP(t, b)
			want := tt.m
			want.Type = h[0]
			want.Code = h[1]
			if !bytes.Equal(m.Body, body) || m.Kind != want.Kind || m.Type != want.Type || m.Code != want.Code || m.ID != want.ID ||
				m.Seq != want.Seq || m.MTU != want.MTU || m.Pointer != want.Pointer {
				t.Errorf("%s, %v:\n got %+v\nwant %+v", tt.name, v.f, m, want)
			}
			if ip.HopLimit != 64 {
				t.Errorf("hop limit %d", ip.HopLimit)
			}
		}
	}
}

func TestICMPFaults(t *testing.T) {
	good := formICMP(t, flow4, wire.ICMPMessage{Kind: wire.ICMPEchoRequest, Body: []byte("data")})
	good6 := formICMP(t, flow6, wire.ICMPMessage{Kind: wire.ICMPEchoRequest, Body: []byte("data")})
	misrouted := bytes.Clone(good6)
	misrouted[39] ^= 1 // the destination is in ICMPv6's sum
	broken := bytes.Clone(good)
	broken[30] ^= 1
	tests := []struct {
		name string
		b    []byte
		want wire.Fault
	}{
		{"short", ipv4(dst4, 1, nil, []byte{8, 0, 0xf7, 0xff, 0, 0, 0}), wire.FaultICMPShort},
		{"checksum", broken, wire.FaultICMPChecksum},
		{"misrouted", misrouted, wire.FaultICMPChecksum},
		{"ICMPv6 in IPv4", ipv4(dst4, 58, nil, make([]byte, 8)), wire.FaultTransport},
		{"ICMPv4 in IPv6", ipv6(dst6, 1, make([]byte, 8)), wire.FaultTransport},
		{"TCP", ipv4(dst4, 6, nil, make([]byte, 20)), wire.FaultTransport},
	}
	for _, tt := range tests {
		var ip wire.IP
		var m wire.ICMPMessage
		if f := wire.ParseIP(tt.b, &ip); f != wire.FaultNone {
			t.Fatalf("%s: %v", tt.name, f)
		}
		if f := wire.ParseICMP(&ip, &m); f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
		}
	}
}

// Source Quench is told apart, so that a stack can discard it in silence, and never
// formed (RFC 6633 section 3).
func TestSourceQuench(t *testing.T) {
	msg := []byte{4, 0, 0, 0, 0, 0, 0, 0}
	c := ^slowSum(msg)
	msg[2], msg[3] = byte(c>>8), byte(c)
	if _, m := parseICMP(t, ipv4(dst4, 1, nil, msg)); m.Kind != wire.ICMPSourceQuench || !m.Kind.IsError() {
		t.Errorf("%+v", m)
	}
	for _, k := range []wire.ICMPKind{wire.ICMPSourceQuench, wire.ICMPOther} {
		if n := wire.PutICMP(make([]byte, 100), dst4, dst4, 0, 0, &wire.ICMPMessage{Kind: k}); n != 0 {
			t.Errorf("kind %d is formed", k)
		}
	}
}

// RFC 1191 section 4: the MTU is the lower half of the word; the upper is unused, and what
// an old router leaves there means nothing.
func TestMTUIsTheLowerHalf(t *testing.T) {
	msg := []byte{3, 4, 0, 0, 0x12, 0x34, 0x05, 0x00}
	c := ^slowSum(msg)
	msg[2], msg[3] = byte(c>>8), byte(c)
	if _, m := parseICMP(t, ipv4(dst4, 1, nil, msg)); m.Kind != wire.ICMPPacketTooBig || m.MTU != 1280 {
		t.Errorf("%+v", m)
	}
}

// RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4 (c): as much as fits. An echo is not
// cut.
func TestErrorsAreCut(t *testing.T) {
	for _, v := range []struct {
		f    wire.Flow
		want int
	}{{flow4, 576}, {flow6, 1280}} {
		packet := form(t, v.f, wire.Segment{Seq: 77, Flags: wire.ACK, Text: make([]byte, 1400)})
		b := formICMP(t, v.f, wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Body: packet})
		if len(b) != v.want {
			t.Errorf("an error of %d octets; want %d", len(b), v.want)
		}
		if _, m := parseICMP(t, b); !bytes.HasPrefix(packet, m.Body) {
			t.Error("the quote is another packet")
		}
		if b := formICMP(t, v.f, wire.ICMPMessage{Kind: wire.ICMPEchoReply, Body: make([]byte, 3000)}); len(b) < 3000 {
			t.Errorf("an echo of %d octets", len(b))
		}
		big := wire.ICMPMessage{Kind: wire.ICMPEchoReply, Body: make([]byte, 65535)}
		if n := wire.PutICMP(make([]byte, 70000), v.f.Local, v.f.Remote, 0, 0, &big); n != 0 {
			t.Errorf("an echo of %d octets", n)
		}
		if n := wire.PutICMP(make([]byte, 575), v.f.Local, v.f.Remote, 0, 0, &wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Body: packet}); n != 0 {
			t.Error("written beyond the buffer")
		}
	}
}

// MUST-54: "the necessary demultiplexing information can be found in the IP header
// contained within the ICMP message".
func TestQuoteNamesTheFlow(t *testing.T) {
	for _, f := range []wire.Flow{flow4, flow6} {
		packet := form(t, f, wire.Segment{Seq: 0xfedcba98, Flags: wire.ACK, Text: []byte("some text")})
		head := len(packet) - 29
		for n := range len(packet) + 1 {
			var q wire.Quote
			fault := wire.ParseQuote(packet[:n], !f.Local.Is4(), &q)
			if (fault == wire.FaultNone) != (n >= head+4) {
				t.Errorf("%d octets quoted: %v", n, fault)
			}
			if fault != wire.FaultNone {
				continue
			}
			// The IP header and eight octets are enough for the sequence number.
			if q.Flow != f || q.Proto != wire.ProtoTCP || q.HasSeq != (n >= head+8) || q.HasSeq && q.Seq != 0xfedcba98 || q.Len != len(packet) {
				t.Errorf("%d octets quoted: %+v", n, q)
			}
		}
		var q wire.Quote
		if fault := wire.ParseQuote(packet, f.Local.Is4(), &q); fault != wire.FaultQuote {
			t.Errorf("a quote of the other version: %v", fault)
		}
	}
}

func TestQuotes(t *testing.T) {
	udp := []byte{0x10, 0x00, 0, 53, 0, 8, 0, 0}
	later := fragment(false, 1, 17, datagram(64), 24, 32, false)
	later6 := fragment(true, 1, 17, datagram(64), 24, 32, false)
	stale := ipv4(dst4, 17, nil, udp)
	wire.IPv4(stale).SetTTL(1) // a router's work, without the checksum
	tests := []struct {
		name  string
		b     []byte
		want  wire.Fault
		proto uint8
		port  uint16
	}{
		{"UDP", ipv4(dst4, 17, nil, udp), wire.FaultNone, 17, 4096},
		{"behind options", ipv4(dst4, 17, []byte{7, 3, 4, 0}, udp), wire.FaultNone, 17, 4096},
		{"with a stale checksum", stale, wire.FaultNone, 17, 4096},
		{"an echo has no ports", ipv4(dst4, 1, nil, []byte{8, 0, 0, 0, 0, 1, 0, 1}), wire.FaultNone, 1, 0},
		{"behind extension headers", ipv6(dst6, 0, ext(43, 0x7e, 4), ext(44, 5, 9), ext(17, 0, 1, 9, 9, 9, 9), udp), wire.FaultNone, 17, 4096},
		{"a fragment behind the first", later, wire.FaultQuote, 0, 0},
		{"an IPv6 fragment behind the first", later6, wire.FaultQuote, 0, 0},
		{"three octets of ports", ipv4(dst4, 17, nil, udp)[:23], wire.FaultQuote, 0, 0},
		{"IHL beyond the quote", []byte{0x4f, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, wire.FaultQuote, 0, 0},
		{"an extension header in two", ipv6(dst6, 60, ext(17, 1, 4), udp)[:44], wire.FaultQuote, 0, 0},
	}
	for _, tt := range tests {
		var q wire.Quote
		f := wire.ParseQuote(tt.b, wire.Version(tt.b) == 6, &q)
		if f != tt.want || f == wire.FaultNone && (q.Proto != tt.proto || q.Flow.LocalPort != tt.port) {
			t.Errorf("%s: %v, %+v; want %v", tt.name, f, q, tt.want)
		}
	}
}

// RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e).
func TestMayAnswer(t *testing.T) {
	udp := make([]byte, 8)
	from := func(b []byte, src string) []byte {
		if wire.Version(b) == 4 {
			wire.IPv4(b).SetSrc(addr(src))
			wire.IPv4(b).UpdateChecksum()
		} else {
			wire.IPv6(b).SetSrc(addr(src))
		}
		return b
	}
	icmp := func(typ byte) []byte { return []byte{typ, 0, 0, 0, 0, 0, 0, 0} }
	tests := []struct {
		name string
		b    []byte
		want bool
	}{
		{"UDP", ipv4(dst4, 17, nil, udp), true},
		{"UDP over IPv6", ipv6(dst6, 17, udp), true},
		{"an echo request", ipv4(dst4, 1, nil, icmp(8)), true},
		{"an ICMPv6 echo request", ipv6(dst6, 58, icmp(128)), true},
		{"unreachable", ipv4(dst4, 1, nil, icmp(3)), false},
		{"source quench", ipv4(dst4, 1, nil, icmp(4)), false},
		{"redirect", ipv4(dst4, 1, nil, icmp(5)), false},
		{"time exceeded", ipv4(dst4, 1, nil, icmp(11)), false},
		{"parameter problem", ipv4(dst4, 1, nil, icmp(12)), false},
		{"ICMP without a type", ipv4(dst4, 1, nil, nil), false},
		{"ICMPv6 error", ipv6(dst6, 58, icmp(1)), false},
		{"ICMPv6 error of an unknown type", ipv6(dst6, 58, icmp(127)), false},
		{"ICMPv6 redirect", ipv6(dst6, 58, icmp(137)), false},
		{"ICMPv6 without a type", ipv6(dst6, 58), false},
		{"to a multicast", ipv4(addr("224.0.0.1"), 17, nil, udp), false},
		{"to the broadcast", ipv4(addr("255.255.255.255"), 17, nil, udp), false},
		{"to an IPv6 multicast", ipv6(addr("ff02::1"), 17, udp), false},
		{"a fragment behind the first", fragment(false, 1, 17, datagram(64), 24, 32, false), false},
		{"the first fragment", fragment(false, 1, 17, datagram(64), 0, 32, true), true},
		{"from nobody", from(ipv4(dst4, 17, nil, udp), "0.0.0.0"), false},
		{"from 0.0.0.1", from(ipv4(dst4, 17, nil, udp), "0.0.0.1"), false},
		{"from a multicast", from(ipv4(dst4, 17, nil, udp), "224.0.0.1"), false},
		{"from class E", from(ipv4(dst4, 17, nil, udp), "240.0.0.1"), false},
		{"from the broadcast", from(ipv4(dst4, 17, nil, udp), "255.255.255.255"), false},
		{"from ::", from(ipv6(dst6, 17, udp), "::"), false},
		{"from an IPv6 multicast", from(ipv6(dst6, 17, udp), "ff02::1"), false},
	}
	for _, tt := range tests {
		var ip wire.IP
		if f := wire.ParseIP(tt.b, &ip); f != wire.FaultNone {
			t.Fatalf("%s: %v", tt.name, f)
		}
		if got := wire.MayAnswer(&ip); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzICMP(f *testing.F) {
	quoted := []byte{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, 1, 2, 0, 80, 0, 0, 0, 9}
	f.Add(append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, quoted...), false)
	f.Add([]byte{128, 0, 0, 0, 1, 2, 3, 4, 'd', 'a', 't', 'a'}, true)
	f.Add(append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, ipv6(dst6, 60, ext(6, 1, 4), make([]byte, 20))...), true)
	f.Fuzz(func(t *testing.T, msg []byte, v6 bool) {
		if len(msg) > 60000 {
			return
		}
		if len(msg) >= 8 { // make the sum fit, or nothing else is seen
			msg = bytes.Clone(msg)
			msg[2], msg[3] = 0, 0
			c := ^slowSum(msg)
			if v6 {
				c = ^slowSum(slowPseudo(addr("2001:db8::1"), dst6, 58, len(msg)), msg)
			}
			msg[2], msg[3] = byte(c>>8), byte(c)
		}
		packet, fl := ipv4(dst4, 1, nil, msg), wire.Flow{Local: addr("192.0.2.1"), Remote: dst4}
		if v6 {
			packet, fl = ipv6(dst6, 58, msg), wire.Flow{Local: addr("2001:db8::1"), Remote: dst6}
		}
		var ip wire.IP
		if fault := wire.ParseIP(packet, &ip); fault != wire.FaultNone {
			t.Fatal(fault)
		}
		var m wire.ICMPMessage
		fault := wire.ParseICMP(&ip, &m)
		if (fault == wire.FaultNone) != (len(msg) >= 8) {
			t.Fatalf("%d octets: %v", len(msg), fault)
		}
		wire.MayAnswer(&ip)
		if fault != wire.FaultNone {
			return
		}
		if m.Kind.IsError() {
			var q wire.Quote
			if wire.ParseQuote(m.Body, v6, &q) == wire.FaultNone && (q.Flow.Local.Is4() == v6 || !bytes.HasSuffix(m.Body, q.Transport)) {
				t.Fatalf("%+v", q)
			}
		}
		if m.Kind == wire.ICMPOther || m.Kind == wire.ICMPSourceQuench {
			return
		}
		// What was understood can be said again.
		_, again := parseICMP(t, formICMP(t, fl, m))
		if again.Kind != m.Kind || again.ID != m.ID || again.Seq != m.Seq || again.MTU != m.MTU || again.Pointer != m.Pointer ||
			!bytes.HasPrefix(m.Body, again.Body) {
			t.Fatalf("\n got %+v\nwant %+v", again, m)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add(ipv4(dst4, 6, []byte{7, 3, 4, 0}, make([]byte, 8)))
	f.Add(ipv6(dst6, 0, ext(44, 1, 4), ext(6, 0, 1, 9, 9, 9, 9), make([]byte, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v6 := range []bool{false, true} {
			var q wire.Quote
			if wire.ParseQuote(b, v6, &q) == wire.FaultNone && (v6 != (wire.Version(b) == 6) || q.HasSeq && q.Proto != wire.ProtoTCP) {
				t.Fatalf("%+v", q)
			}
		}
	})
}
