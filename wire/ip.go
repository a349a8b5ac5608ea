package wire

// MaxExtensions is how many IPv6 extension headers a packet may have before it is
// dropped. RFC 8504 section 5.3 permits such a limit; the order that RFC 8200 section
// 4.1 recommends has seven.
const MaxExtensions = 8

// IP is what a stack needs to know of an IP packet of either version.
type IP struct {
	Src, Dst Addr
	Proto    uint8 // IPv4's protocol, or the next header that is no extension
	TC       uint8 // IPv4's type of service, IPv6's traffic class: DSCP and ECN
	HopLimit uint8 // IPv4's time to live, IPv6's hop limit
	V6       bool

	// SourceRoute: the IPv4 packet carries a loose or strict source route. RFC 7126
	// section 4.3 and 4.4 advise to drop it; that is the stack's choice.
	SourceRoute bool
	// DontFragment is IPv4's DF bit; an IPv6 packet always has it.
	DontFragment bool
	// Fragment: Payload is one piece of a datagram, for [Reassembler.Add]. An IPv6
	// datagram in one fragment (RFC 6946) is none: it is read on like a whole one.
	Fragment       bool
	MoreFragments  bool
	FragmentOffset int    // of Payload in the datagram, in octets
	ID             uint32 // IPv4's or the fragment header's identification

	// HeaderLen is the number of octets before Payload: the header with its options or
	// extensions.
	HeaderLen int
	// ProtoAt is the offset of the octet that Proto was read from: an ICMPv6 Parameter
	// Problem about an unknown protocol points there.
	ProtoAt int
	// Packet is the packet and Payload its part behind the headers, both views, and
	// both without whatever padding a link has left behind the packet.
	Packet, Payload []byte

	// Problem says that the fault which ParseIP returned is to be told to the source in
	// an ICMP Parameter Problem of this code and pointer.
	Problem        bool
	ProblemCode    uint8
	ProblemPointer uint32
}

// ParseIP reads the headers of an IP packet into ip. On a fault ip holds what was read
// before it, enough to answer when Problem is set.
func ParseIP(b []byte, ip *IP) Fault {
	switch Version(b) {
	case 4:
		return parseIPv4(b, ip)
	case 6:
		return parseIPv6(b, ip)
	}
	*ip = IP{}
	if len(b) == 0 {
		return FaultIPShort
	}
	return FaultIPVersion
}

func parseIPv4(b []byte, ip *IP) Fault {
	*ip = IP{}
	if len(b) < IPv4HeaderLen {
		return FaultIPShort
	}
	h := IPv4(b)
	hl, total := h.HeaderLen(), int(h.TotalLen())
	if hl < IPv4HeaderLen || hl > len(b) {
		return FaultIPHeaderLength
	}
	if total < hl || total > len(b) {
		return FaultIPTotalLength
	}
	if Sum(0, b[:hl]) != 0xffff {
		return FaultIPChecksum
	}
	ip.Src, ip.Dst = h.Src(), h.Dst()
	ip.Proto, ip.ProtoAt = h.Protocol(), 9
	ip.TC, ip.HopLimit = h.TC(), h.TTL()
	ip.DontFragment = h.DontFragment()
	ip.MoreFragments = h.MoreFragments()
	ip.FragmentOffset = h.FragmentOffset()
	ip.Fragment = ip.MoreFragments || ip.FragmentOffset != 0
	ip.ID = uint32(h.ID())
	ip.HeaderLen = hl
	ip.Packet, ip.Payload = b[:total:total], b[hl:total:total]
	if hl > IPv4HeaderLen {
		return ip.readIPv4Options(b[IPv4HeaderLen:hl])
	}
	return FaultNone
}

// Types of IPv4 options, RFC 791 section 3.1.
const (
	ipv4OptEnd         = 0
	ipv4OptNOP         = 1
	ipv4OptLooseRoute  = 131
	ipv4OptStrictRoute = 137
)

// readIPv4Options walks the options. Only a source route says something to this stack.
func (ip *IP) readIPv4Options(b []byte) Fault {
	for at := 0; at < len(b); {
		switch b[at] {
		case ipv4OptEnd:
			return FaultNone
		case ipv4OptNOP:
			at++
			continue
		case ipv4OptLooseRoute, ipv4OptStrictRoute:
			ip.SourceRoute = true
		default: // MUST-50: "ignore options that it does not understand"
		}
		if at+1 == len(b) { // no octet left for the length: point at the option itself
			return ip.problem(FaultIPOption, 0, IPv4HeaderLen+at)
		}
		if b[at+1] < 2 || at+int(b[at+1]) > len(b) {
			return ip.problem(FaultIPOption, 0, IPv4HeaderLen+at+1)
		}
		at += int(b[at+1])
	}
	return FaultNone
}

// problem notes that f is to be answered with a Parameter Problem. RFC 1122 section
// 3.2.2 and RFC 4443 section 2.4 (e.3) forbid an answer to a multicast; the one
// exception is in readIPv6Options.
func (ip *IP) problem(f Fault, code uint8, pointer int) Fault {
	ip.Problem = !ip.Dst.IsMulticast()
	ip.ProblemCode = code
	ip.ProblemPointer = uint32(pointer)
	return f
}

