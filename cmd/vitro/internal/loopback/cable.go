package loopback

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// cable is the link by which the host of a network reaches itself. Each address is a place on
// it, and from each place to another leads a way of its own.
type cable struct {
	world *World
	iface int // of the capture
	start time.Time

	mu      sync.Mutex
	recv    link.Receiver
	ways    map[route]*way
	busy    []*way        // those with something on them, oldest first
	due     []wire.Packet // what has arrived
	timer   *time.Timer
	armed   tcp.Time
	pumping bool
	closed  bool
	idle    *sync.Cond // Close waits for who is pumping
}

// route names a way. From an address to itself lead two: what goes from the lower port to the
// higher takes one, and the answers the other.
type route struct {
	src, dst wire.Addr
	down     bool
}

// hash tells a way's chance from that of others, whichever is used first.
func (r route) hash() uint64 {
	h := uint64(14695981039346656037)
	for _, b := range [][16]byte{r.src, r.dst} {
		for _, o := range b {
			h = (h ^ uint64(o)) * 1099511628211
		}
	}
	if r.down {
		h = ^h
	}
	return h
}

// way is one direction.
type way struct {
	path *sim.Path
	busy bool
}

var _ link.Link = (*cable)(nil)

func newCable(w *World, name string) (*cable, error) {
	c := &cable{world: w, start: time.Now(), ways: map[route]*way{}, armed: tcp.Never}
	c.idle = sync.NewCond(&c.mu)
	var err error
	if w.capture != nil {
		c.iface, err = w.capture.iface(name)
	}
	return c, err
}

func (c *cable) now() tcp.Time { return tcp.Time(time.Since(c.start)) + 1 }

// MTU returns that of VITRO_LINK; a cable that is only looked at takes what the loopback of a
// kernel does.
func (c *cable) MTU() int {
	return c.world.mtu()
}

// Offload is none: what is on the cable is as on a wire.
func (c *cable) Offload() link.Offload { return link.Offload{} }

func (c *cable) Attach(r link.Receiver) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recv != nil {
		return link.ErrAttached
	}
	c.recv = r
	return nil
}

func (c *cable) Send(batch []wire.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return link.ErrClosed
	}
	now := c.now()
	for i := range batch {
		c.put(now, bytes.Clone(batch[i].Bytes()))
	}
	c.arm(now)
	return nil
}

// put sends a packet on its way.
func (c *cable) put(now tcp.Time, b []byte) {
	w := c.way(now, b)
	if w == nil {
		return
	}
	p := &sim.Parcel{Bytes: b, Fate: w.path.Draw()}
	fate := p.Fate
	w.path.Put(now, p)
	overflow := c.take(now, w, p)
	c.world.counters.carried(len(b))
	if c.world.capture != nil {
		c.world.capture.packet(c.iface, c.start.Add(time.Duration(now-1)), b, comment(fate, overflow))
	}
	if !w.busy {
		w.busy = true
		c.busy = append(c.busy, w)
	}
}

// take takes from a way what has arrived, and reports whether there was no room for the packet p,
// which a path says at the instant at which it gets it.
func (c *cable) take(now tcp.Time, w *way, p *sim.Parcel) (overflow bool) {
	for d, ok := w.path.Take(now); ok; d, ok = w.path.Take(now) {
		if d.Loss == sim.NotLost {
			c.due = append(c.due, wire.Packet{Buf: d.Bytes})
			continue
		}
		c.world.counters.dropped()
		overflow = overflow || d.Parcel == p && d.Loss == sim.LossInQueue
	}
	return overflow
}

// way returns the way of a packet, which is made when it is first used; nil, if it is no packet.
func (c *cable) way(now tcp.Time, b []byte) *way {
	var ip wire.IP
	if wire.ParseIP(b, &ip) != wire.FaultNone {
		return nil
	}
	r := route{src: ip.Src, dst: ip.Dst}
	if flow, fault := ip.Flow(); fault == wire.FaultNone {
		r.down = r.src == r.dst && flow.RemotePort > flow.LocalPort
	}
	w := c.ways[r]
	if w == nil {
		path, err := sim.NewPath(c.world.link.Path, now, rand.New(rand.NewPCG(c.world.link.Seed, r.hash())))
		if err != nil {
			panic(err) // ParseLink has tried
		}
		w = &way{path: path}
		c.ways[r] = w
	}
	return w
}

// arm sets the timer to when something is due.
func (c *cable) arm(now tcp.Time) {
	if c.closed || c.pumping {
		return
	}
	at := tcp.Never
	if len(c.due) > 0 {
		at = now
	}
	for _, w := range c.busy {
		at = min(at, w.path.Deadline())
	}
	if at >= c.armed {
		return
	}
	c.armed = at
	d := max(at.Sub(now), 0)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.pump)
		return
	}
	c.timer.Reset(d)
}

// pump delivers what is due. It is the timer's function, and one runs at a time; the lock is not
// held while the host takes what arrives.
func (c *cable) pump() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = tcp.Never
	if c.pumping {
		return // who is at it looks again
	}
	c.pumping = true
	for !c.closed {
		batch := c.arrivals(c.now())
		if len(batch) == 0 {
			break
		}
		c.mu.Unlock()
		c.recv.Receive(batch)
		c.mu.Lock()
	}
	c.pumping = false
	c.idle.Broadcast()
	c.arm(c.now())
}

// arrivals takes from the ways what has arrived.
func (c *cable) arrivals(now tcp.Time) (batch []wire.Packet) {
	for _, w := range c.busy {
		c.take(now, w, nil)
		w.busy = w.path.Deadline() != tcp.Never
	}
	c.busy = slices.DeleteFunc(c.busy, func(w *way) bool { return !w.busy })
	batch, c.due = c.due, nil
	return batch
}

func (c *cable) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	for c.pumping {
		c.idle.Wait()
	}
	return nil
}
