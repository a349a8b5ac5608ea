package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func limiterTo(rate int) *limiter {
	return &limiter{rate: rate, random: rand.New(rand.NewPCG(1, 2))}
}

func hostNumber(n int) *wire.Addr {
	var v [4]byte
	binary.BigEndian.PutUint32(v[:], 11<<24+uint32(n))
	a := wire.Addr4(v)
	return &a
}

// A limiter gives what the obvious one gives: a bucket for every destination, for ever.
func TestLimiterAgainstTheObvious(t *testing.T) {
	const rate = 10
	l := limiterTo(rate)
	obvious := map[int]tcp.Time{}
	r := rand.New(rand.NewPCG(3, 4))
	now := tcp.Time(time.Hour)
	denied := 0
	for range 200_000 {
		now = now.Add(time.Duration(r.IntN(int(300 * time.Microsecond))))
		n := r.IntN(1 + r.IntN(3000))
		full := max(obvious[n], now).Add(time.Second / rate)
		want := full.Sub(now) <= time.Second
		if want {
			obvious[n] = full
		} else {
			denied++
		}
		if got := l.take(now, hostNumber(n)); got != want {
			t.Fatalf("at %d, destination %d may be answered: %v; want %v", now, n, got, want)
		}
	}
	if denied < 1000 || len(l.slab) < 500 {
		t.Errorf("%d denied, %d buckets: the test tests nothing", denied, len(l.slab))
	}
	if len(l.at) != len(l.slab) {
		t.Errorf("%d destinations in %d buckets", len(l.at), len(l.slab))
	}
}

// Beyond the bound memory stays, and what a new destination gets is a matter of chance: it
// does not tell whether another one has been answered.
func TestLimiterIsBounded(t *testing.T) {
	const rate = 8
	now := tcp.Time(time.Hour)
	var answered [2]int // of the attacker's probes: another was answered, or not
	for other := range 2 {
		l := limiterTo(rate)
		l.random = rand.New(rand.NewPCG(5, uint64(other)))
		for n := range maxBuckets - 1 {
			for range rate {
				l.take(now, hostNumber(n))
			}
		}
		if other == 1 {
			l.take(now, hostNumber(1<<20))
		}
		for n := range 20_000 { // with fresh addresses, once each
			if l.take(now, hostNumber(1<<21+n)) {
				answered[other]++
			}
		}
		if len(l.slab) != maxBuckets || len(l.heap) != maxBuckets || len(l.at) != maxBuckets {
			t.Errorf("%d buckets, %d in the heap, %d destinations", len(l.slab), len(l.heap), len(l.at))
		}
		for i, b := range l.slab {
			if l.at[b.dst] != int32(i) || l.heap[b.pos] != int32(i) {
				t.Fatalf("bucket %d is not found", i)
			}
		}
		// All are full again after a second, and make room without chance.
		now = now.Add(2 * time.Second)
		for n := range rate + 1 {
			if l.take(now, hostNumber(1<<22)) != (n < rate) {
				t.Errorf("after a second, answer number %d", n)
			}
		}
	}
	if d := answered[0] - answered[1]; d < -300 || d > 300 {
		t.Errorf("%d are answered when another was, %d when not", answered[1], answered[0])
	}
	if answered[0] < 10_000 {
		t.Errorf("only %d of 20000 new destinations are answered", answered[0])
	}
}
