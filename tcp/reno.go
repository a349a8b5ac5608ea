package tcp

// Reno: RFC 5681 section 3.1, counting octets (RFC 3465).

// Reno is the congestion control of RFC 5681.
type Reno struct {
	counted uint32 // octets acknowledged in congestion avoidance since cwnd grew
}

// NewReno returns a Reno for one connection. (NewReno's recovery, RFC 6582, is the machine's.)
func NewReno() Congestion { return new(Reno) }

// Name returns "reno".
func (r *Reno) Name() string { return "reno" }

// Start begins.
func (r *Reno) Start(Time, Window) { *r = Reno{} }

// Ack is slow start, and then congestion avoidance: one segment for each cwnd acknowledged.
func (r *Reno) Ack(_ Time, w Window, a Acknowledgment) Window {
	switch {
	case !a.Limited:
	case w.SlowStart():
		w.Cwnd += slowStartStep(&w, &a)
	default:
		r.counted += a.Acked
		if r.counted >= w.Cwnd {
			r.counted -= w.Cwnd
			w.Cwnd += w.MSS
		}
	}
	return w
}

// slowStartStep is by how much an ACK lets cwnd grow: by what it acknowledges, but in the slow start
// that follows a timeout by one segment, for there an ACK may take much that left the network
// long before (RFC 3465 section 2.3).
//
// It deviates from the limit of RFC 3465 in the first slow start, two segments for an ACK (and from
// RFC 9406's eight): that presumes an ACK for every second segment, and who merges segments before
// they reach TCP, as vitro itself (MUST-59), sends one for many. cwnd would grow by two segments a
// round trip. Linux does so.
func slowStartStep(w *Window, a *Acknowledgment) uint32 {
	if a.AfterTimeout {
		return min(a.Acked, w.MSS)
	}
	return a.Acked
}

// Loss is equation 4: max (FlightSize / 2, 2*SMSS); four fifths after a mark in
// congestion avoidance (RFC 8511 section 3).
func (r *Reno) Loss(_ Time, w Window, l Loss) uint32 {
	r.counted = 0
	if l.ECN && !w.SlowStart() {
		return max(l.Flight/5*4, 2*w.MSS)
	}
	return max(l.Flight/2, 2*w.MSS)
}

// Undo does nothing: what is counted is counted anew.
func (r *Reno) Undo(Time, Window) {}
