package lab

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// What the stacks of all goroutines tell of those of one bubble.

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

// bubble returns the number of the bubble that the goroutine is in, or nothing: its header has it.
func bubble() string {
	var b [256]byte
	return goroutines(string(b[:runtime.Stack(b[:], false)]))[0].bubble
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

// durable reports whether it waits for what only its bubble can bring about.
func (g *goroutine) durable() bool { return strings.Contains(g.head, "(durable)") }

// blocked reports whether it waits for something that does not let time pass. All other states are of one
// that runs, or is about to.
func (g *goroutine) blocked() bool {
	return g.wait == "syscall" || slices.ContainsFunc([]string{"sync.", "IO wait", "chan ", "select", "semacquire"}, func(s string) bool {
		return strings.HasPrefix(g.wait, s)
	})
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

// noise reports whether it is one of synctest's, or of the lab's own in which nobody else's function is
// called.
func (g *goroutine) noise() bool {
	if g.of("testing/synctest.Test") || g.of("internal/synctest.Run") {
		return true
	}
	_, users := g.place()
	return !users && (g.of("vitro/lab.(*Net).carry") || g.of("vitro/lab.(*Net).end"))
}

// where is the first place in a stack that is neither the standard library's nor vitro's, or the first that
// is neither vitro's nor of package runtime or sync, where there is no such.
func (g *goroutine) where() string {
	at, _ := g.place()
	if at == "" {
		return "an unknown place"
	}
	return at
}

// place is where, and whether it is a place outside of the libraries.
func (g *goroutine) place() (at string, users bool) {
	first := ""
	for i := 0; i+1 < len(g.lines); i += 2 {
		f := g.lines[i]
		if slices.ContainsFunc(inner[:], func(prefix string) bool { return strings.HasPrefix(f, prefix) }) {
			continue
		}
		place, _, _ := strings.Cut(strings.TrimSpace(g.lines[i+1]), " ")
		at := fmt.Sprintf("%s (%s)", place, f[:max(strings.LastIndexByte(f, '('), 0)])
		if library == "" || !strings.HasPrefix(place, library) {
			return at, true
		}
		if first == "" {
			first = at
		}
	}
	return first, false
}

// inner are the functions that say nothing of who waits.
var inner = [...]string{
	"runtime.", "internal/", "sync.", "time.Sleep", "created by ",
	"github.com/vitro-net/vitro.", "github.com/vitro-net/vitro/host.", "github.com/vitro-net/vitro/stack.",
	"github.com/vitro-net/vitro/tcp.", "github.com/vitro-net/vitro/lab.",
}

// waiting says where the goroutines wait that are in one bubble with the first of the dump.
func waiting(dump string) string {
	list := goroutines(dump)
	var b strings.Builder
	for _, g := range list[1:] {
		if g.bubble == list[0].bubble && !g.noise() {
			fmt.Fprintf(&b, "A goroutine waits (%s) at %s.\n", g.wait, g.where())
		}
	}
	return b.String()
}

// hung says why the time of a bubble stands still, as far as the stacks tell: nothing, if one of its
// goroutines runs, or nobody waits for what does not let time pass.
func hung(dump, bubble string) string {
	var stuck, others []goroutine
	for _, g := range goroutines(dump) {
		switch {
		case bubble == "" || g.bubble != bubble:
		case g.durable():
			others = append(others, g)
		case g.blocked():
			stuck = append(stuck, g)
		default:
			return ""
		}
	}
	var b strings.Builder
	for _, g := range stuck {
		in := ""
		if g.of("vitro/lab.apart") {
			in = ", in a function of a rule, which must not call the Net"
		}
		fmt.Fprintf(&b, "A goroutine waits (%s) at %s%s, and as long as it does the bubble's time does not pass.\n", g.wait, g.where(), in)
	}
	for _, g := range others {
		if len(stuck) > 0 && !g.noise() {
			fmt.Fprintf(&b, "Another waits (%s) at %s: does it hold what the first waits for?\n", g.wait, g.where())
		}
	}
	return b.String()
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
