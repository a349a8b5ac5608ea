package sim_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// bbrLife is a transfer with BBR, and what the control has thought meanwhile. The names of its tests
// are those of the example test cases of draft-ietf-ccwg-bbr.
type bbrLife struct {
	t      testing.TB
	w      *sim.World
	b      *sim.Bulk
	cc     *tcp.BBR
	visits []visit
	was    tcp.BBRStatus
	each   func(tcp.BBRStatus) // after every event
}

// visit is a state that has been entered.
type visit struct {
	state  string
	at     time.Duration // since the transfer was established
	flight uint32
	cwnd   uint32
	bbr    tcp.BBRStatus
}

// carried is what the path gives text of a rate of IP octets, in octets a second.
func carried(bits float64) float64 { return bits / 8 * 1448 / 1500 }

// watched is a control that makes BBRs and keeps the first.
func watched(first **tcp.BBR) control {
	return control{"bbr", func(c *stack.Config) {
		c.TCP.Congestion = func() tcp.Congestion {
			b := tcp.NewBBR()
			if is, ok := b.(*tcp.BBR); ok && *first == nil {
				*first = is
			}
			return b
		}
	}}
}

// bbrOver starts a transfer: the way back is clean.
func bbrOver(t testing.TB, cfg sim.LinkConfig, buffers int) *bbrLife {
	t.Helper()
	l := &bbrLife{t: t}
	l.w, l.b = bulkOver(t, watched(&l.cc), cfg, max(buffers, 1<<20))
	for l.b.Conn().State() != tcp.Established {
		if !l.w.Step(tcp.Never) {
			t.Fatal("the handshake does not end")
		}
	}
	return l
}

// clean is a path with a queue of so many products of rate and RTT.
func clean(rtt time.Duration, mbit float64, queues float64) sim.PathConfig {
	return sim.PathConfig{Delay: rtt / 2, Rate: int64(mbit * 1e6), Queue: sim.QueueConfig{Limit: max(int(queues*mbit*1e6/8*rtt.Seconds()), 3000)}}
}

// both is a link whose way there is p and whose way back is as fast and empty.
func both(p sim.PathConfig) sim.LinkConfig {
	back := sim.PathConfig{Delay: p.Delay, Rate: p.Rate}
	return sim.LinkConfig{Path: p, Back: &back}
}

func (l *bbrLife) since() time.Duration { return l.w.Now().Sub(l.b.Result().Established) }

// run lives for d, or until it is enough, and reports whether it was.
func (l *bbrLife) run(d time.Duration, enough func(tcp.BBRStatus) bool) bool {
	limit := l.w.Now().Add(d)
	for l.w.Step(limit) {
		st := l.cc.Status()
		if st.State != l.was.State {
			c := l.b.Conn().Status()
			l.visits = append(l.visits, visit{st.State, l.since(), c.Flight, c.Cwnd, st})
		}
		l.was = st
		if l.each != nil {
			l.each(st)
		}
		if enough != nil && enough(st) {
			return true
		}
	}
	l.w.Run(limit)
	return false
}

// until lives until a state is entered, for at most limit.
func (l *bbrLife) until(state string, limit time.Duration) {
	l.t.Helper()
	if !l.run(limit, func(st tcp.BBRStatus) bool { return st.State == state }) {
		l.t.Fatalf("after %v more it has not entered %s: %s", limit, state, l.story())
	}
}

// story lists the last states.
func (l *bbrLife) story() string {
	var s strings.Builder
	for _, v := range l.visits[max(0, len(l.visits)-20):] {
		s.WriteString(v.at.Round(time.Millisecond).String() + " " + v.state + ", ")
	}
	return s.String()
}

// speed lives for d and returns how many octets a second were read.
func (l *bbrLife) speed(d time.Duration) float64 {
	before := l.b.Result().Read
	l.run(d, nil)
	return float64(l.b.Result().Read-before) / d.Seconds()
}

