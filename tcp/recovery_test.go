package tcp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// twenty is a connection with SACK and twenty segments of 1000 octets in flight, the whole of
// cwnd, from 1001+20000 on; 100 ms later the first answer may come.
func twenty(t *testing.T, options string) (p *peer, una seq.Num) {
	t.Helper()
	p = bulk(t, "<SACKOK>"+options)
	p.round(1000)
	una = p.c.Status().SndUna
	p.must(p.c.Status().SndNxt.Sub(una) == 20000 && p.c.Status().Cwnd == 20000, "twenty segments are in flight: %d", p.c.Status().SndNxt.Sub(una))
	p.wait(100 * time.Millisecond)
	p.taken()
	return p, una
}

// sack is an ACK of una with one block.
func (p *peer) sack(una, left, right seq.Num) {
	p.t.Helper()
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK><SACK=%d-%d>", p.c.Status().RcvNxt, una, left, right))
}

// sent says what the last segments were: N new, R sent again.
func (p *peer) kinds(nxt *seq.Num) string {
	var b strings.Builder
	for _, s := range p.taken() {
		switch {
		case len(s.Text) == 0:
		case s.Seq == *nxt:
			b.WriteByte('N')
			*nxt = s.End()
		default:
			b.WriteByte('R')
		}
	}
	return b.String()
}

// The figures of RFC 9937 section 8: twenty segments, and of them the first, or the first fifteen
// are lost. "c" and "s" of the lines "PRR", but for one place: at ACK 19 inflight is ssthresh, and
// by the pseudocode of section 6.2 the segment that Figure 1 has there goes with ACK 20.
func TestFiguresOfPRR(t *testing.T) {
	for _, tc := range []struct {
		name string
		lost int
		cwnd []int
		sent []string
	}{
		{"Figure 1", 1,
			[]int{20, 20, 19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 10, 10, 10, 10},
			[]string{"N", "N", "R", "", "N", "", "N", "", "N", "", "N", "", "N", "", "N", "", "N", "", "", "N", "N", "N"}},
		{"Figure 2", 15, []int{20, 20, 5, 5, 5}, []string{"N", "N", "R", "R", "R"}},
	} {
		p, una := twenty(t, "")
		nxt := p.c.Status().SndNxt
		for i := range tc.cwnd {
			right := una.Add(uint32(1000 * (tc.lost + i + 1)))
			if i == 21 { // ACK#22 "carries the full cumulative ACK covering all data up through the limited transmits"
				p.send(p.ack(una + 22000))
			} else {
				p.sack(una, una.Add(uint32(1000*tc.lost)), right)
			}
			got, sent := p.c.Status().Cwnd, p.kinds(&nxt)
			if int(got) != 1000*tc.cwnd[i] || sent != tc.sent[i] {
				t.Errorf("%s, ACK %d: cwnd %d, sent %q; want %d, %q", tc.name, tc.lost+i, got, sent, 1000*tc.cwnd[i], tc.sent[i])
			}
		}
	}
}

// RACK, RFC 8985 section 6.2: fewer than three segments reported, and the reordering window, a
// quarter of the least round trip, passes: lost. Another that was sent later is not.
func TestReorderingWindow(t *testing.T) {
	p, una := twenty(t, "")
	p.sack(una, una+1000, una+2000)
	p.must(!p.c.Status().Recovering, "nothing is lost yet")
	p.taken()
	p.wait(25*time.Millisecond - time.Nanosecond)
	p.must(!p.c.Status().Recovering && len(p.taken()) == 0, "nor a nanosecond before the window has passed")
	p.wait(2 * time.Nanosecond)
	out := p.taken()
	p.must(p.c.Status().Recovering && len(out) == 1 && out[0].Seq == una, "then the first is, and goes again: %v", texts(out))
}

