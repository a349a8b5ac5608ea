package tcp

// BBR's states (draft-ietf-ccwg-bbr, "State Machine Operation"): Startup, Drain, the four of
// ProbeBW, and ProbeRTT.

import (
	"math/bits"
	"time"
)

type bbrState uint8

const (
	bbrNone bbrState = iota // of undoState
	bbrStartup
	bbrDrain
	bbrDown
	bbrCruise
	bbrRefill
	bbrUp
	bbrProbeRTT
)

var bbrStateNames = [...]string{"None", "Startup", "Drain", "ProbeBW_DOWN", "ProbeBW_CRUISE", "ProbeBW_REFILL", "ProbeBW_UP", "ProbeRTT"}

func (s bbrState) String() string { return bbrStateNames[s] }

// bbrAcks is ack_phase, "the meaning of the ACK feedback the connection is receiving, with respect
// to the bandwidth probing".
type bbrAcks uint8

const (
	acksInit bbrAcks = iota
	acksRefilling
	acksProbeStarting
	acksProbeFeedback
	acksProbeStopping
)

// bbrProbe are the variables of the states.
type bbrProbe struct {
	mode                 bbrState // BBR.state
	ackPhase             bbrAcks
	pacingGain, cwndGain uint64 // percent

	drainStartRound uint64

	isBWProbeSample        bool
	prevProbeTooHigh       bool
	prevProbePrecautionary bool
	bwProbeUpRounds        uint8
	bwProbeUpAcked         uint64
	probeUpAckedPerInc     uint64
	roundsSinceProbeUp     uint64
	bwProbeWait            time.Duration
	cycleStamp             Time
}

func (b *BBR) enter(s bbrState, pacingGain, cwndGain uint64) {
	b.mode, b.pacingGain, b.cwndGain = s, pacingGain, cwndGain
}

func (b *BBR) enterStartup() { b.enter(bbrStartup, startupPacingGain, defaultCwndGain) }

func (b *BBR) checkStartupDone() {
	b.checkStartupHighLoss()
	if b.mode == bbrStartup && b.fullBWReached {
		b.enter(bbrDrain, drainPacingGain, defaultCwndGain)
		b.drainStartRound = b.roundCount
	}
}

// checkDrainDone is CheckDrainDone: "However, it could take longer if the bandwidth was
// overestimated".
func (b *BBR) checkDrainDone() {
	if b.mode == bbrDrain && (b.inflight <= b.inflightFor(b.bw, 100) || b.roundCount > b.drainStartRound+3) {
		b.startProbeBWDown()
	}
}

func (b *BBR) inProbeBW() bool { return b.mode >= bbrDown && b.mode <= bbrUp }

func (b *BBR) isProbingBW() bool {
	return b.mode == bbrStartup || b.mode == bbrRefill || b.mode == bbrUp
}

func (b *BBR) startProbeBWDown() {
	b.resetCongestionSignals()
	b.probeUpAckedPerInc = infinity // not growing inflight_longterm
	b.pickProbeWait()
	b.cycleStamp = b.now
	b.ackPhase = acksProbeStopping
	b.startRound()
	b.enter(bbrDown, downPacingGain, defaultCwndGain)
}

func (b *BBR) startProbeBWCruise() { b.enter(bbrCruise, cruisePacingGain, defaultCwndGain) }

func (b *BBR) startProbeBWRefill() {
	b.resetShortTermModel()
	b.bwProbeUpRounds, b.bwProbeUpAcked = 0, 0
	b.prevProbePrecautionary = false
	b.ackPhase = acksRefilling
	b.startRound()
	b.enter(bbrRefill, cruisePacingGain, defaultCwndGain)
}

func (b *BBR) startProbeBWUp() {
	b.ackPhase = acksProbeStarting
	b.startRound()
	b.resetFullBW()
	b.fullBW = b.rs.Rate
	b.enter(bbrUp, upPacingGain, upCwndGain)
	b.raiseInflightLongtermSlope()
}

