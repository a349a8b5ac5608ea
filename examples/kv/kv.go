// Package kv is a small service that keeps values by keys, as one that somebody has written before he
// knew of vitro: a server that takes a listener, a client that takes a dial function, and nothing of either
// knows what is beneath. Its tests are what the example is about: they run both over package lab.
//
// A request is a line and so is its answer, with strings quoted as Go quotes them:
//
//	get "key"                     value "..." | none
//	put "key" "value"             ok
//	add "key" 5 "id"              value "..."
//	ping                          ok
//
// add is what must not happen twice. It has an id, by which the server knows one that a client sends
// again because it has not seen the answer.
package kv

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errSyntax is the answer to what is not understood.
var errSyntax = errors.New("syntax")

// fields takes a line apart.
func fields(line string) (list []string, err error) {
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, _, _ := strings.Cut(rest, " ")
		if rest[0] == '"' {
			if word, err = strconv.QuotedPrefix(rest); err != nil {
				return nil, fmt.Errorf("%w: %q", errSyntax, rest)
			}
		}
		rest = rest[len(word):]
		if word[0] == '"' {
			if word, err = strconv.Unquote(word); err != nil {
				return nil, fmt.Errorf("%w: %q", errSyntax, rest)
			}
		}
		list = append(list, word)
	}
	return list, nil
}
