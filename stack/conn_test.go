package stack_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// MUST-12: the application "MUST be informed whether it closed normally or was aborted": the
// end of the stream, or a reset.
func TestHowThePeerClosed(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, server := p.connect(l, ap(addrB, 80))
	client.Close(p.now)
	p.run(2 * delay)
	if n, err := server.Receive(p.now, make([]byte, 1)); n != 0 || !errors.Is(err, tcp.ErrClosing) {
		t.Errorf("after a FIN: %d, %v", n, err)
	}
	client, server = p.connect(l, ap(addrB, 80))
	client.Abort(p.now)
	p.run(2 * delay)
	if n, err := server.Receive(p.now, make([]byte, 1)); n != 0 || !errors.Is(err, tcp.ErrReset) {
		t.Errorf("after a reset: %d, %v", n, err)
	}
	if n, err := server.Send(p.now, make([]byte, 1)); n != 0 || !errors.Is(err, tcp.ErrReset) {
		t.Errorf("after a reset: %d, %v", n, err)
	}
}

// What is set on a connection is on its packets and in its timers at once.
func TestSettings(t *testing.T) {
	x := newSeat(t, config())
	o := open(t, x, 1)
	c := o.c
	// MUST-17: without Nagle a second small segment does not wait.
	c.SetNoDelay(x.now, true)
	c.SetHopLimit(9)
	c.SetTrafficClass(0x28)
	for range 2 {
		c.Send(x.now, []byte("small"))
		a := one(t, "a small segment", x.take())
		if a.ip.HopLimit != 9 || a.ip.TC != 0x28 {
			t.Errorf("hop limit %d, traffic class %#x", a.ip.HopLimit, a.ip.TC)
		}
	}
	// MUST-21: the user timeout of one connection.
	c.SetUserTimeout(x.now, 3*time.Second)
	end := x.now.Add(3 * time.Second)
	for c.State() != tcp.Closed {
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		x.take()
	}
	if x.now != end || !errors.Is(c.Err(), tcp.ErrUserTimeout) {
		t.Errorf("it ended %v late: %v", x.now.Sub(end), c.Err())
	}
	// MUST-24, MUST-27: keep-alives, for a quiet connection.
	c = open(t, x, 2).c
	if x.s.Deadline() != tcp.Never {
		t.Errorf("a quiet connection has a deadline: %v", x.s.Deadline())
	}
	c.SetKeepAlive(x.now, true, time.Minute, 0, 0)
	x.now = x.now.Add(time.Minute)
	if x.s.Deadline() > x.now {
		t.Errorf("the keep-alive is due %v late", x.s.Deadline().Sub(x.now))
	}
	x.s.Timeout(x.now)
	if a := one(t, "a minute", x.take()); a.seg.Seq+1 != c.Status().SndNxt {
		t.Errorf("a keep-alive is %v", a.seg.String())
	}
	// MAY-9: the traffic class of what arrived.
	b := segment(mustAP("10.0.0.9:4002"), c.Local(), wire.Segment{Seq: 1001, Ack: c.Status().SndNxt, Flags: wire.ACK, Wnd: 1000, TC: 0xb8})
	x.put(b)
	if c.ReceivedTrafficClass() != 0xb8 || c.Flow().RemotePort != 4002 {
		t.Errorf("traffic class %#x", c.ReceivedTrafficClass())
	}
}

// The options of Dial hold from the SYN on.
func TestDialOptions(t *testing.T) {
	x := newSeat(t, config())
	c, err := x.s.Dial(x.now, netipAP(), peer4, stack.ConnOptions{NoDelay: true, UserTimeout: 5 * time.Second, KeepAlive: true, KeepAliveIdle: time.Minute})
	if err != nil || !c.Status().NoDelay {
		t.Fatalf("%v, NoDelay %v", err, c.Status().NoDelay)
	}
	start := x.now
	for c.State() != tcp.Closed {
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		x.take()
	}
	if d := x.now.Sub(start); d != 5*time.Second {
		t.Errorf("the SYN is given up after %v", d)
	}
}

// AbortAll leaves nothing to wait for.
func TestAbortAll(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var peers []*stack.Conn
	for range 3 {
		_, server := p.connect(l, ap(addrB, 80))
		peers = append(peers, server)
	}
	client, server := p.connect(l, ap(addrB, 80))
	client.Close(p.now)
	p.run(2 * delay)
	server.Close(p.now)
	p.run(2 * delay)
	client.Release(p.now)
	p.flush()
	p.a.AbortAll(p.now)
	p.run(2 * delay)
	if p.a.Deadline() != tcp.Never || p.a.Stats().TimeWait != 0 || p.a.Stats().States[tcp.TimeWait] != 0 {
		t.Errorf("the deadline is %v, %d records", p.a.Deadline(), p.a.Stats().TimeWait)
	}
	for _, c := range peers {
		if !errors.Is(c.Err(), tcp.ErrReset) {
			t.Errorf("a peer is %v, %v", c.State(), c.Err())
		}
	}
}

// A Trace that the owner has set is called besides the stack's counters.
func TestTraceOfTheOwner(t *testing.T) {
	cfg := config()
	var became, dropped int
	cfg.TCP.Trace = &tcp.Trace{
		Become: func(tcp.Observed, tcp.Time, tcp.State, tcp.State, tcp.Rule) { became++ },
		Drop:   func(tcp.Observed, tcp.Time, *wire.Segment, tcp.Rule) { dropped++ },
	}
	x := newSeat(t, cfg)
	o := open(t, x, 1)
	if became != 3 { // LISTEN, SYN-RECEIVED, ESTABLISHED
		t.Errorf("%d changes of state", became)
	}
	x.say(o.peer, o.c.Local(), wire.Segment{Seq: 1001, Flags: wire.PSH})
	if dropped != 1 || x.s.Stats().Rules[tcp.RuleNoAck] != 1 {
		t.Errorf("%d dropped, %d counted", dropped, x.s.Stats().Rules[tcp.RuleNoAck])
	}
}
