package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// What is kept for the report of a test that fails.
const (
	maxStories  = 256      // connections
	maxFirst    = 40       // events of each, the first
	maxEvents   = 120      // and the last
	maxCaptured = 16 << 20 // octets of packets, the last
)

// record is what has happened, the last of it. All of it is under the Net's lock.
type record struct {
	net      *Net
	stories  []*story
	byFlow   map[wire.Flow]*story
	packets  []*Packet
	octets   int
	departed int
	lostAny  int
}

// story is what has happened to one connection.
type story struct {
	flow    wire.Flow // as A sees it
	ends    [2]*node  // A has dialed
	first   []event
	missing int          // events between first and ring
	states  [2]tcp.State // after them
	ring    []event
	next    int // in ring, once it is full
	trouble int // what was lost, ran out, or was not used
	last    tcp.Time
}

type eventKind uint8

const (
	eventState eventKind = iota
	eventDepart
	eventArrive
	eventLost
	eventRule
	eventNote
)

type event struct {
	at     tcp.Time
	kind   eventKind
	end    ladder.Peer
	packet *Packet
	state  tcp.State
	rule   tcp.Rule
	text   string
}

func (r *record) init(n *Net) {
	r.net = n
	r.byFlow = map[wire.Flow]*story{}
}

// story returns that of a flow as one of its ends sees it, which is made where a SYN begins it.
func (r *record) story(x *node, flow wire.Flow, begins bool) *story {
	if s := r.byFlow[flow]; s != nil {
		return s
	}
	peer := r.net.at(flow.Remote.Netip())
	if !begins || peer == nil {
		return nil
	}
	if len(r.stories) >= maxStories {
		oldest := slices.MinFunc(r.stories, func(a, b *story) int { return int(min(max(a.last-b.last, -1), 1)) })
		r.stories = slices.DeleteFunc(r.stories, func(s *story) bool { return s == oldest })
		delete(r.byFlow, oldest.flow)
		delete(r.byFlow, oldest.flow.Reverse())
	}
	s := &story{flow: flow, ends: [2]*node{x, peer}, last: r.net.now()}
	r.stories = append(r.stories, s)
	r.byFlow[flow], r.byFlow[flow.Reverse()] = s, s
	return s
}

func (s *story) peer(flow wire.Flow) ladder.Peer {
	if flow == s.flow {
		return ladder.A
	}
	return ladder.B
}

func (s *story) add(e event) {
	s.last = e.at
	if len(s.first) < maxFirst {
		s.first = append(s.first, e)
		return
	}
	if len(s.ring) < maxEvents {
		s.ring = append(s.ring, e)
		return
	}
	if old := &s.ring[s.next]; old.kind == eventState {
		s.states[old.end] = old.state
	}
	s.missing++
	s.ring[s.next] = e
	s.next = (s.next + 1) % maxEvents
}

// depart keeps a packet that has left its sender.
func (r *record) depart(p *Packet) {
	r.departed++
	r.packets = append(r.packets, p)
	for r.octets += len(p.Bytes); r.octets > maxCaptured; r.packets = r.packets[1:] {
		r.octets -= len(r.packets[0].Bytes)
		r.packets[0] = nil
	}
	if !p.IsTCP {
		return
	}
	begins := p.Segment.Flags&(wire.SYN|wire.ACK) == wire.SYN
	if p.story = r.story(p.from, p.Flow, begins); p.story != nil {
		p.story.add(event{at: p.at, kind: eventDepart, end: p.story.peer(p.Flow), packet: p})
	}
}

// arrive notes that a packet is where its link leads to.
func (r *record) arrive(p *Packet) {
	if p.story != nil {
		p.story.add(event{at: r.net.now(), kind: eventArrive, end: p.story.peer(p.Flow).Other(), packet: p})
	}
}

// lost notes that a packet does not arrive.
func (r *record) lost(at tcp.Time, p *Packet) {
	r.lostAny++
	if p.story != nil {
		p.story.trouble++
		p.story.add(event{at: max(at, p.story.last), kind: eventLost, end: p.story.peer(p.Flow), packet: p})
	}
}

// note notes what befalls a host, for all its connections.
func (r *record) note(x *node, text string) {
	now := r.net.now()
	for _, s := range r.stories {
		for i, end := range s.ends {
			if end == x {
				s.add(event{at: now, kind: eventNote, end: ladder.Peer(i), text: x.name + ": " + text})
			}
		}
	}
}

