package loopback

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Net is one such network. All methods may be called by several goroutines at a time; within a
// testing/synctest bubble they belong to those of the bubble in which it was made.
type Net struct {
	world *World
	host  *host.Host
}

// Net makes a network, which needs nobody to close it: when nothing uses it any more it is gone.
// In a bubble Write waits only beyond 16 MiB (host.Config.ElasticSend). Errors: those of the
// environment, and of the system's source of randomness.
func (w *World) Net(name string, bubble bool) (*Net, error) {
	if w.err != nil {
		return nil, w.err
	}
	c := host.Config{ElasticSend: bubble}
	c.Stack.TCP = tcp.Config{NoDelay: true} // as package net has it
	var seed [8]byte
	for _, secret := range [][]byte{c.Stack.Secret[:], seed[:]} {
		if _, err := rand.Read(secret); err != nil {
			return nil, err
		}
	}
	c.Stack.Seed = binary.LittleEndian.Uint64(seed[:])
	n := &Net{world: w, host: host.New(c)}
	if w.cabled() {
		l, err := newCable(w, name)
		if err == nil {
			err = n.host.AttachLoopback(l)
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Conn is a connection of a Net.
type Conn = host.Conn

// Listener is a listener of a Net.
type Listener = host.Listener

// UDP is a UDP socket of a Net.
type UDP = host.UDP

// Datagram is what a UDP says of one.
type Datagram = stack.Datagram

// Via is what a datagram has instead of what its socket has.
type Via = stack.Via

// KeepAlive is that of a Conn.
type KeepAlive = host.KeepAlive

// ErrClosed stands for net.ErrClosed.
var ErrClosed = host.ErrClosed

// Has reports whether an address belongs to such a network. An address that is not there or
// unspecified does.
func Has(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() || a.Unmap().IsLoopback() }

// Listen listens at an address and port; port 0 is chosen. On :: it takes connections over IPv4
// too, unless v6only. Errors are those of host.Host.Listen.
func (n *Net) Listen(local netip.AddrPort, v6only bool) (*Listener, error) {
	return n.host.Listen(unmap(local), host.ListenConfig{V6Only: v6only})
}

// Dial connects. A local address and port that are unspecified are chosen: the address is
// 127.0.0.1 towards all of 127.0.0.0/8, as Linux has it. An unspecified remote address means the
// loopback address of its family. Errors are those of host.Host.Dial.
func (n *Net) Dial(ctx context.Context, local, remote netip.AddrPort) (*Conn, error) {
	local, remote = sockets(local, remote)
	if local.Addr().Is4() != remote.Addr().Is4() {
		return nil, syscall.EINVAL
	}
	c, err := n.host.Dial(ctx, local, remote, host.DialConfig{})
	n.world.counters.dialed(err)
	return c, err
}

// ListenUDP makes a UDP socket at an address and port; port 0 is chosen. On :: it is on 0.0.0.0 too,
// unless v6only. Errors are those of host.Host.ListenUDP.
func (n *Net) ListenUDP(local netip.AddrPort, v6only bool) (*UDP, error) {
	return n.host.ListenUDP(unmap(local), host.UDPConfig{V6Only: v6only})
}

// DialUDP makes a UDP socket that is connected; its addresses are as Dial has them. Errors are those
// of host.Host.DialUDP.
func (n *Net) DialUDP(local, remote netip.AddrPort) (*UDP, error) {
	local, remote = sockets(local, remote)
	if local.Addr().Is4() != remote.Addr().Is4() {
		return nil, syscall.EINVAL
	}
	return n.host.DialUDP(local, remote, host.UDPConfig{})
}

// Send sends a datagram from a socket, to the zero AddrPort for the peer of a connected one; via may
// be nil. From a socket that is on all addresses it comes from 127.0.0.1, or ::1, as Linux has it.
// Errors are those of host.UDP.WriteVia.
func (n *Net) Send(u *UDP, p []byte, to netip.AddrPort, via *Via) error {
	if to.IsValid() && u.LocalAddr().Addr().IsUnspecified() && (via == nil || !via.Source.IsValid() || via.Source.IsUnspecified()) {
		v := Via{TC: u.TrafficClass()}
		if via != nil {
			v = *via
		}
		if to = unmap(to); to.Addr().IsLoopback() || to.Addr().IsUnspecified() {
			v.Source = home(to.Addr())
		}
		via = &v
	}
	if via == nil {
		return u.WriteTo(p, to)
	}
	return u.WriteVia(p, to, *via)
}

// Hears reports whether a UDP socket is where a datagram to an address and port goes.
func (n *Net) Hears(to netip.AddrPort) bool {
	_, to = sockets(netip.AddrPort{}, to)
	return n.host.HearsUDP(to)
}

// MTU is what the links of the network carry, in octets.
func (n *Net) MTU() int { return n.world.mtu() }

// UDPClosed is to be told of each UDP socket that is closed: the counters are brought up to date.
func (n *Net) UDPClosed() { n.world.counters.update() }

// Accepted is to be told of what a listener has given.
func (n *Net) Accepted() { n.world.counters.accepted() }

// Refused reports whether an error of Dial says that nobody listens there.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// sockets is the two addresses of a connection as Dial has them.
func sockets(local, remote netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	local, remote = unmap(local), unmap(remote)
	if remote.Addr().IsUnspecified() {
		remote = netip.AddrPortFrom(home(remote.Addr()), remote.Port())
	}
	if !local.Addr().IsValid() || local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(home(remote.Addr()), local.Port())
	}
	return local, remote
}

// home is the address by which a host of a family calls itself.
func home(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
