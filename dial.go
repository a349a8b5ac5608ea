package vitro

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/tcp"
)

// Dial connects to an address. The network is "tcp", "tcp4" or "tcp6", or one of UDP. An address without
// a host, as in ":80", means the Stack itself. A host that is no literal address and not
// "localhost" is looked up by Config.Resolver; where it has several addresses they race, as
// Dialer.FallbackDelay says. Keep-alives are on, as with package net; see [Dialer].
//
// Errors are *net.OpError. errors.Is finds ECONNREFUSED, ETIMEDOUT after Config.SynTimeout,
// ENETUNREACH where no route leads, EHOSTUNREACH and others that an ICMP message has brought,
// EADDRNOTAVAIL when all ports are taken, ENOBUFS at Limits.MaxConnections, net.ErrClosed;
// errors.As a *net.DNSError, *net.AddrError or net.UnknownNetworkError.
//
// The connection is a *Conn; DialTCP is the same with that type. With "udp", "udp4" or "udp6" it is a
// *UDPConn, as of DialUDP. The methods of [Dialer],
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

// DialFastOpen is [Dialer.DialFastOpen] with the defaults of a Dialer.
func (s *Stack) DialFastOpen(ctx context.Context, network, address string, data []byte) (*Conn, error) {
	return (&Dialer{Stack: s}).DialFastOpen(ctx, network, address, data)
}

// Dialer has the options of dialing. Stack must be set, or dialing gives EINVAL; the other
// zero fields mean what Stack.Dial does.
type Dialer struct {
	Stack *Stack
	// Timeout and Deadline bound the whole of Dial, if set: the earlier counts. The error is
	// then a timeout: context.DeadlineExceeded and os.ErrDeadlineExceeded. Without them a SYN
	// without an answer is given up after Config.SynTimeout.
	Timeout  time.Duration
	Deadline time.Time
	// LocalAddr is the socket to dial from, a *net.TCPAddr: an IP that is not set or
	// unspecified, and port 0, are chosen by the Stack. Default nil: both. One that is not the
	// Stack's own gives EADDRNOTAVAIL, one in use EADDRINUSE; a loopback address reaches the
	// Stack alone, and from there any other address gives EINVAL.
	LocalAddr net.Addr
	// FallbackDelay is how long a name's address is tried alone, before the next is tried beside it:
	// the Connection Attempt Delay of Happy Eyeballs (RFC 8305 section 5). An attempt that fails
	// lets the next go at once, the first connection that is established is taken, and the other
	// attempts are given up. The addresses are tried in the Resolver's order, but the families take
	// turns, also where package net tries those of one family in sequence. Default 250 ms, at
	// least 10 ms. Negative, and where LocalAddr has a port: one after another, in the Resolver's
	// order, each for its share of the time that is left.
	FallbackDelay time.Duration
	// KeepAlive and KeepAliveConfig are those of [net.Dialer]: keep-alive is on, after 15 s,
	// unless KeepAlive is negative.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Keys are those of TCP-AO (RFC 5925): the first that is for the peer signs the SYN. One must be
	// for it, or Dial gives tcp.ErrNoKey. Default nil: Config.Keys; an empty list is none.
	Keys tcp.Keys
	// Congestion makes the congestion control of the connection, as [Config].Congestion does.
	// Default nil, and where it returns nil: Config.Congestion.
	Congestion func() tcp.Congestion
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
	if isUDP(network) {
		c, err := d.DialUDP(ctx, network, address)
		if err != nil {
			return nil, err // not a nil *UDPConn in a net.Conn
		}
		return c, nil
	}
	c, err := d.DialTCP(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *Conn in a net.Conn
	}
	return c, nil
}

// DialTCP is DialContext with the type of the connection.
func (d *Dialer) DialTCP(ctx context.Context, network, address string) (*Conn, error) {
	return d.dial(ctx, network, address, opening{})
}

// DialFastOpen is DialTCP followed by a Write of data, with TCP Fast Open (RFC 7413): where the server
// has given a cookie before, the first kilobyte or so of data goes with the SYN, and its answer may
// come with the handshake, a round trip earlier; else the SYN asks for a cookie, and data follows
// when the connection is established. Where SYNs with data get lost or are not taken, the next
// attempts do without for a minute, and longer if that goes on.
//
// The server may get data more than once: "a client that cannot handle receiving the same SYN data
// more than once MUST NOT enable TFO to send data in a SYN" (section 6.1). It is for requests that
// may be repeated, as a GET or the first message of TLS. The other end must listen with it:
// [ListenConfig].FastOpen. With keys of TCP-AO it is DialTCP and Write alone: an authentic SYN that
// somebody has recorded could be told again with its text. [Conn.Status] tells what came of it.
func (d *Dialer) DialFastOpen(ctx context.Context, network, address string, data []byte) (*Conn, error) {
	return d.dial(ctx, network, address, opening{fast: true, data: data})
}

