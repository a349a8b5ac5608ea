package vitro_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

func listenUDP(t testing.TB, s *vitro.Stack, network, address string) *vitro.UDPConn {
	t.Helper()
	c, err := s.ListenUDP(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dialUDP(t testing.TB, s *vitro.Stack, address string) *vitro.UDPConn {
	t.Helper()
	c, err := s.DialUDP(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Between two Stacks, over both families, in one packet and in many.
func TestUDP(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	server := listenUDP(t, b, "udp", ":53")
	p := make([]byte, 70000)
	for _, host := range []string{"10.0.0.2", "[fd00::2]"} {
		c := dialUDP(t, a, host+":53")
		for _, size := range []int{0, 1, 1472, 1473, 65507} {
			sent := bytes.Repeat([]byte{byte(size), 1}, size/2+1)[:size]
			if n, err := c.Write(sent); n != size || err != nil {
				t.Fatalf("Write of %d octets to %s: %d, %v", size, host, n, err)
			}
			d, err := server.ReadDatagram(p)
			if err != nil || !bytes.Equal(p[:d.N], sent) || d.Len != size {
				t.Fatalf("%d octets to %s arrive as %+v, %v", size, host, d, err)
			}
			if d.From.String() != c.LocalAddr().String() || d.To.String() != strings.Trim(host, "[]") {
				t.Errorf("from %v to %v; want %v and %s", d.From, d.To, c.LocalAddr(), host)
			}
			if _, err := server.WriteToUDPAddrPort(sent, d.From); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(p); err != nil || !bytes.Equal(p[:n], sent) {
				t.Fatalf("%d octets from %s arrive as %d, %v", size, host, n, err)
			}
		}
	}
	if s := b.Stats(); s.DatagramsIn != 10 || s.DatagramsOut != 10 || s.UDPSockets != 1 || s.UDPBuffers != 0 {
		t.Errorf("%+v", s)
	}
}

// What there is not: groups, broadcasts, control messages, a file descriptor.
func TestUDPUnsupported(t *testing.T) {
	a, _ := pair(t, vitro.Config{})
	c := listenUDP(t, a, "udp", ":0")
	unsupported := func(what string, err error) {
		t.Helper()
		var op *net.OpError
		if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &op) {
			t.Errorf("%s: %v; want errors.ErrUnsupported", what, err)
		}
	}
	for _, group := range []string{"224.0.0.1", "239.1.2.3", "ff02::1", "255.255.255.255", "10.0.0.255"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(group), 5353)
		_, err := a.ListenPacket("udp", to.String())
		unsupported("ListenPacket "+group, err)
		if !strings.Contains(err.Error(), "multicast and broadcast are not supported") {
			t.Errorf("ListenPacket %s: %v", group, err)
		}
		_, err = a.Dial("udp", to.String())
		unsupported("Dial "+group, err)
		_, err = c.WriteToUDPAddrPort(nil, to)
		unsupported("WriteTo "+group, err)
		_, err = a.Ping(t.Context(), group)
		unsupported("Ping "+group, err)
	}
	_, _, err := c.WriteMsgUDP(nil, []byte{1}, &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1})
	unsupported("WriteMsgUDP with a control message", err)
	for _, s := range []string{"[fe80::1%eth0]:53"} {
		_, err := a.Dial("udp", s)
		var addr *net.AddrError
		if !errors.As(err, &addr) {
			t.Errorf("Dial %s: %v", s, err)
		}
	}
}

// The methods of zero values return what those of package net do.
func TestZeroUDPConn(t *testing.T) {
	calls := func(c udpConn) (errs []error) {
		now := time.Now()
		_, e1 := c.Read(nil)
		_, e2 := c.Write(nil)
		_, _, e3 := c.ReadFrom(nil)
		_, _, e4 := c.ReadFromUDP(nil)
		_, _, e5 := c.ReadFromUDPAddrPort(nil)
		_, e6 := c.WriteTo(nil, nil)
		_, e7 := c.WriteToUDP(nil, nil)
		_, e8 := c.WriteToUDPAddrPort(nil, netip.AddrPort{})
		_, _, e9 := c.WriteMsgUDP(nil, nil, nil)
		_, _, e10 := c.WriteMsgUDPAddrPort(nil, nil, netip.AddrPort{})
		_, _, _, _, e11 := c.ReadMsgUDP(nil, nil)
		return append(errs, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, c.Close(), c.SetDeadline(now),
			c.SetReadDeadline(now), c.SetWriteDeadline(now), c.SetReadBuffer(1), c.SetWriteBuffer(1))
	}
	kernel, own := calls(new(net.UDPConn)), calls(new(vitro.UDPConn))
	for i := range own {
		if own[i] != kernel[i] {
			t.Errorf("call %d: %v; package net: %v", i, own[i], kernel[i])
		}
	}
	if c := new(vitro.UDPConn); c.LocalAddr() != nil || c.RemoteAddr() != nil || c.SetHopLimit(1) != syscall.EINVAL {
		t.Error("a zero UDPConn has an address")
	}
	if _, err := new(vitro.UDPConn).ReadDatagram(nil); err != syscall.EINVAL {
		t.Error(err)
	}
	var none vitro.Stack
	if _, err := none.ListenPacket("udp", ":0"); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if _, err := none.Dial("udp", ":1"); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if _, err := none.Ping(context.Background(), "10.0.0.1"); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

// Calls that wait end when they should, to the nanosecond.
func TestUDPWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{})
		server := listenUDP(t, b, "udp", ":53")
		c := dialUDP(t, a, "10.0.0.2:53")
		c.SetReadDeadline(time.Now().Add(3 * time.Second))
		wantErr(t, "Read", takes(t, "Read with a deadline", 3*time.Second, read(c)), os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		later(2*time.Second, func() { server.WriteTo([]byte("x"), c.LocalAddr()) })
		wantErr(t, "Read", takes(t, "Read of what comes in 2 s", 2*time.Second, read(c)), nil)
		later(time.Second, func() { c.SetReadDeadline(time.Unix(1, 0)) })
		wantErr(t, "Read", takes(t, "Read whose deadline is set meanwhile", time.Second, read(c)), os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		later(time.Second, func() { c.Close() })
		wantErr(t, "Read", takes(t, "Read that Close ends", time.Second, read(c)), net.ErrClosed)

		// A refusal comes to a Read that waits, and costs no time.
		c = dialUDP(t, a, "10.0.0.2:54")
		later(time.Second, func() { c.Write([]byte("x")) })
		wantErr(t, "Read", takes(t, "Read that is refused", time.Second, read(c)), syscall.ECONNREFUSED)
		later(5*time.Second, func() { a.Close() })
		wantErr(t, "Read", takes(t, "Read that Stack.Close ends", 5*time.Second, read(c)), net.ErrClosed)
		if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Stack.Close: %v", err)
		}
		if _, err := a.ListenPacket("udp", ":0"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ListenPacket after Stack.Close: %v", err)
		}
	})
}

