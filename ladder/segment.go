package ladder

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// Number is a sequence number as the figures write one: a value (100), or a symbol and a
// distance from it (Z, Z+1), as in Figure 11.
type Number struct {
	Symbol string // empty: N is the value
	N      seq.Num
}

// Num returns the number n.
func Num(n seq.Num) Number { return Number{N: n} }

// String prints 100, Z, Z+1 or Z-1.
func (n Number) String() string {
	switch d := int64(int32(n.N)); {
	case n.Symbol == "":
		return n.N.String()
	case d > 0:
		return n.Symbol + "+" + strconv.FormatInt(d, 10)
	case d < 0:
		return n.Symbol + "-" + strconv.FormatInt(-d, 10)
	}
	return n.Symbol
}

// Bindings are the values of symbols.
type Bindings map[string]seq.Num

// Value returns n's value, and false if its symbol has none in b.
func (b Bindings) Value(n Number) (seq.Num, bool) {
	if n.Symbol == "" {
		return n.N, true
	}
	v, ok := b[n.Symbol]
	return v + n.N, ok
}

// Match reports whether n is v. A symbol without a value takes the one that makes it so, unless
// b is nil.
func (b Bindings) Match(n Number, v seq.Num) bool {
	if n.Symbol == "" {
		return n.N == v
	}
	if got, ok := b[n.Symbol]; ok {
		return got+n.N == v
	}
	if b == nil {
		return false
	}
	b[n.Symbol] = v - n.N
	return true
}

// Segment is what a line says of a segment: "Segment contents are shown in abbreviated
// form, with sequence number, control flags, and ACK field." (RFC 9293 section 3.5)
type Segment struct {
	Seq     Number
	Ack     Number // with wire.ACK in Ctl
	Ctl     wire.Flags
	Len     uint32 // octets of text
	Data    bool   // <DATA>: there is text, its length left out; Len is then 0
	HasWnd  bool
	Wnd     uint16 // the window field, unscaled, if HasWnd
	Up      uint16 // the urgent pointer as an offset from Seq, with wire.URG in Ctl
	Options wire.Options
}

// SegmentOf returns what the notation says of seg. It keeps none of seg's memory.
func SegmentOf(seg *wire.Segment) Segment {
	s := Segment{Seq: Num(seg.Seq), Ctl: seg.Flags, Len: seg.TextLen(), HasWnd: true, Wnd: seg.Wnd, Options: seg.Options}
	s.Options.FastOpen = bytes.Clone(seg.Options.FastOpen)
	if seg.Flags.Has(wire.ACK) {
		s.Ack = Num(seg.Ack)
	}
	if seg.Flags.Has(wire.URG) {
		s.Up = seg.Up
	}
	return s
}

// Wire returns the segment that s describes, its symbols as in b, its text Len zero octets
// (one where <DATA> leaves the length out). It is an error if a symbol has no value.
func (s *Segment) Wire(b Bindings) (wire.Segment, error) {
	w := wire.Segment{Flags: s.Ctl, Wnd: s.Wnd, Up: s.Up, Options: s.Options}
	var ok bool
	if w.Seq, ok = b.Value(s.Seq); !ok {
		return w, fmt.Errorf("SEQ=%v: %s has no value", s.Seq, s.Seq.Symbol)
	}
	if s.Ctl.Has(wire.ACK) {
		if w.Ack, ok = b.Value(s.Ack); !ok {
			return w, fmt.Errorf("ACK=%v: %s has no value", s.Ack, s.Ack.Symbol)
		}
	}
	switch {
	case s.Data:
		w.Text = make([]byte, 1)
	case s.Len > math.MaxUint16:
		return w, fmt.Errorf("LEN=%d is more than a packet holds", s.Len)
	case s.Len > 0:
		w.Text = make([]byte, s.Len)
	}
	return w, nil
}

