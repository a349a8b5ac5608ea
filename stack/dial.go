package stack

import (
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Dial is the active OPEN of RFC 9293 section 3.10.1: the Conn is in SYN-SENT, its SYN is
// Output's, and tcp.SignalEstablished or tcp.SignalClosed tells how it went. A local address
// that is unspecified is chosen by the route (MUST-44), a port of 0 by RFC 6056.
//
// Errors: ErrInvalidAddr, ErrNoRoute, ErrAddrNotAvailable, ErrAddrInUse, ErrNoPorts,
// ErrLimit, and tcp.ErrUnspecified and tcp.ErrInvalidRemote for a remote socket that is not
// one host's (MUST-46).
func (s *Stack) Dial(now tcp.Time, local, remote netip.AddrPort, opts ConnOptions) (*Conn, error) {
	flow := wire.Flow{Remote: wire.AddrFrom(remote.Addr()), RemotePort: remote.Port(), LocalPort: local.Port()}
	switch {
	case !remote.Addr().IsValid():
		return nil, ErrInvalidAddr
	case flow.Remote.IsUnspecified() || flow.RemotePort == 0:
		return nil, tcp.ErrUnspecified
	case flow.Remote.IsMulticast() || s.isBroadcast(&flow.Remote): // MUST-46
		return nil, tcp.ErrInvalidRemote
	case s.all.n >= s.cfg.MaxConnections:
		return nil, ErrLimit
	}
	n, _ := s.lookup(&flow.Remote)
	if n == nil {
		return nil, ErrNoRoute
	}
	if err := s.chooseLocal(n, local.Addr(), &flow); err != nil {
		return nil, err
	}
	if flow.LocalPort == 0 {
		if !s.choosePort(&flow) {
			return nil, ErrNoPorts
		}
	} else if s.conns[flow] != nil {
		return nil, ErrAddrInUse
	}
	c := s.newConn(flow, n)
	c.setOptions(now, &opts)
	if err := c.tcp.Open(now, tcp.Active); err != nil {
		c.released = true
		s.free(c)
		return nil, err
	}
	s.touch(now, c)
	return c, nil
}

// chooseLocal sets flow.Local to the address asked for (MUST-43), or to one that fits.
func (s *Stack) chooseLocal(n *netif, asked netip.Addr, flow *wire.Flow) error {
	if asked.IsValid() && !asked.IsUnspecified() {
		flow.Local = wire.AddrFrom(asked)
		switch {
		case flow.Local.Is4() != flow.Remote.Is4():
			return ErrInvalidAddr
		case !s.isOwn(&flow.Local):
			return ErrAddrNotAvailable
		}
		return nil
	}
	if asked.Is4() && !flow.Remote.Is4() {
		return ErrInvalidAddr
	}
	var ok bool
	if flow.Local, ok = s.source(n, &flow.Remote); !ok {
		return ErrAddrNotAvailable
	}
	return nil
}

// choosePort chooses a port for a flow that lacks only that.
func (s *Stack) choosePort(flow *wire.Flow) bool {
	n := int(s.cfg.PortLast) - int(s.cfg.PortFirst) + 1
	start := s.random.IntN(n)
	for i := range n {
		flow.LocalPort = s.cfg.PortFirst + uint16((start+i)%n)
		if s.conns[*flow] == nil && !s.listens(flow.LocalPort) {
			return true
		}
	}
	return false
}
