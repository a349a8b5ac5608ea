package tcp

// Congestion control: RFC 5681, with the initial window of RFC 6928 and byte counting
// (RFC 3465). Recovery from losses is in recovery.go.

import "github.com/vitro-net/vitro/seq"

type congestionVars struct {
	cwnd, ssthresh uint32  // octets
	counted        uint32  // octets acknowledged in congestion avoidance since cwnd grew
	dupAcks        uint32  // without SACK: duplicate ACKs in a row
	recover        seq.Num // SND.NXT when recovery or a timeout began
	lastSent       Time    // when text was last sent
	phase          phase
	partial        bool // without SACK: a partial ACK has come in this recovery
	afterTimeout   bool // this slow start follows a retransmission timeout
}

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

// flight is what is in the network: sent, not acknowledged, not reported, not deemed lost (RFC
// 9937 section 6.2, "inflight").
func (c *Conn) flight() uint32 {
	n := c.snd.nxt.Sub(c.snd.una)
	if b := c.board; b != nil {
		n -= b.sacked + b.lost
	}
	if !c.opt.sack && c.cc.phase == phaseRecovery {
		n -= min(c.cc.dupAcks*c.mss(), n) // each stands for a segment that has arrived
	}
	return n
}

// congestionRoom is how much cwnd lets go now. The first two duplicate ACKs let one new segment
// go each: RFC 3042. With SACK they do by what they report.
func (c *Conn) congestionRoom() uint32 {
	cwnd := c.cc.cwnd
	if !c.opt.sack && c.cc.phase == phaseOpen {
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

// grow is slow start and congestion avoidance (MUST-19): acked octets have left the network, and
// flight were outstanding before.
func (c *Conn) grow(now Time, acked, flight uint32) {
	mss := c.mss()
	switch {
	case c.cc.cwnd < c.cc.ssthresh:
		// Slow start; only a window that was in use has been tested.
		if flight >= c.cc.cwnd/2 {
			c.growTo(c.cc.cwnd + c.slowStartStep(acked))
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

// slowStartStep is by how much an ACK lets cwnd grow: by what it acknowledges, but in the slow start
// that follows a timeout by one segment, for there an ACK may take much that left the network
// long before (RFC 3465 section 2.3).
//
// It deviates from the limit of RFC 3465 in the first slow start, two segments for an ACK: that
// presumes an ACK for every second segment, and who merges segments before they reach TCP, as
// vitro itself (MUST-59), sends one for many. cwnd would grow by two segments a round trip. Linux
// does so.
func (c *Conn) slowStartStep(acked uint32) uint32 {
	if c.cc.afterTimeout {
		return min(acked, c.mss())
	}
	return acked
}

func (c *Conn) growTo(cwnd uint32) { c.cc.cwnd = min(cwnd, maxReceive) }

// lossWindow is the new ssthresh after a loss: RFC 5681 equation 4. What is beyond cwnd was sent
// by limited transmit and "MUST NOT be included".
func (c *Conn) lossWindow(flight uint32) uint32 {
	return max(min(flight, c.cc.cwnd)/2, 2*c.mss())
}
