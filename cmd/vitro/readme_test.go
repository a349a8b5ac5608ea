package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var ladders = regexp.MustCompile("(?s)```\n([^`]* +A, the client.*?)```\n")

// The ladders in README.md are what its commands print, all of it; and it names every
// flag that does something to a run, and every scenario.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	runs := [][]string{{}, {"--split", "--part", "birth"}}
	found := ladders.FindAllStringSubmatch(readme, -1)
	if len(found) != len(runs) {
		t.Fatalf("%d ladders; want %d", len(found), len(runs))
	}
	for i, args := range runs {
		want := demo(t, args...)
		if found[i][1] != want {
			t.Errorf("README.md has\n%s\nvitro demo --isn 1000,2000 %s prints\n%s", found[i][1], strings.Join(args, " "), want)
		}
		if command := strings.Join(append([]string{"\ngo run ./cmd/vitro demo --isn 1000,2000"}, args...), " "); !strings.Contains(readme, command+"\n") {
			t.Errorf("README.md does not say %q", command)
		}
	}
	for _, flag := range []string{"why", "split", "lose", "damage", "double", "late", "data", "scenario", "part", "json", "pcap", "svg"} {
		if newDemo().Flags().Lookup(flag) == nil || !strings.Contains(readme, "`--"+flag) {
			t.Errorf("README.md does not say --%s, or there is none", flag)
		}
	}
	words := map[string]string{ // where README.md names a scenario otherwise
		"story": "lives the story", "simultaneous-close": "simultaneous open or close", "refused": "a refusal",
		"lost-last-ack": "a lost last ACK", "lost-syn": "a lost SYN", "old-duplicate": "an old\nduplicate of a SYN",
		"hop-limit": "a hop limit that runs out", "half-open": "a crashed host",
	}
	for _, sc := range scenarios {
		word := words[sc.name]
		if word == "" {
			word = strings.ReplaceAll(sc.name, "-", " ")
			if strings.HasPrefix(sc.name, "half-") {
				word = sc.name
			}
		}
		if !strings.Contains(readme, word) {
			t.Errorf("README.md does not tell of %s: %q", sc.name, word)
		}
	}
}
