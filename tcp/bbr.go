package tcp

// BBR: draft-ietf-ccwg-bbr, "BBR Congestion Control", version 3 of the algorithm. What it tells the
// connection is here; the model of the path is in bbr_model.go, its answer to losses in
// bbr_loss.go, the states in bbr_probe.go. Functions and variables have the draft's names, "in
// bytes, [...] bytes per second" and nanoseconds, all whole, so that all machines compute the same.

import (
	"math"
	"math/bits"
	"time"
)

// BBR is the congestion control of draft-ietf-ccwg-bbr, BBRv3. It is experimental, as the draft is:
// what it does may change with the draft.
//
// Unlike CUBIC and Reno it does not take each loss for congestion: it measures how fast the path
// delivers and how long its round trip is, paces by that, and keeps about as much in flight as the
// path holds. So random losses cost it little, and it leaves long queues empty.
type BBR struct {
	// The draft's C, as the last call has said.
	now         Time
	smss, cwnd  uint64
	initialCwnd uint64
	delivered   uint64
	inflight    uint64
	sack        bool // has_selective_acks
	recovering  bool // InLossRecovery()
	rs          RateSample

	// Output.
	pacingRate  uint64
	sendQuantum uint64
	markLimited bool

	bbrModel
	bbrLoss
	bbrProbe

	seed uint64 // of random
}

// infinity is more than any rate or volume.
const infinity = math.MaxUint64

// The gains of the "Summary of Control Behavior in the State Machine", in percent.
const (
	startupPacingGain = 277
	drainPacingGain   = 50
	downPacingGain    = 90
	cruisePacingGain  = 100
	upPacingGain      = 125
	defaultCwndGain   = 200
	upCwndGain        = 225
	probeRTTCwndGain  = 50
	pacingMargin      = 1 // PacingMarginPercent
)

// NewBBR returns a BBR for one connection.
func NewBBR() Congestion { return new(BBR) }

// Name returns "bbr".
func (b *BBR) Name() string { return "bbr" }

// Ack is not called: BBR is a PathModel.
func (b *BBR) Ack(_ Time, w Window, _ Acknowledgment) Window { return w }

// Start is OnInit.
func (b *BBR) Start(now Time, w Window) {
	*b = BBR{seed: uint64(now) ^ uint64(w.SRTT)<<32}
	b.hear(now, w)
	b.initialCwnd = b.cwnd
	b.minRTT, b.minRTTStamp = w.SRTT, now
	b.probeRTTMinStamp = now
	b.extraAckedIntervalStart = now
	b.inflightLongterm, b.probeUpAckedPerInc = infinity, infinity
	b.undoBWShortterm, b.undoInflightShortterm, b.undoInflightLongterm = 0, 0, 0
	b.resetCongestionSignals()
	b.resetShortTermModel()
	b.resetFullBW()
	b.enterStartup()
	// InitPacingRate: "nominal_bandwidth = C.InitialCwnd / (C.srtt ? C.srtt : 1ms)".
	srtt := w.SRTT
	if srtt == 0 {
		srtt = time.Millisecond
	}
	b.pacingRate = scale(b.initialCwnd, uint64(time.Second), uint64(srtt)) * startupPacingGain / 100
	b.setSendQuantum()
}

// hear takes in what the connection says of itself.
func (b *BBR) hear(now Time, w Window) {
	b.now, b.smss, b.cwnd = now, uint64(max(w.MSS, 1)), uint64(w.Cwnd)
}

// Pace returns C.pacing_rate and C.send_quantum.
func (b *BBR) Pace() (rate uint64, quantum uint32) { return b.pacingRate, uint32(b.sendQuantum) }

// Transmit is OnTransmit, HandleRestartFromIdle: "BBR leaves C.cwnd as-is and paces packets at
// exactly BBR.bw".
func (b *BBR) Transmit(now Time, w Window, inflight uint32, limited bool) (cwnd uint32) {
	b.hear(now, w)
	if inflight == 0 && limited {
		b.idleRestart = true
		b.extraAckedIntervalStart = now
		if b.inProbeBW() {
			b.setPacingRateWithGain(100)
		} else if b.mode == bbrProbeRTT {
			b.checkProbeRTTDone()
		}
	}
	return b.window()
}

// window is C.cwnd as the connection has it.
func (b *BBR) window() uint32 { return uint32(min(b.cwnd, maxReceive)) }

// Sample is UpdateOnACK.
func (b *BBR) Sample(now Time, w Window, s RateSample) (cwnd uint32, limited bool) {
	b.hear(now, w)
	b.rs, b.delivered, b.inflight, b.sack = s, s.Delivered, uint64(s.Inflight), s.SACK
	b.markLimited = false
	if s.Recovered {
		b.restoreCwnd()
	}
	b.recovering = s.Recovering
	b.saved = b.saved && s.Recovering
	b.updateModelAndState()
	b.updateControlParameters()
	return b.window(), b.markLimited
}

func (b *BBR) updateModelAndState() {
	b.updateLatestDeliverySignals()
	b.updateCongestionSignals()
	b.updateACKAggregation()
	b.checkFullBWReached()
	b.answerMark()
	b.checkStartupDone()
	b.checkDrainDone()
	b.updateProbeBWCyclePhase()
	b.updateMinRTT()
	b.checkProbeRTT()
	b.advanceLatestDeliverySignals()
	b.boundBWForModel()
}

