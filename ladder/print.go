package ladder

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitro-net/vitro/tcp"
)

// Times says how the time column is printed.
type Times uint8

// The forms of the time column.
const (
	TimesNone     Times = iota
	TimesAbsolute       // since the start: 60.120s
	TimesRelative       // since the time before: +60.000s
)

// Whys says how the reasons of the lines are printed.
type Whys uint8

// The forms of the clause column.
const (
	WhysNone   Whys = iota
	WhysClause      // the clause alone: RFC 9293 3.10.7.4 fifth
	WhysFull        // clause and sentence
)

// PrintOptions is how a ladder is printed. The zero value is the RFC's look with all that is
// known of the segments.
type PrintOptions struct {
	Times Times         // default: no time column
	Round time.Duration // times are rounded to this; 0: not at all
	Why   Whys          // default: no reasons
	Brief bool          // leave out window, urgent pointer and options, as the figures do
	Width int           // columns to fit in where possible, by moving options and reasons to rows of their own; 0: any
	Color bool          // ANSI colours: states by phase, what is lost in red, reasons dim
}

// String prints the ladder with times and reasons, so that Parse gives back the same ladder.
func (l *Ladder) String() string {
	return l.Print(PrintOptions{Times: TimesAbsolute, Why: WhysFull})
}

// Print writes the ladder in aligned columns. With times and reasons on, nothing is lost:
// [Parse] reads back an equal ladder, given that its comments have balanced parentheses and its
// texts no control characters; where they do not, they are printed with the nearest harmless ones.
func (l *Ladder) Print(o PrintOptions) string {
	p := &printer{o: o}
	p.header(l)
	p.measure(l)
	p.heading(l)
	for i := range l.Lines {
		p.line(&l.Lines[i])
	}
	if t := clean(l.Title); isCaption(t) {
		p.b.WriteString("\n" + strings.Repeat(" ", max(0, (p.colWhy-utf8.RuneCountInString(t))/2)) + t + "\n")
	}
	return p.b.String()
}

type printer struct {
	o                  PrintOptions
	b                  strings.Builder
	col                int // columns written of the present row
	wNum, wTime        int
	colA, colSeg, colB int
	wA, wSeg           int
	colWhy             int
	split              bool // options stand on rows of their own
	last               time.Duration
}

// clean makes s safe to stand in a row: one space for white space, no control characters.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return squeeze(s)
}

// note prints a comment in its parentheses.
func note(s string) string {
	s = clean(s)
	depth := 0
	for _, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		s = strings.NewReplacer("(", "[", ")", "]").Replace(s)
	}
	return "(" + s + ")"
}

// header prints title, sentence and clause.
func (p *printer) header(l *Ladder) {
	title, sentence, clause := clean(l.Title), clean(l.Sentence), clean(l.Clause)
	if title != "" && !isCaption(title) {
		p.b.WriteString("# " + title + "\n")
	}
	if sentence != "" {
		width := p.o.Width
		if width <= 0 {
			width = 80
		}
		for _, row := range wrap(sentence, width, opensHeader) {
			p.b.WriteString(row + "\n")
		}
	}
	if clause != "" {
		p.b.WriteString(clause + "\n")
	}
	if p.b.Len() > 0 {
		p.b.WriteString("\n")
	}
}

// opensHeader matches a word that must not begin a row of the sentence, because a row so begun
// is something else.
var opensHeader = regexp.MustCompile(`^(#|RFC|Figure|\d+\.)$`)

// wrap breaks s into rows of at most width columns where it can; no row but the first begins
// with a word that forbidden matches.
func wrap(s string, width int, forbidden *regexp.Regexp) []string {
	words := strings.Fields(s)
	var rows []string
	row := ""
	for i, w := range words {
		switch {
		case i == 0:
			row = w
		case utf8.RuneCountInString(row)+1+utf8.RuneCountInString(w) > width && !forbidden.MatchString(w):
			rows = append(rows, row)
			row = w
		default:
			row += " " + w
		}
	}
	return append(rows, row)
}

