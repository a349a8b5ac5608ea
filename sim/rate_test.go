package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// From the instant of a RateChange on a path sends at the new rate; what is being sent then ends at
// the old one. A policer lets its burst pass at once, and then so many octets a second.
func TestRatesAndPolice(t *testing.T) {
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Delay: time.Millisecond, Rates: []sim.RateChange{
		{From: 1500 * time.Microsecond, Rate: 80_000_000}, {From: 10 * time.Millisecond, Rate: 800_000},
	}})}
	b := packetOf(t, 1000, 0, false)
	for _, at := range []time.Duration{0, 0, 0, 12 * time.Millisecond} {
		f.put(at, b)
	}
	if got, want := fmt.Sprint(f.finish()), "[{1 2ms not lost} {2 3ms not lost} {3 3.1ms not lost} {4 23ms not lost}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	f = feeder{t: t, path: newPath(t, 1, sim.PathConfig{Police: sim.PoliceConfig{Rate: 8_000_000, Burst: 3000}})}
	passes := map[int]bool{}
	for i, at := range []time.Duration{0, 0, 0, 0, 999_999, 1_000_000, 1_000_000, 1e9, 1e9, 1e9, 1e9} {
		f.put(at, b)
		passes[i+1] = i != 3 && i != 4 && i != 6 && i != 10
	}
	for _, o := range f.finish() {
		if (o.loss == sim.NotLost) != passes[o.n] || o.loss != sim.NotLost && o.loss != sim.LossByPolice {
			t.Errorf("packet %d of %v: it passes: %v", o.n, o, passes[o.n])
		}
	}
	for _, bad := range []sim.PathConfig{
		{Rates: []sim.RateChange{{From: 1, Rate: 1}}}, {Rate: 1, Rates: []sim.RateChange{{From: 1}}},
		{Rate: 1, Rates: []sim.RateChange{{From: 2, Rate: 1}, {From: 1, Rate: 1}}},
		{Police: sim.PoliceConfig{Rate: 1}}, {Police: sim.PoliceConfig{Burst: 1}}, {Police: sim.PoliceConfig{Rate: -1, Burst: 1}},
	} {
		if _, err := sim.NewPath(bad, 0, nil); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
