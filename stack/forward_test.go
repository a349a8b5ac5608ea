package stack_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// newRouter has 10.0.0.1/24 on interface 1 and 10.1.0.1/24 on interface 2, whose MTU is
// less; IPv6 likewise.
func newRouter(t *testing.T, two stack.InterfaceConfig) *seat {
	cfg := config()
	cfg.Forward = true
	x := newSeat(t, cfg)
	two.Prefixes = prefixes("10.1.0.1/24", "2001:db8:1::1/64")
	x.link(two)
	return x
}

// STORY R3: the hop limit falls by one at each router, and who sent a packet that dies is
// told.
func TestForwardedOnce(t *testing.T) {
	for _, c := range []struct{ from, to, router string }{
		{"10.0.0.9", "10.1.0.9", "10.0.0.1"}, {"2001:db8::9", "2001:db8:1::9", "2001:db8::1"},
	} {
		x := newRouter(t, stack.InterfaceConfig{MTU: 1500})
		b := raw(c.from, c.to, 132, 2, []byte("payload of no protocol"))
		o := one(t, "a packet for another net", x.put(b))
		if o.iface != 2 || o.ip.HopLimit != 1 || o.ip.Dst.String() != c.to || o.ip.Src.String() != c.from {
			t.Errorf("by %d, hop limit %d, %v > %v", o.iface, o.ip.HopLimit, o.ip.Src, o.ip.Dst)
		}
		if !bytes.Equal(o.ip.Payload, []byte("payload of no protocol")) {
			t.Error("the payload has changed")
		}
		for _, hops := range []uint8{1, 0} {
			b = raw(c.from, c.to, 132, hops, []byte("payload of no protocol"))
			o = one(t, "a packet at its end", x.put(b))
			if o.iface != 1 || o.icmp.Kind != wire.ICMPTimeExceeded || o.icmp.Code != wire.ICMPHopLimitExceeded || o.ip.Src.String() != c.router || o.ip.Dst.String() != c.from {
				t.Errorf("hop limit %d: by %d from %v: %+v", hops, o.iface, o.ip.Src, o.icmp)
			}
			if !bytes.Equal(o.icmp.Body, b) {
				t.Error("it does not quote the packet as it came")
			}
		}
		if st := x.s.Stats(); st.Forwarded != 1 || st.HopLimitExceeded != 2 {
			t.Errorf("%d forwarded, %d died", st.Forwarded, st.HopLimitExceeded)
		}
	}
}

func TestNotForwarded(t *testing.T) {
	for _, c := range []struct {
		what, from, to string
		kind           wire.ICMPKind // ICMPOther: silence
		code4, code6   uint8
	}{
		{"no route", "10.0.0.9", "192.168.0.1", wire.ICMPUnreachable, wire.ICMPv4NetUnreachable, 0},
		{"no route", "2001:db8::9", "2001:db8:7::1", wire.ICMPUnreachable, 0, wire.ICMPv6NoRoute},
		{"back over the link", "10.0.0.9", "10.0.0.8", wire.ICMPUnreachable, wire.ICMPv4HostUnreachable, 0},
		{"back over the link", "2001:db8::9", "2001:db8::8", wire.ICMPUnreachable, 0, wire.ICMPv6AddressUnreachable},
		{"multicast", "10.0.0.9", "224.1.1.1", wire.ICMPOther, 0, 0},
		{"the other net's broadcast", "10.0.0.9", "10.1.0.255", wire.ICMPOther, 0, 0},
		{"from link-local", "fe80::9", "2001:db8:1::9", wire.ICMPOther, 0, 0},
		{"to link-local", "10.0.0.9", "169.254.1.1", wire.ICMPOther, 0, 0},
		{"a martian", "127.0.0.1", "10.1.0.9", wire.ICMPOther, 0, 0},
		{"from the router", "10.1.0.1", "10.1.0.9", wire.ICMPOther, 0, 0},
	} {
		x := newRouter(t, stack.InterfaceConfig{MTU: 1500})
		got := x.put(raw(c.from, c.to, 132, 9, []byte("payload")))
		if c.kind == wire.ICMPOther {
			none(t, c.what, got)
			continue
		}
		o := one(t, c.what, got)
		code := c.code4
		if o.ip.V6 {
			code = c.code6
		}
		if o.icmp.Kind != c.kind || o.icmp.Code != code {
			t.Errorf("%s: %+v", c.what, o.icmp)
		}
	}
	x := newSeat(t, config()) // no router
	x.link(stack.InterfaceConfig{Prefixes: prefixes("10.1.0.1/24")})
	none(t, "a packet for another net", x.put(raw("10.0.0.9", "10.1.0.9", 132, 9, []byte("payload"))))
}

