package sim_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Packets in a second of real time: a bulk transfer over a gigabit with a round trip of 10 ms, of whole stacks that
// send packets, and that hand the link super-segments to cut.
func BenchmarkPackets(b *testing.B) {
	for _, c := range []struct {
		name     string
		maxSuper int
		watched  bool
	}{{"packets", 0, false}, {"super-segments", 65535, false}, {"packets, watched", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			packets := 0
			for b.Loop() {
				w := gigabit(b, c.maxSuper)
				if c.watched {
					w.Watch(func(*sim.Event) {})
				}
				w.RunFor(time.Second)
				for _, h := range w.Hosts() {
					packets += int(h.Stats().PacketsIn)
				}
			}
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

// gigabit is a World in which A sends to B as much as it can.
func gigabit(b *testing.B, maxSuper int) *sim.World {
	w := sim.New(1)
	from, to := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
	path := sim.PathConfig{Delay: 5 * time.Millisecond, Rate: 1e9, Queue: sim.QueueConfig{Limit: 2_000_000}}
	link(b, w, sim.LinkConfig{Path: path, MaxSuper: maxSuper}, port(from, "10.0.0.1/24"), port(to, "10.0.0.2/24"))
	l, err := to.Listen(server, stack.ListenOptions{})
	if err != nil {
		b.Fatal(err)
	}
	room := make([]byte, 64<<10)
	l.OnAccept(func(c *sim.Conn) {
		c.OnSignal(func(tcp.Signal) {
			for n, err := c.Receive(room); n > 0 && err == nil; n, err = c.Receive(room) {
			}
		})
	})
	c, err := from.Dial(netip.AddrPort{}, server, stack.ConnOptions{})
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 64<<10)
	c.OnSignal(func(tcp.Signal) {
		for n, err := c.Send(text); n > 0 && err == nil; n, err = c.Send(text) {
		}
	})
	return w
}

// What the model of a link alone carries, with a queue, jitter and loss: no network of it can carry more.
func BenchmarkPath(b *testing.B) {
	p, err := sim.NewPath(sim.PathConfig{Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Rate: 1e9, Loss: 0.001,
		Queue: sim.QueueConfig{Limit: 2_000_000}}, sim.Start, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		b.Fatal(err)
	}
	octets := packetOf(b, 1500, 0, false)
	parcels := make([]sim.Parcel, 1024) // more than are on the path at once
	now := sim.Start
	for i := 0; b.Loop(); i++ {
		parcel := &parcels[i%len(parcels)]
		*parcel = sim.Parcel{Bytes: octets, Fate: p.Draw()}
		now = now.Add(12 * time.Microsecond)
		p.Put(now, parcel)
		for _, ok := p.Take(now); ok; _, ok = p.Take(now) {
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}
