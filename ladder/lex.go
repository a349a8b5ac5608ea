package ladder

import (
	"fmt"
	"slices"

	"github.com/vitro-net/vitro/tcp"
)

type tokenKind uint8

const (
	tokState  tokenKind = iota // ESTABLISHED
	tokNote                    // (2 MSL)
	tokArrow                   // -->, <-- or ...
	tokFields                  // <SEQ=100><CTL=SYN>
	tokWhy                     // ; and the rest of the row
)

type token struct {
	kind     tokenKind
	col, end int
	text     string
	state    tcp.State
	fields   []field
}

type field struct {
	text string
	col  int
}

// lexer cuts one row into tokens.
type lexer struct {
	n   int // of the row, from 1
	row []rune
	i   int
}

func (x *lexer) errorf(col int, format string, args ...any) error {
	return &ParseError{x.n, col + 1, fmt.Sprintf(format, args...)}
}

// tokens returns what is left of the row.
func (x *lexer) tokens() ([]token, error) {
	var toks []token
	for {
		x.i = skipSpace(x.row, x.i)
		if x.i == len(x.row) {
			return toks, nil
		}
		t := token{col: x.i}
		if err := x.next(&t); err != nil {
			return nil, err
		}
		t.end = x.i
		toks = append(toks, t)
	}
}

func (x *lexer) next(t *token) error {
	r := x.row[x.i]
	switch {
	case r == ';':
		t.kind, t.text = tokWhy, squeeze(string(x.row[x.i+1:]))
		x.i = len(x.row)
		if t.text == "" {
			return x.errorf(t.col, "no reason after the semicolon")
		}
		return nil
	case r == '(':
		return x.note(t)
	case r == '<' && x.i+1 < len(x.row) && isLetter(x.row[x.i+1]):
		return x.fields(t)
	case isLetter(r):
		return x.state(t)
	case x.i+3 <= len(x.row):
		if t.text = string(x.row[x.i : x.i+3]); t.text == "-->" || t.text == "<--" || t.text == "..." {
			t.kind = tokArrow
			x.i += 3
			return nil
		}
	}
	return x.errorf(t.col, "unexpected %q", r)
}

func (x *lexer) note(t *token) error {
	depth := 0
	for ; x.i < len(x.row); x.i++ {
		switch x.row[x.i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			x.i++
			t.kind, t.text = tokNote, squeeze(string(x.row[t.col+1:x.i-1]))
			if t.text == "" {
				return x.errorf(t.col, "an empty comment")
			}
			return nil
		}
	}
	return x.errorf(t.col, "the comment has no end")
}

func (x *lexer) fields(t *token) error {
	t.kind = tokFields
	for x.i+1 < len(x.row) && x.row[x.i] == '<' && isLetter(x.row[x.i+1]) {
		n := slices.Index(x.row[x.i:], '>')
		if n < 0 {
			return x.errorf(x.i, "the field has no end")
		}
		t.fields = append(t.fields, field{string(x.row[x.i+1 : x.i+n]), x.i})
		x.i += n + 1
	}
	t.text = string(x.row[t.col:x.i])
	return nil
}

func (x *lexer) state(t *token) error {
	for x.i < len(x.row) && (isLetter(x.row[x.i]) || isDigit(x.row[x.i]) || x.row[x.i] == '-') {
		x.i++
	}
	name := string(x.row[t.col:x.i])
	var ok bool
	if t.state, ok = stateOf(name); !ok {
		return x.errorf(t.col, "unknown state %s; a comment stands in parentheses", name)
	}
	t.kind, t.text = tokState, name
	return nil
}
