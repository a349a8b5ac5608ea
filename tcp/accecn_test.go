package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

const ect1 = 1

// ace is the field of RFC 9768 section 3.2.2 in a segment.
func ace(s *wire.Segment) int {
	n := 0
	for bit, v := range map[wire.Flags]int{wire.AE: 4, wire.CWR: 2, wire.ECE: 1} {
		if s.Flags.Has(bit) {
			n += v
		}
	}
	return n
}

// ctl is the control bits of an ACK with a value of ACE.
func ctl(ace int) string {
	s := ""
	for i, name := range []string{"AE,", "CWR,", "ECE,"} {
		if ace&(4>>i) != 0 {
			s += name
		}
	}
	return s + "ACK"
}

// accurate is a machine that has opened actively and got AccECN. The peer's options are of syn.
func accurate(t *testing.T, s setup, syn string) *peer {
	t.Helper()
	s.cfg.ECN = tcp.ECNAccurate
	p := newPeer(t, s)
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.now = p.now.Add(100 * time.Millisecond)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,CWR,ACK><MSS=1000><WS=4>" + syn)
	st := p.c.Status()
	p.must(st.AccECN && st.ECN && !st.ECNMute, "the client is in AccECN mode")
	p.taken()
	return p
}

// Table 2: what a SYN asks, what the SYN,ACK says, and what the client makes of it. A SYN arrives as
// Not-ECT, as it was sent.
func TestAccECNIsAgreed(t *testing.T) {
	for _, tc := range []struct {
		answer             string
		ecn, accurate, not bool
	}{
		{"SYN,CWR,ACK", true, true, false},
		{"SYN,CWR,ECE,ACK", true, true, true}, // the SYN arrived as ECT(1): somebody mangles the field
		{"SYN,AE,ACK", true, true, true},      // as ECT(0)
		{"SYN,AE,CWR,ACK", true, true, true},  // as CE
		{"SYN,AE,ECE,ACK", true, true, false}, // reserved
		{"SYN,ECE,ACK", true, false, false},
		{"SYN,ACK", false, false, false},
		{"SYN,AE,CWR,ECE,ACK", false, false, false}, // reflected: broken
	} {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNAccurate}})
		if err := p.c.Open(p.now, tcp.Active); err != nil {
			t.Fatal(err)
		}
		p.flush()
		syn := p.taken()[0]
		p.must(syn.Flags == flags("SYN,AE,CWR,ECE") && syn.TC == notECT && !syn.Options.Has(wire.HasAccECN), "our SYN has %v", syn.Flags)
		p.send("<SEQ=2000><ACK=1001><CTL=" + tc.answer + "><MSS=1460>")
		st := p.c.Status()
		p.must(st.ECN == tc.ecn && st.AccECN == tc.accurate && st.ECNMute == tc.not, "answer %s: ECN %v, accurate %v, mute %v", tc.answer, st.ECN, st.AccECN, st.ECNMute)
	}
	for _, tc := range []struct {
		mode          tcp.ECN
		syn, answers  string
		ecn, accurate bool
	}{
		{tcp.ECNAccept, "SYN,AE,CWR,ECE", "SYN,CWR,ACK", true, true},
		{tcp.ECNRequest, "SYN,AE,CWR,ECE", "SYN,CWR,ACK", true, true},
		{tcp.ECNAccurate, "SYN,AE,CWR,ECE", "SYN,CWR,ACK", true, true},
		{tcp.ECNAccurate, "SYN,CWR,ECE", "SYN,ECE,ACK", true, false},
		{tcp.ECNAccurate, "SYN", "SYN,ACK", false, false},
		{tcp.ECNAccept, "SYN,AE", "SYN,CWR,ACK", true, true}, // section 3.1.3: as if it were all three
		{tcp.ECNOff, "SYN,AE,CWR,ECE", "SYN,ACK", false, false},
	} {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tc.mode}})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.send("<SEQ=2000><CTL=" + tc.syn + "><MSS=1460>")
		out, st := p.taken(), p.c.Status()
		p.must(out[0].Flags == flags(tc.answers) && out[0].TC == notECT, "mode %d: %s is answered by %v", tc.mode, tc.syn, out[0].Flags)
		p.must(st.ECN == tc.ecn && st.AccECN == tc.accurate, "mode %d, %s: ECN %v, accurate %v", tc.mode, tc.syn, st.ECN, st.AccECN)
	}
}

