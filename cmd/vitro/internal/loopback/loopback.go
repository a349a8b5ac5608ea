package loopback

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/vitro-net/vitro/host"
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
	local, remote = unmap(local), unmap(remote)
	if remote.Addr().IsUnspecified() {
		remote = netip.AddrPortFrom(home(remote.Addr()), remote.Port())
	}
	if !local.Addr().IsValid() || local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(home(remote.Addr()), local.Port())
	}
	if local.Addr().Is4() != remote.Addr().Is4() {
		return nil, syscall.EINVAL
	}
	c, err := n.host.Dial(ctx, local, remote, host.DialConfig{})
	n.world.counters.dialed(err)
	return c, err
}

// Accepted is to be told of what a listener has given.
func (n *Net) Accepted() { n.world.counters.accepted() }

// Refused reports whether an error of Dial says that nobody listens there.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// home is the address by which a host of a family calls itself.
func home(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
