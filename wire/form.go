package wire

// DefaultHopLimit is written where a segment has none: RFC 1700 (now IANA's "IP TIME TO
// LIVE PARAMETER") has 64, and RFC 1122 section 3.2.1.7 forbids 0.
const DefaultHopLimit = 64

// optionsLen returns the length of the options that putOptions writes, and how many SACK
// blocks and how many octets of a Fast Open option find room.
func optionsLen(set OptionSet, o *Options) (n, sack, fast int) {
	if set&HasMSS != 0 {
		n += 4
	}
	if set&(HasSACKPermitted|HasTimestamps) == HasSACKPermitted {
		n += 4
	}
	if set&HasTimestamps != 0 {
		n += 12
	}
	if set&HasWindowScale != 0 {
		n += 4
	}
	if set&HasAccECN != 0 {
		n += AccECNLen(int(o.NAccECN))
	}
	if set&HasUserTimeout != 0 {
		n += 4
	}
	if set&HasAO != 0 {
		n += AOLen
	}
	if set&HasSACK != 0 {
		sack = min(int(o.NSACK), (maxTCPOptions-n-4)/8)
		if sack > 0 {
			n += 4 + 8*sack
		}
	}
	if set&HasFastOpen != 0 && validCookie(len(o.FastOpen)) {
		if size := (2 + len(o.FastOpen) + 3) &^ 3; n+size <= maxTCPOptions {
			n, fast = n+size, 2+len(o.FastOpen)
		}
	}
	return n, sack, fast
}

// FastOpenFits reports whether s has room for the Fast Open option in its Options.
func FastOpenFits(s *Segment) bool {
	_, _, fast := optionsLen(outgoing(s), &s.Options)
	return fast > 0
}

// AccECNLen returns how many octets an AccECN option with so many fields takes in a header, with
// the no-operations that align it.
func AccECNLen(fields int) int { return (2 + 3*min(fields, 3) + 3) &^ 3 }

// outgoing returns the options of s that may leave.
func outgoing(s *Segment) OptionSet {
	set := s.Options.Set
	if s.Flags&SYN == 0 {
		set &^= synOnly // MUST-65: the maximum segment size "MUST NOT be sent in other segments"
	} else if s.Flags&ACK == 0 {
		set &^= HasAccECN // RFC 9768 section 3.2.3.2.1: "MUST NOT include an AccECN TCP Option on the SYN"
	}
	if set&(HasAccECN|HasAO) == HasAccECN|HasAO {
		if n, _, _ := optionsLen(set&^(HasSACK|HasFastOpen), &s.Options); n > maxTCPOptions {
			set &^= HasAccECN // a SYN,ACK with all that has no room for it
		}
	}
	return set
}

// TCPHeaderLenOf returns the length of the TCP header that [PutSegment] writes for s, in
// octets, options included.
func TCPHeaderLenOf(s *Segment) int {
	n, _, _ := optionsLen(outgoing(s), &s.Options)
	return TCPHeaderLen + n
}

// HeaderLen returns the length of the IP and TCP headers that [PutSegment] writes for a
// segment of flow f, in octets.
func HeaderLen(f *Flow, s *Segment) int {
	if f.Local.Is4() {
		return IPv4HeaderLen + TCPHeaderLenOf(s)
	}
	return IPv6HeaderLen + TCPHeaderLenOf(s)
}

