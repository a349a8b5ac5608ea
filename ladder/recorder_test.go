package ladder

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// moments reads a ladder as the story is told: the states of both ends after each departure and
// each arrival, with the segment.
func moments(l *Ladder) []string {
	var now [2]tcp.State
	var all []string
	for _, s := range l.Steps() {
		if s.Kind == StepNote {
			continue
		}
		if s.Known {
			now[s.Peer] = s.State
		}
		m := fmt.Sprintf("%v %v", now[A], now[B])
		if s.Kind == StepDepart {
			m = s.Segment.fields() + " " + m
		}
		if len(all) == 0 || all[len(all)-1] != m {
			all = append(all, m)
		}
	}
	return all
}

// The story's rows, B0 to D7, in their order.
var storyRows = []string{
	"CLOSED LISTEN",                                            // B0
	"<SEQ=1000><CTL=SYN> SYN-SENT LISTEN",                      // B1
	"<SEQ=2000><ACK=1001><CTL=SYN,ACK> SYN-SENT SYN-RECEIVED",  // B2
	"<SEQ=1001><ACK=2001><CTL=ACK> ESTABLISHED SYN-RECEIVED",   // B3
	"ESTABLISHED ESTABLISHED",                                  // B4
	"<SEQ=1006><ACK=2001><CTL=FIN,ACK> FIN-WAIT-1 ESTABLISHED", // D1
	"<SEQ=2001><ACK=1007><CTL=ACK> FIN-WAIT-1 CLOSE-WAIT",      // D2
	"FIN-WAIT-2 CLOSE-WAIT",                                    // D3
	"<SEQ=2001><ACK=1007><CTL=FIN,ACK> FIN-WAIT-2 LAST-ACK",    // D4
	"<SEQ=1007><ACK=2002><CTL=ACK> TIME-WAIT LAST-ACK",         // D5
	"TIME-WAIT CLOSED",                                         // D6
	"CLOSED CLOSED",                                            // D7
}

func TestStoryRows(t *testing.T) {
	for what, l := range map[string]*Ladder{"Ladder": story(false).Ladder(), "Split": story(false).Split()} {
		got := moments(l)
		rest := got
		for _, row := range storyRows {
			for len(rest) > 0 && rest[0] != row {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				t.Errorf("%s: no row %q in its order in\n%s", what, row, strings.Join(got, "\n"))
				break
			}
		}
	}
}

// Every line of Split says both states, but at a lost segment's end.
func TestSplitSaysBothStates(t *testing.T) {
	for _, r := range runs {
		for _, line := range r.run().Split().Lines {
			for p, e := range line.Ends {
				if line.Segment != nil && !e.Known && line.Fate != Lost && e.Note != "duplicate" {
					t.Errorf("%s: line %d says no state of %v", r.name, line.Number, Peer(p))
				}
			}
		}
	}
}

// The run that a figure describes is the figure, whichever peer's events come first.
func TestRunsAreTheFigures(t *testing.T) {
	basic := newStage(tcp.Closed, tcp.Listen)
	basic.state(A, tcp.SynSent)
	basic.flight(A, sg(100, 0, wire.SYN))
	basic.state(B, tcp.SynReceived)
	basic.flight(B, sg(300, 101, wire.SYN|wire.ACK))
	basic.state(A, tcp.Established)
	// The bare ACK and the data depart together, and arrive together.
	ack := basic.depart(A, sg(101, 301, wire.ACK))
	data := basic.depart(A, withText(sg(101, 301, wire.ACK), 7))
	basic.wait(20 * ms)
	basic.arrive(ack)
	basic.state(B, tcp.Established)
	basic.arrive(data)

	two := newStage(tcp.Listen, tcp.Listen) // Figure 11
	two.arrive(two.Stray(A, sg(7000, 0, wire.SYN)))
	two.state(B, tcp.SynReceived)
	two.flight(B, sg(400, 7001, wire.SYN|wire.ACK))
	two.flight(A, sg(7001, 0, wire.RST))
	two.state(B, tcp.Listen)

	closing := newStage(tcp.Established, tcp.Established) // Figure 12
	closing.state(A, tcp.FinWait1)
	closing.flight(A, sg(100, 300, wire.FIN|wire.ACK))
	closing.state(B, tcp.CloseWait)
	ack = closing.depart(B, sg(300, 101, wire.ACK))
	closing.wait(5 * ms)
	closing.call(B, "close") // while its ACK is on the way
	closing.state(B, tcp.LastAck)
	fin := closing.depart(B, sg(300, 101, wire.FIN|wire.ACK))
	closing.wait(15 * ms)
	closing.arrive(ack)
	closing.state(A, tcp.FinWait2)
	closing.wait(5 * ms)
	closing.arrive(fin)
	closing.state(A, tcp.TimeWait)
	closing.flight(A, sg(101, 301, wire.ACK))
	closing.state(B, tcp.Closed)
	closing.wait(60000 * ms)
	closing.note(A, "2 MSL")
	closing.state(A, tcp.Closed)

	for n, r := range map[int]*Recorder{6: basic.Recorder, 7: crossedOpen(), 8: oldDuplicate(), 11: two.Recorder, 12: closing.Recorder, 13: crossedClose()} {
		want := parse(t, figure(t, n))
		b := Bindings{}
		for what, l := range map[string]*Ladder{"Ladder": r.Ladder(), "Split": r.Split()} {
			if err := Diff(want, l, b); err != nil {
				t.Errorf("Figure %d, %s: %v", n, what, err)
			}
		}
		if n == 11 && (b["Z"] != 7000 || b["X"] != 400) {
			t.Errorf("Figure 11: %v", b)
		}
		if n == 6 || n == 12 { // nothing crosses in these: no ellipsis
			if text := r.Ladder().String(); strings.Contains(text, "...") {
				t.Errorf("Figure %d needs no ellipsis:\n%s", n, text)
			}
		}
	}
}

