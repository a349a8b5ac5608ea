package ladder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func figure(t testing.TB, n int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "tcp", "testdata", "figures", fmt.Sprintf("figure-%02d.ladder", n)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t testing.TB, text string) *Ladder {
	t.Helper()
	l, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return l
}

// RFC 9293 figures 6 to 13 are read, and printed so that they read the same, also narrow and in
// the indent of the RFC's page.
func TestFigures(t *testing.T) {
	for n := 6; n <= 13; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			text := figure(t, n)
			l := parse(t, text)
			if l.Sentence == "" || !strings.HasPrefix(l.Clause, "RFC 9293 section 3.") || !strings.HasPrefix(l.Title, fmt.Sprintf("Figure %d: ", n)) {
				t.Errorf("header: %q, %q, %q", l.Sentence, l.Clause, l.Title)
			}
			indented := "   " + strings.ReplaceAll(text, "\n", "\n   ")
			for what, again := range map[string]string{"printed": l.String(), "narrow": l.Print(PrintOptions{Why: WhysFull, Width: 40}), "indented": indented} {
				if m := parse(t, again); !reflect.DeepEqual(l, m) {
					t.Errorf("%s, it reads otherwise:\n%s\ngot  %+v\nwant %+v", what, again, m, l)
				}
			}
		})
	}
}

// What the RFC prints in one row between blank lines is printed the same, but for the width of the
// columns: the words of each row and their order.
func TestFiguresPrintTheRFCsRows(t *testing.T) {
	words := func(s string) string {
		s = s[strings.Index(s, "TCP Peer A"):]
		s = strings.ReplaceAll(s, "<DATA=10><CTL=ACK>", "<LEN=10><CTL=ACK>")
		return strings.Join(strings.Fields(s), " ")
	}
	for n := 6; n <= 13; n++ {
		text := figure(t, n)
		if got, want := words(parse(t, text).String()), words(text); got != want {
			t.Errorf("Figure %d\ngot  %s\nwant %s", n, got, want)
		}
	}
}

// Each line of Figure 7 and some of others, by value.
func TestParseLines(t *testing.T) {
	end := func(s tcp.State) End { return End{State: s, Known: true} }
	seg := func(s, a Number, f wire.Flags) *Segment { return &Segment{Seq: s, Ack: a, Ctl: f} }
	none := Number{}
	z, z1, x := Number{Symbol: "Z"}, Number{"Z", 1}, Number{Symbol: "X"}
	synack := wire.SYN | wire.ACK
	tests := []struct {
		figure, line int
		want         Line
	}{
		{7, 0, Line{Number: 1, Ends: [2]End{end(tcp.Closed), end(tcp.Closed)}}},
		{7, 1, Line{Number: 2, Ends: [2]End{end(tcp.SynSent), {}}, Segment: seg(Num(100), none, wire.SYN), From: A, Fate: Delayed}},
		{7, 2, Line{Number: 3, Ends: [2]End{end(tcp.SynReceived), end(tcp.SynSent)}, Segment: seg(Num(300), none, wire.SYN), From: B}},
		{7, 3, Line{Number: 4, Ends: [2]End{{}, end(tcp.SynReceived)}, Segment: seg(Num(100), none, wire.SYN), From: A, Fate: Arrived}},
		{7, 4, Line{Number: 5, Ends: [2]End{end(tcp.SynReceived), {}}, Segment: seg(Num(100), Num(301), synack), From: A, Fate: Delayed}},
		{7, 5, Line{Number: 6, Ends: [2]End{end(tcp.Established), end(tcp.SynReceived)}, Segment: seg(Num(300), Num(101), synack), From: B}},
		{7, 6, Line{Number: 7, Ends: [2]End{{}, end(tcp.Established)}, Segment: seg(Num(100), Num(301), synack), From: A, Fate: Arrived}},
		{6, 4, Line{Number: 5, Ends: [2]End{end(tcp.Established), end(tcp.Established)}, Segment: &Segment{Seq: Num(101), Ack: Num(301), Ctl: wire.ACK, Data: true}}},
		{8, 2, Line{Number: 3, Ends: [2]End{{Note: "duplicate"}, end(tcp.SynReceived)}, Segment: seg(Num(90), none, wire.SYN), From: A, Fate: Arrived}},
		{9, 0, Line{Number: 1, Ends: [2]End{{Note: "REBOOT"}, {Note: "send 300,receive 100"}}}},
		{9, 4, Line{Number: 5, Ends: [2]End{end(tcp.SynSent), {Note: "Abort!!"}}, Segment: seg(Num(100), none, wire.RST)}},
		{10, 1, Line{Number: 2, Ends: [2]End{{Note: "??"}, end(tcp.Established)}, Segment: &Segment{Seq: Num(300), Ack: Num(100), Ctl: wire.ACK, Len: 10}, From: B}},
		{11, 1, Line{Number: 2, Ends: [2]End{{}, end(tcp.SynReceived)}, Segment: seg(z, none, wire.SYN), From: A, Fate: Arrived}},
		{11, 2, Line{Number: 3, Ends: [2]End{{Note: "??"}, end(tcp.SynReceived)}, Segment: seg(x, z1, synack), From: B}},
		{11, 3, Line{Number: 4, Ends: [2]End{{}, {Note: "return to LISTEN!"}}, Segment: seg(z1, none, wire.RST), From: A}},
		{12, 1, Line{Number: 2, Ends: [2]End{{Note: "Close"}, {}}}},
		{12, 4, Line{Number: 4, Ends: [2]End{{}, {Note: "Close"}}}},
		{13, 3, Line{Ends: [2]End{}, Segment: seg(Num(300), Num(100), wire.FIN|wire.ACK), From: B}},
	}
	for _, tt := range tests {
		l := parse(t, figure(t, tt.figure))
		if got := l.Lines[tt.line]; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Figure %d, Lines[%d]\ngot  %+v %v\nwant %+v %v", tt.figure, tt.line, got, got.Segment, tt.want, tt.want.Segment)
		}
	}
}

