package tcp

// The outlet: which segment goes next. A reset, a SYN, what is deemed lost, new text and
// FIN (RFC 9293 section 3.8.6.2.1), a probe, an acknowledgment: in this order.

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// Output fills seg with the next segment to send and reports whether there is one. Call it
// until it returns false, after every call of Open, Send, Receive, Close, CloseReceive,
// Abort, Arrive, Timeout, ICMP or PacketTooBig; after a batch of segments, once for all
// (MUST-59). seg.Text and seg.TextRest are views, in force until the next call.
func (c *Conn) Output(now Time, seg *wire.Segment) bool {
	if !c.output(now, seg) {
		return false
	}
	c.countOut(seg)
	return true
}

func (c *Conn) output(now Time, seg *wire.Segment) bool {
	if p := c.cc.pacer; p != nil {
		p.held = false // in whatever state: what waited may have been acknowledged
	}
	if c.reply.owed&owedReset != 0 {
		c.outputReset(now, seg)
		return true
	}
	switch c.state {
	case Closed, Listen:
		return false
	case SynSent:
		return c.outputSYN(now, seg)
	case SynReceived:
		return c.outputSYN(now, seg) || c.outputText(now, seg) || c.outputAck(now, seg)
	case FinWait1, Closing:
		// CLOSE in SYN-RECEIVED has led here before our SYN was acknowledged: it may go again.
		return c.outputSYN(now, seg) || c.outputText(now, seg) || c.outputAck(now, seg)
	case Established, CloseWait, LastAck:
		return c.outputText(now, seg) || c.outputAck(now, seg)
	case FinWait2, TimeWait:
		return c.outputKeepAlive(now, seg) || c.outputAck(now, seg)
	}
	return false
}

// outputText sends what is lost, what is new, or a probe, so far as windows allow.
func (c *Conn) outputText(now Time, seg *wire.Segment) bool {
	if !c.snd.synAcked && !c.fastOpened() {
		return false
	}
	if c.outputHandshakeAck(now, seg) || c.outputTail(now, seg) || c.outputMTUProbe(now, seg) || c.outputAgain(now, seg) || !c.awaitsMTUProbe(now) && c.outputNew(now, seg) || c.outputProbe(now, seg) || c.outputKeepAlive(now, seg) {
		return true
	}
	c.reply.owed &^= owedOverride
	c.countTime(now)
	if p := c.cc.pacer; p == nil || !p.held {
		c.waitToSend(now)
	}
	return false
}

func (c *Conn) outputReset(now Time, seg *wire.Segment) {
	c.reply.owed &^= owedReset
	*seg = wire.Segment{Seq: c.reply.rstSeq, Flags: wire.RST, TC: c.tc, HopLimit: c.hops}
	if c.reply.rstWithAck {
		seg.Ack = c.reply.rstAck
		seg.Flags |= wire.ACK
	}
	c.putTimestamps(now, seg) // RFC 7323 section 3.2: "SHOULD be sent in an <RST> segment"
	c.putAuth(seg)
}

// outputSYN sends <SEQ=ISS><CTL=SYN> or, once the peer's SYN has come, <SEQ=ISS><ACK=RCV.NXT>
// <CTL=SYN,ACK>, with the options that section 3.7.1 and RFC 7323 put there (MUST-65).
func (c *Conn) outputSYN(now Time, seg *wire.Segment) bool {
	if c.reply.owed&owedSYN == 0 {
		return false
	}
	c.reply.owed &^= owedSYN
	*seg = wire.Segment{Seq: c.iss, Flags: wire.SYN, TC: c.tc, HopLimit: c.hops}
	window := c.offerable()
	if c.rcv.synSeen {
		c.putAck(seg)
		window = c.rcv.wnd
	}
	seg.Wnd = uint16(min(window, 1<<16-1)) // RFC 7323 section 2.2: not scaled
	o := &seg.Options
	o.Set |= wire.HasMSS // SHLD-5, MAY-3
	o.MSS = c.receiveMSS()
	if c.opt.scale {
		o.Set |= wire.HasWindowScale
		o.WindowScale = c.rcv.shift
	}
	if c.opt.sack {
		o.Set |= wire.HasSACKPermitted
	}
	c.putTimestamps(now, seg)
	c.putAuth(seg)
	if c.rto.count == 0 {
		c.timeSegment(now, c.iss+1)
	}
	c.putFastOpen(now, seg)
	c.putUserTimeout(seg)
	c.askECN(seg) // its option takes what room is left
	c.startRetransmission(now)
	return true
}

