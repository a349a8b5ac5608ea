package vitro

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
)

// Stack is a TCP/IP host inside the program. Make it with New. All methods may be called
// by several goroutines at a time. Those of a zero Stack return syscall.EINVAL, or nothing.
type Stack struct {
	host     *host.Host
	resolver Resolver
}

// New returns a Stack without links. It reaches itself: 127.0.0.0/8, ::1, and whatever
// addresses it gets. An error names the field of the Config that is beyond its bounds, or is
// that of the system's source of randomness.
func New(c Config) (*Stack, error) {
	config, err := c.host()
	if err != nil {
		return nil, err
	}
	return &Stack{host: host.New(config), resolver: c.Resolver}, nil
}

func (s *Stack) ok() bool { return s != nil && s.host != nil }

// LinkConfig says how a link is used.
type LinkConfig struct {
	// Addresses are the Stack's own on this link, each with its subnet, as in 10.1.0.2/24.
	// What is in the subnet is reached by the link. Default: none; what is sent by the link
	// has an address of another then.
	Addresses []netip.Prefix
	// Routes are what else is reached by the link; 0.0.0.0/0 and ::/0 are all the rest. The
	// longest prefix wins, among equal ones the first. Default: the subnets alone.
	Routes []netip.Prefix
	// Down, if set, is told why the link has ended by itself, once: its TUN was deleted, the
	// other end of its pair was closed. It is called as the functions of Conn.SetReport are:
	// it may call the Stack, Close too, and should not block. Default nil.
	Down func(error)
}

// Attach attaches a link. It belongs to the Stack from then on: Close closes it, and Detach. Errors
// wrap EINVAL for a nil link, and for an address or MTU that cannot be (an IPv6 address
// needs an MTU of 1280), EADDRINUSE for an address the Stack has already, and say which and
// why; net.ErrClosed; and what the link's own Attach returns, as link.ErrAttached. Then the
// link still belongs to the caller, also when the Stack was closed meanwhile.
//
// A link that ends by itself, or whose Send gives link.ErrClosed because somebody else has
// closed it, is taken away, with its addresses and routes, as when the
// kernel's interface is deleted: Dial gives ENETUNREACH where no other route leads, and
// connections that are there live on until their timeouts, or until a link with the same
// address is attached. LinkConfig.Down is told.
func (s *Stack) Attach(l link.Link, config LinkConfig) error {
	if !s.ok() || l == nil {
		return &net.OpError{Op: "attach", Net: "link", Err: syscall.EINVAL}
	}
	err := s.host.Attach(l, host.LinkConfig{Addresses: config.Addresses, Routes: config.Routes, Down: config.Down})
	if err != nil {
		return &net.OpError{Op: "attach", Net: "link", Err: cause("attach", err)}
	}
	return nil
}

// Detach takes a link away again, with its addresses and routes, and closes it; what becomes of
// its connections Attach says. LinkConfig.Down is not told. It must not be called from within
// the link's Send or Receive. Errors wrap EINVAL for a nil link, ENODEV for one that is not
// attached to this Stack, net.ErrClosed, and what the link's Close returns.
func (s *Stack) Detach(l link.Link) error {
	if !s.ok() || l == nil {
		return &net.OpError{Op: "detach", Net: "link", Err: syscall.EINVAL}
	}
	if err := s.host.Detach(l); err != nil {
		return &net.OpError{Op: "detach", Net: "link", Err: cause("detach", err)}
	}
	return nil
}

// Close ends the Stack at once: calls that wait return net.ErrClosed, connections are
// reset, links closed. When it returns no goroutine and no timer is left, but for a function
// of SetReport or LinkConfig.Down that is running. It must not be called from within a link's
// Send or Receive; from within those functions it may. A second Close does nothing.
func (s *Stack) Close() error {
	if !s.ok() {
		return syscall.EINVAL
	}
	return s.host.Close()
}

// Stats returns the counters.
func (s *Stack) Stats() Stats {
	if !s.ok() {
		return Stats{}
	}
	return Stats{s.host.Stats()}
}

// Connections returns the status of every connection, ordered by local and then remote
// socket, those in TIME-WAIT too.
func (s *Stack) Connections() []tcp.Status {
	if !s.ok() {
		return nil
	}
	return s.host.Connections()
}

// Time returns the time of day of an instant as Config.Trace and tcp.Status have it. The
// zero instant, which is none, and tcp.Never give the zero Time.
func (s *Stack) Time(t tcp.Time) time.Time {
	if !s.ok() {
		return time.Time{}
	}
	return s.host.Time(t)
}
