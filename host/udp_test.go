package host_test

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// gated is a link that takes nothing until it is opened.
type gated struct {
	link.Link
	open chan struct{}
}

func (g *gated) Send(p []wire.Packet) error {
	<-g.open
	return g.Link.Send(p)
}

// A Write that finds no room, and makes it by itself, since nobody else is sending, does not wait for
// what has happened already.
func TestWriteThatMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		g := &gated{la, make(chan struct{})}
		a, b := host.New(host.Config{Stack: stack.Config{MaxQueued: 8 << 20}}), host.New(host.Config{})
		defer a.Close()
		defer b.Close()
		if err := a.Attach(g, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); err != nil {
			t.Fatal(err)
		}
		if err := b.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.2/24")}); err != nil {
			t.Fatal(err)
		}
		server, err := b.ListenUDP(netip.AddrPortFrom(addrB, 53), host.UDPConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		u, err := a.DialUDP(netip.AddrPort{}, netip.AddrPortFrom(addrB, 53), host.UDPConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		u.SetWriteBuffer(4 << 20)
		var first sync.WaitGroup
		first.Go(func() { u.WriteTo(nil, netip.AddrPort{}) }) // it is in Send
		synctest.Wait()
		p := make([]byte, 1400)
		for range 500 { // more than one turn of the transmitter sends
			if err := u.WriteTo(p, netip.AddrPort{}); err != nil {
				t.Fatal(err)
			}
		}
		u.SetWriteBuffer(2048)
		close(g.open)
		first.Wait()
		for range 10 {
			if err := u.WriteTo(p, netip.AddrPort{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The errors of the calls that make sockets, as errnos.
func TestUDPErrnos(t *testing.T) {
	la, lb := link.Pair(0)
	a, _ := join(t, la, lb)
	if _, err := a.ListenUDP(netip.MustParseAddrPort("10.0.0.9:1"), host.UDPConfig{}); err != syscall.EADDRNOTAVAIL {
		t.Errorf("an address of another: %v", err)
	}
	if _, err := a.DialUDP(netip.AddrPort{}, netip.MustParseAddrPort("192.0.2.1:1"), host.UDPConfig{}); err != syscall.ENETUNREACH {
		t.Errorf("no route: %v", err)
	}
	u, err := a.ListenUDP(netip.MustParseAddrPort("[::]:53"), host.UDPConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ListenUDP(netip.MustParseAddrPort("10.0.0.1:53"), host.UDPConfig{}); err != syscall.EADDRINUSE {
		t.Errorf("a port in use: %v", err)
	}
	for to, want := range map[string]error{"10.0.0.2:0": syscall.EINVAL, "224.0.0.1:1": stack.ErrMulticast, "192.0.2.1:1": syscall.ENETUNREACH} {
		if err := u.WriteTo(nil, netip.MustParseAddrPort(to)); err != want {
			t.Errorf("WriteTo %s: %v; want %v", to, err, want)
		}
	}
	if err := u.WriteTo(nil, netip.AddrPort{}); err != syscall.EDESTADDRREQ {
		t.Errorf("WriteTo nobody: %v", err)
	}
	if err := u.WriteTo(make([]byte, 65508), netip.MustParseAddrPort("10.0.0.2:1")); err != syscall.EMSGSIZE {
		t.Errorf("WriteTo of 65508 octets: %v", err)
	}
	if u.Close() != nil || u.Close() != host.ErrClosed || !u.Closed() || u.SetHopLimit(1) != host.ErrClosed {
		t.Error("closing twice")
	}
	a.Close()
	if _, err := a.Ping(t.Context(), addrB, 0); !errors.Is(err, host.ErrClosed) {
		t.Errorf("Ping of a host that is closed: %v", err)
	}
}
