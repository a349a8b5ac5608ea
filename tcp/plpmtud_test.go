package tcp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// probing is a connection that has begun with packets of 1200 octets and has sent its initial window:
// a probe of the link's 1500 octets, and eight segments behind it. Text begins at 1001.
func probing(t *testing.T, options string) (p *peer, steps *[]tcp.Rule) {
	t.Helper()
	p = established(t, setup{syn: "<MSS=1460><WS=4>" + options, rtt: 100 * time.Millisecond,
		cfg: tcp.Config{SendBuffer: 1 << 22, Congestion: tcp.NewReno, MTUProbing: tcp.MTUProbeAlways}})
	steps = new([]tcp.Rule)
	p.cfg.Trace.PathMTU = func(_ tcp.Observed, _ tcp.Time, _ int, rule tcp.Rule) { *steps = append(*steps, rule) }
	p.send(p.ack(1001)) // whose window, unlike a SYN's, is scaled
	p.write(1 << 20)
	out := texts(p.taken())
	p.must(fmt.Sprint(out) == "[1460 1160 1160 1160 1160 1160 1160 1160 1160]", "a probe goes, and behind it whole segments of what is known to pass: %v", out)
	p.wait(100 * time.Millisecond)
	p.must(len(p.taken()) == 0, "and nothing more for a round trip")
	return p, steps
}

// The end of the probe, and of all that probing has sent.
const probeEnd, flightEnd = 1001 + 1460, 1001 + 1460 + 8*1160

// largest returns the longest text of what has been sent, and how many octets below end went again.
func largest(out []sent, end seq.Num) (most, again int) {
	for _, s := range out {
		most = max(most, len(s.Text))
		if s.Seq.Less(end) {
			again += len(s.Text)
		}
	}
	return most, again
}

// A probe is delivered: RFC 4821 section 7.6.1. "Whenever the MTU is raised, the congestion state
// variables MUST be rescaled so as not to raise the window size in bytes".
func TestMTUProbePasses(t *testing.T) {
	for _, options := range []string{"<SACKOK>", ""} {
		p, steps := probing(t, options)
		before := p.c.Status().Cwnd
		p.send(p.ack(probeEnd))
		st := p.c.Status()
		p.must(st.PathMTU == 1500 && st.MSS == 1460 && st.MTUState == tcp.PathMTUSearchComplete, "packets have 1500 octets from now on: %d, %v", st.PathMTU, st.MTUState)
		p.must(st.Cwnd <= before+1460, "the window is what it was, and what the ACK adds: %d", st.Cwnd)
		p.must(p.c.TakeSignals()&tcp.SignalPathMTU != 0, "the owner is told")
		most, again := largest(p.taken(), flightEnd)
		p.must(most == 1460 && again == 0, "what follows is as large: %d", most)
		p.must(slices.Equal(*steps, []tcp.Rule{tcp.RuleMTUProbe, tcp.RuleMTUProbePassed, tcp.RuleMTUComplete}), "steps: %v", *steps)
	}
}

