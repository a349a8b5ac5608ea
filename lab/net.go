package lab

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Net is a network: hosts, and links between them. Make it with [Test] or [New]. All methods may be
// called by several goroutines at a time. What cannot be, as a host whose name there is already,
// ends the test.
type Net struct {
	tb     testing.TB
	config config
	seed   uint64
	start  time.Time // tcp.Time 1

	mu           sync.Mutex
	def          *Link
	nodes        []*node
	links        map[[2]*node]*Link // by the first host and the second; nil: as def
	busy         agenda             // the ways with something on them
	rules        []*Applied
	cuts         []*Cut
	pending      []*Packet // sent, and not yet on their way: see catchUp
	soon         tcp.Time  // when something may become of one of them
	returned     []*Packet // ICMP messages for who has sent what cannot get on its way
	due, arrived []*Packet // room
	octets       []byte    // room for what packets say
	packets      []Packet  // and for them
	turn         uint64
	armed        tcp.Time // when timer wakes the carrier; Never: it does not run
	timer        *time.Timer
	ended        chan struct{} // closed by the carrier
	carrying     bool
	closed       bool
	record       record
	goroutines   int // of the process, as the Net was made
	reported     atomic.Bool
	watchdog     *dog
}

func newNet(tb testing.TB, c config, seed uint64, watchdog *dog) *Net {
	n := &Net{
		tb: tb, config: c, seed: seed, start: time.Now(), armed: tcp.Never, soon: tcp.Never, def: new(Link),
		links: map[[2]*node]*Link{},
	}
	n.ended, n.timer = make(chan struct{}), time.NewTimer(0)
	n.armed = n.now()
	n.record.init(n)
	n.watchdog, n.goroutines = watchdog, runtime.NumGoroutine()
	go n.carry()
	return n
}

// Seed returns the seed: what chance does on the links follows from it.
func (n *Net) Seed() uint64 { return n.seed }

// Default sets what every link is that has not been set by [Net.Link], those that are in use too.
func (n *Net) Default(l Link) {
	n.tb.Helper()
	n.must(l.check())
	n.lock()
	defer n.mu.Unlock()
	n.def = l.set(n.now())
	n.relink()
}

// Link sets the link between two hosts, or a host and a router or NAT, in whichever order: what is
// on its way arrives as it would have, and what waits in a queue goes on at the new rate. The first
// host is that from which [Link.Back] leads back. A host that has a link to a router or a NAT
// reaches all others over such links; others reach each other directly.
func (n *Net) Link(a, b string, l Link) {
	n.tb.Helper()
	n.must(l.check())
	n.lock()
	defer n.mu.Unlock()
	x, y := n.named(a), n.named(b)
	if x == y {
		n.tb.Fatalf("lab: a link from %s to itself", a)
	}
	delete(n.links, [2]*node{y, x})
	n.links[[2]*node{x, y}] = l.set(n.now())
	n.rejoined()
	n.relink()
}

// lock gets the lock, and sees to it that all is as it is now.
func (n *Net) lock() {
	n.mu.Lock()
	n.catchUp(n.now())
}

// relink gives all ways the links that hold now.
func (n *Net) relink() {
	now := n.now()
	for _, x := range n.nodes {
		for _, w := range x.ways {
			if l := n.linkOf(w.from, w.to); l != w.link {
				w.link = l
				_ = w.path.Change(now, l.path()) // it has been checked
				n.busy.plan(w)
			}
		}
	}
	n.replan()
}

// replan sees when something may become of what is pending, where that is not as it was.
func (n *Net) replan() {
	n.soon = tcp.Never
	for _, p := range n.pending {
		n.soon = min(n.soon, n.soonest(p))
	}
	n.arm()
}

// linkOf returns the link from x to y.
func (n *Net) linkOf(x, y *node) *Link {
	if l := n.links[[2]*node{x, y}]; l != nil {
		return l
	}
	l := n.links[[2]*node{y, x}]
	back := l != nil
	if l == nil {
		l, back = n.def, y.index < x.index
	}
	if back && l.Back != nil {
		return l.Back
	}
	return l
}

func (n *Net) must(err error) {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatal(err)
	}
}

// named returns the host of that name, or ends the test: the lock goes by the caller's defer.
func (n *Net) named(name string) *node {
	n.tb.Helper()
	for _, x := range n.nodes {
		if x.name == name {
			return x
		}
	}
	n.tb.Fatalf("lab: there is no host %q", name)
	panic("unreachable")
}

// owner returns the name of the host with an address, or nothing.
func (n *Net) owner(a netip.Addr) string {
	if x := n.at(a); x != nil {
		return x.name
	}
	return ""
}

func (n *Net) at(a netip.Addr) *node {
	for _, x := range n.nodes {
		if x.addr4 == a || x.addr6 == a {
			return x
		}
	}
	return nil
}

func (n *Net) now() tcp.Time { return tcp.Time(time.Since(n.start)) + 1 }

// time returns the time of day of an instant.
func (n *Net) time(t tcp.Time) time.Time { return n.start.Add(time.Duration(t - 1)) }

// random returns a generator of its own for whatever the name says.
func (n *Net) random(name string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(n.seed, h))
}

// Settle waits until no packet is on its way. What a timer will send later, as a delayed
// acknowledgment, is not on its way. In a bubble it returns when all goroutines that packets have woken wait
// again, and nothing has come of it. In real time they have two milliseconds in which to send something, which on
// a busy machine may be too little: a test there had better wait for what it wants to see.
func (n *Net) Settle() {
	pause := 2 * time.Nanosecond
	if !n.config.bubble {
		pause = time.Millisecond
	}
	for quiet := 0; quiet < 2; {
		n.lock()
		at, now, carrying := n.deadline(), n.now(), n.carrying
		n.mu.Unlock()
		if at != tcp.Never {
			quiet = 0
			time.Sleep(max(at.Sub(now), 0) + 1)
			continue
		}
		if quiet++; carrying { // a host is taking something
			quiet = 0
		}
		time.Sleep(pause) // who has been woken by the last packet may send
	}
}

// close ends all hosts.
func (n *Net) close() {
	n.mu.Lock()
	n.closed = true
	n.timer.Reset(0)
	nodes := n.nodes
	n.mu.Unlock()
	<-n.ended
	for _, x := range nodes {
		if x.host != nil {
			x.host.shut()
		}
	}
}
