package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// serve listens, has handle serve each connection of the other host in a goroutine, and
// returns the address and what ends it all.
func (b *bench) serve(handle func(net.Conn)) (addr string, stop func(), err error) {
	l, err := b.listen()
	if err != nil {
		return "", nil, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed by stop
			}
			wg.Go(func() {
				defer c.Close()
				defer context.AfterFunc(b.ctx, func() { c.Close() })()
				handle(c)
			})
		}
	})
	return l.Addr().String(), func() { l.Close(); wg.Wait() }, nil
}

// dial connects ours to the other host; an interrupt closes the connection.
func (b *bench) dial(addr string) (net.Conn, error) {
	c, err := b.ours.DialContext(b.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(b.ctx, func() { c.Close() })
	return c, nil
}

// chunk is how much a bulk transfer writes at once.
const chunk = 128 << 10

// pump writes until the time is up, and then says so to the peer.
func (b *bench) pump(c net.Conn) error {
	buf := make([]byte, chunk)
	for end := time.Now().Add(b.duration); time.Now().Before(end); {
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
	if w, ok := c.(interface{ CloseWrite() error }); ok { // *vitro.Conn and *net.TCPConn are
		return w.CloseWrite()
	}
	return nil
}

// drain reads to the end and returns the rate in Gbit/s, from the first octet to the last.
func drain(c net.Conn) (measurement, error) {
	buf := make([]byte, 2*chunk)
	_, err := c.Read(buf) // it has arrived before the clock is read, and does not count
	if err != nil {
		return measurement{}, err
	}
	start, n := time.Now(), 0
	for err == nil {
		var k int
		k, err = c.Read(buf)
		n += k
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return measurement{Value: float64(n) * 8 / time.Since(start).Seconds() / 1e9, Unit: "Gbit/s"}, err
}

func (b *bench) bulk() (measurement, error) {
	type result struct {
		m   measurement
		err error
	}
	got := make(chan result, 1)
	addr, stop, err := b.serve(func(c net.Conn) {
		m, err := drain(c)
		got <- result{m, err}
	})
	if err != nil {
		return measurement{}, err
	}
	defer stop()
	c, err := b.dial(addr)
	if err != nil {
		return measurement{}, err
	}
	defer c.Close()
	if err := b.pump(c); err != nil {
		return measurement{}, err
	}
	r := <-got
	return r.m, r.err
}

func (b *bench) receive() (measurement, error) {
	addr, stop, err := b.serve(func(c net.Conn) {
		_ = b.pump(c) // the other end sees what comes of it
	})
	if err != nil {
		return measurement{}, err
	}
	defer stop()
	c, err := b.dial(addr)
	if err != nil {
		return measurement{}, err
	}
	defer c.Close()
	return drain(c)
}

// inParallel runs as many f at once as are asked for, until the time is up, and returns how
// much they have counted in a second, and the first error of any.
func (b *bench) inParallel(f func(until time.Time, count *atomic.Int64) error) (measurement, error) {
	var count atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, b.parallel)
	start := time.Now()
	for range b.parallel {
		wg.Go(func() {
			if err := f(start.Add(b.duration), &count); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	m := measurement{Value: float64(count.Load()) / time.Since(start).Seconds(), Unit: "/s"}
	select {
	case err := <-errs:
		return m, err
	default:
		return m, nil
	}
}

func (b *bench) roundTrips() (measurement, error) {
	addr, stop, err := b.serve(func(c net.Conn) {
		buf := make([]byte, b.size)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	})
	if err != nil {
		return measurement{}, err
	}
	defer stop()
	var mu sync.Mutex
	var all []time.Duration
	m, err := b.inParallel(func(until time.Time, count *atomic.Int64) error {
		c, err := b.dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		var took []time.Duration
		buf := make([]byte, b.size)
		for now := time.Now(); now.Before(until); {
			if _, err := c.Write(buf); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				return err
			}
			then := now
			now = time.Now()
			took = append(took, now.Sub(then))
			count.Add(1)
		}
		mu.Lock()
		all = append(all, took...)
		mu.Unlock()
		return nil
	})
	if len(all) > 0 {
		slices.Sort(all)
		m.P50 = float64(all[len(all)/2].Nanoseconds()) / 1e3
		m.P99 = float64(all[len(all)*99/100].Nanoseconds()) / 1e3
	}
	return m, err
}

// connects counts whole lives: handshake and close. The server closes first and so has the
// TIME-WAIT, which a new connection from the same port may end (RFC 9293 section 3.6.1, RFC
// 6191): otherwise the client would run out of ports.
func (b *bench) connects() (measurement, error) {
	addr, stop, err := b.serve(func(c net.Conn) {})
	if err != nil {
		return measurement{}, err
	}
	defer stop()
	return b.inParallel(func(until time.Time, count *atomic.Int64) error {
		buf := make([]byte, 1)
		for time.Now().Before(until) {
			c, err := b.ours.DialContext(b.ctx, "tcp", addr)
			if err != nil {
				return err
			}
			_, err = c.Read(buf)
			c.Close()
			if !errors.Is(err, io.EOF) {
				return err
			}
			count.Add(1)
		}
		return nil
	})
}
