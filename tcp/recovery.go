package tcp

// Recovery from losses: what an acknowledgment does to the scoreboard, when a recovery begins
// and ends, and how much goes meanwhile (PRR, RFC 9937). What is lost is found by rack.go or,
// without SACK, by duplicate ACKs (RFC 5681 section 3.2, RFC 6582).

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

const dupThresh = 3 // RFC 5681 section 3.2

// prrVars are the variables of RFC 9937 section 6.1.
type prrVars struct {
	delivered, out uint32
	flight         uint32 // RecoverFS
}

// ackEffect is what one acknowledgment has done.
type ackEffect struct {
	una       seq.Num // before it
	flight    uint32  // outstanding before it
	sacked    uint32  // reported before it
	acked     uint32  // octets by which SND.UNA has moved
	delivered uint32  // DeliveredData of RFC 9937 section 6.2
	packets   uint32  // segments that it says have arrived
	dsack     bool    // a D-SACK block came with it
	duplicate bool    // without SACK: a duplicate ACK
	moreLost  bool    // it has shown further losses
	marked    bool    // it tells of marks (ecn.go)
}

func (c *Conn) beforeAck() ackEffect {
	e := ackEffect{una: c.firstText(), flight: c.textOut()}
	if c.board != nil {
		e.sacked = c.board.sacked
		c.board.rack.beginAck()
	}
	if m := c.cc.model; m != nil {
		m.beginSample(c)
	}
	return e
}

// afterAck goes on with an ACK that is in order: SND.UNA has moved as far as it says.
func (c *Conn) afterAck(now Time, seg *wire.Segment, e *ackEffect) {
	b := c.board
	if b == nil {
		c.takeMarks(seg, e)
		return
	}
	e.acked = c.snd.una.Sub(e.una)
	e.dsack = c.takeBlocks(now, seg)
	c.checkReneging()
	c.countDelivered(seg, e)
	c.takeMarks(seg, e)
	if e.marked = c.tellsOfMarks(seg); e.marked {
		b.undo.possible = false // there is congestion, whatever was lost
	}
	c.probeAcked(now, seg, e)
	c.adaptReordering(e.dsack)
	c.ackMTU(now, e)
	lost := b.lost
	c.detectLoss(now, RuleRACK)
	c.duplicateLoss(now, e)
	e.moreLost = b.lost > lost && !c.mtuProbeLost(now)
	wasOpen := c.cc.phase == PhaseOpen
	switch c.cc.phase {
	case PhaseOpen:
		c.ackOpen(now, e)
	case PhaseRecovery:
		c.ackRecovery(now, seg, e)
	case PhaseTimeout:
		c.ackTimeout(now, seg, e)
	}
	if c.cc.model != nil {
		c.sampleRate(now, e, wasOpen)
	} else if c.cc.phase == PhaseOpen && e.acked > 0 {
		c.validate(now)
	}
	if !c.outstanding() && !b.probe.again {
		c.releaseBoard()
	}
	c.scheduleProbe(now)
}

// takeBlocks puts what the SACK blocks of seg report on the board (RFC 2018 section 5), and
// reports whether the first is a D-SACK: RFC 2883 section 4, one that is acknowledged already,
// or lies in the second.
func (c *Conn) takeBlocks(now Time, seg *wire.Segment) (dsack bool) {
	if !c.opt.sack {
		return false
	}
	blocks := seg.Options.Blocks()
	delivered := func(r run) { c.rackDelivered(now, seg, r) }
	for i, k := range blocks {
		switch {
		case !k.Left.Less(k.Right):
		case i == 0 && isDSACK(blocks, seg.Ack):
			dsack = c.duplicated(k)
		case c.snd.una.Less(k.Left) && k.Right.LessEq(c.snd.nxt): // what begins at SND.UNA is acknowledged, not reported
			c.board.reported(k.Left, k.Right, delivered)
		}
	}
	return dsack
}

// checkReneging: an ACK that ends where a block was reported says that the peer has it no more (RFC
// 2018 section 8). One that had no room may have given up the farthest alone; one that does so
// twice in a recovery is not believed in anything it has reported.
func (c *Conn) checkReneging() {
	b := c.board
	list := b.list()
	if len(list) == 0 || list[0].what&runSacked == 0 {
		return
	}
	if b.reneged {
		b.forgetSACK()
		return
	}
	b.reneged = true
	b.count(&list[0], false)
	list[0].what = runAgain
}

func isDSACK(blocks []wire.SACKBlock, ack seq.Num) bool {
	if len(blocks) == 0 {
		return false
	}
	first := blocks[0]
	if first.Left.Less(ack) {
		return first.Right.LessEq(ack)
	}
	return len(blocks) > 1 && blocks[1].Left.LessEq(first.Left) && first.Right.LessEq(blocks[1].Right)
}