// fill makes seg an acknowledgment from SND.NXT: what every segment carries "once in the
// ESTABLISHED state".
func (c *Conn) fill(now Time, seg *wire.Segment) {
	*seg = wire.Segment{Seq: c.snd.nxt, TC: c.tc, HopLimit: c.hops}
	c.putAck(seg)
	seg.Wnd = c.windowField()
	c.putTimestamps(now, seg)
	c.putSACK(seg)
	c.putECN(seg)
	c.putAuth(seg)
}

func (c *Conn) putAck(seg *wire.Segment) {
	seg.Flags |= wire.ACK
	seg.Ack = c.rcv.nxt
	c.rcv.lastAck = c.rcv.nxt
	c.rcv.pending = 0
	c.timer.delayedAck = 0
	c.reply.owed &^= owedACK
}

// putSACK reports what has come twice, once (RFC 2883 section 4), and what is held out of order:
// RFC 2018 section 4, the block that holds the latest segment first, then those which were
// reported last.
func (c *Conn) putSACK(seg *wire.Segment) {
	n := c.sackBlocks()
	if c.rcv.twice.Left != c.rcv.twice.Right && n > 0 {
		seg.Options.AddBlock(c.rcv.twice)
		c.rcv.twice = wire.SACKBlock{}
		n--
	}
	var latest [wire.MaxSACKBlocks]*span
	have := 0
	for i := range c.rcv.held {
		s := &c.rcv.held[i]
		at := have
		for at > 0 && int32(s.turn-latest[at-1].turn) > 0 {
			at--
		}
		if at < n {
			have = min(have+1, n)
			copy(latest[at+1:have], latest[at:])
			latest[at] = s
		}
	}
	for _, s := range latest[:have] {
		seg.Options.AddBlock(s.block())
	}
}

// sackBlocks is how many blocks the next segment has: as many as there are, as fit the header,
// and as leave room for an octet of text where the MTU is tiny.
func (c *Conn) sackBlocks() int {
	have := len(c.rcv.held)
	if c.rcv.twice.Left != c.rcv.twice.Right {
		have++
	}
	if !c.opt.sack || have == 0 || c.ecn.acc != nil && c.ecn.acc.bare {
		return 0
	}
	most := wire.MaxSACKBlocks - int(c.auth.length()/8)
	if c.opt.timestamps {
		most--
	}
	if c.optionDue() {
		most-- // RFC 9768 section 3.2.3.3: two blocks before it, but no third with timestamps
	}
	return min(have, most, (int(c.mss())-1-sackLength)/8)
}

// room is how much text fits the next segment: Eff.snd.MSS less what SACK blocks take
// (MUST-16).
func (c *Conn) room() uint32 {
	n := c.mss()
	blocks := c.sackBlocks()
	if blocks > 0 {
		n -= min(sackLength+8*uint32(blocks), n-1)
	}
	return n - min(c.optionLength(blocks), n-1)
}

