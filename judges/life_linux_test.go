package judges_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Nothing is left of connections that have ended: neither in vitro's tables and buffers, nor
// a goroutine, nor a socket of the kernel. No test runs beside this one.
func TestKernelLeavesNothing(t *testing.T) {
	const (
		connections = 5000
		atOnce      = 16
	)
	eachWay(t, setup{config: vitro.Config{MSL: 50 * time.Millisecond}}, func(t *testing.T, s setup, d way) {
		w := newWorld(t, s)
		dials, listens, at := d.sides(w)
		start := runtime.NumGoroutine()
		l, err := listens.Listen(netip.AddrPortFrom(at, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		var server sync.WaitGroup
		server.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				server.Go(func() { echoOnce(t, c) })
			}
		})
		began := time.Now()
		var clients sync.WaitGroup
		for first := range atOnce {
			clients.Go(func() {
				for i := first; i < connections && !t.Failed(); i += atOnce {
					c, err := dials.Dial(l.Addr().String())
					if err != nil {
						t.Errorf("connection %d: %v; %v", i, err, w)
						return
					}
					ask(t, c, i)
				}
			})
		}
		clients.Wait()
		took := time.Since(began)
		l.Close()
		server.Wait()
		t.Logf("%.0f connections/s", connections/took.Seconds())
		eventually(t, "vitro has no connection, record or buffer left", func() bool {
			now := w.stack.Stats()
			return now.Connections+now.TimeWait+now.HalfOpen+now.Orphans+now.Listeners+now.Buffers+now.Fragments == 0 &&
				now.States == [len(now.States)]int{} && len(w.stack.Connections()) == 0
		})
		eventually(t, "the kernel has no socket left but in TIME-WAIT", func() bool {
			used, err := w.ns.Output(exec.Command("cat", "/proc/net/sockstat", "/proc/net/sockstat6"))
			return err == nil && strings.Contains(used, "TCP: inuse 0 ") && strings.Contains(used, "TCP6: inuse 0\n")
		})
		eventually(t, fmt.Sprintf("there are %d goroutines, as at the start", start), func() bool { return runtime.NumGoroutine() <= start })
	})
}

// ask sends a request and reads its echo. Every second client closes first, with a FIN of
// its own; the others let the server do so.
func ask(t *testing.T, c conn, i int) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	request := fmt.Sprintf("%d %d\n", i%2, i)
	if _, err := io.WriteString(c, request); err != nil {
		t.Errorf("connection %d: %v", i, err)
	}
	if i%2 == 1 {
		c.CloseWrite()
	}
	if b, err := io.ReadAll(c); string(b) != request || err != nil {
		t.Errorf("connection %d: read %q, %v; want %q", i, b, err, request)
	}
}

// echoOnce answers a request with itself and closes, after the client where that is to be.
func echoOnce(t *testing.T, c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n := 0
	for n == 0 || b[n-1] != '\n' {
		k, err := c.Read(b[n:])
		if n += k; err != nil {
			t.Errorf("accepted: read %q, %v", b[:n], err)
			return
		}
	}
	if b[0] == '1' {
		if k, err := c.Read(b[n:]); k != 0 || err != io.EOF {
			t.Errorf("accepted: read %d octets, %v; want the FIN", k, err)
		}
	}
	if _, err := c.Write(b[:n]); err != nil {
		t.Errorf("accepted: %v", err)
	}
}

// One side ends what it sends and goes on to read; the other reads the end, and sends for as
// long as it likes (RFC 9293 section 3.6, Figure 12).
func TestKernelHalfClose(t *testing.T) {
	t.Parallel()
	for name, vitroFirst := range map[string]bool{"vitro closes first": true, "the kernel closes first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
				t.Parallel()
				var life states
				s.config = vitro.Config{MSL: 100 * time.Millisecond, Trace: life.trace()}
				w := newWorld(t, s)
				v, k := d.ends(t, vitroSide{w}, kernelSide{w})
				if vitroFirst {
					halfClose(t, w, v, k, v, tcp.FinWait2)
					life.end(t, "ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT CLOSED")
				} else {
					halfClose(t, w, k, v, v, tcp.CloseWait)
					life.end(t, "ESTABLISHED CLOSE-WAIT LAST-ACK CLOSED")
				}
			})
		})
	}
}