// updateProbeBWCyclePhase is UpdateProbeBWCyclePhase, "the core state machine logic for ProbeBW".
func (b *BBR) updateProbeBWCyclePhase() {
	if !b.fullBWReached || b.adaptLongTermModel() {
		return
	}
	switch b.mode {
	case bbrDown:
		if !b.isTimeToProbeBW() && b.isTimeToCruise() {
			b.startProbeBWCruise()
		}
	case bbrCruise:
		b.isTimeToProbeBW()
	case bbrRefill:
		if b.roundStart { // "After one round of REFILL, start UP"
			b.isBWProbeSample = true
			b.startProbeBWUp()
		}
	case bbrUp:
		if b.isTimeToGoDown() {
			b.prevProbeTooHigh = false // "no high loss (yet)"
			b.startProbeBWDown()
		}
	case bbrNone, bbrStartup, bbrDrain, bbrProbeRTT:
	}
}

// isTimeToProbeBW is IsTimeToProbeBW: whether it is, and then REFILL has begun.
func (b *BBR) isTimeToProbeBW() bool {
	if b.now > b.cycleStamp.Add(b.bwProbeWait) || b.isRenoCoexistenceProbeTime() {
		b.startProbeBWRefill()
		return true
	}
	return false
}

// isRenoCoexistenceProbeTime is IsRenoCoexistenceProbeTime: as many round trips as Reno would take
// to grow by what is in flight, in segments.
func (b *BBR) isRenoCoexistenceProbeTime() bool {
	return b.roundsSinceProbeUp >= min(b.targetInflight()/b.smss, 63)
}

// targetInflight is TargetInflight: "Our estimated BDP, unless congestion cut C.cwnd."
func (b *BBR) targetInflight() uint64 { return min(b.bdpMultiple(b.bw, 100), b.cwnd) }

// isTimeToCruise is IsTimeToCruise.
func (b *BBR) isTimeToCruise() bool {
	return b.inflight <= b.inflightWithHeadroom() && b.inflight <= b.inflightFor(b.maxBW, 100)
}

// isTimeToGoDown is IsTimeToGoDown.
func (b *BBR) isTimeToGoDown() bool {
	if b.prevProbeTooHigh && b.inflight >= b.inflightLongterm {
		b.prevProbePrecautionary = true
		return true
	}
	if b.rs.CwndLimited && b.cwnd >= b.inflightLongterm {
		b.resetFullBW() // "bw is limited by BBR.inflight_longterm"
		b.fullBW = b.rs.Rate
		return false
	}
	return b.fullBWNow
}

// inflightWithHeadroom is InflightWithHeadroom: 15 % of inflight_longterm stay free for others.
func (b *BBR) inflightWithHeadroom() uint64 {
	if b.inflightLongterm == infinity {
		return infinity
	}
	headroom := max(b.smss, b.inflightLongterm*15/100)
	return max(b.inflightLongterm-min(headroom, b.inflightLongterm), b.minPipeCwnd())
}

// raiseInflightLongtermSlope is RaiseInflightLongtermSlope: "in each successive round trip,
// BBR.inflight_longterm grows (in units of C.SMSS) by 1, 2, 4, 8, 16".
func (b *BBR) raiseInflightLongtermSlope() {
	growth := uint64(1) << b.bwProbeUpRounds
	b.bwProbeUpRounds = min(b.bwProbeUpRounds+1, 30)
	b.probeUpAckedPerInc = max(b.cwnd/growth, b.smss)
}

// probeInflightLongtermUpward is ProbeInflightLongtermUpward.
func (b *BBR) probeInflightLongtermUpward() {
	if !b.rs.CwndLimited || b.cwnd < b.inflightLongterm {
		return // "not fully using BBR.inflight_longterm, so don't grow it"
	}
	b.bwProbeUpAcked += uint64(b.rs.Acked)
	if b.bwProbeUpAcked >= b.probeUpAckedPerInc {
		b.inflightLongterm += b.bwProbeUpAcked / b.probeUpAckedPerInc * b.smss
		b.bwProbeUpAcked %= b.probeUpAckedPerInc
	}
	if b.roundStart {
		b.raiseInflightLongtermSlope()
	}
}

