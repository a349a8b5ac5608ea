package loopback

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Sources are chosen as Linux chooses them, and a network knows who hears where.
func TestUDPAddresses(t *testing.T) {
	n := network(t, world(t, nil))
	for _, c := range []struct{ listen, dial, from string }{
		{"127.0.0.2:53", "127.0.0.2:53", "127.0.0.1"},
		{"[::1]:53", "[::1]:53", "::1"},
		{"[::]:53", "127.0.0.9:53", "127.0.0.1"},
		{"0.0.0.0:53", "0.0.0.0:53", "127.0.0.1"},
	} {
		if n.Hears(ap(c.dial)) {
			t.Errorf("somebody hears at %s before there is a socket", c.dial)
		}
		s, err := n.ListenUDP(ap(c.listen), false)
		if err != nil {
			t.Fatal(err)
		}
		if !n.Hears(ap(c.dial)) {
			t.Errorf("nobody hears at %s", c.dial)
		}
		d, err := n.DialUDP(netip.AddrPort{}, ap(c.dial))
		if err != nil {
			t.Fatal(err)
		}
		all, err := n.ListenUDP(ap("[::]:0"), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []*UDP{d, all} {
			to := netip.AddrPort{}
			if u == all {
				to = ap(c.dial)
			}
			if err := n.Send(u, []byte("x"), to, nil); err != nil {
				t.Fatal(err)
			}
			got, err := s.ReadFrom(make([]byte, 1))
			if err != nil || got.From.Addr().String() != c.from || got.From.Port() != u.LocalAddr().Port() {
				t.Errorf("to %s from %v: it comes from %v, %v; want %s", c.dial, u.LocalAddr(), got.From, err, c.from)
			}
			_ = u.Close()
		}
		_ = s.Close()
	}
	if _, err := n.DialUDP(ap("[::1]:0"), ap("127.0.0.1:80")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a socket from ::1 to 127.0.0.1 gives %v; want EINVAL", err)
	}
}

// Datagrams take the way of their addresses, and TryReadFrom does not wait for them.
func TestUDPOverTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, world(t, map[string]string{EnvLink: "delay=50ms"}))
		s, err := n.ListenUDP(ap("127.0.0.2:53"), false)
		if err != nil {
			t.Fatal(err)
		}
		c, err := n.DialUDP(netip.AddrPort{}, ap("127.0.0.2:53"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := n.Send(c, []byte("x"), netip.AddrPort{}, &Via{TC: 2}); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := s.TryReadFrom(b); err != syscall.EAGAIN {
			t.Errorf("before it has come: %v; want EAGAIN", err)
		}
		d, err := s.ReadFrom(b)
		if took := time.Since(start).Round(time.Millisecond); err != nil || took != 50*time.Millisecond || d.TC != 2 {
			t.Errorf("it comes after %v with traffic class %d, %v; want 50ms and 2", took, d.TC, err)
		}
		if n.MTU() != 1500 {
			t.Errorf("the MTU is %d; want that of the link, 1500", n.MTU())
		}
	})
}
