package host

import (
	"context"
	"net/netip"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// UDP is a UDP socket as its user has it. All methods may be called by several goroutines at a time.
type UDP struct {
	host       *Host
	core       *stack.UDP
	next, prev *UDP // the host's sockets

	rd, wr lazyGate
	closed bool
}

// UDPConfig has the options of ListenUDP and DialUDP. The zero value means the defaults.
type UDPConfig struct {
	V6Only bool // on ::, no datagrams over IPv4
}

// ListenUDP makes a UDP socket. An unspecified address means every address of the host, :: those of
// both families; port 0 means that the host chooses. Errors: EADDRINUSE, EADDRNOTAVAIL, EINVAL,
// ENOBUFS, ErrClosed, and stack.ErrMulticast.
func (h *Host) ListenUDP(local netip.AddrPort, config UDPConfig) (*UDP, error) {
	return h.newUDP(config, func(opts stack.UDPOptions) (*stack.UDP, error) { return h.core.ListenUDP(local, opts) })
}

// DialUDP makes a UDP socket that is connected with remote: it hears nobody else, and ICMP errors
// about what it has sent are its own. In local an unspecified address and port 0, each, are chosen
// by the host. Nothing is sent. Errors: as ListenUDP, and ENETUNREACH where there is no route.
func (h *Host) DialUDP(local, remote netip.AddrPort, config UDPConfig) (*UDP, error) {
	return h.newUDP(config, func(opts stack.UDPOptions) (*stack.UDP, error) { return h.core.DialUDP(local, remote, opts) })
}

func (h *Host) newUDP(config UDPConfig, open func(stack.UDPOptions) (*stack.UDP, error)) (*UDP, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	u := &UDP{host: h}
	core, err := open(stack.UDPOptions{V6Only: config.V6Only, Watcher: (*datagrams)(u)})
	if err != nil {
		return nil, errno(err, tcp.SoftError{})
	}
	u.core, u.next = core, h.udps
	if u.next != nil {
		u.next.prev = u
	}
	h.udps = u
	return u, nil
}

// datagrams is a UDP as the stack sees it.
type datagrams UDP

// Signal is called by the stack, under the lock.
func (d *datagrams) Signal(sig tcp.Signal) {
	if sig&tcp.SignalReadable != 0 {
		d.host.wake(&d.rd)
	}
	if sig&tcp.SignalWritable != 0 {
		d.host.wake(&d.wr)
	}
}

// LocalAddr returns the local socket, also after Close. The address is unspecified where every one
// of the host's is meant.
func (u *UDP) LocalAddr() netip.AddrPort { return u.core.Local() }

// RemoteAddr returns the remote socket of a connected one, also after Close, else the zero AddrPort.
func (u *UDP) RemoteAddr() netip.AddrPort { return u.core.Remote() }

// ReadFrom copies the next datagram to p, as much as has room there, and waits until there is one.
// Errors: ErrClosed, os.ErrDeadlineExceeded (also when there would have been something to read), and,
// once, what an ICMP message has said of what a connected socket has sent: ECONNREFUSED,
// EHOSTUNREACH, ENETUNREACH, EMSGSIZE and others.
func (u *UDP) ReadFrom(p []byte) (stack.Datagram, error) { return u.read(p, true) }

// TryReadFrom is ReadFrom that does not wait: where there is no datagram yet, it returns EAGAIN.
func (u *UDP) TryReadFrom(p []byte) (stack.Datagram, error) { return u.read(p, false) }

func (u *UDP) read(p []byte, wait bool) (stack.Datagram, error) {
	h := u.host
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := u.usable(&u.rd); err != nil {
			return stack.Datagram{}, err
		}
		if d, ok := u.core.Receive(p); ok {
			return d, nil
		}
		if !wait {
			return stack.Datagram{}, syscall.EAGAIN
		}
		u.rd.wait(h)
	}
}

// WriteTo sends p as a datagram; to is the zero AddrPort for the peer of a connected socket. It waits
// while there are too many before it that have not been sent: see SetWriteBuffer. No error says
// that it has not arrived. Errors: as ReadFrom, and EMSGSIZE for more than a datagram holds,
// EDESTADDRREQ, EINVAL, ENETUNREACH, EADDRNOTAVAIL, and stack.ErrMulticast.
func (u *UDP) WriteTo(p []byte, to netip.AddrPort) error { return u.write(p, to, nil) }

// WriteVia is WriteTo with what the datagram has otherwise than the others of the socket. Errors: as
// WriteTo, and EADDRNOTAVAIL for a source that is none of the socket's.
func (u *UDP) WriteVia(p []byte, to netip.AddrPort, via stack.Via) error { return u.write(p, to, &via) }

func (u *UDP) write(p []byte, to netip.AddrPort, via *stack.Via) error {
	h := u.host
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := u.usable(&u.wr); err != nil {
			return err
		}
		now := h.now()
		var err error
		if via == nil {
			err = u.core.Send(now, to, p)
		} else {
			err = u.core.SendVia(now, to, p, *via)
		}
		h.flush(now)
		if err == nil {
			return nil
		}
		if err != stack.ErrFull { //nolint:errorlint // the stack wraps nothing
			return errno(err, tcp.SoftError{})
		}
		if u.core.Blocked() { // not, if flush has made room
			u.wr.wait(h)
		}
	}
}

// usable says why a call cannot go on: in the order in which package net asks.
func (u *UDP) usable(gate *lazyGate) error {
	if u.closed || u.host.closed {
		return ErrClosed
	}
	if err := gate.expired(u.host); err != nil {
		return err
	}
	if e, ok := u.core.TakeError(); ok {
		return udpErrno(e)
	}
	return nil
}

