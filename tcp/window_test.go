package tcp_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// "The window size MUST be treated as an unsigned number, or else large window sizes will
// appear like negative windows", RFC 9293 section 3.1.
func TestWindowIsUnsigned(t *testing.T) { // MUST-1
	p := established(t, setup{wnd: 65535})
	for p.c.Status().Unacknowledged < 60000 {
		p.write(100000)
		had := p.c.Status().Unacknowledged
		p.ackAll()
		p.must(p.c.Status().Unacknowledged > had, "cwnd grows up to the window of 65535")
	}
}

// A window near 1 GiB is used: windows are held and computed in 32 bits, RFC 9293 section
// 3.1: "RECOMMENDED that implementations will reserve 32-bit fields for the send and receive
// window sizes [...] and do all window computations with 32 bits".
func TestLargeWindows(t *testing.T) { // REC-1
	p := established(t, setup{syn: "<MSS=1460><WS=14>", cfg: tcp.Config{ReceiveBuffer: 1 << 30, SendBuffer: 1 << 22, DelayedAck: -1}, iss: 1<<32 - 70000})
	p.rec = nil
	p.must(p.c.Status().RcvShift == 14, "the shift for 1 GiB is 14")
	p.send(p.data(2001, 10))
	out := p.taken()
	p.must(uint32(out[0].Wnd)<<14 > 1<<30-1<<22, "about 1 GiB is offered; it is %d", uint32(out[0].Wnd)<<14)
	p.send(p.data(2011+1<<29, 10))
	p.must(p.c.Status().OutOfOrder == 10, "512 MiB ahead is within the window")
	p.must(p.c.Status().SndWnd == 65535<<14, "SND.WND is near 1 GiB")
	for p.c.Status().Unacknowledged < 1<<18 {
		p.write(1 << 20)
		p.ackAll()
	}
}

// A sender keeps to both windows, RFC 5681 section 3.1: "The minimum of cwnd and rwnd
// governs data transmission"; "A TCP MUST NOT send data with a sequence number higher than
// the sum of the highest acknowledged sequence number and the minimum of cwnd and rwnd".
// 5681-1. Windows come and go at random; the peer takes what is sent, or not.
func TestBothWindowsAreKept(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := established(t, setup{syn: "<MSS=1000>", wnd: 1 + r.IntN(20000)})
		edge := p.iss + 1 + seq.Num(p.wnd)
		next := p.iss + 1
		for range 60 {
			before := p.c.Status()
			switch r.IntN(4) {
			case 0:
				p.write(r.IntN(5000))
			case 1, 2:
				st := p.c.Status()
				a := st.SndUna.Add(uint32(r.IntN(int(st.Unacknowledged) + 1)))
				w := r.IntN(20000)
				p.send(p.ack(a) + fmt.Sprintf("<WND=%d>", w))
				edge = a + seq.Num(w)
			default:
				p.wait(time.Duration(r.IntN(300)) * time.Millisecond)
			}
			st := p.c.Status()
			for _, s := range p.taken() {
				end := s.Seq.Add(uint32(len(s.Text)))
				probe := len(s.Text) == 1 && st.SndWnd == 0
				p.must(end.LessEq(edge) || probe || len(s.Text) == 0, "seed %d: %v lies within the window, which ends at %v", seed, &s.Segment, edge)
				if next.Less(end) {
					p.must(st.Flight <= max(before.Cwnd, st.Cwnd)+2*1000 || probe, "seed %d: %v lies within cwnd %d", seed, &s.Segment, st.Cwnd)
					next = end
				}
			}
		}
	}
}

