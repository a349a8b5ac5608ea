package sim_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Requests by TCP Fast Open over paths that lose, double and reorder: each is read whole and once, each
// has its answer, and nothing is left. Without losses all but the first have it after one round trip.
func TestFastOpenRequests(t *testing.T) {
	const requests, size = 100, 20_000
	for _, path := range []sim.PathConfig{
		{Delay: delay},
		{Delay: delay, Loss: 0.1, Duplicate: 0.1, Reorder: 0.2, ReorderBy: delay},
		{Delay: delay, Loss: 0.15},
	} {
		w, a, b := two(t, 7, sim.LinkConfig{Path: path})
		w.At(0, func() {
			l, err := b.Listen(server, stack.ListenOptions{FastOpen: 50})
			if err != nil {
				t.Fatal(err)
			}
			l.OnAccept(func(c *sim.Conn) { answerOnce(t, c, size) })
		})
		answered, quick := 0, 0
		for i := range requests {
			w.At(time.Duration(i+1)*2*time.Minute, func() {
				began := w.Now()
				askOnce(t, a, fmt.Sprintf("request %3d\n", i), size, func(first tcp.Time) {
					answered++
					if first.Sub(began) < 3*delay {
						quick++
					}
				})
			})
		}
		w.RunFor(5 * time.Hour)
		x, y := a.Stats(), b.Stats()
		t.Logf("loss %v: %d of %d answered, %d after one round trip; %d SYNs had text, %d were acknowledged so", path.Loss, answered, requests, quick, x.FastOpenSent, x.FastOpenAcked)
		if answered != requests || y.FastOpenTaken < x.FastOpenAcked {
			t.Errorf("loss %v: %d answered, %d SYNs with text, %d taken", path.Loss, answered, x.FastOpenSent, y.FastOpenTaken)
		}
		if path.Loss == 0 && (quick != requests-1 || x.FastOpenAcked != requests-1) {
			t.Errorf("without loss %d are quick, %d SYNs acknowledged with text", quick, x.FastOpenAcked)
		}
		if path.Loss > 0 && (x.FastOpenAcked == 0 || x.FastOpenSent == requests) {
			t.Errorf("loss %v: of %d SYNs with text %d were acknowledged: the test tests less than it says", path.Loss, x.FastOpenSent, x.FastOpenAcked)
		}
		if x.Connections+y.Connections+y.FastOpen != 0 {
			t.Errorf("loss %v: %d and %d connections are left, %d pending", path.Loss, x.Connections, y.Connections, y.FastOpen)
		}
	}
}

// readAll takes all that is at hand, and the error behind it.
func readAll(c *sim.Conn) (got []byte, err error) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Receive(buf)
		if got = append(got, buf[:n]...); n == 0 || err != nil {
			return got, err
		}
	}
}

// answerOnce reads a line, answers by size octets, and closes.
func answerOnce(t *testing.T, c *sim.Conn, size int) {
	const whole = len("request   0\n")
	had := 0
	c.OnSignal(func(tcp.Signal) {
		got, err := readAll(c)
		if had += len(got); had > whole {
			t.Errorf("the server reads %d octets, %q at last", had, got)
		}
		if had == whole && len(got) > 0 {
			c.Send(make([]byte, size))
			c.Close()
		}
		if err != nil {
			c.OnSignal(nil)
			c.Release()
		}
	})
}

// askOnce sends a request with its SYN, or when it can, and tells when the first octet of the answer
// has come, once all of it has.
func askOnce(t *testing.T, h *sim.Host, request string, size int, done func(first tcp.Time)) {
	c, err := h.Dial(netip.AddrPort{}, server, stack.ConnOptions{FastOpen: true, NoDelay: true})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Send([]byte(request)); n != len(request) || err != nil {
		t.Fatal(n, err)
	}
	had, first := 0, tcp.Time(0)
	c.OnSignal(func(tcp.Signal) {
		got, err := readAll(c)
		if had += len(got); had > 0 && first == 0 {
			first = h.World().Now()
		}
		if err == nil {
			return
		}
		if had == size && err == tcp.ErrClosing {
			done(first)
		} else {
			t.Errorf("%q has %d octets of answer, %v", request, had, err)
		}
		c.Close()
		c.OnSignal(nil)
		c.Release()
	})
}