// "When only the probe is lost, it is treated as an indication that the Path MTU is smaller than the
// probe size. In this case alone, the loss SHOULD NOT be interpreted as congestion signal", RFC 4821
// section 7.6.2. What it carried goes again in segments that pass, and the next probe waits for as many
// round trips as cwnd has packets.
func TestMTUProbeLostAlone(t *testing.T) {
	for _, options := range []string{"<SACKOK>", "<SACKOK><TS=1,0>", ""} {
		p := func() *peer {
			if options == "<SACKOK><TS=1,0>" {
				p := established(t, setup{syn: "<MSS=1472><WS=4>" + options, rtt: 100 * time.Millisecond,
					cfg: tcp.Config{SendBuffer: 1 << 22, Congestion: tcp.NewReno, MTUProbing: tcp.MTUProbeAlways}})
				p.send(p.ack(1001))
				p.write(1 << 20)
				p.wait(100 * time.Millisecond)
				return p
			}
			p, _ := probing(t, options)
			return p
		}()
		sent := p.taken()
		end := p.c.Status().SndNxt
		probe := seq.Num(probeEnd)
		if len(sent) > 0 {
			probe = sent[0].End()
		}
		before := p.c.Status()
		if options == "" {
			for range 8 {
				p.send(p.ack(1001))
			}
		} else {
			p.sack(1001, probe, end)
		}
		st := p.c.Status()
		p.must(!st.Recovering && st.Recoveries == 0 && st.Cwnd >= before.Cwnd && st.Ssthresh == before.Ssthresh,
			"%s: the loss of a probe is no sign of congestion: cwnd %d, before %d; ssthresh %d", options, st.Cwnd, before.Cwnd, st.Ssthresh)
		most, again := largest(p.taken(), end)
		size := int(probe - 1001)
		p.must(most == size-300 && again == size && st.Retransmitted == uint64(size), "%s: its text goes again once, in segments that pass: %d octets, the largest has %d", options, again, most)
		p.must(st.MTUProbesLost == 1 && st.PathMTU == 1200, "%s: the MTU is what it was: %d", options, st.PathMTU)
		lost := p.now
		packets := st.Cwnd / st.MSS
		p.cfg.Trace.PathMTU = nil
		for n := 0; p.c.Status().MTUProbes == 1; n++ {
			p.must(n < 1000, "%s: there is no second probe", options)
			p.ackAll()
			p.wait(100 * time.Millisecond)
			p.taken()
			p.write(1 << 20)
		}
		p.must(p.now.Sub(lost) > time.Duration(packets)*100*time.Millisecond, "%s: the next probe waits for %d round trips: %v", options, packets, p.now.Sub(lost))
	}
}

// "The presence of other losses near the loss of the probe may indicate that the probe was lost due to
// congestion": RFC 4821 section 7.6.4. cwnd falls, and the same size is tried again after the recovery.
func TestMTUProbeInconclusive(t *testing.T) {
	p, steps := probing(t, "<SACKOK>")
	p.sack(1001, probeEnd+1160, flightEnd)
	st := p.c.Status()
	p.must(st.Recovering && st.PathMTU == 1200, "two segments are lost: that is congestion")
	most, _ := largest(p.taken(), flightEnd)
	p.must(most <= 1160, "nothing goes again at the size of the probe: %d", most)
	p.must((*steps)[len(*steps)-1] == tcp.RuleMTUInconclusive, "and says nothing of the path: %v", *steps)
	for p.c.Status().MTUProbes == 1 {
		p.wait(100 * time.Millisecond)
		p.ackAll()
	}
	most, _ = largest(p.taken(), flightEnd)
	p.must(most == 1460 && p.now.Sub(epoch) < time.Second, "after the recovery the same size is tried: %d octets, after %v", most, p.now.Sub(epoch))
}

// A probe that a timeout finds lost: cwnd falls, and "A time interval that is five times the non-timeout
// failure case [...] is RECOMMENDED", RFC 4821 section 7.6.3.
func TestMTUProbeTimeout(t *testing.T) {
	p, steps := probing(t, "<SACKOK>")
	packets := p.c.Status().Cwnd / p.c.Status().MSS
	for p.c.Status().Timeouts == 0 {
		p.next(time.Minute)
	}
	st := p.c.Status()
	most, again := largest(p.taken(), flightEnd)
	p.must(most <= 1160 && again > 0 && st.Cwnd == 1160 && st.MTUProbesLost == 1, "it is a timeout as any other: %d octets go, cwnd is %d", most, st.Cwnd)
	p.must((*steps)[len(*steps)-1] == tcp.RuleMTUProbeTimeout, "steps: %v", *steps)
	at := p.now
	for p.c.Status().MTUProbes == 1 {
		p.wait(100 * time.Millisecond)
		p.ackAll()
		p.write(1 << 20)
		p.must(p.now.Sub(at) < time.Minute, "there is another probe")
	}
	p.must(p.now.Sub(at) >= 5*time.Duration(packets)*100*time.Millisecond, "after five times %d round trips: %v", packets, p.now.Sub(at))
}

