package sim_test

import (
	"flag"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

var lossless = flag.Int64("lossless", 0, "how many MiB TestLossless sends with each control; 0: 32")

// Where the queue holds all that the window lets go, nothing is lost, and nothing is deemed lost,
// jitter or not: no recovery, no timeout, no octet is sent again.
func TestLossless(t *testing.T) {
	slow(t)
	const rtt, mbit = 10 * time.Millisecond, 1000
	volume := int64(32 << 20)
	if *lossless > 0 {
		volume = *lossless << 20
	}
	for _, cc := range controls {
		for _, jitter := range []time.Duration{0, 2 * time.Millisecond} {
			path := sim.PathConfig{Delay: rtt / 2, Rate: mbit * 1_000_000, Queue: sim.QueueConfig{Limit: 8 << 20}, Jitter: jitter}
			w, b := bulkOver(t, cc, sim.LinkConfig{Path: path}, 4<<20)
			for b.Result().Read < volume {
				before := b.Result().Read
				w.RunFor(time.Second)
				if b.Result().Read == before {
					t.Fatal(b.Report())
				}
			}
			sound(t, b)
			if st, r := b.Conn().Status(), b.Result(); st.Recoveries+st.Timeouts > 0 || r.Resent > 0 {
				t.Errorf("%s, jitter %v: of %d segments %d go again; %d recoveries, %d timeouts", cc.name, jitter, r.Segments, r.Resent, st.Recoveries, st.Timeouts)
			}
		}
	}
}
