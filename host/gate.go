package host

import (
	"os"
	"sync"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// gate is where calls of one kind wait: the readers of a connection, its writers, the
// acceptors of a listener. It has a deadline, which holds for calls that wait now and
// those to come. All of it is under the host's lock.
type gate struct {
	cond     sync.Cond
	timer    *time.Timer
	deadline tcp.Time // 0: none
	armed    tcp.Time // when timer runs, 0: it does not
	waiting  int
}

// A lazyGate is a gate that is made when somebody first waits or sets a deadline: many
// connections never do in one of their directions. Its zero value is ready.
type lazyGate struct{ *gate }

func (l *lazyGate) make(h *Host) *gate {
	if l.gate == nil {
		l.gate = &gate{cond: sync.Cond{L: &h.mu}}
	}
	return l.gate
}

// wait gives up the lock until the gate is woken. The caller looks again at all it waits
// for: there may be no reason.
func (l *lazyGate) wait(h *Host) {
	g := l.make(h)
	g.waiting++
	g.arm(h)
	g.cond.Wait()
	g.waiting--
}

// wake wakes all that wait.
func (l *lazyGate) wake() {
	if g := l.gate; g != nil && g.waiting > 0 {
		g.cond.Broadcast()
	}
}

// wake wakes all that wait at a gate: at once, or with Config.Reproducible when what there is to send
// has been sent. Who runs sooner would change what the segments say that are being formed.
func (h *Host) wake(l *lazyGate) {
	if h.orderly && l.gate != nil {
		h.woken = append(h.woken, l.gate)
		return
	}
	l.wake()
}

// wakeAll wakes those who have waited for that.
func (h *Host) wakeAll() {
	for i, g := range h.woken {
		h.woken[i] = nil
		if g.waiting > 0 {
			g.cond.Broadcast()
		}
	}
	h.woken = h.woken[:0]
}

// expired returns os.ErrDeadlineExceeded when the deadline has passed.
func (l *lazyGate) expired(h *Host) error {
	if g := l.gate; g != nil && g.deadline != 0 && g.deadline <= h.now() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// setDeadline sets or, for the zero Time, takes away the deadline.
func (l *lazyGate) setDeadline(h *Host, t time.Time) {
	if t.IsZero() && l.gate == nil {
		return
	}
	g := l.make(h)
	g.deadline = 0
	if !t.IsZero() {
		now := h.now()
		g.deadline = max(now.Add(time.Until(t)), 1)
		if g.deadline <= now {
			l.wake()
			return
		}
	}
	g.arm(h)
}

// shut wakes all that wait, and leaves no timer.
func (l *lazyGate) shut() {
	g := l.gate
	if g == nil {
		return
	}
	g.deadline = 0
	if g.timer != nil {
		g.timer.Stop()
		g.armed = 0
	}
	l.wake()
}

// arm sees to it that the timer runs when the deadline comes, if anybody waits. A timer
// that runs too early is left alone: it will look again. So a deadline that moves with
// each request costs no timer as long as it moves on.
func (g *gate) arm(h *Host) {
	if g.waiting == 0 || g.deadline == 0 || g.armed != 0 && g.armed <= g.deadline {
		return
	}
	d := g.deadline.Sub(h.now())
	g.armed = g.deadline
	if g.timer == nil {
		g.timer = time.AfterFunc(d, func() { g.run(h) })
		return
	}
	g.timer.Reset(d)
}

// run is the timer's function.
func (g *gate) run(h *Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g.armed = 0
	if g.waiting > 0 && g.deadline != 0 && g.deadline <= h.now() {
		g.cond.Broadcast()
		return
	}
	g.arm(h)
}
