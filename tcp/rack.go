package tcp

// Loss detection by time: RACK, RFC 8985 sections 5 and 6.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// rackVars is what is known of the path for the connection's life.
type rackVars struct {
	minRTT     [2]time.Duration // the least round trip in this and in the last window of minWindow
	since      Time             // when this one began
	reordering bool             // RACK.reordering_seen
	mult       uint8            // RACK.reo_wnd_mult - 1
	persist    uint8            // RACK.reo_wnd_persist
}

// minWindow is half of how long a round trip counts as the least: RFC 8985 section 6.2, step 1,
// asks for "a windowed min-filtered estimate".
const minWindow = 150 * time.Second

// persistRecoveries is how many recoveries without a D-SACK end a wide reordering window.
const persistRecoveries = 16

// rackFlight is what holds as long as something is outstanding.
type rackFlight struct {
	at       Time          // RACK.xmit_ts
	end      seq.Num       // RACK.end_seq
	rtt      time.Duration // RACK.rtt
	fack     seq.Num       // RACK.fack
	round    seq.Num       // RACK.dsack_round, when inRound
	timer    Time          // the reordering timer
	inRound  bool
	fresh    time.Duration // the round trip that this ACK measures, 0: none
	newest   Time          // the latest xmit_ts of what this ACK delivers
	known    seq.Num       // RACK.fack before this ACK
	packets  uint32        // that this ACK reports for the first time
	original bool          // this ACK delivered what was sent once, before the timeout
}

// leastAgain is how long at the least a segment that was sent again is waited for. On a path
// without delay RACK finds it lost at the instant at which it goes, and a peer that has no room
// for it would make both ends send for ever.
const leastAgain = time.Millisecond

// noteRTT keeps the least round trip.
func (c *Conn) noteRTT(now Time, rtt time.Duration) {
	r := &c.rack
	if now.Sub(r.since) >= minWindow {
		r.minRTT[1], r.minRTT[0], r.since = r.minRTT[0], 0, now
	}
	if r.minRTT[0] == 0 || rtt < r.minRTT[0] {
		r.minRTT[0] = max(rtt, 1)
	}
}

