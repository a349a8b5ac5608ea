package tcp

// Tail loss probes: TLP, RFC 8985 section 7.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

type probeVars struct {
	timer Time    // PTO, 0: none
	end   seq.Num // TLP.end_seq, when sent
	sent  bool
	again bool // TLP.is_retrans
	timed bool // no round trip has been measured since the last probe
}

// minPTO is the least time to a probe, beside what the peer may delay its ACK.
const minPTO = 50 * time.Millisecond

// maxAckDelay is TLP.max_ack_delay: as most hosts delay acknowledgments.
const maxAckDelay = 200 * time.Millisecond

func (c *Conn) resetProbe() {
	p := &c.board.probe
	p.timer, p.sent, p.again = 0, false, false
}

// scheduleProbe is section 7.2: after new text has been sent, and after an ACK that advances.
func (c *Conn) scheduleProbe(now Time) {
	b := c.board
	if b == nil {
		return
	}
	b.probe.timer = 0
	if !c.snd.synAcked || !c.opt.sack || c.cc.phase != PhaseOpen || b.sacked > 0 || b.probe.sent || c.snd.wnd == 0 || !c.outstanding() ||
		c.snd.queue.n == 0 { // a FIN alone is no data segment
		return
	}
	b.probe.timer = now.Add(c.probeTime())
	if c.timer.retransmit != 0 {
		b.probe.timer = min(b.probe.timer, c.timer.retransmit)
	}
}

// probeTime is TLP_calc_PTO.
//
// It deviates from section 7.2, "the default PTO interval is 2*SRTT", where that is less than 50 ms: on
// a fast path two round trips are less than what a scheduler may take, of either host, and each pause
// would draw a probe. Linux adds 2 ms, its least timeout, as well.
func (c *Conn) probeTime() time.Duration {
	if c.rto.srtt == 0 {
		return time.Second
	}
	pto := max(2*c.rto.srtt, minPTO)
	if c.flight() < 2*c.mss() { // the peer may delay its ACK
		pto += maxAckDelay
	}
	return pto
}

// probeTimeout is section 7.3.
func (c *Conn) probeTimeout(now Time) {
	b := c.board
	if b == nil || b.probe.timer == 0 || now < b.probe.timer {
		return
	}
	p := &b.probe
	p.timer = 0
	c.timedOut(now, RuleTailLossProbe)
	if !p.sent && !p.timed && b.sacked == 0 {
		c.reply.owed |= owedTail
	}
	c.timer.retransmit = now.Add(c.timeout())
}

// outputTail sends a probe: "a previously unsent data segment, if one exists and the receive
// window allows", else "the highest-sequence segment sent so far".
func (c *Conn) outputTail(now Time, seg *wire.Segment) bool {
	if c.reply.owed&owedTail == 0 {
		return false
	}
	c.reply.owed &^= owedTail
	b := c.board
	if b == nil || len(b.list()) == 0 {
		return false
	}
	mss := c.room()
	p := &b.probe
	p.sent, p.timed, p.again = true, true, false
	if n := min(c.unsent(), c.usableWindow(), mss); n > 0 && n == min(c.unsent(), mss) {
		c.fill(now, seg)
		c.putText(seg, n, mss)
		c.sent(now, n, mss, false)
		p.end, p.timer = c.snd.nxt, 0
		return true
	}
	last := &b.list()[len(b.list())-1]
	from := last.segmentAt(last.end - 1)
	if c.snd.una.Add(c.snd.wnd).Less(last.end) || last.end.Sub(from) > mss {
		p.sent = false
		return false
	}
	c.fill(now, seg)
	seg.Seq = from
	c.putText(seg, last.end.Sub(from), mss)
	c.resent(now, from, last.end.Sub(from), mss)
	c.retransmitting(now, from, c.snd.nxt.Sub(from), RuleTailLossProbe)
	p.end, p.again = c.snd.nxt, true
	return true
}

// probeAcked is TLP_process_ack of section 7.4.2.
func (c *Conn) probeAcked(now Time, seg *wire.Segment, e *ackEffect) {
	p := &c.board.probe
	if !p.sent || c.snd.una.Less(p.end) {
		return
	}
	switch {
	case !p.again || e.dsack:
	case p.end.Less(c.snd.una): // the probe has repaired the single loss
		c.fall(now, Loss{Flight: e.flight})
		c.recoveryWindow(c.cc.ssthresh)
		c.count.recoveries++
		c.board.undo.possible = false // what an earlier reduction took is not this one's to give back
	case e.acked == 0 && len(seg.Options.Blocks()) == 0 && len(seg.Text) == 0:
	default:
		return
	}
	p.sent, p.again = false, false
}
