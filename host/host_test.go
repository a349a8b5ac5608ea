package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func prefixes(s ...string) (list []netip.Prefix) {
	for _, p := range s {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

var (
	addrB   = netip.MustParseAddr("10.0.0.2")
	serverB = netip.AddrPortFrom(addrB, 80)
)

// join makes two hosts of two ends of a link.
func join(t testing.TB, la, lb link.Link) (a, b *host.Host) {
	t.Helper()
	a, b = host.New(host.Config{}), host.New(host.Config{})
	t.Cleanup(func() { a.Close(); b.Close() })
	if err := a.Attach(la, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.2/24")}); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func connect(t testing.TB, a, b *host.Host) (c, s *host.Conn) {
	t.Helper()
	l, err := b.Listen(serverB, host.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err = a.Dial(t.Context(), netip.AddrPort{}, serverB, host.DialConfig{}); err != nil {
		t.Fatal(err)
	}
	if s, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// spy is a link that calls before each Send.
type spy struct {
	link.Link
	before func(batch []wire.Packet)
}

func (s *spy) Send(batch []wire.Packet) error {
	s.before(batch)
	return s.Link.Send(batch)
}

// There is one transmitter at a time, whoever writes: a host's Send is never called from
// within its own Send, though the peer answers from within it, and packets of a connection
// leave in order.
func TestOneTransmitter(t *testing.T) {
	la, lb := link.Pair(0)
	var within [2]atomic.Int32
	var mu sync.Mutex
	next := map[wire.Flow]seq.Num{}
	watch := func(i int, l link.Link) link.Link {
		return &spy{l, func(batch []wire.Packet) {
			if within[i].Add(1) > 1 {
				t.Error("Send within Send")
			}
			mu.Lock()
			defer mu.Unlock()
			for k := range batch {
				var ip wire.IP
				var seg wire.Segment
				if wire.ParseIP(batch[k].Bytes(), &ip) != 0 || wire.ParseTCP(ip.Payload, &seg) != 0 {
					t.Error("an illegal packet")
				}
				flow, _ := ip.Flow()
				at, ok := next[flow]
				if ok && seg.End().LessEq(at) {
					continue // sent again, since a busy machine has stood still for two round trips
				}
				if ok && seg.Seq != at && seg.Flags&wire.RST == 0 {
					t.Errorf("%v of %v: want SEQ=%v", &seg, flow, at)
				}
				next[flow] = seg.End()
			}
		}}
	}
	done := func(i int, l link.Link) link.Link { return &after{l, func() { within[i].Add(-1) }} }
	a, b := join(t, watch(0, done(0, la)), watch(1, done(1, lb)))
	const conns, size = 4, 1 << 20
	var wg sync.WaitGroup
	for range conns {
		c, s := connect(t, a, b)
		for _, way := range [][2]*host.Conn{{c, s}, {s, c}} {
			wg.Go(func() {
				if n, err := way[0].Write(make([]byte, size)); n != size || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
				way[0].CloseWrite()
			})
			wg.Go(func() {
				if n, err := io.Copy(io.Discard, struct{ io.Reader }{way[1]}); n != size || err != nil {
					t.Errorf("read %d octets, %v", n, err)
				}
			})
		}
	}
	wg.Wait()
}

// after is a link that calls after each Send.
type after struct {
	link.Link
	done func()
}

func (a *after) Send(batch []wire.Packet) error {
	defer a.done()
	return a.Link.Send(batch)
}

// No lock is held while a link sends: a link that is slow holds up nobody, and may ask the
// host.
func TestNoLockWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		var slow atomic.Bool
		var a *host.Host
		l := &spy{la, func([]wire.Packet) {
			if slow.Load() {
				a.Stats()
				time.Sleep(time.Hour)
			}
		}}
		a, b := join(t, l, lb)
		c, s := connect(t, a, b)
		other, _ := connect(t, a, b)
		slow.Store(true)
		go c.Write([]byte("x"))
		synctest.Wait()
		start := time.Now()
		if n, err := other.Write([]byte("y")); n != 1 || err != nil || time.Since(start) != 0 {
			t.Errorf("Write beside a Send that takes an hour: %d, %v after %v", n, err, time.Since(start))
		}
		slow.Store(false)
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

// A caller does not transmit for ever for others: what comes anew all the time is left to
// the timer.
func TestTransmitterGoesItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		const total = 10000
		var sends atomic.Int32
		var more *host.Conn
		l := &spy{la, func([]wire.Packet) {
			if more != nil && sends.Add(1) <= total {
				more.Write([]byte("x")) // from within Send: it is left to the transmitter
			}
		}}
		a, b := join(t, l, lb)
		c, _ := connect(t, a, b)
		m, s := connect(t, a, b)
		m.SetNoDelay(true)
		more = m
		start := time.Now()
		c.Write([]byte("x"))
		if n := sends.Load(); n >= total {
			t.Errorf("Write sent %d times for another connection", n)
		}
		got := make([]byte, total)
		if _, err := io.ReadFull(s, got); err != nil || time.Since(start) != 0 {
			t.Errorf("the rest: %v after %v", err, time.Since(start))
		}
	})
}

// What is read opens the window, and who writes goes on at once.
func TestReadOpensWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		a, b := join(t, la, lb)
		c, s := connect(t, a, b)
		c.SetSendBuffer(1 << 20)
		s.SetReceiveBuffer(64 << 10)
		const size = 4 << 20
		written := make(chan int, 1)
		go func() {
			n, _ := c.Write(make([]byte, size))
			written <- n
		}()
		synctest.Wait()
		start := time.Now()
		for left := size - 1<<20; left > 0; { // the send buffer holds 1 MiB
			n, err := s.Read(make([]byte, 64<<10))
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		if n := <-written; n != size || time.Since(start) != 0 {
			t.Errorf("Write queued %d octets, and that took %v", n, time.Since(start))
		}
	})
}

