package tcp

// Buffers that find their size. RCV.BUFF follows what the user reads in a round trip: Dynamic
// Right-Sizing (M. Fisk, W. Feng, "Dynamic Right-Sizing in TCP", 2001), as Linux has it. The send
// buffer follows cwnd. RFC 9293 leaves their sizes to us; RFC 7323 section 2.1 ties the scale
// factor to "the maximum receive buffer space", which is the ceiling and not what is in use.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

const (
	initialReceive = 1 << 17 // RCV.BUFF before anything is known, and no less than four segments
	initialSend    = 1 << 16 // what Send takes beyond what is outstanding, however small cwnd is
	tuneAfter      = 1 << 14 // octets that a connection receives before it measures

	// A peer so near that nearSend octets in a round trip are 33 Gbit/s is another process of this
	// machine. More would only wait in its buffer, and be out of the processor's caches by then.
	nearRTT  = 250 * time.Microsecond
	nearSend = 1 << 20

	// tuneFactor is by how much RCV.BUFF exceeds what was read in a round trip. In slow start the
	// peer sends twice as much in the next one, and what is known is up to half a round trip old.
	tuneFactor = 3
	// tuneShare is what part of the memory that nobody holds a buffer may grow to.
	tuneShare = 8
)

// tuner is what a connection knows of its own reading, once it has received tuneAfter octets.
type tuner struct {
	rtt    time.Duration // the receiver's round trip, 0: not known yet
	from   Time          // when the measurement of what is read began
	edgeAt Time          // when that of a window began
	read   seq.Num       // what the user had read by from
	edge   seq.Num       // RCV.NXT+RCV.WND at edgeAt
	echo   uint32        // the TSecr that was measured last
}

// tuneReceive looks at a segment whose text is next in order, before it is stored.
func (c *Conn) tuneReceive(now Time, seg *wire.Segment) {
	if c.rcv.fixed || len(seg.Text) == 0 {
		return
	}
	read := c.rcv.nxt.Add(-c.rcv.queue.n)
	t := c.rcv.tuner
	if t == nil {
		if c.rcv.nxt.Sub(c.irs) < tuneAfter {
			return
		}
		t = &tuner{from: now, edgeAt: now, read: read, edge: c.rcv.nxt.Add(c.rcv.wnd)}
		c.rcv.tuner = t
	}
	c.measureReceive(now, seg)
	if t.rtt == 0 {
		return
	}
	n := read.Sub(t.read)
	if took := now.Sub(t.from); took > t.rtt {
		// Who reads seldom and much has not read that much in a round trip.
		n = uint32(uint64(n) * uint64(t.rtt/time.Microsecond) / uint64(took/time.Microsecond))
		t.from, t.read = now, read
	}
	c.growReceive(n)
}

// measureReceive measures the receiver's round trip, from above: by the first segment that echoes
// one of our timestamps, to a tick, and by the first that lies behind the window which was offered
// when the measurement began, for nobody sends it before more is offered. It falls at once and
// rises by an eighth, as a peer that was silent echoes what is old.
func (c *Conn) measureReceive(now Time, seg *wire.Segment) {
	t := c.rcv.tuner
	if c.opt.timestamps && seg.Options.Has(wire.HasTimestamps) && seg.Options.TSEcr != t.echo {
		t.echo = seg.Options.TSEcr
		if rtt := c.timestampRTT(now, seg); rtt > 0 {
			t.atMost(rtt + timestampTick)
			t.rtt += max(rtt-timestampTick-t.rtt, 0) / 8
		}
	}
	if t.edge.LessEq(seg.Seq) {
		t.atMost(now.Sub(t.edgeAt))
		t.edge, t.edgeAt = c.rcv.nxt.Add(c.rcv.wnd), now
	}
}

// atMost takes in that the round trip is no longer than d.
func (t *tuner) atMost(d time.Duration) {
	if d = max(d, time.Microsecond); t.rtt == 0 || d < t.rtt {
		t.rtt = d
	}
}

// growReceive makes RCV.BUFF large enough for a user who reads n octets in a round trip, within the
// ceiling and what there is memory for. It never shrinks (SHLD-14).
func (c *Conn) growReceive(n uint32) {
	if n <= c.rcv.capacity/tuneFactor {
		return
	}
	want := min(uint64(ringSize(tuneFactor*min(n, maxReceive/tuneFactor))), uint64(c.receiveCeiling()), uint64(c.cfg.pool.share()))
	c.rcv.capacity = max(c.rcv.capacity, uint32(want))
}

// receiveCeiling is the most that RCV.BUFF can become.
func (c *Conn) receiveCeiling() uint32 {
	if c.rcv.fixed {
		return c.rcv.capacity
	}
	return uint32(c.cfg.MaxReceiveBuffer)
}

// share is how large a buffer may become by itself, as memory is now: those who come later find
// some, and those who have some leave the more the less there is.
func (p *pool) share() uint32 {
	if p.most == 0 {
		return maxReceive
	}
	return uint32(min(max(p.most-p.out, 0)/tuneShare, maxReceive))
}

// sendCapacity is how many octets the send queue may hold now: what is outstanding, and as much
// again as cwnd and the largest window of the peer let go, so that Send is never what the path waits
// for, and what waits here is no more than a round trip.
func (c *Conn) sendCapacity() uint32 {
	if c.snd.capacity != 0 {
		return c.snd.capacity
	}
	waits := max(min(c.cc.cwnd, c.snd.maxWnd), initialSend)
	n := min(c.snd.queue.n-c.unsent()+waits, c.sendCeiling())
	if rtt := c.leastRTT(); rtt > 0 && rtt < nearRTT {
		n = min(n, nearSend)
	}
	if n > initialSend && n > uint32(len(c.snd.queue.buf)) {
		n = max(min(n, c.cfg.pool.share()), initialSend, uint32(len(c.snd.queue.buf)))
	}
	return n
}

// sendCeiling is the most that sendCapacity can be.
func (c *Conn) sendCeiling() uint32 {
	if c.snd.capacity != 0 {
		return c.snd.capacity
	}
	return uint32(c.cfg.MaxSendBuffer)
}

// initBuffers sets the sizes that a connection begins with.
func (c *Conn) initBuffers() {
	c.snd.capacity = uint32(c.cfg.SendBuffer)
	c.rcv.fixed = c.cfg.ReceiveBuffer != 0
	c.rcv.capacity = uint32(c.cfg.ReceiveBuffer)
	if !c.rcv.fixed {
		c.rcv.capacity = min(max(initialReceive, 4*uint32(c.mtu)), uint32(c.cfg.MaxReceiveBuffer))
	}
}
