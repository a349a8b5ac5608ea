package tcp_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// TCP Fast Open, RFC 7413: the machine alone, the test says what cookies are worth.

var cookie = []byte{1, 2, 3, 4, 5, 6, 7, 8}

const cookieOpt = "<COOKIEOPT=0102030405060708>"

// offered is a machine in SYN-SENT, to which the user has given n octets before its SYN went.
func offered(t *testing.T, s setup, c []byte, mss uint16, n int) *peer {
	t.Helper()
	p := newPeer(t, s)
	p.c.OfferFastOpen(c, mss)
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	if s.before != nil {
		s.before(p)
	}
	if n > 0 {
		p.write(n)
	}
	p.flush()
	return p
}

// fastOpened is a machine that has taken n octets with a SYN, and sent its SYN,ACK.
func fastOpened(t *testing.T, s setup, n int) *peer {
	t.Helper()
	p := newPeer(t, s)
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(nil, 0)
	if s.syn == "" {
		s.syn = "<MSS=1460>"
	}
	p.send(fmt.Sprintf("<SEQ=2000><LEN=%d><CTL=SYN>%s%s", n, s.syn, cookieOpt))
	p.expect(fmt.Sprintf("<SEQ=1000><ACK=%d><CTL=SYN,ACK>", 2001+n))
	p.mustBe(tcp.SynReceived)
	return p
}

// Without a cookie the SYN asks for one, and text waits; the SYN,ACK brings it.
func TestFastOpenAsks(t *testing.T) {
	p := offered(t, setup{}, nil, 0, 100)
	out := p.taken()
	o := &out[0].Options
	p.must(len(out) == 1 && len(out[0].Text) == 0 && o.Has(wire.HasFastOpen) && len(o.FastOpen) == 0, "our SYN is %v with cookie %x", &out[0].Segment, o.FastOpen)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1400>" + cookieOpt)
	p.expect("<SEQ=1001><ACK=2001><LEN=100><CTL=ACK>")
	got, mss := p.c.FastOpenCookie()
	p.must(bytes.Equal(got, cookie) && mss == 1400, "the cookie is %x, the MSS %d", got, mss)
	p.must(p.c.FastOpen() == tcp.FastOpen{Asked: true}, "%+v", p.c.FastOpen())
}

// A cookie that nobody has asked for is none.
func TestFastOpenCookieUnasked(t *testing.T) {
	p := synSent(t, setup{})
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>" + cookieOpt)
	got, _ := p.c.FastOpenCookie()
	p.must(got == nil, "the cookie is %x", got)
}

