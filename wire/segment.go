package wire

import (
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/seq"
)

// Flags are TCP's control bits, RFC 9293 section 3.1, in the order of the header.
type Flags uint8

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
)

// flagNames is the order in which the RFC's figures name them: SYN,ACK and FIN,ACK.
var flagNames = [...]struct {
	bit  Flags
	name string
}{{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {URG, "URG"}, {PSH, "PSH"}, {ECE, "ECE"}, {CWR, "CWR"}, {ACK, "ACK"}}

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
	TC       uint8  // IPv4's type of service, IPv6's traffic class: DSCP and ECN
	HopLimit uint8  // IPv4's time to live, IPv6's hop limit; 0 on departure: the stack's default
	GSO      uint16 // text is cut into segments of this many octets further down; 0: it goes as it is
	Text     []byte
	TextRest []byte // follows Text, where the send queue's ring wraps; always empty on arrival
	Options  Options
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
type OptionSet uint8

// The options that vitro knows.
const (
	HasMSS           OptionSet = 1 << iota // RFC 9293 section 3.7.1
	HasWindowScale                         // RFC 7323 section 2
	HasSACKPermitted                       // RFC 2018 section 2
	HasSACK                                // RFC 2018 section 3
	HasTimestamps                          // RFC 7323 section 3
	HasFastOpen                            // RFC 7413 section 4.1.1
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

// Options are the options of one segment. A field means something only when its bit
// is in Set.
type Options struct {
	Set         OptionSet
	WindowScale uint8 // the shift count as sent; more than 14 is read as 14 (RFC 7323 section 2.3)
	NSACK       uint8 // how many of SACK are in use
	MSS         uint16
	TSVal       uint32
	TSEcr       uint32
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
