package sim_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// everything is a path on which all happens that can.
func everything() sim.PathConfig {
	return sim.PathConfig{
		Delay: delay, Jitter: time.Millisecond, JitterReorders: true, Rate: 20_000_000,
		Queue: sim.QueueConfig{Kind: sim.CoDel, Limit: 60_000}, Loss: 0.01,
		Burst:   sim.GilbertElliott{ToBad: 0.002, ToGood: 0.3, LossBad: 0.8},
		Reorder: 0.02, ReorderBy: delay, Duplicate: 0.01, Corrupt: 0.01,
		Blackouts: []sim.Blackout{{From: 300 * time.Millisecond, For: 50 * time.Millisecond}, {From: 600 * time.Millisecond, For: 50 * time.Millisecond, Hold: true}},
	}
}

// Whatever the path does, a seed is a life: the same one gives the same octets at the same
// nanoseconds, another one another life. And all text arrives as it was sent.
func TestEqualSeedsOnABadPath(t *testing.T) {
	text := someText(400_000)
	live := func(seed uint64) (string, map[sim.Loss]int) {
		w, a, b := two(t, seed, sim.LinkConfig{Path: everything()})
		log := trace(w)
		lost := map[sim.Loss]int{}
		w.Watch(func(e *sim.Event) {
			if e.Kind == sim.Lost {
				lost[e.Loss]++
			}
		})
		got := transfer(t, w, a, b, text)
		w.Run(tcp.Never)
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("seed %d: B has read %d octets, not those sent", seed, got.Len())
		}
		return log.String(), lost
	}
	first, lost := live(7)
	for range 3 {
		if again, _ := live(7); again != first {
			t.Fatal("two lives of one seed differ")
		}
	}
	if other, _ := live(8); other == first {
		t.Error("two seeds give one life")
	}
	if lost[sim.LossByChance] == 0 || lost[sim.LossInTheDark] == 0 || lost[sim.NotLost] > 0 {
		t.Errorf("lost: %v", lost)
	}
}

// The two directions may differ, and each draws for itself: what comes back does not change what
// is lost on the way there.
func TestDirectionsDiffer(t *testing.T) {
	run := func(back *sim.PathConfig) (there []int) {
		w := sim.New(3)
		a, b := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
		l, err := w.Link(sim.LinkConfig{Delay: delay, Path: sim.PathConfig{Loss: 0.05}, Back: back}, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		w.Watch(func(e *sim.Event) {
			if e.Kind == sim.Depart && e.Host == a {
				n++
				if e.Packet.Fate.Lost {
					there = append(there, n)
				}
			}
			want := delay
			if back != nil && e.Host == a {
				want = back.Delay
			}
			if e.Kind == sim.Arrive && e.Time.Sub(e.Packet.Sent) != want {
				t.Errorf("to %s it took %v; want %v", e.Host.Name, e.Time.Sub(e.Packet.Sent), want)
			}
		})
		transfer(t, w, a, b, someText(200_000))
		w.Run(tcp.Never)
		if l.Stats(a).In < 100 || l.Stats(b).In < 50 || l.Stats(a).Lost[sim.LossByChance] != len(there) {
			t.Errorf("%d packets went, %d came, %d were lost", l.Stats(a).In, l.Stats(b).In, len(there))
		}
		if (l.Stats(b).Lost[sim.LossByChance] > 0) != (back == nil) {
			t.Errorf("%d were lost on the way back", l.Stats(b).Lost[sim.LossByChance])
		}
		return there
	}
	x, y := run(nil), run(&sim.PathConfig{Delay: 3 * delay})
	for i := range min(len(x), len(y), 5) {
		if x[i] != y[i] {
			t.Fatalf("lost on the way there: %v, and with another way back %v", x, y)
		}
	}
	if min(len(x), len(y)) < 5 {
		t.Errorf("lost on the way there: %v and %v", x, y)
	}
}

// A rule adds to what chance does, and takes nothing from it.
func TestRuleAndChance(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{Delay: delay, Loss: 0.2, Rule: func(p *sim.Packet) sim.Fate {
		return sim.Fate{Late: delay, Lost: p.N%10 == 0}
	}})
	lost, rule, n := 0, 0, 0
	w.Watch(func(e *sim.Event) {
		if e.Kind != sim.Depart {
			return
		}
		f := e.Packet.Fate
		switch n++; {
		case f.Late != delay:
			t.Errorf("packet %d is late by %v", e.Packet.N, f.Late)
		case e.Packet.N%10 == 0 && !f.Lost:
			t.Errorf("packet %d is not lost", e.Packet.N)
		case e.Packet.N%10 == 0:
			rule++
		case f.Lost:
			lost++
		}
	})
	transfer(t, w, a, b, someText(200_000))
	w.Run(tcp.Never)
	within(t, "lost by chance", lost, n-rule, 0.2)
	if rule == 0 || n < 40 {
		t.Errorf("%d packets, %d of them lost by the rule", n, rule)
	}
}