// stuck is a link that takes nothing while it is shut.
type stuck struct {
	link.Link
	open chan struct{}
}

func (s *stuck) Send(p []wire.Packet) error {
	<-s.open
	return s.Link.Send(p)
}

// A Write waits while the link takes nothing and the send buffer is full, and no datagram is lost for
// it.
func TestUDPWriteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		s := &stuck{la, make(chan struct{})}
		a, b := join(t, vitro.Config{}, s, lb)
		server := listenUDP(t, b, "udp", ":53")
		server.SetReadBuffer(1 << 20)
		c := dialUDP(t, a, "10.0.0.2:53")
		go c.Write(nil) // it is in Send
		synctest.Wait()
		c.SetWriteBuffer(10000)
		data := make([]byte, 972)
		sent := 0
		c.SetWriteDeadline(time.Now().Add(4 * time.Second))
		err := takes(t, "Write", 4*time.Second, func() error {
			for {
				if _, err := c.Write(data); err != nil {
					return err
				}
				sent++
			}
		})
		wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		if sent != 10 {
			t.Errorf("%d packets of 1000 octets find room in 10000", sent)
		}
		c.SetWriteDeadline(time.Time{})
		later(time.Second, func() { close(s.open) })
		takes(t, "Write", time.Second, func() error { _, err := c.Write(data); return err })
		synctest.Wait()
		server.SetReadDeadline(time.Now())
		got := 0
		for {
			if _, err := server.Read(data); err != nil {
				break
			}
			got++
		}
		if got != 0 {
			t.Errorf("%d datagrams are read after the deadline", got)
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		for {
			if _, err := server.Read(data); err != nil {
				break
			}
			got++
		}
		if got != sent+2 {
			t.Errorf("%d datagrams were written, %d have arrived", sent+2, got)
		}
	})
}

