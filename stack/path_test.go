package stack_test

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func netipAP() netip.AddrPort { return netip.AddrPort{} }

// opened is an established connection of a seat to a peer that the test plays.
type opened struct {
	c    *stack.Conn
	peer netip.AddrPort
	nxt  uint32 // the peer's SND.NXT
}

func open(t testing.TB, x *seat, n uint16) *opened {
	t.Helper()
	o := &opened{peer: netip.AddrPortFrom(peer4.Addr(), 4000+n), nxt: 1001}
	l, err := x.s.Listen(netip.AddrPortFrom(local4.Addr(), 80+n), 0, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	local := l.Addr()
	first := syn(1000)
	first.Options.Set |= wire.HasWindowScale
	first.Options.WindowScale = 10
	a := one(t, "a SYN", x.say(o.peer, local, first))
	x.say(o.peer, local, wire.Segment{Seq: 1001, Ack: a.seg.Seq + 1, Flags: wire.ACK, Wnd: 65535})
	if o.c = l.Accept(x.now); o.c == nil {
		t.Fatal("no connection")
	}
	l.Close(x.now)
	return o
}

// acknowledge takes what the connection sends and acknowledges all of it, as long as it
// sends.
func (o *opened) acknowledge(x *seat) {
	for len(x.take()) > 0 {
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: segment(o.peer, o.c.Local(), wire.Segment{Seq: seqNum(o.nxt), Ack: o.c.Status().SndNxt, Flags: wire.ACK, Wnd: 65535})})
	}
}

// The established path allocates nothing, in and out, with and without super-segments: text
// one way, its acknowledgments the other.
func TestNoAllocationsOnThePath(t *testing.T) {
	for _, cfg := range []stack.InterfaceConfig{
		{MTU: 1500},
		{MTU: 1500, MaxSuper: 65535, ChecksumOffload: true},
	} {
		for _, v6 := range []bool{false, true} {
			a, b := stack.New(mebibytes()), stack.New(config())
			cfg.Prefixes = prefixes("10.0.0.1/24", "2001:db8::1/64")
			a.AddInterface(cfg)
			cfg.Prefixes = prefixes("10.0.0.2/24", "2001:db8::2/64")
			b.AddInterface(cfg)
			at := ap(addrB, 80)
			if v6 {
				at = ap(addrB6, 80)
			}
			now := tcp.Time(1 << 40)
			var batch stack.Batch
			segments := 0
			pump := func() {
				for moved := true; moved; {
					moved = false
					now = now.Add(1000)
					for i, s := range [2]*stack.Stack{a, b} {
						to := [2]*stack.Stack{b, a}[i]
						for more := true; more; {
							more = s.Output(now, &batch)
							for j := range batch.Len() {
								_, p := batch.Packet(j)
								to.Arrive(now, 1, p)
								moved = true
								segments++
							}
							batch.Reset()
						}
					}
					a.Timeout(now)
					b.Timeout(now)
				}
			}
			l, _ := b.Listen(at, 0, stack.ListenOptions{})
			client, _ := a.Dial(now, netip.AddrPort{}, at, stack.ConnOptions{})
			pump()
			server := l.Accept(now)
			text := make([]byte, 200_000)
			round := func() {
				if n, err := client.Send(now, text); n != len(text) {
					t.Fatalf("Send: %d, %v", n, err)
				}
				pump()
				for got, waits := 0, 0; got < len(text); {
					n, err := server.Receive(now, text)
					if n == 0 { // the rest waits for a delayed acknowledgment
						if waits++; waits > 10 {
							t.Fatalf("Receive: %d of %d, %v", got, len(text), err)
						}
						now = max(now, min(a.Deadline(), b.Deadline()))
						a.Timeout(now)
						b.Timeout(now)
					}
					got += n
					pump()
				}
			}
			for range 10 {
				round()
			}
			segments = 0
			if n := testing.AllocsPerRun(20, round); n != 0 {
				t.Errorf("%+v, IPv6 %v: %v allocations for 200 kB", cfg, v6, n)
			}
			if segments < 20*4 {
				t.Errorf("%d segments: the test tests nothing", segments)
			}
		}
	}
}

