package ladder

import (
	"fmt"
	"strings"

	"github.com/vitro-net/vitro/tcp"
)

// StepKind is what happens in a [Step].
type StepKind uint8

// The kinds of steps.
const (
	StepNote   StepKind = iota // a comment or a user's call: Note
	StepDepart                 // Peer sends Segment; Lost says if it is lost on the way
	StepArrive                 // Segment reaches Peer
	StepState                  // Peer is in State, whatever brought it there
)

// A Step is one thing that happens at one peer.
type Step struct {
	Kind    StepKind
	Peer    Peer
	Line    int // index into Ladder.Lines
	Note    string
	Segment *Segment
	Lost    bool
	State   tcp.State // after the step
	Known   bool      // State is said
	Why     []Why     // Peer's, of the line
}

// Steps returns the ladder as a script, from the first line to the last: what a test plays, from
// either seat or both. A line of a segment delivered is a departure and an arrival; a state beside
// an ellipsis, or on a line without a segment, is a StepState.
func (l *Ladder) Steps() []Step {
	var steps []Step
	for i := range l.Lines {
		line := &l.Lines[i]
		step := func(k StepKind, p Peer) *Step {
			s := Step{Kind: k, Peer: p, Line: i, State: line.Ends[p].State, Known: line.Ends[p].Known}
			for _, w := range line.Why {
				if w.Peer == p {
					s.Why = append(s.Why, w)
				}
			}
			steps = append(steps, s)
			return &steps[len(steps)-1]
		}
		for _, p := range []Peer{A, B} {
			if note := line.Ends[p].Note; note != "" {
				steps = append(steps, Step{Kind: StepNote, Peer: p, Line: i, Note: note})
			}
		}
		acts := [2]bool{}
		if line.Segment != nil {
			to := line.From.Other()
			if line.Fate != Arrived {
				s := step(StepDepart, line.From)
				s.Segment, s.Lost, acts[line.From] = line.Segment, line.Fate == Lost, true
			}
			if line.Fate == Delivered || line.Fate == Arrived {
				step(StepArrive, to).Segment, acts[to] = line.Segment, true
			}
		}
		for _, p := range []Peer{A, B} {
			if !acts[p] && line.Ends[p].Known {
				step(StepState, p)
			}
		}
	}
	return steps
}

// A Difference says where one ladder leaves another. Its error text is a sentence about the
// protocol, and the ladder up to there.
type Difference struct {
	Got  *Ladder
	Line int    // index into Got.Lines: the last line that counts
	Msg  string // "A is TIME-WAIT, by RFC 9293 3.10.7.4 fifth; want FIN-WAIT-2"
}

// Error returns the sentence and the ladder.
func (d *Difference) Error() string {
	part := *d.Got
	part.Title, part.Sentence, part.Clause = "", "", ""
	part.Lines = part.Lines[:min(d.Line+1, len(part.Lines))]
	return d.Msg + "\n" + part.Print(PrintOptions{Why: WhysClause, Brief: true})
}

// Diff compares what happened with what a figure or a script wants, and returns nil or a
// *[Difference]. Each peer is compared by itself, so that the order of what the peers cannot know
// of each other does not count. Notes, times and reasons do not count, nor what want leaves out:
// states, windows, options (see [Segment.Match]). Symbols in want take their values from got and
// are added to b, which may be nil.
func Diff(want, got *Ladder, b Bindings) error {
	if b == nil {
		b = Bindings{}
	}
	seats := [2]seat{{peer: A}, {peer: B}}
	for _, s := range got.Steps() {
		if s.Kind != StepNote {
			seats[s.Peer].steps = append(seats[s.Peer].steps, s)
		}
	}
	// The peers go on together by the lines of want: a symbol is bound where it is first seen.
	for _, s := range want.Steps() {
		if s.Kind == StepNote {
			continue
		}
		line, msg := seats[s.Peer].check(&s, b)
		if line < 0 {
			line = len(got.Lines) - 1
		}
		if msg != "" {
			return &Difference{got, line, msg}
		}
	}
	for i := range seats {
		if line, msg := seats[i].rest(); msg != "" {
			return &Difference{got, line, msg}
		}
	}
	return nil
}

