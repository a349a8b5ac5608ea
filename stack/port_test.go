package stack_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro/stack"
)

func dialed(t *testing.T, x *seat, to string) uint16 {
	t.Helper()
	c, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP(to), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Local().Port()
}

// RFC 6056 section 3.3.4: ports to one destination follow each other without repeating; to
// another they begin elsewhere, and what goes to one does not move the other (CVE-2022-1012).
func TestPortsByDestination(t *testing.T) {
	x := newSeat(t, config())
	seen := map[uint16]bool{}
	last := dialed(t, x, "10.0.0.9:80")
	for range 2000 {
		port := dialed(t, x, "10.0.0.9:80")
		if port < stack.DefaultPortFirst || seen[port] {
			t.Fatalf("port %d", port)
		}
		seen[port] = true
		if d := port - last; d > 8 && port > last { // but where the range begins anew
			t.Errorf("from port %d to %d", last, port)
		}
		last = port
	}
	// A port that is free again is not the next one.
	y := newSeat(t, config())
	seen = map[uint16]bool{}
	for range 1000 {
		c, err := y.s.Dial(y.now, netip.AddrPort{}, mustAP("10.0.0.9:80"), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Local().Port()] {
			t.Fatalf("port %d again", c.Local().Port())
		}
		seen[c.Local().Port()] = true
		c.Release(y.now)
		y.take()
	}
	// Two stacks alike: in one other destinations are dialed in between.
	a, b := newSeat(t, config()), newSeat(t, config())
	for range 50 {
		dialed(t, b, "10.0.0.7:80")
	}
	pa, pb := dialed(t, a, "10.0.0.9:80"), dialed(t, b, "10.0.0.9:80")
	if pa != pb {
		t.Errorf("50 connections elsewhere move the port from %d to %d", pa, pb)
	}
	cfg := config()
	cfg.Secret[5]++
	if pc := dialed(t, newSeat(t, cfg), "10.0.0.9:80"); pc == pa {
		t.Errorf("another secret, and the same port %d", pc)
	}
}

// Ports of first connections to many destinations are spread evenly: chi-square over 16
// parts of the range, 15 degrees of freedom, p = 0.0001.
func TestPortsAreSpread(t *testing.T) {
	x := newSeat(t, config())
	var count [16]int
	const n = 16 * 200
	for i := range n {
		port := dialed(t, x, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 9}), uint16(i+1)).String())
		count[(int(port)-stack.DefaultPortFirst)*16/(stack.DefaultPortLast-stack.DefaultPortFirst+1)]++
	}
	chi := 0.0
	for _, k := range count {
		chi += float64((k-200)*(k-200)) / 200
	}
	if chi > 44.3 {
		t.Errorf("chi-square is %.1f: %v", chi, count)
	}
}

func TestNoPorts(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50009
	x := newSeat(t, cfg)
	if _, err := x.s.Listen(mustAP("[::]:50003"), 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for range 9 {
		seen[dialed(t, x, "10.0.0.9:80")] = true
	}
	if len(seen) != 9 || seen[50003] {
		t.Errorf("ports %v", seen)
	}
	if _, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP("10.0.0.9:80"), stack.ConnOptions{}); !errors.Is(err, stack.ErrNoPorts) {
		t.Errorf("the tenth: %v", err)
	}
	dialed(t, x, "10.0.0.9:81") // another destination has all ports
	for range 9 {
		if _, err := x.s.Listen(mustAP("0.0.0.0:0"), 0, stack.ListenOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.s.Listen(mustAP("0.0.0.0:0"), 0, stack.ListenOptions{}); !errors.Is(err, stack.ErrNoPorts) {
		t.Errorf("the eleventh listener: %v", err)
	}
}