// RFC 8200 section 4: a router reads hop-by-hop options and no other extension header.
func TestRouterReadsHopByHopOnly(t *testing.T) {
	header := func(next byte) []byte { return []byte{next, 0, 0xbe, 4, 0, 0, 0, 0} } // "discard, and answer"
	routing := []byte{132, 0, 0, 3, 0, 0, 0, 0}
	for _, c := range []struct {
		what  string
		proto uint8
		b     []byte
		pass  bool
	}{
		{"an unknown destination option", wire.ProtoDestOpts, header(132), true},
		{"a routing header", wire.ProtoRouting, routing, true},
		{"an unknown hop-by-hop option", wire.ProtoHopByHop, header(132), false},
		{"a known hop-by-hop option, then a routing header", wire.ProtoHopByHop, append([]byte{wire.ProtoRouting, 0, 1, 4, 0, 0, 0, 0}, routing...), true},
	} {
		x := newRouter(t, stack.InterfaceConfig{MTU: 1500})
		x.passes = true
		got := x.put(raw("2001:db8::9", "2001:db8:1::9", c.proto, 9, append(bytes.Clone(c.b), "payload"...)))
		if passed := len(got) == 1 && got[0].iface == 2 && x.s.Stats().Forwarded == 1; passed != c.pass {
			t.Errorf("%s: passed %v", c.what, passed)
		}
		own := newSeat(t, config())
		if got := own.put(raw("2001:db8::9", "2001:db8::1", c.proto, 9, c.b)); len(got) != 1 || got[0].icmp.Kind != wire.ICMPParameterProblem {
			t.Errorf("%s to the host itself: %d answers", c.what, len(got))
		}
	}
}

// What must not be answered by an error is not when it dies on the way either.
func TestForwardedAndNotAnswered(t *testing.T) {
	x := newRouter(t, stack.InterfaceConfig{MTU: 1500})
	inner := raw("10.1.0.9", "10.0.0.9", 132, 9, []byte("payload"))
	b := icmp("10.0.0.9", "10.1.0.9", wire.ICMPMessage{Kind: wire.ICMPUnreachable, Body: inner})
	wire.IPv4(b).SetTTL(1)
	wire.IPv4(b).UpdateChecksum()
	none(t, "an ICMP error at its end", x.put(b))
	b = raw("10.0.0.9", "10.1.0.9", 132, 1, []byte("payload"))
	wire.IPv4(b).SetFragment(false, false, 80)
	wire.IPv4(b).UpdateChecksum()
	none(t, "a later fragment at its end", x.put(b))
	if n := x.s.Stats().HopLimitExceeded; n != 2 {
		t.Errorf("%d died", n)
	}
}

