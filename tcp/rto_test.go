package tcp_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// estimator is RFC 6298 section 2, in its words and in floating point.
type estimator struct {
	known                bool
	srtt, rttvar, rto, g float64
}

func (e *estimator) measured(r float64) {
	if !e.known { // (2.2)
		e.known = true
		e.srtt = r
		e.rttvar = r / 2
	} else { // (2.3)
		const alpha, beta = 1.0 / 8, 1.0 / 4
		e.rttvar = (1-beta)*e.rttvar + beta*math.Abs(e.srtt-r)
		e.srtt = (1-alpha)*e.srtt + alpha*r
	}
	e.rto = e.srtt + math.Max(e.g, 4*e.rttvar)
}

// within is the RTO with the floor and the ceiling of a Config: (2.4) and (2.5).
func (e *estimator) within(least, most time.Duration) time.Duration {
	return time.Duration(math.Min(math.Max(e.rto, float64(least)), float64(most)))
}

func near(a, b time.Duration) bool { return (a - b).Abs() <= time.Microsecond+max(a, b)/100000 }

// The RTO against the model: 6298-2, 6298-3, 6298-4, 6298-5, with Karn's algorithm: "RTT
// samples MUST NOT be made using segments that were retransmitted", and the doubled RTO is
// kept until there is a new sample. 6298-6, 6298-8.
func TestRTOAgainstTheModel(t *testing.T) { // MUST-18, MUST-19
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 4))
		least, most := tcp.DefaultMinRTO, tcp.DefaultMaxRTO
		if seed%3 == 1 {
			least, most = time.Millisecond, 100*time.Second
		}
		rtt := time.Duration(1 + r.IntN(300_000_000))
		p := established(t, setup{rtt: rtt, cfg: tcp.Config{MinRTO: least, MaxRTO: most, UserTimeout: -1, MTUProbing: tcp.MTUProbeOff}})
		e := estimator{g: float64(least)}
		e.measured(float64(rtt))
		want := e.within(least, most)
		for round := range 60 {
			p.must(near(p.c.Status().RTO, want), "seed %d, round %d: RTO is %v; it is %v", seed, round, want, p.c.Status().RTO)
			p.write(1000)
			p.taken()
			if r.IntN(5) == 0 { // lost, once or more often
				for range 1 + r.IntN(4) {
					took := p.next(200 * time.Second)
					p.must(near(took, want), "seed %d, round %d: the segment goes again after %v; it goes after %v", seed, round, want, took)
					p.must(len(p.taken()) == 1, "one segment goes again")
					want = min(2*want, most)
				}
				p.wait(want / 3)
				p.ackAll() // a sample would be ambiguous
				continue
			}
			rtt = time.Duration(r.Int64N(int64(max(want, 2)/2))) + 1
			p.wait(rtt)
			p.ackAll()
			e.measured(float64(rtt))
			want = e.within(least, most)
		}
	}
}

// With timestamps a retransmission is told from its original, and gives a sample: RFC 7323
// section 4, 7323-11.
func TestTimestampMeasuresARetransmission(t *testing.T) { // MUST-18
	p := established(t, setup{rtt: 100 * time.Millisecond, syn: "<MSS=1460><TS=1,0>"})
	e := estimator{g: float64(tcp.DefaultMinRTO)}
	e.measured(float64(100 * time.Millisecond))
	p.write(100)
	p.next(time.Second)
	p.next(time.Second)
	p.taken()
	p.wait(60 * time.Millisecond)
	p.ackAll() // echoes the TSval of the last
	e.measured(float64(60 * time.Millisecond))
	p.must((p.c.Status().RTO-e.within(tcp.DefaultMinRTO, tcp.DefaultMaxRTO)).Abs() < 5*time.Millisecond,
		"RTO is about %v after the sample; it is %v", e.within(tcp.DefaultMinRTO, tcp.DefaultMaxRTO), p.c.Status().RTO)
}

