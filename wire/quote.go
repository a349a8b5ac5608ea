package wire

import "github.com/vitro-net/vitro/seq"

// Quote is what an ICMP error tells of the packet that caused it, as much as was quoted:
// "the necessary demultiplexing information", RFC 9293 section 3.9.2.2. MUST-54
type Quote struct {
	// Flow is that of the packet as its sender sees it: we sent it, so Local is its
	// source. The ports are 0 for a protocol without.
	Flow  Flow
	Proto uint8
	// Seq is the sequence number of the segment, when HasSeq says that the packet was TCP
	// and enough of it was quoted. RFC 5927 section 4.1 has the receiver compare it with
	// what is in flight.
	Seq    seq.Num
	HasSeq bool
	// Len is the length that the quoted packet had, in octets, by its own header: RFC
	// 5927 section 7 compares it with the MTU a router claims.
	Len int
	// Transport is what was quoted behind the IP headers, a view.
	Transport []byte
}

// ParseQuote reads the packet that an ICMP error quotes. The version must be that of the
// message, v6. Routers quote as little as the IP header and eight octets (RFC 792), and
// have changed it on the way: neither its length nor IPv4's checksum is held against it.
//
// It returns FaultQuote when addresses, protocol, or the ports of TCP and UDP are
// missing, and for a fragment behind the first, which has no ports.
func ParseQuote(b []byte, v6 bool, q *Quote) Fault {
	*q = Quote{}
	var ip IP
	if v6 {
		if len(b) < IPv6HeaderLen || Version(b) != 6 {
			return FaultQuote
		}
		h := IPv6(b)
		ip = IP{Src: h.Src(), Dst: h.Dst(), Proto: h.NextHeader(), V6: true,
			HeaderLen: IPv6HeaderLen, Packet: b, Payload: b[IPv6HeaderLen:]}
		if ip.Src.Is4() || ip.Dst.Is4() || ip.skipExtensions() != FaultNone {
			return FaultQuote
		}
		q.Len = IPv6HeaderLen + int(h.PayloadLen())
	} else {
		if len(b) < IPv4HeaderLen || Version(b) != 4 {
			return FaultQuote
		}
		h := IPv4(b)
		if h.HeaderLen() < IPv4HeaderLen || h.HeaderLen() > len(b) {
			return FaultQuote
		}
		ip = IP{Src: h.Src(), Dst: h.Dst(), Proto: h.Protocol(),
			FragmentOffset: h.FragmentOffset(), Payload: b[h.HeaderLen():]}
		q.Len = int(h.TotalLen())
	}
	if ip.FragmentOffset != 0 {
		return FaultQuote
	}
	q.Flow = Flow{Local: ip.Src, Remote: ip.Dst}
	q.Proto, q.Transport = ip.Proto, ip.Payload
	if q.Proto != ProtoTCP && q.Proto != ProtoUDP {
		return FaultNone
	}
	var ok bool
	if q.Flow.LocalPort, q.Flow.RemotePort, ok = Ports(ip.Payload); !ok {
		return FaultQuote
	}
	if q.Proto == ProtoTCP && len(ip.Payload) >= 8 {
		q.Seq, q.HasSeq = seq.Num(be.Uint32(ip.Payload[4:])), true
	}
	return FaultNone
}

// skipExtensions walks the extension headers of a packet we sent, whose options say
// nothing to us.
func (ip *IP) skipExtensions() Fault {
	b := ip.Packet
	for n := 0; ; n++ {
		size := 8
		switch ip.Proto {
		case ProtoHopByHop, ProtoRouting, ProtoDestOpts:
			if len(ip.Payload) >= 8 {
				size += int(ip.Payload[1]) * 8
			}
		case ProtoFragment:
			if len(ip.Payload) >= 8 {
				ip.FragmentOffset = int(be.Uint16(ip.Payload[2:]) &^ 7)
			}
		default:
			return FaultNone
		}
		if n == MaxExtensions {
			return FaultExtensionCount
		}
		if size > len(ip.Payload) {
			return FaultExtensionShort
		}
		ip.Proto = ip.Payload[0]
		ip.HeaderLen += size
		ip.Payload = b[ip.HeaderLen:]
		if ip.FragmentOffset != 0 {
			return FaultNone
		}
	}
}