// A Write of many windows wakes its caller when all is queued, and each octet arrives.
func TestLargeWrite(t *testing.T) {
	la, lb := link.Pair(0)
	a, b := join(t, la, lb)
	c, s := connect(t, a, b)
	p := make([]byte, 10<<20)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	go func() {
		c.Write(p)
		c.Close()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, p) {
		t.Errorf("read %d octets, %v; want %d", len(got), err, len(p))
	}
}

// What cannot be attached stays the caller's, and leaves nothing in the host.
func TestAttachFails(t *testing.T) {
	h := host.New(host.Config{})
	defer h.Close()
	small, _ := link.Pair(576)
	if err := h.Attach(small, host.LinkConfig{Addresses: prefixes("fd00::1/64")}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("IPv6 on an MTU of 576: %v; want EINVAL (RFC 8200 section 5)", err)
	}
	used, _ := link.Pair(0)
	used.Attach(receiver{})
	if err := h.Attach(used, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); !errors.Is(err, link.ErrAttached) {
		t.Errorf("a link that is in use: %v; want link.ErrAttached", err)
	}
	if err := used.Send(nil); err != nil {
		t.Errorf("the link was closed: %v", err)
	}
	la, _ := link.Pair(0)
	if err := h.Attach(la, host.LinkConfig{Addresses: prefixes("10.0.0.1/24"), Routes: []netip.Prefix{{}}}); !errors.Is(err, syscall.EINVAL) || !strings.HasPrefix(err.Error(), "route invalid Prefix: ") {
		t.Errorf("an invalid route: %v; want EINVAL", err)
	}
	if err := h.Attach(la, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); err != nil {
		t.Errorf("after failures with the same address: %v", err)
	}
	lb, _ := link.Pair(0)
	if err := h.Attach(lb, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "10.0.0.1/24: another link has that address" {
		t.Errorf("the same address: %v; want EADDRINUSE", err)
	}
}

type receiver struct{}

func (receiver) Receive([]wire.Packet) {}

// Close closes the links, and what still comes is for nobody.
func TestCloseClosesLinks(t *testing.T) {
	la, lb := link.Pair(0)
	a, b := join(t, la, lb)
	c, _ := connect(t, a, b)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := la.Send(nil); !errors.Is(err, link.ErrClosed) {
		t.Errorf("the link is open: %v", err)
	}
	if n := len(a.Connections()); n != 0 {
		for _, st := range a.Connections() {
			if st.Err == nil {
				t.Errorf("%v lives on in %v", st.Flow, st.State)
			}
		}
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, host.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
}

// router is a link that answers packets by ICMP errors.
type router struct {
	link.Link
	r       link.Receiver
	message wire.ICMPMessage
	well    atomic.Bool // packets pass
}

func (r *router) Attach(to link.Receiver) error { r.r = to; return r.Link.Attach(to) }

func (r *router) Send(batch []wire.Packet) error {
	if r.well.Load() {
		return r.Link.Send(batch)
	}
	for i := range batch {
		var ip wire.IP
		if wire.ParseIP(batch[i].Bytes(), &ip) != 0 {
			return errors.New("illegal")
		}
		m := r.message
		m.Body = batch[i].Bytes()
		src := wire.AddrFrom(netip.MustParseAddr("10.0.0.254"))
		b := make([]byte, wire.Headroom+1500)
		n := wire.PutICMP(b[wire.Headroom:], src, ip.Src, 0, 64, &m)
		r.r.Receive([]wire.Packet{{Buf: b[:wire.Headroom+n], Head: wire.Headroom}})
	}
	return nil
}

// What ICMP says of a SYN: hard errors end the attempt at once (SHLD-26), soft ones say why
// it failed when it has timed out (MUST-56, RFC 5461 section 2).
func TestDialICMP(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind wire.ICMPKind
		code uint8
		want syscall.Errno
		soft bool
	}{
		{"network unreachable", wire.ICMPUnreachable, wire.ICMPv4NetUnreachable, syscall.ENETUNREACH, true},
		{"host unreachable", wire.ICMPUnreachable, wire.ICMPv4HostUnreachable, syscall.EHOSTUNREACH, true},
		{"prohibited", wire.ICMPUnreachable, wire.ICMPv4AdminProhibited, syscall.EHOSTUNREACH, true},
		{"time exceeded", wire.ICMPTimeExceeded, wire.ICMPHopLimitExceeded, syscall.EHOSTUNREACH, true},
		{"port unreachable", wire.ICMPUnreachable, wire.ICMPv4PortUnreachable, syscall.ECONNREFUSED, false},
		{"protocol unreachable", wire.ICMPUnreachable, wire.ICMPv4ProtocolUnreachable, syscall.ENOPROTOOPT, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := host.New(host.Config{})
				defer h.Close()
				la, _ := link.Pair(0)
				r := &router{Link: la, message: wire.ICMPMessage{Kind: tc.kind, Code: tc.code}}
				if err := h.Attach(r, host.LinkConfig{Addresses: prefixes("10.0.0.1/24")}); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				_, err := h.Dial(t.Context(), netip.AddrPort{}, serverB, host.DialConfig{})
				if !errors.Is(err, tc.want) {
					t.Errorf("Dial: %v; want %v", err, tc.want)
				}
				if waited := time.Since(start) > 0; waited != tc.soft {
					t.Errorf("Dial took %v", time.Since(start))
				}
			})
		})
	}
}

