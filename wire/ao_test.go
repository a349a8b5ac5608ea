package wire_test

import (
	"bytes"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

var someMAC = []byte{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab}

// RFC 5925 section 2.2: what of TCP-AO is legal, and where it is found.
func TestAuthenticationOption(t *testing.T) {
	ao := append([]byte{29, 16, 7, 8}, someMAC...)
	md5 := append([]byte{19, 18}, make([]byte, 16)...)
	for _, c := range []struct {
		what    string
		options []byte
		fault   wire.Fault
		at, n   int
	}{
		{"alone", ao, wire.FaultNone, 20, 16},
		{"behind timestamps", append([]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, ao...), wire.FaultNone, 32, 16},
		{"at an odd octet", append([]byte{1, 3, 3, 7, 1}, append(ao, 1, 1, 0)...), wire.FaultNone, 25, 16},
		{"without a MAC", []byte{29, 4, 7, 8}, wire.FaultNone, 20, 4},
		{"behind the end of the list", []byte{0, 0, 0, 0, 29, 4, 7, 8}, wire.FaultNone, 0, 0},
		{"within another option", []byte{30, 8, 0, 0, 29, 4, 7, 8}, wire.FaultNone, 0, 0},
		{"too short", []byte{29, 3, 7, 1}, wire.FaultTCPOptionLength, 0, 0},
		{"beyond the header", []byte{29, 16, 7, 8}, wire.FaultTCPOptionLength, 0, 0},
		{"twice", []byte{29, 4, 7, 8, 29, 4, 7, 8}, wire.FaultTCPAO, 0, 0},
		{"before TCP MD5", append(bytes.Clone(ao), append(md5, 1, 1)...), wire.FaultTCPAO, 0, 0},
		{"behind TCP MD5", append(bytes.Clone(md5), append(ao, 1, 1)...), wire.FaultTCPAO, 0, 0},
		{"TCP MD5 alone", append(bytes.Clone(md5), 1, 1), wire.FaultNone, 0, 0},
	} {
		h := tcpHeader(wire.ACK, c.options...)
		var s wire.Segment
		if got := wire.ParseTCP(h, &s); got != c.fault {
			t.Errorf("%s: %v; want %v", c.what, got, c.fault)
		}
		if c.fault != wire.FaultNone {
			continue
		}
		if at, n := wire.FindAO(h); at != c.at || n != c.n {
			t.Errorf("%s: %d octets at %d; want %d at %d", c.what, n, at, c.n, c.at)
		}
		if s.Options.Has(wire.HasAO) != (c.n > 0) || c.n > 0 && (s.Options.KeyID != 7 || s.Options.RNextKeyID != 8) {
			t.Errorf("%s: %+v", c.what, s.Options)
		}
	}
}

// What leaves has it last, with a MAC of zeros for its owner to write, whatever stood in the
// buffer before.
func TestAuthenticationOptionIsFormed(t *testing.T) {
	s := wire.Segment{Flags: wire.SYN, Text: []byte("text")}
	s.Options = wire.Options{Set: wire.HasAO | wire.HasMSS | wire.HasTimestamps | wire.HasSACKPermitted | wire.HasWindowScale, MSS: 1460, KeyID: 7, RNextKeyID: 8}
	b := bytes.Repeat([]byte{0xee}, 200)
	n := wire.PutSegment(b, &flow4, &s, wire.ChecksumNone)
	h := wire.TCP(b[20:n])
	want := append([]byte{29, 16, 7, 8}, make([]byte, 12)...)
	if got := h.Options(); len(got) != 36 || !bytes.Equal(got[20:], want) {
		t.Errorf("options %x; want the last to be %x", got, want)
	}
}

// Segments with TCP-AO are neither merged nor cut: no MAC would be right.
func TestAuthenticatedSegmentsStayWhole(t *testing.T) {
	s := wire.Segment{Seq: 1, Flags: wire.ACK, Text: []byte("one segment,")}
	next := wire.Segment{Seq: 13, Flags: wire.ACK, Text: []byte(" and another")}
	for _, auth := range []bool{false, true} {
		for _, stamps := range []bool{false, true} {
			for _, seg := range []*wire.Segment{&s, &next} {
				seg.Options = wire.Options{}
				if auth {
					seg.Options.Set |= wire.HasAO
				}
				if stamps {
					seg.Options.Set |= wire.HasTimestamps
				}
			}
			held := append(make([]byte, 0, 200), form(t, flow4, s)...)
			if _, _, ok := wire.Merge(held, 0, form(t, flow4, next)); ok == auth {
				t.Errorf("with TCP-AO %v, timestamps %v, merged: %v", auth, stamps, ok)
			}
			var sp wire.Splitter
			if f := sp.Start(form(t, flow4, s), 6); (f == wire.FaultSplit) != auth {
				t.Errorf("with TCP-AO %v, timestamps %v, cut: %v", auth, stamps, f)
			}
			if f := sp.Start(form(t, flow4, s), 12); f != wire.FaultNone {
				t.Errorf("what need not be cut: %v", f)
			}
		}
	}
}