// What finds no room in the receive buffer is lost, and nothing else.
func TestUDPReadBuffer(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	server := listenUDP(t, b, "udp", ":53")
	server.SetReadBuffer(10000)
	c := dialUDP(t, a, "10.0.0.2:53")
	for i := range 100 {
		c.Write([]byte{byte(i)})
	}
	n := 10000 / (256 + 96) // what SetReadBuffer says of them
	p := make([]byte, 9)
	for i := range n {
		if _, err := server.Read(p); err != nil || p[0] != byte(i) {
			t.Fatalf("datagram %d is %d, %v", i, p[0], err)
		}
	}
	server.SetReadDeadline(time.Now())
	if _, err := server.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if lost := b.Stats().DatagramsDropped; lost != uint64(100-n) {
		t.Errorf("%d are counted as lost; want %d", lost, 100-n)
	}
}

// Limits hold, and say so.
func TestUDPLimits(t *testing.T) {
	s, err := vitro.New(vitro.Config{Limits: vitro.Limits{MaxUDPSockets: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listenUDP(t, s, "udp", ":0")
	dialUDP(t, s, "127.0.0.1:9")
	if _, err := s.ListenPacket("udp", ":0"); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("ListenPacket beyond MaxUDPSockets: %v", err)
	}
	for _, l := range []vitro.Limits{{MaxUDPSockets: -1}, {MaxUDPBuffers: -1}} {
		if _, err := vitro.New(vitro.Config{Limits: l}); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}

// Ping over a link, of itself, to nobody, and with a context that ends.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		a, _ := join(t, vitro.Config{Resolver: names{"server": {"10.0.0.2"}}}, la, lb)
		for _, address := range []string{"10.0.0.2", "fd00::2", "127.0.0.1", "localhost", "10.0.0.1", "server"} {
			if rtt, err := a.Ping(t.Context(), address); err != nil || rtt != 0 {
				t.Errorf("Ping %s: %v, %v", address, rtt, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := takes(t, "Ping", 3*time.Second, func() error { _, err := a.Ping(ctx, "10.0.0.77"); return err })
		wantErr(t, "Ping to nobody", err, context.DeadlineExceeded)
		_, err = a.Ping(t.Context(), "192.0.2.1")
		wantErr(t, "Ping where no route leads", err, syscall.ENETUNREACH)
		_, err = a.Ping(t.Context(), "nobody")
		var dns *net.DNSError
		if !errors.As(err, &dns) {
			t.Errorf("Ping of a name that is none: %v", err)
		}
		later(time.Second, func() { a.Close() })
		err = takes(t, "Ping", time.Second, func() error { _, err := a.Ping(t.Context(), "10.0.0.77"); return err })
		wantErr(t, "Ping as the Stack is closed", err, net.ErrClosed)
	})
}

// Of several goroutines that read and write one socket at a time, each datagram goes to one.
func TestUDPManyAtOnce(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	server := listenUDP(t, b, "udp", ":53")
	server.SetReadBuffer(1 << 20)
	c := dialUDP(t, a, "10.0.0.2:53")
	const writers, each = 4, 200
	seen := make(chan byte, writers*each)
	for range 3 {
		go func() {
			p := make([]byte, 9)
			for {
				n, _, err := server.ReadFrom(p)
				if err != nil || n != 1 {
					return
				}
				seen <- p[0]
			}
		}()
	}
	for w := range writers {
		go func() {
			for range each {
				if _, err := c.Write([]byte{byte(w)}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var count [writers]int
	for range writers * each {
		count[<-seen]++
	}
	if count != [writers]int{each, each, each, each} {
		t.Errorf("datagrams by writer: %v", count)
	}
}

// dnsServer answers on UDP and TCP for names of its own; what has many addresses is truncated on UDP.
func dnsServer(t testing.TB, s *vitro.Stack, names map[string][]string) (udp, tcp *int, stop func()) {
	t.Helper()
	udp, tcp = new(int), new(int)
	c := listenUDP(t, s, "udp", ":53")
	l, err := s.Listen("tcp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p := make([]byte, 2000)
		for {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			*udp++
			if bytes.Contains(p[:n], []byte("silent")) {
				continue
			}
			c.WriteTo(dnsAnswer(p[:n], names, 512), from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				head := make([]byte, 2)
				for {
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					p := make([]byte, int(head[0])<<8|int(head[1]))
					io.ReadFull(c, p)
					*tcp++
					answer := dnsAnswer(p, names, 65535)
					c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
				}
			}()
		}
	}()
	return udp, tcp, func() { c.Close(); l.Close() }
}

// dnsAnswer is the answer to one question (RFC 1035 section 4), truncated where it is longer than most.
func dnsAnswer(q []byte, names map[string][]string, most int) []byte {
	end, name := 12, ""
	for q[end] != 0 {
		name += string(q[end+1:end+1+int(q[end])]) + "."
		end += 1 + int(q[end])
	}
	kind := q[end+2] // 1: A, 28: AAAA
	end += 5
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	list, known := names[name]
	if !known {
		a[3] |= 3 // no such name
	}
	for _, s := range list {
		ip := netip.MustParseAddr(s)
		if ip.Is4() != (kind == 1) {
			continue
		}
		a[7]++
		if a[7] == 0 {
			a[6]++
		}
		a = append(a, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(ip.BitLen()/8))
		a = append(a, ip.AsSlice()...)
	}
	if len(a) > most {
		a = a[:end]
		a[2] |= 2 // truncated
		a[6], a[7] = 0, 0
	}
	return a
}

// Go's own resolver over a Stack: with UDP, and over TCP what is truncated there.
func TestGoResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []string
		for i := range 100 {
			many = append(many, fmt.Sprintf("10.9.0.%d", i))
		}
		var a *vitro.Stack
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return a.DialContext(ctx, network, "10.0.0.2:53")
		}}
		la, lb := link.Pair(0)
		var b *vitro.Stack
		a, b = join(t, vitro.Config{Resolver: resolver}, la, lb)
		udp, tcp, stop := dnsServer(t, b, map[string][]string{"server.test.": {"10.0.0.2", "fd00::2"}, "many.test.": many})
		ips, err := resolver.LookupNetIP(t.Context(), "ip", "server.test.")
		if err != nil || len(ips) != 2 {
			t.Errorf("server.test.: %v, %v", ips, err)
		}
		if *udp != 2 || *tcp != 0 {
			t.Errorf("%d questions over UDP, %d over TCP", *udp, *tcp)
		}
		ips, err = resolver.LookupNetIP(t.Context(), "ip4", "many.test.")
		if err != nil || len(ips) != 100 {
			t.Errorf("many.test.: %d, %v", len(ips), err)
		}
		if *tcp == 0 {
			t.Error("what is truncated is not asked for over TCP")
		}
		var dns *net.DNSError
		if _, err = resolver.LookupNetIP(t.Context(), "ip", "nobody.test."); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("nobody.test.: %v", err)
		}
		// And Dial by it.
		l, err := b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.Dial("tcp", "server.test.:80")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := l.Accept()
		s.Close()
		c.Close()
		if _, err := a.Dial("udp", "server.test.:53"); err != nil {
			t.Error(err)
		}
		// Nobody answers: the resolver asks again, and gives up in its time.
		start := time.Now()
		_, err = resolver.LookupNetIP(t.Context(), "ip4", "silent.test.")
		if !errors.As(err, &dns) || !dns.IsTimeout || time.Since(start) < 5*time.Second {
			t.Errorf("without an answer: %v after %v", err, time.Since(start))
		}
		// No server is there: ICMP says so, and no time is lost.
		stop()
		start = time.Now()
		_, err = resolver.LookupNetIP(t.Context(), "ip4", "server.test.")
		if err == nil || !strings.Contains(err.Error(), "connection refused") || time.Since(start) != 0 {
			t.Errorf("of a server that is gone: %v after %v", err, time.Since(start))
		}
	})
}
