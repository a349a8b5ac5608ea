package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Gap is a time in which the sender waits for the acknowledgment of what it has sent, and hears
// no news: no ACK that advances SND.UNA, and no SACK block that is not known.
type Gap struct {
	From, To tcp.Time
	// Lit is the part of it in which no link of the World is in a blackout: what is counted.
	Lit time.Duration
	// RTO is what the retransmission timeout is without backoff, by the tcp.Status of that time.
	RTO time.Duration
	// Cause is what explains its length; empty: nothing that is known does.
	Cause string
	// Open: it is not over.
	Open bool

	Timeouts int    // of the retransmission timer in it
	Resent   int    // segments sent again in it
	Lost     int    // of the first of them, how often it was lost
	LostAcks int    // ACKs lost in it
	Ladder   string // what led to it, when it has no cause
}

// String tells of the gap in a line.
func (g *Gap) String() string {
	cause := g.Cause
	if cause == "" {
		cause = "no cause is known"
	}
	over := ""
	if g.Open {
		over = " and not over"
	}
	return fmt.Sprintf("a gap of %v at %v%s, RTO %v: %s (%d timeouts, %d segments sent again, the first lost %d times, %d ACKs lost)",
		g.Lit, g.From.Sub(Start), over, g.RTO, cause, g.Timeouts, g.Resent, g.Lost, g.LostAcks)
}

// meter measures the sender of a Bulk by what passes its interface and by what its machine says.
type meter struct {
	bulk       *Bulk
	result     *BulkResult
	flow, back wire.Flow

	begun      bool
	una, max   seq.Num          // acknowledged, and sent, as seen on the interface
	sacked     []wire.SACKBlock // above una; none touches another
	closed     bool             // its window is 0
	recovering bool

	gap    Gap           // the present one; From 0: nothing is outstanding
	rto    time.Duration // of its first timeout, before that has doubled it
	window bool          // the window was closed in it
	probed bool          // a tail loss probe has gone in it
}

func newMeter(b *Bulk) meter {
	m := meter{bulk: b, result: &b.result}
	m.flow, m.back = b.flows()
	return m
}

func (m *meter) event(e *Event) {
	cfg := &m.bulk.cfg
	switch e.Kind {
	case Depart:
		if e.Host == cfg.From {
			m.departs(e)
		}
	case Arrive:
		switch {
		case e.Packet.Fate.Damaged: // its checksum is wrong: it is as good as lost
			m.lost(e.Packet)
		case e.Host == cfg.From:
			m.hears(e)
		}
	case Lost:
		m.lost(e.Packet)
	case Timeout:
		switch {
		case e.Host != cfg.From:
		case e.Rule == tcp.RuleRetransmitTimeout:
			m.timeout()
		case e.Rule == tcp.RuleTailLossProbe:
			m.probed = true
		}
	case Retransmit:
		if e.Host == cfg.From {
			m.result.Retransmits[e.Rule]++
			m.recovery()
		}
	case Call, Note, State, Drop, PathMTU, Crash:
	}
}

// recovery counts how often the machine begins to recover.
func (m *meter) recovery() {
	now := m.bulk.conn.Status().Recovering
	if now && !m.recovering {
		m.result.Recoveries++
	}
	m.recovering = now
}

func (m *meter) timeout() {
	m.result.Timeouts++
	m.gap.Timeouts++
	if m.gap.Timeouts == 1 {
		m.rto = m.bulk.conn.Status().RTO / 2
	}
	m.recovery()
}

// departs sees a segment of the sender leave.
func (m *meter) departs(e *Event) {
	seg := &e.Packet.Segment
	if seg.Flags.Has(wire.SYN) {
		m.una, m.max, m.begun = seg.Seq.Add(1), seg.Seq.Add(1), true
	}
	if m.recovering {
		m.recovery()
	}
	if seg.TextLen() == 0 || !m.begun {
		return
	}
	m.result.Segments++
	if seg.Seq.Less(m.max) {
		m.result.Resent++
		e.Packet.again = true
	}
	if m.gap.From == 0 {
		m.open(e.Time)
	}
	if e.Packet.again {
		m.gap.Resent++
	}
	m.max = seq.Max(m.max, seg.End())
}

// hears sees an ACK reach the sender, before its machine does.
func (m *meter) hears(e *Event) {
	seg := &e.Packet.Segment
	if !seg.Flags.Has(wire.ACK) || !m.begun {
		return
	}
	m.closed = seg.Wnd == 0
	m.window = m.window || m.closed
	news := m.una.Less(seg.Ack) && seg.Ack.LessEq(m.max)
	if news {
		m.una = seg.Ack
		m.sacked = slices.DeleteFunc(m.sacked, func(b wire.SACKBlock) bool { return b.Right.LessEq(m.una) })
	}
	for _, b := range seg.Options.Blocks() {
		news = m.sack(b) || news
	}
	if !news {
		return
	}
	m.close(e.Time, false)
	if m.una.Less(m.max) {
		m.open(e.Time)
	}
}

