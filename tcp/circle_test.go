package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// "The actual sequence number space is finite, though large [...] all arithmetic dealing
// with sequence numbers must be performed modulo 2^32", RFC 9293 section 3.4: wherever on the
// circle a connection begins, it does the same.
func TestAnywhereOnTheCircle(t *testing.T) {
	var want []string
	for _, at := range []seq.Num{1000, 1<<31 - 3000, 1<<31 - 1, 1 << 31, 1<<31 + 5, 3 << 30, 1<<32 - 70000, 1<<32 - 2, 1<<32 - 1} {
		p := established(t, setup{iss: at, irs: at + 1<<30, cfg: tcp.Config{DelayedAck: -1}})
		p.rec = nil
		var got []string
		look := func() {
			for _, s := range p.taken() {
				got = append(got, fmt.Sprintf("%v %d %d %d %v", s.at, s.Seq-p.iss, s.Ack-p.irs, len(s.Text), s.Flags))
			}
		}
		next := p.irs + 1
		for range 40 {
			p.write(5000)
			look()
			p.send(p.data(next, 1000))
			next += 1000
			p.receive(2000)
			p.wait(10 * time.Millisecond)
			p.ackAll()
			look()
		}
		// A loss, repaired by fast retransmit, and another by the timeout.
		p.write(14600)
		look()
		for range 3 {
			p.send(p.ack(p.c.Status().SndUna))
		}
		look()
		p.wait(time.Minute)
		look()
		for p.c.Status().Unacknowledged > 0 {
			p.ackAll()
			look()
		}
		p.c.Close(p.now)
		p.flush()
		look()
		p.ackAll()
		p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=FIN,ACK>", next, p.c.Status().SndNxt))
		look()
		p.mustBe(tcp.TimeWait)
		if want == nil {
			want = got
			continue
		}
		for i := range max(len(got), len(want)) {
			switch {
			case i == len(got):
				p.fail("with ISS %v, segment %d is missing; with ISS 1000 it is %s", at, i, want[i])
			case i == len(want) || got[i] != want[i]:
				p.fail("with ISS %v, segment %d is %s; with ISS 1000 it is %s", at, i, got[i], append(want, "none")[min(i, len(want))])
			}
		}
	}
}

// What a connection remembers does not turn from past to future after 2 GiB: recover (RFC
// 6582), what was lost, the urgent pointers (RFC 9293 section 3.8.5).
func TestAfterTwoGiB(t *testing.T) {
	p := established(t, setup{syn: "<MSS=32768><WS=10><SACKOK>", mtu: 65535, cfg: tcp.Config{DelayedAck: -1}})
	p.rec = nil
	p.c.SetSuperSegment(65535)
	p.c.CloseReceive(p.now, tcp.Discard)
	block := make([]byte, 60000)
	in := wire.Segment{Flags: wire.ACK, Seq: 2001, Ack: 1001, Wnd: 65535}
	p.c.Arrive(p.now, &in)
	var out wire.Segment
	for sum := uint32(0); sum < 1<<31+1<<20; sum += uint32(len(block)) {
		p.now++
		p.c.Send(p.now, block)
		for p.c.Output(p.now, &out) {
		}
		st := p.c.Status()
		if st.Flight != st.Unacknowledged {
			p.fail("after %d octets %d of %d in flight are deemed lost", sum, st.Unacknowledged-st.Flight, st.Unacknowledged)
		}
		ack := wire.Segment{Flags: wire.ACK, Seq: st.RcvNxt, Ack: st.SndNxt, Wnd: 65535, Text: block}
		p.c.Arrive(p.now, &ack)
		for p.c.Output(p.now, &out) {
		}
	}
	drain(p)
	p.c.TakeSignals()

	st := p.c.Status()
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><LEN=10><CTL=URG,ACK><UP=5>", st.RcvNxt, st.SndNxt))
	p.must(p.c.TakeSignals()&tcp.SignalUrgent != 0, "after 2 GiB received, urgent data is announced to the user")
	p.taken()

	for range 10 {
		p.write(60000)
	}
	first := p.c.Status().SndUna
	p.must(len(p.taken()) > 3, "there is a flight")
	for i := range 3 {
		p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK><SACK=%d-%d>", p.c.Status().RcvNxt, first, first+32768, first+seq.Num(32768*(2+i))))
	}
	p.must(p.c.Status().Recovering, "after 2 GiB sent, three duplicate ACKs lead to fast retransmit")
}

// The same without SACK, where "recover" decides.
func TestRecoverAfterTwoGiB(t *testing.T) { // 6582-1
	p := established(t, setup{syn: "<MSS=32768><WS=10>", mtu: 65535})
	p.rec = nil
	p.c.SetSuperSegment(65535)
	block := make([]byte, 60000)
	var out wire.Segment
	for sum := uint32(0); sum < 1<<31+1<<20; sum += uint32(len(block)) {
		p.now++
		p.c.Send(p.now, block)
		for p.c.Output(p.now, &out) {
		}
		ack := wire.Segment{Flags: wire.ACK, Seq: 2001, Ack: p.c.Status().SndNxt, Wnd: 65535}
		p.c.Arrive(p.now, &ack)
	}
	drain(p)
	for range 10 {
		p.write(60000)
	}
	for range 3 {
		p.send(p.ack(p.c.Status().SndUna))
	}
	p.must(p.c.Status().Recovering, "three duplicate ACKs lead to fast retransmit")
}

// drain acknowledges what is queued, until nothing is.
func drain(p *peer) {
	var out wire.Segment
	for st := p.c.Status(); st.Unsent+st.Unacknowledged > 0; st = p.c.Status() {
		for p.c.Output(p.now, &out) {
		}
		ack := wire.Segment{Flags: wire.ACK, Seq: st.RcvNxt, Ack: p.c.Status().SndNxt, Wnd: 65535}
		p.c.Arrive(p.now, &ack)
	}
	p.wrote, p.read = p.c.Status().SndNxt, p.c.Status().RcvNxt
	p.out, p.edgeSeen = nil, false
}
