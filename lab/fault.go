package lab

import "slices"

// Cut is a partition: nothing gets from one host to another.
type Cut struct {
	net      *Net
	from, to *node
	both     bool
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

func (n *Net) cut(from, to string, both bool) *Cut {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &Cut{n, n.named(from), n.named(to), both}
	n.cuts = append(n.cuts, c)
	n.record.note(c.from, "cut off from "+to)
	return c
}

// Heal ends the partition. A second Heal does nothing.
func (c *Cut) Heal() {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.cuts, c); i >= 0 {
		n.cuts = slices.Delete(n.cuts, i, i+1)
		n.record.note(c.from, "joined again with "+c.to.name)
	}
}

// isCut reports whether a packet from one to the other is lost. Where routers are between the two
// hosts of a partition, the packet is lost on the first link.
func (n *Net) isCut(p *Packet) bool {
	for _, c := range n.cuts {
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