// outputAgain sends what is deemed lost, "the old unacknowledged data between SND.UNA and
// SND.UNA+SND.WND" (SHLD-16).
func (c *Conn) outputAgain(now Time, seg *wire.Segment) bool {
	from, lost := c.nextLost()
	if lost == 0 {
		return false
	}
	edge := c.snd.una.Add(c.snd.wnd)
	if !from.Less(edge) {
		return false
	}
	mss := c.room()
	allowed := c.congestionRoom()
	n := min(lost, edge.Sub(from))
	switch {
	case c.board.force:
		n = c.askNarrow(from, min(n, mss))
		allowed = max(allowed, n)
	case allowed < min(n, mss) || c.paceHolds(now):
		return false
	default:
		n = c.wholeSegments(min(n, allowed), mss)
	}
	c.fill(now, seg)
	c.board.force = false
	c.resent(now, from, n, mss)
	seg.Seq = from
	end := from.Add(n)
	if more := c.behindLost(end, n, mss, min(allowed-n, edge.Sub(end))); more > 0 {
		c.putText(seg, n+more, mss)
		c.sent(now, more, mss, false)
		return true
	}
	c.putText(seg, n, mss)
	c.startRetransmission(now)
	return true
}

// nextLost is what is to be sent again next. After a timeout that may be spurious new segments
// go first (RFC 5682).
func (c *Conn) nextLost() (from seq.Num, n uint32) {
	b := c.board
	if b == nil || b.undo.frto == frtoNew {
		return 0, 0
	}
	return b.nextLost(max(c.superMax, c.mss()))
}

// resent notes that n octets from start on are sent again.
func (c *Conn) resent(now Time, start seq.Num, n, mss uint32) {
	b := c.board
	b.resent(start, n, now, mss)
	c.sentAgain(start)
	c.count.resent += uint64(n)
	c.cc.lastSent = now
	if c.cc.phase != PhaseOpen {
		c.noteAgain(start, n)
		b.prr.out += n
	}
	c.departed(now, n)
}

// behindLost is how much new text, up to limit, fills the segment which ends with the last of
// what was lost (SHLD-28): or the octet of a probe would go again alone, a silly segment.
func (c *Conn) behindLost(end seq.Num, n, mss, limit uint32) uint32 {
	if end != c.snd.nxt || n >= mss {
		return 0
	}
	return min(mss-n, c.unsent(), limit)
}

// wholeSegments cuts n to what one call may send: one segment, or as many whole ones as
// the link takes at once.
func (c *Conn) wholeSegments(n, mss uint32) uint32 {
	limit := mss
	if most := c.burst(); most > mss && !c.cutsCWR() {
		limit = most - most%mss
	}
	if n <= limit {
		return n
	}
	return limit
}

// putText puts n sequence numbers from seg.Seq on into seg: text, and our FIN where they
// reach it.
func (c *Conn) putText(seg *wire.Segment, n, mss uint32) {
	off := seg.Seq.Sub(c.base())
	text := min(n, c.snd.queue.n-min(off, c.snd.queue.n))
	seg.Text, seg.TextRest = c.snd.queue.view(off, text)
	if text > mss {
		seg.GSO = uint16(mss)
	}
	if text > 0 && off+text == c.snd.queue.n {
		seg.Flags |= wire.PSH // MUST-61, SHLD-27
	}
	if n > text {
		seg.Flags |= wire.FIN
	}
	c.putUrgent(seg)
}

// outputNew sends text, and the FIN behind it, for the first time: the algorithm of section
// 3.8.6.2.1, within both windows (RFC 5681 section 3.1).
func (c *Conn) outputNew(now Time, seg *wire.Segment) bool {
	left := c.unsent()
	fin := c.snd.finQueued && !c.snd.finSent
	if _, lost := c.nextLost(); left == 0 && !fin || lost > 0 {
		return false
	}
	c.afterIdle(now)
	usable := c.usableWindow()
	n := min(left, usable, c.congestionRoom())
	if n == 0 && (left > 0 || usable == 0) {
		return false
	}
	mss := c.room()
	n = c.wholeSegments(n, mss) // SHLD-28
	if tail := n % mss; (tail > 0 || n == 0) && !c.maySendSmall(tail, left-(n-tail)) {
		n -= tail
		if n == 0 {
			return false
		}
	}
	if fin = fin && n == left && usable > n; !fin && n == 0 || c.paceHolds(now) {
		return false
	}
	c.fill(now, seg)
	if fin {
		n++
	}
	c.putText(seg, n, mss)
	c.markNew(seg)
	c.sent(now, n, mss, fin)
	return true
}

