package main

import (
	"bufio"
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
}

func newEventLog(s *stage) *eventLog {
	l := &eventLog{flows: map[wire.Flow]int{}}
	s.w.Watch(func(e *sim.Event) {
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
// since it sent the last, and why.
type packetLog struct {
	list   []trace.Captured
	states map[*sim.Host]string
}

func newPacketLog(s *stage) *packetLog {
	l := &packetLog{states: map[*sim.Host]string{}}
	s.w.Watch(func(e *sim.Event) {
		switch e.Kind {
		case sim.State:
			l.states[e.Host] = e.Host.Name + " is " + e.To.String() + ", by " + e.Rule.String()
		case sim.Retransmit:
			l.states[e.Host] = e.Host.Name + ": " + e.Rule.String()
		case sim.Drop:
			if e.Rule != 0 {
				l.states[e.Host] = e.Host.Name + " has not used what came: " + e.Rule.String()
			}
		case sim.Depart:
			if e.Packet.Link != s.link {
				return // behind the router it would be there twice
			}
			comment := l.states[e.Host]
			delete(l.states, e.Host)
			comment = strings.TrimSpace(comment + "\n" + fateText(&e.Packet.Fate))
			l.list = append(l.list, trace.Captured{Time: time.Unix(0, int64(e.Time)), Data: e.Packet.Bytes, Comment: comment})
		case sim.Call, sim.Note, sim.Arrive, sim.Lost, sim.Timeout, sim.Crash:
		}
	})
	return l
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