// "A TCP receiver SHOULD NOT shrink the window [...] a sending TCP peer MUST be robust
// against window shrinking, which may cause the 'usable window' to become negative. If this
// happens, the sender SHOULD NOT send new data, but SHOULD retransmit normally the old
// unacknowledged data between SND.UNA and SND.UNA+SND.WND", RFC 9293 section 3.8.6.
func TestPeerShrinksTheWindow(t *testing.T) { // MUST-34, SHLD-15, SHLD-16
	p := established(t, setup{syn: "<MSS=1000>", wnd: 5000})
	p.write(8000)
	p.must(len(p.taken()) == 5, "the window of 5000 is filled")
	p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=2500>")
	p.quiet("the usable window is negative: no new data")
	p.next(time.Minute)
	p.expect("<SEQ=1001><ACK=2001><LEN=1000><CTL=ACK>")
	p.send("<SEQ=2001><ACK=2001><CTL=ACK><WND=1500>")
	p.expect("<SEQ=2001><ACK=2001><LEN=1000><CTL=ACK>", "<SEQ=3001><ACK=2001><LEN=500><CTL=ACK>")
	p.send("<SEQ=2001><ACK=3501><CTL=ACK><WND=5000>")
	for _, s := range p.taken() {
		p.must(!s.Seq.Less(3501) && !seq.Num(8501).Less(s.End()), "%v lies between 3501 and 8501", &s.Segment)
	}
	p.mustBe(tcp.Established)
}

// "The sender MAY also retransmit old data beyond SND.UNA+SND.WND (MAY-7), but SHOULD NOT
// time out the connection if data beyond the right window edge is not acknowledged":
// here it is not sent again, and the connection lives.
func TestDataBeyondAShrunkEdgeIsNoFailure(t *testing.T) { // SHLD-17, MAY-7
	p := established(t, setup{syn: "<MSS=1000>", wnd: 5000})
	p.write(5000)
	p.taken()
	p.send("<SEQ=2001><ACK=2001><CTL=ACK><WND=0>")
	for from := p.now; p.now.Sub(from) < time.Hour; {
		p.next(2 * time.Minute)
		p.expect("<SEQ=2001><ACK=2001><LEN=1><CTL=ACK>")
		p.send("<SEQ=2001><ACK=2001><CTL=ACK><WND=0>")
		p.quiet("the window is closed")
	}
	p.mustBe(tcp.Established)
	p.send("<SEQ=2001><ACK=2001><CTL=ACK><WND=5000>")
	p.must(len(p.taken()) > 0, "then all that was beyond the edge goes")
}

// "If the window shrinks to zero, the TCP implementation MUST probe it in the standard way":
// section 3.8.6 and 3.8.6.1: "the first zero-window probe when a zero window has existed for
// the retransmission timeout period, and SHOULD increase exponentially the interval between
// successive probes". "As long as the receiving TCP peer continues to send acknowledgments
// in response to the probe segments, the sending TCP peer MUST allow the connection to stay
// open": here for two days.
func TestZeroWindowIsProbed(t *testing.T) { // MUST-35, MUST-36, MUST-37, SHLD-29, SHLD-30
	for _, accepts := range []bool{false, true} {
		t.Run(fmt.Sprintf("the peer takes the probe: %v", accepts), func(t *testing.T) {
			p := established(t, setup{rtt: 50 * time.Millisecond})
			p.write(1000)
			p.taken()
			p.wait(50 * time.Millisecond)
			p.send("<SEQ=2001><ACK=2001><CTL=ACK><WND=0>")
			p.write(1000)
			p.quiet("the window is closed")
			want := p.c.Status().RTO
			next := seq.Num(2001)
			for i := range 3000 {
				took := p.next(2 * time.Minute)
				if i < 8 {
					p.must(took == want, "probe %d goes after %v; it goes after %v", i+1, want, took)
				}
				p.must(took <= time.Minute, "the interval has a ceiling")
				p.expect(fmt.Sprintf("<SEQ=%d><ACK=2001><LEN=1><CTL=ACK>", next))
				if accepts && next < 2990 {
					next++
				}
				p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK><WND=0>", next))
				p.quiet("the window is still closed")
				want = min(2*want, time.Minute)
			}
			p.mustBe(tcp.Established)
			p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ACK><WND=65535>", next))
			end := p.iss + 1
			for i, s := range p.taken() {
				p.must(i > 0 || s.Seq == next, "what begins at SND.UNA goes first; %v does", &s.Segment)
				end = seq.Max(end, s.End())
			}
			p.must(end == 3001, "when the window opens, the rest goes at once; SND.NXT is %v", end)
		})
	}
}

