package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/tcp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// command runs vitro and returns what it prints.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("vitro %s: exit code %d\n%s", strings.Join(args, " "), code, &errs)
	}
	return out.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write it anew with -update)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func demo(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, append([]string{"demo", "--isn", "1000,2000"}, args...)...)
}

// The ladder of each scenario, with its reasons.
func TestScenarios(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			golden(t, filepath.Join("testdata/demo", sc.name+".ladder"), demo(t, "--scenario", sc.name, "--why"))
		})
	}
	golden(t, "testdata/demo/split.ladder", demo(t, "--split"))
	golden(t, "testdata/demo/data.ladder", demo(t, "--data", "4000", "--why"))
}

// row is a row of the story: what happens, and the states of both ends after it.
type row struct {
	name         string
	segment      string // that departs; "" for none
	client, peer tcp.State
}

// The story as it is told to those who learn TCP.
var story = []row{
	{"B0", "", tcp.Closed, tcp.Listen},
	{"B1", "A <SEQ=1000><CTL=SYN>", tcp.SynSent, tcp.Listen},
	{"B2", "B <SEQ=2000><ACK=1001><CTL=SYN,ACK>", tcp.SynSent, tcp.SynReceived},
	{"B3", "A <SEQ=1001><ACK=2001><CTL=ACK>", tcp.Established, tcp.SynReceived},
	{"B4", "", tcp.Established, tcp.Established},
	{"D1", "A <SEQ=1001><ACK=2001><CTL=FIN,ACK>", tcp.FinWait1, tcp.Established},
	{"D2", "B <SEQ=2001><ACK=1002><CTL=ACK>", tcp.FinWait1, tcp.CloseWait},
	{"D3", "", tcp.FinWait2, tcp.CloseWait},
	{"D4", "B <SEQ=2001><ACK=1002><CTL=FIN,ACK>", tcp.FinWait2, tcp.LastAck},
	{"D5", "A <SEQ=1002><ACK=2002><CTL=ACK>", tcp.TimeWait, tcp.LastAck},
	{"D6", "", tcp.TimeWait, tcp.Closed},
	{"D7", "", tcp.Closed, tcp.Closed},
}

// Every row of the story is in the run, in its order and with its numbers, and no segment is
// in it that is not in the story.
func TestStory(t *testing.T) {
	l, err := ladder.Parse(demo(t, "--split"))
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, line := range l.Lines {
		if !line.Ends[0].Known || !line.Ends[1].Known {
			continue
		}
		got := row{client: line.Ends[0].State, peer: line.Ends[1].State}
		if line.Segment != nil && line.Fate != ladder.Arrived {
			got.segment = fmt.Sprintf("%v %v", line.From, line.Segment)
		}
		if next < len(story) {
			got.name = story[next].name
			if got == story[next] {
				next++
				continue
			}
		}
		if got.segment != "" {
			t.Errorf("%+v is not in the story", got)
		}
	}
	if next < len(story) {
		t.Errorf("row %+v is missing", story[next])
	}
}

