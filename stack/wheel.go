package stack

import (
	"math/bits"

	"github.com/vitro-net/vitro/tcp"
)

// A wheel of timers ("Hashed and Hierarchical Timing Wheels", Varghese and Lauck, 1987). Slots
// are coarse and deadlines are not: each slot is a heap, so that none runs out early and earliest
// is exact, as a simulation in virtual time needs. To arm and to disarm costs the logarithm of
// how many share the slot, and for one that is due after them, as most are, next to nothing;
// earliest looks at one timer, however many there are.

const (
	tickBits  = 20 // a tick is 2^20 ns, about 1 ms
	levelBits = 6
	slots     = 1 << levelBits
	levels    = (63 - tickBits + levelBits - 1) / levelBits // all of tcp.Time
)

// timer is one entry of the wheel, part of what it wakes.
type timer struct {
	when  tcp.Time
	turn  uint64 // among those of one instant
	conn  *Conn
	at    int32 // its place in the slot's heap
	level uint8
	slot  uint8
	armed bool
}

func (t *timer) before(u *timer) bool {
	return t.when < u.when || t.when == u.when && t.turn < u.turn
}

// heap is the timers of a slot: the first is the earliest, and none is before its parent.
type heap []*timer

// keep is how much room of an empty heap is kept for the next timers.
const keep = 64

func (h *heap) push(t *timer) {
	*h = append(*h, t)
	h.up(t, len(*h)-1)
}

// remove takes out the timer at i.
func (h *heap) remove(i int) {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	switch {
	case i < len(*h):
		h.up(last, h.down(last, i))
	case len(*h) == 0 && cap(*h) > keep:
		*h = nil
	}
}

// up puts t at i, or further up.
func (h heap) up(t *timer, i int) {
	for i > 0 && t.before(h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		h[i].at = int32(i)
		i = (i - 1) / 2
	}
	h[i], t.at = t, int32(i)
}

// down makes room for t at i, or further down, and returns where.
func (h heap) down(t *timer, i int) int {
	for {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if child >= len(h) || t.before(h[child]) {
			return i
		}
		h[i] = h[child]
		h[i].at = int32(i)
		i = child
	}
}

// wheel holds armed timers. Level 0 has the slots of the ticks that share all but their
// lowest six bits with now; a timer stands on the level of the highest digit (of six bits)
// in which its tick differs from now. So every timer of a level is due before all of the
// next, and a lower slot before a higher.
type wheel struct {
	now    uint64 // the tick up to which timers have been moved
	used   [levels]uint64
	levels [levels][slots]heap
	count  int
	turns  uint64
}

func tick(t tcp.Time) uint64 { return uint64(t) >> tickBits }

// arm sets t to run out at when, moving it if it is armed; tcp.Never disarms it.
func (w *wheel) arm(t *timer, when tcp.Time) {
	if t.armed {
		if t.when == when {
			return
		}
		w.disarm(t)
	}
	if when == tcp.Never {
		return
	}
	t.when, t.turn = when, w.turns
	w.turns++
	w.insert(t)
	w.count++
}

func (w *wheel) disarm(t *timer) {
	if t.armed {
		w.remove(t)
		w.count--
	}
}

// insert puts t, whose instant is set, where it belongs. What is overdue belongs to now.
func (w *wheel) insert(t *timer) {
	at := max(tick(max(t.when, 0)), w.now)
	level := 0
	if diff := at ^ w.now; diff != 0 {
		level = (bits.Len64(diff) - 1) / levelBits
	}
	slot := at >> (level * levelBits) % slots
	t.level, t.slot, t.armed = uint8(level), uint8(slot), true
	w.levels[level][slot].push(t)
	w.used[level] |= 1 << slot
}

func (w *wheel) remove(t *timer) {
	h := &w.levels[t.level][t.slot]
	if h.remove(int(t.at)); len(*h) == 0 {
		w.used[t.level] &^= 1 << t.slot
	}
	t.armed = false
}

// firstSlot returns the earliest slot that is not empty, and the tick at which it begins.
func (w *wheel) firstSlot() (h *heap, level int, begin uint64) {
	for level, used := range w.used {
		if used == 0 {
			continue
		}
		slot := bits.TrailingZeros64(used)
		shift := level * levelBits
		above := w.now >> (shift + levelBits) << (shift + levelBits)
		return &w.levels[level][slot], level, above | uint64(slot)<<shift
	}
	return nil, 0, 0
}

// earliest returns the instant at which the first timer runs out, or tcp.Never.
func (w *wheel) earliest() tcp.Time {
	if h, _, _ := w.firstSlot(); h != nil {
		return (*h)[0].when
	}
	return tcp.Never
}

// expire disarms all timers that have run out at now and appends them to due: in the order
// of their instants, and within one instant in the order in which they were armed. Those that
// were armed for an instant that had passed already come with the tick then.
func (w *wheel) expire(now tcp.Time, due []*timer) []*timer {
	to := tick(now)
	for {
		h, level, begin := w.firstSlot()
		if h == nil || begin > to {
			break
		}
		if level > 0 {
			w.now = begin
			w.used[level] &^= 1 << (begin >> (level * levelBits) % slots)
			w.cascade(h)
			continue
		}
		w.now = max(w.now, begin)
		for len(*h) > 0 && (*h)[0].when <= now {
			due = append(due, (*h)[0])
			w.disarm((*h)[0])
		}
		if len(*h) > 0 {
			break // the others of this tick are still to come
		}
	}
	w.now = max(w.now, to)
	return due
}

// cascade moves the timers of a slot, which now has reached, to lower levels.
func (w *wheel) cascade(h *heap) {
	for _, t := range *h {
		w.insert(t)
	}
	if cap(*h) > keep {
		*h = nil
		return
	}
	clear(*h)
	*h = (*h)[:0]
}
