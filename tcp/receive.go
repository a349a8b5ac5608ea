package tcp

// What arrives: the acceptability test and the text of a segment (RFC 9293 section
// 3.10.7.4, first and seventh), RECEIVE (3.10.3), and when to acknowledge (3.8.6.3).

import (
	"slices"

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

// span is a range of sequence numbers that has been received: from start, up to but not
// including end. Its turn is larger the later the last of it came.
type span struct {
	start, end seq.Num
	turn       uint32
}

func (s span) block() wire.SACKBlock { return wire.SACKBlock{Left: s.start, Right: s.end} }

// maxSpans bounds how many ranges are held out of order; those farthest from RCV.NXT go
// first. It bounds the work a segment can cause (CVE-2018-5390).
const maxSpans = 64

// acceptable is Table 6 of RFC 9293.
func (c *Conn) acceptable(seg *wire.Segment) bool {
	n := seg.Len()
	switch {
	case n == 0 && c.rcv.wnd == 0:
		return seg.Seq == c.rcv.nxt
	case n == 0:
		return seg.Seq.In(c.rcv.nxt, c.rcv.wnd) || c.ackAtEdge(seg)
	case c.rcv.wnd == 0:
		// "Special allowance should be made to accept valid ACKs, URGs, and RSTs": trim
		// leaves nothing but them (MUST-66).
		return seg.Seq == c.rcv.nxt
	}
	return seg.Seq.In(c.rcv.nxt, c.rcv.wnd) || (seg.End()-1).In(c.rcv.nxt, c.rcv.wnd)
}

// ackAtEdge accepts an ACK without text at the right edge of the window.
//
// It deviates from Table 6, SEG.SEQ < RCV.NXT+RCV.WND: a peer that has filled the window,
// part of it lost, acknowledges from exactly the edge, and to the letter none of its
// acknowledgments would count (RFC 9293 appendix A.2 speaks of such cases). Linux does so.
func (c *Conn) ackAtEdge(seg *wire.Segment) bool {
	return seg.Flags&(wire.RST|wire.SYN) == 0 && seg.Seq == c.rcv.nxt.Add(c.rcv.wnd)
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

// bringsNewText reports whether the segment has text not yet received.
func (c *Conn) bringsNewText(seg *wire.Segment) bool { return len(seg.Text) > 0 }

// receiveText takes the text, in order or not, and notes a FIN. "Once the TCP endpoint
// takes responsibility for the data, it advances RCV.NXT over the data accepted [...] The
// total of RCV.NXT and RCV.WND should not be reduced."
func (c *Conn) receiveText(now Time, seg *wire.Segment) {
	n := uint32(len(seg.Text))
	if seg.Seq != c.rcv.nxt {
		if n > 0 || seg.Flags&wire.FIN != 0 {
			c.hold(now, seg)
			c.oweAck() // MAY-13; RFC 5681 section 4.2
		}
		return
	}
	if n > 0 {
		c.store(seg.Seq, seg.Text)
		c.advance(n)
		c.delayAck(now, seg)
	}
	if len(c.rcv.held) > 0 {
		c.mergeHeld()
	}
	c.noteFIN(seg)
}

// store puts text that begins at s into the buffer.
func (c *Conn) store(s seq.Num, text []byte) {
	if c.rcv.shut != Reading {
		return
	}
	off := c.rcv.queue.n + s.Sub(c.rcv.nxt)
	c.rcv.queue.reserve(&c.cfg.pool, off+uint32(len(text)))
	c.rcv.queue.writeAt(off, text)
}

// advance moves RCV.NXT over n octets; the right edge of the window stays.
func (c *Conn) advance(n uint32) {
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.rcv.wnd -= min(n, c.rcv.wnd)
	if c.rcv.shut == Reading {
		c.rcv.queue.n += n
	}
	c.signal |= SignalReadable
}

// hold keeps what has arrived before its turn (SHLD-31), within the window and within
// maxSpans. Text of a SYN is held likewise until ESTABLISHED, section 3.5.
func (c *Conn) hold(now Time, seg *wire.Segment) {
	if n := len(seg.Text); n > 0 {
		c.rcv.turn++
		if !c.addSpan(span{seg.Seq, seg.Seq.Add(uint32(n)), c.rcv.turn}) {
			c.drop(now, seg, RuleTooManySpans)
			return
		}
		c.store(seg.Seq, seg.Text)
	}
	c.noteFIN(seg)
}

// addSpan inserts s into the ordered, disjoint spans and reports whether it is kept.
func (c *Conn) addSpan(s span) bool {
	held := c.rcv.held
	i := 0
	for i < len(held) && held[i].end.Less(s.start) {
		i++
	}
	j := i
	for j < len(held) && held[j].start.LessEq(s.end) {
		s.start, s.end = seq.Min(s.start, held[j].start), seq.Max(s.end, held[j].end)
		j++
	}
	if i == j && len(held) == maxSpans {
		if i == len(held) {
			return false
		}
		held = held[:len(held)-1]
	}
	c.rcv.held = slices.Replace(held, i, min(j, len(held)), s)
	return true
}

// mergeHeld takes in what was held and now follows in order. "Process them all before
// sending any ACK" (MUST-59); filling a gap is acknowledged at once (RFC 5681 section 4.2).
func (c *Conn) mergeHeld() {
	k := 0
	for k < len(c.rcv.held) && c.rcv.held[k].start.LessEq(c.rcv.nxt) {
		if end := c.rcv.held[k].end; c.rcv.nxt.Less(end) {
			c.advance(end.Sub(c.rcv.nxt))
		}
		k++
	}
	if k == 0 {
		c.oweAck() // a segment while there is a gap
		return
	}
	c.rcv.held = slices.Delete(c.rcv.held, 0, k)
	if len(c.rcv.held) == 0 {
		c.rcv.held = nil
	}
	c.oweAck()
}

// noteFIN remembers where the peer's FIN is. A FIN below something already received is
// none: the peer contradicts itself, or somebody else has forged it, and then the true one
// is still to come.
func (c *Conn) noteFIN(seg *wire.Segment) {
	if seg.Flags&wire.FIN == 0 || c.rcv.finSeen || c.rcv.finHeld && c.rcv.nxt.LessEq(c.rcv.fin) {
		return
	}
	at := seg.Seq.Add(uint32(len(seg.Text)))
	if at.Less(c.rcv.nxt) {
		return
	}
	if n := len(c.rcv.held); n > 0 && at.Less(c.rcv.held[n-1].end) {
		return
	}
	c.rcv.finHeld, c.rcv.fin = true, at
}

// finArrived reports whether the peer's FIN is next.
func (c *Conn) finArrived() bool {
	return c.rcv.finHeld && !c.rcv.finSeen && c.rcv.fin == c.rcv.nxt
}

// advanceOverFIN: "signal the user 'connection closing' [...], advance RCV.NXT over the
// FIN, and send an acknowledgment for the FIN."
func (c *Conn) advanceOverFIN() {
	c.rcv.finSeen = true
	c.rcv.nxt++
	c.rcv.wnd -= min(1, c.rcv.wnd)
	c.rcv.held = nil
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
	if c.rcv.pending >= 2*full || c.cfg.DelayedAck < 0 {
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
	if c.rcv.queue.n == 0 && len(c.rcv.held) == 0 {
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
	c.consumed()
}