// After three probes of a size are lost it is too large: "loss of a single probe is not an indication
// of a PMTU problem", RFC 8899 section 5.1.3. Then common sizes are tried from below, RFC 4821 section
// 7.3, and at the end no packet is longer than what passes.
func TestMTUSearch(t *testing.T) {
	const carries = 1436
	p, _ := probing(t, "<SACKOK>")
	var sizes []int
	p.cfg.Trace.PathMTU = func(_ tcp.Observed, _ tcp.Time, mtu int, rule tcp.Rule) {
		if rule == tcp.RuleMTUProbe {
			sizes = append(sizes, mtu)
		}
	}
	p.rec, p.wnd = nil, 2000 // times 16: cwnd stays small, and the time between probes
	p.sack(1001, probeEnd, flightEnd)
	next, beyond := seq.Num(1001), map[seq.Num]seq.Num{probeEnd: flightEnd} // what the peer has
	for round := 0; p.c.Status().MTUState == tcp.PathMTUSearching; round++ {
		p.must(round < 5000, "the search ends: %v", sizes)
		out := p.taken()
		p.wait(100 * time.Millisecond)
		for _, s := range out {
			if len(s.Text)+40 > carries {
				continue
			}
			p.wait(10 * time.Microsecond)
			beyond[s.Seq] = s.End()
			for end := beyond[next]; end != 0; end = beyond[next] {
				delete(beyond, next)
				next = end
			}
			if len(beyond) == 0 {
				p.send(p.ack(next))
			} else {
				p.sack(next, s.Seq, s.End())
			}
		}
		p.write(1 << 20)
	}
	st := p.c.Status()
	p.must(st.PathMTU <= carries && st.PathMTU > carries-17, "what is found is near %d: %d; by %v", carries, st.PathMTU, sizes)
	p.must(fmt.Sprint(sizes[:6]) == "[1500 1500 1280 1400 1420 1440]", "the sizes tried: %v", sizes)
	p.must(st.Recoveries == 0 && st.Timeouts == 0, "without a recovery: %d, %d", st.Recoveries, st.Timeouts)
}

// A Packet Too Big message about a probe is a hint, RFC 8899 section 4.6.2: "The PLPMTU continues to be
// valid", and the size is what is probed next. One about anything else, or that cannot be, is nothing.
func TestMTUProbeTooBig(t *testing.T) {
	p, _ := probing(t, "<SACKOK>")
	for _, forged := range []struct {
		quoted seq.Num
		mtu    int
	}{{1000, 1400}, {probeEnd, 1400}, {flightEnd, 1400}, {1001, 1500}, {1001, 9000}} {
		p.must(!p.c.PacketTooBig(p.now, forged.quoted, forged.mtu), "%v is not believed", forged)
	}
	p.flush()
	p.must(len(p.taken()) == 0, "and draws nothing")
	before := p.c.Status()
	p.must(p.c.PacketTooBig(p.now, 1001, 1400), "one about the probe is")
	p.flush()
	most, again := largest(p.taken(), flightEnd)
	st := p.c.Status()
	p.must(st.PathMTU == 1200 && st.Cwnd == before.Cwnd && most == 1160 && again == 1460, "nothing changes but that the probe's text goes again: %d octets, the largest %d", again, most)
	p.ackAll()
	most, _ = largest(p.taken(), flightEnd)
	p.must(most == 1360 && p.c.Status().MTUProbes == 2, "and its size is probed next: %d", most)
	p.wait(100 * time.Millisecond)
	p.ackAll()
	st = p.c.Status()
	p.must(st.PathMTU == 1400 && st.MTUState == tcp.PathMTUSearchComplete, "that ends the search: %d, %v", st.PathMTU, st.MTUState)
}

// What a message has lowered (RFC 8201 section 4) grows again when the path does: after ten minutes, by
// a probe. Forged messages never lower it below the floor, however many there are.
func TestMTULoweredByAMessageGrowsAgain(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		floor, header := 576, 40
		if v6 {
			floor, header = 1280, 60
		}
		p := established(t, setup{v6: v6, syn: fmt.Sprintf("<MSS=%d><WS=4><SACKOK>", 1500-header), rtt: 100 * time.Millisecond, cfg: tcp.Config{SendBuffer: 1 << 22, UserTimeout: -1}})
		p.rec = nil
		p.send(p.ack(1001))
		p.write(20_000)
		for mtu := 1400; mtu >= 0; mtu -= 100 {
			p.c.PacketTooBig(p.now, p.c.Status().SndUna, mtu)
			p.flush()
			p.must(p.c.Status().PathMTU >= floor, "path MTU %d", p.c.Status().PathMTU)
		}
		start := p.now
		for p.c.Status().PathMTU == floor && p.now.Sub(start) < 11*time.Minute {
			p.write(20_000)
			for range 10 {
				p.wait(100 * time.Millisecond)
				p.ackAll()
			}
			p.taken()
			p.wait(9 * time.Second)
		}
		took := p.now.Sub(start)
		p.must(took >= 5*time.Minute && took <= 11*time.Minute, "after %v a probe has found more", took)
		for range 20 {
			p.write(20_000)
			p.wait(100 * time.Millisecond)
			p.ackAll()
		}
		p.must(p.c.Status().PathMTU == 1500, "and in the end all there is: %d", p.c.Status().PathMTU)
	}
}

