package vitro_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/tcp"
)

// conn is what *net.TCPConn and *vitro.Conn have in common.
type conn interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

// listener is what *net.TCPListener and *vitro.Listener have in common.
type listener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// network is package net on the kernel's loopback, or two Stacks.
type network struct {
	host, host6 string // on which listeners are reached
	listen      func(network, address string) (net.Listener, error)
	dial        func(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error)
	listenOne   func(address string) (net.Listener, error) // only one connection may wait for Accept
}

func kernelNetwork() network {
	return network{
		host: "127.0.0.1", host6: "[::1]",
		listen: net.Listen,
		dial: func(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
		listenOne: kernelListenOne,
	}
}

func vitroNetwork(t *testing.T) network {
	a, b := pair(t, vitro.Config{})
	return stackNetwork(a, b, "10.0.0.2", "[fd00::2]")
}

// stackNetwork is a network in which a dials b.
func stackNetwork(a, b *vitro.Stack, host, host6 string) network {
	return network{
		host: host, host6: host6,
		listen: b.Listen,
		dial: func(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
			dialer := vitro.Dialer{
				Stack: a, Timeout: d.Timeout, Deadline: d.Deadline, LocalAddr: d.LocalAddr, FallbackDelay: d.FallbackDelay,
				KeepAlive: d.KeepAlive, KeepAliveConfig: d.KeepAliveConfig,
			}
			return dialer.DialContext(ctx, network, address)
		},
		listenOne: func(address string) (net.Listener, error) {
			return (&vitro.ListenConfig{Stack: b, Backlog: 1}).Listen(context.Background(), "tcp", address)
		},
	}
}

// act does something in a network and notes what came of it.
type act struct {
	t *testing.T
	network
	exact bool // addresses are compared, without the ports that are chosen
	notes []string
}

// note writes down a call's result: the text of the error, without what differs between
// networks, and what errors.Is and net.Error say of it.
func (a *act) note(call string, n int64, err error) {
	a.t.Helper()
	a.notes = append(a.notes, call+": "+outcome(n, err, a.exact))
}

func (a *act) err(call string, err error) { a.t.Helper(); a.note(call, 0, err) }

var (
	addresses = regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]*\]):\d+|:\d+\b`)
	ports     = regexp.MustCompile(`:\d{5}\b`)
)

var sentinels = []struct {
	name string
	err  error
}{
	{"ECONNREFUSED", syscall.ECONNREFUSED}, {"ECONNRESET", syscall.ECONNRESET}, {"EPIPE", syscall.EPIPE},
	{"ETIMEDOUT", syscall.ETIMEDOUT}, {"EADDRINUSE", syscall.EADDRINUSE}, {"EADDRNOTAVAIL", syscall.EADDRNOTAVAIL},
	{"EHOSTUNREACH", syscall.EHOSTUNREACH}, {"ENETUNREACH", syscall.ENETUNREACH}, {"EINVAL", syscall.EINVAL},
	{"ENOTCONN", syscall.ENOTCONN}, {"EMSGSIZE", syscall.EMSGSIZE}, {"EDESTADDRREQ", syscall.EDESTADDRREQ},
	{"os.ErrDeadlineExceeded", os.ErrDeadlineExceeded}, {"net.ErrClosed", net.ErrClosed},
	{"io.EOF", io.EOF}, {"context.Canceled", context.Canceled}, {"context.DeadlineExceeded", context.DeadlineExceeded},
}

// kind names the type of an error, if it is one that programs can know.
func kind(err error) string {
	switch err.(type) {
	case *net.OpError, *os.SyscallError, syscall.Errno, *net.DNSError, *net.AddrError, net.UnknownNetworkError, *net.ParseError:
		return fmt.Sprintf("%T", err)
	case net.Error:
		return "net.Error"
	}
	return "error"
}

func outcome(n int64, err error, exact bool) string {
	var b strings.Builder
	if n != 0 {
		b.WriteString("n=" + itoa(n) + " ")
	}
	if err == nil {
		return b.String() + "nil"
	}
	if exact {
		b.WriteString(ports.ReplaceAllString(err.Error(), ":PORT"))
	} else {
		b.WriteString(addresses.ReplaceAllString(err.Error(), "ADDR"))
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			b.WriteString(" is " + s.name)
		}
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		b.WriteString(" Timeout")
	}
	if temporary, ok := err.(interface{ Temporary() bool }); ok && temporary.Temporary() {
		b.WriteString(" Temporary")
	}
	b.WriteString(" chain")
	for e := err; e != nil; e = errors.Unwrap(e) {
		b.WriteString(" " + kind(e))
	}
	var op *net.OpError
	if errors.As(err, &op) {
		b.WriteString(" OpError(" + op.Op + "," + op.Net)
		for _, addr := range []net.Addr{op.Source, op.Addr} {
			switch addr.(type) {
			case nil:
				b.WriteString(",nil")
			case *net.TCPAddr:
				b.WriteString(",TCPAddr")
			default:
				b.WriteString(",other")
			}
		}
		b.WriteString(")")
		if se, ok := op.Err.(*os.SyscallError); ok {
			b.WriteString(" SyscallError(" + se.Syscall + ")")
		}
	}
	return b.String()
}

func itoa(n int64) string {
	var d []byte
	for ; n > 0; n /= 10 {
		d = append(d, byte('0'+n%10))
	}
	slices.Reverse(d)
	return string(d)
}

// open listens and connects.
func (a *act) open() (client, server conn) {
	a.t.Helper()
	l, err := a.listen("tcp", a.host+":0")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { l.Close() })
	c, err := a.dial(a.t.Context(), net.Dialer{}, "tcp", l.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close(); s.Close() })
	return c.(conn), s.(conn)
}

func (a *act) read(name string, c net.Conn) {
	a.t.Helper()
	var b [16]byte
	n, err := c.Read(b[:])
	a.note(name+" reads", int64(n), err)
}

func (a *act) write(name string, c net.Conn) {
	a.t.Helper()
	n, err := c.Write([]byte("abc"))
	a.note(name+" writes", int64(n), err)
}

// reset closes c so that its peer gets a reset.
func (a *act) reset(c conn) {
	a.err("linger", c.SetLinger(0))
	a.err("close", c.Close())
}

var past = time.Unix(1, 0)

// acts are the same for both networks.
var acts = []scene{
	{"dial where nobody listens", func(a *act) {
		l, err := a.listen("tcp", a.host+":0")
		if err != nil {
			a.t.Fatal(err)
		}
		l.Close()
		_, err = a.dial(context.Background(), net.Dialer{}, "tcp", l.Addr().String())
		a.err("dial", err)
	}},
	{"dial with a context that is done", func(a *act) {
		l, _ := a.listen("tcp", a.host+":0")
		defer l.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := a.dial(ctx, net.Dialer{}, "tcp", l.Addr().String())
		a.err("dial", err)
		ctx, cancel = context.WithDeadline(context.Background(), past)
		defer cancel()
		_, err = a.dial(ctx, net.Dialer{}, "tcp", l.Addr().String())
		a.err("dial", err)
		_, err = a.dial(context.Background(), net.Dialer{Deadline: past}, "tcp", l.Addr().String())
		a.err("dial", err)
	}},
	{"dial what cannot be dialed", func(a *act) {
		for _, tc := range [][2]string{
			{"tcp", ""}, {"tcp", "10.0.0.2"}, {"tcp", "10.0.0.2:99999"}, {"tcp", "10.0.0.2:no-such-service"},
			{"tcp4", "[::1]:80"}, {"tcp6", "10.0.0.2:80"}, {"tcp5", "10.0.0.2:80"}, {"tcp", "[::1:80"}, {"tcp", "::1:80"},
		} {
			_, err := a.dial(context.Background(), net.Dialer{}, tc[0], tc[1])
			a.err("dial "+tc[0]+" "+tc[1], err)
		}
	}},
	{"dial from an address that is not ours", func(a *act) {
		l, _ := a.listen("tcp", a.host+":0")
		defer l.Close()
		_, err := a.dial(context.Background(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}, "tcp", l.Addr().String())
		a.err("dial", err)
		_, err = a.dial(context.Background(), net.Dialer{LocalAddr: &net.UDPAddr{}}, "tcp", l.Addr().String())
		a.err("dial from UDP", err)
		_, err = a.dial(context.Background(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}, "tcp", l.Addr().String())
		a.err("dial from IPv6", err)
		var none *net.TCPAddr
		c, err := a.dial(context.Background(), net.Dialer{LocalAddr: none}, "tcp", l.Addr().String())
		a.err("dial from nil", err)
		c.Close()
	}},
	{"dial port 0", func(a *act) {
		_, err := a.dial(context.Background(), net.Dialer{}, "tcp", a.host+":0")
		a.err("dial", err)
	}},
	{"dial from a port in use", func(a *act) {
		l, _ := a.listen("tcp", a.host+":0")
		defer l.Close()
		c, err := a.dial(context.Background(), net.Dialer{}, "tcp", l.Addr().String())
		if err != nil {
			a.t.Fatal(err)
		}
		defer c.Close()
		_, err = a.dial(context.Background(), net.Dialer{LocalAddr: c.LocalAddr()}, "tcp", l.Addr().String())
		a.err("dial", err)
	}},
	{"a FIN, text of ours, then a reset, write first", func(a *act) {
		c, s := a.open()
		a.err("close", s.Close())
		a.write("client", c)
		a.read("client", c)
		a.write("client", c)
		a.read("client", c)
	}},
	{"the peer has closed", func(a *act) {
		c, s := a.open()
		a.write("server", s)
		a.err("close", s.Close())
		a.read("client", c)
		a.read("client", c)
		a.read("client", c)
	}},
	{"the peer has closed, and is written to", func(a *act) {
		c, s := a.open()
		a.err("close", s.Close())
		a.read("client", c)
		a.write("client", c) // answered by a reset
		a.write("client", c)
		a.write("client", c)
		a.read("client", c)
	}},
	{"the peer has closed and left text unread", func(a *act) {
		c, s := a.open()
		a.write("client", c)
		a.err("close", s.Close())
		a.read("client", c)
		a.read("client", c)
		a.write("client", c)
	}},
	{"reset, read first", func(a *act) {
		c, s := a.open()
		a.reset(s)
		a.read("client", c)
		a.read("client", c)
		a.write("client", c)
		a.write("client", c)
		a.err("close write", c.CloseWrite())
		a.err("close read", c.CloseRead())
		a.err("close", c.Close())
	}},
	{"reset, write first", func(a *act) {
		c, s := a.open()
		a.reset(s)
		a.write("client", c)
		a.write("client", c)
		a.read("client", c)
	}},
	{"text, then a reset", func(a *act) {
		c, s := a.open()
		a.write("server", s)
		a.reset(s)
		a.read("client", c)
		a.read("client", c)
		a.read("client", c)
	}},
	{"a FIN, then a reset", func(a *act) {
		c, s := a.open()
		a.err("close write", s.CloseWrite())
		a.reset(s)
		a.read("client", c)
		a.write("client", c)
		a.write("client", c)
		a.read("client", c)
	}},
	{"closed", func(a *act) {
		c, _ := a.open()
		a.err("close", c.Close())
		a.err("close", c.Close())
		a.read("client", c)
		a.write("client", c)
		n, err := c.Read(nil)
		a.note("read nothing", int64(n), err)
		n, err = c.Write(nil)
		a.note("write nothing", int64(n), err)
		m, err := c.ReadFrom(strings.NewReader("abc"))
		a.note("read from", m, err)
		m, err = c.WriteTo(io.Discard)
		a.note("write to", m, err)
		a.err("close read", c.CloseRead())
		a.err("close write", c.CloseWrite())
		a.err("linger", c.SetLinger(0))
		a.err("no delay", c.SetNoDelay(true))
		a.err("keep alive", c.SetKeepAlive(true))
		a.err("keep alive period", c.SetKeepAlivePeriod(time.Second))
		a.err("read buffer", c.SetReadBuffer(1<<16))
		a.err("write buffer", c.SetWriteBuffer(1<<16))
		a.err("deadline", c.SetDeadline(time.Time{}))
		a.err("read deadline", c.SetReadDeadline(past))
		a.err("write deadline", c.SetWriteDeadline(past))
		a.note("local address is there", bit(c.LocalAddr() != nil), nil)
	}},
	{"half closed", func(a *act) {
		c, s := a.open()
		a.err("close write", c.CloseWrite())
		a.err("close write", c.CloseWrite())
		a.write("client", c)
		a.read("server", s)
		a.write("server", s)
		a.read("client", c)
		a.err("close read", c.CloseRead())
		a.read("client", c)
	}},
	{"deadlines", func(a *act) {
		c, s := a.open()
		a.write("server", s)
		a.err("deadline", c.SetDeadline(past))
		a.read("client", c)
		a.write("client", c)
		n, err := c.Read(nil)
		a.note("read nothing", int64(n), err)
		n, err = c.Write(nil)
		a.note("write nothing", int64(n), err)
		a.err("deadline", c.SetDeadline(time.Time{}))
		a.read("client", c)
		a.write("client", c)
		a.err("deadline", c.SetReadDeadline(time.Now().Add(time.Millisecond)))
		a.read("client", c)
		a.read("client", c)
	}},
	{"copies end with an error", func(a *act) {
		c, s := a.open()
		a.err("deadline", c.SetDeadline(past))
		n, err := c.ReadFrom(strings.NewReader("abc"))
		a.note("read from", n, err)
		n, err = c.WriteTo(new(bytes.Buffer))
		a.note("write to", n, err)
		n, err = s.ReadFrom(io.MultiReader(strings.NewReader("abc"), failing{}))
		a.note("read from", n, err)
	}},
	{"zero options", func(a *act) {
		c, _ := a.open()
		a.err("keep alive", c.SetKeepAliveConfig(net.KeepAliveConfig{}))
		a.err("keep alive", c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}))
		a.err("linger", c.SetLinger(-1))
		a.err("read buffer", c.SetReadBuffer(0))
		a.err("write buffer", c.SetWriteBuffer(0))
	}},
	{"listen", func(a *act) {
		l, err := a.listen("tcp", a.host+":0")
		a.err("listen", err)
		_, err = a.listen("tcp", l.Addr().String())
		a.err("listen again", err)
		a.err("deadline", l.(listener).SetDeadline(past))
		_, err = l.Accept()
		a.err("accept", err)
		a.err("close", l.Close())
		a.err("close", l.Close())
		_, err = l.Accept()
		a.err("accept", err)
		a.err("deadline", l.(listener).SetDeadline(past))
		l, err = a.listen("tcp", l.Addr().String())
		a.err("listen anew", err)
		l.Close()
	}},
	{"listen where one cannot", func(a *act) {
		for _, tc := range [][2]string{
			{"tcp", "192.0.2.1:80"}, {"tcp", "192.0.2.1"}, {"tcp", "127.0.0.1:99999"}, {"tcp4", "[::1]:80"}, {"tcp5", ":80"},
		} {
			_, err := a.listen(tc[0], tc[1])
			a.err("listen "+tc[0]+" "+tc[1], err)
		}
	}},
	{"listen on every address", func(a *act) {
		for _, tc := range [][2]string{{"tcp", ""}, {"tcp", ":0"}, {"tcp4", ":0"}, {"tcp6", ":0"}, {"tcp", "0.0.0.0:0"}, {"tcp", "[::]:0"}} {
			l, err := a.listen(tc[0], tc[1])
			a.err("listen "+tc[0]+" "+tc[1], err)
			if err == nil {
				host, _, _ := net.SplitHostPort(l.Addr().String())
				a.err(host, nil)
				l.Close()
			}
		}
	}},
	{"a listener closes while calls wait", func(a *act) {
		l, _ := a.listen("tcp", a.host+":0")
		done := make(chan error)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		l.Close()
		a.err("accept", <-done)
	}},
	{"a connection closes while calls wait", func(a *act) {
		c, _ := a.open()
		done := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		c.Close()
		a.err("read", <-done)
	}},
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// failing is a Reader with an error.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("a reader's own error") }

// TestErrorsAreNets does the same with package net over the kernel's loopback and with two
// Stacks, and wants the same results: errnos, texts, OpErrors.
func TestErrorsAreNets(t *testing.T) { compare(t, acts, vitroNetwork) }

// scene is what is done in a network.
type scene struct {
	name string
	do   func(*act)
}

// compare wants the same results of each scene with package net and in another network.
func compare(t *testing.T, scenes []scene, other func(*testing.T) network) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the texts and errnos are Linux's")
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Skip("SKIPPED: no loopback of the kernel here: ", err)
	} else {
		l.Close()
	}
	for _, tc := range scenes {
		t.Run(strings.ReplaceAll(tc.name, " ", "-"), func(t *testing.T) {
			kernel, own := act{t: t, network: kernelNetwork()}, act{t: t, network: other(t)}
			kernel.exact = own.host == kernel.host
			own.exact = kernel.exact
			tc.do(&kernel)
			tc.do(&own)
			for i := range max(len(kernel.notes), len(own.notes)) {
				switch {
				case i >= len(kernel.notes) || i >= len(own.notes):
					t.Fatalf("%d results with package net, %d with vitro", len(kernel.notes), len(own.notes))
				case kernel.notes[i] != own.notes[i]:
					t.Errorf("result %d\n  net:   %s\n  vitro: %s", i+1, kernel.notes[i], own.notes[i])
				}
			}
		})
	}
}

// Status says what has ended a connection by the errno that Read gives, and by the machine's own error.
func TestStatusHasTheErrno(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	c, s := connect(t, a, b)
	if err := c.Status().Err; err != nil {
		t.Errorf("of a connection that lives the error is %v", err)
	}
	s.SetLinger(0)
	s.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Read gives %v after a reset", err)
	}
	st := c.Status()
	if !errors.Is(st.Err, syscall.ECONNRESET) || !errors.Is(st.Err, tcp.ErrReset) || st.Err.Error() != "connection reset" {
		t.Errorf("%v: the error is %v", st.State, st.Err)
	}
	if errors.Is(st.Err, syscall.ETIMEDOUT) || errors.Is(st.Err, tcp.ErrRefused) {
		t.Errorf("%v is all kinds of errors", st.Err)
	}
}

// The methods of zero values return what those of package net do.
func TestZeroValues(t *testing.T) {
	calls := func(c conn) (errs []error) {
		_, err := c.Read(nil)
		errs = append(errs, err)
		_, err = c.Write(nil)
		errs = append(errs, err)
		_, err = c.ReadFrom(failing{})
		errs = append(errs, err)
		_, err = c.WriteTo(io.Discard)
		errs = append(errs, err)
		now := time.Now()
		errs = append(errs, err, c.Close(), c.CloseRead(), c.CloseWrite(), c.SetLinger(0), c.SetNoDelay(true),
			c.SetKeepAlive(true), c.SetKeepAlivePeriod(1), c.SetKeepAliveConfig(net.KeepAliveConfig{}),
			c.SetReadBuffer(1), c.SetWriteBuffer(1), c.SetDeadline(now), c.SetReadDeadline(now), c.SetWriteDeadline(now))
		if c.LocalAddr() != nil || c.RemoteAddr() != nil {
			errs = append(errs, errors.New("there is an address"))
		}
		return errs
	}
	want, got := calls(new(net.TCPConn)), calls(new(vitro.Conn))
	for i := range want {
		if want[i] != got[i] {
			t.Errorf("call %d of a zero Conn: %v; package net: %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Error("a zero Conn has an address")
	}
	listen := func(l listener) []error {
		_, err := l.Accept()
		return []error{err, l.Close(), l.SetDeadline(time.Now())}
	}
	if want, got := listen(new(net.TCPListener)), listen(new(vitro.Listener)); !slices.Equal(want, got) {
		t.Errorf("a zero Listener: %v; package net: %v", got, want)
	}
}

// There is no file descriptor, and nothing looks as if there were: go-redis and others ask a
// syscall.Conn whether it is alive, and throw away a connection that refuses.
func TestNoSyscallConn(t *testing.T) {
	for _, x := range []any{new(vitro.Conn), new(vitro.Listener), new(vitro.UDPConn)} {
		if _, is := x.(syscall.Conn); is {
			t.Errorf("%T is a syscall.Conn", x)
		}
	}
}
