package tcp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The figures of RFC 9293 sections 3.5 and 3.6 are scripts: testdata/figures. Each is played
// three times: with the machine in A's seat, in B's seat, and in both.
func TestFigures(t *testing.T) {
	files, err := filepath.Glob("testdata/figures/*.ladder")
	if err != nil || len(files) != 8 {
		t.Fatalf("want the eight figures 6 to 13, have %v (%v)", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fig, err := ladder.Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".ladder")
		for _, seats := range [][]ladder.Peer{{ladder.A}, {ladder.B}, {ladder.A, ladder.B}} {
			who := "both"
			if len(seats) == 1 {
				who = seats[0].String()
			}
			t.Run(name+"/"+who, func(t *testing.T) { play(t, fig, seats) })
		}
	}
}

// A player plays a ladder: what it says of a seat's departures and states is what the
// machine there must do; what the other side sends is sent to it.
type player struct {
	t      *testing.T
	now    tcp.Time
	rec    *ladder.Recorder
	seats  [2]*tcp.Conn
	flying [2][]flying // by who sent it
	bound  ladder.Bindings
	after  func() // what a comment beside an arrival says of its effect
}

// A flying segment is on its way, as it really left.
type flying struct {
	said *ladder.Segment
	seg  wire.Segment
	id   ladder.ID
}

var flowOfA = wire.Flow{
	Local: wire.Addr4([4]byte{10, 0, 0, 1}), LocalPort: 40000,
	Remote: wire.Addr4([4]byte{10, 0, 0, 2}), RemotePort: 80,
}

func play(t *testing.T, fig *ladder.Ladder, seats []ladder.Peer) {
	steps := fig.Steps()
	p := &player{t: t, now: 1, rec: ladder.NewRecorder(tcp.Closed, tcp.Closed), bound: ladder.Bindings{"Z": 700, "X": 900}}
	for _, s := range seats {
		p.sit(s, steps)
	}
	p.begin(steps)
	for i := range steps {
		if p.step(&steps[i]); t.Failed() {
			t.Fatalf("line %d of the figure\n%s", fig.Lines[steps[i].Line].Number, p.rec.Ladder().Print(ladder.PrintOptions{Why: ladder.WhysClause}))
		}
	}
	last := steps[len(steps)-1]
	for who, c := range p.seats {
		var seg wire.Segment
		if last.Kind == ladder.StepArrive && last.Peer == ladder.Peer(who) {
			continue // what answers the last line lies beyond the figure
		}
		if c != nil && c.Output(p.now, &seg) {
			t.Errorf("%v sends %v, which the figure does not show", ladder.Peer(who), &seg)
		}
	}
}

// sit puts a machine into a seat. Its initial sequence numbers are those of the SYNs that the
// figure lets it send, one after the other.
func (p *player) sit(who ladder.Peer, steps []ladder.Step) {
	var isns []seq.Num
	for _, s := range steps {
		if s.Kind == ladder.StepDepart && s.Peer == who && s.Segment.Ctl&wire.SYN != 0 {
			isn, _ := p.bound.Value(s.Segment.Seq)
			if len(isns) == 0 || isns[len(isns)-1] != isn {
				isns = append(isns, isn)
			}
		}
	}
	cfg := &tcp.Config{
		ISN: func(tcp.Time, wire.Flow) seq.Num {
			if len(isns) == 0 {
				return p.firstSeq(who, steps) - 1
			}
			isn := isns[0]
			isns = isns[1:]
			return isn
		},
		Trace: &tcp.Trace{Become: func(_ tcp.Observed, now tcp.Time, from, to tcp.State, rule tcp.Rule) {
			p.rec.State(now, who, to, rule)
			if !tcp.Legal(from, to) {
				p.t.Errorf("%v goes from %v to %v by %v, which is not in Figure 5", who, from, to, rule)
			}
		}},
	}
	flow := flowOfA
	if who == ladder.B {
		flow = flow.Reverse()
	}
	p.seats[who] = tcp.New(cfg, flow, 1500)
}

// firstSeq is the sequence number that a connection which is open when the figure begins
// sends next.
func (p *player) firstSeq(who ladder.Peer, steps []ladder.Step) seq.Num {
	for _, s := range steps {
		if s.Segment == nil {
			continue
		}
		if s.Peer == who && s.Kind == ladder.StepDepart && s.Segment.Ctl&wire.SYN == 0 {
			v, _ := p.bound.Value(s.Segment.Seq)
			return v
		}
		if s.Peer != who && s.Kind == ladder.StepDepart && s.Segment.Ctl&wire.ACK != 0 {
			v, _ := p.bound.Value(s.Segment.Ack)
			return v
		}
	}
	p.t.Fatalf("the figure does not say what %v sends", who)
	return 0
}