// The handshake feeds the ECN field of the SYN back in the SYN,ACK, and that of the SYN,ACK in the
// ACK (tables 2 and 3): the latest that came. CE on a SYN,ACK counts once, on a SYN never.
func TestAccECNHandshakeSaysHowItCame(t *testing.T) {
	said := map[int]string{notECT: "CWR,ACK", ect1: "CWR,ECE,ACK", ect0: "AE,ACK", ce: "AE,CWR,ACK"}
	for tc, want := range said {
		p := newPeer(t, setup{})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.marked(uint8(tc), "<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1460>")
		out := p.taken()
		p.must(out[0].Flags == wire.SYN|flags(want), "a SYN as %d is answered by %v", tc, out[0].Flags)
		p.marked(ect1, "<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1460>") // again
		p.taken()
		p.wait(time.Second + time.Millisecond)
		out = p.taken()
		p.must(out[0].Flags == flags("SYN,CWR,ECE,ACK"), "the SYN,ACK that goes again tells of the last SYN: %v", out[0].Flags)
		p.send("<SEQ=2001><ACK=1001><CTL=CWR,ACK>")
		p.mustBe(tcp.Established)
		p.must(p.c.Status().ECNReceived.CEP == 5, "a SYN is not counted")
	}
	for tc, want := range said {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNAccurate}})
		if err := p.c.Open(p.now, tcp.Active); err != nil {
			t.Fatal(err)
		}
		p.write(100) // it goes after the ACK
		p.taken()
		p.marked(uint8(tc), "<SEQ=2000><ACK=1001><CTL=SYN,CWR,ACK><MSS=1460>")
		out := p.taken()
		p.must(len(out) == 2 && len(out[0].Text) == 0 && out[0].Flags == flags(want), "a SYN,ACK as %d is acknowledged by %v, alone", tc, out[0].Flags)
		cep := 5
		if tc == ce {
			cep = 6
		}
		p.must(ace(&out[1].Segment) == cep && len(out[1].Text) == 100 && int(p.c.Status().ECNReceived.CEP) == cep, "then ACE counts: %d", ace(&out[1].Segment))
		p.wait(time.Second)
		p.taken()
		p.marked(ce, "<SEQ=2000><ACK=1001><CTL=SYN,CWR,ACK><MSS=1460>") // again, as CE
		out = p.taken()
		p.must(len(out) == 1 && out[0].Flags == flags("AE,CWR,ACK"), "the ACK of a SYN,ACK that came again tells of this one: %v", out)
		p.marked(ce, "<SEQ=2000><ACK=1001><CTL=SYN,CWR,ACK><MSS=1460>")
		p.must(p.c.Status().ECNReceived.CEP == 6, "r.cep is 6: it counts once")
	}
}

// SYNs and SYN,ACKs that get no answer: sections 3.1.4.1 and 3.2.3.2.2.
func TestAccECNFallsBack(t *testing.T) {
	p := newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNAccurate}})
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.wait(10 * time.Second)
	out := p.taken()
	p.must(len(out) == 4 && out[1].Flags == flags("SYN,AE,CWR,ECE") && out[2].Flags == wire.SYN && out[3].Flags == wire.SYN, "two SYNs ask, others do not")
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,CWR,ACK><MSS=1460>") // the answer to the first, late
	p.must(p.c.Status().AccECN && !p.c.Status().ECNMute, "the first SYN,ACK decides, and the client may mark")

	p = newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNAccurate}})
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.wait(10 * time.Second)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ECE,ACK><MSS=1460>")
	p.must(p.c.Status().ECN && !p.c.Status().AccECN && p.c.Status().ECNMute, "RFC 3168: who has sent a SYN without ECN does not mark")

	p = newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.send("<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1460>")
	p.wait(10 * time.Second)
	out = p.taken()
	p.must(len(out) == 4, "%d SYN,ACKs", len(out))
	o := &out[0].Options
	p.must(o.Has(wire.HasAccECN) && o.NAccECN == 3 && o.AccECN == wire.AccECN{EE0B: 1, EE1B: 1}, "the first has an option: %+v", o)
	p.must(out[1].Flags == flags("SYN,CWR,ACK") && !out[1].Options.Has(wire.HasAccECN), "the second has none")
	p.must(out[2].Flags == wire.SYN|wire.ACK && !out[2].Options.Has(wire.HasAccECN), "the third has no ECN")
	p.send("<SEQ=2001><ACK=1001><CTL=CWR,ACK>")
	p.must(p.c.Status().AccECN && p.c.Status().ECNMute, "it remains in AccECN mode, and marks nothing")
	p.write(1000)
	out = p.taken()
	p.must(out[0].TC == notECT && ace(&out[0].Segment) == 5, "what it sends: %v, %d", out[0].Flags, out[0].TC)

	// A SYN without ECN after one with, as a client sends that has given up.
	p = newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.send("<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1460>", "<SEQ=2000><CTL=SYN><MSS=1460>", "<SEQ=2001><ACK=1001><CTL=CWR,ACK>")
	p.must(p.c.Status().AccECN && p.c.Status().ECNMute, "the server remains in AccECN mode, and marks nothing")
}