// A TSecr that was never sent measures nothing: neither one from the future nor one from
// before the connection.
func TestTSecrThatWasNeverSent(t *testing.T) {
	for _, ticks := range []uint32{1, 1000, 1 << 31, 1<<32 - 3_000_000, 1<<32 - 30_000_000} {
		p := established(t, setup{rtt: 100 * time.Millisecond, syn: "<MSS=1460><TS=1,0>"})
		before := p.c.Status()
		p.write(100)
		p.next(time.Second)
		p.taken()
		p.send(p.ack(1101) + fmt.Sprintf("<TS=1,%d>", p.tsecr+ticks))
		st := p.c.Status()
		p.must(st.SRTT == before.SRTT && st.RTTVar == before.RTTVar, "with a TSecr %d ahead of our clock SRTT stays %v; it is %v", int32(ticks), before.SRTT, st.SRTT)
		p.must(st.Unacknowledged == 0, "the ACK counts all the same")
	}
}

// Only an ACK that advances SND.UNA gives a sample: RFC 7323 section 4.1, "RTTM Rule".
func TestDuplicateAckMeasuresNothing(t *testing.T) {
	p := established(t, setup{rtt: 100 * time.Millisecond, syn: "<MSS=1460><TS=1,0>"})
	p.write(1000)
	echo := p.tsecr
	p.wait(150 * time.Millisecond)
	before := p.c.Status()
	p.send(p.ack(1001) + fmt.Sprintf("<TS=1,%d>", echo))
	p.must(p.c.Status().SRTT == before.SRTT, "a duplicate ACK changes nothing")
}

// The timer: RFC 6298 section 5. (5.1) it starts when text goes and it does not run, (5.3) it
// starts anew when an ACK takes something, (5.2) it stops when everything is acknowledged;
// (5.4) on expiry the earliest segment goes, (5.5) the RTO doubles, (5.6) the timer starts.
// 6298-7, 6298-8.
func TestRetransmissionTimer(t *testing.T) { // MUST-18, MUST-19
	p := established(t, setup{syn: "<MSS=1000>", rtt: 100 * time.Millisecond, cfg: tcp.Config{MTUProbing: tcp.MTUProbeOff}})
	rto := p.c.Status().RTO
	p.must(p.c.Deadline() == tcp.Never, "an idle connection has no timer")
	p.write(1000)
	start := p.now
	p.must(p.c.Deadline() == start.Add(rto), "(5.1) the timer starts with the first segment")
	p.wait(50 * time.Millisecond)
	p.write(1000)
	p.must(p.c.Deadline() == start.Add(rto), "(5.1) it runs on with the second")
	p.wait(50 * time.Millisecond)
	p.send(p.ack(2001))
	p.must(p.c.Deadline() == p.now.Add(p.c.Status().RTO), "(5.3) an ACK of new data starts it anew")
	d := p.c.Deadline()
	p.wait(50 * time.Millisecond)
	p.send(p.ack(2001))
	p.must(p.c.Deadline() == d, "(5.3) a duplicate does not")
	p.send(p.ack(3001))
	p.must(p.c.Deadline() == tcp.Never, "(5.2) it stops when all is acknowledged")
	p.taken()

	p.write(5000)
	p.taken()
	rto = p.c.Status().RTO
	for i := range 5 {
		took := p.next(time.Minute)
		p.must(took == rto<<i, "(5.5) it expires after %v; after %v", rto<<i, took)
		p.expect("<SEQ=3001><ACK=2001><LEN=1000><CTL=ACK>")
	}
}

