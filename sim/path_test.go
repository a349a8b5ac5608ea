package sim_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// packetOf makes a TCP packet of n octets with an ECN field.
func packetOf(t testing.TB, n int, ecn uint8, v6 bool) []byte {
	t.Helper()
	flow := wire.Flow{Local: wire.AddrFrom(netip.MustParseAddr("10.0.0.1")), Remote: wire.AddrFrom(netip.MustParseAddr("10.0.0.2")), LocalPort: 5000, RemotePort: 80}
	head := wire.IPv4HeaderLen + wire.TCPHeaderLen
	if v6 {
		flow.Local, flow.Remote = wire.AddrFrom(netip.MustParseAddr("fd00::1")), wire.AddrFrom(netip.MustParseAddr("fd00::2"))
		head = wire.IPv6HeaderLen + wire.TCPHeaderLen
	}
	b := wire.AppendSegment(nil, &flow, &wire.Segment{Seq: 1, Flags: wire.ACK, TC: ecn, HopLimit: 64, Text: make([]byte, n-head)}, wire.ChecksumNone)
	if len(b) != n {
		t.Fatalf("a packet of %d octets; want %d", len(b), n)
	}
	return b
}

func newPath(t testing.TB, seed uint64, cfg sim.PathConfig) *sim.Path {
	t.Helper()
	p, err := sim.NewPath(cfg, sim.Start, rand.New(rand.NewPCG(seed, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// out is what has come out of a path: of the n-th packet that went in.
type out struct {
	n    int
	at   time.Duration // since the start
	loss sim.Loss
}

func (o out) String() string { return fmt.Sprintf("{%d %v %v}", o.n, o.at, o.loss) }

// feeder puts packets in and notes what comes out, each at its deadline.
type feeder struct {
	t    testing.TB
	path *sim.Path
	n    int
	now  tcp.Time
	got  []out
	last []sim.Parcel // as they came out
}

func (f *feeder) until(now tcp.Time) {
	for f.path.Deadline() <= now {
		at := f.path.Deadline()
		if at < f.now {
			f.t.Fatalf("the deadline at %v is told at %v", at, f.now)
		}
		for {
			d, ok := f.path.Take(at)
			if !ok {
				break
			}
			if d.At != at {
				f.t.Fatalf("it came out at %v and says %v", at, d.At)
			}
			n, _ := d.Tag.(int)
			f.got = append(f.got, out{n, at.Sub(sim.Start), d.Loss})
			f.last = append(f.last, *d.Parcel)
		}
	}
}

func (f *feeder) put(at time.Duration, b []byte) {
	now := sim.Start.Add(at)
	f.until(now - 1)
	f.n++
	f.now = now
	f.path.Put(now, &sim.Parcel{Bytes: b, Fate: f.path.Draw(), Tag: f.n})
}

func (f *feeder) finish() []out {
	f.until(tcp.Never - 1)
	return f.got
}

func (f *feeder) count(why sim.Loss) (n int) {
	for _, o := range f.got {
		if o.loss == why {
			n++
		}
	}
	return n
}

// A rate sends packets whole, one after the other: the n-th leaves after n times what one takes,
// and arrives a delay later. What is no whole nanosecond adds up.
func TestRate(t *testing.T) {
	for _, rate := range []int64{1_000, 10_000_000, 1_000_000_000, 3_333_333, 7} {
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: rate, Delay: delay})}
		b := packetOf(t, 1250, 0, false)
		const n = 999
		for range n {
			f.put(0, b)
		}
		got := f.finish()
		if len(got) != n {
			t.Fatalf("rate %d: %d packets came out", rate, len(got))
		}
		for i, o := range got {
			want := delay + time.Duration(float64(i+1)*10_000/float64(rate)*1e9)
			if o.n != i+1 || (o.at-want).Abs() > 1+want/1e12 {
				t.Fatalf("rate %d: packet %d came out as number %d after %v; want %v", rate, o.n, i+1, o.at, want)
			}
		}
	}
}

// After a pause the transmitter begins anew, and a packet that waits only for part of one is
// that much later.
func TestRateAfterAPause(t *testing.T) {
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 1_000_000, Delay: time.Millisecond})}
	b := packetOf(t, 125, 0, false) // 1 ms
	for _, at := range []time.Duration{0, 5_000_000, 5_300_000, 6_000_000, 20_000_000} {
		f.put(at, b)
	}
	if got, want := fmt.Sprint(f.finish()), "[{1 2ms not lost} {2 7ms not lost} {3 8ms not lost} {4 9ms not lost} {5 22ms not lost}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The queue holds its limit and no octet more, the packet that is being sent not counted.
