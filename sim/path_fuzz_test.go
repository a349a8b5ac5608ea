package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
)

// anyPath is a path as chance has it.
func anyPath(r *rand.Rand) sim.PathConfig {
	some := func(share, most float64) float64 {
		if r.Float64() > share {
			return 0
		}
		return r.Float64() * most
	}
	ms := func(share, most float64) time.Duration {
		return time.Duration(some(share, most) * float64(time.Millisecond))
	}
	cfg := sim.PathConfig{
		Delay: ms(0.9, 50), Jitter: ms(0.3, 20), JitterReorders: r.IntN(2) == 0,
		Loss: some(0.4, 0.5), Reorder: some(0.3, 1), ReorderBy: ms(0.5, 30), Duplicate: some(0.3, 0.5), Corrupt: some(0.2, 0.5),
	}
	if r.IntN(4) == 0 {
		cfg.Burst = sim.GilbertElliott{ToBad: r.Float64(), ToGood: r.Float64(), LossGood: some(0.3, 0.2), LossBad: r.Float64()}
	}
	if r.IntN(4) > 0 {
		cfg.Rate = 100_000 + r.Int64N(100_000_000)
		cfg.Queue = sim.QueueConfig{Kind: sim.QueueKind(r.IntN(2)), Limit: int(some(0.7, 60_000)), ECN: r.IntN(2) == 0}
		if r.IntN(4) == 0 {
			cfg.Rates = []sim.RateChange{{From: ms(1, 100), Rate: 100_000 + r.Int64N(100_000_000)}}
		}
	}
	for at := ms(0.4, 100); at > 0 && len(cfg.Blackouts) < 3; at += ms(1, 100) + time.Second {
		cfg.Blackouts = append(cfg.Blackouts, sim.Blackout{From: at, For: 1 + ms(1, 200), Hold: r.IntN(2) == 0})
	}
	return cfg
}

// FuzzPath drives paths by their deadlines, beside the same path that is asked at the end alone: the same
// comes out of both, nothing is told late, and nothing comes out sooner than Soonest has said.
func FuzzPath(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		cfg := anyPath(r)
		b := [2][]byte{packetOf(t, 1500, 2, false), packetOf(t, 60, 0, true)}
		prompt := &feeder{t: t, path: newPath(t, seed, cfg)}
		lazy := newPath(t, seed, cfg)
		var soonest, put []time.Duration
		at := time.Duration(0)
		for i := range 200 {
			at += time.Duration(r.Int64N(int64(4*time.Millisecond))) * time.Duration(r.IntN(2))
			p := b[r.IntN(2)]
			prompt.until(sim.Start.Add(at) - 1)
			soonest = append(soonest, prompt.path.Soonest(sim.Start.Add(at), len(p), false).Sub(sim.Start))
			put = append(put, at)
			prompt.put(at, p)
			lazy.Put(sim.Start.Add(at), &sim.Parcel{Bytes: p, Fate: lazy.Draw(), Tag: i + 1})
		}
		got := prompt.finish()
		var want []out
		for d, ok := lazy.Take(tcp.Never - 1); ok; d, ok = lazy.Take(tcp.Never - 1) {
			n, _ := d.Tag.(int)
			want = append(want, out{n, d.At.Sub(sim.Start), d.Loss})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, asked at its deadlines:\n%v\nasked at the end:\n%v", cfg, got, want)
		}
		for _, o := range got {
			if i := o.n - 1; o.at < soonest[i] && o.at != put[i] {
				t.Fatalf("%+v: packet %d, put in at %v, was to come out at %v at the soonest: %v", cfg, o.n, put[i], soonest[i], o)
			}
		}
	})
}