// Each scenario ends as RFC 9293 says: states that were passed, by whom, and that nothing is
// left.
func TestEnds(t *testing.T) {
	passed := map[string][2][]tcp.State{
		"story":              {{tcp.FinWait1, tcp.FinWait2, tcp.TimeWait}, {tcp.CloseWait, tcp.LastAck}},
		"simultaneous-open":  {{tcp.SynSent, tcp.SynReceived, tcp.Established}, {tcp.SynSent, tcp.SynReceived, tcp.Established}},
		"simultaneous-close": {{tcp.FinWait1, tcp.Closing, tcp.TimeWait}, {tcp.FinWait1, tcp.Closing, tcp.TimeWait}},
		"refused":            {{tcp.SynSent}, nil},
		"reset":              {{tcp.Established}, {tcp.Established}},
		"half-close":         {{tcp.FinWait1, tcp.FinWait2, tcp.TimeWait}, {tcp.CloseWait, tcp.LastAck}},
		"lost-last-ack":      {{tcp.FinWait1, tcp.FinWait2, tcp.TimeWait}, {tcp.CloseWait, tcp.LastAck}},
		"lost-syn":           {{tcp.SynSent, tcp.Established}, {tcp.SynReceived, tcp.Established}},
		"old-duplicate":      {{tcp.SynSent, tcp.Established}, {tcp.SynReceived, tcp.Listen, tcp.SynReceived, tcp.Established}},
		"hop-limit":          {{tcp.SynSent, tcp.Established, tcp.TimeWait}, {tcp.SynReceived, tcp.LastAck}},
		"half-open":          {{tcp.Established, tcp.SynSent, tcp.Established}, {tcp.Established, tcp.SynReceived, tcp.Established}},
	}
	for _, sc := range scenarios {
		for seed := range uint64(20) {
			s := newStage(stageConfig{seed: seed, delay: defaultDelay, data: int(seed) * 100})
			if err := sc.run(s); err != nil {
				t.Fatal(err)
			}
			if s.state != [2]tcp.State{} {
				t.Errorf("%s, seed %d: ends in %v", sc.name, seed, s.state)
			}
			for _, h := range s.w.Hosts() {
				for _, st := range h.Connections() {
					if st.State != tcp.Closed && st.State != tcp.Listen {
						t.Errorf("%s, seed %d: %s still has %v in %v", sc.name, seed, h.Name, st.Flow, st.State)
					}
				}
			}
			l := s.rec.Split()
			for p, want := range passed[sc.name] {
				for _, line := range l.Lines {
					if e := line.Ends[p]; e.Known && len(want) > 0 && e.State == want[0] {
						want = want[1:]
					}
				}
				if len(want) > 0 {
					t.Errorf("%s, seed %d: %v was never %v", sc.name, seed, ladder.Peer(p), want[0])
				}
			}
		}
	}
	if len(passed) != len(scenarios) {
		t.Errorf("%d scenarios are tested, of %d", len(passed), len(scenarios))
	}
}

// Whatever happens to whichever segment, the story ends well (R1, R2, R4): both CLOSED, the
// data there.
func TestStoryEndsWell(t *testing.T) {
	harm := []func(c *stageConfig, n int){
		func(c *stageConfig, n int) { c.lose = append(c.lose, n) },
		func(c *stageConfig, n int) { c.damage = append(c.damage, n) },
		func(c *stageConfig, n int) { c.double = append(c.double, n) },
		func(c *stageConfig, n int) { c.late = append(c.late, n) },
	}
	for n := 1; n <= 12; n++ {
		for m := n + 1; m <= 12; m++ {
			for i := range harm {
				for k := range harm {
					cfg := stageConfig{seed: 1, delay: defaultDelay, data: 3000}
					harm[i](&cfg, n)
					harm[k](&cfg, m)
					s := newStage(cfg)
					if err := scenarios[0].run(s); err != nil {
						t.Fatal(err)
					}
					if s.state != [2]tcp.State{} || s.server == nil || s.server.got != 3000 || s.client.conn.Err() != nil {
						t.Errorf("%+v: ends in %v, client %v", cfg, s.state, s.client.conn.Err())
					}
				}
			}
		}
	}
}

// A seed is a run; without one, two runs differ.
func TestSeeds(t *testing.T) {
	args := []string{"demo", "--json", "--data", "100", "--seed", "5"}
	once := command(t, args...)
	if again := command(t, args...); again != once {
		t.Error("two runs of one seed differ")
	}
	var first, second, remark bytes.Buffer
	run([]string{"demo"}, nil, &first, &remark)
	run([]string{"demo"}, nil, &second, new(bytes.Buffer))
	if first.String() == second.String() {
		t.Error("two runs without a seed are equal")
	}
	_, seed, ok := strings.Cut(strings.TrimSpace(remark.String()), "--seed ")
	if !ok || command(t, "demo", "--seed", seed) != first.String() {
		t.Errorf("the seed printed does not give the same run: %s", &remark)
	}
}

// The two drawings of the documentation are what go generate makes.
func TestDrawingsAreUpToDate(t *testing.T) {
	src, err := os.ReadFile("demo.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(src)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:generate go run . ")
		if !ok {
			continue
		}
		words := strings.Fields(args)
		at := slices.Index(words, "--svg") + 1
		path := words[at]
		words[at] = "-"
		got := command(t, words...)
		want, err := os.ReadFile(path)
		if err != nil || string(want) != got {
			t.Errorf("%s is not up to date: run go generate in cmd/vitro (%v)", path, err)
		}
		found++
	}
	if found != 2 {
		t.Errorf("%d drawings are made; want 2", found)
	}
}