// begin brings the machines to where the figure's first states have them.
func (p *player) begin(steps []ladder.Step) {
	first := [2]tcp.State{}
	seen := [2]bool{}
	for _, s := range steps {
		if s.Kind == ladder.StepState && s.Known && !seen[s.Peer] {
			first[s.Peer], seen[s.Peer] = s.State, true
		} else if s.Kind == ladder.StepDepart || s.Kind == ladder.StepArrive {
			if !seen[s.Peer] && s.Kind == ladder.StepDepart && s.Known {
				first[s.Peer] = s.State
			}
			seen[s.Peer] = true
		}
	}
	for i, c := range p.seats {
		if c == nil {
			continue
		}
		switch first[i] {
		case tcp.Listen:
			p.must(c.Open(p.now, tcp.Passive))
		case tcp.Established:
			p.establish(ladder.Peer(i), steps)
		case tcp.Closed, tcp.SynSent, tcp.SynReceived, tcp.FinWait1, tcp.FinWait2, tcp.CloseWait, tcp.Closing, tcp.LastAck, tcp.TimeWait:
		}
	}
}

// establish makes a seat's connection ESTABLISHED with a peer who is not there, at the
// numbers with which the figure goes on.
func (p *player) establish(who ladder.Peer, steps []ladder.Step) {
	c := p.seats[who]
	p.must(c.Open(p.now, tcp.Active))
	syn := p.output(who)
	peer := p.firstSeq(1-who, steps)
	c.Arrive(p.now, &wire.Segment{Seq: peer - 1, Ack: syn.Seq + 1, Flags: wire.SYN | wire.ACK, Wnd: 65535})
	p.output(who)
}

func (p *player) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) output(who ladder.Peer) wire.Segment {
	p.t.Helper()
	var seg wire.Segment
	if !p.seats[who].Output(p.now, &seg) {
		p.t.Fatalf("%v, in %v, sends nothing", who, p.seats[who].State())
	}
	return seg
}

func (p *player) step(s *ladder.Step) {
	c := p.seats[s.Peer]
	switch s.Kind {
	case ladder.StepNote:
		p.note(s.Peer, c, s.Note)
		return
	case ladder.StepDepart:
		p.depart(s, c)
	case ladder.StepArrive:
		p.arrive(s, c)
	case ladder.StepState:
	}
	if c != nil && s.Known && c.State() != s.State {
		p.t.Errorf("%v is %v; want %v", s.Peer, c.State(), s.State)
	}
}

func (p *player) note(who ladder.Peer, c *tcp.Conn, note string) {
	if c == nil {
		return
	}
	switch strings.ToLower(note) {
	case "close":
		p.must(c.Close(p.now))
	case "2 msl":
		if got, want := c.Deadline(), p.now.Add(2*tcp.DefaultMSL); got > want {
			p.t.Errorf("%v will leave TIME-WAIT at %v; want %v, 2 MSL from now", who, got, want)
		}
		p.now = c.Deadline()
		c.Timeout(p.now)
	case "abort!!":
		p.after = func() { p.aborted(who, c) }
	case "return to listen!":
		p.after = func() { p.listening(who, c) }
	}
}

func (p *player) aborted(who ladder.Peer, c *tcp.Conn) {
	if c.State() != tcp.Closed || c.Err() != tcp.ErrReset {
		p.t.Errorf("%v is %v with error %v; want the connection reset", who, c.State(), c.Err())
	}
}

func (p *player) listening(who ladder.Peer, c *tcp.Conn) {
	if c.State() != tcp.Listen {
		p.t.Errorf("%v is %v; want LISTEN", who, c.State())
	}
}

// depart takes from the machine the segment that the figure shows.
func (p *player) depart(s *ladder.Step, c *tcp.Conn) {
	if c == nil {
		return
	}
	if c.State() == tcp.Closed && s.Segment.Ctl == wire.SYN {
		p.must(c.Open(p.now, tcp.Active))
	}
	if n := s.Segment.Len; n > 0 || s.Segment.Data {
		_, err := c.Send(p.now, make([]byte, max(n, 1)))
		p.must(err)
	}
	f := flying{said: s.Segment}
	if !c.Output(p.now, &f.seg) {
		p.now = c.Deadline() // what is not answered is sent again
		c.Timeout(p.now)
		if f.seg = p.output(s.Peer); p.t.Failed() {
			return
		}
	}
	f.seg.Text = append([]byte(nil), f.seg.Text...)
	f.id = p.rec.Depart(p.now, s.Peer, &f.seg)
	got := ladder.SegmentOf(&f.seg)
	if err := s.Segment.Match(&got, p.bound); err != nil {
		p.t.Errorf("%v sends %v: %v", s.Peer, &f.seg, err)
	}
	p.flying[s.Peer] = append(p.flying[s.Peer], f)
}

// arrive brings the segment to the machine: as the other machine sent it, or, where there is
// none or the segment is older than it, as the figure writes it.
func (p *player) arrive(s *ladder.Step, c *tcp.Conn) {
	if c == nil {
		return
	}
	f := p.take(s)
	p.rec.Arrive(p.now, f.id)
	c.Arrive(p.now, &f.seg)
	if p.after != nil {
		p.after()
		p.after = nil
	}
}

func (p *player) take(s *ladder.Step) flying {
	from := 1 - s.Peer
	for i, f := range p.flying[from] {
		got := ladder.SegmentOf(&f.seg)
		if s.Segment.Match(&got, p.bound) == nil {
			p.flying[from] = append(p.flying[from][:i:i], p.flying[from][i+1:]...)
			return f
		}
	}
	seg, err := s.Segment.Wire(p.bound)
	if err != nil {
		p.t.Fatal(err)
	}
	seg.Wnd = 65535
	return flying{seg: seg, id: p.rec.Stray(from, &seg)}
}