// With a cookie the text goes with the SYN, and a SYN,ACK that acknowledges it ends it: nothing
// goes again, and SND.UNA and the timers are as after any ACK.
func TestFastOpenTextInSYN(t *testing.T) {
	p := offered(t, setup{}, cookie, 1460, 100)
	p.expect("<SEQ=1000><LEN=100><CTL=SYN><MSS=1460><WS=8><SACKOK><TS=" + fmt.Sprint(p.tsecr) + ",0>" + cookieOpt)
	st := p.c.Status()
	p.must(st.SndUna == 1000 && st.SndNxt == 1101, "SND.UNA is %v, SND.NXT %v", st.SndUna, st.SndNxt)
	p.send("<SEQ=2000><ACK=1101><CTL=SYN,ACK><MSS=1460>")
	p.expect("<SEQ=1101><ACK=2001><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.must(p.c.FastOpen() == tcp.FastOpen{Sent: 100, Acked: 100}, "%+v", p.c.FastOpen())
	p.must(p.c.Deadline() == tcp.Never && p.c.Status().Unacknowledged == 0, "a timer runs until %v", p.c.Deadline())
	p.send(p.data(2001, 50))
	p.must(p.receive(100) == 50, "the answer is read")
}

// How much goes with the SYN: what the server has announced, or the default, less the options: MSS,
// timestamps with SACK-permitted, window scale, and the cookie take 32 octets. Section 4.1.3.
func TestFastOpenTextFitsTheMSS(t *testing.T) {
	for _, tc := range []struct {
		mss  uint16
		v6   bool
		mtu  int
		want int
	}{
		{0, false, 1500, 504}, {0, true, 1500, 1188}, // 536, 1220
		{1460, false, 1500, 1428}, {1000, false, 1500, 968},
		{8960, false, 9000, 1428}, {8940, true, 9000, 1408}, // "MAY limit the cached MSS to 1460 bytes for IPv4 or 1440 for IPv6"
		{1460, false, 1000, 928}, {20, false, 1500, 0},
	} {
		p := offered(t, setup{v6: tc.v6, mtu: tc.mtu}, cookie, tc.mss, 3000)
		out := p.taken()
		p.must(len(out) == 1 && len(out[0].Text) == tc.want, "%+v: our SYN has %d octets", tc, len(out[0].Text))
	}
}

// What the SYN,ACK does not acknowledge goes at once, with the first ACK. Nothing is lost by it, so
// cwnd stays the initial window.
func TestFastOpenTextNotAcknowledged(t *testing.T) {
	for _, acked := range []int{0, 1, 60, 999} {
		p := offered(t, setup{}, cookie, 1460, 1000)
		p.taken()
		p.send(fmt.Sprintf("<SEQ=2000><ACK=%d><CTL=SYN,ACK><MSS=1460>", 1001+acked))
		p.expect(fmt.Sprintf("<SEQ=%d><ACK=2001><LEN=%d><CTL=ACK>", 1001+acked, 1000-acked))
		st := p.c.Status()
		p.must(st.Cwnd == 14600 && !st.Recovering && st.Timeouts == 0, "cwnd is %d", st.Cwnd)
		p.must(int(st.FastOpen.Acked) == acked && st.FastOpen.Sent == 1000, "%+v", st.FastOpen)
		p.ackAll()
		p.must(p.c.Deadline() == tcp.Never, "a timer runs")
	}
}

// The rest of what the user has written follows what went with the SYN, and in a large window all of
// it goes at once.
func TestFastOpenMoreThanTheSYN(t *testing.T) {
	for _, acked := range []seq.Num{1001, 1001 + 1428} {
		p := offered(t, setup{cfg: tcp.Config{NoDelay: true}}, cookie, 1460, 5000)
		p.must(len(p.taken()[0].Text) == 1428, "the SYN is full")
		p.send(fmt.Sprintf("<SEQ=2000><ACK=%d><CTL=SYN,ACK><MSS=1460>", acked))
		at := acked
		for _, s := range p.taken() {
			p.must(s.Seq == at, "%v goes at %v", &s.Segment, at)
			at = s.End()
		}
		p.must(at == 6001, "up to %v goes", at)
	}
}

// The SYN timer fires: "the client SHOULD retransmit a SYN packet without data and Fast Open
// options". The answer may be to either SYN.
func TestFastOpenSYNTimesOut(t *testing.T) {
	for _, acked := range []seq.Num{1001, 1101} {
		p := offered(t, setup{}, cookie, 1460, 100)
		p.taken()
		p.next(2 * time.Second)
		out := p.taken()
		p.must(len(out) == 1 && len(out[0].Text) == 0 && !out[0].Options.Has(wire.HasFastOpen) && out[0].Options.Has(wire.HasMSS), "the second SYN is %v", &out[0].Segment)
		p.send(fmt.Sprintf("<SEQ=2000><ACK=%d><CTL=SYN,ACK><MSS=1460>", acked))
		if acked == 1001 {
			p.expect("<SEQ=1001><ACK=2001><LEN=100><CTL=ACK>")
		} else {
			p.expect("<SEQ=1101><ACK=2001><CTL=ACK>")
		}
		p.must(p.c.FastOpen() == tcp.FastOpen{Sent: 100, Acked: uint16(acked - 1001), Fallback: true}, "%+v", p.c.FastOpen())
	}
}

// A SYN too big for the path, as a router says, goes again at once without its text; which follows in
// segments that fit.
func TestFastOpenSYNTooBig(t *testing.T) {
	p := offered(t, setup{cfg: tcp.Config{NoDelay: true}}, cookie, 1460, 1428)
	p.must(len(p.taken()[0].Text) == 1428, "the SYN is full")
	p.must(p.c.PacketTooBig(p.now, 1000, 1000), "the report is not believed")
	p.flush()
	out := p.taken()
	p.must(len(out) == 1 && out[0].Flags == wire.SYN && len(out[0].Text) == 0 && !out[0].Options.Has(wire.HasFastOpen), "%d segments go", len(out))
	p.must(p.c.PacketTooBig(p.now, 1000, 900), "a second report is not believed")
	p.flush()
	p.quiet("the SYN without text is not too big")
	closed := offered(t, setup{}, cookie, 1460, 1428)
	closed.c.Close(closed.now)
	closed.taken()
	closed.c.PacketTooBig(closed.now, 1000, 1000)
	closed.flush()
	closed.quiet("it is CLOSED")
	closed.must(closed.c.Deadline() == tcp.Never, "a timer runs in CLOSED")
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>")
	p.expect("<SEQ=1001><ACK=2001><LEN=860><CTL=ACK>", "<SEQ=1861><ACK=2001><LEN=568><CTL=ACK>")
}

// In SYN-SENT an ACK counts up to what the SYN has taken, and not beyond.
func TestFastOpenAcceptableAck(t *testing.T) {
	p := offered(t, setup{}, cookie, 1460, 100)
	p.taken()
	p.send("<SEQ=2000><ACK=1102><CTL=SYN,ACK><MSS=1460>")
	p.expect("<SEQ=1102><CTL=RST>")
	p.mustBe(tcp.SynSent)
	p.send("<SEQ=0><ACK=1101><CTL=RST,ACK>")
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrRefused, "the error is %v", p.c.Err())
}

