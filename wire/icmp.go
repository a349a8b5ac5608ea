package wire

// ICMPKind is what an ICMP message of either version says.
type ICMPKind uint8

// The kinds of messages that vitro forms and understands. ICMPOther is any other.
const (
	ICMPOther ICMPKind = iota
	ICMPEchoRequest
	ICMPEchoReply
	ICMPUnreachable      // code: one of the version's own
	ICMPPacketTooBig     // ICMPv4's destination unreachable, code 4, and ICMPv6's Packet Too Big
	ICMPTimeExceeded     // code 0: hop limit, 1: reassembly
	ICMPParameterProblem // pointer; code: one of the version's own
	ICMPSourceQuench     // ICMPv4 alone, deprecated by RFC 6633; never formed
)

// IsError reports whether messages of kind k quote a packet.
func (k ICMPKind) IsError() bool { return k >= ICMPUnreachable }

// Codes of ICMPv4's Destination Unreachable, RFC 792 and RFC 1122 section 3.2.2.1.
const (
	ICMPv4NetUnreachable      = 0
	ICMPv4HostUnreachable     = 1
	ICMPv4ProtocolUnreachable = 2
	ICMPv4PortUnreachable     = 3
	ICMPv4FragmentationNeeded = 4
	ICMPv4SourceRouteFailed   = 5
	ICMPv4AdminProhibited     = 13 // RFC 1812 section 5.2.7.1
)

// Codes of ICMPv6's Destination Unreachable, RFC 4443 section 3.1.
const (
	ICMPv6NoRoute            = 0
	ICMPv6AdminProhibited    = 1
	ICMPv6BeyondScope        = 2
	ICMPv6AddressUnreachable = 3
	ICMPv6PortUnreachable    = 4
)

// Codes of ICMPv6's Parameter Problem, RFC 4443 section 3.4.
const (
	ICMPv6ErroneousField    = problemField
	ICMPv6UnknownNextHeader = problemNext
	ICMPv6UnknownOption     = problemOption
	ICMPv6FirstFragment     = problemFirstFrag // RFC 7112 section 5
)

// Codes of Time Exceeded, the same in both versions.
const (
	ICMPHopLimitExceeded   = 0
	ICMPReassemblyExceeded = 1
)

// Types of messages.
const (
	v4EchoReply, v4Unreachable, v4SourceQuench, v4Redirect = 0, 3, 4, 5
	v4EchoRequest, v4TimeExceeded, v4ParameterProblem      = 8, 11, 12
	v6Unreachable, v6PacketTooBig, v6TimeExceeded          = 1, 2, 3
	v6ParameterProblem                                     = 4
	v6EchoRequest, v6EchoReply, v6Redirect                 = 128, 129, 137
)

// ICMPMessage is one message of ICMP or ICMPv6, read or to be formed.
type ICMPMessage struct {
	Kind ICMPKind
	Type uint8 // as it came; set by [ParseICMP] alone
	Code uint8
	// ID and Seq name an echo.
	ID, Seq uint16
	// MTU of the next hop, in octets, of ICMPPacketTooBig. On arrival 0 says that the
	// router did not tell, as those before RFC 1191 do not.
	MTU uint32
	// Pointer of ICMPParameterProblem, the offset in octets of what was wrong. ICMPv4
	// has one octet for it.
	Pointer uint32
	// Body is the data of an echo, or the packet an error quotes: on arrival what came of
	// it, for [ParseQuote]; on departure all of it.
	Body []byte
}

