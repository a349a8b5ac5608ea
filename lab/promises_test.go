package lab_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// What package net promises of a connection, where the network is slow, loses and is cut.

// takes wants f to take between least and most.
func takes(t *testing.T, what string, least, most time.Duration, f func() error) error {
	t.Helper()
	start := time.Now()
	err := f()
	if d := time.Since(start); d < least || d > most {
		t.Errorf("%s took %v; want %v to %v", what, d, least, most)
	}
	return err
}

const ms = time.Millisecond

// slow is 20 ms each way.
var slow = lab.Link{Delay: 20 * ms}

// A Read that gives up loses nothing: what was lost on the way comes later, to another Read.
func TestReadDeadline(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		c, s := connect(t, n.Host("client"), n.Host("server"))
		n.Rule(lab.First(2, lab.Text).From("server").Drop()) // the tail loss probe too
		io.WriteString(s, "late")
		c.SetReadDeadline(time.Now().Add(100 * ms))
		p := make([]byte, 10)
		wantErr(t, "Read", takes(t, "Read", 100*ms, 100*ms, func() error { _, err := c.Read(p); return err }), os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		k, err := c.Read(p)
		if string(p[:k]) != "late" || err != nil {
			t.Errorf("then it read %q, %v", p[:k], err)
		}
	})
}

// A Write that gives up says how much it has queued, and all of that arrives, once the way is open
// again, and nothing else.
func TestWriteDeadline(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client", vitro.Config{SendBuffer: 64 << 10})
		c, s := connect(t, client, server)
		cut := n.Partition("client", "server")
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		var k int
		wantErr(t, "Write", takes(t, "Write", time.Minute, time.Minute, func() (err error) {
			k, err = c.Write(bytes.Repeat([]byte("0123456789"), 100_000))
			return err
		}), os.ErrDeadlineExceeded)
		if k != 64<<10 {
			t.Errorf("%d octets were queued; the send buffer is 64 KiB", k)
		}
		cut.Heal()
		wantErr(t, "CloseWrite", c.CloseWrite(), nil)
		got, err := io.ReadAll(s)
		if len(got) != k || err != nil {
			t.Errorf("%d octets arrived, %v; %d were queued", len(got), err, k)
		}
	}, lab.Strict())
}

// A request that ends by CloseWrite, and an answer after it: what is lost, a FIN among it, changes
// nothing but the time.
func TestCloseWrite(t *testing.T) {
	const size = 300_000
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 20 * ms, Jitter: 5 * ms, Loss: 0.03, Reorder: 0.02, Duplicate: 0.01})
		c, s := connect(t, n.Host("client"), n.Host("server"))
		n.Rule(lab.First(2, lab.FIN).Drop())
		go func() {
			k, err := io.Copy(io.Discard, s)
			if k != size || err != nil {
				t.Errorf("the server read %d octets, %v", k, err)
			}
			s.Write(make([]byte, 2*size))
			s.Close()
		}()
		c.Write(make([]byte, size))
		wantErr(t, "CloseWrite", c.CloseWrite(), nil)
		_, err := c.Write([]byte("x"))
		wantErr(t, "Write after it", err, syscall.EPIPE)
		k, err := io.Copy(io.Discard, c)
		if k != 2*size || err != nil {
			t.Errorf("the client read %d octets, %v", k, err)
		}
		c.Close()
	}, lab.Seeds(20))
}

// Close with SetLinger(10) returns when the peer has acknowledged the FIN: after a round trip, after
// more when it was lost, and after 10 s without an answer; what was written arrives all the same.
func TestLinger(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client")
		for _, tc := range []struct {
			what        string
			harm        func() (mend func())
			least, most time.Duration
		}{
			{"a round trip", func() func() { return func() {} }, 40 * ms, 41 * ms},
			{"a lost FIN", func() func() { return n.Rule(lab.First(1, lab.FIN).Drop()).Remove }, 80 * ms, time.Second},
			{"a partition", func() func() { return n.Partition("client", "server").Heal }, 10 * time.Second, 10 * time.Second},
		} {
			c, s := connect(t, client, server)
			c.SetLinger(10)
			mend := tc.harm()
			io.WriteString(c, "the end")
			wantErr(t, tc.what, takes(t, "Close with "+tc.what, tc.least, tc.most, c.Close), nil)
			mend()
			if got, err := io.ReadAll(s); string(got) != "the end" || err != nil {
				t.Errorf("%s: the server read %q, %v", tc.what, got, err)
			}
			s.Close()
		}
	})
}

