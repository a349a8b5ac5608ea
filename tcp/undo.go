package tcp

// Spurious recoveries and timeouts, found and undone: by timestamps (RFC 3522), by D-SACK (RFC
// 2883 section 5), by what is acknowledged after a timeout (F-RTO, RFC 5682).
// The congestion state is what it was, unless the network has marked packets meanwhile: then "the TCP
// sender MUST refrain from reversing congestion control state" (RFC 4015 section 3.4), and so for what
// was reduced because of a mark.

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

type undoVars struct {
	possible       bool    // there was a reduction, and no mark since
	cwnd, ssthresh uint32  // before the reduction
	from           seq.Num // SND.UNA then
	total          uint32  // octets sent again since
	again          uint32  // those of them that no D-SACK has reported
	first          seq.Num // the first of them, when stamped
	stamp          uint32  // the earliest TSval of what has been sent again and is outstanding
	stamped        bool
	frto           frtoStep
}

// frtoStep is the step of RFC 5682 section 2.1 that comes next.
type frtoStep uint8

const (
	frtoNo   frtoStep = iota
	frtoSent          // step 2: the first segment has been sent again
	frtoNew           // step 3: and then new ones
)

// maxUndo is after how many reductions that were undone, however they were found, D-SACK undoes no
// more in a connection's life: a receiver that lies could else do away with congestion control.
const maxUndo = 64

func (c *Conn) beginUndo() {
	u := &c.board.undo
	*u = undoVars{possible: true, cwnd: c.cc.cwnd, ssthresh: c.cc.ssthresh, from: c.snd.una}
}

// noteAgain notes that n octets from start on have been sent again.
func (c *Conn) noteAgain(start seq.Num, n uint32) {
	u := &c.board.undo
	if u.total == 0 && c.opt.timestamps {
		u.first, u.stamp, u.stamped = start, c.timestampClock(c.board.oldestAgain()), true
	}
	u.total += n
	u.again += n
}

// oldestAgain returns when the first was sent of all that has been sent again and is outstanding.
func (b *board) oldestAgain() Time {
	oldest := Never
	for _, r := range b.list() {
		if r.what&(runAgain|runSacked) == runAgain {
			oldest = min(oldest, r.at)
		}
	}
	return oldest
}

// undoByTimestamp is RFC 3522 section 3.2: the first acceptable ACK after a retransmission
// echoes a time before it, so that it answers the original. Since the RFC does so "not upon
// retransmitting segments other than the oldest outstanding segment", and that may have been sent
// again in the recovery before, the time is that of the first of all which have been.
func (c *Conn) undoByTimestamp(now Time, seg *wire.Segment) bool {
	u := &c.board.undo
	if !u.possible || !u.stamped || !u.first.Less(c.snd.una) {
		return false
	}
	u.stamped = false // it is the first that counts
	if !seg.Options.Has(wire.HasTimestamps) || int32(seg.Options.TSEcr-u.stamp) >= 0 {
		return false
	}
	c.undo(now)
	return true
}

// duplicated takes in a D-SACK block, and reports whether it can be one: of what this connection
// has sent.
func (c *Conn) duplicated(k wire.SACKBlock) bool {
	if c.snd.nxt.Less(k.Right) || c.snd.una.Sub(k.Left) > c.rto.ackedTotal && k.Left.Less(c.snd.una) {
		return false
	}
	c.count.Duplicates++
	if u, n := &c.board.undo, k.Right.Sub(k.Left); u.possible && u.from.LessEq(k.Left) && n <= u.again {
		u.again -= n
	}
	return true
}

// undoByDSACK: all that was sent again since the reduction had arrived before.
func (c *Conn) undoByDSACK(now Time) bool {
	u := &c.board.undo
	if !u.possible || u.again > 0 || u.total == 0 || c.board.lost > 0 || c.count.undone >= maxUndo {
		return false
	}
	c.undo(now)
	return true
}

// forwardRTO is RFC 5682 section 3 (with SACK) and section 2.1 (without): after a timeout the
// first ACK lets new segments go; what was sent once and is then acknowledged was not lost. It
// reports whether the timeout is undone, or new segments are to go.
func (c *Conn) forwardRTO(now Time, e *ackEffect) bool {
	u := &c.board.undo
	switch u.frto {
	case frtoNo:
	case frtoSent:
		u.frto = frtoNo
		if e.acked >= max(u.total, 1) && c.snd.una.Less(c.cc.recover) && c.unsent() > 0 && c.usableWindow() > 0 && !e.moreSACK(c) {
			u.frto = frtoNew
			c.cc.cwnd = c.flight() + 2*c.mss()
			return true
		}
	case frtoNew:
		u.frto = frtoNo
		if e.acked > 0 && c.board.rack.original && u.possible {
			c.undo(now)
			return true
		}
		c.recoveryWindow(min(c.cc.cwnd, 3*c.mss()))
	}
	return false
}

// moreSACK reports whether the ACK has reported something out of order.
func (e *ackEffect) moreSACK(c *Conn) bool { return c.board.sacked > e.sacked }

// undo gives the congestion state back, and takes nothing for lost any more.
//
// It deviates from RFC 4015 section 3.1: step 9, "cwnd <- FlightSize + min (bytes_acked, IW)", lets no
// more than IW go at once, and step 11 has SRTT and RTTVAR no less than they were and than the next
// measurement. Here cwnd is what it was, and SRTT learns as ever: from what is acknowledged, where
// timestamps tell of which transmission. Linux does so.
func (c *Conn) undo(now Time) {
	u := &c.board.undo
	c.cc.cwnd = max(c.cc.cwnd, u.cwnd)
	c.cc.ssthresh = max(c.cc.ssthresh, u.ssthresh)
	c.cc.phase, c.cc.recover, c.cc.afterTimeout = PhaseOpen, c.snd.una, false
	c.cc.control.Undo(now, c.window())
	c.rto.backoff = 0
	c.board.unlose()
	*u = undoVars{}
	c.count.undone++
}
