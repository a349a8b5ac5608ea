package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Host is a host of a World, or a router (stack.Config.Forward).
type Host struct {
	Name string

	world   *World
	cfg     stack.Config
	random  *rand.Rand
	stack   *stack.Stack
	ports   []port
	batch   stack.Batch
	touched bool         // it may have something to send
	woken   []*watcher   // those to be told of signals
	packet  *Packet      // that arrives just now
	drops   stack.Drops  // up to the last packet that has arrived
	told    ruleCounters // drops that the machine has told of since it began to arrive
	place   place
}

type ruleCounters [tcp.NumRules]uint64

// port is one interface of a host; stack interfaces count from 1.
type port struct {
	cfg    stack.InterfaceConfig
	routes []netip.Prefix
	link   *Link
	side   int
}

// Host makes a host without links. Where cfg has no Secret and no Seed, they come from the
// World's seed. Its Trace is called as usual, beside the events that [World.Watch] gives.
func (w *World) Host(name string, cfg stack.Config) *Host {
	h := &Host{Name: name, world: w, cfg: cfg, random: w.random(randomHost, len(w.hosts))}
	h.boot()
	w.hosts = append(w.hosts, h)
	return h
}

// boot gives the host a new stack with its interfaces.
func (h *Host) boot() {
	cfg := h.cfg
	if cfg.Secret == [16]byte{} {
		binary.LittleEndian.PutUint64(cfg.Secret[:8], h.random.Uint64())
		binary.LittleEndian.PutUint64(cfg.Secret[8:], h.random.Uint64())
	}
	if cfg.Seed == 0 {
		cfg.Seed = h.random.Uint64()
	}
	cfg.TCP.Trace = h.trace(cfg.TCP.Trace)
	h.stack = stack.New(cfg)
	ports := h.ports
	h.ports = nil
	for _, p := range ports {
		// The last stack has taken the same.
		_, _ = h.addPort(p.cfg, p.routes, p.link, p.side)
	}
}

// Crash takes all memory from the host, without a word to anybody: its connections and
// listeners are gone, and its interfaces are there as before. Packets on their way to it
// arrive. Calls on Conns and Listeners of the time before give tcp.ErrNotExist.
func (h *Host) Crash() {
	h.boot()
	h.world.plan(h)
	h.world.tell(Event{Kind: Crash, Host: h})
}

func (h *Host) addPort(cfg stack.InterfaceConfig, routes []netip.Prefix, l *Link, side int) (id int, err error) {
	if id, err = h.stack.AddInterface(cfg); err != nil {
		return 0, err
	}
	for _, r := range routes {
		if err = h.stack.AddRoute(r, id); err != nil {
			return 0, err
		}
	}
	h.ports = append(h.ports, port{cfg, routes, l, side})
	return id, nil
}

// World returns the World of the host.
func (h *Host) World() *World { return h.world }

// Stats returns the counters of the host's stack.
func (h *Host) Stats() stack.Stats { return h.stack.Stats() }

// Connections returns the status of what the host's stack has; see stack.Connections.
func (h *Host) Connections() []tcp.Status { return h.stack.Connections() }

// Note shows a text as an event of the host.
func (h *Host) Note(text string) { h.world.tell(Event{Kind: Note, Host: h, Text: text}) }

// called tells of a user's call.
func (h *Host) called(format string, args ...any) {
	if h.world.watched() {
		h.world.tell(Event{Kind: Call, Host: h, Text: fmt.Sprintf(format, args...)})
	}
}

// touch is called when the stack has been: it may want to send, or to be woken sooner.
func (h *Host) touch() { h.touched = true }

func (h *Host) deadline() tcp.Time { return h.stack.Deadline() }
func (h *Host) planned() *place    { return &h.place }

func (h *Host) run(now tcp.Time) {
	h.stack.Timeout(now)
	h.touch()
}

// flush sends what the stack has to send.
func (h *Host) flush() {
	h.touched = false
	for more := true; more; {
		more = h.stack.Output(h.world.now, &h.batch)
		for i := range h.batch.Len() {
			iface, p := h.batch.Packet(i)
			out := h.ports[iface-1]
			out.link.send(out.side, p)
		}
		h.batch.Reset()
	}
	h.world.plan(h)
}

