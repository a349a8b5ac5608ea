package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// cut returns the pieces of a packet, each in its own slice.
func cut(t testing.TB, b []byte, gso uint16) [][]byte {
	t.Helper()
	var sp wire.Splitter
	if f := sp.Start(b, gso); f != wire.FaultNone {
		t.Fatal(f)
	}
	var out [][]byte
	left := sp.Left()
	buf := make([]byte, sp.MaxLen())
	for n := sp.Next(buf); n > 0; n = sp.Next(buf) {
		out = append(out, bytes.Clone(buf[:n]))
	}
	if len(out) != left {
		t.Fatalf("%d packets; Left said %d", len(out), left)
	}
	return out
}

func TestSplitFlags(t *testing.T) {
	ts := wire.Options{Set: wire.HasTimestamps, TSVal: 1, TSEcr: 2}
	for _, f := range []wire.Flow{flow4, flow6} {
		b := form(t, f, wire.Segment{Seq: 1<<32 - 3, Ack: 9, Wnd: 7, TC: 2, HopLimit: 3, Options: ts, Up: 5,
			Flags: wire.ACK | wire.PSH | wire.FIN | wire.CWR | wire.ECE | wire.URG, Text: []byte("0123456789")})
		const base = wire.ACK | wire.ECE
		want := []wire.Segment{
			{Seq: 1<<32 - 3, Flags: base | wire.CWR | wire.URG, Up: 5, Text: []byte("0123")},
			{Seq: 1, Flags: base | wire.URG, Up: 1, Text: []byte("4567")}, // the same octet, 4 further on
			{Seq: 5, Flags: base | wire.PSH | wire.FIN, Text: []byte("89")},
		}
		pieces := cut(t, b, 4)
		if len(pieces) != len(want) {
			t.Fatalf("%d pieces; want %d", len(pieces), len(want))
		}
		for i, p := range pieces {
			ip, s := parse(t, p)
			w := want[i]
			if s.Seq != w.Seq || s.Flags != w.Flags || s.Up != w.Up || !bytes.Equal(s.Text, w.Text) {
				t.Errorf("piece %d: %v URG %d %q; want %v URG %d %q", i, &s, s.Up, s.Text, &w, w.Up, w.Text)
			}
			if s.Ack != 9 || s.Wnd != 7 || s.TC != 2 || s.HopLimit != 3 || !reflect.DeepEqual(s.Options, ts) || ip.ID != 0 {
				t.Errorf("piece %d: %+v, %+v", i, s, ip)
			}
		}
	}
}

// With AE it is ACE, the same in all pieces: RFC 9768 section 3.3.4.
func TestSplitKeepsACE(t *testing.T) {
	for _, ace := range []wire.Flags{wire.AE, wire.AE | wire.CWR, wire.AE | wire.CWR | wire.ECE} {
		for i, p := range cut(t, form(t, flow6, wire.Segment{Flags: wire.ACK | ace, HopLimit: 1, Text: []byte("0123456789")}), 4) {
			if _, s := parse(t, p); s.Flags != wire.ACK|ace {
				t.Errorf("piece %d of a super-segment with %v has %v", i, ace, s.Flags)
			}
		}
	}
}

