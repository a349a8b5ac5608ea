package vitro

import (
	"io"
	"net"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/tcp"
)

// Conn is a TCP connection. It is a [net.Conn] with the methods of [net.TCPConn] but File and
// MultipathTCP, and its errors are *net.OpError with the texts and causes that package net
// has for the same act on Linux; after Close it is net.ErrClosed. All methods may be called by
// several goroutines at a time. The methods of a zero Conn return syscall.EINVAL.
type Conn struct {
	c       *host.Conn
	network string
}

var (
	_ net.Conn      = (*Conn)(nil)
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
)

func (c *Conn) ok() bool { return c != nil && c.c != nil }

// wrap puts err, with whatever it wraps, into what package net returns.
func (c *Conn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// fail makes of the host's err what package net returns: call is the system call it would name.
func (c *Conn) fail(op, call string, err error) error {
	return c.wrap(op, cause(call, err))
}

// Read reads what has arrived, and waits until there is something. At the end of what the
// peer sent it returns io.EOF. Errors are os.ErrDeadlineExceeded and, to the first Read or
// Write that asks, what ended the connection: ECONNRESET, ETIMEDOUT, ENOBUFS by Limits, or the
// errno of an ICMP message; after that io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.c.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the host gives io.EOF itself
		err = c.fail("read", "read", err)
	}
	return n, err
}

// Write queues all of p for sending, and waits while the send buffer is full. It returns
// how much of p was queued; less than all of it only with an error. Errors are
// os.ErrDeadlineExceeded, what ended the connection, as with Read, and then, or after
// CloseWrite, EPIPE.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.c.Write(p)
	if err != nil {
		err = c.fail("write", "write", err)
	}
	return n, err
}

// WriteBuffers writes the pieces of v, and consumes them, as v.WriteTo does to a *net.TCPConn by
// writev: all that there is room for is queued before anything is sent, so that small pieces share
// segments. v.WriteTo itself, and io.Copy, do not come here but call Write for each piece: the method
// that they look for has a name that only types of package net can have. ReadFrom(v) comes near it,
// with one copy more.
func (c *Conn) WriteBuffers(v *net.Buffers) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.c.WriteBuffers(*v)
	for left := n; len(*v) > 0; *v = (*v)[1:] {
		if size := int64(len((*v)[0])); left < size {
			(*v)[0] = (*v)[0][left:]
			break
		}
		left -= int64(len((*v)[0]))
		(*v)[0] = nil
	}
	if err != nil {
		err = c.fail("writev", "writev", err)
	}
	return n, err
}

// WriteUrgent is Write with the URGENT flag: the urgent pointer points to the octet after
// p (RFC 9293 section 3.8.5, MUST-30). New programs should not use it (SHLD-13).
func (c *Conn) WriteUrgent(p []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.c.WriteUrgent(p)
	if err != nil {
		err = c.fail("write", "write", err)
	}
	return n, err
}

// plainWriter and plainReader hide all but one method, so that nobody copies by calling
// ReadFrom or WriteTo again. An error of this connection then has both names, "readfrom"
// and "write", as with package net.
type (
	plainWriter struct{ io.Writer }
	plainReader struct{ io.Reader }
)

// ReadFrom writes what r gives until its io.EOF, which is no error here, and returns how many
// octets were queued. An error of r is in the error, as it is.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := host.Copy(plainWriter{c}, r)
	if err != nil {
		err = c.wrap("readfrom", err)
	}
	return n, err
}

// WriteTo writes what arrives to w until the end of it, and returns how many octets w took.
// An error of w is in the error, as it is.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := host.Copy(w, plainReader{c})
	if err != nil {
		err = c.wrap("writeto", err)
	}
	return n, err
}

