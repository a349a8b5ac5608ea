package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// tcpHeader returns a header with the flags and exactly these options, padded with the
// end of the list.
func tcpHeader(flags wire.Flags, opts ...byte) []byte {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	h := wire.TCP(make([]byte, 20+len(opts)))
	h.SetSrcPort(1)
	h.SetDstPort(2)
	h.SetDataOffset(len(h))
	h.SetFlags(flags)
	copy(h[20:], opts)
	return h
}

func TestOptionsThatAreRead(t *testing.T) {
	mss := wire.Options{Set: wire.HasMSS, MSS: 1460}
	tests := []struct {
		name  string
		flags wire.Flags
		opts  []byte
		want  wire.Options
	}{
		// MUST-4: "the following options MUST be supported"
		{"end of list", wire.SYN, []byte{0}, wire.Options{}},
		{"what follows the end is not read", wire.SYN, []byte{0, 2, 4, 5}, wire.Options{}},
		{"no-operation", wire.SYN, []byte{1, 1, 1, 1}, wire.Options{}},
		{"maximum segment size", wire.SYN, []byte{2, 4, 0x05, 0xb4}, mss}, // MUST-14
		// MUST-64: not on a word
		{"after one no-operation", wire.SYN, []byte{1, 2, 4, 0x05, 0xb4}, mss},
		{"timestamps at an odd octet", wire.ACK, []byte{1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
			wire.Options{Set: wire.HasTimestamps, TSVal: 1, TSEcr: 2}},
		// MUST-5: in any segment
		{"in a FIN", wire.FIN | wire.ACK, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
			wire.Options{Set: wire.HasTimestamps, TSVal: 1, TSEcr: 2}},
		{"in a RST", wire.RST, []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
			wire.Options{Set: wire.HasTimestamps, TSVal: 1, TSEcr: 2}},
		// MUST-6: unknown, with every length an option can have
		{"unknown before known", wire.SYN, []byte{253, 2, 70, 5, 9, 9, 9, 2, 4, 0x05, 0xb4}, mss},
		{"unknown that fills the header", wire.SYN, append([]byte{25, 40}, make([]byte, 38)...), wire.Options{}},
		// RFC 7323 section 2.3
		{"window scale", wire.SYN, []byte{3, 3, 7}, wire.Options{Set: wire.HasWindowScale, WindowScale: 7}},
		{"window scale beyond 14", wire.SYN, []byte{3, 3, 255}, wire.Options{Set: wire.HasWindowScale, WindowScale: 14}},
		{"SACK-permitted", wire.SYN, []byte{4, 2}, wire.Options{Set: wire.HasSACKPermitted}},
		{"SACK", wire.ACK, []byte{5, 10, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
			wire.Options{Set: wire.HasSACK, NSACK: 1, SACK: [4]wire.SACKBlock{{Left: 1, Right: 1<<32 - 1}}}},
		{"the last of two counts", wire.SYN, []byte{2, 4, 0, 9, 2, 4, 0x05, 0xb4}, mss},
		{"the last of two SACKs counts, and nothing of the first stays", wire.ACK,
			[]byte{5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 5, 10, 0, 0, 0, 5, 0, 0, 0, 6},
			wire.Options{Set: wire.HasSACK, NSACK: 1, SACK: [4]wire.SACKBlock{{Left: 5, Right: 6}}}},
		// MUST-65: in other segments they mean nothing
		{"maximum segment size without SYN", wire.ACK, []byte{2, 4, 0x05, 0xb4}, wire.Options{}},
		// RFC 9768 section 3.2.3, figure 4 and table 5, and lengths that are none of these.
		{"AccECN0", wire.ACK, []byte{172, 11, 0, 0, 1, 0, 1, 0, 0xff, 0, 2},
			wire.Options{Set: wire.HasAccECN, NAccECN: 3, AccECN: wire.AccECN{EE0B: 1, ECEB: 256, EE1B: 0xff0002}}},
		{"AccECN1", wire.SYN | wire.ACK, []byte{174, 11, 0, 0, 1, 0, 1, 0, 0xff, 0, 2},
			wire.Options{Set: wire.HasAccECN, NAccECN: 3, AccECNOrder: 1, AccECN: wire.AccECN{EE1B: 1, ECEB: 256, EE0B: 0xff0002}}},
		{"AccECN1 of two fields", wire.ACK, []byte{174, 8, 0, 0, 1, 0, 1, 0},
			wire.Options{Set: wire.HasAccECN, NAccECN: 2, AccECNOrder: 1, AccECN: wire.AccECN{EE1B: 1, ECEB: 256}}},
		{"AccECN0 of one field and two octets", wire.ACK, []byte{172, 7, 0, 0, 1, 9, 9},
			wire.Options{Set: wire.HasAccECN, NAccECN: 1, AccECN: wire.AccECN{EE0B: 1}}},
		{"AccECN0, empty", wire.ACK, []byte{172, 2}, wire.Options{Set: wire.HasAccECN}},
		{"AccECN0 of four fields", wire.ACK, []byte{172, 14, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4},
			wire.Options{Set: wire.HasAccECN, NAccECN: 3, AccECN: wire.AccECN{EE0B: 1, ECEB: 2, EE1B: 3}}},
		{"AccECN in a SYN", wire.SYN, []byte{172, 5, 0, 0, 1}, wire.Options{}},
		{"window scale and SACK-permitted without SYN", wire.ACK, []byte{3, 3, 7, 4, 2}, wire.Options{}},
		// RFC 5482 sections 3.3 and 3.4
		{"a user timeout of 300 seconds", wire.SYN, []byte{28, 4, 1, 44}, wire.Options{Set: wire.HasUserTimeout, UserTimeout: 300}},
		{"one of an hour, in minutes", wire.ACK, []byte{28, 4, 0x80, 60}, wire.Options{Set: wire.HasUserTimeout, UserTimeout: 0x803c}},
		{"one of nothing", wire.ACK, []byte{28, 4, 0x80, 0}, wire.Options{}},
		// RFC 7413 section 4.1.1
		{"a Fast Open cookie", wire.SYN, []byte{34, 6, 9, 8, 7, 6}, wire.Options{Set: wire.HasFastOpen, FastOpen: []byte{9, 8, 7, 6}}},
		{"the longest cookie", wire.SYN, append([]byte{34, 18}, make([]byte, 16)...), wire.Options{Set: wire.HasFastOpen, FastOpen: make([]byte, 16)}},
		{"a cookie is asked for", wire.SYN | wire.ACK, []byte{34, 2}, wire.Options{Set: wire.HasFastOpen, FastOpen: []byte{}}},
		{"a cookie of three octets", wire.SYN, []byte{34, 5, 9, 8, 7, 2, 4, 0x05, 0xb4}, mss},
		{"a cookie of two", wire.SYN, []byte{34, 4, 9, 8, 2, 4, 0x05, 0xb4}, mss},
		{"a cookie of seven", wire.SYN, []byte{34, 9, 1, 2, 3, 4, 5, 6, 7, 2, 4, 0x05, 0xb4}, mss},
		{"a cookie of eighteen", wire.SYN, append([]byte{34, 20}, make([]byte, 18)...), wire.Options{}},
		{"a cookie without SYN", wire.ACK, []byte{34, 6, 9, 8, 7, 6}, wire.Options{}},
		{"the experimental option", wire.SYN, []byte{254, 8, 0xf9, 0x89, 9, 8, 7, 6}, wire.Options{}},
	}
	for _, tt := range tests {
		var s wire.Segment
		if f := wire.ParseTCP(tcpHeader(tt.flags, tt.opts...), &s); f != wire.FaultNone {
			t.Errorf("%s: %v", tt.name, f)
		} else if !reflect.DeepEqual(s.Options, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, s.Options, tt.want)
		}
	}
}

// MUST-7: "prepared to handle an illegal option length (e.g., zero)". Each is a fault,
// wherever in the header it stands.
func TestIllegalOptionLengths(t *testing.T) {
	tests := map[string][]byte{
		"zero":                              {2, 0, 0, 0},
		"one":                               {2, 1, 0, 0},
		"unknown kind, one":                 {99, 1, 0, 0},
		"unknown kind, zero":                {99, 0, 0, 0},
		"past the header":                   {99, 5, 0, 0},
		"255":                               {99, 255, 0, 0},
		"a user timeout of three":           {28, 3, 1},
		"no octet for the length":           {1, 1, 1, 99},
		"maximum segment size of 3":         {2, 3, 9, 0},
		"maximum segment size of 5":         {2, 5, 9, 9, 9},
		"window scale of 4":                 {3, 4, 1, 1},
		"window scale of 2":                 {3, 2, 0, 0},
		"SACK-permitted of 3":               {4, 3, 0, 0},
		"SACK without a block":              {5, 2, 0, 0},
		"SACK with half a block":            {5, 6, 0, 0, 0, 0, 0, 0},
		"SACK with one block and a half":    append([]byte{5, 14}, make([]byte, 14)...),
		"timestamps of 9":                   {8, 9, 0, 0, 0, 0, 0, 0, 0},
		"timestamps of 11":                  append([]byte{8, 11}, make([]byte, 10)...),
		"timestamps cut by the data offset": {1, 1, 8, 10, 0, 0, 0, 1},
	}
	for name, opts := range tests {
		var s wire.Segment
		if f := wire.ParseTCP(tcpHeader(wire.SYN, opts...), &s); f != wire.FaultTCPOptionLength {
			t.Errorf("%s: %v; want %v", name, f, wire.FaultTCPOptionLength)
		}
	}
}

func TestTCPHeaderFaults(t *testing.T) {
	good := tcpHeader(wire.ACK)
	offset := func(words byte, n int) []byte {
		b := append(bytes.Clone(good), make([]byte, n)...)
		b[12] = words << 4
		return b
	}
	tests := []struct {
		name string
		b    []byte
		want wire.Fault
	}{
		{"nothing", nil, wire.FaultTCPShort},
		{"19 octets", good[:19], wire.FaultTCPShort},
		{"20 octets", good, wire.FaultNone},
		{"data offset 4", offset(4, 0), wire.FaultTCPDataOffset},
		{"data offset 0", offset(0, 40), wire.FaultTCPDataOffset},
		{"data offset 6 of 20 octets", offset(6, 0), wire.FaultTCPDataOffset},
		{"data offset 15 of 59 octets", offset(15, 39), wire.FaultTCPDataOffset},
		{"data offset 15 of 60 octets", offset(15, 40), wire.FaultNone},
	}
	for _, tt := range tests {
		var s wire.Segment
		if f := wire.ParseTCP(tt.b, &s); f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
		}
	}
}