// halfClose closes one way, after which vitro is in a state, and then the other.
func halfClose(t *testing.T, w *world, first, other conn, v *vitro.Conn, half tcp.State) {
	io.WriteString(first, "the end")
	if err := first.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(first, "more"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write after CloseWrite: %v, want EPIPE", err)
	}
	if b, err := io.ReadAll(other); string(b) != "the end" || err != nil {
		t.Fatalf("the other reads %q, %v", b, err)
	}
	eventually(t, half.String(), func() bool { return v.Status().State == half })
	transfer(t, w, other, first, 3_000_000, 5) // beyond any buffer
	if err := errors.Join(first.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	eventually(t, "no connection after 2 MSL", func() bool { return len(w.stack.Connections()) == 0 })
}

// states are those that vitro's one connection has been in, in turn.
type states struct {
	mu   sync.Mutex
	been []string
}

func (s *states) trace() *tcp.Trace {
	return &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, _, to tcp.State, _ tcp.Rule) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.been = append(s.been, to.String())
	}}
}

// end compares the life of a connection from its establishment on.
func (s *states) end(t *testing.T, want string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if been := strings.Join(s.been, " "); !strings.HasSuffix(been, want) {
		t.Errorf("vitro has been %s, want %s", been, want)
	}
}

// A reset is what the peer of an impatient user gets, with errors as package net has them,
// and nothing is left at either end.
func TestKernelReset(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]func(t *testing.T, by, peer conn){
		"linger 0": func(t *testing.T, by, _ conn) { by.SetLinger(0) },
		"linger 0 with data on the way": func(t *testing.T, by, _ conn) {
			by.SetLinger(0)
			by.Write(make([]byte, 100_000))
		},
		"unread data": func(t *testing.T, by, peer conn) {
			io.WriteString(peer, "nobody reads this")
			if _, err := io.ReadFull(by, make([]byte, 1)); err != nil { // now it is there
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
				w := newWorld(t, s)
				for _, byVitro := range []bool{true, false} {
					v, k := d.ends(t, vitroSide{w}, kernelSide{w})
					by, peer := conn(v), conn(k)
					if !byVitro {
						by, peer = k, v
					}
					reset(t, by, peer)
					by.Close()
					checkReset(t, fmt.Sprintf("by vitro %v", byVitro), peer)
					peer.Close()
					eventually(t, "no connection is left", func() bool { return len(w.stack.Connections()) == 0 })
				}
			})
		})
	}
}

// checkReset sees to it that the peer of a reset reads ECONNRESET, once, and then cannot
// write.
func checkReset(t *testing.T, what string, peer conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, peer)
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) {
		t.Errorf("%s: the peer reads %v, want ECONNRESET", what, err)
	}
	if _, err := peer.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%s: the peer writes after it: %v, want EPIPE", what, err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%s: the peer reads again: %d, %v, want EOF", what, n, err)
	}
}

// What is sent to who has closed is answered by a reset too (RFC 9293 section 3.6.1): the
// sender has read the end, and reads it again, but can write no more.
func TestKernelResetAfterClose(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		w := newWorld(t, s)
		for _, byVitro := range []bool{true, false} {
			v, k := d.ends(t, vitroSide{w}, kernelSide{w})
			by, peer := conn(v), conn(k)
			if !byVitro {
				by, peer = k, v
			}
			by.Close()
			var err error
			eventually(t, "the peer cannot write", func() bool {
				if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Fatalf("by vitro %v: read %d, %v, want EOF", byVitro, n, err)
				}
				_, err = peer.Write([]byte("nobody is there to read this"))
				return err != nil
			})
			if !errors.Is(err, syscall.EPIPE) {
				t.Errorf("by vitro %v: %v, want EPIPE", byVitro, err)
			}
			peer.Close()
			eventually(t, "no connection is left", func() bool { return len(w.stack.Connections()) == 0 })
		}
	})
}

