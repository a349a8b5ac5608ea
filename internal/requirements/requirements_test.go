package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// RFC 9293 has MUST-1 to 69, SHLD-1 to 31, MAY-1 to 18 and REC-1.
func TestEveryRequirementIsListed(t *testing.T) {
	reqs, err := parseRequirements(requirementsTSV)
	if err != nil {
		t.Fatal(err)
	}
	if len(reqs) != 119 {
		t.Errorf("%d requirements; RFC 9293 has 119", len(reqs))
	}
	byID := make(map[string]requirement)
	for _, r := range reqs {
		byID[r.id] = r
	}
	for kind, level := range map[string]string{"MUST": "MUST", "SHLD": "SHOULD", "MAY": "MAY", "REC": "RECOMMENDED"} {
		for n := 1; n <= map[string]int{"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}[kind]; n++ {
			id := kind + "-" + itoa(n)
			if r, ok := byID[id]; !ok {
				t.Errorf("%s is missing", id)
			} else if r.level != level && r.level != level+" NOT" {
				t.Errorf("%s has level %s", id, r.level)
			}
		}
	}
	if _, err := parseSections(sectionsTSV, reqs); err != nil {
		t.Error(err)
	}
	debts, err := parseDebts(debtsTSV)
	if err != nil {
		t.Error(err)
	}
	if l := newLedger(reqs, nil, debts, nil); len(l.odd) > 0 {
		t.Error(l.odd)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestTablesAreChecked(t *testing.T) {
	reqs := []requirement{{id: "MUST-1", section: "3.1"}}
	debtsOf := func(src string) error { _, err := parseDebts("id\tkind\tissue\treason\n" + src); return err }
	reqsOf := func(src string) error {
		_, err := parseRequirements("id\tlevel\tsection\trequirement\n" + src)
		return err
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"a debt", debtsOf("MUST-1\tdebt\tThe lab\tno UDP yet\n"), ""},
		{"a deviation", debtsOf("MUST-1\tdeviation\t-\tnobody does\n"), ""},
		{"a debt without an issue", debtsOf("MUST-1\tdebt\t-\tno UDP yet\n"), "names the issue"},
		{"a deviation with one", debtsOf("MUST-1\tdeviation\tThe lab\tnobody does\n"), "names the issue"},
		{"a debt without a reason", debtsOf("MUST-1\tdebt\tThe lab\t\n"), "column 4 is empty"},
		{"a kind of its own", debtsOf("MUST-1\tlater\t-\tx\n"), "no kind"},
		{"a column too few", debtsOf("MUST-1\tdebt\tThe lab\n"), "3 columns"},
		{"a debt twice", debtsOf("MUST-1\tdeviation\t-\tx\nMUST-1\tdeviation\t-\ty\n"), "twice"},
		{"a name that is none", reqsOf("MUST1\tMUST\t3.1\tx\n"), "no name"},
		{"another header", func() error { _, err := parseDebts("id\treason\n"); return err }(), "first line"},
		{"a section missing", func() error { _, err := parseSections("section\ttitle\n", reqs); return err }(), "3.1 is missing"},
		{"a section too many", func() error { _, err := parseSections("section\ttitle\n3.1\tA\n3.2\tB\n", reqs); return err }(), "3.2 has no requirement"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "<nil>"
			if tt.err != nil {
				got = tt.err.Error()
			}
			if tt.want == "" && tt.err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("error %s; want %q", got, tt.want)
			}
		})
	}
}

func TestTagsOfALine(t *testing.T) {
	tests := []struct {
		line        string
		tags, prose string
	}{
		{"MUST-23", "MUST-23", ""},
		{" MUST-4, SHLD-2", "MUST-4 SHLD-2", ""},
		{"MUST-4 and MUST-5", "MUST-4 MUST-5", ""},
		{"MUST-4; MUST-5", "MUST-4 MUST-5", ""},
		{"MUST-23: at least three minutes", "MUST-23", ""},
		{"how SYN-RECEIVED was reached, MUST-11", "MUST-11", ""},
		{"SND.WND, scaled; REC-1", "REC-1", ""},
		{"it is kept. MUST-50", "MUST-50", ""},
		{`"MUST be treated as an unsigned number" (MUST-1). It is`, "MUST-1", ""},
		{`"The receiver MUST check it (MUST-3)."`, "MUST-3", ""},
		{"(MUST-1, MUST-2)", "MUST-1 MUST-2", ""},
		{"is told (SHLD-9,", "SHLD-9", ""},
		{"SHLD-10). Default 3.", "SHLD-10", ""},
		{"MUST-55 is the stack's business", "", "MUST-55"},
		{"unlike MUST-23 this is short", "", "MUST-23"},
		{"see MUST-23", "", "MUST-23"},
		{"see MUST-23.", "", "MUST-23"},
		{"MAY-1: not for MAY-2 here", "MAY-1", "MAY-2"},
		{`prints "RFC 9293 3.1 MUST-7"`, "", ""},
		{"prints `MUST-7`", "", ""},
		{"MUSTER-7, XMUST-1, MUST-1x, MUST -1", "", ""},
		{"a dash MUST-", "", ""},
	}
	for _, tt := range tests {
		tags, prose := idsOf(tt.line)
		if got := strings.Join(tags, " "); got != tt.tags {
			t.Errorf("%q tags %q; want %q", tt.line, got, tt.tags)
		}
		if got := strings.Join(prose, " "); got != tt.prose {
			t.Errorf("%q names %q in its sentence; want %q", tt.line, got, tt.prose)
		}
	}
}