// ParseICMP reads the ICMP or ICMPv6 message that the packet described by ip carries,
// verifies its checksum, and sets every field of m. Body is a view of the packet.
func ParseICMP(ip *IP, m *ICMPMessage) Fault {
	*m = ICMPMessage{}
	b := ip.Payload
	if ip.Fragment || ip.V6 && ip.Proto != ProtoICMPv6 || !ip.V6 && ip.Proto != ProtoICMP {
		return FaultTransport
	}
	if len(b) < ICMPHeaderLen {
		return FaultICMPShort
	}
	// ICMPv6 has the pseudo-header in its sum and ICMPv4 has not: RFC 4443 section 2.3.
	var s uint16
	if ip.V6 {
		s = PseudoSum(&ip.Src, &ip.Dst, ProtoICMPv6, len(b))
	}
	if Sum(s, b) != 0xffff {
		return FaultICMPChecksum
	}
	h := ICMP(b)
	m.Type, m.Code, m.Body = h.Type(), h.Code(), h.Body()
	m.Kind = kindOf(ip.V6, m.Type, m.Code)
	switch m.Kind {
	case ICMPEchoRequest, ICMPEchoReply:
		m.ID, m.Seq = h.ID(), h.EchoSeq()
	case ICMPPacketTooBig:
		m.MTU = h.Rest()
		if !ip.V6 {
			m.MTU &= 0xffff // the upper half is unused: RFC 1191 section 4
		}
	case ICMPParameterProblem:
		m.Pointer = h.Rest()
		if !ip.V6 {
			m.Pointer >>= 24
		}
	case ICMPOther, ICMPUnreachable, ICMPTimeExceeded, ICMPSourceQuench:
	}
	return FaultNone
}

func kindOf(v6 bool, typ, code uint8) ICMPKind {
	if v6 {
		switch typ {
		case v6EchoRequest:
			return ICMPEchoRequest
		case v6EchoReply:
			return ICMPEchoReply
		case v6Unreachable:
			return ICMPUnreachable
		case v6PacketTooBig:
			return ICMPPacketTooBig
		case v6TimeExceeded:
			return ICMPTimeExceeded
		case v6ParameterProblem:
			return ICMPParameterProblem
		}
		return ICMPOther
	}
	switch typ {
	case v4EchoRequest:
		return ICMPEchoRequest
	case v4EchoReply:
		return ICMPEchoReply
	case v4Unreachable:
		if code == ICMPv4FragmentationNeeded {
			return ICMPPacketTooBig
		}
		return ICMPUnreachable
	case v4TimeExceeded:
		return ICMPTimeExceeded
	case v4ParameterProblem:
		return ICMPParameterProblem
	case v4SourceQuench: // for the stack to discard in silence, RFC 6633 section 3
		return ICMPSourceQuench
	}
	return ICMPOther
}

