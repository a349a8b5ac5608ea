package ladder

import (
	"slices"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A deed is what one peer does at one instant for one cause: what the events around a departure, an
// arrival, or a change of state without either, come to.
type deed struct {
	kind   deedKind
	peer   Peer
	t      tcp.Time
	calls  []event // calls and notes that lead to it, in order
	why    []Why
	states []tcp.State // that the peer went through
	id     ID          // of the segment
	lost   bool        // departs and never arrives
	again  bool        // arrives, and has arrived before
	meet   int         // of a departure: the deed of its first arrival; of that arrival: its departure; else -1
}

type deedKind uint8

const (
	bare deedKind = iota
	departs
	arrives
)

// deeds gathers the events: at one instant a peer's calls and states belong to the departure that
// they precede, states and rules also to the arrival that they follow.
func (r *Recorder) deeds() []*deed {
	var all []*deed
	var open [2]*deed
	fresh := func(k deedKind, e event) *deed {
		d := &deed{kind: k, peer: e.peer, t: e.t, id: e.id, meet: -1}
		all = append(all, d)
		open[e.peer] = d
		return d
	}
	lost := map[ID]bool{}
	for _, e := range r.events {
		d := open[e.peer]
		if d != nil && d.t != e.t {
			d = nil
		}
		switch e.kind {
		case evCall, evNote:
			if d == nil || d.kind != bare || len(d.states) > 0 || len(d.why) > 0 {
				d = fresh(bare, e)
			}
			d.calls = append(d.calls, e)
		case evState, evRule:
			w, reason := whyOf(e.peer, e.rule)
			if !reason && e.kind == evRule {
				continue
			}
			if d == nil {
				d = fresh(bare, e)
			}
			if reason {
				d.why = append(d.why, w)
			}
			if e.kind == evState {
				d.states = append(d.states, e.state)
			}
		case evDepart:
			if d == nil || d.kind != bare {
				d = fresh(departs, e)
			}
			d.kind, d.id = departs, e.id
			open[e.peer] = nil
		case evArrive:
			fresh(arrives, e)
		case evLost:
			lost[e.id] = true
		}
	}
	meetings(all, lost)
	return all
}

// meetings joins each departure to its first arrival.
func meetings(all []*deed, lost map[ID]bool) {
	departed, arrived := map[ID]int{}, map[ID]bool{}
	for i, d := range all {
		switch d.kind {
		case bare:
		case departs:
			departed[d.id] = i
			d.lost = lost[d.id]
		case arrives:
			if d.again = arrived[d.id]; d.again {
				continue
			}
			arrived[d.id] = true
			if k, ok := departed[d.id]; ok {
				all[k].meet, d.meet, all[k].lost = i, k, false
			}
		}
	}
}

// Ladder returns the record in the RFC's convention. A segment that departs and arrives with
// nothing between stands on one line; segments that cross stand on two, with ellipses. "Between"
// is as the peers can know it, as in figures 7 and 13: of two events at different peers, neither of which can have
// influenced the other, the ladder may show either first. A line's time is that of its departure, if it has one;
// its states are those after the line.
func (r *Recorder) Ladder() *Ladder { return r.arrange(false) }

// Split returns the record with a line for each departure and each arrival, strictly in the order
// of time, both states on every line.
func (r *Recorder) Split() *Ladder { return r.arrange(true) }

func (r *Recorder) arrange(split bool) *Ladder {
	w := &arranger{r: r, all: r.deeds(), now: r.start,
		l: &Ladder{Title: r.Title, Sentence: r.Sentence, Clause: r.Clause, Peers: r.Peers}}
	w.placed = make([]bool, len(w.all))
	if len(w.all) == 0 || w.all[0].kind != bare || len(w.all[0].states) == 0 {
		w.line(Line{}, true)
		w.states(&w.l.Lines[0])
	}
	for i, d := range w.all {
		if w.placed[i] {
			continue
		}
		w.placed[i] = true
		switch {
		case d.kind == bare:
			w.bare(i)
		case d.kind == departs && !split && w.together(i):
			w.placed[d.meet] = true
			w.segment(d, w.all[d.meet])
		default:
			w.segment(d, nil)
		}
	}
	return w.l
}

type arranger struct {
	r      *Recorder
	all    []*deed
	placed []bool
	now    [2]tcp.State
	l      *Ladder
	n      int // the last line's number
}

// line appends a line, numbered if it is the first of its step.
func (w *arranger) line(l Line, first bool) {
	if first {
		w.n++
		l.Number = w.n
	} else {
		l.Timed, l.Time = false, 0
	}
	w.l.Lines = append(w.l.Lines, l)
}

func (w *arranger) states(l *Line) {
	for p := range l.Ends {
		l.Ends[p].State, l.Ends[p].Known = w.now[p], true
	}
}

func (w *arranger) timed(d *deed) Line {
	return Line{Timed: true, Time: d.t.Sub(w.r.origin)}
}

// together reports whether departure i and its arrival may share a line: nothing of the receiver
// stands between, and nothing of the sender that it would not have done, had it known of
// the arrival (a timeout, a retransmission).
func (w *arranger) together(i int) bool {
	d := w.all[i]
	if d.meet < 0 {
		return false
	}
	s := &w.r.sent[d.id].seg
	for k := i + 1; k < d.meet; k++ {
		e := w.all[k]
		switch {
		case w.placed[k]:
		case e.peer != d.peer:
			return false
		case slices.ContainsFunc(e.calls, func(c event) bool { return c.kind == evNote }):
			return false
		case e.kind == departs && repeats(&w.r.sent[e.id].seg, s):
			return false
		}
	}
	return true
}

// repeats reports whether s sends again what of has sent. A SYN,ACK after a SYN (Figure 7) does
// not: it answers an arrival.
func repeats(s, of *Segment) bool {
	return s.Ctl|wire.PSH == of.Ctl|wire.PSH && size(s) > 0 && size(of) > 0 && s.Seq.N.Less(of.Seq.N.Add(size(of)))
}

// size is SEG.LEN.
func size(s *Segment) uint32 {
	n := s.Len
	if s.Ctl.Has(wire.SYN) {
		n++
	}
	if s.Ctl.Has(wire.FIN) {
		n++
	}
	return n
}

// calls writes the rows of calls and notes that lead to deeds of one or both peers; it reports
// whether there were any.
func (w *arranger) calls(ds ...*deed) bool {
	rows := 0
	for _, d := range ds {
		rows = max(rows, len(d.calls))
	}
	for k := range rows {
		l := w.timed(ds[0])
		for _, d := range ds {
			if k < len(d.calls) {
				l.Ends[d.peer].Note = d.calls[k].text
			}
		}
		w.line(l, k == 0)
	}
	return rows > 0
}

// bare writes a step without a segment; two that fall together at both peers share it.
func (w *arranger) bare(i int) {
	ds := []*deed{w.all[i]}
	if i+1 < len(w.all) && !w.placed[i+1] {
		d, e := w.all[i], w.all[i+1]
		if e.kind == bare && e.peer != d.peer && e.t == d.t && len(e.calls) == len(d.calls) && len(e.states) == len(d.states) {
			w.placed[i+1] = true
			ds = append(ds, e)
		}
	}
	called := w.calls(ds...)
	l := w.timed(ds[0])
	more := false
	for _, d := range ds {
		w.after(d, &l)
		more = more || len(d.states) > 0 || len(d.why) > 0
	}
	if more {
		w.states(&l)
		w.line(l, !called)
	}
}

// after makes the states those after d, and gives its reasons to the line.
func (w *arranger) after(d *deed, l *Line) {
	if n := len(d.states); n > 0 {
		w.now[d.peer] = d.states[n-1]
	}
	l.Why = append(l.Why, d.why...)
}

// segment writes a departure, an arrival, or (meet) a departure with its arrival.
func (w *arranger) segment(d, meet *deed) {
	called := w.calls(d)
	l := w.timed(d)
	s := &w.r.sent[d.id]
	seg := s.seg
	l.Segment, l.From = &seg, s.from
	w.after(d, &l)
	if meet != nil {
		w.after(meet, &l)
	}
	w.states(&l)
	switch {
	case d.kind == arrives:
		l.Fate = Arrived
		if s.stray || d.again {
			l.Ends[s.from] = End{Note: "duplicate"} // as Figure 8 line 3
		}
	case meet != nil:
		l.Fate = Delivered
	case d.lost:
		l.Fate = Lost
		l.Ends[s.from.Other()] = End{}
	default:
		l.Fate = Delayed
	}
	w.line(l, !called)
}
