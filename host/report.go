package host

import (
	"syscall"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Report is what RFC 9293 section 3.9.1.8 calls ERROR_REPORT, and the signal of section
// 3.8.5: something the user may want to know that ends no connection.
type Report struct {
	// Soft is what an ICMP message has said (SHLD-25), or ExcessiveRetransmissions when R1 is
	// reached (SHLD-9); its Reason is NoSoftError when the report is about urgent data.
	Soft tcp.SoftError
	// Urgent is set when urgent data was announced, its end has moved on, or all of it has
	// been read (MUST-32); UrgentLeft is how many octets of it are still to be read.
	Urgent     bool
	UrgentLeft uint32
}

// Err returns the errno of the soft error: that of the ICMP message, or ETIMEDOUT for
// excessive retransmissions; nil when the report is about urgent data.
func (r Report) Err() error {
	if n, ok := softErrno(r.Soft.Reason); ok {
		return n
	}
	if r.Soft.Reason == tcp.ExcessiveRetransmissions {
		return syscall.ETIMEDOUT
	}
	return nil
}

// SetReport sets the function that is told of soft errors and urgent data (MUST-47); nil, as
// at first, switches reports off (SHLD-20). f is called by a timer, without a lock, and by
// nothing else, so that it may call the host, Close too; at most one at a time for all
// connections of the host, so that it should not block. It may be called once more after
// SetReport has taken it away.
func (c *Conn) SetReport(f func(Report)) error {
	return c.set(func(tcp.Time) error {
		c.report = f
		return nil
	})
}

// note takes down a report, to be told as soon as the lock is free.
func (c *Conn) note(sig tcp.Signal) {
	if c.report == nil || c.core == nil || sig&(tcp.SignalSoftError|tcp.SignalUrgent) == 0 {
		return
	}
	var r Report
	if sig&tcp.SignalSoftError != 0 {
		r.Soft = c.core.SoftError()
	}
	if sig&tcp.SignalUrgent != 0 {
		r.Urgent, r.UrgentLeft = true, c.core.UrgentLeft()
	}
	f := c.report
	c.host.reports.add(c.host, func() { f(r) })
}

// reports are what is still to be told. Whoever has the news may be a link within its Receive,
// or the transmitter: a function that were called there could not close the host, which waits
// for both. So it is called by a timer of its own, which runs at once.
type reports struct {
	queue []func()
	timer *time.Timer
	armed bool // the timer runs, or its function does
}

func (q *reports) add(h *Host, tell func()) {
	if h.closed {
		return
	}
	q.queue = append(q.queue, tell)
	switch {
	case q.armed:
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(0, func() { q.tell(h) })
	default:
		q.timer.Reset(0)
	}
	q.armed = true
}

// tell is the timer's function.
func (q *reports) tell(h *Host) {
	h.mu.Lock()
	for len(q.queue) > 0 {
		f := q.queue[0]
		q.queue = q.queue[1:]
		h.mu.Unlock()
		f()
		h.mu.Lock()
	}
	q.queue, q.armed = nil, false
	h.mu.Unlock() // not deferred: f may panic
}

// stop forgets what has not been told.
func (q *reports) stop() {
	q.queue = nil
	if q.timer != nil {
		q.timer.Stop()
	}
}
