package host

import (
	"context"
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
)

// DialConfig has the options of Dial. The zero value means the defaults.
type DialConfig struct {
	KeepAlive KeepAlive
	// Keys are those of TCP-AO (RFC 5925); nil: the stack's. Some of them must be for the peer.
	Keys tcp.Keys
	// Congestion makes the congestion control, under the host's lock; nil: the stack's.
	Congestion func() tcp.Congestion
	// Report is as SetReport sets it, and hears of the SYN too (MUST-22).
	Report func(Report)
}

// Dial opens a connection (an active OPEN, RFC 9293 section 3.10.1) and waits until it is
// established. In local an unspecified address and port 0, each, are chosen by the host.
// Errors: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH and others of ICMP, ENETUNREACH where
// there is no route, EADDRNOTAVAIL, EADDRINUSE, ErrClosed, tcp.ErrNoKey and others about keys, and
// the error of ctx, which ends the attempt but no connection that Dial has returned.
func (h *Host) Dial(ctx context.Context, local, remote netip.AddrPort, config DialConfig) (*Conn, error) {
	c, _, err := h.dial(ctx, local, remote, config, false, nil)
	return c, err
}

// DialFastOpen is Dial with TCP Fast Open (RFC 7413): the beginning of data goes with the SYN where
// the server has given a cookie before. Like Write it queues data, but only as much as the send
// buffer has room for, and returns how much; the rest is the caller's to write. The server's user
// may get what goes with the SYN more than once.
func (h *Host) DialFastOpen(ctx context.Context, local, remote netip.AddrPort, config DialConfig, data []byte) (*Conn, int, error) {
	return h.dial(ctx, local, remote, config, true, data)
}

func (h *Host) dial(ctx context.Context, local, remote netip.AddrPort, config DialConfig, fast bool, data []byte) (*Conn, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, ErrClosed
	}
	now := h.now()
	c, n, err := h.attempt(now, local, remote, config, fast, data)
	if err != nil {
		return nil, 0, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			c.rd.wake()
		})
		defer stop()
	}
	h.flush(now)
	if err := c.connected(ctx); err != nil {
		now := h.now()
		c.abandon(now)
		h.flush(now)
		return nil, 0, err
	}
	return c, n, nil
}

// attempt begins to connect. What there is to send the caller flushes.
func (h *Host) attempt(now tcp.Time, local, remote netip.AddrPort, config DialConfig, fast bool, data []byte) (*Conn, int, error) {
	c := h.newConn()
	c.keepAlive, c.report = config.KeepAlive, config.Report
	opts := config.KeepAlive.options()
	opts.Watcher, opts.FastOpen = (*signals)(c), fast
	opts.Keys, opts.Congestion = config.Keys, config.Congestion
	core, err := h.core.Dial(now, local, remote, opts)
	if err != nil {
		return nil, 0, errno(err, tcp.SoftError{})
	}
	h.adopt(c, core)
	n, _ := core.Send(now, data) // in SYN-SENT there is no error
	return c, n, nil
}

// abandon ends an attempt that nobody wants any more, or that has failed.
func (c *Conn) abandon(now tcp.Time) {
	c.closed = true
	_ = c.core.Abort(now) // it may have ended by itself
	c.release(now)
}

// connected waits until the connection is established.
func (c *Conn) connected(ctx context.Context) error {
	for {
		if done, err := c.outcome(); done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.rd.wait(c.host)
	}
}

// outcome reports whether an attempt has come to its end, and with which error.
func (c *Conn) outcome() (done bool, err error) {
	switch {
	case c.established:
		return true, nil
	case c.host.closed:
		return true, ErrClosed
	case c.core.State() == tcp.Closed:
		err := c.core.Err()
		if err == nil {
			err = tcp.ErrReset
		}
		return true, errno(err, c.core.SoftError())
	}
	return false, nil
}
