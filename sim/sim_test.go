package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

const delay = 20 * time.Millisecond

var server = netip.MustParseAddrPort("10.0.0.2:80")

func port(h *sim.Host, prefix string, routes ...string) sim.Port {
	p := sim.Port{Host: h, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}
	for _, r := range routes {
		p.Routes = append(p.Routes, netip.MustParsePrefix(r))
	}
	return p
}

// two makes a World of two hosts, 10.0.0.1 and 10.0.0.2.
func two(t testing.TB, seed uint64, cfg sim.LinkConfig) (w *sim.World, a, b *sim.Host) {
	t.Helper()
	w = sim.New(seed)
	a, b = w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
	link(t, w, cfg, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
	return w, a, b
}

// slow is for tests of very many packets. The race detector, under which they would take minutes and
// which has nothing to find in packages without goroutines, runs without them: -short.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("many packets: not with -short")
	}
}

func link(t testing.TB, w *sim.World, cfg sim.LinkConfig, a, b sim.Port) {
	t.Helper()
	if _, err := w.Link(cfg, a, b); err != nil {
		t.Fatal(err)
	}
}

func listen(t testing.TB, h *sim.Host, at netip.AddrPort, accept func(*sim.Conn)) {
	t.Helper()
	l, err := h.Listen(at, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.OnAccept(accept)
}

func dial(t testing.TB, h *sim.Host, to netip.AddrPort) *sim.Conn {
	t.Helper()
	c, err := h.Dial(netip.AddrPort{}, to, stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trace writes every event of w, a line each.
func trace(w *sim.World) *strings.Builder {
	b := new(strings.Builder)
	w.Watch(func(e *sim.Event) {
		fmt.Fprintf(b, "%v %s %v", e.Time.Sub(sim.Start), e.Host.Name, e.Kind)
		switch e.Kind {
		case sim.State:
			fmt.Fprintf(b, " %v %v", e.From, e.To)
		case sim.Depart, sim.Arrive, sim.Lost:
			fmt.Fprintf(b, " %d %x", e.Packet.ID, e.Packet.Bytes)
		case sim.Call, sim.Note:
			b.WriteString(" " + e.Text)
		case sim.Drop, sim.Retransmit, sim.Timeout, sim.PathMTU, sim.Crash:
		}
		if e.Rule != 0 {
			fmt.Fprintf(b, " %v", e.Rule)
		}
		b.WriteByte('\n')
	})
	return b
}

// transfer has A send text to B, which closes when A has, and returns what B has read.
func transfer(t testing.TB, w *sim.World, a, b *sim.Host, text []byte) *bytes.Buffer {
	got := new(bytes.Buffer)
	w.At(0, func() {
		listen(t, b, server, func(c *sim.Conn) {
			buf := make([]byte, 4096)
			c.OnSignal(func(tcp.Signal) {
				for {
					n, err := c.Receive(buf)
					got.Write(buf[:n])
					if err == tcp.ErrClosing && c.State() == tcp.CloseWait {
						c.Close()
						c.Release()
					}
					if n == 0 {
						return
					}
				}
			})
		})
	})
	w.At(0, func() {
		c := dial(t, a, server)
		rest := text
		c.OnSignal(func(tcp.Signal) {
			if c.State() != tcp.Established {
				return
			}
			for len(rest) > 0 {
				n, err := c.Send(rest)
				if err != nil {
					t.Errorf("Send: %v", err)
				}
				if n == 0 {
					return
				}
				rest = rest[n:]
			}
			c.Close()
			c.Release()
		})
	})
	return got
}

func someText(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 31 >> 3)
	}
	return b
}

// A seed is a life: the same one gives the same octets at the same nanoseconds, another one
// another life. The network loses one packet in ten, and all text arrives.
func TestEqualSeedsLiveEqualLives(t *testing.T) {
	text := someText(200_000)
	live := func(seed uint64) string {
		w, a, b := two(t, seed, sim.LinkConfig{Delay: delay, Loss: 0.1})
		log := trace(w)
		got := transfer(t, w, a, b, text)
		w.Run(tcp.Never)
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("seed %d: B has read %d octets, not those sent", seed, got.Len())
		}
		for _, h := range w.Hosts() {
			if st := h.Stats(); st.Connections+st.TimeWait != 0 {
				t.Errorf("seed %d: %s has %d connections and %d records left", seed, h.Name, st.Connections, st.TimeWait)
			}
		}
		return log.String()
	}
	first := live(7)
	if !strings.Contains(first, " lost ") {
		t.Error("nothing was lost")
	}
	for range 5 {
		if again := live(7); again != first {
			t.Fatal("two lives of one seed differ")
		}
	}
	if live(8) == first {
		t.Error("two seeds give one life")
	}
}

