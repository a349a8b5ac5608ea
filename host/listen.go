package host

import (
	"net/netip"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// DefaultBacklog is how many connections wait for Accept where no other number is given:
// Linux's somaxconn.
const DefaultBacklog = 4096

// ListenConfig has the options of Listen. The zero value means the defaults.
type ListenConfig struct {
	Backlog   int       // connections that may wait for Accept; 0: DefaultBacklog
	HalfOpen  int       // connections in SYN-RECEIVED, beyond it SYN cookies; 0: the stack's HalfOpen; negative: cookies always
	FastOpen  int       // connections in SYN-RECEIVED whose SYN has brought text, RFC 7413; 0: no TCP Fast Open
	V6Only    bool      // on ::, no connections over IPv4
	KeepAlive KeepAlive // of the connections that come
	Keys      tcp.Keys  // of TCP-AO (RFC 5925); nil: the stack's

	// Congestion makes their congestion control, of each its own, under the host's lock; nil: the stack's.
	Congestion func() tcp.Congestion
}

// Listener is a socket in LISTEN. All methods may be called by several goroutines at a
// time.
type Listener struct {
	host       *Host
	core       *stack.Listener
	next, prev *Listener
	gate       lazyGate
	local      netip.AddrPort
	config     ListenConfig
	closed     bool
}

// Listen begins to listen (a passive OPEN, RFC 9293 section 3.10.1). An unspecified
// address means every address of the host, :: those of both families; port 0 means that
// the host chooses. Errors: EADDRINUSE, EADDRNOTAVAIL, EINVAL, ErrClosed, and of
// package tcp about keys.
func (h *Host) Listen(local netip.AddrPort, config ListenConfig) (*Listener, error) {
	if config.Backlog <= 0 {
		config.Backlog = DefaultBacklog
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	l := &Listener{host: h, config: config, next: h.listeners}
	opts := config.KeepAlive.options()
	opts.Keys, opts.Congestion = config.Keys, config.Congestion
	core, err := h.core.Listen(local, config.Backlog, stack.ListenOptions{
		Conn:     opts,
		HalfOpen: config.HalfOpen,
		FastOpen: config.FastOpen,
		V6Only:   config.V6Only,
		Watcher:  (*arrivals)(l),
	})
	if err != nil {
		return nil, errno(err, tcp.SoftError{})
	}
	l.core, l.local = core, core.Addr()
	if l.next != nil {
		l.next.prev = l
	}
	h.listeners = l
	return l, nil
}

// arrivals is a Listener as the stack sees it.
type arrivals Listener

// Signal is called by the stack, under the lock.
func (a *arrivals) Signal(tcp.Signal) { a.host.wake(&a.gate) }

// Addr returns the socket.
func (l *Listener) Addr() netip.AddrPort { return l.local }

// Accept returns the next connection, and waits until there is one. Errors: ErrClosed,
// os.ErrDeadlineExceeded.
func (l *Listener) Accept() (*Conn, error) {
	h := l.host
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if l.closed {
			return nil, ErrClosed
		}
		if err := l.gate.expired(h); err != nil {
			return nil, err
		}
		now := h.now()
		if core := l.core.Accept(now); core != nil {
			c := h.newConn()
			c.keepAlive = l.config.KeepAlive
			h.adopt(c, core)
			h.flush(now)
			return c, nil
		}
		l.gate.wait(h)
	}
}

// SetDeadline sets when Accept gives up; the zero Time: never.
func (l *Listener) SetDeadline(t time.Time) error {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.gate.setDeadline(l.host, t)
	return nil
}

// Close ends the listening. Connections that nobody has accepted are reset; those that
// have been live on. A second Close gives ErrClosed.
func (l *Listener) Close() error {
	h := l.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	now := h.now()
	l.shut(now)
	h.flush(now)
	return nil
}

func (l *Listener) shut(now tcp.Time) {
	l.closed = true
	l.core.Close(now)
	l.gate.shut()
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		l.host.listeners = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.next, l.prev = nil, nil
}
