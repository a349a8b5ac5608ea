package lab

import (
	"fmt"
	"os"
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
