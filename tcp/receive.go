package tcp

// What arrives: the acceptability test and the text of a segment (RFC 9293 section
// 3.10.7.4, first and seventh), RECEIVE (3.10.3), and when to acknowledge (3.8.6.3).

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// ReceiveEnd says what becomes of text that arrives when the user reads no more.
type ReceiveEnd uint8

// The ways of CloseReceive.
const (
	Reading ReceiveEnd = iota // the user reads
	Discard                   // text is acknowledged and thrown away
	Gone                      // text resets the connection, RFC 9293 section 3.6.1
)

// acceptable is Table 6 of RFC 9293, and ackAtEdge, and spansWindow.
func (c *Conn) acceptable(seg *wire.Segment) bool {
	n := seg.Len()
	switch {
	case n == 0 && c.rcv.wnd == 0:
		return seg.Seq == c.rcv.nxt || c.ackAtEdge(seg)
	case n == 0:
		return seg.Seq.In(c.rcv.nxt, c.rcv.wnd) || c.ackAtEdge(seg)
	case c.rcv.wnd == 0:
		// "Special allowance should be made to accept valid ACKs, URGs, and RSTs": trim
		// leaves nothing but them (MUST-66).
		return seg.Seq == c.rcv.nxt
	}
	return seg.Seq.In(c.rcv.nxt, c.rcv.wnd) || (seg.End()-1).In(c.rcv.nxt, c.rcv.wnd) || c.spansWindow(seg)
}

// ackAtEdge accepts an ACK without text at the right edge of the window, and, of a closed
// window, one octet beyond.
//
// It deviates from Table 6, SEG.SEQ < RCV.NXT+RCV.WND: a peer that has filled the window,
// part of it lost, acknowledges from exactly the edge, and one that has probed a closed window
// from the octet after; to the letter none of its acknowledgments would count, though "it is
// possible for a TCP implementation to maintain a zero receive window while transmitting data
// and receiving ACKs" (section 3.4). RFC 9293 appendix A.2 speaks of such cases. Linux does so.
func (c *Conn) ackAtEdge(seg *wire.Segment) bool {
	if seg.Flags&(wire.RST|wire.SYN) != 0 {
		return false
	}
	edge := c.rcv.nxt.Add(c.rcv.wnd)
	return seg.Seq == edge || c.rcv.wnd == 0 && seg.Seq == edge+1
}

// spansWindow accepts a segment that begins before the window and ends behind it.
//
// It deviates from Table 6, by which its beginning or its end must lie in the window: where
// segments are merged on the way (GRO) such a one carries all that the window has room for.
func (c *Conn) spansWindow(seg *wire.Segment) bool {
	old, n := c.rcv.nxt.Sub(seg.Seq), seg.Len()
	return seg.Flags&wire.RST == 0 && 0 < old && old < n && c.rcv.wnd < n-old
}

// trim makes the segment one that begins at or after RCV.NXT and does not exceed the
// window: "If a segment's contents straddle the boundary between old and new, only the new
// parts are processed." A SYN is left as it is, for the fourth step.
func (c *Conn) trim(seg *wire.Segment) {
	if seg.Flags&wire.SYN != 0 {
		return
	}
	if seg.Seq.Less(c.rcv.nxt) {
		cut := min(c.rcv.nxt.Sub(seg.Seq), uint32(len(seg.Text)))
		c.cameTwice(seg.Seq, seg.Seq.Add(cut))
		if seg.Flags&wire.FIN != 0 && c.rcv.nxt.Sub(seg.Seq) > cut {
			seg.Flags &^= wire.FIN
		}
		seg.Text = seg.Text[cut:]
		seg.Seq = c.rcv.nxt
		if uint32(seg.Up) > cut {
			seg.Up -= uint16(cut)
		} else {
			seg.Flags &^= wire.URG
		}
		if cut > 0 {
			c.oweAck() // a duplicate: its sender may have missed our ACK
		}
	}
	room := c.rcv.nxt.Add(c.rcv.wnd)
	if room.Less(seg.Seq) {
		room = seg.Seq
	}
	if over := seg.End().Sub(room); room.Less(seg.End()) {
		if seg.Flags&wire.FIN != 0 {
			seg.Flags &^= wire.FIN
			over--
		}
		seg.Text = seg.Text[:uint32(len(seg.Text))-over]
		// "It must still send an acknowledgment showing its next expected sequence number
		// and current window", section 3.8.6.1.
		c.oweAck()
	}
}

// cameTwice notes that the text from start up to end has come before: the next ACK says so, by a
// D-SACK block (RFC 2883 section 4). "Each duplicate contiguous sequence of data received is
// reported in at most one D-SACK block."
func (c *Conn) cameTwice(start, end seq.Num) {
	if c.opt.sack && start != end {
		c.rcv.twice = wire.SACKBlock{Left: start, Right: end}
	}
}

// allTwice is cameTwice for a segment with nothing new. What lies further back than any window
// is no duplicate.
func (c *Conn) allTwice(seg *wire.Segment) {
	end := seg.Seq.Add(uint32(len(seg.Text)))
	if back := c.rcv.nxt.Sub(seg.Seq); back <= c.rcv.capacity && end.LessEq(c.rcv.nxt) {
		c.cameTwice(seg.Seq, end)
	}
}

