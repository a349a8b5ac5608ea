package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

// udpPacket returns one with its checksum, computed octet by octet, as a whole packet.
func udpPacket(v6 bool, data []byte) []byte {
	udp := append([]byte{0xc0, 0, 0, 53, byte((8 + len(data)) >> 8), byte(8 + len(data)), 0, 0}, data...)
	src, dst := addr("192.0.2.1"), dst4
	if v6 {
		src, dst = addr("2001:db8::1"), dst6
	}
	sum := ^slowSum(slowPseudo(src, dst, 17, len(udp)), udp)
	if sum == 0 {
		sum = 0xffff
	}
	udp[6], udp[7] = byte(sum>>8), byte(sum)
	if v6 {
		return ipv6(dst6, 17, udp)
	}
	return ipv4(dst4, 17, nil, udp)
}

func parseUDP(b []byte, sum wire.Checksum) ([]byte, wire.Fault) {
	var ip wire.IP
	if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
		return nil, f
	}
	return wire.ParseUDP(&ip, sum)
}

// RFC 768: what is formed is what stands there, octet for octet, and comes back.
func TestUDPFormAndParse(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		f := wire.Flow{Local: addr("192.0.2.1"), Remote: dst4, LocalPort: 0xc000, RemotePort: 53}
		if v6 {
			f.Local, f.Remote = addr("2001:db8::1"), dst6
		}
		for _, n := range []int{0, 1, 2, 7, 512, 1472, 65507} {
			data := bytes.Repeat([]byte{0xa5, byte(n), 3}, n/3+1)[:n]
			want := udpPacket(v6, data)
			b := bytes.Repeat([]byte{0xff}, len(want)+3) // as an earlier packet left it
			got := b[:wire.PutUDP(b, &f, 0, 64, data, wire.ChecksumNone)]
			if !v6 {
				copy(want[4:8], got[4:8]) // identification and DF
				wire.IPv4(want).UpdateChecksum()
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("IPv6 %v, %d octets:\n got % x\nwant % x", v6, n, got[:min(60, len(got))], want[:min(60, len(want))])
			}
			if back, fault := parseUDP(got, wire.ChecksumNone); fault != wire.FaultNone || !bytes.Equal(back, data) {
				t.Errorf("IPv6 %v, %d octets come back as %d: %v", v6, n, len(back), fault)
			}
			wire.PutUDP(b, &f, 0, 64, data, wire.ChecksumPartial)
			if back, fault := parseUDP(got, wire.ChecksumPartial); fault != wire.FaultNone || !bytes.Equal(back, data) {
				t.Errorf("IPv6 %v, %d octets with a partial sum come back as %d: %v", v6, n, len(back), fault)
			}
			if fault := wire.FinishChecksum(got); fault != wire.FaultNone || !bytes.Equal(got[20:], want[20:]) {
				t.Errorf("IPv6 %v, %d octets finished: %v", v6, n, fault)
			}
		}
		most := map[bool]int{false: 65507, true: 65527}[v6]
		b := make([]byte, 70000)
		if n := wire.PutUDP(b, &f, 0, 0, b[:most], wire.ChecksumNone); n != wire.UDPLen(f.Local, most) {
			t.Errorf("IPv6 %v: the longest datagram has %d octets", v6, n)
		}
		if n := wire.PutUDP(b, &f, 0, 0, b[:most+1], wire.ChecksumNone); n != 0 {
			t.Errorf("IPv6 %v: %d octets of data are formed", v6, most+1)
		}
		if n := wire.PutUDP(b[:27], &f, 0, 0, nil, wire.ChecksumNone); n != 0 {
			t.Error("a datagram is formed where there is no room")
		}
	}
}

// RFC 768: "If the computed checksum is zero, it is transmitted as all ones".
func TestUDPChecksumOfZero(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		data := []byte{0, 0}
		b := udpPacket(v6, data)
		head := len(b) - 10
		// With the sum that there is as data, the new sum is zero.
		copy(data, b[head+6:head+8])
		f := wire.Flow{Local: addr("192.0.2.1"), Remote: dst4, LocalPort: 0xc000, RemotePort: 53}
		if v6 {
			f.Local, f.Remote = addr("2001:db8::1"), dst6
		}
		for _, sum := range []wire.Checksum{wire.ChecksumNone, wire.ChecksumPartial} {
			wire.PutUDP(b, &f, 0, 64, data, sum)
			if sum == wire.ChecksumPartial {
				wire.FinishChecksum(b)
			}
			if got := wire.UDP(b[head:]).Checksum(); got != 0xffff {
				t.Errorf("IPv6 %v: a checksum of zero is sent as %04x", v6, got)
			}
			if _, fault := parseUDP(b, wire.ChecksumNone); fault != wire.FaultNone {
				t.Errorf("IPv6 %v: %v", v6, fault)
			}
		}
	}
}