// Match returns nil if got is what s says, and else an error that names the first field that
// differs: "CTL is ACK; want SYN,ACK". What s leaves out (window, options, the length of <DATA>)
// may be anything. Symbols are matched as [Bindings.Match] says.
func (s *Segment) Match(got *Segment, b Bindings) error {
	// The control bits come first: the numbers of another kind of segment explain nothing,
	// and must bind no symbol. PSH is no part of any figure, and vitro's to set.
	if want, have := s.Ctl&^wire.PSH, got.Ctl&^wire.PSH; want != have || s.Ctl.Has(wire.PSH) && !got.Ctl.Has(wire.PSH) {
		return fmt.Errorf("CTL is %v; want %v", got.Ctl, s.Ctl)
	}
	if v, ok := b.Value(got.Seq); !ok || !b.Match(s.Seq, v) {
		return b.differ("SEQ", got.Seq, s.Seq)
	}
	if s.Ctl.Has(wire.ACK) {
		if v, ok := b.Value(got.Ack); !ok || !b.Match(s.Ack, v) {
			return b.differ("ACK", got.Ack, s.Ack)
		}
	}
	switch {
	case s.Data && got.Len == 0 && !got.Data:
		return fmt.Errorf("there is no text; want some")
	case !s.Data && got.Len != s.Len:
		return fmt.Errorf("LEN is %d; want %d", got.Len, s.Len)
	case s.HasWnd && got.Wnd != s.Wnd:
		return fmt.Errorf("WND is %d; want %d", got.Wnd, s.Wnd)
	case s.Ctl.Has(wire.URG) && got.Up != s.Up:
		return fmt.Errorf("UP is %d; want %d", got.Up, s.Up)
	}
	if s.Options.Set != 0 {
		if g, w := got.optionFields(), s.optionFields(); g != w {
			return fmt.Errorf("options are %s; want %s", g, w)
		}
	}
	return nil
}

func (b Bindings) differ(field string, got, want Number) error {
	if v, ok := b.Value(want); ok && want.Symbol != "" {
		return fmt.Errorf("%s is %v; want %v, which is %v", field, got, want, v)
	}
	return fmt.Errorf("%s is %v; want %v", field, got, want)
}

// String prints the segment with all that is known of it:
// <SEQ=1000><CTL=SYN><WND=65535><MSS=1460>.
func (s *Segment) String() string { return s.fields() + s.moreFields() }

// fields prints what the figures print, in the order of wire.Segment.String.
func (s *Segment) fields() string {
	var b strings.Builder
	b.WriteString("<SEQ=" + s.Seq.String() + ">")
	if s.Ctl.Has(wire.ACK) {
		b.WriteString("<ACK=" + s.Ack.String() + ">")
	}
	if s.Len > 0 {
		fmt.Fprintf(&b, "<LEN=%d>", s.Len)
	}
	b.WriteString("<CTL=" + s.Ctl.String() + ">")
	if s.Data {
		b.WriteString("<DATA>")
	}
	return b.String()
}

// moreFields prints what the figures leave out.
func (s *Segment) moreFields() string {
	var b strings.Builder
	if s.Ctl.Has(wire.URG) {
		fmt.Fprintf(&b, "<UP=%d>", s.Up)
	}
	if s.HasWnd {
		fmt.Fprintf(&b, "<WND=%d>", s.Wnd)
	}
	return b.String() + s.optionFields()
}

func (s *Segment) optionFields() string {
	var b strings.Builder
	o := &s.Options
	if o.Has(wire.HasMSS) {
		fmt.Fprintf(&b, "<MSS=%d>", o.MSS)
	}
	if o.Has(wire.HasWindowScale) {
		fmt.Fprintf(&b, "<WS=%d>", o.WindowScale)
	}
	if o.Has(wire.HasSACKPermitted) {
		b.WriteString("<SACKOK>")
	}
	if o.Has(wire.HasTimestamps) {
		fmt.Fprintf(&b, "<TS=%d,%d>", o.TSVal, o.TSEcr)
	}
	if o.Has(wire.HasUserTimeout) {
		fmt.Fprintf(&b, "<UTO=%d>", o.UserTimeout)
	}
	if o.Has(wire.HasAO) {
		fmt.Fprintf(&b, "<AO=%d,%d>", o.KeyID, o.RNextKeyID)
	}
	if blocks := o.Blocks(); len(blocks) > 0 {
		b.WriteString("<SACK=")
		for i, k := range blocks {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%v-%v", k.Left, k.Right)
		}
		b.WriteByte('>')
	}
	switch {
	case o.Has(wire.HasFastOpen) && len(o.FastOpen) == 0:
		b.WriteString("<COOKIEOPT=NIL>")
	case o.Has(wire.HasFastOpen):
		fmt.Fprintf(&b, "<COOKIEOPT=%x>", o.FastOpen)
	}
	if fields := o.AccECNValues(); o.Has(wire.HasAccECN) {
		fmt.Fprintf(&b, "<ACCECN%d", o.AccECNOrder)
		for i, v := range fields {
			fmt.Fprintf(&b, "%c%d", "=,,"[i], v)
		}
		b.WriteByte('>')
	}
	return b.String()
}
