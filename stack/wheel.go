package stack

import (
	"math/bits"

	"github.com/vitro-net/vitro/tcp"
)

// A wheel of timers ("Hashed and Hierarchical Timing Wheels", Varghese and Lauck, 1987): to
// arm and to disarm is O(1) however many there are. Slots are coarse and deadlines are not:
// each timer keeps its instant, none runs out early, and earliest is exact, as a simulation
// in virtual time needs.

const (
	tickBits  = 20 // a tick is 2^20 ns, about 1 ms
	levelBits = 6
	slots     = 1 << levelBits
	levels    = (63 - tickBits + levelBits - 1) / levelBits // all of tcp.Time
)

// timer is one node of the wheel, part of what it wakes.
type timer struct {
	when       tcp.Time
	next, prev *timer
	conn       *Conn
	level      uint8
	slot       uint8
	armed      bool
}

// list is a ring of timers without a head of its own.
type list struct {
	first *timer
	// min is the earliest instant in the list, unless stale.
	min   tcp.Time
	stale bool
}

// wheel holds armed timers. Level 0 has the slots of the ticks that share all but their
// lowest six bits with now; a timer stands on the level of the highest digit (of six bits)
// in which its tick differs from now. So every timer of a level is due before all of the
// next, and a lower slot before a higher.
type wheel struct {
	now    uint64 // the tick up to which timers have been moved
	used   [levels]uint64
	levels [levels][slots]list
	count  int
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
	t.when = when
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
	l := &w.levels[level][slot]
	if l.first == nil {
		l.first, t.next, t.prev = t, t, t
		l.min, l.stale = t.when, false
		w.used[level] |= 1 << slot
		return
	}
	last := l.first.prev
	t.prev, t.next = last, l.first
	last.next, l.first.prev = t, t
	if !l.stale {
		l.min = min(l.min, t.when)
	}
}

func (w *wheel) remove(t *timer) {
	l := &w.levels[t.level][t.slot]
	if t.next == t {
		l.first = nil
		w.used[t.level] &^= 1 << t.slot
	} else {
		t.prev.next, t.next.prev = t.next, t.prev
		if l.first == t {
			l.first = t.next
		}
		if l.min == t.when {
			l.stale = true
		}
	}
	t.next, t.prev, t.armed = nil, nil, false
}

// firstSlot returns the earliest list that is not empty, and the tick at which it begins.
func (w *wheel) firstSlot() (l *list, level int, begin uint64) {
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
	l, _, _ := w.firstSlot()
	if l == nil {
		return tcp.Never
	}
	if l.stale {
		l.min, l.stale = l.first.when, false
		for t := l.first.next; t != l.first; t = t.next {
			l.min = min(l.min, t.when)
		}
	}
	return l.min
}

// expire disarms all timers that have run out at now and appends them to due: in the order
// of their ticks, and within one tick in the order in which they were armed there.
func (w *wheel) expire(now tcp.Time, due []*timer) []*timer {
	to := tick(now)
	for {
		l, level, begin := w.firstSlot()
		if l == nil || begin > to {
			break
		}
		if level > 0 {
			w.now = begin
			w.cascade(l)
			continue
		}
		if w.now = max(w.now, begin); !w.take(l, now, &due) {
			break // the others of this tick are still to come
		}
	}
	w.now = max(w.now, to)
	return due
}

// cascade moves the timers of a slot, which now has reached, to lower levels.
func (w *wheel) cascade(l *list) {
	for l.first != nil {
		t := l.first
		w.remove(t)
		w.insert(t)
	}
}

// take moves what has run out from a slot of level 0 to due, and reports whether that was
// all of it.
func (w *wheel) take(l *list, now tcp.Time, due *[]*timer) bool {
	if l.first == nil {
		return true
	}
	t, last := l.first, l.first.prev
	for {
		next := t.next
		if t.when <= now {
			*due = append(*due, t)
			w.disarm(t)
		}
		if t == last {
			return l.first == nil
		}
		t = next
	}
}