func (b *BBR) updateControlParameters() {
	b.setPacingRateWithGain(b.pacingGain)
	b.setSendQuantum()
	b.setCwnd()
}

// setPacingRateWithGain lets the rate fall only when the pipe has been full: "this prevents the
// pacing rate from being reduced when the connection has only seen application-limited bandwidth
// samples".
func (b *BBR) setPacingRateWithGain(gain uint64) {
	if rate := b.bw * gain / 100 * (100 - pacingMargin) / 100; rate > 0 && (b.fullBWReached || rate > b.pacingRate) {
		b.pacingRate = rate
	}
}

func (b *BBR) setSendQuantum() {
	b.sendQuantum = uint64(paceQuantum(b.pacingRate, uint32(b.smss)))
}

// minPipeCwnd is MinPipeCwnd, "to allow pipelining with endpoints that follow an "ACK every other
// packet" delayed-ACK policy".
func (b *BBR) minPipeCwnd() uint64 { return 4 * b.smss }

// bdpMultiple is BDPMultiple for a rate.
func (b *BBR) bdpMultiple(bw, gain uint64) uint64 {
	if b.minRTT == 0 {
		return b.initialCwnd // "no valid RTT samples yet"
	}
	return min(scale(bw, uint64(b.minRTT), uint64(time.Second)), 1<<40) * gain / 100
}

// quantizationBudget is QuantizationBudget, with the offload budget of TCP, "3 * C.send_quantum".
func (b *BBR) quantizationBudget(inflightCap uint64) uint64 {
	inflightCap = max(inflightCap, 3*b.sendQuantum, b.minPipeCwnd())
	if b.mode == bbrUp {
		inflightCap += 2 * b.smss
	}
	return inflightCap
}

// inflightFor is Inflight.
func (b *BBR) inflightFor(bw, gain uint64) uint64 {
	return b.quantizationBudget(b.bdpMultiple(bw, gain))
}

// setCwnd is SetCwnd: above max_inflight cwnd is cut at once, below it grows "by no more than the
// amount of data acknowledged".
func (b *BBR) setCwnd() {
	maxInflight := b.quantizationBudget(b.bdpMultiple(b.bw, b.cwndGain) + b.extraAcked)
	acked := uint64(b.rs.Acked)
	if b.fullBWReached {
		b.cwnd = min(b.cwnd+acked, maxInflight)
	} else if b.cwnd < maxInflight || b.delivered < b.initialCwnd {
		b.cwnd += acked
	}
	b.cwnd = max(b.cwnd, b.minPipeCwnd())
	if b.mode == bbrProbeRTT {
		b.cwnd = min(b.cwnd, b.probeRTTCwnd())
	}
	b.boundCwndForModel()
}

// boundCwndForModel is BoundCwndForModel.
func (b *BBR) boundCwndForModel() {
	bound := uint64(infinity)
	switch b.mode {
	case bbrDown, bbrRefill, bbrUp:
		bound = b.inflightLongterm
	case bbrCruise, bbrProbeRTT:
		bound = b.inflightWithHeadroom()
	case bbrNone, bbrStartup, bbrDrain:
	}
	bound = max(min(bound, b.inflightShortterm), b.minPipeCwnd())
	b.cwnd = min(b.cwnd, bound)
}

// saveCwnd is SaveCwnd: "the latest C.cwnd unmodulated by loss recovery or ProbeRTT".
func (b *BBR) saveCwnd() {
	if !b.recovering && b.mode != bbrProbeRTT {
		b.priorCwnd = b.cwnd
	} else {
		b.priorCwnd = max(b.priorCwnd, b.cwnd)
	}
}

func (b *BBR) restoreCwnd() { b.cwnd = max(b.cwnd, b.priorCwnd) }

// scale returns x*num/den, or infinity.
func scale(x, num, den uint64) uint64 {
	hi, lo := bits.Mul64(x, num)
	if hi >= den {
		return infinity
	}
	q, _ := bits.Div64(hi, lo, den)
	return q
}

// BBRStatus is what a BBR thinks of the path: sizes in octets, rates in octets a second.
type BBRStatus struct {
	State             string // "Startup", "ProbeBW_DOWN" and so on, as in the draft
	PacingRate        uint64
	MaxBW, BW         uint64 // the most that was delivered, and what is taken for safe now
	MinRTT            time.Duration
	InflightLongterm  uint64 // 1<<64 - 1 for infinity, as the next two
	BWShortterm       uint64
	InflightShortterm uint64
	ExtraAcked        uint64 // how much more than expected ACKs come together
	Rounds            uint64 // packet-timed round trips so far
	FullBWReached     bool   // the path has been full
	IdleRestart       bool   // sending goes on after idleness, and no ACK has come since
}

// Status says what it thinks. As of all its methods, the connection's lock must be held: a test or
// a function of Trace may call it.
func (b *BBR) Status() BBRStatus {
	return BBRStatus{
		State: b.mode.String(), PacingRate: b.pacingRate, MaxBW: b.maxBW, BW: b.bw, MinRTT: b.minRTT, InflightLongterm: b.inflightLongterm,
		BWShortterm: b.bwShortterm, InflightShortterm: b.inflightShortterm, ExtraAcked: b.extraAcked,
		Rounds: b.roundCount, FullBWReached: b.fullBWReached, IdleRestart: b.idleRestart,
	}
}
