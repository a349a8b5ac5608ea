package sim_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// bulk makes a World with a link and starts a transfer over it, with buffers that let a queue
// grow by no more than 64 KiB.
func bulk(t testing.TB, cfg sim.LinkConfig, octets int64) (*sim.World, *sim.Bulk) {
	t.Helper()
	w := sim.New(1)
	buffers := stack.Config{TCP: tcp.Config{ReceiveBuffer: 64 << 10}}
	a, b := w.Host("A", buffers), w.Host("B", buffers)
	link(t, w, cfg, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
	tr, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: server, Octets: octets, Every: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return w, tr
}

// A path without loss is filled, and nothing is sent again: there is no recovery without a loss.
func TestBulkWithoutLoss(t *testing.T) {
	const octets = 10_000_000
	w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: 5 * time.Millisecond, Rate: 20_000_000}}, octets)
	w.Run(tcp.Never)
	r := b.Result()
	if !b.Done() || r.Read != octets || r.Wrong > 0 || r.Resent > 0 || r.Recoveries > 0 || r.Timeouts > 0 || len(r.Gaps) > 0 {
		t.Error(b.Report())
	}
	if r.Segments != (octets+1447)/1448 {
		t.Errorf("%d segments have carried it", r.Segments)
	}
	if share := r.Goodput() / 20e6; share < 0.95 || share > 1448.0/1500 {
		t.Errorf("share %.3f", share)
	}
	sum, full := int64(0), 0
	for _, n := range r.Arrived {
		sum += n
		if n > 250_000-3000 && n < 250_000+3000 { // in 100 ms
			full++
		}
	}
	if sum != octets+52*int64(r.Segments) || full < len(r.Arrived)-5 {
		t.Errorf("%d octets of IP arrived, and %d of %d intervals were full", sum, full, len(r.Arrived))
	}
	if r.Longest.Lit < 10*time.Millisecond || r.Longest.Lit > 100*time.Millisecond {
		t.Errorf("the longest wait for news was %v; a round trip is 10 ms", r.Longest.Lit)
	}
}

// What is wrong in the text is counted, so that a transfer cannot pass which brings other octets.
func TestBulkLooksAtTheText(t *testing.T) {
	w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Corrupt: 0.05}}, 300_000)
	w.Run(tcp.Never)
	if r := b.Result(); !b.Done() || r.Wrong != 0 || r.Resent == 0 {
		t.Error(b.Report())
	}
}

