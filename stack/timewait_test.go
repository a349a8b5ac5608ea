package stack_test

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

const msl2 = 2 * tcp.DefaultMSL

// ended is a host whose connection 10.0.0.1:80 to peer4 is in TIME-WAIT, released or not,
// with the numbers it ended on.
type ended struct {
	*seat
	l              *stack.Listener
	c              *stack.Conn
	sndNxt, rcvNxt uint32
	at             tcp.Time // when TIME-WAIT began
	stamps         bool
	become         func(from, to tcp.State, rule tcp.Rule)
}

// trace has f told of each change of state from now on.
func (e *ended) trace(f func(from, to tcp.State, rule tcp.Rule)) { e.become = f }

func timeWait(t *testing.T, stamps, release bool) *ended {
	cfg := config()
	// The clock of initial sequence numbers has not gone on: the floor must do it.
	cfg.TCP.ISN = func(tcp.Time, wire.Flow) seq.Num { return 77000 }
	e := &ended{stamps: stamps}
	cfg.TCP.Trace = &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, from, to tcp.State, rule tcp.Rule) {
		if e.become != nil {
			e.become(from, to, rule)
		}
	}}
	e.seat = newSeat(t, cfg)
	var err error
	if e.l, err = e.s.Listen(local4, 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	o := one(t, "a SYN", e.tell(wire.Segment{Seq: 1000, Flags: wire.SYN}, 500))
	iss := uint32(o.seg.Seq)
	e.tell(wire.Segment{Seq: 1001, Ack: seqNum(iss + 1), Flags: wire.ACK}, 501)
	if e.c = e.l.Accept(e.now); e.c == nil {
		t.Fatal("no connection")
	}
	e.c.Close(e.now)
	one(t, "CLOSE", e.take())
	e.tell(wire.Segment{Seq: 1001, Ack: seqNum(iss + 2), Flags: wire.ACK | wire.FIN}, 502)
	if e.c.State() != tcp.TimeWait {
		t.Fatalf("it is %v", e.c.State())
	}
	e.sndNxt, e.rcvNxt, e.at = iss+2, 1002, e.now
	if release {
		e.c.CloseReceive(e.now, tcp.Gone)
		e.c.Release(e.now)
		none(t, "Release", e.take())
		if st := e.s.Stats(); st.Connections != 0 || st.TimeWait != 1 || st.States[tcp.TimeWait] != 1 || st.Buffers != 0 {
			t.Fatalf("%d connections, %d records, %d in TIME-WAIT", st.Connections, st.TimeWait, st.States[tcp.TimeWait])
		}
	}
	return e
}

// tell is say from peer4 to local4, with a timestamp if the connection has them.
func (e *ended) tell(seg wire.Segment, tsval uint32) []out {
	e.t.Helper()
	seg.Wnd = 1000
	if e.stamps {
		seg.Options.Set |= wire.HasTimestamps
		seg.Options.TSVal = tsval
	}
	return e.say(peer4, local4, seg)
}

// waiting fails unless the pair of sockets is in TIME-WAIT.
func (e *ended) waiting(what string) {
	e.t.Helper()
	if n := e.s.Stats().States[tcp.TimeWait]; n != 1 {
		e.t.Errorf("after %s: %d in TIME-WAIT", what, n)
	}
}

