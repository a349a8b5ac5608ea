package stack_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// told is a Trace that writes down what it is told, and a check that nothing is left out: the
// states of one pair of sockets follow each other.
type told struct {
	t     testing.TB
	lines []string
	now   map[wire.Flow]tcp.State
}

func tell(t testing.TB, cfg *stack.Config) *told {
	w := &told{t: t, now: map[wire.Flow]tcp.State{}}
	cfg.TCP.Trace = &tcp.Trace{
		Become: func(c tcp.Observed, _ tcp.Time, from, to tcp.State, rule tcp.Rule) {
			flow := c.Flow()
			// A connection that returns to LISTEN is the listener again (MUST-11).
			if was := w.now[flow]; was != from && (was != tcp.Listen || from != tcp.Closed) {
				t.Errorf("%v: %v -> %v by %v; it was %v", flow, from, to, rule, was)
			}
			if c.State() != to || c.Status().State != to {
				t.Errorf("%v -> %v by %v: State is %v", from, to, rule, c.State())
			}
			w.now[flow] = to
			w.lines = append(w.lines, fmt.Sprintf("%v -> %v by %s", from, to, rule.Clause()))
		},
		Drop: func(c tcp.Observed, _ tcp.Time, seg *wire.Segment, rule tcp.Rule) {
			w.lines = append(w.lines, fmt.Sprintf("%v %v drops %v by %s", c.Flow().RemoteAddrPort(), c.State(), seg.Flags, rule.Clause()))
		},
	}
	cfg.Fault = func(_ tcp.Time, packet []byte, f wire.Fault) {
		w.lines = append(w.lines, fmt.Sprintf("%d octets: %s", len(packet), f.Sentence()))
	}
	return w
}

// take returns what has been told since the last time.
func (w *told) take() []string {
	lines := w.lines
	w.lines = nil
	return lines
}

