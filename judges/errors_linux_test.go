package judges_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// The errors that a loopback does not give: package net over the kernel and vitro, each at its
// end of a TUN, meet the same fate and must say the same. TestErrorsAreNets has the others.

// saying is all that programs ask of an error: its text without addresses, its types, what
// errors.Is finds, and the methods of net.Error.
func saying(err error) string {
	if err == nil {
		return "nil"
	}
	var b strings.Builder
	b.WriteString(socket.ReplaceAllString(err.Error(), "ADDR"))
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case *net.OpError:
			fmt.Fprintf(&b, " OpError(%s,%s,%T,%T)", e.Op, e.Net, e.Source, e.Addr)
		case *os.SyscallError:
			fmt.Fprintf(&b, " SyscallError(%s)", e.Syscall)
		case syscall.Errno:
			fmt.Fprintf(&b, " Errno %d", int(e))
		}
	}
	for _, target := range []error{os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded, net.ErrClosed} {
		if errors.Is(err, target) {
			fmt.Fprintf(&b, " is %q", target)
		}
	}
	var ne net.Error
	if errors.As(err, &ne) {
		fmt.Fprintf(&b, " Timeout %v", ne.Timeout())
	}
	if t, ok := err.(interface{ Temporary() bool }); ok {
		fmt.Fprintf(&b, " Temporary %v", t.Temporary())
	}
	return b.String()
}

var (
	socket   = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)
	deadline = regexp.MustCompile(` is "(i/o timeout|context deadline exceeded)"`)
)

func same(t *testing.T, what string, vitros, kernels, is error) {
	t.Helper()
	if !errors.Is(vitros, is) {
		t.Errorf("%s: %v; want %v", what, vitros, is)
	}
	v, k := saying(vitros), saying(kernels)
	if errors.Is(is, context.DeadlineExceeded) {
		// Package net says the one or the other, as its timers fall; vitro is both.
		if !errors.Is(vitros, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v is not os.ErrDeadlineExceeded", what, vitros)
		}
		v, k = deadline.ReplaceAllString(v, ""), deadline.ReplaceAllString(k, "")
	}
	if v != k {
		t.Errorf("%s\n  net:   %s\n  vitro: %s", what, k, v)
	}
}

func TestKernelDialErrors(t *testing.T) {
	t.Parallel()
	need(t, "ip")
	beyond := netip.MustParsePrefix("198.51.100.0/24")
	w := newWorld(t, setup{config: vitro.Config{SynTimeout: 500 * time.Millisecond}, routes: []netip.Prefix{beyond}})
	w.run(t, "ip route add unreachable "+beyond.String())
	for name, value := range map[string]string{"ip_forward": "1", "tcp_syn_retries": "1", "tcp_syn_linear_timeouts": "0"} {
		if err := w.ns.Sysctl("ipv4/"+name, value); err != nil && name != "tcp_syn_linear_timeouts" { // an old kernel has none
			t.Fatal(err)
		}
	}
	dials := func(d net.Dialer, ctx func() context.Context, to string) (vitros, kernels error) {
		dialer := vitro.Dialer{Stack: w.stack, Timeout: d.Timeout, Deadline: d.Deadline, LocalAddr: d.LocalAddr}
		if c, err := dialer.DialContext(ctx(), "tcp", to); err != nil {
			vitros = err
		} else {
			c.Close()
		}
		d.SetMultipathTCP(false)
		err := w.ns.Do(func() error {
			c, err := d.DialContext(ctx(), "tcp", to)
			if err == nil {
				c.Close()
			}
			return err
		})
		return vitros, err
	}
	const soon = 50 * time.Millisecond
	nobody := families[0].nobody.String() + ":80"
	for _, tc := range []struct {
		what   string
		dialer net.Dialer
		ctx    func() context.Context
		to     string
		is     error
	}{
		{"no route", net.Dialer{}, t.Context, "192.0.2.1:80", syscall.ENETUNREACH},
		{"a route that leads nowhere", net.Dialer{}, t.Context, "198.51.100.1:80", syscall.EHOSTUNREACH},
		{"from a loopback address", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, t.Context, nobody, syscall.EINVAL},
		{"no answer", net.Dialer{}, t.Context, nobody, syscall.ETIMEDOUT},
		{"no answer, Timeout", net.Dialer{Timeout: soon}, t.Context, nobody, context.DeadlineExceeded},
		{"no answer, the context times out", net.Dialer{}, func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			t.Cleanup(cancel)
			return ctx
		}, nobody, context.DeadlineExceeded},
		{"no answer, the context is cancelled", net.Dialer{}, func() context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(soon, cancel)
			return ctx
		}, nobody, context.Canceled},
	} {
		vitros, kernels := dials(tc.dialer, tc.ctx, tc.to)
		same(t, tc.what, vitros, kernels, tc.is)
	}
}

// What has been written is not acknowledged until the user timeout: the reason is told once, to
// whoever asks first, and then the connection is at its end.
func TestKernelUserTimeoutErrors(t *testing.T) {
	t.Parallel()
	for _, readFirst := range []bool{true, false} {
		var cut atomic.Bool
		w := newWorld(t, setup{fault: &link.FaultConfig{Rule: func(link.Direction, *wire.Packet) link.Verdict {
			return link.Verdict{Drop: cut.Load()}
		}}})
		v, k := ways[0].ends(t, vitroSide{w}, kernelSide{w})
		const timeout = 300 * time.Millisecond
		raw, err := k.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if cerr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		}); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		if err := v.SetUserTimeout(timeout); err != nil {
			t.Fatal(err)
		}
		cut.Store(true)
		var said [2][]error
		for i, c := range []conn{v, k} {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			read := func() {
				_, err := c.Read(make([]byte, 1))
				said[i] = append(said[i], err)
			}
			write := func() {
				_, err := c.Write([]byte("x"))
				said[i] = append(said[i], err)
			}
			if !readFirst { // Write does not wait for the end
				one := make([]byte, 1<<20)
				for err == nil {
					_, err = c.Write(one)
				}
				said[i], err = append(said[i], err), nil
				write()
				read()
				continue
			}
			read()
			read()
			write()
		}
		for n := range said[0] {
			is := []error{syscall.ETIMEDOUT, nil, nil}[n]
			if is == nil {
				is = said[0][n]
			}
			same(t, fmt.Sprintf("read first: %v, call %d", readFirst, n+1), said[0][n], said[1][n], is)
		}
	}
}
