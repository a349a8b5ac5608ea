package lab

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// node is whatever links lead to: a host, a router, a NAT.
type node struct {
	net          *Net
	index        int
	name         string
	addr4, addr6 netip.Addr
	random       *rand.Rand
	host         *Host // nil: a NAT
	nat          *nat
	router       bool // it passes on what is for others
	apart        bool // behind a router or a NAT, or a router

	receive func([]wire.Packet)
	batch   []wire.Packet // room for what it gets
	down    bool          // nothing gets in or out
	paused  bool          // what comes waits
	held    []*Packet     // and is here
	transit []*Packet     // what a router has got to pass on
	waiting [][]byte      // what the host has sent meanwhile
	again   uint64        // segments that were sent with something that had been sent before
	states  map[wire.Flow]tcp.State
	routes  map[netip.Addr]*node
	ways    []*way                // from here, in the order in which they were first used
	sent    map[wire.Flow]seq.Num // the end of what has been sent
}

// add makes a node.
func (n *Net) add(name string) *node {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	if name == "" {
		n.tb.Fatal("lab: a host without a name")
	}
	for _, x := range n.nodes {
		if x.name == name {
			n.tb.Fatalf("lab: there is a host %q already", name)
		}
	}
	i := len(n.nodes) + 1
	x := &node{
		net: n, index: i, name: name, random: n.random("rules of " + name),
		addr4:  netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
		addr6:  netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i >> 8), 15: byte(i)}),
		routes: map[netip.Addr]*node{}, states: map[wire.Flow]tcp.State{}, sent: map[wire.Flow]seq.Num{},
	}
	n.nodes = append(n.nodes, x)
	n.rejoined()
	return x
}

// passes reports whether others are reached over the node.
func (x *node) passes() bool { return x.router || x.nat != nil }

// sentBefore reports whether something of a segment has been sent before by who has made it, and notes that it has.
func (x *node) sentBefore(p *Packet) bool {
	if p.Segment.Len() == 0 || p.Segment.Flags&wire.RST != 0 {
		return false
	}
	end, ok := x.sent[p.Flow]
	if !ok || end.Less(p.Segment.End()) || p.Segment.Flags&wire.SYN != 0 && !p.Segment.Seq.Less(end) {
		x.sent[p.Flow] = p.Segment.End()
	}
	again := ok && p.Segment.Seq.Less(end)
	if again {
		x.again++
	}
	return again
}

// passedOn finds the packet as it came to a router that passes p on: the one that had the same octets, damaged
// ones too, behind its IP header.
func (x *node) passedOn(p *Packet) *Packet {
	for i, q := range x.transit {
		if q.ip.Src == p.ip.Src && q.ip.Dst == p.ip.Dst && bytes.Equal(q.parcel.Bytes[q.ip.HeaderLen:], p.Bytes[p.ip.HeaderLen:]) {
			x.transit = slices.Delete(x.transit, i, i+1)
			return q
		}
	}
	return nil
}

// forgetTransit lets go of what a router has not passed on in a second.
func (x *node) forgetTransit(now tcp.Time) {
	x.transit = slices.DeleteFunc(x.transit, func(p *Packet) bool { return now.Sub(p.came) > time.Second })
}

// follow returns the host where a flow leads to from a node, and the flow as it comes there, which NATs on the
// way have made another. nil: it leads nowhere, or a NAT does not know it.
func (n *Net) follow(x *node, flow wire.Flow, proto uint8) (*node, wire.Flow) {
	const mostHops = 32
	for range mostHops {
		dst := flow.Remote.Netip()
		y := n.next(x, dst)
		switch {
		case y == nil:
			return nil, flow
		case y.nat != nil:
			if !y.nat.known(x, &flow, proto) {
				return nil, flow
			}
		case dst == y.addr4 || dst == y.addr6:
			return y, flow
		}
		x = y
	}
	return nil, flow
}

// next returns where a packet for an address goes from x: to the host itself where the two are
// joined, else to the router on the shortest way. nil: there is none.
func (n *Net) next(x *node, dst netip.Addr) *node {
	y, ok := x.routes[dst]
	if !ok {
		y = n.route(x, dst)
		x.routes[dst] = y
	}
	return y
}

