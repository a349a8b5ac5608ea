package tcp_test

import (
	"testing"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Each edge of Figure 5 and of its notes is taken by the machine, and by the event that the
// figure writes beside it; no edge besides them is in the list that fuzzing is held against.
func TestEveryEdge(t *testing.T) {
	ack := func(m *cell) {
		s := m.c.Status()
		m.peer(seg(nextOf(&s), s.SndNxt, wire.ACK, 0))
	}
	fin := func(m *cell) {
		s := m.c.Status()
		m.peer(seg(nextOf(&s), s.SndUna, wire.FIN|wire.ACK, 0))
	}
	rst := func(m *cell) {
		s := m.c.Status()
		m.peer(seg(nextOf(&s), s.SndNxt, wire.RST|wire.ACK, 0))
	}
	syn := func(m *cell) { m.peer(wire.Segment{Seq: peerISS, Flags: wire.SYN}) }
	synAck := func(m *cell) { m.peer(wire.Segment{Seq: peerISS, Ack: ourISS + 1, Flags: wire.SYN | wire.ACK}) }
	open := func(mode tcp.OpenMode) func(*cell) { return func(m *cell) { m.must(m.c.Open(m.now, mode)) } }
	closes := func(m *cell) { m.must(m.c.Close(m.now)); m.drain() }
	abort := func(m *cell) { m.must(m.c.Abort(m.now)) }
	send := func(m *cell) { _, err := m.c.Send(m.now, []byte("x")); m.must(err) }
	wait := func(m *cell) {
		for m.c.Deadline() != tcp.Never {
			m.now = m.c.Deadline()
			m.c.Timeout(m.now)
			m.drain()
		}
	}
	type edge struct{ from, to tcp.State }
	// A user's call may take two ways out of one state: each deed is named.
	deeds := map[edge][]func(*cell){
		{tcp.Closed, tcp.Listen}:           {open(tcp.Passive)},
		{tcp.Closed, tcp.SynSent}:          {open(tcp.Active)},
		{tcp.Listen, tcp.Closed}:           {closes, abort},
		{tcp.Listen, tcp.SynReceived}:      {syn},
		{tcp.Listen, tcp.SynSent}:          {send, open(tcp.Active)},
		{tcp.SynSent, tcp.Closed}:          {closes, abort, rst, wait},
		{tcp.SynSent, tcp.SynReceived}:     {syn},
		{tcp.SynSent, tcp.Established}:     {synAck},
		{tcp.SynReceived, tcp.Listen}:      {rst},
		{tcp.SynReceived, tcp.Established}: {ack},
		{tcp.SynReceived, tcp.FinWait1}:    {closes},
		{tcp.Established, tcp.FinWait1}:    {closes},
		{tcp.Established, tcp.CloseWait}:   {fin},
		{tcp.FinWait1, tcp.FinWait2}:       {ack},
		{tcp.FinWait1, tcp.Closing}:        {fin},
		{tcp.FinWait2, tcp.TimeWait}:       {fin},
		{tcp.CloseWait, tcp.LastAck}:       {closes},
		{tcp.Closing, tcp.TimeWait}:        {ack},
		{tcp.LastAck, tcp.Closed}:          {ack, rst, abort},
		{tcp.TimeWait, tcp.Closed}:         {wait, abort},

		{tcp.SynReceived, tcp.Closed}: {abort, wait},
		{tcp.Established, tcp.Closed}: {abort, rst, wait},
		{tcp.FinWait1, tcp.Closed}:    {abort, rst, wait},
		{tcp.FinWait2, tcp.Closed}:    {abort, rst},
		{tcp.CloseWait, tcp.Closed}:   {abort, rst, wait},
		{tcp.Closing, tcp.Closed}:     {abort, rst, wait},
	}
	for e, ways := range deeds {
		for i, deed := range ways {
			m := newCell(t)
			m.reach(e.from)
			if deed(m); m.c.State() != e.to {
				t.Errorf("way %d from %v ends in %v; want %v", i+1, e.from, m.c.State(), e.to)
			}
		}
	}
	for e := range tcp.Figure5() {
		if _, taken := deeds[edge{e.From, e.To}]; !taken && e.Source != tcp.InNotes {
			t.Errorf("nothing takes the edge %v -> %v, %s", e.From, e.To, e.Event)
		}
	}
	for e := range deeds {
		if !tcp.Legal(e.from, e.to) {
			t.Errorf("%v -> %v is taken, and is not in the list", e.from, e.to)
		}
	}
}

// Note 2: a FIN that acknowledges ours leads from FIN-WAIT-1 to TIME-WAIT. The machine takes
// the fifth step's edge to FIN-WAIT-2 first, and the eighth step's from there.
func TestNote2(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.FinWait1)
	s := m.c.Status()
	m.peer(seg(nextOf(&s), s.SndNxt, wire.FIN|wire.ACK, 0))
	if m.c.State() != tcp.TimeWait {
		t.Errorf("a FIN that acknowledges ours leads to %v; want TIME-WAIT", m.c.State())
	}
	if len(m.rules) != 2 || m.rules[0] != tcp.RuleFinWait1Acked.Clause() || m.rules[1] != tcp.RuleFinFinWait2.Clause() {
		t.Errorf("the rules were %v", m.rules)
	}
}

