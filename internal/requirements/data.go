package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed requirements.tsv
var requirementsTSV string

//go:embed sections.tsv
var sectionsTSV string

//go:embed debts.tsv
var debtsTSV string

// requirement is one labelled requirement of RFC 9293, in our own words.
type requirement struct {
	id, level, section, text string
}

// section is a section of RFC 9293 that has requirements.
type section struct{ number, title string }

// debt says why a requirement has no code or no test.
type debt struct {
	id     string
	kind   string // one of debtKinds
	issue  string // which issue pays a debt; "-" for the other kinds
	reason string
}

// debtKinds tells apart what will come from what will not.
var debtKinds = map[string]string{
	"debt":       "will come",
	"deviation":  "RFC 9293 asks for it, and vitro does otherwise on purpose",
	"documented": "RFC 9293 leaves it open, and vitro does without",
}

// rows splits a table of tab-separated values whose first line names the columns.
func rows(name, src, header string) ([][]string, error) {
	lines := strings.Split(strings.TrimSuffix(src, "\n"), "\n")
	if lines[0] != header {
		return nil, fmt.Errorf("%s: first line %q; want %q", name, lines[0], header)
	}
	columns := strings.Count(header, "\t") + 1
	var out [][]string
	seen := make(map[string]bool)
	for i, line := range lines[1:] {
		row := strings.Split(line, "\t")
		if len(row) != columns {
			return nil, fmt.Errorf("%s:%d: %d columns; want %d", name, i+2, len(row), columns)
		}
		for j := range row {
			row[j] = strings.TrimSpace(row[j])
			if row[j] == "" {
				return nil, fmt.Errorf("%s:%d: column %d is empty", name, i+2, j+1)
			}
		}
		if seen[row[0]] {
			return nil, fmt.Errorf("%s:%d: %s stands twice", name, i+2, row[0])
		}
		seen[row[0]] = true
		out = append(out, row)
	}
	return out, nil
}

func parseRequirements(src string) ([]requirement, error) {
	table, err := rows("requirements.tsv", src, "id\tlevel\tsection\trequirement")
	if err != nil {
		return nil, err
	}
	var reqs []requirement
	for _, r := range table {
		if !wholeID.MatchString(r[0]) {
			return nil, fmt.Errorf("requirements.tsv: %q is no name of a requirement", r[0])
		}
		reqs = append(reqs, requirement{id: r[0], level: r[1], section: r[2], text: r[3]})
	}
	return reqs, nil
}

func parseSections(src string, reqs []requirement) ([]section, error) {
	table, err := rows("sections.tsv", src, "section\ttitle")
	if err != nil {
		return nil, err
	}
	used := make(map[string]bool)
	for _, r := range reqs {
		used[r.section] = true
	}
	var out []section
	for _, r := range table {
		if !used[r[0]] {
			return nil, fmt.Errorf("sections.tsv: section %s has no requirement", r[0])
		}
		delete(used, r[0])
		out = append(out, section{number: r[0], title: r[1]})
	}
	for s := range used {
		return nil, fmt.Errorf("sections.tsv: section %s is missing", s)
	}
	return out, nil
}

func parseDebts(src string) ([]debt, error) {
	table, err := rows("debts.tsv", src, "id\tkind\tissue\treason")
	if err != nil {
		return nil, err
	}
	var out []debt
	for _, r := range table {
		d := debt{id: r[0], kind: r[1], issue: r[2], reason: r[3]}
		if debtKinds[d.kind] == "" {
			return nil, fmt.Errorf("debts.tsv: %s: %q is no kind: debt, deviation or documented", d.id, d.kind)
		}
		if (d.kind == "debt") == (d.issue == "-") {
			return nil, fmt.Errorf("debts.tsv: %s: a debt names the issue that pays it, and nothing else does", d.id)
		}
		out = append(out, d)
	}
	return out, nil
}
