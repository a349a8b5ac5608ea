package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// bulk is a connection whose user always has more to send, in segments of 1000 octets; the
// initial window is ten of them.
func bulk(t *testing.T, syn string) *peer {
	t.Helper()
	return bulkWith(t, syn, tcp.Config{})
}

func bulkWith(t *testing.T, syn string, cfg tcp.Config) *peer {
	t.Helper()
	cfg.SendBuffer, cfg.UserTimeout, cfg.Congestion = 1<<22, -1, tcp.NewReno
	p := established(t, setup{syn: "<MSS=1000><WS=4>" + syn, rtt: 100 * time.Millisecond, cfg: cfg})
	p.send(p.ack(1001)) // whose window, unlike a SYN's, is scaled
	p.rec = nil
	p.write(1 << 22)
	return p
}

// opened is a connection with a large window.
func opened(t *testing.T, syn string) *peer {
	t.Helper()
	p := established(t, setup{syn: "<MSS=1000><WS=4>" + syn, rtt: 100 * time.Millisecond, cfg: tcp.Config{Congestion: tcp.NewReno}})
	p.send(p.ack(1001))
	return p
}

// refill keeps the queue of a bulk connection full.
func (p *peer) refill() {
	p.write(1 << 22)
}

// round lets an RTT of 100 ms pass and then acknowledges, by one ACK for every n octets, what
// was outstanding at its beginning.
func (p *peer) round(n uint32) {
	p.t.Helper()
	end := p.c.Status().SndNxt
	p.wait(100 * time.Millisecond)
	for p.c.Status().SndUna != end {
		a := seq.Min(end, p.c.Status().SndUna.Add(n))
		p.send(p.ack(a))
	}
	p.refill()
	p.taken()
}

// dup is n duplicate ACKs.
func (p *peer) dup(n int) {
	p.t.Helper()
	for range n {
		p.send(p.ack(p.c.Status().SndUna))
	}
}

// The control of one connection is made when that is established, and not for each SYN.
func TestMakeCongestion(t *testing.T) {
	made := 0
	p := synSent(t, setup{cfg: tcp.Config{Congestion: tcp.NewCubic}, before: func(p *peer) {
		p.c.MakeCongestion(func() tcp.Congestion { made++; return tcp.NewReno() })
	}})
	p.must(made == 0 && p.c.Status().Congestion == "", "a SYN is no connection: %d made, %q", made, p.c.Status().Congestion)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK>")
	p.must(made == 1 && p.c.Status().Congestion == "reno", "%d made, %q", made, p.c.Status().Congestion)
	p.c.MakeCongestion(tcp.NewBBR)
	p.write(1000)
	p.ackAll()
	p.must(p.c.Status().Congestion == "reno", "later it does nothing: %q", p.c.Status().Congestion)
}

// The initial window: RFC 6928 section 2, "min (10*MSS, max (2*MSS, 14600))". 5681-2.
func TestInitialWindow(t *testing.T) {
	for _, tc := range []struct{ mss, want int }{{536, 5360}, {1000, 10000}, {1460, 14600}, {4000, 14600 / 4000 * 4000}, {7300, 14600}, {8960, 17920}} {
		p := established(t, setup{syn: fmt.Sprintf("<MSS=%d><WS=4>", tc.mss), mtu: 9000})
		p.write(200000)
		sum := 0
		for _, n := range texts(p.taken()) {
			sum += n
		}
		p.must(sum == tc.want, "with MSS %d the first flight has %d octets; it has %d", tc.mss, tc.want, sum)
	}
}

