package sim

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// EventKind is what an [Event] tells of.
type EventKind uint8

// The kinds of events, and the fields that each has beside Time, Kind and Host.
const (
	Call       EventKind = iota // a user asks something of its host: Text
	Note                        // anything else that befalls a user, as the World's owner has it: Text
	State                       // a connection or a listener changes its state: Flow, From, To, Rule
	Depart                      // a packet leaves the host: Packet
	Arrive                      // a packet reaches the host: Packet
	Lost                        // a packet of the host is lost on its way: Packet, Loss
	Drop                        // the packet that arrived last is not used: Packet, Rule or Fault
	Retransmit                  // octets are to be sent again: Flow, First, Len, Rule
	Timeout                     // a timer has run out: Flow, Rule
	PathMTU                     // a step of a search for the path MTU: Flow, Len (of a probe, or what is sent from now on), Rule
	Crash                       // the host has lost its memory: Host.Crash
)

var kindNames = [...]string{"call", "note", "state", "depart", "arrive", "lost", "drop", "retransmit", "timeout", "path MTU", "crash"}

// String names the kind in a word.
func (k EventKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Event is one thing that happens in a World. It and its Packet are in force for the call only.
type Event struct {
	Time   tcp.Time
	Kind   EventKind
	Host   *Host
	Flow   wire.Flow // as Host sees it; of a listener without the remote socket
	Packet *Packet
	From   tcp.State
	To     tcp.State
	Rule   tcp.Rule   // why; 0: no rule is known
	Fault  wire.Fault // what is wrong with the packet
	Loss   Loss       // why the packet is lost
	First  seq.Num    // of the octets sent again
	Len    uint32     // how many
	Text   string     // "close", "send 5 octets"
}

// Watch has the World call f for each event from now on, in the order in which they happen;
// several functions in the order in which they came. What leads to a departure is told before
// it, what an arrival leads to after it. f must not call the World or its hosts.
func (w *World) Watch(f func(*Event)) {
	w.watch = append(w.watch, f)
	for _, h := range w.hosts {
		h.stack.Drops(&h.drops) // those before are not told
	}
}

// watched reports whether anybody watches: what an event says need not be found out else.
func (w *World) watched() bool { return len(w.watch) > 0 }

// tell shows e to whoever watches.
func (w *World) tell(e Event) {
	if !w.watched() {
		return
	}
	w.event = e // so that none is allocated for each
	w.event.Time = w.now
	for _, f := range w.watch {
		f(&w.event)
	}
}
