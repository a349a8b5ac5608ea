package vitro_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// mortal is a link that ends when the test says so.
type mortal struct {
	link.Link
	receiver link.Receiver
	closed   bool
}

func (m *mortal) Attach(r link.Receiver) error { m.receiver = r; return m.Link.Attach(r) }
func (m *mortal) Close() error                 { m.closed = true; return m.Link.Close() }

func (m *mortal) end(err error) { m.receiver.(link.DownReceiver).Down(err) }

// attach attaches l with addr, and returns what tells of its end.
func attach(t *testing.T, s *vitro.Stack, l link.Link, addr netip.Prefix) <-chan error {
	t.Helper()
	down := make(chan error, 9)
	err := s.Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{addr}, Down: func(err error) { down <- err }})
	if err != nil {
		t.Fatal(err)
	}
	return down
}

// stacks returns two Stacks without links.
func stacks(t *testing.T) (a, b *vitro.Stack) {
	t.Helper()
	var both [2]*vitro.Stack
	for i := range both {
		s, err := vitro.New(vitro.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		both[i] = s
	}
	return both[0], both[1]
}

// The other end of a pair is closed: the user is told, new connections have no route, and
// those that are there go the way of the kernel's, until the user timeout.
func TestPeerEndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := stacks(t)
		la, lb := link.Pair(0)
		down := attach(t, a, la, addrA)
		attach(t, b, lb, addrB)
		c, _ := connect(t, a, b)
		lb.Close()
		wantErr(t, "Down", <-down, link.ErrClosed)
		for range 2 {
			_, err := takes2(t, "Dial", 0, func() (net.Conn, error) { return a.Dial("tcp", "10.0.0.2:80") })
			wantErr(t, "Dial", err, syscall.ENETUNREACH)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("Write: %v; want that it is queued", err)
		}
		wantErr(t, "Read", takes(t, "Read", 5*time.Minute, read(c)), syscall.ETIMEDOUT)
		synctest.Wait()
		if len(down) != 0 {
			t.Errorf("told again: %v", <-down)
		}
	})
}

// takes2 is takes for two results.
func takes2[A, B any](t *testing.T, what string, want time.Duration, f func() (A, B)) (a A, b B) {
	t.Helper()
	takes(t, what, want, func() bool { a, b = f(); return true })
	return a, b
}

// A link that has ended is closed and makes room for another with the same address, by which
// connections go on.
func TestLinkReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := stacks(t)
		la, lb := link.Pair(0)
		ends := [2]*mortal{{Link: la}, {Link: lb}}
		downA, downB := attach(t, a, ends[0], addrA), attach(t, b, ends[1], addrB)
		c, s := connect(t, a, b)
		cause := errors.New("unplugged")
		for _, e := range ends {
			e.end(cause)
		}
		wantErr(t, "Down", <-downA, cause)
		wantErr(t, "Down", <-downB, cause)
		if !ends[0].closed || !ends[1].closed {
			t.Error("a link that has ended is left open")
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		la, lb = link.Pair(0)
		attach(t, a, la, addrA)
		attach(t, b, lb, addrB)
		p := make([]byte, 9)
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if n, err := s.Read(p); string(p[:n]) != "x" || err != nil {
			t.Errorf("by the new link comes %q, %v", p[:n], err)
		}
		d, _ := connect(t, a, b)
		if _, err := d.Write([]byte("y")); err != nil {
			t.Error(err)
		}
	})
}

// Down may close the Stack, and a Stack that is closed tells nobody.
func TestCloseWithinDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stacks(t)
		la, lb := link.Pair(0)
		closed := make(chan error, 1)
		err := s.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{addrA}, Down: func(error) { closed <- s.Close() }})
		if err != nil {
			t.Fatal(err)
		}
		lb.Close()
		wantErr(t, "Close within Down", <-closed, nil)

		s, _ = stacks(t)
		la, lb = link.Pair(0)
		down := attach(t, s, la, addrA)
		s.Close()
		lb.Close()
		synctest.Wait()
		if len(down) != 0 {
			t.Errorf("a closed Stack tells %v", <-down)
		}
	})
}

// Who attaches a link that has ended already is told too.
func TestAttachOfDeadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stacks(t)
		la, lb := link.Pair(0)
		lb.Close()
		wantErr(t, "Down", <-attach(t, s, la, addrA), link.ErrClosed)
		_, err := s.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "Dial", err, syscall.ENETUNREACH)
	})
}

// Detach is the user's own way to take a link away: nobody is told.
func TestDetach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stacks(t)
		la, _ := link.Pair(0)
		l := &mortal{Link: la}
		err := s.Detach(l)
		wantErr(t, "Detach before Attach", err, syscall.ENODEV)
		down := attach(t, s, l, addrA)
		wantErr(t, "Detach", s.Detach(l), nil)
		synctest.Wait()
		if !l.closed || len(down) != 0 {
			t.Errorf("closed: %v; Down was called %d times", l.closed, len(down))
		}
		_, err = s.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "Dial", err, syscall.ENETUNREACH)
		other, _ := link.Pair(0)
		attach(t, s, other, addrA) // the address is free
	})
}