func (w *told) want(what string, want ...string) {
	w.t.Helper()
	if got := w.take(); !slices.Equal(got, want) {
		w.t.Errorf("%s: told\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// left fails if a pair of sockets is in a state though nothing is left of it.
func (w *told) left() {
	w.t.Helper()
	for flow, state := range w.now {
		if state != tcp.Closed && state != tcp.Listen {
			w.t.Errorf("%v: the last that was told is %v", flow, state)
		}
	}
}

// Each segment that the stack drops by itself is told of once, with its rule.
func TestTraceOfStrays(t *testing.T) {
	cfg := config()
	w := tell(t, &cfg)
	x := newSeat(t, cfg)
	if _, err := x.s.Listen(local4, 1, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	nobody := netip.AddrPortFrom(local4.Addr(), 81)
	for _, c := range []struct {
		what     string
		from, to netip.AddrPort
		flags    wire.Flags
		want     string
	}{
		{"no connection", peer4, nobody, wire.SYN, "10.0.0.9:4000 CLOSED drops SYN by RFC 9293 3.10.7.1"},
		{"no connection, IPv6", peer6, local6, wire.ACK, "[2001:db8::9]:4000 CLOSED drops ACK by RFC 9293 3.10.7.1"},
		{"a martian", mustAP("127.0.0.1:4000"), local4, wire.SYN, "127.0.0.1:4000 CLOSED drops SYN by RFC 9293 3.9.2.3"},
		{"to a group", peer4, mustAP("224.0.0.1:80"), wire.SYN, "10.0.0.9:4000 CLOSED drops SYN by RFC 9293 3.9.2.3"},
		{"not ours", peer4, mustAP("10.0.0.7:80"), wire.SYN, "10.0.0.9:4000 CLOSED drops SYN by RFC 1122 3.2.1.3"},
		{"RST in LISTEN", peer4, local4, wire.RST, "10.0.0.9:4000 LISTEN drops RST by RFC 9293 3.10.7.2 first"},
		{"ACK in LISTEN", peer4, local4, wire.ACK, "10.0.0.9:4000 LISTEN drops ACK by RFC 9293 3.10.7.2 second"},
		{"PSH in LISTEN", peer4, local4, wire.PSH, "10.0.0.9:4000 LISTEN drops PSH by RFC 9293 3.10.7.2 fourth"},
	} {
		x.say(c.from, c.to, wire.Segment{Seq: 1, Ack: 1, Flags: c.flags, Wnd: 1})
		w.want(c.what, c.want)
	}
	x.put(raw("127.0.0.1", "10.0.0.1", wire.ProtoUDP, 64, make([]byte, 8)))
	w.want("no segment")
	b := segment(peer4, local4, syn(1))
	b[len(b)-1] ^= 1
	x.put(b)
	w.want("a checksum", "44 octets: the TCP checksum is wrong")
	x.put(b[:19])
	w.want("a short packet", "19 octets: the packet is shorter than an IP header")
	open := func(port uint16) {
		from := netip.AddrPortFrom(peer4.Addr(), port)
		o := one(t, "a SYN", x.say(from, local4, syn(1000)))
		x.say(from, local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK, Wnd: 1})
	}
	open(4001) // the backlog is full
	w.take()
	x.say(peer4, local4, syn(1))
	w.want("a full backlog", "10.0.0.9:4000 LISTEN drops SYN by RFC 4987 3")
}

// A cookie that is none, and a connection that gives way to one that is.
func TestTraceOfCookies(t *testing.T) {
	cfg := config()
	cfg.HalfOpen = 1
	w := tell(t, &cfg)
	x := newSeat(t, cfg)
	l, err := x.s.Listen(local4, 0, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := netip.AddrPortFrom(peer4.Addr(), 5000)
	x.say(other, local4, syn(1))
	cookie := one(t, "a SYN", x.say(peer4, local4, syn(1000))).seg.Seq
	x.say(other, local4, wire.Segment{Seq: 2, Flags: wire.RST}) // now there is room
	one(t, "the SYN again", x.say(peer4, local4, syn(1000)))
	w.take()
	x.say(peer4, local4, wire.Segment{Seq: 2001, Ack: cookie + 1, Flags: wire.ACK, Wnd: 1})
	w.want("a later segment", "10.0.0.9:4000 SYN-RECEIVED drops ACK by RFC 4987 3.6")
	x.say(peer4, local4, wire.Segment{Seq: 1001, Ack: cookie + 1, Flags: wire.ACK, Wnd: 1})
	w.want("the cookie", "SYN-RECEIVED -> CLOSED by RFC 9293 3.10.5", "CLOSED -> LISTEN by RFC 9293 3.10.1",
		"LISTEN -> SYN-RECEIVED by RFC 4987 3.6", "SYN-RECEIVED -> ESTABLISHED by RFC 9293 3.10.7.4 fifth")
	if l.Accept(x.now) == nil {
		t.Error("no connection")
	}
	checkCounters(t, x.s)
}

// A half-open connection that nobody answers ends by the machine's user timeout.
func TestTraceOfTheUnanswered(t *testing.T) {
	cfg := config()
	w := tell(t, &cfg)
	x := newSeat(t, cfg)
	if _, err := x.s.Listen(local4, 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	x.say(peer4, local4, syn(1000))
	w.take()
	for x.s.Stats().HalfOpenTimedOut == 0 {
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		x.take()
	}
	w.want("63 s", "SYN-RECEIVED -> CLOSED by RFC 9293 3.10.8")
	checkCounters(t, x.s)
	w.left()
}

// A record in TIME-WAIT ends, or comes back, with a rule, as a connection does.
func TestTraceOfRecords(t *testing.T) {
	cfg := config()
	w := tell(t, &cfg)
	cfg.MaxTimeWait = 1
	x := newSeat(t, cfg)
	if _, err := x.s.Listen(local4, 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	stamped := func(seg wire.Segment, tsval uint32) wire.Segment {
		seg.Wnd = 1000
		seg.Options = wire.Options{Set: wire.HasTimestamps, TSVal: tsval}
		return seg
	}
	// The local end of each dials and closes first.
	dialed := func(from, to netip.AddrPort) {
		c, err := x.s.Dial(x.now, from, to, stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o := one(t, "Dial", x.take())
		x.say(to, from, stamped(wire.Segment{Seq: 7000, Ack: o.seg.Seq + 1, Flags: wire.SYN | wire.ACK}, 500))
		c.Close(x.now)
		x.take()
		x.say(to, from, stamped(wire.Segment{Seq: 7001, Ack: o.seg.Seq + 2, Flags: wire.FIN | wire.ACK}, 501))
		c.Release(x.now)
		x.take()
	}
	from := []netip.AddrPort{local4, netip.AddrPortFrom(local4.Addr(), 5001)}
	dialed(from[1], peer4)
	w.take()
	dialed(from[0], peer4)
	if got := w.take(); got[len(got)-1] != "TIME-WAIT -> CLOSED by RFC 9293 3.8.6.1" {
		t.Errorf("a record that makes room: told\n  %s", strings.Join(got, "\n  "))
	}
	x.now = x.now.Add(time.Second)
	one(t, "a SYN", x.say(peer4, local4, stamped(wire.Segment{Seq: 9000, Flags: wire.SYN}, 600)))
	w.want("reopened", "TIME-WAIT -> CLOSED by RFC 6191 2", "CLOSED -> LISTEN by RFC 9293 3.10.1", "LISTEN -> SYN-RECEIVED by RFC 9293 3.10.7.2 third")
	x.say(peer4, local4, stamped(wire.Segment{Seq: 9001, Flags: wire.RST}, 601))
	w.want("by an old duplicate", "SYN-RECEIVED -> LISTEN by RFC 9293 3.10.7.4 second", "CLOSED -> TIME-WAIT by RFC 9293 3.6.1")
	if _, err := x.s.Dial(x.now, local4, peer4, stack.ConnOptions{}); err != nil {
		t.Fatal(err)
	}
	x.take()
	w.want("dialed anew", "TIME-WAIT -> CLOSED by RFC 6191 2", "CLOSED -> SYN-SENT by RFC 9293 3.10.1")
	dialed(from[1], peer4)
	w.take()
	x.s.AbortAll(x.now)
	w.want("AbortAll", "SYN-SENT -> CLOSED by RFC 9293 3.10.5", "TIME-WAIT -> CLOSED by RFC 9293 3.10.5 CLOSING")
	w.left()
}

// A user who keeps a connection in TIME-WAIT while another takes its sockets: its end is told
// when it is released.
func TestTraceOfTheDetached(t *testing.T) {
	e := timeWait(t, true, false)
	var ended []string
	e.trace(func(from, to tcp.State, rule tcp.Rule) {
		ended = append(ended, fmt.Sprintf("%v -> %v by %s", from, to, rule.Clause()))
	})
	e.now = e.now.Add(time.Second)
	one(t, "a SYN", e.tell(wire.Segment{Seq: 5000, Flags: wire.SYN}, 600))
	ended = nil
	e.c.CloseReceive(e.now, tcp.Gone)
	e.c.Release(e.now)
	none(t, "Release", e.take())
	if want := []string{"TIME-WAIT -> CLOSED by RFC 6191 2"}; !slices.Equal(ended, want) {
		t.Errorf("told %v; want %v", ended, want)
	}
	checkCounters(t, e.s)
}