// "Until a round-trip time (RTT) measurement has been made [...] the sender SHOULD set RTO
// <- 1 second"; a SYN goes again like anything else, until R2 for a SYN, "at least 3
// minutes", and the user is told: RFC 9293 section 3.8.3. 6298-1.
func TestSYNThatIsNeverAnswered(t *testing.T) { // MUST-20, MUST-22, MUST-23
	p := synSent(t, setup{})
	at := time.Duration(0)
	for _, want := range []int{1, 3, 7, 15, 31, 63, 123} {
		at += p.next(time.Minute)
		p.must(at == time.Duration(want)*time.Second, "the SYN goes again at %d s; at %v", want, at)
		p.expect("<SEQ=1000><CTL=SYN><MSS=1460>" + synOptions(p))
	}
	p.must(p.c.TakeSignals()&tcp.SignalSoftError != 0, "the user can know that there is no answer")
	p.wait(180*time.Second - at - 1)
	p.mustBe(tcp.SynSent)
	p.wait(1)
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrUserTimeout, "the error is %v", p.c.Err())
	p.quiet("nobody is there to be told")
}

// synOptions is what the SYN offers beside MSS, at the time it is sent.
func synOptions(p *peer) string {
	if len(p.out) == 0 {
		return ""
	}
	return fmt.Sprintf("<WS=8><SACKOK><TS=%d,0>", p.out[0].Options.TSVal)
}

// The user can set R2, for the SYN as well.
func TestUserTimeoutOfASYN(t *testing.T) { // MUST-21
	p := synSent(t, setup{before: func(p *peer) { p.c.SetUserTimeout(5 * time.Second) }})
	p.wait(5*time.Second - 1)
	p.mustBe(tcp.SynSent)
	p.wait(1)
	p.mustBe(tcp.Closed)
}

// RFC 6298 section 5.7: "If the timer expires awaiting the ACK of a SYN segment and the TCP
// implementation is using an RTO less than 3 seconds, the RTO MUST be re-initialized to 3
// seconds when data transmission begins". 6298-9. And "RTT samples MUST NOT be made": the
// SYN,ACK measures nothing. RFC 5681 section 3.1: cwnd is one segment then.
func TestLostSYN(t *testing.T) { // MUST-18
	p := synSent(t, setup{})
	p.wait(time.Second)
	p.taken()
	p.wait(50 * time.Millisecond)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1000>")
	p.taken()
	p.write(5000)
	p.must(len(p.taken()) == 1, "the initial window is one segment")
	took := p.next(time.Minute)
	p.must(took == 3*time.Second, "text goes again after 3 s; after %v", took)
	p.must(p.c.Status().SRTT == 0, "there is no sample")

	// The passive side alike.
	p = newPeer(t, setup{})
	p.c.Open(p.now, tcp.Passive)
	p.send("<SEQ=2000><CTL=SYN><MSS=1000>")
	p.wait(time.Second)
	p.must(len(p.taken()) == 2, "the SYN,ACK goes again after a second")
	p.send("<SEQ=2001><ACK=1001><CTL=ACK>")
	p.write(1000)
	p.taken()
	took = p.next(time.Minute)
	p.must(took == 3*time.Second, "text goes again after 3 s; after %v", took)
}

// RFC 9293 section 3.8.3: at R1, at least 3 retransmissions, the user is told; at R2, at
// least 100 s, the connection is closed; the user can set R2 for one connection.
func TestExcessiveRetransmission(t *testing.T) { // MUST-20, SHLD-9, SHLD-10, SHLD-11
	p := established(t, setup{})
	p.write(10)
	start := p.now
	for i := range 3 {
		p.must(p.c.TakeSignals()&tcp.SignalSoftError == 0, "before R1 the user is not told")
		p.taken()
		p.next(time.Minute)
		_ = i
	}
	p.must(p.c.TakeSignals()&tcp.SignalSoftError != 0, "at the third retransmission the user is told")
	e := p.c.SoftError()
	p.must(e.Reason == tcp.ExcessiveRetransmissions && e.Seq == 1001, "it says what and where: %+v", e)
	p.wait(100 * time.Second)
	p.mustBe(tcp.Established)
	p.wait(start.Add(tcp.DefaultUserTimeout).Sub(p.now) - 1)
	p.mustBe(tcp.Established)
	p.taken()
	p.wait(1)
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrUserTimeout, "the error is %v", p.c.Err())
	p.expect("<SEQ=1011><CTL=RST>")
	n, err := p.c.Send(p.now, []byte{1})
	p.must(n == 0 && err == tcp.ErrUserTimeout, "SEND says so too: %v", err)
}

