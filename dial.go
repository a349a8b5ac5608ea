package vitro

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
)

// Dial connects to an address. The network is "tcp", "tcp4" or "tcp6". An address without
// a host, as in ":80", means the Stack itself. A host that is no literal address and not
// "localhost" is looked up by Config.Resolver; where it has several addresses they are
// tried in turn. Keep-alives are on, as with package net; see [Dialer].
//
// Errors are *net.OpError. errors.Is finds ECONNREFUSED, ETIMEDOUT after Config.SynTimeout,
// ENETUNREACH where no route leads, EHOSTUNREACH and others that an ICMP message has brought,
// EADDRNOTAVAIL when all ports are taken, ENOBUFS at Limits.MaxConnections, net.ErrClosed;
// errors.As a *net.DNSError, *net.AddrError or net.UnknownNetworkError.
//
// The connection is a *Conn; DialTCP is the same with that type. The methods of [Dialer],
// and DialContext here, are what http.Transport and others want.
func (s *Stack) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context, which ends the attempt, with an error that is
// context.Canceled or context.DeadlineExceeded, and has no say over a connection that is
// established.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&Dialer{Stack: s}).DialContext(ctx, network, address)
}

// DialTCP is DialContext with the type of the connection.
func (s *Stack) DialTCP(ctx context.Context, network, address string) (*Conn, error) {
	return (&Dialer{Stack: s}).DialTCP(ctx, network, address)
}

// Dialer has the options of dialing. Stack must be set, or dialing gives EINVAL; the other
// zero fields mean what Stack.Dial does.
type Dialer struct {
	Stack *Stack
	// Timeout and Deadline bound the whole of Dial, if set: the earlier counts. The error is
	// then a timeout: context.DeadlineExceeded and os.ErrDeadlineExceeded. Without them a SYN without an answer is given up after Config.SynTimeout.
	Timeout  time.Duration
	Deadline time.Time
	// LocalAddr is the socket to dial from, a *net.TCPAddr: an IP that is not set or
	// unspecified, and port 0, are chosen by the Stack. Default nil: both. One that is not the
	// Stack's own gives EADDRNOTAVAIL, one in use EADDRINUSE; a loopback address reaches the
	// Stack alone, and from there any other address gives EINVAL.
	LocalAddr net.Addr
	// KeepAlive and KeepAliveConfig are those of [net.Dialer]: keep-alive is on, after 15 s,
	// unless KeepAlive is negative.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Report, if set, is what SetReport sets, from the first SYN on: it hears of one that is
	// not answered, before Dial gives up (RFC 9293 section 3.8.3, MUST-22).
	Report func(Report)
}

// Dial connects to an address; see Stack.Dial. The connection is a *Conn.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context; see Stack.DialContext.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.DialTCP(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *Conn in a net.Conn
	}
	return c, nil
}

// DialTCP is DialContext with the type of the connection.
func (d *Dialer) DialTCP(ctx context.Context, network, address string) (*Conn, error) {
	if d == nil || !d.Stack.ok() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EINVAL}
	}
	if at := d.deadline(time.Now()); !at.IsZero() {
		sub, cancel := context.WithDeadline(ctx, at)
		defer cancel()
		ctx = sub
	}
	addrs, err := d.Stack.resolve(ctx, network, address, false)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	local, err := d.local(addrs[0])
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if addrs = sameFamily(addrs, local.Addr()); len(addrs) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "no suitable address found", Addr: address}}
	}
	return d.dialEach(ctx, network, local, addrs)
}

// deadline is the earlier of Timeout and Deadline.
func (d *Dialer) deadline(now time.Time) time.Time {
	at := d.Deadline
	if d.Timeout != 0 {
		if t := now.Add(d.Timeout); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// local returns the socket to dial remote from.
func (d *Dialer) local(remote netip.AddrPort) (netip.AddrPort, error) {
	if d.LocalAddr == nil {
		return netip.AddrPort{}, nil
	}
	a, ok := d.LocalAddr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, &net.AddrError{Err: "mismatched local address type", Addr: remote.String()}
	}
	if a == nil {
		return netip.AddrPort{}, nil
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}

// source is LocalAddr for an error: a nil *net.TCPAddr must not become a net.Addr.
func (d *Dialer) source() net.Addr {
	if a, ok := d.LocalAddr.(*net.TCPAddr); ok && a == nil {
		return nil
	}
	return d.LocalAddr
}

// call names the system call that an error of Dial would come from: an address of one's
// own choice is bound.
func (d *Dialer) call(err error) string {
	if d.source() != nil && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE)) {
		return "bind"
	}
	return "connect"
}

// sameFamily returns the addresses that can be dialed from local.
func sameFamily(addrs []netip.AddrPort, local netip.Addr) []netip.AddrPort {
	if !local.IsValid() {
		return addrs
	}
	var same []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == local.Is4() {
			same = append(same, a)
		}
	}
	return same
}

// dialEach tries the addresses in turn, each for its share of the time that is left. The
// error is that of the first, as with package net.
func (d *Dialer) dialEach(ctx context.Context, network string, local netip.AddrPort, addrs []netip.AddrPort) (*Conn, error) {
	keep := initialKeepAlive(d.KeepAlive, d.KeepAliveConfig)
	config := host.DialConfig{KeepAlive: keepAlive(keep, host.KeepAlive{}), Report: d.Report}
	var first error
	for i, remote := range addrs {
		begun := ctx.Err() == nil
		c, err := d.dialOne(ctx, local, remote, config, len(addrs)-i)
		if err == nil {
			return &Conn{c: c, network: network}, nil
		}
		if first == nil {
			why := cause(d.call(err), err)
			if _, late := why.(timedOut); late { //nolint:errorlint // cause has just made it
				why = timedOut{waited: begun}
			}
			first = &net.OpError{Op: "dial", Net: network, Source: d.source(), Addr: net.TCPAddrFromAddrPort(remote), Err: why}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialOne tries one address. Of left that remain it gets its share of the time, but no less
// than 2 s where there are as many: so package net has it.
func (d *Dialer) dialOne(ctx context.Context, local, remote netip.AddrPort, config host.DialConfig, left int) (*host.Conn, error) {
	if at, ok := ctx.Deadline(); ok && left > 1 {
		t := time.Until(at)
		share, cancel := context.WithTimeout(ctx, min(max(t/time.Duration(left), 2*time.Second), t))
		defer cancel()
		ctx = share
	}
	return d.Stack.host.Dial(ctx, local, remote, config)
}