// countDelivered computes DeliveredData. Without SACK a duplicate ACK stands for a segment, no
// more of them than were outstanding, which a later cumulative one repeats.
func (c *Conn) countDelivered(seg *wire.Segment, e *ackEffect) {
	e.packets = c.board.rack.packets
	if c.opt.sack {
		// What the peer has given up again was no delivery.
		e.delivered = uint32(max(int64(e.acked)+int64(c.board.sacked)-int64(e.sacked), 0))
		return
	}
	mss := c.mss()
	switch {
	case e.acked > 0 && c.cc.phase == PhaseRecovery && c.snd.una.Less(c.cc.recover):
		// The first of these was lost; of the others duplicate ACKs have told.
		told := min(c.cc.dupAcks, max(e.acked/mss, 1)-1)
		c.cc.dupAcks -= told
		e.delivered = e.acked - told*mss
	case e.acked > 0:
		e.delivered = e.acked - min(c.cc.dupAcks*mss, e.acked)
		c.cc.dupAcks = 0
	case c.isDuplicate(seg):
		e.duplicate = true
		if c.cc.dupAcks < c.mostDuplicates(e)/mss {
			c.cc.dupAcks++
			e.delivered = mss
		}
	}
}

// mostDuplicates is for how many octets duplicate ACKs can stand: "min(RecoverFS, 1 SMSS for each
// preceding duplicate ACK in the fast recovery episode)".
func (c *Conn) mostDuplicates(e *ackEffect) uint32 {
	if c.cc.phase == PhaseRecovery {
		return c.board.prr.flight
	}
	return e.flight
}

// isDuplicate is the definition of RFC 5681 section 2: outstanding data, no text, no SYN or
// FIN, SEG.ACK = SND.UNA, the same window.
func (c *Conn) isDuplicate(seg *wire.Segment) bool {
	return c.outstanding() && seg.Ack == c.snd.una && len(seg.Text) == 0 && seg.Flags&wire.FIN == 0 &&
		c.scaledWindow(seg) == c.snd.wnd
}

// duplicateLoss finds the loss that three duplicate ACKs tell of, and in recovery a partial one
// (RFC 6582 section 3.2). "If the Cumulative Acknowledgment field didn't cover more than
// recover", they are those of what was sent twice.
func (c *Conn) duplicateLoss(now Time, e *ackEffect) {
	if c.opt.sack || c.board.lost > 0 || !c.outstanding() {
		return
	}
	switch {
	case c.cc.phase == PhaseOpen && e.duplicate && c.cc.dupAcks >= dupThresh && c.cc.recover.Less(c.snd.una):
		c.loseFirst(now, 0)
		c.retransmitting(now, c.snd.una, c.board.lost, RuleFastRetransmit)
	case c.cc.phase == PhaseRecovery && e.acked > 0 && c.snd.una.Less(c.cc.recover):
		c.loseFirst(now, 0)
		c.board.force = true // "retransmit the first unacknowledged segment"
		c.retransmitting(now, c.snd.una, c.board.lost, RulePartialAck)
	}
}

// ackOpen is an ACK outside of recovery. What it shows to be lost begins one.
func (c *Conn) ackOpen(now Time, e *ackEffect) {
	switch {
	case e.moreLost:
		c.enterRecovery(now, e)
		c.reduce(e)
		return
	case e.marked && c.marksUnanswered():
		c.answerEcho(now, e)
		return
	}
	if c.undoByDSACK(now) {
		return
	}
	if e.acked > 0 && c.cc.recover.Less(c.snd.una) {
		c.cc.recover = c.snd.una - 1 // or 2 GiB later it would be ahead
	}
	// Where segments overtake each other, SND.UNA moves by leaps, and what has left the network
	// in between has clocked as any other.
	if e.acked > 0 || c.rack.reordering {
		c.grow(now, e.delivered, e.flight)
	}
}

// enterRecovery begins fast recovery: RFC 5681 section 3.2 steps 2 and 3, RFC 9937 section 6.1.
func (c *Conn) enterRecovery(now Time, e *ackEffect) {
	c.count.recoveries++
	c.beginReduction(now, e, Loss{Flight: e.flight})
}

// beginReduction lets cwnd fall by PRR, until what is outstanding now has been acknowledged.
func (c *Conn) beginReduction(now Time, e *ackEffect, l Loss) {
	b := c.board
	c.beginUndo()
	b.undo.possible = !e.marked
	c.cc.phase, c.cc.recover = PhaseRecovery, c.snd.nxt
	c.cc.afterTimeout = false
	c.fall(now, l)
	b.prr = prrVars{flight: c.snd.nxt.Sub(c.snd.una) + e.acked}
	if c.opt.sack {
		b.prr.flight -= e.sacked
	}
	c.recoveryWindow(c.flight() + c.mss()) // until the ACK that has begun it, if any, says more
	c.resetProbe()
}