// RFC 768, RFC 1122 section 4.1.3.4, RFC 8200 section 8.1: what is no datagram.
func TestUDPFaults(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		whole := udpPacket(v6, []byte("data"))
		head := len(whole) - 12
		length := func(n int) []byte {
			b := bytes.Clone(whole)
			b[head+4], b[head+5] = byte(n>>8), byte(n)
			return b
		}
		unsummed := bytes.Clone(whole)
		unsummed[head+6], unsummed[head+7] = 0, 0
		for _, c := range []struct {
			what string
			b    []byte
			want wire.Fault
		}{
			{"whole", whole, wire.FaultNone},
			{"a length of 0", length(0), wire.FaultUDPLength},
			{"a length of 7", length(7), wire.FaultUDPLength},
			{"a length beyond the packet", length(13), wire.FaultUDPLength},
			{"the longest length", length(65535), wire.FaultUDPLength},
			{"a length below what the sum is of", length(11), wire.FaultUDPChecksum},
			{"no checksum", unsummed, map[bool]wire.Fault{true: wire.FaultUDPNoChecksum}[v6]},
		} {
			data, fault := parseUDP(c.b, wire.ChecksumNone)
			if fault != c.want || fault == wire.FaultNone && string(data) != "data" {
				t.Errorf("IPv6 %v, %s: %q, %v; want %v", v6, c.what, data, fault, c.want)
			}
		}
		for bit := range 8 * 12 {
			b := bytes.Clone(whole)
			b[head+bit/8] ^= 1 << (bit % 8)
			if _, fault := parseUDP(b, wire.ChecksumNone); fault == wire.FaultNone {
				t.Errorf("IPv6 %v: bit %d is damaged, and nothing said", v6, bit)
			}
		}
		if _, fault := parseUDP(unsummed, wire.ChecksumVerified); (fault == wire.FaultUDPNoChecksum) != v6 {
			t.Errorf("IPv6 %v: no checksum, which somebody has verified: %v", v6, fault)
		}
		if _, fault := parseUDP(length(9), wire.ChecksumVerified); fault != wire.FaultNone {
			t.Errorf("a sum that somebody has verified: %v", fault)
		}
	}
	// Octets behind the datagram are not data: its own length says where it ends.
	udp := udpPacket(false, []byte("data"))[20:]
	if data, fault := parseUDP(ipv4(dst4, 17, nil, append(udp, "more"...)), wire.ChecksumNone); fault != wire.FaultNone || string(data) != "data" {
		t.Errorf("with octets behind it: %q, %v", data, fault)
	}
	for n := range 8 {
		if _, fault := parseUDP(ipv4(dst4, 17, nil, make([]byte, n)), wire.ChecksumNone); fault != wire.FaultUDPShort {
			t.Errorf("%d octets: %v", n, fault)
		}
	}
	if _, fault := parseUDP(ipv4(dst4, 6, nil, make([]byte, 40)), wire.ChecksumNone); fault != wire.FaultTransport {
		t.Errorf("TCP: %v", fault)
	}
}

func FuzzParseUDP(f *testing.F) {
	f.Add(udpPacket(false, []byte("data")))
	f.Add(udpPacket(true, []byte("odd")))
	f.Add(udpPacket(false, nil))
	f.Add(ipv6(dst6, 17, []byte{0, 1, 0, 2, 0, 8, 0, 0}))
	f.Add(ipv6(dst6, 44, ext(17, 0, 0, 0), udpPacket(true, []byte("behind a fragment header"))[40:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ip wire.IP
		if len(b) > 20 && b[0]>>4 == 4 && int(b[0]&15)*4 <= len(b) && b[0]&15 >= 5 {
			wire.IPv4(b).UpdateChecksum()
		}
		if wire.ParseIP(b, &ip) != wire.FaultNone {
			return
		}
		before := bytes.Clone(b)
		data, fault := wire.ParseUDP(&ip, wire.ChecksumNone)
		if !bytes.Equal(b, before) {
			t.Fatal("ParseUDP has written to the packet")
		}
		if fault != wire.FaultNone {
			if data != nil || int(fault) >= wire.NumFaults {
				t.Fatalf("%v with %d octets of data", fault, len(data))
			}
			return
		}
		h := ip.Payload[:8+len(data)]
		if sum := slowSum(slowPseudo(ip.Src, ip.Dst, 17, len(h)), h); sum != 0xffff && (h[6]|h[7] != 0 || ip.V6) {
			t.Fatalf("the sum is %04x", sum)
		}
		// What is formed anew from it is the same datagram.
		flow, _ := ip.Flow()
		flow = flow.Reverse()
		out := make([]byte, wire.UDPLen(flow.Local, len(data)))
		wire.PutUDP(out, &flow, ip.TC, ip.HopLimit, data, wire.ChecksumNone)
		again, fault := parseUDP(out, wire.ChecksumNone)
		if fault != wire.FaultNone || !bytes.Equal(again, data) {
			t.Fatalf("formed anew: %v", fault)
		}
	})
}

func BenchmarkUDP(b *testing.B) {
	for _, n := range []int{64, 1472} {
		data, buf := make([]byte, n), make([]byte, 1600)
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var ip wire.IP
			for b.Loop() {
				k := wire.PutUDP(buf, &flow4, 0, 0, data, wire.ChecksumNone)
				wire.ParseIP(buf[:k], &ip)
				wire.ParseUDP(&ip, wire.ChecksumNone)
			}
		})
	}
}
