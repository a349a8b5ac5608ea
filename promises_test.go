package vitro_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// What package net promises of TCP, done with it over the kernel's loopback and with Stacks: two, and
// one that talks to itself, for which addresses and texts are the same to the letter.

func TestPromises(t *testing.T) {
	t.Run("two Stacks", func(t *testing.T) { compare(t, promises, vitroNetwork) })
	t.Run("one Stack", func(t *testing.T) {
		compare(t, promises, func(t *testing.T) network {
			s, err := vitro.New(vitro.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return stackNetwork(s, s, "127.0.0.1", "[::1]")
		})
	})
}

// say notes a fact.
func (a *act) say(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// listenTCP listens, and closes in the end.
func (a *act) listenTCP(network, address string) net.Listener {
	a.t.Helper()
	l, err := a.listen(network, address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { l.Close() })
	return l
}

// dialTCP dials, and closes in the end.
func (a *act) dialTCP(address string) conn {
	a.t.Helper()
	c, err := a.dial(a.t.Context(), net.Dialer{}, "tcp", address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	return c.(conn)
}

// accept accepts, and closes in the end.
func (a *act) accept(l net.Listener) conn {
	a.t.Helper()
	c, err := l.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	return c.(conn)
}

// waits runs calls that wait, does what wakes them, and notes what came of each, in their order.
func (a *act) waits(wake func(), calls ...func() error) {
	a.t.Helper()
	errs := make([]error, len(calls))
	var started, ended sync.WaitGroup
	for i, call := range calls {
		started.Add(1)
		ended.Go(func() {
			started.Done()
			errs[i] = call()
		})
	}
	started.Wait()
	wake()
	ended.Wait()
	for i, err := range errs {
		a.err(fmt.Sprintf("call %d", i+1), err)
	}
}

// fill writes until nothing goes any more.
func (a *act) fill(c net.Conn) {
	a.t.Helper()
	p := make([]byte, 1<<20)
	for {
		c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := c.Write(p); errors.Is(err, os.ErrDeadlineExceeded) {
			if n == 0 {
				break
			}
		} else if err != nil {
			a.t.Fatal(err)
		}
	}
	c.SetWriteDeadline(time.Time{})
}

func reading(c net.Conn) func() error {
	return func() error {
		_, err := c.Read(make([]byte, 16))
		return err
	}
}

func writing(c net.Conn) func() error {
	return func() error {
		_, err := c.Write(make([]byte, 64<<20))
		return err
	}
}

// port returns the port of an address, with its colon.
func port(a net.Addr) string {
	s := a.String()
	return s[strings.LastIndexByte(s, ':'):]
}

var promises = []scene{
	{"a deadline that is past ends what waits", func(a *act) {
		c, s := a.open()
		a.fill(c)
		a.waits(func() { c.SetReadDeadline(past) }, reading(c), reading(c))
		a.waits(func() { c.SetWriteDeadline(past) }, writing(c), writing(c))
		c.SetDeadline(time.Time{})
		a.waits(func() { c.SetDeadline(past) }, reading(c), writing(c))
		c.SetDeadline(time.Time{})
		go io.Copy(io.Discard, s)
		a.write("client", c)
	}},
	{"a deadline is moved while calls wait", func(a *act) {
		c, s := a.open()
		c.SetReadDeadline(time.Now().Add(time.Hour))
		a.waits(func() { c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) }, reading(c))
		c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		a.waits(func() {
			c.SetReadDeadline(time.Time{})
			time.AfterFunc(60*time.Millisecond, func() { s.Write([]byte("x")) })
		}, reading(c))
	}},
	{"a deadline is for its direction", func(a *act) {
		c, s := a.open()
		a.err("deadline", c.SetReadDeadline(past))
		a.write("client", c)
		a.read("client", c)
		a.err("deadline", c.SetReadDeadline(time.Time{}))
		a.err("deadline", c.SetWriteDeadline(past))
		a.write("client", c)
		a.write("server", s)
		a.read("client", c)
		a.read("server", s)
	}},
	{"a deadline of Accept", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		accept := func() error { _, err := l.Accept(); return err }
		a.waits(func() { l.(listener).SetDeadline(past) }, accept, accept)
		a.dialTCP(l.Addr().String())
		a.err("accept one that is there", accept())
		a.err("deadline", l.(listener).SetDeadline(time.Time{}))
		a.err("accept", accept())
	}},
	{"a deadline and the end of the peer", func(a *act) {
		c, s := a.open()
		a.err("close", s.Close())
		a.err("deadline", c.SetDeadline(past))
		a.read("client", c)
		a.write("client", c)
		a.err("deadline", c.SetDeadline(time.Time{}))
		a.read("client", c)
	}},
	{"close wakes everyone", func(a *act) {
		c, _ := a.open()
		a.fill(c)
		a.waits(func() { c.Close() }, reading(c), reading(c), writing(c), writing(c),
			func() error { _, err := c.WriteTo(io.Discard); return err })
	}},
	{"a reset wakes readers", func(a *act) {
		c, s := a.open()
		a.waits(func() { s.SetLinger(0); s.Close() }, reading(c))
		a.read("client", c)
	}},
	{"close of a listener wakes everyone", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		accept := func() error { _, err := l.Accept(); return err }
		a.waits(func() { l.Close() }, accept, accept, accept)
		a.err("accept", accept())
		a.say("the address has a port: %v", port(l.Addr()) != ":0")
	}},
	{"close write wakes the peer", func(a *act) {
		c, s := a.open()
		a.waits(func() { c.CloseWrite() }, reading(s))
		a.err("close read", c.CloseRead())
		a.err("close read", c.CloseRead())
		a.read("client", c)
	}},
	{"close read ends what waits", func(a *act) {
		c, _ := a.open()
		a.waits(func() { c.CloseRead() }, reading(c), reading(c))
		a.write("client", c)
	}},
	{"both half closes", func(a *act) {
		c, s := a.open()
		a.err("close write", c.CloseWrite())
		a.read("server", s)
		a.err("close write", s.CloseWrite())
		a.read("client", c)
		a.write("client", c)
		a.write("server", s)
		a.err("deadline", c.SetDeadline(past))
		a.err("no delay", c.SetNoDelay(false))
		a.err("close", c.Close())
		a.err("close", s.Close())
	}},
	{"nothing is written and read", func(a *act) {
		c, s := a.open()
		for _, p := range [][]byte{nil, {}} {
			n, err := c.Write(p)
			a.note("write", int64(n), err)
			n, err = c.Read(p)
			a.note("read", int64(n), err)
		}
		a.reset(s)
		a.read("client", c)
		n, err := c.Write(nil)
		a.note("write", int64(n), err)
		n, err = c.Read(nil)
		a.note("read", int64(n), err)
	}},
	{"linger", func(a *act) {
		for _, sec := range []int{-1 << 31, -1, 1, 100, 1 << 20} {
			c, s := a.open()
			a.err("linger", c.SetLinger(sec))
			a.write("client", c)
			a.err("close", c.Close())
			a.read("server", s)
			a.read("server", s)
			a.err("linger", c.SetLinger(sec))
		}
	}},
	{"options", func(a *act) {
		c, _ := a.open()
		for _, on := range []bool{true, false} {
			a.err("no delay", c.SetNoDelay(on))
			a.err("keep alive", c.SetKeepAlive(on))
		}
		for _, d := range []time.Duration{0, 1, -1, time.Second, time.Minute, 9 * time.Hour, 10 * time.Hour} {
			a.err("period", c.SetKeepAlivePeriod(d))
		}
		for _, k := range []net.KeepAliveConfig{
			{Enable: true, Idle: time.Hour, Interval: 1, Count: 127}, {Idle: -1}, {Enable: true, Interval: 9 * time.Hour},
			{Enable: true, Count: 128}, {Enable: true, Interval: 10 * time.Hour}, {Enable: true, Idle: 10 * time.Hour},
		} {
			a.err("keep alive", c.SetKeepAliveConfig(k))
		}
		for _, n := range []int{-1, 0, 1, 4096, 1 << 20, 1<<31 - 1} {
			a.err("read buffer", c.SetReadBuffer(n))
			a.err("write buffer", c.SetWriteBuffer(n))
		}
	}},
	{"keep-alive of a Dialer", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		for _, d := range []net.Dialer{
			{KeepAlive: -1}, {KeepAlive: time.Minute}, {KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: time.Second}},
		} {
			c, err := a.dial(a.t.Context(), d, "tcp", l.Addr().String())
			a.err("dial", err)
			c.Close()
		}
	}},
	{"copies", func(a *act) {
		c, s := a.open()
		text := strings.Repeat("0123456789", 100_000)
		var wg sync.WaitGroup
		wg.Go(func() {
			n, err := c.ReadFrom(io.LimitReader(strings.NewReader(text), 777_777))
			a.note("read from", n, err)
			n, err = c.ReadFrom(strings.NewReader(""))
			a.note("read from nothing", n, err)
			c.CloseWrite()
		})
		var got bytes.Buffer
		n, err := s.WriteTo(&got)
		wg.Wait()
		a.note("write to", n, err)
		a.say("the same text: %v", got.String() == text[:777_777])
		n, err = s.WriteTo(&got)
		a.note("write to", n, err)
		n, err = io.Copy(s, strings.NewReader(text[:1000]))
		a.note("copy", n, err)
		m, err := io.ReadFull(c, make([]byte, 1000))
		a.note("read", int64(m), err)
		a.err("close write", s.CloseWrite())
		n, err = c.WriteTo(failingWriter{})
		a.note("write to, at the end", n, err)
	}},
	{"a copy between connections", func(a *act) {
		c, s := a.open()
		d, r := a.open()
		go func() { c.Write(make([]byte, 300_000)); c.Close() }()
		go func() { io.Copy(d, s); d.Close() }()
		n, err := io.Copy(io.Discard, r)
		a.note("copy", n, err)
	}},
	{"a copy ends with a writer's error", func(a *act) {
		c, s := a.open()
		a.write("server", s)
		n, err := c.WriteTo(failingWriter{})
		a.note("write to", n, err)
	}},
	{"pieces", func(a *act) {
		c, s := a.open()
		pieces := func() net.Buffers {
			return net.Buffers{[]byte("one, "), nil, []byte("two, "), bytes.Repeat([]byte{'x'}, 100), []byte("three")}
		}
		v := pieces()
		n, err := writeBuffers(c, &v)
		a.note("write", n, err)
		a.say("%d pieces are left", len(v))
		m, err := io.ReadFull(s, make([]byte, n))
		a.note("read", int64(m), err)
		v = net.Buffers{}
		n, err = writeBuffers(c, &v)
		a.note("write none", n, err)
		a.err("deadline", c.SetWriteDeadline(past))
		v = pieces()
		n, err = writeBuffers(c, &v)
		a.note("write", n, err)
		a.say("%d pieces are left", len(v))
		a.err("deadline", c.SetWriteDeadline(time.Time{}))
		a.err("close write", c.CloseWrite())
		n, err = writeBuffers(c, &v)
		a.note("write", n, err)
		a.say("%d pieces are left", len(v))
		a.err("close", c.Close())
		n, err = writeBuffers(c, &v)
		a.note("write", n, err)
	}},
	{"many read and write at once", func(a *act) {
		c, s := a.open()
		var wg, sums sync.WaitGroup
		var mu sync.Mutex
		sum := map[byte]int{}
		for i := range 8 {
			wg.Go(func() { c.Write(bytes.Repeat([]byte{byte(i)}, 100_000)) })
			sums.Go(func() {
				p := make([]byte, 10_000)
				for {
					n, err := s.Read(p)
					mu.Lock()
					for _, b := range p[:n] {
						sum[b]++
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		c.Close()
		sums.Wait()
		a.say("%v", sum)
	}},
	{"a connection ends before Accept", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		c := a.dialTCP(l.Addr().String())
		a.write("client", c)
		a.err("close", c.Close())
		s := a.accept(l)
		a.read("server", s)
		a.read("server", s)
		c = a.dialTCP(l.Addr().String())
		a.reset(c)
		s = a.accept(l)
		a.read("server", s)
		a.read("server", s)
	}},
	{"a listener closes before Accept", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		c := a.dialTCP(l.Addr().String())
		a.err("close", l.Close())
		a.read("client", c)
		a.read("client", c)
		a.write("client", c)
	}},
	{"a listener closes and its connections live on", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		c := a.dialTCP(l.Addr().String())
		s := a.accept(l)
		a.err("close", l.Close())
		a.write("client", c)
		a.read("server", s)
		again, err := a.listen("tcp", l.Addr().String())
		a.err("listen beside them", err)
		a.err("close", s.Close()) // to TIME-WAIT, when the client has closed
		a.read("client", c)
		a.err("close", c.Close())
		a.err("close", again.Close())
		again, err = a.listen("tcp", l.Addr().String())
		a.err("listen beside TIME-WAIT", err)
		a.dialTCP(again.Addr().String())
		again.Close()
	}},
	{"the address of a connection is in use", func(a *act) {
		c, _ := a.open()
		_, err := a.dial(a.t.Context(), net.Dialer{LocalAddr: c.LocalAddr()}, "tcp", c.RemoteAddr().String())
		a.err("dial from it", err)
	}},
	{"a full backlog", func(a *act) {
		l, err := a.listenOne(a.host + ":0")
		if err != nil {
			a.t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().String()
		a.dialTCP(at)
		_, err = a.dial(a.t.Context(), net.Dialer{Timeout: 20 * time.Millisecond}, "tcp", at)
		var ne net.Error // the same error or another, whichever of net's two timers was first
		a.say("dial: timeout %v", errors.As(err, &ne) && ne.Timeout())
		ctx, cancel := context.WithCancel(a.t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err = a.dial(ctx, net.Dialer{}, "tcp", at)
		a.err("dial, canceled", err)
		a.accept(l)
		a.dialTCP(at)
		a.accept(l)
	}},
	{"a context ends after Dial", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		ctx, cancel := context.WithCancel(a.t.Context())
		c, err := a.dial(ctx, net.Dialer{Timeout: 50 * time.Millisecond}, "tcp", l.Addr().String())
		if err != nil {
			a.t.Fatal(err)
		}
		defer c.Close()
		cancel()
		s := a.accept(l)
		time.AfterFunc(80*time.Millisecond, func() { s.Write([]byte("abc")) })
		a.read("client", c)
	}},
	{"a timeout that is past", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		for _, d := range []net.Dialer{{Timeout: -1}, {Timeout: time.Hour, Deadline: past}, {Deadline: past.Add(time.Hour)}} {
			_, err := a.dial(a.t.Context(), d, "tcp", l.Addr().String())
			a.err("dial", err)
		}
	}},
	{"listen on both families", func(a *act) {
		for _, at := range [][2]string{{"tcp", ":0"}, {"tcp", "[::]:0"}, {"tcp", "0.0.0.0:0"}, {"tcp4", ":0"}, {"tcp6", ":0"}, {"tcp6", "[::]:0"}} {
			l := a.listenTCP(at[0], at[1])
			a.say("%s %s is %s %s", at[0], at[1], l.Addr().Network(), strings.TrimSuffix(l.Addr().String(), port(l.Addr())))
			for _, host := range []string{a.host, a.host6} {
				c, err := a.dial(a.t.Context(), net.Dialer{}, "tcp", host+port(l.Addr()))
				a.err("dial "+map[bool]string{true: "IPv4", false: "IPv6"}[host == a.host], err)
				if err != nil {
					continue
				}
				s := a.accept(l)
				a.say("server: %v, %v; client: %v, %v", s.LocalAddr().String() == host+port(l.Addr()), s.RemoteAddr().String() == c.LocalAddr().String(),
					c.RemoteAddr().String() == host+port(l.Addr()), c.LocalAddr().Network())
				c.Close()
			}
		}
	}},
	{"IPv4 in IPv6", func(a *act) {
		l := a.listenTCP("tcp", a.host+":0")
		_, err := a.dial(a.t.Context(), net.Dialer{}, "tcp6", "[::ffff:127.0.0.1]:1")
		a.err("dial tcp6", err)
		for _, network := range []string{"tcp", "tcp4"} {
			c, err := a.dial(a.t.Context(), net.Dialer{}, network, "[::ffff:"+a.host+"]"+port(l.Addr()))
			a.err("dial "+network, err)
			if err == nil {
				a.say("%v", c.RemoteAddr().String() == l.Addr().String())
				c.Close()
			}
		}
		l, err = a.listen("tcp", "[::ffff:127.0.0.1]:0")
		a.err("listen", err)
		if err == nil {
			a.say("%s", strings.TrimSuffix(l.Addr().String(), port(l.Addr())))
			l.Close()
		}
		_, err = a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6zero}}, "tcp", a.host+":1")
		a.err("dial IPv4 from [::]", err)
		_, err = a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4zero}}, "tcp", a.host6+":1")
		a.err("dial IPv6 from 0.0.0.0", err)
		_, err = a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}, "tcp", a.host+":1")
		a.err("dial IPv4 from ::1", err)
	}},
	{"what is no address", func(a *act) {
		for _, address := range []string{
			"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:+80", "127.0.0.1:65536", "127.0.0.1:0x50",
			"127.0.0.1:80:80", "::1:80", "::1", "[::1]", "[::1]80", "[::1", "[::1]:80:", "[[::1]]:80", "[]:1", "127.0.0.1]:80",
			"127.0.0.1:no service", "127.0.0.1:HTTPS_", "127.0.0.1:99999999999999999999",
		} {
			_, err := a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}, "tcp", address)
			a.err("dial "+address, err)
			l, err := a.listen("tcp", address)
			a.err("listen "+address, err)
			if err == nil {
				l.Close()
			}
		}
	}},
	{"what is no network", func(a *act) {
		for _, network := range []string{"", "TCP", "tcp:80", "tcp46", "ip", "unknown"} {
			_, err := a.dial(a.t.Context(), net.Dialer{}, network, "127.0.0.1:1")
			a.err("dial "+network, err)
			_, err = a.dial(a.t.Context(), net.Dialer{}, network, "")
			a.err("dial "+network+", no address", err)
			_, err = a.listen(network, "127.0.0.1:0")
			a.err("listen "+network, err)
		}
	}},
	{"services by name", func(a *act) {
		for _, at := range []string{"http", "HTTP", "https", "ssh", "domain"} {
			_, err := a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}, "tcp", a.host+":"+at)
			var op *net.OpError
			if errors.As(err, &op) && op.Addr != nil {
				a.say("%s is %s", at, port(op.Addr))
			}
			a.err("dial "+at, err)
		}
		_, err := a.listen("tcp", a.host+":nosuchservice")
		a.err("listen", err)
	}},
	{"this host by no address", func(a *act) {
		if !a.exact {
			return // another Stack is not this host
		}
		for _, at := range [][2]string{{"tcp", ":1"}, {"tcp4", ":1"}, {"tcp6", ":1"}, {"tcp", "0.0.0.0:1"}, {"tcp", "[::]:1"}} {
			_, err := a.dial(a.t.Context(), net.Dialer{}, at[0], at[1])
			a.err("dial "+at[0]+" "+at[1], err)
		}
		l := a.listenTCP("tcp", ":0")
		for _, at := range [][2]string{{"tcp", ""}, {"tcp4", ""}, {"tcp6", ""}, {"tcp", "0.0.0.0"}, {"tcp", "[::]"}} {
			c, err := a.dial(a.t.Context(), net.Dialer{}, at[0], at[1]+port(l.Addr()))
			a.err("dial "+at[0]+" "+at[1], err)
			if err == nil {
				a.say("%s from %s", strings.TrimSuffix(c.RemoteAddr().String(), port(c.RemoteAddr())), strings.TrimSuffix(c.LocalAddr().String(), port(c.LocalAddr())))
				c.Close()
			}
		}
		c, err := a.dial(a.t.Context(), net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}, "tcp", port(l.Addr()))
		a.err("dial from ::1", err)
		c.Close()
	}},
	{"where one cannot dial", func(a *act) {
		for _, at := range []string{"224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:1", a.host + ":0"} {
			_, err := a.dial(a.t.Context(), net.Dialer{}, "tcp", at)
			a.err("dial", err)
		}
	}},
	{"addresses after Close", func(a *act) {
		c, s := a.open()
		a.err("close", c.Close())
		a.say("%v %v", c.LocalAddr().String() == s.RemoteAddr().String(), c.RemoteAddr().String() == s.LocalAddr().String())
		a.say("%T %T", c.LocalAddr(), s.RemoteAddr())
	}},
	{"to oneself", func(a *act) {
		l := a.listenTCP("tcp", "127.0.0.1:0")
		at := l.Addr()
		l.Close()
		c, err := a.dial(a.t.Context(), net.Dialer{LocalAddr: at}, "tcp", at.String())
		a.err("dial", err)
		if err != nil {
			return
		}
		defer c.Close()
		a.say("%v", c.LocalAddr().String() == c.RemoteAddr().String())
		a.write("one", c)
		a.read("the same", c)
		a.err("close write", c.(conn).CloseWrite())
		a.read("the same", c)
		a.err("close", c.Close())
	}},
}

