package stack

import (
	"cmp"
	"slices"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// relieveEvery is how often relieve looks for connections to end: it looks at all.
const relieveEvery = time.Second

// relieve ends connections until buffers are back below seven eighths of the limit: those
// without a user first, then those whose peer keeps its window closed, then those that
// hold what nobody reads, and of a kind those that hold the most. It is what is left to do
// against peers that connect, ask for much and take nothing (CVE-2008-4609).
func (s *Stack) relieve(now tcp.Time) {
	if s.relieved != 0 && now.Sub(s.relieved) < relieveEvery {
		return
	}
	s.relieved = now
	type victim struct {
		conn *Conn
		kind int
		held uint32
	}
	var list []victim
	for c := s.all.oldest; c != nil; c = c.next {
		st := c.tcp.Status()
		if st.Buffered == 0 {
			continue
		}
		kind := 3
		switch {
		case c.released:
			kind = 0
		case st.SndWnd == 0 && st.State.Synchronized():
			kind = 1
		case st.Unread > 0 || st.OutOfOrder > 0:
			kind = 2
		}
		list = append(list, victim{c, kind, st.Buffered})
	}
	slices.SortStableFunc(list, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.held, a.held))
	})
	for _, v := range list {
		if s.cfg.TCP.BuffersInUse() <= s.cfg.MaxBuffers/8*7 {
			return
		}
		s.stats.BuffersReclaimed++
		_ = v.conn.tcp.Abort(now) // it exists
		s.signals(now, v.conn)
		s.wheel.arm(&v.conn.timer, v.conn.tcp.Deadline())
		s.dirty.push(v.conn)
	}
}
