package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// LinkConfig says how a link treats packets. The zero value loses nothing.
type LinkConfig struct {
	// Delay is how long a packet is on its way. At least 1 ns: nothing arrives at the
	// instant at which it is sent. It is that of both directions which say none themselves.
	Delay time.Duration
	// MTU of the interfaces at both ends in octets, as of stack.InterfaceConfig. 0: 1500.
	MTU int
	// MaxSuper is the longest super-segment that the interfaces take, as of
	// stack.InterfaceConfig. The link cuts it: on the way there are packets of the MTU only.
	MaxSuper int
	// Loss is the probability with which a packet is lost, 0 to 1; in both directions which say
	// none themselves.
	Loss float64
	// Path is what else happens to packets on their way, in both directions; Back, when set, is
	// that from the second Port to the first.
	Path PathConfig
	Back *PathConfig
	// Rule, when set, says of each packet what becomes of it, beside what chance does;
	// Packet.N counts them from 1. It is asked when the packet departs, and must not call the World.
	Rule func(*Packet) Fate
}

// path returns the config of the direction from an end.
func (c *LinkConfig) path(from int) PathConfig {
	p := c.Path
	if from == 1 && c.Back != nil {
		p = *c.Back
	}
	orDefault(&p.Delay, c.Delay)
	orDefault(&p.Loss, c.Loss)
	return p
}

// Port is where a host is joined to a link.
type Port struct {
	Host     *Host
	Prefixes []netip.Prefix // the host's own addresses on the link, each with its subnet
	Routes   []netip.Prefix // what else the host reaches by the link
}

// Link joins two hosts.
type Link struct {
	world *World
	cfg   LinkConfig
	ends  [2]end
	lanes [2]lane
	sent  int
	split wire.Splitter
	piece []byte
}

// end is a host's side of a link.
type end struct {
	host  *Host
	iface int
}

// Packet is an IP packet on a link.
type Packet struct {
	ID       int // counts the packets of the World from 1, in the order of their departures
	N        int // counts those sent on its link; 0: it was injected
	Link     *Link
	From, To *Host
	Sent     tcp.Time
	Fate     Fate
	Bytes    []byte // the whole packet as it departs; it must not be changed
	// IsTCP: the packet is a whole TCP segment, with the sockets Flow as its sender sees
	// them, and Segment is what it says.
	IsTCP   bool
	Flow    wire.Flow
	Segment wire.Segment

	parcel Parcel
	seen   bool // by whoever watches, or a rule
	again  bool // its text has gone before, as a Bulk has seen
}

// Link joins two hosts by a link with an interface at each. Errors are those of
// stack.AddInterface, AddRoute and NewPath.
func (w *World) Link(cfg LinkConfig, a, b Port) (*Link, error) {
	if a.Host == nil || b.Host == nil || a.Host == b.Host || a.Host.world != w || b.Host.world != w {
		return nil, errors.New("sim: a link joins two hosts of this World")
	}
	l := &Link{world: w, cfg: cfg}
	for i := range l.lanes {
		path, err := NewPath(cfg.path(i), Start, w.random(randomLink, 2*len(w.links)+i))
		if err != nil {
			return nil, err
		}
		l.lanes[i] = lane{link: l, from: i, path: path}
	}
	for i, p := range []Port{a, b} {
		id, err := p.Host.addPort(stack.InterfaceConfig{MTU: cfg.MTU, MaxSuper: cfg.MaxSuper, Prefixes: p.Prefixes}, p.Routes, l, i)
		if err != nil {
			return nil, fmt.Errorf("sim: %s: %w", p.Host.Name, err)
		}
		l.ends[i] = end{p.Host, id}
	}
	w.links = append(w.links, l)
	return l, nil
}

// Stats returns the counters of the direction from a host, which must be one of the link's two.
func (l *Link) Stats(from *Host) PathStats {
	if from == l.ends[0].host {
		return l.lanes[0].path.Stats()
	}
	return l.lanes[1].path.Stats()
}

