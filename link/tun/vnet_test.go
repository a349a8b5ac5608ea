package tun

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

var (
	flow4 = flowOf("10.1.0.2", "10.1.0.1")
	flow6 = flowOf("fd00::2", "fd00::1")
)

func flowOf(local, remote string) *wire.Flow {
	return &wire.Flow{
		Local: wire.AddrFrom(netip.MustParseAddr(local)), LocalPort: 4000,
		Remote: wire.AddrFrom(netip.MustParseAddr(remote)), RemotePort: 5000,
	}
}

// tcpPacket returns a TCP packet with headroom.
func tcpPacket(f *wire.Flow, s wire.Segment, sum wire.Checksum) wire.Packet {
	b := wire.AppendSegment(make([]byte, wire.Headroom), f, &s, sum)
	return wire.Packet{Buf: b, Head: wire.Headroom, GSO: s.GSO, Sum: sum}
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// inet is the checksum of RFC 1071 section 1, word by word.
func inet(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		s += w
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func udp4(n int) []byte {
	b := make([]byte, 28+n)
	h := wire.IPv4(b)
	h.SetHeaderLen(20)
	h.SetTotalLen(uint16(len(b)))
	h.SetTTL(64)
	h.SetProtocol(wire.ProtoUDP)
	h.SetSrc(flow4.Local)
	h.SetDst(flow4.Remote)
	h.UpdateChecksum()
	b[25] = byte(8 + n)
	copy(b[28:], text(n))
	return b
}

func TestHeaderOfKernelIsNotBelieved(t *testing.T) {
	big4 := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(4000)}, wire.ChecksumPartial)
	big6 := tcpPacket(flow6, wire.Segment{Flags: wire.ACK, Text: text(4000)}, wire.ChecksumPartial)
	fragment := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(4000)}, wire.ChecksumPartial)
	wire.IPv4(fragment.Bytes()).SetFragment(false, true, 0)
	wire.IPv4(fragment.Bytes()).UpdateChecksum()
	badOffset := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(4000)}, wire.ChecksumPartial)
	badOffset.Bytes()[20+12] = 1 << 4
	padded := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(4000)}, wire.ChecksumPartial)
	padded.Buf = append(padded.Buf, 0, 0)

	for _, c := range []struct {
		name string
		pkt  []byte
		h    vnetHdr
		ok   bool
		sum  wire.Checksum
		gso  uint16
	}{
		{"plain", big4.Bytes(), vnetHdr{}, true, wire.ChecksumNone, 0},
		{"data valid", big4.Bytes(), vnetHdr{flags: 2}, true, wire.ChecksumVerified, 0},
		{"needs csum", big4.Bytes(), vnetHdr{flags: 1, csumStart: 20, csumOffset: 16}, true, wire.ChecksumPartial, 0},
		{"needs csum, IPv6", big6.Bytes(), vnetHdr{flags: 1, csumStart: 40, csumOffset: 16}, true, wire.ChecksumPartial, 0},
		{"needs csum, UDP", udp4(9), vnetHdr{flags: 1, csumStart: 20, csumOffset: 6}, true, wire.ChecksumPartial, 0},
		{"sum at the last octets", big4.Bytes(), vnetHdr{flags: 1, csumStart: 20, csumOffset: 4018}, true, wire.ChecksumNone, 0},
		{"sum one octet beyond", big4.Bytes(), vnetHdr{flags: 1, csumStart: 20, csumOffset: 4019}, false, 0, 0},
		{"sum far beyond", big4.Bytes(), vnetHdr{flags: 1, csumStart: 65535, csumOffset: 65535}, false, 0, 0},
		{"TSO", big4.Bytes(), vnetHdr{1, 1, 40, 1460, 20, 16}, true, wire.ChecksumPartial, 1460},
		{"TSO, IPv6", big6.Bytes(), vnetHdr{1, 4, 60, 1440, 40, 16}, true, wire.ChecksumPartial, 1440},
		{"TSO with ECN", big4.Bytes(), vnetHdr{1, 0x81, 40, 1460, 20, 16}, true, wire.ChecksumPartial, 1460},
		{"TSO, header length is all", big4.Bytes(), vnetHdr{1, 1, 4040, 1460, 20, 16}, true, wire.ChecksumPartial, 1460},
		{"TSO, header length beyond", big4.Bytes(), vnetHdr{1, 1, 4041, 1460, 20, 16}, false, 0, 0},
		{"TSO that needs no cut", big4.Bytes(), vnetHdr{1, 1, 40, 4000, 20, 16}, true, wire.ChecksumPartial, 0},
		{"TSO of size 0", big4.Bytes(), vnetHdr{1, 1, 40, 0, 20, 16}, false, 0, 0},
		{"TSO without sum", big4.Bytes(), vnetHdr{0, 1, 40, 1460, 20, 16}, false, 0, 0},
		{"TSO, sum elsewhere", big4.Bytes(), vnetHdr{1, 1, 40, 1460, 24, 16}, false, 0, 0},
		{"TSO, field elsewhere", big4.Bytes(), vnetHdr{1, 1, 40, 1460, 20, 18}, false, 0, 0},
		{"TSO, other version", big4.Bytes(), vnetHdr{1, 4, 40, 1460, 20, 16}, false, 0, 0},
		{"TSO, other version, IPv6", big6.Bytes(), vnetHdr{1, 1, 60, 1440, 40, 16}, false, 0, 0},
		{"TSO of UDP", udp4(9), vnetHdr{1, 1, 28, 4, 20, 6}, false, 0, 0},
		{"UFO", big4.Bytes(), vnetHdr{1, 3, 40, 1460, 20, 16}, false, 0, 0},
		{"USO, not asked for", udp4(9), vnetHdr{1, 5, 28, 4, 20, 6}, false, 0, 0},
		{"TSO of a fragment", fragment.Bytes(), vnetHdr{1, 1, 40, 1460, 20, 16}, false, 0, 0},
		{"TSO, data offset 4", badOffset.Bytes(), vnetHdr{1, 1, 40, 1460, 20, 16}, false, 0, 0},
		{"TSO, padded", padded.Bytes(), vnetHdr{1, 1, 40, 1460, 20, 16}, false, 0, 0},
		{"nothing", nil, vnetHdr{}, false, 0, 0},
		{"not IP, sum in the middle", []byte{1, 2, 3, 4, 5, 6}, vnetHdr{flags: 1, csumStart: 2, csumOffset: 2}, true, wire.ChecksumNone, 0},
	} {
		p := wire.Packet{Buf: append(make([]byte, wire.Headroom), c.pkt...), Head: wire.Headroom, GSO: 9, Sum: wire.ChecksumPartial}
		ok := c.h.accept(&p)
		if ok != c.ok {
			t.Errorf("%s: accepted %v, want %v", c.name, ok, c.ok)
		} else if ok && (p.Sum != c.sum || p.GSO != c.gso) {
			t.Errorf("%s: Sum %d GSO %d, want %d and %d", c.name, p.Sum, p.GSO, c.sum, c.gso)
		}
	}
}

