package ladder

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitro-net/vitro/tcp"
)

// A ParseError says where a text is no ladder.
type ParseError struct {
	Line, Column int // from 1; the column in characters, a tab reaching to the next multiple of 8
	Msg          string
}

// Error returns "line 3, column 17: unknown state LISTENING".
func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Parse reads a ladder: the RFC's figures 6 to 13 as they stand in the RFC, page indent or not,
// and what the package's comment adds. Every error is a *[ParseError].
func Parse(text string) (*Ladder, error) {
	p := &parser{l: &Ladder{Peers: defaultPeers}, mid: 30}
	rows, err := splitRows(text)
	if err != nil {
		return nil, err
	}
	first := 0
	for first < len(rows) && !startsLine(rows[first]) {
		first++
	}
	if first == len(rows) {
		return nil, &ParseError{len(rows), 1, `no numbered line ("1.  CLOSED  LISTEN")`}
	}
	if err := p.header(rows[:first]); err != nil {
		return nil, err
	}
	for i, row := range rows[first:] {
		if err := p.row(first+i+1, row); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.l, nil
}

// splitRows cuts text into rows of characters without tabs and control characters.
func splitRows(text string) ([][]rune, error) {
	var rows [][]rune
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		var row []rune
		for i, r := range line {
			if r == '\t' {
				row = append(row, []rune("        ")[len(row)%8:]...)
				continue
			}
			if _, n := utf8.DecodeRuneInString(line[i:]); r == utf8.RuneError && n == 1 {
				return nil, &ParseError{len(rows) + 1, len(row) + 1, "not UTF-8"}
			}
			if unicode.IsControl(r) {
				return nil, &ParseError{len(rows) + 1, len(row) + 1, "a control character"}
			}
			row = append(row, r)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// startsLine reports whether row begins with the number of a line.
func startsLine(row []rune) bool {
	_, n := lineNumber(row)
	return n > 0
}

// lineNumber returns the digits of the number that row begins with and the position after its
// dot; 0 if there is none.
func lineNumber(row []rune) (digits string, next int) {
	i := skipSpace(row, 0)
	from := i
	for i < len(row) && isDigit(row[i]) {
		i++
	}
	if i == from || i == len(row) || row[i] != '.' || i+1 < len(row) && row[i+1] != ' ' {
		return "", 0
	}
	return string(row[from:i]), i + 1
}

func skipSpace(row []rune, i int) int {
	for i < len(row) && row[i] == ' ' {
		i++
	}
	return i
}

type parser struct {
	l      *Ladder
	mid    int           // a lone cell that begins left of this column is A's
	at     time.Duration // the last time read
	seg    fieldSet      // the fields of the last line
	segRow int           // where that segment stands, for errors
	segCol int
	ended  bool // the caption has been read
}

// header reads what stands before the first line.
func (p *parser) header(rows [][]rune) error {
	last := len(rows) - 1
	for last >= 0 && skipSpace(rows[last], 0) == len(rows[last]) {
		last--
	}
	if last >= 0 {
		if a, b, ok := headings(rows[last]); ok {
			p.l.Peers = [2]string{a.text, b.text}
			p.mid = (a.col + b.col) / 2
			last--
		}
	}
	for i, row := range rows[:last+1] {
		s := squeeze(string(row))
		switch {
		case s == "":
		case strings.HasPrefix(s, "# ") || isCaption(s):
			if p.l.Title != "" {
				return &ParseError{i + 1, skipSpace(row, 0) + 1, "a second title"}
			}
			p.l.Title = strings.TrimPrefix(s, "# ")
		case strings.HasPrefix(s, "RFC "):
			p.l.Clause = join(p.l.Clause, "; ", s)
		default:
			p.l.Sentence = join(p.l.Sentence, " ", s)
		}
	}
	return nil
}

func join(a, sep, b string) string {
	if a == "" {
		return b
	}
	return a + sep + b
}

// squeeze makes every run of white space one space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// isCaption reports whether s is the line under a figure: "Figure 6: Basic ...".
func isCaption(s string) bool {
	rest, ok := strings.CutPrefix(s, "Figure ")
	n, _, colon := strings.Cut(rest, ":")
	return ok && colon && n != "" && strings.Trim(n, "0123456789") == ""
}

type heading struct {
	text string
	col  int
}

// headings reads a row of two names with two or more spaces between.
func headings(row []rune) (a, b heading, ok bool) {
	var cells []heading
	for i := skipSpace(row, 0); i < len(row); i = skipSpace(row, i) {
		from := i
		for i < len(row) && (row[i] != ' ' || i+1 < len(row) && row[i+1] != ' ') {
			i++
		}
		cells = append(cells, heading{squeeze(string(row[from:i])), from})
	}
	if len(cells) != 2 || cells[0].text == "" || cells[1].text == "" {
		return a, b, false
	}
	return cells[0], cells[1], true
}

// row reads one row after the header.
func (p *parser) row(n int, row []rune) error {
	if s := squeeze(string(row)); s == "" {
		return nil
	} else if p.ended {
		return &ParseError{n, skipSpace(row, 0) + 1, "text after the figure's caption"}
	} else if isCaption(s) {
		if p.l.Title != "" {
			return &ParseError{n, skipSpace(row, 0) + 1, "a second title"}
		}
		p.l.Title, p.ended = s, true
		return nil
	}
	x := &lexer{n: n, row: row}
	line := Line{}
	if err := p.prefix(x, &line); err != nil {
		return err
	}
	fresh := line.Number > 0 || line.Timed
	toks, err := x.tokens()
	if err != nil {
		return err
	}
	if len(toks) == 0 && !fresh {
		return nil
	}
	var why *token
	if k := len(toks) - 1; k >= 0 && toks[k].kind == tokWhy {
		why, toks = &toks[k], toks[:k]
	}
	if !fresh && (len(toks) == 0 || toks[0].kind == tokFields && len(toks) == 1) {
		if len(toks) == 1 {
			if err := p.moreFields(n, toks[0]); err != nil {
				return err
			}
		}
		return p.why(n, why)
	}
	if err := p.finish(); err != nil { // the segment of the line before
		return err
	}
	if err := p.cells(n, toks, &line); err != nil {
		return err
	}
	p.l.Lines = append(p.l.Lines, line)
	return p.why(n, why)
}

// prefix reads the number and the time that a row may begin with.
func (p *parser) prefix(x *lexer, line *Line) error {
	if digits, next := lineNumber(x.row); next > 0 {
		v, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || v == 0 {
			return x.errorf(next-1-len(digits), "%s is no number of a line", digits)
		}
		line.Number = int(v)
		x.i = next
	}
	x.i = skipSpace(x.row, x.i)
	if x.i == len(x.row) || x.row[x.i] != '+' && !isDigit(x.row[x.i]) {
		return nil
	}
	from := x.i
	for x.i < len(x.row) && x.row[x.i] != ' ' {
		x.i++
	}
	text := string(x.row[from:x.i])
	d, err := parseTime(strings.TrimPrefix(text, "+"))
	if err == nil && text[0] == '+' {
		if d > math.MaxInt64-p.at {
			err = errTime
		}
		d += p.at
	}
	if err != nil {
		return x.errorf(from, "%q is no time; write 0.020s, or +0.020s after the time before", text)
	}
	line.Timed, line.Time, p.at = true, d, d
	return nil
}

// cells reads what the peers do and the segment between them.
func (p *parser) cells(n int, toks []token, line *Line) error {
	at := -1
	for i, t := range toks {
		if t.kind == tokFields {
			if at >= 0 {
				return &ParseError{n, t.col + 1, "a second segment"}
			}
			at = i
		}
	}
	if at < 0 {
		return p.bareCells(n, toks, line)
	}
	if at == 0 || toks[at-1].kind != tokArrow || at+1 == len(toks) || toks[at+1].kind != tokArrow {
		return &ParseError{n, toks[at].col + 1, "a segment needs an arrow (-->, <-- or ...) on both sides"}
	}
	var ok bool
	if line.From, line.Fate, ok = direction(toks[at-1].text, toks[at+1].text); !ok {
		return &ParseError{n, toks[at-1].col + 1, fmt.Sprintf("%s and %s do not go together", toks[at-1].text, toks[at+1].text)}
	}
	ends := [2][]token{toks[:at-1], toks[at+2:]}
	if line.Fate == Delayed {
		to := &ends[line.From.Other()]
		if i := slices.IndexFunc(*to, func(t token) bool { return t.kind == tokNote && t.text == "lost" }); i >= 0 {
			line.Fate, *to = Lost, slices.Concat((*to)[:i], (*to)[i+1:])
		}
	}
	for i := range ends {
		if err := endOf(n, ends[i], &line.Ends[i]); err != nil {
			return err
		}
	}
	p.seg, p.segRow, p.segCol = fieldSet{}, n, toks[at].col
	line.Segment = new(Segment) // filled by finish, for more fields may follow
	return p.moreFields(n, toks[at])
}

// direction reads the two arrows around a segment.
func direction(left, right string) (Peer, Fate, bool) {
	switch left + right {
	case "-->-->":
		return A, Delivered, true
	case "-->...":
		return A, Delayed, true
	case "...-->":
		return A, Arrived, true
	case "<--<--":
		return B, Delivered, true
	case "...<--":
		return B, Delayed, true
	case "<--...":
		return B, Arrived, true
	}
	return 0, 0, false
}

// bareCells reads a row without a segment: two spaces or more part A's cell from B's, and a lone
// cell belongs to the heading that is nearer.
func (p *parser) bareCells(n int, toks []token, line *Line) error {
	if len(toks) == 0 {
		return nil
	}
	cut := []int{0}
	for i, t := range toks {
		if i > 0 && t.col-toks[i-1].end >= 2 {
			cut = append(cut, i)
		}
	}
	switch {
	case len(cut) > 2:
		return &ParseError{n, toks[cut[2]].col + 1, "a third column; there are two peers"}
	case len(cut) == 2:
		if err := endOf(n, toks[:cut[1]], &line.Ends[A]); err != nil {
			return err
		}
		return endOf(n, toks[cut[1]:], &line.Ends[B])
	case toks[0].col < p.mid:
		return endOf(n, toks, &line.Ends[A])
	}
	return endOf(n, toks, &line.Ends[B])
}

// endOf reads one peer's cell: a state, a comment, or both.
func endOf(n int, toks []token, e *End) error {
	for _, t := range toks {
		switch t.kind {
		case tokState:
			if e.Known {
				return &ParseError{n, t.col + 1, "a second state of one peer"}
			}
			e.Known, e.State = true, t.state
		case tokNote:
			if e.Note != "" {
				return &ParseError{n, t.col + 1, "a second comment at one peer; give it a row of its own"}
			}
			e.Note = t.text
		case tokArrow, tokFields, tokWhy:
			return &ParseError{n, t.col + 1, fmt.Sprintf("%s without a segment", t.text)}
		}
	}
	return nil
}

// moreFields reads a run of fields of the last line's segment.
func (p *parser) moreFields(n int, t token) error {
	if k := len(p.l.Lines); p.segRow == 0 || p.segRow != n && (k == 0 || p.l.Lines[k-1].Segment == nil) {
		return &ParseError{n, t.col + 1, "fields without arrows and without a segment above"}
	}
	for _, f := range t.fields {
		if err := p.seg.add(f.text); err != nil {
			return &ParseError{n, f.col + 1, err.Error()}
		}
	}
	return nil
}

// finish completes the segment of the last line.
func (p *parser) finish() error {
	k := len(p.l.Lines) - 1
	if k < 0 || p.l.Lines[k].Segment == nil {
		return nil
	}
	s, err := p.seg.done()
	if err != nil {
		return &ParseError{p.segRow, p.segCol + 1, err.Error()}
	}
	p.l.Lines[k].Segment = s
	return nil
}

// why adds a reason, or more words of one, to the last line.
func (p *parser) why(n int, t *token) error {
	if t == nil {
		return nil
	}
	line := &p.l.Lines[len(p.l.Lines)-1]
	rest, isA := strings.CutPrefix(t.text, "A by ")
	if !isA {
		var isB bool
		if rest, isB = strings.CutPrefix(t.text, "B by "); !isB {
			k := len(line.Why) - 1
			if k < 0 {
				return &ParseError{n, t.col + 1, `a reason begins with "A by" or "B by"`}
			}
			w := &line.Why[k]
			whole := w.Clause
			if w.Sentence != "" {
				whole += ": " + w.Sentence
			}
			w.Clause, w.Sentence = splitWhy(whole + " " + t.text)
			return nil
		}
	}
	w := Why{Peer: B}
	if isA {
		w.Peer = A
	}
	w.Clause, w.Sentence = splitWhy(rest)
	line.Why = append(line.Why, w)
	return nil
}

func splitWhy(s string) (clause, sentence string) {
	clause, sentence, _ = strings.Cut(s, ": ")
	return strings.TrimSpace(clause), sentence
}

var errTime = fmt.Errorf("no time")

// parseTime reads seconds with up to nine digits after the point, and an s.
func parseTime(s string) (time.Duration, error) {
	s, ok := strings.CutSuffix(s, "s")
	whole, frac, point := strings.Cut(s, ".")
	if !ok || whole == "" || point && frac == "" || len(frac) > 9 || strings.Trim(whole+frac, "0123456789") != "" {
		return 0, errTime
	}
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec > math.MaxInt64/int64(time.Second)-1 {
		return 0, errTime
	}
	ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	return time.Duration(sec)*time.Second + time.Duration(ns), err
}

// stateOf returns the state that the RFC calls name.
func stateOf(name string) (tcp.State, bool) {
	for s := range tcp.States() {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}