func udpErrno(e stack.UDPError) error {
	if e.MTU != 0 {
		return syscall.EMSGSIZE
	}
	if n, ok := softErrno(e.Soft.Reason); ok {
		return n
	}
	return syscall.EHOSTUNREACH
}

// SetReadDeadline sets when ReadFrom gives up, also one that waits now; the zero Time: never.
func (u *UDP) SetReadDeadline(t time.Time) error {
	return u.set(func() { u.rd.setDeadline(u.host, t) })
}

// SetWriteDeadline is SetReadDeadline for WriteTo.
func (u *UDP) SetWriteDeadline(t time.Time) error {
	return u.set(func() { u.wr.setDeadline(u.host, t) })
}

// SetDeadline sets both deadlines.
func (u *UDP) SetDeadline(t time.Time) error {
	return u.set(func() {
		u.rd.setDeadline(u.host, t)
		u.wr.setDeadline(u.host, t)
	})
}

// SetReadBuffer bounds the memory of datagrams that wait to be read, in octets: see
// stack.UDP.SetReceiveBuffer.
func (u *UDP) SetReadBuffer(octets int) error {
	return u.set(func() { u.core.SetReceiveBuffer(octets) })
}

// SetWriteBuffer bounds the octets of datagrams that have been written and not been given to a link:
// see stack.UDP.SetSendBuffer.
func (u *UDP) SetWriteBuffer(octets int) error {
	return u.set(func() { u.core.SetSendBuffer(octets) })
}

// TrafficClass returns what SetTrafficClass has set.
func (u *UDP) TrafficClass() uint8 {
	u.host.mu.Lock()
	defer u.host.mu.Unlock()
	return u.core.TrafficClass()
}

// Deliver has ReadFrom return data as a datagram of d's From, To and TC, which has come another way
// than by a link. It reports whether there was room.
func (u *UDP) Deliver(d stack.Datagram, data []byte) bool {
	u.host.mu.Lock()
	defer u.host.mu.Unlock()
	return u.core.Deliver(d, data)
}

// HearsUDP reports whether there is a UDP socket at an address and port, or at that port on all
// addresses of its family.
func (h *Host) HearsUDP(at netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.HearsUDP(at)
}

// SetTrafficClass sets the octet with DSCP and ECN bits of all datagrams from now on.
func (u *UDP) SetTrafficClass(tc uint8) error { return u.set(func() { u.core.SetTrafficClass(tc) }) }

// SetHopLimit sets the hop limit of all datagrams from now on; 0 restores the stack's default.
func (u *UDP) SetHopLimit(hops uint8) error { return u.set(func() { u.core.SetHopLimit(hops) }) }

func (u *UDP) set(do func()) error {
	u.host.mu.Lock()
	defer u.host.mu.Unlock()
	if u.closed || u.host.closed {
		return ErrClosed
	}
	do()
	return nil
}

// Close ends the use of the socket: calls that wait return ErrClosed, and what has not been read is
// gone. A second Close gives ErrClosed.
func (u *UDP) Close() error {
	h := u.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.closed {
		return ErrClosed
	}
	u.closed = true
	u.rd.shut()
	u.wr.shut()
	u.core.Close()
	if u.prev != nil {
		u.prev.next = u.next
	} else {
		h.udps = u.next
	}
	if u.next != nil {
		u.next.prev = u.prev
	}
	u.next, u.prev = nil, nil
	return nil
}

// Closed reports whether the socket has been closed.
func (u *UDP) Closed() bool {
	u.host.mu.Lock()
	defer u.host.mu.Unlock()
	return u.closed || u.host.closed
}

// UDPSockets returns the status of every UDP socket, ordered by local and then remote socket.
func (h *Host) UDPSockets() []stack.UDPStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.UDPSockets()
}

// shutUDP wakes all that wait for datagrams and echoes, as the host is closed.
func (h *Host) shutUDP() {
	for u := h.udps; u != nil; u = u.next {
		u.rd.shut()
		u.wr.shut()
	}
	h.pings.shut()
}

// echoes is a Host as the stack sees it that has an echo to report.
type echoes Host

// Signal is called by the stack, under the lock.
func (e *echoes) Signal(tcp.Signal) { (*Host)(e).wake(&e.pings) }

// EchoError is an ICMP error in place of an echo. It wraps the errno.
type EchoError struct {
	From netip.Addr // who says so
	Soft tcp.SoftError
}

// Error returns the text: "time exceeded, says 10.0.0.9".
func (e *EchoError) Error() string { return e.Soft.Reason.String() + ", says " + e.From.String() }

// Unwrap returns the errno: EHOSTUNREACH, ENETUNREACH and others.
func (e *EchoError) Unwrap() error {
	if n, ok := softErrno(e.Soft.Reason); ok {
		return n
	}
	return nil
}

// Ping sends an ICMP echo request to a host and waits for the reply, until ctx ends. hops is the hop
// limit, 0 the stack's default. Errors: *EchoError, ENETUNREACH, EADDRNOTAVAIL, EINVAL, ENOBUFS when
// 4096 wait, ErrClosed, stack.ErrMulticast, and that of ctx.
func (h *Host) Ping(ctx context.Context, remote netip.Addr, hops uint8) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, ErrClosed
	}
	now := h.now()
	p, err := h.core.Ping(now, remote, stack.PingOptions{HopLimit: hops, Watcher: (*echoes)(h)})
	if err != nil {
		return 0, errno(err, tcp.SoftError{})
	}
	defer p.Close()
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.pings.wake()
	})
	defer stop()
	h.flush(now)
	for {
		r, ok := p.Result()
		switch {
		case ok && r.Soft.Reason != tcp.NoSoftError:
			return 0, &EchoError{r.From, r.Soft}
		case ok:
			return r.RTT, nil
		case h.closed:
			return 0, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		h.pings.wait(h)
	}
}
