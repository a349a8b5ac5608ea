package stack_test

import (
	"testing"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Nothing is kept of a SYN that a cookie answers, and yet AccECN is agreed: ACE of the ACK says that it
// was (RFC 9768 section 5.1). RFC 3168's says nothing, and is not agreed.
func TestAccECNByCookie(t *testing.T) {
	const all = wire.AE | wire.CWR | wire.ECE
	for _, tc := range []struct {
		mode              tcp.ECN
		syn, synack, last wire.Flags
		on, mute          bool
	}{
		{tcp.ECNAccept, all, wire.CWR, wire.CWR, true, false},
		{tcp.ECNAccept, all, wire.CWR, wire.AE | wire.CWR, true, true}, // the SYN,ACK came as CE
		{tcp.ECNAccept, all, wire.CWR, wire.AE | wire.ECE, true, false},
		{tcp.ECNAccept, wire.CWR | wire.ECE, 0, 0, false, false},
		{tcp.ECNAccept, wire.CWR | wire.ECE, 0, wire.ECE, false, false},
		{tcp.ECNAccept, 0, 0, 0, false, false},
		{tcp.ECNOff, all, 0, wire.CWR, false, false},
	} {
		x := newSeat(t, stack.Config{TCP: tcp.Config{ECN: tc.mode}})
		l, err := x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: -1})
		if err != nil {
			t.Fatal(err)
		}
		first := syn(1000)
		first.Flags |= tc.syn
		o := one(t, "a SYN", x.say(peer4, local4, first))
		if o.seg.Flags != wire.SYN|wire.ACK|tc.synack {
			t.Errorf("mode %d: %v is answered by %v", tc.mode, first.Flags, o.seg.Flags)
		}
		x.say(peer4, local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK | tc.last, Wnd: 100})
		s := l.Accept(x.now)
		if s == nil {
			t.Fatal("the cookie made no connection")
		}
		if st := s.Status(); st.AccECN != tc.on || st.ECN != tc.on || st.ECNMute != tc.mute {
			t.Errorf("mode %d, %v then %v: ECN %v, accurate %v, mute %v", tc.mode, first.Flags, tc.last, st.ECN, st.AccECN, st.ECNMute)
		}
	}
}

// A second SYN of the other kind ends what the first has begun: the client learns of it by a reset, and
// the listener keeps nothing.
func TestMixedSYNsLeaveNothing(t *testing.T) {
	x := newSeat(t, stack.Config{})
	if _, err := x.s.Listen(local4, 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	first, second := syn(1000), syn(1000)
	first.Flags |= wire.AE | wire.CWR | wire.ECE
	second.Flags |= wire.CWR | wire.ECE
	one(t, "a SYN", x.say(peer4, local4, first))
	if o := one(t, "the same with another kind of ECN", x.say(peer4, local4, second)); o.seg.Flags != wire.RST|wire.ACK || o.seg.Ack != 1001 {
		t.Errorf("it is answered by %v", &o.seg)
	}
	if st := x.s.Stats(); st.Connections != 0 || st.HalfOpen != 0 {
		t.Errorf("%d connections, %d half-open", st.Connections, st.HalfOpen)
	}
}
