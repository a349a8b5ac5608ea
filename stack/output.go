package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// turn is how many octets a connection may send before others get their turn.
const turn = 128 << 10

// Output appends packets that are to be sent to b. It returns true when b's budget is used
// up and there is more: send b, Reset it, and call again. Connections are served in turn, a
// bounded share each. Call it after every call that may have given somebody something to
// send; after a batch of Arrive calls once for all (MUST-59).
//
// What the stack sends to itself it delivers here, and asks again whoever that has given
// something to send; a call ends after about as many octets as the budget has.
func (s *Stack) Output(now tcp.Time, b *Batch) bool {
	s.balance(now)
	looped := 0
	for {
		if !s.outputQueue(b) {
			return true
		}
		for s.dirty.first != nil {
			if c := s.dirty.first; !s.canOutput(c, b) {
				return true
			}
			s.outputConn(now, s.dirty.pop(), b)
		}
		if s.loop.empty() {
			return false
		}
		if looped > max(b.Budget, DefaultBudget) {
			return true
		}
		looped += s.drainLoop(now)
	}
}

// outputQueue moves answers and forwarded packets to b, and reports whether that was all.
func (s *Stack) outputQueue(b *Batch) bool {
	for !s.outbox.empty() {
		if !b.fits(s.outbox.packets[s.outbox.head].n) {
			return false
		}
		p, octets := s.outbox.pop()
		copy(b.free(), octets)
		b.add(p.iface, p.n, p.gso, p.sum)
		s.stats.PacketsOut++
	}
	s.outbox.reset()
	s.udp.unblock()
	return true
}

// canOutput reports whether b has room for whatever c may send next.
func (s *Stack) canOutput(c *Conn, b *Batch) bool {
	n := s.leads(c)
	return n == nil || s.loops(n) || b.fits(n.largest)
}

// leads returns the interface by which c sends, or nil.
func (s *Stack) leads(c *Conn) *netif {
	if c.routing != s.routing {
		c.routing = s.routing
		flow := c.tcp.Flow()
		n := s.between(&flow.Local, &flow.Remote)
		if n != nil && n != c.iface {
			c.tcp.SetSuperSegment(n.super)
			c.tcp.SetLinkMTU(n.cfg.MTU)
		}
		c.iface = n
	}
	return c.iface
}

// outputConn gives c one turn.
func (s *Stack) outputConn(now tcp.Time, c *Conn, b *Batch) {
	if c.freed {
		return
	}
	n := s.leads(c)
	flow := c.tcp.Flow()
	more := false
	for sent := 0; c.tcp.Output(now, &s.seg); {
		s.stats.SegmentsOut++
		if n == nil {
			s.stats.NoRoute++
		} else {
			sent += s.putSegment(n, c, &flow, &s.seg, b)
		}
		if sent >= turn || !s.canOutput(c, b) {
			more = true
			break
		}
	}
	s.signals(now, c)
	s.wheel.arm(&c.timer, c.tcp.Deadline())
	if more {
		s.dirty.push(c)
		return
	}
	s.settle(now, c)
}

// putSegment writes the packet of seg, which c sends, to b, which has room for it, or to the loop, and
// returns its length.
func (s *Stack) putSegment(n *netif, c *Conn, flow *wire.Flow, seg *wire.Segment, b *Batch) int {
	if seg.HopLimit == 0 {
		seg.HopLimit = s.cfg.HopLimit // MUST-49
	}
	sum := wire.ChecksumNone
	if n.cfg.ChecksumOffload {
		sum = wire.ChecksumPartial
	}
	if s.loops(n) {
		size := wire.HeaderLen(flow, seg) + int(seg.TextLen())
		size = form(s.loop.grow(size), c, flow, seg, sum)
		s.loop.add(loopback, size, seg.GSO, sum)
		return size
	}
	size := form(b.free(), c, flow, seg, sum)
	b.add(n.id, size, seg.GSO, sum)
	s.stats.PacketsOut++
	return size
}

// drainLoop delivers what the stack has sent to itself, and returns how many octets that
// were. What this gives rise to is queued behind and not delivered before the next call.
func (s *Stack) drainLoop(now tcp.Time) (octets int) {
	s.loop, s.loop2 = s.loop2, s.loop
	for !s.loop2.empty() {
		p, b := s.loop2.pop()
		octets += p.n
		packet := wire.Packet{Buf: b, GSO: p.gso, Sum: p.sum}
		s.arrive(now, s.ifaces[loopback], &packet)
	}
	s.loop2.reset()
	return octets
}