// The retransmission timeout counts from when the window closed, not from when what is
// outstanding was sent; each time it closes the intervals begin anew.
func TestFirstProbeWithTextOutstanding(t *testing.T) { // SHLD-29
	p := established(t, setup{syn: "<MSS=1000>", rtt: 100 * time.Millisecond})
	p.write(1000)
	p.taken()
	rto := p.c.Status().RTO
	for range 3 {
		p.wait(rto / 2)
		p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=0>")
		for _, want := range []time.Duration{rto, 2 * rto, 4 * rto} {
			took := p.next(time.Minute)
			p.must(took == want, "a probe goes after %v; after %v", want, took)
			p.expect("<SEQ=1001><ACK=2001><LEN=1><CTL=ACK>")
		}
		p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=1000>")
		p.expect("<SEQ=1001><ACK=2001><LEN=1000><CTL=ACK>")
	}
}

// A window closed from the beginning is probed too, and a FIN behind an empty queue can be
// the probe.
func TestZeroWindowInTheHandshake(t *testing.T) { // MUST-36
	p := established(t, setup{wnd: -1})
	p.write(10)
	p.quiet("the window is closed")
	p.next(time.Minute)
	p.expect("<SEQ=1001><ACK=2001><LEN=1><CTL=ACK>")

	p = established(t, setup{wnd: -1})
	p.c.Close(p.now)
	p.flush()
	p.taken()
	p.next(time.Minute)
	p.expect("<SEQ=1001><ACK=2001><CTL=FIN,ACK>")
	p.send("<SEQ=2001><ACK=1002><CTL=ACK><WND=0>")
	p.mustBe(tcp.FinWait2)
}

// A peer that does not answer the probes is gone: then R2 ends the connection.
func TestSilentPeerWithAClosedWindow(t *testing.T) { // MUST-20
	p := established(t, setup{})
	p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=0>")
	p.write(10)
	p.wait(tcp.DefaultUserTimeout - time.Second)
	p.mustBe(tcp.Established)
	p.wait(time.Second)
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrUserTimeout, "the error is %q; it is %q", tcp.ErrUserTimeout, p.c.Err())
}

// A window update that is lost does not stop the connection: the probe's answer brings it.
// A window update from an old segment does not close it: "The check here prevents using old
// segments to update the window", section 3.10.7.4 fifth.
func TestOldSegmentDoesNotUpdateTheWindow(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000>"})
	p.send("<SEQ=2011><ACK=1001><LEN=10><CTL=ACK><WND=3000>")
	p.must(p.c.Status().SndWnd == 3000, "a segment behind a gap sets SND.WND")
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><WND=100>")
	p.must(p.c.Status().SndWnd == 3000, "the one before it, which comes later, does not; SND.WND is %d", p.c.Status().SndWnd)
	p.send("<SEQ=2021><ACK=1001><LEN=4><CTL=ACK><WND=3000>")
	p.write(1000)
	p.send("<SEQ=2025><ACK=2001><CTL=ACK><WND=2000>")
	p.must(p.c.Status().SndWnd == 2000, "the next does")
	p.send("<SEQ=2025><ACK=1001><CTL=ACK><WND=100>")
	p.must(p.c.Status().SndWnd == 2000, "an older ACK with the same SEQ does not")
	p.send("<SEQ=2025><ACK=2001><CTL=ACK><WND=2500>")
	p.must(p.c.Status().SndWnd == 2500, "the same SEQ and ACK do: a window update")
}