// What stands beyond the RFC's grammar.
const beyond = `# A run

It shows what the RFC's figures do not.
RFC 9293 section 3.7.1
RFC 7323

            client                                  server
1.  0.000s  CLOSED                                  LISTEN
2.  0.001s  (connect)
            SYN-SENT --> <SEQ=1000><CTL=SYN>    --> SYN-RECEIVED  ; A by RFC 9293 3.10.1: active OPEN
                         <WND=65535><MSS=1460><WS=7><SACKOK><TS=1,0><AO=5,6>
                                            ; B by RFC 9293 3.10.7.2 third: check for a SYN,
                                            ; which it is
3. +0.020s  (lost) ... <SEQ=2000><ACK=1001><CTL=SYN,ACK> <-- SYN-RECEIVED
4. +1.0s    ESTABLISHED (x) <-- <SEQ=Z-1><ACK=1001><CTL=URG,ACK><UP=5><LEN=7><SACK=5-9,12-15> ... (slow) SYN-RECEIVED
`

func TestParseBeyondTheRFC(t *testing.T) {
	l := parse(t, beyond)
	if l.Title != "A run" || l.Clause != "RFC 9293 section 3.7.1; RFC 7323" || l.Peers != [2]string{"client", "server"} || len(l.Lines) != 5 {
		t.Fatalf("header: %+v", l)
	}
	syn := l.Lines[2]
	if got, want := syn.Segment.String(), "<SEQ=1000><CTL=SYN><WND=65535><MSS=1460><WS=7><SACKOK><TS=1,0><AO=5,6>"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	why := []Why{{A, "RFC 9293 3.10.1", "active OPEN"}, {B, "RFC 9293 3.10.7.2 third", "check for a SYN, which it is"}}
	if !reflect.DeepEqual(syn.Why, why) {
		t.Errorf("got %q; want %q", syn.Why, why)
	}
	lost := l.Lines[3]
	if lost.Fate != Lost || lost.From != B || lost.Time != 21*time.Millisecond || lost.Ends[A] != (End{}) {
		t.Errorf("a lost segment: %+v", lost)
	}
	last := l.Lines[4]
	if last.Time != 1021*time.Millisecond || last.Fate != Arrived || last.From != B || last.Ends[A].Note != "x" || last.Ends[B].Note != "slow" {
		t.Errorf("the last line: %+v", last)
	}
	if got, want := last.Segment.String(), "<SEQ=Z-1><ACK=1001><LEN=7><CTL=URG,ACK><UP=5><SACK=5-9,12-15>"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	for _, o := range []PrintOptions{
		{Times: TimesAbsolute, Why: WhysFull}, {Times: TimesRelative, Why: WhysFull},
		{Times: TimesRelative, Why: WhysFull, Width: 100}, {Times: TimesAbsolute, Why: WhysFull, Width: 1},
	} {
		if m := parse(t, l.Print(o)); !reflect.DeepEqual(l, m) {
			t.Errorf("%+v reads otherwise:\n%s\ngot  %+v\nwant %+v", o, l.Print(o), m, l)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text      string
		line, col int
		msg       string
	}{
		{"", 1, 1, "no numbered line"},
		{"A sentence.\n", 2, 1, "no numbered line"},
		{"1.  CLOSED  LISTENING", 1, 13, "unknown state LISTENING"},
		{"1.  CLOSED\n2.  CLOSED  LISTEN  LISTEN", 2, 21, "a third column"},
		{"1.  CLOSED LISTEN", 1, 12, "a second state"},
		{"1.  (a) (b)", 1, 9, "a second comment"},
		{"1.  ()", 1, 5, "empty comment"},
		{"1.  (a", 1, 5, "no end"},
		{"1.  --> <SEQ=1><CTL=SYN", 1, 16, "no end"},
		{"1.  --> <CTL=SYN> -->", 1, 9, "no SEQ"},
		{"1.  --> <SEQ=1> -->", 1, 9, "no CTL"},
		{"1.  --> <SEQ=1><CTL=SYN> -->\n2.  --> <SEQ=1> -->\n3. CLOSED", 2, 9, "no CTL"},
		{"1.  --> <SEQ=1><CTL=ACK> -->", 1, 9, "no ACK field"},
		{"1.  --> <SEQ=1><ACK=1><CTL=SYN> -->", 1, 9, "CTL has no ACK"},
		{"1.  --> <SEQ=1><UP=1><CTL=SYN> -->", 1, 9, "no URG"},
		{"1.  --> <SEQ=1><CTL=SIN> -->", 1, 16, `unknown control bit "SIN"`},
		{"1.  --> <SEQ=1><CTL=SYN,SYN> -->", 1, 16, "SYN is said twice"},
		{"1.  --> <SEQ=1><SEQ=1> -->", 1, 16, "SEQ is said twice"},
		{"1.  --> <SEQ=1><LEN=1><DATA><CTL=> -->", 1, 23, "DATA is said twice"},
		{"1.  --> <SEQ=1><FOO=1> -->", 1, 16, "unknown field FOO"},
		{"1.  --> <SEQ=1><WND> -->", 1, 16, "needs a value"},
		{"1.  --> <SEQ=4294967296> -->", 1, 9, "0 to 4294967295"},
		{"1.  --> <SEQ=1><WND=65536> -->", 1, 16, "0 to 65535"},
		{"1.  --> <SEQ=Z+> -->", 1, 9, "SEQ"},
		{"1.  --> <SEQ=Z.1> -->", 1, 9, "no symbol"},
		{"1.  --> <SEQ=1><SACK=1> -->", 1, 16, "SACK"},
		{"1.  --> <SEQ=1><SACK=1-2,1-2,1-2,1-2,1-2> -->", 1, 16, "more than 4 blocks"},
		{"1.  --> <SEQ=1><SACKOK=1> -->", 1, 16, "no value"},
		{"1.  --> <SEQ=1><CTL=SYN>", 1, 9, "arrow"},
		{"1.  <SEQ=1><CTL=SYN> -->", 1, 5, "arrow"},
		{"1.  <SEQ=1><CTL=SYN>", 1, 5, "arrow"},
		{"1.  --> <SEQ=1><CTL=SYN> <--", 1, 5, "do not go together"},
		{"1.  ... <SEQ=1><CTL=SYN> ...", 1, 5, "do not go together"},
		{"1.  --> <SEQ=1><CTL=SYN> --> <SEQ=1>", 1, 30, "a second segment"},
		{"1.  -->", 1, 5, "without a segment"},
		{"1.  CLOSED\n    <MSS=1>", 2, 5, "without a segment above"},
		{"1.  CLOSED  ; because", 1, 13, "A by"},
		{"1.  CLOSED  ;", 1, 13, "no reason"},
		{"0.  CLOSED", 1, 1, "no number of a line"},
		{"99999999999.  CLOSED", 1, 1, "no number of a line"},
		{"1.  5  CLOSED", 1, 5, "no time"},
		{"1.  1.0000000000s", 1, 5, "no time"},
		{"1.  9223372035s\n2.  +9223372035s", 2, 5, "no time"},
		{"1.  ?", 1, 5, "unexpected '?'"},
		{"# a\n# b\n1. CLOSED", 2, 1, "a second title"},
		{"# a\n1. CLOSED\n Figure 1: b", 3, 2, "a second title"},
		{"1. CLOSED\nFigure 1: b\nCLOSED", 3, 1, "after the figure's caption"},
		{"1. CLOSED\x00", 1, 10, "control character"},
		{"1. (\xff)", 1, 5, "not UTF-8"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.text)
		var p *ParseError
		if !errors.As(err, &p) {
			t.Errorf("%q: got %v; want a ParseError", tt.text, err)
			continue
		}
		if p.Line != tt.line || p.Column != tt.col || !strings.Contains(p.Msg, tt.msg) {
			t.Errorf("%q: got %v; want line %d, column %d: ...%s", tt.text, p, tt.line, tt.col, tt.msg)
		}
	}
}

// Parse never panics, and what Print writes reads as the same ladder.
func FuzzParse(f *testing.F) {
	for n := 6; n <= 13; n++ {
		f.Add(figure(f, n), 0)
	}
	f.Add(beyond, 80)
	f.Add("1. A sentence\n", 0)
	f.Add("x RFC 9293 1. # Figure 3: y\n\n a  b\n1.\n 5.1s (lost) (lost)\n; A by : b\n; A a\n", 10)
	f.Add("1. --> <SEQ=1><CTL=> ... (lost) CLOSED (lost)", 30)
	f.Fuzz(func(t *testing.T, text string, width int) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		for _, o := range []PrintOptions{{Times: TimesAbsolute, Why: WhysFull, Width: width}, {Times: TimesRelative, Why: WhysFull, Width: width}} {
			printed := l.Print(o)
			m, err := Parse(printed)
			if err != nil {
				t.Fatalf("%v\n%q\n%s", err, text, printed)
			}
			if !reflect.DeepEqual(l, m) {
				t.Fatalf("%q is printed as\n%s\nwhich reads as\n%+v\nwant\n%+v", text, printed, m, l)
			}
		}
	})
}