// bringsNewText reports whether the segment has text not yet received.
func (c *Conn) bringsNewText(seg *wire.Segment) bool { return len(seg.Text) > 0 }

// receiveText takes the text, in order or not, and notes a FIN. "Once the TCP endpoint
// takes responsibility for the data, it advances RCV.NXT over the data accepted [...] The
// total of RCV.NXT and RCV.WND should not be reduced."
func (c *Conn) receiveText(now Time, seg *wire.Segment) {
	n := uint32(len(seg.Text))
	if seg.Seq != c.rcv.nxt {
		if n > 0 || seg.Flags&wire.FIN != 0 {
			c.count.OutOfOrderIn += wireSegments(seg)
			c.hold(now, seg)
			c.oweAck() // MAY-13; RFC 5681 section 4.2
		}
		return
	}
	c.tuneReceive(now, seg)
	taken := c.store(seg.Text)
	if taken > 0 {
		c.advance(taken)
	}
	if taken < n {
		c.drop(now, seg, RuleNoMemory)
		c.signal |= SignalNoMemory
		c.oweAck()
	} else if n > 0 {
		c.delayAck(now, seg)
	}
	// An ACK without text draws none: where both ends have a gap they would answer each other for ever.
	if held := c.rcv.held; len(held) > 0 && (n > 0 || held[0].start.LessEq(c.rcv.nxt)) {
		c.mergeHeld()
	}
	c.noteFIN(seg)
}

// store puts text behind what the user has not read, and returns for how much of it there was
// memory.
func (c *Conn) store(text []byte) uint32 {
	if c.rcv.shut != Reading {
		return uint32(len(text))
	}
	q := &c.rcv.queue
	n := q.reserve(&c.cfg.pool, q.n+uint32(len(text))) - q.n
	q.writeAt(q.n, text[:n])
	return n
}

// advance moves RCV.NXT over n octets; the right edge of the window stays.
func (c *Conn) advance(n uint32) {
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.rcv.wnd -= min(n, c.rcv.wnd)
	c.count.OctetsIn += uint64(n)
	if c.rcv.shut == Reading {
		c.rcv.queue.n += n
	}
	c.signal |= SignalReadable
	if c.rcv.finHeld && c.rcv.fin.Less(c.rcv.nxt) {
		c.rcv.finHeld = false // text has overtaken it: it was not the peer's
	}
}

// advanceOverFIN: "signal the user 'connection closing' [...], advance RCV.NXT over the
// FIN, and send an acknowledgment for the FIN."
func (c *Conn) advanceOverFIN() {
	c.rcv.finSeen = true
	c.rcv.nxt++
	c.rcv.wnd -= min(1, c.rcv.wnd)
	c.dropHeld()
	c.signal |= SignalPeerClosed | SignalReadable // MUST-12
	c.oweAck()
}

// delayAck decides when text that came in order is acknowledged: at once for at least every
// second full-sized segment (SHLD-19), otherwise after the delay (SHLD-18, MUST-40).
func (c *Conn) delayAck(now Time, seg *wire.Segment) {
	size := uint32(len(seg.Text))
	if seg.GSO != 0 {
		size = uint32(seg.GSO)
	}
	c.rcv.segMax = min(max(c.rcv.segMax, size), uint32(c.receiveMSS()))
	c.rcv.pending += uint32(len(seg.Text))
	full := max(c.rcv.segMax, min(c.defaultMSS(), uint32(c.receiveMSS())))
	// Options that some segments have, SACK blocks or AccECN, make them no less full-sized.
	if c.rcv.pending+2*maxOptions >= 2*full || c.cfg.DelayedAck < 0 {
		c.oweAck() // MUST-58: one for all that arrives before Output
		return
	}
	if c.timer.delayedAck == 0 {
		c.timer.delayedAck = now.Add(c.cfg.DelayedAck)
	}
}

// takeText moves what has arrived into p. Urgent data and what follows it do not share a
// buffer: section 3.9.1.3.
func (c *Conn) takeText(p []byte) int {
	n := min(uint32(len(p)), c.rcv.queue.n)
	if left := c.urgentLeft(); left > 0 {
		n = min(n, left)
	}
	if n == 0 {
		return 0
	}
	a, b := c.rcv.queue.view(0, n)
	copy(p[copy(p, a):], b)
	c.rcv.queue.drop(n)
	c.consumed()
	return int(n)
}

// consumed is called when octets have left the receive queue.
func (c *Conn) consumed() {
	c.leaveUrgent()
	if c.rcv.queue.n == 0 {
		c.rcv.queue.release(&c.cfg.pool)
	}
	if !c.rcv.finSeen && c.windowUpdateDue() {
		c.oweAck()
	}
}

// unread returns how many octets wait for the user.
func (c *Conn) unread() uint32 { return c.rcv.queue.n }

// dropUnread throws away what waits for the user.
func (c *Conn) dropUnread() {
	c.rcv.queue.drop(c.rcv.queue.n)
	c.dropHeldText()
	c.consumed()
}
