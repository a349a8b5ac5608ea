package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Limit is how much of a bubble's time may pass, beyond [StartAt], before Test takes the program for one
// that waits for what will not come: it fails the test, says where the goroutines wait, and closes all
// hosts; if that does not end it either, Test ends the process. Package synctest itself ends a bubble in
// which all wait for ever, but as long as there is a connection its keep-alives let time go on. Default
// 24 h; negative: for ever.
func Limit(d time.Duration) Option { return func(c *config) { c.limit = d } }

const defaultLimit = 24 * time.Hour

// limited begins to watch the time of the Net's bubble. A program that goes on though its hosts are closed,
// because it tries again for ever, is ended with the process when as much time has passed again.
func (n *Net) limited(t *testing.T, d time.Duration) {
	if d < 0 {
		return
	}
	var timer *time.Timer
	said := ""
	timer = time.AfterFunc(d, func() {
		if said != "" {
			fmt.Fprintf(os.Stderr, "%sThen all hosts were closed, and after %v more it has not ended.\n%s", said, d, waiting(stacks()))
			panic("lab: " + t.Name() + " does not end")
		}
		said = fmt.Sprintf("lab: after %v of the bubble's time the test has not ended (see lab.Limit).\n%s", d, waiting(stacks()))
		timer.Reset(d)
		t.Error(said)
		if !n.reported.Swap(true) {
			n.report()
		}
		n.close()
	})
	t.Cleanup(func() { timer.Stop() })
}

// waiting says where the goroutines wait that are in one bubble with the first of the dump, but for the
// lab's own and synctest's.
func waiting(dump string) string {
	list := goroutines(dump)
	var b strings.Builder
	for _, g := range list[1:] {
		if g.bubble != list[0].bubble || g.of("lab.(*Net).carry") || g.of("testing/synctest.Test") || g.of("internal/synctest.Run") {
			continue
		}
		fmt.Fprintf(&b, "A goroutine waits (%s) at %s.\n", g.wait, g.where())
	}
	return b.String()
}

// of reports whether a function that contains a text is in a stack, as one that has been called.
func (g *goroutine) of(function string) bool {
	for _, l := range g.lines {
		if strings.Contains(l, function) && !strings.HasPrefix(l, "created by ") {
			return true
		}
	}
	return false
}