// A seat is one peer's part of what happened, as far as it is compared.
type seat struct {
	peer  Peer
	steps []Step // what is left
	now   Step   // the last step that said a state
	want  Step   // the last step wanted that said a state
}

// skip goes on to the next departure or arrival, or over the states before it to state until.
func (p *seat) skip(until *tcp.State) {
	for len(p.steps) > 0 && p.steps[0].Kind == StepState && (until == nil || !p.is(*until)) {
		p.now, p.steps = p.steps[0], p.steps[1:]
	}
}

func (p *seat) is(s tcp.State) bool { return p.now.Known && p.now.State == s }

// check compares the next step with s, and returns the line and the sentence that differ; a
// negative line is the last.
func (p *seat) check(s *Step, b Bindings) (line int, msg string) {
	if s.Known {
		p.want = *s
	}
	if s.Kind == StepState {
		// A figure may say the state a row before the departure that goes with it (Figure 13).
		if p.skip(&s.State); p.is(s.State) || len(p.steps) > 0 && p.steps[0].Known && p.steps[0].State == s.State {
			return 0, ""
		}
		if !p.now.Known {
			return -1, fmt.Sprintf("the state of %v is not known; want %v", p.peer, s.State)
		}
		return p.now.Line, fmt.Sprintf("%v is %v%s; want %v", p.peer, p.now.State, by(p.now.Why), s.State)
	}
	p.skip(nil)
	if len(p.steps) == 0 {
		return -1, fmt.Sprintf("nothing more happens at %v; want: %s", p.peer, s)
	}
	have := p.steps[0]
	p.steps = p.steps[1:]
	if have.Known {
		p.now = have
	}
	return have.Line, s.differs(&have, b)
}

// rest says what happens beyond what was wanted.
func (p *seat) rest() (line int, msg string) {
	p.skip(nil)
	switch {
	case len(p.steps) > 0:
		return p.steps[0].Line, fmt.Sprintf("%s; want nothing more", &p.steps[0])
	case p.want.Known && p.now.Known && p.now.State != p.want.State:
		return p.now.Line, fmt.Sprintf("%v is %v%s; want %v", p.peer, p.now.State, by(p.now.Why), p.want.State)
	}
	return 0, ""
}

// differs says how got is not what s wants, or nothing.
func (s *Step) differs(got *Step, b Bindings) string {
	if s.Kind != got.Kind {
		return fmt.Sprintf("%s; want: %s", got, s)
	}
	if s.Segment != nil {
		if err := s.Segment.Match(got.Segment, b); err != nil {
			return fmt.Sprintf("%s: %v", got, err)
		}
		if s.Lost != got.Lost {
			return fmt.Sprintf("%s; want: %s", got, s)
		}
	}
	if s.Known && got.Known && s.State != got.State {
		return fmt.Sprintf("%v is %v%s; want %v", got.Peer, got.State, by(got.Why), s.State)
	}
	return ""
}

// by names the reasons of a state.
func by(why []Why) string {
	var clauses []string
	for _, w := range why {
		clauses = append(clauses, w.Clause)
	}
	if clauses == nil {
		return ""
	}
	return ", by " + strings.Join(clauses, " and ")
}

// String says what happens: "A sends <SEQ=100><CTL=SYN>".
func (s *Step) String() string {
	switch s.Kind {
	case StepNote:
		return fmt.Sprintf("(%s) at %v", s.Note, s.Peer)
	case StepDepart:
		if s.Lost {
			return fmt.Sprintf("%v sends %s, which is lost", s.Peer, s.Segment.fields())
		}
		return fmt.Sprintf("%v sends %s", s.Peer, s.Segment.fields())
	case StepArrive:
		return fmt.Sprintf("%v receives %s", s.Peer, s.Segment.fields())
	case StepState:
		return fmt.Sprintf("%v becomes %v%s", s.Peer, s.State, by(s.Why))
	}
	return "nothing"
}