const goSource = `// MUST-1
package p

import "time" // MUST-2

// Config is what is set.
//
// MUST-3
type Config struct {
	// MSL is long. MUST-4
	MSL time.Duration
	R1  int // MUST-5
	R2  int
	// MUST-6
}

const (
	a = 1 // MUST-7
	// MUST-8
	b, c = 2, 3
)

// MUST-9

/*
 * Close closes. MUST-10
 */
func (c *Conn[T]) Close() { // MUST-11
	f("MUST-12")
	// MUST-13, MUST-14
} // MUST-15

// MUST-16
func open() {}

type doer interface {
	do() // MUST-17
}

// MUST-18
`

// A tag belongs to the declaration it stands in, beside or before.
func TestPlaces(t *testing.T) {
	want := map[string]string{
		"MUST-1": "p/a.go", "MUST-2": "p/a.go", "MUST-3": "p/a.go:Config", "MUST-4": "p/a.go:Config.MSL",
		"MUST-5": "p/a.go:Config.R1", "MUST-6": "p/a.go:Config", "MUST-7": "p/a.go:a", "MUST-8": "p/a.go:b",
		"MUST-9": "p/a.go:Conn.Close", "MUST-10": "p/a.go:Conn.Close", "MUST-11": "p/a.go:Conn.Close",
		"MUST-13": "p/a.go:Conn.Close", "MUST-14": "p/a.go:Conn.Close", "MUST-15": "p/a.go:Conn.Close",
		"MUST-16": "p/a.go:open", "MUST-17": "p/a.go:doer.do", "MUST-18": "p/a.go",
	}
	tags, err := scanGo("p/a.go", []byte(goSource))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, tag := range tags {
		got[tag.id] = tag.place()
		if tag.test || tag.prose {
			t.Errorf("%s is taken for a test or prose", tag.id)
		}
		if line := strings.Split(goSource, "\n")[tag.line-1]; !strings.Contains(line, tag.id) {
			t.Errorf("%s is said to stand in line %d, which is %q", tag.id, tag.line, line)
		}
	}
	for id, place := range want {
		if got[id] != place {
			t.Errorf("%s stands at %q; want %q", id, got[id], place)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d requirements tagged; want %d: a text in quotes is no comment", len(got), len(want))
	}
}

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, src := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestScan(t *testing.T) {
	root := tree(t, map[string]string{
		"tcp/a.go":                        "package tcp\n\n// f does. MUST-1\nfunc f() {}\n",
		"tcp/a_test.go":                   "package tcp\n\n// MUST-1\nfunc TestF(t *testing.T) {}\n",
		"judges/b_test.go":                "package judges\n\nfunc TestKernel(t *testing.T) {\n\t// MUST-2\n}\n",
		"ladder/testdata/figure-6.txt":    "# The handshake. RFC 9293 section 3.5, MUST-10\n1. CLOSED LISTEN\n",
		"ladder/testdata/prose.txt":       "A RST may carry text (SHLD-2).\n",
		"ladder/testdata/matrix.golden":   "MUST-66\n",
		"ladder/testdata/a.go":            "// MUST-66\npackage x\n",
		".git/c.go":                       "// MUST-66\npackage x\n",
		"notes.txt":                       "MUST-66\n",
		"internal/requirements/x.go":      "// MUST-66\npackage main\n",
		"internal/requirements/x_test.go": "// MUST-66\npackage main\n",
	})
	tags, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tag := range tags {
		kind := "code"
		if tag.test {
			kind = "test"
		}
		got = append(got, tag.id+" "+kind+" "+tag.place())
	}
	slices.Sort(got)
	want := []string{
		"MUST-1 code tcp/a.go:f",
		"MUST-1 test tcp/a_test.go:TestF",
		"MUST-10 test ladder/testdata/figure-6.txt",
		"MUST-2 test judges/b_test.go:TestKernel",
		"SHLD-2 test ladder/testdata/prose.txt",
	}
	if !slices.Equal(got, want) {
		t.Errorf("scan found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	threeReqs = []requirement{
		{"MUST-1", "MUST", "3.1", "one"}, {"MUST-2", "MUST", "3.1", "two"}, {"MAY-1", "MAY", "3.6.1", "three"},
	}
	code1 = tag{id: "MUST-1", file: "a.go", symbol: "F"}
	test1 = tag{id: "MUST-1", file: "a_test.go", symbol: "TestF", test: true}
	code2 = tag{id: "MUST-2", file: "a.go", symbol: "G"}
	test2 = tag{id: "MUST-2", file: "a_test.go", symbol: "TestG", test: true}
	owed  = debt{"MUST-2", "debt", "The lab", "no UDP"}
	none  = debt{"MAY-1", "documented", "-", "not used"}
)

func TestLedger(t *testing.T) {
	tests := []struct {
		name           string
		debts          []debt
		tags           []tag
		wrong, missing string // each finding's beginning, joined by "; "
	}{
		{"all there", []debt{none}, []tag{code1, test1, code2, test2}, "", ""},
		{"one owed", []debt{none, owed}, []tag{code1, test1}, "", ""},
		{"one owed, with code", []debt{none, owed}, []tag{code1, test1, code2}, "", ""},
		{"a debt that is paid", []debt{none, owed}, []tag{code1, test1, code2, test2}, "debts.tsv: MUST-2 is paid", ""},
		{"no test", []debt{none}, []tag{code1, test1, code2}, "", "MUST-2 (3.1, two) has no tag for a test"},
		{"no code", []debt{none}, []tag{code1, test1, test2}, "", "MUST-2 (3.1, two) has no tag for code"},
		{"nothing", []debt{none}, []tag{code1, test1}, "", "MUST-2 (3.1, two) has no tag for code and a test"},
		{"an unknown tag", []debt{none, owed}, []tag{code1, test1, {id: "MUST-70", file: "b.go", line: 3}}, "b.go:3: MUST-70 is no requirement", ""},
		{"an unknown debt", []debt{none, owed, {"MUST-70", "debt", "x", "y"}}, []tag{code1, test1}, "debts.tsv: MUST-70 is no requirement", ""},
		{"a tag in a sentence", []debt{none}, []tag{code1, test1, code2, {id: "MUST-2", file: "a_test.go", line: 9, test: true, prose: true}}, "a_test.go:9: MUST-2 stands in a sentence", "MUST-2 (3.1, two) has no tag for a test"},
	}
	match := func(t *testing.T, got []string, want string) {
		t.Helper()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("found %q; want %q", got, want)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(threeReqs, nil, tt.debts, tt.tags)
			match(t, l.wrong(), tt.wrong)
			match(t, l.missing(), tt.missing)
		})
	}
}

