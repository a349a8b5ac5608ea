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
// one host's (MUST-46); tcp.ErrNoKey where none of opts.Keys is for the sockets, and those of
// tcp.Keys.Check.
func (s *Stack) Dial(now tcp.Time, local, remote netip.AddrPort, opts ConnOptions) (*Conn, error) {
	flow := wire.Flow{Remote: wire.AddrFrom(remote.Addr()), RemotePort: remote.Port(), LocalPort: local.Port()}
	switch {
	case !remote.Addr().IsValid():
		return nil, ErrInvalidAddr
	case s.isForeign(local.Addr()): // what is wrong with our own socket is told first, as bind comes before connect
		return nil, ErrAddrNotAvailable
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
		if !s.choosePort(now, &flow) {
			return nil, ErrNoPorts
		}
	} else if !s.available(now, &flow) {
		return nil, ErrAddrInUse
	}
	if err := s.checkKeys(&opts, &flow); err != nil {
		return nil, err
	}
	var old tcp.TimeWaitRecord
	at, reuse := s.waiting.find(&flow)
	if reuse {
		old = s.waiting.slab[at].TimeWaitRecord
		s.endTimeWait(now, at, tcp.RuleReopen)
	}
	c := s.newConn(now, flow, n)
	c.setOptions(now, &opts)
	if opts.FastOpen && !c.tcp.Authenticated() { // as with arriveListen
		s.offerFastOpen(now, c, &flow)
	}
	if err := c.tcp.Open(now, tcp.Active); err != nil {
		c.released = true
		s.free(c)
		return nil, err
	}
	if reuse {
		c.tcp.SetISNFloor(old.SndNxt)
		c.reused = reused{s.waitsSince(&old).Add(slowestTick), old.TSRecent}
	}
	s.touch(now, c)
	return c, nil
}

// isForeign reports whether an address to dial from is none of ours.
func (s *Stack) isForeign(asked netip.Addr) bool {
	if !asked.IsValid() || asked.IsUnspecified() {
		return false
	}
	a := wire.AddrFrom(asked)
	return !s.isOwn(&a)
}

// available reports whether a connection may have both sockets of flow.
func (s *Stack) available(now tcp.Time, flow *wire.Flow) bool {
	if s.conns[*flow] != nil {
		return false
	}
	if at, ok := s.waiting.find(flow); ok {
		_, ok = s.mayReuse(now, at)
		return ok
	}
	return true
}

// chooseLocal sets flow.Local to the address asked for (MUST-43), or to one that fits.
func (s *Stack) chooseLocal(n *netif, asked netip.Addr, flow *wire.Flow) error {
	if asked.IsValid() && !asked.IsUnspecified() {
		flow.Local = wire.AddrFrom(asked)
		switch {
		case flow.Local.Is4() != flow.Remote.Is4():
			return ErrInvalidAddr
		case s.between(&flow.Local, &flow.Remote) == nil:
			// As Linux answers for IPv4. For ::1 it sends the SYN, and nobody answers it.
			return ErrInvalidAddr
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