// The sender avoids the silly window: section 3.8.6.2.1. The peer opens its window octet by
// octet; nothing goes below min(MSS, half the largest window seen), until the override
// timeout, "in the range 0.1 - 1.0 seconds".
func TestSenderAvoidsSillyWindow(t *testing.T) { // MUST-38
	p := established(t, setup{syn: "<MSS=1000>", wnd: 4000})
	p.write(10000)
	p.taken()
	p.send("<SEQ=2001><ACK=5001><CTL=ACK><WND=0>")
	for w := 1; w < 1000; w += 111 {
		p.send(fmt.Sprintf("<SEQ=2001><ACK=5001><CTL=ACK><WND=%d>", w))
		p.quiet("the usable window is silly")
	}
	p.send("<SEQ=2001><ACK=5001><CTL=ACK><WND=1000>")
	p.expect("<SEQ=5001><ACK=2001><LEN=1000><CTL=ACK>")
	p.send("<SEQ=2001><ACK=6001><CTL=ACK><WND=900>")
	p.quiet("900 is less than a segment and less than half the largest window")
	took := p.next(2 * time.Second)
	p.must(took >= 100*time.Millisecond && took <= time.Second, "the override timeout is 0.1 to 1 s; it is %v", took)
	p.expect("<SEQ=6001><ACK=2001><LEN=900><CTL=ACK>")

	// The override timeout keeps to its range whatever the RTO is.
	for _, rtt := range []time.Duration{time.Millisecond, 2 * time.Second} {
		p = established(t, setup{syn: "<MSS=1000>", wnd: 4000, rtt: rtt, cfg: tcp.Config{MinRTO: time.Millisecond}})
		p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=900>")
		p.write(10000)
		p.quiet("the usable window is silly")
		took = p.next(10 * time.Second)
		p.must(took >= 100*time.Millisecond && took <= time.Second, "the override timeout is 0.1 to 1 s; it is %v", took)
	}

	// Half of the largest window is enough where that is less than a segment.
	p = established(t, setup{syn: "<MSS=1000>", wnd: 800})
	p.write(10000)
	p.expect("<SEQ=1001><ACK=2001><LEN=800><CTL=ACK>")
	p.send("<SEQ=2001><ACK=1801><CTL=ACK><WND=399>")
	p.quiet("399 is less than half of 800")
	p.send("<SEQ=2001><ACK=1801><CTL=ACK><WND=400>")
	p.expect("<SEQ=1801><ACK=2001><LEN=400><CTL=ACK>")
	// All that is queued may go, however small.
	p = established(t, setup{syn: "<MSS=1000>", wnd: 4000})
	p.write(10)
	p.expect("<SEQ=1001><ACK=2001><LEN=10><CTL=PSH,ACK>")
}

// The receiver avoids the silly window: section 3.8.6.2.2, "keeping RCV.NXT+RCV.WND fixed
// [...] until RCV.BUFF - RCV.USER - RCV.WND >= min(Fr * RCV.BUFF, Eff.snd.MSS)". The user
// reads octet by octet from a full buffer, and the right edge moves only by whole segments.
func TestReceiverAvoidsSillyWindow(t *testing.T) { // MUST-39, SHLD-14
	p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{ReceiveBuffer: 8192}})
	for i := range 8 {
		p.send(p.data(p.irs+1+seq.Num(1000*i), 1000))
	}
	p.send(p.data(p.irs+8001, 192))
	p.must(p.c.Status().RcvWnd == 0, "the buffer is full")
	p.taken()
	edge := p.edge
	moves := 0
	for i := range 8192 {
		p.receive(1)
		if i%50 == 0 {
			p.send("<SEQ=2000><ACK=1001><LEN=1><CTL=ACK>") // an old octet, to see the window
		}
		for range p.taken() {
			if p.edge != edge {
				p.must(p.edge.Sub(edge) >= 1000, "the right edge moves by 1000 or more; it moves by %d", p.edge.Sub(edge))
				edge, moves = p.edge, moves+1
			}
		}
	}
	p.must(moves >= 2, "the window opens while the user reads, not by asking only; it moved %d times", moves)
	p.must(p.edge.Sub(p.irs+1+8192) > 7000, "in the end nearly the whole buffer is offered: %d", p.edge.Sub(p.irs+1+8192))
}

// "A TCP implementation MAY keep its offered receive window closed indefinitely", section
// 3.8.6.1; "when the receiving TCP peer has a zero window and a segment arrives, it must
// still send an acknowledgment showing its next expected sequence number and current window
// (zero)". The user does not read for a day, and is told of the room when he does.
func TestOwnWindowStaysClosed(t *testing.T) { // MAY-8
	p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{ReceiveBuffer: 4096}})
	p.send(p.data(2001, 1000), p.data(3001, 1000), p.data(4001, 1000), p.data(5001, 1096))
	p.wait(time.Second)
	p.taken()
	for range 1440 {
		p.wait(time.Minute)
		p.send(p.data(6097, 1))
		p.expect("<SEQ=1001><ACK=6097><CTL=ACK><WND=0>")
	}
	p.must(p.receive(4096) == 4096, "nothing is lost, and nothing beyond the window was taken")
	out := p.taken()
	p.must(len(out) == 1 && out[0].Wnd >= 4000, "the peer is told that the window is open")
}

