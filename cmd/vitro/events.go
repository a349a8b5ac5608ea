package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/trace"
	"github.com/vitro-net/vitro/wire"
)

// jsonEvent is an event as --json prints it.
type jsonEvent struct {
	at tcp.Time

	Time    float64      `json:"time"`           // seconds since the run began
	Event   string       `json:"event"`          // as sim.EventKind names them
	Peer    string       `json:"peer"`           // A or B, or R, the router
	Flow    int          `json:"flow,omitempty"` // the connection: counts pairs of sockets from 1
	Text    string       `json:"text,omitempty"` // of a call or a note
	From    string       `json:"from,omitempty"` // the state before
	To      string       `json:"to,omitempty"`   // the state after
	Segment *jsonSegment `json:"segment,omitempty"`
	First   *uint32      `json:"first,omitempty"` // sequence number of what is sent again
	Len     uint32       `json:"len,omitempty"`   // how much of it
	Clause  string       `json:"clause,omitempty"`
	Why     string       `json:"why,omitempty"`
}

type jsonSegment struct {
	N    int     `json:"n"` // counted from 1 in the order of departure, as --lose does; 0: nobody has sent it
	From string  `json:"from"`
	To   string  `json:"to"`
	Seq  uint32  `json:"seq"`
	Ack  *uint32 `json:"ack,omitempty"`
	Ctl  string  `json:"ctl"`
	Len  uint32  `json:"len"` // octets of text
	Wnd  uint16  `json:"wnd"`
	Fate string  `json:"fate,omitempty"` // lost, damaged, doubled, late; several with commas
	Text string  `json:"ladder"`         // with its options, in the RFC's notation
}

// eventLog gathers the events of a run.
type eventLog struct {
	list  []jsonEvent
	flows map[wire.Flow]int
	held  *sim.Packet // the segment that has reached the router, until something departs
}

func newEventLog(s *stage) *eventLog {
	l := &eventLog{flows: map[wire.Flow]int{}}
	s.w.Watch(func(e *sim.Event) {
		if e.Host == s.router {
			l.routed(s, e)
		}
		j := jsonEvent{
			at: e.Time, Time: e.Time.Sub(sim.Start).Seconds(),
			Event: e.Kind.String(), Peer: e.Host.Name, Flow: l.flow(e.Flow), Text: e.Text,
		}
		if e.Kind == sim.State {
			j.From, j.To = e.From.String(), e.To.String()
		}
		if e.Kind == sim.Retransmit {
			first := uint32(e.First)
			j.First, j.Len = &first, e.Len
		}
		if p := e.Packet; p != nil && p.IsTCP {
			j.Flow = l.flow(p.Flow)
			j.Segment = jsonSegmentOf(p, s.numbers[p.ID])
		}
		switch {
		case e.Rule != 0:
			j.Clause, j.Why = e.Rule.Clause(), e.Rule.Sentence()
		case e.Fault != 0:
			j.Clause, j.Why = e.Fault.Clause(), e.Fault.Sentence()
		}
		l.list = append(l.list, j)
	})
	return l
}

// routed follows a segment to the router. One for which an ICMP error departs is dropped there.
func (l *eventLog) routed(s *stage, e *sim.Event) {
	switch {
	case e.Kind == sim.Arrive:
		l.held = e.Packet
		return
	case e.Kind != sim.Depart:
		return
	case !e.Packet.IsTCP && l.held != nil && l.held.IsTCP:
		l.list = append(l.list, jsonEvent{
			at: e.Time, Time: e.Time.Sub(sim.Start).Seconds(), Event: sim.Drop.String(), Peer: e.Host.Name,
			Flow: l.flow(l.held.Flow), Segment: jsonSegmentOf(l.held, s.numbers[l.held.ID]),
			Clause: routerRule, Why: routerDrops,
		})
	}
	l.held = nil
}

// flow numbers a pair of sockets, whichever end sees it; 0 where one is missing.
func (l *eventLog) flow(f wire.Flow) int {
	local, remote := f.LocalAddrPort(), f.RemoteAddrPort()
	if local.Port() == 0 || remote.Port() == 0 {
		return 0
	}
	if local.Compare(remote) > 0 {
		f = f.Reverse()
	}
	if l.flows[f] == 0 {
		l.flows[f] = len(l.flows) + 1
	}
	return l.flows[f]
}

func jsonSegmentOf(p *sim.Packet, n int) *jsonSegment {
	text := ladder.SegmentOf(&p.Segment)
	j := &jsonSegment{
		N: n, From: p.Flow.LocalAddrPort().String(), To: p.Flow.RemoteAddrPort().String(),
		Seq: uint32(p.Segment.Seq), Ctl: p.Segment.Flags.String(), Len: p.Segment.TextLen(), Wnd: p.Segment.Wnd,
		Fate: strings.Join(fates(&p.Fate), ","), Text: text.String(),
	}
	if p.Segment.Flags.Has(wire.ACK) {
		ack := uint32(p.Segment.Ack)
		j.Ack = &ack
	}
	return j
}

// fates names what the network does to a segment, nothing if it just arrives.
func fates(f *sim.Fate) (list []string) {
	for _, one := range []struct {
		is   bool
		word string
	}{{f.Lost, "lost"}, {f.Damaged, "damaged"}, {f.Copies > 0, "doubled"}, {f.Late > 0, "late"}} {
		if one.is {
			list = append(list, one.word)
		}
	}
	return list
}

