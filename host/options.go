package host

import (
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// set does something to a connection that is not closed, under the lock, and sends what
// follows from it.
func (c *Conn) set(do func(now tcp.Time) error) error {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed || h.closed {
		return ErrClosed
	}
	now := h.now()
	err := do(now)
	h.flush(now)
	return err
}

// KeepAlive is how a connection finds out that its peer is gone though nothing is sent:
// RFC 9293 section 3.8.4. It is off at first (MUST-25).
type KeepAlive struct {
	On       bool
	Idle     time.Duration // without a segment from the peer before the first probe; 0: 2 hours
	Interval time.Duration // between probes; 0: 75 s
	Count    int           // probes without an answer that end the connection with ETIMEDOUT; 0: 9
}

// options returns the options of a connection that begins with k.
func (k KeepAlive) options() stack.ConnOptions {
	return stack.ConnOptions{KeepAlive: k.On, KeepAliveIdle: k.Idle, KeepAliveInterval: k.Interval, KeepAliveCount: k.Count}
}

// SetKeepAlive sets all of it (MUST-24).
func (c *Conn) SetKeepAlive(k KeepAlive) error {
	return c.set(func(now tcp.Time) error {
		c.keepAlive = k
		c.core.SetKeepAlive(now, k.On, k.Idle, k.Interval, k.Count)
		return nil
	})
}

// KeepAlive returns what SetKeepAlive has set.
func (c *Conn) KeepAlive() KeepAlive {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return c.keepAlive
}

// SetNoDelay switches the Nagle algorithm (RFC 9293 section 3.7.4) off or on (MUST-17).
func (c *Conn) SetNoDelay(on bool) error {
	return c.set(func(now tcp.Time) error { c.core.SetNoDelay(now, on); return nil })
}

// SetUserTimeout sets how long what has been sent may stay without an acknowledgment
// before the connection ends with ETIMEDOUT: R2 of RFC 9293 section 3.8.3 (MUST-21). 0
// restores the default of the Config, a negative d means for ever.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.set(func(now tcp.Time) error { c.core.SetUserTimeout(now, d); return nil })
}

// SetCongestion gives the connection another congestion control.
func (c *Conn) SetCongestion(control tcp.Congestion) error {
	return c.set(func(now tcp.Time) error { c.core.SetCongestion(now, control); return nil })
}

// SetTrafficClass sets the octet with DSCP and ECN bits of all packets from now on
// (MUST-48).
func (c *Conn) SetTrafficClass(tc uint8) error {
	return c.set(func(tcp.Time) error { c.core.SetTrafficClass(tc); return nil })
}

// SetHopLimit sets the hop limit, IPv4's time to live, of all packets from now on; 0
// restores the stack's default (MUST-49).
func (c *Conn) SetHopLimit(hops uint8) error {
	return c.set(func(tcp.Time) error { c.core.SetHopLimit(hops); return nil })
}

// SetReceiveBuffer sets how many octets of what arrives the connection holds: RCV.BUFF of
// RFC 9293 section 3.8.6.2.2, the largest window it offers. What has been offered is not
// taken back (SHLD-14). It grows no more. At least 4 KiB, at most 1 GiB.
func (c *Conn) SetReceiveBuffer(octets int) error {
	return c.set(func(now tcp.Time) error { c.core.SetReceiveBuffer(now, octets); return nil })
}

// SetSendBuffer sets how many octets Write queues before it waits. It follows the
// congestion window no more. At least 4 KiB, at most 1 GiB; an elastic buffer stays as it is.
func (c *Conn) SetSendBuffer(octets int) error {
	return c.set(func(now tcp.Time) error {
		if !c.host.elastic {
			c.core.SetSendBuffer(now, octets)
		}
		return nil
	})
}