// RFC 1191 section 4, RFC 8200 section 5, RFC 791 section 3.2: what does not fit.
func TestForwardTooBig(t *testing.T) {
	x := newRouter(t, stack.InterfaceConfig{MTU: 1300})
	payload := make([]byte, 1400)
	for i := range payload {
		payload[i] = byte(i >> 2)
	}
	o := one(t, "IPv6", x.put(raw("2001:db8::9", "2001:db8:1::9", 132, 9, payload)))
	if o.icmp.Kind != wire.ICMPPacketTooBig || o.icmp.MTU != 1300 {
		t.Errorf("%+v", o.icmp)
	}
	b := raw("10.0.0.9", "10.1.0.9", 132, 9, payload)
	df := bytes.Clone(b)
	wire.IPv4(df).SetFragment(true, false, 0)
	wire.IPv4(df).UpdateChecksum()
	if o = one(t, "IPv4 with DF", x.put(df)); o.icmp.Kind != wire.ICMPPacketTooBig || o.icmp.MTU != 1300 {
		t.Errorf("%+v", o.icmp)
	}
	// Without DF it goes in fragments; options are copied where they say so.
	options := []byte{0x07, 3, 4, 0x94, 4, 0, 0, 0} // record route, not copied; router alert, copied
	b = append(append(bytes.Clone(b[:20]), options...), b[20:]...)
	h := wire.IPv4(b)
	h.SetHeaderLen(28)
	h.SetTotalLen(uint16(len(b)))
	h.SetID(77)
	h.UpdateChecksum()
	got := x.put(b)
	var r wire.Reassembler
	for i, o := range got {
		if o.iface != 2 || len(o.raw) > 1300 || o.ip.ID != 77 || o.ip.HopLimit != 8 {
			t.Errorf("fragment %d: %d octets by %d, ID %d", i, len(o.raw), o.iface, o.ip.ID)
		}
		if i > 0 && !bytes.Equal(wire.IPv4(o.raw).Options(), []byte{0x94, 4, 0, 0}) {
			t.Errorf("fragment %d has options %v", i, wire.IPv4(o.raw).Options())
		}
		whole, f := r.Add(1, &o.ip)
		if f != wire.FaultNone {
			t.Fatal(f)
		}
		if (whole != nil) != (i == len(got)-1) {
			t.Fatalf("%d fragments, whole after %d", len(got), i)
		}
		if whole != nil && !bytes.Equal(whole[28:], payload) {
			t.Error("the fragments make another packet")
		}
	}
	// A fragment too big for the next link is cut again, and its pieces still fit.
	piece := raw("10.0.0.9", "10.1.0.9", 132, 9, payload)
	wire.IPv4(piece).SetFragment(false, true, 1400)
	wire.IPv4(piece).UpdateChecksum()
	got = x.put(piece)
	if len(got) != 2 || !got[0].ip.MoreFragments || !got[1].ip.MoreFragments || got[0].ip.FragmentOffset != 1400 ||
		got[1].ip.FragmentOffset != 1400+len(got[0].ip.Payload) {
		t.Errorf("a fragment in %d pieces: %+v", len(got), got)
	}
}

// A super-segment passes whole where the next link takes it, else in segments; checksums
// are right either way.
func TestForwardSuperSegments(t *testing.T) {
	text := make([]byte, 10_000)
	for i := range text {
		text[i] = byte(i >> 4)
	}
	for _, c := range []struct {
		two  stack.InterfaceConfig
		want int
	}{
		{stack.InterfaceConfig{MTU: 1500, MaxSuper: 65535, ChecksumOffload: true}, 1},
		{stack.InterfaceConfig{MTU: 1500}, 10},
		{stack.InterfaceConfig{MTU: 1500, ChecksumOffload: true}, 10},
		{stack.InterfaceConfig{MTU: 1500, MaxSuper: 5000, ChecksumOffload: true}, 10},
		{stack.InterfaceConfig{MTU: 9000, MaxSuper: 65535, ChecksumOffload: true}, 1},
		{stack.InterfaceConfig{MTU: 20000}, 1}, // no super-segment there: it fits
	} {
		for _, sum := range []wire.Checksum{wire.ChecksumNone, wire.ChecksumPartial} {
			for _, v6 := range []bool{false, true} {
				from, to := mustAP("10.0.0.9:1"), mustAP("10.1.0.9:2")
				if v6 {
					from, to = mustAP("[2001:db8::9]:1"), mustAP("[2001:db8:1::9]:2")
				}
				x := newRouter(t, c.two)
				f := flowOf(from, to)
				b := wire.AppendSegment(nil, &f, &wire.Segment{Seq: 5, Ack: 6, Flags: wire.ACK, Text: text}, sum)
				x.s.Arrive(x.now, 1, &wire.Packet{Buf: b, GSO: 1000, Sum: sum})
				got := x.take() // it verifies checksums
				if len(got) != c.want {
					t.Fatalf("%+v: %d packets; want %d", c.two, len(got), c.want)
				}
				if whole := c.two.MaxSuper > 10_000; (got[0].gso == 1000) != whole {
					t.Errorf("%+v: GSO is %d", c.two, got[0].gso)
				}
				var all []byte
				for _, o := range got {
					all = append(all, o.seg.Text...)
				}
				if !bytes.Equal(all, text) {
					t.Errorf("%+v: the text has changed", c.two)
				}
			}
		}
	}
	// One whose checksum is wrong is not made to look sound.
	x := newRouter(t, stack.InterfaceConfig{MTU: 1500})
	b := segment(mustAP("10.0.0.9:1"), mustAP("10.1.0.9:2"), wire.Segment{Flags: wire.ACK, Text: text})
	b[len(b)-1] ^= 1
	x.s.Arrive(x.now, 1, &wire.Packet{Buf: b, GSO: 1000})
	none(t, "a damaged super-segment", x.take())
	// One that would not fit even when cut.
	x = newRouter(t, stack.InterfaceConfig{MTU: 1300, MaxSuper: 65535, ChecksumOffload: true})
	b = segment(mustAP("10.0.0.9:1"), mustAP("10.1.0.9:2"), wire.Segment{Flags: wire.ACK, Text: text})
	x.s.Arrive(x.now, 1, &wire.Packet{Buf: b, GSO: 1448})
	if o := one(t, "a super-segment of long segments", x.take()); o.icmp.Kind != wire.ICMPPacketTooBig || o.icmp.MTU != 1300 {
		t.Errorf("%+v", o.icmp)
	}
}

