package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// LinkConfig says how a link treats packets, in both directions. The zero value loses
// nothing.
type LinkConfig struct {
	// Delay is how long a packet is on its way. At least 1 ns: nothing arrives at the
	// instant at which it is sent.
	Delay time.Duration
	// MTU in octets, as of stack.InterfaceConfig. 0: 1500.
	MTU int
	// Loss is the probability with which a packet is lost, 0 to 1.
	Loss float64
	// Rule, when set, says of each packet what becomes of it; Packet.N counts them from 1.
	// It is asked when the packet departs, and must not call the World.
	Rule func(*Packet) Fate
}

// Fate is what a network does to a packet. The zero Fate is that it arrives as it is, after
// the link's delay.
type Fate struct {
	Lost    bool          // it never arrives
	Late    time.Duration // so much longer on its way: what departs later may overtake it
	Copies  int           // so many more arrive, each half a delay after the one before
	Damaged bool          // the lowest bit of the last octet is wrong when it arrives
}

// Port is where a host is joined to a link.
type Port struct {
	Host     *Host
	Prefixes []netip.Prefix // the host's own addresses on the link, each with its subnet
	Routes   []netip.Prefix // what else the host reaches by the link
}

// Link joins two hosts.
type Link struct {
	world  *World
	cfg    LinkConfig
	ends   [2]end
	lanes  [2]lane
	random *rand.Rand
	sent   int
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
}

// Link joins two hosts by a link with an interface at each. Errors are those of
// stack.AddInterface and AddRoute, and one for a loss or delay that cannot be.
func (w *World) Link(cfg LinkConfig, a, b Port) (*Link, error) {
	switch {
	case a.Host == nil || b.Host == nil || a.Host == b.Host || a.Host.world != w || b.Host.world != w:
		return nil, errors.New("sim: a link joins two hosts of this World")
	case cfg.Delay < 0:
		return nil, fmt.Errorf("sim: delay %v is less than nothing", cfg.Delay)
	case !(cfg.Loss >= 0 && cfg.Loss <= 1):
		return nil, fmt.Errorf("sim: loss %v is not in 0..1", cfg.Loss)
	}
	cfg.Delay = max(cfg.Delay, 1)
	l := &Link{world: w, cfg: cfg, random: w.random(randomLink, len(w.links))}
	for i, p := range []Port{a, b} {
		id, err := p.Host.addPort(stack.InterfaceConfig{MTU: cfg.MTU, Prefixes: p.Prefixes}, p.Routes, l, i)
		if err != nil {
			return nil, fmt.Errorf("sim: %s: %w", p.Host.Name, err)
		}
		l.ends[i] = end{p.Host, id}
		l.lanes[i] = lane{link: l, from: i}
	}
	w.links = append(w.links, l)
	return l, nil
}

// send takes a packet from the host at an end: it decides what becomes of it, and shows that
// it departs.
func (l *Link) send(from int, b []byte) {
	w := l.world
	w.packets++
	l.sent++
	p := &Packet{ID: w.packets, N: l.sent, Link: l, From: l.ends[from].host, To: l.ends[1-from].host,
		Sent: w.now, Bytes: slices.Clone(b)}
	p.parse()
	unlucky := l.cfg.Loss > 0 && l.random.Float64() < l.cfg.Loss
	if l.cfg.Rule != nil {
		p.Fate = l.cfg.Rule(p)
	}
	p.Fate.Lost = p.Fate.Lost || unlucky
	w.tell(&Event{Kind: Depart, Host: p.From, Packet: p})
	lane := &l.lanes[from]
	if p.Fate.Lost {
		lane.put(p, w.now.Add(max(l.cfg.Delay/2, 1))) // somewhere on the way
	} else {
		at := w.now.Add(l.cfg.Delay + max(p.Fate.Late, 0))
		lane.put(p, at)
		for range p.Fate.Copies {
			at = at.Add(max(l.cfg.Delay/2, 1))
			lane.put(p, at)
		}
	}
	w.plan(lane)
}

// Inject lets a packet come out at the end of a host now, which nobody has sent: an old
// duplicate, or one that is forged. The host must be one of the link's two.
func (l *Link) Inject(to *Host, b []byte) error {
	i := slices.IndexFunc(l.ends[:], func(e end) bool { return e.host == to })
	if i < 0 {
		return errors.New("sim: the link does not lead to that host")
	}
	w := l.world
	w.packets++
	p := &Packet{ID: w.packets, Link: l, From: l.ends[1-i].host, To: to, Sent: w.now, Bytes: slices.Clone(b)}
	p.parse()
	l.lanes[1-i].put(p, w.now)
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

// lane is one direction of a link, a machine of its own: packets go in now, and come out when
// its deadline says.
type lane struct {
	link  *Link
	from  int
	road  []travel // by the time at which they come out
	place place
}

type travel struct {
	at     tcp.Time
	packet *Packet
}

// put lets p come out at a time, after what comes out at the same.
func (l *lane) put(p *Packet, at tcp.Time) {
	i := len(l.road)
	for i > 0 && l.road[i-1].at > at {
		i--
	}
	l.road = slices.Insert(l.road, i, travel{at, p})
}

func (l *lane) planned() *place { return &l.place }

func (l *lane) deadline() tcp.Time {
	if len(l.road) == 0 {
		return tcp.Never
	}
	return l.road[0].at
}

// run lets the first packet come out.
func (l *lane) run(tcp.Time) {
	p := l.road[0].packet
	l.road[0] = travel{}
	l.road = l.road[1:]
	if p.Fate.Lost {
		l.link.world.tell(&Event{Kind: Lost, Host: p.From, Packet: p})
		return
	}
	to := l.link.ends[1-l.from]
	to.host.arrive(to.iface, p)
}
