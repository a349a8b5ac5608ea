package tcp

// The data sender's part of RFC 9768: how many marks an ACK tells of (section 3.2.2.2, 3.2.2.5.2,
// appendix A), and whether they are to be believed (3.2.2.3, 3.2.3.2). How a mark is answered is
// RFC 3168's: once in a window.

import "github.com/vitro-net/vitro/wire"

// newMarks is d.cep of appendix A.2.1: the least number of marks that takes s.cep to the field.
func newMarks(cep uint64, ace uint8) uint32 { return uint32(ace-uint8(cep)) & 7 }

// safeMarks is dSafer.cep: as many as the packets that are acknowledged can have been, if the field
// has gone around.
func safeMarks(marks, packets uint32) uint32 {
	if packets <= marks {
		return marks // section 3.2.2.5.2: "consider the ACE counter to be correct"
	}
	return packets - (packets-marks)&7
}

// likelyMarks is the least count that fits both the field and the octets that an option says were
// marked, in packets of mss octets at the most. It agrees with the examples of appendix A.2.2; the
// algorithm there takes what is safe for more than that: of 17 full packets, 9 of them marked, it
// has 17.
func likelyMarks(marks, safe, octets, mss uint32) uint32 {
	if n := (octets + mss - 1) / mss; n > marks {
		marks = n + (marks-n)&7
	}
	return min(marks, safe)
}

// Acknowledgments are thinned or merged where they stand for more than this many packets in the
// mean. Appendix A.2.1: "it would be reasonable to only use dSafer.cep rather than d.cep if the
// moving average of newlyAckedPkt was well below 8."
const thinned = 4

// meanUnit is one packet in accVars.mean, and its inverse the weight of a new value.
const meanUnit = 64

// readOption takes the counters of an option, each by the least increment (appendix A.1), and
// returns d.ceb; ok says whether it was there.
func (a *accVars) readOption(o *wire.Options) (marked uint32, ok bool) {
	if a.zeroed {
		return 0, false
	}
	e0b, ceb, e1b := o.AccECNFields()
	step := func(k *uint64, f *uint32) uint32 {
		if f == nil {
			return 0
		}
		d := (*f - uint32(*k)) & (1<<24 - 1)
		*k += uint64(d)
		return d
	}
	step(&a.snd.E0B, e0b)
	step(&a.snd.E1B, e1b)
	return step(&a.snd.CEB, ceb), o.NAccECN > 0
}

// checkZeros looks at the first option: "If it runs a test and either initial value is zero, the
// Client will switch into a mode that ignores AccECN Options", section 3.2.3.2.4.
func (c *Conn) checkZeros(o *wire.Options) {
	a := c.acc()
	if a.checked || !o.Has(wire.HasAccECN) {
		return
	}
	a.checked = true
	e0b, _, e1b := o.AccECNFields()
	a.zeroed = e0b != nil && *e0b == 0 || e1b != nil && *e1b == 0
}

// superseded reports whether later feedback has come already. "It uses the TCP acknowledgement
// number and any SACK options"; where they say nothing, timestamps (appendix A.1).
func (c *Conn) superseded(seg *wire.Segment, delivered uint32) bool {
	a := c.ecn.acc
	if !c.opt.timestamps || !a.begun {
		return delivered == 0
	}
	newer := int32(seg.Options.TSVal - a.tsval)
	return newer < 0 || newer == 0 && delivered == 0
}

// takeMarks reads what an ACK in order says of marks. It is called for each, and says what
// tellsOfMarks asks.
func (c *Conn) takeMarks(seg *wire.Segment, e *ackEffect) {
	a := c.ecn.acc
	if a == nil {
		return
	}
	a.fresh = 0
	if a.trying && !c.snd.una.Less(a.tried) {
		a.trying = false // it has got through
	}
	if c.superseded(seg, e.delivered) {
		return
	}
	a.begun, a.tsval = true, seg.Options.TSVal
	mss := c.mss()
	packets := e.packets
	if !c.opt.sack {
		packets = (e.delivered + mss - 1) / mss // duplicates have told of some before
	}
	octets, told := a.readOption(&seg.Options)
	marks := newMarks(a.snd.CEP, aceOf(seg.Flags))
	certain := a.since.packets+packets < 8 // ACE has not gone around
	if told && octets > 0 && a.since.marks+marks == 0 && certain {
		// "the Data Sender MUST disable sending ECN-capable packets", section 3.2.3.2.5
		c.ecn.silent = true
	}
	a.fresh = a.decide(marks, packets, octets, mss, told)
	a.snd.CEP += uint64(a.fresh)
	if !told {
		octets = min(a.fresh, packets) * mss // appendix A.3
	}
	octets = min(octets, e.delivered)
	a.untold = min(a.untold+octets, maxReceive)
	c.watchMarks(e, packets, octets)
}

// decide is how many packets an ACK says have arrived as CE, given the least number. Where options come,
// the next tells more: "before and after the possible sequence of ACK losses" (appendix A.2.2), so
// that it is held against all that ACE has said since the last. Without options the count is the
// safest likely; acknowledgments that are thinned always would make it a false one.
func (a *accVars) decide(marks, packets, octets, mss uint32, told bool) uint32 {
	if packets > 0 {
		units := min(packets, 1<<16) * meanUnit
		if a.mean == 0 {
			a.mean = units
		}
		a.mean = uint32(int64(a.mean) + (int64(units)-int64(a.mean))/meanUnit)
	}
	since := &a.since
	since.packets = min(since.packets+packets, maxReceive)
	switch {
	case told:
		sum := since.marks + marks
		marks = likelyMarks(sum, safeMarks(sum, since.packets), octets, mss) - since.marks
		*since = sinceOption{known: true}
		return marks
	case since.known && since.packets <= patientPackets, a.mean > thinned*meanUnit:
	default:
		marks = safeMarks(marks, packets)
	}
	since.marks = min(since.marks+marks, maxReceive)
	return marks
}

// sinceOption is what ACKs have said since the last option.
type sinceOption struct {
	marks, packets uint32
	known          bool // there was one
}

// patientPackets is for how many packets an option is waited for: a receiver sends one when its
// counters change, and another for the next change.
const patientPackets = 64

// watchMarks looks for a path that marks everything: "the sender might check whether the feedback
// for every packet it sends for the first three or four rounds indicates CE marking. If continuous
// CE marking is detected, for the remainder of the half-connection, the Data Sender ought to send
// non-ECN-capable packets, and it is advised not to respond to any feedback of CE markings" (section
// 3.2.2.3).
func (c *Conn) watchMarks(e *ackEffect, packets, octets uint32) {
	const enough = 4
	a := c.ecn.acc
	if a.unmarked || e.delivered == 0 || c.ecn.silent {
		return
	}
	if a.fresh < packets && octets < e.delivered {
		a.unmarked = true
		return
	}
	if a.rounds == 0 || !c.snd.una.Less(a.round) {
		a.rounds++
		a.round = c.snd.nxt
	}
	if a.rounds > enough {
		c.ecn.silent, a.deaf = true, true
	}
}

// takeUntold returns how many octets have arrived as CE that the congestion control does not know
// of, and forgets them.
func (c *Conn) takeUntold() (n uint32) {
	if a := c.ecn.acc; a != nil {
		n, a.untold = a.untold, 0
	}
	return n
}
