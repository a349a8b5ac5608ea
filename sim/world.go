package sim

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Start is the time at which a World begins, on its own clock: tcp.Time has no instant 0.
const Start = tcp.Time(time.Second)

// World is a virtual network and its time.
type World struct {
	now     tcp.Time
	seed    uint64
	agenda  agenda
	order   uint64
	hosts   []*Host
	links   []*Link
	watch   []func(*Event)
	event   Event     // that is told
	spare   []*Packet // that nobody has seen, and that are over
	packets int
}

// New returns an empty World at [Start]. Everything random in it follows from the seed.
func New(seed uint64) *World { return &World{now: Start, seed: seed} }

// Seed returns the seed: what it takes to live the same life again.
func (w *World) Seed() uint64 { return w.seed }

// Now returns the time.
func (w *World) Now() tcp.Time { return w.now }

// Hosts returns the hosts in the order in which they were made.
func (w *World) Hosts() []*Host { return w.hosts }

// random returns a generator of its own for the n-th thing of a kind, so that a host more
// does not change what the links lose.
func (w *World) random(kind, n int) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, uint64(kind)<<32|uint64(n)))
}

const (
	randomHost = 1 + iota
	randomLink
)

// At has the World call f when d has passed since Start; at once, before anything else that
// is due, if that is over.
func (w *World) At(d time.Duration, f func()) { w.plan(&call{at: max(Start.Add(d), w.now), f: f}) }

// After has the World call f when d has passed from now.
func (w *World) After(d time.Duration, f func()) { w.plan(&call{at: w.now.Add(d), f: f}) }

// Step goes on to the next instant at which something is due and does the first thing that
// is due there. It returns false, and the time stays as it is, when nothing is due up to
// limit.
func (w *World) Step(limit tcp.Time) bool {
	w.settle() // what was done from outside since
	if len(w.agenda) == 0 {
		return false
	}
	next := w.agenda[0]
	if next.at > limit {
		return false
	}
	w.now = max(w.now, next.at)
	next.who.run(w.now)
	w.settle()
	w.plan(next.who)
	return true
}

// Run does all that is due up to limit. Afterwards the time is limit; where that is
// tcp.Never, it is the time of the last event, and nothing will ever happen by itself.
func (w *World) Run(limit tcp.Time) {
	for w.Step(limit) {
	}
	if limit != tcp.Never {
		w.now = max(w.now, limit)
	}
}

// RunFor is Run for d from now.
func (w *World) RunFor(d time.Duration) { w.Run(w.now.Add(d)) }

// settle lets the hosts that have been called send, and tells their users, until nobody has
// anything more to do at this instant. A host sends before its users hear of what has made it
// send: they are told by a process that must first be woken.
func (w *World) settle() {
	for again := true; again; {
		again = false
		for _, h := range w.hosts {
			for h.touched || len(h.woken) > 0 {
				again = true
				h.flush()
				h.tell()
			}
		}
	}
}

// An actor is what the agenda holds: it is told the time, and says when it wants to be told
// next. A host, one direction of a link, and a call are such.
type actor interface {
	deadline() tcp.Time // when run is due next, or tcp.Never
	run(now tcp.Time)
	planned() *place
}

// place is where an actor stands on the agenda.
type place struct {
	who   actor
	at    tcp.Time
	order uint64 // of two at one instant the one planned first goes first
	index int    // in the heap, counted from 1; 0: it is not there
}

// agenda is the heap of all that is to come, each actor once.
type agenda []*place

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	p, q := a[i], a[j]
	return p.at < q.at || p.at == q.at && p.order < q.order
}

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i+1, j+1
}

// Push is for package heap.
func (a *agenda) Push(x any) {
	p := x.(*place) //nolint:errcheck // plan pushes places alone
	*a = append(*a, p)
	p.index = len(*a)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	p.index = 0
	return p
}

// plan puts an actor where its deadline belongs. One that stays at its time keeps its turn.
func (w *World) plan(who actor) {
	due, p := who.deadline(), who.planned()
	switch {
	case due == tcp.Never && p.index > 0:
		heap.Remove(&w.agenda, p.index-1)
	case due == tcp.Never || p.index > 0 && p.at == due:
	default:
		w.order++
		p.who, p.at, p.order = who, due, w.order
		if p.index > 0 {
			heap.Fix(&w.agenda, p.index-1)
		} else {
			heap.Push(&w.agenda, p)
		}
	}
}

// call is a function to be called once.
type call struct {
	at    tcp.Time
	f     func()
	place place
}

func (c *call) deadline() tcp.Time { return c.at }
func (c *call) planned() *place    { return &c.place }
func (c *call) run(tcp.Time)       { c.at = tcp.Never; c.f() }