// Slow start: RFC 5681 section 3.1, by bytes as RFC 3465 section 2.2 says, with L = 2*SMSS:
// each ACK lets cwnd grow by what it acknowledges, at most two segments. 5681-3.
func TestSlowStart(t *testing.T) { // MUST-19
	p := bulk(t, "")
	for _, tc := range []struct{ acked, grows uint32 }{{1000, 1000}, {2000, 2000}, {5000, 5000}, {300, 300}, {700, 700}} {
		before := p.c.Status()
		p.send(p.ack(before.SndUna.Add(tc.acked)))
		got := p.c.Status().Cwnd - before.Cwnd
		p.must(got == tc.grows, "an ACK of %d octets lets cwnd grow by %d; it grows by %d", tc.acked, tc.grows, got)
	}
	// A round trip doubles it, with an ACK for each segment or for every second.
	for _, every := range []uint32{1000, 2000} {
		p = bulk(t, "")
		for range 4 {
			before := p.c.Status().Cwnd
			p.round(every)
			got := p.c.Status().Cwnd
			p.must(got == 2*before, "in one round trip cwnd goes from %d to %d; to %d", before, 2*before, got)
		}
	}
	// A window that is not used is not tested, and does not grow.
	p = opened(t, "")
	for range 100 {
		p.write(1000)
		p.ackAll()
	}
	p.must(p.c.Status().Cwnd == 10000, "one segment a round trip leaves cwnd at 10000; it is %d", p.c.Status().Cwnd)
}

// Congestion avoidance: "cwnd is incremented by roughly 1 full-sized segment per round-trip
// time", and never by more, RFC 5681 section 3.1; however many ACKs there are. 5681-4.
func TestCongestionAvoidance(t *testing.T) { // MUST-19
	for _, every := range []uint32{10, 100, 1000, 2000, 5000} {
		p := bulk(t, "")
		p.round(1000) // 20 segments
		p.dup(3)      // the first is lost
		p.send(p.ack(p.c.Status().SndNxt))
		p.refill()
		st := p.c.Status()
		p.must(!st.Recovering, "recovery has ended")
		for p.c.Status().Cwnd < p.c.Status().Ssthresh {
			p.round(1000)
		}
		first := p.c.Status().Cwnd
		before := first
		for range 20 {
			p.round(every)
			got := p.c.Status().Cwnd
			p.must(got-before <= 1000, "with an ACK for each %d octets cwnd grows by at most a segment a round trip; from %d to %d", every, before, got)
			before = got
		}
		p.must(before-first >= 19000, "in 20 round trips cwnd grows by about 20 segments, with an ACK for each %d octets; from %d to %d", every, first, before)
	}
}

// A window that is not used is not tested, and does not grow in congestion avoidance either.
func TestCwndOfAQuietUser(t *testing.T) {
	p := opened(t, "")
	p.write(10000)
	p.dup(3)
	p.ackAll()
	for p.c.Status().Cwnd < p.c.Status().Ssthresh {
		p.write(50000)
		for p.c.Status().Unacknowledged > 0 {
			p.ackAll()
		}
	}
	before := p.c.Status().Cwnd
	for range 100 {
		p.write(1000)
		p.ackAll()
	}
	p.must(p.c.Status().Cwnd == before, "one segment a round trip leaves cwnd at %d; it is %d", before, p.c.Status().Cwnd)
}

// Fast retransmit and fast recovery: RFC 5681 section 3.2, with limited transmit (RFC 3042).
// 5681-5, 5681-7, 5681-8.
func TestFastRetransmit(t *testing.T) { // MUST-19
	p := bulk(t, "")
	st := p.c.Status()
	p.taken()
	una := st.SndUna
	for range 2 {
		p.dup(1)
		out := p.taken()
		p.must(len(out) == 1 && out[0].Seq == st.SndNxt, "step 1: each of the first two duplicate ACKs lets a new segment go")
		p.must(p.c.Status().Cwnd == 10000, "step 1: cwnd does not change")
		st = p.c.Status()
	}
	p.dup(1)
	out := p.taken()
	p.must(len(out) == 1 && out[0].Seq == una && len(out[0].Text) == 1000, "step 3: the third lets the lost segment go: %v", out)
	st = p.c.Status()
	p.must(st.Ssthresh == 5000 && st.Recovering, "step 2: ssthresh is half of FlightSize without what limited transmit sent: 5000; it is %d", st.Ssthresh)
	// RFC 9937 instead of step 4: in proportion, 5 of 12 segments for each that has arrived, while
	// more than ssthresh is in flight; in the end one for one.
	for i, want := range []int{0, 1, 0, 1, 0, 0, 1, 1} {
		p.dup(1)
		out = p.taken()
		p.must(len(out) == want, "duplicate ACK %d lets %d new segments go; it lets %d", i+4, want, len(out))
	}
	p.send(p.ack(p.c.Status().SndNxt))
	st = p.c.Status()
	p.must(st.Cwnd == st.Ssthresh && !st.Recovering, "step 6: cwnd is ssthresh; it is %d", st.Cwnd)
}

