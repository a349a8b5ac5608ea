package tcp

// HyStart++: RFC 9406. The first slow start ends when the round trip grows, not when the queue
// overflows.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
)

// The constants of RFC 9406 section 4.3.
const (
	minRTTThresh     = 4 * time.Millisecond
	maxRTTThresh     = 16 * time.Millisecond
	minRTTDivisor    = 8
	rttSamples       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// hystart are the variables of RFC 9406 section 4.2; 0 is infinity.
type hystart struct {
	windowEnd     seq.Num
	last, current time.Duration // lastRoundMinRTT, currentRoundMinRTT
	baseline      time.Duration // cssBaselineMinRtt; 0: not in CSS
	samples       uint8
	rounds        uint8 // of CSS
	begun         bool
}

// ack takes in an ACK in the first slow start, and returns by how much cwnd grows instead of step.
func (h *hystart) ack(w *Window, a *Acknowledgment, step uint32) uint32 {
	if !h.begun {
		h.round(w, a)
	}
	if h.baseline != 0 {
		step /= cssGrowthDivisor
	}
	h.sample(a.RTT)
	if h.windowEnd.LessEq(a.Una) {
		h.round(w, a)
	}
	return step
}

// sample takes in a round trip, of what the round before has sent.
func (h *hystart) sample(rtt time.Duration) {
	if rtt == 0 {
		return
	}
	if h.current == 0 || rtt < h.current {
		h.current = rtt
	}
	if h.samples += min(1, 255-h.samples); h.samples < rttSamples {
		return
	}
	switch {
	case h.baseline != 0:
		if h.current < h.baseline { // leaving slow start was wrong
			h.baseline, h.rounds = 0, 0
		}
	case h.last != 0 && h.current >= h.last+max(minRTTThresh, min(h.last/minRTTDivisor, maxRTTThresh)):
		h.baseline, h.rounds = h.current, 1 // "that partial round counts"
	}
}

// round begins one.
func (h *hystart) round(w *Window, a *Acknowledgment) {
	if h.baseline != 0 {
		if h.rounds++; h.rounds > cssRounds {
			w.Ssthresh = w.Cwnd // congestion avoidance
			*h = hystart{}
			return
		}
	}
	h.begun, h.windowEnd = true, a.Nxt
	h.last, h.current, h.samples = h.current, 0, 0
}