// What TIME-WAIT does must not depend on whether the user still has the connection: each
// case is played to the machine itself and to its record.
func TestTimeWaitOfARecordIsThatOfTheMachine(t *testing.T) {
	for _, stamps := range []bool{false, true} {
		for _, c := range []struct {
			what  string
			seg   wire.Segment // Seq and Ack relative to RCV.NXT and SND.NXT
			tsval uint32
		}{
			{"the FIN again", wire.Segment{Seq: 0xffffffff, Flags: wire.ACK | wire.FIN}, 502},
			{"an ACK", wire.Segment{Flags: wire.ACK}, 503},
			{"old text", wire.Segment{Seq: 0xfffffff0, Flags: wire.ACK, Text: []byte("old")}, 503},
			{"new text", wire.Segment{Flags: wire.ACK, Text: []byte("new")}, 503},
			{"a reset at RCV.NXT", wire.Segment{Flags: wire.RST}, 503},
			{"a reset in the window", wire.Segment{Seq: 10, Flags: wire.RST}, 503},
			{"a SYN,ACK", wire.Segment{Seq: 5, Flags: wire.SYN | wire.ACK}, 503},
			{"an old SYN", wire.Segment{Seq: 0xfffff000, Flags: wire.SYN}, 400},
			{"a segment from the past by its timestamp", wire.Segment{Flags: wire.ACK | wire.FIN}, 400},
			{"nothing", wire.Segment{}, 503},
		} {
			var answers [2][]out
			for i, release := range []bool{false, true} {
				e := timeWait(t, stamps, release)
				e.now = e.now.Add(20 * time.Second)
				seg := c.seg
				seg.Seq, seg.Ack = seg.Seq.Add(e.rcvNxt), seg.Ack.Add(e.sndNxt)
				for range 3 { // the second and third show what is throttled
					answers[i] = append(answers[i], e.tell(seg, c.tsval)...)
				}
				e.waiting(c.what)
				answers[i] = append(answers[i], out{seg: wire.Segment{Seq: seqNum(uint32(e.s.Deadline().Sub(e.at)))}})
			}
			if len(answers[0]) != len(answers[1]) {
				t.Fatalf("%s, timestamps %v: the machine gives %d answers, its record %d", c.what, stamps, len(answers[0]), len(answers[1]))
			}
			for i := range answers[0] {
				a, b := answers[0][i].seg, answers[1][i].seg
				if a.String() != b.String() || a.Wnd != b.Wnd || !reflect.DeepEqual(a.Options, b.Options) {
					t.Errorf("%s, timestamps %v: the machine answers %v %+v, its record %v %+v", c.what, stamps, a.String(), a.Options, b.String(), b.Options)
				}
			}
		}
	}
}

// STORY R2: the last ACK is lost, the FIN comes again, is acknowledged again, and 2 MSL
// begin anew. MUST-13
func TestLastAckLost(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, server := p.connect(l, ap(addrB, 80))
	client.Close(p.now)
	p.run(3 * delay)
	server.Close(p.now)
	p.flush()
	lost := 0
	p.lose = func(from int, _ *wire.Packet) bool {
		if from == 0 && lost < 2 { // the ACK of the FIN, twice
			lost++
			return true
		}
		return false
	}
	p.run(delay)
	p.want(client, tcp.TimeWait)
	client.Release(p.now)
	server.Release(p.now)
	first := p.now.Add(msl2)
	p.run(10 * time.Second)
	if lost != 2 || p.b.Stats().Connections != 0 {
		t.Fatalf("%d lost; the server still has %d connections", lost, p.b.Stats().Connections)
	}
	d := p.a.Deadline()
	if d <= first {
		t.Errorf("2 MSL end at %v: they did not begin anew", d)
	}
	p.run(d.Sub(p.now) - 1)
	if n := p.a.Stats().TimeWait; n != 1 {
		t.Errorf("1 ns before the end of 2 MSL: %d records", n)
	}
	p.run(1)
	if st := p.a.Stats(); st.TimeWait != 0 || st.States[tcp.TimeWait] != 0 || p.a.Deadline() != tcp.Never {
		t.Errorf("after 2 MSL: %d records, %d in TIME-WAIT", st.TimeWait, st.States[tcp.TimeWait])
	}
}

// MAY-2, SHLD-4, RFC 6191 section 2: which SYN reopens a connection in TIME-WAIT, whoever
// has it.
func TestReopen(t *testing.T) {
	for _, c := range []struct {
		before, now bool // timestamps
		seq         uint32
		tsval       uint32
		want        bool
	}{
		{true, true, 1, 503, true}, // the sequence number does not matter
		{true, true, 1002, 502, true},
		{true, true, 1001, 502, false}, // not greater than that of the FIN
		{true, true, 5000, 501, false},
		{true, false, 1002, 0, true},
		{true, false, 1001, 0, false},
		{false, true, 1, 1, true},
		{false, false, 1002, 0, true},
		{false, false, 1001, 0, false},
	} {
		for _, release := range []bool{true, false} {
			e := timeWait(t, c.before, release)
			e.now = e.now.Add(time.Second)
			e.stamps = c.now
			got := e.tell(wire.Segment{Seq: seqNum(c.seq), Flags: wire.SYN}, c.tsval)
			opened := len(got) == 1 && got[0].seg.Flags == wire.SYN|wire.ACK
			if opened != c.want {
				t.Errorf("%+v, released %v: reopened %v", c, release, opened)
				continue
			}
			if !c.want {
				e.waiting("a SYN that may not reopen")
				continue
			}
			if iss := got[0].seg.Seq; !seqNum(e.sndNxt).Less(iss) { // MAY-2
				t.Errorf("%+v: ISS %d, the old connection ended on %d", c, iss, e.sndNxt)
			}
			e.tell(wire.Segment{Seq: seqNum(c.seq + 1), Ack: got[0].seg.Seq + 1, Flags: wire.ACK}, c.tsval)
			if e.l.Accept(e.now) == nil {
				t.Errorf("%+v, released %v: not accepted", c, release)
			}
			if !release {
				if e.c.State() != tcp.TimeWait {
					t.Errorf("the user's connection is %v", e.c.State())
				}
				if n, err := e.c.Receive(e.now, make([]byte, 1)); n != 0 || !errors.Is(err, tcp.ErrClosing) {
					t.Errorf("the user's connection: %d, %v", n, err)
				}
				e.c.Release(e.now)
				e.take()
				if e.s.Stats().TimeWait != 0 {
					t.Error("a record beside the new connection")
				}
			} else if e.s.Stats().TimeWait != 0 {
				t.Error("a record beside the new connection")
			}
		}
	}
}