func TestQueueLimit(t *testing.T) {
	b := packetOf(t, 1000, 0, false)
	for limit, want := range map[int]int{0: 20, 999: 1, 1000: 2, 9_999: 10, 10_000: 11} {
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Queue: sim.QueueConfig{Limit: limit}})}
		for range 20 {
			f.put(0, b)
		}
		f.finish()
		if got := f.count(sim.NotLost); got != want || f.count(sim.LossInQueue) != 20-want {
			t.Errorf("limit %d: %d of 20 arrive; want %d", limit, got, want)
		}
		if most := f.path.Stats().MostQueued; most != (want-1)*1000 {
			t.Errorf("limit %d: %d octets have waited", limit, most)
		}
		for i, o := range f.got { // the last are dropped, at once
			if o.loss != sim.NotLost && (o.at != 0 || o.n <= want) {
				t.Errorf("limit %d: %d: packet %d was lost at %v", limit, i, o.n, o.at)
			}
		}
	}
}

// within fails the test unless k of n lies within five deviations of the share.
func within(t *testing.T, what string, k, n int, share float64) {
	t.Helper()
	mean, dev := share*float64(n), math.Sqrt(float64(n)*share*(1-share))
	if math.Abs(float64(k)-mean) > 5*dev {
		t.Errorf("%s: %d of %d; want %.0f, give or take %.0f", what, k, n, mean, 5*dev)
	}
}

// Shares are what they say.
func TestShares(t *testing.T) {
	const n = 20_000
	b := packetOf(t, 100, 0, false)
	for _, share := range []float64{0, 0.001, 0.05, 0.5, 1} {
		for seed := range uint64(3) {
			f := feeder{t: t, path: newPath(t, seed, sim.PathConfig{Delay: delay, Loss: share, Duplicate: share / 2, Corrupt: share / 3,
				Reorder: share / 4, ReorderBy: delay})}
			late, copies, damaged, sum := 0, 0, 0, time.Duration(0)
			for i := range n {
				f.put(time.Duration(i), b)
			}
			seen := map[int]bool{}
			for _, o := range f.finish() {
				if o.loss == sim.LossByChance {
					if at := time.Duration(o.n-1) + delay/2; o.at != at {
						t.Fatalf("packet %d is lost at %v; want on the way, %v", o.n, o.at, at)
					}
					continue
				}
				if seen[o.n] {
					copies++
					continue
				}
				seen[o.n] = true
				over := o.at - time.Duration(o.n-1) - delay
				sum += over
				switch {
				case over < 0 || over > delay:
					t.Fatalf("packet %d took %v more than the delay", o.n, over)
				case over > 0:
					late++
				}
			}
			for _, p := range f.last {
				if p.Fate.Damaged && !p.Fate.Lost {
					damaged++
					wrong := 0
					for i := range b {
						if d := p.Bytes[i] ^ b[i]; d != 0 {
							wrong++
							if d&(d-1) != 0 {
								t.Fatal("more than one bit is wrong")
							}
						}
					}
					if wrong != 1 {
						t.Fatalf("%d octets are wrong", wrong)
					}
				}
			}
			name := fmt.Sprintf("share %v, seed %d", share, seed)
			arrived := len(seen)
			within(t, name+": lost", f.count(sim.LossByChance), n, share)
			within(t, name+": doubled", copies, arrived, share/2)
			within(t, name+": damaged", damaged, arrived+copies, share/3)
			within(t, name+": late", late, arrived, share/4)
			if mean := sum / time.Duration(max(late, 1)); late > 500 && (mean-delay/2).Abs() > delay/10 {
				t.Errorf("%s: late packets are so by %v in the mean; want %v", name, mean, delay/2)
			}
			if f.path.Stats().Arrived != arrived+copies {
				t.Errorf("%s: the counters say %+v", name, f.path.Stats())
			}
		}
	}
}

