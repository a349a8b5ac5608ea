package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

const notECT, ect0, ce = 0, 2, 3

// marked lets a segment arrive with an ECN field.
func (p *peer) marked(tc uint8, text string) {
	p.t.Helper()
	seg := p.make(text)
	seg.TC = tc
	p.give(seg)
}

// Who asks and who agrees, RFC 3168 section 6.1.1: a SYN with ECE and CWR, a SYN,ACK with ECE alone.
func TestECNIsAgreed(t *testing.T) { // SHLD-8
	for _, tc := range []struct {
		mode     tcp.ECN
		syn, ack string // flags of our SYN, of the peer's SYN,ACK
		on       bool
	}{
		{tcp.ECNAccept, "SYN", "SYN,ACK", false},
		{tcp.ECNAccept, "SYN", "SYN,ECE,ACK", false},
		{tcp.ECNRequest, "SYN,ECE,CWR", "SYN,ECE,ACK", true},
		{tcp.ECNRequest, "SYN,ECE,CWR", "SYN,ACK", false},
		{tcp.ECNRequest, "SYN,ECE,CWR", "SYN,ECE,CWR,ACK", false}, // the reserved field reflected
		{tcp.ECNOff, "SYN", "SYN,ECE,ACK", false},
	} {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tc.mode}})
		if err := p.c.Open(p.now, tcp.Active); err != nil {
			t.Fatal(err)
		}
		p.flush()
		out := p.taken()
		p.must(out[0].Flags == flags(tc.syn) && out[0].TC == notECT, "mode %d: our SYN has %v", tc.mode, out[0].Flags)
		p.send("<SEQ=2000><ACK=1001><CTL=" + tc.ack + "><MSS=1460>")
		p.must(p.c.Status().ECN == tc.on, "mode %d, answer %s: ECN is %v", tc.mode, tc.ack, p.c.Status().ECN)
	}
	for _, tc := range []struct {
		mode    tcp.ECN
		syn     string
		answers string
	}{
		{tcp.ECNAccept, "SYN,ECE,CWR", "SYN,ECE,ACK"},
		{tcp.ECNAccept, "SYN,ECE", "SYN,CWR,ACK"}, // RFC 9768 section 3.1.3: as if it had asked for AccECN
		{tcp.ECNAccept, "SYN", "SYN,ACK"},
		{tcp.ECNOff, "SYN,ECE,CWR", "SYN,ACK"},
	} {
		p := newPeer(t, setup{cfg: tcp.Config{ECN: tc.mode}})
		if err := p.c.Open(p.now, tcp.Passive); err != nil {
			t.Fatal(err)
		}
		p.send("<SEQ=2000><CTL=" + tc.syn + "><MSS=1460>")
		out := p.taken()
		p.must(out[0].Flags == flags(tc.answers) && out[0].TC == notECT, "mode %d: %s is answered by %v", tc.mode, tc.syn, out[0].Flags)
	}
}

func flags(text string) (f wire.Flags) {
	for name, bit := range map[string]wire.Flags{"SYN": wire.SYN, "ACK": wire.ACK, "ECE": wire.ECE, "CWR": wire.CWR, "AE": wire.AE} {
		for at := 0; at+len(name) <= len(text); at++ {
			if text[at:at+len(name)] == name {
				f |= bit
			}
		}
	}
	return f
}

// A SYN that is not answered goes again without asking, and then nobody marks anything.
func TestECNFallsBack(t *testing.T) { // SHLD-8
	p := newPeer(t, setup{cfg: tcp.Config{ECN: tcp.ECNRequest}})
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.wait(time.Second + time.Millisecond)
	out := p.taken()
	p.must(len(out) == 2 && out[1].Flags == wire.SYN, "the second SYN is plain: %v", out[1].Flags)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ECE,ACK><MSS=1460>") // the answer to the first, late
	p.must(!p.c.Status().ECN, "nothing is agreed")
}

func withECN(t *testing.T, s setup) *peer {
	s.cfg.ECN = tcp.ECNRequest
	p := newPeer(t, s)
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.now = p.now.Add(100 * time.Millisecond)
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ECE,ACK><MSS=1000><WS=4><SACKOK>")
	p.send(p.ack(1001))
	p.rec = nil
	p.taken()
	return p
}

// The receiver: from CE on each ACK has ECE, until CWR comes. Section 6.1.3.
func TestECNIsEchoed(t *testing.T) { // SHLD-8
	p := withECN(t, setup{})
	at := seq.Num(2001)
	ack := func(tc uint8, ctl string, want bool) {
		t.Helper()
		for range 2 { // every second segment is acknowledged
			p.marked(tc, fmt.Sprintf("<SEQ=%d><ACK=1001><LEN=1000><CTL=%s>", at, ctl))
			at += 1000
		}
		out := p.taken()
		p.must(len(out) > 0 && out[0].Flags.Has(wire.ECE) == want && out[0].TC == notECT, "%s with %d: %v", ctl, tc, out)
	}
	ack(ect0, "ACK", false)
	ack(ce, "ACK", true)
	ack(ect0, "ACK", true)
	ack(ect0, "CWR,ACK", false)
	ack(ect0, "ACK", false)
	ack(ce, "CWR,ACK", true) // a new mark in the segment that answers the last
}

