package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// Packets in a second of real time: a bulk transfer over a gigabit with a round trip of 10 ms.
func BenchmarkPackets(b *testing.B) {
	packets := 0
	for b.Loop() {
		w, _ := bulkOver(b, controls[0], sim.LinkConfig{Path: sim.PathConfig{Delay: 5 * time.Millisecond, Rate: 1e9, Queue: sim.QueueConfig{Limit: 2_000_000}}}, 4<<20)
		w.RunFor(time.Second)
		for _, h := range w.Hosts() {
			packets += int(h.Stats().PacketsOut)
		}
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
