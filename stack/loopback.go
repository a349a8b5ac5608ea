package stack

import "github.com/vitro-net/vitro/wire"

// LoopbackConfig describes a link by which the stack reaches itself. Its fields are those of
// InterfaceConfig, but that the MTU is at least 1280, since ::1 is there.
type LoopbackConfig struct {
	MTU             int
	MaxSuper        int
	ChecksumOffload bool
}

// SetLoopback has what the stack sends to itself leave by Output, as interface 0, and come back
// by Arrive, as if a cable led from the stack to itself: so it can be seen, delayed and lost. It
// is for the time before the first connection. Errors: ErrAddrInUse when there is one already, or
// a listener, and ErrInvalidMTU.
func (s *Stack) SetLoopback(cfg LoopbackConfig) error {
	switch {
	case len(s.conns) > 0 || len(s.listeners) > 0:
		return ErrAddrInUse
	case cfg.MTU < leastMTU6 || cfg.MTU > wire.MaxPacket:
		return ErrInvalidMTU
	}
	n := s.ifaces[loopback]
	n.cfg.MTU, n.cfg.MaxSuper, n.cfg.ChecksumOffload = cfg.MTU, min(max(cfg.MaxSuper, 0), wire.MaxPacket), cfg.ChecksumOffload
	n.measure()
	s.cabled = true
	return nil
}

// loops reports whether what leaves by n is delivered within the stack.
func (s *Stack) loops(n *netif) bool { return n.id == loopback && !s.cabled }
