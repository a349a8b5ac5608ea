package breaks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/what-breaks.md"

// example is a section of the page.
type example struct {
	title         string
	before, after func(*world) string // the test with the program as it is often written, and mended
	wants         string              // what a user sees if all is well
}

// show runs a test four times: it passes over net.Pipe, fails over TCP, and passes there too once the
// program is mended. The page says what it has seen.
func (e example) show(t *testing.T) {
	t.Helper()
	var ladder string
	before := func(w *world) string {
		saw := e.before(w)
		if w.lab != nil {
			ladder = w.lab.Ladder("client", "server")
		}
		return saw
	}
	runs := []struct {
		what string
		saw  string
	}{
		{"before, over net.Pipe", overPipe(t, before)},
		{"before, over TCP", overTCP(t, before)},
		{"after, over net.Pipe", overPipe(t, e.after)},
		{"after, over TCP", overTCP(t, e.after)},
	}
	var b strings.Builder
	for i, r := range runs {
		if fails := i == 1; (r.saw != e.wants) != fails {
			t.Errorf("%s: %s; the section says that it %s", r.what, r.saw, map[bool]string{true: "fails", false: "passes: " + e.wants}[fails])
		}
		fmt.Fprintf(&b, "%-22s %s\n", r.what+":", r.saw)
	}
	if testing.Verbose() {
		t.Log(ladder)
	}
	said := blocks(section(t, e.title), "")
	if len(said) == 0 || said[0] != b.String() {
		t.Errorf("the page does not say what was seen, which is\n%s", b.String())
	}
	if len(said) > 1 {
		if !strings.Contains(ladder, said[1]) {
			t.Errorf("the page's ladder is no part of this:\n%s", ladder)
		}
		said = said[1:]
	}
	if len(said) > 1 {
		t.Errorf("the page shows what no test has seen:\n%s", said[1])
	}
}

// section returns the text under a heading of the page, up to the next.
func section(t *testing.T, title string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for s := range strings.SplitSeq(string(b), "\n## ") {
		head, text, _ := strings.Cut(s, "\n")
		if _, name, _ := strings.Cut(head, ". "); name == title {
			return text
		}
	}
	t.Errorf("%s has no section %q", page, title)
	return ""
}

// blocks returns what stands between fences of a language.
func blocks(text, language string) (list []string) {
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		lang, ok := strings.CutPrefix(strings.TrimSuffix(lines[i], "\n"), "```")
		if !ok {
			continue
		}
		var b strings.Builder
		for i++; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
			b.WriteString(lines[i])
		}
		if lang == language {
			list = append(list, b.String())
		}
	}
	return list
}

// The page has ten sections, each of which names its test, and shows the programs letter by letter.
func TestPageQuotesThePrograms(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources[f] = string(src)
	}
	sections := strings.Split(string(b), "\n## ")[1:]
	if len(sections) != 10 {
		t.Errorf("the page has %d sections; want ten", len(sections))
	}
	for i, s := range sections {
		head, text, _ := strings.Cut(s, "\n")
		number, title, _ := strings.Cut(head, ". ")
		_, file, _ := strings.Cut(text, "[Test](../lab/breaks/")
		file, _, _ = strings.Cut(file, ")")
		src := sources[file]
		if number != fmt.Sprint(i+1) || !strings.Contains(src, fmt.Sprintf("%q,\n", title)) {
			t.Errorf("section %q, which is number %d, says that its test is in %q, which has none", head, i+1, file)
		}
		programs := blocks(text, "go")
		if len(programs) < 2 {
			t.Errorf("%s: %d programs; want what is written and what mends it", title, len(programs))
		}
		for _, p := range programs {
			if !strings.Contains(src, "\n"+p) {
				t.Errorf("%s: %s has no such program:\n%s", title, file, p)
			}
		}
		for _, call := range faults.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(src, call[1]) {
				t.Errorf("%s: %s does not call %s", title, file, call[1])
			}
		}
	}
}

// faults are calls in a section's text: what the test does to the network.
var faults = regexp.MustCompile("`([a-zA-Z := ]*(?:w|answers)\\.[^`]*)`")
