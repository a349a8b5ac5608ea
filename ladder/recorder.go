package ladder

import (
	"slices"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// ID names a segment of one [Recorder].
type ID int

// Recorder gathers what happens between two peers, in the order and at the times at which it is
// reported, and makes a [Ladder] or a picture of it. Times must not decrease. At one instant, what
// leads to a departure (a call, a change of state) is reported before it, and what an arrival
// leads to after it: the order in which an event is processed.
//
// It keeps every event and no segment's text. One goroutine at a time may use it.
type Recorder struct {
	Title    string // of the ladder and the picture
	Sentence string // what happens
	Clause   string // where it is written
	Peers    [2]string

	start  [2]tcp.State
	origin tcp.Time // of the time column: the first event's
	events []event
	sent   []sent // by ID
}

// sent is one segment of the record.
type sent struct {
	seg   Segment
	from  Peer
	stray bool // nobody here sent it
}

type eventKind uint8

const (
	evDepart eventKind = iota
	evArrive
	evLost
	evCall
	evNote
	evState
	evRule
)

type event struct {
	kind  eventKind
	peer  Peer
	t     tcp.Time
	id    ID
	text  string
	state tcp.State
	rule  tcp.Rule
}

// NewRecorder returns an empty record of two peers in the given states.
func NewRecorder(a, b tcp.State) *Recorder {
	return &Recorder{Peers: defaultPeers, start: [2]tcp.State{a, b}}
}

func (r *Recorder) add(e event) {
	if len(r.events) == 0 && r.origin == 0 {
		r.origin = e.t
	}
	r.events = append(r.events, e)
}

// Depart records that from sends seg, and returns the segment's name in this record. The segment
// is copied as far as the notation shows it.
func (r *Recorder) Depart(t tcp.Time, from Peer, seg *wire.Segment) ID {
	id := ID(len(r.sent))
	r.sent = append(r.sent, sent{seg: SegmentOf(seg), from: from})
	r.add(event{kind: evDepart, peer: from, t: t, id: id})
	return id
}

// Stray returns a name for a segment which the network delivers though from has not sent it now: an
// old duplicate, or one made up by somebody else.
func (r *Recorder) Stray(from Peer, seg *wire.Segment) ID {
	r.sent = append(r.sent, sent{seg: SegmentOf(seg), from: from, stray: true})
	return ID(len(r.sent) - 1)
}

// Earlier returns a name for a segment that from has sent before this record began, or in a part of it
// that is left out.
func (r *Recorder) Earlier(from Peer, seg *wire.Segment) ID {
	r.sent = append(r.sent, sent{seg: SegmentOf(seg), from: from})
	return ID(len(r.sent) - 1)
}

// Arrive records that a segment reaches the other peer. A second time, the network has doubled it.
// An id that this record did not give is a mistake of the caller, and panics.
func (r *Recorder) Arrive(t tcp.Time, id ID) {
	r.add(event{kind: evArrive, peer: r.sent[id].from.Other(), t: t, id: id})
}

// Lost records that the network drops a segment. It has no effect on one that arrives all the same.
func (r *Recorder) Lost(t tcp.Time, id ID) {
	r.add(event{kind: evLost, peer: r.sent[id].from, t: t, id: id})
}

// Call records what a user asks of its peer: "connect", "close".
func (r *Recorder) Call(t tcp.Time, p Peer, text string) {
	r.add(event{kind: evCall, peer: p, t: t, text: text})
}

// Note records anything else that befalls a peer: "2 MSL", "retransmission timeout", "REBOOT".
func (r *Recorder) Note(t tcp.Time, p Peer, text string) {
	r.add(event{kind: evNote, peer: p, t: t, text: text})
}

// State records that p is now in state s, by rule (0: no rule is known).
func (r *Recorder) State(t tcp.Time, p Peer, s tcp.State, rule tcp.Rule) {
	r.add(event{kind: evState, peer: p, t: t, state: s, rule: rule})
}

// Rule records why p does what it does without a change of state: drops what arrived, sends again.
func (r *Recorder) Rule(t tcp.Time, p Peer, rule tcp.Rule) {
	r.add(event{kind: evRule, peer: p, t: t, rule: rule})
}

// Slice returns the part of the record from one time to another, both included: the handshake
// alone, the close alone. Its ladder counts time from the start of the whole.
func (r *Recorder) Slice(from, to tcp.Time) *Recorder {
	s := &Recorder{Title: r.Title, Sentence: r.Sentence, Clause: r.Clause, Peers: r.Peers,
		start: r.start, origin: r.origin, sent: slices.Clone(r.sent)}
	for _, e := range r.events {
		switch {
		case e.t > to:
		case e.t >= from:
			s.events = append(s.events, e)
		case e.kind == evState:
			s.start[e.peer] = e.state
		}
	}
	return s
}
