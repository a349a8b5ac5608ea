package sim

import (
	"fmt"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/tcp"
)

// recent keeps the last events between two hosts, for a ladder when something goes wrong.
type recent struct {
	lines    int
	from, to *Host
	ring     []Event
	next     int          // in ring, once it is full
	states   [2]tcp.State // before the first event of the ring
}

func (r *recent) add(e *Event) {
	if e.Host != r.from && e.Host != r.to && e.Kind != Lost || e.Kind == Call {
		return
	}
	if len(r.ring) < 2*r.lines { // a line is a departure and an arrival
		r.ring = append(r.ring, *e)
		return
	}
	if old := &r.ring[r.next]; old.Kind == State {
		r.states[r.peer(old.Host)] = old.To
	}
	r.ring[r.next] = *e
	r.next = (r.next + 1) % len(r.ring)
}

func (r *recent) peer(h *Host) ladder.Peer {
	if h == r.from {
		return ladder.A
	}
	return ladder.B
}

// ladder prints what is kept.
func (r *recent) ladder() string {
	if len(r.ring) == 0 {
		return ""
	}
	rec := ladder.NewRecorder(r.states[0], r.states[1])
	rec.Peers = [2]string{r.from.Name, r.to.Name}
	names := map[*Packet]ladder.ID{}
	for i := range r.ring {
		e := &r.ring[(r.next+i)%len(r.ring)]
		p, t := r.peer(e.Host), tcp.Time(e.Time.Sub(Start))
		switch e.Kind {
		case Note:
			rec.Note(t, p, e.Text)
		case State:
			rec.State(t, p, e.To, e.Rule)
		case Depart:
			names[e.Packet] = rec.Depart(t, p, &e.Packet.Segment)
		case Arrive:
			id, ok := names[e.Packet]
			if !ok { // it departed before, or comes from a router
				id = rec.Stray(p.Other(), &e.Packet.Segment)
			}
			rec.Arrive(t, id)
			if e.Packet.Fate.Damaged {
				rec.Note(t, p, "damaged on its way")
			}
		case Lost:
			if id, ok := names[e.Packet]; ok {
				rec.Lost(t, id)
				rec.Note(t, r.peer(e.Packet.From), e.Loss.String())
			}
		case Drop, Retransmit:
			rec.Rule(t, p, e.Rule)
		case Timeout:
			rec.Note(t, p, e.Rule.Sentence())
		case PathMTU:
			rec.Note(t, p, fmt.Sprintf("path MTU, %d octets: %s", e.Len, e.Rule.Sentence()))
		case Crash:
			rec.Note(t, p, "crash")
		case Call:
		}
	}
	l := rec.Ladder()
	l.Sentence = fmt.Sprintf("Times count from %v after the start.", r.ring[r.next%len(r.ring)].Time.Sub(Start))
	return l.Print(ladder.PrintOptions{Times: ladder.TimesAbsolute, Round: time.Microsecond, Why: ladder.WhysClause})
}
