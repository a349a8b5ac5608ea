package tcp_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// urge is the user's SEND with the URGENT flag.
func (p *peer) urge(n int) {
	p.t.Helper()
	taken, err := p.c.SendUrgent(p.now, octets(p.wrote, n))
	if err != nil || taken != n {
		p.fail("SEND: %d of %d, %v", taken, n, err)
	}
	p.wrote = p.wrote.Add(uint32(n))
	p.flush()
}

// "The urgent pointer MUST point to the sequence number of the octet following the urgent
// data", RFC 9293 section 3.8.5; "the absence of this flag indicates that there is no urgent
// data outstanding". A stack that is not asked for it never sets URG.
func TestUrgentDataIsSent(t *testing.T) { // MUST-30, MUST-62, SHLD-13
	p := established(t, setup{syn: "<MSS=1000>", rtt: 100 * time.Millisecond})
	p.write(10)
	p.expect("<SEQ=1001><ACK=2001><LEN=10><CTL=PSH,ACK>")
	p.write(20)
	p.urge(5)
	p.send(p.ack(1011))
	p.expect("<SEQ=1011><ACK=2001><LEN=25><CTL=URG,PSH,ACK><UP=25>")
	p.write(5)
	p.next(time.Minute)
	p.expect("<SEQ=1011><ACK=2001><LEN=30><CTL=URG,PSH,ACK><UP=25>")
	p.send(p.ack(1036))
	p.next(time.Minute)
	p.expect("<SEQ=1036><ACK=2001><LEN=5><CTL=PSH,ACK>")
	p.send(p.ack(1041))
	p.write(5)
	p.expect("<SEQ=1041><ACK=2001><LEN=5><CTL=PSH,ACK>")
	// With the window closed, what goes all the same tells of it: "an urgent field that is
	// carried in all segments transmitted".
	p.send("<SEQ=2001><ACK=1046><CTL=ACK><WND=0>")
	p.urge(7)
	p.send("<SEQ=2001><ACK=1046><LEN=3000><CTL=ACK><WND=0>")
	p.expect("<SEQ=1046><ACK=5001><CTL=URG,ACK><UP=7>")
	p.next(time.Minute)
	p.expect("<SEQ=1046><ACK=5001><LEN=1><CTL=URG,ACK><UP=7>")
}

// "A TCP implementation MUST support a sequence of urgent data of any length": a pointer
// beyond the field's reach comes nearer segment by segment.
func TestUrgentDataOfAnyLength(t *testing.T) { // MUST-31
	p := established(t, setup{syn: "<MSS=1000><WS=4>", cfg: tcp.Config{SendBuffer: 1 << 20}})
	p.send(p.ack(1001))
	p.urge(200000)
	p.write(5000)
	end := seq.Num(201001)
	for p.c.Status().Unacknowledged > 0 {
		for _, s := range p.taken() {
			want := min(end.Sub(s.Seq), 65535)
			if !s.Seq.Less(end) {
				p.must(s.Flags&wire.URG == 0, "%v begins after the urgent data", &s.Segment)
				continue
			}
			p.must(s.Flags&wire.URG != 0 && uint32(s.Up) == want, "%v points to %d; it points to %d", &s.Segment, want, s.Up)
		}
		p.ackAll()
	}
	// Received likewise.
	p = established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{DelayedAck: -1}})
	s := seq.Num(2001)
	for sum := 0; sum < 200000; sum += 1000 {
		seg := p.make(p.data(s, 1000))
		seg.Flags |= wire.URG
		seg.Up = uint16(min(200000-sum, 65535))
		p.give(seg)
		s += 1000
		p.must(p.c.Status().UrgentLeft > 0, "urgent data is pending")
		p.receive(1000)
	}
	p.must(p.c.Status().UrgentLeft == 0, "then no more")
}

