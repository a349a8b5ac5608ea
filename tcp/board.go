package tcp

// The scoreboard: what has become of each octet between SND.UNA and SND.NXT (RFC 6675 section
// 3, RFC 8985 section 5.2). It knows runs of octets that have fared alike, not segments: a
// stream without losses has a run for each call of Output, and what SACK reports together is
// one.

import (
	"sort"

	"github.com/vitro-net/vitro/seq"
)

// run is a range of sequence numbers, from start up to but not including end.
type run struct {
	start, end seq.Num
	at         Time   // Segment.xmit_ts: when it was last sent
	mss        uint16 // in segments of what size, the last perhaps shorter
	what       runState
}

type runState uint8

const (
	runSacked runState = 1 << iota // a SACK block has reported it
	runLost                        // Segment.lost: it is to be sent again
	runAgain                       // Segment.retransmitted
)

func (r *run) len() uint32 { return r.end.Sub(r.start) }

// packets is how many segments the run was sent in.
func (r *run) packets() uint32 {
	mss := uint32(max(r.mss, 1))
	return (r.len() + mss - 1) / mss
}

// segmentAt returns the beginning of the segment in which s lies.
func (r *run) segmentAt(s seq.Num) seq.Num {
	off := s.Sub(r.start)
	return r.start.Add(off - off%uint32(max(r.mss, 1)))
}

// board is what a connection knows of what it has outstanding, and of recovering from losses.
// It comes from the Config's pool with the first octet that is sent and goes back with the last
// that is acknowledged.
type board struct {
	runs    []run // from SND.UNA to SND.NXT without a gap; the first is runs[head]
	head    int
	sacked  uint32  // octets of them that are reported
	lost    uint32  // and that are lost
	hint    seq.Num // nothing that is lost is before it
	force   bool    // one segment goes whatever cwnd says
	narrow  seq.Num // the end of what askNarrow has cut, when asked
	asked   bool
	reneged bool // the peer has given up what it had reported, in this recovery

	rack  rackFlight
	probe probeVars
	prr   prrVars
	undo  undoVars

	departures []departure // by time; with a PathModel
}

const (
	keepBoards = 1 << 10 // how many boards a pool keeps for later
	keepRuns   = 1 << 10 // and how many runs a board that is kept has room for
)

func (p *pool) getBoard() *board {
	if n := len(p.boards); n > 0 {
		b := p.boards[n-1]
		p.boards[n-1] = nil
		p.boards = p.boards[:n-1]
		return b
	}
	return new(board)
}

func (p *pool) putBoard(b *board) {
	if len(p.boards) == keepBoards || cap(b.runs) > keepRuns {
		return
	}
	departures := b.departures[:0]
	if cap(departures) > 4*keepDepartures {
		departures = nil
	}
	*b = board{runs: b.runs[:0], departures: departures}
	p.boards = append(p.boards, b)
}

// releaseBoard gives the scoreboard back: nothing is outstanding, or nobody cares any more.
func (c *Conn) releaseBoard() {
	if c.board != nil {
		c.cfg.pool.putBoard(c.board)
		c.board = nil
	}
}

// list returns the runs.
func (b *board) list() []run { return b.runs[b.head:] }

// find returns the place of the run in which s lies, or how many there are.
func (b *board) find(s seq.Num) int {
	list := b.list()
	return sort.Search(len(list), func(i int) bool { return s.Less(list[i].end) })
}

// push adds what has been sent for the first time.
func (b *board) push(start, end seq.Num, at Time, mss uint32) {
	if n := len(b.runs); n > b.head {
		last := &b.runs[n-1]
		if last.at == at && last.what == 0 && uint32(last.mss) == mss && last.len()%mss == 0 {
			last.end = end
			return
		}
	}
	if b.head > 0 && len(b.runs) == cap(b.runs) {
		b.runs = b.runs[:copy(b.runs, b.list())]
		b.head = 0
	}
	b.runs = append(b.runs, run{start: start, end: end, at: at, mss: uint16(mss)})
}

// replace puts what is in with in the place of the runs from i up to but not including j.
func (b *board) replace(i, j int, with ...run) {
	i, j = i+b.head, j+b.head
	if n := len(with) - (j - i); n <= 0 && i == b.head {
		b.head -= n // there is room before the first
		copy(b.runs[b.head:], with)
		return
	}
	tail := len(b.runs) - j
	for need := i + len(with) + tail; len(b.runs) < need; {
		b.runs = append(b.runs, run{})
	}
	copy(b.runs[i+len(with):], b.runs[j:j+tail])
	copy(b.runs[i:], with)
	b.runs = b.runs[:i+len(with)+tail]
}

// split makes run i two, the second from s on; at its edges it does nothing. It returns the
// place of the run that begins at s.
func (b *board) split(i int, s seq.Num) int {
	r := b.list()[i]
	switch {
	case s.LessEq(r.start):
		return i
	case r.end.LessEq(s):
		return i + 1
	}
	first, second := r, r
	first.end, second.start = s, s
	b.replace(i, i+1, first, second)
	return i + 1
}

