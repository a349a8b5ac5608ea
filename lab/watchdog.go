package lab

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// dog watches a bubble from outside, in real time. Each packet that a Net moves strokes it.
type dog struct {
	strokes atomic.Uint64
	done    chan struct{}
}

// watch begins to watch a bubble. It must be called outside.
func watch(t *testing.T, patience time.Duration) *dog {
	d := &dog{done: make(chan struct{})}
	if patience < 0 {
		return d
	}
	name := t.Name()
	go func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for last := d.strokes.Load(); ; {
			select {
			case <-d.done:
				return
			case <-tick.C:
			}
			now := d.strokes.Load()
			if now == last {
				if text := hung(stacks()); text != "" {
					fmt.Fprintf(os.Stderr, "lab: %s: for %v of real time nothing has happened in the bubble.\n%s", name, patience, text)
					panic("lab: the bubble of " + name + " is hung")
				}
			}
			last = now
		}
	}()
	return d
}

func (d *dog) stop() { close(d.done) }

func (d *dog) stroke() {
	if d != nil {
		d.strokes.Add(1)
	}
}

// stacks returns those of all goroutines.
func stacks() string {
	b := make([]byte, 1<<20)
	for {
		n := runtime.Stack(b, true)
		if n < len(b) {
			return string(b[:n])
		}
		b = make([]byte, 2*len(b))
	}
}

// bubbled reports whether the goroutine is in a bubble: its header says so.
func bubbled() bool {
	var b [256]byte
	head, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), "\n")
	return strings.Contains(head, "synctest bubble")
}

// goroutine is one in a dump.
type goroutine struct {
	head   string
	wait   string
	bubble string   // its number; nothing: it is in none
	lines  []string // functions and places by turns
}

// goroutines reads a dump.
func goroutines(dump string) (list []goroutine) {
	for text := range strings.SplitSeq(dump, "\n\n") {
		head, rest, _ := strings.Cut(text, "\n")
		g := goroutine{head: head, lines: strings.Split(strings.TrimSpace(rest), "\n")}
		if _, wait, ok := strings.Cut(head, "["); ok {
			g.wait, _, _ = strings.Cut(wait, "]")
			g.wait, _, _ = strings.Cut(g.wait, ",")
			g.wait = strings.TrimSuffix(g.wait, " (durable)")
		}
		if _, number, ok := strings.Cut(head, "synctest bubble "); ok {
			g.bubble = number[:len(number)-len(strings.TrimLeft(number, "0123456789"))]
		}
		list = append(list, g)
	}
	return list
}

// hung says why the time of a bubble stands still, as far as the stacks tell: nothing, if
// nobody of a bubble waits for what does not let time pass.
func hung(dump string) string {
	var stuck, others []goroutine
	for _, g := range goroutines(dump) {
		if g.bubble == "" {
			continue
		}
		switch {
		case strings.Contains(g.head, "(durable)"):
			others = append(others, g)
		case strings.HasPrefix(g.wait, "sync.") || strings.HasPrefix(g.wait, "IO wait") || g.wait == "syscall" || strings.HasPrefix(g.wait, "chan ") || strings.HasPrefix(g.wait, "select") || strings.HasPrefix(g.wait, "semacquire"):
			stuck = append(stuck, g)
		}
	}
	if len(stuck) == 0 {
		return ""
	}
	var b strings.Builder
	for _, g := range stuck {
		fmt.Fprintf(&b, "A goroutine waits (%s) at %s, and as long as it does the bubble's time does not pass.\n", g.wait, g.where())
	}
	for _, g := range others {
		fmt.Fprintf(&b, "Another waits (%s) at %s: does it hold what the first waits for?\n", g.wait, g.where())
	}
	return b.String()
}

// where is the first place in a stack that is neither the standard library's nor vitro's, or the first that
// is not package runtime's or package sync's, where all are the library's.
func (g *goroutine) where() string {
	first := ""
	for i := 0; i+1 < len(g.lines); i += 2 {
		f := g.lines[i]
		if strings.HasPrefix(f, "runtime.") || strings.HasPrefix(f, "internal/") || strings.HasPrefix(f, "sync.") || strings.HasPrefix(f, "time.Sleep") ||
			strings.HasPrefix(f, "github.com/vitro-net/vitro.") || strings.HasPrefix(f, "github.com/vitro-net/vitro/host.") || strings.HasPrefix(f, "created by ") {
			continue
		}
		place, _, _ := strings.Cut(strings.TrimSpace(g.lines[i+1]), " ")
		name, _, _ := strings.Cut(f, "(0x")
		at := fmt.Sprintf("%s (%s)", place, strings.TrimSuffix(name, "(...)"))
		if library == "" || !strings.HasPrefix(place, library) {
			return at
		}
		if first == "" {
			first = at
		}
	}
	if first == "" {
		return "an unknown place"
	}
	return first
}

// library is where the files of the standard library are, as one of its functions shows that calls us;
// nothing, where the paths are trimmed.
var library = func() (root string) {
	_ = strings.Map(func(r rune) rune {
		_, file, _, _ := runtime.Caller(1)
		root = strings.TrimSuffix(file, "strings/strings.go")
		return r
	}, "x")
	return root
}()