// The right edge never goes back, whatever the sizes of what arrives and is read, and the
// buffer never holds more than it should: the harness looks at each segment.
func TestRightEdgeNeverRetreats(t *testing.T) { // SHLD-14
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		size := 4096 << r.IntN(10)
		size += r.IntN(size)
		p := established(t, setup{syn: "<MSS=1460><WS=3>", cfg: tcp.Config{ReceiveBuffer: size}})
		for range 150 {
			st := p.c.Status()
			switch r.IntN(5) {
			case 0, 1:
				n := min(1+r.IntN(20000), int(p.edge.Sub(st.RcvNxt)))
				if n > 0 {
					p.send(p.data(st.RcvNxt, n))
				}
			case 2:
				if wide := int(p.edge.Sub(st.RcvNxt)); wide > 2 {
					at := 1 + r.IntN(wide-1)
					p.send(p.data(st.RcvNxt.Add(uint32(at)), min(1+r.IntN(3000), wide-at)))
				}
			case 3:
				p.receive(r.IntN(size))
			default:
				p.wait(time.Duration(r.IntN(100)) * time.Millisecond)
			}
			st = p.c.Status()
			p.must(int(st.Unread+st.OutOfOrder) <= size, "%d octets are held, the buffer is %d", st.Unread+st.OutOfOrder, size)
			p.must(int(st.Unread)+int(st.RcvWnd) <= size, "%d octets are unread and %d offered, the buffer is %d", st.Unread, st.RcvWnd, size)
		}
	}
}

// "Special allowance should be made to accept valid ACKs, URGs, and RSTs" when the window is
// zero, RFC 9293 section 3.4: "A TCP receiver MUST process the RST and URG fields of all
// incoming segments, even when the receive window is zero".
func TestZeroReceiveWindow(t *testing.T) { // MUST-66
	full := func(t *testing.T) *peer {
		p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{ReceiveBuffer: 4096}})
		p.send(p.data(2001, 2000), p.data(4001, 2096))
		p.write(100)
		p.taken()
		p.must(p.c.Status().RcvWnd == 0, "the window is closed")
		p.c.TakeSignals()
		return p
	}
	p := full(t)
	p.send("<SEQ=6097><ACK=1101><CTL=ACK>")
	p.must(p.c.Status().Unacknowledged == 0, "an ACK counts")

	p = full(t)
	p.send("<SEQ=6097><ACK=1101><LEN=10><CTL=ACK>")
	p.must(p.c.Status().Unacknowledged == 0, "an ACK with text counts")
	p.must(p.c.Status().Unread == 4096, "its text does not")
	p.expect("<SEQ=1101><ACK=6097><CTL=ACK><WND=0>")

	p = full(t)
	p.send("<SEQ=6097><ACK=1101><LEN=10><CTL=URG,ACK><UP=10>")
	p.must(p.c.TakeSignals()&tcp.SignalUrgent != 0, "URG is told to the user")
	p = full(t)
	p.send("<SEQ=6097><ACK=1101><CTL=URG,ACK><UP=10>")
	p.must(p.c.TakeSignals()&tcp.SignalUrgent != 0, "URG without text too")

	p = full(t)
	p.send("<SEQ=6097><CTL=RST>")
	p.mustBe(tcp.Closed)
	p = full(t)
	p.send("<SEQ=6098><CTL=RST>")
	p.mustBe(tcp.Established)

	p = full(t)
	p.send("<SEQ=6097><ACK=1101><CTL=FIN,ACK>")
	p.mustBe(tcp.Established)
	p.receive(5000)
	p.send("<SEQ=6097><ACK=1101><CTL=FIN,ACK>")
	p.mustBe(tcp.CloseWait)
}