// sack takes a block in, and reports whether it says anything new.
func (m *meter) sack(b wire.SACKBlock) bool {
	known := func(k wire.SACKBlock) bool { return k.Left.LessEq(b.Left) && b.Right.LessEq(k.Right) }
	if !b.Left.Less(b.Right) || !m.una.Less(b.Left) || m.max.Less(b.Right) || slices.ContainsFunc(m.sacked, known) {
		return false
	}
	m.sacked = slices.DeleteFunc(m.sacked, func(k wire.SACKBlock) bool {
		if k.Right.Less(b.Left) || b.Right.Less(k.Left) {
			return false
		}
		b.Left, b.Right = seq.Min(b.Left, k.Left), seq.Max(b.Right, k.Right)
		return true
	})
	m.sacked = append(m.sacked, b)
	return true
}

// lost sees a packet of either direction that will not be used.
func (m *meter) lost(p *Packet) {
	switch {
	case p.Flow == m.back:
		m.gap.LostAcks++
	case !p.again && p.From == m.bulk.cfg.From: // it went for the first time; behind a router nobody knows
	case p.Segment.Seq.LessEq(m.una) && m.una.Less(p.Segment.End()):
		m.gap.Lost++
	}
}

// open begins a gap: the sender has something to wait for.
func (m *meter) open(now tcp.Time) {
	m.gap, m.rto, m.window, m.probed = Gap{From: now}, 0, m.closed, false
}

// close ends the gap, if there is one, and lists it if it is long.
func (m *meter) close(now tcp.Time, open bool) {
	g := m.gap
	m.gap = Gap{}
	if g.From == 0 || now.Sub(g.From) <= min(m.result.Longest.Lit, m.minRTO()) {
		return
	}
	g.To, g.Open = now, open
	dark := m.bulk.world.darkness(g.From, now)
	g.Lit = now.Sub(g.From) - dark
	if g.Lit > m.minRTO() {
		st := m.bulk.conn.Status()
		g.RTO = time.Second // RFC 6298 section 2.1
		if st.SRTT > 0 {
			g.RTO = st.SRTT + max(m.minRTO(), 4*st.RTTVar)
		}
		if g.Lit > 2*g.RTO {
			m.explain(&g, &st, dark > 0)
			m.result.Gaps = append(m.result.Gaps, g)
		}
	}
	if g.Lit > m.result.Longest.Lit {
		m.result.Longest = g
	}
}

func (m *meter) minRTO() time.Duration {
	if d := m.bulk.cfg.From.cfg.TCP.MinRTO; d > 0 {
		return d
	}
	return tcp.DefaultMinRTO
}

// explain finds the cause of a gap. A timeout doubles the RTO, and what it sends again may be
// lost, or the answer: so long, and no longer, the sender may wait.
func (m *meter) explain(g *Gap, st *tcp.Status, dark bool) {
	if m.window {
		g.Cause = "the window was closed"
		return
	}
	wait := max(g.RTO, m.rto)
	if g.Timeouts == 0 {
		wait = max(wait, st.RTO)
	}
	lost := min(g.Timeouts, g.Lost+g.LostAcks)
	allowed := g.RTO // for the answer
	if m.probed {
		allowed += g.RTO // RFC 8985 section 7.3: the RTO begins anew with a probe, which goes no later than it
	}
	for range lost + 1 {
		allowed += wait
		wait = min(2*wait, tcp.DefaultMaxRTO)
	}
	if g.To.Sub(g.From) > allowed {
		g.Ladder = m.bulk.recent.ladder()
		return
	}
	where := ""
	if dark {
		where = ", in a blackout among others"
	}
	switch {
	case lost == 0:
		g.Cause = "the RTO was longer at that time"
	case g.Lost == 0:
		g.Cause = "the ACKs of what was sent again were lost" + where
	default:
		g.Cause = "what was sent again after a timeout was lost too" + where
	}
}

// darkness returns for how long from one time to another any link was in a blackout.
func (w *World) darkness(from, to tcp.Time) (sum time.Duration) {
	type span struct{ from, to tcp.Time }
	var spans []span
	for _, l := range w.links {
		for i := range l.lanes {
			p := l.lanes[i].path
			for _, b := range p.cfg.Blackouts {
				at := p.start.Add(b.From)
				spans = append(spans, span{at, at.Add(b.For)})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if s.from, s.to = max(s.from, from), min(s.to, to); s.from < s.to {
			sum += s.to.Sub(s.from)
			from = s.to // what overlaps counts once
		}
	}
	return sum
}