// adaptLongTermModel is AdaptLongTermModel. It reports whether it has decided on a state.
func (b *BBR) adaptLongTermModel() bool {
	if b.ackPhase == acksProbeStarting && b.roundStart {
		b.ackPhase = acksProbeFeedback
	}
	if b.ackPhase == acksProbeStopping && b.roundStart {
		b.isBWProbeSample = false
		b.ackPhase = acksInit
		if b.inProbeBW() && !b.rs.Limited {
			b.advanceMaxBWFilter()
		}
		if b.inProbeBW() && b.prevProbePrecautionary && !b.prevProbeTooHigh {
			b.startProbeBWRefill() // "Precautionary Bandwidth Probing: Acceleration"
			return true
		}
	}
	if b.isInflightTooHigh() || b.inflightLongterm == infinity {
		return false
	}
	b.inflightLongterm = max(b.inflightLongterm, uint64(b.rs.TxInFlight))
	if b.mode == bbrUp {
		b.probeInflightLongtermUpward()
	}
	return false
}

// probeRTTCwnd is ProbeRTTCwnd.
func (b *BBR) probeRTTCwnd() uint64 {
	return max(b.bdpMultiple(b.bw, probeRTTCwndGain), b.minPipeCwnd())
}

// checkProbeRTT is CheckProbeRTT, with EnterProbeRTT.
func (b *BBR) checkProbeRTT() {
	if b.mode != bbrProbeRTT && b.probeRTTExpired && !b.idleRestart {
		b.enter(bbrProbeRTT, cruisePacingGain, probeRTTCwndGain)
		b.saveCwnd()
		b.probeRTTDoneStamp = 0
		b.ackPhase = acksProbeStopping
		b.startRound()
	}
	if b.mode == bbrProbeRTT {
		b.handleProbeRTT()
	}
	if b.rs.SoFar > 0 {
		b.idleRestart = false
	}
}

// handleProbeRTT is HandleProbeRTT: "Ignore low rate samples during ProbeRTT", and stay for 200 ms
// and a round trip once little is in flight.
func (b *BBR) handleProbeRTT() {
	b.markLimited = true
	switch {
	case b.probeRTTDoneStamp == 0 && b.inflight <= b.probeRTTCwnd():
		b.probeRTTDoneStamp = b.now.Add(probeRTTDuration)
		b.probeRTTRoundDone = false
		b.startRound()
	case b.probeRTTDoneStamp != 0:
		b.probeRTTRoundDone = b.probeRTTRoundDone || b.roundStart
		if b.probeRTTRoundDone {
			b.checkProbeRTTDone()
		}
	}
}

// checkProbeRTTDone is CheckProbeRTTDone, with ExitProbeRTT: "since the connection is exiting
// ProbeRTT, we know that infligh is already below the estimated BDP, so the connection can proceed
// immediately to ProbeBW_CRUISE".
func (b *BBR) checkProbeRTTDone() {
	if b.probeRTTDoneStamp == 0 || b.now <= b.probeRTTDoneStamp {
		return
	}
	b.probeRTTMinStamp = b.now // "schedule next ProbeRTT"
	b.restoreCwnd()
	b.resetShortTermModel()
	if b.fullBWReached {
		b.startProbeBWDown()
		b.startProbeBWCruise()
	} else {
		b.enterStartup()
	}
}

// pickProbeWait is PickProbeWait: 0 or 1 round trips less, and 2 to 3 s.
func (b *BBR) pickProbeWait() {
	b.roundsSinceProbeUp = b.random(2)
	b.bwProbeWait = 2*time.Second + time.Duration(b.random(uint64(time.Second)))
}

// random draws from 0 to n-1. The core has no randomness, and what is wanted of it here is that
// flows probe at different times: so it is SplitMix64, whose counter begins with the instant and the
// round trip of Start and goes on by the instants of the draws. The same life draws the same.
func (b *BBR) random(n uint64) uint64 {
	b.seed += uint64(b.now) + 0x9e3779b97f4a7c15
	x := b.seed
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	hi, _ := bits.Mul64(x^x>>31, n)
	return hi
}
