package tcp

// CUBIC: RFC 9438. Its arithmetic is of whole octets and milliseconds, so that all machines have
// the same.

import (
	"math/bits"
	"time"
)

// Cubic is the congestion control of RFC 9438, with HyStart++ (RFC 9406) for the first slow start.
type Cubic struct {
	hystart hystart
	now     cubicState
	before  cubicState // the last Loss, for Undo
}

// cubicState are the variables of RFC 9438 section 4.1.2, in octets.
type cubicState struct {
	prior   uint32 // cwnd_prior
	wMax    uint32 // W_max
	wEst    uint32 // W_est
	epoch   Time   // t_epoch; 0: congestion avoidance has not begun since the last event
	idle    Time   // since when cwnd has not been in use, 0: it is
	k       int64  // K, ms
	credit  uint64 // what is left of the last steps: of cwnd
	credit2 uint64 // and of W_est
	timeout bool   // the last event was one
}

// The constants of sections 4.6, 4.3 and 5.1, as fractions.
const (
	betaNum, betaDen   = 7, 10   // beta_cubic
	markNum, markDen   = 85, 100 // beta_ecn of RFC 8511 section 3
	alphaNum, alphaDen = 9, 17   // alpha_cubic, 3 * (1-beta) / (1+beta)
	cNum, cDen         = 4, 10   // C, segments per cubic second
)

// longest is for how long a cubic is computed, in ms: two minutes from K cwnd has long been at any
// limit, and the cube still fits.
const longest = 120_000

// NewCubic returns a Cubic for one connection.
func NewCubic() Congestion { return new(Cubic) }

// Name returns "cubic".
func (q *Cubic) Name() string { return "cubic" }

// Start begins.
func (q *Cubic) Start(Time, Window) { *q = Cubic{} }

// Ack grows cwnd: slow start, or the larger of W_cubic and W_est.
func (q *Cubic) Ack(now Time, w Window, a Acknowledgment) Window {
	if w.SlowStart() {
		first := w.Ssthresh == 1<<32-1
		step := uint32(0)
		if a.Limited {
			step = slowStartStep(&w, &a)
		}
		if first && !a.AfterTimeout {
			step = q.hystart.ack(&w, &a, step)
		}
		w.Cwnd += step
		return w
	}
	s := &q.now
	if !a.Limited {
		// "The elapsed time t [...] MUST NOT include periods during which cwnd has not been
		// updated due to application-limited behavior".
		if s.idle == 0 {
			s.idle = now
		}
		return w
	}
	if s.idle != 0 && s.epoch != 0 {
		s.epoch = s.epoch.Add(now.Sub(s.idle))
	}
	s.idle = 0
	if s.epoch == 0 {
		s.begin(now, &w)
	}
	s.estimate(&w, a.Acked)
	s.step(now, &w, a.Acked)
	return w
}

// begin is the first ACK of a congestion avoidance stage: K of Figure 2; after a timeout, section
// 4.8, and where nothing was lost, K is 0 and W_max is cwnd.
func (s *cubicState) begin(now Time, w *Window) {
	s.epoch, s.wEst, s.credit, s.credit2, s.k = now, w.Cwnd, 0, 0, 0
	if s.timeout || s.wMax <= w.Cwnd {
		s.wMax = w.Cwnd
	} else {
		// C is in segments: (W_max - cwnd) / C, in cubic milliseconds.
		s.k = cubeRoot(uint64(s.wMax-w.Cwnd) * (1_000_000_000 * cDen / cNum) / uint64(w.MSS))
	}
	s.timeout = false
}

// estimate is Figure 4: W_est grows as Reno's window would.
func (s *cubicState) estimate(w *Window, acked uint32) {
	num, den := uint64(alphaNum), uint64(alphaDen)
	if s.wEst >= s.prior {
		num, den = 1, 1
	}
	s.credit2 += uint64(acked) * uint64(w.MSS) * num
	per := uint64(w.Cwnd) * den
	s.wEst = uint32(min(uint64(s.wEst)+s.credit2/per, maxReceive))
	s.credit2 %= per
}

// step moves cwnd towards what W_cubic will be in a round trip, sections 4.2 to 4.5.
func (s *cubicState) step(now Time, w *Window, acked uint32) {
	t := now.Sub(s.epoch)
	if s.cubic(t, w.MSS) < int64(s.wEst) { // the Reno-friendly region
		w.Cwnd = max(w.Cwnd, s.wEst)
		return
	}
	target := min(max(s.cubic(t+w.SRTT, w.MSS), int64(w.Cwnd)), int64(w.Cwnd)*3/2)
	s.credit += uint64(acked) * uint64(target-int64(w.Cwnd))
	w.Cwnd += uint32(s.credit / uint64(w.Cwnd))
	s.credit %= uint64(w.Cwnd)
}

// cubic is W_cubic of Figure 1.
func (s *cubicState) cubic(t time.Duration, mss uint32) int64 {
	d := min(max(t.Milliseconds()-s.k, -longest), longest)
	return int64(s.wMax) + d*d*d/1_000_000*int64(mss)*cNum/cDen/1000
}

// Loss is sections 4.6 to 4.8: multiplicative decrease, with fast convergence.
func (q *Cubic) Loss(_ Time, w Window, l Loss) uint32 {
	q.before = q.now
	s := &q.now
	s.prior = w.Cwnd
	if w.Cwnd < s.wMax {
		s.wMax = w.Cwnd / (2 * betaDen) * (betaDen + betaNum)
	} else {
		s.wMax = w.Cwnd
	}
	s.epoch, s.idle, s.timeout = 0, 0, l.Timeout
	if l.ECN && !w.SlowStart() {
		return max(uint32(uint64(l.Flight)*markNum/markDen), 2*w.MSS)
	}
	return max(uint32(uint64(l.Flight)*betaNum/betaDen), 2*w.MSS)
}

// Undo is section 4.9: all is as it was, and time goes on.
func (q *Cubic) Undo(Time, Window) { q.now = q.before }

// cubeRoot returns the largest number whose cube is not above n.
func cubeRoot(n uint64) int64 {
	var r uint64
	for bit := uint64(1) << (bits.Len64(n)/3 + 1); bit > 0; bit >>= 1 {
		if c := r | bit; c <= 2_642_245 && c*c*c <= n { // beyond, the cube has more than 64 bits
			r = c
		}
	}
	return int64(r)
}
