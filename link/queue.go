package link

import (
	"container/heap"
	"time"

	"github.com/vitro-net/vitro/wire"
)

// queue holds the packets that wait, earliest first, and the one timer that serves them.
// It is guarded by its FaultLink's lock.
//
// Several timers would not do: the runtime shuffles timers of one instant, in a bubble on
// purpose.
type queue struct {
	epoch    time.Time // times are since this
	heap     items
	order    uint64
	timer    *time.Timer
	armed    bool // the timer will call fire, and is counted in the gate
	at       time.Duration
	flushing bool // fire is at work, and arms the timer when it is done
}

// item is one waiting packet.
type item struct {
	due    time.Duration
	order  uint64 // of packets due at one time the one pushed or moved first goes first
	dir    Direction
	packet wire.Packet
	index  int           // in the heap, -1: not in it
	left   int           // how many packets have still to overtake it
	after  time.Duration // when it may go once they have
}

func (q *queue) now() time.Duration { return time.Since(q.epoch) }

func (q *queue) push(dir Direction, p wire.Packet, due time.Duration) *item {
	q.order++
	it := &item{due: due, order: q.order, dir: dir, packet: p}
	heap.Push(&q.heap, it)
	return it
}

// move changes when an item is due.
func (q *queue) move(it *item, due time.Duration) {
	q.order++
	it.due, it.order = due, q.order
	heap.Fix(&q.heap, it.index)
}

func (q *queue) remove(it *item) { heap.Remove(&q.heap, it.index) }

// arm sees to it that fire is called when the first packet is due. The lock is held.
func (f *FaultLink) arm(now time.Duration) {
	q := &f.queue
	if len(q.heap) == 0 || q.flushing {
		return
	}
	due := q.heap[0].due
	if q.armed && q.at <= due {
		return
	}
	if !f.disarm() || !f.gate.enter() {
		return
	}
	q.armed, q.at = true, due
	if q.timer == nil {
		q.timer = time.AfterFunc(due-now, f.fire)
	} else {
		q.timer.Reset(due - now)
	}
}

// disarm stops the timer and reports whether it rests; if not, fire is on its way. The lock
// is held.
func (f *FaultLink) disarm() bool {
	q := &f.queue
	if !q.armed {
		return true
	}
	if !q.timer.Stop() {
		return false
	}
	q.armed = false
	f.gate.leave()
	return true
}

// fire delivers what is due. The gate counts it since it was armed.
func (f *FaultLink) fire() {
	defer f.gate.leave()
	q := &f.queue
	f.mu.Lock()
	defer f.mu.Unlock()
	q.armed, q.flushing = false, true
	for !f.gate.closed() {
		now := q.now()
		batches := q.due(now)
		if batches[Out] == nil && batches[In] == nil {
			break
		}
		f.deliver(batches)
	}
	q.flushing = false
	f.arm(q.now())
}

// deliver passes on what is due, without the lock, which it takes again though somebody panics.
func (f *FaultLink) deliver(batches [2][]wire.Packet) {
	f.mu.Unlock()
	defer f.mu.Lock()
	if len(batches[Out]) > 0 {
		_ = f.inner.Send(batches[Out]) // its one error, closed, is Send's to tell
	}
	if r := f.recv.Load(); r != nil && len(batches[In]) > 0 {
		(*r).Receive(batches[In])
	}
}

// due takes out what is due, in order.
func (q *queue) due(now time.Duration) (batches [2][]wire.Packet) {
	for len(q.heap) > 0 && q.heap[0].due <= now {
		it, _ := heap.Pop(&q.heap).(*item)
		batches[it.dir] = append(batches[it.dir], it.packet)
	}
	return batches
}

// items is a heap.Interface.
type items []*item

func (h items) Len() int { return len(h) }

func (h items) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].order < h[j].order
}

func (h items) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *items) Push(x any) {
	it, _ := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *items) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}
