package tcp_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

var update = flag.Bool("update", false, "write golden files anew")

const (
	ourISS   = seq.Num(1000)
	peerISS  = seq.Num(2000)
	queued   = 10 // octets of ours that wait for an ACK from ESTABLISHED on
	peerTick = 100
)

// A cell is one machine in one state, and what it does with one segment.
type cell struct {
	t     *testing.T
	now   tcp.Time
	c     *tcp.Conn
	rules []string
}

func newCell(t *testing.T) *cell {
	m := &cell{t: t, now: 1}
	note := func(what string, rule tcp.Rule) { m.rules = append(m.rules, what+rule.Clause()) }
	m.c = tcp.New(&tcp.Config{
		ISN: isnOf(ourISS),
		Trace: &tcp.Trace{
			Become: func(_ tcp.Observed, _ tcp.Time, _, _ tcp.State, r tcp.Rule) { note("", r) },
			Drop:   func(_ tcp.Observed, _ tcp.Time, _ *wire.Segment, r tcp.Rule) { note("drop, ", r) },
		},
	}, flowOfA, 1500)
	return m
}

func isnOf(n seq.Num) func(tcp.Time, wire.Flow) seq.Num {
	return func(tcp.Time, wire.Flow) seq.Num { return n }
}

// exchange carries what two machines send until they have no more to say.
func exchange(a, b *cell) {
	var g wire.Segment
	for a.c.Output(a.now, &g) || b.c.Output(b.now, &g) {
		to := b
		if g.Seq.In(peerISS, 1000) {
			to = a
		}
		to.c.Arrive(to.now, &g)
	}
}

func (m *cell) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// drain takes what the machine sends.
func (m *cell) drain() []string {
	var out []string
	var seg wire.Segment
	for m.c.Output(m.now, &seg) {
		out = append(out, seg.String())
		if len(out) > 20 {
			m.t.Fatalf("Output does not end: %v", out)
		}
	}
	return out
}

// peer sends a segment from the other end, with the timestamp the connection has agreed on.
func (m *cell) peer(s wire.Segment) []string {
	if s.Wnd == 0 {
		s.Wnd = 65535
	}
	if s.Options.Set == 0 {
		s.Options = wire.Options{Set: wire.HasTimestamps, TSVal: peerTick}
		if s.Flags&wire.SYN != 0 {
			s.Options.Set |= wire.HasMSS
			s.Options.MSS = 1460
		}
	}
	m.c.Arrive(m.now, &s)
	return m.drain()
}

// reach brings the machine to a state, by the ways of Figure 5.
func (m *cell) reach(to tcp.State) {
	c := m.c
	open := func() {
		m.must(c.Open(m.now, tcp.Active))
		m.drain()
		m.peer(wire.Segment{Seq: peerISS, Ack: ourISS + 1, Flags: wire.SYN | wire.ACK})
		_, err := c.Send(m.now, make([]byte, queued))
		m.must(err)
		m.drain()
	}
	closed := func() {
		m.must(c.Close(m.now))
		m.drain()
	}
	fin := func(ack seq.Num) {
		m.peer(wire.Segment{Seq: peerISS + 1, Ack: ack, Flags: wire.FIN | wire.ACK})
	}
	const dataAcked, finAcked = ourISS + 1 + queued, ourISS + 2 + queued
	switch to {
	case tcp.Closed:
	case tcp.Listen:
		m.must(c.Open(m.now, tcp.Passive))
	case tcp.SynSent:
		m.must(c.Open(m.now, tcp.Active))
		m.drain()
	case tcp.SynReceived:
		m.must(c.Open(m.now, tcp.Passive))
		m.peer(wire.Segment{Seq: peerISS, Flags: wire.SYN})
	case tcp.Established:
		open()
	case tcp.FinWait1:
		open()
		closed()
	case tcp.FinWait2:
		open()
		closed()
		m.peer(wire.Segment{Seq: peerISS + 1, Ack: finAcked, Flags: wire.ACK})
	case tcp.CloseWait:
		open()
		fin(ourISS + 1)
	case tcp.Closing:
		open()
		closed()
		fin(ourISS + 1)
	case tcp.LastAck:
		open()
		fin(ourISS + 1)
		closed()
	case tcp.TimeWait:
		open()
		closed()
		m.peer(wire.Segment{Seq: peerISS + 1, Ack: dataAcked, Flags: wire.ACK})
		fin(finAcked)
	}
	if c.State() != to {
		m.t.Fatalf("the fixture is %v; want %v", c.State(), to)
	}
	m.rules = nil
}

// A kind of segment, made to measure for the state the machine is in.
type kind struct {
	name string
	make func(s *tcp.Status) wire.Segment
}

// nextOf is where the peer's next octet belongs, wherever that is known.
func nextOf(s *tcp.Status) seq.Num {
	if s.RcvNxt == 0 {
		return peerISS + 1
	}
	return s.RcvNxt
}

// allSent is what acknowledges all that the machine has sent.
func allSent(s *tcp.Status) seq.Num {
	if s.SndNxt == 0 {
		return ourISS + 1
	}
	return s.SndNxt
}

func seg(s, a seq.Num, f wire.Flags, n int) wire.Segment {
	return wire.Segment{Seq: s, Ack: a, Flags: f, Text: make([]byte, n)}
}

