package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Arrive takes in one packet that has come by an interface. The packet is in force for the
// call only, and is not written to. What it makes the stack send, Output gives: after a
// batch of packets, call it once. A packet from an interface that is gone is dropped.
func (s *Stack) Arrive(now tcp.Time, iface int, p *wire.Packet) {
	n := s.iface(iface)
	if n == nil {
		s.stats.NoInterface++
		return
	}
	if !s.loops(n) {
		s.stats.PacketsIn++
	}
	s.arrive(now, n, p)
}

func (s *Stack) arrive(now tcp.Time, n *netif, p *wire.Packet) {
	ip := &s.ip
	fault := wire.ParseIP(p.Bytes(), ip)
	if fault != wire.FaultNone && s.passes(ip) {
		fault = wire.FaultNone
	}
	if fault != wire.FaultNone && !ip.Problem {
		s.fault(now, p.Bytes(), fault)
		return
	}
	if rule := s.martian(n, ip); rule != 0 {
		s.discardPacket(now, ip, rule)
		return
	}
	own := s.isOwn(&ip.Dst)
	switch {
	case fault != wire.FaultNone:
		s.fault(now, p.Bytes(), fault)
		if own || ip.Dst.IsMulticast() {
			s.tellProblem(now, ip)
		}
	case ip.SourceRoute:
		// RFC 7126 section 4.3: routers and hosts "should, by default, drop".
		s.discardPacket(now, ip, tcp.RuleSourceRoute)
	case own && ip.Fragment:
		s.reassemble(now, n, ip)
	case own:
		s.deliver(now, n, ip, p.Sum, p.GSO)
	case ip.Dst.IsMulticast() || s.isBroadcast(&ip.Dst):
		s.discardPacket(now, ip, tcp.RuleMartian) // MUST-57; nothing else here is for many hosts either
	case s.cfg.Forward:
		s.forward(now, n, ip, p)
	default:
		s.discardPacket(now, ip, tcp.RuleNotOurs)
	}
}

// martian returns the rule by which a packet is dropped for its addresses, or none: RFC
// 1122 section 3.2.1.3, which holds for "all incoming segments, not just SYNs" (RFC 9293
// section 3.9.2.3), RFC 1812 section 5.3.7, RFC 4443 section 2.4. MUST-63
func (s *Stack) martian(n *netif, ip *wire.IP) tcp.Rule {
	src, dst := &ip.Src, &ip.Dst
	switch {
	case src.IsUnspecified() || src.IsMulticast() || s.isBroadcast(src) || isReserved(src):
		return tcp.RuleMartian
	case dst.IsUnspecified() || isReserved(dst) && !s.isBroadcast(dst):
		return tcp.RuleMartian
	case n.id == loopback:
		return 0
	case src.IsLoopback() || dst.IsLoopback() || s.isOwn(src):
		// The last is a packet that claims to come from ourselves, "LAND".
		return tcp.RuleMartian
	}
	return 0
}

// isReserved reports whether a is in 0.0.0.0/8 or 240.0.0.0/4, which are no hosts'.
func isReserved(a *wire.Addr) bool { return a.Is4() && (a[12] == 0 || a[12] >= 240) }

// reassemble takes in a fragment, and delivers the packet when it was the last.
func (s *Stack) reassemble(now tcp.Time, n *netif, ip *wire.IP) {
	whole, fault := s.frags.Add(int64(now), ip)
	if fault != wire.FaultNone {
		s.fault(now, ip.Packet, fault)
		if ip.Problem {
			s.tellProblem(now, ip)
		}
		return
	}
	if whole == nil {
		return
	}
	s.stats.Reassembled++
	if fault = wire.ParseIP(whole, ip); fault != wire.FaultNone || ip.Fragment {
		s.fault(now, whole, fault)
		if ip.Problem {
			s.tellProblem(now, ip)
		}
		return
	}
	s.deliver(now, n, ip, wire.ChecksumNone, 0)
}

// expireFragments gives up datagrams that miss fragments for too long, and tells who sent
// them: RFC 1122 section 3.3.2, RFC 8200 section 4.5.
func (s *Stack) expireFragments(now tcp.Time) {
	for {
		first, expired := s.frags.Expire(int64(now))
		if !expired {
			return
		}
		s.fault(now, first, wire.FaultFragmentTimeout)
		if first == nil || wire.ParseIP(first, &s.ip) != wire.FaultNone {
			// ParseIP finds fault with a fragment whose length field says more than is there.
			continue
		}
		s.tell(now, &s.ip, &wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Code: wire.ICMPReassemblyExceeded})
	}
}