// FlightSize, not cwnd, is halved: "a common mistake" RFC 5681 section 3.1; and ssthresh is
// at least two segments. 5681-5.
func TestSsthreshFollowsFlightSize(t *testing.T) {
	p := opened(t, "")
	p.write(6000)
	p.taken()
	p.dup(3)
	p.must(p.c.Status().Ssthresh == 3000, "ssthresh is half of 6000 octets in flight; it is %d", p.c.Status().Ssthresh)
	p = opened(t, "")
	p.write(3000)
	p.next(time.Minute)
	p.must(p.c.Status().Ssthresh == 2000, "ssthresh is at least two segments; it is %d", p.c.Status().Ssthresh)
}

// What is a duplicate ACK: RFC 5681 section 2. 5681-12.
func TestWhatIsNoDuplicateAck(t *testing.T) {
	for _, tc := range []struct {
		what string
		seg  func(p *peer, i int) string
	}{
		{"text comes with it", func(p *peer, i int) string { return p.data(p.c.Status().RcvNxt, 1) }},
		{"the window differs", func(p *peer, i int) string { return p.ack(1001) + fmt.Sprintf("<WND=%d>", 50000+i) }},
		{"it is older than SND.UNA", func(p *peer, i int) string { return p.ack(1000) }},
	} {
		p := opened(t, "")
		p.write(10000)
		p.taken()
		for i := range 10 {
			p.send(tc.seg(p, i))
		}
		p.must(!p.c.Status().Recovering && p.c.Status().Cwnd == 10000, "no duplicate ACK: %s", tc.what)
		for _, s := range p.taken() {
			p.must(len(s.Text) == 0, "%v is no retransmission", &s.Segment)
		}
	}
	p := opened(t, "")
	p.dup(10)
	p.must(!p.c.Status().Recovering, "nothing is outstanding")
	p.write(5000)
	p.dup(1)
	p.dup(1)
	p.send(p.ack(2001))
	p.dup(2)
	p.must(!p.c.Status().Recovering, "an ACK of new data begins the count anew")
	// With SACK, one that reports nothing new is none: RFC 6675 section 2.
	p = opened(t, "<SACKOK>")
	p.write(10000)
	p.wait(100 * time.Millisecond)
	p.dup(10)
	p.must(!p.c.Status().Recovering, "it reports nothing")
	for range 10 {
		p.send("<SEQ=2001><ACK=1001><CTL=ACK><SACK=2001-3001>")
	}
	p.must(!p.c.Status().Recovering, "it reports what was reported before")
	for i := range 10 {
		p.send(fmt.Sprintf("<SEQ=2001><ACK=1001><CTL=ACK><SACK=%d-1001>", 900+i),
			fmt.Sprintf("<SEQ=2001><ACK=1001><CTL=ACK><SACK=90000-%d>", 91001+i), fmt.Sprintf("<SEQ=2001><ACK=1001><CTL=ACK><SACK=4001-%d>", 3001+i))
	}
	p.must(!p.c.Status().Recovering, "it reports what was not sent")
	p.send("<SEQ=2001><ACK=1001><CTL=ACK><SACK=2001-4001>", "<SEQ=2001><ACK=1001><CTL=ACK><SACK=2001-5001>")
	p.must(p.c.Status().Recovering, "the third segment that is reported is enough")
}

