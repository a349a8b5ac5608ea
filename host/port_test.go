package host_test

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// slow is a link whose Attach waits, before or after the link beneath has the receiver.
type slow struct {
	link.Link
	first, last     chan struct{}
	sent, sentEarly atomic.Int32
	attached        atomic.Bool
	closed          atomic.Bool
}

func newSlow(l link.Link) *slow {
	return &slow{Link: l, first: make(chan struct{}), last: make(chan struct{})}
}

func (s *slow) Attach(r link.Receiver) error {
	<-s.first
	err := s.Link.Attach(r)
	<-s.last
	s.attached.Store(true)
	return err
}

func (s *slow) Send(batch []wire.Packet) error {
	s.sent.Add(1)
	if !s.attached.Load() {
		s.sentEarly.Add(1)
	}
	return s.Link.Send(batch)
}

func (s *slow) Close() error {
	s.closed.Store(true)
	return s.Link.Close()
}

func dial(h *host.Host, to string) (*host.Conn, error) {
	return h.Dial(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort(to), host.DialConfig{})
}

// Until a link's Attach has returned no route leads to it, and its addresses are taken.
func TestNoSendBeforeAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := host.New(host.Config{}), host.New(host.Config{Stack: stack.Config{Secret: [16]byte{1}}})
		defer a.Close()
		defer b.Close()
		la, lb := link.Pair(0)
		if err := b.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.2/24")}); err != nil {
			t.Fatal(err)
		}
		l := newSlow(la)
		close(l.first)
		done := make(chan error)
		go func() { done <- a.Attach(l, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}) }()
		synctest.Wait()
		if _, err := dial(a, "10.0.0.2:80"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("Dial before Attach has returned: %v; want ENETUNREACH", err)
		}
		other, _ := link.Pair(0)
		if err := a.Attach(other, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("another link with the address: %v; want EADDRINUSE", err)
		}
		if n := l.sent.Load(); n != 0 {
			t.Errorf("Send was called %d times before Attach had returned", n)
		}
		close(l.last)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := dial(a, "10.0.0.2:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v; want ECONNREFUSED", err)
		}
		if l.sentEarly.Load() != 0 {
			t.Error("Send was called early")
		}
	})
}

// A link that delivers can send: what comes before its Attach has returned is answered.
func TestArrivalBeforeAttachHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := host.New(host.Config{}), host.New(host.Config{Stack: stack.Config{Secret: [16]byte{1}}})
		defer a.Close()
		defer b.Close()
		la, lb := link.Pair(0)
		if err := b.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.2/24")}); err != nil {
			t.Fatal(err)
		}
		l := newSlow(la)
		close(l.first)
		done := make(chan error)
		go func() { done <- a.Attach(l, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}) }()
		synctest.Wait()
		begin := time.Now()
		if _, err := dial(b, "10.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) != 0 {
			t.Errorf("Dial from the other end: %v after %v; want ECONNREFUSED at once", err, time.Since(begin))
		}
		close(l.last)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A link whose Attach is under way when the host is closed is the caller's still.
func TestCloseDuringAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, delivered := range []bool{false, true} {
			a, b := host.New(host.Config{}), host.New(host.Config{Stack: stack.Config{Secret: [16]byte{1}}})
			la, lb := link.Pair(0)
			if err := b.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.2/24")}); err != nil {
				t.Fatal(err)
			}
			l := newSlow(la)
			if delivered {
				close(l.first)
			}
			done := make(chan error)
			go func() { done <- a.Attach(l, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}) }()
			synctest.Wait()
			if delivered {
				if _, err := dial(b, "10.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Error(err)
				}
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			if !delivered {
				close(l.first)
			}
			close(l.last)
			if err := <-done; !errors.Is(err, host.ErrClosed) {
				t.Errorf("Attach: %v; want ErrClosed", err)
			}
			if l.closed.Load() {
				t.Error("the host has closed a link that is not its own")
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			b.Close()
		}
	})
}

// A link that somebody else has closed is found when something is to be sent: it is taken away
// as one that has ended by itself, and Down is told once.
func TestLinkClosedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := host.New(host.Config{})
		defer a.Close()
		la, _ := link.Pair(0)
		down := make(chan error, 2)
		config := host.LinkConfig{Addresses: prefixes("10.0.0.1/24"), Down: func(err error) { down <- err }}
		if err := a.Attach(la, config); err != nil {
			t.Fatal(err)
		}
		la.Close()
		dialed := make(chan error, 1)
		go func() {
			_, err := dial(a, "10.0.0.2:80")
			dialed <- err
		}()
		synctest.Wait()
		if len(down) != 1 {
			t.Fatalf("Down was called %d times", len(down))
		}
		if err := <-down; !errors.Is(err, link.ErrClosed) {
			t.Errorf("Down: %v; want link.ErrClosed", err)
		}
		if _, err := dial(a, "10.0.0.2:80"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("Dial: %v; want ENETUNREACH", err)
		}
		lc, _ := link.Pair(0)
		if err := a.Attach(lc, config); err != nil {
			t.Errorf("another with the same address: %v", err)
		}
		if err := <-dialed; !errors.Is(err, syscall.ETIMEDOUT) || len(down) != 0 {
			t.Errorf("the Dial under way: %v; Down was called %d times more", err, len(down))
		}
	})
}

// Detach takes a link away and closes it; another carries its connections on.
func TestDetach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		a, b := join(t, la, lb)
		c, s := connect(t, a, b)
		stranger, _ := link.Pair(0)
		if err := a.Detach(stranger); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("a link that is not attached: %v; want ENODEV", err)
		}
		if err := a.Detach(nil); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("no link: %v; want ENODEV", err)
		}
		if err := a.Detach(la); err != nil {
			t.Fatal(err)
		}
		if err := la.Send(nil); !errors.Is(err, link.ErrClosed) {
			t.Errorf("it is not closed: %v", err)
		}
		if err := a.Detach(la); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("a second time: %v; want ENODEV", err)
		}
		if _, err := dial(a, "10.0.0.2:80"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("Dial: %v; want ENETUNREACH", err)
		}
		synctest.Wait() // the other end has gone with it, and b has learned of it
		la, lb = link.Pair(0)
		for h, l := range map[*host.Host]link.Link{a: la, b: lb} {
			addr := "10.0.0.1/24"
			if h == b {
				addr = "10.0.0.2/24"
			}
			if err := h.Attach(l, host.LinkConfig{Addresses: prefixes(addr)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Read: %d, %v", n, err)
		}
		a.Close()
		if err := a.Detach(la); !errors.Is(err, host.ErrClosed) {
			t.Errorf("after Close: %v; want ErrClosed", err)
		}
	})
}
