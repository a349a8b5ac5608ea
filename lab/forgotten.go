package lab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// What becomes of connections whose stories have been forgotten, because there are too many to keep all.

func (r *record) forget(s *story) {
	r.stories = slices.DeleteFunc(r.stories, func(x *story) bool { return x == s })
	for _, flow := range s.also {
		for _, f := range []wire.Flow{flow, flow.Reverse()} {
			if r.byFlow[f].story == s { // a port may be in use again
				delete(r.byFlow, f)
			}
		}
	}
	s.forgotten = true
	if !s.resumed {
		r.forgotten++
	}
}

// again returns the story of a connection that has trouble, as one of its ends sees the flow. If it has been
// forgotten, another begins at an instant, with the states that the ends are in. Its A is the end that has the
// trouble: who has dialed is forgotten too. Nil: there is no such connection.
func (r *record) again(at tcp.Time, x *node, flow wire.Flow) (*story, ladder.Peer) {
	s, end := r.story(x, flow, false)
	if s != nil || x.states[flow] == tcp.Closed {
		return s, end
	}
	if s, end = r.story(x, flow, true); s == nil {
		return nil, end
	}
	s.resumed, s.began[end] = true, x.states[flow]
	if peer, there := r.net.follow(x, flow, wire.ProtoTCP); peer != nil {
		s.began[end.Other()] = peer.states[there.Reverse()]
		r.alias(s, end, there)
	}
	for i := range s.first { // the partitions that there are
		s.first[i].at = at
	}
	s.add(event{at: at, kind: eventNote, end: end, text: "what was before has been forgotten"})
	return s, end
}

// recall sees to it that a packet that is lost has a story, if its connection is still there.
func (r *record) recall(p *Packet) {
	q := p.first()
	if !q.IsTCP || !q.own || p.story != nil && !p.story.forgotten {
		return
	}
	s, end := r.again(q.at, q.from, q.Flow)
	if s == nil {
		return
	}
	r.alias(s, end, p.Flow)
	p.story, p.end, q.story, q.end = s, end, s, end
	if s.last <= q.at { // it has just begun: of one that has gone on, the packet is left out
		s.add(q.event(q.at, eventDepart, end))
	}
}

// fails sees to it that a connection has a story that ends otherwise than in order.
func (r *record) fails(x *node, flow wire.Flow) {
	switch from := x.states[flow]; {
	case r.net.closed, from == tcp.TimeWait, from == tcp.LastAck:
	default:
		r.again(r.net.now(), x, flow)
	}
}

// omitted says how many connections have been forgotten.
func (r *record) omitted(b *strings.Builder) {
	if r.forgotten > 0 {
		fmt.Fprintf(b, "%d connections have been forgotten: the ladders of %d are kept, and of what has had trouble later, the rest\n", r.forgotten, maxStories)
	}
}
