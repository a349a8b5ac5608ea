package vitro_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// Users of every kind, over a link that loses, doubles, reorders and damages: what an echo
// gives back is what was sent, whoever resets, gives up or goes away in between; and in the
// end nothing is left, no connection, no buffer, no goroutine.
func TestChaos(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			odds := link.Odds{Drop: 0.02, Corrupt: 0.01, Duplicate: 0.02, Reorder: 0.05, Delay: 3 * time.Millisecond, Jitter: time.Millisecond}
			la, lb := link.Pair(0)
			a, b := join(t, vitro.Config{Seed: seed + 1, SendBuffer: 32 << 10, ReceiveBuffer: 32 << 10},
				link.Fault(la, link.FaultConfig{Seed: seed, Out: odds, In: odds}), lb)
			l, err := b.ListenTCP("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			var servers sync.WaitGroup
			servers.Go(func() {
				for {
					c, err := l.AcceptTCP()
					if err != nil {
						return
					}
					servers.Go(func() {
						io.Copy(c, c)
						c.Close()
					})
				}
			})
			var clients sync.WaitGroup
			var whole atomic.Int32
			for i := range 20 {
				clients.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 5 {
						if user(t, a, rng) {
							whole.Add(1)
						}
					}
				})
			}
			clients.Wait()
			if n := whole.Load(); n < 30 {
				t.Errorf("%d of 100 echoes came back whole; about half should", n)
			}
			l.Close()
			servers.Wait()
			time.Sleep(20 * time.Minute) // user timeout, FIN-WAIT-2, 2 MSL: whatever waits
			for name, s := range map[string]*vitro.Stack{"client": a, "server": b} {
				for _, st := range s.Connections() {
					t.Errorf("the %s still has %v in %v", name, st.Flow, st.State)
				}
				if n := s.Stats().Buffers; n != 0 {
					t.Errorf("the %s still has %d octets of buffers", name, n)
				}
			}
		})
	}
}

// user is one connection of one of several kinds of users, and reports whether it was
// served to the end.
func user(t *testing.T, s *vitro.Stack, rng *rand.Rand) bool {
	c, err := s.DialTCP(t.Context(), "tcp", "10.0.0.2:80")
	if err != nil {
		t.Errorf("Dial: %v", err)
		return false
	}
	kind := rng.IntN(6)
	p := make([]byte, rng.IntN(200<<10))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		if _, err := c.Write(p); err == nil {
			c.CloseWrite()
		}
	})
	defer writer.Wait()
	defer c.Close()
	patience := time.Duration(rng.Int64N(int64(50 * time.Millisecond)))
	switch kind {
	case 0: // resets after a while
		time.Sleep(patience)
		c.SetLinger(0)
		return false
	case 1: // goes away without reading
		time.Sleep(patience)
		return false
	case 2: // loses patience, and looks again
		c.SetReadDeadline(time.Now().Add(patience))
	}
	for got := p; ; {
		q := make([]byte, 1+rng.IntN(10_000))
		n, err := c.Read(q)
		if n > len(got) || string(q[:n]) != string(got[:n]) {
			t.Errorf("%d octets of the echo are not what was sent", n)
			return false
		}
		got = got[n:]
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.SetReadDeadline(time.Time{})
		case err == io.EOF:
			if len(got) > 0 {
				t.Errorf("the echo ends %d octets early", len(got))
			}
			return true
		case err != nil:
			t.Errorf("Read: %v", err)
			return false
		}
	}
}
