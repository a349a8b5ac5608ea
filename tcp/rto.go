package tcp

// The retransmission timeout: RFC 6298, with Karn's algorithm (MUST-18).

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

type rtoVars struct {
	srtt, rttvar time.Duration // SRTT, RTTVAR; 0 before the first measurement
	rto          time.Duration // before backoff
	timedAt      Time          // when the octet before timedEnd was sent
	timedEnd     seq.Num
	ackedTotal   uint32 // octets acknowledged in this life, counting SYN and FIN; it stops at 2^32-1
	backoff      uint8
	count        uint8 // retransmissions of the segment at SND.UNA
	timing       bool
	synLost      bool
}

func (r *rtoVars) reset() { *r = rtoVars{rto: initialRTO} }

// afterHandshake is section 5.7: a SYN that had to be sent again means that "the RTO MUST
// be re-initialized to 3 seconds when data transmission begins".
func (r *rtoVars) afterHandshake() {
	if r.synLost && r.rto < 3*time.Second {
		r.rto = 3 * time.Second
	}
	r.backoff = 0
}

// sample is sections 2.2 and 2.3: RTO <- SRTT + max (G, K*RTTVAR). For G stands MinRTO, which is
// more than the granularity of any clock here: on a path of constant delay RTTVAR dies away, and
// an ACK that is only delayed would otherwise come after the timeout. Linux does so. A new
// measurement ends the backoff: section 5, last paragraph.
func (c *Conn) sample(rtt time.Duration) {
	r := &c.rto
	if r.srtt == 0 {
		r.srtt, r.rttvar = rtt, rtt/2
	} else {
		r.rttvar += ((r.srtt - rtt).Abs() - r.rttvar) / 4
		r.srtt += (rtt - r.srtt) / 8
	}
	r.srtt = max(r.srtt, 1)
	r.rto = min(r.srtt+max(c.cfg.MinRTO, 4*r.rttvar), c.cfg.MaxRTO)
	r.backoff = 0
	if c.board != nil {
		c.board.probe.timed = false
	}
}

// timeout is the RTO after backoff.
func (c *Conn) timeout() time.Duration { return c.backedOff(c.rto.backoff) }

// backedOff is the RTO doubled n times, section 5.5, up to the largest (section 2.5).
func (c *Conn) backedOff(n uint8) time.Duration {
	d := c.rto.rto
	for ; n > 0 && d < c.cfg.MaxRTO; n-- {
		d *= 2
	}
	return min(d, c.cfg.MaxRTO)
}

// timeSegment starts a measurement with a segment that is sent for the first time and ends
// before end.
func (c *Conn) timeSegment(now Time, end seq.Num) {
	if !c.rto.timing {
		c.rto.timing, c.rto.timedEnd, c.rto.timedAt = true, end, now
	}
}

// sentAgain is Karn's algorithm: what is sent from first on makes the measurement
// ambiguous.
func (c *Conn) sentAgain(first seq.Num) {
	if c.rto.timing && first.Less(c.rto.timedEnd) {
		c.rto.timing = false
	}
}

// measure takes a sample from an ACK that advances SND.UNA: from our own clock where the
// timed segment is acknowledged, otherwise from the timestamp, which tells a
// retransmission from its original (RFC 7323 section 4).
func (c *Conn) measure(now Time, seg *wire.Segment) {
	if c.rto.timing {
		if c.rto.timedEnd.LessEq(seg.Ack) {
			c.rto.timing = false
			c.sample(now.Sub(c.rto.timedAt))
		}
		return
	}
	if c.opt.sack && isDSACK(seg.Options.Blocks(), seg.Ack) {
		// It answers a duplicate, and echoes what came long before that. That the path carries
		// something is what a tail loss probe asks for all the same.
		if c.board != nil {
			c.board.probe.timed = false
		}
		return
	}
	if rtt := c.timestampRTT(now, seg); rtt > 0 {
		c.sample(rtt)
	}
}