// tell hands their signals to the users of those that were woken.
func (h *Host) tell() {
	woken := h.woken
	h.woken = nil
	for _, w := range woken {
		sig := w.got
		w.got, w.woken = 0, false
		if w.stack == h.stack { // nobody before has made the host crash
			w.told(sig)
		}
	}
}

// arrive gives a packet to the stack, as octets that may differ from those that departed. Of the drops that
// follow the machine tells those of connections; the stack's own are seen in its counters.
func (h *Host) arrive(iface int, p *Packet, octets []byte) {
	w := h.world
	h.touch()
	pkt := wire.Packet{Buf: octets}
	if !w.watched() {
		h.stack.Arrive(w.now, iface, &pkt)
		return
	}
	w.tell(Event{Kind: Arrive, Host: h, Packet: p})
	h.packet, h.told = p, ruleCounters{}
	h.stack.Drops(&h.drops)
	before := h.drops
	h.stack.Arrive(w.now, iface, &pkt)
	if h.stack.Drops(&h.drops) {
		h.tellDrops(p, &before, &h.drops)
	}
	h.packet = nil
}

// tellDrops tells of each drop that no connection has told of.
func (h *Host) tellDrops(p *Packet, before, after *stack.Drops) {
	for rule, n := range after.Rules {
		for range n - before.Rules[rule] - h.told[rule] {
			h.world.tell(Event{Kind: Drop, Host: h, Flow: h.flowOf(p), Packet: p, Rule: tcp.Rule(rule)})
		}
	}
	for fault, n := range after.Faults {
		for range n - before.Faults[fault] {
			h.world.tell(Event{Kind: Drop, Host: h, Flow: h.flowOf(p), Packet: p, Fault: wire.Fault(fault)})
		}
	}
}

// flowOf returns the sockets of a packet that arrives, as h sees them.
func (h *Host) flowOf(p *Packet) wire.Flow { return p.Flow.Reverse() }

// trace makes events of what the machine does, and calls the owner's functions too.
func (h *Host) trace(user *tcp.Trace) *tcp.Trace {
	if user == nil {
		user = &tcp.Trace{}
	}
	u, w := *user, h.world
	return &tcp.Trace{
		Become: func(c tcp.Observed, now tcp.Time, from, to tcp.State, rule tcp.Rule) {
			w.tell(Event{Kind: State, Host: h, Flow: c.Flow(), From: from, To: to, Rule: rule})
			if u.Become != nil {
				u.Become(c, now, from, to, rule)
			}
		},
		Drop: func(c tcp.Observed, now tcp.Time, seg *wire.Segment, rule tcp.Rule) {
			h.told[rule]++
			w.tell(Event{Kind: Drop, Host: h, Flow: c.Flow(), Packet: h.packet, Rule: rule})
			if u.Drop != nil {
				u.Drop(c, now, seg, rule)
			}
		},
		Retransmit: func(c tcp.Observed, now tcp.Time, first seq.Num, n uint32, rule tcp.Rule) {
			w.tell(Event{Kind: Retransmit, Host: h, Flow: c.Flow(), First: first, Len: n, Rule: rule})
			if u.Retransmit != nil {
				u.Retransmit(c, now, first, n, rule)
			}
		},
		PathMTU: func(c tcp.Observed, now tcp.Time, mtu int, rule tcp.Rule) {
			w.tell(Event{Kind: PathMTU, Host: h, Flow: c.Flow(), Len: uint32(mtu), Rule: rule})
			if u.PathMTU != nil {
				u.PathMTU(c, now, mtu, rule)
			}
		},
		Timeout: func(c tcp.Observed, now tcp.Time, rule tcp.Rule) {
			w.tell(Event{Kind: Timeout, Host: h, Flow: c.Flow(), Rule: rule})
			if u.Timeout != nil {
				u.Timeout(c, now, rule)
			}
		},
	}
}
