package ladder

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A stage plays a run by hand: what a simulation would report, with a delay of 20 ms each way.
type stage struct {
	*Recorder
	t tcp.Time
}

const ms = tcp.Time(time.Millisecond)

func newStage(a, b tcp.State) *stage { return &stage{NewRecorder(a, b), 1000} }

func sg(s, a seq.Num, f wire.Flags) *wire.Segment {
	return &wire.Segment{Seq: s, Ack: a, Flags: f, Wnd: 65535}
}

func withText(s *wire.Segment, n int) *wire.Segment {
	s.Text = make([]byte, n)
	return s
}

func (s *stage) wait(d tcp.Time)                   { s.t += d }
func (s *stage) call(p Peer, text string)          { s.Call(s.t, p, text) }
func (s *stage) note(p Peer, text string)          { s.Note(s.t, p, text) }
func (s *stage) state(p Peer, st tcp.State)        { s.State(s.t, p, st, 0) }
func (s *stage) depart(p Peer, g *wire.Segment) ID { return s.Depart(s.t, p, g) }
func (s *stage) arrive(id ID)                      { s.Arrive(s.t, id) }

// flight sends a segment and waits for it to arrive.
func (s *stage) flight(p Peer, g *wire.Segment) {
	id := s.depart(p, g)
	s.wait(20 * ms)
	s.arrive(id)
}

func (s *stage) handshake() {
	s.call(B, "listen")
	s.state(B, tcp.Listen)
	s.call(A, "connect")
	s.state(A, tcp.SynSent)
	s.flight(A, sg(1000, 0, wire.SYN))
	s.state(B, tcp.SynReceived)
	s.flight(B, sg(2000, 1001, wire.SYN|wire.ACK))
	s.state(A, tcp.Established)
	s.flight(A, sg(1001, 2001, wire.ACK))
	s.state(B, tcp.Established)
}

// story is the whole life: rows B0 to D7. After loses, the last ACK is lost once.
func story(lastACKLost bool) *Recorder {
	s := newStage(tcp.Closed, tcp.Closed)
	s.Sentence = "A connection is born by a three-way handshake and dies by a four-way close."
	s.Clause = "RFC 9293 sections 3.5 and 3.6"
	s.handshake()
	s.wait(40 * ms)
	s.call(A, "send 5 octets")
	s.flight(A, withText(sg(1001, 2001, wire.ACK|wire.PSH), 5))
	s.flight(B, sg(2001, 1006, wire.ACK))
	s.wait(2000 * ms)
	s.call(A, "close")
	s.state(A, tcp.FinWait1)
	s.flight(A, sg(1006, 2001, wire.FIN|wire.ACK))
	s.state(B, tcp.CloseWait)
	s.flight(B, sg(2001, 1007, wire.ACK))
	s.state(A, tcp.FinWait2)
	s.wait(30 * ms)
	s.call(B, "close")
	s.state(B, tcp.LastAck)
	fin := sg(2001, 1007, wire.FIN|wire.ACK)
	s.flight(B, fin)
	s.state(A, tcp.TimeWait)
	if lastACKLost {
		id := s.depart(A, sg(1007, 2002, wire.ACK))
		s.Lost(s.t+10*ms, id)
		s.wait(980 * ms)
		s.note(B, "retransmission timeout")
		s.flight(B, fin)
	}
	s.flight(A, sg(1007, 2002, wire.ACK))
	s.state(B, tcp.Closed)
	s.wait(60000*ms - 20*ms)
	s.note(A, "2 MSL")
	s.state(A, tcp.Closed)
	return s.Recorder
}

// crossedOpen is Figure 7: both users connect at one instant.
func crossedOpen() *Recorder {
	s := newStage(tcp.Closed, tcp.Closed)
	s.Sentence = "Both users open at the same time, and the two SYNs cross."
	s.Clause = "RFC 9293 section 3.5, Figure 7"
	s.call(A, "connect")
	s.state(A, tcp.SynSent)
	a := s.depart(A, sg(100, 0, wire.SYN))
	s.call(B, "connect")
	s.state(B, tcp.SynSent)
	b := s.depart(B, sg(300, 0, wire.SYN))
	s.wait(20 * ms)
	s.arrive(a)
	s.state(B, tcp.SynReceived)
	b2 := s.depart(B, sg(300, 101, wire.SYN|wire.ACK))
	s.arrive(b)
	s.state(A, tcp.SynReceived)
	a2 := s.depart(A, sg(100, 301, wire.SYN|wire.ACK))
	s.wait(20 * ms)
	s.arrive(a2)
	s.state(B, tcp.Established)
	s.arrive(b2)
	s.state(A, tcp.Established)
	return s.Recorder
}

// crossedClose is Figure 13: both users close at one instant.
func crossedClose() *Recorder {
	s := newStage(tcp.Established, tcp.Established)
	s.Sentence = "Both users close at the same time, and the two FINs cross."
	s.Clause = "RFC 9293 section 3.6, Figure 13"
	s.call(A, "close")
	s.state(A, tcp.FinWait1)
	a := s.depart(A, sg(100, 300, wire.FIN|wire.ACK))
	s.call(B, "close")
	s.state(B, tcp.FinWait1)
	b := s.depart(B, sg(300, 100, wire.FIN|wire.ACK))
	s.wait(20 * ms)
	s.arrive(a)
	s.state(B, tcp.Closing)
	b2 := s.depart(B, sg(301, 101, wire.ACK))
	s.arrive(b)
	s.state(A, tcp.Closing)
	a2 := s.depart(A, sg(101, 301, wire.ACK))
	s.wait(20 * ms)
	s.arrive(a2)
	s.state(B, tcp.TimeWait)
	s.arrive(b2)
	s.state(A, tcp.TimeWait)
	s.wait(60000 * ms)
	s.note(A, "2 MSL")
	s.state(A, tcp.Closed)
	s.note(B, "2 MSL")
	s.state(B, tcp.Closed)
	return s.Recorder
}