// What a packet meets: it arrives after the delay, in order, and each is counted.
func TestDelay(t *testing.T) {
	for _, d := range []time.Duration{0, 1, delay, time.Hour} {
		w, a, b := two(t, 1, sim.LinkConfig{Delay: d})
		var departed, arrived []int
		w.Watch(func(e *sim.Event) {
			if e.Kind == sim.Depart {
				if e.Packet.Sent != e.Time {
					t.Errorf("packet %d departs at %v and says %v", e.Packet.ID, e.Time, e.Packet.Sent)
				}
				departed = append(departed, e.Packet.ID)
			}
			if e.Kind == sim.Arrive {
				if got := e.Time.Sub(e.Packet.Sent); got != max(d, 1) {
					t.Errorf("delay %v: a packet took %v", d, got)
				}
				arrived = append(arrived, e.Packet.ID)
			}
		})
		transfer(t, w, a, b, someText(5000))
		w.Run(tcp.Never)
		if d != time.Hour && (len(departed) < 8 || len(arrived) != len(departed)) {
			t.Errorf("delay %v: %d packets departed, %d arrived", d, len(departed), len(arrived))
		}
		for i, id := range departed {
			if id != i+1 {
				t.Fatalf("packet %d is the %d-th", id, i+1)
			}
		}
	}
}

// The rule "the Nth packet is lost" loses that one and no other; its sender is told by
// nobody, and sends again after its timeout.
func TestLoseByRule(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay, Rule: func(p *sim.Packet) sim.Fate { return sim.Fate{Lost: p.N == 1} }})
	var lost []string
	var second tcp.Time
	w.Watch(func(e *sim.Event) {
		switch {
		case e.Kind == sim.Lost:
			lost = append(lost, e.Packet.Segment.Flags.String())
			if at := e.Time.Sub(e.Packet.Sent); at != delay/2 {
				t.Errorf("lost %v after its departure; want on the way", at)
			}
		case e.Kind == sim.Depart && e.Packet.N == 2:
			second = e.Time
			if !e.Packet.IsTCP || e.Packet.Segment.Flags != wire.SYN || e.Packet.Flow.RemoteAddrPort() != server {
				t.Errorf("the second packet is %v %v", e.Packet.Flow, &e.Packet.Segment)
			}
		}
	})
	transfer(t, w, a, b, nil)
	w.Run(tcp.Never)
	if len(lost) != 1 || lost[0] != "SYN" {
		t.Errorf("lost: %v; want one SYN", lost)
	}
	// RFC 6298 section 2.1: "the sender SHOULD set RTO <- 1 second".
	if got := second.Sub(sim.Start); got != time.Second {
		t.Errorf("the SYN goes again after %v; want 1 s", got)
	}
}

// A host sends at the instant at which something makes it, and its user is told after.
func TestHostSendsBeforeItsUserIsTold(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	log := trace(w)
	transfer(t, w, a, b, nil)
	w.Run(tcp.Never)
	var kinds []string
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line)
		if f[1] == "B" && strings.Contains("call state depart arrive", f[2]) && f[0] == (3*delay).String() {
			kinds = append(kinds, f[2])
		}
	}
	// At 60 ms A's ACK and FIN arrive: B is ESTABLISHED, and in CLOSE-WAIT; it acknowledges, and then
	// its user closes.
	if got := strings.Join(kinds, " "); got != "arrive state arrive state depart call state depart" {
		t.Errorf("B: %s\n%s", got, log)
	}
}

// 2 MSL pass in virtual time, from the last ACK on.
func TestTimeWaitPasses(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	transfer(t, w, a, b, nil)
	w.RunFor(10 * time.Second)
	if st := a.Stats(); st.TimeWait != 1 {
		t.Fatalf("A has %d records in TIME-WAIT", st.TimeWait)
	}
	w.Run(tcp.Never)
	// SYN, SYN-ACK; then close, FIN, ACK and FIN: four delays until TIME-WAIT begins.
	if got := w.Now().Sub(sim.Start); got != 4*delay+2*tcp.DefaultMSL {
		t.Errorf("the last event is at %v", got)
	}
	if st := a.Stats(); st.TimeWait != 0 {
		t.Error("TIME-WAIT has not ended")
	}
}