// count takes a run's octets into the sums, or out of them.
func (b *board) count(r *run, in bool) {
	n := r.len()
	if !in {
		n = -n
	}
	switch {
	case r.what&runSacked != 0:
		b.sacked += n
	case r.what&runLost != 0:
		b.lost += n
	}
}

// acked takes what lies before una off the board.
func (b *board) acked(una seq.Num, delivered func(run)) {
	for b.head < len(b.runs) {
		r := &b.runs[b.head]
		if una.LessEq(r.start) {
			return
		}
		part := *r
		if una.Less(r.end) {
			if s := r.segmentAt(una); s != una { // within a segment: the rest of it is one of its own
				if next := s.Add(uint32(r.mss)); next.Less(r.end) {
					b.split(0, next)
					r = &b.runs[b.head]
					part = *r
				}
			}
			part.end = una
		}
		b.count(&part, false)
		if part.what&runSacked == 0 {
			delivered(part)
		}
		if r.start = part.end; r.start == r.end {
			b.head++
		}
	}
	b.runs, b.head = b.runs[:0], 0
}

// reported takes in that a SACK block reports the octets from left up to right: of segments
// that it covers in part, what was sent in one piece, nothing.
func (b *board) reported(left, right seq.Num, delivered func(run)) {
	list := b.list()
	i := b.find(left)
	if i == len(list) {
		return
	}
	if r := &list[i]; r.what&runSacked == 0 {
		from := r.segmentAt(left)
		if from != left {
			from = seq.Min(from.Add(uint32(r.mss)), r.end)
		}
		i = b.split(i, from)
	}
	j := i
	for ; j < len(b.list()); j++ {
		r := &b.list()[j]
		if right.LessEq(r.start) {
			break
		}
		if right.Less(r.end) && r.what&runSacked == 0 {
			whole := r.segmentAt(right)
			if whole == r.start {
				break
			}
			b.split(j, whole)
			r = &b.list()[j]
		}
		if r.what&runSacked != 0 {
			continue
		}
		delivered(*r)
		b.count(r, false)
		r.what = r.what&^runLost | runSacked
		b.count(r, true)
	}
	b.join(i-1, j+1)
}

// join makes runs from i up to j one where all of them are reported.
func (b *board) join(i, j int) {
	i, j = max(i, 0), min(j, len(b.list()))
	for i+1 < j {
		list := b.list()
		k := i + 1
		for k < j && list[i].what&list[k].what&runSacked != 0 {
			k++
		}
		if k > i+1 {
			whole := list[i]
			whole.end = list[k-1].end
			b.replace(i, k, whole)
			j -= k - i - 1
		}
		i++
	}
}

// lose marks run i as lost.
func (b *board) lose(i int) {
	r := &b.list()[i]
	if r.what&(runLost|runSacked) != 0 {
		return
	}
	r.what |= runLost
	b.lost += r.len()
	if b.lost == r.len() || r.start.Less(b.hint) {
		b.hint = r.start
	}
}

// nextLost returns the first range that is to be sent again, no longer than most: all that is
// lost without a gap. n is 0 when nothing is.
func (b *board) nextLost(most uint32) (from seq.Num, n uint32) {
	if b.lost == 0 {
		return 0, 0
	}
	list := b.list()
	for i := b.find(b.hint); i < len(list); i++ {
		switch {
		case list[i].what&runLost == 0 && n > 0:
			return from, n
		case list[i].what&runLost == 0:
			continue
		case n == 0:
			from = list[i].start
			b.hint = from
		}
		if n += list[i].len(); n >= most {
			return from, most
		}
	}
	return from, n
}

// resent notes that n octets from start on have been sent again, in segments of mss octets.
func (b *board) resent(start seq.Num, n uint32, at Time, mss uint32) {
	end := start.Add(n)
	i := b.split(b.find(start), start)
	j := i
	for j < len(b.list()) && b.list()[j].start.Less(end) {
		b.split(j, end)
		b.count(&b.list()[j], false)
		j++
	}
	whole := run{start: start, end: end, at: at, mss: uint16(mss), what: runAgain}
	if i > 0 {
		if p := &b.list()[i-1]; p.at == at && p.what == runAgain && p.mss == whole.mss && p.len()%mss == 0 {
			whole.start = p.start
			i--
		}
	}
	b.replace(i, j, whole)
	if b.hint == start { // else it is a probe, and there may be losses before it
		b.hint = end
	}
}

// each calls f with the place of every run that is neither reported nor lost, until it says
// that it has seen enough.
func (b *board) each(f func(i int, r run) (enough bool)) {
	for i := 0; i < len(b.list()); i++ {
		r := b.list()[i]
		if r.what&(runSacked|runLost) == 0 && f(i, r) {
			return
		}
	}
}

// unlose takes back that anything is lost.
func (b *board) unlose() {
	for i := range b.list() {
		b.list()[i].what &^= runLost
	}
	b.lost = 0
}

// forgetSACK takes back all that SACK has reported: the peer has given it up (RFC 2018 section 8).
// Of what was joined nobody knows which octets went once.
func (b *board) forgetSACK() {
	for i := range b.list() {
		if r := &b.list()[i]; r.what&runSacked != 0 {
			r.what = runAgain
		}
	}
	b.sacked = 0
}
