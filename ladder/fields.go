package ladder

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// fieldSet gathers the fields of one segment while its rows are read.
type fieldSet struct {
	seg  Segment
	seen map[string]bool
}

// add reads one field, written between its angle brackets.
func (f *fieldSet) add(text string) error {
	name, value, given := strings.Cut(text, "=")
	key := name
	if key == "DATA" {
		key = "LEN" // two ways to say one thing
	}
	if f.seen[key] {
		return fmt.Errorf("%s is said twice", name)
	}
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	f.seen[key] = true
	flag := name == "SACKOK" || name == "DATA" || name == "ACCECN0" || name == "ACCECN1" // fields that may stand without a value
	if !given && !flag {
		return fmt.Errorf("<%s> needs a value", text)
	}
	return f.set(name, value, given)
}

func (f *fieldSet) set(name, value string, given bool) (err error) {
	s, o := &f.seg, &f.seg.Options
	switch name {
	case "SEQ":
		s.Seq, err = parseNumber(value)
	case "ACK":
		s.Ack, err = parseNumber(value)
	case "CTL":
		s.Ctl, err = parseFlags(value)
	case "LEN":
		s.Len, err = parseUint[uint32](value)
	case "DATA":
		if s.Data = !given; given {
			s.Len, err = parseUint[uint32](value)
		}
	case "WND":
		s.HasWnd = true
		s.Wnd, err = parseUint[uint16](value)
	case "UP":
		s.Up, err = parseUint[uint16](value)
	case "MSS":
		o.Set |= wire.HasMSS
		o.MSS, err = parseUint[uint16](value)
	case "WS":
		o.Set |= wire.HasWindowScale
		o.WindowScale, err = parseUint[uint8](value)
	case "SACKOK":
		if given {
			return fmt.Errorf("SACKOK takes no value")
		}
		o.Set |= wire.HasSACKPermitted
	case "TS":
		o.Set |= wire.HasTimestamps
		val, ecr, _ := strings.Cut(value, ",")
		if o.TSVal, err = parseUint[uint32](val); err == nil {
			o.TSEcr, err = parseUint[uint32](ecr)
		}
	case "UTO":
		o.Set |= wire.HasUserTimeout
		o.UserTimeout, err = parseUint[uint16](value)
	case "AO":
		o.Set |= wire.HasAO
		id, next, _ := strings.Cut(value, ",")
		if o.KeyID, err = parseUint[uint8](id); err == nil {
			o.RNextKeyID, err = parseUint[uint8](next)
		}
	case "SACK":
		err = parseSACK(o, value)
	case "COOKIEOPT":
		err = parseCookie(o, value)
	case "ACCECN0", "ACCECN1":
		err = parseAccECN(o, name, value)
	default:
		return fmt.Errorf("unknown field %s", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// done returns the segment once all its rows are read.
func (f *fieldSet) done() (*Segment, error) {
	ack := f.seg.Ctl.Has(wire.ACK)
	switch {
	case !f.seen["SEQ"]:
		return nil, fmt.Errorf("the segment has no SEQ")
	case !f.seen["CTL"]:
		return nil, fmt.Errorf("the segment has no CTL")
	case ack && !f.seen["ACK"]:
		return nil, fmt.Errorf("CTL has ACK, but there is no ACK field")
	case !ack && f.seen["ACK"]:
		return nil, fmt.Errorf("there is an ACK field, but CTL has no ACK")
	case f.seen["UP"] && !f.seg.Ctl.Has(wire.URG):
		return nil, fmt.Errorf("there is an UP field, but CTL has no URG")
	}
	s := f.seg
	return &s, nil
}

func parseUint[T uint8 | uint16 | uint32](s string) (T, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || uint64(T(v)) != v || s[0] == '+' {
		return 0, fmt.Errorf("%q is no number from 0 to %d", s, ^T(0))
	}
	return T(v), nil
}

func parseNumber(s string) (Number, error) {
	if s == "" || !isLetter(rune(s[0])) {
		v, err := parseUint[uint32](s)
		return Num(seq.Num(v)), err
	}
	end := strings.IndexAny(s, "+-")
	if end < 0 {
		end = len(s)
	}
	n := Number{Symbol: s[:end]}
	for _, r := range n.Symbol {
		if !isLetter(r) && !isDigit(r) && r != '_' {
			return Number{}, fmt.Errorf("%q is no symbol", n.Symbol)
		}
	}
	if end == len(s) {
		return n, nil
	}
	d, err := parseUint[uint32](s[end+1:])
	n.N = seq.Num(d)
	if s[end] == '-' {
		n.N = -n.N
	}
	return n, err
}

var flagBits = map[string]wire.Flags{
	"FIN": wire.FIN, "SYN": wire.SYN, "RST": wire.RST, "PSH": wire.PSH,
	"ACK": wire.ACK, "URG": wire.URG, "ECE": wire.ECE, "CWR": wire.CWR, "AE": wire.AE,
}

func parseFlags(s string) (wire.Flags, error) {
	var f wire.Flags
	if s == "" {
		return 0, nil // no bit at all: <CTL=>
	}
	for name := range strings.SplitSeq(s, ",") {
		bit, ok := flagBits[name]
		switch {
		case !ok:
			return 0, fmt.Errorf("unknown control bit %q", name)
		case f.Has(bit):
			return 0, fmt.Errorf("%s is said twice", name)
		}
		f |= bit
	}
	return f, nil
}

func parseSACK(o *wire.Options, s string) error {
	for block := range strings.SplitSeq(s, ",") {
		left, right, _ := strings.Cut(block, "-")
		l, err := parseUint[uint32](left)
		if err != nil {
			return err
		}
		r, err := parseUint[uint32](right)
		if err != nil {
			return err
		}
		if !o.AddBlock(wire.SACKBlock{Left: seq.Num(l), Right: seq.Num(r)}) {
			return fmt.Errorf("more than %d blocks", wire.MaxSACKBlocks)
		}
	}
	return nil
}

// parseCookie reads a Fast Open cookie as RFC 7413 section 3 draws it: <COOKIEOPT=NIL> asks for
// one, else it is in hexadecimal.
func parseCookie(o *wire.Options, s string) error {
	var cookie []byte
	if s != "NIL" {
		var err error
		if cookie, err = hex.DecodeString(s); err != nil {
			return err
		}
	}
	if n := len(cookie); n%2 != 0 || n > wire.MaxCookie || n < wire.MinCookie && n > 0 {
		return fmt.Errorf("a cookie of %d octets", n)
	}
	o.Set |= wire.HasFastOpen
	o.FastOpen = cookie
	return nil
}

// parseAccECN reads the option of RFC 9768 section 3.2.3: <ACCECN0=EE0B,ECEB,EE1B> or
// <ACCECN1=EE1B,ECEB,EE0B>, of which counters at the end, or all, may be missing.
func parseAccECN(o *wire.Options, name, value string) error {
	if o.Has(wire.HasAccECN) {
		return fmt.Errorf("the option is said twice")
	}
	o.Set |= wire.HasAccECN
	o.AccECNOrder = name[len(name)-1] - '0'
	if value == "" {
		return nil
	}
	for field := range strings.SplitSeq(value, ",") {
		v, err := parseUint[uint32](field)
		if err != nil {
			return err
		}
		if v > 1<<24-1 || !o.AddAccECN(v) {
			return fmt.Errorf("%q: at most three numbers of 24 bits", value)
		}
	}
	return nil
}

func isLetter(r rune) bool { return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' }
func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