// failingWriter is a Writer with an error.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("a writer's own error") }

// writeBuffers is what a program does that has pieces to write.
func writeBuffers(c net.Conn, v *net.Buffers) (int64, error) {
	if own, ok := c.(*vitro.Conn); ok {
		return own.WriteBuffers(v)
	}
	return v.WriteTo(c)
}

// Pieces that are written together share segments, and nobody else's text gets between them, also when
// there is no room for them; by Write each goes alone.
func TestWriteBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var texts int
		la, lb := link.Pair(0)
		a, b := join(t, vitro.Config{SendBuffer: 8 << 10, ReceiveBuffer: 8 << 10}, link.Tap(la, func(v link.View) {
			var ip wire.IP
			var seg wire.Segment
			if v.Dir == link.Out && wire.ParseIP(v.Bytes(), &ip) == wire.FaultNone && wire.ParseTCP(ip.Payload, &seg) == wire.FaultNone && len(seg.Text) > 0 {
				texts++
			}
		}), lb)
		c, s := connect(t, a, b)
		pieces := func() *net.Buffers { return &net.Buffers{[]byte("head"), []byte("er, "), []byte("body")} }
		for _, tc := range []struct {
			write func() (int64, error)
			want  int
		}{
			{func() (int64, error) { return c.WriteBuffers(pieces()) }, 1},
			{func() (int64, error) { return c.ReadFrom(pieces()) }, 1},
			{func() (int64, error) { return pieces().WriteTo(c) }, 3},
		} {
			texts = 0
			if n, err := tc.write(); n != 12 || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			got := make([]byte, 12)
			if _, err := io.ReadFull(s, got); err != nil || string(got) != "header, body" {
				t.Errorf("read %q, %v", got, err)
			}
			if texts != tc.want {
				t.Errorf("three pieces went in %d segments; want %d", texts, tc.want)
			}
		}
		var wg sync.WaitGroup
		const size = 30_000
		for i := range 3 {
			wg.Go(func() {
				p := bytes.Repeat([]byte{byte('a' + i)}, size/3)
				v := net.Buffers{p, nil, p, p}
				if n, err := c.WriteBuffers(&v); n != size || err != nil || len(v) != 0 {
					t.Errorf("wrote %d, %v; %d pieces are left", n, err, len(v))
				}
			})
		}
		go func() { wg.Wait(); c.CloseWrite() }()
		synctest.Wait()
		got, err := io.ReadAll(s)
		if err != nil || len(got) != 3*size {
			t.Fatalf("read %d octets, %v", len(got), err)
		}
		for i := 0; i < len(got); i += size {
			if !bytes.Equal(got[i:i+size], bytes.Repeat(got[i:i+1], size)) {
				t.Error("text of several calls is mixed")
			}
		}
		v := net.Buffers{make([]byte, 5_000), make([]byte, 50_000)}
		c, _ = connect(t, a, b)
		c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.WriteBuffers(&v)
		if !errors.Is(err, os.ErrDeadlineExceeded) || len(v) != 1 || n != int64(55_000-len(v[0])) {
			t.Errorf("after %d octets: %v; what is left: %d pieces", n, err, len(v))
		}
	})
}
