package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// What Config.TCP.Trace is told beyond what machines tell it: of segments that the stack drops
// before or beside any connection, and of records in TIME-WAIT, which are no machines.

// countRules puts the stack's counters in front of the Trace that its owner has set.
func (s *Stack) countRules() {
	if s.cfg.TCP.Trace != nil {
		s.user = *s.cfg.TCP.Trace
	}
	trace := s.user
	trace.Drop = func(c tcp.Observed, now tcp.Time, seg *wire.Segment, rule tcp.Rule) {
		s.discard(now, c, seg, rule)
	}
	trace.Become = func(c tcp.Observed, now tcp.Time, from, to tcp.State, rule tcp.Rule) {
		s.stats.States[from]--
		s.stats.States[to]++
		if s.user.Become != nil {
			s.user.Become(c, now, from, to, rule)
		}
	}
	s.cfg.TCP.Trace = &trace
}

// sockets are what a Trace sees where there is no machine: a pair of sockets whose state is
// CLOSED, "fictional because it represents the state when there is no TCB" (RFC 9293 section
// 3.3.2), LISTEN where a listener waits, or TIME-WAIT where there is a record.
type sockets struct {
	flow  wire.Flow
	state tcp.State
}

func (s *sockets) Flow() wire.Flow  { return s.flow }
func (s *sockets) State() tcp.State { return s.state }
func (s *sockets) Status() tcp.Status {
	return tcp.Status{Flow: s.flow, State: s.state, Deadline: tcp.Never}
}

// count notes a rule that a counter is enough for.
func (s *Stack) count(rule tcp.Rule) { s.stats.Rules[rule]++ }

// discard counts a segment of c as dropped, and tells of it.
func (s *Stack) discard(now tcp.Time, c tcp.Observed, seg *wire.Segment, rule tcp.Rule) {
	s.count(rule)
	if s.user.Drop != nil {
		s.user.Drop(c, now, seg, rule)
	}
}

// discardStray is discard for a segment that is no connection's.
func (s *Stack) discardStray(now tcp.Time, flow *wire.Flow, state tcp.State, seg *wire.Segment, rule tcp.Rule) {
	s.count(rule)
	if s.user.Drop != nil {
		s.user.Drop(&sockets{*flow, state}, now, seg, rule)
	}
}

// discardPacket is discard for a packet that is dropped for its addresses. Whoever traces
// segments is told if there is one in it.
func (s *Stack) discardPacket(now tcp.Time, ip *wire.IP, rule tcp.Rule) {
	s.count(rule)
	if s.user.Drop == nil || ip.Proto != wire.ProtoTCP {
		return
	}
	flow, f := ip.Flow()
	if f != wire.FaultNone || wire.ParseTCP(ip.Payload, &s.seg) != wire.FaultNone {
		return
	}
	s.seg.TC, s.seg.HopLimit = ip.TC, ip.HopLimit
	s.user.Drop(&sockets{flow, tcp.Closed}, now, &s.seg, rule)
}

// fault counts an illegal packet, and tells of it.
func (s *Stack) fault(now tcp.Time, packet []byte, f wire.Fault) {
	s.stats.Faults[f]++
	if s.cfg.Fault != nil {
		s.cfg.Fault(now, packet, f)
	}
}

// tellRecord tells that what is left of a connection has changed its state.
func (s *Stack) tellRecord(now tcp.Time, flow *wire.Flow, from, to tcp.State, rule tcp.Rule) {
	if s.user.Become != nil {
		s.user.Become(&sockets{*flow, to}, now, from, to, rule)
	}
}