// deliver hands a whole packet for this host to its protocol.
func (s *Stack) deliver(now tcp.Time, n *netif, ip *wire.IP, sum wire.Checksum, gso uint16) {
	switch {
	case ip.Proto == wire.ProtoTCP:
		s.arriveTCP(now, n, ip, sum, gso)
	case ip.Proto == wire.ProtoICMP && !ip.V6, ip.Proto == wire.ProtoICMPv6 && ip.V6:
		s.arriveICMP(now, ip)
	case ip.Proto == wire.ProtoNone && ip.V6:
	case ip.Proto == wire.ProtoUDP:
		s.arriveUDP(now, ip, sum)
	case ip.V6:
		// RFC 8200 section 4: an unrecognized Next Header, with a pointer to it.
		s.tell(now, ip, &wire.ICMPMessage{Kind: wire.ICMPParameterProblem, Code: wire.ICMPv6UnknownNextHeader, Pointer: uint32(ip.ProtoAt)})
	default:
		s.tellUnreachable(now, ip, wire.ICMPv4ProtocolUnreachable, 0)
	}
}

func (s *Stack) arriveTCP(now tcp.Time, n *netif, ip *wire.IP, sum wire.Checksum, gso uint16) {
	if f := wire.VerifyTCP(ip, sum); f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	seg := &s.seg
	if f := wire.ParseTCP(ip.Payload, seg); f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	flow, f := ip.Flow()
	if f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	seg.TC, seg.HopLimit, seg.GSO = ip.TC, ip.HopLimit, gso
	s.stats.SegmentsIn++
	if c := s.conns[flow]; c != nil {
		s.arriveConn(now, n, c, seg)
		return
	}
	if at, ok := s.waiting.find(&flow); ok {
		s.arriveTimeWait(now, n, at, seg)
		return
	}
	if l := s.findListener(&flow); l != nil {
		s.arriveListen(now, n, l, &flow, seg)
		return
	}
	if !s.takesStray(now, &flow, tcp.Closed, seg) {
		return
	}
	s.discardStray(now, &flow, tcp.Closed, seg, tcp.RuleNoConnection)
	s.reset(now, &flow, seg)
}

// arriveConn is a segment of a connection.
func (s *Stack) arriveConn(now tcp.Time, n *netif, c *Conn, seg *wire.Segment) {
	switch {
	case !s.authentic(now, c, seg):
		return
	case seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN && s.reopenConn(now, n, c, seg):
		return
	case c.inQueue == inHalfOpen && c.listener.full() && seg.Flags&(wire.ACK|wire.RST) == wire.ACK:
		// It may not become established yet: the peer will say it again.
		s.discard(now, &c.tcp, seg, tcp.RuleBacklogFull)
		return
	case c.inQueue == inHalfOpen && s.preferCookie(now, n, c, seg):
		return
	case c.reused.until != 0 && c.tcp.State() == tcp.SynSent && c.stale(now, seg):
		s.discard(now, &c.tcp, seg, tcp.RulePAWS)
		return
	}
	c.tcp.Arrive(now, seg)
	if c.orphan {
		s.noteProgress(now, c)
	}
	s.touch(now, c)
}

// reset answers a segment of no connection, RFC 9293 section 3.10.7.1.
func (s *Stack) reset(now tcp.Time, flow *wire.Flow, seg *wire.Segment) {
	var reset wire.Segment
	if flow.RemotePort == 0 || !tcp.ResetFor(seg, &reset) {
		return
	}
	if !s.resets.take(now, &flow.Remote) {
		s.count(tcp.RuleLimited)
		return
	}
	s.stats.Resets++
	s.answer(flow, &reset)
}

// answer queues a segment that no connection sends.
func (s *Stack) answer(flow *wire.Flow, seg *wire.Segment) {
	n := s.between(&flow.Local, &flow.Remote)
	if n == nil {
		s.stats.NoRoute++
		return
	}
	if seg.HopLimit == 0 {
		seg.HopLimit = s.cfg.HopLimit
	}
	b := s.grow(n, wire.HeaderLen(flow, seg)+int(seg.TextLen()))
	if b == nil {
		return
	}
	s.stats.SegmentsOut++
	s.queueOf(n).add(n.id, wire.PutSegment(b, flow, seg, wire.ChecksumNone), 0, wire.ChecksumNone)
}

// queueOf returns the queue of what leaves by n.
func (s *Stack) queueOf(n *netif) *queue {
	if s.loops(n) {
		return &s.loop
	}
	return &s.outbox
}

// grow returns size octets of the queue of n, or nil when it is full.
func (s *Stack) grow(n *netif, size int) []byte {
	q := s.queueOf(n)
	if len(q.buf)+size > s.cfg.MaxQueued {
		s.stats.QueueFull++
		return nil
	}
	return q.grow(size)
}