// Bursts of the Gilbert-Elliott model have the length and the share that its chain has: 1/ToGood,
// and ToBad/(ToBad+ToGood) of all packets are in the bad state.
func TestBursts(t *testing.T) {
	const n = 200_000
	b := packetOf(t, 100, 0, false)
	for _, c := range []sim.GilbertElliott{
		{ToBad: 0.01, ToGood: 0.25, LossBad: 1},
		{ToBad: 0.01, ToGood: 0.1, LossBad: 1},
		{ToBad: 0.05, ToGood: 0.5, LossBad: 1},
	} {
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Burst: c})}
		for i := range n {
			f.put(time.Duration(i), b)
		}
		lost, bursts, last := 0, 0, 0
		for _, o := range f.finish() {
			if o.loss == sim.LossByChance {
				lost++
				if o.n != last+1 {
					bursts++
				}
				last = o.n
			}
		}
		if mean := float64(lost) / float64(bursts); math.Abs(mean*c.ToGood-1) > 0.1 {
			t.Errorf("%+v: bursts are %.2f long in the mean; want %.2f", c, mean, 1/c.ToGood)
		}
		if share, want := float64(lost)/n, c.ToBad/(c.ToBad+c.ToGood); math.Abs(share/want-1) > 0.15 {
			t.Errorf("%+v: %.4f are lost; want %.4f", c, share, want)
		}
	}
	// Loss in both states, and none that changes.
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Burst: sim.GilbertElliott{ToBad: 0.1, ToGood: 0.3, LossGood: 0.02, LossBad: 0.4}})}
	for i := range n {
		f.put(time.Duration(i), b)
	}
	f.finish()
	if share, want := float64(f.count(sim.LossByChance))/n, 0.75*0.02+0.25*0.4; math.Abs(share/want-1) > 0.1 {
		t.Errorf("%.4f are lost; want %.4f", share, want)
	}
}

// Jitter is spread over its range. It keeps the order, or not, as the config says.
func TestJitter(t *testing.T) {
	const n = 10_000
	b := packetOf(t, 100, 0, false)
	for _, reorders := range []bool{false, true} {
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Delay: delay, Jitter: 4 * time.Millisecond, JitterReorders: reorders})}
		for i := range n {
			f.put(time.Duration(i)*10*time.Millisecond, b) // too far apart to meet
		}
		sum := time.Duration(0)
		for _, o := range f.finish() {
			over := o.at - time.Duration(o.n-1)*10*time.Millisecond - delay
			if over < 0 || over > 4*time.Millisecond {
				t.Fatalf("jitter of %v", over)
			}
			sum += over
		}
		if mean := sum / n; (mean - 2*time.Millisecond).Abs() > 50*time.Microsecond {
			t.Errorf("the mean jitter is %v; want 2 ms", mean)
		}
		f = feeder{t: t, path: newPath(t, 1, sim.PathConfig{Delay: delay, Jitter: 4 * time.Millisecond, JitterReorders: reorders})}
		for i := range n {
			f.put(time.Duration(i)*time.Millisecond, b)
		}
		overtaken, last := 0, 0
		for _, o := range f.finish() {
			if o.n < last {
				overtaken++
			}
			last = max(last, o.n)
		}
		if (overtaken > 0) != reorders {
			t.Errorf("reorders: %v, and %d packets were overtaken", reorders, overtaken)
		}
	}
}

// The edges of a blackout are exact, and what happens in it is as its config says.
func TestBlackouts(t *testing.T) {
	const ms = time.Millisecond
	b := packetOf(t, 125, 0, false) // 1 ms at 1 Mbit/s
	dark := []sim.Blackout{{From: 100 * ms, For: 50 * ms}, {From: 10 * ms, For: 5 * ms}}
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Delay: 3 * ms, Blackouts: dark})}
	for _, at := range []time.Duration{10*ms - 1, 10 * ms, 15*ms - 1, 15 * ms, 100*ms - 1, 100 * ms, 150*ms - 1, 150 * ms} {
		f.put(at, b)
	}
	want := "[{2 10ms in a blackout} {1 12.999999ms not lost} {3 14.999999ms in a blackout} {4 18ms not lost} " +
		"{6 100ms in a blackout} {5 102.999999ms not lost} {7 149.999999ms in a blackout} {8 153ms not lost}]"
	if got := fmt.Sprint(f.finish()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, hold := range []bool{false, true} {
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 1_000_000, Delay: 3 * ms, Blackouts: []sim.Blackout{{From: 2 * ms, For: 3 * ms, Hold: hold}}})}
		for range 6 {
			f.put(0, b)
		}
		// The last bit of the n-th leaves at n ms: 2, 3 and 4 in the dark.
		want := "[{2 2ms in a blackout} {3 3ms in a blackout} {1 4ms not lost} {4 4ms in a blackout} {5 8ms not lost} {6 9ms not lost}]"
		if hold { // the second is sent anew from 5 ms on
			want = "[{1 4ms not lost} {2 9ms not lost} {3 10ms not lost} {4 11ms not lost} {5 12ms not lost} {6 13ms not lost}]"
		}
		if got := fmt.Sprint(f.finish()); got != want {
			t.Errorf("hold %v: got  %s\nwant %s", hold, got, want)
		}
	}
	// Without a rate what comes in the dark waits too.
	f = feeder{t: t, path: newPath(t, 1, sim.PathConfig{Delay: 3 * ms, Blackouts: []sim.Blackout{{From: 2 * ms, For: 3 * ms, Hold: true}}})}
	for i := range 6 {
		f.put(time.Duration(i)*ms, b)
	}
	if got, want := fmt.Sprint(f.finish()), "[{1 3ms not lost} {2 4ms not lost} {3 8ms not lost} {4 8ms not lost} {5 8ms not lost} {6 8ms not lost}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What is longer than the path's MTU vanishes.