// A retransmission after a timeout is never shown after the arrival that would have made it
// needless, and Split keeps the order of time.
func TestLateSegmentIsNotShownEarly(t *testing.T) {
	for _, noted := range []bool{true, false} {
		s := newStage(tcp.Established, tcp.Established)
		first := s.depart(A, withText(sg(1, 1, wire.ACK), 10))
		s.wait(1000 * ms)
		if noted {
			s.note(A, "retransmission timeout")
		}
		s.flight(A, withText(sg(1, 1, wire.ACK), 10))
		s.wait(500 * ms)
		s.arrive(first)
		var fates []Fate
		for _, l := range s.Ladder().Lines {
			if l.Segment != nil {
				fates = append(fates, l.Fate)
			}
		}
		if want := []Fate{Delayed, Delivered, Arrived}; !reflect.DeepEqual(fates, want) {
			t.Errorf("noted %v: %v; want %v\n%v", noted, fates, want, s.Ladder())
		}
	}
	for _, r := range runs {
		for what, l := range map[string]*Ladder{"Ladder": r.run().Ladder(), "Split": r.run().Split()} {
			last := time.Duration(0)
			for _, line := range l.Lines {
				if line.Timed && line.Time < last {
					t.Errorf("%s, %s: time goes back at line %d", r.name, what, line.Number)
				}
				if line.Timed {
					last = line.Time
				}
			}
		}
	}
}

// A recorded ladder, printed, reads as itself.
func TestRecordedLaddersParse(t *testing.T) {
	for _, r := range runs {
		for _, l := range []*Ladder{r.run().Ladder(), r.run().Split()} {
			for _, width := range []int{0, 80, 120} {
				text := l.Print(PrintOptions{Times: TimesAbsolute, Why: WhysFull, Width: width})
				if m := parse(t, text); !reflect.DeepEqual(l, m) {
					t.Errorf("%s reads otherwise:\n%s\ngot\n%v\nwant\n%v", r.name, text, m, l)
				}
			}
		}
	}
}

func TestSlice(t *testing.T) {
	s := story(false)
	l := s.Slice(2100*ms, tcp.Never).Ladder()
	if e := l.Lines[0].Ends; e[A].State != tcp.Established || e[B].State != tcp.Established {
		t.Errorf("the close begins with %v", e)
	}
	if got := l.Lines[1]; got.Ends[A].Note != "close" || got.Time != 2140*time.Millisecond {
		t.Errorf("then comes %+v", got)
	}
	// Cut in flight: the SYN departs before the part and arrives in it.
	l = s.Slice(10*ms, 30*ms).Ladder()
	if got := l.Lines[1]; got.Fate != Arrived || got.Ends[A] != (End{State: tcp.SynSent, Known: true}) || got.Ends[B].State != tcp.SynReceived {
		t.Errorf("cut in flight: %+v\n%v", got, l)
	}
	if got := l.Lines[2]; got.Fate != Delayed || got.From != B {
		t.Errorf("cut in flight: %+v\n%v", got, l)
	}
}

