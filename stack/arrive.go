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
	s.stats.PacketsIn++
	fault := wire.ParseIP(p.Bytes(), &s.ip)
	if fault != wire.FaultNone {
		s.stats.Faults[fault]++
		return
	}
	s.deliver(now, n, &s.ip, p.Sum, p.GSO)
}

// deliver hands a packet to who it is for.
func (s *Stack) deliver(now tcp.Time, n *netif, ip *wire.IP, sum wire.Checksum, gso uint16) {
	if !s.isOwn(&ip.Dst) {
		s.stats.Rules[tcp.RuleNotOurs]++
		return
	}
	switch ip.Proto {
	case wire.ProtoTCP:
		s.arriveTCP(now, n, ip, sum, gso)
	}
}

func (s *Stack) arriveTCP(now tcp.Time, n *netif, ip *wire.IP, sum wire.Checksum, gso uint16) {
	if f := wire.VerifyTCP(ip, sum); f != wire.FaultNone {
		s.stats.Faults[f]++
		return
	}
	seg := &s.seg
	if f := wire.ParseTCP(ip.Payload, seg); f != wire.FaultNone {
		s.stats.Faults[f]++
		return
	}
	seg.TC, seg.HopLimit, seg.GSO = ip.TC, ip.HopLimit, gso
	s.stats.SegmentsIn++
	flow, f := ip.Flow()
	if f != wire.FaultNone {
		s.stats.Faults[f]++
		return
	}
	if c := s.conns[flow]; c != nil {
		c.tcp.Arrive(now, seg)
		s.touch(now, c)
		return
	}
	if l := s.findListener(&flow); l != nil {
		s.arriveListen(now, n, l, flow, seg)
		return
	}
	s.arriveNowhere(now, &flow, seg)
}

// arriveListen is a segment for a listener.
func (s *Stack) arriveListen(now tcp.Time, n *netif, l *Listener, flow wire.Flow, seg *wire.Segment) {
	if seg.Flags&(wire.SYN|wire.ACK|wire.RST) != wire.SYN {
		s.arriveNowhere(now, &flow, seg)
		return
	}
	c := s.newConn(flow, n)
	c.setOptions(now, &l.opts.Conn)
	c.watcher = nil
	c.listener, c.inQueue = l, inHalfOpen
	l.halfOpen.push(c)
	c.tcp.Open(now, tcp.Passive)
	c.tcp.SetRemote(flow)
	c.tcp.Arrive(now, seg)
	s.touch(now, c)
}

// childSignals is told of the signals of a connection that has not been accepted.
func (l *Listener) childSignals(now tcp.Time, c *Conn, sig tcp.Signal) {
	if c.inQueue != inHalfOpen {
		return
	}
	switch {
	case sig&tcp.SignalEstablished != 0:
		l.halfOpen.remove(c)
		c.inQueue = inReady
		l.ready.push(c)
		l.tell()
	case sig&(tcp.SignalListen|tcp.SignalClosed) != 0: // MUST-11
		l.leave(c)
		c.released = true
	}
}

// arriveNowhere answers a segment of no connection: RFC 9293 section 3.10.7.1.
func (s *Stack) arriveNowhere(now tcp.Time, flow *wire.Flow, seg *wire.Segment) {
	s.stats.Rules[tcp.RuleNoConnection]++
	var reset wire.Segment
	if !tcp.ResetFor(seg, &reset) {
		return
	}
	s.answer(flow, &reset)
}

// answer queues a segment that no connection sends.
func (s *Stack) answer(flow *wire.Flow, seg *wire.Segment) {
	n, _ := s.lookup(&flow.Remote)
	if n == nil {
		s.stats.NoRoute++
		return
	}
	seg.HopLimit = s.cfg.HopLimit
	q := &s.outbox
	if n.id == loopback {
		q = &s.loop
	}
	size := wire.HeaderLen(flow, seg) + int(seg.TextLen())
	if len(q.buf)+size > s.cfg.MaxQueued {
		s.stats.QueueFull++
		return
	}
	sum := wire.ChecksumNone
	size = wire.PutSegment(q.grow(size), flow, seg, sum)
	q.add(n.id, size, 0, sum)
	s.stats.SegmentsOut++
}
