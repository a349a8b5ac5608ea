package tcp

// Congestion control: RFC 5681, with the initial window of RFC 6928 and byte counting
// (RFC 3465), and fast recovery by RFC 6582.

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

type congestionVars struct {
	cwnd, ssthresh uint32         // octets
	counted        uint32         // octets acknowledged in congestion avoidance since cwnd grew
	dupAcks        uint32         // duplicate ACKs in a row
	reported       wire.SACKBlock // by the last of them, the latest block
	recover        seq.Num        // RFC 6582: SND.NXT when recovery or a timeout began
	recovering     bool
	partial        bool // a partial ACK has come in this recovery
	afterTimeout   bool // this slow start follows a retransmission timeout
	lastSent       Time // when text was last sent
}

// retransmitVars says what is deemed lost: the octets from next up to end are to be sent
// again, and are not in flight.
type retransmitVars struct {
	next, end seq.Num
	force     bool // one segment goes whatever cwnd says: fast retransmit, RTO
}

const dupThresh = 3 // RFC 5681 section 3.2

// initialWindow is RFC 6928 section 2: min (10*MSS, max (2*MSS, 14600)).
func (c *Conn) initialWindow() uint32 {
	mss := c.mss()
	return min(10*mss, max(2*mss, 14600))
}

func (c *Conn) startCongestion() {
	c.cc.cwnd = c.initialWindow()
	if c.rto.synLost {
		c.cc.cwnd = c.mss() // RFC 5681 section 3.1: the SYN or SYN,ACK was lost
	}
	c.cc.ssthresh = 1<<32 - 1
}

// flight is FlightSize: what is sent, not acknowledged, and not deemed lost.
func (c *Conn) flight() uint32 {
	return c.snd.nxt.Sub(c.snd.una) - c.lost()
}

// lost returns how many octets wait to be sent again.
func (c *Conn) lost() uint32 {
	if c.rtx.next.Less(c.rtx.end) {
		return c.rtx.end.Sub(c.rtx.next)
	}
	return 0
}

// repaired takes what is acknowledged up to una off what is deemed lost. Where nothing is left,
// the range follows SND.UNA: a number left behind would be ahead 2 GiB later.
func (c *Conn) repaired(una seq.Num) {
	if c.lost() == 0 || c.rtx.end.LessEq(una) {
		c.rtx = retransmitVars{next: una, end: una}
		return
	}
	c.rtx.next = seq.Max(c.rtx.next, una)
}

// congestionRoom is how much cwnd lets go now. The first two duplicate ACKs let one new
// segment go each: RFC 3042.
func (c *Conn) congestionRoom() uint32 {
	cwnd := c.cc.cwnd
	if !c.cc.recovering {
		cwnd += min(c.cc.dupAcks, dupThresh-1) * c.mss()
	}
	if f := c.flight(); f < cwnd {
		return cwnd - f
	}
	return 0
}

// restartAfterIdle is RFC 5681 section 4.1: after more than an RTO without sending, cwnd is
// at most the initial window.
func (c *Conn) restartAfterIdle(now Time) {
	if !c.outstanding() && now.Sub(c.cc.lastSent) > c.rto.rto {
		c.cc.cwnd = min(c.cc.cwnd, c.initialWindow())
	}
}

// congestionAck takes in that acked octets of text left the network; flight is what was
// outstanding before: slow start and congestion avoidance (MUST-19).
func (c *Conn) congestionAck(now Time, acked, flight uint32) {
	c.cc.dupAcks = 0
	if c.cc.recovering {
		c.ackInRecovery(now, acked)
		return
	}
	if c.cc.recover.Less(c.snd.una) {
		c.cc.recover = c.snd.una - 1 // or 2 GiB later it would be ahead
	}
	mss := c.mss()
	switch {
	case c.cc.cwnd < c.cc.ssthresh:
		// Slow start; only a window that was in use has been tested.
		if flight >= c.cc.cwnd/2 {
			c.growTo(c.cc.cwnd + min(acked, c.slowStartLimit()))
		}
	case flight+mss >= c.cc.cwnd:
		c.cc.afterTimeout = false
		// Congestion avoidance: one segment for each cwnd acknowledged.
		c.cc.counted += acked
		if c.cc.counted >= c.cc.cwnd {
			c.cc.counted -= c.cc.cwnd
			c.growTo(c.cc.cwnd + mss)
		}
	}
}

// slowStartLimit is L of RFC 3465 section 2.3: two segments for an ACK, but one in the slow start
// that follows a timeout, for there an ACK may take much that left the network long before.
func (c *Conn) slowStartLimit() uint32 {
	if c.cc.afterTimeout {
		return c.mss()
	}
	return 2 * c.mss()
}