// Two kinds in one handshake: section 3.1.5, "MUST reset the connection with a RST packet".
func TestAccECNMixedSYNs(t *testing.T) {
	for _, syns := range [][2]string{{"SYN,AE,CWR,ECE", "SYN,CWR,ECE"}, {"SYN,CWR,ECE", "SYN,AE,CWR,ECE"}} {
		p := newPeer(t, setup{})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.send("<SEQ=2000><CTL=" + syns[0] + "><MSS=1460>")
		p.taken()
		p.send("<SEQ=2000><CTL=" + syns[1] + "><MSS=1460>")
		p.mustBe(tcp.Closed)
		out := p.taken()
		last := out[len(out)-1]
		p.must(last.Flags == wire.RST|wire.ACK && last.Ack == 2001, "a reset that a client in SYN-SENT takes: %v", &last.Segment)
	}
}

// Simultaneous open: "Host A MUST then enter the same feedback mode as it would have entered had it
// been a responding host", section 3.1.2.
func TestAccECNSimultaneousOpen(t *testing.T) {
	for _, tc := range []struct {
		syn, answer   string
		ecn, accurate bool
	}{
		{"SYN,AE,CWR,ECE", "SYN,AE,CWR,ACK", true, true},
		{"SYN,CWR,ECE", "SYN,ECE,ACK", true, false},
		{"SYN", "SYN,ACK", false, false},
	} {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNAccurate}})
		if err := p.c.Open(p.now, tcp.Active); err != nil {
			t.Fatal(err)
		}
		p.flush()
		p.taken()
		p.marked(ce, "<SEQ=2000><CTL="+tc.syn+"><MSS=1460>")
		out := p.taken()
		p.must(out[0].Flags == flags(tc.answer), "%s that crosses ours, as CE, is answered by %v", tc.syn, out[0].Flags)
		p.send("<SEQ=2000><ACK=1001><CTL=" + tc.answer + ">")
		p.mustBe(tcp.Established)
		st := p.c.Status()
		p.must(st.ECN == tc.ecn && st.AccECN == tc.accurate && (!tc.accurate || st.ECNSent.CEP == 5 && st.Marks == 0), "%s: ECN %v, accurate %v; flags of a SYN are no counter: s.cep %d", tc.syn, st.ECN, st.AccECN, st.ECNSent.CEP)
	}
}

// Table 4: what a server infers of the ACK of its SYN,ACK, which it sent as Not-ECT.
func TestAccECNServerReadsTheHandshake(t *testing.T) {
	for value, want := range []struct {
		cep     uint64
		mute    bool
		answers bool // marks later on
	}{
		{5, true, false}, {5, false, true}, {5, false, true}, {5, true, true},
		{5, true, true}, {5, false, true}, {6, true, true}, {5, false, true},
	} {
		p := newPeer(t, setup{cfg: tcp.Config{Congestion: tcp.NewReno}})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.send("<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1000>")
		p.taken()
		p.send("<SEQ=2001><ACK=1001><CTL=" + ctl(value) + ">")
		st := p.c.Status()
		p.must(st.ECNSent.CEP == want.cep && st.ECNMute == want.mute, "ACE %03b: s.cep is %d, mute %v", value, st.ECNSent.CEP, st.ECNMute)
		p.must((st.Marks == 1) == (want.cep == 6), "ACE %03b: CE is answered: %d reductions", value, st.Marks)
		before := st.Marks
		p.write(3000)
		p.must(p.taken()[0].TC == map[bool]uint8{true: notECT, false: ect0}[want.mute], "ACE %03b: is text ECN-capable?", value)
		p.send(fmt.Sprintf("<SEQ=2001><ACK=4001><CTL=%s>", ctl(int(want.cep+1)&7)))
		p.must((p.c.Status().Marks > before) == want.answers, "ACE %03b: %d reductions after a mark", value, p.c.Status().Marks)
	}
	// With text it is the counter.
	p := newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.send("<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1000>")
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=" + ctl(6) + ">")
	p.must(p.c.Status().ECNSent.CEP == 6 && !p.c.Status().ECNMute, "s.cep is %d", p.c.Status().ECNSent.CEP)
}