// Close ends the use of the connection; calls that wait return net.ErrClosed. What has
// been written is sent in the background, then a FIN. What has arrived and was not read
// makes of it a reset (RFC 9293 section 3.6.1). In the background it has an end: a peer that
// acknowledges nothing for Limits.OrphanTimeout gets a reset, one that does not close for
// Config.FinWait2Timeout is forgotten, and beyond Limits.MaxOrphans the slowest makes room.
// See SetLinger.
func (c *Conn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.c.Close(); err != nil {
		return c.fail("close", "close", err)
	}
	return nil
}

// CloseRead says that this end reads no more: Read returns io.EOF, and what arrives, or has arrived,
// is acknowledged and thrown away. So the peer is never kept waiting; Linux would let Read go on.
func (c *Conn) CloseRead() error { return c.do("close", "shutdown", (*host.Conn).CloseRead) }

// CloseWrite says that this end has no more to send: a FIN follows what is queued, and
// Write returns EPIPE. Reading goes on: the half-closed connection of RFC 9293 section
// 3.6.1.
func (c *Conn) CloseWrite() error { return c.do("close", "shutdown", (*host.Conn).CloseWrite) }

// LocalAddr returns the socket of this end, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return net.TCPAddrFromAddrPort(c.c.LocalAddr())
}

// RemoteAddr returns the socket of the other end, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return net.TCPAddrFromAddrPort(c.c.RemoteAddr())
}

// SetDeadline sets both deadlines. See [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setHere(func(h *host.Conn) error { return h.SetDeadline(t) })
}

// SetReadDeadline sets when Read gives up, with an error that is os.ErrDeadlineExceeded.
// It holds for a Read that waits now too; the zero Time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setHere(func(h *host.Conn) error { return h.SetReadDeadline(t) })
}

// SetWriteDeadline is SetReadDeadline for Write. What Write has queued is sent all the
// same.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setHere(func(h *host.Conn) error { return h.SetWriteDeadline(t) })
}

// SetLinger says what Close does with what is not yet acknowledged. sec < 0, as at first:
// it is sent in the background, up to Limits.OrphanTimeout without progress, as Close says. 0:
// it is given up, and the peer gets a reset. sec > 0: Close waits up to that many seconds for
// its acknowledgment; then, as with Linux, Close returns without an error and the rest goes
// on in the background.
func (c *Conn) SetLinger(sec int) error {
	return c.set(func(h *host.Conn) error { return h.SetLinger(sec) })
}

// SetNoDelay says whether a small segment goes at once (true, as at first and as with
// package net) or waits while anything is unacknowledged (the Nagle algorithm, RFC 9293
// section 3.7.4).
func (c *Conn) SetNoDelay(noDelay bool) error {
	return c.set(func(h *host.Conn) error { return h.SetNoDelay(noDelay) })
}

// SetKeepAlive switches keep-alive probes (RFC 9293 section 3.8.4) on or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(func(h *host.Conn) error {
		k := h.KeepAlive()
		k.On = on
		return h.SetKeepAlive(k)
	})
}

// SetKeepAlivePeriod sets how long the connection is idle before the first probe. 0:
// 15 s; negative: no change; more than 32767 s: EINVAL, as with Linux.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.set(func(h *host.Conn) error {
		if !keepAliveFits(net.KeepAliveConfig{Idle: d}) {
			return syscall.EINVAL
		}
		k := h.KeepAlive()
		k.Idle = keepAliveTime(d, k.Idle)
		return h.SetKeepAlive(k)
	})
}

// SetKeepAliveConfig sets all about keep-alive probes. As with package net 0 is 15 s, 15 s and
// 9 probes, what is negative stays as it is, and more than 32767 s, or 127 probes, gives EINVAL, as
// Linux does. The connection ends with ETIMEDOUT when no
// probe has been answered; with Config.UserTimeoutOption not before its user timeout (RFC 5482
// section 4.2).
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.set(func(h *host.Conn) error {
		if !keepAliveFits(config) {
			return syscall.EINVAL
		}
		return h.SetKeepAlive(keepAlive(config, h.KeepAlive()))
	})
}

