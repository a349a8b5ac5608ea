package tcp_test

// Peers and paths that lie by AccECN: what they can cost is one reduction a round trip, at the worst
// ECN itself, and never a storm.

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// lie has the machine send without end, one ACK each 10 ms for two segments, and lets say make of each
// what it says of ECN. A round trip is 100 ms.
func (p *peer) lie(acks int, say func(i int, acked seq.Num) string) {
	p.t.Helper()
	p.rec = nil
	p.write(1 << 16)
	una := p.c.Status().SndUna
	for i := range acks {
		p.wait(10 * time.Millisecond)
		if una.Add(2000).LessEq(p.c.Status().SndNxt) {
			una = una.Add(2000)
		} else {
			una = p.c.Status().SndNxt
		}
		p.send(fmt.Sprintf("<SEQ=2001><ACK=%d>", una) + say(i, una))
		p.write(4000)
	}
}

// A peer that says by ACE and by options whatever it likes: cwnd falls once in a window, and is two
// segments at the least.
func TestAccECNLies(t *testing.T) {
	for name, say := range map[string]func(i int, acked seq.Num) string{
		"ACE jumps by seven": func(i int, _ seq.Num) string { return "<CTL=" + ctl((5+7*i)&7) + ">" },
		"ACE at random":      func(i int, _ seq.Num) string { return "<CTL=" + ctl(i*i*31>>3&7) + ">" },
		"every octet marked": func(i int, a seq.Num) string {
			return fmt.Sprintf("<CTL=%s><ACCECN0=1,%d>", ctl((5+i)&7), a-1001&0xffffff)
		},
		"octets without packets": func(i int, a seq.Num) string {
			return fmt.Sprintf("<CTL=%s><ACCECN0=1,%d>", ctl(5), (a-1001)/2&0xffffff)
		},
		"options at random": func(i int, _ seq.Num) string {
			return fmt.Sprintf("<CTL=%s><ACCECN1=%d,%d,%d>", ctl((5+i/3)&7), i*i*7919&0xffffff, i*104729&0xffffff, -i&0xffffff)
		},
		"AE is cleared": func(i int, _ seq.Num) string { return "<CTL=" + ctl(5&3) + ">" },
		"all zero":      func(int, seq.Num) string { return "<CTL=ACK>" },
	} {
		p := accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22}}, "<SACKOK>")
		from := p.now
		p.lie(300, say)
		st := p.c.Status()
		rounds := uint32(p.now.Sub(from)/(20*time.Millisecond)) + 1 // at two segments in flight a round trip is what the peer's ACKs take
		p.must(st.Marks <= rounds && st.Cwnd >= 2*st.MSS, "%s: %d reductions in %d round trips, cwnd %d", name, st.Marks, rounds, st.Cwnd)
		p.must(st.Retransmitted == 0 && st.State == tcp.Established && st.Timeouts == 0, "%s: %d octets sent again", name, st.Retransmitted)
		if name == "octets without packets" {
			p.must(st.ECNMute, "octets are marked and no packet: nothing is ECN-capable any more")
		}
		if name == "AE is cleared" || name == "all zero" {
			p.must(st.Marks <= 1, "%s: %d reductions", name, st.Marks)
		}
	}
}

// A path that marks everything: after four rounds nothing is ECN-capable, and marks are not answered.
func TestAccECNContinuousMarks(t *testing.T) {
	p := accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22}}, "<SACKOK>")
	cep := 5
	p.lie(100, func(int, seq.Num) string { cep += 2; return "<CTL=" + ctl(cep&7) + ">" })
	st := p.c.Status()
	p.must(st.ECNMute && st.Marks >= 3 && st.Marks <= 6, "mute %v after %d reductions", st.ECNMute, st.Marks)
	p.must(st.Cwnd > 10*st.MSS, "then cwnd grows: %d", st.Cwnd)

	// One packet without a mark, and it is congestion like any other.
	p = accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22}}, "<SACKOK>")
	cep = 5
	p.lie(100, func(i int, _ seq.Num) string {
		if cep += 2; i == 1 {
			cep--
		}
		return "<CTL=" + ctl(cep&7) + ">"
	})
	p.must(!p.c.Status().ECNMute && p.c.Status().Marks > 6, "%d reductions", p.c.Status().Marks)
}