// Each kind of gap has its cause, and one that nothing explains has none.
func TestGapCauses(t *testing.T) {
	const at = 2 * time.Second // the network does something from here on
	after := func(p *sim.Packet) bool { return p.Sent.Sub(sim.Start) >= at }
	data := func(p *sim.Packet) bool { return p.From.Name == "A" && p.Segment.TextLen() > 0 }
	lose := func(n int, which func(*sim.Packet) bool) func(*sim.Packet) sim.Fate {
		return func(p *sim.Packet) sim.Fate {
			if n == 0 || !after(p) || !which(p) {
				return sim.Fate{}
			}
			n--
			return sim.Fate{Lost: true}
		}
	}
	// all of a flight, and then what is sent again n times
	flight := func(n int) func(*sim.Packet) sim.Fate {
		var from tcp.Time
		again := lose(n, data)
		return func(p *sim.Packet) sim.Fate {
			if from == 0 && after(p) && data(p) {
				from = p.Sent
			}
			if from != 0 && data(p) && p.Sent.Sub(from) < 150*time.Millisecond {
				return sim.Fate{Lost: true}
			}
			if from != 0 && p.Sent.Sub(from) >= 150*time.Millisecond {
				return again(p)
			}
			return sim.Fate{}
		}
	}
	ack := func(p *sim.Packet) bool { return p.From.Name == "B" }
	acks := func(p *sim.Packet) sim.Fate {
		return sim.Fate{Lost: after(p) && p.Sent.Sub(sim.Start) < 5*time.Second && ack(p)}
	}
	late := func(p *sim.Packet) (f sim.Fate) {
		if after(p) && p.Sent.Sub(sim.Start) < 6*time.Second && ack(p) {
			f.Late = 5 * time.Second
		}
		return f
	}
	pause := func(w *sim.World, b *sim.Bulk) {
		w.At(at, b.Pause)
		w.At(at+6*time.Second, b.Resume)
	}
	again := flight(2)
	for name, c := range map[string]struct {
		rule           func(*sim.Packet) sim.Fate
		black          []sim.Blackout
		do             func(*sim.World, *sim.Bulk)
		cause          string
		timeouts, lost int
		longest        time.Duration // of Lit, at least
	}{
		"nothing":              {cause: "none"},
		"one flight":           {rule: flight(0), cause: "none"},
		"one flight and again": {rule: flight(2), cause: "what was sent again after a timeout was lost too", timeouts: 2, lost: 1, longest: 600 * time.Millisecond},
		"one flight, thrice":   {rule: flight(4), cause: "what was sent again after a timeout was lost too", timeouts: 4, lost: 3, longest: 3 * time.Second},
		"a blackout": {black: []sim.Blackout{{From: at, For: 2500 * time.Millisecond}}, timeouts: 4, lost: 3, longest: time.Second,
			cause: "what was sent again after a timeout was lost too, in a blackout among others"},
		"the ACKs": {rule: acks, cause: "the ACKs of what was sent again were lost", timeouts: 4, longest: time.Second},
		"one flight, and again, damaged": {rule: func(p *sim.Packet) sim.Fate {
			f := again(p)
			f.Lost, f.Damaged = false, f.Lost
			return f
		}, cause: "what was sent again after a timeout was lost too", timeouts: 2, lost: 1, longest: 600 * time.Millisecond},
		"a closed window": {do: pause, cause: "the window was closed", longest: 5 * time.Second},
		"a SYN, and then the first segment": {rule: func(p *sim.Packet) sim.Fate { return sim.Fate{Lost: p.N == 1 || p.N == 5 || p.N == 6} },
			cause: "the RTO was longer at that time", timeouts: 1, longest: 3 * time.Second}, // RFC 6298 section 5.7
		"nothing, but the ACKs are late": {rule: late, cause: "", timeouts: 4, longest: 4 * time.Second},
	} {
		w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Rate: 5_000_000, Blackouts: c.black}, Rule: c.rule}, 0)
		if c.do != nil {
			c.do(w, b)
		}
		w.RunFor(9 * time.Second)
		r := b.Result()
		if c.cause == "none" {
			if len(r.Gaps) > 0 {
				t.Errorf("%s: %s", name, b.Report())
			}
			continue
		}
		if len(r.Gaps) == 0 {
			t.Errorf("%s: no gap was seen; %s", name, b.Report())
			continue
		}
		g := r.Gaps[0]
		if g.Cause != c.cause || c.timeouts > 0 && g.Timeouts != c.timeouts || g.Lost != c.lost || g.Lit < c.longest || g.RTO < 200*time.Millisecond {
			t.Errorf("%s: %v; want: %q, %d timeouts, %d lost, at least %v\n%s", name, &g, c.cause, c.timeouts, c.lost, c.longest, b.Report())
		}
		if (r.Unexplained() > 0) != (c.cause == "") || (g.Ladder == "") != (c.cause != "") {
			t.Errorf("%s: %d gaps without a cause; %s", name, r.Unexplained(), b.Report())
		}
	}
}

