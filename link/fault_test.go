package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// clock returns a clock that is one second later at each reading.
func clock() func() time.Time {
	t := time.Unix(0, 0).UTC()
	return func() time.Time { t = t.Add(time.Second); return t }
}

// log notes which packets arrive when.
type log struct {
	mu    sync.Mutex
	start time.Time
	lines []string
	pkts  []wire.Packet
}

func (l *log) Receive(batch []wire.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch {
		p := batch[i]
		p.Buf = bytes.Clone(p.Buf)
		l.pkts = append(l.pkts, p)
		line := fmt.Sprint(seqOf(&p))
		if d := time.Since(l.start); d > 0 {
			line += "@" + d.String()
		}
		l.lines = append(l.lines, line)
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, " ")
}

// faulty returns a Fault over a pair: out is what arrives of what it sends, in what it
// receives of what peer sends.
func faulty(t *testing.T, c link.FaultConfig) (f *link.FaultLink, peer *link.End, out, in *log) {
	t.Helper()
	a, peer := link.Pair(1500)
	f = link.Fault(a, c)
	out, in = &log{start: time.Now()}, &log{start: time.Now()}
	if err := errors.Join(peer.Attach(out), f.Attach(in)); err != nil {
		t.Fatal(err)
	}
	return f, peer, out, in
}

func TestFaultByRule(t *testing.T) {
	out := link.Going(link.Out)
	ms := time.Millisecond
	for _, c := range []struct {
		name    string
		rule    link.Rule
		out, in string
	}{
		{"nothing", nil, "1 2 3 4 5 6", "1 2 3"},
		{"the third is lost", link.When(link.Nth(3, out), link.Verdict{Drop: true}), "1 2 4 5 6", "1 2 3"},
		{"every second is lost", link.When(link.Every(2, out), link.Verdict{Drop: true}), "1 3 5", "1 2 3"},
		{"what arrives is lost", link.When(link.Not(out), link.Verdict{Drop: true}), "1 2 3 4 5 6", ""},
		{"one twice", link.When(link.Nth(2, out), link.Verdict{Copies: 2}), "1 2 2 2 3 4 5 6", "1 2 3"},
		{"one late", link.When(link.Nth(2, out), link.Verdict{Delay: 5 * ms}), "1 3 4 5 6 2@5ms", "1 2 3"},
		{"all late, in order", link.When(out, link.Verdict{Delay: 5 * ms}), "1@5ms 2@5ms 3@5ms 4@5ms 5@5ms 6@5ms", "1 2 3"},
		{"one overtaken by two", link.When(link.Nth(2, out), link.Verdict{Overtaken: 2}), "1 3 4 2 5 6", "1 2 3"},
		{"two overtaken by one", link.Rules(link.When(link.Nth(2, out), link.Verdict{Overtaken: 1}),
			link.When(link.Nth(3, out), link.Verdict{Overtaken: 1})), "1 4 2 3 5 6", "1 2 3"},
		{"the last waits in vain", link.When(link.Nth(6, out), link.Verdict{Overtaken: 1}), "1 2 3 4 5 6@10ms", "1 2 3"},
		{"overtaken behind a late one", link.Rules(link.When(link.Nth(2, out), link.Verdict{Overtaken: 1}),
			link.When(link.All(out, link.Nth(3, out)), link.Verdict{Delay: 3 * ms})), "1 4 5 6 3@3ms 2@3ms", "1 2 3"},
		{"late and twice", link.When(link.Nth(1, out), link.Verdict{Copies: 1, Delay: ms}), "2 3 4 5 6 1@1ms 1@1ms", "1 2 3"},
		{"a soon one is not held up by a late one", link.Rules(link.When(link.Nth(1, out), link.Verdict{Delay: 50 * ms}),
			link.When(link.Nth(4, out), link.Verdict{Delay: ms})), "2 3 5 6 4@1ms 1@50ms", "1 2 3"},
		{"lost beats all", link.When(link.Nth(1, out), link.Verdict{Drop: true, Copies: 4, Delay: ms}), "2 3 4 5 6", "1 2 3"},
		{"text", link.When(link.Text(4), link.Verdict{Drop: true}), "1 2 3", "1 2 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, peer, outLog, inLog := faulty(t, link.FaultConfig{Rule: c.rule})
				f.Send([]wire.Packet{data(1, 1), data(2, 2), data(3, 3)})
				f.Send([]wire.Packet{data(4, 4), data(5, 5), data(6, 6)})
				peer.Send([]wire.Packet{data(1, 1), data(2, 2), data(3, 3)})
				time.Sleep(time.Second) // of the bubble
				f.Close()
				if got := outLog.String(); got != c.out {
					t.Errorf("out: %s\nwant %s", got, c.out)
				}
				if got := inLog.String(); got != c.in {
					t.Errorf("in: %s\nwant %s", got, c.in)
				}
			})
		})
	}
}

