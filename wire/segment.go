package wire

import (
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/seq"
)

// Flags are TCP's control bits, RFC 9293 section 3.1, in the order of the header. AE is RFC 9768's.
type Flags uint16

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE

	flagBits = AE<<1 - 1 // the others of the header are reserved
)

// flagNames is the order in which the RFC's figures name them: SYN,ACK and FIN,ACK.
var flagNames = [...]struct {
	bit  Flags
	name string
}{{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {URG, "URG"}, {PSH, "PSH"}, {ECE, "ECE"}, {CWR, "CWR"}, {AE, "AE"}, {ACK, "ACK"}}

// Has reports whether every bit of want is set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// String prints the bits as the RFC's figures do: "SYN,ACK".
func (f Flags) String() string {
	var b strings.Builder
	for _, n := range flagNames {
		if f&n.bit == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(n.name)
	}
	return b.String()
}

// Segment is one legal TCP segment with what the machine needs of the IP packet
// around it. On arrival Text is a view of the packet's bytes, in force until the
// packet's buffer is used again; on departure Text and TextRest are views of the send
// queue, in force until the connection is next called.
type Segment struct {
	Seq      seq.Num // SEG.SEQ
	Ack      seq.Num // SEG.ACK, meaningful with ACK
	Wnd      uint16  // the window field as it stands in the header, unscaled
	Up       uint16  // the urgent pointer as an offset from Seq, meaningful with URG
	Flags    Flags
	TC       uint8 // IPv4's type of service, IPv6's traffic class: DSCP and ECN
	HopLimit uint8 // IPv4's time to live, IPv6's hop limit; 0 on departure: the stack's default
	Text     []byte
	TextRest []byte // follows Text, where the send queue's ring wraps; always empty on arrival
	Options  Options
	GSO      uint16 // text is cut into segments of this many octets further down; 0: it goes as it is
}

// TextLen returns the number of octets of text.
func (s *Segment) TextLen() uint32 { return uint32(len(s.Text) + len(s.TextRest)) }

// Len returns SEG.LEN: "the number of octets occupied by the data in the segment
// (counting SYN and FIN)", RFC 9293 section 3.4.
func (s *Segment) Len() uint32 {
	n := s.TextLen()
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// End returns the sequence number after the segment: SEG.SEQ+SEG.LEN.
func (s *Segment) End() seq.Num { return s.Seq.Add(s.Len()) }

// OptionSet says which options a segment carries.
type OptionSet uint16

// The options that vitro knows.
const (
	HasMSS           OptionSet = 1 << iota // RFC 9293 section 3.7.1
	HasWindowScale                         // RFC 7323 section 2
	HasSACKPermitted                       // RFC 2018 section 2
	HasSACK                                // RFC 2018 section 3
	HasTimestamps                          // RFC 7323 section 3
	HasFastOpen                            // RFC 7413 section 4.1.1
	HasAccECN                              // RFC 9768 section 3.2.3
	HasAO                                  // RFC 5925 section 2.2
	HasUserTimeout                         // RFC 5482 section 3.3
)

// MaxSACKBlocks is how many blocks fit beside nothing else in 40 octets of options.
const MaxSACKBlocks = 4

// The length of a Fast Open cookie, RFC 7413 section 4.1.1: "0, or 4 to 16 bytes", and even.
const (
	MinCookie = 4
	MaxCookie = 16
)

// SACKBlock is one block of RFC 2018 section 3: Left is its first sequence number,
// Right the number after its last.
type SACKBlock struct{ Left, Right seq.Num }

// AccECN are the counters of RFC 9768 section 3.2.3, the 24 low bits of each: octets of text that
// have arrived as ECT(0), as CE and as ECT(1). Which of them an option has, NAccECN and
// AccECNOrder say.
type AccECN struct{ EE0B, ECEB, EE1B uint32 }

// Options are the options of one segment. A field means something only when its bit
// is in Set.
type Options struct {
	Set         OptionSet
	WindowScale uint8 // the shift count as sent; more than 14 is read as 14 (RFC 7323 section 2.3)
	NSACK       uint8 // how many of SACK are in use
	NAccECN     uint8 // how many fields AccECN has: 0 to 3
	AccECNOrder uint8 // of them: 0 is EE0B, ECEB, EE1B, 1 is EE1B, ECEB, EE0B; those at the end may be missing
	KeyID       uint8 // of TCP-AO, whose MAC FindAO finds
	RNextKeyID  uint8 // of TCP-AO
	MSS         uint16
	UserTimeout uint16 // seconds or, with the highest bit, minutes; not 0
	TSVal       uint32
	TSEcr       uint32
	AccECN      AccECN
	SACK        [MaxSACKBlocks]SACKBlock
	// FastOpen is the cookie, MinCookie to MaxCookie octets, or empty where one is asked for. It is
	// a view like Segment.Text, in force as long.
	FastOpen []byte
}

// Has reports whether the option is present.
func (o *Options) Has(bit OptionSet) bool { return o.Set&bit != 0 }

// Blocks returns the SACK blocks in the order of the option.
func (o *Options) Blocks() []SACKBlock {
	if !o.Has(HasSACK) {
		return nil
	}
	return o.SACK[:o.NSACK]
}

// AccECNFields returns the counters that the AccECN option has; one that it leaves out is nil.
func (o *Options) AccECNFields() (ee0b, eceb, ee1b *uint32) {
	if !o.Has(HasAccECN) {
		return nil, nil, nil
	}
	for i, f := range o.accECNOrder() {
		switch {
		case i >= int(o.NAccECN):
		case f == &o.AccECN.EE0B:
			ee0b = f
		case f == &o.AccECN.ECEB:
			eceb = f
		default:
			ee1b = f
		}
	}
	return ee0b, eceb, ee1b
}

// AccECNValues returns the counters that the AccECN option has, in its order.
func (o *Options) AccECNValues() []uint32 {
	var v []uint32
	for i, f := range o.accECNOrder() {
		if i < int(o.NAccECN) {
			v = append(v, *f)
		}
	}
	return v
}

// AddAccECN appends a counter to the AccECN option, in its order, and reports whether there was
// room.
func (o *Options) AddAccECN(v uint32) bool {
	if o.NAccECN == 3 {
		return false
	}
	*o.accECNOrder()[o.NAccECN] = v & (1<<24 - 1)
	o.NAccECN++
	o.Set |= HasAccECN
	return true
}

// accECNOrder returns the fields in the order of the option (figure 4).
func (o *Options) accECNOrder() [3]*uint32 {
	a := &o.AccECN
	if o.AccECNOrder == 0 {
		return [3]*uint32{&a.EE0B, &a.ECEB, &a.EE1B}
	}
	return [3]*uint32{&a.EE1B, &a.ECEB, &a.EE0B}
}

// AddBlock appends a SACK block and reports whether there was room.
func (o *Options) AddBlock(b SACKBlock) bool {
	if o.NSACK == MaxSACKBlocks {
		return false
	}
	o.SACK[o.NSACK] = b
	o.NSACK++
	o.Set |= HasSACK
	return true
}

// String prints the segment as the figures of RFC 9293 section 3.5 do:
// <SEQ=1000><ACK=2001><CTL=SYN,ACK>, with <LEN=n> when there is text.
func (s *Segment) String() string {
	var b strings.Builder
	b.WriteString("<SEQ=" + s.Seq.String() + ">")
	if s.Flags&ACK != 0 {
		b.WriteString("<ACK=" + s.Ack.String() + ">")
	}
	if n := s.TextLen(); n > 0 {
		b.WriteString("<LEN=" + strconv.FormatUint(uint64(n), 10) + ">")
	}
	b.WriteString("<CTL=" + s.Flags.String() + ">")
	return b.String()
}
