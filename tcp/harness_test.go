package tcp_test

// A peer made by hand: it drives one machine by segments in the RFC's notation, in virtual
// time, and says what the machine must answer. The machine is A and has ISS 1000, the peer
// is B and has ISS 2000. Octets are a function of their sequence number, so that both
// directions are checked wherever they are seen.

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

type setup struct {
	cfg tcp.Config
	mtu int     // default 1500
	v6  bool    // default IPv4
	iss seq.Num // of the machine, default 1000
	irs seq.Num // of the peer, default 2000
	syn string  // options of the peer's SYN, default <MSS=1460>
	wnd int     // window field of the peer's segments, default 65535; -1 is 0
	rtt time.Duration
	// before is called before OPEN.
	before func(p *peer)
}

type peer struct {
	t   *testing.T
	cfg *tcp.Config
	c   *tcp.Conn
	now tcp.Time
	rec *ladder.Recorder // nil: long runs keep none

	iss, irs seq.Num
	wnd      uint16  // what send puts in, unless its text says otherwise
	out      []sent  // what the machine has sent and no one has looked at
	wrote    seq.Num // the number of the next octet the user writes
	read     seq.Num // the number of the next octet the user reads
	tsecr    uint32  // the last TSval of the machine
	tsval    uint32  // what send puts in as TSval: the last that a text said
	edge     seq.Num // the highest right edge the machine has offered
	edgeSeen bool
	dropped  []string // why segments were not used
	limit    int      // how many segments one call may give; default 100000
}

// A sent segment left the machine at a time.
type sent struct {
	at tcp.Time
	wire.Segment
}

// epoch is when tests begin: long enough after 0 for anything that takes 0 as "never".
const epoch = tcp.Time(time.Hour)

// octet is the text of both streams.
func octet(n seq.Num) byte { return byte(n>>8)*31 + byte(n)*7 + byte(n>>16) }

func octets(from seq.Num, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = octet(from.Add(uint32(i)))
	}
	return b
}

// newPeer makes a machine in CLOSED.
func newPeer(t *testing.T, s setup) *peer {
	t.Helper()
	if s.mtu == 0 {
		s.mtu = 1500
	}
	if s.iss == 0 {
		s.iss = 1000
	}
	if s.irs == 0 {
		s.irs = 2000
	}
	if s.wnd == 0 {
		s.wnd = 65535
	}
	p := &peer{t: t, cfg: &s.cfg, now: epoch, iss: s.iss, irs: s.irs, wnd: uint16(max(s.wnd, 0)), limit: 100000}
	p.wrote, p.read = s.iss+1, s.irs+1
	p.rec = ladder.NewRecorder(tcp.Closed, tcp.Closed)
	p.rec.Peers = [2]string{"vitro", "peer"}
	flow := wire.Flow{
		Local: wire.Addr4([4]byte{192, 0, 2, 1}), LocalPort: 40000,
		Remote: wire.Addr4([4]byte{192, 0, 2, 2}), RemotePort: 80,
	}
	if s.v6 {
		flow.Local, flow.Remote = wire.Addr{0: 0x20, 1: 1, 15: 1}, wire.Addr{0: 0x20, 1: 1, 15: 2}
	}
	if s.cfg.ISN == nil {
		s.cfg.ISN = func(tcp.Time, wire.Flow) seq.Num { return s.iss }
	}
	s.cfg.Trace = &tcp.Trace{
		Become: func(_ tcp.Observed, now tcp.Time, _, to tcp.State, rule tcp.Rule) {
			if p.rec != nil {
				p.rec.State(now, ladder.A, to, rule)
			}
		},
		Drop: func(_ tcp.Observed, now tcp.Time, _ *wire.Segment, rule tcp.Rule) {
			p.dropped = append(p.dropped, rule.String())
			if p.rec != nil {
				p.rec.Rule(now, ladder.A, rule)
			}
		},
	}
	p.c = tcp.New(&s.cfg, flow, s.mtu)
	return p
}