func TestMatchers(t *testing.T) {
	syn := packet(flow4, wire.Segment{Flags: wire.SYN}, wire.ChecksumNone)
	synAck := packet(flow6, wire.Segment{Flags: wire.SYN | wire.ACK}, wire.ChecksumNone)
	ten := data(1, 10)
	junk := wire.Packet{Buf: []byte{0x45, 1, 2}}
	for _, c := range []struct {
		name string
		m    link.Match
		want string
	}{
		{"SYN", link.TCP(wire.SYN, 0), "syn synAck"},
		{"SYN without ACK", link.TCP(wire.SYN, wire.ACK), "syn"},
		{"ACK without SYN", link.TCP(wire.ACK, wire.SYN), "ten"},
		{"SYN,ACK", link.TCP(wire.SYN|wire.ACK, 0), "synAck"},
		{"any TCP", link.TCP(0, 0), "syn synAck ten"},
		{"text", link.Text(10), "ten"},
		{"more text", link.Text(11), ""},
		{"port", link.Port(5000), "syn synAck ten"},
		{"other port", link.Port(80), ""},
		{"all", link.All(link.TCP(wire.ACK, 0), link.Not(link.Text(1))), "synAck"},
		{"any", link.Any(link.TCP(wire.SYN, wire.ACK), link.Text(1)), "syn ten"},
		{"second TCP", link.Nth(2, link.TCP(0, 0)), "synAck"},
		{"in", link.Going(link.In), ""},
		{"every zeroth", link.Every(0, link.TCP(0, 0)), ""},
	} {
		var got []string
		for _, p := range []struct {
			name string
			p    *wire.Packet
		}{{"syn", &syn}, {"junk", &junk}, {"synAck", &synAck}, {"ten", &ten}} {
			if c.m(link.Out, p.p) {
				got = append(got, p.name)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s matches %q, want %q", c.name, s, c.want)
		}
	}
}

func TestCorruptionIsDetected(t *testing.T) {
	for _, f := range []*wire.Flow{flow4, flow6} {
		for _, sum := range []wire.Checksum{wire.ChecksumNone, wire.ChecksumPartial} {
			for _, gso := range []uint16{0, 100} {
				fl, peer, out, in := faulty(t, link.FaultConfig{Out: link.Odds{Corrupt: 1}, In: link.Odds{Corrupt: 1}})
				for at := range 300 {
					p := packet(f, wire.Segment{Seq: 7, Flags: wire.ACK, GSO: gso, Text: text(at)}, sum)
					before := bytes.Clone(p.Buf)
					fl.Send([]wire.Packet{p})
					if sum == wire.ChecksumNone && !bytes.Equal(before, p.Buf) {
						t.Fatal("the sender's buffer is damaged")
					}
					peer.Send([]wire.Packet{packet(f, wire.Segment{Seq: 7, Flags: wire.ACK, GSO: gso, Text: text(at)}, sum)})
				}
				for _, l := range []*log{out, in} {
					want := 300
					if gso > 0 {
						want = 101 + 100*2 + 99*3 // one piece up to 100 octets, two up to 200, three up to 299
					}
					if len(l.pkts) != want {
						t.Errorf("%d packets, want %d", len(l.pkts), want)
					}
					for _, p := range l.pkts {
						var ip wire.IP
						if wire.ParseIP(p.Bytes(), &ip) == wire.FaultNone && ip.Proto == wire.ProtoTCP && wire.VerifyTCP(&ip, p.Sum) == wire.FaultNone {
							t.Fatalf("damage is not seen, Sum %d: % x", p.Sum, p.Bytes())
						}
					}
				}
			}
		}
	}
}

// The pieces of super-segments that the link beneath delivers are packets of a wire.
func TestFaultCutsSuperSegments(t *testing.T) {
	f, peer, _, in := faulty(t, link.FaultConfig{Rule: link.When(link.Nth(2, link.Going(link.In)), link.Verdict{Drop: true})})
	if f.Offload() != (link.Offload{}) || f.MTU() != 1500 {
		t.Errorf("MTU %d, %+v", f.MTU(), f.Offload())
	}
	super := packet(flow6, wire.Segment{Seq: 1000, Flags: wire.ACK | wire.PSH, GSO: 1000, Text: text(3500)}, wire.ChecksumPartial)
	wrong := packet(flow6, wire.Segment{Seq: 9000, Flags: wire.ACK, GSO: 1000, Text: text(3500)}, wire.ChecksumNone)
	wrong.Buf[len(wrong.Buf)-1] ^= 1
	syn := packet(flow6, wire.Segment{Seq: 9000, Flags: wire.SYN, GSO: 1000, Text: text(3500)}, wire.ChecksumPartial)
	peer.Send([]wire.Packet{super, wrong, syn, packet(flow4, wire.Segment{Seq: 5, Flags: wire.ACK}, wire.ChecksumPartial)})
	f.Close()
	if got, want := in.String(), "1000 3000 4000 5"; !slices.Equal(stripTimes(got), strings.Fields(want)) {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, p := range in.pkts {
		var ip wire.IP
		if len(p.Bytes()) > 1500 || p.GSO > 0 || wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || wire.VerifyTCP(&ip, wire.ChecksumNone) != wire.FaultNone {
			t.Errorf("a piece of %d octets, GSO %d, Sum %d", len(p.Bytes()), p.GSO, p.Sum)
		}
	}
	if s := f.Stats().In; s.Packets != 5 || s.Dropped != 1 || s.Refused != 2 {
		t.Errorf("%+v", s)
	}
}

func stripTimes(s string) []string {
	f := strings.Fields(s)
	for i := range f {
		f[i], _, _ = strings.Cut(f[i], "@")
	}
	return f
}

// UDP and ICMPv6 from a link with offload get their sums too.
func TestFaultFinishesOtherSums(t *testing.T) {
	f, peer, _, in := faulty(t, link.FaultConfig{})
	defer f.Close()
	for _, c := range []struct {
		proto uint8
		at    int // of the checksum
	}{{wire.ProtoUDP, 6}, {wire.ProtoICMPv6, 2}} {
		b := make([]byte, 40+13)
		h := wire.IPv6(b)
		h.SetTC(0)
		h.SetPayloadLen(13)
		h.SetNextHeader(c.proto)
		h.SetSrc(flow6.Local)
		h.SetDst(flow6.Remote)
		copy(b[48:], "hello")
		sum := wire.PseudoSum(&flow6.Local, &flow6.Remote, c.proto, 13)
		b[40+c.at], b[41+c.at] = byte(sum>>8), byte(sum)
		peer.Send([]wire.Packet{{Buf: b, Sum: wire.ChecksumPartial}})
		got := in.pkts[len(in.pkts)-1]
		if got.Sum == wire.ChecksumPartial || wire.Sum(sum, got.Bytes()[40:]) != 0xffff {
			t.Errorf("protocol %d: Sum %d, the checksum is wrong", c.proto, got.Sum)
		}
	}
}

func TestFaultBySeed(t *testing.T) {
	run := func(seed uint64, out link.Odds) (order string, s link.FaultStats) {
		synctest.Test(t, func(t *testing.T) {
			f, peer, o, in := faulty(t, link.FaultConfig{Seed: seed, Out: out, In: link.Odds{Drop: 0.5}})
			for i := range 2000 {
				f.Send([]wire.Packet{data(i, 1)})
				peer.Send([]wire.Packet{data(i, 1)})
				time.Sleep(100 * time.Microsecond)
			}
			time.Sleep(time.Second)
			f.Close()
			order, s = o.String()+"|"+in.String(), f.Stats()
		})
		return order, s
	}
	odds := link.Odds{Drop: 0.05, Corrupt: 0.1, Duplicate: 0.2, Reorder: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond}
	one, s := run(1, odds)
	if again, _ := run(1, odds); again != one {
		t.Error("one seed gives two lives")
	}
	two, _ := run(2, odds)
	if two == one {
		t.Error("two seeds give one life")
	}
	near := func(name string, got uint64, p float64) {
		if want := p * 2000; float64(got) < want*0.7 || float64(got) > want*1.3 {
			t.Errorf("%s: %d of 2000, want about %v", name, got, want)
		}
	}
	near("dropped", s.Out.Dropped, 0.05)
	near("corrupted", s.Out.Corrupted, 0.1*0.95)
	near("duplicated", s.Out.Duplicated, 0.2*0.95)
	near("reordered", s.Out.Reordered, 0.1*0.95)
	near("dropped on the way in", s.In.Dropped, 0.5)
	if s.Out.Packets != 2000 || s.In.Packets != 2000 || s.Out.Delayed != 2000-s.Out.Dropped {
		t.Errorf("%+v", s)
	}
	if n := len(strings.Fields(strings.Split(one, "|")[0])); n != int(2000-s.Out.Dropped+s.Out.Duplicated) {
		t.Errorf("%d packets arrive; %+v", n, s.Out)
	}
	// The fate of the packets of one direction does not hang on the other's odds.
	in := func(order string) string { return strings.Split(order, "|")[1] }
	calm, _ := run(1, link.Odds{})
	if in(calm) != in(one) {
		t.Error("the odds of one direction change the other")
	}
}

func TestFaultLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, out, _ := faulty(t, link.FaultConfig{Limit: 2, Out: link.Odds{Delay: time.Second}})
		f.Send([]wire.Packet{data(1, 1), data(2, 1), data(3, 1)})
		time.Sleep(2 * time.Second)
		f.Close()
		if got := out.String(); got != "1@1s 2@1s" || f.Stats().Out.Overflowed != 1 {
			t.Errorf("got %s; %+v", got, f.Stats().Out)
		}
	})
}

func TestFaultCloseLosesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		f, peer, out, in := faulty(t, link.FaultConfig{
			Out: link.Odds{Delay: time.Minute}, In: link.Odds{Reorder: 1},
		})
		f.Send([]wire.Packet{data(1, 1)})
		peer.Send([]wire.Packet{data(1, 1)})
		start := time.Now()
		for range 2 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("Close takes %v", d)
		}
		if err := f.Send([]wire.Packet{data(1, 1)}); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		if err := f.Attach(in); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Attach: %v", err)
		}
		time.Sleep(time.Hour)
		if out.String() != "" || in.String() != "" {
			t.Errorf("after Close arrive %q and %q", out, in)
		}
	})
}

func TestFaultCloseIsExact(t *testing.T) {
	for i := range 100 {
		a, b := link.Pair(1500)
		f := link.Fault(b, link.FaultConfig{Seed: uint64(i), In: link.Odds{
			Drop: 0.1, Duplicate: 0.3, Reorder: 0.3, Jitter: 50 * time.Microsecond}})
		testClose(t, a, f)
	}
}

// Two hosts that answer each other over delayed links: many timers, one goroutine at a
// time, and each packet comes after its delay.
func TestFaultDelaysBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := link.Pair(1500)
		const ms = time.Millisecond
		f := link.Fault(a, link.FaultConfig{Out: link.Odds{Delay: 3 * ms}, In: link.Odds{Delay: 4 * ms}})
		start, rounds := time.Now(), 0
		attach(t, b, func(batch []wire.Packet) { b.Send(batch) })
		attach(t, f, func(batch []wire.Packet) {
			rounds++
			if d := time.Since(start); d != time.Duration(rounds)*7*ms {
				t.Errorf("round %d ends after %v", rounds, d)
			}
			if rounds < 100 {
				f.Send(batch)
			}
		})
		f.Send([]wire.Packet{data(1, 1)})
		time.Sleep(time.Minute)
		f.Close()
		if rounds != 100 {
			t.Errorf("%d rounds", rounds)
		}
	})
}

// A receiver that takes its time does not see later packets before or while it is at it.
func TestFaultDeliversOneBatchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := link.Pair(1500)
		f := link.Fault(a, link.FaultConfig{Out: link.Odds{Delay: time.Millisecond}})
		busy, got := false, 0
		attach(t, b, func(batch []wire.Packet) {
			if busy {
				t.Error("two deliveries at a time")
			}
			busy = true
			time.Sleep(10 * time.Millisecond)
			busy = false
			for i := range batch {
				if got++; seqOf(&batch[i]) != got {
					t.Errorf("packet %d comes as number %d", seqOf(&batch[i]), got)
				}
			}
		})
		for i := range 40 {
			f.Send([]wire.Packet{data(i+1, 1)})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		f.Close()
		if got != 40 {
			t.Errorf("%d packets", got)
		}
	})
}