// PutSegment writes s as a whole IP packet of flow f, whose Local end sends it, to the
// beginning of b, and returns the packet's length. It returns 0 and leaves b in disorder
// when b is shorter than HeaderLen and the text, or when they are more than [MaxPacket].
//
// With [ChecksumPartial] the TCP checksum is left for the link to finish; with any other
// it is complete. The IP version is that of f.Local. A HopLimit of 0 is sent as
// [DefaultHopLimit]. A super-segment (GSO) is one packet, for [Splitter] or the link to
// cut.
//
// Of the options in s, those for a SYN alone are left out of other segments (MUST-65),
// and SACK blocks for which there is no room are left out, the last first: with
// timestamps three remain (RFC 2018 section 3), with timestamps and TCP-AO one. A Fast Open cookie or,
// beside TCP-AO, an AccECN option without room is left out too. TCP-AO stands last, with a MAC of zero: whoever signs the packet has
// it formed with [ChecksumPartial], writes the MAC where [FindAO] says, and calls [FinishChecksum].
func PutSegment(b []byte, f *Flow, s *Segment, sum Checksum) int {
	hl := HeaderLen(f, s)
	total := hl + len(s.Text) + len(s.TextRest)
	if total > len(b) || total > MaxPacket {
		return 0
	}
	b = b[:total]
	ipLen := putIP(b, &f.Local, &f.Remote, ProtoTCP, s.TC, s.HopLimit)
	h := b[ipLen:]
	putTCP(TCP(h), hl-ipLen, f, s)
	n := copy(b[hl:], s.Text)
	copy(b[hl+n:], s.TextRest)

	// MUST-2: "the sender MUST generate it".
	ps := PseudoSum(&f.Local, &f.Remote, ProtoTCP, len(h))
	if sum == ChecksumPartial {
		TCP(h).SetChecksum(ps)
	} else {
		TCP(h).SetChecksum(^Sum(ps, h))
	}
	return total
}

// AppendSegment appends to b what [PutSegment] writes. It returns b as it is when the
// packet would have more than [MaxPacket] octets, and allocates only where b has no
// room.
func AppendSegment(b []byte, f *Flow, s *Segment, sum Checksum) []byte {
	n := HeaderLen(f, s) + len(s.Text) + len(s.TextRest)
	if n > MaxPacket {
		return b
	}
	at := len(b)
	if cap(b)-at < n {
		grown := make([]byte, at, at+n)
		copy(grown, b)
		b = grown
	}
	b = b[:at+n]
	PutSegment(b[at:], f, s, sum)
	return b
}

// putIP writes an IP header without options for the whole of b and returns its length.
//
// IPv4 packets leave with Don't Fragment set, as path MTU discovery wants (RFC 1191
// section 3), and are therefore atomic: "originating sources MAY set the IPv4 ID field
// of atomic datagrams to any value" (RFC 6864 section 4.1), which is 0 here.
func putIP(b []byte, src, dst *Addr, proto, tc, hopLimit uint8) int {
	if hopLimit == 0 { // any other goes as the caller has configured it: MUST-49
		hopLimit = DefaultHopLimit
	}
	if src.Is4() {
		h := IPv4(b)
		be.PutUint32(h, 0x45<<24|uint32(tc)<<16|uint32(len(b)))
		be.PutUint32(h[4:], 0x4000)
		be.PutUint32(h[8:], uint32(hopLimit)<<24|uint32(proto)<<16)
		copy(h[12:16], src[12:])
		copy(h[16:20], dst[12:])
		h.SetChecksum(^Sum(0, h[:IPv4HeaderLen]))
		return IPv4HeaderLen
	}
	h := IPv6(b)
	be.PutUint32(h, 6<<28|uint32(tc)<<20)
	be.PutUint32(h[4:], uint32(len(b)-IPv6HeaderLen)<<16|uint32(proto)<<8|uint32(hopLimit))
	copy(h[8:24], src[:])
	copy(h[24:40], dst[:])
	return IPv6HeaderLen
}

// putTCP writes the TCP header of s, n octets long with its options, the checksum 0.
// Fields without their control bit are written as 0, so that nothing of an earlier
// segment leaks. The reserved bits "must be zero in generated segments".
func putTCP(h TCP, n int, f *Flow, s *Segment) {
	be.PutUint32(h, uint32(f.LocalPort)<<16|uint32(f.RemotePort))
	h.SetSeq(s.Seq)
	be.PutUint32(h[8:], 0)
	if s.Flags&ACK != 0 {
		h.SetAck(s.Ack)
	}
	be.PutUint32(h[12:], uint32(n/4)<<28|uint32(s.Flags)<<16|uint32(s.Wnd)) // MUST-1
	be.PutUint32(h[16:], 0)
	if s.Flags&URG != 0 {
		h.SetUp(s.Up)
	}
	if n > TCPHeaderLen {
		putOptions(h[TCPHeaderLen:n], outgoing(s), &s.Options)
	}
}

