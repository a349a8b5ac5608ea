package lab

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// seedFlag repeats one life.
var seedFlag = flag.Uint64("lab.seed", 0, "run the tests of package lab with this `seed` alone")

// config is what Options say.
type config struct {
	bubble   bool
	strict   bool
	dual     bool
	first    uint64
	seeds    int
	startAt  time.Time
	patience time.Duration
	limit    time.Duration
}

// An Option changes how [Test] or [New] makes a Net.
type Option func(*config)

// Seeds has Test run n times, at least once, as sub-tests with the seeds 1 to n, or n from [Seed] on.
func Seeds(n int) Option { return func(c *config) { c.seeds = n } }

// Seed is the seed to begin with. Default 1.
func Seed(s uint64) Option { return func(c *config) { c.first = s } }

// StartAt is what time it is when a test begins in its bubble: it sleeps until then. Bubbles begin
// with the year 2000, in which no certificate of today is valid. It is for [Test] alone: [New] refuses it.
func StartAt(t time.Time) Option { return func(c *config) { c.startAt = t } }

// Strict has Write wait as soon as the send buffer is full, in a bubble too. Without it a Write there
// waits only beyond 16 MiB ([vitro.Config.ElasticSend]), since a program that writes while it holds a
// mutex for which another waits stops the bubble's time.
func Strict() Option { return func(c *config) { c.strict = true } }

// DualStack has names of hosts mean both addresses, the IPv6 address first, so that dialing them is a
// race of the families (RFC 8305, [vitro.Dialer].FallbackDelay). Without it a name is the IPv4 address,
// but for the networks tcp6 and udp6, so that the second SYN is what has become of the first.
func DualStack() Option { return func(c *config) { c.dual = true } }

// Patience is how long of real time nothing may happen in a bubble, before Test takes it for hung, says
// where, and ends the process, after a third of that more at most. A bubble in which a goroutine computes
// is not hung. Default 10 s; negative: for ever.
func Patience(d time.Duration) Option { return func(c *config) { c.patience = d } }

const defaultPatience = 10 * time.Second

func configOf(tb testing.TB, opts []Option) config {
	tb.Helper()
	c := config{first: 1, seeds: 1, patience: defaultPatience, limit: defaultLimit}
	for _, o := range opts {
		o(&c)
	}
	switch {
	case c.seeds < 1:
		tb.Fatalf("lab: Seeds(%d) would run nothing", c.seeds)
	case c.patience == 0 || c.limit == 0:
		tb.Fatal("lab: a Patience or a Limit of 0: negative is for ever")
	}
	if *seedFlag != 0 {
		c.first, c.seeds = *seedFlag, 1
	}
	return c
}

// Test runs f with an empty network in a bubble of [testing/synctest]: time passes only when all
// goroutines wait, and then at once, so that a minute takes microseconds. When f returns, all hosts are
// closed, and all goroutines that it has started must end within a minute of the bubble's time. If the
// test has failed, the log has the seed, what the hosts have, the ladders of connections that had
// trouble, and where the packets are.
//
// f is called within the bubble, and with a T that is synctest's.
func Test(t *testing.T, f func(*testing.T, *Net), opts ...Option) {
	t.Helper()
	c := configOf(t, opts)
	c.bubble = true
	if c.seeds == 1 {
		c.run(t, c.first, f)
		return
	}
	for i := range c.seeds {
		seed := c.first + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { c.run(t, seed, f) })
	}
}

func (c config) run(t *testing.T, seed uint64, f func(*testing.T, *Net)) {
	t.Helper()
	d := watch(t, c.patience)
	defer d.stop()
	synctest.Test(t, func(t *testing.T) {
		d.enter()
		if !c.startAt.IsZero() {
			time.Sleep(time.Until(c.startAt))
		}
		n := newNet(t, c, seed, d)
		d.net.Store(n)
		t.Cleanup(func() {
			n.end()
			n.left()
		})
		n.limited(t, c.limit)
		f(t, n)
	})
}

// New returns an empty network in real time, or, when it is called within a bubble, in that. The hosts
// are closed at the end of the test, which is reported as by [Test]. Options that only Test can follow,
// as [Seeds] or [StartAt], are refused.
func New(tb testing.TB, opts ...Option) *Net {
	tb.Helper()
	c := configOf(tb, opts)
	c.bubble = bubble() != ""
	switch {
	case c.seeds != 1 || !c.startAt.IsZero() || c.limit != defaultLimit || c.patience != defaultPatience:
		tb.Fatal("lab: Seeds, StartAt, Limit and Patience are for Test")
	case c.strict && !c.bubble:
		tb.Fatal("lab: in real time every Net is Strict")
	}
	n := newNet(tb, c, c.first, nil)
	tb.Cleanup(n.end)
	return n
}

// end is the last thing a test does.
func (n *Net) end() {
	if n.tb.Failed() && !n.reported.Swap(true) {
		n.report()
	}
	n.close()
	if n.config.bubble {
		time.Sleep(grace) // what sleeps wakes, finds the network gone, and ends
	}
}

// left tells of the goroutines of a bubble that have not ended, since synctest, whose bubble ends now, ends
// the process because of them.
func (n *Net) left() {
	time.Sleep(time.Nanosecond) // who wakes at this instant is asleep again, or gone
	if runtime.NumGoroutine() <= n.goroutines {
		return // to look at all stacks takes longer than a test
	}
	if text := waiting(stacks()); text != "" {
		n.tb.Errorf("lab: %v after the end of the test, with all hosts closed, goroutines are left, of which its bubble dies.\n%s", grace, text)
	}
}

// grace is how much of a bubble's time the goroutines of a test have to end when the hosts are closed.
const grace = time.Minute