// What comes as CE is counted, to the packet and the octet, if it is acceptable, whatever of it is
// new; not what lies outside the window. A segment that a link has merged is as many as it was.
func TestAccECNCounts(t *testing.T) {
	p := accurate(t, setup{}, "<SACKOK>")
	want := tcp.ECNCounters{CEP: 5, E0B: 1, E1B: 1}
	is := func(why string) {
		t.Helper()
		p.must(p.c.Status().ECNReceived == want, "%s: %+v; want %+v", why, p.c.Status().ECNReceived, want)
	}
	p.marked(ect0, p.data(2001, 1000))
	want.E0B += 1000
	p.marked(ect1, p.data(3001, 500))
	want.E1B += 500
	p.marked(notECT, p.data(3501, 500))
	p.marked(ce, p.data(4001, 700))
	want.CEP, want.CEB = want.CEP+1, want.CEB+700
	is("in order")
	p.marked(ce, p.data(6001, 100))
	want.CEP, want.CEB = want.CEP+1, want.CEB+100
	is("out of order")
	p.marked(ce, p.data(4501, 300)) // 200 of them are old
	want.CEP, want.CEB = want.CEP+1, want.CEB+300
	is("partly old")
	p.marked(ce, p.data(2001, 1000))
	p.marked(ce, p.data(1<<30, 1000))
	p.marked(ce, "<SEQ=4801><ACK=900000><CTL=ACK>")
	is("not acceptable: old, beyond the window, an ACK of what was not sent")
	p.marked(ce, p.ack(1001))
	want.CEP++
	is("an ACK without text")
	seg := p.make(p.data(4801, 1050))
	seg.TC, seg.GSO = ce, 100
	p.give(seg)
	want.CEP, want.CEB = want.CEP+11, want.CEB+1050
	is("merged of eleven")
}

// Section 3.2.2.5.1: an ACK goes at once for the first CE after none, and for two more while text is
// unacknowledged, three where there is none.
func TestAccECNAcksSooner(t *testing.T) {
	p := accurate(t, setup{}, "<SACKOK>")
	p.marked(ect0, p.data(2001, 10))
	p.quiet("text waits for company")
	p.marked(ce, p.data(2011, 10))
	out := p.taken()
	p.must(len(out) == 1 && ace(&out[0].Segment) == 6, "a CE after none is acknowledged at once")
	p.marked(ce, p.data(2021, 10))
	p.quiet("the second CE in a row waits")
	p.marked(ce, p.data(2031, 10))
	out = p.taken()
	p.must(len(out) == 1 && ace(&out[0].Segment) == 0, "two more are acknowledged, and ACE wraps: %v", out)
	p.marked(ect0, p.data(2041, 10))
	p.quiet("text waits")
	p.marked(ce, p.ack(1001))
	p.marked(ect0, p.data(2051, 10))
	p.marked(ce, p.data(2061, 10))
	out = p.taken()
	p.must(len(out) == 1 && ace(&out[0].Segment) == 2, "CE again after none: %v", out)

	p = accurate(t, setup{}, "<SACKOK>")
	p.marked(ect0, p.data(3001, 10)) // a gap: ACKs have a SACK block
	p.must(len(p.taken()[0].Options.Blocks()) == 1, "a block for what is out of order")
	for i := range 9 {
		p.marked(ce, p.ack(1001))
		out := p.taken()
		p.must(len(out) == map[bool]int{true: 1, false: 0}[i%3 == 2], "ACK %d of nothing, as CE: %d ACKs", i, len(out))
		p.must(len(out) == 0 || len(out[0].Options.Blocks()) == 0, "\"these ACKs of ACKs MUST NOT contain any SACK blocks\"")
	}
	p.marked(ect0, p.data(4001, 10))
	p.must(len(p.taken()[0].Options.Blocks()) == 2, "an ACK of text has them")
}