// near fails the test unless got is within percent of want.
func near(t testing.TB, what string, got, want, percent float64) {
	t.Helper()
	if got < want*(1-percent/100) || got > want*(1+percent/100) {
		t.Errorf("%s is %.0f; want %.0f within %g %%", what, got, want, percent)
	}
}

// Startup doubles what is delivered in each round trip, ends when for three of them it grows by less
// than a quarter, and then max_bw is within 2 % of what the path carries: "Exiting STARTUP on
// Bandwidth Plateau". Drain sends at half of that, and ends within a round trip of the full queue,
// with no more in flight than the path holds: "Exiting DRAIN Based on Inflight".
func TestBBRStartupAndDrain(t *testing.T) {
	for _, c := range []struct {
		rtt  time.Duration
		mbit float64
	}{{20 * time.Millisecond, 10}, {20 * time.Millisecond, 100}, {100 * time.Millisecond, 100}, {300 * time.Millisecond, 20}} {
		l := bbrOver(t, both(clean(c.rtt, c.mbit, 3)), 8*queueOf(c.rtt, int(c.mbit)))
		want := carried(c.mbit * 1e6)
		var rounds []float64 // the most so far at the end of each
		l.each = func(st tcp.BBRStatus) {
			for uint64(len(rounds)) < st.Rounds {
				rounds = append(rounds, 0)
			}
			if n := len(rounds); n > 0 {
				rounds[n-1] = float64(st.MaxBW)
			}
		}
		l.until("Drain", 30*c.rtt)
		st := l.cc.Status()
		near(t, "max_bw after Startup", float64(st.MaxBW), want, 2)
		if !st.FullBWReached {
			t.Error("Startup has ended, and full_bw_reached is false")
		}
		full := slices.IndexFunc(rounds, func(bw float64) bool { return bw >= 0.8*want })
		if after := len(rounds) - 1 - full; after < 3 || after > 4 {
			t.Errorf("%v, %g Mbit/s: Startup goes on for %d round trips after the rate was reached", c.rtt, c.mbit, after)
		}
		for i := 3; i < full; i++ { // the first are of the initial window, sent at once
			if rounds[i] < 1.7*rounds[i-1] {
				t.Errorf("%v, %g Mbit/s: in round trip %d of Startup the rate goes from %.0f to %.0f, and should double", c.rtt, c.mbit, i, rounds[i-1], rounds[i])
			}
		}
		near(t, "the pacing rate of Drain", float64(st.PacingRate), 0.5*0.99*float64(st.BW), 1)
		from := l.w.Now()
		l.each = nil
		l.run(time.Minute, func(st tcp.BBRStatus) bool { return strings.HasPrefix(st.State, "ProbeBW") })
		if d := l.w.Now().Sub(from); d > 3*c.rtt {
			t.Errorf("%v, %g Mbit/s: Drain lasts for %v", c.rtt, c.mbit, d)
		}
		bdp := want * c.rtt.Seconds()
		if f := float64(l.b.Conn().Status().Flight); f > 1.05*bdp+10*1448 {
			t.Errorf("%v, %g Mbit/s: %.0f are in flight after Drain; the path holds %.0f", c.rtt, c.mbit, f, bdp)
		}
		sound(t, l.b)
	}
}

