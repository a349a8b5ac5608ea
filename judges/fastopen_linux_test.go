package judges_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// TCP Fast Open with the kernel, RFC 7413: who dials asks for a cookie, and then sends its request
// with the SYN, which the other takes. Where SYNs with text are lost, both go on without.

const fastRequest = "GET /something/that/may/be/asked/twice HTTP/1.1\r\n\r\n"

// option returns a Control that sets an option of TCP.
func option(name, value int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if fail := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, name, value) }); fail != nil {
			return fail
		}
		return err
	}
}

// fastWorld is a world whose kernel does TCP Fast Open both ways; text in SYNs can be lost.
func fastWorld(t *testing.T, s setup) (w *world, lose *atomic.Bool) {
	lose = new(atomic.Bool)
	s.fault = &link.FaultConfig{Rule: func(_ link.Direction, p *wire.Packet) link.Verdict {
		var ip wire.IP
		if !lose.Load() || wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP {
			return link.Verdict{}
		}
		h := wire.TCP(ip.Payload)
		return link.Verdict{Drop: h.Flags().Has(wire.SYN) && len(ip.Payload) > h.DataOffset()}
	}}
	w = newWorld(t, s)
	if err := w.ns.Sysctl("ipv4/tcp_fastopen", "3"); err != nil {
		t.Fatal(err)
	}
	return w, lose
}

// netstat returns a counter of the kernel's.
func (w *world) netstat(t *testing.T, name string) (n int) {
	t.Helper()
	out, err := w.ns.Output(exec.Command("cat", "/proc/thread-self/net/netstat"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for k := range names {
			if names[k] == name {
				fmt.Sscan(values[k], &n)
				return n
			}
		}
	}
	t.Fatalf("the kernel has no counter %s", name)
	return 0
}

// answerAll answers each connection by what it has read first, and tells of it.
func answerAll(l net.Listener, accepted chan<- net.Conn) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p := make([]byte, len(fastRequest))
		io.ReadFull(c, p)
		c.Write(p)
		accepted <- c
	}
}

// answered reads the answer.
func answered(t *testing.T, c net.Conn) {
	t.Helper()
	p := make([]byte, len(fastRequest))
	if _, err := io.ReadFull(c, p); err != nil || string(p) != fastRequest {
		t.Fatalf("the answer is %q, %v", p, err)
	}
}

func TestFastOpenVitroDials(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w, lose := fastWorld(t, setup{})
			var l net.Listener
			err := w.ns.Do(func() (err error) {
				lc := net.ListenConfig{Control: option(unix.TCP_FASTOPEN, 16)}
				lc.SetMultipathTCP(false)
				l, err = lc.Listen(context.Background(), "tcp", netip.AddrPortFrom(f.kernel.Addr(), 0).String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan net.Conn, 10)
			go answerAll(l, accepted)
			ask := func() tcp.FastOpen {
				c, err := w.stack.DialFastOpen(context.Background(), "tcp", l.Addr().String(), []byte(fastRequest))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				answered(t, c)
				(<-accepted).Close()
				return c.Status().FastOpen
			}
			n := uint16(len(fastRequest))
			if did := ask(); did != (tcp.FastOpen{Asked: true}) {
				t.Fatalf("the first: %+v", did)
			}
			for range 3 {
				if did := ask(); did != (tcp.FastOpen{Sent: n, Acked: n}) {
					t.Errorf("with a cookie: %+v", did)
				}
			}
			if k := w.netstat(t, "TCPFastOpenPassive"); k != 3 {
				t.Errorf("the kernel has taken text of %d SYNs; want 3", k)
			}
			if k := w.netstat(t, "TCPFastOpenPassiveFail"); k != 0 {
				t.Errorf("the kernel has refused %d cookies", k)
			}
			lose.Store(true)
			if did := ask(); did != (tcp.FastOpen{Sent: n, Fallback: true}) {
				t.Errorf("where SYNs with text are lost: %+v", did)
			}
			if did := ask(); did != (tcp.FastOpen{}) {
				t.Errorf("after that: %+v", did)
			}
		})
	}
}