// Table 6 of section 3.10.7.4, the acceptability of a segment, at the edges of its rows. The
// window is 2001 up to 6097.
func TestAcceptability(t *testing.T) {
	for _, tc := range []struct {
		closed bool
		seg    string
		want   bool
	}{
		// SEG.LEN 0, RCV.WND 0: SEG.SEQ = RCV.NXT.
		{true, "<SEQ=6097><ACK=1001><CTL=ACK><WND=77>", true},
		{true, "<SEQ=6095><ACK=1001><CTL=ACK><WND=77>", false},
		// And from the octet that a probe has taken (another).
		{true, "<SEQ=6098><ACK=1001><CTL=ACK><WND=77>", true},
		{true, "<SEQ=6099><ACK=1001><CTL=ACK><WND=77>", false},
		// SEG.LEN 0, RCV.WND > 0: RCV.NXT =< SEG.SEQ < RCV.NXT+RCV.WND, and the edge itself for
		// an ACK (a deviation with its reason in receive.go).
		{false, "<SEQ=2001><ACK=1001><CTL=ACK><WND=77>", true},
		{false, "<SEQ=1999><ACK=1001><CTL=ACK><WND=77>", false},
		{false, "<SEQ=6096><ACK=1001><CTL=ACK><WND=77>", true},
		{false, "<SEQ=6097><ACK=1001><CTL=ACK><WND=77>", true},
		{false, "<SEQ=6098><ACK=1001><CTL=ACK><WND=77>", false},
		// SEG.LEN > 0, RCV.WND > 0: its beginning or its end in the window.
		{false, "<SEQ=2000><ACK=1001><LEN=1><CTL=ACK><WND=77>", false},
		{false, "<SEQ=1990><ACK=1001><LEN=11><CTL=ACK><WND=77>", false},
		{false, "<SEQ=1990><ACK=1001><LEN=11><CTL=FIN,ACK><WND=77>", true},
		{false, "<SEQ=6096><ACK=1001><LEN=9><CTL=ACK><WND=77>", true},
		{false, "<SEQ=6097><ACK=1001><LEN=9><CTL=ACK><WND=77>", false},
		// And one that spans the window (a third).
		{false, "<SEQ=2000><ACK=1001><LEN=4098><CTL=ACK><WND=77>", true},
		{false, "<SEQ=2000><ACK=1001><LEN=1><CTL=RST,ACK><WND=77>", false},
		{false, "<SEQ=2147489000><ACK=1001><LEN=9><CTL=ACK><WND=77>", false},
	} {
		p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{ReceiveBuffer: 4096}})
		if tc.closed {
			p.send(p.data(2001, 2000), p.data(4001, 2096))
		}
		p.dropped = nil
		p.send(tc.seg)
		p.must((len(p.dropped) == 0) == tc.want, "%s is acceptable: %v; dropped by %v", tc.seg, tc.want, p.dropped)
	}
}

// What lies to the right of the window is cut off, a FIN first; what lies to the left too.
func TestTrimming(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{ReceiveBuffer: 4096, DelayedAck: -1}})
	seg := wire.Segment{Seq: 1991, Ack: 1001, Wnd: 9, Flags: wire.ACK, Text: octets(1991, 20)}
	p.give(seg)
	p.expect("<SEQ=1001><ACK=2011><CTL=ACK>")
	p.must(p.receive(100) == 10, "ten octets of twenty are new")
	p.send("<SEQ=2011><ACK=1001><LEN=4200><CTL=FIN,ACK>")
	st := p.c.Status()
	p.must(st.Unread == st.RcvNxt.Sub(2011) && st.Unread >= 4096-10 && st.Unread <= 4096, "the text is taken as far as the window reaches; %d octets are", st.Unread)
	p.mustBe(tcp.Established)
	p.receive(5000)
	p.send(fmt.Sprintf("<SEQ=%d><ACK=1001><CTL=FIN,ACK>", 2011+4200))
	p.mustBe(tcp.Established)
	p.send(fmt.Sprintf("<SEQ=%d><ACK=1001><LEN=%d><CTL=FIN,ACK>", st.RcvNxt, seq.Num(2011+4200).Sub(st.RcvNxt)))
	p.mustBe(tcp.CloseWait)
	p.receive(5000)
	p.must(p.read == 2011+4200, "all octets have come")
}

// The ACK of a probe says nothing of the round trip: the probe was sent more than once, and its
// ACK waits for the window (Karn's algorithm).
func TestProbesMeasureNothing(t *testing.T) { // MUST-18
	p := established(t, setup{syn: "<MSS=1000>", rtt: 100 * time.Millisecond})
	p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=0>")
	p.write(1000)
	for range 3 {
		p.next(time.Minute)
	}
	p.wait(150 * time.Millisecond)
	p.send("<SEQ=2001><ACK=1002><CTL=ACK><WND=5000>")
	p.must(p.c.Status().SRTT == 100*time.Millisecond, "SRTT stays 100 ms; it is %v", p.c.Status().SRTT)
}