// ProbeBW goes through DOWN, CRUISE, REFILL and UP, in this order, at 0.9, 1, 1 and 1.25 of the rate;
// every 5 s ProbeRTT halves what is in flight for 200 ms, which are some round trips, and cwnd is what it was:
// "Exiting PROBE_UP on Bandwidth Plateau", "Exiting PROBE_DOWN on Inflight", "Entering and Exiting
// PROBE_RTT".
func TestBBRCycle(t *testing.T) {
	const rtt, mbit = 40 * time.Millisecond, 50
	l := bbrOver(t, both(clean(rtt, mbit, 4)), 12*queueOf(rtt, mbit))
	l.run(21*time.Second, nil)
	follows := map[string]string{
		"Startup": "Drain", "Drain": "ProbeBW_CRUISE ProbeBW_DOWN", "ProbeBW_DOWN": "ProbeBW_CRUISE ProbeRTT",
		"ProbeBW_CRUISE": "ProbeBW_REFILL ProbeRTT", "ProbeBW_REFILL": "ProbeBW_UP ProbeRTT", "ProbeBW_UP": "ProbeBW_DOWN ProbeRTT",
		"ProbeRTT": "ProbeBW_CRUISE",
	}
	gain := map[string]float64{"ProbeBW_DOWN": 0.9, "ProbeBW_CRUISE": 1, "ProbeBW_REFILL": 1, "ProbeBW_UP": 1.25, "ProbeRTT": 1}
	times := map[string]int{}
	var rtts []visit
	for i, v := range l.visits {
		times[v.state]++
		if g := gain[v.state]; g != 0 {
			near(t, "the pacing rate of "+v.state, float64(v.bbr.PacingRate), g*0.99*float64(v.bbr.BW), 1)
		}
		if v.state == "ProbeRTT" {
			rtts = append(rtts, v)
		}
		if i+1 == len(l.visits) {
			break
		}
		next := l.visits[i+1]
		if !strings.Contains(follows[v.state], next.state) {
			t.Errorf("%v: %s is followed by %s", next.at, v.state, next.state)
		}
		switch lasted := next.at - v.at; v.state {
		case "ProbeRTT":
			if lasted < 200*time.Millisecond || lasted > 200*time.Millisecond+4*rtt {
				t.Errorf("ProbeRTT lasts for %v; want 200 ms and, before them, the time in which the flight shrinks", lasted)
			}
			if v.cwnd > uint32(float64(queueOf(rtt, mbit))*0.55) || next.cwnd < v.cwnd*3/2 {
				t.Errorf("in ProbeRTT cwnd is %d, and %d afterwards; the path holds %d", v.cwnd, next.cwnd, queueOf(rtt, mbit))
			}
		case "ProbeBW_UP":
			if lasted < 3*rtt || lasted > 8*rtt {
				t.Errorf("ProbeBW_UP lasts for %v: three round trips without growth, %v each", lasted, rtt)
			}
		case "ProbeBW_CRUISE":
			if lasted > 3*time.Second {
				t.Errorf("ProbeBW_CRUISE lasts for %v; want less than bw_probe_wait, 3 s at most", lasted)
			}
		}
	}
	if len(rtts) != 4 {
		t.Errorf("ProbeRTT %d times in 21 s; want 4: every 5 s", len(rtts))
	}
	for i := 1; i < len(rtts); i++ {
		if d := rtts[i].at - rtts[i-1].at; d < 5*time.Second || d > 5700*time.Millisecond {
			t.Errorf("from one ProbeRTT to the next: %v", d)
		}
	}
	if times["ProbeBW_UP"] < 4 { // every 2 to 3 s, and the wait begins anew with each ProbeRTT
		t.Errorf("ProbeBW_UP %d times in 21 s: %s", times["ProbeBW_UP"], l.story())
	}
	sound(t, l.b)
}

// BBR carries what the path does, though packets are lost by chance; CUBIC at 1 % carries next to
// nothing. Of a 1 % it may lose more than that: each round trip with a loss it takes what was
// delivered for what can be, until the next probe, and paces 1 % below that.
func TestBBRGoodput(t *testing.T) {
	slow(t)
	for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		for _, mbit := range []float64{10, 100} {
			for loss, least := range map[float64]float64{0: 0.95, 0.001: 0.9, 0.01: 0.87} {
				p := clean(rtt, mbit, 1)
				p.Loss = loss
				l := bbrOver(t, both(p), 8*queueOf(rtt, int(mbit)))
				l.w.RunFor(4 * time.Second)
				share := l.speed(11*time.Second) / carried(mbit*1e6)
				t.Logf("%v, %g Mbit/s, %g lost: %.3f of what the path carries", rtt, mbit, loss, share)
				if share < least {
					t.Errorf("%v, %g Mbit/s, %g lost: %.3f of what the path carries", rtt, mbit, loss, share)
				}
				sound(t, l.b)
			}
		}
	}
}