// send takes what the host at an end sends: it cuts it where it is a super-segment, as the
// device behind the interface would.
func (l *Link) send(from int, pkt *wire.Packet) {
	b := pkt.Bytes()
	if pkt.GSO == 0 || l.split.Start(b, pkt.GSO) != wire.FaultNone {
		l.depart(from, b)
		return
	}
	l.piece = slices.Grow(l.piece[:0], l.split.MaxLen())
	buf := l.piece[:cap(l.piece)]
	for n := l.split.Next(buf); n > 0; n = l.split.Next(buf) {
		l.depart(from, buf[:n])
	}
}

// depart decides what becomes of a packet, shows that it departs, and sends it on its way.
func (l *Link) depart(from int, b []byte) {
	w, lane := l.world, &l.lanes[from]
	p := l.packet(from, b)
	l.sent++
	p.N = l.sent
	p.Fate = lane.path.Draw()
	if l.cfg.Rule != nil {
		p.Fate = p.Fate.and(l.cfg.Rule(p))
	}
	w.tell(Event{Kind: Depart, Host: p.From, Packet: p})
	p.parcel = Parcel{Bytes: p.Bytes, Fate: p.Fate, Tag: p}
	lane.path.Put(w.now, &p.parcel)
	w.plan(lane)
}

// packet makes a packet of octets, which it copies, that departs now from an end. Only who watches and
// rules read what it says.
func (l *Link) packet(from int, b []byte) *Packet {
	w := l.world
	p := w.spared()
	w.packets++
	p.ID, p.Link, p.From, p.To, p.Sent = w.packets, l, l.ends[from].host, l.ends[1-from].host, w.now
	p.Bytes = append(p.Bytes, b...)
	p.seen = w.watched() || l.cfg.Rule != nil
	if p.seen {
		p.parse()
	}
	return p
}

// spared returns an empty packet with room for octets.
func (w *World) spared() *Packet {
	n := len(w.spare)
	if n == 0 {
		return new(Packet)
	}
	p := w.spare[n-1]
	w.spare = w.spare[:n-1]
	*p = Packet{Bytes: p.Bytes[:0]}
	return p
}

// over keeps for the next a packet which is at its end, if it is nobody else's.
func (w *World) over(p *Packet) {
	if !p.seen && p.parcel.Fate.Copies == 0 && !w.watched() {
		w.spare = append(w.spare, p)
	}
}

// Inject lets a packet come out at the end of a host now, which nobody has sent: an old
// duplicate, or one that is forged. The host must be one of the link's two.
func (l *Link) Inject(to *Host, b []byte) error {
	i := slices.IndexFunc(l.ends[:], func(e end) bool { return e.host == to })
	if i < 0 {
		return errors.New("sim: the link does not lead to that host")
	}
	w, p := l.world, l.packet(1-i, b)
	p.parcel = Parcel{Bytes: p.Bytes, Tag: p}
	l.lanes[1-i].path.put(travel{at: w.now, parcel: &p.parcel})
	w.plan(&l.lanes[1-i])
	return nil
}

// parse reads the TCP segment of the packet, if it is one.
func (p *Packet) parse() {
	var ip wire.IP
	if wire.ParseIP(p.Bytes, &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP || ip.Fragment {
		return
	}
	flow, fault := ip.Flow()
	if fault != wire.FaultNone || wire.ParseTCP(ip.Payload, &p.Segment) != wire.FaultNone {
		return
	}
	p.IsTCP, p.Flow = true, flow.Reverse()
	p.Segment.TC, p.Segment.HopLimit = ip.TC, ip.HopLimit
}

// lane is one direction of a link on the agenda of the World.
type lane struct {
	link  *Link
	from  int
	path  *Path
	place place
}

func (l *lane) planned() *place    { return &l.place }
func (l *lane) deadline() tcp.Time { return l.path.Deadline() }

// run lets the first packet come out.
func (l *lane) run(now tcp.Time) {
	d, ok := l.path.Take(now)
	if !ok {
		return
	}
	p := d.Tag.(*Packet) //nolint:errcheck // depart and Inject put no other
	p.Fate = d.Fate
	w := l.link.world
	if !p.seen && w.watched() { // since it departed
		p.seen = true
		p.parse()
	}
	if d.Loss == NotLost {
		to := l.link.ends[1-l.from]
		to.host.arrive(to.iface, p, d.Bytes)
	} else {
		w.tell(Event{Kind: Lost, Host: p.From, Packet: p, Loss: d.Loss})
	}
	w.over(p)
}