// Once a segment has overtaken another, three reported segments are no sign of loss: section 6.2
// steps 3 and 4. Time is.
func TestReorderingSeen(t *testing.T) {
	p, una := twenty(t, "")
	p.sack(una, una+1000, una+2000)
	p.send(p.ack(una + 2000)) // the first was late
	p.taken()
	p.sack(una+2000, una+3000, una+9000)
	p.must(!p.c.Status().Recovering, "six segments reported begin no recovery")
	p.send(p.ack(una + 9000))
	p.must(!p.c.Status().Recovering && p.c.Status().Ssthresh > 20000, "and the late one has cost nothing")
	p.taken()
	p.sack(una+9000, una+10000, una+19000)
	p.wait(30 * time.Millisecond)
	p.must(p.c.Status().Recovering, "what does not come within the window is lost all the same")
}

// A retransmission that is lost as well is found, without a timeout: what was sent after it has
// been delivered.
func TestLostRetransmission(t *testing.T) {
	p, una := twenty(t, "")
	p.sack(una, una+1000, una+6000)
	nxt := una + 20000
	p.must(strings.HasPrefix(p.kinds(&nxt), "R"), "the first goes again")
	p.wait(50 * time.Millisecond)
	for n := seq.Num(7000); n <= 20000; n += 1000 { // the rest of the flight, which lets new ones go
		p.sack(una, una+1000, una+n)
	}
	p.kinds(&nxt)
	p.must(una+20000 < nxt, "new segments go after it")
	p.wait(100 * time.Millisecond)
	p.sack(una, una+1000, una+21000)
	out := p.taken()
	p.must(len(out) > 0 && out[0].Seq == una, "one of them is reported: the first goes a third time: %v", texts(out))
}

// RACK.rtt is that of the segment which was sent last of all that an ACK delivers, wherever it lies:
// RFC 8985 section 6.2 step 2, "in ascending order of Segment.xmit_ts". This ACK covers what went
// again, and behind it an original twice as old.
func TestRoundTripOfTheLastSent(t *testing.T) {
	p := opened(t, "<SACKOK>")
	p.write(5000)
	p.wait(50 * time.Millisecond)
	p.write(5000)
	p.wait(50 * time.Millisecond)
	p.taken()
	p.sack(1001, 2001, 5001)
	out := p.taken()
	p.must(len(out) > 0 && out[0].Seq == 1001, "the first is lost, and goes again: %v", texts(out))
	p.wait(100 * time.Millisecond)
	p.send(p.ack(6001))
	out = p.taken()
	p.must(len(out) > 0 && out[0].Seq == 6001, "what was sent 150 ms ago, before that, is lost: a round trip takes 100 ms: %v", texts(out))
}

// Two blocks of one ACK are no sign of reordering, though the first lies behind the second: the ACK
// that would have told of that one was lost. Section 6.2 step 3, "in ascending order of
// Segment.end_seq".
func TestBlocksAreNotReordering(t *testing.T) {
	p, una := twenty(t, "")
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK><SACK=%d-%d,%d-%d>", p.c.Status().RcvNxt, una, una+6000, una+7000, una+2000, una+3000))
	p.must(p.c.Status().Reported == 2000 && !p.c.Status().Reordering, "nothing has overtaken anything: %d octets reported", p.c.Status().Reported)
	p.sack(una, una+4000, una+5000)
	p.must(p.c.Status().Reordering, "what comes after an ACK that has told of a later one was overtaken")
}

// A tail loss probe, RFC 8985 section 7: two round trips after the last ACK the last segment goes
// again, and its SACK shows what is missing before it; no timeout.
func TestTailLossProbe(t *testing.T) {
	p := opened(t, "<SACKOK>")
	p.write(5000)
	p.taken()
	p.wait(100 * time.Millisecond)
	p.send(p.ack(1001 + 2000)) // three are lost
	srtt := p.c.Status().SRTT
	p.must(p.next(time.Minute) == 2*srtt, "PTO is two round trips")
	out := p.taken()
	p.must(len(out) == 1 && out[0].Seq == 5001, "the last segment goes again: %v", texts(out))
	p.wait(100 * time.Millisecond)
	p.sack(3001, 5001, 6001)
	out = p.taken()
	p.must(len(out) >= 1 && out[0].Seq == 3001 && p.c.Status().Recovering, "the others are lost: %v", texts(out))
	p.must(p.c.Status().Timeouts == 0, "there was no timeout")
}