func (c *Conn) growTo(cwnd uint32) { c.cc.cwnd = min(cwnd, maxReceive) }

// duplicateAck counts the duplicate ACKs of RFC 5681 section 2: outstanding data, no text,
// no SYN or FIN, SEG.ACK = SND.UNA, the same window. With SACK only those count which report
// something new (RFC 6675 section 2), so that one that is repeated or forged does not.
func (c *Conn) duplicateAck(now Time, seg *wire.Segment) {
	if !c.outstanding() || seg.Ack != c.snd.una || len(seg.Text) > 0 || seg.Flags&wire.FIN != 0 {
		return
	}
	if c.opt.sack {
		if !c.reportsNews(seg) {
			return
		}
	} else if c.scaledWindow(seg) != c.snd.wnd {
		return
	}
	c.cc.dupAcks++
	switch {
	case c.cc.recovering:
		// RFC 5681 section 3.2 step 4, with its note: no more often than segments were
		// outstanding, or bogus duplicates would inflate cwnd without end.
		if c.cc.dupAcks*c.mss() <= c.cc.recover.Sub(c.snd.una) {
			c.cc.cwnd += c.mss()
		}
	case c.cc.dupAcks >= dupThresh:
		c.fastRetransmit(now)
	}
}

// reportsNews reports whether the first SACK block between SND.UNA and SND.NXT, which "MUST
// specify the contiguous block of data containing the segment which triggered this ACK" (RFC
// 2018 section 4), is another than in the last duplicate ACK.
func (c *Conn) reportsNews(seg *wire.Segment) bool {
	for _, b := range seg.Options.Blocks() {
		if c.snd.una.Less(b.Left) && b.Left.Less(b.Right) && b.Right.LessEq(c.snd.nxt) {
			news := b != c.cc.reported
			c.cc.reported = b
			return news
		}
	}
	return false
}

// fastRetransmit is RFC 5681 section 3.2 step 2 and 3. It is entered only for what was sent
// after the last recovery or timeout: RFC 6582 section 3.2 step 2, or, with SACK, RFC 6675
// section 5.1: not "until HighACK is greater than or equal to the new value of RecoveryPoint".
func (c *Conn) fastRetransmit(now Time) {
	if !c.cc.recover.Less(c.snd.una) && !(c.opt.sack && c.cc.recover == c.snd.una) {
		return
	}
	mss := c.mss()
	// What is beyond cwnd was sent by limited transmit and "MUST NOT be included".
	c.cc.ssthresh = max(min(c.flight(), c.cc.cwnd)/2, 2*mss)
	c.cc.cwnd = c.cc.ssthresh + dupThresh*mss
	c.cc.recovering, c.cc.partial, c.cc.afterTimeout = true, false, false
	c.cc.recover = c.snd.nxt
	c.markLost(now, c.snd.una.Add(mss), RuleFastRetransmit)
}

// ackInRecovery is RFC 6582 section 3.2 step 3.
func (c *Conn) ackInRecovery(now Time, acked uint32) {
	mss := c.mss()
	if c.cc.recover.LessEq(c.snd.una) { // full acknowledgment
		c.cc.recovering = false
		c.cc.cwnd = min(c.cc.ssthresh, max(c.flight(), mss)+mss)
		return
	}
	c.cc.cwnd = max(c.cc.cwnd-min(acked, c.cc.cwnd), mss)
	if acked >= mss {
		c.cc.cwnd += mss
	}
	c.markLost(now, c.snd.una.Add(mss), RulePartialAck)
}

// congestionTimeout is RFC 5681 section 3.1: ssthresh falls once for a segment, not for
// each repeated timeout; cwnd becomes the loss window, 1 SMSS.
func (c *Conn) congestionTimeout() {
	mss := c.mss()
	if c.rto.count == 1 {
		c.cc.ssthresh = max(c.flight()/2, 2*mss)
	}
	c.cc.cwnd = mss
	c.cc.counted, c.cc.dupAcks, c.cc.recovering, c.cc.afterTimeout = 0, 0, false, true
	c.cc.recover = c.snd.nxt
}

// markLost says that everything from SND.UNA up to end, so far as it was sent, is lost; the
// first segment of it goes at once.
func (c *Conn) markLost(now Time, end seq.Num, rule Rule) {
	c.rtx = retransmitVars{next: c.snd.una, end: seq.Min(end, c.snd.nxt), force: true}
	c.retransmitting(now, c.rtx.next, c.rtx.end.Sub(c.rtx.next), rule)
}

func (c *Conn) retransmitting(now Time, first seq.Num, n uint32, rule Rule) {
	if t := c.cfg.Trace; t != nil && t.Retransmit != nil {
		t.Retransmit(c, now, first, n, rule)
	}
}