// ackRecovery is an ACK in fast recovery.
func (c *Conn) ackRecovery(now Time, seg *wire.Segment, e *ackEffect) {
	if c.undoByTimestamp(now, seg) || c.undoByDSACK(now) {
		return
	}
	if c.cc.recover.LessEq(c.snd.una) { // RFC 9937 section 6.4
		if less := c.forgetValidation(now, c.board.undo.total); less > 0 {
			c.cc.ssthresh = max(c.cc.ssthresh-min(less, c.cc.ssthresh), 2*c.mss())
		}
		c.recoveryWindow(c.cc.ssthresh)
		c.endRecovery()
		return
	}
	c.reduce(e)
}

// endRecovery: what was outstanding when it began is acknowledged.
func (c *Conn) endRecovery() {
	c.cc.phase = PhaseOpen
	c.board.reneged = false
	c.recovered()
}

// reduce is RFC 9937 section 6.2: cwnd lets as much go as this ACK says has left the network,
// in proportion to the reduction.
//
// It deviates from "if (prr_out is 0 AND SndCnt is 0)" where SndCnt is less than a segment and not
// 0: whole segments are sent, so that nothing would be sent again before the next ACK, and there may be
// none. Linux counts segments, of which there is none or one.
func (c *Conn) reduce(e *ackEffect) {
	p, mss, inflight := &c.board.prr, c.mss(), c.flight()
	if e.delivered == 0 {
		return
	}
	p.delivered += e.delivered
	var count uint32
	if inflight > c.cc.ssthresh {
		// Rounded up to whole segments, as the figures of section 8 count.
		out := uint64(p.delivered) * uint64(c.cc.ssthresh) / uint64(max(p.flight, 1))
		out = (out + uint64(mss) - 1) / uint64(mss) * uint64(mss)
		count = uint32(max(int64(out)-int64(p.out), 0))
	} else {
		count = max(p.delivered-min(p.out, p.delivered), e.delivered)
		if e.acked > 0 && !e.moreLost {
			count += mss // SafeACK
		}
		count = min(c.cc.ssthresh-inflight, count)
	}
	if p.out == 0 {
		count = max(count, mss) // "Force a fast retransmit upon entering recovery"
	}
	c.recoveryWindow(max(inflight+count, mss))
}

// congestionTimeout is RFC 5681 section 3.1: ssthresh falls once for a segment, not for each
// repeated timeout; cwnd becomes the loss window, 1 SMSS. RFC 5682 section 2.1 step 1.
func (c *Conn) congestionTimeout(now Time, rule Rule) {
	c.mtuTimeout(now)
	if c.rto.count == 1 {
		c.beginUndo()
		c.fall(now, Loss{Flight: c.snd.nxt.Sub(c.snd.una), Timeout: true})
	}
	c.board.undo.frto = frtoNo
	if c.cc.phase == PhaseOpen || c.cc.phase == PhaseTimeout && c.rto.count > 1 {
		c.board.undo.frto = frtoSent
	}
	c.cc.phase, c.cc.recover = PhaseTimeout, c.snd.nxt
	c.cc.cwnd = c.mss()
	c.cc.dupAcks, c.cc.afterTimeout = 0, true
	c.resetProbe()
	c.loseByTimeout(now, rule)
	if c.cc.model != nil {
		c.cc.cwnd = c.flight() + c.mss()
	}
	c.board.force = true
	c.count.timeouts++
}

// ackTimeout is an ACK after a retransmission timeout.
func (c *Conn) ackTimeout(now Time, seg *wire.Segment, e *ackEffect) {
	if c.undoByTimestamp(now, seg) || c.undoByDSACK(now) || c.forwardRTO(now, e) {
		return
	}
	if c.cc.recover.LessEq(c.snd.una) {
		c.forgetValidation(now, 0)
		c.endRecovery()
	}
	if e.acked > 0 {
		c.grow(now, e.acked, e.flight)
	}
}

// loseAll says that all that is outstanding is to be sent again, its first segment at once: what
// was cut too large, or sent into a closed window. It is no sign of congestion.
func (c *Conn) loseAll(now Time, rule Rule) {
	b := c.board
	if b == nil {
		return
	}
	b.each(func(i int, _ run) bool { b.lose(i); return false })
	b.force = true
	c.retransmitting(now, c.snd.una, b.lost, rule)
}

func (c *Conn) retransmitting(now Time, first seq.Num, n uint32, rule Rule) {
	c.count.lastLoss = rule
	c.optionLost(first, rule)
	if t := c.cfg.Trace; t != nil && t.Retransmit != nil {
		t.Retransmit(c, now, first, n, rule)
	}
}
