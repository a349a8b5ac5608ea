//go:build !race

package vitro_test

import (
	"io"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// In steady state neither Write nor Read allocates: not for large segments, not for small,
// not with deadlines, not when the packets are cut for a wire.
func TestNoAllocations(t *testing.T) {
	for _, tc := range []struct {
		name string
		link link.PairConfig
		size int
	}{
		{"one octet", link.PairConfig{}, 1},
		{"super-segments", link.PairConfig{}, 64 << 10},
		{"packets of 1500", link.PairConfig{NoOffload: true}, 16 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			la, lb := link.NewPair(tc.link)
			a, b := join(t, vitro.Config{}, la, lb)
			c, s := connect(t, a, b)
			p, q := make([]byte, tc.size), make([]byte, tc.size)
			round := func() {
				c.SetDeadline(time.Now().Add(time.Hour))
				s.SetDeadline(time.Now().Add(time.Hour))
				if _, err := c.Write(p); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(s, q); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write(q); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, p); err != nil {
					t.Fatal(err)
				}
			}
			for range 1000 {
				round() // buffers grow to what is needed
			}
			if n := testing.AllocsPerRun(1000, round); n != 0 {
				t.Errorf("%v allocations a round", n)
			}
		})
	}
}

// Nor when both ends wait for each other, in goroutines of their own.
func TestNoAllocationsWaiting(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	c, s := connect(t, a, b)
	go func() {
		p := make([]byte, 100)
		for {
			if _, err := io.ReadFull(s, p); err != nil {
				return
			}
			if _, err := s.Write(p); err != nil {
				return
			}
		}
	}()
	p := make([]byte, 100)
	round := func() {
		c.Write(p)
		if _, err := io.ReadFull(c, p); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// Nor does a datagram, by the methods that have netip's addresses.
func TestNoAllocationsUDP(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	server, c := listenUDP(t, b, "udp", ":53"), dialUDP(t, a, "10.0.0.2:53")
	for _, size := range []int{1, 1472} {
		p, q := make([]byte, size), make([]byte, size)
		round := func() {
			c.SetDeadline(time.Now().Add(time.Hour))
			if _, err := c.Write(p); err != nil {
				t.Fatal(err)
			}
			n, from, err := server.ReadFromUDPAddrPort(q)
			if err != nil || n != size {
				t.Fatal(n, err)
			}
			if _, err := server.WriteToUDPAddrPort(q, from); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(p); err != nil || n != size {
				t.Fatal(n, err)
			}
		}
		for range 1000 {
			round()
		}
		if n := testing.AllocsPerRun(1000, round); n != 0 {
			t.Errorf("%v allocations for %d octets each way", n, size)
		}
	}
}
