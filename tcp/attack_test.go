package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A forged timestamp from the future makes nothing of the peer's look old, unless it came in a
// segment that the peer itself could have sent: RFC 7323 section 5.3 R3, CVE-2005-0356.
func TestPAWSPoisoning(t *testing.T) {
	for _, forged := range []string{
		"<SEQ=1500><ACK=1001><CTL=ACK><TS=900000000,0>",                     // left of the window
		"<SEQ=9000000><ACK=1001><LEN=10><CTL=ACK><TS=900000000,0>",          // right of it
		"<SEQ=2500><ACK=1001><LEN=10><CTL=ACK><TS=900000000,0>",             // in it, beyond Last.ACK.sent
		"<SEQ=1501><ACK=7777777><LEN=1000><CTL=ACK><TS=900000000,0>",        // reaches into it, the ACK guessed wrong
		"<SEQ=1501><LEN=1000><CTL=PSH><TS=900000000,0>",                     // without an ACK
		"<SEQ=2001><CTL=SYN><TS=900000000,0>",                               // a SYN
		"<SEQ=2100><CTL=RST><TS=900000000,0>",                               // a RST in the window
		"<SEQ=2001><ACK=1001><LEN=65000><CTL=SYN,FIN,ACK><TS=900000000,99>", // nonsense
	} {
		p := established(t, setup{syn: "<MSS=1460><TS=100,0>"})
		p.send(forged)
		p.taken()
		p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=101,0>")
		p.must(p.receive(10) == 10, "after %s the peer is still heard", forged)
		p.mustBe(tcp.Established)
	}
}

// "The ACK value is considered acceptable only if it is in the range of ((SND.UNA -
// MAX.SND.WND) <= SEG.ACK <= SND.NXT). All incoming segments whose ACK value doesn't satisfy
// the above condition MUST be discarded and an ACK sent back", RFC 5961 section 5. 5961-5. An
// ACK from before the connection is not made good by a large window: CVE-2023-52881.
func TestAckRange(t *testing.T) { // MAY-12
	take := func(p *peer, a seq.Num) bool {
		before := p.c.Status().RcvNxt
		p.wait(time.Second) // so that no answer is throttled
		p.taken()
		p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><LEN=10><CTL=ACK>", before, a))
		taken := p.c.Status().RcvNxt != before
		if out := p.taken(); !taken {
			p.must(len(out) == 1 && out[0].Ack == before, "a segment that is dropped is answered by an ACK")
		}
		return taken
	}
	p := established(t, setup{syn: "<MSS=1000>", wnd: 20000}) // nothing acknowledged yet but the SYN
	for _, tc := range []struct {
		ack  seq.Num
		want bool
	}{{999, false}, {1000, true}, {1001, true}, {1002, false}, {1<<32 - 18999, false}, {1001 + 1<<31, false}, {1000 + 1<<31, false}} {
		got := take(p, tc.ack)
		p.must(got == tc.want, "on a fresh connection ACK=%v is plausible: %v", tc.ack, tc.want)
	}
	for range 50 {
		p.write(1000)
		p.ackAll()
	}
	p.write(500)
	una, nxt := p.c.Status().SndUna, p.c.Status().SndNxt
	for _, tc := range []struct {
		ack  seq.Num
		want bool
	}{{una - 20001, false}, {una - 20000, true}, {una, true}, {nxt + 1, false}, {nxt, true}} {
		got := take(p, tc.ack)
		p.must(got == tc.want, "ACK=SND.UNA%+d is plausible: %v", int32(tc.ack-una), tc.want)
	}
}

// Challenge ACKs are limited: RFC 5961 section 7; for each connection by itself, or one could
// learn of another (CVE-2016-5696). 5961-6.
func TestChallengeAcksAreThrottled(t *testing.T) {
	for _, what := range []string{
		"<SEQ=2100><CTL=RST>", "<SEQ=2001><CTL=SYN>", "<SEQ=99><CTL=SYN>",
		"<SEQ=2001><ACK=5000000><LEN=5><CTL=ACK>", "<SEQ=1000><ACK=1001><CTL=ACK>",
	} {
		p, other := established(t, setup{}), established(t, setup{})
		p.rec = nil
		for range 10000 {
			p.send(what)
			p.wait(time.Millisecond)
		}
		n := len(p.taken())
		p.must(n > 0 && n <= 40, "10000 of %s in 10 s are answered by a few ACKs; by %d", what, n)
		p.mustBe(tcp.Established)
		other.send("<SEQ=2100><CTL=RST>")
		other.must(len(other.taken()) == 1, "another connection gives its challenge ACK at once")
	}
}