// A queue of four products of rate and RTT stays short under BBR, half a product in the mean of
// the samples, where CUBIC lets it stand full.
func TestBBRLeavesTheQueueEmpty(t *testing.T) {
	slow(t)
	for _, c := range []struct {
		rtt  time.Duration
		mbit float64
	}{{20 * time.Millisecond, 10}, {20 * time.Millisecond, 100}, {100 * time.Millisecond, 20}} {
		standing := map[string]float64{} // in round trips
		for _, cc := range controls {
			w, b := bulkOver(t, cc, both(clean(c.rtt, c.mbit, 4)), 12*queueOf(c.rtt, int(c.mbit)))
			w.RunFor(10 * time.Second)
			var sum time.Duration
			for range 200 {
				w.RunFor(50 * time.Millisecond)
				st := b.Conn().Status()
				sum += st.SRTT - st.MinRTT
			}
			standing[cc.name] = float64(sum) / 200 / float64(c.rtt)
			sound(t, b)
		}
		t.Logf("%v, %g Mbit/s: the queue is worth, in round trips, %v", c.rtt, c.mbit, standing)
		if standing["bbr"] > 0.5 || standing["cubic"] < 2*standing["bbr"] {
			t.Errorf("%v, %g Mbit/s: the queue is worth, in round trips, %v", c.rtt, c.mbit, standing)
		}
	}
}

