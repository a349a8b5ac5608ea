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
	for _, cc := range controls {
		for _, burst := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 100 * time.Millisecond} {
			if share := underBursts(t, cc, burst, time.Second); share < 0.3 {
				t.Errorf("%s, bursts of %v: %.2f of what is left", cc.name, burst, share)
			}
		}
		// In step with our own timeout they cost nearly all (ATTACKS.md); it is no standstill.
		if share := underBursts(t, cc, 60*time.Millisecond, 230*time.Millisecond); share < 0.01 {
			t.Errorf("%s, bursts in step with its timeout: %.3f of what is left", cc.name, share)
		}
	}
}

// underBursts returns what a transfer carries, of what bursts leave that come once in every period.
func underBursts(t *testing.T, cc control, burst, period time.Duration) float64 {
	t.Helper()
	const mbit, lives = 10, 30 * time.Second
	clean := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: mbit * 1_000_000, Queue: sim.QueueConfig{Limit: 50_000}}
	there := clean
	for at := time.Second; at < lives; at += period {
		there.Blackouts = append(there.Blackouts, sim.Blackout{From: at, For: burst})
	}
	w, b := bulkOver(t, cc, sim.LinkConfig{Path: there, Back: &clean}, 1<<20)
	w.RunFor(lives)
	sound(t, b)
	r := b.Result()
	share := r.Goodput() / mbit / 1e6 / (1 - float64(burst)/float64(period))
	t.Logf("%s, bursts of %v every %v: %.3f of what is left, %d timeouts", cc.name, burst, period, share, r.Timeouts)
	return share
}