// A sum that is asked for somewhere inside (a tunnel's passenger) is finished here, for
// nobody further up would.
func TestInnerChecksumIsFinished(t *testing.T) {
	b := udp4(41)
	inner := b[30:] // the sum begins here, with its field at octet 5 of it
	inner[5], inner[6] = 0x12, 0x34
	want := inet(inner)
	p := wire.Packet{Buf: b}
	h := vnetHdr{flags: 1, csumStart: 30, csumOffset: 5}
	if !h.accept(&p) || p.Sum != wire.ChecksumNone {
		t.Fatalf("not taken, or marked %d", p.Sum)
	}
	if got := uint16(inner[5])<<8 | uint16(inner[6]); got != want {
		t.Errorf("sum %#04x, want %#04x", got, want)
	}
}

func TestHeaderForKernel(t *testing.T) {
	for _, c := range []struct {
		name string
		p    wire.Packet
		want vnetHdr
		ok   bool
	}{
		{"plain", tcpPacket(flow4, wire.Segment{Flags: wire.ACK}, wire.ChecksumNone), vnetHdr{}, true},
		{"partial", tcpPacket(flow4, wire.Segment{Flags: wire.ACK}, wire.ChecksumPartial), vnetHdr{flags: 1, csumStart: 20, csumOffset: 16}, true},
		{"partial, IPv6", tcpPacket(flow6, wire.Segment{Flags: wire.ACK}, wire.ChecksumPartial), vnetHdr{flags: 1, csumStart: 40, csumOffset: 16}, true},
		{"super", tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(3000), GSO: 1000}, wire.ChecksumPartial), vnetHdr{1, 1, 40, 1000, 20, 16}, true},
		{"super with timestamps, IPv6", tcpPacket(flow6, wire.Segment{Flags: wire.ACK, Text: text(3000), GSO: 1000,
			Options: wire.Options{Set: wire.HasTimestamps}}, wire.ChecksumPartial), vnetHdr{1, 4, 72, 1000, 40, 16}, true},
		{"super with CWR", tcpPacket(flow4, wire.Segment{Flags: wire.ACK | wire.CWR, Text: text(3000), GSO: 1000}, wire.ChecksumPartial), vnetHdr{1, 0x81, 40, 1000, 20, 16}, true},
		{"no more text than GSO", tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(1000), GSO: 1000}, wire.ChecksumNone), vnetHdr{}, true},
		{"super, sum complete", tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(3000), GSO: 1000}, wire.ChecksumNone), vnetHdr{1, 1, 40, 1000, 20, 16}, true},
		{"super of UDP", wire.Packet{Buf: udp4(100), GSO: 10, Sum: wire.ChecksumPartial}, vnetHdr{}, false},
		{"no packet", wire.Packet{Buf: []byte{1, 2, 3}, Sum: wire.ChecksumPartial}, vnetHdr{}, false},
	} {
		var h vnetHdr
		if ok := h.describe(&c.p); ok != c.ok || ok && h != c.want {
			t.Errorf("%s: %v %+v, want %v %+v", c.name, ok, h, c.ok, c.want)
			continue
		}
		if c.want.flags&vnetNeedsCsum == 0 {
			continue
		}
		// What the kernel will do with it gives a good TCP checksum.
		finishSum(c.p.Bytes(), int(h.csumStart), int(h.csumStart)+int(h.csumOffset))
		var ip wire.IP
		wire.ParseIP(c.p.Bytes(), &ip)
		if f := wire.VerifyTCP(&ip, wire.ChecksumNone); f != wire.FaultNone {
			t.Errorf("%s: %v", c.name, f)
		}
	}
}

