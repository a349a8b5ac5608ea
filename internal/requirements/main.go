// Requirements counts the requirements of RFC 9293: it finds the tags in the tree's comments
// that say which code and which test are for which requirement, and writes RFC.md from them.
//
//	go run ./internal/requirements          writes RFC.md
//	go run ./internal/requirements -check   finds what is wrong, and writes nothing
//
// A tag is the requirement's name as RFC 9293 has it, in a comment, alone or in a list, set off
// by punctuation from what stands around it. A name inside a sentence is refused: it might
// say that the deed is elsewhere.
//
//	// MUST-23
//	// MUST-4, SHLD-2: what is done about it
//	// "R2 for a SYN segment MUST be set large enough" (MUST-23)
//	opened OpenMode // how SYN-RECEIVED was reached, MUST-11
//
// In a file of package source it tags the declaration it stands in, before or beside; in a
// _test.go file the test; in a .txt file below testdata the file.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run . -root ../..

func main() {
	root := flag.String("root", ".", "root of the tree")
	check := flag.Bool("check", false, "report what is wrong instead of writing RFC.md")
	incomplete := flag.Bool("incomplete", false, "with -check: do not ask for what is not there yet, nor for RFC.md to be up to date")
	flag.Parse()
	if err := run(*root, *check, *incomplete); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check, incomplete bool) error {
	reqs, err := parseRequirements(requirementsTSV)
	if err != nil {
		return err
	}
	sections, err := parseSections(sectionsTSV, reqs)
	if err != nil {
		return err
	}
	debts, err := parseDebts(debtsTSV)
	if err != nil {
		return err
	}
	tags, err := scan(root)
	if err != nil {
		return err
	}
	l := newLedger(reqs, sections, debts, tags)
	page := l.page()
	file := filepath.Join(root, "RFC.md")
	if !check {
		return os.WriteFile(file, page, 0o644)
	}
	wrong := l.wrong()
	if !incomplete {
		wrong = append(wrong, l.missing()...)
		if old, err := os.ReadFile(file); err != nil || !bytes.Equal(old, page) {
			wrong = append(wrong, "RFC.md is not what the tree says: make rfc")
		}
	}
	if len(wrong) == 0 {
		fmt.Println(l.totals())
		return nil
	}
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, w)
	}
	return fmt.Errorf("%d findings; %s", len(wrong), l.totals())
}
