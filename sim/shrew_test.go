package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// Shrew: bursts that fill the path for 30 to 100 ms, once a second, in step with the timeout that other
// stacks have. A transfer keeps more than 30 % of what the bursts leave: losses are found by RACK
// and by probes, and a timeout that comes is shorter than the time between two bursts.
func TestBurstsInStepWithTimeouts(t *testing.T) {
	slow(t)
	const mbit, lives = 10, 30 * time.Second
	for _, cc := range controls {
		for _, burst := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 100 * time.Millisecond} {
			clean := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: mbit * 1_000_000, Queue: sim.QueueConfig{Limit: 50_000}}
			there := clean
			for at := time.Second; at < lives; at += time.Second {
				there.Blackouts = append(there.Blackouts, sim.Blackout{From: at, For: burst})
			}
			w, b := bulkOver(t, cc, sim.LinkConfig{Path: there, Back: &clean}, 1<<20)
			w.RunFor(lives)
			sound(t, b)
			r := b.Result()
			share := r.Goodput() / mbit / 1e6 / (1 - burst.Seconds())
			t.Logf("%s, bursts of %v: %.2f of what is left, %d timeouts", cc.name, burst, share, r.Timeouts)
			if share < 0.3 {
				t.Errorf("%s, bursts of %v: %.2f of what is left", cc.name, burst, share)
			}
		}
	}
}