// "A TCP implementation MUST inform the application layer asynchronously whenever it receives
// an urgent pointer and there was previously no pending urgent data, or whenever the urgent
// pointer advances in the data stream"; "MUST provide a way for the application to learn how
// much urgent data remains"; when it has been read "the TCP implementation must tell user to
// go into 'normal mode'". Section 3.8.5, 3.10.7.4 sixth.
func TestUrgentDataIsReceived(t *testing.T) { // MUST-30, MUST-32, MUST-33
	told := func(p *peer) bool { return p.c.TakeSignals()&tcp.SignalUrgent != 0 }
	p := established(t, setup{})
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK>")
	p.must(!told(p), "there is no urgent data")
	p.send("<SEQ=2011><ACK=1001><LEN=10><CTL=URG,ACK><UP=25>")
	p.must(told(p), "the user is told: there was none pending")
	p.must(p.c.Status().UrgentLeft == 35, "35 octets remain, 20 of them here; it says %d", p.c.Status().UrgentLeft)
	p.send("<SEQ=2021><ACK=1001><LEN=5><CTL=URG,ACK><UP=15>")
	p.must(!told(p), "the pointer is where it was")
	p.send("<SEQ=2026><ACK=1001><LEN=5><CTL=URG,ACK><UP=5>")
	p.must(!told(p), "nor does it go back")
	p.send("<SEQ=2031><ACK=1001><LEN=30><CTL=URG,ACK><UP=15>")
	p.must(told(p), "the pointer has advanced")
	p.must(p.c.Status().UrgentLeft == 45, "45 octets remain; it says %d", p.c.Status().UrgentLeft)
	p.must(p.receive(40) == 40 && p.c.Status().UrgentLeft == 5, "after reading 40, five remain")
	p.must(!told(p), "still in urgent mode")
	p.must(p.receive(100) == 5, "urgent data and what follows do not share a buffer: section 3.9.1.3")
	p.must(told(p) && p.c.Status().UrgentLeft == 0, "the user is told to leave urgent mode")
	p.must(p.receive(100) == 15, "the rest is ordinary")
	// The pointer may come before the data, in a segment without text.
	p.send("<SEQ=2061><ACK=1001><CTL=URG,ACK><UP=100>")
	p.must(told(p) && p.c.Status().UrgentLeft == 100, "the user is told before the data is there")
	// And out of order.
	p = established(t, setup{})
	p.send("<SEQ=3001><ACK=1001><LEN=10><CTL=URG,ACK><UP=10>")
	p.must(told(p) && p.c.Status().UrgentLeft == 1010, "a pointer behind a gap is told at once")
	// A pointer to what has been read is none.
	p = established(t, setup{})
	p.send(p.data(2001, 100))
	p.receive(100)
	p.send("<SEQ=2051><ACK=1001><LEN=60><CTL=URG,ACK><UP=40>")
	p.must(!told(p), "the urgent data has been read already")
	// After the peer's FIN, "this should not occur": it is ignored.
	p.send("<SEQ=2111><ACK=1001><CTL=FIN,ACK>", "<SEQ=2112><ACK=1001><CTL=URG,ACK><UP=9>")
	p.must(!told(p), "after a FIN there is no urgent data")
}

// "A TCP receiver should be robust to invalid urgent pointer values", RFC 9293 section 3.8.5
// (URGENT/11, CVE-2019-12255): text comes through whatever the field says, and nothing is counted beyond.
func TestInvalidUrgentPointers(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		p := established(t, setup{syn: "<MSS=1000>", irs: seq.Num(r.Uint32()) | 1})
		s := p.irs + 1
		for range 50 {
			seg := p.make(p.data(s.Add(uint32(r.IntN(2000))), r.IntN(500)))
			seg.Flags |= wire.URG
			seg.Up = []uint16{0, 1, 65535, uint16(r.IntN(65536)), uint16(len(seg.Text)), uint16(len(seg.Text) + 1)}[r.IntN(6)]
			p.give(seg)
			p.receive(r.IntN(1000))
			p.must(p.c.Status().UrgentLeft <= 2000+500+65535+4000, "UrgentLeft is %d", p.c.Status().UrgentLeft)
			s = p.c.Status().RcvNxt
		}
		before := p.c.Status().RcvNxt
		p.send(p.data(before, 10))
		for range 100 {
			p.receive(5000)
		}
		p.must(p.read == p.c.Status().RcvNxt, "all text is read")
	}
}
