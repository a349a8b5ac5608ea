package lab

import (
	"cmp"
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
	maxCaptured = 16 << 20 // octets of packets, the last, and of what is known of them
	perPacket   = 600      // octets of that
)

// record is what has happened, the last of it. All of it is under the Net's lock.
type record struct {
	net      *Net
	stories  []*story
	byFlow   map[wire.Flow]side
	packets  []*Packet
	octets   int
	departed int
	lostAny  int

	forgotten int // connections
}

// story is what has happened to one connection.
type story struct {
	flow    wire.Flow   // as A sees it
	also    []wire.Flow // what NATs have made of it
	ends    [2]*node    // A has dialed
	via     []*node     // routers and NATs between them
	first   []event
	missing int          // events between first and ring
	states  [2]tcp.State // after them
	ring    []event
	next    int // in ring, once it is full
	trouble int // what was lost, ran out, or was not used
	last    tcp.Time

	began     [2]tcp.State // before the first event
	forgotten bool
	resumed   bool // what was before has been forgotten
}

// side is one end of a story.
type side struct {
	story *story
	end   ladder.Peer
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
	at    tcp.Time
	kind  eventKind
	end   ladder.Peer
	id    uint64 // of the packet, as it left who made it
	seg   wire.Segment
	state tcp.State
	rule  tcp.Rule
	text  string
}

func (r *record) init(n *Net) {
	r.net = n
	r.byFlow = map[wire.Flow]side{}
}

// story returns that of a flow as one of its ends sees it, which is made where a SYN begins it.
func (r *record) story(x *node, flow wire.Flow, begins bool) (*story, ladder.Peer) {
	if s := r.byFlow[flow]; s.story != nil {
		return s.story, s.end
	}
	peer, _ := r.net.follow(x, flow, wire.ProtoTCP)
	if peer == nil {
		peer = r.net.at(flow.Remote.Netip())
	}
	if !begins || peer == nil {
		return nil, ladder.A
	}
	if len(r.stories) >= maxStories {
		r.forget(slices.MinFunc(r.stories, dullest))
	}
	s := &story{flow: flow, ends: [2]*node{x, peer}, last: r.net.now()}
	r.stories = append(r.stories, s)
	r.alias(s, ladder.A, flow)
	for _, c := range r.net.cuts {
		c.told(s)
	}
	return s, ladder.A
}

// alias says that an end of a story sees a flow; a NAT makes that another.
func (r *record) alias(s *story, end ladder.Peer, flow wire.Flow) {
	if end == ladder.B {
		flow = flow.Reverse()
	}
	if r.byFlow[flow].story == s {
		return
	}
	s.also = append(s.also, flow)
	r.byFlow[flow], r.byFlow[flow.Reverse()] = side{s, ladder.A}, side{s, ladder.B}
}

