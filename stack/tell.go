package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// ICMP and ICMPv6 that the stack sends about packets it could not use: RFC 792, RFC 1122
// section 3.2.2, RFC 1812 section 4.3, RFC 4443 section 2.4.

// tell sends an error about the packet that ip describes, if it may be answered at all and
// its sender has not been told enough. It quotes the packet.
func (s *Stack) tell(now tcp.Time, ip *wire.IP, m *wire.ICMPMessage) {
	about := *ip
	if about.Dst.IsMulticast() && about.V6 && (about.Problem && m.Code == wire.ICMPv6UnknownOption || m.Kind == wire.ICMPPacketTooBig) {
		about.Dst = wire.Addr{15: 1} // the exceptions of RFC 4443 section 2.4 (e.3)
	}
	if !wire.MayAnswer(&about) || s.isBroadcast(&about.Dst) || s.isBroadcast(&about.Src) {
		return
	}
	n := s.between(&ip.Dst, &ip.Src)
	if n == nil {
		s.stats.NoRoute++
		return
	}
	src := ip.Dst
	if !s.isOwn(&src) {
		var ok bool
		if src, ok = s.source(n, &ip.Src); !ok {
			s.stats.NoRoute++
			return
		}
	}
	if !s.errors.take(now, &ip.Src) {
		s.count(tcp.RuleLimited)
		return
	}
	m.Body = ip.Packet
	s.putICMP(n, &src, &ip.Src, 0, m)
}

// tellProblem sends the Parameter Problem that wire has found.
func (s *Stack) tellProblem(now tcp.Time, ip *wire.IP) {
	s.tell(now, ip, &wire.ICMPMessage{Kind: wire.ICMPParameterProblem, Code: ip.ProblemCode, Pointer: ip.ProblemPointer})
}

// tellUnreachable sends a Destination Unreachable of the code of the packet's version.
func (s *Stack) tellUnreachable(now tcp.Time, ip *wire.IP, code4, code6 uint8) {
	m := wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: code4}
	if ip.V6 {
		m.Code = code6
	}
	s.tell(now, ip, &m)
}

// putICMP queues a message that leaves by n, in fragments where it must be.
func (s *Stack) putICMP(n *netif, src, dst *wire.Addr, tc uint8, m *wire.ICMPMessage) {
	s.putICMPHops(n, src, dst, tc, s.cfg.HopLimit, m)
}

func (s *Stack) putICMPHops(n *netif, src, dst *wire.Addr, tc, hops uint8, m *wire.ICMPMessage) {
	size := wire.ICMPLen(*src, m)
	if size > n.cfg.MTU {
		s.big = append(s.big[:0], make([]byte, size)...)
		if wire.PutICMP(s.big, *src, *dst, tc, hops, m) == size {
			s.stats.ICMPOut[m.Kind]++
			s.fragment(n, n.cfg.MTU, s.big)
		}
		return
	}
	b := s.grow(n, size)
	if b == nil {
		return
	}
	if size = wire.PutICMP(b, *src, *dst, tc, hops, m); size > 0 {
		s.stats.ICMPOut[m.Kind]++
		s.queueOf(n).add(n.id, size, 0, wire.ChecksumNone)
	}
}
