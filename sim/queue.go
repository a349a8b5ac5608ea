package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// QueueKind is who decides what a queue drops before it is full.
type QueueKind uint8

// The kinds.
const (
	DropTail QueueKind = iota // nobody
	CoDel                     // RFC 8289: by how long packets wait
	RED                       // random early detection: by how many wait, in the mean
)

// QueueConfig describes what waits before the transmitter of a path. The zero value drops
// nothing.
type QueueConfig struct {
	Kind QueueKind
	// Limit is how many octets may wait, the packet that is being sent not counted. One that does
	// not fit is dropped, whatever the kind. 0: no limit.
	Limit int
	// ECN: CoDel and RED mark what is ECN-capable, where they would drop it (RFC 3168).
	ECN bool
	// Target and Interval are CoDel's: packets may wait so long, and longer only for so long.
	// Defaults 5 ms and 100 ms (RFC 8289 section 4.3 and 4.2).
	Target, Interval time.Duration
	// Min and Max are RED's thresholds of the mean length, in octets; between them the
	// probability of a drop grows to MaxP, and from Max on all is dropped. Weight is that of a
	// new length in the mean. Defaults of MaxP and Weight: 0.1 and 0.002.
	Min, Max     int
	MaxP, Weight float64
}

func (c *QueueConfig) check() error {
	switch {
	case c.Limit < 0:
		return fmt.Errorf("sim: a queue of %d octets", c.Limit)
	case c.Kind > RED:
		return fmt.Errorf("sim: no queue is of kind %d", c.Kind)
	case c.Target < 0 || c.Interval < 0:
		return errors.New("sim: CoDel's times are less than nothing")
	case c.Kind == RED && !(0 < c.Min && c.Min < c.Max):
		return fmt.Errorf("sim: RED's thresholds %d and %d: 0 < Min < Max", c.Min, c.Max)
	case !(c.MaxP >= 0 && c.MaxP <= 1) || !(c.Weight >= 0 && c.Weight <= 1):
		return errors.New("sim: RED's MaxP and Weight are in 0..1")
	}
	return nil
}

// queue is what waits before the transmitter, first come, first served.
type queue struct {
	cfg     QueueConfig
	waiting []waiting
	octets  int
	doomed  int // of those that wait, by their Fate
	codel   codel
	red     red
	idle    tcp.Time // since when the transmitter has had nothing to do, while it has
}

type waiting struct {
	since  tcp.Time
	parcel *Parcel
}

func (q *queue) init(cfg QueueConfig) {
	orDefault(&cfg.Target, 5*time.Millisecond)
	orDefault(&cfg.Interval, 100*time.Millisecond)
	orDefault(&cfg.MaxP, 0.1)
	orDefault(&cfg.Weight, 0.002)
	q.cfg = cfg
	q.red.count = -1
}

func orDefault[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

func (q *queue) push(now tcp.Time, parcel *Parcel) {
	q.waiting = append(q.waiting, waiting{now, parcel})
	q.octets += len(parcel.Bytes)
	if parcel.Fate.Lost {
		q.doomed++
	}
}

func (q *queue) pop() (w waiting, ok bool) {
	if len(q.waiting) == 0 {
		return w, false
	}
	w = q.waiting[0]
	q.waiting[0] = waiting{}
	q.waiting = q.waiting[1:]
	q.octets -= len(w.parcel.Bytes)
	if w.parcel.Fate.Lost {
		q.doomed--
	}
	return w, true
}

// take takes over what waits in another queue.
func (q *queue) take(from *queue) {
	q.waiting, q.octets, q.doomed, q.idle = from.waiting, from.octets, from.doomed, from.idle
}

// admit says whether a packet that comes is to be dropped, and why.
func (p *Path) admit(now tcp.Time, parcel *Parcel) Loss {
	q := &p.queue
	switch {
	case q.cfg.Kind == RED && p.redDrops(now, parcel):
		return LossByRED
	case p.sending != nil && q.cfg.Limit > 0 && q.octets+len(parcel.Bytes) > q.cfg.Limit:
		return LossInQueue
	}
	return NotLost
}

// dequeue returns the packet to be sent next, or nil.
func (p *Path) dequeue(now tcp.Time) *Parcel {
	if p.queue.cfg.Kind == CoDel {
		return p.codelDequeue(now)
	}
	w, _ := p.queue.pop()
	return w.parcel
}

// markInstead marks a packet that is to be dropped, and reports whether that may stand for it.
func (p *Path) markInstead(parcel *Parcel) bool {
	if !p.queue.cfg.ECN || !parcel.mark() {
		return false
	}
	parcel.Fate.Marked = true
	p.stats.Marked++
	return true
}
