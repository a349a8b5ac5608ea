package tcp

// Timestamps and PAWS: RFC 7323 sections 3 to 5.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// tsRecentLife is how long TS.Recent is believed: RFC 7323 section 5.5, 24 days.
const tsRecentLife = 24 * 24 * time.Hour

// timestampClock is the value to send at now: a tick of 1 ms (section 5.4), with the
// connection's own offset.
func (c *Conn) timestampClock(now Time) uint32 {
	return uint32(now/Time(timestampTick)) + c.opt.tsOffset
}

// checkTimestamp is the PAWS check of section 5.3, R1, which comes before all others. It
// returns the rule by which the segment is dropped, or none.
func (c *Conn) checkTimestamp(now Time, seg *wire.Segment) Rule {
	if !c.opt.timestamps || seg.Flags&wire.RST != 0 {
		// "An <RST> segment MUST NOT be subjected to the PAWS check."
		return 0
	}
	if !seg.Options.Has(wire.HasTimestamps) {
		return RuleNoTimestamp
	}
	if int32(seg.Options.TSVal-c.opt.tsRecent) < 0 && now.Sub(c.opt.tsRecentAt) < tsRecentLife && !c.overtaken(seg) {
		return RulePAWS
	}
	return 0
}

// pastTimestamp is what TS.Recent was a while ago: two marks, so that there is always one of at
// least pastTime or pastOctets.
type pastTimestamp struct {
	old, mark uint32  // TS.Recent then
	nxt       seq.Num // RCV.NXT when mark was set
	at        Time
}

const (
	pastTime   = time.Second
	pastOctets = 1 << 29
)

// overtaken reports whether a segment that is older than TS.Recent was sent so lately that it can
// be no duplicate from before the sequence numbers went round: something overtook it.
//
// It deviates from R1 of section 5.3, "SEG.TSval < TS.Recent [...] treat the arriving segment as not
// acceptable". A retransmission that fills a gap moves TS.Recent beyond what was sent just
// before it. The RFC knows that "These delayed segments will be discarded unnecessarily", and
// knows "of no case with a significant probability". There is one: where five of a hundred
// packets are late, each recovery has some of them discarded, which begins the next recovery. What
// PAWS is for stays: since old was TS.Recent less than 2^31 octets have come (with windows of up to
// 256 MiB).
func (c *Conn) overtaken(seg *wire.Segment) bool {
	return int32(seg.Options.TSVal-c.opt.tsPast.old) >= 0
}

// beginTimestamps takes TS.Recent from a SYN.
func (c *Conn) beginTimestamps(now Time, tsval uint32) {
	c.opt.tsRecent, c.opt.tsRecentAt = tsval, now
	c.opt.tsPast = pastTimestamp{tsval, tsval, c.rcv.nxt, now}
}

// noteTimestamp makes tsval TS.Recent.
func (c *Conn) noteTimestamp(now Time, tsval uint32) {
	p := &c.opt.tsPast
	if now.Sub(p.at) >= pastTime || c.rcv.nxt.Sub(p.nxt) >= pastOctets {
		p.old, p.mark, p.nxt, p.at = p.mark, c.opt.tsRecent, c.rcv.nxt, now
	}
	c.opt.tsRecent, c.opt.tsRecentAt = tsval, now
}

// recordTimestamp is R3 of section 5.3: "If SEG.TSval >= TS.Recent and SEG.SEQ <=
// Last.ACK.sent", TS.Recent becomes SEG.TSval. An invalid TS.Recent is replaced always.
//
// A segment that is not going to be used, because it has a SYN, or its ACK is implausible (RFC
// 5961 section 5), changes nothing: whoever guesses one number of two could else move
// TS.Recent ahead of the peer's clock, and all that the peer sends would be old
// (CVE-2005-0356).
func (c *Conn) recordTimestamp(now Time, seg *wire.Segment) {
	if !c.opt.timestamps || !seg.Options.Has(wire.HasTimestamps) {
		return
	}
	if seg.Flags&(wire.SYN|wire.ACK) != wire.ACK || !c.ackPlausible(seg) {
		return
	}
	newer := int32(seg.Options.TSVal-c.opt.tsRecent) >= 0 || now.Sub(c.opt.tsRecentAt) >= tsRecentLife
	if newer && seg.Seq.LessEq(c.rcv.lastAck) {
		c.noteTimestamp(now, seg.Options.TSVal)
	}
}

// putTimestamps adds the option to a segment that leaves: TSecr is 0 unless ACK is set
// (section 3.2).
func (c *Conn) putTimestamps(now Time, seg *wire.Segment) {
	if !c.opt.timestamps {
		return
	}
	seg.Options.Set |= wire.HasTimestamps
	seg.Options.TSVal = c.timestampClock(now)
	if seg.Flags&wire.ACK != 0 {
		seg.Options.TSEcr = c.opt.tsRecent
	}
}

// timestampRTT returns the round trip that the segment's TSecr measures (section 4). 0
// means it measures nothing: the peer echoes what has not been sent, or not in this life.
func (c *Conn) timestampRTT(now Time, seg *wire.Segment) time.Duration {
	if !c.opt.timestamps || !seg.Options.Has(wire.HasTimestamps) || seg.Options.TSEcr == 0 {
		return 0
	}
	ticks := c.timestampClock(now) - seg.Options.TSEcr
	rtt := time.Duration(ticks) * timestampTick
	if int32(ticks) < 0 || rtt > now.Sub(c.opt.tsSince)+timestampTick {
		return 0
	}
	return max(rtt, timestampTick)
}
