package tcp

// BBR's model of the path (draft-ietf-ccwg-bbr, "Updating Network Path Model Parameters"): round
// trips, the bandwidth, the least round trip, aggregation.

import "time"

// bbrModel are the variables of it.
type bbrModel struct {
	roundCount         uint64
	nextRoundDelivered uint64
	roundStart         bool

	maxBW, bw   uint64
	maxBWFilter [2]uint64 // of the ProbeBW cycle before, and of this one

	minRTT            time.Duration // 0: none has been measured, the draft's Infinity
	minRTTStamp       Time
	probeRTTMinDelay  time.Duration // 0: the same
	probeRTTMinStamp  Time
	probeRTTExpired   bool
	idleRestart       bool
	probeRTTDoneStamp Time
	probeRTTRoundDone bool

	extraAcked              uint64
	extraAckedIntervalStart Time
	extraAckedDelivered     uint64
	extraAckedFilter        [extraAckedFilterLen + 1]uint64 // the most in each of the last round trips
	extraAckedRound         uint64                          // that of the last of them

	fullBW        uint64
	fullBWCount   uint8
	fullBWNow     bool
	fullBWReached bool
}

// Of "Core Algorithm Design Parameters" and those which follow.
const (
	minRTTFilterLen     = 10 * time.Second
	probeRTTInterval    = 5 * time.Second
	probeRTTDuration    = 200 * time.Millisecond
	extraAckedFilterLen = 10
	fullBWRounds        = 3
)

func (b *BBR) startRound() { b.nextRoundDelivered = b.delivered }

// updateRound is UpdateRound: a round trip begins with the ACK of what was sent after the last one
// began.
func (b *BBR) updateRound() {
	b.roundStart = b.rs.Valid && b.rs.Prior >= b.nextRoundDelivered
	if b.roundStart {
		b.startRound()
		b.roundCount++
		b.roundsSinceProbeUp++
	}
}

// updateMaxBW is UpdateMaxBw: "the estimator discards application-limited samples [...]. However,
// the estimator does use application-limited samples if the measured delivery rate happens to be
// larger".
func (b *BBR) updateMaxBW() {
	b.updateRound()
	if rate := b.rs.Rate; rate > 0 && (rate >= b.maxBW || !b.rs.Limited) {
		b.maxBWFilter[1] = max(b.maxBWFilter[1], rate)
		b.maxBW = max(b.maxBWFilter[0], b.maxBWFilter[1])
	}
}

// advanceMaxBWFilter is AdvanceMaxBwFilter: "The BBR.max_bw filter only needs to track samples from
// two time slots". A cycle without a sample has said nothing, and the one before it stays.
func (b *BBR) advanceMaxBWFilter() {
	if b.maxBWFilter[1] > 0 {
		b.maxBWFilter[0], b.maxBWFilter[1] = b.maxBWFilter[1], 0
	}
}

// boundBWForModel is BoundBWForModel.
func (b *BBR) boundBWForModel() { b.bw = min(b.maxBW, b.bwShortterm) }

// updateACKAggregation is UpdateACKAggregation: the "excess ACKed beyond expected amount over this
// interval".
func (b *BBR) updateACKAggregation() {
	expected := scale(b.bw, uint64(b.now.Sub(b.extraAckedIntervalStart)), uint64(time.Second))
	if b.extraAckedDelivered <= expected {
		b.extraAckedDelivered, b.extraAckedIntervalStart, expected = 0, b.now, 0
	}
	b.extraAckedDelivered += uint64(b.rs.Acked)
	extra := min(b.extraAckedDelivered-expected, b.cwnd)
	length := uint64(1) // "in Startup, just remember 1 round"
	if b.fullBWReached {
		length = extraAckedFilterLen
	}
	b.extraAcked = b.updateExtraAckedFilter(extra, length)
}

// updateExtraAckedFilter returns the most of this round trip and of those before it, so many.
func (b *BBR) updateExtraAckedFilter(extra, length uint64) uint64 {
	const slots = uint64(len(b.extraAckedFilter))
	for ; b.extraAckedRound < b.roundCount; b.extraAckedRound++ {
		b.extraAckedFilter[(b.extraAckedRound+1)%slots] = 0
	}
	last := &b.extraAckedFilter[b.roundCount%slots]
	*last = max(*last, extra)
	most := uint64(0)
	for back := range min(length, b.roundCount) + 1 {
		most = max(most, b.extraAckedFilter[(b.roundCount-back)%slots])
	}
	return most
}

// updateMinRTT is UpdateMinRTT.
func (b *BBR) updateMinRTT() {
	b.probeRTTExpired = b.now > b.probeRTTMinStamp.Add(probeRTTInterval)
	if rtt := b.rs.RTT; rtt > 0 && (b.probeRTTMinDelay == 0 || rtt < b.probeRTTMinDelay || b.probeRTTExpired) {
		b.probeRTTMinDelay, b.probeRTTMinStamp = rtt, b.now
	}
	minRTTExpired := b.now > b.minRTTStamp.Add(minRTTFilterLen)
	if d := b.probeRTTMinDelay; d > 0 && (b.minRTT == 0 || d < b.minRTT || minRTTExpired) {
		b.minRTT, b.minRTTStamp = d, b.probeRTTMinStamp
	}
}

func (b *BBR) resetFullBW() { b.fullBW, b.fullBWCount, b.fullBWNow = 0, 0, false }

// checkFullBWReached is CheckFullBWReached: "three [...] non-application-limited rounds where
// attempts to significantly increase the delivery rate actually result in little increase (less
// than 25 percent)". A round that ends by an ACK without a sample says nothing of growth.
func (b *BBR) checkFullBWReached() {
	if b.fullBWNow || !b.roundStart || b.rs.Limited || b.rs.Rate == 0 {
		return
	}
	if b.rs.Rate >= b.fullBW+b.fullBW/4 {
		b.resetFullBW()
		b.fullBW = b.rs.Rate
		return
	}
	b.fullBWCount++
	b.fullBWNow = b.fullBWCount >= fullBWRounds
	b.fullBWReached = b.fullBWReached || b.fullBWNow
}
