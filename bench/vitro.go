//go:build linux

package main

import (
	"net"
	"net/netip"
	"sync"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// The addresses of both ends, whoever they are.
var addrs = [2]netip.Prefix{netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("10.99.0.2/24")}

const port = 80

// networkBuffer is the size of the buffers for the emulator: it must hold what the longest path
// and its queue do. In memory all have their defaults: gVisor's are 1 MiB, the others' grow.
const networkBuffer = 4 << 20

var vitroPeer = peer{
	name:   "vitro",
	beside: true,
	memory: func(j joint) (world, error) {
		a, b := link.NewPair(link.PairConfig{MTU: j.mtu, NoOffload: j.plain})
		return newVitro(vitro.Config{}, a, b)
	},
	network: func(e *emulator) (world, error) {
		a, b := &vitroEnd{e: e, side: 0}, &vitroEnd{e: e, side: 1}
		return newVitro(vitro.Config{ReceiveBuffer: networkBuffer, SendBuffer: networkBuffer}, a, b)
	},
}

type vitroWorld struct{ stacks [2]*vitro.Stack }

func newVitro(c vitro.Config, links ...link.Link) (world, error) {
	w := &vitroWorld{}
	for i, l := range links {
		s, err := vitro.New(c)
		if err != nil {
			w.close()
			return nil, err
		}
		w.stacks[i] = s
		if err := s.Attach(l, vitro.LinkConfig{Addresses: addrs[i : i+1]}); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *vitroWorld) listen() (net.Listener, error) { return w.stacks[1].Listen("tcp", ":80") }

func (w *vitroWorld) dial(net.Listener) (net.Conn, error) {
	return w.stacks[0].Dial("tcp", netip.AddrPortFrom(addrs[1].Addr(), port).String())
}

func (w *vitroWorld) timeouts(c net.Conn) uint64 {
	if c, ok := c.(*vitro.Conn); ok {
		return uint64(c.Status().Timeouts)
	}
	return 0
}

func (w *vitroWorld) memory() uint64 { return heap() }

func (w *vitroWorld) close() {
	for _, s := range w.stacks {
		if s != nil {
			s.Close()
		}
	}
}

// vitroEnd is an end of an emulator as a link: plain packets.
type vitroEnd struct {
	e    *emulator
	side int

	mu       sync.Mutex
	attached bool
	closed   bool
}

func (v *vitroEnd) Attach(r link.Receiver) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return link.ErrClosed
	case v.attached:
		return link.ErrAttached
	}
	v.attached = true
	var batch []wire.Packet // of the one goroutine that delivers
	v.e.attach(v.side, func(packets [][]byte) {
		batch = batch[:0]
		for _, p := range packets {
			batch = append(batch, wire.Packet{Buf: p})
		}
		r.Receive(batch)
	})
	return nil
}

func (v *vitroEnd) Send(batch []wire.Packet) error {
	for i := range batch {
		v.e.send(v.side, batch[i].Bytes())
	}
	return nil
}

func (v *vitroEnd) MTU() int { return link.DefaultMTU }

func (v *vitroEnd) Offload() link.Offload { return link.Offload{} }

func (v *vitroEnd) Close() error {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.e.close()
	return nil
}