// packetLog gathers the packets of a run for a capture, each with what its sender has become
// since it sent the last, and why. What its receiver becomes by it, and says nothing to, stands
// with it too.
type packetLog struct {
	list    []trace.Captured
	index   map[int]int // of packets in list, by their IDs
	states  map[*sim.Host]tcp.State
	news    []news            // that stand with no packet yet
	carried map[int][]string  // that go with packets on their way to the router, by their IDs
	last    map[*sim.Host]int // the packet in list that a host has sent or received last
	here    *sim.Packet       // that has arrived
}

// news is what has become of a host, when, and by which packet in the list; -1: by none.
type news struct {
	host  *sim.Host
	at    tcp.Time
	cause int
	text  string
}

func newPacketLog(s *stage) *packetLog {
	l := &packetLog{index: map[int]int{}, carried: map[int][]string{}, states: map[*sim.Host]tcp.State{}, last: map[*sim.Host]int{}}
	s.w.Watch(func(e *sim.Event) {
		switch e.Kind {
		case sim.Arrive:
			l.here = e.Packet
			if i, ok := l.index[e.Packet.ID]; ok {
				l.last[e.Host] = i
			}
		case sim.Call, sim.Timeout:
			l.here = nil // what follows is not by a packet
		case sim.State:
			if e.To != l.states[e.Host] { // or a listener's connection is in LISTEN too
				l.states[e.Host] = e.To
				l.note(e, e.Host.Name+" is "+e.To.String()+", by "+e.Rule.String())
			}
		case sim.Crash:
			l.states[e.Host] = tcp.Closed
		case sim.Retransmit, sim.PathMTU:
			l.note(e, e.Host.Name+": "+e.Rule.String())
		case sim.Drop:
			if e.Rule != 0 {
				l.note(e, e.Host.Name+" has not used what came: "+e.Rule.String())
			}
		case sim.Depart:
			l.depart(s, e)
		case sim.Note, sim.Lost:
		}
	})
	return l
}

// note keeps news until it is seen whether a packet follows.
func (l *packetLog) note(e *sim.Event, text string) {
	cause := -1
	if l.here != nil && l.here.To == e.Host {
		if i, ok := l.index[l.here.ID]; ok {
			cause = i
		}
	}
	l.news = append(l.news, news{e.Host, e.Time, cause, text})
}

// depart takes a packet down. It has the news of its sender.
func (l *packetLog) depart(s *stage, e *sim.Event) {
	var comment []string
	switch {
	case e.Host != s.router:
		comment = l.take(e)
		if e.Packet.Link != s.link { // it is taken down when the router has passed it on
			l.carried[e.Packet.ID] = comment
			return
		}
	case l.here == nil:
	case e.Packet.Link != s.link: // to B: it is in the list already
		l.index[e.Packet.ID] = l.index[l.here.ID]
		return
	case e.Packet.IsTCP:
		comment = l.carried[l.here.ID]
	default: // an ICMP error in place of what has come from A
		l.add(l.index[l.here.ID], routerRule+": "+routerDrops)
	}
	if text := fateText(&e.Packet.Fate); text != "" {
		comment = append(comment, text)
	}
	i := len(l.list)
	l.index[e.Packet.ID], l.last[e.Host] = i, i
	l.list = append(l.list, trace.Captured{Time: time.Unix(0, int64(e.Time)), Data: e.Packet.Bytes, Comment: strings.Join(comment, "\n")})
}

// take returns the news of a host that sends a packet, but for what an earlier packet has
// brought: that stands there.
func (l *packetLog) take(e *sim.Event) (lines []string) {
	rest := l.news[:0]
	for _, n := range l.news {
		switch {
		case n.host != e.Host:
			rest = append(rest, n)
		case n.cause < 0 || n.at == e.Time:
			lines = append(lines, n.text)
		default:
			l.add(n.cause, n.text)
		}
	}
	l.news = rest
	return lines
}

// add puts a line to the comment of a packet.
func (l *packetLog) add(i int, text string) {
	l.list[i].Comment = strings.TrimPrefix(l.list[i].Comment+"\n"+text, "\n")
}

// finish puts the news that no packet has followed with the packets that have brought them; what
// a timer has brought stands with the last packet of its host, and says when it was.
func (l *packetLog) finish() {
	for _, n := range l.news {
		if n.cause >= 0 {
			l.add(n.cause, n.text)
		} else if i, ok := l.last[n.host]; ok {
			l.add(i, fmt.Sprintf("%s (at %v)", n.text, n.at.Sub(sim.Start)))
		}
	}
	l.news = nil
}

// fateText says what becomes of a segment, nothing if it just arrives.
func fateText(f *sim.Fate) string {
	switch {
	case f.Lost:
		return "This segment is lost on its way."
	case f.Damaged:
		return "This segment is damaged on its way."
	case f.Copies > 0:
		return "This segment is doubled on its way."
	case f.Late > 0:
		return "This segment is late."
	}
	return ""
}

// write writes what departed from one time to another.
func (l *packetLog) write(w io.Writer, sc *scenario, from, to tcp.Time) error {
	l.finish()
	b := bufio.NewWriter(w)
	c, err := trace.NewCapture(b, "vitro "+version().Version, sc.sentence+" "+sc.clause)
	if err != nil {
		return err
	}
	if _, err = c.Interface("A-B", "the virtual link between A and B; each segment as it departs"); err != nil {
		return err
	}
	for i := range l.list {
		at := tcp.Time(l.list[i].Time.UnixNano())
		if from <= at && at <= to {
			if err := c.Packet(&l.list[i]); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}
