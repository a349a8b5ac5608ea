package tcp

// Probes for the path MTU: when one is sent, and what becomes of it. RFC 4821 sections 7.4 to 7.6
// and 10.1.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// mtuProbeText returns how much text the next probe has, 0 when none is due. RFC 4821 section 7.4:
// "It has no outstanding probes or losses", "the probe timeout has expired", and "enough data queued
// and sufficient receiver window to send the probe plus at least Tcprexmtthresh [...] additional
// segments".
func (c *Conn) mtuProbeText(now Time) (n uint32, size uint16) {
	s := c.search
	if s == nil || s.size != 0 || s.whole || now < s.next {
		return 0, 0
	}
	if b := c.board; c.cc.phase != PhaseOpen || b != nil && b.lost+b.sacked > 0 || c.sackBlocks() > 0 || c.optionDue() {
		return 0, 0
	}
	c.raiseDue(now)
	s.high = max(min(s.high, c.mostMTU()), s.low)
	if s.raise != 0 {
		return 0, 0
	}
	if size = c.nextMTU(); size == 0 {
		return 0, 0
	}
	n = c.textOf(size)
	need := n + dupThresh*c.mss()
	if c.unsent() < need || min(c.snd.wnd, c.cc.cwnd) < need {
		return 0, 0
	}
	return n, size
}

// awaitsMTUProbe holds new text back until the windows have room for the probe that is due:
// "Protocols MAY delay sending non-probes in order to accumulate enough data". ACKs of what is in
// flight are to come, so that it is no more than a round trip.
func (c *Conn) awaitsMTUProbe(now Time) bool {
	if c.search == nil || !c.outstanding() {
		return false
	}
	n, _ := c.mtuProbeText(now)
	return n > 0
}

// outputMTUProbe sends the probe that is due, if there is one: new text in a segment of its own.
func (c *Conn) outputMTUProbe(now Time, seg *wire.Segment) bool {
	s := c.search
	if s == nil {
		return false
	}
	if s.whole {
		return c.outputWhole(now, seg)
	}
	n, size := c.mtuProbeText(now)
	if n == 0 {
		return false
	}
	c.afterIdle(now)
	if min(c.usableWindow(), c.congestionRoom()) < n || c.paceHolds(now) {
		return false
	}
	c.fill(now, seg)
	c.putText(seg, n, n)
	c.markNew(seg)
	s.size, s.again, s.start = size, false, c.snd.nxt
	c.sent(now, n, n, false)
	s.end = c.snd.nxt
	s.sent++
	c.tellPathMTU(now, RuleMTUProbe)
	return true
}

// outputWhole sends the probe that shows whether a black hole was only a path that was dark.
func (c *Conn) outputWhole(now Time, seg *wire.Segment) bool {
	s, b := c.search, c.board
	s.whole = false
	n := c.textOf(s.hint)
	var from seq.Num
	lost := uint32(0)
	if b != nil {
		from, lost = b.nextLost(n)
	}
	if n <= c.mss() || lost < n || from != c.snd.una || min(c.snd.wnd, c.congestionRoom()) < n+c.mss() {
		c.signal |= SignalPathMTU
		return false // nothing would go behind it that tells of it
	}
	c.fill(now, seg)
	b.force = false
	c.resent(now, from, n, n)
	seg.Seq = from
	c.putText(seg, n, n)
	s.size, s.again, s.start, s.end = s.hint, true, from, from.Add(n)
	s.sent++
	c.startRetransmission(now)
	c.tellPathMTU(now, RuleMTUProbe)
	return true
}

// ackMTU is what an ACK says of the path MTU: that there is a black hole, or that a probe has passed.
func (c *Conn) ackMTU(now Time, e *ackEffect) {
	if b := c.board; b.asked && e.acked > 0 {
		b.asked = false
		if c.snd.una == b.narrow {
			c.blackHole(now)
		}
	}
	s := c.search
	if s == nil || s.size == 0 {
		return
	}
	if s.end.LessEq(c.snd.una) {
		c.mtuPassed(now)
		return
	}
	list, i := c.board.list(), c.board.find(s.start)
	switch {
	case s.start.Less(c.snd.una), i == len(list):
		s.size = 0 // part of it is acknowledged: it has been cut on the way
	case list[i].what&runSacked != 0:
		c.mtuPassed(now)
	case s.again && c.board.sacked > e.sacked:
		// What went behind it has arrived. RACK does not say so: the ACK's timestamp is that of what
		// came in order, and may be older than both (RFC 8985 section 6.2, step 2).
		c.board.lose(i)
		c.retransmitting(now, s.start, list[i].len(), RuleMTUProbeLost)
		s.tries = maxMTUProbes
		c.mtuFailed(now, 1, RuleMTUProbeLost)
	case uint32(list[i].mss) != s.end.Sub(s.start):
		s.size = 0 // it has gone again, for another reason than that it was found lost
	}
}

