//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// workload is what is done in memory with one world.
type workload struct {
	name   string
	joints []joint
	run    func(w world, d time.Duration, conns int) ([]sample, error)
}

var (
	wire1500, super1500   = joint{1500, true}, joint{1500, false}
	wire65535, super65535 = joint{65535, true}, joint{65535, false}
)

// workloads in memory; those that measure the kernel's own memory come first, before others
// leave things there.
var workloads = []workload{
	{"idle connections", []joint{super65535}, idle},
	{"TIME-WAIT", []joint{super65535}, timeWait},
	{"one stream", []joint{wire1500, super1500, wire65535, super65535}, bulk},
	{"1-byte round trips", []joint{wire1500, super65535}, roundTrips},
	{"connect, request, close", []joint{wire1500, super65535}, connects},
}

// cpu returns the processor time that this process has taken, in user mode and in the kernel's.
func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bulk: one goroutine writes 64 KiB at a time, another reads.
func bulk(w world, d time.Duration, _ int) ([]sample, error) {
	c, s, err := pairOf(w)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var wg sync.WaitGroup
	start, used := time.Now(), cpu()
	var failed error
	wg.Go(func() {
		p := make([]byte, 64<<10)
		for time.Since(start) < d && failed == nil {
			_, failed = c.Write(p)
		}
		c.Close()
	})
	p, n := make([]byte, 64<<10), 0
	for err == nil {
		var k int
		k, err = s.Read(p)
		n += k
	}
	wg.Wait()
	took, used := time.Since(start), cpu()-used
	if !errors.Is(err, io.EOF) || failed != nil {
		return nil, fmt.Errorf("after %d octets: reading: %w; writing: %w", n, err, failed)
	}
	gbit := float64(n) * 8 / 1e9
	return []sample{
		{metric: "rate", value: gbit / took.Seconds(), unit: "Gbit/s", more: true},
		{metric: "for the processor", value: gbit / used.Seconds(), unit: "Gbit per CPU-second", more: true},
	}, nil
}

// roundTrips: one octet there and one back, nothing else under way.
func roundTrips(w world, d time.Duration, _ int) ([]sample, error) {
	c, s, err := pairOf(w)
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.Close()
	defer c.Close()
	wg.Go(func() {
		p := make([]byte, 1)
		for {
			if _, err := s.Read(p); err != nil {
				return
			}
			if _, err := s.Write(p); err != nil {
				return
			}
		}
	})
	start, used, n := time.Now(), cpu(), 0
	for p := make([]byte, 1); time.Since(start) < d; n++ {
		if _, err := c.Write(p); err != nil {
			return nil, err
		}
		if _, err := c.Read(p); err != nil {
			return nil, err
		}
	}
	took, used := time.Since(start), cpu()-used
	return []sample{
		{metric: "rate", value: float64(n) / took.Seconds(), unit: "1/s", more: true},
		{metric: "for the processor", value: used.Seconds() / float64(n) * 1e6, unit: "CPU-µs each"},
	}, nil
}

// answer serves connections one after the other, each with one octet back for one there, and
// closes first: the TIME-WAIT is the server's, and the client has its port again.
func answer(l net.Listener) {
	p := make([]byte, 1)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if _, err := io.ReadFull(c, p); err == nil {
			_, _ = c.Write(p) // the client sees whether it came
		}
		c.Close()
	}
}

// ask is a client's whole life.
func ask(w world, l net.Listener, p []byte) error {
	c, err := w.dial(l)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(p); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, p); err != nil {
		return err
	}
	if _, err := c.Read(p); !errors.Is(err, io.EOF) {
		return fmt.Errorf("instead of the end: %w", err)
	}
	return nil
}

// serving runs f beside a server that answers.
func serving(w world, f func(net.Listener) error) error {
	l, err := w.listen()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { answer(l) })
	defer wg.Wait()
	defer func() {
		if s, ok := l.(interface{ Shutdown() }); ok { // gonet's Close does not end its Accept
			s.Shutdown()
		}
		l.Close()
	}()
	return f(l)
}

func connects(w world, d time.Duration, _ int) (s []sample, err error) {
	err = serving(w, func(l net.Listener) error {
		start, used, n := time.Now(), cpu(), 0
		for p := make([]byte, 1); time.Since(start) < d; n++ {
			if err := ask(w, l, p); err != nil {
				return fmt.Errorf("connection %d: %w", n, err)
			}
		}
		took, used := time.Since(start), cpu()-used
		s = []sample{
			{metric: "rate", value: float64(n) / took.Seconds(), unit: "1/s", more: true},
			{metric: "for the processor", value: used.Seconds() / float64(n) * 1e6, unit: "CPU-µs each"},
		}
		return nil
	})
	return s, err
}

// timeWait: what a connection leaves for its TIME-WAIT.
func timeWait(w world, _ time.Duration, conns int) (s []sample, err error) {
	err = serving(w, func(l net.Listener) error {
		p := make([]byte, 1)
		for range conns / 10 { // pools and tables are there
			if err := ask(w, l, p); err != nil {
				return err
			}
		}
		before := w.memory()
		for i := range conns {
			if err := ask(w, l, p); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
		}
		s = []sample{{metric: "memory", value: grown(w, before) / float64(conns), unit: "octets each"}}
		return nil
	})
	return s, err
}

// grown returns by how much the memory has grown.
func grown(w world, before uint64) float64 { return max(float64(w.memory())-float64(before), 0) }

// idle: what an end of a connection takes after a request and an answer of 100 octets.
func idle(w world, _ time.Duration, conns int) ([]sample, error) {
	l, err := w.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	keep := make([]net.Conn, 0, 2*conns)
	defer func() {
		for _, c := range keep {
			c.Close()
		}
	}()
	p := make([]byte, 100)
	before := w.memory()
	for range conns {
		c, err := w.dial(l)
		if err != nil {
			return nil, err
		}
		keep = append(keep, c)
		s, err := l.Accept()
		if err != nil {
			return nil, err
		}
		keep = append(keep, s)
		for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
			if _, err := way[0].Write(p); err != nil {
				return nil, err
			}
			if _, err := io.ReadFull(way[1], p); err != nil {
				return nil, err
			}
		}
	}
	return []sample{{metric: "memory", value: grown(w, before) / float64(2*conns), unit: "octets an end"}}, nil
}
