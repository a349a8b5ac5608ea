package tcp

// Managing the window: RFC 9293 section 3.8.6, with the scale of RFC 7323 section 2.

import "github.com/vitro-net/vitro/wire"

// scaledWindow is SEG.WND with Snd.Wind.Shift applied: MUST-1, an unsigned number.
func (c *Conn) scaledWindow(seg *wire.Segment) uint32 { return uint32(seg.Wnd) << c.snd.shift }

// updateSendWindow follows 3.10.7.4 fifth: "The check here prevents using old segments to
// update the window."
func (c *Conn) updateSendWindow(now Time, seg *wire.Segment) {
	if c.snd.una.LessEq(seg.Ack) && seg.Ack.LessEq(c.snd.nxt) &&
		(c.snd.wl1.Less(seg.Seq) || c.snd.wl1 == seg.Seq && c.snd.wl2.LessEq(seg.Ack)) {
		c.setSendWindow(now, seg)
	}
	if c.snd.wnd == 0 || c.beyondWindow() {
		// MUST-37, SHLD-17: as long as the peer answers, a closed or shrunk window is not a
		// failure of the connection.
		c.timer.progress = now
	}
}

func (c *Conn) setSendWindow(now Time, seg *wire.Segment) {
	before := c.snd.wnd
	c.snd.wnd = c.scaledWindow(seg)
	c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	c.snd.wl1, c.snd.wl2 = seg.Seq, seg.Ack
	switch {
	case before > 0 && c.snd.wnd == 0:
		c.startPersist(now)
	case before == 0 && c.snd.wnd > 0:
		c.stopPersist(now)
	}
}

// beyondWindow reports that octets in flight lie to the right of the window: the peer has
// shrunk it (MUST-34).
func (c *Conn) beyondWindow() bool {
	return c.textOut() > c.snd.wnd
}

// usableWindow is U = SND.UNA + SND.WND - SND.NXT of section 3.8.6.2.1, 0 where it is
// negative (MUST-34, SHLD-15).
func (c *Conn) usableWindow() uint32 {
	inFlight := c.textOut()
	if inFlight >= c.snd.wnd {
		return 0
	}
	return c.snd.wnd - inFlight
}

// maySendSmall decides on a segment of n octets, less than Eff.snd.MSS, of which left are
// unsent: rules (2), (3) and (4) of section 3.8.6.2.1 (MUST-38), with the Nagle algorithm
// of section 3.7.4 (SHLD-7, MUST-17) as their bracketed condition. Everything is pushed
// (MUST-60); what is held back is aggregated (MAY-16). A FIN is pushed too: nothing will
// come to fill the segment.
func (c *Conn) maySendSmall(n, left uint32) bool {
	nagle := !c.noDelay && c.textOut() > 0
	switch {
	case n == left && (!nagle || c.snd.finQueued):
		return true
	case n > 0 && n >= c.snd.maxWnd/2 && !nagle:
		return true
	case c.reply.owed&owedOverride != 0:
		return true
	}
	return false
}

// offerable is how much of RCV.BUFF may be offered. The window field counts in units of
// 2^shift; a few units are kept back so that rounding up, which keeps the right edge where
// it was, never promises more than there is.
func (c *Conn) offerable() uint32 {
	if c.rcv.shift == 0 {
		return c.rcv.capacity
	}
	return c.rcv.capacity - min(64<<c.rcv.shift, c.rcv.capacity/2)
}

// openWindow follows section 3.8.6.2.2 (MUST-39): RCV.NXT+RCV.WND stays fixed until it can
// move by min(Fr * RCV.BUFF, Eff.snd.MSS), Fr being 1/2: while the user does not read, for
// ever (MAY-8).
func (c *Conn) openWindow() {
	if c.rcv.finSeen {
		return
	}
	room := c.receivable()
	free := c.free(room)
	if free > c.rcv.wnd && free-c.rcv.wnd >= min(room/2, c.mss()) {
		c.rcv.wnd = free
	}
}

// receivable is what of RCV.BUFF may be offered and there is memory for now. Where nobody else holds
// any, there will never be more, and the owner need not look out for it.
func (c *Conn) receivable() uint32 {
	can := c.offerable()
	has := c.rcv.queue.could(&c.cfg.pool, can)
	if has < can && c.cfg.pool.out > len(c.rcv.queue.buf) {
		c.signal |= SignalNoMemory
	}
	return has
}

// free is RCV.BUFF - RCV.USER, so far as the window field can say it.
func (c *Conn) free(room uint32) uint32 {
	if c.rcv.queue.n >= room {
		return 0
	}
	return min(room-c.rcv.queue.n, (1<<16-1)<<c.rcv.shift)
}

// windowField returns the window to put in a segment and moves RCV.WND to what the peer
// will read from it. The right edge never goes back (SHLD-14): where the scale cannot
// express it, the field is rounded up, within the buffer.
func (c *Conn) windowField() uint16 {
	c.openWindow()
	s := c.rcv.shift
	field := (c.rcv.wnd + 1<<s - 1) >> s
	if c.rcv.queue.n+field<<s > c.rcv.capacity && c.rcv.queue.n+c.rcv.wnd <= c.rcv.capacity {
		field = c.rcv.wnd >> s
	}
	field = min(field, 1<<16-1)
	if !c.rcv.finSeen {
		c.rcv.wnd = max(c.rcv.wnd, field<<s)
	}
	return uint16(field)
}

// windowUpdateDue reports whether what the user has read since makes an ACK worth sending
// for the window alone: it has grown by a quarter of the buffer, or from next to nothing.
func (c *Conn) windowUpdateDue() bool {
	room := c.receivable()
	free := c.free(room)
	if free <= c.rcv.wnd {
		return false
	}
	gain := free - c.rcv.wnd
	step := min(room/2, c.mss())
	return gain >= max(room/4, step) || c.rcv.wnd < step && gain >= step
}
