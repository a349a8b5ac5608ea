package sim_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// hole is a transfer from A to B over a path of 20 ms and 5 Mbit/s that may swallow what is too big.
type hole struct {
	t     testing.TB
	w     *sim.World
	a, b  *sim.Host
	bulk  *sim.Bulk
	steps []string         // of the search, with their times
	rules map[tcp.Rule]int // how often each
}

type holeConfig struct {
	v6          bool
	a           tcp.Config
	there, back sim.PathConfig
	super       int
	mtu         func(*sim.Packet) int // what the path swallows beyond, 0: nothing
	octets      int64                 // of the transfer, 0: endless
}

// swallow is a path that swallows what A sends and is longer than mtu, from a time on.
func swallow(mtu int, from time.Duration) func(*sim.Packet) int {
	return func(p *sim.Packet) int {
		if p.From.Name == "A" && p.Sent.Sub(sim.Start) >= from {
			return mtu
		}
		return 0
	}
}

func newHole(t testing.TB, cfg holeConfig) *hole {
	t.Helper()
	h := &hole{t: t, w: sim.New(1), rules: map[tcp.Rule]int{}}
	for _, p := range []*sim.PathConfig{&cfg.there, &cfg.back} {
		p.Delay, p.Rate, p.Queue.Limit = 10*time.Millisecond, 5_000_000, 40_000
	}
	h.a, h.b = h.w.Host("A", stack.Config{TCP: cfg.a}), h.w.Host("B", stack.Config{})
	at, p1, p2 := server, "10.0.0.1/24", "10.0.0.2/24"
	if cfg.v6 {
		at, p1, p2 = netip.MustParseAddrPort("[2001:db8::2]:80"), "2001:db8::1/64", "2001:db8::2/64"
	}
	link(t, h.w, sim.LinkConfig{Path: cfg.there, Back: &cfg.back, MaxSuper: cfg.super, Rule: func(p *sim.Packet) sim.Fate {
		if cfg.mtu == nil {
			return sim.Fate{}
		}
		most := cfg.mtu(p)
		return sim.Fate{Lost: most > 0 && len(p.Bytes) > most}
	}}, port(h.a, p1), port(h.b, p2))
	h.w.Watch(func(e *sim.Event) {
		if e.Kind == sim.PathMTU {
			h.steps = append(h.steps, fmt.Sprintf("%.3f s: %d octets: %v", e.Time.Sub(sim.Start).Seconds(), e.Len, e.Rule))
			h.rules[e.Rule]++
		}
	})
	var err error
	if h.bulk, err = h.w.NewBulk(sim.BulkConfig{From: h.a, To: h.b, At: at, Octets: cfg.octets}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hole) status() tcp.Status { return h.bulk.Conn().Status() }

// must fails the test with what the search has done.
func (h *hole) must(holds bool, format string, args ...any) {
	h.t.Helper()
	if !holds {
		h.t.Fatalf("not so: %s\n%s", fmt.Sprintf(format, args...), strings.Join(h.steps, "\n"))
	}
}

// within says that the path MTU is at most so many parts in a hundred below what the path carries,
// and not above it.
func (h *hole) within(mtu, percent int) {
	h.t.Helper()
	got := h.status().PathMTU
	h.must(got <= mtu && got*100 >= mtu*(100-percent), "what is sent is within %d %% of %d octets: %d", percent, mtu, got)
}

// stalled says that for no longer than this nothing new was acknowledged.
func (h *hole) stalled(most time.Duration) {
	h.t.Helper()
	r := h.bulk.Result()
	h.must(r.Longest.Lit <= most, "the transfer has gone on within %v: %v", most, r.Longest.Lit)
	sound(h.t, h.bulk)
}

// A path swallows what is longer than it carries, and says nothing: the transfer goes on within 3 s
// and finds a size within a tenth of the path's soon, within a hundredth later. RFC 4821 section 7.7.
func TestPathMTUOfABlackHole(t *testing.T) {
	slow(t)
	for _, c := range []struct {
		mtu, soon int // percent
		v6        bool
	}{
		{1300, 10, false}, {1400, 10, false}, {1280, 10, false}, {1000, 50, false}, {600, 10, false},
		{1300, 10, true}, {1400, 10, true}, {1280, 0, true},
	} {
		h := newHole(t, holeConfig{v6: c.v6, mtu: swallow(c.mtu, 0)})
		h.w.RunFor(3 * time.Second)
		h.must(h.bulk.Result().Read > 10_000, "MTU %d: after 3 s octets arrive: %d", c.mtu, h.bulk.Result().Read)
		h.within(c.mtu, c.soon)
		h.w.RunFor(27 * time.Second)
		h.stalled(3 * time.Second)
		h.within(c.mtu, 4)
		if c.mtu > 600 {
			h.within(c.mtu, 1)
		}
		want := tcp.PathMTUSearchComplete
		if c.mtu < 1200 {
			want = tcp.PathMTUError
		}
		st := h.status()
		h.must(st.MTUState == want && st.MTUProbesLost > 0 && st.MTUProbes >= st.MTUProbesLost, "MTU %d: the search is %v: %d probes, %d lost", c.mtu, st.MTUState, st.MTUProbes, st.MTUProbesLost)
		h.must(h.bulk.Result().Timeouts == 3, "three timeouts, and none for a probe: %d", h.bulk.Result().Timeouts)
	}
}

// So it does where the hole opens in the middle of the transfer, without SACK, without timestamps, with
// super-segments, with Reno, and in the midst of losses.
func TestPathMTUOfABlackHoleLater(t *testing.T) {
	slow(t)
	for name, c := range map[string]holeConfig{
		"plain":           {},
		"without SACK":    {a: tcp.Config{NoSACK: true}},
		"no timestamps":   {a: tcp.Config{NoTimestamps: true}},
		"neither":         {a: tcp.Config{NoSACK: true, NoTimestamps: true}},
		"super-segments":  {super: 65535},
		"Reno":            {a: tcp.Config{Congestion: tcp.NewReno}},
		"paced":           {a: tcp.Config{Pacing: true}},
		"1 % are lost":    {there: sim.PathConfig{Loss: 0.01}, back: sim.PathConfig{Loss: 0.01}},
		"probing always":  {a: tcp.Config{MTUProbing: tcp.MTUProbeAlways}},
		"later ones late": {there: sim.PathConfig{Reorder: 0.05, ReorderBy: 5 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			c.mtu = swallow(1300, 4*time.Second)
			h := newHole(t, c)
			h.w.RunFor(4 * time.Second)
			h.must(h.status().PathMTU == 1500, "before, packets have the link's MTU")
			read := h.bulk.Result().Read
			h.w.RunFor(3 * time.Second)
			h.must(h.bulk.Result().Read > read+10_000, "3 s after the hole has opened octets arrive")
			h.w.RunFor(30 * time.Second)
			h.within(1300, 2)
			h.stalled(3 * time.Second)
		})
	}
}

// A transfer the other way is not hurt: the hole is in one direction, and what comes back is whole.
func TestBlackHoleInOneDirection(t *testing.T) {
	h := newHole(t, holeConfig{mtu: swallow(1300, 0)})
	back, err := h.w.NewBulk(sim.BulkConfig{From: h.b, To: h.a, At: netip.MustParseAddrPort("10.0.0.1:80")})
	if err != nil {
		t.Fatal(err)
	}
	h.w.RunFor(20 * time.Second)
	h.within(1300, 2)
	h.stalled(3 * time.Second)
	st := back.Conn().Status()
	h.must(st.PathMTU == 1500 && st.MTUState == tcp.PathMTUDisabled, "B sends packets of 1500 octets: %d", st.PathMTU)
	sound(t, back)
}

// Both ends are in the same hole, and both get out of it, each by itself.
func TestBlackHoleInBothDirections(t *testing.T) {
	h := newHole(t, holeConfig{mtu: func(p *sim.Packet) int { return map[string]int{"A": 1300, "B": 1450}[p.From.Name] }})
	back, err := h.w.NewBulk(sim.BulkConfig{From: h.b, To: h.a, At: netip.MustParseAddrPort("10.0.0.1:80")})
	if err != nil {
		t.Fatal(err)
	}
	h.w.RunFor(30 * time.Second)
	h.within(1300, 2)
	h.stalled(3 * time.Second)
	st, r := back.Conn().Status(), back.Result()
	h.must(st.PathMTU <= 1450 && st.PathMTU >= 1440 && r.Longest.Lit <= 3*time.Second, "B sends packets of %d octets, and has stalled for %v", st.PathMTU, r.Longest.Lit)
	sound(t, back)
}

// A few segments and no more, as the answer of a server: there is nothing to probe with, and they
// arrive within 3 s all the same.
func TestShortTransferThroughABlackHole(t *testing.T) {
	for _, octets := range []int64{1448, 1449, 4000, 14_000} {
		h := newHole(t, holeConfig{mtu: swallow(600, 0), octets: octets})
		h.w.RunFor(3 * time.Second)
		h.must(h.bulk.Done(), "%d octets have arrived: %d", octets, h.bulk.Result().Read)
		sound(t, h.bulk)
	}
}

// Where a router tells and another place behind it is silent both sizes are found, the first at once.
func TestBlackHoleBehindARouterThatTells(t *testing.T) {
	w := sim.New(1)
	a, r := w.Host("A", stack.Config{}), w.Host("R", stack.Config{Forward: true})
	s, b := w.Host("S", stack.Config{Forward: true}), w.Host("B", stack.Config{})
	link(t, w, sim.LinkConfig{Delay: 3 * time.Millisecond}, port(a, "10.0.1.1/24", "10.0.0.0/8"), port(r, "10.0.1.2/24"))
	link(t, w, sim.LinkConfig{MTU: 1450, Path: sim.PathConfig{Delay: 4 * time.Millisecond, MTU: 1300, Rate: 5_000_000, Queue: sim.QueueConfig{Limit: 40_000}}},
		port(r, "10.0.2.1/24", "10.0.3.0/24"), port(s, "10.0.2.2/24", "10.0.1.0/24"))
	link(t, w, sim.LinkConfig{Delay: 3 * time.Millisecond}, port(s, "10.0.3.1/24"), port(b, "10.0.3.2/24", "10.0.0.0/8"))
	bulk, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: netip.MustParseAddrPort("10.0.3.2:80")})
	if err != nil {
		t.Fatal(err)
	}
	w.RunFor(100 * time.Millisecond)
	if st := bulk.Conn().Status(); st.PathMTU != 1450 || st.MTUState != tcp.PathMTUSearchComplete {
		t.Fatalf("the router's word counts: path MTU %d, %v", st.PathMTU, st.MTUState)
	}
	w.RunFor(30 * time.Second)
	if st := bulk.Conn().Status(); st.PathMTU > 1300 || st.PathMTU < 1287 {
		t.Errorf("the hole behind it is found: %d", st.PathMTU)
	}
	sound(t, bulk)
}