// leastRTT is RACK.min_RTT, 0 when none has been measured.
func (c *Conn) leastRTT() time.Duration {
	a, b := c.rack.minRTT[0], c.rack.minRTT[1]
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// sentAfter is RACK_sent_after.
func sentAfter(t1 Time, s1 seq.Num, t2 Time, s2 seq.Num) bool {
	return t1 > t2 || t1 == t2 && s2.Less(s1)
}

// beginAck is what an ACK finds: what it delivers comes in any order, and both steps that follow want
// their own.
func (k *rackFlight) beginAck() {
	k.original, k.fresh, k.packets = false, 0, 0
	k.newest, k.known = 0, k.fack
}

// rackDelivered is steps 2 and 3 for a run that seg reports for the first time. "In ascending order of
// Segment.xmit_ts" what was sent last of all that this ACK delivers says RACK.rtt, and "in ascending
// order of Segment.end_seq" only what lies below the RACK.fack of earlier ACKs was overtaken.
func (c *Conn) rackDelivered(now Time, seg *wire.Segment, r run) {
	if m := c.cc.model; m != nil {
		m.deliver(now, c.board, &r)
	}
	k := &c.board.rack
	k.packets += r.packets()
	if k.fack.Less(r.end) {
		k.fack = r.end
	}
	if r.end.Less(k.known) && r.what&runAgain == 0 {
		c.rack.reordering = true
	}
	rtt := now.Sub(r.at)
	if r.what&runAgain != 0 {
		if rtt < c.leastRTT() || c.echoesOlder(seg, r.at) {
			return
		}
	} else {
		c.noteRTT(now, rtt)
		if k.fresh == 0 || rtt < k.fresh {
			k.fresh = max(rtt, 1)
		}
		if r.start.Less(c.cc.recover) {
			k.original = true
		}
	}
	if r.at >= k.newest {
		k.newest, k.rtt = r.at, rtt
	}
	if sentAfter(r.at, r.end, k.at, k.end) {
		k.at, k.end = r.at, r.end
	}
}

// echoesOlder reports whether the segment's timestamp says that it answers something sent before
// the tick of at.
func (c *Conn) echoesOlder(seg *wire.Segment, at Time) bool {
	return c.opt.timestamps && seg.Options.Has(wire.HasTimestamps) &&
		int32(seg.Options.TSEcr-c.timestampClock(at)) < 0
}

// adaptReordering is the first half of RACK_update_reo_wnd, for an ACK with a D-SACK.
func (c *Conn) adaptReordering(dsack bool) {
	k := &c.board.rack
	if k.inRound && k.round.LessEq(c.snd.una) {
		k.inRound = false
	}
	if !k.inRound && dsack {
		k.inRound, k.round = true, c.snd.nxt
		c.rack.mult += min(1, 255-1-c.rack.mult)
		c.rack.persist = persistRecoveries
	}
}

// recovered counts a recovery that has ended: "up to 16 loss recoveries, after which it resets".
func (c *Conn) recovered() {
	if c.rack.persist > 0 {
		c.rack.persist--
	}
	if c.rack.persist == 0 {
		c.rack.mult = 0
	}
}

// reorderingWindow is RACK.reo_wnd.
//
// It deviates from section 6.2 step 4, "RACK.segs_sacked >= DupThresh": the board has octets, and three
// segments are as many octets as three full ones have. Small segments are waited for, as what has been
// overtaken is. RFC 6675 section 4 counts octets too, "more than (DupThresh - 1) * SMSS bytes".
func (c *Conn) reorderingWindow() time.Duration {
	if !c.rack.reordering && (c.cc.phase != PhaseOpen || c.board.sacked >= dupThresh*c.mss()) {
		return 0
	}
	return min((1+time.Duration(c.rack.mult))*c.leastRTT()/4, c.rto.srtt)
}

// detectLoss is RACK_detect_loss_and_arm_timer.
func (c *Conn) detectLoss(now Time, rule Rule) {
	b := c.board
	if !c.opt.sack || b.rack.at == 0 {
		return
	}
	patience := b.rack.rtt + c.reorderingWindow()
	var wait time.Duration
	b.each(func(i int, r run) bool {
		if !sentAfter(b.rack.at, b.rack.end, r.at, r.end) {
			return r.what&runAgain == 0 // all behind it went later
		}
		wanted := patience
		if r.what&runAgain != 0 {
			wanted = max(patience, c.leastRTT(), leastAgain)
		}
		if left := r.at.Add(wanted).Sub(now); left > 0 {
			wait = max(wait, left)
			return false
		}
		c.lose(now, i)
		c.retransmitting(now, r.start, r.len(), rule)
		return false
	})
	b.rack.timer = 0
	if wait > 0 {
		b.rack.timer = now.Add(wait)
	}
}

// loseByTimeout is RACK_mark_losses_on_RTO. Without SACK nothing is known of any segment, and
// all are lost; where the first has been reported and is still not acknowledged the peer has
// given up what it had reported (RFC 2018 section 8).
func (c *Conn) loseByTimeout(now Time, rule Rule) {
	b := c.board
	if list := b.list(); len(list) > 0 && list[0].what&runSacked != 0 {
		b.forgetSACK()
		b.rack.at = 0
	}
	patience := b.rack.rtt + c.reorderingWindow()
	first := b.lost == 0 || b.list()[0].what&runLost == 0
	b.each(func(i int, r run) bool {
		if first {
			first = false
			c.loseFirst(now, i)
		} else if !c.opt.sack || b.rack.at == 0 || r.at.Add(patience) <= now {
			c.lose(now, i)
		}
		return false
	})
	c.retransmitting(now, c.snd.una, b.lost, rule)
}

// loseFirst marks the first segment of run i as lost.
func (c *Conn) loseFirst(now Time, i int) {
	b := c.board
	if r := &b.list()[i]; r.len() > uint32(r.mss) {
		b.split(i, r.start.Add(uint32(r.mss)))
	}
	c.lose(now, i)
}

// reorderingTimeout is the reordering timer: what has waited for long enough is lost.
func (c *Conn) reorderingTimeout(now Time) {
	b := c.board
	if b == nil || b.rack.timer == 0 || now < b.rack.timer {
		return
	}
	b.rack.timer = 0
	before := b.lost
	c.detectLoss(now, RuleRACK)
	if b.lost == before {
		return
	}
	c.timedOut(now, RuleRACK)
	if c.mtuProbeLost(now) {
		return
	}
	switch c.cc.phase {
	case PhaseOpen:
		c.enterRecovery(now, &ackEffect{flight: c.snd.nxt.Sub(c.snd.una), sacked: b.sacked})
	case PhaseRecovery:
		c.recoveryWindow(min(c.cc.cwnd, c.flight()+c.mss())) // PRR lets more go by the next ACK
	case PhaseTimeout:
	}
}