// What ICMP says of a connection that is established is soft: whoever asks is told (MUST-47),
// who does not ask sees nothing of it, and reads on (SHLD-20).
func TestSoftErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		r := &router{Link: la, message: wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: wire.ICMPv4HostUnreachable}}
		r.well.Store(true)
		a, b := join(t, r, lb)
		c, s := connect(t, a, b)
		r.well.Store(false)
		time.AfterFunc(time.Second, func() { r.well.Store(true) })
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("Write: %v", err)
		}
		if soft := c.Status().Soft; soft.Reason != tcp.HostUnreachable || soft.Hard {
			t.Errorf("the soft error is %v; want host unreachable", soft)
		}
		go func() {
			p := make([]byte, 1)
			s.Read(p)
			s.Write(p)
		}()
		p := make([]byte, 1)
		if n, err := c.Read(p); string(p[:n]) != "x" || err != nil {
			t.Errorf("Read: %q, %v", p[:n], err)
		}
	})
}

// The errors of Dial and Listen that need no network.
func TestLocalErrors(t *testing.T) {
	la, lb := link.Pair(0)
	a, _ := join(t, la, lb)
	socket := netip.MustParseAddrPort
	for _, tc := range []struct {
		local, remote string
		want          error
	}{
		{"0.0.0.0:0", "192.0.2.1:80", syscall.ENETUNREACH},
		{"0.0.0.0:0", "[2001:db8::1]:80", syscall.ENETUNREACH},
		{"0.0.0.0:0", "224.0.0.1:80", syscall.ENETUNREACH},
		{"0.0.0.0:0", "10.0.0.255:80", syscall.ENETUNREACH},
		{"10.0.0.7:0", "10.0.0.2:80", syscall.EADDRNOTAVAIL},
		{"[::1]:0", "10.0.0.2:80", syscall.EINVAL},
		{"0.0.0.0:0", "10.0.0.2:80", syscall.ECONNREFUSED},
	} {
		if _, err := a.Dial(t.Context(), socket(tc.local), socket(tc.remote), host.DialConfig{}); !errors.Is(err, tc.want) {
			t.Errorf("Dial %s from %s: %v; want %v", tc.remote, tc.local, err, tc.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Dial(ctx, netip.AddrPort{}, serverB, host.DialConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial with a context that is done: %v", err)
	}
	if _, err := a.Listen(socket("10.0.0.7:80"), host.ListenConfig{}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("Listen on an address that is not the host's: %v", err)
	}
}

// A backlog bounds those that wait for Accept, and each of them is served.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		a, b := join(t, la, lb)
		l, err := b.Listen(serverB, host.ListenConfig{Backlog: 3})
		if err != nil {
			t.Fatal(err)
		}
		dial := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			c, err := a.Dial(ctx, netip.AddrPort{}, serverB, host.DialConfig{})
			if err == nil {
				c.Write([]byte("x"))
			}
			return err
		}
		for i := range 3 {
			if err := dial(); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		if err := dial(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the fourth of three: %v", err)
		}
		for range 3 {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}
		if err := dial(); err != nil {
			t.Errorf("when there is room again: %v", err)
		}
	})
}

