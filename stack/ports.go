package stack

import (
	"math"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Ports of connections that the stack opens: RFC 6056.

// perturbations is the size of the table of RFC 6056 section 3.3.4. A small one tells how
// many connections go elsewhere (CVE-2022-1012).
const perturbations = 1 << 16

// portWindow is among how many ports in a row one is looked for that no connection has, or
// else the one that has been in TIME-WAIT longest. Ports are used in a circle, so that is
// about the oldest of all. Only where all of the window are taken by connections that live,
// as when 95 of 100 ports are, are more looked at.
const portWindow = 64

// choosePort chooses a port for a flow that lacks only that: RFC 6056 section 3.3.4,
// "Double-Hash Port Selection", with the random steps of section 3.3.5. To one destination
// ports follow each other, so that one is used again as late as possible; where they
// begin, and what other destinations use, cannot be told from them.
func (s *Stack) choosePort(now tcp.Time, flow *wire.Flow) bool {
	if full := s.full[*flow]; full != nil {
		return s.givenUp(now, full, flow)
	}
	if s.perturb == nil {
		s.perturb = make([]uint16, perturbations)
	}
	var b [34]byte
	copy(b[0:], flow.Local[:])
	copy(b[16:], flow.Remote[:])
	b[32], b[33] = byte(flow.RemotePort>>8), byte(flow.RemotePort)
	h := tcp.SipHash(&s.portKey, b[:])
	step := &s.perturb[h>>32%perturbations]
	n := s.portRange()
	begin := uint32(h)%n + uint32(*step)
	at, ok := s.search(now, flow, begin, n)
	if !ok {
		s.noPorts(flow, n)
		return false
	}
	*step += uint16(at) + 1 + uint16(s.random.IntN(8))
	flow.LocalPort = s.portAt(begin + at)
	return true
}

func (s *Stack) portRange() uint32 { return uint32(s.cfg.PortLast) - uint32(s.cfg.PortFirst) + 1 }

func (s *Stack) portAt(i uint32) uint16 { return s.cfg.PortFirst + uint16(i%s.portRange()) }

// search returns how far behind begin the port to take is.
func (s *Stack) search(now tcp.Time, flow *wire.Flow, begin, n uint32) (at uint32, ok bool) {
	try := *flow
	oldest := tcp.Time(math.MaxInt64)
	for i := range n {
		if i == portWindow && ok {
			break
		}
		s.stats.PortsTried++
		try.LocalPort = s.portAt(begin + i)
		if s.forbidden(&try) || s.conns[try] != nil {
			continue
		}
		r, waits := s.waiting.find(&try)
		if !waits {
			return i, true
		}
		if since, may := s.mayReuse(now, r); may && since < oldest {
			if at, ok, oldest = i, true, since; i >= portWindow {
				break
			}
		}
	}
	return at, ok
}

// forbidden reports whether a connection from that port would meet a listener, or itself.
func (s *Stack) forbidden(flow *wire.Flow) bool {
	return s.listens(flow.LocalPort) || flow.Local == flow.Remote && flow.LocalPort == flow.RemotePort
}

// A search that finds no port has looked at all of them. It is not made again: until enough
// ports are free towards that destination, those are used that have been given up since,
// the first first.

// maxFull bounds of how many destinations that is noted.
const maxFull = 1024

// noPorts notes that there is no port for flow. Those that wait for the next tick of the
// clock are as good as given up.
func (s *Stack) noPorts(flow *wire.Flow, n uint32) {
	dst, given := *flow, []uint16{}
	for i := range n {
		flow.LocalPort = s.portAt(i)
		if r, ok := s.waiting.find(flow); ok && s.stamped(&s.waiting.slab[r].TimeWaitRecord) && !s.forbidden(flow) {
			given = append(given, flow.LocalPort)
		}
	}
	flow.LocalPort = 0
	if len(given) <= s.manyPorts() {
		if s.full == nil || len(s.full) >= maxFull {
			s.full = make(map[wire.Flow]*[]uint16)
		}
		s.full[dst] = &given
	}
}

// manyPorts is how many ports are enough to search for one again.
func (s *Stack) manyPorts() int { return int(s.portRange()) / 64 }

// givenUp takes the first port that has been given up.
func (s *Stack) givenUp(now tcp.Time, full *[]uint16, flow *wire.Flow) bool {
	for len(*full) > 0 {
		s.stats.PortsTried++
		flow.LocalPort = (*full)[0]
		if s.available(now, flow) && !s.forbidden(flow) {
			*full = (*full)[1:]
			return true
		}
		if r, ok := s.waiting.find(flow); ok && s.stamped(&s.waiting.slab[r].TimeWaitRecord) {
			break // it, and all behind it, waits for the next tick
		}
		*full = (*full)[1:] // it is in use again, or comes back when its record has gone
	}
	flow.LocalPort = 0
	return false
}

// giveUp is told that a connection, or its record, has left its port.
func (s *Stack) giveUp(flow wire.Flow) {
	if len(s.full) == 0 {
		return
	}
	port := flow.LocalPort
	flow.LocalPort = 0
	if full := s.full[flow]; full != nil && port >= s.cfg.PortFirst && port <= s.cfg.PortLast {
		if *full = append(*full, port); len(*full) > s.manyPorts() {
			delete(s.full, flow)
		}
	}
}