// NewReno: a partial ACK in recovery means that the next segment is lost too, and it goes at once:
// RFC 6582 section 3.2 step 3; how much goes with it is RFC 9937's. 6582-2, 6582-3. Segments 1, 4 and 8 of ten are lost.
func TestPartialAcks(t *testing.T) {
	p := bulk(t, "")
	p.taken()
	p.dup(7)
	out := p.taken()
	p.must(out[2].Seq == 1001, "the first goes again")
	for _, hole := range []seq.Num{4001, 8001} {
		p.send(p.ack(hole))
		out = p.taken()
		p.must(len(out) > 0 && out[0].Seq == hole && len(out[0].Text) == 1000, "the partial ACK of %v lets that segment go", hole)
		p.must(p.c.Status().Recovering && len(out) <= 2, "with it goes at most one new segment")
	}
	st := p.c.Status()
	p.send(p.ack(st.SndNxt))
	got := p.c.Status()
	p.must(!got.Recovering && got.Cwnd == st.Ssthresh, "a full ACK leaves ssthresh; it leaves %d", got.Cwnd)
}

// "For the first partial ACK that arrives during fast recovery, also reset the retransmit
// timer": not for the next ones. 6582-5.
func TestTimerInRecovery(t *testing.T) {
	p := bulk(t, "")
	p.dup(3)
	p.wait(50 * time.Millisecond)
	p.send(p.ack(2001))
	d := p.c.Deadline()
	p.must(d == p.now.Add(p.c.Status().RTO), "the first partial ACK starts the timer anew")
	for a := seq.Num(3001); a <= 6001; a += 1000 {
		p.wait(10 * time.Millisecond)
		p.send(p.ack(a))
		p.must(p.c.Deadline() == d, "the next do not")
	}
}

// After recovery, duplicate ACKs that do not cover more than "recover" do not start another
// one: RFC 6582 section 3.2 step 2. 6582-1.
func TestNoSecondRecoveryForOneFlight(t *testing.T) {
	p := bulk(t, "")
	p.dup(3)
	end := p.c.Status().SndNxt
	p.send(p.ack(end))
	st := p.c.Status()
	p.must(!st.Recovering, "recovery has ended")
	p.taken()
	p.dup(5)
	p.must(!p.c.Status().Recovering && p.c.Status().Ssthresh == st.Ssthresh, "old duplicate ACKs do not start another")
	p.must(len(p.taken()) == 2, "they let two new segments go, and no more: RFC 3042")
	p.send(p.ack(end.Add(1000)))
	p.dup(3)
	p.must(p.c.Status().Recovering, "but those of later segments do")
}

// After a timeout: cwnd is one segment ("MUST be set to no more than the loss window"), ssthresh is
// half of FlightSize and is not lowered by the next timeout of the segment; slow start with L
// = 1*SMSS up to ssthresh (RFC 3465 section 2.3, "MUST use L=1*SMSS"); the earliest segment
// alone goes first. 5681-6, 6298-8.
func TestAfterATimeout(t *testing.T) { // MUST-19
	p := bulk(t, "")
	p.round(1000) // 20 segments
	una := p.c.Status().SndUna
	p.next(time.Minute)
	out := p.taken()
	st := p.c.Status()
	p.must(len(out) == 1 && out[0].Seq == una, "the earliest segment goes alone")
	p.must(st.Cwnd == 1000 && st.Ssthresh == 10000, "cwnd is 1000 and ssthresh 10000; they are %d and %d", st.Cwnd, st.Ssthresh)
	p.next(time.Minute)
	p.taken()
	st = p.c.Status()
	p.must(st.Cwnd == 1000 && st.Ssthresh == 10000, "the next timeout of it leaves ssthresh; it is %d", st.Ssthresh)
	p.send(p.ack(una + 1000))
	p.must(p.c.Status().Cwnd == 2000, "an ACK of a segment: cwnd 2000; it is %d", p.c.Status().Cwnd)
	out = p.taken()
	p.must(len(out) == 2 && out[0].Seq == una+1000 && out[1].Seq == una+2000, "two segments go, those after the first")
	p.send(p.ack(una + 7000))
	p.must(p.c.Status().Cwnd == 3000, "an ACK of six segments: cwnd 3000, by L = 1; it is %d", p.c.Status().Cwnd)
	for p.c.Status().Cwnd < 10000 {
		p.round(2000)
	}
	before := p.c.Status().Cwnd
	p.round(1000)
	p.must(p.c.Status().Cwnd-before <= 1000, "above ssthresh cwnd grows by a segment a round trip")
}

