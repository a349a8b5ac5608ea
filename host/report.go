package host

import (
	"syscall"

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
// at first, switches reports off (SHLD-20). f is called without a lock by whichever goroutine
// has the news, at most one at a time for all connections of the host: it must not block, and
// may be called once more after SetReport has taken it away.
func (c *Conn) SetReport(f func(Report)) error {
	return c.set(func(tcp.Time) error {
		c.report = f
		return nil
	})
}

// note takes down a report for the transmitter to deliver.
func (c *Conn) note(sig tcp.Signal) {
	if c.report == nil || c.core == nil || sig&(tcp.SignalSoftError|tcp.SignalUrgent) == 0 {
		return
	}
	var r Report
	if sig&tcp.SignalSoftError != 0 {
		r.Soft = c.core.SoftError()
	}
	if sig&tcp.SignalUrgent != 0 {
		r.Urgent, r.UrgentLeft = true, c.core.Status().UrgentLeft
	}
	c.host.reports = append(c.host.reports, news{c.report, r})
}

// news is a report and who is to hear it.
type news struct {
	f func(Report)
	r Report
}

// tell delivers reports, without the lock.
func tell(all []news) {
	for _, n := range all {
		n.f(n.r)
	}
}