// ATTACKS: FragmentSmack, overlaps. A flood of first fragments holds a bounded memory, good
// traffic passes, and who sent one that was given up is told.
func TestFragments(t *testing.T) {
	x := newSeat(t, config())
	first := func(id uint16) []byte {
		b := raw("10.0.0.9", "10.0.0.1", wire.ProtoUDP, 9, make([]byte, 1400))
		h := wire.IPv4(b)
		h.SetID(id)
		h.SetFragment(false, true, 0)
		h.UpdateChecksum()
		return b
	}
	for i := range 60_000 {
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: first(uint16(i))})
	}
	none(t, "first fragments", x.take())
	held := x.s.Stats().Fragments
	if held > wire.DefaultReassemblyBytes {
		t.Errorf("%d octets are held", held)
	}
	// A SYN in two fragments is a SYN.
	s := segment(peer4, local4, wire.Segment{Seq: 1, Flags: wire.SYN, Text: make([]byte, 500)})
	a, b := bytes.Clone(s[:220]), append(bytes.Clone(s[:20]), s[220:]...)
	for i, p := range [][]byte{a, b} {
		h := wire.IPv4(p)
		h.SetTotalLen(uint16(len(p)))
		h.SetID(0xffff)
		h.SetFragment(false, i == 0, 200*i)
		h.UpdateChecksum()
	}
	none(t, "the second half of a SYN", x.put(b))
	if o := one(t, "the first half of a SYN", x.put(a)); o.seg.String() != "<SEQ=0><ACK=502><CTL=RST,ACK>" {
		t.Errorf("%v", o.seg.String())
	}
	x.now = x.now.Add(2 * time.Minute)
	if d := x.s.Deadline(); d != x.now.Add(-time.Minute) {
		t.Errorf("fragments expire at %v", d)
	}
	x.s.Timeout(x.now)
	got := x.take()
	if len(got) == 0 || len(got) > 100 {
		t.Errorf("%d messages", len(got))
	}
	for _, o := range got {
		if o.icmp.Kind != wire.ICMPTimeExceeded || o.icmp.Code != wire.ICMPReassemblyExceeded {
			t.Errorf("%+v", o.icmp)
		}
	}
	if st := x.s.Stats(); st.Fragments != 0 {
		t.Errorf("%d octets are still held", st.Fragments)
	}
	// Overlapping fragments are dropped, and what follows of them.
	o := bytes.Clone(a)
	wire.IPv4(o).SetFragment(false, true, 104)
	wire.IPv4(o).UpdateChecksum()
	for _, p := range [][]byte{a, o, b} {
		none(t, "an overlapping fragment", x.put(p))
	}
	if x.s.Stats().Faults[wire.FaultFragmentOverlap] != 2 {
		t.Errorf("%d overlaps", x.s.Stats().Faults[wire.FaultFragmentOverlap])
	}
}
