package wire

import "github.com/vitro-net/vitro/seq"

// Kinds of TCP options.
const (
	optEnd           = 0
	optNOP           = 1
	optMSS           = 2
	optWindowScale   = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optUserTimeout   = 28
	optFastOpen      = 34
	optAccECN0       = 172
	optAccECN1       = 174
)

// alignedTimestamps are the first four octets of timestamps alone in RFC 7323's layout.
const alignedTimestamps = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | 10

// maxTCPOptions is what a data offset of 15 words leaves, in octets.
const maxTCPOptions = 40

// maxWindowScale is RFC 7323 section 2.3: "if a Window Scale option is received with a
// shift.cnt value larger than 14, the TCP SHOULD log the error but MUST use 14".
const maxWindowScale = 14

// synOnly are the options that have a meaning in a SYN alone. RFC 9293 section 3.2 has
// the maximum segment size there and "MUST NOT be sent in other segments" (MUST-65);
// RFC 7323 section 2.2: "a Window Scale option in a segment without a SYN bit MUST be
// ignored"; RFC 2018 section 2 has SACK-permitted likewise, RFC 7413 section 4.1.1 the Fast
// Open cookie. They are neither read nor written elsewhere.
const synOnly = HasMSS | HasWindowScale | HasSACKPermitted | HasFastOpen

// ParseTCP reads a TCP header, its options and its text into seg. Every field of seg is
// set: Text is a view of b, and what b does not hold (TC, HopLimit, GSO, TextRest) is
// zero. On a fault seg holds nothing of use. The checksum is [VerifyTCP]'s business.
//
// Any combination of control bits is legal here: RFC 9293 forbids none, and section
// 3.10.7 says in each state what a SYN with a FIN, or a RST with text, does. Reserved
// bits "must be ignored in received segments" (section 3.1).
func ParseTCP(b []byte, seg *Segment) Fault {
	if len(b) < TCPHeaderLen {
		return FaultTCPShort
	}
	h := TCP(b)
	off := h.DataOffset()
	if off < TCPHeaderLen || off > len(b) {
		return FaultTCPDataOffset
	}
	seg.Seq = h.Seq()
	seg.Ack = h.Ack()
	seg.Wnd = h.Wnd()
	seg.Up = h.Up()
	seg.Flags = h.Flags()
	seg.TC, seg.HopLimit, seg.GSO = 0, 0, 0
	seg.Text = b[off:]
	seg.TextRest = nil
	seg.Options = Options{}
	if off == TCPHeaderLen {
		return FaultNone
	}
	// MUST-5: options are read whatever the segment is.
	opts := b[TCPHeaderLen:off]
	// Nearly every segment of a connection with timestamps has these twelve octets
	// and no more (RFC 7323 appendix A).
	if len(opts) == 12 && be.Uint32(opts) == alignedTimestamps {
		seg.Options.Set = HasTimestamps
		seg.Options.TSVal = be.Uint32(opts[4:])
		seg.Options.TSEcr = be.Uint32(opts[8:])
		return FaultNone
	}
	f := parseOptions(opts, &seg.Options)
	if f == FaultNone && seg.Options.Has(HasAO) {
		f = checkAO(opts)
	}
	if seg.Flags&SYN == 0 {
		seg.Options.drop(synOnly) // MUST-65
	} else if seg.Flags&ACK == 0 {
		// RFC 9768 section 3.2.3.2.1: "If there is somehow an AccECN Option on a SYN, it MUST be
		// ignored when forwarded or received."
		seg.Options.drop(HasAccECN)
	}
	return f
}

// drop removes the options of which, and what they said.
func (o *Options) drop(which OptionSet) {
	if o.Set&which == 0 {
		return
	}
	o.Set &^= which
	if which&HasMSS != 0 {
		o.MSS = 0
	}
	if which&HasWindowScale != 0 {
		o.WindowScale = 0
	}
	if which&HasFastOpen != 0 {
		o.FastOpen = nil
	}
	if which&HasAccECN != 0 {
		o.NAccECN, o.AccECNOrder, o.AccECN = 0, 0, AccECN{}
	}
}