// Where there is something new, a probe is that; and there is no second one before an answer.
func TestProbeOfNewText(t *testing.T) {
	p := bulk(t, "<SACKOK>")
	p.taken()
	p.next(time.Minute)
	out := p.taken()
	p.must(len(out) == 1 && out[0].Seq == 11001, "a new segment goes, though cwnd is full: %v", texts(out))
	p.next(time.Minute)
	out = p.taken()
	p.must(len(out) == 1 && out[0].Seq == 1001 && p.c.Status().Timeouts == 1, "then comes the timeout: %v", texts(out))
}

// The probe's ACK says whether it has repaired a loss, section 7.4.2: then cwnd is halved; with a
// D-SACK nothing was lost.
func TestWhatTheProbeRepaired(t *testing.T) {
	for _, dsack := range []bool{false, true} {
		p := opened(t, "<SACKOK>")
		p.write(5000)
		p.wait(100 * time.Millisecond)
		p.send(p.ack(1001 + 4000))
		p.next(time.Minute)
		p.taken()
		cwnd := p.c.Status().Cwnd
		p.wait(100 * time.Millisecond)
		p.send(p.ack(6001))
		if dsack {
			p.send("<SEQ=2001><ACK=6001><CTL=ACK><SACK=5001-6001>")
		}
		p.write(1000)
		p.taken()
		p.send(p.ack(7001))
		if got := p.c.Status().Cwnd; (got < cwnd) == dsack {
			t.Errorf("D-SACK %v: cwnd was %d and is %d", dsack, cwnd, got)
		}
	}
}

// What a repaired loss has taken stays taken: a late D-SACK, by which the recovery before it was
// spurious, gives nothing back. Without a probe it does.
func TestProbeEndsUndoing(t *testing.T) {
	for _, repaired := range []bool{false, true} {
		p := opened(t, "<SACKOK>")
		p.write(5000)
		p.wait(100 * time.Millisecond)
		p.sack(1001, 2001, 5001)
		p.must(p.c.Status().Recovering && p.c.Status().Retransmitted == 1000, "the first goes again")
		p.write(1000)
		p.wait(10 * time.Millisecond)
		p.sack(1001, 2001, 6001)
		p.send(p.ack(6001))
		p.must(!p.c.Status().Recovering && p.c.Status().SndNxt == 7001, "the recovery is over, and one segment outstanding")
		p.taken()
		if repaired {
			p.next(time.Minute)
			out := p.taken()
			p.must(len(out) == 1 && out[0].Seq == 6001 && p.c.Status().Timeouts == 0, "it goes again as a probe: %v", texts(out))
			p.wait(100 * time.Millisecond)
		}
		p.write(2000)
		p.send(p.ack(7001), p.ack(8001))
		p.must(!repaired || p.c.Status().Recoveries == 2, "the probe has repaired a loss")
		before := p.c.Status()
		p.send("<SEQ=2001><ACK=8001><CTL=ACK><SACK=1001-2001>")
		st := p.c.Status()
		p.must((st.Undone == 0 && st.Cwnd == before.Cwnd && st.Ssthresh == before.Ssthresh) == repaired, "repaired %v: %d undone, ssthresh was %d and is %d", repaired, st.Undone, before.Ssthresh, st.Ssthresh)
	}
}

// A recovery that a timestamp shows to be spurious is undone: RFC 3522, RFC 4015. The ACK of the
// "lost" segment echoes the original.
func TestUndoByTimestamp(t *testing.T) {
	p := bulk(t, "<SACKOK><TS=1,0>")
	out := p.taken()
	una, stamp := out[0].Seq, out[0].Options.TSVal
	p.wait(100 * time.Millisecond)
	before := p.c.Status()
	const mss = 1000 - 12
	p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK><SACK=%d-%d><TS=5,%d>", una, una+mss, una+6*mss, stamp))
	p.must(p.c.Status().Recovering && p.c.Status().Ssthresh < before.Cwnd, "recovery begins")
	p.taken()
	p.wait(5 * time.Millisecond)
	p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK><TS=6,%d>", una+6*mss, stamp))
	st := p.c.Status()
	p.must(!st.Recovering && st.Cwnd >= before.Cwnd && st.Ssthresh == before.Ssthresh && st.Undone == 1, "and is undone: cwnd %d, ssthresh %d", st.Cwnd, st.Ssthresh)
}

