package tcp

// Congestion controls that work on a model of the path: what they are told, and how delivery rates
// are sampled for them (draft-ietf-ccwg-bbr, "Delivery Rate Samples").

import (
	"sort"
	"time"

	"github.com/vitro-net/vitro/seq"
)

// PathModel is a Congestion whose cwnd follows from a model of the path and not from losses alone,
// as that of BBR. Its Ack is never called, ssthresh means nothing to it, and recoveries leave cwnd
// to it; after a retransmission timeout the machine lets one segment go, and Sample the rest.
type PathModel interface {
	Paced
	// Transmit is called when text has been taken to be sent, before its departure is paced:
	// inflight is what was in flight before it, limited whether the user had no more to send. It
	// returns cwnd.
	Transmit(now Time, w Window, inflight uint32, limited bool) (cwnd uint32)
	// Lost is called for each range that is deemed lost.
	Lost(now Time, w Window, l LostText)
	// Sample is called once for each ACK, in all phases, after all that it shows to be lost has
	// been told. It returns cwnd, and whether what is in flight must not count for less than
	// the path can carry, since the control itself has held it back.
	Sample(now Time, w Window, s RateSample) (cwnd uint32, limited bool)
}

// RateSample is what one ACK tells of the path: RS of the draft, and the connection's sums. Sizes
// are in octets, Rate in octets a second.
type RateSample struct {
	Delivered, Lost uint64        // in the connection's life: C.delivered, C.lost
	Inflight        uint32        // C.inflight, after the ACK
	Acked, NewLost  uint32        // by this ACK: RS.newly_acked, RS.newly_lost
	Marked          uint32        // of Acked, what has arrived as CE, where the feedback is accurate (RFC 9768)
	RTT             time.Duration // of what it acknowledges and was sent once; 0: unknown
	Valid           bool          // it acknowledges text of which it is known how it was sent; else what follows is 0
	Rate            uint64        // RS.delivery_rate; 0: no sample
	SoFar           uint64        // RS.delivered: since the newest of that text was sent
	Prior           uint64        // RS.prior_delivered: C.delivered when it was sent
	TxInFlight      uint32        // RS.tx_in_flight: in flight then, with it
	LostSince       uint64        // RS.lost: deemed lost since then
	Limited         bool          // RS.is_app_limited
	CwndLimited     bool          // C.is_cwnd_limited: cwnd has been full in the last round trip
	SACK            bool          // C.has_selective_acks
	Recovering      bool          // in fast recovery, or in that of a timeout
	Recovered       bool          // it has ended by this ACK
}

// LostText is a range of sequence numbers that is deemed lost: P of the draft.
type LostText struct {
	First      seq.Num
	Len        uint32
	TxInFlight uint32 // in flight when it was sent, with it
	LostSince  uint64 // deemed lost since then, with it
	Delivered  uint64 // C.delivered
	Limited    bool   // P.is_app_limited
}

// model is the connection's side of a PathModel: the C of the draft.
type model struct {
	control     PathModel
	delivered   uint64
	lost        uint64
	limited     uint64 // C.app_limited: 0, or where in delivered it ends
	deliveredAt Time   // C.delivered_time
	firstSent   Time   // C.first_send_time
	lastEnd     seq.Num
	full        bool    // cwnd has been full
	fullEnd     seq.Num // SND.NXT when it was last

	newest     departure // of what this ACK has delivered, when valid
	valid      bool
	sentAt     Time   // when that was sent
	lostBefore uint64 // C.lost before this ACK
}

// departure is the state of the connection when text was sent: the P of the draft. What is sent at
// one instant has one; the last of it counts.
type departure struct {
	at, deliveredAt, firstSent Time
	delivered, lost            uint64
	inflight                   uint32
	limited                    bool
}

// keepDepartures is from how many departures on those nobody asks for any more are looked for, and
// four times that is how many a board that is kept has room for.
const keepDepartures = 256

// departed notes that n octets have been sent, for the first time or again.
func (c *Conn) departed(now Time, n uint32) {
	if m := c.cc.model; m != nil {
		m.stamp(c, now, n)
	}
	if p := c.cc.pacer; p != nil {
		p.spend(c, now, n)
	}
}

// stamp is OnPacketSent.
func (m *model) stamp(c *Conn, now Time, n uint32) {
	after := c.flight()
	before := after - min(n, after)
	c.setCwnd(m.control.Transmit(now, c.window(), before, m.limited != 0))
	if before == 0 {
		m.firstSent, m.deliveredAt = now, now
	}
	if after+c.mss() > c.cc.cwnd {
		m.full, m.fullEnd = true, c.snd.nxt
	}
	d := departure{now, m.deliveredAt, m.firstSent, m.delivered, m.lost, after, m.limited != 0}
	c.board.depart(d)
}