func TestUserTimeoutOfOneConnection(t *testing.T) { // MUST-21
	p := established(t, setup{})
	p.c.SetUserTimeout(3 * time.Second)
	p.wait(time.Hour)
	p.mustBe(tcp.Established)
	p.write(10)
	p.wait(2 * time.Second)
	p.send(p.ack(1005)) // progress
	p.wait(3*time.Second - 1)
	p.mustBe(tcp.Established)
	p.wait(1)
	p.mustBe(tcp.Closed)
	// Never.
	p = established(t, setup{})
	p.c.SetUserTimeout(-1)
	p.write(10)
	p.wait(1000 * time.Hour)
	p.mustBe(tcp.Established)
	// While the connection is idle, or only the peer speaks, it does not run.
	p = established(t, setup{})
	p.c.SetUserTimeout(3 * time.Second)
	for i := range 10 {
		p.wait(2 * time.Second)
		p.send(p.data(2001+seq.Num(10*i), 10))
	}
	p.mustBe(tcp.Established)
	// What the peer says does not hide that it acknowledges nothing.
	p.write(10)
	for i := range 2 {
		p.wait(1400 * time.Millisecond)
		p.send(p.data(2101+seq.Num(10*i), 10))
	}
	p.mustBe(tcp.Established)
	p.wait(300 * time.Millisecond)
	p.mustBe(tcp.Closed)
}

// Keep-alives: RFC 9293 section 3.8.4. They "MUST default to off"; a day without a word.
func TestKeepAliveIsOffAtFirst(t *testing.T) { // MUST-25
	p := established(t, setup{})
	p.wait(24 * time.Hour)
	p.quiet("keep-alives are off")
	p.must(p.c.Deadline() == tcp.Never, "an idle connection has no timer")
}

// "This interval MUST be configurable (MUST-27) and MUST default to no less than two hours"; a
// probe has no data and SEG.SEQ = SND.NXT-1; "it MUST NOT interpret failure to respond to any
// specific probe as a dead connection". 1122-K1, 1122-K2.
func TestKeepAlive(t *testing.T) { // MAY-5, MUST-24, MUST-27, MUST-28, MUST-29, SHLD-12
	p := established(t, setup{})
	p.c.SetKeepAlive(p.now, true, 0, 0, 0)
	took := p.next(24 * time.Hour)
	p.must(took == 2*time.Hour, "the first probe goes after two hours; after %v", took)
	p.expect("<SEQ=1000><ACK=2001><CTL=ACK>")
	for range 7 {
		took = p.next(time.Hour)
		p.must(took == 75*time.Second, "the next goes after 75 s; after %v", took)
		p.expect("<SEQ=1000><ACK=2001><CTL=ACK>")
	}
	p.send(p.ack(1001))
	took = p.next(24 * time.Hour)
	p.must(took == 2*time.Hour, "an answer counts as life; the next probe goes after %v", took)
	p.taken()
	for range 8 {
		p.next(time.Hour)
		p.expect("<SEQ=1000><ACK=2001><CTL=ACK>")
	}
	p.wait(75*time.Second - 1)
	p.mustBe(tcp.Established)
	p.wait(1)
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrUserTimeout, "after nine probes without an answer the error is %v", p.c.Err())
	// Off again.
	p = established(t, setup{})
	p.c.SetKeepAlive(p.now, true, time.Minute, time.Minute, 3)
	p.wait(90 * time.Second)
	p.must(len(p.taken()) == 1, "one probe")
	p.c.SetKeepAlive(p.now, false, 0, 0, 0)
	p.wait(24 * time.Hour)
	p.quiet("it is off")
	p.mustBe(tcp.Established)
}