func parseIPv6(b []byte, ip *IP) Fault {
	*ip = IP{}
	if len(b) < IPv6HeaderLen {
		return FaultIPShort
	}
	h := IPv6(b)
	total := IPv6HeaderLen + int(h.PayloadLen())
	if total > len(b) {
		return FaultIPTotalLength
	}
	ip.Src, ip.Dst = h.Src(), h.Dst()
	if ip.Src.Is4() || ip.Dst.Is4() {
		// "used to represent the addresses of IPv4 nodes as IPv6 addresses" inside a host
		// (RFC 4291 section 2.5.5.2), as Addr does: from the wire it would pass for IPv4.
		return FaultIPMapped
	}
	ip.Proto, ip.ProtoAt = h.NextHeader(), 6
	ip.TC, ip.HopLimit = h.TC(), h.HopLimit()
	ip.V6, ip.DontFragment = true, true
	ip.HeaderLen = IPv6HeaderLen
	ip.Packet, ip.Payload = b[:total:total], b[IPv6HeaderLen:total:total]
	if ip.Proto == ProtoTCP {
		return FaultNone
	}
	return ip.readExtensions()
}

// Codes of ICMPv6's Parameter Problem, RFC 4443 section 3.4 and RFC 7112 section 5.
const (
	problemField     = 0
	problemNext      = 1
	problemOption    = 2
	problemFirstFrag = 3
)

// readExtensions walks the extension headers of ip.Packet, from HeaderLen on, "strictly
// in the order they appear" (RFC 8200 section 4). It stops before the first header that
// is none, and behind a fragment header, if the packet is a piece of a datagram.
//
// Authentication and ESP headers are not extensions here: a stack without them answers
// as to any protocol it does not know.
func (ip *IP) readExtensions() Fault {
	b := ip.Packet
	for n := 0; ; n++ {
		switch ip.Proto {
		case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoDestOpts:
		case ProtoNone:
			// Section 4.7: octets behind it "must be ignored".
			ip.Payload = nil
			return FaultNone
		default:
			return FaultNone
		}
		if n == MaxExtensions {
			return FaultExtensionCount
		}
		at := ip.HeaderLen
		if at+8 > len(b) {
			return FaultExtensionShort
		}
		size := 8
		if ip.Proto != ProtoFragment {
			size += int(b[at+1]) * 8
		}
		if at+size > len(b) {
			return FaultExtensionShort
		}
		if f := ip.readExtension(at, size); f != FaultNone {
			return f
		}
		ip.Proto, ip.ProtoAt = b[at], at
		ip.HeaderLen = at + size
		ip.Payload = b[ip.HeaderLen:]
		if ip.Fragment {
			return FaultNone
		}
	}
}

// readExtension does what the header of ip.Proto at b[at:at+size] demands.
func (ip *IP) readExtension(at, size int) Fault {
	b := ip.Packet
	switch ip.Proto {
	case ProtoHopByHop:
		// "The same action should be taken if a node encounters a Next Header value of
		// zero in any header other than an IPv6 header."
		if at != IPv6HeaderLen {
			return ip.problem(FaultExtensionOrder, problemNext, ip.ProtoAt)
		}
		return ip.readIPv6Options(at, size)
	case ProtoDestOpts:
		return ip.readIPv6Options(at, size)
	case ProtoRouting:
		// No routing type is known here; type 0 is forbidden by RFC 5095, which gives it
		// the same answer.
		if b[at+3] != 0 {
			return ip.problem(FaultRouting, problemField, at+2)
		}
	case ProtoFragment:
		v := be.Uint16(b[at+2:])
		ip.FragmentOffset = int(v &^ 7)
		ip.MoreFragments = v&1 != 0
		ip.ID = be.Uint32(b[at+4:])
		ip.Fragment = ip.MoreFragments || ip.FragmentOffset != 0
	}
	return FaultNone
}

// readIPv6Options walks the options of a hop-by-hop or destination options header, RFC
// 8200 section 4.2. Only the paddings are known; the highest two bits of any other say
// what is to be done. MUST-50
func (ip *IP) readIPv6Options(at, size int) Fault {
	b := ip.Packet[:at+size]
	for i := at + 2; i < len(b); {
		kind := b[i]
		if kind == 0 { // Pad1 alone has no length
			i++
			continue
		}
		if i+1 >= len(b) || i+2+int(b[i+1]) > len(b) {
			return ip.problem(FaultIPv6Option, problemField, min(i+1, len(b)-1))
		}
		if kind != 1 { // PadN
			switch kind >> 6 {
			case 0: // "skip over this option"
			case 1: // "discard the packet"
				return FaultIPv6OptionUnknown
			case 2: // answer "regardless of whether or not the packet's Destination Address was a multicast"
				fault := ip.problem(FaultIPv6OptionUnknown, problemOption, i)
				ip.Problem = true
				return fault
			case 3: // answer "only if the packet's Destination Address was not a multicast address"
				return ip.problem(FaultIPv6OptionUnknown, problemOption, i)
			}
		}
		i += 2 + int(b[i+1])
	}
	return FaultNone
}

// Ports reads the ports of a TCP or UDP header, which stand in the same place, before
// the header has been judged.
func Ports(b []byte) (src, dst uint16, ok bool) {
	if len(b) < 4 {
		return 0, 0, false
	}
	return be.Uint16(b), be.Uint16(b[2:]), true
}

// Flow returns the flow of a whole TCP or UDP packet as its receiver sees it: the
// destination is the local end.
func (ip *IP) Flow() (Flow, Fault) {
	src, dst, ok := Ports(ip.Payload)
	if !ok || ip.Fragment || (ip.Proto != ProtoTCP && ip.Proto != ProtoUDP) {
		return Flow{}, FaultTransport
	}
	return Flow{Local: ip.Dst, Remote: ip.Src, LocalPort: dst, RemotePort: src}, FaultNone
}
