package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A line is two machines, and a network between them that only takes time.
type line struct {
	t    *testing.T
	now  tcp.Time
	ends [2]*tcp.Conn
	way  []onWay
}

type onWay struct {
	at  tcp.Time
	to  int
	seg wire.Segment
}

const lineDelay = 10 * time.Millisecond

func newLine(t *testing.T, cfg tcp.Config) *line {
	l := &line{t: t, now: 1}
	other := cfg
	l.ends[0], l.ends[1] = tcp.New(&cfg, flowOfA, 1500), tcp.New(&other, flowOfA.Reverse(), 1500)
	l.must(l.ends[1].Open(l.now, tcp.Passive))
	l.must(l.ends[0].Open(l.now, tcp.Active))
	l.run(time.Second)
	return l
}

func (l *line) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) flush() {
	var g wire.Segment
	for i, c := range l.ends {
		for c.Output(l.now, &g) {
			s := g
			s.Text = append(append([]byte(nil), g.Text...), g.TextRest...)
			s.TextRest = nil
			l.way = append(l.way, onWay{l.now.Add(lineDelay), 1 - i, s})
		}
	}
}

// step goes to the next event, not beyond until, and reports whether there was one.
func (l *line) step(until tcp.Time) bool {
	l.flush()
	at := min(l.ends[0].Deadline(), l.ends[1].Deadline())
	if len(l.way) > 0 {
		at = min(at, l.way[0].at)
	}
	if at > until {
		return false
	}
	l.now = max(l.now, at)
	for len(l.way) > 0 && l.way[0].at <= l.now {
		w := l.way[0]
		l.way = l.way[1:]
		l.ends[w.to].Arrive(l.now, &w.seg)
	}
	for _, c := range l.ends {
		c.Timeout(l.now)
	}
	return true
}

func (l *line) run(d time.Duration) {
	until := l.now.Add(d)
	for l.step(until) {
	}
	l.now = until
}

// Who does not read can still send: RFC 9293 section 3.4, "it is possible for a TCP
// implementation to maintain a zero receive window while transmitting data and receiving ACKs". The peer's probe has taken
// its SND.NXT one octet beyond the closed window, and from there its ACKs come.
func TestUploadBehindAClosedWindow(t *testing.T) {
	l := newLine(t, tcp.Config{})
	a, b := l.ends[0], l.ends[1]
	fill := func() {
		for n := 1; n > 0; {
			n, _ = b.Send(l.now, make([]byte, 1<<16))
		}
	}
	fill()
	l.run(20 * time.Second)
	fill()
	l.run(10 * time.Minute) // A never reads, and its window is probed
	if s := a.Status(); s.RcvWnd > 31 {
		t.Fatalf("A's window is %d; want it closed", s.RcvWnd)
	}
	start, got, left := l.now, 0, 4<<20
	buf := make([]byte, 1<<16)
	for got < 4<<20 {
		n, err := a.Send(l.now, make([]byte, min(1<<16, left)))
		l.must(err)
		left -= n
		for n = 1; n > 0; got += n {
			n, _ = b.Receive(buf)
		}
		if !l.step(start.Add(time.Minute)) {
			t.Fatalf("B has %d of 4194304 octets after a minute; A is %+v", got, a.Status())
		}
	}
	if took := l.now.Sub(start); took > 5*time.Second {
		t.Errorf("4 MiB took %v", took)
	}
}

// A window that closes and opens again gives no leave to send all once more: what is in flight
// is lost when a timer says so. ATTACKS: "never trust shrink".
func TestFlappingWindow(t *testing.T) {
	l := newLine(t, tcp.Config{NoTimestamps: true})
	a := l.ends[0]
	_, err := a.Send(l.now, make([]byte, 1<<20))
	l.must(err)
	l.flush()
	l.way = nil // all of it is lost
	sent := 0
	for range 20 {
		for _, wnd := range []uint16{0, 65535} {
			s := a.Status()
			a.Arrive(l.now, &wire.Segment{Seq: s.RcvNxt, Ack: s.SndUna, Flags: wire.ACK, Wnd: wnd})
			l.flush()
			for _, w := range l.way {
				sent += int(w.seg.TextLen())
			}
			l.way = nil
		}
	}
	if s := a.Status(); sent > int(s.Cwnd) {
		t.Errorf("40 ACKs drew %d octets of text; cwnd is %d", sent, s.Cwnd)
	}
}