// Blind segments all over the sequence space, closer than the window: no reset, no SYN, no text
// and no FIN of them ends the connection or reaches the user; RFC 5961.
func TestBlindSegments(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000><WS=7>"})
	p.rec = nil
	p.write(100)
	wnd := p.c.Status().RcvWnd
	for _, flags := range []wire.Flags{wire.RST, wire.RST | wire.ACK, wire.SYN, wire.SYN | wire.ACK, wire.FIN, wire.FIN | wire.ACK, wire.ACK, wire.URG | wire.ACK, 0} {
		for s := uint64(7); s < 1<<32; s += uint64(wnd / 2) {
			p.give(wire.Segment{Seq: seq.Num(s), Ack: 0x12345678, Flags: flags, Wnd: 100, Up: 1000, Text: octets(seq.Num(s), 3)})
		}
	}
	p.taken()
	st := p.c.Status()
	p.must(st.State == tcp.Established && st.Unread == 0 && st.OutOfOrder == 0 && st.SndWnd == 65535, "nothing has changed: %+v", st)
	p.send("<SEQ=2001><ACK=1101><LEN=10><CTL=ACK>")
	p.must(p.receive(100) == 10 && p.c.Status().Unacknowledged == 0, "the connection goes on")
}

// Holes of one octet over a window of 4 MiB: CVE-2018-5390. What is held is bounded, nearest
// first, and everything is delivered when it comes in order.
func TestSegmentSmack(t *testing.T) { // SHLD-31
	p := established(t, setup{syn: "<MSS=1460><WS=7><SACKOK>", cfg: tcp.Config{ReceiveBuffer: 4 << 20}})
	p.rec = nil
	p.send(p.data(2001, 1))
	for at := seq.Num(2001 + 4<<20 - 70000); at.Sub(2003) > 200; at -= 200 {
		p.give(wire.Segment{Seq: at, Ack: 1001, Wnd: 65535, Flags: wire.ACK, Text: octets(at, 1)})
		p.taken()
	}
	st := p.c.Status()
	p.must(st.OutOfOrder > 0 && st.OutOfOrder <= 4096, "a bounded number of ranges is held: %d", st.OutOfOrder)
	p.must(st.Buffered <= 8<<20, "the memory is bounded: %d", st.Buffered)
	at := seq.Num(2002)
	held := 0
	for at.Sub(2002) < 900000 {
		before := p.c.Status().OutOfOrder
		p.give(wire.Segment{Seq: at, Ack: 1001, Wnd: 65535, Flags: wire.ACK, Text: octets(at, 500)})
		at += 500
		held += int(before - p.c.Status().OutOfOrder)
		p.receive(1 << 20)
	}
	p.must(held == int(st.OutOfOrder), "those nearest to RCV.NXT were held: %d of %d", held, st.OutOfOrder)
	p.must(p.read == p.c.Status().RcvNxt, "all text is read")
}

// Text octet by octet costs no more memory than twice the text and one small buffer.
func TestOctetByOctet(t *testing.T) {
	p := established(t, setup{})
	p.rec = nil
	for i := range seq.Num(20000) {
		p.send(p.data(2001+i, 1))
	}
	st := p.c.Status()
	p.must(st.Unread == 20000 && st.Buffered <= 2*20000+4096, "20000 octets take %d octets of memory", st.Buffered)
}

// Two ends that have lost each other's numbers do not answer each other without end: "fewer
// than four segments a second", whoever began.
func TestAckStorm(t *testing.T) {
	for _, began := range []string{"<SEQ=500000><ACK=600000><CTL=ACK>", "<SEQ=500000><ACK=600000><LEN=100><CTL=ACK>", "<SEQ=500000><ACK=600000><CTL=FIN,ACK>"} {
		a := established(t, setup{iss: 1000, irs: 2000})
		b := established(t, setup{iss: 1 << 28, irs: 1 << 29})
		a.rec, b.rec = nil, nil
		a.send(began)
		total := 0
		const lasts = 60 * time.Second
		for a.now.Sub(epoch) < lasts {
			for _, s := range a.taken() {
				b.give(s.Segment)
				total++
			}
			for _, s := range b.taken() {
				a.give(s.Segment)
				total++
			}
			a.wait(5 * time.Millisecond)
			b.wait(5 * time.Millisecond)
		}
		a.must(total < 4*60, "in a minute %d segments go to and fro", total)
	}
}

// No segment is answered by more than one, unless it lets text go: nothing is amplified.
func TestNothingIsAmplified(t *testing.T) {
	for flags := range wire.Flags(64) {
		for _, s := range []seq.Num{1, 2000, 2001, 2002, 50000, 1 << 31} {
			for _, a := range []seq.Num{0, 1000, 1001, 1002, 1 << 31} {
				for _, n := range []int{0, 1, 1000} {
					q := established(t, setup{})
					q.rec = nil
					q.give(wire.Segment{Seq: s, Ack: a, Flags: flags, Wnd: 1000, Up: 5, Text: octets(s, n)})
					out := q.taken()
					q.must(len(out) <= 1, "<SEQ=%v><ACK=%v><LEN=%d><CTL=%v> is answered by %d segments", s, a, n, flags, len(out))
					for _, o := range out {
						got := ladder.SegmentOf(&o.Segment)
						q.must(got.Len == 0 && flags&wire.RST == 0 || flags&wire.RST != 0 && got.Ctl == wire.ACK, "the answer to %v is %v", flags, &got)
					}
				}
			}
		}
	}
}
