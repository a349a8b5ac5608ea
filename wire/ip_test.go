package wire_test

import (
	"bytes"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

// ipv4 returns a packet from 192.0.2.1 to dst with these options (padded) and payload.
func ipv4(dst wire.Addr, proto uint8, opts, payload []byte) []byte {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	hl := 20 + len(opts)
	h := wire.IPv4(make([]byte, hl+len(payload)))
	h.SetHeaderLen(hl)
	h.SetTotalLen(uint16(len(h)))
	h.SetTTL(64)
	h.SetProtocol(proto)
	h.SetSrc(addr("192.0.2.1"))
	h.SetDst(dst)
	copy(h[20:], opts)
	copy(h[hl:], payload)
	h.UpdateChecksum()
	return h
}

// ipv6 returns a packet from 2001:db8::1 to dst, the first header being next.
func ipv6(dst wire.Addr, next uint8, rest ...[]byte) []byte {
	payload := bytes.Join(rest, nil)
	h := wire.IPv6(make([]byte, 40+len(payload)))
	h.SetTC(0)
	h.SetPayloadLen(uint16(len(payload)))
	h.SetNextHeader(next)
	h.SetHopLimit(64)
	h.SetSrc(addr("2001:db8::1"))
	h.SetDst(dst)
	copy(h[40:], payload)
	return h
}

// ext is an extension header of eight octets.
func ext(next uint8, rest ...byte) []byte {
	b := make([]byte, 8)
	b[0] = next
	copy(b[2:], rest)
	return b
}

var (
	dst4 = addr("198.51.100.7")
	dst6 = addr("2001:db8::7")
)

// A header from RFC-independent hands: its checksum is b861 in every textbook.
func TestIPv4HeaderKnown(t *testing.T) {
	b := append([]byte{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61,
		0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7}, make([]byte, 0x73-20+6)...)
	var ip wire.IP
	if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
		t.Fatal(f)
	}
	if ip.Src != addr("192.168.0.1") || ip.Dst != addr("192.168.0.199") || ip.Proto != wire.ProtoUDP ||
		ip.HopLimit != 64 || !ip.DontFragment || ip.Fragment || ip.V6 || ip.HeaderLen != 20 {
		t.Errorf("%+v", ip)
	}
	if len(ip.Packet) != 0x73 || len(ip.Payload) != 0x73-20 {
		t.Errorf("the link's padding is left on: packet of %d, payload of %d", len(ip.Packet), len(ip.Payload))
	}
	wire.IPv4(b).SetChecksum(0)
	wire.IPv4(b).UpdateChecksum()
	if got := wire.IPv4(b).Checksum(); got != 0xb861 {
		t.Errorf("checksum %04x", got)
	}
}

func TestIPFaults(t *testing.T) {
	edit := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] = v
		if b[0]>>4 == 4 && at != 10 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			wire.IPv4(b).UpdateChecksum()
		}
		return b
	}
	v4 := ipv4(dst4, 6, nil, make([]byte, 20))
	v6 := ipv6(dst6, 6, make([]byte, 20))
	mapped := bytes.Clone(v6)
	wire.IPv6(mapped).SetSrc(addr("192.0.2.1"))
	mappedDst := bytes.Clone(v6)
	wire.IPv6(mappedDst).SetDst(addr("192.0.2.1"))
	tests := []struct {
		name string
		b    []byte
		want wire.Fault
	}{
		{"nothing", nil, wire.FaultIPShort},
		{"version 0", make([]byte, 40), wire.FaultIPVersion},
		{"version 5", edit(v6, 0, 0x50), wire.FaultIPVersion},
		{"IPv4 of 19 octets", v4[:19], wire.FaultIPShort},
		{"IHL 4", edit(v4, 0, 0x44), wire.FaultIPHeaderLength},
		{"IHL beyond the packet", edit(v4, 0, 0x4f), wire.FaultIPHeaderLength},
		{"total length beyond the buffer", edit(v4, 3, 41), wire.FaultIPTotalLength},
		{"total length below the header", edit(v4, 3, 19), wire.FaultIPTotalLength},
		{"header checksum", edit(v4, 10, v4[10]^1), wire.FaultIPChecksum},
		{"IPv6 of 39 octets", v6[:39], wire.FaultIPShort},
		{"payload length beyond the buffer", edit(v6, 5, 21), wire.FaultIPTotalLength},
		{"IPv6 from an IPv4-mapped address", mapped, wire.FaultIPMapped},
		{"IPv6 to an IPv4-mapped address", mappedDst, wire.FaultIPMapped},
		{"good IPv4", v4, wire.FaultNone},
		{"good IPv6", v6, wire.FaultNone},
	}
	for _, tt := range tests {
		var ip wire.IP
		if f := wire.ParseIP(tt.b, &ip); f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
		}
	}
}