// opening is what a connection begins with.
type opening struct {
	fast bool // by TCP Fast Open
	data []byte
}

func (d *Dialer) dial(ctx context.Context, network, address string, open opening) (*Conn, error) {
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
	local, err := d.local()
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if addrs = sameFamily(addrs, local.Addr()); len(addrs) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "no suitable address found", Addr: d.LocalAddr.String()}}
	}
	if len(addrs) > 1 && d.FallbackDelay >= 0 && local.Port() == 0 {
		return d.race(ctx, network, local, interleave(addrs), open)
	}
	return d.dialEach(ctx, network, local, addrs, open)
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

// local returns the socket to dial from. The unspecified address of either family is any.
func (d *Dialer) local() (netip.AddrPort, error) {
	if d.LocalAddr == nil {
		return netip.AddrPort{}, nil
	}
	a, ok := d.LocalAddr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, &net.AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()}
	}
	if a == nil {
		return netip.AddrPort{}, nil
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	if ip = ip.Unmap(); ip.IsUnspecified() {
		ip = netip.Addr{}
	}
	return netip.AddrPortFrom(ip, uint16(a.Port)), nil
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
		if !a.Addr().IsValid() || a.Addr().Is4() == local.Is4() {
			same = append(same, a)
		}
	}
	return same
}

// config is what the host is told.
func (d *Dialer) config() host.DialConfig {
	keep := initialKeepAlive(d.KeepAlive, d.KeepAliveConfig)
	return host.DialConfig{KeepAlive: keepAlive(keep, host.KeepAlive{}), Keys: d.Keys, Congestion: d.Congestion, Report: d.Report}
}

// fail is the error of Dial. begun: there was time for an attempt.
func (d *Dialer) fail(network string, remote netip.AddrPort, err error, begun bool) error {
	why := cause(d.call(err), err)
	if _, late := why.(timedOut); late { //nolint:errorlint // cause has just made it
		why = timedOut{waited: begun}
	}
	return &net.OpError{Op: "dial", Net: network, Source: d.source(), Addr: net.TCPAddrFromAddrPort(remote), Err: why}
}

// dialEach tries the addresses in turn, each for its share of the time that is left. The
// error is that of the first, as with package net.
func (d *Dialer) dialEach(ctx context.Context, network string, local netip.AddrPort, addrs []netip.AddrPort, open opening) (*Conn, error) {
	config := d.config()
	var first error
	for i, remote := range addrs {
		begun := ctx.Err() == nil
		c, err := d.dialOne(ctx, local, self(remote, network == "tcp6" || local.Addr().Is6()), config, len(addrs)-i, open)
		if err == nil {
			return &Conn{c: c, network: network}, nil
		}
		if first == nil {
			first = d.fail(network, remote, err, begun)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialOne tries one address. Of left that remain it gets its share of the time, but no less
// than 2 s where there are as many: so package net has it.
func (d *Dialer) dialOne(ctx context.Context, local, remote netip.AddrPort, config host.DialConfig, left int, open opening) (*host.Conn, error) {
	if at, ok := ctx.Deadline(); ok && left > 1 {
		t := time.Until(at)
		if share := max(t/time.Duration(left), 2*time.Second); share < t {
			sub, cancel := context.WithTimeout(ctx, share)
			defer cancel()
			ctx = sub
		}
	}
	if !open.fast {
		return d.Stack.host.Dial(ctx, local, remote, config)
	}
	c, n, err := d.Stack.host.DialFastOpen(ctx, local, remote, config, open.data)
	if err != nil {
		return nil, err
	}
	return writeRest(ctx, c, open.data[n:])
}

// writeRest writes what the send buffer has had no room for, until ctx ends.
func writeRest(ctx context.Context, c *host.Conn, rest []byte) (*host.Conn, error) {
	if len(rest) == 0 {
		return c, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := c.Write(rest)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.SetLinger(0)
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