// cell returns how e is printed beside a segment with the fate lost or any other.
func (e *End) cell(lost bool) string {
	var s string
	if lost {
		s = "(lost)"
	}
	if e.Known {
		s = join(s, " ", e.State.String())
	}
	if clean(e.Note) != "" {
		s = join(s, " ", note(e.Note))
	}
	return s
}

// cells returns how the two ends of a line are printed.
func (line *Line) cells() (a, b string) {
	lost := line.Segment != nil && line.Fate == Lost
	return line.Ends[A].cell(lost && line.From == B), line.Ends[B].cell(lost && line.From == A)
}

// measure finds the columns.
func (p *printer) measure(l *Ladder) {
	p.wNum = 3
	bare, wB := 0, 0
	last := p.last
	for i := range l.Lines {
		line := &l.Lines[i]
		p.wNum = max(p.wNum, len(strconv.Itoa(line.Number))+2)
		if p.o.Times != TimesNone && line.Timed {
			p.wTime = max(p.wTime, len(p.time(line.Time, &last))+2)
		}
		a, b := line.cells()
		wB = max(wB, utf8.RuneCountInString(b))
		if line.Segment == nil {
			bare = max(bare, utf8.RuneCountInString(a))
			if line.Ends[A].Known && line.Ends[A].Note == "" {
				p.wA = max(p.wA, len(a)) // a state keeps its column; a long comment may run on
			}
			continue
		}
		p.wA = max(p.wA, utf8.RuneCountInString(a))
		p.wSeg = max(p.wSeg, len(p.segment(line.Segment, false)))
	}
	names := peerNames(l)
	bare = max(bare, utf8.RuneCountInString(names[A]))
	p.colA = p.wNum + 1 + p.wTime
	place := func() {
		p.colSeg = p.colA + p.wA + len(" --> ")
		p.colB = max(p.colSeg+p.wSeg+len(" --> "), p.colA+bare+2)
		p.colWhy = p.colB + max(wB, utf8.RuneCountInString(names[B]))
	}
	place()
	if p.o.Width > 0 && p.colWhy > p.o.Width && !p.o.Brief {
		p.split, p.wSeg = true, 0
		for i := range l.Lines {
			if s := l.Lines[i].Segment; s != nil {
				p.wSeg = max(p.wSeg, len(p.segment(s, false)))
			}
		}
		place()
	}
}

// segment returns the part of a segment that stands between the arrows, or the rest.
func (p *printer) segment(s *Segment, rest bool) string {
	switch {
	case rest && p.split:
		return s.moreFields()
	case rest:
		return ""
	case p.split || p.o.Brief:
		return s.fields()
	}
	return s.String()
}

// peerNames returns the headings as they can be read back.
func peerNames(l *Ladder) [2]string {
	names := [2]string{clean(l.Peers[A]), clean(l.Peers[B])}
	for i := range names {
		if _, n := lineNumber([]rune(names[i])); names[i] == "" || i == 0 && n > 0 {
			names[i] = defaultPeers[i]
		}
	}
	return names
}

func (p *printer) heading(l *Ladder) {
	names := peerNames(l)
	p.at(p.colA, names[A], "")
	p.at(p.colB, names[B], "")
	p.end()
}

// at writes s at a column of the present row, at least two spaces after what stands there.
func (p *printer) at(col int, s, style string) {
	if s == "" {
		return
	}
	if p.col < col {
		p.b.WriteString(strings.Repeat(" ", col-p.col))
		p.col = col
	}
	p.col += utf8.RuneCountInString(s)
	if p.o.Color && style != "" {
		s = "\x1b[" + style + "m" + s + "\x1b[0m"
	}
	p.b.WriteString(s)
}

func (p *printer) end() {
	p.b.WriteByte('\n')
	p.col = 0
}

func (p *printer) line(line *Line) {
	if line.Number > 0 {
		p.at(0, strconv.Itoa(line.Number)+".", "")
	}
	if p.o.Times != TimesNone && line.Timed {
		s := p.time(line.Time, &p.last)
		p.at(p.colA-2-len(s), s, "2")
	}
	a, b := line.cells()
	p.at(p.colA, a, cellStyle(&line.Ends[A]))
	if s := line.Segment; s != nil {
		left, right := arrows(line.From, line.Fate)
		style := ""
		if line.Fate == Lost {
			style = "31"
		}
		p.at(p.colSeg-4, left, style)
		p.at(p.colSeg, p.segment(s, false), "")
		p.at(p.colB-4, right, style)
	}
	p.at(p.colB, b, cellStyle(&line.Ends[B]))
	if line.Segment != nil {
		if rest := p.segment(line.Segment, true); rest != "" {
			p.end()
			p.at(p.colSeg, rest, "")
			p.why(line, false)
			p.end()
			return
		}
	}
	p.why(line, true)
	p.end()
}

