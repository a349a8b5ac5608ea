package lab

import (
	"container/heap"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
)

// way is one direction of a link.
type way struct {
	from, to *node
	link     *Link
	path     *sim.Path
	at       tcp.Time // the path's deadline, as the agenda knows it
	index    int      // on the agenda, counted from 1; 0: it is not there
}

// way returns the direction from one node to another, which is made when it is first used.
func (n *Net) way(from, to *node) *way {
	for _, w := range from.ways {
		if w.to == to {
			return w
		}
	}
	l := n.linkOf(from, to)
	path, err := sim.NewPath(l.path(), l.since, n.random(from.name+" > "+to.name))
	if err != nil {
		panic(err) // the link has been checked
	}
	w := &way{from: from, to: to, link: l, path: path}
	from.ways = append(from.ways, w)
	return w
}

// agenda is a heap of the ways with something on them, the one first on which something is due
// first; of those at one instant, by their hosts.
type agenda []*way

// deadline is when something is due.
func (a agenda) deadline() tcp.Time {
	if len(a) == 0 {
		return tcp.Never
	}
	return a[0].at
}

// plan puts a way where it belongs.
func (a *agenda) plan(w *way) {
	w.at = w.path.Deadline()
	switch {
	case w.index == 0 && w.at != tcp.Never:
		heap.Push(a, w)
	case w.index > 0 && w.at == tcp.Never:
		heap.Remove(a, w.index-1)
	case w.index > 0:
		heap.Fix(a, w.index-1)
	}
}

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	v, w := a[i], a[j]
	switch {
	case v.at != w.at:
		return v.at < w.at
	case v.from != w.from:
		return v.from.index < w.from.index
	}
	return v.to.index < w.to.index
}

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i+1, j+1
}

// Push is for package heap.
func (a *agenda) Push(x any) {
	w := x.(*way) //nolint:errcheck // plan pushes ways alone
	*a = append(*a, w)
	w.index = len(*a)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	w := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	w.index = 0
	return w
}
