package host

import (
	"syscall"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Close ends the use of the connection: calls that wait return ErrClosed. What has been
// written is sent in the background, and then a FIN; if something has arrived that was
// not read, or arrives later, the peer gets a reset (RFC 9293 section 3.6.1, RFC 2525
// section 2.17). SetLinger changes that. What makes no progress in the
// background is ended: stack.Config.OrphanTimeout, MaxOrphans. A second Close gives ErrClosed.
func (c *Conn) Close() error {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.closed = true
	c.rd.shut()
	c.wr.shut()
	now := h.now()
	if c.linger == 0 {
		_ = c.core.Abort(now) // it may have ended by itself
	} else if !c.core.CloseReceive(now, tcp.Gone) {
		c.core.Close(now)
	}
	h.flush(now)
	if c.linger > 0 {
		c.lingerOn()
	}
	now = h.now()
	c.release(now)
	h.flush(now)
	return nil
}

// lingerOn waits until the peer has acknowledged our FIN, at most for the time of
// SetLinger. What is not sent by then goes on in the background. That is what Linux does
// (tcp_close with SO_LINGER): it does not discard then, as other systems may.
func (c *Conn) lingerOn() {
	h := c.host
	c.wr.make(h).deadline = h.now().Add(time.Duration(c.linger) * time.Second)
	for !h.closed && c.closing() && c.wr.expired(h) == nil {
		c.wr.wait(h)
	}
	c.wr.shut()
}

// closing reports whether our FIN is still to be sent or acknowledged.
func (c *Conn) closing() bool {
	switch c.core.State() {
	case tcp.SynReceived, tcp.Established, tcp.FinWait1, tcp.CloseWait, tcp.Closing, tcp.LastAck:
		return true
	case tcp.Closed, tcp.Listen, tcp.SynSent, tcp.FinWait2, tcp.TimeWait:
	}
	return false
}

// release leaves the connection to the stack, which ends its life without a user.
func (c *Conn) release(now tcp.Time) {
	flow := c.core.Flow()
	c.flow = &flow
	c.host.forget(c)
	c.core.Release(now)
	c.core = nil
}

// CloseRead says that the user reads no more: Read returns io.EOF, and what arrives is
// acknowledged and thrown away. The peer is not told. Errors: ErrClosed, and ENOTCONN when
// the connection has ended.
func (c *Conn) CloseRead() error {
	return c.set(func(now tcp.Time) error {
		if c.core.State() == tcp.Closed {
			return syscall.ENOTCONN
		}
		c.readShut = true
		c.core.CloseReceive(now, tcp.Discard)
		c.rd.wake()
		return nil
	})
}

// CloseWrite says that the user has no more to send: a FIN follows what is queued, and
// Write returns EPIPE. Reading goes on. Errors: ErrClosed, and ENOTCONN when the
// connection has ended.
func (c *Conn) CloseWrite() error {
	return c.set(func(now tcp.Time) error {
		if c.core.State() == tcp.Closed {
			return syscall.ENOTCONN
		}
		if j := c.job; j != nil && len(j.rest) > 0 {
			j.err = syscall.EPIPE // a Write that waits for room comes too late
			c.wr.wake()
		}
		c.core.Close(now) // a second one changes nothing
		return nil
	})
}

// SetLinger says what Close does with octets that are not yet acknowledged. sec < 0, as
// at first: they are sent in the background. 0: they are given up, and the peer gets a
// reset. sec > 0: Close waits up to that many seconds until all is acknowledged; what is
// not by then is sent in the background.
func (c *Conn) SetLinger(sec int) error {
	return c.set(func(tcp.Time) error {
		c.linger = int32(min(max(sec, -1), 1<<16-1))
		return nil
	})
}