// typeOf is kindOf's reverse: the type, the code and the second word of m.
func typeOf(v6 bool, m *ICMPMessage) (typ, code uint8, rest uint32, ok bool) {
	code = m.Code
	switch m.Kind {
	case ICMPEchoRequest, ICMPEchoReply:
		typ = [2][2]uint8{{v4EchoRequest, v4EchoReply}, {v6EchoRequest, v6EchoReply}}[b2i(v6)][m.Kind-ICMPEchoRequest]
		return typ, 0, uint32(m.ID)<<16 | uint32(m.Seq), true
	case ICMPUnreachable:
		return [2]uint8{v4Unreachable, v6Unreachable}[b2i(v6)], code, 0, true
	case ICMPPacketTooBig:
		if v6 {
			return v6PacketTooBig, 0, m.MTU, true
		}
		return v4Unreachable, ICMPv4FragmentationNeeded, min(m.MTU, 0xffff), true
	case ICMPTimeExceeded:
		return [2]uint8{v4TimeExceeded, v6TimeExceeded}[b2i(v6)], code, 0, true
	case ICMPParameterProblem:
		if v6 {
			return v6ParameterProblem, code, m.Pointer, true
		}
		return v4ParameterProblem, code, min(m.Pointer, 0xff) << 24, true
	case ICMPOther, ICMPSourceQuench:
	}
	return 0, 0, 0, false
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The longest packets that carry an error: as much of the quoted packet as fits.
const (
	// MaxICMPv4Error: "as much of the original datagram as possible without the length
	// of the ICMP datagram exceeding 576 bytes", RFC 1812 section 4.3.2.3.
	MaxICMPv4Error = 576
	// MaxICMPv6Error: "without making the error message packet exceed the minimum IPv6
	// MTU", RFC 4443 section 2.4 (c).
	MaxICMPv6Error = 1280
)

// ICMPLen returns the length of the packet that [PutICMP] writes from src for m, in
// octets.
func ICMPLen(src Addr, m *ICMPMessage) int {
	head, limit := IPv6HeaderLen+ICMPHeaderLen, MaxICMPv6Error
	if src.Is4() {
		head, limit = IPv4HeaderLen+ICMPHeaderLen, MaxICMPv4Error
	}
	if !m.Kind.IsError() {
		limit = MaxPacket + 1 // an echo is never cut: the caller sees that it is too long
	}
	return min(head+len(m.Body), limit)
}

// PutICMP writes m as a whole packet from src to dst, whose version it takes from src,
// to the beginning of b, and returns the packet's length. Of a quoted packet only as
// much is written as an error may hold. It returns 0 when b is too short, when an echo
// has more than [MaxPacket] octets, and for the kinds that are never formed, ICMPOther
// and ICMPSourceQuench ("a host MUST NOT send ICMP Source Quench", RFC 6633 section 3).
// A hopLimit of 0 is sent as [DefaultHopLimit].
func PutICMP(b []byte, src, dst Addr, tc, hopLimit uint8, m *ICMPMessage) int {
	v6 := !src.Is4()
	typ, code, rest, ok := typeOf(v6, m)
	n := ICMPLen(src, m)
	if !ok || n > len(b) || n > MaxPacket {
		return 0
	}
	b = b[:n]
	proto, s := uint8(ProtoICMP), uint16(0)
	if v6 {
		proto = ProtoICMPv6
		s = PseudoSum(&src, &dst, proto, n-IPv6HeaderLen)
	}
	h := ICMP(b[putIP(b, &src, &dst, proto, tc, hopLimit):])
	h.SetType(typ)
	h.SetCode(code)
	h.SetChecksum(0)
	h.SetRest(rest)
	copy(h.Body(), m.Body)
	h.SetChecksum(^Sum(s, h))
	return n
}

// MayAnswer reports whether the packet described by ip may be answered with an ICMP
// error, as far as the packet itself tells: RFC 1122 section 3.2.2 and RFC 4443 section
// 2.4 (e) forbid it for an ICMP error (or a redirect), for a destination that is
// multicast or IPv4's limited broadcast, for a fragment other than the first, and for a
// source that is not one host. A subnet's broadcast address, a loopback address that
// came over a link, and the rate are the stack's to know. IPv6 has two exceptions for multicast: a Packet Too Big, and what
// IP.Problem says after [ParseIP].
func MayAnswer(ip *IP) bool {
	broadcast := Addr4([4]byte{255, 255, 255, 255})
	if ip.Dst.IsMulticast() || ip.Dst == broadcast || ip.FragmentOffset != 0 {
		return false
	}
	if ip.Src.IsMulticast() || ip.Src.IsUnspecified() || ip.Src == broadcast {
		return false
	}
	if ip.Src.Is4() && (ip.Src[12] == 0 || ip.Src[12] >= 240) {
		return false // an address of class E is no single host's: RFC 1122 section 3.2.2
	}
	switch {
	case !ip.V6 && ip.Proto == ProtoICMP:
		// "An ICMP error message": also a message too short to tell.
		if len(ip.Payload) == 0 {
			return false
		}
		switch ip.Payload[0] {
		case v4Unreachable, v4SourceQuench, v4Redirect, v4TimeExceeded, v4ParameterProblem:
			return false
		}
	case ip.V6 && ip.Proto == ProtoICMPv6:
		return len(ip.Payload) > 0 && ip.Payload[0] >= 128 && ip.Payload[0] != v6Redirect
	}
	return true
}