// After a timeout, duplicate ACKs of what was sent before it do not lead to fast retransmit:
// RFC 6582 section 3.2 steps 2 and 4; RFC 6675 section 5.1, "a new recovery phase MUST NOT be
// initiated until HighACK is greater than or equal to the new value of RecoveryPoint". 6582-4.
func TestNoFastRetransmitAfterATimeout(t *testing.T) {
	for _, sack := range []bool{false, true} {
		syn := ""
		if sack {
			syn = "<SACKOK>"
		}
		p := bulk(t, syn)
		una := p.c.Status().SndUna
		end := p.c.Status().SndNxt
		p.next(time.Minute)
		p.taken()
		if sack { // that was a tail loss probe
			p.next(time.Minute)
			p.taken()
		}
		st := p.c.Status()
		for i := range seq.Num(8) {
			text := fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK>", una)
			if sack {
				text += fmt.Sprintf("<SACK=%d-%d>", una+1000, una+2000+1000*i)
			}
			p.send(text)
		}
		got := p.c.Status()
		p.must(!got.Recovering && got.Ssthresh == st.Ssthresh, "SACK %v: duplicate ACKs of the flight before the timeout start no recovery", sack)
		p.send(p.ack(end))
		p.round(1000)
		una = p.c.Status().SndUna
		for i := range seq.Num(3) {
			text := fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK>", una)
			if sack {
				text += fmt.Sprintf("<SACK=%d-%d>", una+1000, una+2000+1000*i)
			}
			p.send(text)
		}
		p.must(p.c.Status().Recovering, "SACK %v: those of later segments do", sack)
	}
}

// "TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not
// sent data in an interval exceeding the retransmission timeout", RFC 5681 section 4.1. 5681-11.
func TestRestartAfterIdleness(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000><WS=4>", rtt: 100 * time.Millisecond, cfg: tcp.Config{Congestion: tcp.NewReno, RestartAfterIdle: true}})
	p.send(p.ack(1001))
	for p.c.Status().Cwnd < 50000 {
		p.write(1 << 16)
		for p.c.Status().Unacknowledged > 0 {
			p.ackAll()
		}
	}
	p.taken()
	p.wait(p.c.Status().RTO)
	p.write(1 << 16)
	p.must(len(p.taken()) > 40, "after an RTO without a word cwnd is what it was")
	for p.c.Status().Unacknowledged > 0 {
		p.ackAll()
	}
	p.taken()
	p.wait(p.c.Status().RTO + time.Millisecond)
	p.write(1 << 16)
	p.must(len(p.taken()) == 10, "after more than an RTO it is the initial window")
}

// Splitting an ACK into a hundred gains nothing: RFC 3465 section 2.1, "ACK division".
func TestAckDivision(t *testing.T) {
	p := bulk(t, "")
	for range 3 {
		before := p.c.Status().Cwnd
		p.round(10)
		p.must(p.c.Status().Cwnd <= 2*before, "cwnd at most doubles; from %d to %d", before, p.c.Status().Cwnd)
	}
}

// An ACK of what was not sent is none: no window grows, and it is answered. Optimistic ACKs.
func TestOptimisticAck(t *testing.T) {
	p := bulk(t, "")
	p.taken()
	before := p.c.Status()
	for i := range 100 {
		p.send(p.ack(before.SndNxt.Add(uint32(1 + 1000*i))))
	}
	st := p.c.Status()
	p.must(st.Cwnd == before.Cwnd && st.SndUna == before.SndUna && st.SndNxt == before.SndNxt, "nothing has moved")
	p.must(len(p.taken()) == 1, "one challenge ACK is enough")
}