// Nothing to send, urgent text, a crossed SYN: no text goes with ours.
func TestFastOpenWithoutText(t *testing.T) {
	p := offered(t, setup{}, cookie, 1460, 0)
	out := p.taken()
	p.must(len(out) == 1 && !out[0].Options.Has(wire.HasFastOpen), "the SYN carries a cookie for nothing")

	p = offered(t, setup{before: func(p *peer) { p.c.SendUrgent(p.now, []byte{octet(1001)}) }}, cookie, 1460, 0)
	out = p.taken()
	p.must(len(out) == 1 && len(out[0].Text) == 0 && !out[0].Options.Has(wire.HasFastOpen), "urgent text goes with the SYN")

	p = offered(t, setup{}, cookie, 1460, 100)
	p.taken()
	p.send("<SEQ=2000><CTL=SYN><MSS=1460>")
	out = p.taken()
	p.must(len(out) == 1 && out[0].Flags == wire.SYN|wire.ACK && len(out[0].Text) == 0 && !out[0].Options.Has(wire.HasFastOpen), "a crossed SYN is answered by %v", &out[0].Segment)
	p.send("<SEQ=2001><ACK=1001><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.expect("<SEQ=1001><ACK=2001><LEN=100><CTL=ACK>")
}

// A SYN with a valid cookie: its text is acknowledged by the SYN,ACK and is the user's at once; he
// may answer before the handshake's end, a small answer too, though the SYN is not acknowledged.
func TestFastOpenServer(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.must(p.c.TakeSignals()&(tcp.SignalFastOpen|tcp.SignalReadable) == tcp.SignalFastOpen|tcp.SignalReadable, "the user is not told")
	p.must(p.receive(200) == 100, "the text is not there")
	p.write(300)
	p.expect("<SEQ=1001><ACK=2101><LEN=300><CTL=ACK>")
	p.mustBe(tcp.SynReceived)
	p.send("<SEQ=2101><ACK=1301><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.quiet("all is acknowledged")
	p.must(p.c.FastOpen() == tcp.FastOpen{Received: 100} && p.c.Deadline() == tcp.Never, "%+v", p.c.FastOpen())
	p.write(10)
	p.expect("<SEQ=1301><ACK=2101><LEN=10><CTL=ACK>")
}

// The SYN,ACK carries the cookie that the listener gives, once.
func TestFastOpenServerGivesCookie(t *testing.T) {
	for _, refuse := range []tcp.Rule{0, tcp.RuleFastOpenCookie} {
		p := newPeer(t, setup{})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.c.AnswerFastOpen(cookie, refuse)
		p.send("<SEQ=2000><CTL=SYN><MSS=1460><COOKIEOPT=NIL>")
		p.expect("<SEQ=1000><ACK=2001><CTL=SYN,ACK><MSS=1460>" + cookieOpt)
		p.next(2 * time.Second)
		p.expect("<SEQ=1000><ACK=2001><CTL=SYN,ACK><MSS=1460>")
		p.send("<SEQ=2001><ACK=1001><CTL=ACK>")
		p.mustBe(tcp.Established)
	}
}

// Without a valid cookie, or beyond the limit, the text is dropped, by a rule that says so, and the
// SYN alone is acknowledged. The client says it again.
func TestFastOpenRefused(t *testing.T) {
	for _, refuse := range []tcp.Rule{tcp.RuleFastOpenCookie, tcp.RuleFastOpenLimit} {
		p := newPeer(t, setup{})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.c.AnswerFastOpen(nil, refuse)
		p.send("<SEQ=2000><LEN=100><CTL=SYN><MSS=1460>" + cookieOpt)
		p.expect("<SEQ=1000><ACK=2001><CTL=SYN,ACK><MSS=1460>")
		p.must(len(p.dropped) == 1 && p.dropped[0] == refuse.String(), "dropped by %v", p.dropped)
		p.must(p.c.TakeSignals()&(tcp.SignalFastOpen|tcp.SignalReadable) == 0 && p.receive(10) == 0 && p.c.Status().Buffered == 0, "something is held of it")
		p.write(10)
		p.quiet("text goes before the handshake's end")
		p.send("<SEQ=2001><ACK=1001><LEN=100><CTL=ACK>")
		p.mustBe(tcp.Established)
		p.must(p.receive(200) == 100, "the text has come with the ACK")
		p.must(p.c.FastOpen() == tcp.FastOpen{}, "%+v", p.c.FastOpen())
	}
}

// Before the handshake's end goes no more than the initial window (RFC 6928), in full segments, and
// no more than the window of the SYN.
func TestFastOpenInitialWindow(t *testing.T) {
	sum := func(p *peer) (n int) {
		for _, s := range p.taken() {
			p.must(len(s.Text) == 1460, "a segment of %d octets", len(s.Text))
			n += len(s.Text)
		}
		return n
	}
	p := fastOpened(t, setup{}, 100)
	p.write(100_000)
	p.must(sum(p) == 14600, "another number than the initial window has gone")
	p.must(p.c.Status().Cwnd == 14600, "cwnd is %d", p.c.Status().Cwnd)
	p.send("<SEQ=2101><ACK=15601><CTL=ACK>")
	p.must(sum(p) > 14600, "slow start does not go on from it")

	p = fastOpened(t, setup{wnd: 3000}, 100)
	p.write(100_000)
	p.must(sum(p) == 2920, "another number than the window has room for has gone")
}

// The SYN,ACK timer fires: it goes again "with neither data nor Fast Open options", cwnd is one
// segment, and no text goes by any timer before the handshake's end. Then the text, which the
// client has dropped with the SYN,ACK, goes at once.
func TestFastOpenSYNACKTimesOut(t *testing.T) {
	p := fastOpened(t, setup{cfg: tcp.Config{NoDelay: true}, syn: "<MSS=1460><SACKOK>"}, 100)
	p.write(5000)
	p.must(len(p.taken()) == 4, "the answer has gone")
	p.wait(20 * time.Second)
	out := p.taken()
	p.must(len(out) == 4, "in 20 s %d segments go", len(out)) // after 1, 3, 7, 15 s
	for _, s := range out {
		p.must(s.Flags == wire.SYN|wire.ACK && s.Ack == 2101 && len(s.Text) == 0 && !s.Options.Has(wire.HasFastOpen), "%v goes", &s.Segment)
	}
	p.write(5000)
	p.quiet("cwnd is one segment")
	p.send("<SEQ=2101><ACK=1001><CTL=ACK>")
	out = p.taken()
	p.must(len(out) > 0 && out[0].Seq == 1001 && len(out[0].Text) == 1460, "the text does not go again")
	for range 20 {
		p.ackAll()
		p.taken()
	}
	st := p.c.Status()
	p.must(st.SndUna == 11001 && st.Unsent == 0, "all of it arrives: SND.UNA is %v", st.SndUna)
	p.must(p.c.FastOpen() == tcp.FastOpen{Received: 100, Fallback: true}, "%+v", p.c.FastOpen())
}

// The first segment of the answer is lost, the SYN,ACK is not: the handshake ends by the ACK of the
// SYN, and recovery finds the loss as ever.
func TestFastOpenAnswerLost(t *testing.T) {
	p := fastOpened(t, setup{cfg: tcp.Config{NoDelay: true}, syn: "<MSS=1460><SACKOK>"}, 100)
	p.write(6000)
	p.must(len(p.taken()) == 5, "the answer has gone")
	p.now = p.now.Add(20 * time.Millisecond)
	p.send("<SEQ=2101><ACK=1001><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.quiet("nothing is known to be lost")
	p.send("<SEQ=2101><ACK=1001><CTL=ACK><SACK=2461-3921>", "<SEQ=2101><ACK=1001><CTL=ACK><SACK=2461-5381>",
		"<SEQ=2101><ACK=1001><CTL=ACK><SACK=2461-7001>")
	out := p.taken()
	p.must(len(out) == 1 && out[0].Seq == 1001, "the first segment does not go again: %d do", len(out))
	p.ackAll()
	p.must(p.c.Deadline() == tcp.Never, "a timer runs")
}

// A reset before the handshake's end: the user, who has the text, can read it, and hears of the
// reset. There is no way back to LISTEN.
func TestFastOpenReset(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.write(50)
	p.taken()
	p.c.TakeSignals()
	p.send("<SEQ=2101><CTL=RST>")
	p.mustBe(tcp.Closed)
	p.must(p.c.TakeSignals()&tcp.SignalClosed != 0 && p.c.Err() == tcp.ErrReset, "the error is %v", p.c.Err())
	p.must(p.receive(200) == 100, "the text is gone")
	_, err := p.c.Receive(make([]byte, 1))
	p.must(err == tcp.ErrReset, "then RECEIVE gives %v", err)
	// One that is not at RCV.NXT is challenged, RFC 5961.
	p = fastOpened(t, setup{}, 100)
	p.send("<SEQ=2001><CTL=RST>", "<SEQ=2102><CTL=RST>")
	p.expect("<SEQ=1001><ACK=2101><CTL=ACK>")
	p.mustBe(tcp.SynReceived)
}

// The SYN comes again, as the network or the client doubles it: its text is not delivered again, and
// the connection stays what it is. So it does for a SYN from nowhere.
func TestFastOpenSYNComesTwice(t *testing.T) {
	for _, again := range []string{
		"<SEQ=2000><LEN=100><CTL=SYN><MSS=1460>" + cookieOpt,
		"<SEQ=2000><CTL=SYN><MSS=1460>",
		"<SEQ=2000><LEN=150><CTL=SYN><MSS=1460>" + cookieOpt,
		"<SEQ=2000><LEN=150><CTL=FIN,SYN><MSS=1460>" + cookieOpt,
		"<SEQ=2150><LEN=150><CTL=SYN><MSS=1460>" + cookieOpt,
	} {
		p := fastOpened(t, setup{}, 100)
		p.send(again)
		p.expect("<SEQ=1001><ACK=2101><CTL=ACK>")
		p.mustBe(tcp.SynReceived)
		p.must(p.receive(1000) == 100, "%s: the text is not what came first", again)
		p.send("<SEQ=2101><ACK=1001><LEN=10><CTL=ACK>")
		p.mustBe(tcp.Established)
		p.must(p.receive(1000) == 10, "%s: what follows is read", again)
		p.send(again)
		p.must(p.receive(1000) == 0, "%s: its text is delivered in ESTABLISHED", again)
		p.mustBe(tcp.Established)
	}
	// One that was refused goes the same way: SYN-RECEIVED stays.
	p := newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(nil, tcp.RuleFastOpenCookie)
	p.send("<SEQ=2000><LEN=100><CTL=SYN><MSS=1460>"+cookieOpt, "<SEQ=2000><LEN=100><CTL=SYN><MSS=1460>"+cookieOpt)
	p.expect("<SEQ=1000><ACK=2001><CTL=SYN,ACK>", "<SEQ=1001><ACK=2001><CTL=ACK>")
	p.mustBe(tcp.SynReceived)
}

// CLOSE before the handshake's end: the answer goes with its FIN, and the state is FIN-WAIT-1 by the
// edge of Figure 5. The SYN,ACK goes again from there.
func TestFastOpenClose(t *testing.T) {
	for _, written := range []int{0, 500} {
		p := fastOpened(t, setup{}, 100)
		p.receive(100)
		p.c.Send(p.now, octets(1001, written))
		if err := p.c.Close(p.now); err != nil {
			t.Fatal(err)
		}
		p.flush()
		p.expect(fmt.Sprintf("<SEQ=1001><ACK=2101><LEN=%d><CTL=FIN,ACK>", written))
		p.mustBe(tcp.FinWait1)
		p.next(2 * time.Second)
		p.expect("<SEQ=1000><ACK=2101><CTL=SYN,ACK>")
		p.mustBe(tcp.FinWait1)
		p.send(fmt.Sprintf("<SEQ=2101><ACK=%d><CTL=ACK>", 1002+written))
		p.mustBe(tcp.FinWait2)
		p.must(p.c.SynAcked(), "the handshake has ended")
		p.send(fmt.Sprintf("<SEQ=2101><ACK=%d><CTL=FIN,ACK>", 1002+written))
		p.mustBe(tcp.TimeWait)
	}
}

// CLOSE with more than may go before the handshake's end: the FIN waits in SYN-RECEIVED, as for any
// connection.
func TestFastOpenCloseWithMore(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.receive(100)
	p.write(20_000)
	if err := p.c.Close(p.now); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.mustBe(tcp.SynReceived)
	p.taken()
	p.send("<SEQ=2101><ACK=15601><CTL=ACK>")
	p.mustBe(tcp.FinWait1)
	out := p.taken()
	p.must(out[len(out)-1].Flags.Has(wire.FIN), "the FIN follows")
}

// The FIN of a SYN waits for ESTABLISHED.
func TestFastOpenFINInSYN(t *testing.T) {
	p := newPeer(t, setup{})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(nil, 0)
	p.send("<SEQ=2000><LEN=100><CTL=FIN,SYN><MSS=1460>" + cookieOpt)
	p.expect("<SEQ=1000><ACK=2101><CTL=SYN,ACK>")
	p.mustBe(tcp.SynReceived)
	p.send("<SEQ=2102><ACK=1001><CTL=ACK>")
	p.mustBe(tcp.CloseWait)
	p.expect("<SEQ=1001><ACK=2102><CTL=ACK>")
	p.must(p.receive(200) == 100, "the text is read")
}

// Who goes away without reading what came with the SYN resets the connection (SHLD-3), as later.
func TestFastOpenUnread(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.must(p.c.CloseReceive(p.now, tcp.Gone), "the connection is not reset")
	p.flush()
	p.expect("<SEQ=1001><CTL=RST>")
	p.mustBe(tcp.Closed)
}

// Where there is no memory for all of the text, what there is memory for is delivered and
// acknowledged.
func TestFastOpenWithoutMemory(t *testing.T) {
	p := newPeer(t, setup{cfg: tcp.Config{MaxBuffers: 1, ReceiveBuffer: 4096}, mtu: 9000})
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	p.c.AnswerFastOpen(nil, 0)
	p.send("<SEQ=2000><LEN=3000><CTL=SYN><MSS=1460>" + cookieOpt)
	p.expect("<SEQ=1000><ACK=4049><CTL=SYN,ACK>")
	p.must(p.receive(5000) == 2048, "what a queue has in any case is delivered")
}

// An ACK that acknowledges nothing of ours has no say about a fast-opened connection either: it is
// answered by a reset, and SYN-RECEIVED stays.
func TestFastOpenAckOfNothing(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.write(10)
	p.taken()
	p.send("<SEQ=2101><ACK=1012><CTL=ACK>")
	p.expect("<SEQ=1012><CTL=RST>")
	p.mustBe(tcp.SynReceived)
}

// A new congestion control, given before the handshake's end, begins with the window that there is.
func TestFastOpenSetCongestion(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.c.SetCongestion(p.now, tcp.NewReno())
	p.must(p.c.Status().Cwnd == 14600 && p.c.Status().Congestion == "reno", "cwnd is %d", p.c.Status().Cwnd)
	p.write(20_000)
	p.taken()
	p.send("<SEQ=2101><ACK=15601><CTL=ACK>")
	p.must(p.c.Status().Cwnd > 14600, "cwnd does not grow: %d", p.c.Status().Cwnd)
}

// once counts how often it is started.
type once struct {
	tcp.Congestion
	starts int
}

func (o *once) Start(now tcp.Time, w tcp.Window) { o.starts++; o.Congestion.Start(now, w) }

// The congestion control is started once, with the peer's SYN, and not again by the handshake's end.
func TestFastOpenStartsCongestionOnce(t *testing.T) {
	control := &once{Congestion: tcp.NewReno()}
	p := fastOpened(t, setup{cfg: tcp.Config{Congestion: func() tcp.Congestion { return control }}}, 100)
	p.must(control.starts == 1, "it is started %d times with the SYN", control.starts)
	p.send("<SEQ=2101><ACK=1001><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.must(control.starts == 1, "it is started %d times", control.starts)
}

// A router says that the answer is too big for the path: it goes again in smaller segments, without
// waiting for the handshake's end.
func TestFastOpenAnswerTooBig(t *testing.T) {
	p := fastOpened(t, setup{}, 100)
	p.write(2920)
	p.must(len(p.taken()) == 2, "the answer has gone")
	p.must(p.c.PacketTooBig(p.now, 1001, 1000), "the report is not believed")
	p.flush()
	out := p.taken()
	p.must(len(out) == 4 && out[0].Seq == 1001 && len(out[0].Text) == 960, "%d segments go again", len(out))
	p.mustBe(tcp.SynReceived)
	p.send("<SEQ=2101><ACK=3921><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.must(p.c.Deadline() == tcp.Never, "a timer runs")
}

// Where a path is known to be a black hole (MTUProbeAlways, RFC 4821 section 7.2) what goes before the
// handshake's end has 1200 octets at most, in the SYN and in the answer.
func TestFastOpenInABlackHole(t *testing.T) {
	cfg := tcp.Config{MTUProbing: tcp.MTUProbeAlways, NoDelay: true}
	p := offered(t, setup{cfg: cfg}, cookie, 1460, 3000)
	p.must(len(p.taken()[0].Text) == 1200-40-32, "the SYN is a packet of another size") // with 32 octets of options
	p = fastOpened(t, setup{cfg: cfg}, 100)
	p.write(3000)
	out := p.taken()
	p.must(len(out) == 3 && len(out[0].Text) == 1160, "the answer has %d segments, the first of %d octets", len(out), len(out[0].Text))
}

// The first octets are answered by the peer only once: a client's text that was acknowledged by a
// SYN,ACK of zero window waits, and is probed like any.
func TestFastOpenZeroWindow(t *testing.T) {
	p := offered(t, setup{}, cookie, 1460, 100)
	p.taken()
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460><WND=0>")
	p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	p.next(5 * time.Second)
	p.expect("<SEQ=1001><ACK=2001><LEN=1><CTL=ACK>")
	p.send("<SEQ=2001><ACK=1001><CTL=ACK>")
	p.must(p.c.Status().SndUna == 1001, "nothing is acknowledged")
	for range 5 {
		p.next(20 * time.Second)
		p.send(p.ack(p.c.Status().SndNxt))
		if p.c.Status().Unacknowledged+p.c.Status().Unsent == 0 {
			return
		}
	}
	p.fail("the text does not arrive")
}
