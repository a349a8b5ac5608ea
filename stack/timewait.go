package stack

import (
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// TIME-WAIT: RFC 9293 section 3.6.1. What a released connection leaves for 2 MSL is a record
// of 80 octets in a slab without pointers, and a map of where each stands, as much again. There is one machine all the same: for a segment
// the record becomes a tcp.Conn, and is taken from it again.

// waitRecord is one slot of the slab.
type waitRecord struct {
	tcp.TimeWaitRecord
	prev, next int32 // by expiry; of a free slot, next is the next free one
}

const none = -1

// waitTable holds the records, ordered by when they expire. As all wait equally long, what
// begins to wait, or begins anew, goes to the end.
type waitTable struct {
	slab        []waitRecord
	at          map[wire.Flow]int32
	first, last int32
	free        int32
}

func newWaitTable() waitTable {
	return waitTable{at: make(map[wire.Flow]int32), first: none, last: none, free: none}
}

func (w *waitTable) len() int { return len(w.at) }

func (w *waitTable) find(flow *wire.Flow) (int32, bool) {
	if len(w.at) == 0 {
		return 0, false
	}
	i, ok := w.at[*flow]
	return i, ok
}

// add puts a record in its place by expiry.
func (w *waitTable) add(r *tcp.TimeWaitRecord) {
	i := w.free
	if i != none {
		w.free = w.slab[i].next
	} else {
		i = int32(len(w.slab))
		w.slab = append(w.slab, waitRecord{})
	}
	w.slab[i] = waitRecord{TimeWaitRecord: *r}
	w.at[r.Flow] = i
	w.link(i)
}

func (w *waitTable) link(i int32) {
	r := &w.slab[i]
	after := w.last
	for after != none && w.slab[after].Until > r.Until {
		after = w.slab[after].prev // only for one that comes back with less to wait
	}
	r.prev = after
	if after != none {
		r.next = w.slab[after].next
		w.slab[after].next = i
	} else {
		r.next = w.first
		w.first = i
	}
	if r.next != none {
		w.slab[r.next].prev = i
	} else {
		w.last = i
	}
}

func (w *waitTable) unlink(i int32) {
	r := &w.slab[i]
	if r.prev != none {
		w.slab[r.prev].next = r.next
	} else {
		w.first = r.next
	}
	if r.next != none {
		w.slab[r.next].prev = r.prev
	} else {
		w.last = r.prev
	}
}

func (w *waitTable) remove(i int32) {
	w.unlink(i)
	delete(w.at, w.slab[i].Flow)
	w.slab[i] = waitRecord{next: w.free}
	w.free = i
	if len(w.at) == 0 {
		w.slab, w.free = w.slab[:0], none
	}
}

// deadline is when the first record expires.
func (w *waitTable) deadline() tcp.Time {
	if w.first == none {
		return tcp.Never
	}
	return w.slab[w.first].Until
}

// keepTimeWait leaves a record of c, which is in TIME-WAIT and wanted by nobody, and frees c.
func (s *Stack) keepTimeWait(now tcp.Time, c *Conn) {
	r, ok := c.tcp.TimeWait()
	if !ok {
		return
	}
	s.free(c)
	if c.detached {
		// Another connection has its sockets.
		s.tellRecord(now, &r.Flow, tcp.TimeWait, tcp.Closed, tcp.RuleReopen)
		return
	}
	s.addTimeWait(now, &r)
}

func (s *Stack) addTimeWait(now tcp.Time, r *tcp.TimeWaitRecord) {
	if s.waiting.len() >= s.cfg.MaxTimeWait {
		s.stats.TimeWaitEvicted++
		s.endTimeWait(now, s.waiting.first, tcp.RuleReclaim)
	}
	s.waiting.add(r)
	s.stats.States[tcp.TimeWait]++
}

// endTimeWait ends a record before its time.
func (s *Stack) endTimeWait(now tcp.Time, i int32, rule tcp.Rule) {
	flow := s.waiting.slab[i].Flow
	s.waiting.remove(i)
	s.giveUp(flow)
	s.stats.States[tcp.TimeWait]--
	s.tellRecord(now, &flow, tcp.TimeWait, tcp.Closed, rule)
}

// forgetRecord takes away a record whose machine has entered CLOSED: it has counted TIME-WAIT
// down and CLOSED up.
func (s *Stack) forgetRecord(i int32) {
	flow := s.waiting.slab[i].Flow
	s.waiting.remove(i)
	s.giveUp(flow)
	s.stats.States[tcp.Closed]--
}

// hydrate makes the record s.scratch.
func (s *Stack) hydrate(now tcp.Time, i int32) {
	s.scratch.InitTimeWait(now, &s.cfg.TCP, &s.waiting.slab[i].TimeWaitRecord, wire.MaxPacket)
}

// arriveTimeWait is a segment for a record.
func (s *Stack) arriveTimeWait(now tcp.Time, n *netif, i int32, seg *wire.Segment) {
	r := &s.waiting.slab[i]
	if !s.takesStray(now, &r.Flow, tcp.TimeWait, seg) {
		return
	}
	if seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN && s.mayReopen(&r.TimeWaitRecord, seg) {
		if l := s.findListener(&r.Flow); l != nil {
			s.reopen(now, n, l, r.TimeWaitRecord, nil, seg)
			return
		}
	}
	s.hydrate(now, i)
	s.scratch.Arrive(now, seg)
	flow := r.Flow
	for s.scratch.Output(now, &s.seg) {
		s.answer(&flow, &s.seg)
	}
	after, ok := s.scratch.TimeWait()
	if !ok { // the machine has told why
		s.forgetRecord(i)
		return
	}
	moved := after.Until != r.Until
	r.TimeWaitRecord = after
	if moved {
		s.waiting.unlink(i)
		s.waiting.link(i)
	}
}

// expireTimeWait ends the records whose 2 MSL have passed.
func (s *Stack) expireTimeWait(now tcp.Time) {
	for s.waiting.deadline() <= now {
		i := s.waiting.first
		s.hydrate(now, i)
		s.scratch.Timeout(now)
		s.forgetRecord(i)
	}
}

// mayReopen decides whether a SYN may begin a new connection in place of one in TIME-WAIT
// (MAY-2): by its timestamp, where both incarnations have them, else by its sequence
// number. RFC 6191 section 2 (SHLD-4).
func (s *Stack) mayReopen(r *tcp.TimeWaitRecord, syn *wire.Segment) bool {
	// "greater than the last sequence number seen [...] corresponding to the FIN flag".
	newer := r.RcvNxt.LessEq(syn.Seq)
	if s.cfg.TCP.NoTimestamps || !syn.Options.Has(wire.HasTimestamps) {
		return newer
	}
	if !r.Timestamps {
		return true
	}
	age := int32(syn.Options.TSVal - r.TSRecent)
	return age > 0 || age == 0 && newer
}

// before is what a reopened connection goes back to if its SYN turns out to be an old
// duplicate (MAY-2).
type before struct {
	record tcp.TimeWaitRecord
	conn   *Conn // when the user still had the connection
}

// reopenConn is mayReopen and reopen for a connection whose user has not released it. It
// lives on without its sockets, for what there is to read.
func (s *Stack) reopenConn(now tcp.Time, n *netif, c *Conn, syn *wire.Segment) bool {
	r, ok := c.tcp.TimeWait()
	if !ok || !s.mayReopen(&r, syn) {
		return false
	}
	l := s.findListener(&r.Flow)
	if l == nil {
		return false
	}
	s.reopen(now, n, l, r, c, syn)
	return true
}

func (s *Stack) reopen(now tcp.Time, n *netif, l *Listener, r tcp.TimeWaitRecord, old *Conn, syn *wire.Segment) {
	if _, ok := s.authenticListen(now, l, &r.Flow, syn); !ok {
		return
	}
	if !l.mayReopen() {
		s.discardStray(now, &r.Flow, tcp.TimeWait, syn, tcp.RuleBacklogFull)
		return
	}
	if old != nil {
		s.unlist(old)
		old.detached = true
	} else if i, ok := s.waiting.find(&r.Flow); ok {
		s.endTimeWait(now, i, tcp.RuleReopen)
	}
	s.count(tcp.RuleReopen)
	c := s.newChild(now, n, l, &r.Flow)
	c.before = &before{r, old}
	l.reopened++
	s.reopened++
	s.begin(now, c, syn)
	c.tcp.SetISNFloor(r.SndNxt) // MAY-2
	s.touch(now, c)
}

// goBack "returns to TIME-WAIT state if the SYN turns out to be an old
// duplicate".
func (s *Stack) goBack(now tcp.Time, b *before) {
	if c := b.conn; c != nil && !c.freed && c.tcp.State() == tcp.TimeWait {
		if s.conns[b.record.Flow] == nil {
			c.detached, c.listed = false, true
			s.conns[b.record.Flow] = c
		}
		return
	}
	if b.record.Until > now {
		s.addTimeWait(now, &b.record)
		s.tellRecord(now, &b.record.Flow, tcp.Closed, tcp.TimeWait, tcp.RuleTimeWaitRecord)
	}
}

// reuseAfter is how long a connection must have been in TIME-WAIT before this end may use
// its sockets for a new one: a tick of the timestamp clock. TIME-WAIT has two purposes, says RFC
// 7323 appendix B.2. The first, that the peer gets the last ACK, is served: it has been sent
// before the new SYN, and if it is lost, the SYN ends what is left at the peer. The second is to
// "Allow old duplicate segments to expire". It is served by PAWS in place of waiting, "if the
// timestamp clock can be guaranteed to have ticked at least once since the old connection was
// open". Our own has, after 1 ms: at the peer what is left of our segments is older than the new
// SYN, which also begins above them (RFC 6191 section 2). The peer's may tick as slowly as once a
// second; whether it has ticked, its SYN,ACK tells: see stale.
const reuseAfter = time.Millisecond

// slowestTick is that of the slowest timestamp clock that RFC 7323 section 5.4 allows.
const slowestTick = time.Second

// mayReuse decides whether Dial may take the place of a record, and says how long that has
// been in TIME-WAIT.
func (s *Stack) mayReuse(now tcp.Time, i int32) (since tcp.Time, ok bool) {
	r := &s.waiting.slab[i].TimeWaitRecord
	since = s.waitsSince(r)
	return since, s.stamped(r) && now.Sub(since) >= reuseAfter
}

func (s *Stack) waitsSince(r *tcp.TimeWaitRecord) tcp.Time {
	return r.Until - tcp.Time(2*s.cfg.TCP.MSL)
}

// stamped reports whether both incarnations have timestamps.
func (s *Stack) stamped(r *tcp.TimeWaitRecord) bool { return r.Timestamps && !s.cfg.TCP.NoTimestamps }

// reused is what a connection that Dial has put in place of a record knows of it. The zero
// value is of one that has taken no place.
type reused struct {
	until  tcp.Time // when the peer's clock has ticked in any case
	recent uint32   // the last timestamp that the peer has sent
}

// stale reports whether a SYN for c, which has the sockets of an old connection, comes too
// early: by its timestamp the peer's clock has not ticked since the old one, and PAWS would not
// tell that one's segments from those of the new. It is dropped, and comes again.
func (c *Conn) stale(now tcp.Time, seg *wire.Segment) bool {
	if now >= c.reused.until || seg.Flags&(wire.SYN|wire.RST) != wire.SYN {
		return false
	}
	return !seg.Options.Has(wire.HasTimestamps) || int32(seg.Options.TSVal-c.reused.recent) <= 0
}