// On a path that carries the link's MTU nothing is probed: losses, however many, are no black hole,
// nor is darkness, long or short, in both directions or in one; or what it has cost is over at once.
func TestNoBlackHole(t *testing.T) {
	slow(t)
	for _, loss := range []float64{0.01, 0.03, 0.05} {
		h := newHole(t, holeConfig{there: sim.PathConfig{Loss: loss}, back: sim.PathConfig{Loss: loss}})
		for range 18 {
			h.w.RunFor(10 * time.Second)
			h.must(h.status().PathMTU == 1500, "losses of %v do not lower the MTU", loss)
		}
		h.must(h.status().MTUProbes == 0, "and nothing is probed")
	}
	suspected := 0
	for _, way := range []string{"both", "there", "back"} {
		for _, ms := range []int{300, 1000, 1400, 2000, 5000, 10_000, 30_000} {
			dark := []sim.Blackout{{From: 3 * time.Second, For: time.Duration(ms) * time.Millisecond}}
			var c holeConfig
			if way != "back" {
				c.there.Blackouts = dark
			}
			if way != "there" {
				c.back.Blackouts = dark
			}
			h := newHole(t, c)
			h.w.RunFor(3*time.Second + dark[0].For)
			h.must(h.status().PathMTU == 1500, "in the dark (%s, %d ms) nothing is lowered: %d", way, ms, h.status().PathMTU)
			h.w.RunFor(2*dark[0].For + time.Second) // the timer has run out again
			st := h.status()
			h.must(st.PathMTU == 1500 && st.MTUProbesLost == 0, "after %d ms of dark (%s) packets have 1500 octets: %d, %d probes lost", ms, way, st.PathMTU, st.MTUProbesLost)
			sound(t, h.bulk)
			suspected += h.rules[tcp.RuleBlackHole]
		}
	}
	if suspected == 0 {
		t.Error("no darkness was ever taken for a black hole: the test does not show that it is found out")
	}
}

