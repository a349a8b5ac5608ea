package sim_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Packets in a second of real time: a bulk transfer over a gigabit with a round trip of 10 ms, of whole
// stacks, and what the path alone can carry.
func BenchmarkPackets(b *testing.B) {
	packets := 0
	for b.Loop() {
		w := sim.New(1)
		from, to := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
		path := sim.PathConfig{Delay: 5 * time.Millisecond, Rate: 1e9, Queue: sim.QueueConfig{Limit: 2_000_000}}
		link(b, w, sim.LinkConfig{Path: path}, port(from, "10.0.0.1/24"), port(to, "10.0.0.2/24"))
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
		w.RunFor(time.Second)
		packets += int(from.Stats().PacketsOut + to.Stats().PacketsOut)
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
