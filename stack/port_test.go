package stack_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func dialed(t *testing.T, x *seat, to string) uint16 {
	t.Helper()
	c, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP(to), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Local().Port()
}

// RFC 6056 section 3.3.4: ports to one destination follow each other without repeating; to
// another they begin elsewhere, and what goes to one does not move the other (CVE-2022-1012).
func TestPortsByDestination(t *testing.T) {
	x := newSeat(t, config())
	seen := map[uint16]bool{}
	last := dialed(t, x, "10.0.0.9:80")
	for range 2000 {
		port := dialed(t, x, "10.0.0.9:80")
		if port < stack.DefaultPortFirst || seen[port] {
			t.Fatalf("port %d", port)
		}
		seen[port] = true
		if d := port - last; d > 8 && port > last { // but where the range begins anew
			t.Errorf("from port %d to %d", last, port)
		}
		last = port
	}
	// A port that is free again is not the next one.
	y := newSeat(t, config())
	seen = map[uint16]bool{}
	for range 1000 {
		c, err := y.s.Dial(y.now, netip.AddrPort{}, mustAP("10.0.0.9:80"), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Local().Port()] {
			t.Fatalf("port %d again", c.Local().Port())
		}
		seen[c.Local().Port()] = true
		c.Release(y.now)
		y.take()
	}
	// Two stacks alike: in one other destinations are dialed in between.
	a, b := newSeat(t, config()), newSeat(t, config())
	for range 50 {
		dialed(t, b, "10.0.0.7:80")
	}
	pa, pb := dialed(t, a, "10.0.0.9:80"), dialed(t, b, "10.0.0.9:80")
	if pa != pb {
		t.Errorf("50 connections elsewhere move the port from %d to %d", pa, pb)
	}
	cfg := config()
	cfg.Secret[5]++
	if pc := dialed(t, newSeat(t, cfg), "10.0.0.9:80"); pc == pa {
		t.Errorf("another secret, and the same port %d", pc)
	}
}

// Ports of first connections to many destinations are spread evenly: chi-square over 16
// parts of the range, 15 degrees of freedom, p = 0.0001.
func TestPortsAreSpread(t *testing.T) {
	x := newSeat(t, config())
	var count [16]int
	const n = 16 * 200
	for i := range n {
		port := dialed(t, x, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 9}), uint16(i+1)).String())
		count[(int(port)-stack.DefaultPortFirst)*16/(stack.DefaultPortLast-stack.DefaultPortFirst+1)]++
	}
	chi := 0.0
	for _, k := range count {
		chi += float64((k-200)*(k-200)) / 200
	}
	if chi > 44.3 {
		t.Errorf("chi-square is %.1f: %v", chi, count)
	}
}