// A segment for nobody is refused by the stack, not by a connection: that too is an event
// with its rule, once.
func TestDropsOfTheStackAreSeen(t *testing.T) {
	w, a, _ := two(t, 1, sim.LinkConfig{Delay: delay})
	var drops []string
	w.Watch(func(e *sim.Event) {
		if e.Kind == sim.Drop {
			drops = append(drops, e.Host.Name+" "+e.Rule.Clause()+" "+e.Packet.Segment.Flags.String())
		}
	})
	w.At(0, func() { dial(t, a, server) })
	w.Run(tcp.Never)
	if got := strings.Join(drops, ", "); got != "B RFC 9293 3.10.7.1 SYN" {
		t.Errorf("drops: %s", got)
	}
}

// A crash takes connections and listeners, silently; the addresses stay.
func TestCrash(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	var ca, cb *sim.Conn
	w.At(0, func() { listen(t, b, server, func(c *sim.Conn) { cb = c }) })
	w.At(0, func() { ca = dial(t, a, server) })
	w.RunFor(time.Second)
	packets := 0
	w.Watch(func(e *sim.Event) {
		if e.Kind == sim.Depart {
			packets++
		}
	})
	w.After(0, a.Crash)
	w.RunFor(time.Second)
	if packets != 0 || cb.State() != tcp.Established || ca.State() != tcp.Closed || a.Stats().Connections != 0 {
		t.Errorf("%d packets, A %v with %d connections, B %v", packets, ca.State(), a.Stats().Connections, cb.State())
	}
	if _, err := ca.Send([]byte("x")); !errors.Is(err, tcp.ErrNotExist) {
		t.Errorf("Send: %v", err)
	}
	if err := ca.Close(); !errors.Is(err, tcp.ErrNotExist) {
		t.Errorf("Close: %v", err)
	}
	// RFC 9293 section 3.5.1: what B sends now is answered by a reset.
	w.After(0, func() { cb.Send([]byte("x")) })
	w.RunFor(time.Second)
	if cb.State() != tcp.Closed || !errors.Is(cb.Err(), tcp.ErrReset) {
		t.Errorf("B is %v, %v", cb.State(), cb.Err())
	}
	w.After(0, func() { ca = dial(t, a, server) })
	w.RunFor(time.Second)
	if ca.State() != tcp.Established {
		t.Errorf("after the crash A is %v", ca.State())
	}
}

// A chain of routers: R1 to Rn between A and B.
func chain(t *testing.T, n int) (w *sim.World, a, b *sim.Host, to netip.AddrPort) {
	w = sim.New(1)
	a = w.Host("A", stack.Config{HopLimit: 3})
	last, at := a, "10.1.0.1/24"
	for i := range n {
		r := w.Host(fmt.Sprintf("R%d", i+1), stack.Config{Forward: true})
		link(t, w, sim.LinkConfig{Delay: delay}, port(last, at, "10.0.0.0/8"), port(r, fmt.Sprintf("10.%d.0.2/24", i+1), "10.1.0.0/24"))
		last, at = r, fmt.Sprintf("10.%d.0.1/24", i+2)
	}
	b = w.Host("B", stack.Config{})
	link(t, w, sim.LinkConfig{Delay: delay}, port(last, at, "10.0.0.0/8"), port(b, fmt.Sprintf("10.%d.0.2/24", n+1), "10.1.0.0/24"))
	return w, a, b, netip.MustParseAddrPort(fmt.Sprintf("10.%d.0.2:80", n+1))
}

// A packet that outlives its hops is dropped, and its sender is told: ICMP Time Exceeded
// (RFC 1812 section 5.3.1), a soft error to TCP, which goes on trying (MUST-56).
func TestRouters(t *testing.T) {
	for n := 1; n <= 4; n++ {
		w, a, b, to := chain(t, n)
		w.At(0, func() { listen(t, b, to, func(*sim.Conn) {}) })
		var c *sim.Conn
		w.At(0, func() { c = dial(t, a, to) })
		w.RunFor(time.Minute)
		soft := c.Status().Soft.Reason
		if near := n <= 2; near && (c.State() != tcp.Established || soft != 0) || !near && (c.State() != tcp.SynSent || soft != tcp.TimeExceeded) {
			t.Errorf("%d routers, hop limit 3: A is %v, soft error %v", n, c.State(), soft)
		}
	}
}