// depart keeps d, behind those before.
func (b *board) depart(d departure) {
	if last := len(b.departures) - 1; last >= 0 && b.departures[last].at == d.at {
		b.departures[last] = d
		return
	}
	if n := len(b.departures); n >= keepDepartures && n == cap(b.departures) {
		b.pruneDepartures()
	}
	b.departures = append(b.departures, d)
}

// pruneDepartures forgets those of what is not outstanding any more.
func (b *board) pruneDepartures() {
	oldest := Never
	for _, r := range b.list() {
		if r.what&runSacked == 0 {
			oldest = min(oldest, r.at)
		}
	}
	list := b.departures
	from := sort.Search(len(list), func(i int) bool { return list[i].at >= oldest })
	b.departures = list[:copy(list, list[from:])]
}

// departure returns the state in which what was sent at at has been sent, or nil.
func (b *board) departure(at Time) *departure {
	list := b.departures
	i := sort.Search(len(list), func(i int) bool { return list[i].at >= at })
	if i == len(list) || list[i].at != at {
		return nil
	}
	return &list[i]
}

// beginSample is InitRateSample, before an ACK is processed.
func (m *model) beginSample(c *Conn) {
	m.checkLimited(c)
	m.valid, m.lostBefore = false, m.lost
}

// deliver is UpdateRateSample, for a run that is reported or acknowledged for the first time.
func (m *model) deliver(now Time, b *board, r *run) {
	m.delivered += uint64(r.len())
	m.deliveredAt = now
	d := b.departure(r.at)
	if d == nil || m.valid && (r.at < m.sentAt || r.at == m.sentAt && r.end.Less(m.lastEnd)) {
		return
	}
	m.valid, m.newest, m.sentAt, m.lastEnd = true, *d, r.at, r.end
}

// sampleRate is GenerateRateSample. wasOpen says whether the connection was outside of recovery
// before this ACK.
func (c *Conn) sampleRate(now Time, e *ackEffect, wasOpen bool) {
	m := c.cc.model
	if m.limited != 0 && m.delivered > m.limited {
		m.limited = 0
	}
	if m.full && m.fullEnd.Less(c.snd.una) {
		m.full = false
	}
	s := RateSample{
		Delivered: m.delivered, Lost: m.lost, Inflight: c.flight(),
		Acked: e.delivered, NewLost: uint32(m.lost - m.lostBefore), Marked: c.takeUntold(), RTT: c.board.rack.fresh,
		CwndLimited: m.full, SACK: c.opt.sack, Recovering: c.cc.phase != PhaseOpen, Recovered: !wasOpen && c.cc.phase == PhaseOpen,
	}
	if m.valid {
		p := &m.newest
		m.firstSent = m.sentAt
		s.Valid, s.Limited, s.TxInFlight = true, p.limited, p.inflight
		s.Prior, s.SoFar, s.LostSince = p.delivered, m.delivered-p.delivered, m.lost-p.lost
		interval := max(m.sentAt.Sub(p.firstSent), m.deliveredAt.Sub(p.deliveredAt))
		if interval >= max(c.leastRTT(), 1) {
			s.Rate = s.SoFar * uint64(time.Second) / uint64(interval)
		}
	}
	cwnd, limited := m.control.Sample(now, c.window(), s)
	c.setCwnd(cwnd)
	if limited {
		m.markLimited(c)
	}
}

func (c *Conn) setCwnd(cwnd uint32) { c.cc.cwnd = min(max(cwnd, c.mss()), maxReceive) }

// lose deems run i lost.
func (c *Conn) lose(now Time, i int) {
	r := c.board.list()[i]
	before := c.board.lost
	c.board.lose(i)
	m := c.cc.model
	if m == nil || c.board.lost == before || c.isMTUProbe(&r) {
		return
	}
	m.lost += uint64(r.len())
	l := LostText{First: r.start, Len: r.len(), LostSince: uint64(r.len()), Delivered: m.delivered}
	if d := c.board.departure(r.at); d != nil {
		l.TxInFlight, l.LostSince, l.Limited = d.inflight, m.lost-d.lost, d.limited
	}
	m.control.Lost(now, c.window(), l)
}

// checkLimited is CheckIfApplicationLimited: before the user's text is queued, before an ACK or a
// timeout is processed.
func (m *model) checkLimited(c *Conn) {
	if c.unsent() == 0 && c.flight() < c.cc.cwnd && (c.board == nil || c.board.lost == 0) {
		m.markLimited(c)
	}
}

// markLimited is MarkConnectionAppLimited.
func (m *model) markLimited(c *Conn) { m.limited = max(m.delivered+uint64(c.flight()), 1) }

func (c *Conn) checkLimited() {
	if m := c.cc.model; m != nil {
		m.checkLimited(c)
	}
}

// recoveryWindow makes cwnd what a recovery lets go, but not where a PathModel says what goes.
func (c *Conn) recoveryWindow(cwnd uint32) {
	if c.cc.model == nil {
		c.cc.cwnd = cwnd
	}
}