// lostSYN: the first SYN is lost and sent again after a second.
func lostSYN() *Recorder {
	s := newStage(tcp.Closed, tcp.Listen)
	s.Sentence = "The first SYN is lost; A sends it again after its retransmission timeout."
	s.Clause = "RFC 6298 section 2.1"
	s.call(A, "connect")
	s.state(A, tcp.SynSent)
	id := s.depart(A, sg(1000, 0, wire.SYN))
	s.Lost(s.t+5*ms, id)
	s.wait(1000 * ms)
	s.note(A, "retransmission timeout")
	s.flight(A, sg(1000, 0, wire.SYN))
	s.state(B, tcp.SynReceived)
	s.flight(B, sg(2000, 1001, wire.SYN|wire.ACK))
	s.state(A, tcp.Established)
	s.flight(A, sg(1001, 2001, wire.ACK))
	s.state(B, tcp.Established)
	return s.Recorder
}

// lateSYN: the first SYN is delayed beyond its retransmission, both arrive, one of them twice.
func lateSYN() *Recorder {
	s := newStage(tcp.Closed, tcp.Listen)
	s.Sentence = "The first SYN is late; its repetition overtakes it, and the network doubles the answer."
	s.Clause = "RFC 9293 section 3.10.7.4"
	s.call(A, "connect")
	s.state(A, tcp.SynSent)
	first := s.depart(A, sg(1000, 0, wire.SYN))
	s.wait(1000 * ms)
	s.note(A, "retransmission timeout")
	s.flight(A, sg(1000, 0, wire.SYN))
	s.state(B, tcp.SynReceived)
	id := s.depart(B, sg(2000, 1001, wire.SYN|wire.ACK))
	s.wait(10 * ms)
	s.arrive(first)
	s.wait(10 * ms)
	s.arrive(id)
	s.state(A, tcp.Established)
	ack := s.depart(A, sg(1001, 2001, wire.ACK))
	s.wait(5 * ms)
	s.arrive(id)
	again := s.depart(A, sg(1001, 2001, wire.ACK))
	s.wait(15 * ms)
	s.arrive(ack)
	s.state(B, tcp.Established)
	s.wait(5 * ms)
	s.arrive(again)
	return s.Recorder
}

// stream: A sends three full segments at once and B acknowledges every second.
func stream() *Recorder {
	s := newStage(tcp.Established, tcp.Established)
	s.Sentence = "Three segments depart together; B acknowledges at least every second."
	s.Clause = "RFC 9293 section 3.8.6.3"
	s.call(A, "send 4000 octets")
	var ids []ID
	for i, n := range []int{1460, 1460, 1080} {
		ids = append(ids, s.depart(A, withText(sg(seq.Num(1001+1460*i), 2001, wire.ACK), n)))
	}
	s.wait(20 * ms)
	s.arrive(ids[0])
	s.arrive(ids[1])
	ack := s.depart(B, sg(2001, 3921, wire.ACK))
	s.arrive(ids[2])
	s.wait(20 * ms)
	s.arrive(ack)
	s.wait(20 * ms)
	s.note(B, "delayed ACK")
	s.flight(B, sg(2001, 5001, wire.ACK))
	return s.Recorder
}

// oldDuplicate is Figure 8.
func oldDuplicate() *Recorder {
	s := newStage(tcp.Closed, tcp.Listen)
	s.Sentence = "An old duplicate SYN reaches B first."
	s.Clause = "RFC 9293 section 3.5, Figure 8"
	s.state(A, tcp.SynSent)
	syn := s.depart(A, sg(100, 0, wire.SYN))
	s.wait(5 * ms)
	s.arrive(s.Stray(A, sg(90, 0, wire.SYN)))
	s.state(B, tcp.SynReceived)
	s.flight(B, sg(300, 91, wire.SYN|wire.ACK))
	s.flight(A, sg(91, 0, wire.RST))
	s.state(B, tcp.Listen)
	s.wait(5 * ms)
	s.arrive(syn)
	s.state(B, tcp.SynReceived)
	s.flight(B, sg(400, 101, wire.SYN|wire.ACK))
	s.state(A, tcp.Established)
	s.flight(A, sg(101, 401, wire.ACK))
	s.state(B, tcp.Established)
	return s.Recorder
}

// runs are the runs of the golden files.
var runs = []struct {
	name string
	run  func() *Recorder
}{
	{"story", func() *Recorder { return story(false) }},
	{"lost-last-ack", func() *Recorder { return story(true) }},
	{"simultaneous-open", crossedOpen},
	{"simultaneous-close", crossedClose},
	{"lost-syn", lostSYN},
	{"late-syn", lateSYN},
	{"stream", stream},
	{"old-duplicate", oldDuplicate},
}