func TestBlackHole(t *testing.T) {
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 1_000_000, MTU: 1300})}
	for _, n := range []int{1299, 1300, 1301, 1500} {
		f.put(0, packetOf(t, n, 0, false))
	}
	f.finish()
	if f.count(sim.NotLost) != 2 || f.count(sim.LossTooLong) != 2 {
		t.Errorf("%v", f.got)
	}
}

// Rules and queues mark what is ECN-capable alone; the header's checksum fits, the octets given
// stay as they are, and the TCP checksum holds.
func TestMark(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for ecn := range uint8(4) {
			const dscp = 0xb8
			b := packetOf(t, 200, dscp|ecn, v6)
			before := bytes.Clone(b)
			p := newPath(t, 1, sim.PathConfig{})
			parcel := &sim.Parcel{Bytes: b, Fate: sim.Fate{Marked: true, Copies: 1}}
			p.Put(sim.Start, parcel)
			for range 2 {
				d, ok := p.Take(tcp.Never - 1)
				var ip wire.IP
				if fault := wire.ParseIP(d.Bytes, &ip); !ok || fault != wire.FaultNone {
					t.Fatalf("fault %v", fault)
				}
				want := uint8(3)
				if ecn == 0 {
					want = 0
				}
				if ip.TC != dscp|want || d.Fate.Marked != (ecn != 0) {
					t.Errorf("version 6 %v: traffic class %#x went in, %#x comes out, marked %v", v6, dscp|ecn, ip.TC, d.Fate.Marked)
				}
				if wire.VerifyTCP(&ip, wire.ChecksumNone) != wire.FaultNone {
					t.Error("the TCP checksum is wrong")
				}
			}
			if !bytes.Equal(b, before) {
				t.Error("the octets given were changed")
			}
		}
	}
}

// A bit that is turned over is found out by a checksum, whichever it is; twice it is not turned back.
func TestDamage(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		b := packetOf(t, 100, 2, v6)
		for bit := range 8*len(b) + 5 {
			p := newPath(t, 1, sim.PathConfig{})
			p.Put(sim.Start, &sim.Parcel{Bytes: b, Fate: sim.Fate{Damaged: true, Bit: bit, Copies: 1}})
			for range 2 {
				d, _ := p.Take(tcp.Never - 1)
				var ip wire.IP
				if wire.ParseIP(d.Bytes, &ip) == wire.FaultNone && ip.Proto == wire.ProtoTCP && wire.VerifyTCP(&ip, wire.ChecksumNone) == wire.FaultNone {
					t.Errorf("version 6 %v, bit %d: nobody finds it out", v6, bit)
				}
			}
		}
	}
}

// load puts packets at a rate of their own, in octets a second, for a time.
func (f *feeder) load(from, for_ time.Duration, rate int, b []byte) {
	gap := time.Second * time.Duration(len(b)) / time.Duration(rate)
	for at := from; at < from+for_; at += gap {
		f.put(at, b)
	}
}