// Hosts may make super-segments: on the link there are packets of the MTU, whole segments with
// sums that fit, and the text is the same.
func TestSuperSegmentsAreCut(t *testing.T) {
	text := someText(500_000)
	for _, super := range []int{0, 30_000, 65_535} {
		w, a, b := two(t, 1, sim.LinkConfig{MaxSuper: super, Path: sim.PathConfig{Delay: delay, Rate: 100_000_000}})
		long, together := 0, 0
		var last tcp.Time
		w.Watch(func(e *sim.Event) {
			switch {
			case e.Kind == sim.Depart && len(e.Packet.Bytes) > 1500:
				long++
			case e.Kind == sim.Arrive && e.Host == b && len(e.Packet.Bytes) == 1500:
				if e.Time == last {
					together++
				}
				last = e.Time
			case e.Kind == sim.Drop:
				t.Errorf("dropped: %v %v", e.Rule, e.Fault)
			}
		})
		got := transfer(t, w, a, b, text)
		w.RunFor(10 * time.Second)
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("super-segments up to %d: B has read %d octets", super, got.Len())
		}
		if long > 0 || together > 0 {
			t.Errorf("super-segments up to %d: %d packets are longer than the MTU, %d arrive with another", super, long, together)
		}
		if st := a.Stats(); super > 0 && st.PacketsOut*2 > uint64(len(text)/1448) {
			t.Errorf("super-segments up to %d: A has made %d packets", super, st.PacketsOut)
		}
	}
}

// narrow makes a World of A, two routers R and S, and B, with a link between the routers that is
// another than the rest.
func narrow(t testing.TB, middle sim.LinkConfig) (w *sim.World, a, r, b *sim.Host, first *sim.Link) {
	t.Helper()
	w = sim.New(1)
	ends := stack.Config{TCP: tcp.Config{ReceiveBuffer: 1 << 20}} // for queues here have no end
	a, b = w.Host("A", ends), w.Host("B", ends)
	r, s := w.Host("R", stack.Config{Forward: true}), w.Host("S", stack.Config{Forward: true})
	first, err := w.Link(sim.LinkConfig{Delay: delay}, port(a, "10.1.0.1/24", "10.0.0.0/8"), port(r, "10.1.0.2/24"))
	if err != nil {
		t.Fatal(err)
	}
	link(t, w, middle, port(r, "10.2.0.1/24", "10.0.0.0/8"), port(s, "10.2.0.2/24", "10.1.0.0/24"))
	link(t, w, sim.LinkConfig{Delay: delay}, port(s, "10.0.0.1/24"), port(b, "10.0.0.2/24", "10.0.0.0/8"))
	return w, a, r, b, first
}

// A router before a link that takes less tells the sender, who sends less at a time (RFC 1191); a
// path that takes less and tells nobody is a black hole, which the sender finds (RFC 4821).
func TestNarrowPaths(t *testing.T) {
	text := someText(100_000)
	run := func(middle sim.LinkConfig) (got int, tooBig, lost int) {
		w, a, r, b, _ := narrow(t, middle)
		w.Watch(func(e *sim.Event) {
			if e.Kind == sim.Lost && e.Loss == sim.LossTooLong {
				lost++
			}
		})
		all := transfer(t, w, a, b, text)
		w.RunFor(20 * time.Second)
		return all.Len(), int(r.Stats().TooBig), lost
	}
	if got, big, lost := run(sim.LinkConfig{Delay: delay, MTU: 1300}); got != len(text) || big == 0 || lost != 0 {
		t.Errorf("a router that tells: %d octets arrive, %d were too big, %d lost", got, big, lost)
	}
	if got, big, lost := run(sim.LinkConfig{Delay: delay, Path: sim.PathConfig{MTU: 1300}}); got != len(text) || big != 0 || lost == 0 {
		t.Errorf("a black hole: %d octets arrive, %d were too big, %d lost", got, big, lost)
	}
	if got, _, lost := run(sim.LinkConfig{Delay: delay, Path: sim.PathConfig{MTU: 1500}}); got != len(text) || lost != 0 {
		t.Errorf("a path as wide as its links: %d octets arrive, %d lost", got, lost)
	}
}

// A mark that one link makes passes the routers behind it, and no checksum is hurt.
func TestMarksPassRouters(t *testing.T) {
	w, _, r, b, first := narrow(t, sim.LinkConfig{Delay: delay, Rule: func(*sim.Packet) sim.Fate { return sim.Fate{Marked: true} }})
	var marked []bool
	w.Watch(func(e *sim.Event) {
		if e.Kind == sim.Arrive && e.Host == b {
			marked = append(marked, e.Packet.Segment.TC&3 == 3)
		}
		if e.Kind == sim.Drop && e.Fault != 0 {
			t.Errorf("%s drops: %v", e.Host.Name, e.Fault)
		}
	})
	for _, ecn := range []uint8{0, 1, 2} {
		flow := wire.Flow{Local: wire.AddrFrom(netip.MustParseAddr("10.1.0.1")), Remote: wire.AddrFrom(server.Addr()), LocalPort: 5000, RemotePort: 80}
		packet := wire.AppendSegment(nil, &flow, &wire.Segment{Seq: 1, Flags: wire.RST, TC: ecn, HopLimit: 64}, wire.ChecksumNone)
		w.At(time.Duration(ecn), func() { first.Inject(r, packet) })
	}
	w.Run(tcp.Never)
	if got := fmt.Sprint(marked); got != "[false true true]" {
		t.Errorf("marked: %s", got)
	}
}
