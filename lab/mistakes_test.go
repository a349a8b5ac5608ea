package lab_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
	"github.com/vitro-net/vitro/tcp"
)

// mistakes are what a test may get wrong in the presence of the host "client", and what it is told.
var mistakes = map[string]struct {
	make func(n *lab.Net)
	say  string
}{
	"partition":       {func(n *lab.Net) { n.Partition("client", "sever") }, `there is no host "sever"`},
	"one way":         {func(n *lab.Net) { n.PartitionOneWay("sever", "client") }, `there is no host "sever"`},
	"isolate":         {func(n *lab.Net) { n.Isolate("client", "sever") }, `there is no host "sever"`},
	"isolate nobody":  {func(n *lab.Net) { n.Isolate() }, "Isolate without a host"},
	"ladder":          {func(n *lab.Net) { n.Ladder("client", "sever") }, `there is no host "sever"`},
	"NAT":             {func(n *lab.Net) { n.NAT("nat", "sever") }, `there is no host "sever"`},
	"link":            {func(n *lab.Net) { n.Link("client", "sever", lab.Link{}) }, `there is no host "sever"`},
	"link to itself":  {func(n *lab.Net) { n.Link("client", "client", lab.Link{}) }, "a link from client to itself"},
	"host twice":      {func(n *lab.Net) { n.Host("client") }, `there is a host "client" already`},
	"host of no name": {func(n *lab.Net) { n.Host("") }, "a host without a name"},
	"router twice":    {func(n *lab.Net) { n.Router("client") }, `there is a host "client" already`},

	"from":       {func(n *lab.Net) { n.Rule(lab.Text.From("cleint").Drop()) }, `there is no host "cleint", of which a rule speaks: text from cleint`},
	"to":         {func(n *lab.Net) { n.Rule(lab.First(1, lab.SYN.To("sever")).Drop()) }, `there is no host "sever", of which a rule speaks: first 1 SYN to sever`},
	"on":         {func(n *lab.Net) { n.Rule(lab.Any.On("client", "roter").Drop()) }, `there is no host "roter"`},
	"second":     {func(n *lab.Net) { n.Rule(lab.SYN.Drop(), lab.SYN.From("cleint").Drop()) }, `there is no host "cleint"`},
	"no rule":    {func(n *lab.Net) { n.Rule() }, "Rule without a rule"},
	"zero rule":  {func(n *lab.Net) { n.Rule(lab.Rule{}) }, "the zero Rule does nothing"},
	"zero match": {func(n *lab.Net) { n.Rule(lab.Match{}.Drop()) }, "the zero Match picks nothing"},
	"of it":      {func(n *lab.Net) { n.Rule(lab.First(1, lab.Match{}.From("client")).Drop()) }, "the zero Match picks nothing"},
	"nth":        {func(n *lab.Net) { n.Rule(lab.Nth(0, lab.SYN).Drop()) }, "Nth(0) makes no sense"},
	"first":      {func(n *lab.Net) { n.Rule(lab.First(0, lab.SYN).Drop()) }, "First(0) makes no sense"},
	"first -1":   {func(n *lab.Net) { n.Rule(lab.First(-1, lab.SYN).Drop()) }, "First(-1) makes no sense"},
	"every":      {func(n *lab.Net) { n.Rule(lab.Every(0, lab.SYN).From("client").Drop()) }, "Every(0) makes no sense"},
	"after":      {func(n *lab.Net) { n.Rule(lab.After(-1, lab.SYN).Drop()) }, "After(-1) makes no sense"},
	"while":      {func(n *lab.Net) { n.Rule(lab.FIN.While().Drop()) }, "While without a state"},
	"do":         {func(n *lab.Net) { n.Rule(lab.FIN.Do(nil)) }, "Do without a function"},
	"if":         {func(n *lab.Net) { n.Rule(lab.FIN.If(nil).Drop()) }, "If without a function"},
	"delay":      {func(n *lab.Net) { n.Rule(lab.FIN.Delay(-time.Second)) }, "a delay of -1s"},
	"dup":        {func(n *lab.Net) { n.Rule(lab.FIN.Dup(-1)) }, "Dup(-1)"},
}

func TestMistakesOnPurpose(t *testing.T) {
	onPurpose(t)
	for _, name := range slices.Sorted(maps.Keys(mistakes)) {
		t.Run(name, func(t *testing.T) {
			line(t, func(_ *testing.T, n *lab.Net) {
				n.Host("client")
				mistakes[name].make(n)
				panic("it is taken in silence: " + name)
			})
		})
	}
}