// The black hole, step by step: RFC 4821 section 7.7. After two retransmissions of the whole segment a
// small part of it goes. If that is acknowledged and no more, the MTU falls; one more segment of the old
// size goes, to see whether the path was only dark, and the rest in small ones.
func TestBlackHoleStepByStep(t *testing.T) {
	for _, tc := range []struct {
		name  string
		whole bool // arrives
	}{{"a black hole", false}, {"a path that was dark", true}} {
		p := established(t, setup{syn: "<MSS=1460><WS=4><SACKOK>", rtt: 20 * time.Millisecond, cfg: tcp.Config{SendBuffer: 1 << 22}})
		p.send(p.ack(1001))
		p.write(14600)
		p.taken()
		p.wait(1700 * time.Millisecond)
		out := p.taken()
		least := out[len(out)-1]
		p.must(p.c.Status().Timeouts == 3 && least.Seq == 1001 && len(least.Text) == 576-40 && p.c.Status().PathMTU == 1500,
			"%s: at the third timeout the least that every path carries goes, and nothing is believed yet: %v", tc.name, texts(out))
		p.wait(20 * time.Millisecond)
		p.send(p.ack(1537))
		out = p.taken()
		p.must(fmt.Sprint(texts(out)) == "[1460 536]" && out[0].Seq == 1537, "%s: then once more a whole one, and a small one: %v", tc.name, texts(out))
		st := p.c.Status()
		p.must(st.PathMTU == 576 && st.MTUState == tcp.PathMTUBase, "%s: the state is BASE: %v, %d octets", tc.name, st.MTUState, st.PathMTU)
		p.wait(20 * time.Millisecond)
		if tc.whole {
			p.send(p.ack(1537 + 1460 + 536))
			st = p.c.Status()
			most, _ := largest(p.taken(), 20000)
			p.must(st.PathMTU == 1500 && st.MTUState == tcp.PathMTUSearchComplete && most == 1460, "%s: all is as before: %d octets, %v", tc.name, st.PathMTU, st.MTUState)
			continue
		}
		p.sack(1537, 1537+1460, 1537+1460+536)
		out = p.taken()
		most, _ := largest(out, 20000)
		st = p.c.Status()
		p.must(len(out) > 0 && out[0].Seq == 1537 && most == 536 && st.MTUProbesLost == 1, "%s: the whole one is lost, and goes in small ones: %v", tc.name, texts(out))
		for range 20 {
			p.wait(20 * time.Millisecond)
			p.ackAll()
			most, _ = largest(p.taken(), 20000)
			p.must(most <= 536, "%s: nothing larger goes: %d", tc.name, most)
		}
		p.must(p.c.Status().Unacknowledged == 0 && p.c.Status().PathMTU == 576, "%s: all arrives", tc.name)
		for p.c.Status().MTUProbes == 1 { // new text, and BASE is probed
			p.write(20000)
			p.wait(20 * time.Millisecond)
			p.ackAll()
			p.must(p.now.Sub(epoch) < 10*time.Second, "%s: 1200 octets are probed", tc.name)
		}
		most, _ = largest(p.taken(), 20000)
		p.must(most == 1160, "%s: 1200 octets are probed: %d of text", tc.name, most)
		p.wait(20 * time.Millisecond)
		p.ackAll()
		p.must(p.c.Status().PathMTU == 1200 && p.c.Status().MTUState == tcp.PathMTUSearching, "%s: they pass: %v", tc.name, p.c.Status().MTUState)
	}
}