// Diff says in a sentence about the protocol what differs, with the ladder up to there.
func TestDiff(t *testing.T) {
	const base = `
    TCP Peer A                                             TCP Peer B
1.  ESTABLISHED                                            ESTABLISHED
2.  FIN-WAIT-1  --> <SEQ=100><ACK=300><CTL=FIN,ACK>    --> CLOSE-WAIT
3.  FIN-WAIT-2  <-- <SEQ=300><ACK=101><CTL=ACK>        <-- CLOSE-WAIT   ; A by RFC 9293 3.10.7.4 fifth: our FIN is acknowledged
4.  (2 MSL)
    CLOSED                                                 CLOSE-WAIT
`
	tests := []struct{ old, new, msg string }{
		{"FIN-WAIT-2 ", "TIME-WAIT  ", "A is FIN-WAIT-2, by RFC 9293 3.10.7.4 fifth; want TIME-WAIT"},
		{"FIN-WAIT-2 ", "           ", ""},
		{"<SEQ=300>", "<SEQ=X>", ""},
		{"<SEQ=100>", "<SEQ=101>", "A sends <SEQ=100><ACK=300><CTL=FIN,ACK>: SEQ is 100; want 101"},
		{"<ACK=101>", "<ACK=102>", "B sends <SEQ=300><ACK=101><CTL=ACK>: ACK is 101; want 102"},
		{"<ACK=101>", "<ACK=101><LEN=5>", "LEN is 0; want 5"},
		{"<CTL=ACK>", "<CTL=FIN,ACK>", "CTL is ACK; want FIN,ACK"},
		{"--> CLOSE-WAIT", "... (lost)", "A sends <SEQ=100><ACK=300><CTL=FIN,ACK>; want: A sends <SEQ=100><ACK=300><CTL=FIN,ACK>, which is lost"},
		{"    CLOSED                                                 CLOSE-WAIT\n", "", "A is CLOSED; want FIN-WAIT-2"},
		{"    CLOSED   ", "    LISTEN   ", "A is CLOSED; want LISTEN"},
		{"4.  (2 MSL)\n", "4.  CLOSED --> <SEQ=101><CTL=RST> -->\n5.  (2 MSL)\n", "nothing more happens at A; want: A sends <SEQ=101><CTL=RST>"},
		{"3.  FIN-WAIT-2  <-- <SEQ=300><ACK=101><CTL=ACK>        <-- CLOSE-WAIT", "3. CLOSED", "A is FIN-WAIT-1; want CLOSED"},
	}
	got := parse(t, base)
	if err := Diff(got, got, nil); err != nil {
		t.Error(err)
	}
	for _, tt := range tests {
		text := strings.Replace(base, tt.old, tt.new, 1)
		if text == base {
			t.Fatalf("no %q", tt.old)
		}
		err := Diff(parse(t, text), got, nil)
		var d *Difference
		switch {
		case tt.msg == "" && err != nil:
			t.Errorf("%q for %q: %v", tt.new, tt.old, err)
		case tt.msg != "" && (!errors.As(err, &d) || !strings.Contains(d.Msg, tt.msg)):
			t.Errorf("%q for %q: got %v; want %s", tt.new, tt.old, err, tt.msg)
		}
	}
	err := Diff(parse(t, strings.Replace(base, "FIN-WAIT-2 ", "TIME-WAIT  ", 1)), got, nil)
	if text := err.Error(); !strings.Contains(text, "3.  FIN-WAIT-2") || strings.Contains(text, "4.  ") {
		t.Errorf("the ladder up to line 3, please:\n%s", text)
	}
}

// A segment of the notation and one of the wire are each other's image; symbols take values.
func TestSegment(t *testing.T) {
	w := wire.Segment{Seq: 5, Ack: 9, Wnd: 7, Up: 3, Flags: wire.ACK | wire.URG | wire.PSH, Text: make([]byte, 11)}
	w.Options.Set = wire.HasMSS | wire.HasTimestamps
	w.Options.MSS, w.Options.TSVal, w.Options.TSEcr = 1460, 1, 2
	s := SegmentOf(&w)
	back, err := s.Wire(nil)
	if err != nil || !reflect.DeepEqual(back, w) {
		t.Errorf("got %+v, %v; want %+v", back, err, w)
	}
	b := Bindings{}
	want := Segment{Seq: Number{"X", 1}, Ack: Number{"Y", 0}, Ctl: wire.ACK | wire.URG, Len: 11, Up: 3}
	if _, err := want.Wire(b); err == nil {
		t.Error("X has no value, and yet there is a segment")
	}
	if err := want.Match(&s, b); err != nil || b["X"] != 4 || b["Y"] != 9 {
		t.Errorf("%v, %v", err, b)
	}
	s.Seq = Num(6)
	if err := want.Match(&s, b); err == nil || err.Error() != "SEQ is 6; want X+1, which is 5" {
		t.Error(err)
	}
	if got, err := (&Segment{Seq: Number{"X", 4294967291}}).Wire(b); err != nil || got.Seq != 4294967295 {
		t.Errorf("X-5 is %v, %v", got.Seq, err)
	}
}

