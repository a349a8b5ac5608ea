package tcp

// BBR and losses (draft-ietf-ccwg-bbr, "Updating the Model Upon Packet Loss" and "Upon Detecting a
// Spurious Loss Recovery"): what they say of the path in the long and in the short term.

import "github.com/vitro-net/vitro/seq"

// bbrLoss are the variables of it.
type bbrLoss struct {
	inflightLongterm               uint64
	bwShortterm, inflightShortterm uint64

	bwLatest, inflightLatest uint64
	lossRoundDelivered       uint64
	lossRoundStart           bool
	isLossInRound            bool
	lossRanges               uint8   // discontiguous ones in this round
	lossEnd                  seq.Num // where the last of them ends
	marked                   bool    // the network has marked packets, and the next Sample is to say so

	saved                 bool // in this recovery
	undoState             bbrState
	undoBWShortterm       uint64
	undoInflightShortterm uint64
	undoInflightLongterm  uint64
	priorCwnd             uint64
}

// startupFullLossCnt is BBRStartupFullLossCnt.
const startupFullLossCnt = 6

// tooMuch is LossThresh: 2 % of a volume.
func tooMuch(volume uint64) uint64 { return volume / 50 }

// beta is Beta of a rate or volume, 0.7.
func beta(x uint64) uint64 { return scale(x, 7, 10) }

// Loss is OnEnterFastRecovery and OnEnterRTO, and comes too when the network has marked packets:
// "the congestion controller response MUST treat any CE marks as congestion". A tail loss probe
// that has repaired a loss is told by it as well.
func (b *BBR) Loss(now Time, w Window, l Loss) (ssthresh uint32) {
	b.hear(now, w)
	b.saveCwnd()
	if l.Timeout {
		b.saved = false
		b.saveStateUponLoss()
	} else {
		b.noteLoss()
	}
	b.marked = b.marked || l.ECN
	b.recovering = true
	return w.Ssthresh
}

// noteLoss is NoteLoss.
func (b *BBR) noteLoss() {
	if !b.isLossInRound {
		b.lossRoundDelivered = b.delivered
		b.saveStateUponLoss()
	}
	b.isLossInRound = true
}

// saveStateUponLoss is SaveStateUponLoss: "when a loss recovery episode starts, BBR saves
// information about its current state". The first loss is told before the episode's beginning, and
// may change the state; a later one is of the same episode. Neither saves again.
func (b *BBR) saveStateUponLoss() {
	if b.saved {
		return
	}
	b.saved = true
	b.saveCwnd()
	b.undoState = bbrNone
	b.undoBWShortterm, b.undoInflightShortterm = b.bwShortterm, b.inflightShortterm
	b.undoInflightLongterm = b.inflightLongterm
}

// Lost is HandleLostPacket.
func (b *BBR) Lost(now Time, w Window, l LostText) {
	b.hear(now, w)
	b.delivered = l.Delivered
	b.noteLoss()
	if b.lossRanges == 0 || l.First != b.lossEnd {
		b.lossRanges += min(1, 255-b.lossRanges)
	}
	b.lossEnd = l.First.Add(l.Len)
	if !b.isBWProbeSample {
		return
	}
	b.rs.TxInFlight, b.rs.LostSince, b.rs.Limited = l.TxInFlight, l.LostSince, l.Limited
	if b.isInflightTooHigh() {
		b.rs.TxInFlight = uint32(b.inflightAtLoss(uint64(l.Len)))
		b.handleInflightTooHigh()
	}
}

// isInflightTooHigh is IsInflightTooHigh.
func (b *BBR) isInflightTooHigh() bool {
	return b.rs.LostSince > tooMuch(uint64(b.rs.TxInFlight)) || b.rs.LostSince > 0 && !b.sack
}

// inflightAtLoss is InflightAtLoss: "At what prefix of "packet" P did losses exceed BBR.LossThresh?"
func (b *BBR) inflightAtLoss(size uint64) uint64 {
	inflightPrev := uint64(b.rs.TxInFlight) - min(size, uint64(b.rs.TxInFlight))
	lostPrev := b.rs.LostSince - min(size, b.rs.LostSince)
	// (LossThresh * inflight_prev - lost_prev) / (1 - LossThresh), in fiftieths; a negative one is
	// none: then it was exceeded before.
	prefix := inflightPrev - min(50*lostPrev, inflightPrev)
	return inflightPrev + prefix/49
}