// established is a machine that has opened actively, with the handshake done.
func established(t *testing.T, s setup) *peer {
	t.Helper()
	p := synSent(t, s)
	p.now = p.now.Add(s.rtt)
	if s.syn == "" {
		s.syn = "<MSS=1460>"
	}
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=SYN,ACK>%s", p.irs, p.iss+1, s.syn))
	p.expect(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK>", p.iss+1, p.irs+1))
	p.mustBe(tcp.Established)
	p.c.TakeSignals()
	return p
}

func synSent(t *testing.T, s setup) *peer {
	t.Helper()
	p := newPeer(t, s)
	if s.before != nil {
		s.before(p)
	}
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.expect(fmt.Sprintf("<SEQ=%d><CTL=SYN>", p.iss))
	return p
}

// accepted is a machine that has opened passively, with the handshake done.
func accepted(t *testing.T, s setup) *peer {
	t.Helper()
	p := newPeer(t, s)
	if err := p.c.Open(p.now, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	if s.syn == "" {
		s.syn = "<MSS=1460>"
	}
	p.send(fmt.Sprintf("<SEQ=%d><CTL=SYN>%s", p.irs, s.syn))
	p.expect(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=SYN,ACK>", p.iss, p.irs+1))
	p.now = p.now.Add(s.rtt)
	p.send(fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK>", p.irs+1, p.iss+1))
	p.quiet("the third segment of the handshake has no answer")
	p.mustBe(tcp.Established)
	p.c.TakeSignals()
	return p
}

// fail ends the test with a sentence about the protocol and what has happened.
func (p *peer) fail(format string, args ...any) {
	p.t.Helper()
	story := ""
	if p.rec != nil {
		l := p.rec.Ladder()
		if n := len(l.Lines); n > 24 {
			story = fmt.Sprintf("(%d lines before)\n", n-24)
			l.Lines = l.Lines[n-24:]
		}
		story += l.String()
	}
	p.t.Fatalf("%s\n\n%s", fmt.Sprintf(format, args...), story)
}

// must ends the test unless the sentence holds.
func (p *peer) must(holds bool, format string, args ...any) {
	p.t.Helper()
	if !holds {
		p.fail("%s", "not so: "+fmt.Sprintf(format, args...))
	}
}

func (p *peer) mustBe(s tcp.State) {
	p.t.Helper()
	if got := p.c.State(); got != s {
		p.fail("vitro is %v; want %v", got, s)
	}
}

var parsed = map[string]*ladder.Segment{}

// segment reads the notation.
func (p *peer) segment(text string) *ladder.Segment {
	p.t.Helper()
	if s := parsed[text]; s != nil {
		return s
	}
	l, err := ladder.Parse("1. ESTABLISHED --> " + text + " --> ESTABLISHED\n")
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	if len(parsed) < 1000 {
		parsed[text] = l.Lines[0].Segment
	}
	return l.Lines[0].Segment
}

// make is a segment of the peer: what its text leaves out (window, timestamps) is as usual.
func (p *peer) make(text string) wire.Segment {
	p.t.Helper()
	said := p.segment(text)
	seg, err := said.Wire(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	at := seg.Seq
	if seg.Flags&wire.SYN != 0 {
		at++
	}
	seg.Text = octets(at, len(seg.Text))
	if !said.HasWnd {
		seg.Wnd = p.wnd
	}
	switch o := &seg.Options; {
	case seg.Flags&wire.RST != 0:
	case o.Has(wire.HasTimestamps):
		p.tsval = o.TSVal
	case seg.Flags&wire.SYN == 0 && p.c.Status().Timestamps:
		o.Set |= wire.HasTimestamps
		o.TSVal, o.TSEcr = p.tsval, p.tsecr
	}
	return seg
}

// send delivers segments one by one, and takes the answer to each.
func (p *peer) send(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		seg := p.make(text)
		p.arrive(&seg)
		p.flush()
	}
}

// batch delivers segments together: Output is called once, after the last.
func (p *peer) batch(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		seg := p.make(text)
		p.arrive(&seg)
	}
	p.flush()
}

// give delivers a segment that the notation does not express.
func (p *peer) give(seg wire.Segment) {
	p.t.Helper()
	p.arrive(&seg)
	p.flush()
}

func (p *peer) arrive(seg *wire.Segment) {
	if p.rec != nil {
		p.rec.Arrive(p.now, p.rec.Depart(p.now, ladder.B, seg))
	}
	p.c.Arrive(p.now, seg)
}

// flush takes all that the machine has to send.
func (p *peer) flush() {
	p.t.Helper()
	var seg wire.Segment
	for n := 0; p.c.Output(p.now, &seg); n++ {
		if n == p.limit {
			p.fail("Output gives more than %d segments after one event", p.limit)
		}
		p.audit(&seg)
		s := sent{p.now, seg}
		s.Text = append(append([]byte(nil), seg.Text...), seg.TextRest...)
		s.TextRest = nil
		p.out = append(p.out, s)
		if p.rec != nil {
			p.rec.Arrive(p.now, p.rec.Depart(p.now, ladder.A, &seg))
		}
	}
	if st := p.c.Status(); st.Unacknowledged > 0 && st.Deadline == tcp.Never && st.State != tcp.Closed {
		p.fail("%d sequence numbers are sent and not acknowledged, and no timer runs", st.Unacknowledged)
	}
}

// audit holds what is true of every segment that leaves.
func (p *peer) audit(seg *wire.Segment) {
	p.t.Helper()
	if s := seg.Seq; len(seg.Text)+len(seg.TextRest) > 0 {
		if seg.Flags&wire.SYN != 0 {
			s++
		}
		for _, part := range [][]byte{seg.Text, seg.TextRest} {
			for i, b := range part {
				if want := octet(s.Add(uint32(i))); b != want {
					p.fail("%v: octet %v of the text is %#x; the user wrote %#x", seg, s.Add(uint32(i)), b, want)
				}
			}
			s = s.Add(uint32(len(part)))
		}
	}
	o := &seg.Options
	if seg.Flags&wire.SYN == 0 && o.Set&(wire.HasMSS|wire.HasWindowScale|wire.HasSACKPermitted) != 0 { // MUST-65
		p.fail("%v has options that belong to a SYN", seg)
	}
	if o.Has(wire.HasTimestamps) {
		p.tsecr = o.TSVal
		if seg.Flags&wire.ACK == 0 && o.TSEcr != 0 {
			p.fail("%v has TSecr %d without ACK; RFC 7323 3.2: it is 0", seg, o.TSEcr)
		}
	}
	st := p.c.Status()
	if st.Timestamps && st.State.Synchronized() && seg.Flags&wire.RST == 0 && !o.Has(wire.HasTimestamps) {
		p.fail("%v has no timestamp, though they are in use; RFC 7323 3.2", seg)
	}
	if seg.Flags&wire.SYN != 0 || seg.Flags&wire.ACK == 0 || seg.Flags&wire.RST != 0 {
		return
	}
	edge := seg.Ack.Add(uint32(seg.Wnd) << st.RcvShift)
	if p.edgeSeen && edge.Less(p.edge) && !(seg.Wnd == 0 && edge == p.edge) && st.State < tcp.CloseWait { // SHLD-14
		p.fail("%v offers up to %v; before, up to %v: the window shrinks", seg, edge, p.edge)
	}
	p.edge, p.edgeSeen = edge, true
}

// taken returns what the machine has sent and no one has looked at.
func (p *peer) taken() []sent {
	out := p.out
	p.out = nil
	return out
}

// expect says what the machine has sent, all of it and in this order.
func (p *peer) expect(texts ...string) {
	p.t.Helper()
	out := p.taken()
	for i, text := range texts {
		if i == len(out) {
			p.fail("vitro sends nothing more; want %s", text)
		}
		got := ladder.SegmentOf(&out[i].Segment)
		if err := p.segment(text).Match(&got, nil); err != nil {
			p.fail("vitro sends %v; want %s: %v", &got, text, err)
		}
	}
	if len(out) > len(texts) {
		got := ladder.SegmentOf(&out[len(texts)].Segment)
		p.fail("vitro sends %v; want nothing more", &got)
	}
}

// quiet says that the machine has sent nothing, and why.
func (p *peer) quiet(why string) {
	p.t.Helper()
	if out := p.taken(); len(out) > 0 {
		got := ladder.SegmentOf(&out[0].Segment)
		p.fail("vitro sends %v; want nothing: %s", &got, why)
	}
}

// wait lets time pass, with every timer that runs out on the way.
func (p *peer) wait(d time.Duration) {
	p.t.Helper()
	until := p.now.Add(d)
	for same := 0; p.c.Deadline() <= until; same++ {
		if at := p.c.Deadline(); at > p.now {
			p.now, same = at, 0
		}
		if same > 10 {
			p.fail("Timeout leaves the deadline where it is, %v after the start", p.now.Sub(epoch))
		}
		p.c.Timeout(p.now)
		p.flush()
	}
	p.now = until
}

// next lets time pass until the machine sends something, at most for limit, and returns how
// long that took.
func (p *peer) next(limit time.Duration) time.Duration {
	p.t.Helper()
	from, had := p.now, len(p.out)
	for len(p.out) == had {
		at := p.c.Deadline()
		if at.Sub(from) > limit || at == tcp.Never {
			p.fail("vitro sends nothing within %v", limit)
		}
		p.wait(max(at.Sub(p.now), 0))
	}
	return p.now.Sub(from)
}

// write is the user's SEND of the next n octets; it returns how many were taken.
func (p *peer) write(n int) int {
	p.t.Helper()
	taken, err := p.c.Send(p.now, octets(p.wrote, n))
	if err != nil {
		p.fail("SEND: %v", err)
	}
	p.wrote = p.wrote.Add(uint32(taken))
	p.flush()
	return taken
}

// receive is the user's RECEIVE of up to n octets; it returns how many there were.
func (p *peer) receive(n int) int {
	p.t.Helper()
	b := make([]byte, n)
	got, err := p.c.Receive(b)
	if err != nil && err != tcp.ErrClosing {
		p.fail("RECEIVE: %v", err)
	}
	for i, have := range b[:got] {
		if want := octet(p.read.Add(uint32(i))); have != want {
			p.fail("the user reads %#x as octet %v; the peer sent %#x", have, p.read.Add(uint32(i)), want)
		}
	}
	p.read = p.read.Add(uint32(got))
	p.flush()
	return got
}

// data is a segment of the peer with n octets from s on.
func (p *peer) data(s seq.Num, n int) string {
	return fmt.Sprintf("<SEQ=%d><ACK=%d><LEN=%d><CTL=ACK>", s, p.c.Status().SndUna, n)
}

// ack is an acknowledgment of the peer without text.
func (p *peer) ack(a seq.Num) string {
	return fmt.Sprintf("<SEQ=%d><ACK=%d><CTL=ACK>", p.c.Status().RcvNxt, a)
}

// ackAll acknowledges all that the machine has sent.
func (p *peer) ackAll() {
	p.t.Helper()
	p.send(p.ack(p.c.Status().SndNxt))
}

// texts returns how long the texts of segments are.
func texts(out []sent) []int {
	var n []int
	for _, s := range out {
		n = append(n, len(s.Text))
	}
	return n
}
