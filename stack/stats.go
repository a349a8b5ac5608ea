package stack

import (
	"cmp"
	"slices"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Stats are counters since New, and below them how many there are now.
type Stats struct {
	PacketsIn, PacketsOut   uint64 // by interfaces; what a stack sends itself is not counted as out
	SegmentsIn, SegmentsOut uint64
	// Faults counts packets dropped because they are illegal, by fault.
	Faults [wire.NumFaults]uint64
	// Rules counts segments dropped, by the rule that drops them.
	Rules [tcp.NumRules]uint64
	// NoInterface counts packets from an interface that is gone, NoRoute what could not be
	// sent, QueueFull answers and forwarded packets beyond Config.MaxQueued.
	NoInterface, NoRoute, QueueFull uint64

	// Now.
	States      [len(tcp.States)]int // connections by state
	HalfOpen    int                  // of them, those in SYN-RECEIVED that came by listeners
	Listeners   int
	Connections int // all, in whatever state
	Buffers     int // octets of send and receive buffers
}

// Stats returns the counters.
func (s *Stack) Stats() Stats {
	st := s.stats
	st.Connections = s.all.n
	st.Buffers = s.cfg.TCP.BuffersInUse()
	return st
}

// Connections returns the status of every connection, ordered by local and then remote
// socket.
func (s *Stack) Connections() []tcp.Status {
	list := make([]tcp.Status, 0, s.all.n)
	for c := s.all.oldest; c != nil; c = c.next {
		list = append(list, c.tcp.Status())
	}
	slices.SortStableFunc(list, func(a, b tcp.Status) int { return compareFlows(&a.Flow, &b.Flow) })
	return list
}

func compareFlows(a, b *wire.Flow) int {
	return cmp.Or(
		slices.Compare(a.Local[:], b.Local[:]), cmp.Compare(a.LocalPort, b.LocalPort),
		slices.Compare(a.Remote[:], b.Remote[:]), cmp.Compare(a.RemotePort, b.RemotePort))
}

// countRules puts the stack's counters in front of the Trace that its owner has set.
func (s *Stack) countRules() {
	var user tcp.Trace
	if s.cfg.TCP.Trace != nil {
		user = *s.cfg.TCP.Trace
	}
	trace := user
	trace.Drop = func(c *tcp.Conn, now tcp.Time, seg *wire.Segment, rule tcp.Rule) {
		s.stats.Rules[rule]++
		if user.Drop != nil {
			user.Drop(c, now, seg, rule)
		}
	}
	trace.Become = func(c *tcp.Conn, now tcp.Time, from, to tcp.State, rule tcp.Rule) {
		s.stats.States[from]--
		s.stats.States[to]++
		if user.Become != nil {
			user.Become(c, now, from, to, rule)
		}
	}
	s.cfg.TCP.Trace = &trace
}
