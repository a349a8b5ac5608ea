package lab

import (
	"slices"

	"github.com/vitro-net/vitro/ladder"
)

// Cut is a partition: nothing gets from one host to another, or from a group to all others.
type Cut struct {
	net      *Net
	from, to *node
	both     bool
	group    []*node // from them, and to them; from and to are nil
}

// Partition cuts all ways between two hosts, in both directions, whatever routers and NATs are between
// them. What is on its way arrives; what is sent at the same instant is not yet.
func (n *Net) Partition(a, b string) *Cut {
	n.tb.Helper()
	return n.cut(a, b, true)
}

// PartitionOneWay cuts the way from one host to another: what comes back still arrives.
func (n *Net) PartitionOneWay(from, to string) *Cut {
	n.tb.Helper()
	return n.cut(from, to, false)
}

// Isolate cuts a group of hosts off from all others, in both directions, as when a cluster splits: those of the
// group reach each other, and so do the others. What is on its way arrives.
func (n *Net) Isolate(hosts ...string) *Cut {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	if len(hosts) == 0 {
		n.tb.Fatal("lab: Isolate without a host")
	}
	c := &Cut{net: n}
	for _, h := range hosts {
		c.group = append(c.group, n.named(h))
	}
	n.begin(c)
	return c
}

func (n *Net) cut(from, to string, both bool) *Cut {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	c := &Cut{net: n, from: n.named(from), to: n.named(to), both: both}
	n.begin(c)
	return c
}

func (n *Net) begin(c *Cut) {
	n.cuts = append(n.cuts, c)
	n.replan()
	for _, s := range n.record.stories {
		c.told(s)
	}
}

// Heal ends the partition. A second Heal does nothing.
func (c *Cut) Heal() {
	n := c.net
	n.lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.cuts, c); i >= 0 {
		n.cuts = slices.Delete(n.cuts, i, i+1)
		for _, s := range n.record.stories {
			c.note(s, "joined again with ")
		}
	}
}

// told puts into a ladder that its ends are cut off from each other.
func (c *Cut) told(s *story) { c.note(s, "cut off from ") }

func (c *Cut) note(s *story, what string) {
	for i, x := range s.ends {
		peer := s.ends[1-i]
		if c.severs(x, peer) {
			s.add(event{at: c.net.now(), kind: eventNote, end: ladder.Peer(i), text: x.name + ": " + what + peer.name})
		}
		for _, v := range s.via {
			if c.parts(x, v) || c.parts(v, x) {
				s.add(event{at: c.net.now(), kind: eventNote, end: ladder.Peer(i), text: x.name + ": " + what + v.name})
			}
		}
	}
}

// severs reports whether nothing gets from x to y.
func (c *Cut) severs(x, y *node) bool {
	if c.from == nil {
		return slices.Contains(c.group, x) != slices.Contains(c.group, y)
	}
	return c.from == x && c.to == y || c.both && c.from == y && c.to == x
}

// isCut reports whether a packet is lost in a partition: where it leaves the host that has made it, if its
// end is beyond the cut, and on the link to or from a router or NAT that is itself cut off.
func (n *Net) isCut(p *Packet) bool {
	if len(n.cuts) == 0 {
		return false
	}
	end := p.to
	if p.own {
		end = n.last(p)
	}
	for _, c := range n.cuts {
		if p.own && end != nil && c.severs(p.from, end) || c.parts(p.from, p.to) {
			return true
		}
	}
	return false
}

// last returns the host that a packet is to get to.
func (n *Net) last(p *Packet) *node {
	flow, ok := p.Flow, p.IsTCP || p.IsUDP
	if !ok {
		flow, ok = echoFlow(&p.ip)
	}
	if ok {
		if end, _ := n.follow(p.from, flow, p.ip.Proto); end != nil {
			return end
		}
	}
	return n.at(p.ip.Dst.Netip())
}

// parts reports whether a link is cut because of a router or NAT at one of its ends. Those of a group that
// pass on are at the edge of it; others are neither within nor without.
func (c *Cut) parts(from, to *node) bool {
	if c.from != nil {
		return (from.passes() || to.passes()) && c.severs(from, to)
	}
	in, into := slices.Contains(c.group, from), slices.Contains(c.group, to)
	return in != into && (in && from.passes() || into && to.passes())
}
