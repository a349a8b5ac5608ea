package vitro_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// One octet there and one back every 100 µs, while other connections of the same two hosts
// carry as much as they can: how long the round trips take, half of them, 99 of 100, and the
// longest. The kernel's loopback, beside it, shows what of that is the machine's and the
// scheduler's.
func BenchmarkLatency(b *testing.B) {
	for _, n := range benchNetworks {
		for _, streams := range []int{0, 1, 4} {
			b.Run(fmt.Sprintf("%s/streams=%d", n.name, streams), func(b *testing.B) { benchLatency(b, n, streams) })
		}
	}
}

func benchLatency(b *testing.B, n benchNetwork, streams int) {
	l, dial := n.open(b)
	both := func() (c, s net.Conn) {
		c, err := dial()
		if err != nil {
			b.Fatal(err)
		}
		if s, err = l.Accept(); err != nil {
			b.Fatal(err)
		}
		return c, s
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for range streams {
		c, s := both()
		defer s.Close()
		defer c.Close()
		wg.Go(func() {
			p := make([]byte, 64<<10)
			for err := error(nil); err == nil; {
				_, err = c.Write(p)
			}
		})
		wg.Go(func() {
			p := make([]byte, 64<<10)
			for err := error(nil); err == nil; {
				_, err = s.Read(p)
			}
		})
	}
	c, s := both()
	defer s.Close()
	defer c.Close()
	wg.Go(func() {
		p := make([]byte, 1)
		for {
			if _, err := s.Read(p); err != nil {
				return
			}
			s.Write(p)
		}
	})
	p := make([]byte, 1)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		time.Sleep(100 * time.Microsecond)
		start := time.Now()
		c.Write(p)
		if _, err := c.Read(p); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(took)
	for name, q := range map[string]float64{"p50": .5, "p99": .99, "max": 1} {
		b.ReportMetric(took[int(q*float64(len(took)-1))].Seconds()*1e6, "µs-"+name)
	}
}