// The header's fields stand where figure 1 of RFC 9293 draws them. MUST-1: a window of
// 65535 is not -1. Reserved bits are "ignored in received segments".
func TestTCPFields(t *testing.T) {
	b := []byte{
		0xc0, 0x00, 0x00, 0x50, // ports 49152, 80
		0xff, 0xff, 0xff, 0xfe, // sequence number
		0x00, 0x00, 0x00, 0x07, // acknowledgment number
		0x5f, 0xff, 0xff, 0xff, // offset 5, all reserved and all control bits, window
		0x12, 0x34, 0x00, 0x09, // checksum, urgent pointer
		'a', 'b',
	}
	s := wire.Segment{TC: 9, HopLimit: 9, GSO: 9, TextRest: []byte("old"), Options: wire.Options{Set: 255}}
	if f := wire.ParseTCP(b, &s); f != wire.FaultNone {
		t.Fatal(f)
	}
	if s.Seq != 1<<32-2 || s.Ack != 7 || s.Wnd != 65535 || s.Up != 9 || s.Flags != 0x1ff || string(s.Text) != "ab" {
		t.Errorf("%+v", s)
	}
	if s.TC != 0 || s.HopLimit != 0 || s.GSO != 0 || s.TextRest != nil || !reflect.DeepEqual(s.Options, wire.Options{}) {
		t.Errorf("something of the segment before is left: %+v", s)
	}
	if src, dst, ok := wire.Ports(b); src != 49152 || dst != 80 || !ok {
		t.Errorf("ports %d, %d, %v", src, dst, ok)
	}
	if _, _, ok := wire.Ports(b[:3]); ok {
		t.Error("ports of three octets")
	}
	if &s.Text[0] != &b[20] {
		t.Error("the text is not a view")
	}
}