// SetLinger(0) makes of Close a reset, at once. When it is lost the peer learns of it by its next
// segment, and when it sends none, not at all: but for its keep-alives.
func TestLingerZero(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client")
		reset := func(s, c *vitro.Conn) {
			t.Helper()
			c.SetLinger(0)
			wantErr(t, "Close", takes(t, "Close", 0, 0, c.Close), nil)
		}
		reading := func(s *vitro.Conn) func() error {
			return func() error { _, err := s.Read(make([]byte, 1)); return err }
		}
		c, s := connect(t, client, server)
		io.WriteString(c, "lost")
		reset(s, c)
		time.Sleep(time.Second)
		if k, err := s.Read(make([]byte, 10)); k != 4 || err != nil {
			t.Errorf("what came before the reset: %d octets, %v", k, err) // see keepReceived in ARCHITECTURE.md
		}
		wantErr(t, "then", reading(s)(), syscall.ECONNRESET)

		n.Rule(lab.First(1, lab.RST).From("client").Drop())
		c, s = connect(t, client, server)
		reset(s, c)
		io.WriteString(s, "are you there?")
		wantErr(t, "Read after a lost reset", takes(t, "Read", 40*ms, 41*ms, reading(s)), syscall.ECONNRESET)

		n.Rule(lab.First(1, lab.RST).From("client").Drop())
		c, s = connect(t, client, server)
		reset(s, c)
		wantErr(t, "Read of who is silent", takes(t, "Read", 15*time.Second, 16*time.Second, reading(s)), syscall.ECONNRESET)
	})
}

// A peer that has crashed is found by keep-alives, with package net's defaults: 15 s of silence and
// nine probes.
func TestKeepAlive(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client")
		c, _ := connect(t, client, server)
		server.Crash()
		wantErr(t, "Read", takes(t, "Read", 150*time.Second-time.Second, 151*time.Second, func() error {
			_, err := c.Read(make([]byte, 1))
			return err
		}), syscall.ETIMEDOUT)
	})
}

// A context ends Dial at once, whatever has become of the SYN, and nothing follows.
func TestDialContext(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client")
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		n.Rule(lab.SYNACK.From("server").Drop())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		wantErr(t, "Dial", takes(t, "Dial", 2*time.Second, 2*time.Second, func() error {
			_, err := client.DialContext(ctx, "tcp", "server:80")
			return err
		}), context.Canceled)
		if got := client.Connections(); len(got) != 0 {
			t.Errorf("it has left %v", got)
		}
		l.Close()
	})
}

// With DualStack a name has both addresses, and an IPv6 that leads nowhere costs Dial 250 ms: Happy
// Eyeballs, RFC 8305.
func TestDialRace(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(slow)
		server, client := n.Host("server"), n.Host("client")
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				s, err := l.Accept()
				if err != nil {
					return
				}
				s.Close()
			}
		}()
		dial := func(want net.IP, least, most time.Duration) {
			t.Helper()
			takes(t, "Dial", least, most, func() error {
				c, err := client.Dial("tcp", "server:80")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if got := c.RemoteAddr().(*net.TCPAddr).IP; !got.Equal(want) {
					t.Errorf("reached %v; want %v", got, want)
				}
				return nil
			})
		}
		dial(server.Addr6().AsSlice(), 40*ms, 41*ms)
		v6 := lab.Any.If(func(p *lab.Packet) bool { return !p.Flow.Local.Is4() })
		hole := n.Rule(v6.Drop())
		dial(server.Addr().AsSlice(), 290*ms, 291*ms)
		hole.Remove()
		n.Rule(v6.Delay(500 * ms)) // too late
		dial(server.Addr().AsSlice(), 290*ms, 291*ms)
		l.Close()
		time.Sleep(2 * time.Minute)
		if got := n.Netstat(); strings.Contains(got, ":80 ") {
			t.Errorf("the races have left something:\n%s", got)
		}
	}, lab.DualStack())
}