func TestSplitCountsIdentificationWhereItMeansSomething(t *testing.T) {
	b := form(t, flow4, wire.Segment{Flags: wire.ACK, Text: []byte("0123456789"), HopLimit: 1})
	h := wire.IPv4(b)
	h.SetID(65535)
	for _, df := range []bool{true, false} {
		h.SetFragment(df, false, 0)
		h.UpdateChecksum()
		want := []uint16{65535, 0, 1}
		if df {
			want = []uint16{65535, 65535, 65535}
		}
		for i, p := range cut(t, b, 4) {
			if got := wire.IPv4(p).ID(); got != want[i] {
				t.Errorf("DF %v, piece %d: identification %d; want %d", df, i, got, want[i])
			}
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	text := []byte("0123456789")
	fragment := form(t, flow4, wire.Segment{Flags: wire.ACK, Text: text})
	wire.IPv4(fragment).SetFragment(false, true, 0)
	wire.IPv4(fragment).UpdateChecksum()
	offset := form(t, flow4, wire.Segment{Flags: wire.ACK, Text: text})
	wire.TCP(offset[20:]).SetDataOffset(60)
	tests := []struct {
		name string
		b    []byte
		gso  uint16
		want wire.Fault
	}{
		{"no size", form(t, flow4, wire.Segment{Flags: wire.ACK, Text: text}), 0, wire.FaultSplit},
		{"SYN", form(t, flow4, wire.Segment{Flags: wire.SYN, Text: text}), 4, wire.FaultSplit},
		{"RST", form(t, flow6, wire.Segment{Flags: wire.RST, Text: text}), 4, wire.FaultSplit},
		{"RST that fits", form(t, flow6, wire.Segment{Flags: wire.RST, Text: text}), 10, wire.FaultNone},
		{"a fragment", fragment, 4, wire.FaultSplit},
		{"UDP", ipv4(dst4, 17, nil, make([]byte, 40)), 4, wire.FaultSplit},
		{"half a TCP header", ipv4(dst4, 6, nil, make([]byte, 19)), 4, wire.FaultTCPShort},
		{"data offset beyond the packet", offset, 4, wire.FaultTCPDataOffset},
		{"no packet", []byte{0x45}, 4, wire.FaultIPShort},
	}
	for _, tt := range tests {
		var sp wire.Splitter
		if f := sp.Start(tt.b, tt.gso); f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
		}
		if tt.want != wire.FaultNone && (sp.Left() != 0 || sp.Next(nil) != 0) {
			t.Errorf("%s: refused, and something is left", tt.name)
		}
	}
	var zero wire.Splitter
	if zero.Next(nil) != 0 || zero.Left() != 0 {
		t.Error("the zero Splitter has something to cut")
	}
}

// The rows that must not be merged differ from the good pair in one thing each.
func TestMergeOnlyWhatCannotBeToldApart(t *testing.T) {
	ts := wire.Options{Set: wire.HasTimestamps, TSVal: 1, TSEcr: 2}
	first := wire.Segment{Seq: 100, Ack: 9, Wnd: 7, TC: 2, HopLimit: 3, Flags: wire.ACK, Text: []byte("0123"), Options: ts}
	second := first
	second.Seq, second.Text = 104, []byte("4567")
	type pair struct {
		a, b     wire.Segment
		fa, fb   wire.Flow
		gso      uint16
		ra, rb   func(b []byte) // the bytes, after forming
		overflow bool
	}
	tests := []struct {
		name string
		edit func(p *pair)
		want bool
	}{
		{"the good pair", func(p *pair) {}, true},
		{"the second shorter", func(p *pair) { p.b.Text = p.b.Text[:1] }, true},
		{"the second with PSH", func(p *pair) { p.b.Flags |= wire.PSH }, true},
		{"the second with FIN", func(p *pair) { p.b.Flags |= wire.FIN }, true},
		{"both with ECE", func(p *pair) { p.a.Flags |= wire.ECE; p.b.Flags |= wire.ECE }, true},
		{"already merged of twos", func(p *pair) { p.gso = 2; p.b.Text = p.b.Text[:2] }, true},
		{"another identification with DF", func(p *pair) { p.rb = func(b []byte) { setID(b, 77) } }, true},

		{"the second longer", func(p *pair) { p.b.Text = []byte("45678") }, false},
		{"the first already ended short", func(p *pair) { p.gso = 3; p.b.Text = p.b.Text[:2] }, false},
		{"no text in the second", func(p *pair) { p.b.Text = nil }, false},
		{"no text in the first", func(p *pair) { p.a.Text = nil; p.b.Seq = 100 }, false},
		{"a gap", func(p *pair) { p.b.Seq++ }, false},
		{"the same again", func(p *pair) { p.b.Seq = p.a.Seq }, false},
		{"the first with PSH", func(p *pair) { p.a.Flags |= wire.PSH }, false},
		{"the first with FIN", func(p *pair) { p.a.Flags |= wire.FIN }, false},
		{"ECE in the second", func(p *pair) { p.b.Flags |= wire.ECE }, false},
		{"ECE in the first", func(p *pair) { p.a.Flags |= wire.ECE }, false},
		{"AE in both, as ACE begins with it", func(p *pair) { p.a.Flags |= wire.AE | wire.ECE; p.b.Flags |= wire.AE | wire.ECE }, true},
		{"AE in the first", func(p *pair) { p.a.Flags |= wire.AE }, false},
		{"AE in the second", func(p *pair) { p.b.Flags |= wire.AE }, false},
		{"another AccECN option", func(p *pair) { p.a.Options.AddAccECN(1); p.b.Options.AddAccECN(2) }, false},
		{"CWR in both", func(p *pair) { p.a.Flags |= wire.CWR; p.b.Flags |= wire.CWR }, false},
		{"URG in both", func(p *pair) { p.a.Flags |= wire.URG; p.b.Flags |= wire.URG }, false},
		{"SYN in both", func(p *pair) { p.a.Flags |= wire.SYN; p.b.Flags |= wire.SYN }, false},
		{"RST in both", func(p *pair) { p.a.Flags |= wire.RST; p.b.Flags |= wire.RST }, false},
		{"RST in the second", func(p *pair) { p.b.Flags |= wire.RST }, false},
		{"no ACK", func(p *pair) { p.a.Flags, p.b.Flags = 0, 0 }, false},
		{"another acknowledgment", func(p *pair) { p.b.Ack++ }, false},
		{"another window", func(p *pair) { p.b.Wnd++ }, false},
		{"another timestamp", func(p *pair) { p.b.Options.TSVal++ }, false},
		{"no options in the second", func(p *pair) { p.b.Options = wire.Options{} }, false},
		{"another ECN codepoint", func(p *pair) { p.b.TC = 3 }, false},
		{"another hop limit", func(p *pair) { p.b.HopLimit++ }, false},
		{"another source port", func(p *pair) { p.fb.LocalPort++ }, false},
		{"another destination port", func(p *pair) { p.fb.RemotePort++ }, false},
		{"another source", func(p *pair) { p.fb.Local[15]++ }, false},
		{"another destination", func(p *pair) { p.fb.Remote[15]++ }, false},
		{"reserved bits", func(p *pair) { p.rb = func(b []byte) { b[tcpAt(b)+12] |= 2 } }, false},
		{"no room", func(p *pair) { p.overflow = true }, false},
		{"padding behind the first", func(p *pair) { p.ra = nil }, false},
		{"padding behind the second", func(p *pair) { p.rb = nil }, false},
		{"may be fragmented", func(p *pair) { p.ra, p.rb = clearDF, clearDF }, false},
		{"a fragment", func(p *pair) { p.rb = setMF }, false},
		{"IPv4 header checksum", func(p *pair) { p.rb = breakHeader }, false},
		{"another flow label", func(p *pair) { p.rb = setLabel }, false},
	}
	keep := func([]byte) {}
	for _, f := range []wire.Flow{flow4, flow6} {
		for _, tt := range tests {
			p := pair{a: first, b: second, fa: f, fb: f, ra: keep, rb: keep}
			tt.edit(&p)
			want := tt.want
			switch { // rows that say something of one version alone
			case !f.Local.Is4() && (tt.name == "may be fragmented" || tt.name == "a fragment" || tt.name == "IPv4 header checksum"),
				f.Local.Is4() && tt.name == "another flow label":
				want = true
			}
			raw := func(f wire.Flow, s wire.Segment, edit func([]byte)) []byte {
				b := form(t, f, s)
				if edit == nil {
					return append(bytes.Clone(b), 0)
				}
				edit(b)
				return b
			}
			a, b := raw(p.fa, p.a, p.ra), raw(p.fb, p.b, p.rb)
			held := make([]byte, len(a), len(a)+len(p.b.Text))
			if p.overflow {
				held = held[:len(a):len(a)]
			}
			copy(held, a)
			merged, gso, ok := wire.Merge(held, p.gso, b)
			if ok != want {
				t.Errorf("%v: %s: merged %v; want %v", f, tt.name, ok, want)
				continue
			}
			if !ok {
				if !bytes.Equal(merged, a) || gso != p.gso {
					t.Errorf("%s: refused, and changed", tt.name)
				}
				continue
			}
			if f := wire.FinishChecksum(merged); f != wire.FaultNone {
				t.Errorf("%s: %v", tt.name, f)
			}
			_, s := parse(t, merged)
			if string(s.Text) != string(p.a.Text)+string(p.b.Text) || s.Flags != p.a.Flags|p.b.Flags || s.Seq != 100 {
				t.Errorf("%s: %v %q", tt.name, &s, s.Text)
			}
			if want := max(p.gso, 4); p.gso == 0 && gso != want || p.gso != 0 && gso != p.gso {
				t.Errorf("%s: gso %d", tt.name, gso)
			}
		}
	}
}

func tcpAt(b []byte) int {
	if wire.Version(b) == 4 {
		return 20
	}
	return 40
}

func setID(b []byte, id uint16) {
	if wire.Version(b) == 4 {
		wire.IPv4(b).SetID(id)
		wire.IPv4(b).UpdateChecksum()
	}
}

func clearDF(b []byte) {
	if wire.Version(b) == 4 {
		wire.IPv4(b).SetFragment(false, false, 0)
		wire.IPv4(b).UpdateChecksum()
	}
}

func setMF(b []byte) {
	if wire.Version(b) == 4 {
		wire.IPv4(b).SetFragment(true, true, 0)
		wire.IPv4(b).UpdateChecksum()
	}
}

func breakHeader(b []byte) {
	if wire.Version(b) == 4 {
		wire.IPv4(b).SetChecksum(wire.IPv4(b).Checksum() ^ 1)
	}
}

func setLabel(b []byte) {
	if wire.Version(b) == 6 {
		wire.IPv6(b).SetFlowLabel(5)
	}
}

func TestMergeStopsAtTheLargestPacket(t *testing.T) {
	a := wire.Segment{Flags: wire.ACK, Text: make([]byte, 40000)}
	b := wire.Segment{Flags: wire.ACK, Seq: 40000, Text: make([]byte, 30000)}
	held := append(make([]byte, 0, 100000), form(t, flow4, a)...)
	if _, _, ok := wire.Merge(held, 0, form(t, flow4, b)); ok {
		t.Error("a packet of more than 65,535 octets")
	}
}

// What is cut is merged to the same octets again.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("some text that is cut"), uint16(4), uint8(0x18), uint32(1<<32-2), uint64(77), true, true)
	f.Add(make([]byte, 5000), uint16(1460), uint8(0x11), uint32(0), uint64(1), false, false)
	f.Add([]byte("urgent"), uint16(1), uint8(0xf0), uint32(1), uint64(3), false, true)
	f.Fuzz(func(t *testing.T, text []byte, gso uint16, flags uint8, sq uint32, opts uint64, v6, stamps bool) {
		if len(text) > 60000 || len(text) > 2000*int(gso) {
			return
		}
		fl := flow4
		if v6 {
			fl = flow6
		}
		s := wire.Segment{Seq: seq.Num(sq), Ack: 5, Wnd: uint16(opts), Up: uint16(opts >> 16), Flags: wire.Flags(flags) | wire.ACK,
			TC: uint8(opts >> 32), HopLimit: 9, Text: text}
		if stamps {
			s.Options = wire.Options{Set: wire.HasTimestamps, TSVal: 3, TSEcr: uint32(opts)}
		}
		whole := form(t, fl, s)
		var sp wire.Splitter
		if fault := sp.Start(whole, gso); fault != wire.FaultNone {
			if gso != 0 && (len(text) <= int(gso) || s.Flags&(wire.SYN|wire.RST) == 0) {
				t.Fatal(fault)
			}
			return
		}
		var all []byte
		held, size, merged := make([]byte, 0, len(whole)), uint16(0), true
		for i, p := range cut(t, whole, gso) {
			_, q := parse(t, p)
			if q.Seq != s.Seq.Add(uint32(len(all))) || len(q.Text) > int(gso) {
				t.Fatalf("piece %d: %v", i, &q)
			}
			if urgent := int(s.Up) - len(all); s.Flags.Has(wire.URG) && i > 0 && q.Flags.Has(wire.URG) != (urgent > 0) ||
				q.Flags.Has(wire.URG) && int(q.Up) != urgent {
				t.Fatalf("piece %d: URG %v at %d; want %d", i, q.Flags, q.Up, urgent)
			}
			all = append(all, q.Text...)
			if last := len(all) == len(text); q.Flags&(wire.PSH|wire.FIN) != 0 && !last || last && q.Flags&(wire.PSH|wire.FIN) != s.Flags&(wire.PSH|wire.FIN) {
				t.Fatalf("piece %d: %v", i, q.Flags)
			}
			if q.Flags.Has(wire.CWR) != (s.Flags.Has(wire.CWR) && (i == 0 || s.Flags.Has(wire.AE))) {
				t.Fatalf("piece %d: %v", i, q.Flags)
			}
			if i == 0 {
				held = append(held, p...)
			} else if merged {
				held, size, merged = wire.Merge(held, size, p)
			}
		}
		if !bytes.Equal(all, text) {
			t.Fatal("the pieces are another text")
		}
		if s.Flags&(wire.CWR|wire.URG|wire.SYN|wire.RST) != 0 && len(text) > int(gso) {
			return // such packets are not merged
		}
		if size != 0 && wire.FinishChecksum(held) != wire.FaultNone {
			t.Fatal("the merged packet is no packet")
		}
		if !merged || !bytes.Equal(held, whole) {
			t.Fatalf("merged %v:\n got %x\nwant %x", merged, held, whole)
		}
	})
}

func FuzzMerge(f *testing.F) {
	s := wire.Segment{Flags: wire.ACK, Text: []byte("0123"), HopLimit: 1}
	b := make([]byte, 100)
	n := wire.PutSegment(b, &flow4, &s, wire.ChecksumNone)
	f.Add(b[:n], uint16(0), b[:n])
	n = wire.PutSegment(b, &flow6, &s, wire.ChecksumNone)
	f.Add(b[:n], uint16(2), b[:n])
	f.Fuzz(func(t *testing.T, held []byte, gso uint16, next []byte) {
		if len(held) > 70000 || len(next) > 70000 {
			return
		}
		before := bytes.Clone(held)
		buf := append(make([]byte, 0, len(held)+len(next)), held...)
		merged, _, ok := wire.Merge(buf, gso, next)
		if !ok && !bytes.Equal(merged, before) {
			t.Fatal("refused, and changed")
		}
		if ok && wire.FinishChecksum(merged) != wire.FaultNone {
			t.Fatal("the merged packet is no packet")
		}
	})
}
