package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// Where 5 % of the packets are late by up to a quarter of the round trip, a transfer has at least
// 90 % of what it has where all come in order, and its window is no smaller for long: RACK waits
// for what is late (RFC 8985 section 6.2), recoveries that were spurious are undone, and the
// receiver drops nothing that was overtaken by a retransmission.
func TestReorderingCostsLittle(t *testing.T) {
	slow(t)
	const rtt, lives = 66 * time.Millisecond, 12 * time.Second
	for _, cc := range controls {
		for _, mbit := range []int{10, 50, 100} {
			var goodput [2]float64
			for i, late := range []float64{0, 0.05} {
				clean := sim.PathConfig{Delay: rtt / 2, Rate: int64(mbit) * 1_000_000, Queue: sim.QueueConfig{Limit: queueOf(rtt, mbit)}}
				there := clean
				there.Reorder, there.ReorderBy = late, rtt/4
				w, b := bulkOver(t, cc, sim.LinkConfig{Path: there, Back: &clean}, 4*queueOf(rtt, mbit))
				w.RunFor(lives)
				sound(t, b)
				r := b.Result()
				goodput[i] = r.Goodput()
				if st := b.Conn().Status(); int(st.Cwnd) < queueOf(rtt, mbit) {
					t.Errorf("%s, %d Mbit/s, %g late: after %v cwnd is %d, less than the path holds", cc.name, mbit, late, lives, st.Cwnd)
				}
			}
			share := goodput[1] / goodput[0]
			t.Logf("%s, %d Mbit/s: %.3f of the clean goodput", cc.name, mbit, share)
			if share < 0.9 {
				t.Errorf("%s, %d Mbit/s: with 5 %% late, %.3f of the clean goodput", cc.name, mbit, share)
			}
		}
	}
}
