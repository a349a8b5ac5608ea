package vitro_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// Each benchmark runs over links in memory and over the kernel's loopback, so that one run
// compares them on one machine: go test -bench . -run '^$'

type benchNetwork struct {
	name string
	open func(testing.TB) (l net.Listener, dial func() (net.Conn, error))
}

func overPair(name string, c link.PairConfig) benchNetwork {
	return benchNetwork{name, func(t testing.TB) (net.Listener, func() (net.Conn, error)) {
		la, lb := link.NewPair(c)
		a, b := join(t, vitro.Config{}, la, lb)
		l, err := b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		return l, func() (net.Conn, error) { return a.Dial("tcp", "10.0.0.2:80") }
	}}
}

var benchNetworks = []benchNetwork{
	overPair("mtu=1500", link.PairConfig{NoOffload: true}),
	overPair("mtu=1500-super", link.PairConfig{}),
	overPair("mtu=65535", link.PairConfig{MTU: link.MaxMTU}),
	{"kernel", func(t testing.TB) (net.Listener, func() (net.Conn, error)) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	}},
}

func benchPair(b *testing.B, n benchNetwork) (client, server net.Conn) {
	b.Helper()
	l, dial := n.open(b)
	client, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// Bulk: one goroutine writes 64 KiB at a time, another reads.
func BenchmarkBulk(b *testing.B) {
	for _, n := range benchNetworks {
		b.Run(n.name, func(b *testing.B) {
			c, s := benchPair(b, n)
			p := make([]byte, 64<<10)
			var wg sync.WaitGroup
			wg.Go(func() {
				q := make([]byte, 64<<10)
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(s, int64(b.N)*int64(len(p))), q); err != nil {
					b.Error(err)
				}
			})
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := c.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)*float64(len(p))*8/1e9/b.Elapsed().Seconds(), "Gbit/s")
		})
	}
}

// One octet there and one back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, n := range benchNetworks[1:] {
		b.Run(n.name, func(b *testing.B) {
			c, s := benchPair(b, n)
			go func() {
				p := make([]byte, 1)
				for {
					if _, err := s.Read(p); err != nil {
						return
					}
					s.Write(p)
				}
			}()
			p := make([]byte, 1)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.Write(p)
				if _, err := c.Read(p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rt/s")
		})
	}
}

// Connect, one octet there, one back, close: the server closes first and so keeps the
// TIME-WAIT, and the client has its port again.
func BenchmarkConnect(b *testing.B) {
	for _, n := range benchNetworks[1:] {
		b.Run(n.name, func(b *testing.B) {
			l, dial := n.open(b)
			go func() {
				p := make([]byte, 1)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.Read(p)
					c.Write(p)
					c.Close()
				}
			}()
			p := make([]byte, 1)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				c.Write(p)
				if _, err := io.ReadFull(c, p); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(p); err != io.EOF {
					b.Fatal(err)
				}
				c.Close()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conn/s")
		})
	}
}

// What an end of an idle connection takes of the heap, after a request and an answer.
func BenchmarkIdle(b *testing.B) {
	const conns = 20000
	for b.Loop() {
		la, lb := link.Pair(0)
		x, y := join(b, vitro.Config{}, la, lb)
		l, err := y.Listen("tcp", ":80")
		if err != nil {
			b.Fatal(err)
		}
		before := heap()
		d := vitro.Dialer{Stack: x}
		keep := make([]net.Conn, 0, 2*conns)
		p := make([]byte, 100)
		for range conns {
			c, err := d.DialContext(context.Background(), "tcp", netip.AddrPortFrom(addrB.Addr(), 80).String())
			if err != nil {
				b.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
				way[0].Write(p)
				if _, err := io.ReadFull(way[1], p); err != nil {
					b.Fatal(err)
				}
			}
			keep = append(keep, c, s)
		}
		b.ReportMetric(float64(heap()-before)/(2*conns), "B/end")
		runtime.KeepAlive(keep)
		x.Close()
		y.Close()
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