// The path comes to carry more: a probe finds out, and not before five minutes have passed (RFC 8201
// section 4), at ten.
func TestPathMTUGrowsAgain(t *testing.T) {
	slow(t)
	const heals = 60 * time.Second
	h := newHole(t, holeConfig{mtu: func(p *sim.Packet) int {
		if p.From.Name == "A" && p.Sent.Sub(sim.Start) < heals {
			return 1400
		}
		return 0
	}})
	h.w.RunFor(heals)
	probes := h.status().MTUProbes
	h.within(1400, 0)
	h.w.RunFor(5 * time.Minute)
	h.must(h.status().PathMTU == 1400 && h.status().MTUProbes == probes, "for five minutes nothing is probed")
	h.w.RunFor(5*time.Minute + 5*time.Second)
	st := h.status()
	h.must(st.PathMTU == 1500 && st.MTUProbes <= probes+3 && st.MTUProbesLost < st.MTUProbes, "after ten the path is found to carry 1500 again: %d, by %d probes", st.PathMTU, st.MTUProbes-probes)
	h.must(h.rules[tcp.RuleMTURaise] == 1, "the timer has run out once")
}

// A path that stays narrow is asked again every ten minutes, by three probes that cost nothing but
// themselves.
func TestPathMTUStaysNarrow(t *testing.T) {
	slow(t)
	h := newHole(t, holeConfig{mtu: swallow(1400, 0)})
	h.w.RunFor(60 * time.Second)
	before, r := h.status(), h.bulk.Result()
	h.w.RunFor(11 * time.Minute)
	st := h.status()
	h.must(st.PathMTU == 1400 && st.MTUProbes-before.MTUProbes == 3, "%d probes in 11 minutes", st.MTUProbes-before.MTUProbes)
	h.must(h.bulk.Result().Timeouts == r.Timeouts, "and no timeout")
}