// News is what the sender did not know: a SACK block ends a gap when it is new, and not when it
// comes again, whatever came between.
func TestNewsIsNew(t *testing.T) {
	const at = 2 * time.Second
	var head seq.Num
	lost := 0
	w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Rate: 5_000_000}, Rule: func(p *sim.Packet) (f sim.Fate) {
		seg := &p.Segment
		if p.Sent.Sub(sim.Start) < at || !p.IsTCP {
			return f
		}
		if p.From.Name == "A" && lost == 0 && seg.TextLen() > 0 {
			head = seg.Seq
		}
		if p.From.Name == "A" && seg.TextLen() > 0 && seg.Seq == head && lost < 3 {
			lost++
			return sim.Fate{Lost: true}
		}
		if len(seg.Options.Blocks()) > 0 {
			f.Copies = 200 // for two seconds
		}
		return f
	}}, 0)
	w.RunFor(8 * time.Second)
	r := b.Result()
	if len(r.Gaps) != 1 || lost != 3 {
		t.Fatalf("lost %d times; %s", lost, b.Report())
	}
	// The head is lost at 2 s, and what follows is reported for a round trip and the next, which
	// fast retransmit lets go; then there is silence until the third retransmission.
	g := r.Gaps[0]
	if from := g.From.Sub(sim.Start) - at; from < 150*time.Millisecond || from > 350*time.Millisecond || g.Lit < 700*time.Millisecond || g.Lost != 1 || g.Cause == "" {
		t.Errorf("%v after the loss: %v", from, &g)
	}
}

// A gap that is not over is told as well, each time it is asked for, and once it is over once.
func TestOpenGap(t *testing.T) {
	w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Rate: 5_000_000, MTU: 500}}, 0)
	w.RunFor(20 * time.Second) // nothing passes that vitro would cut a segment to
	for range 2 {
		r := b.Result()
		if len(r.Gaps) != 1 || !r.Gaps[0].Open || r.Gaps[0].Lit < 19*time.Second || r.Gaps[0].Lost < 4 || r.Gaps[0].Cause == "" {
			t.Fatal(b.Report())
		}
	}
}

// While the sender waits for a timeout that was made longer before, that is the cause: here after
// a SYN was lost (RFC 6298 section 5.7), and then the first segment.
func TestOpenGapOfALongRTO(t *testing.T) {
	w, b := bulk(t, sim.LinkConfig{Delay: delay, Rule: func(p *sim.Packet) sim.Fate { return sim.Fate{Lost: p.N == 1 || p.N == 5 || p.N == 6} }}, 0)
	w.RunFor(3 * time.Second)
	if r := b.Result(); len(r.Gaps) != 1 || !r.Gaps[0].Open || r.Gaps[0].Timeouts != 0 || r.Gaps[0].Cause != "the RTO was longer at that time" {
		t.Error(b.Report())
	}
}

// The time in which a link is dark does not count, overlaps once, and light between two
// blackouts does.
func TestDarknessDoesNotCount(t *testing.T) {
	const s = time.Second
	there := sim.PathConfig{Delay: delay, Blackouts: []sim.Blackout{{From: 2 * s, For: 2 * s}, {From: 5 * s, For: 3 * s}}}
	back := sim.PathConfig{Delay: delay, Blackouts: []sim.Blackout{{From: 3 * s, For: 3 * s}, {From: 20 * s, For: s}}}
	w, b := bulk(t, sim.LinkConfig{Path: there, Back: &back}, 0)
	w.RunFor(15 * time.Second)
	r := b.Result()
	if len(r.Gaps) != 1 {
		t.Fatal(b.Report())
	}
	// Dark from 2 s to 8 s without a break; what was on its way at 2 s arrives yet.
	g := r.Gaps[0]
	dark := 8*s - max(g.From.Sub(sim.Start), 2*s)
	if all := g.To.Sub(g.From); all-g.Lit != dark || g.From.Sub(sim.Start) > 2*s+2*delay || g.To.Sub(sim.Start) < 8*s {
		t.Errorf("%v to %v, lit for %v", g.From.Sub(sim.Start), g.To.Sub(sim.Start), g.Lit)
	}
}

