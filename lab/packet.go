package lab

import (
	"slices"
	"strings"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Packet is an IP packet on a link. It is in force for the call of a rule only, and must not be
// changed.
type Packet struct {
	From, To string    // the hosts at both ends of the link
	Sent     time.Time // when it left From
	Bytes    []byte    // the whole of it

	// IsTCP: it is a whole TCP segment, with the sockets Flow as its sender sees them, and Segment
	// is what it says.
	IsTCP bool
	// IsUDP: it is a whole UDP datagram, with the sockets Flow.
	IsUDP   bool
	Flow    wire.Flow
	Segment wire.Segment
	// Again: text of it, its SYN or its FIN has been sent before.
	Again bool
	// SenderState and ReceiverState are those of the connection at both ends, when it has left
	// From: CLOSED where there is none.
	SenderState, ReceiverState tcp.State

	own      bool // From is where it was made: it is not passed on
	forged   bool // a reset that somebody between the ends has made up
	from, to *node
	ip       wire.IP
	at       tcp.Time // Sent
	turn     uint64   // counts what is sent
	came     tcp.Time // to where its link leads
	parcel   sim.Parcel
	why      []string // what has befallen it, for the record
	origin   *Packet  // this one as it came to who passes it on
	story    *story
	end      ladder.Peer // of the story, that has sent it
}

// parse reads what the packet says.
func (p *Packet) parse() {
	if wire.ParseIP(p.Bytes, &p.ip) != wire.FaultNone {
		return
	}
	flow, fault := p.ip.Flow()
	if fault != wire.FaultNone { // a fragment, or another protocol
		return
	}
	if p.ip.Proto == wire.ProtoUDP {
		p.IsUDP, p.Flow = true, flow.Reverse()
		return
	}
	if wire.ParseTCP(p.ip.Payload, &p.Segment) != wire.FaultNone {
		return
	}
	p.IsTCP, p.Flow = true, flow.Reverse()
	p.Segment.TC, p.Segment.HopLimit = p.ip.TC, p.ip.HopLimit
}

// first returns the packet as it left who has made it.
func (p *Packet) first() *Packet {
	for p.origin != nil {
		p = p.origin
	}
	return p
}

// befell says what has befallen the packet, on all links up to this.
func (p *Packet) befell() string {
	why := p.why
	for q := p.origin; q != nil; q = q.origin {
		why = append(slices.Clone(q.why), why...)
	}
	return strings.Join(why, "; ")
}

// noText stands for the text of a segment of which a ladder shows the length alone.
var noText [1 << 16]byte

// event returns what a ladder shows of the packet, without its octets, which would be kept as long.
func (p *Packet) event(at tcp.Time, kind eventKind, end ladder.Peer) event {
	first := p.first()
	e := event{at: at, kind: kind, end: end, id: first.turn, seg: first.Segment, text: p.befell()}
	e.seg.Text = noText[:first.Segment.TextLen()]
	e.seg.Options.FastOpen = slices.Clone(e.seg.Options.FastOpen)
	return e
}

// isFor reports whether x is where the packet is to get.
func (p *Packet) isFor(x *node) bool {
	dst := p.ip.Dst.Netip()
	return x.nat == nil && (dst == x.addr4 || dst == x.addr6)
}

// turns reports whether the packet may change the state of a connection of the host that gets it: by what
// it says, or by the acknowledgment that is waited for.
func (p *Packet) turns(to *node) bool {
	if !p.IsTCP || !p.isFor(to) {
		return false
	}
	if p.Segment.Flags&(wire.SYN|wire.FIN|wire.RST) != 0 {
		return true
	}
	switch to.states[p.Flow.Reverse()] {
	case tcp.SynSent, tcp.SynReceived, tcp.FinWait1, tcp.Closing, tcp.LastAck:
		return true
	case tcp.Closed, tcp.Listen, tcp.Established, tcp.FinWait2, tcp.CloseWait, tcp.TimeWait:
	}
	return false
}

// befalls notes what becomes of the packet.
func (p *Packet) befalls(what string) { p.why = append(p.why, what) }

// before reports whether p goes before q where both were sent at one instant: by source,
// destination and connection, and within one in the order in which they were sent. Who of several
// goroutines was first says nothing.
func (p *Packet) before(q *Packet) int {
	for _, d := range [...]int{
		int(min(max(p.at-q.at, -1), 1)),
		p.from.index - q.from.index,
		compareFlow(&p.Flow, &q.Flow),
	} {
		if d != 0 {
			return d
		}
	}
	if p.turn < q.turn {
		return -1
	}
	return 1
}

func compareFlow(a, b *wire.Flow) int {
	x, y := a.RemoteAddrPort(), b.RemoteAddrPort()
	if d := x.Compare(y); d != 0 {
		return d
	}
	return a.LocalAddrPort().Compare(b.LocalAddrPort())
}