// MUST-11: SYN-RECEIVED remembers how it was reached. After a passive OPEN a reset leads back
// to LISTEN and the user hears nothing; after an active one the connection is refused.
func TestResetInSynReceived(t *testing.T) {
	passive := newCell(t)
	passive.reach(tcp.SynReceived)
	passive.c.TakeSignals()
	passive.peer(wire.Segment{Seq: peerISS + 1, Flags: wire.RST})
	if passive.c.State() != tcp.Listen || passive.c.Err() != nil || passive.c.TakeSignals() != tcp.SignalListen {
		t.Errorf("after a passive OPEN: %v with error %v", passive.c.State(), passive.c.Err())
	}
	passive.peer(wire.Segment{Seq: peerISS + 77, Flags: wire.SYN})
	if passive.c.State() != tcp.SynReceived {
		t.Errorf("the next SYN leads to %v", passive.c.State())
	}

	active := newCell(t)
	active.reach(tcp.SynSent)
	active.peer(wire.Segment{Seq: peerISS, Flags: wire.SYN})
	active.peer(wire.Segment{Seq: peerISS + 1, Flags: wire.RST})
	if active.c.State() != tcp.Closed || active.c.Err() != tcp.ErrRefused {
		t.Errorf("after an active OPEN: %v with error %v; want the connection refused", active.c.State(), active.c.Err())
	}
}

// CLOSE in SYN-RECEIVED with text pending waits for ESTABLISHED: 3.10.4, "queue for processing
// after entering ESTABLISHED state".
func TestCloseQueuedInSynReceived(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.SynReceived)
	_, err := m.c.Send(m.now, []byte("text"))
	m.must(err)
	m.must(m.c.Close(m.now))
	if m.c.State() != tcp.SynReceived {
		t.Fatalf("CLOSE leads to %v at once", m.c.State())
	}
	out := m.peer(wire.Segment{Seq: peerISS + 1, Ack: ourISS + 1, Flags: wire.ACK})
	if m.c.State() != tcp.FinWait1 {
		t.Errorf("the ACK of the SYN leads to %v; want FIN-WAIT-1 by the queued CLOSE", m.c.State())
	}
	if len(out) != 1 || out[0] != "<SEQ=1001><ACK=2001><LEN=4><CTL=FIN,PSH,ACK>" {
		t.Errorf("sent %v; want the text and the FIN", out)
	}
}

