package sim

// Random early detection: Floyd and Jacobson, "Random Early Detection Gateways for Congestion
// Avoidance", IEEE/ACM Transactions on Networking, August 1993, section IV.

import (
	"math"

	"github.com/vitro-net/vitro/tcp"
)

type red struct {
	mean  float64 // length of the queue in octets
	count int     // packets since the last drop while the mean is between the thresholds; -1: it is below
}

// redDrops says whether a packet that comes is to be dropped. It may mark it instead; from the
// upper threshold on it does not, as RFC 3168 section 7 recommends: whoever does not heed marks
// is stopped by drops.
func (p *Path) redDrops(now tcp.Time, parcel *Parcel) bool {
	q, r := &p.queue, &p.queue.red
	if p.sending == nil {
		// The mean falls as if so many packets had met an empty queue.
		bits := float64(len(parcel.Bytes)) * 8
		missed := now.Sub(q.idle).Seconds() * float64(p.cfg.Rate) / bits
		r.mean *= math.Pow(1-q.cfg.Weight, missed)
	} else {
		r.mean += float64(q.cfg.Weight * (float64(q.octets) - r.mean))
	}
	low, high := float64(q.cfg.Min), float64(q.cfg.Max)
	switch {
	case r.mean < low:
		r.count = -1
		return false
	case r.mean >= high:
		r.count = 0
		return true
	}
	r.count++
	pb := q.cfg.MaxP * (r.mean - low) / (high - low)
	if part := float64(r.count) * pb; part < 1 && !p.chance(pb/(1-part)) {
		return false
	}
	r.count = 0
	return !p.markInstead(parcel)
}