// Bogus duplicate ACKs inflate the window "to the number of outstanding segments" at most: RFC
// 5681 section 3.2, note to step 4.
func TestBogusDuplicateAcks(t *testing.T) {
	p := bulk(t, "")
	p.dup(1000)
	st := p.c.Status()
	p.must(st.SndNxt.Sub(st.SndUna) <= 25000, "of a flight of 10 segments 1000 duplicate ACKs make no more than 25; they make %d octets", st.SndNxt.Sub(st.SndUna))
	p.must(st.Cwnd <= 25000, "cwnd is %d", st.Cwnd)
	p.taken()
	p.send(p.ack(st.SndNxt))
	st = p.c.Status()
	p.must(st.Cwnd <= st.Ssthresh, "and recovery deflates it")
}

// A path that takes only smaller packets: what is in flight is cut anew, and that is no sign
// of congestion (RFC 8201 section 5.4); a forged report changes nothing.
func TestPacketTooBig(t *testing.T) { // MUST-16
	p := established(t, setup{syn: "<MSS=1460><WS=4>", rtt: 100 * time.Millisecond})
	p.write(5000)
	p.taken()
	p.must(!p.c.PacketTooBig(p.now, 900, 1000) && !p.c.PacketTooBig(p.now, 90000, 1000), "a report about what is not in flight is not believed")
	p.must(!p.c.PacketTooBig(p.now, 1001, 1500) && !p.c.PacketTooBig(p.now, 1001, 9000), "nor one that does not say less")
	p.must(p.c.PacketTooBig(p.now, 1001, 1000), "one of a segment in flight is")
	p.flush()
	out := p.taken()
	end := seq.Num(1001)
	for _, s := range out {
		p.must(s.Seq == end && len(s.Text) <= 960, "%v is cut anew", &s.Segment)
		end = s.End()
	}
	p.must(!end.Less(5381), "all that was in flight goes again; up to %v", end)
	st := p.c.Status()
	p.must(st.Cwnd >= 10*960 && !st.Recovering, "it is no congestion; cwnd is %d", st.Cwnd)
	p.must(!p.c.PacketTooBig(p.now, 1001, 1400) && p.c.Status().PathMTU == 1000, "a later report cannot raise the path; it is %d", p.c.Status().PathMTU)
	p.c.PacketTooBig(p.now, 1001, 68)
	p.must(p.c.Status().PathMTU == 576, "a report cannot lower the path below 576; it is %d", p.c.Status().PathMTU)
	p = established(t, setup{v6: true})
	p.write(5000)
	p.c.PacketTooBig(p.now, 1001, 68)
	p.must(p.c.Status().PathMTU == 1280, "nor below 1280 in IPv6; it is %d", p.c.Status().PathMTU)
}

// The last segment's loss has no duplicate ACK and is repaired by the timeout; the FIN too.
func TestLostFIN(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000>"})
	p.write(1500)
	p.c.Close(p.now)
	p.flush()
	p.expect("<SEQ=1001><ACK=2001><LEN=1000><CTL=ACK>", "<SEQ=2001><ACK=2001><LEN=500><CTL=FIN,PSH,ACK>")
	p.send(p.ack(2001))
	p.next(time.Minute)
	out := p.taken()
	p.must(len(out) == 1 && out[0].Seq == 2001 && len(out[0].Text) == 500 && out[0].Flags.Has(wire.FIN), "text and FIN go again: %v", &out[0].Segment)
	p.send(p.ack(2501))
	p.next(time.Minute)
	p.expect("<SEQ=2501><ACK=2001><CTL=FIN,ACK>")
	p.send(p.ack(2502))
	p.mustBe(tcp.FinWait2)
}
