package stack_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro/stack"
)

// A datagram has its own traffic class and source where it is told to, and the next one the socket's.
// A source must be an address of the stack, of the family, and what the socket is bound to.
func TestUDPVia(t *testing.T) {
	x := newSeat(t, config())
	x.link(stack.InterfaceConfig{Prefixes: prefixes("10.1.0.1/24")})
	u := x.listenUDP("0.0.0.0:53", stack.UDPOptions{})
	u.SetTrafficClass(8)
	to := mustAP("10.0.0.9:4000")
	if err := u.SendVia(x.now, to, []byte("via"), stack.Via{TC: 0x2a, Source: netip.MustParseAddr("10.1.0.1")}); err != nil {
		t.Fatal(err)
	}
	got := x.take()
	if from, _, data := dataOf(t, got); string(data) != "via" || from.String() != "10.1.0.1:53" || got[0].ip.TC != 0x2a {
		t.Errorf("%q leaves from %v with traffic class %#x; want via from 10.1.0.1 with 0x2a", data, from, got[0].ip.TC)
	}
	if err := u.Send(x.now, to, []byte("plain")); err != nil {
		t.Fatal(err)
	}
	got = x.take()
	if from, _, _ := dataOf(t, got); from.String() != "10.0.0.1:53" || got[0].ip.TC != 8 || u.TrafficClass() != 8 {
		t.Errorf("the next leaves from %v with traffic class %#x; want 10.0.0.1 and 8", from, got[0].ip.TC)
	}
	bound := x.listenUDP("10.0.0.1:54", stack.UDPOptions{})
	for _, c := range []struct {
		u      *stack.UDP
		source string
	}{{u, "2001:db8::1"}, {bound, "10.1.0.1"}} {
		err := c.u.SendVia(x.now, to, nil, stack.Via{Source: netip.MustParseAddr(c.source)})
		if !errors.Is(err, stack.ErrAddrNotAvailable) {
			t.Errorf("from %v as %s: %v; want that the address is not available", c.u.Local(), c.source, err)
		}
	}
	if err := u.SendVia(x.now, to, nil, stack.Via{Source: netip.MustParseAddr("10.0.0.77")}); err == nil {
		t.Error("a datagram leaves from an address that is another host's")
	}
}

// Who hears at an address is found as by an arriving datagram; and what is delivered by hand has the
// bounds of what arrives.
func TestUDPDeliver(t *testing.T) {
	x := newSeat(t, config())
	u := x.listenUDP("10.0.0.1:53", stack.UDPOptions{})
	x.listenUDP("[::]:54", stack.UDPOptions{V6Only: true})
	for at, want := range map[string]bool{
		"10.0.0.1:53": true, "10.0.0.1:54": false, "127.0.0.1:53": false, "[2001:db8::1]:54": true, "[2001:db8::1]:53": false,
	} {
		if got := x.s.HearsUDP(mustAP(at)); got != want {
			t.Errorf("somebody hears at %s: %v; want %v", at, got, want)
		}
	}
	u.SetReceiveBuffer(2 << 10)
	from := stack.Datagram{From: mustAP("192.0.2.1:9"), To: netip.MustParseAddr("10.0.0.1"), TC: 3}
	n := 0
	for u.Deliver(from, []byte("by hand")) {
		if n++; n > 100 {
			t.Fatal("a socket with a buffer of 2 KiB takes a hundred datagrams")
		}
	}
	if n == 0 {
		t.Fatal("a socket takes none")
	}
	d, ok := u.Receive(make([]byte, 10))
	if want := (stack.Datagram{From: from.From, To: from.To, TC: 3, N: 7, Len: 7}); !ok || d != want {
		t.Errorf("%+v, %v; want %+v", d, ok, want)
	}
	u.Close()
	if u.Deliver(from, nil) {
		t.Error("a closed socket takes a datagram")
	}
}