// SHLD-3, MAY-1: after the user is gone, text resets the connection: at once when it was
// unread, otherwise when it arrives.
func TestTextThatNobodyReads(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.Established)
	s := m.c.Status()
	m.peer(seg(nextOf(&s), s.SndNxt, wire.ACK, 5))
	if !m.c.CloseReceive(m.now, tcp.Gone) || m.c.State() != tcp.Closed {
		t.Errorf("unread text: %v", m.c.State())
	}
	if out := m.drain(); len(out) != 1 || out[0] != "<SEQ=1011><CTL=RST>" {
		t.Errorf("unread text is answered by %v", out)
	}

	m = newCell(t)
	m.reach(tcp.FinWait1)
	m.c.CloseReceive(m.now, tcp.Gone)
	s = m.c.Status()
	out := m.peer(seg(nextOf(&s), s.SndNxt, wire.ACK, 5))
	if m.c.State() != tcp.Closed || m.c.Err() != tcp.ErrUnread || len(out) != 1 || out[0] != "<SEQ=1012><CTL=RST>" {
		t.Errorf("text after close: %v, %v, answered by %v", m.c.State(), m.c.Err(), out)
	}
}

// Half-duplex close with Discard, MAY-1: what arrives is acknowledged and thrown away.
func TestDiscard(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.Established)
	m.c.CloseReceive(m.now, tcp.Discard)
	for range 3000 {
		s := m.c.Status()
		m.peer(seg(nextOf(&s), s.SndNxt, wire.ACK, 1000))
	}
	s := m.c.Status()
	if s.RcvNxt != peerISS+1+3000*1000 || s.Unread != 0 || s.Buffered > 1<<16 {
		t.Errorf("RCV.NXT is %v, %d unread, %d buffered", s.RcvNxt, s.Unread, s.Buffered)
	}
}

// FIN-WAIT-2 without a reader ends after a minute; with one it does not.
func TestFinWait2(t *testing.T) {
	for _, how := range []tcp.ReceiveEnd{tcp.Reading, tcp.Discard, tcp.Gone} {
		m := newCell(t)
		m.reach(tcp.FinWait2)
		m.c.CloseReceive(m.now, how)
		d := m.c.Deadline()
		if how != tcp.Gone {
			if d != tcp.Never {
				t.Errorf("CloseReceive(%v): FIN-WAIT-2 waits until %v", how, d)
			}
			continue
		}
		if want := m.now.Add(tcp.DefaultFinWait2Timeout); d != want {
			t.Errorf("FIN-WAIT-2 without a reader waits until %v; want %v", d, want)
		}
		m.c.Timeout(d)
		if m.c.State() != tcp.Closed || m.c.Err() != nil {
			t.Errorf("FIN-WAIT-2 ends in %v with %v", m.c.State(), m.c.Err())
		}
	}
}

// MUST-13: TIME-WAIT lasts 2 MSL; a repeated FIN is acknowledged and restarts it (STORY R2); a
// reset does not end it (RFC 1337).
func TestTimeWait(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.TimeWait)
	entered := m.now
	if got, want := m.c.Deadline(), entered.Add(2*tcp.DefaultMSL); got != want {
		t.Errorf("TIME-WAIT lasts until %v; want %v", got, want)
	}
	m.now = entered.Add(tcp.DefaultMSL)
	m.c.Timeout(m.now)
	s := m.c.Status()
	out := m.peer(seg(s.RcvNxt-1, s.SndNxt, wire.FIN|wire.ACK, 0))
	if len(out) != 1 || out[0] != "<SEQ=1012><ACK=2002><CTL=ACK>" {
		t.Errorf("the FIN again is answered by %v", out)
	}
	if got, want := m.c.Deadline(), m.now.Add(2*tcp.DefaultMSL); got != want {
		t.Errorf("the FIN again: TIME-WAIT lasts until %v; want %v", got, want)
	}
	m.peer(seg(s.RcvNxt, 0, wire.RST, 0))
	if m.c.State() != tcp.TimeWait {
		t.Errorf("a reset leads to %v", m.c.State())
	}
	m.now = m.c.Deadline()
	m.c.Timeout(m.now)
	if m.c.State() != tcp.Closed || m.c.Err() != nil {
		t.Errorf("after 2 MSL: %v with %v", m.c.State(), m.c.Err())
	}
}