// "Keep-alive packets MUST only be sent when no sent data is outstanding, and no data or
// acknowledgment packets have been received for the connection within an interval."
func TestKeepAliveOnlyWhenIdle(t *testing.T) { // MUST-26, MUST-27
	p := established(t, setup{})
	p.c.SetKeepAlive(p.now, true, 10*time.Second, 75*time.Second, 0)
	for i := range 20 {
		p.wait(9 * time.Second)
		p.send(p.data(2001+seq.Num(i), 1))
		p.wait(time.Second / 2)
		p.must(len(p.taken()) == 1, "only the ACK goes")
	}
	took := p.next(time.Minute) + time.Second/2
	p.must(took == 10*time.Second, "ten seconds after the last word the probe goes; after %v", took)
	p.expect("<SEQ=1000><ACK=2021><CTL=ACK>")
	// Outstanding text is sent again, and no probe beside it.
	p.c.SetUserTimeout(-1)
	p.write(10)
	p.wait(time.Hour)
	for _, s := range p.taken() {
		p.must(len(s.Text) == 10, "%v is a retransmission", &s.Segment)
	}
	p.mustBe(tcp.Established)
}

// When it is switched on, what has been heard before counts; switched on before OPEN, it begins
// with the handshake.
func TestKeepAliveBeginsWhenItIsSwitchedOn(t *testing.T) { // MUST-24, MUST-26, MUST-28
	p := established(t, setup{})
	p.wait(3 * time.Hour)
	p.send(p.data(2001, 1))
	p.wait(time.Second)
	p.taken()
	p.c.SetKeepAlive(p.now, true, 0, 0, 0)
	took := p.next(24*time.Hour) + time.Second
	p.must(took == 2*time.Hour, "the probe goes two hours after the last word; after %v", took)

	for _, fixture := range []func(*testing.T, setup) *peer{established, accepted} {
		p = fixture(t, setup{before: func(p *peer) { p.c.SetKeepAlive(p.now, true, 0, 0, 0) }})
		if p.c.Opened() == tcp.Passive {
			p.c.SetKeepAlive(p.now, true, 0, 0, 0)
		}
		took = p.next(24 * time.Hour)
		p.must(took == 2*time.Hour, "the probe goes two hours after the handshake; after %v", took)
	}
}

// The other's keep-alives are answered, with or without an octet of garbage: section 3.8.4.
// 1122-K1.
func TestKeepAliveOfThePeer(t *testing.T) {
	p := established(t, setup{})
	for range 3 {
		p.wait(time.Minute)
		p.send("<SEQ=2000><ACK=1001><CTL=ACK>")
		p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
		p.wait(time.Minute)
		p.give(wire.Segment{Seq: 2000, Ack: 1001, Wnd: 65535, Flags: wire.ACK, Text: []byte{0}})
		p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	}
	p.must(p.c.Status().Unread == 0, "garbage is not text")
}

// Retransmissions are counted for one segment (RFC 9293 section 3.8.3): what is acknowledged
// begins the count anew.
func TestRetransmissionsAreCountedForOneSegment(t *testing.T) { // MUST-20
	p := established(t, setup{syn: "<MSS=1000>", rtt: 100 * time.Millisecond})
	for range 5 {
		p.write(1000)
		p.next(time.Minute)
		p.next(time.Minute)
		p.must(p.c.Status().Retransmissions == 2, "two retransmissions of this segment; it says %d", p.c.Status().Retransmissions)
		p.ackAll()
		p.must(p.c.Status().Retransmissions == 0, "none of the next")
	}
	p.must(p.c.TakeSignals()&tcp.SignalSoftError == 0, "R1 is not reached")
}