// A report has what is needed to live it again and to see it: the seed and the last lines.
func TestReport(t *testing.T) {
	w, b := bulk(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Rate: 10_000_000, Loss: 0.1}}, 0)
	w.RunFor(2 * time.Second)
	got := b.Report()
	for _, want := range []string{"seed 1: ", " timeouts, ", "the last lines:\n", "A      ", "ESTABLISHED --> <SEQ=", "(lost)", "(lost by chance)"} {
		if !strings.Contains(got, want) {
			t.Errorf("the report has no %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n < 40 || n > 100 {
		t.Errorf("the report has %d lines", n)
	}
}

// Behind a router the meter sees what is lost too, and of two transfers over one link each is
// measured for itself.
func TestBulkBehindRouters(t *testing.T) {
	const dark = time.Second
	again := 0
	w, a, _, b, _ := narrow(t, sim.LinkConfig{Path: sim.PathConfig{Delay: delay, Rate: 100_000_000}, Rule: func(p *sim.Packet) sim.Fate {
		since := p.Sent.Sub(sim.Start) - dark
		if p.From.Name != "R" || p.Flow.RemotePort != 81 || since < 0 {
			return sim.Fate{}
		}
		if since > 400*time.Millisecond {
			again++
		}
		return sim.Fate{Lost: again <= 3}
	}})
	var both []*sim.Bulk
	for _, port := range []uint16{80, 81} {
		tr, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: netip.AddrPortFrom(server.Addr(), port), Octets: 10_000_000, Every: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, tr)
	}
	w.RunFor(time.Minute)
	for i, tr := range both {
		r := tr.Result()
		if !tr.Done() || r.Wrong > 0 || r.Unexplained() > 0 || (len(r.Gaps) > 0) != (i == 1) || (r.Timeouts > 0) != (i == 1) {
			t.Errorf("transfer %d: %s", i, tr.Report())
		}
		sum := int64(0)
		for _, n := range r.Arrived {
			sum += n
		}
		if i == 0 && sum != r.Read+52*int64(r.Segments) {
			t.Errorf("transfer %d: %d octets of IP have arrived for %d of text", i, sum, r.Read)
		}
		if i == 1 && (len(r.Gaps) != 1 || r.Gaps[0].Lost != 2 || r.Gaps[0].Timeouts != 3) {
			t.Errorf("transfer %d: %s", i, tr.Report())
		}
	}
}

func TestBulkRefused(t *testing.T) {
	w, a, b := two(t, 1, sim.LinkConfig{})
	for name, cfg := range map[string]sim.BulkConfig{
		"to nobody":       {From: a, At: server},
		"to itself":       {From: a, To: a, At: server},
		"another World":   {From: a, To: sim.New(1).Host("C", stack.Config{}), At: server},
		"somebody else's": {From: b, To: a, At: server},
	} {
		if _, err := w.NewBulk(cfg); err == nil {
			t.Errorf("a transfer %s was begun", name)
		}
	}
}

// Some cells of the table, and some of its blackouts: each ends well, no gap is without a cause,
// and it is the same again. The numbers themselves are for make sim-check.
func TestSomeOfTheTable(t *testing.T) {
	slow(t)
	for _, cc := range controls {
		for _, c := range []cell{
			{cc, 1 * time.Millisecond, 10, 0, 0},
			{cc, 20 * time.Millisecond, 10, 1, 0},
			{cc, 20 * time.Millisecond, 100, 5, 5},
			{cc, 100 * time.Millisecond, 1000, 3, 5},
		} {
			row, b := c.run(t)
			if again, _ := c.run(t); again != row {
				t.Errorf("two lives of one seed differ:\n%s%s%s", rowHead, row, again)
			}
			r := b.Result()
			if share := r.Goodput() / float64(c.mbit) / 1e6; c.loss+c.reorder == 0 && share < 0.95 {
				t.Errorf("a path without loss is not filled:\n%s%s", rowHead, row)
			}
		}
		for _, d := range []dark{{cc, 10, "both", 100 * time.Millisecond}, {cc, 10, "acks", 3 * time.Second}, {cc, 10, "hold", time.Second}} {
			row, _ := d.run(t)
			if strings.Contains(row, " - ") {
				t.Errorf("the path is not filled again:%s%s", darkHead, row)
			}
			if again, _ := d.run(t); again != row {
				t.Errorf("two lives of one seed differ:\n%s%s", row, again)
			}
		}
	}
}

// The table has a row for each cell, and each cell is of the axes that the heading names.
func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cells() {
		seen[fmt.Sprint(c.cc.name, c.rtt, c.mbit, c.loss, c.reorder)] = true
	}
	if want := len(controls) * 3 * 3 * 5 * 2; len(seen) != want {
		t.Errorf("%d cells; want %d", len(seen), want)
	}
}