func TestNoPorts(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50009
	x := newSeat(t, cfg)
	if _, err := x.s.Listen(mustAP("[::]:50003"), 0, stack.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for range 9 {
		seen[dialed(t, x, "10.0.0.9:80")] = true
	}
	if len(seen) != 9 || seen[50003] {
		t.Errorf("ports %v", seen)
	}
	if _, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP("10.0.0.9:80"), stack.ConnOptions{}); !errors.Is(err, stack.ErrNoPorts) {
		t.Errorf("the tenth: %v", err)
	}
	dialed(t, x, "10.0.0.9:81") // another destination has all ports
	for range 9 {
		if _, err := x.s.Listen(mustAP("0.0.0.0:0"), 0, stack.ListenOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.s.Listen(mustAP("0.0.0.0:0"), 0, stack.ListenOptions{}); !errors.Is(err, stack.ErrNoPorts) {
		t.Errorf("the eleventh listener: %v", err)
	}
}

// ATTACKS: port exhaustion. 60000 connections a second to one destination, each closed by
// this end, find ports among 32768, all of which are in TIME-WAIT: RFC 6191, RFC 7323
// appendix B.2.
func TestConnectsPerSecond(t *testing.T) {
	const perSecond = 60_000
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	pump := func() {
		for moved := true; moved; {
			moved = false
			p.now = p.now.Add(100 * time.Nanosecond)
			for i, s := range p.ends {
				for more := true; more; {
					more = s.Output(p.now, &p.batch)
					for j := range p.batch.Len() {
						_, pkt := p.batch.Packet(j)
						p.ends[1-i].Arrive(p.now, 1, pkt)
						moved = true
					}
					p.batch.Reset()
				}
			}
		}
	}
	begin := p.now
	seen := map[uint16]int{}
	for i := range perSecond * 3 / 2 {
		p.now = max(p.now, begin.Add(time.Duration(i)*time.Second/perSecond))
		c, err := p.a.Dial(p.now, netip.AddrPort{}, ap(addrB, 80), stack.ConnOptions{})
		if err != nil {
			t.Fatalf("connection %d, after %v: %v", i, p.now.Sub(begin), err)
		}
		pump()
		s := l.Accept(p.now)
		if s == nil {
			t.Fatalf("connection %d, from port %d for the %d. time, is %v", i, c.Local().Port(), seen[c.Local().Port()]+1, c.State())
		}
		seen[c.Local().Port()]++
		c.Close(p.now)
		pump()
		s.Close(p.now)
		s.Release(p.now)
		pump()
		p.want(c, tcp.TimeWait)
		c.Release(p.now)
		pump()
		for _, s := range p.ends {
			s.Timeout(p.now)
		}
	}
	if lasts := p.now.Sub(begin); lasts > 1600*time.Millisecond {
		t.Errorf("they took %v", lasts)
	}
	if len(seen) < 32000 {
		t.Errorf("%d ports are used: those that were never used come first", len(seen))
	}
}

// A port that nobody uses is preferred to one in TIME-WAIT, and of those the oldest is taken.
func TestPortsInTimeWaitComeLast(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50009
	p := newPair(t, cfg, config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	var order []uint16
	use := func() uint16 {
		c, s := p.connect(l, ap(addrB, 80))
		c.Close(p.now)
		p.run(3 * delay)
		s.Close(p.now)
		s.Release(p.now)
		p.run(3 * delay)
		p.want(c, tcp.TimeWait)
		c.Release(p.now)
		p.flush()
		return c.Local().Port()
	}
	for range 10 {
		port := use()
		if slices.Contains(order, port) {
			t.Fatalf("port %d is used again after %v", port, order)
		}
		order = append(order, port)
	}
	for i := range 10 {
		if port := use(); port != order[i] {
			t.Errorf("port %d is used again; the oldest is %d", port, order[i])
		}
	}
}

// Where no port is left, or one is from time to time, nobody looks at all ports each time.
func TestNoPortsIsCheap(t *testing.T) {
	x := newSeat(t, config())
	to := mustAP("10.0.0.9:80")
	var conns []*stack.Conn
	for {
		c, err := x.s.Dial(x.now, netip.AddrPort{}, to, stack.ConnOptions{})
		if err != nil {
			break
		}
		conns = append(conns, c)
	}
	if len(conns) != 32768 {
		t.Fatalf("%d connections", len(conns))
	}
	x.take()
	before := x.s.Stats().PortsTried
	for i := range 100_000 {
		if _, err := x.s.Dial(x.now, netip.AddrPort{}, to, stack.ConnOptions{}); !errors.Is(err, stack.ErrNoPorts) {
			t.Fatalf("there is no port: %v", err)
		}
		if i%10 == 0 { // one comes and goes
			j := i * 7 % len(conns)
			port := conns[j].Local().Port()
			conns[j].Abort(x.now)
			conns[j].Release(x.now)
			x.take()
			c, err := x.s.Dial(x.now, netip.AddrPort{}, to, stack.ConnOptions{})
			if err != nil || c.Local().Port() != port {
				t.Fatalf("the one port that is free is not found: %v", err)
			}
			conns[j] = c
			x.take()
		}
	}
	if n := x.s.Stats().PortsTried - before; n > 200_000 { // to look at all each time would be 3 billion
		t.Errorf("%d ports were looked at for 110000 calls", n)
	}
	dialed(t, x, "10.0.0.9:81") // another destination has all
	for _, c := range conns {
		c.Abort(x.now)
		c.Release(x.now)
	}
	x.take()
	for i := range 32768 {
		if _, err := x.s.Dial(x.now, netip.AddrPort{}, to, stack.ConnOptions{}); err != nil {
			t.Fatalf("connection %d, when all are free again: %v", i, err)
		}
	}
}

// Nobody is told that there is no port while there is one: whatever is opened, closed, bound
// and listened for, Dial gives a port exactly if the obvious search finds one.
func TestPortsAgainstTheObvious(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50199 // more than three ports are many
	r := rand.New(rand.NewPCG(1, 2))
	x := newSeat(t, cfg)
	to := mustAP("10.0.0.9:80")
	live := map[uint16]*stack.Conn{}
	var listeners []*stack.Listener
	listens := map[uint16]bool{}
	failed, found := 0, 0
	for range 20_000 {
		switch k := r.IntN(20); {
		case k < 11:
			free := 0
			for port := cfg.PortFirst; port <= cfg.PortLast; port++ {
				if live[port] == nil && !listens[port] {
					free++
				}
			}
			c, err := x.s.Dial(x.now, netip.AddrPort{}, to, stack.ConnOptions{})
			if (err == nil) != (free > 0) {
				t.Fatalf("%d ports are free, and Dial gives %v", free, err)
			}
			if err != nil {
				failed++
				continue
			}
			found++
			if port := c.Local().Port(); live[port] != nil || listens[port] {
				t.Fatalf("port %d is in use", port)
			}
			live[c.Local().Port()] = c
		case k < 18:
			port := cfg.PortFirst + uint16(r.IntN(200))
			if c := live[port]; c != nil {
				c.Abort(x.now)
				c.Release(x.now)
				delete(live, port)
			} else if c, err := x.s.Dial(x.now, netip.AddrPortFrom(netip.Addr{}, port), to, stack.ConnOptions{}); err == nil {
				live[port] = c
			}
		case k == 18 && len(listeners) < 20:
			if l, err := x.s.Listen(netip.AddrPortFrom(local4.Addr(), cfg.PortFirst+uint16(r.IntN(200))), 0, stack.ListenOptions{}); err == nil {
				listeners = append(listeners, l)
				listens[l.Addr().Port()] = true
			}
		case k == 19 && len(listeners) > 0:
			l := listeners[0]
			listeners = listeners[1:]
			l.Close(x.now)
			delete(listens, l.Addr().Port())
		}
		x.take()
	}
	if failed < 100 || found < 100 {
		t.Errorf("%d failed, %d found: the test tests nothing", failed, found)
	}
}

// What the peer's clock says decides whether its SYN,ACK is taken soon after the old
// connection: until it has ticked, PAWS would not know old segments from new ones.
func TestStaleSynAck(t *testing.T) {
	for _, c := range []struct {
		what  string
		after time.Duration
		stamp uint32 // 0: none
		want  bool
	}{
		{"the old timestamp", 5 * time.Millisecond, 700, false},
		{"one before it", 5 * time.Millisecond, 699, false},
		{"none", 5 * time.Millisecond, 0, false},
		{"a newer one", 5 * time.Millisecond, 701, true},
		{"the old one, when every clock has ticked", time.Second, 700, true},
		{"none, when every clock has ticked", time.Second, 0, true},
	} {
		x := newSeat(t, config())
		stamp := wire.Options{Set: wire.HasTimestamps, TSVal: 700}
		dial := func() *stack.Conn {
			conn, err := x.s.Dial(x.now, netip.AddrPortFrom(netip.Addr{}, 5000), peer4, stack.ConnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		old := dial()
		o := one(t, "Dial", x.take())
		x.say(peer4, old.Local(), wire.Segment{Seq: 100, Ack: o.seg.Seq + 1, Flags: wire.SYN | wire.ACK, Wnd: 1000, Options: stamp})
		old.Close(x.now)
		x.take()
		x.say(peer4, old.Local(), wire.Segment{Seq: 101, Ack: o.seg.Seq + 2, Flags: wire.FIN | wire.ACK, Wnd: 1000, Options: stamp})
		if old.State() != tcp.TimeWait {
			t.Fatalf("it is %v", old.State())
		}
		old.Release(x.now)
		x.take()
		x.now = x.now.Add(c.after)
		conn := dial()
		o = one(t, "Dial again", x.take())
		seg := wire.Segment{Seq: 9000, Ack: o.seg.Seq + 1, Flags: wire.SYN | wire.ACK, Wnd: 1000}
		if c.stamp != 0 {
			seg.Options = wire.Options{Set: wire.HasTimestamps, TSVal: c.stamp}
		}
		got := x.say(peer4, conn.Local(), seg)
		if taken := conn.State() == tcp.Established; taken != c.want || len(got) > 0 != c.want {
			t.Errorf("%s: the connection is %v, %d answers", c.what, conn.State(), len(got))
		}
		if c.want {
			continue
		}
		if n := x.s.Stats().Rules[tcp.RulePAWS]; n != 1 {
			t.Errorf("%s: %d dropped by PAWS", c.what, n)
		}
		x.now = x.now.Add(time.Second) // all say it again
		x.s.Timeout(x.now)
		one(t, "a second later", x.take())
		if x.say(peer4, conn.Local(), seg); conn.State() != tcp.Established {
			t.Errorf("%s: a second later the connection is %v", c.what, conn.State())
		}
	}
}