// MUST-3: "the receiver MUST check it": any one bit of the segment, and of the addresses
// and the length the pseudo-header takes from IP.
func TestChecksumCatchesEveryBit(t *testing.T) {
	for _, f := range []wire.Flow{flow4, flow6} {
		b := form(t, f, wire.Segment{Seq: 5, Ack: 6, Flags: wire.ACK, Text: []byte("odd"), HopLimit: 9})
		var ip wire.IP
		if fault := wire.ParseIP(b, &ip); fault != wire.FaultNone {
			t.Fatal(fault)
		}
		for i := range ip.Payload {
			for bit := range 8 {
				ip.Payload[i] ^= 1 << bit
				if wire.VerifyTCP(&ip, wire.ChecksumNone) != wire.FaultTCPChecksum {
					t.Errorf("octet %d bit %d changed and not noticed", i, bit)
				}
				ip.Payload[i] ^= 1 << bit
			}
		}
		wrong := ip
		wrong.Dst[15] ^= 1
		if wire.VerifyTCP(&wrong, wire.ChecksumNone) != wire.FaultTCPChecksum {
			t.Error("a misrouted segment passes")
		}
		ip.Payload[21] ^= 1
		if wire.VerifyTCP(&ip, wire.ChecksumVerified) != wire.FaultNone || wire.VerifyTCP(&ip, wire.ChecksumPartial) != wire.FaultNone {
			t.Error("what is known is computed again")
		}
	}
}