// What is no black hole: that more is acknowledged than the small part, that nothing is, or that all
// segments are small anyway; nor is it asked with MTUProbeOff.
func TestWhatIsNoBlackHole(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><WS=4><SACKOK>", rtt: 20 * time.Millisecond})
	p.send(p.ack(1001))
	p.write(14600)
	p.wait(1700 * time.Millisecond)
	p.send(p.ack(1001 + 1460)) // the original had arrived
	p.must(p.c.Status().PathMTU == 1500 && p.c.Status().MTUProbes == 0, "the whole segment has arrived: %d", p.c.Status().PathMTU)

	p = established(t, setup{syn: "<MSS=1460><WS=4><SACKOK>", rtt: 20 * time.Millisecond})
	p.send(p.ack(1001))
	p.write(14600)
	p.taken()
	p.wait(2 * time.Minute)
	var lens []int
	for _, s := range p.taken() {
		if s.Seq == 1001 {
			lens = append(lens, len(s.Text))
		}
	}
	p.must(fmt.Sprint(lens) == "[1460 1460 536 1460 536 1460 536 1460 536]" && p.c.Status().PathMTU == 1500, "while nothing passes every other question is whole, and nothing is lowered: %v", lens)

	for _, s := range []setup{
		{syn: "<MSS=536><SACKOK>"}, // it fits every path
		{syn: "<MSS=1460><SACKOK>", cfg: tcp.Config{MTUProbing: tcp.MTUProbeOff}},
		{syn: "<MSS=1220><SACKOK>", v6: true},
	} {
		p = established(t, s)
		p.write(5000)
		size := len(p.taken()[0].Text)
		p.wait(time.Minute)
		for _, s := range p.taken() {
			p.must(len(s.Text) >= min(size, 5000%size), "%v is as large as ever", &s.Segment)
		}
		p.must(p.c.Status().PathMTU == 1500, "nothing is lowered")
	}
}

// Where ACKs free no more than a segment at a time new text waits until there is room for the probe:
// "Protocols MAY delay sending non-probes in order to accumulate enough data", RFC 4821 section 7.4.
func TestTextWaitsForTheProbe(t *testing.T) {
	p, _ := probing(t, "<SACKOK>")
	p.wnd = 8 * 1160 / 16 // eight segments, less than cwnd
	p.sack(1001, probeEnd, flightEnd)
	p.wait(100 * time.Millisecond)
	una := p.c.Status().SndNxt
	p.send(p.ack(una))
	for n := 0; p.c.Status().MTUProbes == 1; n++ {
		p.must(n < 1000, "the second probe goes")
		una = seq.Min(una.Add(1160), p.c.Status().SndNxt)
		p.must(p.c.Status().Unacknowledged > 2000, "and meanwhile ACKs are to come: %d octets are in flight", p.c.Status().Unacknowledged)
		p.wait(17 * time.Millisecond)
		p.send(p.ack(una))
	}
	p.must(p.c.Status().Timeouts == 0, "without a timeout")
}

// Small windows and little text are no room for a probe, and nothing waits for it.
func TestNoProbeWithoutRoom(t *testing.T) {
	for name, s := range map[string]setup{
		"a small window": {wnd: 3000, syn: "<MSS=1460><SACKOK>"},
		"little text":    {syn: "<MSS=1460><SACKOK>"},
	} {
		s.cfg = tcp.Config{MTUProbing: tcp.MTUProbeAlways, NoDelay: true}
		p := established(t, s)
		total := 0
		for range 20 {
			n := p.write(3000)
			p.must(n == 3000, "%s: SEND takes it", name)
			for unsent := 1; unsent > 0; unsent = int(p.c.Status().Unsent) {
				p.wait(10 * time.Millisecond)
				p.ackAll()
			}
			most, _ := largest(p.taken(), 0)
			p.must(most <= 1160, "%s: nothing is larger than what passes: %d", name, most)
			total += n
		}
		p.must(p.c.Status().MTUProbes == 0 && p.c.Status().SndUna == seq.Num(1001+total), "%s: %d probes", name, p.c.Status().MTUProbes)
	}
}

// The states have the names of RFC 8899 section 5.2.
func TestPathMTUStateNames(t *testing.T) {
	for s, want := range map[tcp.PathMTUState]string{
		tcp.PathMTUDisabled: "DISABLED", tcp.PathMTUBase: "BASE", tcp.PathMTUSearching: "SEARCHING",
		tcp.PathMTUSearchComplete: "SEARCH_COMPLETE", tcp.PathMTUError: "ERROR",
	} {
		if s.String() != want {
			t.Errorf("%v; want %s", s, want)
		}
	}
}
