package host_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// hairpin is a link that leads back to where it comes from, after a time.
type hairpin struct {
	mtu     int
	offload link.Offload
	after   time.Duration

	mu      sync.Mutex
	r       link.Receiver
	seen    []wire.Packet
	closed  bool
	refuses error
}

func (l *hairpin) Attach(r link.Receiver) error { l.r = r; return l.refuses }
func (l *hairpin) MTU() int                     { return l.mtu }
func (l *hairpin) Offload() link.Offload        { return l.offload }
func (l *hairpin) Close() error                 { l.closed = true; return nil }

func (l *hairpin) Send(batch []wire.Packet) error {
	l.mu.Lock()
	at := len(l.seen)
	for _, p := range batch {
		p.Buf, p.Head = bytes.Clone(p.Bytes()), 0
		l.seen = append(l.seen, p)
	}
	came := slices.Clone(l.seen[at:])
	l.mu.Unlock()
	for _, p := range came {
		if l.after == 0 {
			l.r.Receive([]wire.Packet{p})
		} else {
			time.AfterFunc(l.after, func() { l.r.Receive([]wire.Packet{p}) })
		}
	}
	return nil
}

// packets returns what has been sent.
func (l *hairpin) packets() []wire.Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

func loopbackHost(t *testing.T, l link.Link) *host.Host {
	t.Helper()
	h := host.New(host.Config{})
	t.Cleanup(func() { h.Close() })
	if err := h.AttachLoopback(l); err != nil {
		t.Fatal(err)
	}
	return h
}

// With a loopback link all that a host sends to itself goes by it, the reset of a port on which nobody
// listens too, and takes as long as the link does.
func TestLoopbackByLink(t *testing.T) {
	for _, at := range []string{"127.0.0.2:80", "[::1]:80"} {
		synctest.Test(t, func(t *testing.T) {
			const way = 10 * time.Millisecond
			l := &hairpin{mtu: 1500, after: way}
			h := loopbackHost(t, l)
			server := netip.MustParseAddrPort(at)
			start := time.Now()
			if _, err := h.Dial(t.Context(), netip.AddrPort{}, server, host.DialConfig{}); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a port on which nobody listens answers a SYN with %v; want ECONNREFUSED", err)
			}
			if d := time.Since(start); d != 2*way {
				t.Errorf("the refusal took %v; want a round trip of %v", d, 2*way)
			}
			ln, err := h.Listen(server, host.ListenConfig{})
			if err != nil {
				t.Fatal(err)
			}
			start = time.Now()
			c, err := h.Dial(t.Context(), netip.AddrPort{}, server, host.DialConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != 2*way {
				t.Errorf("the handshake took %v; want a round trip of %v", d, 2*way)
			}
			s, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("0123456789"), 30_000)
			go func() {
				_, _ = c.Write(want)
				_ = c.CloseWrite()
			}()
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d octets came through a loopback link, and %v; want %d", len(got), err, len(want))
			}
			s.Close()
			c.Close()
			time.Sleep(time.Second)
			seen := l.packets()
			for _, p := range seen {
				if len(p.Buf) > l.mtu || p.GSO != 0 || p.Sum != wire.ChecksumNone {
					t.Fatalf("a packet of %d octets, super-segment of %d, checksum %v on a loopback link of MTU %d without offloads", len(p.Buf), p.GSO, p.Sum, l.mtu)
				}
			}
			if least := len(want) / l.mtu; len(seen) < least {
				t.Errorf("a loopback link has seen %d packets; %d octets are at least %d", len(seen), len(want), least)
			}
		})
	}
}

// A loopback link that takes super-segments gets them, and delivers within Send what it is given.
func TestLoopbackOffload(t *testing.T) {
	l := &hairpin{mtu: 1500, offload: link.Offload{MaxSuper: link.MaxSuper, Checksum: true}}
	h := loopbackHost(t, l)
	server := netip.MustParseAddrPort("127.0.0.1:80")
	ln, err := h.Listen(server, host.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Dial(t.Context(), netip.AddrPort{}, server, host.DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	go func() {
		_, _ = c.Write(want)
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets came through a loopback link with offloads, and %v; want %d", len(got), err, len(want))
	}
	longest := 0
	for _, p := range l.packets() {
		longest = max(longest, len(p.Buf))
	}
	if longest <= l.mtu {
		t.Errorf("the longest packet on a loopback link with offloads has %d octets: no super-segment", longest)
	}
}

// A loopback link comes first, has room for IPv6, and goes with its host alone.
func TestLoopbackLinkRules(t *testing.T) {
	h := host.New(host.Config{})
	if err := h.AttachLoopback(&hairpin{mtu: 1279}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a loopback link of MTU 1279, too small for IPv6, gives %v; want EINVAL", err)
	}
	ln, err := h.Listen(netip.MustParseAddrPort("127.0.0.1:80"), host.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AttachLoopback(&hairpin{mtu: 1500}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a loopback link after a listener gives %v; want EADDRINUSE", err)
	}
	ln.Close()
	l := &hairpin{mtu: 1500}
	if err := h.AttachLoopback(l); err != nil {
		t.Fatal(err)
	}
	if err := h.Detach(l); !errors.Is(err, syscall.ENODEV) || l.closed {
		t.Errorf("detaching a loopback link gives %v, and has closed it: %v; want ENODEV", err, l.closed)
	}
	h.Close()
	if !l.closed {
		t.Error("a closed host has left its loopback link open")
	}
	if err := h.AttachLoopback(&hairpin{mtu: 1500}); !errors.Is(err, host.ErrClosed) {
		t.Errorf("a loopback link for a closed host gives %v; want ErrClosed", err)
	}
}

// WriteBuffers is one write: what another goroutine writes meanwhile comes before or after it, though
// it is far more than the send buffer takes.
func TestWriteBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(1500)
		a, b := join(t, la, lb)
		c, s := connect(t, a, b)
		if err := c.SetSendBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		piece := []byte(strings.Repeat("a", 10_000))
		pieces := make([][]byte, 100)
		for i := range pieces {
			pieces[i] = piece
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := c.WriteBuffers(pieces); n != 1_000_000 || err != nil {
				t.Errorf("WriteBuffers of a million octets: %d, %v", n, err)
			}
		})
		wg.Go(func() {
			synctest.Wait() // until the first waits for room
			if n, err := c.Write([]byte("b")); n != 1 || err != nil {
				t.Errorf("a Write beside it: %d, %v", n, err)
			}
		})
		got := make([]byte, 1_000_001)
		time.Sleep(time.Second)
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if i := bytes.IndexByte(got, 'b'); i != 0 && i != 1_000_000 {
			t.Errorf("octet %d of a million is another Write's", i)
		}
		s.Close()
		_ = c.SetLinger(0)
		if n, err := c.WriteBuffers(pieces); err == nil || n > 64<<10 {
			t.Errorf("WriteBuffers to a peer that is gone: %d, %v; want an error", n, err)
		}
		c.Close()
		if n, err := c.WriteBuffers(pieces); n != 0 || !errors.Is(err, host.ErrClosed) {
			t.Errorf("WriteBuffers after Close: %d, %v; want 0 and ErrClosed", n, err)
		}
	})
}