// Who waits in Write when the peer resets is told so.
func TestKernelResetWakesWriter(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		w := newWorld(t, s)
		for _, byVitro := range []bool{true, false} {
			v, k := d.ends(t, vitroSide{w}, kernelSide{w})
			by, peer := conn(v), conn(k)
			if !byVitro {
				by, peer = k, v
			}
			done := make(chan error, 1)
			go func() {
				_, err := peer.Write(make([]byte, 64<<20)) // beyond all buffers
				done <- err
			}()
			io.ReadFull(by, make([]byte, 1<<20))
			by.Close() // with data unread
			if err := <-done; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("by vitro %v: Write ends with %v, want ECONNRESET or EPIPE", byVitro, err)
			}
			peer.Close()
			eventually(t, "no connection is left", func() bool { return len(w.stack.Connections()) == 0 })
		}
	})
}

// Where nobody listens a SYN is answered by a reset.
func TestKernelRefused(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		w := newWorld(t, s)
		dials, _, at := d.sides(w)
		for range 10 {
			to := netip.AddrPortFrom(at, 81)
			c, err := dials.Dial(to.String())
			if err == nil {
				c.Close()
			}
			var op *net.OpError
			if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Addr.String() != to.String() {
				t.Errorf("Dial: %v, want ECONNREFUSED of %v", err, to)
			}
		}
		if n := len(w.stack.Connections()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// A reader stops for 10 s: its window closes, the writer probes it, and when it opens again
// all arrives (RFC 9293 section 3.8.6.1).
func TestKernelZeroWindow(t *testing.T) {
	t.Parallel()
	const (
		pause = 10 * time.Second
		n     = 8_000_000
	)
	for _, vitroReads := range []bool{true, false} {
		name := "the kernel does not read"
		if vitroReads {
			name = "vitro does not read"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
				t.Parallel()
				var closed zeroWindows
				s.tap = closed.see
				w := newWorld(t, s)
				v, k := d.ends(t, vitroSide{w}, kernelSide{w})
				reader, writer, dir := conn(v), conn(k), link.Out
				if !vitroReads {
					reader, writer, dir = k, v, link.In
				}
				b, want := part(n, 3)
				written := make(chan error, 1)
				go func() {
					_, err := writer.Write(b)
					written <- errors.Join(err, writer.CloseWrite())
				}()
				eventually(t, "the window is closed", func() bool { return closed.count[dir].Load() > 0 })
				pauseEnds := time.NewTimer(pause)
				select {
				case err := <-written:
					t.Fatalf("%d octets were written though nobody reads: %v", n, err)
				case <-pauseEnds.C:
				}
				// A probe comes after the RTO, which is long on a busy machine.
				eventually(t, "two probes are answered", func() bool { return closed.count[dir].Load() >= 3 })
				if vitroReads {
					if st := v.Status(); st.RcvWnd>>st.RcvShift != 0 || st.Unread == 0 {
						t.Errorf("vitro offers %d octets with %d unread", st.RcvWnd, st.Unread)
					}
				} else if st := v.Status(); st.State != tcp.Established || st.SndWnd != 0 || st.Probes == 0 || st.Unsent == 0 {
					t.Errorf("vitro is %v, SND.WND %d, with %d octets unsent and %d probes", st.State, st.SndWnd, st.Unsent, st.Probes)
				}
				if c := closed.count[dir].Load(); c > 100 {
					t.Errorf("%d segments with window 0 in %v, want one, and an answer to each of some probes", c, pause)
				}
				if got, err := readDigest(reader); got != want || err != nil {
					t.Errorf("read %s, %v; want %s", got, err, want)
				}
				if err := <-written; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// zeroWindows counts segments that offer no window.
type zeroWindows struct {
	count [2]atomic.Int64 // by direction
}

func (z *zeroWindows) see(v link.View) {
	var ip wire.IP
	if wire.ParseIP(v.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP {
		return
	}
	if h := wire.TCP(ip.Payload); h.Wnd() == 0 && !h.Flags().Has(wire.RST) {
		z.count[v.Dir].Add(1)
	}
}
