package stack

import (
	"cmp"
	"slices"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// The memory of buffers. tcp.Config.MaxBuffers bounds it; when it is short, it is taken here
// from those who do nothing with theirs, and those who have gone without are told when there
// is some again.
type memory struct {
	watched tcp.Time // when connections were last looked at
	lacking []*Conn  // that have gone without
	peak    int      // the most in use since they were last told
}

// watchEvery is how often connections are looked at while memory is short. It costs a look at
// each of them.
const watchEvery = 5 * time.Second

// share is what part of the memory that a connection has must move at the least within
// Config.StallTimeout to be progress. Otherwise an octet now and then would keep a megabyte
// for ever (CVE-2008-4609).
const share = 128

// seen is how far a connection was when it was last seen to make progress: its peer had
// acknowledged, and its user read, up to these.
type seen struct {
	at          tcp.Time
	acked, read seq.Num
}

// balance keeps an eye on the memory of buffers.
func (s *Stack) balance(now tcp.Time) {
	used, most := s.cfg.TCP.BuffersInUse(), s.cfg.TCP.MaxBuffers
	if used > most/2 {
		s.watchMemory(now)
	}
	if len(s.mem.lacking) == 0 {
		return
	}
	s.mem.peak = max(s.mem.peak, used)
	if used == 0 || used <= s.mem.peak-most/8 {
		s.mem.peak = used
		s.feed(now)
	}
}

// watchMemory follows who makes progress. Above seven eighths of the bound it ends connections
// that have made none for Config.StallTimeout, those first that have waited longest, until
// buffers are below that. One that moves is never ended.
func (s *Stack) watchMemory(now tcp.Time) {
	m := &s.mem
	if m.watched != 0 && now < m.watched.Add(watchEvery) {
		return
	}
	anew := m.watched == 0 || now > m.watched.Add(2*watchEvery) // nobody has looked meanwhile
	m.watched = now
	var stalled []*Conn
	for c := s.all.oldest; c != nil; c = c.next {
		if c.look(now, anew); now.Sub(c.seen.at) >= s.cfg.StallTimeout {
			stalled = append(stalled, c)
		}
	}
	slices.SortStableFunc(stalled, func(a, b *Conn) int { return cmp.Compare(a.seen.at, b.seen.at) })
	for _, c := range stalled {
		if s.cfg.TCP.BuffersInUse() <= s.cfg.TCP.MaxBuffers/8*7 {
			return
		}
		if c.tcp.State() != tcp.Closed {
			s.stats.BuffersReclaimed++
		}
		c.tcp.Reclaim(now)
		s.touch(now, c)
	}
}

// look notes whether c has made progress.
func (c *Conn) look(now tcp.Time, anew bool) {
	holds := c.tcp.Buffered()
	acked, read := c.tcp.Progress()
	moved := uint64(acked.Sub(c.seen.acked)) + uint64(read.Sub(c.seen.read))
	if anew || c.seen.at == 0 || holds == 0 || moved > uint64(holds/share) {
		c.seen = seen{now, acked, read}
	}
}

// lack notes that c has gone without memory.
func (s *Stack) lack(c *Conn) {
	if c.lackAt == 0 && !c.freed {
		s.mem.lacking = append(s.mem.lacking, c)
		c.lackAt = len(s.mem.lacking)
	}
}

// unlack forgets it.
func (s *Stack) unlack(c *Conn) {
	if c.lackAt == 0 {
		return
	}
	list := s.mem.lacking
	last := list[len(list)-1]
	list[c.lackAt-1], last.lackAt = last, c.lackAt
	list[len(list)-1] = nil
	s.mem.lacking = list[:len(list)-1]
	c.lackAt = 0
}

// feed tells those that have gone without memory that there is some.
func (s *Stack) feed(now tcp.Time) {
	list := s.mem.lacking
	s.mem.lacking = nil
	for _, c := range list {
		c.lackAt = 0
	}
	for _, c := range list {
		c.tcp.MemoryFreed()
		s.touch(now, c)
	}
}
