package tcp

// The communication of urgent information: RFC 9293 section 3.8.5, RFC 6093.

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// markUrgent sets SND.UP to the octet after what is queued (MUST-62).
func (c *Conn) markUrgent() {
	c.snd.up = c.base().Add(c.snd.queue.n)
	c.snd.urgent = true
}

// putUrgent sets URG and the urgent field while urgent data is outstanding. Urgent data
// may be of any length (MUST-31): a pointer beyond the field's reach is sent as far as it
// goes, and later segments carry it on.
func (c *Conn) putUrgent(seg *wire.Segment) {
	if !c.snd.urgent {
		return
	}
	if c.snd.up.LessEq(c.snd.una) {
		c.snd.urgent = false
		return
	}
	if seg.Seq.Less(c.snd.up) {
		seg.Flags |= wire.URG
		seg.Up = uint16(min(c.snd.up.Sub(seg.Seq), 1<<16-1))
	}
}

// urgentArrives: "RCV.UP <- max(RCV.UP,SEG.UP), and signal the user [...] if the urgent
// pointer (RCV.UP) is in advance of the data consumed", again whenever it advances (MUST-32).
func (c *Conn) urgentArrives(seg *wire.Segment) {
	up := seg.Seq.Add(uint32(seg.Up))
	if c.rcv.urgent && !c.rcv.up.Less(up) || up.LessEq(c.readSeq()) {
		return // in normal mode RCV.UP is behind, how far means nothing
	}
	c.rcv.up = up
	c.rcv.urgent = true
	c.signal |= SignalUrgent
}

// readSeq is the sequence number of the next octet the user will read.
func (c *Conn) readSeq() seq.Num {
	next := c.rcv.nxt
	if c.rcv.finSeen {
		next--
	}
	return next - seq.Num(c.rcv.queue.n)
}

// urgentLeft returns how many octets of urgent data the user has still to read (MUST-33),
// 0 in normal mode.
func (c *Conn) urgentLeft() uint32 {
	if !c.rcv.urgent {
		return 0
	}
	return c.rcv.up.Sub(c.readSeq())
}

// leaveUrgent: "when the receive sequence number catches up to the urgent pointer, the TCP
// implementation must tell user to go into 'normal mode'".
func (c *Conn) leaveUrgent() {
	if c.rcv.urgent && c.rcv.up.LessEq(c.readSeq()) {
		c.rcv.urgent = false
		c.signal |= SignalUrgent
	}
}
