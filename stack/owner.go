package stack

import "github.com/vitro-net/vitro/tcp"

// AbortAll aborts every connection, those too that live on without a user, and drops the
// records in TIME-WAIT: Output gives the resets, and after it no connection has a timer.
func (s *Stack) AbortAll(now tcp.Time) {
	for c := s.all.oldest; c != nil; c = c.next {
		c.tcp.Abort(now) //nolint:errcheck // the error says that it is CLOSED already
		s.touch(now, c)
	}
	for s.waiting.first != none {
		s.endTimeWait(now, s.waiting.first, tcp.RuleAbortClosing)
	}
}

// SetReceiveBuffer is tcp.Conn.SetReceiveBuffer.
func (c *Conn) SetReceiveBuffer(now tcp.Time, octets int) {
	c.tcp.SetReceiveBuffer(octets)
	c.stack.touch(now, c)
}

// SetSendBuffer is tcp.Conn.SetSendBuffer.
func (c *Conn) SetSendBuffer(now tcp.Time, octets int) {
	c.tcp.SetSendBuffer(octets)
	c.stack.touch(now, c)
}
