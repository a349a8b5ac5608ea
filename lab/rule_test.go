package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

func TestFatalInARuleOnPurpose(t *testing.T) {
	onPurpose(t)
	talk := func(t *testing.T, n *lab.Net, r func(*testing.T) lab.Rule) {
		t.Helper()
		server, client := n.Host("server"), n.Host("client")
		n.Rule(r(t))
		c, s := connect(t, client, server)
		c.Write([]byte("x"))
		if err := readFull(s, make([]byte, 1)); err != nil {
			t.Errorf("what the rule speaks of does not arrive: %v", err)
		}
		t.Log("it has arrived")
	}
	do := func(t *testing.T) lab.Rule {
		t.Helper()
		return lab.First(1, lab.Text).Do(func(*lab.Packet) lab.Verdict {
			t.Fatal("no text was wanted")
			return lab.Verdict{Drop: true}
		})
	}
	asked := func(t *testing.T) lab.Rule {
		t.Helper()
		return lab.First(1, lab.Text.If(func(*lab.Packet) bool {
			t.FailNow()
			return true
		})).Drop()
	}
	t.Run("do", func(t *testing.T) {
		line(t, func(t *testing.T, n *lab.Net) { talk(t, n, do) }, lab.Patience(time.Second))
	})
	t.Run("if", func(t *testing.T) {
		line(t, func(t *testing.T, n *lab.Net) { talk(t, n, asked) }, lab.Patience(time.Second))
	})
	t.Run("real", func(t *testing.T) { talk(t, lab.New(t), do) })
}

// A Fatal in the function of a rule is called from within the Net, under its locks. It fails its test and ends
// no other: the packet gets there, the test goes on, and is reported.
func TestFatalInARule(t *testing.T) {
	out := again(t, "TestFatalInARuleOnPurpose", "-test.timeout=10s", "-test.v")
	for _, name := range []string{"do", "if", "real"} {
		ok := strings.Contains(out, "--- FAIL: TestFatalInARuleOnPurpose/"+name+" ")
		if !ok {
			t.Fatalf("%s: the test does not fail:\n%s", name, out)
		}
	}
	for want, times := range map[string]int{"no text was wanted": 2, "it has arrived": 3, "the same packets again": 3} {
		if got := strings.Count(out, want); got != times {
			t.Errorf("%q is said %d times; want %d:\n%s", want, got, times, out)
		}
	}
}

func TestNegativeVerdictOnPurpose(t *testing.T) {
	onPurpose(t)
	for name, v := range map[string]lab.Verdict{"late": {Delay: -time.Hour}, "copies": {Copies: -3}} {
		t.Run(name, func(t *testing.T) {
			line(t, func(t *testing.T, n *lab.Net) {
				server, client := n.Host("server"), n.Host("client")
				n.Rule(lab.First(1, lab.SYN).Do(func(*lab.Packet) lab.Verdict { return v }))
				connect(t, client, server)
			})
		})
	}
}

// A rule that wants a packet to arrive before it is sent, or less than not at all, fails its test.
func TestNegativeVerdict(t *testing.T) {
	out := again(t, "TestNegativeVerdictOnPurpose")
	for _, want := range []string{
		"lab: a rule's Verdict has a Delay of -1h0m0s and Copies of 0: treated by rule: first 1 SYN",
		"lab: a rule's Verdict has a Delay of 0s and Copies of -3: treated by rule: first 1 SYN",
	} {
		if strings.Count(out, want) != 1 {
			t.Errorf("the test is not told once that %q:\n%s", want, out)
		}
	}
}

// The rules of a report are in English.
func TestEachNth(t *testing.T) {
	for n, want := range map[int]string{
		1: "each 1st SYN", 2: "each 2nd SYN", 3: "each 3rd SYN", 4: "each 4th SYN", 11: "each 11th SYN",
		12: "each 12th SYN", 13: "each 13th SYN", 21: "each 21st SYN", 102: "each 102nd SYN", 113: "each 113th SYN",
	} {
		if got := lab.Every(n, lab.SYN).String(); got != want {
			t.Errorf("Every(%d) says %q; want %q", n, got, want)
		}
	}
}