// putOptions writes the options to b, which has exactly their length. Each but the
// no-operation has its length (MUST-68); no-operations stand before an option that would
// not end on a word, as RFC 7323 appendix A and RFC 2018 section 3 lay it out, so the
// list fills the header: there is no end of list, and no padding that would have to be
// zero (MUST-69).
func putOptions(b []byte, set OptionSet, o *Options) {
	_, sack, fast := optionsLen(set, o)
	if set&HasMSS != 0 { // MUST-14
		be.PutUint32(b, optMSS<<24|4<<16|uint32(o.MSS))
		b = b[4:]
	}
	if set&HasTimestamps != 0 {
		lead := uint32(optNOP<<24 | optNOP<<16)
		if set&HasSACKPermitted != 0 {
			lead = optSACKPermitted<<24 | 2<<16
		}
		be.PutUint32(b, lead|optTimestamps<<8|10)
		be.PutUint32(b[4:], o.TSVal)
		be.PutUint32(b[8:], o.TSEcr)
		b = b[12:]
	} else if set&HasSACKPermitted != 0 {
		be.PutUint32(b, optNOP<<24|optNOP<<16|optSACKPermitted<<8|2)
		b = b[4:]
	}
	if set&HasWindowScale != 0 {
		be.PutUint32(b, optNOP<<24|optWindowScale<<16|3<<8|uint32(min(o.WindowScale, maxWindowScale)))
		b = b[4:]
	}
	if set&HasAccECN != 0 {
		b = putAccECN(b, o)
	}
	if set&HasUserTimeout != 0 {
		be.PutUint32(b, optUserTimeout<<24|4<<16|uint32(o.UserTimeout))
		b = b[4:]
	}
	if sack > 0 {
		be.PutUint32(b, optNOP<<24|optNOP<<16|optSACK<<8|uint32(2+8*sack))
		for i, blk := range o.SACK[:sack] {
			be.PutUint32(b[4+8*i:], uint32(blk.Left))
			be.PutUint32(b[8+8*i:], uint32(blk.Right))
		}
		b = b[4+8*sack:]
	}
	if set&HasAO != 0 {
		last := b[len(b)-AOLen:]
		b = b[:len(b)-AOLen]
		be.PutUint32(last, optAO<<24|AOLen<<16|uint32(o.KeyID)<<8|uint32(o.RNextKeyID))
		clear(last[AOHead:])
	}
	if fast > 0 {
		for len(b) > fast {
			b[0] = optNOP
			b = b[1:]
		}
		b[0], b[1] = optFastOpen, byte(fast)
		copy(b[2:], o.FastOpen)
	}
}

// putAccECN writes the option of RFC 9768 section 3.2.3 and returns what of b is left.
func putAccECN(b []byte, o *Options) []byte {
	fields := min(int(o.NAccECN), 3)
	end := AccECNLen(fields)
	at := end - (2 + 3*fields)
	for i := range at {
		b[i] = optNOP
	}
	b[at], b[at+1] = optAccECN0, uint8(end-at)
	if o.AccECNOrder != 0 {
		b[at] = optAccECN1
	}
	for i, f := range o.accECNOrder() {
		if i < fields {
			p := b[at+2+3*i : end]
			p[0], p[1], p[2] = uint8(*f>>16), uint8(*f>>8), uint8(*f)
		}
	}
	return b[end:]
}

// FinishChecksum completes the TCP or UDP checksum of a packet marked [ChecksumPartial], as a
// link does that has no device to do it.
func FinishChecksum(b []byte) Fault {
	var ip IP
	if f := ParseIP(b, &ip); f != FaultNone {
		return f
	}
	if ip.Proto == ProtoUDP && !ip.Fragment {
		if len(ip.Payload) < UDPHeaderLen {
			return FaultUDPShort
		}
		be.PutUint16(ip.Payload[6:], udpSum(Sum(0, ip.Payload)))
		return FaultNone
	}
	if ip.Proto != ProtoTCP || ip.Fragment {
		return FaultTransport
	}
	if len(ip.Payload) < TCPHeaderLen {
		return FaultTCPShort
	}
	// The field holds the pseudo-header's sum, so that summing all gives the whole.
	h := TCP(ip.Payload)
	h.SetChecksum(^Sum(0, h))
	return FaultNone
}