// Section 3.2.3.3: an option on each ACK when an octet counter has changed since the last, with every
// counter that has ever changed; all three up to our first text. Order and length as table 5 says.
func TestAccECNOptions(t *testing.T) {
	p := accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	at := seq.Num(2001)
	option := func(tc uint8, n int) string {
		t.Helper()
		p.marked(tc, p.data(at, n))
		at += seq.Num(n)
		out := p.taken()
		p.must(len(out) == 1, "%d ACKs", len(out))
		o := &out[0].Options
		if !o.Has(wire.HasAccECN) {
			return ""
		}
		return fmt.Sprint(o.AccECNOrder, o.AccECNValues())
	}
	says := func(got, want string) {
		t.Helper()
		p.must(got == want, "the option is %q; want %q", got, want)
	}
	says(option(notECT, 100), "0 [1 0 1]")
	p.write(10)
	first := p.taken()
	p.must(len(first) == 1 && first[0].Options.NAccECN == 3 && first[0].TC == ect0, "the first text has an option of three counters")
	p.send(fmt.Sprintf("<SEQ=%d><ACK=1011><CTL=%s>", at, ctl(5)))
	says(option(notECT, 100), "")
	says(option(ect1, 10), "1 [11]")
	says(option(notECT, 10), "")
	says(option(ect1, 10), "1 [21]")
	says(option(ce, 10), "1 [21 10]")
	says(option(ect1, 10), "1 [31 10]")
	says(option(ect0, 10), "0 [11 10 31]")
	says(option(ect0, 10), "0 [21 10 31]")

	p = accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	p.write(10)
	p.taken()
	p.send(p.ack(1011)[:len(p.ack(1011))-4] + ctl(5) + ">")
	at = 2001
	says(option(ect0, 10), "0 [11]")
	says(option(ce, 10), "0 [11 10]")
}

// Where SACK blocks leave no room the option has what has changed, or is not there; two blocks go
// before it, a third does not (with timestamps). No packet is longer than the MTU.
func TestAccECNOptionsBesideSACK(t *testing.T) {
	for _, timestamps := range []bool{false, true} {
		syn := "<SACKOK>"
		if timestamps {
			syn += "<TS=5,1>"
		}
		p := accurate(t, setup{mtu: 600}, syn)
		texts := func() {
			t.Helper()
			n := p.write(3000)
			for _, s := range p.taken() {
				p.must(20+wire.TCPHeaderLenOf(&s.Segment)+len(s.Text) <= 600, "a packet of %d octets", 20+wire.TCPHeaderLenOf(&s.Segment)+len(s.Text))
			}
			p.must(n == 3000, "text goes")
			p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=%s>", p.c.Status().SndNxt, ctl(5)))
			p.taken()
		}
		texts() // the first has an option
		at := seq.Num(3001)
		for i := range 6 {
			p.marked([]uint8{ect0, ce}[i%2], p.data(at, 100))
			at += 200
			out := p.taken()
			o := &out[0].Options
			blocks := min(i+1, 3)
			if timestamps {
				blocks = min(i+1, 2)
			}
			p.must(len(out) == 1 && len(o.Blocks()) == blocks && o.NAccECN >= 1, "%d ranges: %d blocks, %d counters", i+1, len(o.Blocks()), o.NAccECN)
			p.must(wire.TCPHeaderLenOf(&out[0].Segment) <= 60, "the header has %d octets", wire.TCPHeaderLenOf(&out[0].Segment))
			texts()
		}
	}
}

