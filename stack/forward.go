package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// forward passes a packet on: RFC 1812 section 5, RFC 8200. "A packet lives at most MSL in
// the network", and the hop limit sees to it: it falls by one at each router, and who sent
// the packet is told when it dies.
func (s *Stack) forward(now tcp.Time, in *netif, ip *wire.IP, p *wire.Packet) {
	if isLinkLocal(&ip.Src) || isLinkLocal(&ip.Dst) {
		s.discardPacket(now, ip, tcp.RuleNotOurs)
		return
	}
	if ip.HopLimit <= 1 {
		s.stats.HopLimitExceeded++
		s.tell(now, ip, &wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Code: wire.ICMPHopLimitExceeded})
		return
	}
	out, onLink := s.lookup(&ip.Dst)
	if out == nil {
		s.stats.NoRoute++
		s.tellUnreachable(now, ip, wire.ICMPv4NetUnreachable, wire.ICMPv6NoRoute)
		return
	}
	if out == in && onLink {
		// It would go back over the point-to-point link that it came from: there is no such
		// host there (RFC 4443 section 3.1, code 3).
		s.stats.NoRoute++
		s.tellUnreachable(now, ip, wire.ICMPv4HostUnreachable, wire.ICMPv6AddressUnreachable)
		return
	}
	packet := ip.Packet
	whole := len(packet)
	if p.GSO != 0 && ip.Proto == wire.ProtoTCP && !ip.Fragment && len(ip.Payload) >= wire.TCPHeaderLen {
		whole = min(whole, ip.HeaderLen+wire.TCP(ip.Payload).DataOffset()+int(p.GSO))
	}
	if whole > out.cfg.MTU && ip.DontFragment {
		s.tell(now, ip, &wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: uint32(out.cfg.MTU)})
		s.stats.TooBig++
		return
	}
	s.passOn(now, ip, p, out, whole)
}

// passes reports whether a packet in which ParseIP has found a fault is to be forwarded all
// the same: extension headers but hop-by-hop options "are not processed [...] by any node
// along a packet's delivery path", RFC 8200 section 4.
func (s *Stack) passes(ip *wire.IP) bool {
	return s.cfg.Forward && ip.V6 && ip.Packet != nil && !s.isOwn(&ip.Dst) && !ip.Dst.IsMulticast() &&
		(wire.IPv6(ip.Packet).NextHeader() != wire.ProtoHopByHop || ip.HeaderLen > wire.IPv6HeaderLen)
}

// passOn sends a packet, of which the largest piece to be cut has whole octets, by out.
func (s *Stack) passOn(now tcp.Time, ip *wire.IP, p *wire.Packet, out *netif, whole int) {
	size := len(ip.Packet)
	super := size > out.cfg.MTU && whole <= out.cfg.MTU
	offload := super && out.cfg.ChecksumOffload && size <= out.cfg.MaxSuper
	if super && !offload || size > out.cfg.MTU && !super {
		s.big = append(s.big[:0], ip.Packet...)
		sum := hop(s.big, p.Sum, false)
		if sum == wire.ChecksumNone && super && wire.VerifyTCP(ip, p.Sum) != wire.FaultNone {
			s.fault(now, ip.Packet, wire.FaultTCPChecksum) // cut, it would look sound
			return
		}
		s.stats.Forwarded++
		if super {
			s.split(now, s.big, p.GSO, out)
		} else {
			s.fragment(out, out.cfg.MTU, s.big)
		}
		return
	}
	b := s.grow(out, size)
	if b == nil {
		return
	}
	copy(b, ip.Packet)
	sum := hop(b, p.Sum, out.cfg.ChecksumOffload)
	gso := p.GSO
	if !super {
		gso = 0
	}
	if super && sum == wire.ChecksumNone {
		if f := wire.VerifyTCP(ip, p.Sum); f != wire.FaultNone {
			s.fault(now, ip.Packet, f)
			return
		}
		sum = wire.ChecksumPartial
		wire.TCP(b[ip.HeaderLen:]).SetChecksum(wire.PseudoSum(&ip.Src, &ip.Dst, wire.ProtoTCP, len(ip.Payload)))
	}
	s.stats.Forwarded++
	s.queueOf(out).add(out.id, size, gso, sum)
}

// hop lowers the hop limit of the packet b, and finishes its checksum unless that may be
// left to the link. It returns what is to be said of the checksum.
func hop(b []byte, sum wire.Checksum, offload bool) wire.Checksum {
	if wire.Version(b) == 4 {
		h := wire.IPv4(b)
		h.SetTTL(h.TTL() - 1)
		h.UpdateChecksum()
	} else {
		h := wire.IPv6(b)
		h.SetHopLimit(h.HopLimit() - 1)
	}
	if sum == wire.ChecksumPartial {
		if offload {
			return sum
		}
		_ = wire.FinishChecksum(b) // a packet without a sum to finish goes as it is
	}
	return wire.ChecksumNone
}

// split cuts a super-segment for a link that does not.
func (s *Stack) split(now tcp.Time, b []byte, gso uint16, out *netif) {
	var sp wire.Splitter
	if f := sp.Start(b, gso); f != wire.FaultNone {
		s.fault(now, b, f)
		return
	}
	for sp.Left() > 0 {
		piece := s.grow(out, sp.MaxLen())
		if piece == nil {
			return
		}
		s.queueOf(out).add(out.id, sp.Next(piece), 0, wire.ChecksumNone)
	}
}