// MAY-2: "returns to TIME-WAIT state if the SYN turns out to be an old duplicate": its
// SYN,ACK is answered by a reset.
func TestReopenedByAnOldDuplicate(t *testing.T) {
	for _, release := range []bool{true, false} {
		e := timeWait(t, false, release)
		until := e.s.Deadline()
		e.now = e.now.Add(time.Second)
		o := one(t, "a SYN", e.tell(wire.Segment{Seq: 9000, Flags: wire.SYN}, 0))
		if !o.seg.Flags.Has(wire.SYN | wire.ACK) {
			t.Fatalf("answered by %v", o.seg.String())
		}
		none(t, "a reset", e.tell(wire.Segment{Seq: 9001, Flags: wire.RST}, 0))
		e.waiting("the reset")
		if e.s.Deadline() != until {
			t.Errorf("2 MSL end %v later than before", e.s.Deadline().Sub(until))
		}
		o = one(t, "the FIN again", e.tell(wire.Segment{Seq: 1001, Ack: seqNum(e.sndNxt), Flags: wire.FIN | wire.ACK}, 0))
		if uint32(o.seg.Seq) != e.sndNxt || uint32(o.seg.Ack) != e.rcvNxt {
			t.Errorf("answered by %v", o.seg.String())
		}
	}
}

// A flood of forged SYNs keeps nobody from reopening, and the new connection begins above the
// old one (MAY-2), which a cookie could not say. That has a bound of its own.
func TestReopenDuringASynFlood(t *testing.T) {
	for _, release := range []bool{true, false} {
		for _, halfOpen := range []int{0, -1} {
			e := timeWait(t, true, release)
			e.l.Close(e.now)
			l, err := e.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: halfOpen})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 * stack.DefaultHalfOpen {
				e.say(netip.AddrPortFrom(mustAP("10.0.0.7:1").Addr(), uint16(1000+i)), local4, syn(uint32(i)))
			}
			if e.s.Stats().CookiesSent == 0 {
				t.Fatal("no cookies: the test tests nothing")
			}
			sent := e.s.Stats().CookiesSent
			e.now = e.now.Add(time.Second)
			got := e.tell(wire.Segment{Seq: 5000, Flags: wire.SYN}, 600)
			if len(got) != 1 || got[0].seg.Flags != wire.SYN|wire.ACK || !seqNum(e.sndNxt).Less(got[0].seg.Seq) {
				t.Fatalf("released %v: the SYN has %d answers", release, len(got))
			}
			if e.s.Stats().CookiesSent != sent {
				t.Error("it is answered by a cookie")
			}
			e.tell(wire.Segment{Seq: 5001, Ack: got[0].seg.Seq + 1, Flags: wire.ACK}, 601)
			if l.Accept(e.now) == nil {
				t.Errorf("released %v: not accepted", release)
			}
			checkCounters(t, e.s)
		}
	}
}