// A flood of SYNs that cookies answer, of segments of no connection, and of segments for
// TIME-WAIT allocates nothing either.
func TestNoAllocationsUnderAttack(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: -1})
	e := timeWait(t, true, true)
	for _, c := range []struct {
		what string
		x    *seat
		b    []byte
	}{
		{"a SYN", x, segment(peer4, local4, syn(1))},
		{"a bad cookie", x, segment(peer4, local4, wire.Segment{Seq: 1, Ack: 2, Flags: wire.ACK})},
		{"a segment of no connection", x, segment(peer4, mustAP("10.0.0.1:9"), syn(1))},
		{"a FIN in TIME-WAIT", e.seat, segment(peer4, local4, wire.Segment{Seq: 1001, Ack: seqNum(e.sndNxt), Flags: wire.FIN | wire.ACK})},
		{"a SYN with text", x, segment(peer4, local4, wire.Segment{Seq: 1, Flags: wire.SYN, Text: make([]byte, 1000)})},
		{"a martian", x, segment(local4, local4, syn(1))},
		{"an echo", x, icmp("10.0.0.9", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPEchoRequest, Body: make([]byte, 56)})},
	} {
		p := wire.Packet{Buf: c.b}
		do := func() {
			c.x.now = c.x.now.Add(1 << 20)
			c.x.s.Arrive(c.x.now, 1, &p)
			c.x.s.Output(c.x.now, &c.x.batch)
			c.x.batch.Reset()
		}
		for range 10 {
			do()
		}
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s: %v allocations", c.what, n)
		}
	}
}

// Neither does a connection to oneself, whose packets pass through the stack's own queue.
func TestNoAllocationsToOneself(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(mustAP("127.0.0.1:80"), 0, stack.ListenOptions{})
	c, _ := x.s.Dial(x.now, netipAP(), mustAP("127.0.0.1:80"), stack.ConnOptions{})
	x.take()
	s := l.Accept(x.now)
	text := make([]byte, 50_000)
	round := func() {
		x.now = x.now.Add(1 << 30)
		x.s.Timeout(x.now)
		c.Send(x.now, text)
		for got := 0; got < len(text); {
			for x.s.Output(x.now, &x.batch) {
			}
			n, _ := s.Receive(x.now, text)
			got += n
		}
	}
	for range 20 {
		round()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%d octets were allocated: a queue grows", after.TotalAlloc-before.TotalAlloc)
	}
}

// MUST-58, MUST-59: a batch of segments, then Output: one ACK for all.
func TestOneAckForABatch(t *testing.T) {
	x := newSeat(t, config())
	o := open(t, x, 1)
	text := make([]byte, 1000)
	snd := o.c.Status().SndNxt
	for i := range 10 {
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: segment(o.peer, o.c.Local(), wire.Segment{Seq: seqNum(1001 + uint32(i)*1000), Ack: snd, Flags: wire.ACK, Wnd: 1000, Text: text})})
	}
	if a := one(t, "ten segments", x.take()); a.seg.Ack != 11001 {
		t.Errorf("acknowledged up to %d", a.seg.Ack)
	}
	// A gap, what lies behind it, and what fills it.
	for _, i := range []uint32{11, 12, 10} {
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: segment(o.peer, o.c.Local(), wire.Segment{Seq: seqNum(1001 + i*1000), Ack: snd, Flags: wire.ACK, Wnd: 1000, Text: text})})
	}
	if a := one(t, "a gap that is filled", x.take()); a.seg.Ack != 14001 {
		t.Errorf("acknowledged up to %d", a.seg.Ack)
	}
}