// What can never be meant ends the test that does it, and no other, with a sentence, at the test's own line.
func TestMistakes(t *testing.T) {
	want := map[string]string{}
	for name, mistake := range mistakes {
		want[name] = mistake.say
	}
	told(t, "TestMistakesOnPurpose", want)
}

// told runs a test of which each sub-test must be told something, once, at a line of this file.
func told(t *testing.T, test string, want map[string]string) {
	t.Helper()
	out := again(t, test)
	if strings.Contains(out, "fatal error") || strings.Contains(out, "panic") {
		t.Fatalf("a mistake does not end its test, or ends the process:\n%s", out)
	}
	tests := strings.Split(out, "--- FAIL: "+test+"/")
	said := regexp.MustCompile(`(?m)^ +(\S+):\d+: lab: (.*)$`)
	for name, say := range want {
		i := slices.IndexFunc(tests, func(text string) bool {
			return strings.HasPrefix(text, strings.ReplaceAll(name, " ", "_")+" (")
		})
		if i < 0 {
			t.Errorf("%s: the test does not fail", name)
			continue
		}
		switch lines := said.FindAllStringSubmatch(tests[i], -1); {
		case len(lines) != 1:
			t.Errorf("%s: it is told %d times:\n%s", name, len(lines), tests[i])
		case !strings.Contains(lines[0][2], say):
			t.Errorf("%s: it is told %q; want %q", name, lines[0][2], say)
		case lines[0][1] != "mistakes_test.go":
			t.Errorf("%s: the line is one of %s, not of the test", name, lines[0][1])
		}
	}
}

func TestOptionsOnPurpose(t *testing.T) {
	onPurpose(t)
	silent := func(*testing.T, *lab.Net) { panic("it is taken in silence") }
	for name, option := range map[string]lab.Option{
		"no seed": lab.Seeds(0), "fewer": lab.Seeds(-3), "patience": lab.Patience(0), "limit": lab.Limit(0),
	} {
		t.Run(name, func(t *testing.T) { lab.Test(t, silent, option) })
	}
	t.Run("start in real time", func(t *testing.T) { lab.New(t, lab.StartAt(time.Now())) })
}

// An option with which nothing would run, or which would be ignored, is refused.
func TestOptions(t *testing.T) {
	told(t, "TestOptionsOnPurpose", map[string]string{
		"no seed": "Seeds(0) would run nothing", "fewer": "Seeds(-3) would run nothing",
		"patience": "a Patience or a Limit of 0", "limit": "a Patience or a Limit of 0",
		"start in real time": "Seeds, StartAt, Limit and Patience are for Test",
	})
}

// What is in order is taken: a rule for each host by name, after all of nothing, for nothing but to count.
func TestRulesThatAreNone(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		n.NAT("nat")
		n.Rule(lab.Any.From("nat").Drop(), lab.Any.On("nat", "client").Drop())
		all := n.Rule(lab.Every(1, lab.After(0, lab.SYN)).Dup(0))
		connect(t, client, server)
		if all.Hits() != 1 {
			t.Errorf("of one SYN a rule for all has picked %d", all.Hits())
		}
		n.Rule(lab.RST.While(tcp.CloseWait).Delay(0))
	})
}

// Counts in counts: the first of what is third is the third, and every second of what is after the
// fourth the sixth, the eighth and so on.
func TestNestedCounts(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		echoUDP(t, server, ":1")
		rules, picked := map[string]*lab.Applied{}, map[string][]int{}
		third := lab.Nth(3, lab.UDP)
		for name, m := range map[string]lab.Match{
			"first of the third": lab.First(1, third), "the third": third,
			"each second after the fourth":                 lab.Every(2, lab.After(4, lab.UDP)),
			"the second of each third":                     lab.Nth(2, lab.Every(3, lab.UDP)),
			"the first two of each second after the first": lab.First(2, lab.Every(2, lab.After(1, lab.UDP))),
		} {
			rules[name] = n.Rule(m.From("client").Dup(0))
		}
		c := dial(t, client, "udp", "server:1")
		for number := range 10 {
			c.Write([]byte("x"))
			time.Sleep(time.Second)
			for name, a := range rules {
				if a.Hits() > len(picked[name]) {
					picked[name] = append(picked[name], number+1)
				}
			}
		}
		for name, want := range map[string][]int{
			"first of the third": {3}, "the third": {3}, "each second after the fourth": {6, 8, 10},
			"the second of each third": {6}, "the first two of each second after the first": {3, 5},
		} {
			if got := picked[name]; !slices.Equal(got, want) {
				t.Errorf("%s: picked are %v; want %v", name, got, want)
			}
		}
	})
}
