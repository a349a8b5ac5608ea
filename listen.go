package vitro

import (
	"context"
	"net"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/tcp"
)

// Listen listens on a socket of the Stack. The network is "tcp", "tcp4" or "tcp6". An
// address without a host, as in ":80", means every address of the Stack, of both families
// with "tcp"; port 0 is a port that the Stack chooses. Keep-alives are on in what is
// accepted, as with package net; see [ListenConfig].
//
// Errors are *net.OpError: EADDRINUSE where a listener on that port has the address, or one of
// them, as with Linux; EADDRNOTAVAIL for an address that is not the Stack's or
// when no port is left, net.ErrClosed, and those of names as from Dial.
//
// The listener is a *Listener; ListenTCP is the same with that type.
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	return (&ListenConfig{Stack: s}).Listen(context.Background(), network, address)
}

// ListenTCP is Listen with the type of the listener.
func (s *Stack) ListenTCP(network, address string) (*Listener, error) {
	return (&ListenConfig{Stack: s}).ListenTCP(context.Background(), network, address)
}

// ListenConfig has the options of listening. Stack must be set, or listening gives EINVAL.
type ListenConfig struct {
	Stack *Stack
	// Backlog is how many connections may be established and wait for Accept; more are
	// not let in. Default 4096, as Linux.
	Backlog int
	// HalfOpen bounds this listener's connections in SYN-RECEIVED; SYNs beyond are answered
	// by SYN cookies (RFC 4987 section 3.6). Default Limits.HalfOpen; negative: cookies
	// always.
	HalfOpen int
	// FastOpen lets clients use TCP Fast Open (RFC 7413), as the socket option TCP_FASTOPEN does:
	// those that have had a cookie before send text with the SYN, and Accept gives the connection at
	// once, before the handshake's end; what is written then goes at once too. It is how many
	// connections may be so at a time (PendingFastOpenRequests); beyond, and without a valid
	// cookie, the handshake is as usual. A SYN that comes twice may be served twice: "a server
	// that cannot accept receiving the same SYN data more than once MUST NOT enable TFO to receive
	// data in a SYN" (section 6.1). So it is for requests that may be repeated. Clients for which there
	// are Keys do without. Default 0: off.
	FastOpen int
	// KeepAlive and KeepAliveConfig are those of [net.ListenConfig]: keep-alive is on in
	// accepted connections, after 15 s, unless KeepAlive is negative.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	// Keys are those of TCP-AO (RFC 5925). A peer for which there is one must use it; any other
	// connects without: a key for all others, that nobody has, keeps them out. No SYN cookie goes to
	// a peer with a key. Default nil: Config.Keys; an empty list is none.
	Keys tcp.Keys
	// Congestion makes the congestion control of each connection that comes, as [Config].Congestion
	// does. Default nil, and where it returns nil: Config.Congestion.
	Congestion func() tcp.Congestion
}

// Listen listens; see Stack.Listen. ctx is for the look-up of the host's name.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := lc.ListenTCP(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *Listener in a net.Listener
	}
	return l, nil
}

// ListenTCP is Listen with the type of the listener.
func (lc *ListenConfig) ListenTCP(ctx context.Context, network, address string) (*Listener, error) {
	fail := func(addr net.Addr, err error) (*Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
	}
	if lc == nil || !lc.Stack.ok() {
		return fail(nil, syscall.EINVAL)
	}
	addrs, err := lc.Stack.resolve(ctx, network, address, true)
	if err != nil {
		return fail(nil, err)
	}
	local := addrs[0] // net prefers IPv4 where a name has both
	for _, a := range addrs {
		if a.Addr().Is4() {
			local = a
			break
		}
	}
	core, err := lc.Stack.host.Listen(local, host.ListenConfig{
		Backlog: lc.Backlog, HalfOpen: lc.HalfOpen, FastOpen: lc.FastOpen, V6Only: network == "tcp6",
		Keys: lc.Keys, Congestion: lc.Congestion,
		KeepAlive: keepAlive(initialKeepAlive(lc.KeepAlive, lc.KeepAliveConfig), host.KeepAlive{}),
	})
	if err != nil {
		return fail(net.TCPAddrFromAddrPort(local), cause("bind", err))
	}
	return &Listener{l: core, network: network}, nil
}

// Listener is a [net.Listener] of a Stack, with the methods of [net.TCPListener] but File. All
// methods may be called by several goroutines at a time. The methods of a zero Listener
// return syscall.EINVAL.
type Listener struct {
	l       *host.Listener
	network string
}

var _ net.Listener = (*Listener)(nil)

func (l *Listener) ok() bool { return l != nil && l.l != nil }

func (l *Listener) fail(op, call string, err error) error {
	return &net.OpError{Op: op, Net: l.network, Addr: l.Addr(), Err: cause(call, err)}
}

// Accept waits for the next connection and returns it, a *Conn. Errors are net.ErrClosed after
// Close, and os.ErrDeadlineExceeded.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptTCP is Accept with the type it returns.
func (l *Listener) AcceptTCP() (*Conn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	h, err := l.l.Accept()
	if err != nil {
		return nil, l.fail("accept", "accept", err)
	}
	return &Conn{c: h, network: l.network}, nil
}

// Close ends the listening. Calls of Accept that wait return net.ErrClosed, connections
// that nobody has accepted are reset, and those that have been accepted live on.
func (l *Listener) Close() error {
	if !l.ok() {
		return syscall.EINVAL
	}
	if err := l.l.Close(); err != nil {
		return l.fail("close", "close", err)
	}
	return nil
}

// Addr returns the socket, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr {
	if !l.ok() {
		return nil
	}
	return net.TCPAddrFromAddrPort(l.l.Addr())
}

// SetDeadline sets when Accept gives up; the zero Time means never.
func (l *Listener) SetDeadline(t time.Time) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	if err := l.l.SetDeadline(t); err != nil {
		return cause("", err) // bare, as net.TCPListener returns it
	}
	return nil
}