// CoDel leaves a queue alone that does not stand: one under its target, a burst that is gone
// within the interval, and one of a single packet, however long that takes.
func TestCoDelLeavesAlone(t *testing.T) {
	const ms = time.Millisecond
	b := packetOf(t, 1000, 0, false)
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Queue: sim.QueueConfig{Kind: sim.CoDel}})} // 1 ms each
	for range 5 {
		f.put(0, b) // the last waits for 4 ms, and so do those that follow it
	}
	f.load(1*ms, 10*time.Second, 1_000_000, b)
	for range 90 {
		f.put(20*time.Second, b) // a burst that is gone after 90 ms
	}
	f.finish()
	if n := f.count(sim.LossByCoDel); n != 0 {
		t.Errorf("%d packets were dropped from a queue that did not stand", n)
	}
	f = feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 800_000, Queue: sim.QueueConfig{Kind: sim.CoDel}})} // 10 ms each
	f.put(0, b)
	f.load(1*ms, 10*time.Second, 100_000, b)
	f.finish()
	if n := f.count(sim.LossByCoDel); n != 0 {
		t.Errorf("%d packets were dropped that were alone in the queue", n)
	}
}

// standing keeps twenty packets waiting for a time from its start, at one a millisecond, and
// returns when packets were dropped or marked.
func standing(t *testing.T, f *feeder, from, for_ time.Duration, b []byte) (signals []time.Duration) {
	t.Helper()
	was := f.path.Stats()
	for at := from; at < from+for_; at += time.Millisecond {
		for again := true; again; {
			f.until(sim.Start.Add(at))
			st := f.path.Stats()
			for range st.Marked + st.Lost[sim.LossByCoDel] - was.Marked - was.Lost[sim.LossByCoDel] {
				signals = append(signals, at-from)
			}
			was = st
			again = f.n-st.Arrived-st.Lost[sim.LossByCoDel] < 20
			if again {
				f.put(at, b)
			}
		}
	}
	return signals
}

// A queue that stands above the target for an interval loses packets, or has them marked, more
// and more often: the n-th comes interval/sqrt(n) after the one before (RFC 8289 section 5). One that
// stands again soon after goes on where the law was.
func TestCoDelLaw(t *testing.T) {
	const ms = time.Millisecond
	for _, ecn := range []bool{false, true} {
		b := packetOf(t, 1000, 2, false)
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Queue: sim.QueueConfig{Kind: sim.CoDel, ECN: ecn}})}
		got := standing(t, &f, 0, 690*ms, b)
		// The first packet to have waited for the target is taken at 5 ms; an interval later it begins.
		var want []time.Duration
		for next, n := 105*ms, 1; next < 688*ms; n++ {
			want = append(want, next)
			next += time.Duration(float64(100*ms) / math.Sqrt(float64(n)))
		}
		if len(got) < 8 || len(got) != len(want) {
			t.Fatalf("ECN %v: signals at %v; want about %v", ecn, got, want)
		}
		for i := range want {
			if d := got[i] - want[i]; d < 0 || d > 2*ms {
				t.Errorf("ECN %v: signal %d at %v; want about %v", ecn, i+1, got[i], want[i])
			}
		}
		if st := f.path.Stats(); ecn != (st.Marked > 0) || ecn != (st.Lost[sim.LossByCoDel] == 0) {
			t.Errorf("ECN %v: %+v", ecn, st)
		}
		f.until(sim.Start.Add(800 * ms)) // the queue empties
		again := standing(t, &f, 800*ms, 300*ms, b)
		if len(again) < 3 || again[1]-again[0] > 40*ms {
			t.Errorf("ECN %v: the second time signals are at %v", ecn, again)
		}
		f.until(sim.Start.Add(10 * time.Second))
		if late := standing(t, &f, 10*time.Second, 300*ms, b); len(late) < 2 || late[1]-late[0] < 90*ms {
			t.Errorf("ECN %v: long after, signals are at %v", ecn, late)
		}
	}
}

// CoDel marks what is ECN-capable alone.
func TestCoDelMarks(t *testing.T) {
	cfg := sim.PathConfig{Rate: 8_000_000, Queue: sim.QueueConfig{Kind: sim.CoDel}}
	b, capable := packetOf(t, 1000, 0, false), packetOf(t, 1000, 2, false)
	cfg.Queue.ECN = true
	for name, b := range map[string][]byte{"capable": capable, "not capable": b} {
		f := feeder{t: t, path: newPath(t, 1, cfg)}
		f.load(0, time.Second, 1_100_000, b)
		f.finish()
		st := f.path.Stats()
		if st.Marked > 0 != (name == "capable") || st.Lost[sim.LossByCoDel] > 0 != (name != "capable") {
			t.Errorf("ECN-%s: %+v", name, st)
		}
		marked := 0
		for _, p := range f.last {
			var ip wire.IP
			if wire.ParseIP(p.Bytes, &ip) == wire.FaultNone && ip.TC&3 == 3 {
				marked++
			}
		}
		if marked != st.Marked {
			t.Errorf("%d packets say Congestion Experienced, %d were marked", marked, st.Marked)
		}
	}
}