// synData reads of a kernel's socket whether it has sent text with its SYN that was taken.
func synData(t *testing.T, c *net.TCPConn) bool {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const optSynData = 32 // TCPI_OPT_SYN_DATA of linux/tcp.h
	var info *unix.TCPInfo
	if fail := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); fail != nil || err != nil {
		t.Fatal(fail, err)
	}
	return info.Options&optSynData != 0
}

func TestFastOpenKernelDials(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w, lose := fastWorld(t, setup{})
			l, err := (&vitro.ListenConfig{Stack: w.stack, FastOpen: 16}).Listen(t.Context(), "tcp", netip.AddrPortFrom(f.vitro.Addr(), 0).String())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan net.Conn, 10)
			go answerAll(l, accepted)
			ask := func() (taken bool, did tcp.FastOpen) {
				var c net.Conn
				err := w.ns.Do(func() (err error) {
					d := net.Dialer{Timeout: patience, Control: option(unix.TCP_FASTOPEN_CONNECT, 1)}
					d.SetMultipathTCP(false)
					c, err = d.Dial("tcp", l.Addr().String())
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, fastRequest); err != nil {
					t.Fatal(err)
				}
				answered(t, c)
				s := (<-accepted).(*vitro.Conn)
				defer s.Close()
				return synData(t, c.(*net.TCPConn)), s.Status().FastOpen
			}
			n := uint16(len(fastRequest))
			if taken, did := ask(); taken || did != (tcp.FastOpen{}) {
				t.Fatalf("the first, which asks for the cookie: the kernel says %v, vitro %+v", taken, did)
			}
			for range 3 {
				if taken, did := ask(); !taken || did != (tcp.FastOpen{Received: n}) {
					t.Errorf("with a cookie: the kernel says %v, vitro %+v", taken, did)
				}
			}
			if k := w.netstat(t, "TCPFastOpenActive"); k != 3 {
				t.Errorf("by the kernel's count text of %d SYNs was taken; want 3", k)
			}
			lose.Store(true)
			if taken, did := ask(); taken || did != (tcp.FastOpen{}) {
				t.Errorf("where SYNs with text are lost: the kernel says %v, vitro %+v", taken, did)
			}
			if st := w.stack.Stats(); st.FastOpen != 0 || st.FastOpenTaken != 3 {
				t.Errorf("%d are pending, %d were taken", st.FastOpen, st.FastOpenTaken)
			}
		})
	}
}

// vitro answers before the handshake's end, and the kernel takes the answer: of what the kernel sends
// after its SYN nothing arrives until it has it.
func TestFastOpenAnswerBeforeTheHandshakeEnds(t *testing.T) {
	t.Parallel()
	var deaf atomic.Bool
	w := newWorld(t, setup{fault: &link.FaultConfig{Rule: func(d link.Direction, p *wire.Packet) link.Verdict {
		var ip wire.IP
		if d == link.Out || !deaf.Load() || wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP {
			return link.Verdict{}
		}
		return link.Verdict{Drop: !wire.TCP(ip.Payload).Flags().Has(wire.SYN)}
	}}})
	if err := w.ns.Sysctl("ipv4/tcp_fastopen", "3"); err != nil {
		t.Fatal(err)
	}
	l, err := (&vitro.ListenConfig{Stack: w.stack, FastOpen: 16}).Listen(t.Context(), "tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go answerAll(l, accepted)
	for _, second := range []bool{false, true} {
		deaf.Store(second)
		var c net.Conn
		err := w.ns.Do(func() (err error) {
			d := net.Dialer{Timeout: patience, Control: option(unix.TCP_FASTOPEN_CONNECT, 1)}
			d.SetMultipathTCP(false)
			c, err = d.Dial("tcp", "10.1.0.2:80")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, fastRequest)
		answered(t, c)
		s := (<-accepted).(*vitro.Conn)
		if got := s.Status().State; second && got != tcp.SynReceived {
			t.Errorf("the kernel has the answer, and vitro is %v", got)
		}
		deaf.Store(false)
		eventually(t, "the handshake ends", func() bool { return s.Status().State == tcp.Established })
		s.Close()
	}
}
