package tcp_test

import (
	"testing"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The user learns whether the peer closed normally or aborted: RFC 9293 section 3.6, MUST-12.
func TestHowThePeerEnded(t *testing.T) {
	closed, aborted := newCell(t), newCell(t)
	for _, m := range []*cell{closed, aborted} {
		m.reach(tcp.Established)
		m.c.TakeSignals()
	}
	s := closed.c.Status()
	closed.peer(seg(nextOf(&s), s.SndUna, wire.FIN|wire.ACK, 0))
	if _, err := closed.c.Receive(make([]byte, 1)); err != tcp.ErrClosing {
		t.Errorf("after the peer's FIN RECEIVE returns %v; want %v", err, tcp.ErrClosing)
	}
	if got := closed.c.TakeSignals(); got&tcp.SignalPeerClosed == 0 || got&tcp.SignalClosed != 0 {
		t.Errorf("the peer's FIN gives the signals %b", got)
	}
	aborted.peer(seg(nextOf(&s), s.SndUna, wire.RST|wire.ACK, 0))
	if _, err := aborted.c.Receive(make([]byte, 1)); err != tcp.ErrReset {
		t.Errorf("after the peer's RST RECEIVE returns %v; want %v", err, tcp.ErrReset)
	}
	if got := aborted.c.TakeSignals(); got&tcp.SignalClosed == 0 || got&tcp.SignalPeerClosed != 0 {
		t.Errorf("the peer's RST gives the signals %b", got)
	}
}

// A keep-alive probe carries no octet, or one of garbage where that is configured: RFC 9293
// section 3.8.4, MAY-6. A peer acknowledges either.
func TestKeepAliveOctet(t *testing.T) {
	for _, octet := range []bool{false, true} {
		a, b := newCell(t), newCell(t)
		cfg := &tcp.Config{KeepAliveOctet: octet, ISN: isnOf(ourISS)}
		a.c, b.c = tcp.New(cfg, flowOfA, 1500), tcp.New(&tcp.Config{ISN: isnOf(peerISS)}, flowOfA.Reverse(), 1500)
		a.must(b.c.Open(1, tcp.Passive))
		a.must(a.c.Open(1, tcp.Active))
		exchange(a, b)
		a.c.SetKeepAlive(a.now, true, 0, 0, 0)
		a.now = a.c.Deadline()
		b.now = a.now
		a.c.Timeout(a.now)
		var probe wire.Segment
		if !a.c.Output(a.now, &probe) {
			t.Fatal("there is no probe")
		}
		want := 0
		if octet {
			want = 1
		}
		if probe.Seq != ourISS || len(probe.Text) != want {
			t.Errorf("KeepAliveOctet=%v: the probe is %v; want SEQ=%v and %d octets", octet, &probe, ourISS, want)
		}
		b.c.Arrive(b.now, &probe)
		if out := b.drain(); len(out) != 1 || out[0] != "<SEQ=2001><ACK=1001><CTL=ACK>" {
			t.Errorf("KeepAliveOctet=%v: the peer answers %v", octet, out)
		}
		if n := b.c.Status().Unread; n != 0 {
			t.Errorf("the peer's user is given %d octets of garbage", n)
		}
	}
}

// Small writes behind unacknowledged text are aggregated into one segment: RFC 9293 section
// 3.9.1.2, MAY-16.
func TestAggregated(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.Established) // with text that waits for its ACK
	for range 5 {
		_, err := m.c.Send(m.now, []byte("octets"))
		m.must(err)
		if out := m.drain(); out != nil {
			t.Fatalf("sent %v", out)
		}
	}
	s := m.c.Status()
	out := m.peer(seg(nextOf(&s), s.SndNxt, wire.ACK, 0))
	if len(out) != 1 || out[0] != "<SEQ=1011><ACK=2001><LEN=30><CTL=PSH,ACK>" {
		t.Errorf("the ACK lets go %v; want one segment of 30 octets", out)
	}
}