// RED drops nothing while the mean is short, some between its thresholds, all above; with ECN it
// marks between them.
func TestRED(t *testing.T) {
	const ms = time.Millisecond
	q := sim.QueueConfig{Kind: sim.RED, Min: 10_000, Max: 30_000, MaxP: 0.1, Weight: 0.02}
	b := packetOf(t, 1000, 1, false)
	// run lets a queue of that length stand, and returns the share of the packets behind it that
	// are dropped or marked.
	run := func(length int, ecn bool) (dropped, marked float64) {
		q.ECN = ecn
		f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Queue: q})}
		was, n := sim.PathStats{}, 0
		waiting := 0
		for at := time.Duration(0); at < 20*time.Second; at += ms {
			f.until(sim.Start.Add(at))
			st := f.path.Stats()
			gone := st.Arrived + st.Lost[sim.LossByRED]
			if at == 2*time.Second {
				was, n = st, 0
			}
			for waiting = f.n - gone; waiting < length+1; waiting++ {
				f.put(at, b)
				n++
			}
		}
		f.finish()
		st := f.path.Stats()
		return float64(st.Lost[sim.LossByRED]-was.Lost[sim.LossByRED]) / float64(n), float64(st.Marked-was.Marked) / float64(n)
	}
	if d, m := run(8, true); d != 0 || m != 0 {
		t.Errorf("below the lower threshold %.3f are dropped, %.3f marked", d, m)
	}
	// In the middle p_b is 0.05, and a drop comes after 1 to 20 packets, evenly: 10.5 in the mean.
	if d, m := run(20, false); math.Abs(d-1/10.5) > 0.02 || m != 0 {
		t.Errorf("between them %.3f are dropped, %.3f marked; want 0.095", d, m)
	}
	if d, m := run(20, true); math.Abs(m-1/10.5) > 0.02 || d != 0 {
		t.Errorf("between them with ECN %.3f are dropped, %.3f marked; want 0.095", d, m)
	}
	if d, m := run(60, true); d < 0.3 {
		t.Errorf("above the upper threshold %.3f are dropped, %.3f marked", d, m)
	}
	// The mean falls while nothing comes: a burst after a pause finds a short queue.
	f := feeder{t: t, path: newPath(t, 1, sim.PathConfig{Rate: 8_000_000, Queue: q})}
	f.load(0, time.Second, 1_500_000, b)
	if n := f.path.Stats().Lost[sim.LossByRED]; n == 0 {
		t.Error("nothing was dropped from a queue that is too long")
	}
	f.until(sim.Start.Add(time.Minute))
	before := f.path.Stats()
	for range 9 {
		f.put(time.Minute, b)
	}
	f.finish()
	if after := f.path.Stats(); after.Lost != before.Lost || after.Marked != before.Marked {
		t.Errorf("after a minute without packets: %+v, then %+v", before, after)
	}
}

// What a path does does not depend on how late it is asked.
func TestPathAskedLate(t *testing.T) {
	cfg := sim.PathConfig{Rate: 8_000_000, Delay: 2 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Duplicate: 0.1,
		Reorder: 0.1, ReorderBy: 3 * time.Millisecond, Queue: sim.QueueConfig{Kind: sim.CoDel, Limit: 50_000},
		Blackouts: []sim.Blackout{{From: 100 * time.Millisecond, For: 10 * time.Millisecond}}}
	b := packetOf(t, 1000, 0, false)
	run := func(every time.Duration) (all []out) {
		p := newPath(t, 1, cfg)
		next := every
		take := func(now time.Duration) {
			for {
				d, ok := p.Take(sim.Start.Add(now))
				if !ok {
					return
				}
				n, _ := d.Tag.(int)
				all = append(all, out{n, d.At.Sub(sim.Start), d.Loss})
			}
		}
		for i := range 1000 {
			at := time.Duration(i) * 900 * time.Microsecond
			for ; next < at; next += every {
				take(next)
			}
			p.Put(sim.Start.Add(at), &sim.Parcel{Bytes: b, Fate: p.Draw(), Tag: i})
		}
		take(time.Hour)
		return all
	}
	want := run(time.Microsecond)
	for _, every := range []time.Duration{time.Millisecond, 17 * time.Millisecond, time.Hour} {
		if got := run(every); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("asked every %v a path did something else", every)
		}
	}
	kinds := map[sim.Loss]bool{}
	for _, o := range want {
		kinds[o.loss] = true
	}
	if len(kinds) != 5 {
		t.Errorf("only this happened: %v", kinds)
	}
}