// The reserve for reopening is bounded, and each place is free again however it ends.
func TestReopenIsBounded(t *testing.T) {
	cfg := config()
	cfg.HalfOpen, cfg.TCP.MSL = 2, 10*time.Minute
	x := newSeat(t, cfg)
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{})
	peer := func(i int) netip.AddrPort { return netip.AddrPortFrom(peer4.Addr(), uint16(4000+i)) }
	for i := range 4 {
		o := one(t, "a SYN", x.say(peer(i), local4, wire.Segment{Seq: 1000, Flags: wire.SYN, Wnd: 1000}))
		x.say(peer(i), local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000})
		c := l.Accept(x.now)
		c.Close(x.now)
		x.take()
		x.say(peer(i), local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 2, Flags: wire.FIN | wire.ACK, Wnd: 1000})
		c.Release(x.now)
		x.take()
	}
	reopen := func(i int) int {
		return len(x.say(peer(i), local4, wire.Segment{Seq: 9000, Flags: wire.SYN, Wnd: 1000}))
	}
	for round := range 3 {
		if a, b, c := reopen(0), reopen(1), reopen(2); a != 1 || b != 1 || c != 0 {
			t.Fatalf("round %d: answers %d, %d, %d; want 1, 1, 0", round, a, b, c)
		}
		if st := x.s.Stats(); st.TimeWait != 2 || st.HalfOpen != 2 {
			t.Fatalf("round %d: %d records, %d half-open", round, st.TimeWait, st.HalfOpen)
		}
		if round == 0 { // old duplicates
			x.say(peer(0), local4, wire.Segment{Seq: 9001, Flags: wire.RST})
			x.say(peer(1), local4, wire.Segment{Seq: 9001, Flags: wire.RST})
		} else { // never answered: dropped in silence
			for x.s.Stats().HalfOpen > 0 {
				x.now = x.s.Deadline()
				x.s.Timeout(x.now)
				for _, o := range x.take() {
					if o.seg.Flags != wire.SYN|wire.ACK {
						t.Errorf("%v is sent", o.seg.String())
					}
				}
			}
		}
		if n := x.s.Stats().TimeWait; n != 4 {
			t.Fatalf("round %d: %d records", round, n)
		}
		checkCounters(t, x.s)
	}
}

// MAY-2: "returns to TIME-WAIT state", too, when the listener is closed before it is known
// what the SYN was.
func TestListenerClosedWhileReopening(t *testing.T) {
	for _, release := range []bool{true, false} {
		e := timeWait(t, false, release)
		until := e.s.Deadline()
		e.now = e.now.Add(time.Second)
		one(t, "a SYN", e.tell(wire.Segment{Seq: 9000, Flags: wire.SYN}, 0))
		e.l.Close(e.now)
		if o := one(t, "closing the listener", e.take()); !o.seg.Flags.Has(wire.RST) {
			t.Errorf("the peer is told %v", o.seg.String())
		}
		e.waiting("the listener's end")
		if e.s.Deadline() != until {
			t.Errorf("2 MSL end %v later than before", e.s.Deadline().Sub(until))
		}
		o := one(t, "the FIN again", e.tell(wire.Segment{Seq: 1001, Ack: seqNum(e.sndNxt), Flags: wire.FIN | wire.ACK}, 0))
		if uint32(o.seg.Seq) != e.sndNxt || uint32(o.seg.Ack) != e.rcvNxt {
			t.Errorf("answered by %v", o.seg.String())
		}
		checkCounters(t, e.s)
	}
}