// A FIN that text has overtaken is forgotten: it was not the peer's, and 4 GiB later its number
// would come round again.
func TestStaleFIN(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.Established)
	m.c.CloseReceive(m.now, tcp.Discard)
	s := m.c.Status()
	m.peer(seg(s.RcvNxt+1<<15, s.SndUna, wire.FIN|wire.ACK, 0))
	m.peer(seg(s.RcvNxt, s.SndUna, wire.ACK, 1<<15+1))
	m.peer(seg(s.RcvNxt+1<<15+1, s.SndUna, wire.ACK, 1<<15-1))
	text := make([]byte, 1<<15) // 4 GiB later the boundary between two segments is there again
	for sum := uint64(0); sum < 1<<32+1<<20; sum += uint64(len(text)) {
		s := m.c.Status()
		g := wire.Segment{Seq: s.RcvNxt, Ack: s.SndUna, Flags: wire.ACK, Wnd: 65535, Text: text,
			Options: wire.Options{Set: wire.HasTimestamps, TSVal: peerTick}}
		m.c.Arrive(m.now, &g)
		for m.c.Output(m.now, &g) {
		}
		if m.c.State() != tcp.Established {
			t.Fatalf("after %d octets without a FIN: %v", sum, m.c.State())
		}
		m.now += tcp.Time(time.Millisecond)
	}
}

// ABORT while closing tells the peer, as long as it may still wait for something.
func TestAbortWhileClosing(t *testing.T) {
	for _, state := range []tcp.State{tcp.LastAck, tcp.Closing} {
		m := newCell(t)
		m.reach(state)
		m.must(m.c.Abort(m.now))
		if out := m.drain(); len(out) != 1 || out[0] != "<SEQ=1012><CTL=RST>" {
			t.Errorf("ABORT in %v sends %v; want a reset", state, out)
		}
	}
}

// Who wants no simultaneous open drops the SYN that crossed ours, and still connects.
func TestCrossedSYNRefused(t *testing.T) {
	m := newCell(t)
	m.c = tcp.New(&tcp.Config{NoSimultaneousOpen: true, ISN: isnOf(ourISS)}, flowOfA, 1500)
	m.reach(tcp.SynSent)
	if out := m.peer(wire.Segment{Seq: peerISS, Flags: wire.SYN}); out != nil || m.c.State() != tcp.SynSent {
		t.Errorf("a SYN that crossed ours: %v, %v", m.c.State(), out)
	}
	m.peer(wire.Segment{Seq: peerISS, Ack: ourISS + 1, Flags: wire.SYN | wire.ACK})
	if m.c.State() != tcp.Established {
		t.Errorf("the SYN,ACK leads to %v", m.c.State())
	}
}

// A smaller buffer takes back nothing that was offered (SHLD-14).
func TestShrunkBuffer(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.SynSent)
	m.peer(wire.Segment{Seq: peerISS, Ack: ourISS + 1, Flags: wire.SYN | wire.ACK,
		Options: wire.Options{Set: wire.HasTimestamps | wire.HasWindowScale, TSVal: peerTick}})
	var edge seq.Num
	for i := range 400 {
		if i == 3 {
			m.c.SetReceiveBuffer(4096)
		}
		s := m.c.Status()
		g := seg(s.RcvNxt, s.SndUna, wire.ACK, 1333)
		g.Wnd, g.Options = 65535, wire.Options{Set: wire.HasTimestamps, TSVal: peerTick}
		m.c.Arrive(m.now, &g)
		for m.c.Output(m.now, &g) {
			now := g.Ack.Add(uint32(g.Wnd) << m.c.Status().RcvShift)
			if i > 0 && now.Less(edge) {
				t.Fatalf("segment %d offers up to %v; before, up to %v", i, now, edge)
			}
			edge = now
		}
	}
}

// Keep-alives do not end TIME-WAIT (MUST-13).
func TestKeepAliveInTimeWait(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.TimeWait)
	m.c.SetKeepAlive(m.now, true, time.Second, time.Second, 1)
	want := m.now.Add(2 * tcp.DefaultMSL)
	if got := m.c.Deadline(); got != want {
		t.Errorf("TIME-WAIT with keep-alives waits until %v; want %v", got, want)
	}
}

// Both ends have closed their windows, both have taken the octet of the other's probe, and both
// acknowledge from the edge of what they were offered: the ACKs must count, or neither end would
// hear the other again. A keep-alive, which looks the same, is answered.
func TestAckFromBefore(t *testing.T) {
	for _, s := range []struct {
		seg    wire.Segment
		counts bool
	}{
		{seg(peerISS, ourISS+1+queued, wire.ACK, 0), true},
		{seg(peerISS-1, ourISS+1+queued, wire.ACK, 0), false},
		{seg(peerISS, ourISS+1+queued, wire.ACK, 1), false},
		{seg(peerISS, ourISS+1+queued, wire.ACK|wire.SYN, 0), false},
		{seg(peerISS, ourISS+1+queued+1, wire.ACK, 0), false}, // acknowledges what was never sent
	} {
		m := newCell(t)
		m.reach(tcp.Established)
		out := m.peer(s.seg)
		if got := m.c.Status().Unacknowledged == 0; got != s.counts {
			t.Errorf("%v counts: %v; want %v", &s.seg, got, s.counts)
		}
		if len(out) != 1 || out[0] != "<SEQ=1011><ACK=2001><CTL=ACK>" {
			t.Errorf("%v is answered by %v", &s.seg, out)
		}
	}
}
