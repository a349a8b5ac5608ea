package sim

// Controlled delay: RFC 8289 section 5, whose names these are.

import (
	"math"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// largestPacket stands for maxpacket: a queue of one packet is none.
const largestPacket = 1500

type codel struct {
	firstAbove tcp.Time // when the delay has been above the target for an interval; 0: it is below
	dropNext   tcp.Time
	count      int // drops since the queue began to drop
	lastCount  int
	dropping   bool
}

// codelDequeue takes the next packet that is not dropped; a mark counts as a drop.
func (p *Path) codelDequeue(now tcp.Time) *Parcel {
	q, c := &p.queue, &p.queue.codel
	parcel, ok := q.codelPop(now)
	if c.dropping {
		if !ok {
			c.dropping = false
		}
		for c.dropping && now >= c.dropNext {
			c.count++
			if p.markInstead(parcel) {
				c.dropNext = q.control(c.dropNext, c.count)
				break
			}
			p.lose(now, parcel, LossByCoDel)
			if parcel, ok = q.codelPop(now); ok {
				c.dropNext = q.control(c.dropNext, c.count)
			} else {
				c.dropping = false
			}
		}
		return parcel
	}
	if !ok {
		return parcel
	}
	if !p.markInstead(parcel) {
		p.lose(now, parcel, LossByCoDel)
		parcel, _ = q.codelPop(now)
	}
	c.dropping = true
	// Where the queue was controlled a short while ago, begin with the rate of drops that did it.
	delta := c.count - c.lastCount
	c.count = 1
	if delta > 1 && now.Sub(c.dropNext) < 16*q.cfg.Interval {
		c.count = delta
	}
	c.dropNext = q.control(now, c.count)
	c.lastCount = c.count
	return parcel
}

// codelPop is dodequeue there: the next packet, and whether it may be dropped.
func (q *queue) codelPop(now tcp.Time) (parcel *Parcel, mayDrop bool) {
	w, ok := q.pop()
	c := &q.codel
	switch {
	case !ok || now.Sub(w.since) < q.cfg.Target || q.octets <= largestPacket:
		c.firstAbove = 0
	case c.firstAbove == 0:
		c.firstAbove = now.Add(q.cfg.Interval)
	case now >= c.firstAbove:
		mayDrop = true
	}
	return w.parcel, mayDrop
}

// control is the control law: drops come closer by the square root of their number.
func (q *queue) control(t tcp.Time, count int) tcp.Time {
	return t.Add(time.Duration(float64(q.cfg.Interval) / math.Sqrt(float64(count))))
}