func FuzzVnetHeader(f *testing.F) {
	for _, p := range []wire.Packet{
		tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(100)}, wire.ChecksumPartial),
		tcpPacket(flow6, wire.Segment{Flags: wire.ACK, Text: text(100)}, wire.ChecksumPartial),
	} {
		for _, h := range []vnetHdr{{}, {1, 1, 40, 20, 20, 16}, {1, 4, 60, 20, 40, 16}, {2, 0, 0, 0, 0, 0}, {1, 0, 0, 0, 33, 4}} {
			b := make([]byte, vnetLen)
			h.encode(b)
			f.Add(append(b, p.Bytes()...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < vnetLen {
			return
		}
		var h vnetHdr
		h.decode(b)
		again := make([]byte, vnetLen)
		if h.encode(again); !bytes.Equal(again, b[:vnetLen]) {
			t.Fatalf("% x decodes to %+v, which encodes to % x", b[:vnetLen], h, again)
		}
		p := wire.Packet{Buf: append(make([]byte, wire.Headroom), b[vnetLen:]...), Head: wire.Headroom}
		if !h.accept(&p) {
			return
		}
		if p.GSO == 0 {
			return
		}
		// What is called a super-segment can be cut, and the pieces are its text.
		var sp wire.Splitter
		var ip wire.IP
		if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || p.Sum != wire.ChecksumPartial {
			t.Fatalf("a super-segment that is no IP packet, or has no partial sum: %+v", h)
		}
		tcp := wire.TCP(ip.Payload)
		if f := sp.Start(p.Bytes(), p.GSO); f != wire.FaultNone {
			if tcp.Flags()&(wire.SYN|wire.RST) == 0 {
				t.Fatalf("%+v: %v", h, f)
			}
			return
		}
		var got []byte
		buf := make([]byte, sp.MaxLen())
		for n := sp.Next(buf); n > 0; n = sp.Next(buf) {
			got = append(got, buf[ip.HeaderLen+tcp.DataOffset():n]...)
		}
		if !bytes.Equal(got, tcp.Text()) {
			t.Fatalf("%+v: the pieces are not the text", h)
		}
	})
}

// arena puts packets one behind the other as the reader does.
func arena(ps ...wire.Packet) []wire.Packet {
	buf, at := make([]byte, 1<<18), 0
	var batch []wire.Packet
	for _, p := range ps {
		n := copy(buf[at+wire.Headroom:], p.Bytes())
		p.Buf, p.Head = buf[at:at+wire.Headroom+n], wire.Headroom
		batch = append(batch, p)
		at = (at + wire.Headroom + n + arenaAlign - 1) &^ (arenaAlign - 1)
	}
	return batch
}

func TestMergeRuns(t *testing.T) {
	seg := func(f *wire.Flow, at, n int, flags wire.Flags) wire.Packet {
		return tcpPacket(f, wire.Segment{Seq: seq.Num(at), Flags: wire.ACK | flags, Text: text(at + n)[at:]}, wire.ChecksumNone)
	}
	damaged := seg(flow4, 1000, 1000, 0)
	damaged.Buf[len(damaged.Buf)-1] ^= 1
	damagedFirst := seg(flow4, 0, 1000, 0)
	damagedFirst.Buf[len(damagedFirst.Buf)-1] ^= 1
	valid := func(p wire.Packet) wire.Packet { p.Sum = wire.ChecksumVerified; return p }
	type want struct {
		at, n int
		gso   uint16
	}
	for _, c := range []struct {
		name string
		in   []wire.Packet
		out  []want
	}{
		{"a run", []wire.Packet{seg(flow4, 0, 1000, 0), seg(flow4, 1000, 1000, 0), seg(flow4, 2000, 1000, 0)}, []want{{0, 3000, 1000}}},
		{"a run, IPv6, verified", []wire.Packet{valid(seg(flow6, 0, 1000, 0)), valid(seg(flow6, 1000, 1000, 0))}, []want{{0, 2000, 1000}}},
		{"many small", []wire.Packet{seg(flow4, 0, 10, 0), seg(flow4, 10, 10, 0), seg(flow4, 20, 10, 0), seg(flow4, 30, 10, 0)}, []want{{0, 40, 10}}},
		{"a short one ends it", []wire.Packet{seg(flow4, 0, 1000, 0), seg(flow4, 1000, 400, 0), seg(flow4, 1400, 1000, 0)}, []want{{0, 1400, 1000}, {1400, 1000, 0}}},
		{"PSH ends it", []wire.Packet{seg(flow4, 0, 1000, 0), seg(flow4, 1000, 1000, wire.PSH), seg(flow4, 2000, 1000, 0)}, []want{{0, 2000, 1000}, {2000, 1000, 0}}},
		{"a gap", []wire.Packet{seg(flow4, 0, 1000, 0), seg(flow4, 2000, 1000, 0)}, []want{{0, 1000, 0}, {2000, 1000, 0}}},
		{"another flow between", []wire.Packet{seg(flow4, 0, 1000, 0), seg(flow6, 0, 1000, 0), seg(flow4, 1000, 1000, 0)}, []want{{0, 1000, 0}, {0, 1000, 0}, {1000, 1000, 0}}},
		{"a damaged one stays as it is", []wire.Packet{seg(flow4, 0, 1000, 0), damaged, seg(flow4, 2000, 1000, 0)}, []want{{0, 1000, 0}, {1000, 1000, 0}, {2000, 1000, 0}}},
		{"a damaged first", []wire.Packet{damagedFirst, seg(flow4, 1000, 1000, 0)}, []want{{0, 1000, 0}, {1000, 1000, 0}}},
		{"UDP between", []wire.Packet{seg(flow4, 0, 1000, 0), {Buf: udp4(9)}, seg(flow4, 1000, 1000, 0)}, []want{{0, 1000, 0}, {-1, 0, 0}, {1000, 1000, 0}}},
	} {
		got := merge(arena(c.in...))
		if len(got) != len(c.out) {
			t.Errorf("%s: %d packets, want %d", c.name, len(got), len(c.out))
			continue
		}
		for i, w := range c.out {
			p := &got[i]
			if w.at < 0 {
				continue
			}
			var ip wire.IP
			if f := wire.ParseIP(p.Bytes(), &ip); f != wire.FaultNone || len(ip.Packet) != len(p.Bytes()) {
				t.Errorf("%s: packet %d: %v", c.name, i, f)
				continue
			}
			tcp := wire.TCP(ip.Payload)
			same := bytes.Equal(tcp.Text(), text(w.at + w.n)[w.at:])
			if int(tcp.Seq()) != w.at || p.GSO != w.gso || same == (wire.VerifyTCP(&ip, p.Sum) != wire.FaultNone) {
				t.Errorf("%s: packet %d: SEQ=%d LEN=%d GSO=%d Sum=%d, text right: %v; want %+v", c.name, i, tcp.Seq(), len(tcp.Text()), p.GSO, p.Sum, same, w)
			}
		}
	}
}

func TestFlowHashKeepsFlowsAndSpreadsThem(t *testing.T) {
	used := map[uint32]int{}
	for port := range 64 {
		f := *flow4
		f.LocalPort = uint16(port)
		a := tcpPacket(&f, wire.Segment{Seq: 1, Flags: wire.SYN}, wire.ChecksumNone)
		b := tcpPacket(&f, wire.Segment{Seq: 77, Flags: wire.ACK, Text: text(9)}, wire.ChecksumNone)
		if flowHash(a.Bytes()) != flowHash(b.Bytes()) {
			t.Errorf("port %d: two packets of one flow differ", port)
		}
		used[flowHash(a.Bytes())%4]++
	}
	for q := range uint32(4) {
		if used[q] < 6 {
			t.Errorf("queue %d gets %d flows of 64", q, used[q])
		}
	}
	for n := range 60 { // short packets have a hash too
		flowHash(text(n))
	}
}