// What was sent again in one recovery and is acknowledged in the next tells of an earlier time than
// what was sent again in that, and proves nothing: RFC 3522 section 3.2, "not upon retransmitting
// segments other than the oldest outstanding segment".
func TestTimestampOfAnotherRetransmission(t *testing.T) {
	p := bulk(t, "<SACKOK><TS=1,0>")
	echo := func(ack, left, right seq.Num, stamp uint32) []sent {
		p.t.Helper()
		blocks := ""
		if left != right {
			blocks = fmt.Sprintf("<SACK=%d-%d>", left, right)
		}
		p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK>%s<TS=5,%d>", ack, blocks, stamp))
		return p.taken()
	}
	// of finds what was sent at or behind s.
	of := func(out []sent, s seq.Num) (found []sent) {
		for _, o := range out {
			if s.LessEq(o.Seq) && len(o.Text) > 0 {
				found = append(found, o)
			}
		}
		return found
	}
	first := p.taken()
	una, eight, end := first[0].Seq, first[8].Seq, first[9].End()
	p.must(len(first) == 10, "ten are in flight")
	p.wait(100 * time.Millisecond)
	out := echo(una, first[1].Seq, first[4].Seq, first[0].Options.TSVal) // the first is lost
	again, more := out[0], of(out, end)
	p.must(p.c.Status().Recovering && again.Seq == una, "it goes again")
	for i := 5; i < 8; i++ {
		more = append(more, of(echo(una, first[1].Seq, first[i].Seq, first[0].Options.TSVal), end)...)
	}
	p.must(len(more) >= 2, "new ones follow: %d", len(more))
	p.wait(50 * time.Millisecond)
	out = echo(eight, first[9].Seq, end, again.Options.TSVal) // and the ninth
	p.must(out[0].Seq == eight, "it goes again: %v", &out[0].Segment)
	before := out[0]
	more = append(more, of(out, end)...)
	p.wait(50 * time.Millisecond)
	out = echo(eight, more[1].Seq, more[1].End(), again.Options.TSVal) // and the first of the new ones
	p.must(p.c.Status().Recovering && out[0].Seq == end, "it goes again: %v", &out[0].Segment)
	second := out[0]
	p.wait(50 * time.Millisecond)
	n := len(more)
	p.must(n >= 4, "four new ones are in flight: %d", n)
	echo(end, more[1].Seq, more[n-2].Seq, before.Options.TSVal)
	p.must(!p.c.Status().Recovering, "the first recovery is over")
	echo(end, more[n-1].Seq, more[n-1].End(), before.Options.TSVal) // the last but one is lost
	p.wait(30 * time.Millisecond)
	out = p.taken()
	p.must(p.c.Status().Recovering && out[0].Seq == more[n-2].Seq, "the second begins: %v", &out[0].Segment)
	p.wait(20 * time.Millisecond)
	echo(more[n-2].Seq, more[n-1].Seq, more[n-1].End(), second.Options.TSVal)
	st := p.c.Status()
	p.must(st.Recovering && st.Undone == 0, "nothing was spurious: %d undone", st.Undone)
}

// Without timestamps D-SACK shows it, when it reports all that was sent again.
func TestUndoByDSACK(t *testing.T) {
	p, una := twenty(t, "")
	before := p.c.Status()
	p.sack(una, una+1000, una+6000)
	p.taken()
	p.send(p.ack(una + 6000))
	p.must(p.c.Status().Recovering, "an ACK alone may be the retransmission's")
	p.wait(100 * time.Millisecond)
	p.sack(una+6000, una, una+1000)
	st := p.c.Status()
	p.must(!st.Recovering && st.Cwnd >= before.Cwnd && st.Ssthresh == before.Ssthresh && st.Undone == 1, "undone: cwnd %d, ssthresh %d", st.Cwnd, st.Ssthresh)
}