// rivals lets two transfers, the second three seconds behind, share a path for a minute, and returns
// what each has of the second half, in shares of what the path carries.
func rivals(t *testing.T, p sim.PathConfig, first, second control) (x [2]float64) {
	t.Helper()
	w := sim.New(1)
	var all []*sim.Bulk
	buffers := 16 * queueOf(2*p.Delay, int(p.Rate/1_000_000))
	hub := stack.Config{TCP: tcp.Config{ReceiveBuffer: buffers}}
	to := w.Host("B", hub)
	var makers []func() tcp.Congestion
	for _, cc := range []control{first, second} {
		var cfg stack.Config
		cc.set(&cfg)
		makers = append(makers, cfg.TCP.Congestion)
	}
	a := w.Host("A", stack.Config{TCP: tcp.Config{SendBuffer: buffers, Congestion: func() tcp.Congestion {
		construct := makers[0]
		makers = append(makers[1:], construct)
		return construct()
	}}})
	link(t, w, both(p), port(a, "10.0.0.1/24"), port(to, "10.0.0.2/24"))
	for i := range uint16(2) {
		b, err := w.NewBulk(sim.BulkConfig{From: a, To: to, At: netip.AddrPortFrom(server.Addr(), 80+i)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
		w.RunFor(3 * time.Second)
	}
	w.RunFor(24 * time.Second)
	for i, b := range all {
		x[i] = float64(b.Result().Read)
		if got, want := b.Conn().Status().Congestion, []control{first, second}[i].name; got != want {
			t.Fatalf("transfer %d has %q for a congestion control; want %q", i, got, want)
		}
	}
	w.RunFor(30 * time.Second)
	for i, b := range all {
		x[i] = (float64(b.Result().Read) - x[i]) / 30 / carried(float64(p.Rate))
		sound(t, b)
	}
	return x
}

// Two BBRs share a path: Jain's index of what they have in half a minute is at least 0.9. Beside a
// CUBIC neither starves.
func TestBBRShares(t *testing.T) {
	slow(t)
	var bbr, cubic control
	for _, cc := range controls {
		switch cc.name {
		case "bbr":
			bbr = cc
		case "cubic":
			cubic = cc
		}
	}
	for _, queues := range []float64{1, 2, 4} {
		p := clean(20*time.Millisecond, 20, queues)
		x := rivals(t, p, bbr, bbr)
		sum, squares := x[0]+x[1], x[0]*x[0]+x[1]*x[1]
		jain := sum * sum / (2 * squares)
		t.Logf("a queue of %g: %.2f and %.2f, Jain's index %.3f", queues, x[0], x[1], jain)
		if jain < 0.9 || sum < 0.9 {
			t.Errorf("a queue of %g: two BBRs have %.2f and %.2f of the path, Jain's index %.3f", queues, x[0], x[1], jain)
		}
		for _, first := range []bool{true, false} {
			var mine, other float64
			if first {
				x = rivals(t, p, bbr, cubic)
				mine, other = x[0], x[1]
			} else {
				x = rivals(t, p, cubic, bbr)
				mine, other = x[1], x[0]
			}
			t.Logf("a queue of %g, BBR first: %v: BBR %.2f, CUBIC %.2f", queues, first, mine, other)
			if min(mine, other) < 0.15 || mine+other < 0.85 {
				t.Errorf("a queue of %g, BBR first: %v: BBR has %.2f of the path, CUBIC %.2f", queues, first, mine, other)
			}
		}
	}
}

// After a blackout of a third of a second to three the path is full again within three seconds.
func TestBBRBlackouts(t *testing.T) {
	slow(t)
	const rtt, mbit = 20 * time.Millisecond, 50
	for _, dark := range []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second} {
		p := clean(rtt, mbit, 1)
		p.Blackouts = []sim.Blackout{{From: 6 * time.Second, For: dark}}
		cfg := both(p)
		cfg.Back.Blackouts = p.Blackouts
		l := bbrOver(t, cfg, 8*queueOf(rtt, mbit))
		l.w.Run(sim.Start.Add(6*time.Second + dark + 3*time.Second))
		share := l.speed(3*time.Second) / carried(mbit*1e6)
		t.Logf("three seconds after %v of darkness: %.3f of what the path carries", dark, share)
		if share < 0.9 {
			t.Errorf("three seconds after %v of darkness: %.3f of what the path carries: %s", dark, share, l.story())
		}
		sound(t, l.b)
	}
}

// "Increasing Bandwidth 10x", "Decreasing Bandwidth 10x": max_bw is the new rate in the end. Down that
// takes the cycle in which the rate falls and the next, of up to three seconds, and a ProbeRTT
// begins one anew.
func TestBBRRateChanges(t *testing.T) {
	slow(t)
	const rtt = 40 * time.Millisecond
	for _, c := range []struct{ from, to float64 }{{10, 100}, {100, 10}} {
		p := clean(rtt, 10, 2)
		p.Rate, p.Rates = int64(c.from*1e6), []sim.RateChange{{From: 8 * time.Second, Rate: int64(c.to * 1e6)}}
		cfg := both(p)
		cfg.Back.Rate = 100_000_000
		l := bbrOver(t, cfg, 8*queueOf(rtt, 100))
		l.w.Run(sim.Start.Add(8 * time.Second))
		near(t, "max_bw before", float64(l.cc.Status().MaxBW), carried(c.from*1e6), 3)
		from := l.w.Now()
		if !l.run(20*time.Second, func(st tcp.BBRStatus) bool {
			r := float64(st.MaxBW) / carried(c.to*1e6)
			return r > 0.95 && r < 1.05
		}) {
			t.Errorf("from %g to %g Mbit/s: after 20 s max_bw is %d: %s", c.from, c.to, l.cc.Status().MaxBW, l.story())
			continue
		}
		took := l.w.Now().Sub(from)
		l.run(time.Second, nil)
		share := l.speed(10*time.Second) / carried(c.to*1e6)
		t.Logf("from %g to %g Mbit/s: max_bw is there after %v; then %.3f of what the path carries", c.from, c.to, took, share)
		if took > 12*time.Second || share < 0.9 {
			t.Errorf("from %g to %g Mbit/s: max_bw is there after %v; then %.3f of what the path carries: %s", c.from, c.to, took, share, l.story())
		}
		sound(t, l.b)
	}
}

// "Handling Token Bucket Policers": BBR comes to a rate near that of the tokens, and loses little.
func TestBBRPolicer(t *testing.T) {
	const rtt = 40 * time.Millisecond
	p := clean(rtt, 100, 1)
	p.Police = sim.PoliceConfig{Rate: 20_000_000, Burst: 200_000}
	l := bbrOver(t, both(p), 8*queueOf(rtt, 100))
	l.run(10*time.Second, nil)
	before := l.b.Result()
	low := false
	l.each = func(st tcp.BBRStatus) { low = low || st.BWShortterm != 1<<64-1 && st.InflightShortterm != 1<<64-1 }
	share := l.speed(20*time.Second) / carried(20e6)
	r := l.b.Result()
	again := float64(r.Resent-before.Resent) / float64(r.Segments-before.Segments)
	t.Logf("%.3f of the tokens, %.3f sent again", share, again)
	if share < 0.75 || again > 0.1 || !low {
		t.Errorf("%.3f of the tokens, %.3f of the segments sent again, a short-term model: %v: %s", share, again, low, l.story())
	}
	sound(t, l.b)
}

// "Correctly Managing Sub-Packet BDPs": four segments are the floor of cwnd, and the path is full.
func TestBBRSmallPaths(t *testing.T) {
	slow(t)
	for _, c := range []struct {
		rtt  time.Duration
		mbit float64
	}{{10 * time.Millisecond, 0.064}, {100 * time.Millisecond, 0.064}, {time.Millisecond, 5}, {200 * time.Microsecond, 1000}} {
		p := clean(c.rtt, c.mbit, 1)
		p.Queue.Limit = max(p.Queue.Limit, 16*1500)
		l := bbrOver(t, both(p), 1<<20)
		least := uint32(1 << 31)
		lives := 4 * time.Second
		if c.mbit < 1 {
			lives = 60 * time.Second
		} else if c.mbit > 100 {
			lives = time.Second
		}
		l.run(lives, nil)
		l.each = func(tcp.BBRStatus) { least = min(least, l.b.Conn().Status().Cwnd) }
		share := l.speed(lives) / carried(c.mbit*1e6)
		t.Logf("%v, %g Mbit/s: %.3f of what the path carries, cwnd %d at the least", c.rtt, c.mbit, share, least)
		if share < 0.9 || least < 4*1448 {
			t.Errorf("%v, %g Mbit/s: %.3f of what the path carries, cwnd %d at the least: %s", c.rtt, c.mbit, share, least, l.story())
		}
		sound(t, l.b)
	}
}

// "Achieving Expected STARTUP Bandwidth on a Link With Aggregation", "Achieving Expected Cruise
// Bandwidth": where ACKs come in bunches, every 30 ms, extra_acked is what a bunch has, cwnd has that
// on top of two products, and the rate is found and kept.
func TestBBRAggregation(t *testing.T) {
	const rtt, mbit, slot = 20 * time.Millisecond, 20, 30 * time.Millisecond
	cfg := both(clean(rtt, mbit, 4))
	cfg.Rule = func(p *sim.Packet) (f sim.Fate) {
		if p.From.Name == "B" && p.Sent > sim.Start.Add(rtt) {
			f.Late = slot - p.Sent.Sub(sim.Start)%slot
		}
		return f
	}
	l := bbrOver(t, cfg, 1<<20)
	l.until("Drain", 3*time.Second)
	want := carried(mbit * 1e6)
	st := l.cc.Status()
	if share := float64(st.MaxBW) / want; share < 0.95 || share > 1.25 {
		t.Errorf("after Startup max_bw is %.3f of what the path carries", share)
	}
	if bunch := want * slot.Seconds(); float64(st.ExtraAcked) < bunch/3 || float64(st.ExtraAcked) > 2*bunch {
		t.Errorf("extra_acked is %d; a bunch has %.0f", st.ExtraAcked, bunch)
	}
	l.until("ProbeBW_CRUISE", 3*time.Second)
	l.run(rtt, nil)
	if c := l.b.Conn().Status().Cwnd; uint64(c) < 2*scaleOf(l.cc.Status()) {
		t.Errorf("cwnd is %d; want two products of %d, and more", c, scaleOf(l.cc.Status()))
	}
	share := l.speed(8*time.Second) / want
	t.Logf("ACKs every %v: %.3f of what the path carries, extra_acked %d", slot, share, st.ExtraAcked)
	if share < 0.9 {
		t.Errorf("ACKs every %v: %.3f of what the path carries: %s", slot, share, l.story())
	}
	sound(t, l.b)
}

// scaleOf is the product of bw and min_rtt.
func scaleOf(st tcp.BBRStatus) uint64 { return uint64(float64(st.BW) * st.MinRTT.Seconds()) }

// "Entering and Exiting PROBE_RTT During STARTUP": a round trip of a second and a half has Startup last for
// more than five seconds; after ProbeRTT it goes on.
func TestBBRProbeRTTInStartup(t *testing.T) {
	const rtt, mbit = 1500 * time.Millisecond, 20
	l := bbrOver(t, both(clean(rtt, mbit, 1)), 8*queueOf(rtt, mbit))
	l.until("ProbeRTT", 12*time.Second)
	if l.cc.Status().FullBWReached {
		t.Fatalf("Startup was over: %s", l.story())
	}
	l.until("Startup", 10*time.Second)
	l.until("Drain", time.Minute)
	near(t, "max_bw", float64(l.cc.Status().MaxBW), carried(mbit*1e6), 3)
	sound(t, l.b)
}

// "Handling Spurious Fast Recovery", "Handling Spurious RTO Recovery": where packets are late by a
// round trip once, or ACKs by a second, what was taken for lost is undone, and the rate is what it was.
func TestBBRSpuriousRecovery(t *testing.T) {
	const rtt, mbit = 40 * time.Millisecond, 20
	for _, late := range []time.Duration{rtt, time.Second} {
		cfg := both(clean(rtt, mbit, 2))
		from, n := tcp.Time(0), 0
		cfg.Rule = func(p *sim.Packet) (f sim.Fate) {
			switch since := p.Sent.Sub(from); {
			case from == 0 || since < 0:
			case late == rtt && p.From.Name == "A" && p.Segment.TextLen() > 0 && n < 10:
				n++
				f.Late = late
			case late > rtt && p.From.Name == "B" && since < late:
				f.Late = late - since
			}
			return f
		}
		l := bbrOver(t, cfg, 1<<20)
		l.run(3*time.Second, nil)
		l.until("ProbeBW_UP", 4*time.Second)
		l.run(30*time.Millisecond, nil)
		before, was := l.b.Conn().Status(), l.cc.Status()
		from = l.w.Now()
		l.run(late+2*rtt, nil)
		after, is := l.b.Conn().Status(), l.cc.Status()
		if after.Undone == before.Undone {
			t.Errorf("%v late: nothing was undone: %d recoveries, %d timeouts", late, after.Recoveries-before.Recoveries, after.Timeouts-before.Timeouts)
		}
		if late > rtt && after.Timeouts == before.Timeouts {
			t.Errorf("%v late: no timeout", late)
		}
		if is.InflightLongterm < was.InflightLongterm || is.BW < was.BW*98/100 {
			t.Errorf("%v late: inflight_longterm from %d to %d, bw from %d to %d: %s", late, was.InflightLongterm, is.InflightLongterm, was.BW, is.BW, l.story())
		}
		share := l.speed(3*time.Second) / carried(mbit*1e6)
		if share < 0.9 {
			t.Errorf("%v late: afterwards %.3f of what the path carries: %s", late, share, l.story())
		}
	}
}

// A user that stops and starts keeps max_bw: what it sends meanwhile is application-limited. After
// an idleness of six seconds ProbeRTT is left out ("Skipping PROBE_RTT Due to Application-Limited
// Sending"), and the next text goes at the rate of before at once.
func TestBBRUserStopsAndStarts(t *testing.T) {
	const rtt, mbit = 40 * time.Millisecond, 20
	want := carried(mbit * 1e6)
	var cc *tcp.BBR
	w := sim.New(1)
	cfg := stack.Config{TCP: tcp.Config{SendBuffer: 64 << 20, ReceiveBuffer: 4 << 20}}
	to := w.Host("B", cfg)
	watched(&cc).set(&cfg)
	from := w.Host("A", cfg)
	link(t, w, both(clean(rtt, mbit, 2)), port(from, "10.0.0.1/24"), port(to, "10.0.0.2/24"))
	listener, err := to.Listen(server, stack.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	read, buf := 0, make([]byte, 1<<20)
	listener.OnAccept(func(c *sim.Conn) {
		c.OnSignal(func(tcp.Signal) {
			for n := 1; n > 0; read += n {
				n, _ = c.Receive(buf)
			}
		})
	})
	conn, err := from.Dial(netip.AddrPort{}, server, stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.RunFor(time.Second)
	send := func(n int) {
		t.Helper()
		if got, err := conn.Send(make([]byte, n)); got != n {
			t.Fatalf("of %d octets %d were taken: %v", n, got, err)
		}
	}
	send(int(5 * want))
	w.RunFor(6 * time.Second)
	if st := cc.Status(); !st.FullBWReached || read != int(5*want) {
		t.Fatalf("%d octets have come; the control thinks %+v", read, st)
	}
	probes := 0
	step := func(d time.Duration, do func()) {
		limit := w.Now().Add(d)
		was := cc.Status().State
		do()
		for w.Step(limit) {
			if s := cc.Status().State; s != was {
				if was = s; s == "ProbeRTT" {
					probes++
				}
			}
		}
		w.Run(limit)
	}
	for range 75 { // a tenth of the rate, for 15 s
		step(200*time.Millisecond, func() { send(int(want / 50)) })
		near(t, "max_bw of a user that sends a tenth of it", float64(cc.Status().MaxBW), want, 5)
	}
	for range 3 {
		step(6*time.Second, func() {})
		probes = 0
		before := read
		step(time.Second, func() {
			send(int(want))
			if !cc.Status().IdleRestart {
				w.RunFor(1)
			}
			if !cc.Status().IdleRestart {
				t.Error("idle_restart is false")
			}
		})
		if got := float64(read - before); probes > 0 || got < 0.85*want {
			t.Errorf("in the second after idleness %.2f of the rate came, and there were %d ProbeRTT", got/want, probes)
		}
	}
	if st := conn.Status(); st.Timeouts > 0 || st.Recoveries > 0 {
		t.Errorf("%d timeouts, %d recoveries", st.Timeouts, st.Recoveries)
	}
}

// A queue that marks is heard: BBR that has asked for ECN loses nothing where CoDel or RED would
// drop, keeps the queue short, and still carries the rate.
func TestBBRHearsMarks(t *testing.T) {
	for name, q := range map[string]sim.QueueConfig{
		"CoDel": {Kind: sim.CoDel, ECN: true, Limit: 4 << 20},
		"RED":   {Kind: sim.RED, ECN: true, Limit: 4 << 20, Min: 6000, Max: 60_000, MaxP: 0.1, Weight: 0.02},
	} {
		var cc *tcp.BBR
		bbr := watched(&cc)
		p := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Queue: q}
		w, b := bulkOver(t, control{"bbr", func(c *stack.Config) { bbr.set(c); c.TCP.ECN = tcp.ECNRequest }}, both(p), 4<<20)
		w.RunFor(12 * time.Second)
		r, st := b.Result(), b.Conn().Status()
		share := r.Goodput() / 8 / carried(20e6)
		t.Logf("%s: %.3f of what the path carries, %d marks, SRTT %v", name, share, st.Marks, st.SRTT)
		if st.Marks == 0 || r.Resent > 0 || share < 0.85 || st.SRTT > 60*time.Millisecond {
			t.Errorf("%s: %.3f of what the path carries, %d marks, %d sent again, SRTT %v", name, share, st.Marks, r.Resent, st.SRTT)
		}
		if cc.Status().InflightLongterm == 1<<64-1 {
			t.Errorf("%s: marks have set no inflight_longterm", name)
		}
		sound(t, b)
	}
}
