package tcp

// Pacing: what cwnd lets go is spread over time. There is no timer for each packet: what is held
// back goes by quanta of about a millisecond, and Deadline says when.

import "time"

// Paced is a Congestion that says how fast text goes, not only how much of it.
type Paced interface {
	Congestion
	// Pace returns how many octets a second may go, 0 for as many as cwnd lets, and how many at
	// once.
	Pace() (rate uint64, quantum uint32)
}

// pacer is the state of a connection that is paced.
type pacer struct {
	control Paced // nil: the rate follows from cwnd
	next    Time  // C.next_send_time of draft-ietf-ccwg-bbr: when all that has gone should have gone
	closed  bool  // a quantum has gone ahead of it, and nothing goes before next
	held    bool  // something waits for it

	meanwhile bool // only in the non-validated phase (validate.go)
}

// rate is what the control says or, as Linux has it, twice cwnd in a round trip while in slow
// start, and 1.2 times afterwards: enough for cwnd to be what limits in the end.
func (p *pacer) rate(c *Conn) (rate uint64, quantum uint32) {
	if p.control != nil {
		rate, quantum = p.control.Pace()
	} else if c.rto.srtt > 0 {
		tenths := uint64(12)
		if c.cc.cwnd < c.cc.ssthresh/2 {
			tenths = 20
		}
		rate = uint64(max(c.cc.cwnd, c.flight())) * tenths * uint64(time.Second/10) / uint64(c.rto.srtt)
		quantum = paceQuantum(rate, c.mss())
	}
	return rate, max(quantum, c.mss())
}

// paceQuantum is SetSendQuantum of draft-ietf-ccwg-bbr: a millisecond's worth, at most 64 KiB, at
// least two segments.
func paceQuantum(rate uint64, mss uint32) uint32 {
	return max(uint32(min(rate/1000, 1<<16)), 2*mss)
}

// paceHolds reports whether text must wait.
func (c *Conn) paceHolds(now Time) bool {
	p := c.cc.pacer
	if p == nil {
		return false
	}
	p.closed = p.closed && now < p.next
	p.held = p.closed
	return p.held
}

// spend notes that n octets have gone. A quantum may go at once, and then nothing until it should
// have gone; who is called late makes up for it, by another.
func (p *pacer) spend(c *Conn, now Time, n uint32) {
	rate, quantum := p.rate(c)
	if rate == 0 {
		p.next, p.closed = 0, false
		return
	}
	ahead := timeFor(quantum, rate)
	p.next = max(p.next, now.Add(-ahead)).Add(timeFor(n, rate))
	p.closed = p.next.Sub(now) >= ahead
}

// timeFor is how long n octets take.
func timeFor(n uint32, rate uint64) time.Duration {
	return time.Duration(uint64(n) * uint64(time.Second) / max(rate, 1))
}

// burst is how much may go in one call: all that the link takes, or a quantum.
func (c *Conn) burst() uint32 {
	p := c.cc.pacer
	if p == nil {
		return c.superMax
	}
	rate, quantum := p.rate(c)
	if rate == 0 {
		return c.superMax
	}
	return min(c.superMax, quantum)
}

// usePace looks what the new control can.
func (c *Conn) usePace(now Time) {
	c.cc.pacer, c.cc.model = nil, nil
	if c.board != nil {
		c.board.departures = c.board.departures[:0] // by the sums of the model before
	}
	paced, is := c.cc.control.(Paced)
	if is || c.cfg.Pacing {
		c.cc.pacer = &pacer{control: paced}
	}
	if m, is := c.cc.control.(PathModel); is {
		c.cc.model = &model{control: m, deliveredAt: now, firstSent: now}
		c.cc.valid = nil // it says itself what cwnd is worth
	}
}
