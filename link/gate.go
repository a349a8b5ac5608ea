package link

import "sync/atomic"

// A gate counts the calls in flight through a link, so that Close can refuse new ones
// and wait for the rest. Waiting is on a channel: a goroutine that waits for a mutex or
// a sync.Once would hold up a synctest bubble.
type gate struct {
	n    atomic.Int64  // calls in flight, and the two bits below
	idle chan struct{} // closed when the gate is shut and nothing is in flight
}

const (
	gateShut = 1 << 62 // no call may enter
	gateIdle = 1 << 61 // idle has been closed
)

func newGate() gate { return gate{idle: make(chan struct{})} }

// enter counts a call in and reports whether it may go on. After true, leave must follow.
func (g *gate) enter() bool {
	if g.n.Add(1)&gateShut != 0 {
		g.leave()
		return false
	}
	return true
}

// leave counts a call out.
func (g *gate) leave() {
	if g.n.Add(-1) == gateShut {
		g.settle()
	}
}

// settle closes idle, once. It fails where a call that will be refused is counted at
// this moment; that call settles when it leaves.
func (g *gate) settle() {
	if g.n.CompareAndSwap(gateShut, gateShut|gateIdle) {
		close(g.idle)
	}
}

// shut lets no further call in, and reports whether this call has shut the gate.
func (g *gate) shut() bool {
	if g.n.Or(gateShut)&gateShut != 0 {
		return false
	}
	g.settle()
	return true
}

// closed reports whether the gate is shut.
func (g *gate) closed() bool { return g.n.Load()&gateShut != 0 }

// wait returns when the gate is shut and nothing is in flight.
func (g *gate) wait() { <-g.idle }