// RFC 6191, RFC 6056 section 3: the closer dials again from the same port. With timestamps it
// may after a tick of its clock, and begins above the old numbers; without, it may not.
func TestDialOverTimeWait(t *testing.T) {
	for _, stamps := range []bool{true, false} {
		cfg := config()
		cfg.TCP.NoTimestamps = !stamps
		p := newPair(t, cfg, config())
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		again := func() (*stack.Conn, error) {
			return p.a.Dial(p.now, ap(addrA, 5000), ap(addrB, 80), stack.ConnOptions{})
		}
		client, err := again()
		if err != nil {
			t.Fatal(err)
		}
		p.run(3 * delay)
		server := l.Accept(p.now)
		p.transfer(client, server, 1<<20) // faster than the ISN clock
		end := client.Status().SndNxt
		client.Close(p.now)
		p.run(5 * delay)
		server.Close(p.now)
		server.Release(p.now)
		p.run(delay)
		p.want(client, tcp.TimeWait)
		client.Release(p.now)
		p.flush()
		p.run(time.Millisecond - 1)
		if _, err := again(); !errors.Is(err, stack.ErrAddrInUse) {
			t.Fatalf("at once: %v", err)
		}
		p.run(1)
		client, err = again()
		if !stamps {
			if !errors.Is(err, stack.ErrAddrInUse) {
				t.Fatalf("without timestamps: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("with timestamps, after a tick: %v", err)
		}
		if iss := client.Status().ISS; !end.Less(iss) {
			t.Errorf("ISS %d, the old connection ended on %d", iss, end)
		}
		p.run(3 * delay)
		if server = l.Accept(p.now); server == nil {
			t.Fatal("not accepted")
		}
		p.transfer(client, server, 10000)
	}
}

// The oldest record makes room for the newest.
func TestMaxTimeWait(t *testing.T) {
	cfg := config()
	cfg.MaxTimeWait = 10
	p := newPair(t, cfg, config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var last netip.AddrPort
	for range 25 {
		client, server := p.connect(l, ap(addrB, 80))
		last = client.Local()
		client.Close(p.now)
		p.run(3 * delay)
		server.Close(p.now)
		p.run(3 * delay)
		client.Release(p.now)
		server.Release(p.now)
		p.flush()
	}
	st := p.a.Stats()
	if st.TimeWait != 10 || st.TimeWaitEvicted != 15 || st.States[tcp.TimeWait] != 10 || st.Connections != 0 {
		t.Errorf("%d records, %d evicted, %d in TIME-WAIT, %d connections", st.TimeWait, st.TimeWaitEvicted, st.States[tcp.TimeWait], st.Connections)
	}
	list := p.a.Connections()
	found := false
	for _, c := range list {
		found = found || c.Flow.LocalAddrPort() == last && c.State == tcp.TimeWait
	}
	if len(list) != 10 || !found {
		t.Errorf("%d connections listed, the last among them: %v", len(list), found)
	}
	p.run(msl2)
	if st := p.a.Stats(); st.TimeWait != 0 || p.a.Deadline() != tcp.Never {
		t.Errorf("after 2 MSL: %d records", st.TimeWait)
	}
	if n := unsafe.Sizeof(tcp.TimeWaitRecord{}); n > 72 {
		t.Errorf("a record has %d octets, and two links; Config.MaxTimeWait says 80", n)
	}
}

// Records expire each in its time, in whatever order they came, came back or began anew.
func TestTimeWaitOrder(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{})
	peer := func(i int) netip.AddrPort { return netip.AddrPortFrom(peer4.Addr(), uint16(4000+i)) }
	var snd [5]uint32
	end := map[int]tcp.Time{}
	for i := range snd {
		o := one(t, "a SYN", x.say(peer(i), local4, wire.Segment{Seq: 1000, Flags: wire.SYN, Wnd: 1000}))
		x.say(peer(i), local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000})
		c := l.Accept(x.now)
		c.Close(x.now)
		x.take()
		x.say(peer(i), local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 2, Flags: wire.FIN | wire.ACK, Wnd: 1000})
		c.Release(x.now)
		x.take()
		snd[i] = uint32(o.seg.Seq) + 2
		end[i] = x.now.Add(msl2)
		x.now = x.now.Add(time.Second)
	}
	check := func() {
		t.Helper()
		first := tcp.Never
		for _, d := range end {
			first = min(first, d)
		}
		if d := x.s.Deadline(); d != first {
			t.Fatalf("the deadline is %v later than the first record's end", d.Sub(first))
		}
	}
	check()
	for _, i := range []int{0, 2} { // a repeated FIN: anew
		x.say(peer(i), local4, wire.Segment{Seq: 1001, Ack: seqNum(snd[i]), Flags: wire.FIN | wire.ACK, Wnd: 1000})
		end[i] = x.now.Add(msl2)
		x.now = x.now.Add(time.Second)
		check()
	}
	for _, i := range []int{3, 1} { // reopened, and back
		x.say(peer(i), local4, wire.Segment{Seq: 9000, Flags: wire.SYN, Wnd: 1000})
		x.say(peer(i), local4, wire.Segment{Seq: 9001, Flags: wire.RST})
		check()
	}
	for len(end) > 0 {
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		for i, d := range end {
			if d <= x.now {
				delete(end, i)
			}
		}
		check()
		if n := x.s.Stats().TimeWait; n != len(end) {
			t.Fatalf("%d records; want %d", n, len(end))
		}
	}
}

// The first purpose of TIME-WAIT is that the peer gets the last ACK. If it is lost, and a
// new connection has the sockets, that one's SYN ends what is left at the peer, and it comes
// about all the same.
func TestDialOverTimeWaitWithoutTheLastAck(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	dial := func() *stack.Conn {
		c, err := p.a.Dial(p.now, ap(addrA, 5000), ap(addrB, 80), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	client := dial()
	p.run(3 * delay)
	server := l.Accept(p.now)
	client.Close(p.now)
	p.run(3 * delay)
	server.Close(p.now)
	p.lose = func(from int, _ *wire.Packet) bool { return from == 0 }
	p.run(delay)
	p.want(client, tcp.TimeWait)
	client.Release(p.now)
	p.flush()
	p.lose = nil
	p.run(time.Millisecond)
	p.want(server, tcp.LastAck)
	client = dial()
	p.run(3 * time.Second)
	p.want(client, tcp.Established)
	p.want(server, tcp.Closed)
	next := l.Accept(p.now)
	p.transfer(client, next, 10000)
}
