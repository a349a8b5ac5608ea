package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// buffered is a transfer from A to B.
func buffered(t *testing.T, path sim.LinkConfig, cfg tcp.Config) (*sim.World, *sim.Bulk) {
	t.Helper()
	w := sim.New(1)
	a, b := w.Host("A", stack.Config{TCP: cfg}), w.Host("B", stack.Config{TCP: cfg})
	link(t, w, path, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
	bulk, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: server})
	if err != nil {
		t.Fatal(err)
	}
	return w, bulk
}

// fat is a path of a product of rate and delay of 12.5 MB.
var fat = sim.LinkConfig{Path: sim.PathConfig{Delay: 50 * time.Millisecond, Rate: 1_000_000_000, Queue: sim.QueueConfig{Limit: 12_500_000}}}

// Buffers that grow hold back neither slow start nor what follows: in the first two seconds of a
// path of 1 Gbit/s and 100 ms as much is read as with 16 MiB from the beginning, within 5 %, with
// timestamps and without.
func TestSlowStartIsNotHeldBack(t *testing.T) {
	slow(t)
	const most = 16 << 20
	for _, plain := range []bool{false, true} {
		var read [2]float64
		for i, size := range []int{most, 0} {
			cfg := tcp.Config{ReceiveBuffer: size, SendBuffer: size, NoTimestamps: plain}
			w, b := buffered(t, fat, cfg)
			w.RunFor(2 * time.Second)
			sound(t, b)
			read[i] = float64(b.Result().Read)
		}
		t.Logf("timestamps %v: %.0f octets with fixed buffers, %.0f with those that grow", !plain, read[0], read[1])
		if read[1] < 0.95*read[0] {
			t.Errorf("timestamps %v: in 2 s %.0f octets are read; with 16 MiB from the beginning, %.0f", !plain, read[1], read[0])
		}
	}
}

// On a slow path what waits to be sent is no more than the congestion window has been, or 64 KiB:
// what the user writes now is not behind seconds of what was written before.
func TestLittleWaitsOnASlowPath(t *testing.T) {
	slow := sim.PathConfig{Delay: 50 * time.Millisecond, Rate: 2_000_000, Queue: sim.QueueConfig{Limit: 25_000}}
	w, b := buffered(t, sim.LinkConfig{Path: slow}, tcp.Config{})
	cwnd := uint32(64 << 10)
	for range 1000 {
		w.RunFor(10 * time.Millisecond)
		st := b.Conn().Status()
		cwnd = max(cwnd, st.Cwnd)
		if st.Unsent > cwnd {
			t.Fatalf("%d octets wait, cwnd has been %d", st.Unsent, cwnd)
		}
	}
	r := b.Result()
	if share := r.Goodput() / float64(slow.Rate); share < 0.9 {
		t.Errorf("the path is used by %.3f", share)
	}
	sound(t, b)
}

// With less memory for all than one buffer may have, transfers go on, and no instant lasts for ever:
// who lacks what nobody holds is not told of it.
func TestLittleMemory(t *testing.T) {
	path := sim.LinkConfig{Path: sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Queue: sim.QueueConfig{Limit: 50_000}}}
	w, b := buffered(t, path, tcp.Config{MaxBuffers: 1 << 16})
	w.RunFor(3 * time.Second)
	sound(t, b)
	if r := b.Result(); r.Goodput() < 10e6 {
		t.Errorf("%.1f Mbit/s of 20", r.Goodput()/1e6)
	}
}
