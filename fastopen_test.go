package vitro_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// far is a pair of Stacks 10 ms from each other. What lose says is lost.
func far(t *testing.T, lose func(link.Direction, *wire.Packet) bool) (a, b *vitro.Stack) {
	la, lb := link.Pair(0)
	return join(t, vitro.Config{}, link.Fault(la, link.FaultConfig{Rule: func(d link.Direction, p *wire.Packet) link.Verdict {
		return link.Verdict{Delay: 10 * time.Millisecond, Drop: lose != nil && lose(d, p)}
	}}), lb)
}

// fastServer answers each connection of B, port 80, by "you said " and what it reads first.
func fastServer(t *testing.T, b *vitro.Stack, n int) *vitro.Listener {
	t.Helper()
	l, err := (&vitro.ListenConfig{Stack: b, FastOpen: n}).ListenTCP(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p := make([]byte, 100)
				n, err := c.Read(p)
				if err != nil {
					t.Error(err)
				}
				io.WriteString(c, "you said "+string(p[:n]))
				io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l
}

// askFast dials with a text, and returns the answer and what came of Fast Open.
func askFast(t *testing.T, a *vitro.Stack, text string) (string, tcp.FastOpen) {
	t.Helper()
	c, err := a.DialFastOpen(t.Context(), "tcp", "10.0.0.2:80", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := make([]byte, 100)
	n, err := io.ReadAtLeast(c, p, len("you said ")+len(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(p[:n]), c.Status().FastOpen
}

// The first DialFastOpen has its answer after two round trips, each later one after one.
func TestDialFastOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := far(t, nil)
		fastServer(t, b, 10)
		for i, tc := range []struct {
			takes time.Duration
			did   tcp.FastOpen
		}{
			{40 * time.Millisecond, tcp.FastOpen{Asked: true}},
			{20 * time.Millisecond, tcp.FastOpen{Sent: 5, Acked: 5}},
			{20 * time.Millisecond, tcp.FastOpen{Sent: 5, Acked: 5}},
		} {
			answer := takes(t, "the answer", tc.takes, func() string {
				answer, did := askFast(t, a, "hello")
				if did != tc.did {
					t.Errorf("connection %d: %+v", i, did)
				}
				return answer
			})
			if answer != "you said hello" {
				t.Errorf("connection %d: the answer is %q", i, answer)
			}
		}
	})
}

// A listener without FastOpen takes it all the same, a round trip later, and is not asked again at
// once; a network that loses what is unusual costs a second, once.
func TestDialFastOpenWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := far(t, nil)
		fastServer(t, b, 0)
		for i, asked := range []bool{true, false} {
			takes(t, "the answer", 40*time.Millisecond, func() any {
				if answer, did := askFast(t, a, "hello"); answer != "you said hello" || did != (tcp.FastOpen{Asked: asked}) {
					t.Errorf("connection %d: %q, %+v", i, answer, did)
				}
				return nil
			})
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := far(t, func(_ link.Direction, p *wire.Packet) bool {
			var ip wire.IP
			var seg wire.Segment
			wire.ParseIP(p.Bytes(), &ip)
			return wire.ParseTCP(ip.Payload, &seg) == wire.FaultNone && seg.Options.Has(wire.HasFastOpen)
		})
		fastServer(t, b, 10)
		for _, want := range []time.Duration{time.Second + 40*time.Millisecond, 40 * time.Millisecond} {
			takes(t, "the answer", want, func() any { askFast(t, a, "hello"); return nil })
		}
	})
}

// DialFastOpen writes all, as Write would; its context ends the writing too, and nothing is left.
func TestDialFastOpenWritesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := far(t, nil)
		l, err := (&vitro.ListenConfig{Stack: b, FastOpen: 10}).ListenTCP(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte("0123456789"), 500_000)
		for range 2 {
			got := make(chan []byte)
			go func() {
				c, _ := l.Accept()
				p, _ := io.ReadAll(c)
				c.Close()
				got <- p
			}()
			c, err := a.DialFastOpen(t.Context(), "tcp", "10.0.0.2:80", data)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if p := <-got; !bytes.Equal(p, data) {
				t.Errorf("%d octets arrive", len(p))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		takes(t, "DialFastOpen to who does not read", 5*time.Second, func() any {
			_, err := a.DialFastOpen(ctx, "tcp", "10.0.0.2:80", data)
			var op *net.OpError
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &op) || op.Op != "dial" {
				t.Errorf("the error is %v", err)
			}
			return nil
		})
		if n := a.Stats().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// The server may close at once: what it has written arrives, and whoever has not read is told by a
// reset, before the handshake's end as after it.
func TestFastOpenServerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := far(t, nil)
		l, err := (&vitro.ListenConfig{Stack: b, FastOpen: 10}).ListenTCP(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for i := 0; ; i++ {
				c, err := l.AcceptTCP()
				if err != nil {
					return
				}
				if i < 2 {
					c.Read(make([]byte, 100))
					io.WriteString(c, "bye")
				}
				c.Close()
			}
		}()
		for range 2 {
			c, err := a.DialFastOpen(t.Context(), "tcp", "10.0.0.2:80", []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			if p, err := io.ReadAll(c); string(p) != "bye" || err != nil {
				t.Errorf("read %q, %v", p, err)
			}
			c.Close()
		}
		c, err := a.DialFastOpen(t.Context(), "tcp", "10.0.0.2:80", []byte("hello"))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		wantErr(t, "who is not read", err, syscall.ECONNRESET)
		time.Sleep(time.Hour)
		if x, y := a.Stats(), b.Stats(); x.Connections+y.Connections+y.FastOpen != 0 {
			t.Errorf("%d and %d connections are left", x.Connections, y.Connections)
		}
		l.Close()
	})
}

// What Dial refuses DialFastOpen refuses in the same way.
func TestDialFastOpenErrors(t *testing.T) {
	a, _ := pair(t, vitro.Config{})
	_, err := a.DialFastOpen(t.Context(), "tcp", "10.0.0.2:81", []byte("hello"))
	wantErr(t, "nobody listens", err, syscall.ECONNREFUSED)
	_, err = (&vitro.Dialer{}).DialFastOpen(t.Context(), "tcp", "10.0.0.2:81", nil)
	wantErr(t, "no Stack", err, syscall.EINVAL)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.DialFastOpen(ctx, "tcp", "10.0.0.2:81", nil)
	wantErr(t, "a context that has ended", err, context.Canceled)
}
