package lab

import (
	"fmt"
	"slices"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// send takes what a host sends. Nothing departs at the instant at which it is sent: a nanosecond
// later all of that instant does, in an order that does not depend on which goroutine was first.
func (n *Net) send(x *node, packets []wire.Packet) {
	n.lock()
	defer n.mu.Unlock()
	if n.closed || x.down {
		return
	}
	now := n.now()
	for i := range packets {
		b := n.copied(packets[i].Bytes())
		if x.paused {
			x.waiting = append(x.waiting, b)
			continue
		}
		n.hand(now, x, b, true, nil)
	}
	n.arm()
}

// copied returns a copy, in memory that is got for some dozens of packets at once: the record, which has
// the last of them, lets go of them in the order in which they were sent.
func (n *Net) copied(b []byte) []byte {
	const some = 64 << 10
	if cap(n.octets)-len(n.octets) < len(b) {
		n.octets = make([]byte, 0, max(some, len(b)))
	}
	at := len(n.octets)
	n.octets = append(n.octets, b...)
	return n.octets[at:len(n.octets):len(n.octets)]
}

// packet returns an empty one.
func (n *Net) packet() *Packet {
	if len(n.packets) == 0 {
		n.packets = make([]Packet, 32)
	}
	p := &n.packets[0]
	n.packets = n.packets[1:]
	return p
}

// hand lets a node send a packet, which is its own from now on. made: the stack of the node has
// made it. origin is the packet as it came to the node, if it passes it on; nil: that is not known.
func (n *Net) hand(now tcp.Time, x *node, b []byte, made bool, origin *Packet) {
	p := n.form(now, x, b, made, origin)
	n.record.sent(p)
	n.await(p)
}

// forge lets a node send at an instant what somebody between the ends has made up. The record has it
// when it departs, since that may be later.
func (n *Net) forge(at tcp.Time, x *node, b []byte) {
	p := n.form(at, x, b, false, nil)
	p.forged = true
	n.await(p)
}

// form makes a Packet of octets.
func (n *Net) form(now tcp.Time, x *node, b []byte, made bool, origin *Packet) *Packet {
	n.turn++
	p := n.packet()
	p.From, p.from, p.Bytes, p.at, p.turn, p.origin = x.name, x, b, now, n.turn, origin
	p.parse()
	p.own = made && (p.ip.Src == wire.AddrFrom(x.addr4) || p.ip.Src == wire.AddrFrom(x.addr6))
	if !p.own && origin == nil {
		p.origin = x.passedOn(p)
	}
	switch {
	case !p.IsTCP:
	case p.origin != nil:
		p.SenderState, p.Again = p.origin.SenderState, p.origin.Again
	case p.own:
		p.SenderState, p.Again = x.states[p.Flow], x.sentBefore(p)
	}
	return p
}

// await adds a packet to those that have still to depart.
func (n *Net) await(p *Packet) {
	n.pending = append(n.pending, p)
	n.soon = min(n.soon, n.soonest(p))
}

// arm sets the timer to when something is due, if that is sooner.
func (n *Net) arm() {
	if !n.closed && !n.carrying {
		n.wakeAt(n.deadline())
	}
}

// wakeAt has the carrier wake at an instant, if that is sooner than it would.
func (n *Net) wakeAt(at tcp.Time) {
	if at < n.armed {
		n.armed = at
		n.timer.Reset(max(at.Sub(n.now()), 0))
	}
}

// deadline is when something is due.
func (n *Net) deadline() tcp.Time {
	at := min(n.soon, n.busy.deadline())
	for _, p := range n.returned {
		at = min(at, p.at)
	}
	return at
}

// soonest is when something may become of a packet that is pending. That it departs need not be
// waited for: whoever looks before sees to it.
func (n *Net) soonest(p *Packet) tcp.Time {
	departs := p.at + 1
	to := n.next(p.from, p.ip.Dst.Netip())
	if to == nil {
		return departs
	}
	w := n.way(p.from, to)
	prompt := slices.ContainsFunc(n.rules, func(a *Applied) bool { return a.rule.match.prompt })
	if prompt || len(n.cuts) > 0 || len(p.Bytes) > w.link.mtu() {
		return departs
	}
	return w.path.Soonest(departs, len(p.Bytes), len(n.rules) > 0)
}

// carry does all that is due, when it is due. It is the one goroutine of the Net: a timer's function
// would have a new one, with a new stack, for each packet.
func (n *Net) carry() {
	defer close(n.ended)
	defer n.timer.Stop()
	for {
		<-n.timer.C
		n.mu.Lock()
		n.watchdog.stroke()
		n.carrying = true
		at := tcp.Time(0)
		for !n.closed && at <= n.now() {
			n.round()
			at = n.deadline()
		}
		n.carrying, n.armed = false, tcp.Never
		closed := n.closed
		if !closed {
			n.wakeAt(at)
		}
		n.mu.Unlock()
		if closed {
			return
		}
	}
}

// round lets arrive what is due to. The lock is not held while a host takes what arrives.
func (n *Net) round() {
	now := n.now()
	n.catchUp(now)
	returned := n.returned
	n.returned = nil
	for _, p := range returned {
		n.deliver(p.to, []*Packet{p})
	}
	arrived := n.arrivals(now)
	for i := 0; i < len(arrived); {
		to := arrived[i].to
		j := i + 1
		for j < len(arrived) && arrived[j].to == to {
			j++
		}
		n.deliver(to, arrived[i:j])
		i = j
	}
	clear(arrived)
	n.arrived = arrived
}

// catchUp sends on their way the packets of instants that are over: one instant after the other,
// as each may be answered at once. Nobody can tell that they did not depart in time, since who
// looks at the Net, or changes it, does this first, and nothing arrives before the carrier does.
func (n *Net) catchUp(now tcp.Time) {
	for {
		at := tcp.Never
		for _, p := range n.pending {
			at = min(at, p.at)
		}
		if at >= now {
			return
		}
		n.depart(at)
	}
}

// depart sends on their way the packets of an instant.
func (n *Net) depart(at tcp.Time) {
	due, rest := n.due[:0], n.pending[:0]
	for _, p := range n.pending {
		if p.at == at {
			due = append(due, p)
		} else {
			rest = append(rest, p)
		}
	}
	clear(n.pending[len(rest):])
	n.pending, n.soon = rest, tcp.Never
	for _, p := range rest { // as a rule there is none
		n.soon = min(n.soon, n.soonest(p))
	}
	slices.SortFunc(due, (*Packet).before)
	for _, p := range due {
		n.launch(at+1, p)
	}
	clear(due)
	n.due = due
}

// launch decides what becomes of a packet.
func (n *Net) launch(now tcp.Time, p *Packet) {
	p.Sent = n.time(p.at)
	if p.forged {
		n.record.sent(p)
	}
	p.to = n.next(p.from, p.ip.Dst.Netip())
	if p.to == nil {
		p.befalls("no host has the address")
		n.record.depart(p)
		n.lose(now, p, "")
		n.unreachable(now, p)
		return
	}
	p.To = p.to.name
	if p.IsTCP {
		if end, flow := n.follow(p.from, p.Flow, wire.ProtoTCP); end != nil {
			p.ReceiverState = end.states[flow.Reverse()]
		}
	}
	w := n.way(p.from, p.to)
	fate := w.path.Draw()
	n.judge(now, p, &fate)
	n.record.depart(p)
	switch {
	case n.isCut(p):
		n.lose(now, p, "partition")
	case len(p.Bytes) > w.link.mtu():
		n.lose(now, p, fmt.Sprintf("longer than the link's MTU of %d", w.link.mtu()))
		n.tooBig(now, p, w.link)
	default:
		p.parcel = sim.Parcel{Bytes: p.Bytes, Fate: fate, Tag: p}
		w.path.Put(now, &p.parcel)
		n.busy.plan(w)
	}
}

// arrivals returns what arrives up to now: what arrives at one instant in the order of the links.
func (n *Net) arrivals(now tcp.Time) []*Packet {
	arrived := n.arrived[:0]
	for n.busy.deadline() <= now {
		w := n.busy[0]
		for d, ok := w.path.Take(now); ok; d, ok = w.path.Take(now) {
			p := d.Tag.(*Packet) //nolint:errcheck // launch puts no other
			p.parcel.Bytes = d.Bytes
			if d.Loss != sim.NotLost {
				if d.Loss != sim.LossByChance || len(p.why) == 0 {
					p.befalls(d.Loss.String())
				}
				n.lose(d.At, p, "")
				continue
			}
			arrived = append(arrived, p)
		}
		n.busy.plan(w)
	}
	return arrived
}

// unsend takes back what a host that crashes has sent at this instant: nothing of that has left it.
func (n *Net) unsend(x *node) {
	n.pending = slices.DeleteFunc(n.pending, func(p *Packet) bool {
		if p.from == x {
			n.lose(p.at, p, "the host crashes")
		}
		return p.from == x
	})
	n.replan()
}

// deliver gives packets to the node at the end of their links.
func (n *Net) deliver(to *node, packets []*Packet) {
	if to.paused && !to.down {
		to.held = append(to.held, packets...)
		return
	}
	if to.down {
		for _, p := range packets {
			n.lose(n.now(), p, "the host is down")
		}
		return
	}
	if to.nat != nil {
		for _, p := range packets {
			to.nat.translate(n.now(), p)
		}
		return
	}
	for len(packets) > 0 {
		k := together(to, packets)
		n.receive(to, packets[:k])
		packets = packets[k:]
	}
}

// together is how many of the packets a host gets in one batch. What may change the state of a connection
// it gets by itself, so that the record has it before the change, and what comes behind it after that.
func together(to *node, packets []*Packet) int {
	for i, p := range packets {
		if p.turns(to) {
			return max(i, 1)
		}
	}
	return len(packets)
}

// receive gives packets to a host.
func (n *Net) receive(to *node, packets []*Packet) {
	now := n.now()
	to.forgetTransit(now)
	batch := to.batch[:0]
	for _, p := range packets {
		n.record.arrive(p)
		if to.router && !p.isFor(to) {
			p.came = now
			to.transit = append(to.transit, p)
		}
		batch = append(batch, wire.Packet{Buf: p.parcel.Bytes})
	}
	to.batch = nil // it is the host's until it has returned
	receive := to.receive
	n.mu.Unlock()
	receive(batch)
	n.mu.Lock()
	clear(batch)
	to.batch = batch
}

// lose notes that a packet does not arrive.
func (n *Net) lose(at tcp.Time, p *Packet, why string) {
	if why != "" {
		p.befalls(why)
	}
	n.record.lost(at, p)
}