// The sender: a mark lets cwnd fall once in a window; the count follows ACE and the option; CWR is
// no flag any more, and what goes again is not marked.
func TestAccECNReduces(t *testing.T) {
	p := accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22, Congestion: tcp.NewReno}}, "<SACKOK>")
	p.write(1 << 22)
	out := p.taken()
	p.must(len(out) > 5 && out[0].TC == ect0, "new text is ECT(0)")
	flight := p.c.Status().Flight
	p.wait(100 * time.Millisecond)
	p.taken()
	una, cep, ceb, e0b := seq.Num(1001), 5, 0, 1
	window := p.c.Status().SndNxt
	for i := 0; una.Add(1000).Less(window); i++ {
		una = una.Add(1000)
		cep, ceb = cep+1, ceb+1000
		p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=%s><ACCECN0=%d,%d>", una, ctl(cep&7), e0b, ceb))
		for _, s := range p.taken() {
			p.must(ace(&s.Segment) == 5 && s.TC == ect0, "our ACE stays 5: %v", s.Flags)
		}
		st := p.c.Status()
		p.must(st.Marks == 1 && int(st.ECNSent.CEP) == cep && int(st.ECNSent.CEB) == ceb, "ACK %d: %d reductions, s.cep %d, s.ceb %d", i, st.Marks, st.ECNSent.CEP, st.ECNSent.CEB)
	}
	p.must(p.c.Status().Ssthresh == flight/2 && p.c.Status().Retransmitted == 0, "one halving of %d octets, nothing sent again: %d", flight, p.c.Status().Ssthresh)
	// The same ACK again, and one from before, tell of nothing.
	before := p.c.Status().ECNSent
	p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=%s>", una, ctl(3)), fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=%s><ACCECN0=1,7>", una-2000, ctl(2)))
	p.must(p.c.Status().ECNSent == before, "superseded: %+v", p.c.Status().ECNSent)
	p.taken()
	for p.c.Status().Timeouts == 0 {
		p.next(time.Minute)
	}
	out = p.taken()
	p.must(out[len(out)-1].TC == notECT, "what goes again is not marked")
}

// The control is told of the octets that were marked, all of them.
type marksHeard struct {
	tcp.Congestion
	octets *uint32
}

func (m marksHeard) Ack(now tcp.Time, w tcp.Window, a tcp.Acknowledgment) tcp.Window {
	*m.octets += a.Marked
	return m.Congestion.Ack(now, w, a)
}

func TestAccECNTellsTheControl(t *testing.T) {
	for _, option := range []bool{false, true} {
		var octets uint32
		p := accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22, Congestion: func() tcp.Congestion {
			return marksHeard{tcp.NewReno(), &octets}
		}}}, "<SACKOK>")
		p.write(1 << 22)
		una, cep, ceb := seq.Num(1001), 5, 0
		for i := range 400 {
			una += 1000
			if i%50 == 7 {
				cep, ceb = cep+1, ceb+1000
			}
			said := ""
			if option {
				said = fmt.Sprintf("<ACCECN0=%d,%d>", 1, ceb)
			}
			p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=%s>%s", una, ctl(cep&7), said))
		}
		p.must(int(octets) == ceb, "option %v: the control hears of %d octets; %d were marked", option, octets, ceb)
	}
}

// Beside the cookie of a Fast Open the SYN,ACK has as much of the option as there is room for, and what
// comes with a SYN is no text that is counted (RFC 9768 section 3.2).
func TestAccECNBesideFastOpen(t *testing.T) {
	p := newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(cookie, 0)
	p.marked(ce, "<SEQ=2000><CTL=SYN,AE,CWR,ECE><MSS=1460><WS=4><SACKOK><TS=1,0><COOKIEOPT=NIL>")
	out := p.taken()
	o := &out[0].Options
	p.must(out[0].Flags == flags("SYN,AE,CWR,ACK") && o.Has(wire.HasFastOpen|wire.HasAccECN) && o.NAccECN == 2, "the SYN,ACK is %v", &out[0].Segment)
	p.must(wire.TCPHeaderLenOf(&out[0].Segment) <= 60, "its header has %d octets", wire.TCPHeaderLenOf(&out[0].Segment))

	p = newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(nil, 0)
	p.marked(ce, "<SEQ=2000><LEN=100><CTL=SYN,AE,CWR,ECE><MSS=1460>"+cookieOpt)
	p.taken()
	p.write(500)
	out = p.taken()
	p.must(len(out) == 1 && ace(&out[0].Segment) == 5, "text in SYN-RECEIVED has ACE %v", out)
	p.send("<SEQ=2101><ACK=1001><CTL=CWR,ACK>")
	p.must(p.c.Status().ECNReceived == tcp.ECNCounters{CEP: 5, E0B: 1, E1B: 1} && p.c.Status().AccECN, "nothing of a SYN is counted: %+v", p.c.Status().ECNReceived)
	p.send("<SEQ=2101><ACK=1501><CTL=AE,CWR,ACK>")
	p.must(p.c.Status().ECNSent.CEP == 6 && p.c.Status().Marks == 1, "then ACE counts: s.cep %d", p.c.Status().ECNSent.CEP)
}
