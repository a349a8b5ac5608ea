package tcp

// SEND and CLOSE on the queue's side (RFC 9293 sections 3.10.2 and 3.10.4), and what an
// acknowledgment does to the queue (3.10.7.4 fifth).

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// queueText takes as much of p as there is room for.
func (c *Conn) queueText(now Time, p []byte) int {
	c.checkLimited()
	n := c.fitText(uint32(min(uint64(len(p)), maxReceive)))
	c.count.refused = int(n) < len(p)
	if n == 0 {
		return 0
	}
	c.startProgress(now)
	q := &c.snd.queue
	q.writeAt(q.n, p[:n])
	q.n += n
	return int(n)
}

// fitText makes room for n octets more in the send queue, or for as many as there may be.
func (c *Conn) fitText(n uint32) uint32 {
	q, most := &c.snd.queue, c.sendCapacity()
	n = min(n, most-min(q.n, most))
	if n == 0 {
		return 0
	}
	had := q.reserve(&c.cfg.pool, q.n+n)
	if had < q.n+n {
		c.signal |= SignalNoMemory
	}
	return min(n, had-q.n)
}

// queueFIN puts our FIN behind what is queued; CLOSE "implies push".
func (c *Conn) queueFIN(now Time) {
	c.startProgress(now)
	c.snd.finQueued = true
	c.snd.fin = c.base().Add(c.snd.queue.n)
}

// flushSendSide gives up what is queued for sending and keeps what waits to be read.
func (c *Conn) flushSendSide() {
	c.snd.queue.release(&c.cfg.pool)
	c.releaseBoard()
	c.dropHeld()
	if c.rcv.queue.n == 0 {
		c.rcv.queue.release(&c.cfg.pool)
	}
}

// whyClosed is what calls return in CLOSED.
func (c *Conn) whyClosed() error {
	switch {
	case c.err != 0:
		return c.err
	case c.rcv.finSeen || c.snd.finSent:
		return ErrClosing
	}
	return ErrNotExist
}

// resetWhileClosing is what a reset in CLOSING or LAST-ACK means to the user: an error only
// when text, not just our FIN, is lost.
func (c *Conn) resetWhileClosing() Error {
	if c.snd.queue.n > 0 {
		return ErrReset
	}
	return 0
}

// acksSomethingSent is the "acceptable ack" of RFC 9293 section 3.4: SND.UNA < SEG.ACK =<
// SND.NXT.
func (c *Conn) acksSomethingSent(seg *wire.Segment) bool {
	// By distances, for at 2^31 from SND.UNA a number is neither before nor after it.
	ahead := seg.Ack.Sub(c.snd.una)
	return ahead > 0 && ahead <= c.snd.nxt.Sub(c.snd.una)
}

// ackPlausible is the check of RFC 5961 section 5: (SND.UNA - MAX.SND.WND) =< SEG.ACK =<
// SND.NXT. The lower bound does not reach below what has been acknowledged in this
// connection's life, so that a number from before it is no ACK of it (CVE-2023-52881).
func (c *Conn) ackPlausible(seg *wire.Segment) bool {
	return c.acksSomethingSent(seg) || c.snd.una.Sub(seg.Ack) <= min(c.snd.maxWnd, c.rto.ackedTotal)
}

// inFlight reports SND.UNA =< s < SND.NXT: what an ICMP message must quote (RFC 5927
// section 4.1).
func (c *Conn) inFlight(s seq.Num) bool {
	return s.In(c.snd.una, c.snd.nxt.Sub(c.snd.una))
}

// acknowledge: "set SND.UNA <- SEG.ACK. Any segments on the retransmission queue that are
// thereby entirely acknowledged are removed."
func (c *Conn) acknowledge(now Time, seg *wire.Segment) {
	acked := seg.Ack.Sub(c.snd.una)
	c.measure(now, seg)
	c.rto.ackedTotal = uint32(min(uint64(c.rto.ackedTotal)+uint64(acked), 1<<32-1))
	text, first := acked, !c.snd.synAcked
	if first {
		c.snd.synAcked = true
		text--
		c.beginMTUSearch()
		c.startCongestion(now)
		c.finishAccurate(now, seg)
		c.rto.afterHandshake()
		c.startKeepAlive(now)
	}
	text = min(text, c.snd.queue.n) // without our FIN
	c.snd.queue.drop(text)
	c.count.OctetsAcked += uint64(text)
	c.snd.una = seg.Ack
	if c.board != nil {
		c.board.acked(seg.Ack, func(r run) { c.rackDelivered(now, seg, r) })
	}
	c.rto.count = 0
	c.soft = SoftError{} // what was in the way is so no more
	c.timer.progress = now
	c.signal |= SignalAcked | SignalWritable
	c.restartRetransmission(now)
	if first {
		c.fastOpenAcked(now)
	}
	if c.snd.queue.n == 0 {
		c.snd.queue.release(&c.cfg.pool)
	}
}