func TestLinkRefusesWhatCannotBe(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{})
	other := sim.New(1).Host("C", stack.Config{})
	pa, pb := port(a, "10.9.0.1/24"), port(b, "10.9.0.2/24")
	for name, try := range map[string]func() (*sim.Link, error){
		"to itself":      func() (*sim.Link, error) { return w.Link(sim.LinkConfig{}, pa, port(a, "10.9.0.3/24")) },
		"another World":  func() (*sim.Link, error) { return w.Link(sim.LinkConfig{}, pa, port(other, "10.9.0.2/24")) },
		"negative delay": func() (*sim.Link, error) { return w.Link(sim.LinkConfig{Delay: -1}, pa, pb) },
		"loss of 110 %":  func() (*sim.Link, error) { return w.Link(sim.LinkConfig{Loss: 1.1}, pa, pb) },
		"MTU of 20":      func() (*sim.Link, error) { return w.Link(sim.LinkConfig{MTU: 20}, pa, pb) },
		"taken address":  func() (*sim.Link, error) { return w.Link(sim.LinkConfig{}, port(a, "10.0.0.1/24"), pb) },
	} {
		if _, err := try(); err == nil {
			t.Errorf("a link %s was made", name)
		}
	}
}

// A trace that the owner of a host has set is called as well.
func TestTraceOfTheOwner(t *testing.T) {
	w := sim.New(1)
	states := 0
	trace := &tcp.Trace{Become: func(tcp.Observed, tcp.Time, tcp.State, tcp.State, tcp.Rule) { states++ }}
	a, b := w.Host("A", stack.Config{TCP: tcp.Config{Trace: trace}}), w.Host("B", stack.Config{})
	link(t, w, sim.LinkConfig{}, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
	events := 0
	w.Watch(func(e *sim.Event) {
		if e.Kind == sim.State && e.Host == a {
			events++
		}
	})
	transfer(t, w, a, b, nil)
	w.Run(tcp.Never)
	if states < 5 || states != events {
		t.Errorf("%d calls, %d events", states, events)
	}
}

// At one instant what was planned first happens first, and nothing is late.
func TestOrder(t *testing.T) {
	w := sim.New(1)
	var got []int
	at := []time.Duration{5, 3, 3, 9, 3, 5, 0, 3, 9, 5, 3}
	for i, d := range at {
		w.At(d, func() {
			if now := w.Now().Sub(sim.Start); now != d {
				t.Errorf("planned for %v, called at %v", d, now)
			}
			got = append(got, i)
		})
	}
	w.At(4, func() { w.At(2, func() { got = append(got, 100) }) }) // that is over: at once
	w.Run(sim.Start.Add(5))
	if want := "[6 1 2 4 7 10 100 0 5 9]"; fmt.Sprint(got) != want {
		t.Errorf("got %v; want %s", got, want)
	}
	w.RunFor(3)
	if now := w.Now().Sub(sim.Start); now != 8 || len(got) != 10 {
		t.Errorf("it is %v, and %d calls were made", now, len(got))
	}
	w.Run(tcp.Never)
	if now := w.Now().Sub(sim.Start); now != 9 || len(got) != 12 {
		t.Errorf("it is %v, and %d calls were made", now, len(got))
	}
}

// Each drop is told once, whoever drops: here a connection that another life of its peer would
// begin anew (RFC 9293 section 3.5.1, Figure 9).
func TestDropsOfConnectionsAreToldOnce(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	var drops []string
	w.Watch(func(e *sim.Event) {
		if e.Kind == sim.Drop {
			drops = append(drops, e.Host.Name+" "+e.Packet.Segment.Flags.String())
		}
	})
	dialAgain := func() {
		if _, err := a.Dial(netip.MustParseAddrPort("10.0.0.1:5000"), server, stack.ConnOptions{}); err != nil {
			t.Error(err)
		}
	}
	w.At(0, func() { listen(t, b, server, func(*sim.Conn) {}) })
	w.At(0, dialAgain)
	w.At(time.Second, func() { a.Crash(); dialAgain() })
	w.RunFor(1900 * time.Millisecond)
	if got := strings.Join(drops, ", "); got != "B SYN, A ACK" {
		t.Errorf("drops: %s", got)
	}
}

// A crash leaves nobody who could be told of what went before it.
func TestCrashSilencesUsers(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	var conns []*sim.Conn
	w.At(0, func() {
		listen(t, b, server, func(*sim.Conn) {})
		conns = []*sim.Conn{dial(t, a, server), dial(t, a, server)}
	})
	w.RunFor(time.Second)
	told := 0
	for _, c := range conns {
		c.OnSignal(func(tcp.Signal) { told++; a.Crash() })
	}
	abort := func() {
		for _, c := range conns {
			c.Abort()
		}
	}
	w.After(0, func() { abort(); a.Crash() })
	w.RunFor(time.Second)
	if told != 0 {
		t.Errorf("%d users were told of the life before the crash", told)
	}
	w.After(0, func() { conns = []*sim.Conn{dial(t, a, server), dial(t, a, server)} })
	w.RunFor(time.Second)
	for _, c := range conns {
		c.OnSignal(func(tcp.Signal) { told++; a.Crash() })
	}
	w.After(0, abort)
	w.RunFor(time.Second)
	if told != 1 {
		t.Errorf("%d users were told, the first of whom made the host crash", told)
	}
}

// Whoever is due at an instant keeps its turn there, whatever happens to it until then.
func TestTurnIsKept(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay})
	transfer(t, w, a, b, nil)
	w.RunFor(time.Second)
	end := 4*delay + 2*tcp.DefaultMSL // of TIME-WAIT: see TestTimeWaitPasses
	left := -1
	w.At(end, func() { left = a.Stats().TimeWait })
	w.At(2*time.Second, func() { dial(t, b, netip.MustParseAddrPort("10.0.0.1:9")) }) // A refuses it
	w.Run(tcp.Never)
	if left != 0 {
		t.Errorf("%d records in TIME-WAIT are left; it was their turn", left)
	}
}

