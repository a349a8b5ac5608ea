//go:build linux

package main

import (
	"errors"
	"net"
	"runtime"
)

// peer is one of the stacks that are measured.
type peer struct {
	name string
	// memory joins two stacks of the peer in this process, or the kernel with itself.
	memory func(joint) (world, error)
	// network joins two stacks of the peer across an emulator, one that nobody else uses.
	network func(*emulator) (world, error)
	// onlyBlackouts: it is a variant, for comparison in blackouts.
	onlyBlackouts bool
	// beside: it also shares a bottleneck with the kernel's cubic.
	beside bool
}

// joint is how two stacks in memory are joined.
type joint struct {
	mtu int
	// plain: packets of at most the MTU with whole checksums, as on a wire. Otherwise each peer
	// has what it can do to avoid that: super-segments, and checksums nobody computes.
	plain bool
}

// String is the joint's part of a workload's name.
func (j joint) String() string {
	s := "MTU 1500"
	if j.mtu > 1500 {
		s = "MTU 65535"
	}
	if j.plain {
		return s + ", as on a wire"
	}
	return s + ", offloads"
}

var (
	errNotHere = errors.New("cannot be measured here")
	errNotHad  = errors.New("the peer has no such workload")
)

// world is two ends of one peer, and what joins them.
type world interface {
	listen() (net.Listener, error) // at the far end
	dial(net.Listener) (net.Conn, error)
	timeouts(net.Conn) uint64 // of the retransmission timer so far, as far as the peer tells
	memory() uint64           // octets that the peer's connections have taken, and other things
	close()
}

// pairOf returns both ends of a new connection.
func pairOf(w world) (client, server net.Conn, err error) {
	l, err := w.listen()
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if client, err = w.dial(l); err != nil {
		return nil, nil, err
	}
	if server, err = l.Accept(); err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, server, nil
}

// heap returns what of the heap is in use, and of the stacks of goroutines.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// closers is what a world closes, last first.
type closers []func()

func (c *closers) add(f func()) { *c = append(*c, f) }

func (c *closers) close() {
	for i := len(*c) - 1; i >= 0; i-- {
		(*c)[i]()
	}
	*c = nil
}
