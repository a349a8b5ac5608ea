package lab

import (
	"slices"
	"strings"
)

// Cut is a partition: nothing gets from one host to another, or from a group to all others.
type Cut struct {
	net      *Net
	from, to *node
	both     bool
	group    []*node // from them, and to them; from and to are nil
}

// Partition cuts all ways between two hosts, in both directions. What is on its way arrives.
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
	c := &Cut{net: n}
	for _, h := range hosts {
		c.group = append(c.group, n.named(h))
	}
	n.cuts = append(n.cuts, c)
	c.note("cut off from all but " + strings.Join(hosts, ", "))
	return c
}

// note puts into the ladders what becomes of the cut.
func (c *Cut) note(what string) {
	for _, x := range c.group {
		c.net.record.note(x, what)
	}
}

func (n *Net) cut(from, to string, both bool) *Cut {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	c := &Cut{net: n, from: n.named(from), to: n.named(to), both: both}
	n.cuts = append(n.cuts, c)
	n.record.note(c.from, "cut off from "+to)
	return c
}

// Heal ends the partition. A second Heal does nothing.
func (c *Cut) Heal() {
	n := c.net
	n.lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.cuts, c); i >= 0 {
		n.cuts = slices.Delete(n.cuts, i, i+1)
		if c.from == nil {
			c.note("joined again with all")
			return
		}
		n.record.note(c.from, "joined again with "+c.to.name)
	}
}

// isCut reports whether a packet from one to the other is lost. Where routers are between the two
// hosts of a partition, the packet is lost on the first link.
func (n *Net) isCut(p *Packet) bool {
	for _, c := range n.cuts {
		if c.from == nil {
			src, dst := n.at(p.ip.Src.Netip()), n.at(p.ip.Dst.Netip())
			if slices.Contains(c.group, src) != slices.Contains(c.group, dst) {
				return true
			}
			continue
		}
		from, to := p.from, p.to
		if p.own {
			to = n.at(p.ip.Dst.Netip())
		}
		if c.from == from && (c.to == to || c.to == p.to) || c.both && c.to == from && (c.from == to || c.from == p.to) {
			return true
		}
	}
	return false
}