// sent records that n sequence numbers from SND.NXT on have been sent for the first time.
func (c *Conn) sent(now Time, n, mss uint32, fin bool) {
	if c.board == nil {
		c.board = c.cfg.pool.getBoard()
		c.board.rack.fack, c.board.rack.known = c.snd.nxt, c.snd.nxt
	}
	from := c.snd.nxt
	c.snd.nxt = c.snd.nxt.Add(n)
	c.board.push(from, c.snd.nxt, now, mss)
	if c.cc.phase == PhaseRecovery {
		c.board.prr.out += n
	}
	c.cc.lastSent = now
	c.departed(now, n)
	c.reply.owed &^= owedOverride
	c.timeSegment(now, c.snd.nxt)
	c.startRetransmission(now)
	c.scheduleProbe(now)
	if fin {
		c.snd.finSent = true
		c.finSegmentized(now)
	}
}

// outputProbe sends one octet into a closed window: "at least one octet of new data (if
// available), or retransmit", section 3.8.6.1. Nothing else goes beyond a shrunk window (MAY-7).
func (c *Conn) outputProbe(now Time, seg *wire.Segment) bool {
	if c.reply.owed&owedProbe == 0 {
		return false
	}
	c.reply.owed &^= owedProbe
	if c.snd.wnd > 0 || !c.outstanding() && !c.somethingToSend() {
		return false
	}
	first := !c.outstanding()
	fin := first && c.snd.queue.n == 0
	c.fill(now, seg)
	seg.Seq = c.snd.una
	c.putText(seg, 1, c.room())
	if first {
		c.sent(now, 1, 1, fin)
	}
	c.rto.timing = false // its ACK may come when the window opens, or never
	return true
}

// garbage is the octet of a keep-alive probe where Config.KeepAliveOctet asks for one: the
// peer has received what stood at SND.NXT-1, and looks at it no more.
var garbage [1]byte

// outputKeepAlive sends a segment with SEG.SEQ = SND.NXT-1 and no data (SHLD-12), or one
// octet of garbage (MAY-6).
func (c *Conn) outputKeepAlive(now Time, seg *wire.Segment) bool {
	if c.reply.owed&owedKeepAlive == 0 {
		return false
	}
	c.reply.owed &^= owedKeepAlive
	c.fill(now, seg)
	seg.Seq--
	if c.cfg.KeepAliveOctet {
		seg.Text = garbage[:]
	}
	return true
}

// seqInWindow is the sequence number of a segment that takes none: SND.NXT, or the edge of the
// peer's window where SND.NXT lies beyond it.
//
// It deviates from <SEQ=SND.NXT> of 3.10.5 and 3.10.7.4 where the peer has closed or shrunk its
// window: a probe has taken SND.NXT beyond RCV.NXT+RCV.WND, and by Table 6 an ACK or a reset from
// there is not acceptable. Linux does so (tcp_acceptable_seq).
func (c *Conn) seqInWindow() seq.Num {
	if c.snd.synAcked && c.beyondWindow() {
		return c.snd.una.Add(c.snd.wnd)
	}
	return c.snd.nxt
}

// outputAck sends <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> when it is owed.
func (c *Conn) outputAck(now Time, seg *wire.Segment) bool {
	if c.reply.owed&owedACK == 0 {
		return false
	}
	c.fill(now, seg)
	seg.Seq = c.seqInWindow()
	c.putUrgent(seg)
	c.putUserTimeout(seg)
	return true
}

// SetSuperSegment lets Output give segments of up to n octets of text, which whoever sends
// them cuts by Segment.GSO; 0 (the default) means one wire segment each, as a connection with keys
// has it in any case: a MAC is that of one segment.
func (c *Conn) SetSuperSegment(n int) {
	if c.auth != nil {
		n = 0
	}
	c.superMax = uint32(max(n, 0))
}
