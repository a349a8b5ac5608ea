package lab

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// dog watches a bubble from outside, in real time. Each packet that a Net moves strokes it.
type dog struct {
	strokes atomic.Uint64
	bubble  atomic.Pointer[string] // its number, from inside
	net     atomic.Pointer[Net]
	done    chan struct{}
}

// The dog looks so many times during its patience, and when that is over so many times more, at all
// the stacks, before it believes that it is always the same goroutines that wait at the same lines.
const (
	looks = 16
	sure  = 3
)

// watch begins to watch a bubble. It must be called outside.
func watch(t *testing.T, patience time.Duration) *dog {
	d := &dog{done: make(chan struct{})}
	if patience > 0 {
		go d.watch(t.Name(), patience)
	}
	return d
}

func (d *dog) watch(name string, patience time.Duration) {
	tick := time.NewTicker(max(patience/looks, time.Millisecond))
	defer tick.Stop()
	last, said := d.strokes.Load(), ""
	for quiet, same := 0, 0; ; {
		select {
		case <-d.done:
			return
		case <-tick.C:
		}
		if now := d.strokes.Load(); now != last {
			last, said, quiet, same = now, "", 0, 0
			continue
		}
		if quiet++; quiet < looks {
			continue
		}
		text := d.hung()
		if text == "" || text != said {
			said, same = text, 0
			continue
		}
		if same++; same < sure {
			continue
		}
		fmt.Fprintf(os.Stderr, "lab: %s: for %v of real time nothing has happened in the bubble.\n%s", name, patience, text)
		if n := d.net.Load(); n != nil {
			fmt.Fprintln(os.Stderr, n.lastReport(time.Second))
		}
		panic("lab: the bubble of " + name + " is hung")
	}
}

// hung says why the time of the bubble stands still, if it does.
func (d *dog) hung() string {
	if number := d.bubble.Load(); number != nil {
		return hung(stacks(), *number)
	}
	return ""
}

// enter tells which bubble it is. It is called inside.
func (d *dog) enter() {
	number := bubble()
	d.bubble.Store(&number)
}

func (d *dog) stop() { close(d.done) }

func (d *dog) stroke() {
	if d != nil {
		d.strokes.Add(1)
	}
}
