package stack

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// Orphans: connections that live out their closing without a user. There is nobody who could
// give them up, so the stack does: one whose peer has acknowledged nothing for
// Config.OrphanTimeout is aborted, and beyond Config.MaxOrphans the one that has got on least.
//
// That holds for a peer, too, which acknowledges every probe and keeps its window closed
// (CVE-2008-4609, and "Netkill", which asks for much and goes away). RFC 9293 section
// 3.8.6.1 says that "the sending TCP peer MUST allow the connection to stay open", so that
// a user may wait for a printer to get paper; it goes on: "The behavior is subject to the
// implementation's resource management concerns". Here no user waits, and a stranger
// decides how much is held and for how long. A connection that has a user is left alone.

// orphanVars is what the stack notes of an orphan. Its place in Stack.orphans is that of a
// Conn in its listener's list: it has no listener any more.
type orphanVars struct {
	progress tcp.Time // when the peer last acknowledged something
	una      seq.Num  // SND.UNA then
}

// adopt takes in a connection that its user has released and that is not at its end.
func (s *Stack) adopt(now tcp.Time, c *Conn) {
	// Nobody will read any more: FIN-WAIT-2 has an end, and of text that nobody has read the
	// peer learns by a reset, "to show that data was lost" (RFC 9293 section 3.6.1).
	if c.tcp.CloseReceive(now, tcp.Gone) {
		return
	}
	if s.orphans.n >= s.cfg.MaxOrphans {
		s.stats.OrphansAborted++
		s.abortOrphan(now, s.orphans.first)
	}
	c.orphan = true
	c.orphaned = orphanVars{now, c.tcp.SndUna()}
	s.orphans.push(c)
}

// disown takes c out of the list: it is at its end.
func (s *Stack) disown(c *Conn) {
	if c.orphan {
		c.orphan = false
		s.orphans.remove(c)
	}
}

func (s *Stack) abortOrphan(now tcp.Time, c *Conn) {
	s.disown(c)
	_ = c.tcp.Abort(now) // it exists
	s.touch(now, c)
}

// noteProgress follows the arrival of a segment for an orphan.
func (s *Stack) noteProgress(now tcp.Time, c *Conn) {
	if una := c.tcp.SndUna(); una != c.orphaned.una {
		c.orphaned = orphanVars{now, una}
		s.orphans.remove(c)
		s.orphans.push(c)
	}
}

// orphanDeadline is when the first orphan will have made no progress for too long.
func (s *Stack) orphanDeadline() tcp.Time {
	if s.orphans.first == nil || s.cfg.OrphanTimeout < 0 {
		return tcp.Never
	}
	return s.orphans.first.orphaned.progress.Add(s.cfg.OrphanTimeout)
}

// expireOrphans aborts those that have made no progress. In FIN-WAIT-2 everything is
// acknowledged, and tcp.Config.FinWait2Timeout has its turn; what is CLOSED or in TIME-WAIT
// only waits for Output.
func (s *Stack) expireOrphans(now tcp.Time) {
	for s.orphanDeadline() <= now {
		c := s.orphans.first
		switch c.tcp.State() {
		case tcp.FinWait2, tcp.Closed, tcp.TimeWait:
			s.orphans.remove(c)
			s.orphans.push(c)
			c.orphaned.progress = now
		case tcp.Listen, tcp.SynSent, tcp.SynReceived, tcp.Established, tcp.FinWait1, tcp.CloseWait, tcp.Closing, tcp.LastAck:
			s.stats.OrphansTimedOut++
			s.abortOrphan(now, c)
		}
	}
}