// SetReadBuffer sets how many octets of what arrives the connection holds at most: the
// largest window it offers (RFC 9293 section 3.8.6). What has been offered is not taken back, and
// the buffer does not grow any more. Default as Config.ReceiveBuffer says; at least 4 KiB, at most
// 1 GiB: what is beyond is held to that.
func (c *Conn) SetReadBuffer(octets int) error {
	return c.setHere(func(h *host.Conn) error { return h.SetReceiveBuffer(octets) })
}

// SetWriteBuffer sets how many octets Write queues before it waits, and no congestion window
// changes it any more. Default as Config.SendBuffer says; at least 4 KiB, at most 1 GiB: what is
// beyond is held to that.
func (c *Conn) SetWriteBuffer(octets int) error {
	return c.setHere(func(h *host.Conn) error { return h.SetSendBuffer(octets) })
}

// SetUserTimeout sets how long what has been sent may stay without an acknowledgment
// before the connection ends with ETIMEDOUT: R2 of RFC 9293 section 3.8.3 (MUST-21).
// 0 restores the Config's value, a negative d means for ever.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.set(func(h *host.Conn) error { return h.SetUserTimeout(d) })
}

// Report is news that ends no connection: what an ICMP message has said, that what was sent
// has gone unanswered for long, or that there is urgent data. Err returns its errno.
type Report = host.Report

// SetReport sets the function that is told of soft errors (RFC 9293 section 3.9.1.8) and of
// urgent data (section 3.8.5); nil, as at first, switches it off. f is called by a timer of
// the Stack, one report at a time for all connections: it may call the Stack and its
// connections, Close too, and should not block. It may be called once more after SetReport has
// taken it away. In a testing/synctest bubble it is called when all else is blocked.
func (c *Conn) SetReport(f func(Report)) error {
	return c.set(func(h *host.Conn) error { return h.SetReport(f) })
}

// SetCongestion gives the connection a congestion control of its own, from now on; cwnd stays what
// it is. nil is a new one as of Config.Congestion, not as of Dialer or ListenConfig. One serves one connection, under the Stack's
// lock. It returns net.ErrClosed, as an OpError, after Close.
func (c *Conn) SetCongestion(control tcp.Congestion) error {
	return c.set(func(h *host.Conn) error { return h.SetCongestion(control) })
}

// SetTrafficClass sets the octet that holds DSCP and ECN bits, IPv4's type of service and
// IPv6's traffic class, of what is sent from now on (RFC 9293 section 3.9.2, MUST-48).
func (c *Conn) SetTrafficClass(tc uint8) error {
	return c.set(func(h *host.Conn) error { return h.SetTrafficClass(tc) })
}

// SetHopLimit sets the hop limit, IPv4's time to live, of what is sent from now on; 0
// restores the Config's value (RFC 9293 section 3.9.2, MUST-49).
func (c *Conn) SetHopLimit(hops uint8) error {
	return c.set(func(h *host.Conn) error { return h.SetHopLimit(hops) })
}

// Status returns the variables of the connection, as STATUS of RFC 9293 section 3.9.1.5
// does. After Close it is the zero Status, but for the sockets: [Stack.Connections] has it until the
// connection is in TIME-WAIT or gone, and Config.Trace sees what it is as each state ends.
func (c *Conn) Status() tcp.Status {
	if !c.ok() {
		return tcp.Status{}
	}
	return c.c.Status()
}

// setHere is for what package net says of the local end alone.
func (c *Conn) setHere(do func(*host.Conn) error) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := do(c.c); err != nil {
		return &net.OpError{Op: "set", Net: c.network, Addr: c.LocalAddr(), Err: cause("setsockopt", err)}
	}
	return nil
}

func (c *Conn) set(do func(*host.Conn) error) error { return c.do("set", "setsockopt", do) }

func (c *Conn) do(op, call string, do func(*host.Conn) error) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := do(c.c); err != nil {
		return c.fail(op, call, err)
	}
	return nil
}
