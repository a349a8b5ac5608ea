package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
)

// A paced transfer sends no bursts: before a queue of sixteen packets, where the round trip holds two
// hundred, it carries at least a tenth more than one that is not paced. BBR always is.
func TestPacing(t *testing.T) {
	slow(t)
	const rtt, mbit = 50 * time.Millisecond, 50
	for _, cc := range controls {
		if cc.name == "bbr" {
			continue
		}
		var share [2]float64
		var lost [2]int
		for i, paced := range []bool{false, true} {
			clean := sim.PathConfig{Delay: rtt / 2, Rate: mbit * 1_000_000}
			there := clean
			there.Queue.Limit = 16 * 1500
			w, b := bulkOver(t, control{cc.name, func(c *stack.Config) { cc.set(c); c.TCP.Pacing = paced }}, sim.LinkConfig{Path: there, Back: &clean}, 4*queueOf(rtt, mbit))
			w.RunFor(20 * time.Second)
			sound(t, b)
			r := b.Result()
			share[i], lost[i] = r.Goodput()/mbit/1e6, r.Resent
		}
		if share[1] < 1.1*share[0] {
			t.Errorf("%s: share %.3f, paced %.3f: pacing should have carried a tenth more", cc.name, share[0], share[1])
		}
		t.Logf("%s: share %.3f, %d sent again; paced %.3f, %d", cc.name, share[0], lost[0], share[1], lost[1])
	}
}
