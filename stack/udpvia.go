package stack

import (
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// For whoever puts sockets of a kernel's kind over these: what sendmsg says beside the data, and
// datagrams that came another way.

// Via is what a single datagram has instead of what its socket has.
type Via struct {
	TC uint8 // the octet with DSCP and ECN bits
	// Source is the address it comes from, where the socket is on all of them: RFC 1122 section
	// 4.1.3.5, "An application program MUST be able to specify the IP source address to be used for
	// sending a UDP datagram". The zero Addr: the one that the route chooses.
	Source netip.Addr
}

// source sets the source of a flow, and reports whether it may be that.
func (v *Via) source(flow *wire.Flow) bool {
	if !v.Source.IsValid() || v.Source.IsUnspecified() {
		return true
	}
	a := wire.AddrFrom(v.Source)
	if a.Is4() != flow.Remote.Is4() || !flow.Local.IsUnspecified() && flow.Local != a {
		return false
	}
	flow.Local = a
	return true
}

// TrafficClass returns what SetTrafficClass has set.
func (u *UDP) TrafficClass() uint8 { return u.tc }

// HearsUDP reports whether there is a socket at an address and port, or at that port on all addresses.
func (s *Stack) HearsUDP(at netip.AddrPort) bool {
	a := wire.AddrFrom(at.Addr())
	wild := any6
	if a.Is4() {
		wild = any4
	}
	t := &s.udp
	return t.bound[socket{a, at.Port()}] != nil || t.bound[socket{wild, at.Port()}] != nil
}

// Deliver queues data as a datagram of d's From, To and TC, and reports whether there was room: as if
// it had arrived, but not even a connected socket asks from whom.
func (u *UDP) Deliver(d Datagram, data []byte) bool {
	if u.closed {
		return false
	}
	flow := wire.Flow{Remote: wire.AddrFrom(d.From.Addr()), RemotePort: d.From.Port(), Local: wire.AddrFrom(d.To)}
	if !u.stack.udp.keep(u, &flow, d.TC, data) {
		u.dropped++
		return false
	}
	u.signal(tcp.SignalReadable)
	return true
}
