package vitro_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The programs in README.md are those of the examples, line by line: so they compile, and
// those with an Output run.
func TestReadmeProgramsAreExamples(t *testing.T) {
	var examples [][]string
	for _, path := range []string{"example_test.go", "example_sim_test.go", "link/tun/example_test.go", "lab/example_test.go"} {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, bare(string(src)))
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "\n```go\n")[1:]
	if len(blocks) < 3 {
		t.Errorf("README.md has %d Go programs; want one in memory, one in virtual time and one on a TUN", len(blocks))
	}
	for _, block := range blocks {
		block, _, closed := strings.Cut(block, "\n```\n")
		want := bare(block)
		if !closed || !slices.ContainsFunc(examples, func(lines []string) bool { return has(lines, want) }) {
			t.Errorf("no example has this program of README.md:\n%s", block)
		}
	}
}

// bare returns the lines that are not empty, without indentation and without what gofmt puts
// between columns.
func bare(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// has reports whether part stands in lines in one piece.
func has(lines, part []string) bool {
	for i := range lines {
		if i+len(part) <= len(lines) && slices.Equal(lines[i:i+len(part)], part) {
			return true
		}
	}
	return false
}