// What one connection has found the next begins with: it does not stall.
func TestFoundPathMTUIsRemembered(t *testing.T) {
	h := newHole(t, holeConfig{mtu: swallow(1300, 0)})
	again := func(d time.Duration) tcp.Status {
		t.Helper()
		h.b.Listen(netip.MustParseAddrPort("10.0.0.2:81"), stack.ListenOptions{})
		c, err := h.a.Dial(netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.2:81"), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 20_000)
		c.OnSignal(func(s tcp.Signal) {
			if s&tcp.SignalEstablished != 0 {
				_, _ = c.Send(text)
			}
		})
		h.w.RunFor(d)
		return c.Status()
	}
	h.w.RunFor(2 * time.Second)
	st := again(time.Second)
	h.must(st.PathMTU >= 1200 && st.Timeouts == 0 && st.Unacknowledged == 0, "while the search goes on another begins where it is: %d, %d timeouts", st.PathMTU, st.Timeouts)
	h.w.RunFor(30 * time.Second)
	_ = h.bulk.Conn().Abort()
	found := h.status().PathMTU
	st = again(time.Second)
	h.must(st.PathMTU == found && st.Timeouts == 0 && st.Unacknowledged == 0, "afterwards it begins with what was found: %d, %d timeouts", st.PathMTU, st.Timeouts)
	h.w.RunFor(11 * time.Minute)
	st = again(time.Second)
	h.must(st.PathMTU == found && st.Timeouts == 0, "and so after ten minutes: %d, %d timeouts", st.PathMTU, st.Timeouts)
}

// The modes: always probing begins small and finds the link's MTU by one probe, or the size of a black
// hole without a timeout; without probing a black hole is for ever.
func TestMTUProbingModes(t *testing.T) {
	h := newHole(t, holeConfig{a: tcp.Config{MTUProbing: tcp.MTUProbeAlways}})
	h.w.RunFor(time.Second)
	st := h.status()
	h.must(st.PathMTU == 1500 && st.MTUProbes == 1 && st.MTUState == tcp.PathMTUSearchComplete, "always: %d octets by %d probes, %v", st.PathMTU, st.MTUProbes, st.MTUState)
	h = newHole(t, holeConfig{a: tcp.Config{MTUProbing: tcp.MTUProbeAlways}, mtu: swallow(1300, 0)})
	h.w.RunFor(20 * time.Second)
	h.within(1300, 2)
	h.must(h.bulk.Result().Timeouts == 0, "always: no timeout: %d", h.bulk.Result().Timeouts)
	h = newHole(t, holeConfig{a: tcp.Config{MTUProbing: tcp.MTUProbeOff}, mtu: swallow(1300, 0)})
	h.w.RunFor(20 * time.Second)
	h.must(h.bulk.Result().Read == 0 && len(h.steps) == 0, "off: nothing arrives")
}