// Urgent data is announced to the peer, and read apart from what follows (MUST-30, RFC 9293
// section 3.9.1.3).
func TestWriteUrgent(t *testing.T) {
	la, lb := link.Pair(0)
	a, b := join(t, la, lb)
	c, s := connect(t, a, b)
	c.WriteUrgent([]byte("stop"))
	c.Write([]byte("go on"))
	if n := s.Status().UrgentLeft; n != 4 {
		t.Errorf("%d octets of urgent data; want 4", n)
	}
	p := make([]byte, 100)
	if n, err := s.Read(p); string(p[:n]) != "stop" || err != nil {
		t.Errorf("read %q, %v; want the urgent data alone", p[:n], err)
	}
	if n, err := s.Read(p); string(p[:n]) != "go on" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

// What is set on a connection stands in its packets (MUST-48, MUST-49).
func TestTrafficClassAndHopLimit(t *testing.T) {
	la, lb := link.Pair(0)
	var last atomic.Int32
	l := &spy{la, func(batch []wire.Packet) {
		var ip wire.IP
		wire.ParseIP(batch[len(batch)-1].Bytes(), &ip)
		last.Store(int32(ip.TC)<<8 | int32(ip.HopLimit))
	}}
	a, b := join(t, l, lb)
	c, _ := connect(t, a, b)
	c.SetNoDelay(true)
	c.SetTrafficClass(0xb8)
	c.SetHopLimit(7)
	c.Write([]byte("x"))
	if got := last.Load(); got != 0xb807 {
		t.Errorf("traffic class and hop limit are %#x; want 0xb807", got)
	}
	c.SetHopLimit(0)
	c.Write([]byte("x"))
	if got := last.Load(); got != 0xb840 {
		t.Errorf("traffic class and hop limit are %#x; want 0xb840", got)
	}
}

// TryRead waits for nothing: it says that there is nothing yet, gives what there is, and says the end.
func TestTryRead(t *testing.T) {
	la, lb := link.Pair(0)
	a, b := join(t, la, lb)
	c, s := connect(t, a, b)
	p := make([]byte, 8)
	if n, err := c.TryRead(p); n != 0 || err != syscall.EAGAIN {
		t.Errorf("with nothing to read: %d, %v; want EAGAIN", n, err)
	}
	if _, err := s.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.TryRead(p); string(p[:n]) != "text" || err != nil {
		t.Errorf("with text to read: %q, %v", p[:n], err)
	}
	s.CloseWrite()
	if _, err := c.TryRead(p); err != io.EOF {
		t.Errorf("after the peer's FIN: %v; want EOF", err)
	}
	c.Close()
	if _, err := c.TryRead(p); !errors.Is(err, host.ErrClosed) {
		t.Errorf("after Close: %v; want ErrClosed", err)
	}
}
