package tcp

// What arrives out of order: RFC 9293 section 3.10.7.4 first, "Segments with higher beginning
// sequence numbers SHOULD be held for later processing (SHLD-31)."

import (
	"slices"
	"sort"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// span is a range of sequence numbers that has been received: from start, up to but not
// including end. Its turn is larger the later the last of it came. Its text is a ring of its
// own, so that what is held takes memory by how much has come, not by how far ahead it lies;
// it is empty when nobody reads.
type span struct {
	start, end seq.Num
	turn       uint32
	text       ring
}

func (s *span) block() wire.SACKBlock { return wire.SACKBlock{Left: s.start, Right: s.end} }

// maxSpans is how many ranges are held out of order: one for a kilobyte of RCV.BUFF, as a queue
// that overflows may leave every other segment out. Those farthest from RCV.NXT go first. It
// bounds the work and the memory that a segment can cost (CVE-2018-5390).
func (c *Conn) maxSpans() int { return int(min(max(c.rcv.capacity>>10, 64), 4096)) }

// hold keeps what has arrived before its turn, within the window and maxSpans. Text of
// a SYN is held likewise until ESTABLISHED, section 3.5.
func (c *Conn) hold(now Time, seg *wire.Segment) {
	if len(seg.Text) > 0 && !c.holdText(seg.Seq, seg.Text) {
		c.drop(now, seg, RuleTooManySpans)
		return
	}
	c.noteFIN(seg)
}

// holdText takes text that begins at s into the ordered, disjoint spans and reports whether it
// is kept.
func (c *Conn) holdText(s seq.Num, text []byte) bool {
	c.rcv.turn++
	held := c.rcv.held
	add := span{start: s, end: s.Add(uint32(len(text))), turn: c.rcv.turn}
	i := sort.Search(len(held), func(k int) bool { return add.start.LessEq(held[k].end) })
	j := i
	for j < len(held) && held[j].start.LessEq(add.end) {
		j++
	}
	if i == j {
		return c.insertSpan(i, add, text)
	}
	for k := i; k < j; k++ {
		if from, to := seq.Max(add.start, held[k].start), seq.Min(add.end, held[k].end); from.Less(to) {
			c.cameTwice(from, to)
			break
		}
	}
	return c.joinSpans(i, j, add, text)
}

// insertSpan puts a span that touches no other at place i.
func (c *Conn) insertSpan(i int, add span, text []byte) bool {
	if last := len(c.rcv.held) - 1; last+1 == c.maxSpans() {
		if i > last {
			return false
		}
		c.rcv.held[last].text.release(&c.cfg.pool)
		c.rcv.held = c.rcv.held[:last]
	}
	if c.rcv.shut == Reading {
		if !c.cfg.pool.affords(0, ringSize(uint32(len(text)))) {
			return false
		}
		add.text.reserve(&c.cfg.pool, uint32(len(text)))
		add.text.n = uint32(len(text))
		add.text.writeAt(0, text)
	}
	c.rcv.held = slices.Insert(c.rcv.held, i, add)
	return true
}

// joinSpans makes the spans i to j-1, which add touches, one. The largest takes in the others,
// so that an octet is not moved each time its neighbor comes.
func (c *Conn) joinSpans(i, j int, add span, text []byte) bool {
	held, most, from := c.rcv.held, i, add.start
	for k := i; k < j; k++ {
		add.start, add.end = seq.Min(add.start, held[k].start), seq.Max(add.end, held[k].end)
		if held[k].text.n > held[most].text.n {
			most = k
		}
	}
	if c.rcv.shut == Reading {
		if !held[most].text.fits(&c.cfg.pool, add.end.Sub(add.start)) {
			return false
		}
		add.text = held[most].text
		add.text.extend(&c.cfg.pool, held[most].start.Sub(add.start), add.end.Sub(held[most].end))
		add.text.writeAt(from.Sub(add.start), text)
		for k := i; k < j; k++ {
			if k != most {
				a, b := held[k].text.view(0, held[k].text.n)
				off := held[k].start.Sub(add.start)
				add.text.writeAt(off, a)
				add.text.writeAt(off+uint32(len(a)), b)
				held[k].text.release(&c.cfg.pool)
			}
		}
	}
	held[i] = add
	c.rcv.held = slices.Delete(held, i+1, j)
	return true
}

// mergeHeld takes in what was held and now follows in order. "Process them all before
// sending any ACK" (MUST-59); filling a gap is acknowledged at once (RFC 5681 section 4.2).
func (c *Conn) mergeHeld() {
	k := 0
	for k < len(c.rcv.held) && c.rcv.held[k].start.LessEq(c.rcv.nxt) {
		c.takeIn(&c.rcv.held[k])
		k++
	}
	c.oweAck() // a gap is filled, or is still there
	if k == 0 {
		return
	}
	c.rcv.held = slices.Delete(c.rcv.held, 0, k)
	if len(c.rcv.held) == 0 {
		c.rcv.held = nil
	}
}

// takeIn appends to the receive queue what of a span lies beyond RCV.NXT, as far as there is
// memory; the rest is given up, and its sender still has it. The larger of the two buffers
// becomes the queue's.
func (c *Conn) takeIn(s *span) {
	defer s.text.release(&c.cfg.pool)
	if s.end.LessEq(c.rcv.nxt) {
		return
	}
	n := s.end.Sub(c.rcv.nxt)
	if c.rcv.shut != Reading {
		c.advance(n)
		return
	}
	s.text.drop(s.text.n - n)
	q := &c.rcv.queue
	if q.n < n && s.text.fits(&c.cfg.pool, q.n+n) {
		a, b := q.view(0, q.n)
		s.text.extend(&c.cfg.pool, q.n, 0)
		s.text.writeAt(0, a)
		s.text.writeAt(uint32(len(a)), b)
		s.text.n = q.n // advance counts the rest
		*q, s.text = s.text, *q
		q.hint = max(q.hint, s.text.hint)
	} else {
		if had := q.reserve(&c.cfg.pool, q.n+n); had < q.n+n {
			c.signal |= SignalNoMemory
			n = had - q.n
		}
		a, b := s.text.view(0, n)
		q.writeAt(q.n, a)
		q.writeAt(q.n+uint32(len(a)), b)
	}
	c.advance(n)
}

// dropHeld gives up what is held.
func (c *Conn) dropHeld() {
	c.dropHeldText()
	c.rcv.held = nil
}

// dropHeldText gives up the text of what is held: nobody will read it.
func (c *Conn) dropHeldText() {
	for k := range c.rcv.held {
		c.rcv.held[k].text.release(&c.cfg.pool)
	}
}

// noteFIN remembers where the peer's FIN is. A FIN below something already received is
// none: the peer contradicts itself, or somebody else has forged it, and then the true one
// is still to come.
func (c *Conn) noteFIN(seg *wire.Segment) {
	if seg.Flags&wire.FIN == 0 || c.rcv.finSeen || c.rcv.finHeld && c.rcv.nxt.LessEq(c.rcv.fin) {
		return
	}
	at := seg.Seq.Add(uint32(len(seg.Text)))
	if at.Less(c.rcv.nxt) {
		return
	}
	if n := len(c.rcv.held); n > 0 && at.Less(c.rcv.held[n-1].end) {
		return
	}
	c.rcv.finHeld, c.rcv.fin = true, at
}

// finArrived reports whether the peer's FIN is next.
func (c *Conn) finArrived() bool {
	return c.rcv.finHeld && !c.rcv.finSeen && c.rcv.fin == c.rcv.nxt
}