// The sender: new text is ECT(0); ECE lets cwnd fall once in a window, and the next new text has
// CWR; what goes again is not marked. Section 6.1.2; a mark costs less than a loss (RFC 8511).
func TestECNReduces(t *testing.T) { // SHLD-8
	p := withECN(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22, Congestion: tcp.NewReno}})
	p.write(1 << 22)
	out := p.taken()
	p.must(len(out) == 10 && out[0].TC == ect0 && !out[0].Flags.Has(wire.CWR), "new text is ECT(0)")
	p.wait(100 * time.Millisecond)
	p.taken()
	una := seq.Num(1001)
	cwr := 0
	for i := range 10 {
		una += 1000
		p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ECE,ACK>", una))
		for _, s := range p.taken() {
			if s.Flags.Has(wire.CWR) {
				cwr++
			}
			p.must(s.TC == ect0, "new text is ECT(0) still")
		}
		p.must(p.c.Status().Ssthresh == 5000 && p.c.Status().Marks == 1, "ACK %d: in slow start a mark halves the window of ten segments, once: %d", i, p.c.Status().Ssthresh)
	}
	st := p.c.Status()
	p.must(cwr == 1 && st.Cwnd == 5000 && st.Retransmitted == 0 && st.Recoveries == 0, "one segment says CWR: %d; cwnd is %d", cwr, st.Cwnd)
	p.send(fmt.Sprintf("<SEQ=2001><ACK=%d><CTL=ECE,ACK>", p.c.Status().SndNxt))
	st = p.c.Status()
	p.must(st.Marks == 2 && st.Ssthresh == 4000, "a mark in the next window, in congestion avoidance, leaves four fifths: %d", st.Ssthresh)
	p.taken()
	for p.c.Status().Timeouts == 0 {
		p.next(time.Minute)
	}
	out = p.taken()
	p.must(out[len(out)-1].TC == notECT, "what goes again is not marked")
}

// What a mark has taken is not given back. A recovery in which the network marks is none that was for
// nothing, even if what was lost had arrived: RFC 4015 section 3.4, "the TCP sender MUST refrain from
// reversing congestion control state". Nor is the reduction for a mark undone, because something was
// sent again in it and need not have been.
func TestMarksAreNotUndone(t *testing.T) {
	for _, c := range []struct {
		name                 string
		begin, recover, tell string // flags of the ACK that begins the reduction, of that which goes on, and of the D-SACK
		marks, undone        uint32
	}{
		{"no mark", "ACK", "ACK", "ACK", 0, 1},
		{"the ACK that proves it has a mark", "ACK", "ACK", "ECE,ACK", 0, 0},
		{"one before has", "ACK", "ECE,ACK", "ACK", 0, 0},
		{"the first has", "ECE,ACK", "ACK", "ACK", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, una := twentyECN(t)
			before := p.c.Status()
			p.say(c.begin, una, una+1000, una+6000)
			p.must(p.c.Status().Recovering && p.c.Status().Ssthresh < before.Cwnd, "a loss begins a recovery")
			p.say(c.recover, una+6000, 0, 0)
			p.wait(100 * time.Millisecond)
			p.say(c.tell, una+6000, una, una+1000)
			st := p.c.Status()
			p.must(st.Undone == c.undone && (st.Ssthresh == before.Ssthresh) == (c.undone > 0), "undone %d, ssthresh %d of %d", st.Undone, st.Ssthresh, before.Ssthresh)
		})
	}
	t.Run("the reduction is for a mark", func(t *testing.T) {
		p, una := twentyECN(t)
		before := p.c.Status()
		p.say("ECE,ACK", una+1000, 0, 0)
		less := p.c.Status().Ssthresh
		p.must(p.c.Status().Marks == 1 && less < before.Cwnd, "a mark reduces the window")
		p.say("ACK", una+1000, una+2000, una+7000)
		p.say("ACK", una+7000, 0, 0)
		p.wait(100 * time.Millisecond)
		p.say("ACK", una+7000, una+1000, una+2000)
		st := p.c.Status()
		p.must(st.Retransmitted == 1000 && st.Undone == 0 && st.Ssthresh == less, "undone %d, ssthresh %d, and was %d", st.Undone, st.Ssthresh, less)
	})
}

// A timeout that was spurious is not undone either, if the ACK that says so has a mark.
func TestMarkAfterASpuriousTimeout(t *testing.T) {
	for _, ctl := range []string{"ACK", "ECE,ACK"} {
		p, una := twentyECN(t)
		for p.c.Status().Timeouts == 0 {
			p.next(time.Minute)
		}
		p.say("ACK", una+1000, 0, 0)
		p.say(ctl, una+2000, 0, 0)
		st := p.c.Status()
		p.must((st.Undone == 0) == (ctl != "ACK"), "%s: %d undone", ctl, st.Undone)
	}
}

// twentyECN is twenty with ECN.
func twentyECN(t *testing.T) (p *peer, una seq.Num) {
	t.Helper()
	p = withECN(t, setup{cfg: tcp.Config{SendBuffer: 1 << 22, UserTimeout: -1, Congestion: tcp.NewReno}})
	p.write(1 << 22)
	p.round(1000)
	una = p.c.Status().SndUna
	p.must(p.c.Status().SndNxt.Sub(una) == 20000, "twenty segments are in flight")
	p.wait(100 * time.Millisecond)
	p.taken()
	return p, una
}

// say is an ACK of una with the given flags, and a block unless right is 0.
func (p *peer) say(ctl string, una, left, right seq.Num) {
	p.t.Helper()
	block := ""
	if right != 0 {
		block = fmt.Sprintf("<SACK=%d-%d>", left, right)
	}
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=%s>%s", p.c.Status().RcvNxt, una, ctl, block))
	p.taken()
}