// handleInflightTooHigh is HandleInflightTooHigh.
func (b *BBR) handleInflightTooHigh() {
	b.prevProbeTooHigh = true
	b.isBWProbeSample = false // "only react once per bw probe"
	if !b.rs.Limited {
		b.inflightLongterm = max(uint64(b.rs.TxInFlight), beta(b.targetInflight()))
	}
	if b.mode == bbrUp {
		b.undoState = bbrUp
		b.startProbeBWDown()
	}
}

// answerMark answers a mark as a loss rate that is too high: Startup ends, and a probe. In the other
// states it has been noted as a loss of this round.
func (b *BBR) answerMark() {
	if !b.marked {
		return
	}
	b.marked = false
	if b.mode == bbrStartup {
		b.handleStartupTooHigh()
	} else if b.isBWProbeSample && b.rs.Valid {
		b.handleInflightTooHigh()
	}
}

// checkStartupHighLoss is CheckStartupHighLoss. Since the loss round began with the first loss, a
// recovery that goes on at its end has lasted for "at least one full packet-timed round trip".
func (b *BBR) checkStartupHighLoss() {
	if b.mode != bbrStartup || b.fullBWReached {
		return
	}
	high := b.lossRoundStart && b.lossRanges >= startupFullLossCnt && b.isInflightTooHigh()
	if !b.sack {
		high = b.lossRanges > 0
	}
	if high && b.rs.Recovering {
		b.undoState = bbrStartup
		b.handleStartupTooHigh()
	}
}

// handleStartupTooHigh sets inflight_longterm to an "estimate of a safe level of in-flight data
// suggested by these losses, which is max(BBR.bdp, BBR.inflight_latest)".
func (b *BBR) handleStartupTooHigh() {
	b.fullBWNow, b.fullBWReached = true, true
	b.inflightLongterm = max(b.bdpMultiple(b.bw, 100), b.inflightLatest)
}

func (b *BBR) updateLatestDeliverySignals() {
	b.lossRoundStart = false
	b.bwLatest = max(b.bwLatest, b.rs.Rate)
	b.inflightLatest = max(b.inflightLatest, b.rs.SoFar)
	if b.rs.Valid && b.rs.Prior >= b.lossRoundDelivered {
		b.lossRoundDelivered = b.delivered
		b.lossRoundStart = true
	}
}

func (b *BBR) advanceLatestDeliverySignals() {
	if b.lossRoundStart {
		b.bwLatest, b.inflightLatest = b.rs.Rate, b.rs.SoFar
		b.lossRanges = 0
	}
}

func (b *BBR) resetCongestionSignals() {
	b.isLossInRound = false
	b.bwLatest, b.inflightLatest = 0, 0
}

func (b *BBR) updateCongestionSignals() {
	b.updateMaxBW()
	if !b.lossRoundStart {
		return // "wait until end of round trip"
	}
	b.adaptLowerBoundsFromCongestion()
	b.isLossInRound = false
}

// adaptLowerBoundsFromCongestion is AdaptLowerBoundsFromCongestion, with InitLowerBounds and
// LossLowerBounds: when not probing, "gradually adapt to the current measured delivery process".
func (b *BBR) adaptLowerBoundsFromCongestion() {
	if b.isProbingBW() || !b.isLossInRound {
		return
	}
	if b.bwShortterm == infinity {
		b.bwShortterm = b.maxBW
	}
	if b.inflightShortterm == infinity {
		b.inflightShortterm = b.cwnd
	}
	b.bwShortterm = max(b.bwLatest, beta(b.bwShortterm))
	b.inflightShortterm = max(b.inflightLatest, beta(b.inflightShortterm))
}

func (b *BBR) resetShortTermModel() { b.bwShortterm, b.inflightShortterm = infinity, infinity }

// Undo is HandleSpuriousLossDetection. The machine has restored cwnd.
func (b *BBR) Undo(now Time, w Window) {
	b.hear(now, w)
	b.restoreCwnd()
	b.isLossInRound, b.saved, b.recovering = false, false, false
	b.resetFullBW()
	b.bwShortterm = max(b.bwShortterm, b.undoBWShortterm)
	b.inflightShortterm = max(b.inflightShortterm, b.undoInflightShortterm)
	b.inflightLongterm = max(b.inflightLongterm, b.undoInflightLongterm)
	switch {
	case b.undoState == bbrStartup && b.mode != bbrStartup:
		b.fullBWReached = false
		if b.mode != bbrProbeRTT {
			b.enterStartup()
		}
	case b.undoState == bbrUp && b.mode != bbrUp && b.mode != bbrProbeRTT:
		b.startProbeBWRefill()
	}
	b.undoState = bbrNone
}