func TestFaultsHaveText(t *testing.T) {
	seen := map[string]bool{}
	for i := range wire.NumFaults {
		f := wire.Fault(i)
		if f.Clause() == "" || f.Sentence() == "" || seen[f.Sentence()] {
			t.Errorf("fault %d: %q, %q", i, f.Clause(), f.Sentence())
		}
		seen[f.Sentence()] = true
	}
	if got := wire.Fault(wire.NumFaults).String(); !strings.Contains(got, "no such fault") {
		t.Errorf("beyond the last: %q", got)
	}
	if wire.FaultNone.Err() != nil {
		t.Error("no fault is an error")
	}
	err := wire.FaultTCPChecksum.Err()
	var f wire.Fault
	if !errors.As(err, &f) || f != wire.FaultTCPChecksum || !strings.Contains(err.Error(), "MUST-3") {
		t.Errorf("%v", err)
	}
}

func FuzzParseTCP(f *testing.F) {
	f.Add(tcpHeader(wire.SYN, 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7))
	f.Add(tcpHeader(wire.ACK, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2))
	f.Add(tcpHeader(wire.ACK, 2, 0))
	f.Add(tcpHeader(wire.ACK, 0, 1, 2, 3))
	f.Add(tcpHeader(wire.SYN, 2, 4, 5, 180, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add(tcpHeader(wire.SYN, 34, 2, 34, 5, 1, 2, 3, 1))
	f.Add(tcpHeader(wire.ACK, 1, 29, 6, 1, 2, 3, 4, 1))
	f.Add(tcpHeader(wire.ACK, 29, 4, 1, 2, 29, 4, 3, 4))
	f.Add(tcpHeader(wire.ACK, 19, 4, 1, 2, 29, 4, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s wire.Segment
		before := bytes.Clone(b)
		fault := wire.ParseTCP(b, &s)
		if !bytes.Equal(b, before) {
			t.Fatal("parsing writes")
		}
		if want := slowOptionFault(b); (fault != wire.FaultNone) != want {
			t.Fatalf("%v; the slow reading says fault: %v", fault, want)
		}
		if fault != wire.FaultNone {
			return
		}
		if !bytes.HasSuffix(b, s.Text) || s.Options.WindowScale > 14 || int(s.Options.NSACK) > wire.MaxSACKBlocks {
			t.Fatalf("%+v", s)
		}
		if len(s.Text) > 60000 || s.Options.Has(wire.HasSACK) && (s.Flags.Has(wire.SYN) || s.Options.Has(wire.HasAccECN)) ||
			s.Options.Has(wire.HasAO) && s.Options.Set&(wire.HasSACK|wire.HasFastOpen|wire.HasAccECN) != 0 {
			return // no room for every such header in our own layout
		}
		// What was understood can be said, and is understood again.
		s.HopLimit = 1
		_, again := parse(t, form(t, flow6, s))
		if !bytes.Equal(again.Text, s.Text) || !reflect.DeepEqual(again.Options, s.Options) || again.Seq != s.Seq || again.Flags != s.Flags {
			t.Fatalf("\n got %+v\nwant %+v", again, s)
		}
	})
}

// slowOptionFault reads the header with a table of legal lengths and reports a fault.
func slowOptionFault(b []byte) bool {
	if len(b) < 20 || b[12]>>4 < 5 || int(b[12]>>4)*4 > len(b) {
		return true
	}
	legal := map[byte][]int{2: {4}, 3: {3}, 4: {2}, 5: {10, 18, 26, 34}, 8: {10}}
	auth, md5 := 0, 0
	end := int(b[12]>>4) * 4
	for i := 20; i < end; {
		kind := b[i]
		if kind == 0 {
			break
		}
		if kind == 1 {
			i++
			continue
		}
		if i+1 == end {
			return true
		}
		n := int(b[i+1])
		ok := n >= 2 && i+n <= end
		if lens, known := legal[kind]; known {
			fits := false
			for _, l := range lens {
				fits = fits || l == n
			}
			ok = ok && fits
		}
		if !ok || kind == 29 && n < 4 {
			return true
		}
		switch kind {
		case 29:
			auth++
		case 19:
			md5++
		}
		i += n
	}
	return auth > 1 || auth == 1 && md5 > 0
}

func FuzzFormParse(f *testing.F) {
	f.Add(uint32(1), uint32(2), uint16(3), uint16(4), uint8(0x12), uint8(31), uint8(4), uint64(5), []byte("text"), uint16(2), true)
	f.Add(uint32(1<<32-1), uint32(0), uint16(65535), uint16(0), uint8(0x30), uint8(24), uint8(2), uint64(1<<63), []byte{}, uint16(0), false)
	f.Fuzz(func(t *testing.T, sq, ack uint32, wnd, up uint16, flags, set, nsack uint8, opts uint64, text []byte, cut uint16, v6 bool) {
		if len(text) > 60000 {
			return
		}
		at := min(int(cut), len(text))
		s := wire.Segment{Seq: seq.Num(sq), Ack: seq.Num(ack), Wnd: wnd, Up: up, Flags: wire.Flags(flags) | wire.Flags(cut&0x100),
			TC: uint8(opts), HopLimit: uint8(opts >> 8), Text: text[:at], TextRest: text[at:],
			Options: wire.Options{Set: wire.OptionSet(set&31) | wire.OptionSet(set>>5&1)*wire.HasAccECN | wire.OptionSet(set>>7)*wire.HasAO, KeyID: uint8(opts >> 24), RNextKeyID: uint8(opts >> 32), MSS: uint16(opts), WindowScale: uint8(opts >> 16),
				TSVal: uint32(opts), TSEcr: uint32(opts >> 32), NSACK: nsack % 5, NAccECN: nsack >> 4 % 4, AccECNOrder: nsack >> 7,
				AccECN: wire.AccECN{EE0B: uint32(opts) & 0xffffff, ECEB: sq & 0xffffff, EE1B: ack & 0xffffff}}}
		for i := range s.Options.NSACK {
			s.Options.SACK[i] = wire.SACKBlock{Left: seq.Num(opts >> i), Right: seq.Num(sq) + seq.Num(i)}
		}
		fl := flow4
		if v6 {
			fl = flow6
		}
		b := form(t, fl, s)
		ip, got := parse(t, b)

		if slowSum(slowPseudo(fl.Local, fl.Remote, 6, len(ip.Payload)), ip.Payload) != 0xffff { // MUST-2
			t.Fatal("the checksum does not fit")
		}
		if ip.Src != fl.Local || ip.Dst != fl.Remote || !ip.DontFragment || ip.ID != 0 || ip.Fragment {
			t.Fatalf("%+v", ip)
		}
		if len(b) != wire.HeaderLen(&fl, &s)+len(text) {
			t.Fatalf("HeaderLen is %d for a packet of %d with text of %d", wire.HeaderLen(&fl, &s), len(b), len(text))
		}
		if !bytes.Equal(got.Text, text) {
			t.Fatal("another text")
		}
		checkEmitted(t, wire.TCP(ip.Payload))

		want := s
		want.Text, want.TextRest, got.Text = nil, nil, nil
		if want.HopLimit == 0 {
			want.HopLimit = 64
		}
		if !want.Flags.Has(wire.ACK) {
			want.Ack = 0
		}
		if !want.Flags.Has(wire.URG) {
			want.Up = 0
		}
		want.Options = speakable(s.Flags, s.Options)
		if !reflect.DeepEqual(got.Options, want.Options) {
			t.Fatalf("options\n got %+v\nwant %+v", got.Options, want.Options)
		}
		if got.String() != want.String() || got.Wnd != want.Wnd || got.Up != want.Up || got.Ack != want.Ack ||
			got.TC != want.TC || got.HopLimit != want.HopLimit {
			t.Fatalf("\n got %+v\nwant %+v", got, want)
		}
	})
}

// speakable is what of o can be said in a segment with these flags: fields not in Set are
// zero, SYN's options stand in a SYN alone (MUST-65), and SACK takes what is left of the
// 40 octets.
func speakable(flags wire.Flags, o wire.Options) wire.Options {
	syn := flags.Has(wire.SYN)
	var w wire.Options
	room := 40
	if syn && o.Has(wire.HasMSS) {
		w.Set |= wire.HasMSS
		w.MSS = o.MSS
		room -= 4
	}
	if syn && o.Has(wire.HasWindowScale) {
		w.Set |= wire.HasWindowScale
		w.WindowScale = min(o.WindowScale, 14)
		room -= 4
	}
	if syn && o.Has(wire.HasSACKPermitted) {
		w.Set |= wire.HasSACKPermitted
		if !o.Has(wire.HasTimestamps) {
			room -= 4
		}
	}
	if o.Has(wire.HasTimestamps) {
		w.Set |= wire.HasTimestamps
		w.TSVal, w.TSEcr = o.TSVal, o.TSEcr
		room -= 12
	}
	if o.Has(wire.HasAO) {
		w.Set |= wire.HasAO
		w.KeyID, w.RNextKeyID = o.KeyID, o.RNextKeyID
		room -= 16
	}
	if need := []int{4, 8, 8, 12}[o.NAccECN]; o.Has(wire.HasAccECN) && (!syn || flags.Has(wire.ACK)) && room >= need {
		w.Set |= wire.HasAccECN
		w.NAccECN, w.AccECNOrder = o.NAccECN, o.AccECNOrder
		room -= need
		first, last := &w.AccECN.EE0B, &w.AccECN.EE1B
		w.AccECN = o.AccECN
		if w.AccECNOrder == 1 {
			first, last = last, first
		}
		if w.NAccECN < 3 {
			*last = 0
		}
		if w.NAccECN < 2 {
			w.AccECN.ECEB = 0
		}
		if w.NAccECN < 1 {
			*first = 0
		}
	}
	if o.Has(wire.HasSACK) {
		for room -= 4; room >= 8 && w.NSACK < o.NSACK; room -= 8 {
			w.AddBlock(o.SACK[w.NSACK])
		}
	}
	return w
}

// checkEmitted holds a header of ours to what RFC 9293 section 3.1 says of generated
// segments.
func checkEmitted(t *testing.T, h wire.TCP) {
	t.Helper()
	if h[12]&0x0e != 0 {
		t.Fatal("reserved bits \"must be zero in generated segments\"")
	}
	for b := h.Options(); len(b) > 0; {
		switch {
		case b[0] == 0: // MUST-69: "header padding of zeros"
			if len(bytes.Trim(b, "\x00")) != 0 {
				t.Fatalf("beyond the end of the list: %x", b)
			}
			return
		case b[0] == 1:
			b = b[1:]
		default: // MUST-68: every other option has a length
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				t.Fatalf("an option without a legal length: %x", b)
			}
			if b[0] == 2 && !h.Flags().Has(wire.SYN) { // MUST-65
				t.Fatal("a maximum segment size outside a SYN")
			}
			b = b[b[1]:]
		}
	}
}
