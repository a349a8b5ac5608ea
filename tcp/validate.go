package tcp

// What cwnd is worth when the user has not used it for a while: RFC 7661, or the restart of RFC 5681
// section 4.1.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
)

// validation is the state of RFC 7661. A connection has it once cwnd has grown.
type validation struct {
	high, end seq.Num   // SND.UNA and SND.NXT when the sample began: it ends when end is acknowledged
	began     Time      // when that was
	most      [2]uint32 // the largest pipeACK sample of this half of a sampling period, and of the last
	half      Time      // when this half began
	since     Time      // when the non-validated phase began, 0: the validated phase
	defined   bool      // pipeACK is
	lossy     bool      // a recovery began in the non-validated phase
	limited   bool      // cwnd was in use in this round
}

// validPeriod is the NVP: section 4.4, it "SHOULD NOT exceed five minutes".
const validPeriod = 5 * time.Minute

// samplingPeriod is section 4.2: "Max(3*RTT, 1 second)".
func (c *Conn) samplingPeriod() time.Duration { return max(3*c.rto.srtt, time.Second) }

// validate takes in an ACK outside of recovery. One sample is what is acknowledged in a round trip.
func (c *Conn) validate(now Time) {
	v := c.cc.valid
	switch {
	case c.cfg.RestartAfterIdle:
		return
	case v == nil:
		if c.cc.cwnd > c.initialWindow() {
			c.cc.valid = &validation{high: c.snd.una, end: c.snd.nxt, began: now, half: now, limited: true}
		}
		return
	case c.snd.una.Less(v.end):
		return
	}
	v.advance(now, c.samplingPeriod())
	v.most[0], v.defined = max(v.most[0], c.snd.una.Sub(v.high)), true
	c.checkValidated(now)
	v.high, v.end, v.began, v.limited = c.snd.una, c.snd.nxt, now, false
}

// advance forgets samples that are older than the sampling period.
func (v *validation) advance(now Time, period time.Duration) {
	switch age := now.Sub(v.half); {
	case age >= period:
		v.most, v.half = [2]uint32{}, now
	case age >= period/2:
		v.most, v.half = [2]uint32{0, v.most[0]}, now
	}
}

// checkValidated is section 4.3: which phase this is. Where cwnd was in use in this round it may just
// have doubled, and pipeACK be less than half of it for that; that is no non-validated phase.
func (c *Conn) checkValidated(now Time) {
	v := c.cc.valid
	if !v.defined || v.limited || max(v.most[0], v.most[1]) >= c.cc.cwnd/2 {
		c.leaveUnvalidated(now)
		return
	}
	if v.since == 0 {
		v.since = v.began
	}
	if c.cc.pacer == nil && c.rto.srtt >= time.Millisecond { // a quantum is less than a round trip's worth
		c.cc.pacer = &pacer{meanwhile: true} // section 4.4.2
	}
}

// leaveUnvalidated ends the non-validated phase.
func (c *Conn) leaveUnvalidated(now Time) {
	v := c.cc.valid
	if v.since != 0 {
		c.endValidPeriod(now)
		v.since = 0
	}
	if p := c.cc.pacer; p != nil && p.meanwhile {
		c.cc.pacer = nil
	}
}

// endValidPeriod is section 4.4.3: "one reduction [...] for each NVP" that has passed.
func (c *Conn) endValidPeriod(now Time) {
	v := c.cc.valid
	for ; now.Sub(v.since) >= validPeriod; v.since = v.since.Add(validPeriod) {
		c.cc.ssthresh = max(c.cc.ssthresh, c.cc.cwnd/4*3)
		c.cc.cwnd = max(c.cc.cwnd/2, min(c.initialWindow(), c.cc.cwnd))
	}
}

// afterIdle is called before new text is sent.
func (c *Conn) afterIdle(now Time) {
	switch v := c.cc.valid; {
	case c.cc.model != nil:
	case c.cfg.RestartAfterIdle:
		c.restartAfterIdle(now)
	case v != nil && !c.outstanding() && v.defined:
		v.advance(now, c.samplingPeriod())
		if now.Sub(v.began) > c.rto.rto {
			v.limited = false
		}
		c.checkValidated(now)
		if v.since != 0 {
			c.endValidPeriod(now)
		}
		v.high, v.end, v.began = c.snd.una, c.snd.nxt+1, now
	}
}

// restartAfterIdle is RFC 5681 section 4.1: after more than an RTO without sending, cwnd is
// at most the initial window.
func (c *Conn) restartAfterIdle(now Time) {
	if !c.outstanding() && now.Sub(c.cc.lastSent) > c.rto.rto {
		c.cc.cwnd = min(c.cc.cwnd, c.initialWindow())
	}
}

// unvalidatedLoss is the beginning of section 4.4.1: what counts as lost from is what was used, not
// cwnd: "Max(pipeACK,LossFlightSize)".
func (c *Conn) unvalidatedLoss(now Time, flight uint32) uint32 {
	v := c.cc.valid
	if v == nil || v.since == 0 {
		return flight
	}
	flight = max(flight, v.most[0], v.most[1])
	c.leaveUnvalidated(now)
	v.lossy = true
	return flight
}

// forgetValidation is the end of a recovery: pipeACK is undefined. It returns by how much cwnd is to
// be less than ssthresh: where the recovery began in the non-validated phase half of R, "the volume
// of data that was successfully retransmitted" (section 4.4.1).
func (c *Conn) forgetValidation(now Time, again uint32) (less uint32) {
	v := c.cc.valid
	if v == nil {
		return 0
	}
	if v.lossy {
		less = again / 2
	}
	*v = validation{high: c.snd.una, end: c.snd.nxt, began: now, half: now, limited: true}
	return less
}