// arrows returns the marks at the left and right of a segment.
func arrows(from Peer, fate Fate) (left, right string) {
	arrow := "-->"
	if from == B {
		arrow = "<--"
	}
	depart, arrive := arrow, arrow
	switch fate {
	case Delivered:
	case Delayed, Lost:
		arrive = "..."
	case Arrived:
		depart = "..."
	}
	if from == B {
		return arrive, depart
	}
	return depart, arrive
}

// goesOn matches a word with which a further row of a reason must not begin.
var goesOn = regexp.MustCompile(`^[AB]$`)

// why prints the reasons of a line: at its right if asked to and where the width allows, else below.
func (p *printer) why(line *Line, right bool) {
	if p.o.Why == WhysNone {
		return
	}
	var texts []string
	widest := 0
	for _, w := range line.Why {
		w.Clause, w.Sentence = clean(w.Clause), clean(w.Sentence)
		if p.o.Why == WhysClause {
			w.Sentence = ""
		}
		if w.Clause == "" && w.Sentence == "" {
			continue
		}
		texts = append(texts, w.String())
		widest = max(widest, utf8.RuneCountInString(w.String()))
	}
	right = right && (p.o.Width <= 0 || p.colWhy+4+widest <= p.o.Width)
	col, room := p.colWhy+2, widest
	if !right {
		col = p.colA + 2
		room = max(p.o.Width-col-2, 24)
	}
	for i, text := range texts {
		// "A by" stays with the word after it: without one, the row would be no reason.
		opening := len("A by ")
		for k, row := range wrap(text[opening:], room-opening, goesOn) {
			if k == 0 {
				row = text[:opening] + row
			}
			if !right || i > 0 {
				p.end()
			}
			p.at(col, "; "+row, "2")
		}
	}
}

// time prints t, a time after *last, and makes it the last.
func (p *printer) time(t time.Duration, last *time.Duration) string {
	if p.o.Round > 0 {
		t = t.Round(p.o.Round)
	}
	d := t - *last
	*last = t
	if p.o.Times == TimesRelative && d >= 0 {
		return "+" + formatTime(d)
	}
	return formatTime(t)
}

// formatTime prints seconds with three digits after the point, or as many as it takes.
func formatTime(t time.Duration) string {
	t = max(t, 0)
	frac := strings.TrimRight(fmt.Sprintf("%09d", t%time.Second), "0")
	for len(frac) < 3 {
		frac += "0"
	}
	return fmt.Sprintf("%d.%ss", t/time.Second, frac)
}

// cellStyle returns the ANSI colour of a cell.
func cellStyle(e *End) string {
	if !e.Known {
		return "2"
	}
	switch phaseOf(e.State) {
	case phaseOpening:
		return "34"
	case phaseOpen:
		return "32"
	case phaseClosing:
		return "33"
	case phaseWaiting:
		return "35"
	case phaseNone:
	}
	return "2"
}

// phase is a part of a connection's life, for colours.
type phase uint8

const (
	phaseNone    phase = iota // there is no connection
	phaseOpening              // it is being made
	phaseOpen
	phaseClosing // it is being ended
	phaseWaiting // 2 MSL
)

func phaseOf(s tcp.State) phase {
	switch s {
	case tcp.Closed:
		return phaseNone
	case tcp.Listen, tcp.SynSent, tcp.SynReceived:
		return phaseOpening
	case tcp.Established:
		return phaseOpen
	case tcp.FinWait1, tcp.FinWait2, tcp.CloseWait, tcp.Closing, tcp.LastAck:
		return phaseClosing
	case tcp.TimeWait:
		return phaseWaiting
	}
	return phaseNone
}
