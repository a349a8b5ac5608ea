package stack

import (
	"math/rand/v2"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// limiter bounds how many answers of a kind go to one destination: RFC 1812 section
// 4.3.2.8, RFC 4443 section 2.4 (f). It has a token bucket for each destination and none
// for all together, nor for those that a hash throws together: what is common tells an
// attacker what others have used up of it (CVE-2016-5696, CVE-2020-25705).
//
// A bucket is one number, the instant at which it will be full of tokens again. Then it is
// as good as none, and its place is free for another destination: one that was answered
// once holds a place for 1/rate of a second. Only when as many as there are places are in
// use at once does a new destination take that of another, chosen at random. So it takes
// more than maxBuckets*rate answers a second (four million resets) before anybody can see
// anything of anybody else; and then a new bucket begins with a random part of its tokens
// (as Linux does since CVE-2020-25705), so that an answer that comes, or does not, says
// little of who else was answered.
type limiter struct {
	rate   int // a second; so many may go at once; negative: none
	random *rand.Rand
	at     map[wire.Addr]int32 // the bucket of a destination
	heap   []int32             // buckets, the one that is full first on top
	slab   []bucket
}

type bucket struct {
	dst  wire.Addr
	full tcp.Time
	pos  int32 // in heap
}

// maxBuckets bounds the memory of a limiter, about 300 kB.
const maxBuckets = 4096

// take reports whether an answer to dst may go now, and counts it.
func (l *limiter) take(now tcp.Time, dst *wire.Addr) bool {
	if l.rate < 0 {
		return false
	}
	host := *dst
	if !dst.Is4() {
		clear(host[8:]) // one user has a /64
	}
	i, ok := l.at[host]
	if !ok {
		i = l.place(now, host)
	}
	b := &l.slab[i]
	full := max(b.full, now).Add(time.Second / time.Duration(l.rate))
	if full.Sub(now) > time.Second {
		return false
	}
	b.full = full
	l.sink(b.pos)
	return true
}

// place finds a bucket for a destination that has none.
func (l *limiter) place(now tcp.Time, host wire.Addr) int32 {
	if l.at == nil {
		l.at = make(map[wire.Addr]int32)
	}
	full := now
	var i int32
	switch n := len(l.slab); {
	case n > 0 && l.slab[l.heap[0]].full <= now:
		i = l.heap[0]
	case n < maxBuckets:
		i = int32(n)
		l.slab = append(l.slab, bucket{full: now, pos: i})
		l.heap = append(l.heap, i)
		l.rise(i)
	default:
		i = l.random.Int32N(maxBuckets)
		full = now.Add(time.Duration(l.random.Int64N(int64(time.Second))))
	}
	b := &l.slab[i]
	if l.at[b.dst] == i {
		delete(l.at, b.dst)
	}
	b.dst, b.full = host, full
	l.at[host] = i
	l.rise(b.pos)
	l.sink(b.pos)
	return i
}

// rise and sink restore the order of the heap when the bucket at pos has become full
// earlier, or later.
func (l *limiter) rise(pos int32) {
	for pos > 0 && l.before(pos, (pos-1)/2) {
		l.swap(pos, (pos-1)/2)
		pos = (pos - 1) / 2
	}
}

func (l *limiter) sink(pos int32) {
	for {
		child := 2*pos + 1
		if int(child) >= len(l.heap) {
			return
		}
		if int(child)+1 < len(l.heap) && l.before(child+1, child) {
			child++
		}
		if !l.before(child, pos) {
			return
		}
		l.swap(pos, child)
		pos = child
	}
}

func (l *limiter) before(p, q int32) bool {
	return l.slab[l.heap[p]].full < l.slab[l.heap[q]].full
}

func (l *limiter) swap(p, q int32) {
	l.heap[p], l.heap[q] = l.heap[q], l.heap[p]
	l.slab[l.heap[p]].pos, l.slab[l.heap[q]].pos = p, q
}
