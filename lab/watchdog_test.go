package lab_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

func TestHangsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		c, _ := connect(t, n.Host("client"), n.Host("server"))
		var mu sync.Mutex
		go func() {
			mu.Lock()
			defer mu.Unlock()
			c.Read(make([]byte, 1)) // LAB: the one that holds it
		}()
		time.Sleep(time.Second)
		mu.Lock() // LAB: the one that waits
		defer mu.Unlock()
	}, lab.Patience(time.Second))
}

// saying returns the lines of what a test has said that have a text.
func saying(out, text string) (lines []string) {
	for l := range strings.Lines(out) {
		if strings.Contains(l, text) {
			lines = append(lines, l)
		}
	}
	return lines
}

// A bubble whose time stands still because somebody waits for a mutex is ended, and both lines are
// named: where it is waited for, and where it may be held; no line of the lab's own. The report of the
// network comes with it.
func TestWatchdog(t *testing.T) {
	out := again(t, "TestHangsOnPurpose")
	for _, mark := range []string{"the one that waits", "the one that holds it"} {
		if want := lineOf(t, mark); !strings.Contains(out, want) {
			t.Errorf("the watchdog does not name %s, %s:\n%s", want, mark, out)
		}
	}
	if all := append(saying(out, "A goroutine waits"), saying(out, "Another waits")...); len(all) != 2 {
		t.Errorf("the watchdog names %d lines; two goroutines of the test wait:\n%s", len(all), strings.Join(all, ""))
	}
	for _, want := range []string{"3 packets have left their hosts", "ESTABLISHED", "-lab.seed=1", "<CTL=SYN,ACK>"} {
		if !strings.Contains(out, want) {
			t.Errorf("the watchdog's report does not say %q:\n%s", want, out)
		}
	}
}

// A bubble in which somebody computes is not hung, though another waits for the mutex that he holds.
func TestWatchdogLetsCompute(t *testing.T) {
	const patience = 20 * time.Millisecond
	var enough atomic.Bool
	time.AfterFunc(40*patience, func() { enough.Store(true) }) // outside, in real time
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		var mu sync.Mutex
		mu.Lock()
		got := make(chan bool)
		go func() {
			mu.Lock()
			defer mu.Unlock()
			close(got)
		}()
		for x := 0; !enough.Load(); x++ {
		}
		mu.Unlock()
		<-got
	}, lab.Patience(patience))
}

func TestOneOfTwoHangsOnPurpose(t *testing.T) {
	onPurpose(t)
	end := make(chan bool)
	t.Run("waits for one outside", func(t *testing.T) {
		t.Parallel()
		line(t, func(t *testing.T, n *lab.Net) {
			n.Host("patient")
			<-end // LAB: the one with patience
		}, lab.Patience(-1))
	})
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		line(t, func(t *testing.T, n *lab.Net) {
			n.Host("hung")
			<-end // LAB: the one without
		}, lab.Patience(100*time.Millisecond))
	})
}

// Of two bubbles that stand still the one is blamed whose patience is at an end, with its line and its
// report, and not the other.
func TestWatchdogKnowsItsBubble(t *testing.T) {
	out := again(t, "TestOneOfTwoHangsOnPurpose", "-test.parallel=2")
	said, _, _ := strings.Cut(out, "panic: ")
	for _, want := range []string{"TestOneOfTwoHangsOnPurpose/hangs", lineOf(t, "the one without"), "hung, 10.0.0.1"} {
		if !strings.Contains(said, want) {
			t.Errorf("the watchdog does not say %q:\n%s", want, said)
		}
	}
	for _, not := range []string{"waits_for_one_outside", lineOf(t, "the one with patience"), "patient, 10.0.0.1"} {
		if strings.Contains(said, not) {
			t.Errorf("the watchdog says %q, of another bubble:\n%s", not, said)
		}
	}
}

func TestRuleCallsTheNetOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		n.Rule(lab.SYN.Do(func(*lab.Packet) lab.Verdict {
			n.Partition("server", "client") // LAB: the one in the rule
			return lab.Verdict{}
		}))
		connect(t, client, server)
	}, lab.Patience(100*time.Millisecond))
}

// A function of a rule that calls the Net stops it, and its line is named, with what is wrong. There is
// no report: the lock is held.
func TestWatchdogNamesTheRule(t *testing.T) {
	out := again(t, "TestRuleCallsTheNetOnPurpose")
	lines := saying(out, "A goroutine waits (sync.Mutex.Lock)")
	if want := lineOf(t, "the one in the rule"); len(lines) != 1 || !strings.Contains(lines[0], want) ||
		!strings.Contains(lines[0], "in a function of a rule, which must not call the Net") {
		t.Errorf("of a rule's function that calls the Net, at %s, the watchdog says %q:\n%s", want, lines, out)
	}
	if !strings.Contains(out, "The Net's report is not to be had") {
		t.Errorf("it does not say that there is no report:\n%s", out)
	}
}

func TestLeavesGoroutinesOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		_, s := connect(t, n.Host("client"), n.Host("server"))
		go s.Read(make([]byte, 1)) // it ends with the host
		never := make(chan bool)
		go func() {
			<-never // LAB: the one that is never told
		}()
		go func() {
			for {
				time.Sleep(time.Second) // LAB: the one that sleeps for ever
			}
		}()
		t.Fatal("on purpose")
	})
}

// Goroutines that a test leaves behind are named in its own log, after a Fatal too, and no others, before
// synctest ends the process.
func TestLeftGoroutines(t *testing.T) {
	out := again(t, "TestLeavesGoroutinesOnPurpose")
	log, _, ok := strings.Cut(out, "panic: deadlock: main bubble goroutine has exited")
	if !ok {
		t.Fatalf("synctest does not end the process:\n%s", out)
	}
	for _, want := range []string{"on purpose", "goroutines are left", "the same packets again", lineOf(t, "the one that is never told"), lineOf(t, "the one that sleeps for ever")} {
		if !strings.Contains(log, want) {
			t.Errorf("the log of the test does not say %q:\n%s", want, log)
		}
	}
	if all := saying(log, "A goroutine waits"); len(all) != 2 {
		t.Errorf("two goroutines are left; named are %q", all)
	}
}