// MUST-10: both ends dial each other.
func TestSimultaneousOpen(t *testing.T) {
	p := newPair(t, config(), config())
	a, err := p.a.Dial(p.now, ap(addrA, 5000), ap(addrB, 6000), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.b.Dial(p.now, ap(addrB, 6000), ap(addrA, 5000), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.run(4 * delay)
	p.want(a, tcp.Established)
	p.want(b, tcp.Established)
	p.transfer(a, b, 100_000)
	p.transfer(b, a, 100_000)
}

// Signals are told when they happen, and to a watcher who comes late at once.
func TestWatcher(t *testing.T) {
	p := newPair(t, config(), config())
	var atListener, early, late notes
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{Watcher: &atListener})
	client, err := p.a.Dial(p.now, netipAP(), ap(addrB, 80), stack.ConnOptions{Watcher: &early})
	if err != nil {
		t.Fatal(err)
	}
	p.run(3 * delay)
	if early.got&tcp.SignalEstablished == 0 || atListener.got != tcp.SignalReadable {
		t.Errorf("the dialer was told %v, the listener %v", early.got, atListener.got)
	}
	server := l.Accept(p.now)
	client.Send(p.now, []byte("hello"))
	p.run(delay)
	server.Watch(&late)
	if want := tcp.SignalEstablished | tcp.SignalReadable; late.got&want != want {
		t.Errorf("who came late was told %v", late.got)
	}
	late.got = 0
	if server.Watch(&late); late.got != 0 {
		t.Errorf("told twice: %v", late.got)
	}
	client.Close(p.now)
	p.run(delay)
	if late.got&tcp.SignalPeerClosed == 0 {
		t.Errorf("after the FIN: %v", late.got)
	}
	server.Watch(nil)
	client.Abort(p.now)
	p.run(delay)
	if late.got&tcp.SignalClosed != 0 {
		t.Error("told after it had gone")
	}
}

// Deadline is exact: Timeout 1 ns before it does nothing, and at it something.
func TestDeadlineIsExact(t *testing.T) {
	x := newSeat(t, config())
	for i := range 5 {
		x.now = x.now.Add(12345678)
		x.s.Dial(x.now, netipAP(), netip.AddrPortFrom(peer4.Addr(), uint16(100+i)), stack.ConnOptions{})
	}
	if n := len(x.take()); n != 5 {
		t.Fatal(n)
	}
	for range 20 {
		d := x.s.Deadline()
		want := tcp.Never
		for _, c := range x.s.Connections() {
			want = min(want, c.Deadline)
		}
		if d != want {
			t.Fatalf("Deadline is %d; the earliest connection's is %d", d, want)
		}
		x.now = d - 1
		x.s.Timeout(x.now)
		none(t, "a Timeout 1 ns early", x.take())
		x.now = d
		x.s.Timeout(x.now)
		if len(x.take()) == 0 {
			t.Fatal("nothing was sent at the deadline")
		}
	}
}

// The counters agree with what there is, through a life.
func TestStates(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var conns []*stack.Conn
	for range 10 {
		c, s := p.connect(l, ap(addrB, 80))
		conns = append(conns, c, s)
		p.agree()
	}
	for i, c := range conns {
		c.Close(p.now)
		if i%3 == 0 {
			c.CloseReceive(p.now, tcp.Gone)
			c.Release(p.now)
		}
		p.run(delay / 2)
		p.agree()
	}
	for _, c := range conns {
		c.Release(p.now)
		p.run(delay)
		p.agree()
	}
	p.run(msl2)
	p.agree()
	for _, s := range p.ends {
		if st := s.Stats(); st.Connections != 0 || st.TimeWait != 0 || st.Buffers != 0 || s.Deadline() != tcp.Never {
			t.Errorf("left over: %+v", st)
		}
	}
}

// agree compares Stats with Connections.
func (p *pair) agree() {
	p.t.Helper()
	for _, s := range p.ends {
		checkCounters(p.t, s)
	}
}

func checkCounters(t testing.TB, s *stack.Stack) {
	t.Helper()
	var states [tcp.TimeWait + 1]int
	st := s.Stats()
	list := s.Connections()
	for _, c := range list {
		if c.State != tcp.Listen || c.Flow.RemotePort != 0 {
			states[c.State]++
		}
	}
	if states != st.States {
		t.Fatalf("Stats counts %v by state; there are %v", st.States, states)
	}
	if len(list) != st.Connections+st.TimeWait+st.Listeners {
		t.Fatalf("%d listed; %d connections, %d records, %d listeners", len(list), st.Connections, st.TimeWait, st.Listeners)
	}
}