// What a network may do to a packet beside losing it: each happens to the one of the rule, and
// the text arrives all the same.
func TestFates(t *testing.T) {
	const n = 5
	text := someText(20_000)
	for name, fate := range map[string]sim.Fate{
		"late":    {Late: 3 * delay},
		"doubled": {Copies: 2},
		"damaged": {Damaged: true},
		"all":     {Late: delay, Copies: 1, Damaged: true},
	} {
		rule := func(p *sim.Packet) (f sim.Fate) {
			if p.N == n {
				f = fate
			}
			return f
		}
		w, a, b := two(t, 1, sim.LinkConfig{Delay: delay, Rule: rule})
		var arrived []time.Duration
		faults, overtaken := 0, false
		w.Watch(func(e *sim.Event) {
			switch {
			case e.Kind == sim.Arrive && e.Packet.N == n:
				arrived = append(arrived, e.Time.Sub(e.Packet.Sent))
			case e.Kind == sim.Arrive && e.Packet.N == n+1:
				overtaken = len(arrived) == 0
			case e.Kind == sim.Drop && e.Fault != 0:
				if e.Fault != wire.FaultTCPChecksum || e.Packet.N != n {
					t.Errorf("%s: packet %d: %v", name, e.Packet.N, e.Fault)
				}
				faults++
			}
		})
		got := transfer(t, w, a, b, text)
		w.Run(tcp.Never)
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("%s: B has read %d octets", name, got.Len())
		}
		var want []time.Duration
		for k := range fate.Copies + 1 {
			want = append(want, delay+fate.Late+time.Duration(k)*delay/2)
		}
		if fmt.Sprint(arrived) != fmt.Sprint(want) {
			t.Errorf("%s: it arrived after %v; want %v", name, arrived, want)
		}
		if fate.Damaged && faults != fate.Copies+1 || !fate.Damaged && faults != 0 {
			t.Errorf("%s: %d faults", name, faults)
		}
		if overtaken != (fate.Late > 0) {
			t.Errorf("%s: overtaken: %v", name, overtaken)
		}
	}
}

// A packet that nobody has sent arrives at once, and is no packet of the link's count.
func TestInject(t *testing.T) {
	w := sim.New(1)
	a, b := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
	l, err := w.Link(sim.LinkConfig{Delay: delay}, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	w.Watch(func(e *sim.Event) {
		if p := e.Packet; p != nil {
			got = append(got, fmt.Sprintf("%v %s %v %d %v", e.Time.Sub(sim.Start), e.Host.Name, e.Kind, p.N, p.Segment.Flags))
		}
	})
	flow := wire.Flow{Local: wire.AddrFrom(netip.MustParseAddr("10.0.0.1")), Remote: wire.AddrFrom(server.Addr()), LocalPort: 5000, RemotePort: 80}
	forged := wire.AppendSegment(nil, &flow, &wire.Segment{Seq: 90, Flags: wire.SYN}, wire.ChecksumNone)
	w.At(delay, func() {
		if err := l.Inject(b, forged); err != nil {
			t.Error(err)
		}
	})
	w.Run(tcp.Never)
	if text := strings.Join(got, ", "); text != "20ms B arrive 0 SYN, 20ms B drop 0 SYN, 20ms B depart 1 RST,ACK, 40ms A arrive 1 RST,ACK, 40ms A drop 1 RST,ACK" {
		t.Error(text)
	}
	if l.Inject(w.Host("C", stack.Config{}), forged) == nil {
		t.Error("a packet was injected for a host that is not there")
	}
}