// rejoined forgets all routes: there is a node or a link more. All that are not apart reach each other
// directly: hosts, and what NATs have outside, that are not behind a router or a NAT.
func (n *Net) rejoined() {
	for _, x := range n.nodes {
		clear(x.routes)
		x.apart = x.router
	}
	for ends := range n.links {
		for i, x := range ends {
			if y := ends[1-i]; y.router || y.nat != nil && y.nat.inside[x] {
				x.apart = true
			}
		}
	}
}

func (n *Net) route(x *node, dst netip.Addr) *node {
	to := n.at(dst)
	if to == nil || to == x {
		return nil
	}
	// Breadth first, back from the destination; only routers pass on.
	far := map[*node]bool{to: true}
	for edge := []*node{to}; len(edge) > 0; {
		var more []*node
		for _, y := range edge {
			for _, z := range n.nodes {
				if far[z] || !n.joined(z, y) {
					continue
				}
				if z == x {
					return y
				}
				far[z] = true
				if z.passes() {
					more = append(more, z)
				}
			}
		}
		edge = more
	}
	return nil
}

// joined reports whether there is a link between two nodes: one that has been set, or, between
// those of which none is behind another, that of [Net.Default].
func (n *Net) joined(x, y *node) bool {
	if x == y {
		return false
	}
	_, ok := n.links[[2]*node{x, y}]
	_, back := n.links[[2]*node{y, x}]
	return ok || back || !x.apart && !y.apart
}

// gateway is who tells of what cannot be delivered, where no router does.
var gateway4, gateway6 = netip.MustParseAddr("10.255.255.254"), netip.MustParseAddr("fd00::ffff:ffff")

// unreachable tells the sender that nobody has the address.
func (n *Net) unreachable(now tcp.Time, p *Packet) {
	code := uint8(wire.ICMPv4HostUnreachable)
	if p.ip.V6 {
		code = wire.ICMPv6AddressUnreachable
	}
	n.tell(now, p, &wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: code})
}

// tooBig tells the sender what fits a link.
func (n *Net) tooBig(now tcp.Time, p *Packet, l *Link) {
	if !l.BlackHole {
		n.tell(now, p, &wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: uint32(l.mtu())})
	}
}

// tell answers a packet with an ICMP message, on behalf of whoever stands before the link.
func (n *Net) tell(now tcp.Time, p *Packet, m *wire.ICMPMessage) {
	if p.ip.Packet == nil || !wire.MayAnswer(&p.ip) {
		return
	}
	src := gateway4
	if p.ip.V6 {
		src = gateway6
	}
	sent := p
	if p.from.nat != nil && p.origin != nil {
		sent = p.origin // whoever sent it to the NAT knows it as that
	}
	m.Body = sent.Bytes
	from := wire.AddrFrom(src)
	b := make([]byte, wire.ICMPLen(from, m))
	wire.PutICMP(b, from, sent.ip.Src, 0, 0, m)
	to := n.at(sent.ip.Src.Netip())
	if to == nil {
		return
	}
	back := &Packet{From: p.From, To: to.name, from: p.from, to: to, Bytes: b, at: now}
	if to != p.from { // it goes back as it came, by the routers
		n.hand(now, p.from, b, false, nil)
		return
	}
	back.parse()
	back.Sent = n.time(now)
	back.parcel.Bytes = b
	n.record.depart(back)
	n.returned = append(n.returned, back) // by the carrier: this may be under the lock of a host
}

// port is the link.Link of a host to its Net.
type port struct {
	x   *node
	mtu int
}

func (p *port) Attach(r link.Receiver) error {
	n := p.x.net
	n.lock()
	defer n.mu.Unlock()
	p.x.receive = r.Receive
	return nil
}

func (p *port) Send(batch []wire.Packet) error {
	p.x.net.send(p.x, batch)
	return nil
}

func (p *port) MTU() int              { return p.mtu }
func (p *port) Offload() link.Offload { return link.Offload{} }

// Close does nothing: what leaves a host that is down is lost, and nothing gets there.
func (p *port) Close() error { return nil }