// Deadline and Soonest are never late: whoever wakes then misses nothing but what is lost at once.
func TestDeadlineIsNeverLate(t *testing.T) {
	for name, cfg := range map[string]sim.PathConfig{
		"delay": {Delay: time.Millisecond},
		"rate":  {Delay: time.Millisecond, Rate: 8_000_000, Queue: sim.QueueConfig{Limit: 20_000}},
		"lossy": {Delay: 5 * time.Millisecond, Rate: 8_000_000, Loss: 0.2, Jitter: time.Millisecond, JitterReorders: true,
			Reorder: 0.2, ReorderBy: 3 * time.Millisecond, Duplicate: 0.1},
		"bursts": {Delay: time.Millisecond, Burst: sim.GilbertElliott{ToBad: 0.1, ToGood: 0.3, LossBad: 0.9}},
		"CoDel":  {Delay: 50 * time.Millisecond, Rate: 7_000_000, Queue: sim.QueueConfig{Kind: sim.CoDel}},
		"dark": {Delay: time.Millisecond, Rate: 8_000_000, Blackouts: []sim.Blackout{
			{From: 100 * time.Millisecond, For: 50 * time.Millisecond}, {From: 300 * time.Millisecond, For: 50 * time.Millisecond, Hold: true}}},
		"slower": {Delay: time.Millisecond, Rate: 8_000_000, Rates: []sim.RateChange{{From: 200 * time.Millisecond, Rate: 16_000_000}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &feeder{t: t, path: newPath(t, 1, cfg)} // which wants each at its deadline
			b := packetOf(t, 1000, 0, false)
			var put, soonest []time.Duration
			for i := range 600 {
				at := time.Duration(i/10) * 10 * time.Millisecond
				f.until(sim.Start.Add(at) - 1)
				put = append(put, at)
				soonest = append(soonest, f.path.Soonest(sim.Start.Add(at), len(b), false).Sub(sim.Start))
				f.put(at, b)
			}
			for _, o := range f.finish() {
				if i := o.n - 1; o.at < soonest[i] && o.at != put[i] {
					t.Errorf("packet %d, put in at %v, was to come out at %v at the soonest: %v", o.n, put[i], soonest[i], o)
				}
			}
		})
	}
}

// A path that cannot be is refused.
func TestPathRefused(t *testing.T) {
	for name, cfg := range map[string]sim.PathConfig{
		"a queue without a rate": {Queue: sim.QueueConfig{Limit: 1}},
		"rate":                   {Rate: -1},
		"delay":                  {Delay: -1},
		"jitter":                 {Jitter: -1},
		"loss":                   {Loss: math.NaN()},
		"reordering":             {Reorder: 2},
		"bursts":                 {Burst: sim.GilbertElliott{ToBad: -1}},
		"limit":                  {Rate: 1, Queue: sim.QueueConfig{Limit: -1}},
		"kind":                   {Rate: 1, Queue: sim.QueueConfig{Kind: 9}},
		"thresholds":             {Rate: 1, Queue: sim.QueueConfig{Kind: sim.RED, Min: 5, Max: 5}},
		"weight":                 {Rate: 1, Queue: sim.QueueConfig{Kind: sim.RED, Min: 5, Max: 6, Weight: 2}},
		"target":                 {Rate: 1, Queue: sim.QueueConfig{Kind: sim.CoDel, Target: -1}},
		"blackout of nothing":    {Blackouts: []sim.Blackout{{From: 1}}},
		"blackouts that overlap": {Blackouts: []sim.Blackout{{From: 5, For: 5}, {From: 1, For: 5}}},
	} {
		if _, err := sim.NewPath(cfg, sim.Start, rand.New(rand.NewPCG(1, 1))); err == nil {
			t.Errorf("a path was made with an impossible %s", name)
		}
	}
}