// MUST-50: "a TCP implementation MUST ignore options that it does not understand".
func TestIPv4Options(t *testing.T) {
	tests := []struct {
		name    string
		opts    []byte
		want    wire.Fault
		route   bool
		pointer uint32
	}{
		{"end and padding", []byte{0, 9, 9, 9}, wire.FaultNone, false, 0},
		{"no-operation", []byte{1, 1, 1, 1}, wire.FaultNone, false, 0},
		{"unknown", []byte{30, 5, 1, 2, 3, 200, 2, 0}, wire.FaultNone, false, 0},
		{"record route and timestamp are not supported, and skipped", []byte{7, 7, 4, 0, 0, 0, 0, 68, 4, 5, 0}, wire.FaultNone, false, 0},
		{"loose source route", []byte{1, 131, 7, 4, 1, 2, 3, 4}, wire.FaultNone, true, 0},
		{"strict source route", []byte{137, 7, 4, 1, 2, 3, 4}, wire.FaultNone, true, 0},
		{"length 0", []byte{30, 0, 0, 0}, wire.FaultIPOption, false, 21},
		{"length 1", []byte{1, 30, 1, 0}, wire.FaultIPOption, false, 22},
		{"past the header", []byte{1, 1, 30, 3}, wire.FaultIPOption, false, 23},
		{"no octet for the length", []byte{1, 1, 1, 30}, wire.FaultIPOption, false, 23},
	}
	for _, tt := range tests {
		b := ipv4(dst4, 6, tt.opts, []byte("payload"))
		var ip wire.IP
		if f := wire.ParseIP(b, &ip); f != tt.want || ip.SourceRoute != tt.route {
			t.Errorf("%s: %v, source route %v; want %v, %v", tt.name, f, ip.SourceRoute, tt.want, tt.route)
		}
		if string(ip.Payload) != "payload" {
			t.Errorf("%s: payload %q", tt.name, ip.Payload)
		}
		if problem := tt.want != wire.FaultNone; ip.Problem != problem || ip.ProblemPointer != tt.pointer {
			t.Errorf("%s: problem %v at %d; want %v at %d", tt.name, ip.Problem, ip.ProblemPointer, problem, tt.pointer)
		}
	}
	var ip wire.IP
	wire.ParseIP(ipv4(addr("224.0.0.1"), 6, []byte{30, 0}, nil), &ip)
	if ip.Problem {
		t.Error("a multicast is answered")
	}
}