// Colour changes nothing but colours.
func TestColor(t *testing.T) {
	l := story(true).Ladder()
	colored := l.Print(PrintOptions{Color: true})
	var plain strings.Builder
	for i := 0; i < len(colored); i++ {
		if colored[i] == '\x1b' {
			i += strings.IndexByte(colored[i:], 'm')
			continue
		}
		plain.WriteByte(colored[i])
	}
	if plain.String() != l.Print(PrintOptions{}) || plain.String() == colored {
		t.Errorf("got\n%s", colored)
	}
}

// With a width, options and reasons go to rows of their own and the rows keep to it.
func TestWidth(t *testing.T) {
	s := newStage(tcp.Closed, tcp.Listen)
	syn := sg(1000, 0, wire.SYN)
	syn.Options = wire.Options{Set: wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted, MSS: 1460, WindowScale: 7}
	s.flight(A, syn)
	l := s.Ladder()
	l.Lines[1].Why = []Why{{A, "RFC 9293 3.10.1", "a sentence that is long enough to need more than one row of the width there is"}}
	wide := l.Print(PrintOptions{Why: WhysFull})
	text := l.Print(PrintOptions{Why: WhysFull, Width: 80})
	for row := range strings.SplitSeq(text, "\n") {
		if len(row) > 80 {
			t.Errorf("%d columns: %s", len(row), row)
		}
	}
	if len(strings.Split(wide, "\n")) != 4 || !reflect.DeepEqual(parse(t, text), parse(t, wide)) {
		t.Errorf("wide:\n%s\nnarrow:\n%s", wide, text)
	}
}

// What is reported after a departure, or at a later instant than an arrival, is a line of its own;
// and a segment that A outlives is not shown as received before A gave up.
func TestWhatBelongsTogether(t *testing.T) {
	s := newStage(tcp.Established, tcp.Established)
	data := s.depart(A, withText(sg(1, 1, wire.ACK), 10))
	s.state(A, tcp.FinWait1) // after the departure: for another reason
	s.wait(500 * ms)
	s.note(A, "user timeout")
	s.state(A, tcp.Closed)
	rst := s.depart(A, sg(11, 1, wire.RST|wire.ACK))
	s.wait(500 * ms)
	s.arrive(data)
	s.wait(10 * ms)
	s.arrive(rst)
	s.wait(10 * ms)
	s.state(B, tcp.Closed) // later than the arrival
	want := `
1.  ESTABLISHED                                        ESTABLISHED
2.  0.000s  ESTABLISHED --> <SEQ=1><ACK=1><LEN=10><CTL=ACK> ... ESTABLISHED
3.  0.000s  FIN-WAIT-1                                 ESTABLISHED
4.  0.500s  (user timeout)
    CLOSED --> <SEQ=11><ACK=1><CTL=RST,ACK>        ... ESTABLISHED
5.  1.000s  CLOSED ... <SEQ=1><ACK=1><LEN=10><CTL=ACK> --> ESTABLISHED
6.  1.010s  CLOSED ... <SEQ=11><ACK=1><CTL=RST,ACK>    --> ESTABLISHED
7.  1.020s  CLOSED                                     CLOSED
`
	got := parse(t, s.Ladder().Print(PrintOptions{Times: TimesAbsolute, Brief: true}))
	if w := parse(t, want); !reflect.DeepEqual(got, w) {
		t.Errorf("got\n%v\nwant\n%v", got, w)
	}
}

// What a program puts into a ladder is printed so that it reads the same, awkward as it may be.
func TestPrintAwkward(t *testing.T) {
	l := &Ladder{
		Sentence: strings.Repeat("a word or two ", 5) + "RFC 793 " + strings.Repeat("and some ", 8) + "1. Figure 2: # more.",
		Peers:    defaultPeers,
		Lines: []Line{
			{Number: 1, Ends: [2]End{{Note: strings.Repeat("long ", 9) + "comment"}, {Note: "b"}}},
			{Ends: [2]End{{State: tcp.Listen, Known: true}, {}}},
			{Number: 999, Ends: [2]End{{}, {State: tcp.TimeWait, Known: true, Note: "nested (comment)"}}},
		},
	}
	if m := parse(t, l.String()); !reflect.DeepEqual(l, m) {
		t.Errorf("%v\nreads as\n%v", l, m)
	}
	// What cannot stand in the notation becomes the nearest that can.
	l.Lines[0].Ends[A].Note, l.Peers[A] = "a) b\n(c", "1. \x00"
	m := parse(t, l.String())
	if got := m.Lines[0].Ends[A].Note; got != "a] b [c" || m.Peers != defaultPeers {
		t.Errorf("got %q, %q", got, m.Peers)
	}
}