// A receiver that says so each time is believed only so often.
func TestUndoByDSACKEnds(t *testing.T) {
	p, una := twenty(t, "")
	for range 80 {
		p.wait(100 * time.Millisecond)
		p.sack(una, una+1000, una+6000)
		p.send(p.ack(una + 6000))
		p.sack(una+6000, una, una+1000)
		p.send(p.ack(p.c.Status().SndNxt))
		p.refill()
		p.taken()
		una = p.c.Status().SndUna
	}
	st := p.c.Status()
	p.must(st.Undone == 64 && st.Recoveries > 64 && st.Ssthresh < 100_000, "of %d recoveries %d are undone; ssthresh is %d", st.Recoveries, st.Undone, st.Ssthresh)
}

// F-RTO, RFC 5682: after a timeout that was spurious new segments go, and an ACK of what was sent
// once gives the window back; after a true one a duplicate ACK goes on with slow start.
func TestForwardRTO(t *testing.T) {
	for _, spurious := range []bool{true, false} {
		p, una := twenty(t, "")
		before := p.c.Status()
		for p.c.Status().Timeouts == 0 {
			p.next(time.Minute)
		}
		out := p.taken()
		p.must(out[len(out)-1].Seq == una, "the first segment goes again")
		nxt := p.c.Status().SndNxt
		p.send(p.ack(una + 1000))
		p.must(p.kinds(&nxt) == "NN", "two new segments go")
		if spurious {
			p.send(p.ack(una + 2000))
			st := p.c.Status()
			p.must(st.Undone == 1 && st.Cwnd >= before.Cwnd && st.Ssthresh == before.Ssthresh, "undone: cwnd %d, ssthresh %d", st.Cwnd, st.Ssthresh)
			continue
		}
		p.sack(una+1000, nxt-3000, nxt-1000) // the third is a tail loss probe
		st := p.c.Status()
		p.must(st.Undone == 0 && st.Cwnd <= 3000 && strings.HasPrefix(p.kinds(&nxt), "R"), "what was lost goes again: cwnd %d", st.Cwnd)
	}
}

// A peer that gives up what it had reported (RFC 2018 section 8) gets all of it again.
func TestReneging(t *testing.T) {
	p, una := twenty(t, "")
	p.sack(una, una+1000, una+20000)
	p.taken()
	p.send(p.ack(una + 1000)) // it has the first, and has thrown away the rest
	p.taken()
	for p.c.Status().SndUna != una+20000 {
		p.next(time.Minute)
		st := p.c.Status()
		for _, s := range p.taken() {
			if s.Seq == st.SndUna && len(s.Text) > 0 {
				p.send(p.ack(s.End()))
			}
		}
	}
	p.must(p.c.Status().Retransmitted >= 19000, "%d octets went again", p.c.Status().Retransmitted)
	p.mustBe(tcp.Established)
}

// D-SACK of the receiver, RFC 2883 section 4: what comes twice is reported once, first, below or
// above the ACK.
func TestDSACKIsSent(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><SACKOK>"})
	p.send("<SEQ=2001><ACK=1001><LEN=1000><CTL=ACK>")
	p.wait(time.Second)
	p.taken()
	p.send("<SEQ=2001><ACK=1001><LEN=1000><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=3001><CTL=ACK><SACK=2001-3001>")
	p.send("<SEQ=2501><ACK=1001><LEN=1000><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=3501><CTL=ACK><SACK=2501-3001>")
	p.send("<SEQ=5001><ACK=1001><LEN=1000><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=3501><CTL=ACK><SACK=5001-6001>")
	p.send("<SEQ=5501><ACK=1001><LEN=1000><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=3501><CTL=ACK><SACK=5501-6001,5001-6501>")
	p.send("<SEQ=4001><ACK=1001><LEN=500><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=3501><CTL=ACK><SACK=4001-4501,5001-6501>")
}