// crash notes that a host has lost its memory: it has no connections any more.
func (r *record) crash(x *node) {
	r.note(x, "crash")
	now := r.net.now()
	for _, s := range r.stories {
		for i, end := range s.ends {
			if end == x {
				s.add(event{at: now, kind: eventState, end: ladder.Peer(i), state: tcp.Closed})
			}
		}
	}
}

// became notes a change of state. It is called under the lock of a host.
func (n *Net) became(x *node, flow wire.Flow, to tcp.State, rule tcp.Rule) {
	n.lock()
	defer n.mu.Unlock()
	if x.down { // it has no states any more
		return
	}
	if to == tcp.Closed {
		delete(x.states, flow)
		delete(x.sent, flow)
	} else {
		x.states[flow] = to
	}
	if s := n.record.story(x, flow, to == tcp.SynSent); s != nil {
		s.add(event{at: n.now(), kind: eventState, end: s.peer(flow), state: to, rule: rule})
	}
}

// ruled notes that a segment that arrived was not used.
func (n *Net) ruled(x *node, flow wire.Flow, rule tcp.Rule) {
	n.lock()
	defer n.mu.Unlock()
	if s := n.record.story(x, flow, false); s != nil {
		s.add(event{at: n.now(), kind: eventRule, end: s.peer(flow), rule: rule})
	}
}

// timedOut notes that a timer has run out.
func (n *Net) timedOut(x *node, flow wire.Flow, rule tcp.Rule) {
	n.lock()
	defer n.mu.Unlock()
	if s := n.record.story(x, flow, false); s != nil {
		s.trouble++
		s.add(event{at: n.now(), kind: eventNote, end: s.peer(flow), text: rule.Sentence()})
	}
}

// Ladder returns what has happened on the connections between two hosts, the last of it, in the
// notation of RFC 9293: see package ladder. The report of a test that fails says more of each segment, and
// why each state changes.
func (n *Net) Ladder(a, b string) string {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	x, y := n.named(a), n.named(b)
	var out strings.Builder
	for _, s := range n.record.stories {
		if s.ends == [2]*node{x, y} || s.ends == [2]*node{y, x} {
			out.WriteString(s.ladder(ladder.PrintOptions{Times: ladder.TimesAbsolute, Round: time.Millisecond, Brief: true}))
		}
	}
	return out.String()
}

// teller makes a ladder of events.
type teller struct {
	*ladder.Recorder
	ids map[*Packet]ladder.ID
}

// ladder prints the story.
func (s *story) ladder(o ladder.PrintOptions) string {
	t := teller{ladder.NewRecorder(tcp.Closed, tcp.Closed), map[*Packet]ladder.ID{}}
	t.Peers = [2]string{s.ends[0].name, s.ends[1].name}
	for i := range s.first {
		t.tell(&s.first[i])
	}
	if s.missing > 0 {
		at := s.ring[s.next].at - 1
		t.Note(at, ladder.A, fmt.Sprintf("%d events are left out", s.missing))
		for end, state := range s.states {
			if state != tcp.Closed {
				t.State(at, ladder.Peer(end), state, 0)
			}
		}
	}
	for i := range s.ring {
		t.tell(&s.ring[(s.next+i)%len(s.ring)])
	}
	l := t.Ladder()
	l.Title = fmt.Sprintf("%v to %v", s.flow.LocalAddrPort(), s.flow.RemoteAddrPort())
	return l.Print(o)
}

// tell adds an event.
func (t *teller) tell(e *event) {
	at := e.at - 1
	switch e.kind {
	case eventState:
		t.State(at, e.end, e.state, e.rule)
	case eventDepart:
		t.ids[e.packet] = t.Depart(at, e.end, &e.packet.Segment)
	case eventArrive:
		id, ok := t.ids[e.packet]
		if !ok { // it departed before the record
			id = t.Stray(e.end.Other(), &e.packet.Segment)
		}
		t.Arrive(at, id)
		if len(e.packet.why) > 0 {
			t.Note(at, e.end, strings.Join(e.packet.why, "; "))
		}
	case eventLost:
		if id, ok := t.ids[e.packet]; ok {
			t.Lost(at, id)
			t.Note(at, e.end, strings.Join(e.packet.why, "; "))
		}
	case eventRule:
		t.Rule(at, e.end, e.rule)
	case eventNote:
		t.Note(at, e.end, e.text)
	}
}