// Options that a path has zeroed, taken away or drops.
func TestAccECNOptionsAreMangled(t *testing.T) {
	// Zeroed: section 3.2.3.2.4. They say nothing any more; ACE does.
	p := accurate(t, setup{}, "<SACKOK><ACCECN0=0,0,0>")
	p.write(900)
	p.send(fmt.Sprintf("<SEQ=2001><ACK=1901><CTL=%s><ACCECN0=77,88,99>", ctl(5)))
	p.must(p.c.Status().ECNSent == tcp.ECNCounters{CEP: 5, E0B: 1, E1B: 1}, "an option that began with zeros counts: %+v", p.c.Status().ECNSent)
	p.write(900)
	p.send(fmt.Sprintf("<SEQ=2001><ACK=2801><CTL=%s>", ctl(6)))
	p.must(p.c.Status().ECNSent.CEP == 6 && p.c.Status().Marks == 1, "ACE counts still")

	// Our first text is lost with its option: section 3.2.3.2.2. What goes again has none, nor what
	// follows.
	p = accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	p.write(500)
	p.must(p.taken()[0].Options.Has(wire.HasAccECN), "the first text has an option")
	for p.c.Status().Timeouts == 0 { // a probe of the tail says nothing of a loss
		p.next(time.Minute)
	}
	out := p.taken()
	p.must(!out[len(out)-1].Options.Has(wire.HasAccECN), "what goes again has none")
	p.marked(ce, p.data(2001, 100))
	out = p.taken()
	p.must(len(out) == 1 && !out[0].Options.Has(wire.HasAccECN) && ace(&out[0].Segment) == 6, "ACKs have none; ACE counts")

	// Our ACKs do not get through: the peer says its text again and again.
	p = accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	var with []bool
	again := func(at seq.Num, n int) {
		p.marked(ect0, p.data(at, n))
		with = append(with, p.taken()[0].Options.Has(wire.HasAccECN))
	}
	for range 5 {
		again(2001, 100)
	}
	p.must(fmt.Sprint(with) == "[true true true false false]", "ACKs of the same text with options: %v", with)
	// Other text that comes twice, and keep-alives, are no sign of it.
	p = accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	p.marked(ect0, p.data(2001, 1000))
	p.taken()
	with = nil
	for i := range seq.Num(8) {
		again(2001+100*i, 100)
	}
	for range 4 {
		again(3000, 1)
	}
	p.must(!strings.Contains(fmt.Sprint(with), "false"), "ACKs of text that comes twice with options: %v", with)
}

// Forged CE on segments without text draws one ACK for three of them; on text that is acceptable one
// for each at the most.
func TestAccECNDrawsNoStorm(t *testing.T) {
	p := accurate(t, setup{}, "<SACKOK>")
	p.rec = nil
	for range 3000 {
		p.marked(ce, p.ack(1001))
	}
	p.must(len(p.taken()) == 1000, "one ACK for three")
	for i := range 1000 {
		p.marked(uint8(i%2*3), p.data(p.c.Status().RcvNxt, 1))
	}
	p.must(len(p.taken()) <= 1000, "no more ACKs than segments")
}

// A super-segment never has the bit that whoever cuts it would take for CWR, section 3.3.4.
func TestAccECNSuperSegments(t *testing.T) {
	p := accurate(t, setup{cfg: tcp.Config{DelayedAck: -1}}, "<SACKOK>")
	p.c.SetSuperSegment(60000)
	super := map[bool]int{}
	for range 16 {
		p.marked(ce, p.data(p.c.Status().RcvNxt, 10))
		p.taken()
		p.write(8000)
		for _, s := range p.taken() {
			p.must(s.GSO == 0 || !s.Flags.Has(wire.CWR), "a super-segment with CWR: %v", s.Flags)
			super[s.Flags.Has(wire.CWR)] += int(s.GSO)
		}
		p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=%s>", p.c.Status().RcvNxt, p.c.Status().SndNxt, ctl(5)))
		p.taken()
	}
	p.must(super[false] > 0, "there are super-segments")
}

// A machine that gets anything at all in a connection with AccECN never sends more than it may, and
// its counters never run backwards.
func FuzzAccECN(f *testing.F) {
	f.Add([]byte("seven and options"))
	f.Add([]byte{0, 255, 1, 254, 127, 128, 3, 9, 81, 27})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := accurate(t, setup{cfg: tcp.Config{SendBuffer: 1 << 16}}, "<SACKOK><ACCECN0=1,0,1>")
		p.rec, p.limit = nil, 2000
		var before tcp.Status
		for i := 0; i+4 <= len(b) && i < 400; i += 4 {
			p.write(int(b[i]) * 10)
			st := p.c.Status()
			seg := p.make(p.ack(st.SndUna.Add(uint32(b[i+1]) * st.Unacknowledged / 255)))
			seg.Flags = wire.ACK | wire.Flags(b[i+2])<<6&(wire.AE|wire.CWR|wire.ECE)
			seg.TC = b[i+2] >> 3 & 3
			if b[i+2]&32 != 0 {
				seg.Text = octets(seg.Seq, int(b[i+3]))
			}
			if b[i+2]&64 != 0 {
				o := &seg.Options
				o.AccECNOrder = b[i+3] & 1
				for k := range int(b[i+3]>>1) & 3 {
					o.AddAccECN(uint32(b[i+1]) * uint32(b[i+3]) << (4 * k))
				}
			}
			p.give(seg)
			p.wait(time.Duration(b[i]) * time.Millisecond)
			now := p.c.Status()
			p.must(now.ECNSent.CEP >= before.ECNSent.CEP && now.ECNReceived.CEP >= before.ECNReceived.CEP && now.ECNSent.CEB >= before.ECNSent.CEB, "a counter runs backwards")
			p.must(len(p.taken()) < 200, "a storm")
			before = now
			p.receive(1 << 16)
		}
	})
}