// The Fast Open option as RFC 7413 section 3 draws it, read and said again.
func TestCookieOpt(t *testing.T) {
	for _, text := range []string{"<SEQ=1000><CTL=SYN><COOKIEOPT=NIL>", "<SEQ=1000><LEN=9><CTL=SYN><MSS=1460><COOKIEOPT=0102030405060708>"} {
		l := parse(t, "1. SYN-SENT --> "+text+" --> LISTEN\n")
		if got := l.Lines[0].Segment.String(); got != text {
			t.Errorf("%s is said as %s", text, got)
		}
		w, err := l.Lines[0].Segment.Wire(nil)
		if err != nil || !w.Options.Has(wire.HasFastOpen) {
			t.Errorf("%s: %v", text, err)
		}
		w.Options.FastOpen = bytes.Clone(w.Options.FastOpen)
		kept := SegmentOf(&w)
		clear(w.Options.FastOpen) // the packet's memory, used again
		if err := l.Lines[0].Segment.Match(&kept, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []string{"0", "01", "010203", "0102", "0102030405", "zz", "010203040506070809101112131415161718"} {
		if _, err := Parse("1. SYN-SENT --> <SEQ=1><CTL=SYN><COOKIEOPT=" + bad + "> --> LISTEN\n"); err == nil {
			t.Errorf("a cookie %q is read", bad)
		}
	}
}