// dullest orders stories by what is missed least: one without trouble first, and of these the one that has
// moved last at last.
func dullest(a, b *story) int {
	return cmp.Or(cmp.Compare(min(a.trouble, 1), min(b.trouble, 1)), cmp.Compare(a.last, b.last))
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

// sent notes that a packet is sent, by who has made it or who passes it on.
func (r *record) sent(p *Packet) {
	switch {
	case !p.IsTCP:
	case p.origin != nil:
		if p.story, p.end = p.origin.story, p.origin.end; p.story != nil {
			r.alias(p.story, p.end, p.Flow)
			if !slices.Contains(p.story.via, p.from) {
				p.story.via = append(p.story.via, p.from)
			}
		}
	case p.from.passes() && !p.own && !p.forged:
	default:
		begins := p.Segment.Flags&(wire.SYN|wire.ACK) == wire.SYN
		if p.story, p.end = r.story(p.from, p.Flow, begins); p.story != nil {
			p.story.add(p.event(p.at, eventDepart, p.end))
		}
	}
}

// depart keeps a packet that has left its sender.
func (r *record) depart(p *Packet) {
	r.departed++
	r.packets = append(r.packets, p)
	for r.octets += len(p.Bytes) + perPacket; r.octets > maxCaptured; r.packets = r.packets[1:] {
		r.octets -= len(r.packets[0].Bytes) + perPacket
		r.packets[0] = nil
	}
}

// arrive notes that a packet is where its last link leads to.
func (r *record) arrive(p *Packet) {
	if p.story != nil && p.isFor(p.to) {
		p.story.add(p.event(r.net.now(), eventArrive, p.end.Other()))
	}
}

// lost notes that a packet does not arrive.
func (r *record) lost(at tcp.Time, p *Packet) {
	r.lostAny++
	r.recall(p)
	if p.story != nil {
		p.story.trouble++
		p.story.add(p.event(max(at, p.story.last), eventLost, p.end))
	}
}

// note notes what befalls a host, a router or a NAT, for all connections that it has or passes on.
func (r *record) note(x *node, text string) {
	now := r.net.now()
	for _, s := range r.stories {
		if slices.Contains(s.via, x) {
			s.add(event{at: now, kind: eventNote, end: ladder.A, text: x.name + ": " + text})
		}
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
		n.record.fails(x, flow)
		delete(x.states, flow)
		delete(x.sent, flow)
	} else {
		x.states[flow] = to
	}
	if s, end := n.record.story(x, flow, to == tcp.SynSent); s != nil {
		s.add(event{at: n.now(), kind: eventState, end: end, state: to, rule: rule})
	}
}

// ruled notes that a segment that arrived was not used.
func (n *Net) ruled(x *node, flow wire.Flow, rule tcp.Rule) {
	n.lock()
	defer n.mu.Unlock()
	if s, end := n.record.story(x, flow, false); s != nil {
		s.add(event{at: n.now(), kind: eventRule, end: end, rule: rule})
	}
}

// timedOut notes that a timer has run out. The end of TIME-WAIT is no trouble, nor is a probe of an idle
// connection, unless the one before it was not answered.
func (n *Net) timedOut(x *node, flow wire.Flow, rule tcp.Rule) {
	n.lock()
	defer n.mu.Unlock()
	s, end := n.record.story(x, flow, false)
	trouble := rule != tcp.RuleTimeWaitTimeout && (rule != tcp.RuleKeepAlive || s != nil && s.probed(end))
	if s == nil && trouble {
		s, end = n.record.again(n.now(), x, flow)
	}
	if s == nil {
		return
	}
	if trouble {
		s.trouble++
	}
	s.add(event{at: n.now(), kind: eventNote, end: end, rule: rule, text: rule.Sentence()})
}

// probed reports whether an end has sent a probe, and nothing has come since.
func (s *story) probed(end ladder.Peer) bool {
	for i := len(s.first) + len(s.ring) - 1; i >= 0; i-- {
		if e := s.event(i); e.end == end && (e.kind == eventArrive || e.rule == tcp.RuleKeepAlive) {
			return e.kind != eventArrive
		}
	}
	return false
}

// event returns one of those that are kept, the first being 0.
func (s *story) event(i int) *event {
	if i < len(s.first) {
		return &s.first[i]
	}
	return &s.ring[(s.next+i-len(s.first))%len(s.ring)]
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
	ids map[uint64]ladder.ID
}

// ladder prints the story.
func (s *story) ladder(o ladder.PrintOptions) string {
	t := teller{ladder.NewRecorder(s.began[0], s.began[1]), map[uint64]ladder.ID{}}
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
		t.ids[e.id] = t.Depart(at, e.end, &e.seg)
	case eventArrive:
		id, ok := t.ids[e.id]
		if !ok { // its departure is left out
			id = t.Earlier(e.end.Other(), &e.seg)
			t.ids[e.id] = id
		}
		t.Arrive(at, id)
		if e.text != "" {
			t.Note(at, e.end, e.text)
		}
	case eventLost:
		if id, ok := t.ids[e.id]; ok {
			t.Lost(at, id)
			t.Note(at, e.end, e.text)
		}
	case eventRule:
		t.Rule(at, e.end, e.rule)
	case eventNote:
		t.Note(at, e.end, e.text)
	}
}