// mtuPassed is RFC 4821 section 7.6.1: "Set search_low to the probe size. If the probe size is larger
// than the eff_pmtu, raise eff_pmtu to the probe size." Windows count octets, and stay.
func (c *Conn) mtuPassed(now Time) {
	s := c.search
	s.low, s.tries, s.step = s.size, 0, false
	c.setPathMTU(int(s.low))
	if s.low >= c.baseMTU() && (s.phase == PathMTUBase || s.phase == PathMTUError) {
		s.phase = PathMTUSearching
	}
	c.tellPathMTU(now, RuleMTUProbePassed)
	s.size = 0
	c.signal |= SignalPathMTU
	c.endMTUSearch(now)
}

// mtuProbeLost looks whether what has just been found lost is a probe, and reports whether it is that
// alone: "In this case alone, the loss SHOULD NOT be interpreted as congestion signal", RFC 4821
// section 7.6.2. With other losses nothing is known: section 7.6.4.
func (c *Conn) mtuProbeLost(now Time) bool {
	s, b := c.search, c.board
	if s == nil || s.size == 0 {
		return false
	}
	i := b.find(s.start)
	if i == len(b.list()) || b.list()[i].what&runLost == 0 {
		return false
	}
	if s.again || c.cc.phase != PhaseOpen || b.lost != s.end.Sub(s.start) {
		c.tellPathMTU(now, RuleMTUInconclusive)
		s.size, s.again = 0, false
		s.lost++
		return false
	}
	c.mtuFailed(now, 1, RuleMTUProbeLost)
	if !c.opt.sack {
		c.cc.recover = c.snd.nxt // duplicate ACKs go on telling of it
	}
	return true
}

// isMTUProbe reports whether a run is the probe under way: what models of the path are not told the
// loss of.
func (c *Conn) isMTUProbe(r *run) bool {
	s := c.search
	return s != nil && s.size != 0 && r.start == s.start && r.end == s.end
}

// mtuFailed is RFC 4821 section 7.6.2: after maxMTUProbes of a size "set search_high to the probe size
// minus one". The next waits for "the same number of round trips as the current congestion window in
// packets", and after a timeout five times as long (section 7.6.3).
func (c *Conn) mtuFailed(now Time, times uint32, rule Rule) {
	s := c.search
	s.lost++
	s.next = now.Add(time.Duration(times*(c.cc.cwnd/c.mss()+1)) * max(c.rto.srtt, time.Millisecond))
	c.tellPathMTU(now, rule)
	if s.again {
		// "the congestion state variable SHOULD be rescaled so as not to raise the window size in
		// packets", section 4: the MTU is lower from now on.
		c.recoveryWindow(max(uint32(uint64(c.cc.cwnd)*uint64(c.mss())/uint64(c.textOf(s.size))), c.mss()))
		c.signal |= SignalPathMTU
	}
	if s.tries++; s.tries >= maxMTUProbes {
		s.tries = 0
		s.high = s.size - 1
		if s.phase == PathMTUBase && s.size <= c.baseMTU() {
			s.phase = PathMTUError
		}
	}
	s.size, s.again = 0, false
	c.endMTUSearch(now)
}

// mtuTimeout is RFC 4821 section 7.6.3: a timeout says that the probe is lost, and not whether it is
// alone.
func (c *Conn) mtuTimeout(now Time) {
	s := c.search
	switch {
	case s == nil || s.size == 0:
	case s.again:
		c.tellPathMTU(now, RuleMTUProbeTimeout)
		s.size, s.again = 0, false // nothing gets through, whatever its size
		s.lost++
		c.signal |= SignalPathMTU
	default:
		c.mtuFailed(now, 5, RuleMTUProbeTimeout)
	}
}

// mtuHint takes in a Packet Too Big message about a probe: "If an ICMP PTB message is received
// matching the probe packet, then search_high and eff_pmtu MAY be set from the MTU value indicated in
// the message", RFC 4821 section 7.6.2. Only search_high is, and it says which size is probed next.
func (c *Conn) mtuHint(now Time, quoted seq.Num, said int) bool {
	s, b := c.search, c.board
	if s == nil || s.size == 0 || b == nil || said < int(s.low) || said >= int(s.size) || !quoted.In(s.start, s.end.Sub(s.start)) {
		return false
	}
	mtu, i := uint16(said), b.find(s.start)
	if i == len(b.list()) || b.list()[i].start != s.start || b.list()[i].what != 0 {
		return false
	}
	b.lose(i)
	c.sentAgain(s.start)
	c.retransmitting(now, s.start, b.list()[i].len(), RulePacketTooBig)
	c.tellPathMTU(now, RulePacketTooBig)
	s.high, s.hint, s.tries, s.size, s.step = mtu, mtu, 0, 0, false
	s.lost++
	if s.phase == PathMTUBase && mtu < c.baseMTU() {
		s.phase = PathMTUError
	}
	c.endMTUSearch(now)
	return true
}
