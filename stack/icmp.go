package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// ICMP and ICMPv6 that arrive: RFC 792, RFC 1122 section 3.2.2, RFC 4443, and RFC 9293
// section 3.9.2.2 with the checks of RFC 5927.

func (s *Stack) arriveICMP(now tcp.Time, ip *wire.IP) {
	var m wire.ICMPMessage
	if f := wire.ParseICMP(ip, &m); f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	s.stats.ICMPIn[m.Kind]++
	switch m.Kind {
	case wire.ICMPEchoRequest:
		s.echo(now, ip, &m)
	case wire.ICMPUnreachable, wire.ICMPPacketTooBig, wire.ICMPTimeExceeded, wire.ICMPParameterProblem:
		s.arriveICMPError(now, ip, &m)
	case wire.ICMPSourceQuench:
		// MUST-55: "MUST silently discard".
	case wire.ICMPEchoReply:
		s.pings.reply(now, ip, &m)
	case wire.ICMPOther:
	}
}

// echo answers an echo request: RFC 1122 section 3.2.2.6, RFC 4443 section 4.2. One to a
// multicast or broadcast address has not come this far.
func (s *Stack) echo(now tcp.Time, ip *wire.IP, m *wire.ICMPMessage) {
	n := s.between(&ip.Dst, &ip.Src)
	if n == nil {
		s.stats.NoRoute++
		return
	}
	if !s.echoes.take(now, &ip.Src) {
		s.count(tcp.RuleLimited)
		return
	}
	reply := wire.ICMPMessage{Kind: wire.ICMPEchoReply, ID: m.ID, Seq: m.Seq, Body: m.Body}
	s.putICMP(n, &ip.Dst, &ip.Src, ip.TC, &reply)
}

// arriveICMPError directs an error to the connection that caused it (MUST-54), or to the UDP socket
// or ping. What names none of them is for nobody.
func (s *Stack) arriveICMPError(now tcp.Time, ip *wire.IP, m *wire.ICMPMessage) {
	var q wire.Quote
	if f := wire.ParseQuote(m.Body, ip.V6, &q); f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	if q.Proto != wire.ProtoTCP && (s.arriveUDPError(now, ip, m, &q) || s.pings.failed(ip, m, &q)) {
		return
	}
	if q.Proto != wire.ProtoTCP || !q.HasSeq {
		s.stats.ICMPIgnored++
		return
	}
	c := s.conns[q.Flow]
	if c == nil {
		s.stats.ICMPIgnored++
		return
	}
	believed := false
	if m.Kind == wire.ICMPPacketTooBig {
		believed = s.packetTooBig(now, c, &q, int(min(m.MTU, wire.MaxPacket)))
	} else {
		e := softError(ip.V6, m)
		e.Seq = q.Seq
		believed = c.tcp.ICMP(now, e)
	}
	if !believed {
		s.stats.ICMPIgnored++
		return
	}
	s.touch(now, c)
}

// packetTooBig takes in that a packet did not fit a path of mtu octets; 0 when the router
// did not say. Only routers of IPv4 may do that, or have links of less than 1280 octets: "If
// a node receives a Packet Too Big message reporting a next-hop MTU that is less than the
// IPv6 minimum link MTU, it must discard it", RFC 8201 section 4.
func (s *Stack) packetTooBig(now tcp.Time, c *Conn, q *wire.Quote, mtu int) bool {
	switch v6 := !q.Flow.Remote.Is4(); {
	case v6 && mtu < leastMTU6:
		return false
	case mtu == 0:
		mtu = plateau(q.Len)
	}
	if q.Len != 0 && mtu >= q.Len {
		return false // RFC 5927 section 7.1: it did fit
	}
	if !c.tcp.PacketTooBig(now, q.Seq, mtu) {
		return false
	}
	s.paths.learn(now, q.Flow.Remote, mtu, s.cfg.MaxPaths)
	return true
}

// softError says what an error means to a connection. Hard, in the sense of RFC 1122
// section 4.2.3.9 (SHLD-26), are IPv4's codes 2 and 3, 4 being path MTU discovery, and what
// corresponds to them in IPv6: port unreachable. All others are soft (MUST-56).
func softError(v6 bool, m *wire.ICMPMessage) tcp.SoftError {
	e := tcp.SoftError{Type: m.Type, Code: m.Code, Reason: tcp.HostUnreachable}
	switch m.Kind {
	case wire.ICMPTimeExceeded:
		e.Reason = tcp.TimeExceeded
	case wire.ICMPParameterProblem:
		e.Reason = tcp.ParameterProblem
		// IPv6 has no protocol unreachable but this. RFC 9293 calls it soft.
	case wire.ICMPUnreachable:
		if v6 {
			e.Reason, e.Hard = unreachable6(m.Code)
		} else {
			e.Reason, e.Hard = unreachable4(m.Code)
		}
	case wire.ICMPOther, wire.ICMPEchoRequest, wire.ICMPEchoReply, wire.ICMPPacketTooBig, wire.ICMPSourceQuench:
	}
	return e
}

// unreachable4 reads the codes of RFC 792 and RFC 1122 section 3.2.2.1.
func unreachable4(code uint8) (reason tcp.SoftReason, hard bool) {
	switch code {
	case wire.ICMPv4NetUnreachable, 6, 11: // and: unknown, for this type of service
		return tcp.NetUnreachable, false
	case wire.ICMPv4ProtocolUnreachable:
		return tcp.ProtocolUnreachable, true
	case wire.ICMPv4PortUnreachable:
		return tcp.PortUnreachable, true
	case 9, 10, wire.ICMPv4AdminProhibited:
		return tcp.Prohibited, false
	}
	return tcp.HostUnreachable, false // 1, 5, 7, 8, 12 and later ones
}

// unreachable6 reads the codes of RFC 4443 section 3.1.
func unreachable6(code uint8) (reason tcp.SoftReason, hard bool) {
	switch code {
	case wire.ICMPv6NoRoute, wire.ICMPv6BeyondScope:
		return tcp.NetUnreachable, false
	case wire.ICMPv6AdminProhibited, 5, 6: // and: source address failed policy, route rejected
		return tcp.Prohibited, false
	case wire.ICMPv6PortUnreachable:
		return tcp.PortUnreachable, true
	}
	return tcp.HostUnreachable, false
}