var kinds = []kind{
	{"SYN, old", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-1, 0, wire.SYN, 0) }},
	{"SYN in the window", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)+5, 0, wire.SYN, 0) }},
	{"SYN,ACK of ours", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-1, ourISS+1, wire.SYN|wire.ACK, 0) }},
	{"SYN,ACK of what was never sent", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-1, ourISS-5, wire.SYN|wire.ACK, 0) }},
	{"ACK of all that is sent", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), allSent(s), wire.ACK, 0) }},
	{"ACK, duplicate", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), s.SndUna, wire.ACK, 0) }},
	{"ACK far below SND.UNA", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), s.SndUna-(1<<30), wire.ACK, 0) }},
	{"ACK above SND.NXT", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), allSent(s)+1, wire.ACK, 0) }},
	{"ACK from outside the window", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-100, allSent(s), wire.ACK, 0) }},
	{"no flag at all", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), 0, 0, 0) }},
	{"text at RCV.NXT", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), s.SndUna, wire.ACK, 4) }},
	{"text behind a gap", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)+4, s.SndUna, wire.ACK, 4) }},
	{"text, received before", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-4, s.SndUna, wire.ACK, 4) }},
	{"text beyond the window", func(s *tcp.Status) wire.Segment {
		return seg(nextOf(s).Add(s.RcvWnd+1), s.SndUna, wire.ACK, 4)
	}},
	{"text without ACK", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), 0, 0, 4) }},
	{"FIN", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), s.SndUna, wire.FIN|wire.ACK, 0) }},
	{"FIN that acknowledges ours", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), allSent(s), wire.FIN|wire.ACK, 0) }},
	{"FIN behind a gap", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)+4, s.SndUna, wire.FIN|wire.ACK, 0) }},
	{"FIN, received before", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-1, allSent(s), wire.FIN|wire.ACK, 0) }},
	{"RST at RCV.NXT", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), 0, wire.RST, 0) }},
	{"RST,ACK at RCV.NXT", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), allSent(s), wire.RST|wire.ACK, 0) }},
	{"RST in the window", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)+1, 0, wire.RST, 0) }},
	{"RST,ACK in the window", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)+1, allSent(s), wire.RST|wire.ACK, 0) }},
	{"RST outside the window", func(s *tcp.Status) wire.Segment { return seg(nextOf(s)-1, 0, wire.RST, 0) }},
	{"RST,ACK of what was never sent", func(s *tcp.Status) wire.Segment { return seg(nextOf(s), ourISS-5, wire.RST|wire.ACK, 0) }},
	{"text with an old timestamp", func(s *tcp.Status) wire.Segment {
		g := seg(nextOf(s), s.SndUna, wire.ACK, 4)
		g.Options = wire.Options{Set: wire.HasTimestamps, TSVal: peerTick - 1}
		return g
	}},
	{"text without the timestamp", func(s *tcp.Status) wire.Segment {
		g := seg(nextOf(s), s.SndUna, wire.ACK, 4)
		g.Options.Set = wire.HasSACKPermitted
		return g
	}},
	{"URG", func(s *tcp.Status) wire.Segment {
		g := seg(nextOf(s), s.SndUna, wire.ACK|wire.URG, 4)
		g.Up = 2
		return g
	}},
}

// The matrix of the eleven states and every kind of segment, each cell with its clauses:
// RFC 9293 section 3.10.7. A change of behavior is a change of testdata/matrix.txt.
func TestMatrix(t *testing.T) {
	var b strings.Builder
	for state := range tcp.States() {
		fmt.Fprintf(&b, "%v\n", state)
		for _, k := range kinds {
			m := newCell(t)
			m.reach(state)
			before := m.c.Status()
			g := k.make(&before)
			arrived := g.String()
			out := m.peer(g)
			after := m.c.State()
			if from := state; from != after && !legalPath(from, after) {
				t.Errorf("%v to %v by %q is no way of Figure 5", from, after, k.name)
			}
			what := strings.Join(out, " ")
			if what == "" {
				what = "nothing"
			}
			became := "stays"
			if after != state {
				became = after.String()
			}
			rules := strings.Join(m.rules, "; ")
			if rules == "" {
				rules = "used"
			}
			fmt.Fprintf(&b, "  %-30s %-45s %-12s sends %-42s [%s]\n", k.name, arrived, became, what, rules)
		}
	}
	golden(t, "testdata/matrix.txt", b.String())
}

// The same for SYN-RECEIVED as TCP Fast Open has it: 4 octets have come with the SYN, and queued ones
// of ours have gone: RFC 7413 section 4.2.2.
func TestMatrixOfFastOpen(t *testing.T) {
	var b strings.Builder
	for _, k := range kinds {
		m := newCell(t)
		m.must(m.c.Open(m.now, tcp.Passive))
		m.c.AnswerFastOpen(nil, 0)
		m.peer(wire.Segment{Seq: peerISS, Flags: wire.SYN, Text: make([]byte, 4)})
		_, err := m.c.Send(m.now, make([]byte, queued))
		m.must(err)
		m.drain()
		m.rules = nil
		before := m.c.Status()
		g := k.make(&before)
		arrived := g.String()
		out := m.peer(g)
		after := m.c.State()
		if after != tcp.SynReceived && !legalPath(tcp.SynReceived, after) {
			t.Errorf("SYN-RECEIVED to %v by %q is no way of Figure 5", after, k.name)
		}
		fmt.Fprintf(&b, "%-30s %-45s %-12v sends %-42s [%s]\n", k.name, arrived, after, strings.Join(out, " "), strings.Join(m.rules, "; "))
	}
	golden(t, "testdata/fastopen.txt", b.String())
}

// legalPath reports whether one segment may lead from one state to the other: by an edge of
// Figure 5, or by two, as a FIN that acknowledges ours does.
func legalPath(from, to tcp.State) bool {
	if tcp.Legal(from, to) {
		return true
	}
	for via := range tcp.States() {
		if tcp.Legal(from, via) && tcp.Legal(via, to) {
			return true
		}
	}
	return false
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			t.Errorf("%s line %d is\n%s\nwant\n%s", file, i+1, g[i], strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
}