func TestIPv6Extensions(t *testing.T) {
	const none, hop, routing, frag, dest, tcp = 59, 0, 43, 44, 60, 6
	multi := addr("ff02::1")
	many := make([][]byte, 0, 10)
	for range wire.MaxExtensions - 1 {
		many = append(many, ext(dest, 1, 4))
	}
	many = append(many, ext(tcp, 1, 4), []byte("data"))
	tests := []struct {
		name    string
		b       []byte
		want    wire.Fault
		proto   uint8
		payload string
		problem bool
		code    uint8
		pointer uint32
	}{
		{"none", ipv6(dst6, tcp, []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		{"PadN", ipv6(dst6, hop, ext(tcp, 1, 4), []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		{"Pad1", ipv6(dst6, dest, ext(tcp), []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		// MUST-50: the IPv6 kind of an unknown option
		{"unknown, skip", ipv6(dst6, hop, ext(tcp, 0x3e, 4), []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		{"unknown, discard", ipv6(dst6, hop, ext(tcp, 0x7e, 4), []byte("data")), wire.FaultIPv6OptionUnknown, 0, "", false, 0, 0},
		{"unknown, answer", ipv6(dst6, dest, ext(tcp, 1, 0, 0xbe, 2), []byte("data")), wire.FaultIPv6OptionUnknown, 0, "", true, 2, 44},
		{"unknown, answer a multicast", ipv6(multi, dest, ext(tcp, 0xbe, 4)), wire.FaultIPv6OptionUnknown, 0, "", true, 2, 42},
		{"unknown, answer a unicast", ipv6(dst6, dest, ext(tcp, 0xfe, 4)), wire.FaultIPv6OptionUnknown, 0, "", true, 2, 42},
		{"unknown, do not answer a multicast", ipv6(multi, dest, ext(tcp, 0xfe, 4)), wire.FaultIPv6OptionUnknown, 0, "", false, 2, 42},
		{"an option beyond its header", ipv6(dst6, hop, ext(tcp, 1, 5), []byte("data")), wire.FaultIPv6Option, 0, "", true, 0, 43},
		{"an option without length", ipv6(dst6, hop, ext(tcp, 0, 0, 0, 0, 0, 1), []byte("data")), wire.FaultIPv6Option, 0, "", true, 0, 47},
		{"hop-by-hop second", ipv6(dst6, dest, ext(hop, 1, 4), ext(tcp, 1, 4)), wire.FaultExtensionOrder, 0, "", true, 1, 40},
		{"routing, no segments left", ipv6(dst6, routing, ext(tcp, 99, 0), []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		{"routing, a segment left", ipv6(dst6, routing, ext(tcp, 99, 1), []byte("data")), wire.FaultRouting, 0, "", true, 0, 42},
		{"an atomic fragment is whole", ipv6(dst6, frag, ext(dest, 0, 0, 1, 2, 3, 4), ext(tcp, 1, 4), []byte("data")), wire.FaultNone, tcp, "data", false, 0, 0},
		{"cut", ipv6(dst6, dest, []byte{6, 0, 1, 4, 0, 0, 0}), wire.FaultExtensionShort, 0, "", false, 0, 0},
		{"longer than the packet", ipv6(dst6, dest, []byte{6, 1, 1, 4, 0, 0, 0, 0}), wire.FaultExtensionShort, 0, "", false, 0, 0},
		{"no next header", ipv6(dst6, none, []byte("ignored")), wire.FaultNone, none, "", false, 0, 0},
		{"as many as may be", ipv6(dst6, dest, many...), wire.FaultNone, tcp, "data", false, 0, 0},
		{"one more", ipv6(dst6, dest, append([][]byte{ext(dest, 1, 4)}, many...)...), wire.FaultExtensionCount, 0, "", false, 0, 0},
	}
	for _, tt := range tests {
		var ip wire.IP
		f := wire.ParseIP(append(bytes.Clone(tt.b), "padding"...), &ip)
		if f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
			continue
		}
		if f == wire.FaultNone && (ip.Proto != tt.proto || string(ip.Payload) != tt.payload || ip.Fragment) {
			t.Errorf("%s: protocol %d, payload %q, fragment %v; want %d, %q", tt.name, ip.Proto, ip.Payload, ip.Fragment, tt.proto, tt.payload)
		}
		if f == wire.FaultNone && ip.Packet[ip.ProtoAt] != tt.proto {
			t.Errorf("%s: ProtoAt %d is another octet", tt.name, ip.ProtoAt)
		}
		if ip.Problem != tt.problem || ip.ProblemCode != tt.code || ip.ProblemPointer != tt.pointer {
			t.Errorf("%s: problem %v, code %d at %d; want %v, %d at %d", tt.name,
				ip.Problem, ip.ProblemCode, ip.ProblemPointer, tt.problem, tt.code, tt.pointer)
		}
	}
}

func TestFragmentFields(t *testing.T) {
	v4 := ipv4(dst4, 17, nil, []byte("12345678"))
	wire.IPv4(v4).SetID(0xbeef)
	wire.IPv4(v4).SetFragment(false, true, 1480)
	wire.IPv4(v4).UpdateChecksum()
	v6 := ipv6(dst6, 44, []byte{17, 0, 0x05, 0xc9, 0, 0, 0xbe, 0xef}, []byte("12345678"))
	for _, b := range [][]byte{v4, v6} {
		var ip wire.IP
		if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
			t.Fatal(f)
		}
		if !ip.Fragment || !ip.MoreFragments || ip.FragmentOffset != 1480 || ip.ID != 0xbeef || ip.Proto != 17 ||
			string(ip.Payload) != "12345678" {
			t.Errorf("%+v", ip)
		}
		if _, f := ip.Flow(); f != wire.FaultTransport {
			t.Errorf("a fragment behind the first has ports: %v", f)
		}
	}
}

// What the setters write the getters read, and no neighbour changes.
func TestViews(t *testing.T) {
	h := wire.IPv6(make([]byte, 40))
	h.SetFlowLabel(0xfffff)
	h.SetTC(0x5a)
	if h.Version() != 6 || h.TC() != 0x5a || h.FlowLabel() != 0xfffff {
		t.Errorf("version %d, class %x, label %x", h.Version(), h.TC(), h.FlowLabel())
	}
	h.SetFlowLabel(0x12345)
	if h.Version() != 6 || h.TC() != 0x5a || h.FlowLabel() != 0x12345 {
		t.Errorf("version %d, class %x, label %x", h.Version(), h.TC(), h.FlowLabel())
	}
	v4 := wire.IPv4(make([]byte, 24))
	v4.SetHeaderLen(24)
	v4.SetTotalLen(24)
	v4.SetTC(3)
	v4.SetFragment(true, false, 8184)
	if v4.Version() != 4 || v4.HeaderLen() != 24 || v4.TC() != 3 || !v4.DontFragment() || v4.MoreFragments() || v4.FragmentOffset() != 8184 {
		t.Errorf("% x", v4)
	}
	if len(v4.Options()) != 4 || len(v4.Payload()) != 0 {
		t.Errorf("options %d, payload %d", len(v4.Options()), len(v4.Payload()))
	}
	u := wire.UDP{0, 53, 1, 0, 0, 8, 0xab, 0xcd}
	if u.SrcPort() != 53 || u.DstPort() != 256 || u.Len() != 8 || u.Checksum() != 0xabcd {
		t.Errorf("UDP % x", []byte(u))
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add(ipv4(dst4, 6, []byte{1, 131, 3, 4}, []byte("data")))
	f.Add(ipv6(dst6, 0, ext(44, 0x3e, 4), ext(60, 0, 0, 1, 2, 3, 4), ext(6, 1, 4), []byte("data")))
	f.Add(ipv6(dst6, 44, []byte{17, 0, 0x05, 0xc9, 0, 0, 0xbe, 0xef}, []byte("12345678")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 20 && b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			wire.IPv4(b).UpdateChecksum() // or the fuzzer sees nothing else
		}
		var ip wire.IP
		fault := wire.ParseIP(b, &ip)
		if int(fault) >= wire.NumFaults {
			t.Fatal("no such fault")
		}
		if ip.Problem && (fault == wire.FaultNone || int(ip.ProblemPointer) >= len(b)) {
			t.Fatalf("%v: problem at %d of %d octets", fault, ip.ProblemPointer, len(b))
		}
		if fault != wire.FaultNone {
			return
		}
		if len(ip.Packet) > len(b) || ip.Proto != wire.ProtoNone && !bytes.Equal(ip.Payload, ip.Packet[ip.HeaderLen:]) {
			t.Fatalf("%+v", ip)
		}
		if ip.Packet[ip.ProtoAt] != ip.Proto || ip.ProtoAt >= ip.HeaderLen {
			t.Fatalf("protocol %d is not at %d", ip.Proto, ip.ProtoAt)
		}
		if ip.V6 == ip.Src.Is4() || ip.V6 == ip.Dst.Is4() {
			t.Fatalf("version and addresses: %+v", ip)
		}
		// What lies behind the packet does not matter.
		var again wire.IP
		if wire.ParseIP(ip.Packet, &again) != wire.FaultNone || again.HeaderLen != ip.HeaderLen || again.Proto != ip.Proto {
			t.Fatalf("%+v\n%+v", ip, again)
		}
	})
}
