package sim_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Two transfers over one bottleneck share it, whichever came first: Jain's index of what each reads
// in the second half is at least 0.95.
func TestTwoShareFairly(t *testing.T) {
	slow(t)
	for _, cc := range controls {
		w := sim.New(1)
		var hosts []*sim.Host
		for _, name := range []string{"A", "B"} {
			cfg := stack.Config{TCP: tcp.Config{ReceiveBuffer: 4 << 20, SendBuffer: 4 << 20}}
			cc.set(&cfg)
			hosts = append(hosts, w.Host(name, cfg))
		}
		path := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Queue: sim.QueueConfig{Limit: 50_000}}
		link(t, w, sim.LinkConfig{Path: path}, port(hosts[0], "10.0.0.1/24"), port(hosts[1], "10.0.0.2/24"))
		var both []*sim.Bulk
		for i := range uint16(2) {
			b, err := w.NewBulk(sim.BulkConfig{From: hosts[0], To: hosts[1], At: netip.AddrPortFrom(server.Addr(), 80+i)})
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, b)
			w.RunFor(3 * time.Second)
		}
		w.RunFor(15 * time.Second)
		var before, x [2]float64
		for i, b := range both {
			before[i] = float64(b.Result().Read)
		}
		w.RunFor(30 * time.Second)
		for i, b := range both {
			x[i] = float64(b.Result().Read) - before[i]
		}
		sum, squares := x[0]+x[1], x[0]*x[0]+x[1]*x[1]
		jain := sum * sum / (2 * squares)
		t.Logf("%s: %.1f and %.1f Mbit/s, Jain's index %.4f", cc.name, x[0]*8/30e6, x[1]*8/30e6, jain)
		if jain < 0.95 || sum*8/30e6 < 18 {
			t.Errorf("%s: %.1f and %.1f Mbit/s, Jain's index %.4f", cc.name, x[0]*8/30e6, x[1]*8/30e6, jain)
		}
	}
}