// parseOptions reads the options of a TCP header. Of an option that stands twice the
// last one counts. The loop ends: each turn takes at least one octet.
func parseOptions(b []byte, o *Options) Fault {
	for len(b) > 0 {
		// MUST-4, MUST-64: the end, the no-operation and the maximum segment size, at
		// any octet.
		switch b[0] {
		case optEnd:
			return FaultNone
		case optNOP:
			b = b[1:]
			continue
		}
		// MUST-7: a length of 0 or 1, or one past the header, is illegal.
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return FaultTCPOptionLength
		}
		opt := b[:b[1]]
		b = b[len(opt):]
		if !o.read(opt) {
			return FaultTCPOptionLength
		}
	}
	return FaultNone
}

// read takes one option with a length octet that is right for any option, and reports
// whether it is right for this one.
func (o *Options) read(opt []byte) bool {
	n := len(opt)
	switch opt[0] {
	case optMSS: // MUST-4, MUST-14
		if n != 4 {
			return false
		}
		o.Set |= HasMSS
		o.MSS = be.Uint16(opt[2:])
	case optWindowScale:
		if n != 3 {
			return false
		}
		o.Set |= HasWindowScale
		o.WindowScale = min(opt[2], maxWindowScale)
	case optSACKPermitted:
		if n != 2 {
			return false
		}
		o.Set |= HasSACKPermitted
	case optSACK:
		if n < 10 || n > 2+8*MaxSACKBlocks || (n-2)%8 != 0 {
			return false
		}
		o.NSACK, o.SACK = 0, [MaxSACKBlocks]SACKBlock{}
		for b := opt[2:]; len(b) > 0; b = b[8:] {
			o.AddBlock(SACKBlock{Left: seq.Num(be.Uint32(b)), Right: seq.Num(be.Uint32(b[4:]))})
		}
	case optTimestamps:
		if n != 10 {
			return false
		}
		o.Set |= HasTimestamps
		o.TSVal = be.Uint32(opt[2:])
		o.TSEcr = be.Uint32(opt[6:])
	case optFastOpen:
		// RFC 7413 section 4.1.1: "Options with invalid Length values or without the SYN flag
		// set MUST be ignored."
		if validCookie(n - 2) {
			o.Set |= HasFastOpen
			o.FastOpen = opt[2:n:n]
		}
	case optAccECN0, optAccECN1:
		o.readAccECN(opt)
	case optUserTimeout:
		if n != 4 {
			return false
		}
		// RFC 5482 section 3.4: of 0 seconds or minutes, "MUST ignore it upon reception".
		if v := be.Uint16(opt[2:]); v&^(1<<15) != 0 {
			o.Set |= HasUserTimeout
			o.UserTimeout = v
		}
	case optAO:
		if n < AOHead {
			return false
		}
		o.Set |= HasAO
		o.KeyID, o.RNextKeyID = opt[2], opt[3]
	default: // MUST-6: unknown, and its length says where the next begins
	}
	return true
}

// validCookie reports whether a Fast Open option may have a cookie of n octets: "0, or 4 to 16
// bytes", and "The number MUST be even."
func validCookie(n int) bool {
	return n == 0 || MinCookie <= n && n <= MaxCookie && n%2 == 0
}

// readAccECN: "if the AccECN Option is of any other length, implementations MUST use those whole
// 3-octet fields that fit within the length and ignore the remainder of the option".
func (o *Options) readAccECN(opt []byte) {
	o.drop(HasAccECN)
	o.Set |= HasAccECN
	if opt[0] == optAccECN1 {
		o.AccECNOrder = 1
	}
	fields := opt[2:]
	for _, f := range o.accECNOrder() {
		if len(fields) < 3 {
			return
		}
		*f = uint32(fields[0])<<16 | uint32(fields[1])<<8 | uint32(fields[2])
		o.NAccECN++
		fields = fields[3:]
	}
}

// VerifyTCP checks the TCP checksum of a packet that ParseIP has described. What is
// known already is not computed again: a packet marked [ChecksumVerified] passes, and
// so does one marked [ChecksumPartial], which comes from a stack in this machine and
// has been nowhere it could be damaged.
func VerifyTCP(ip *IP, known Checksum) Fault {
	if known != ChecksumNone {
		return FaultNone
	}
	// MUST-3: "the receiver MUST check it". The sum over everything, the field itself
	// included, is zero, which in ones' complement is written 0xffff.
	s := PseudoSum(&ip.Src, &ip.Dst, ProtoTCP, len(ip.Payload))
	if Sum(s, ip.Payload) != 0xffff {
		return FaultTCPChecksum
	}
	return FaultNone
}