func TestPage(t *testing.T) {
	l := newLedger(threeReqs, []section{{"3.1", "Header Format"}, {"3.6.1", "Half-Closed Connections"}},
		[]debt{none}, []tag{test1, code1, code1, code2, {id: "MUST-1", file: "a.go", symbol: "A"}})
	_, got, _ := strings.Cut(string(l.page()), "\n\n3 requirements")
	const want = `: 1 with code and test, 0 debts, 0 deviations, 1 documented, 1 open.

- **debt**: will come, with the issue named.
- **deviation**: RFC 9293 asks for it, and vitro does otherwise on purpose.
- **documented**: RFC 9293 leaves it open, and vitro does without.
- **open**: has no code or no test yet, and no reason.

## 3.1 Header Format

| id | level | requirement | code | test |
|---|---|---|---|---|
| MUST-1 | MUST | one | [a.go:A](a.go)<br>[a.go:F](a.go) | [a_test.go:TestF](a_test.go) |
| MUST-2 | MUST | two | [a.go:G](a.go) | **open** |

## 3.6.1 Half-Closed Connections

| id | level | requirement | code | test |
|---|---|---|---|---|
| MAY-1 | MAY | three |  | **documented**: not used |
`
	if got != want {
		t.Errorf("the page ends\n%s\nwant\n%s", got, want)
	}
}

// -check asks for RFC.md to be what the tree says; -incomplete does not, and still refuses a
// tag of no requirement.
func TestRun(t *testing.T) {
	root := tree(t, map[string]string{"tcp/a.go": "package tcp\n\n// MUST-1\nfunc f() {}\n"})
	if err := run(root, true, true); err != nil {
		t.Errorf("-check -incomplete: %v", err)
	}
	// What is open is a finding each; how many there are depends on debts.tsv alone.
	withoutPage := findings(t, root)
	if err := run(root, false, false); err != nil {
		t.Fatal(err)
	}
	open := findings(t, root)
	if open < 100 || withoutPage != open+1 {
		t.Errorf("%d findings with RFC.md, %d without; want one more", open, withoutPage)
	}
	if err := os.WriteFile(filepath.Join(root, "tcp", "b.go"), []byte("package tcp\n\n// MUST-1\nfunc g() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := findings(t, root); n != open+1 {
		t.Errorf("%d findings after one more tag, which RFC.md lacks; want %d", n, open+1)
	}
	if err := os.WriteFile(filepath.Join(root, "tcp", "b.go"), []byte("package tcp\n\n// MUST-70\nfunc g() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true, true); err == nil {
		t.Error("-check -incomplete takes MUST-70 for a requirement")
	}
}

// findings runs -check and returns how many it says there are.
func findings(t *testing.T, root string) int {
	t.Helper()
	err := run(root, true, false)
	if err == nil {
		return 0
	}
	var n int
	if _, scan := fmt.Sscanf(err.Error(), "%d findings", &n); scan != nil {
		t.Fatalf("-check: %v", err)
	}
	return n
}
