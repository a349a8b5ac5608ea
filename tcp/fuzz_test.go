package tcp_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A world is two machines and a network between them, both at the mercy of a script of
// octets. After each call the invariants of RFC 9293 are held against both machines.
type world struct {
	t      *testing.T
	now    tcp.Time
	ends   [2]*endpoint
	script []byte
	forge  bool // segments that nobody sent arrive too
	fast   bool // they speak TCP Fast Open: A has a cookie, and B takes every one
	log    []string
	edges  map[[2]tcp.State]bool
}

// An endpoint is a machine, its user, and the segments on their way from it.
type endpoint struct {
	who     ladder.Peer
	c       *tcp.Conn
	cfg     *tcp.Config
	out     []packet
	written []byte // by the user, into Send
	read    []byte // by the user, from Receive
	eof     bool
	closed  bool // the user has called Close
	life    int  // how often the connection returned to LISTEN
	edge    seq.Num
	edgeSet bool
}

type packet struct {
	seg  wire.Segment
	text []byte
}

func newWorld(t *testing.T, script []byte, forge bool) *world {
	w := &world{t: t, now: 1, script: script, forge: forge, edges: map[[2]tcp.State]bool{}}
	mode, memory, control := w.next(), w.next(), w.next()
	for i := range w.ends {
		e := &endpoint{who: ladder.Peer(i)}
		flow := flowOfA
		if i == 1 {
			flow = flow.Reverse()
		}
		cfg := &tcp.Config{
			ReceiveBuffer: 4096 << (mode & 7),
			SendBuffer:    4096 << (mode >> 3 & 3),
			NoDelay:       mode&32 != 0,
			NoTimestamps:  mode&64 != 0,
			NoSACK:        mode&128 != 0,
			Secret:        [16]byte{byte(i)},
			ISN:           func(tcp.Time, wire.Flow) seq.Num { return seq.Num(1<<32 - 3000).Add(uint32(i) * 5000) },
		}
		switch control % 4 {
		case 1:
			cfg.Congestion = tcp.NewReno
		case 2, 3:
			cfg.Congestion = tcp.NewBBR
		}
		cfg.Pacing = control&4 != 0
		if memory != 0 { // so little that it runs out
			cfg.MaxBuffers = int(memory) * 128
		}
		if !forge {
			cfg.UserTimeout, cfg.SynTimeout = -1, -1 // the network may be away for long
		}
		cfg.Trace = &tcp.Trace{
			Become: func(_ tcp.Observed, _ tcp.Time, from, to tcp.State, r tcp.Rule) {
				w.logf("%v: %v -> %v by %v", e.who, from, to, r)
				w.edges[[2]tcp.State{from, to}] = true
				if !tcp.Legal(from, to) {
					w.fail("%v took the edge %v -> %v by %v, which is not in Figure 5", e.who, from, to, r)
				}
				if to == tcp.Listen {
					e.life++
					e.edgeSet = false
				}
			},
			Drop: func(_ tcp.Observed, _ tcp.Time, s *wire.Segment, r tcp.Rule) {
				if r.Clause() == "" || r.Sentence() == "" {
					w.fail("a drop without a clause: rule %d", r)
				}
				w.logf("%v drops %v by %v", e.who, s, r)
			},
			Timeout: func(_ tcp.Observed, _ tcp.Time, r tcp.Rule) { w.logf("%v: timeout, %v", e.who, r) },
		}
		e.c, e.cfg = tcp.New(cfg, flow, 1500), cfg
		w.ends[i] = e
	}
	return w
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%12v ", time.Duration(w.now))+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	from := max(0, len(w.log)-60)
	for _, l := range w.log[from:] {
		w.t.Log(l)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) next() byte {
	if len(w.script) == 0 {
		return 0
	}
	b := w.script[0]
	w.script = w.script[1:]
	return b
}

// settle takes what a machine sends and checks the machine.
func (w *world) settle(e *endpoint) {
	var seg wire.Segment
	for n := 0; e.c.Output(w.now, &seg); n++ {
		if n > 5000 {
			w.fail("%v: Output does not end", e.who)
		}
		p := packet{seg: seg, text: append(append([]byte(nil), seg.Text...), seg.TextRest...)}
		p.seg.Text, p.seg.TextRest = p.text, nil
		w.logf("%v sends %v wnd %d", e.who, &p.seg, seg.Wnd)
		e.out = append(e.out, p)
	}
	w.check(e)
}

// check holds the invariants.
func (w *world) check(e *endpoint) {
	s := e.c.Status()
	if s.State == tcp.Closed {
		if s.Deadline != tcp.Never {
			w.fail("%v is CLOSED and waits until %v", e.who, time.Duration(s.Deadline))
		}
		e.edgeSet = false
		return
	}
	if s.State == tcp.Listen {
		return
	}
	if !s.SndUna.LessEq(s.SndNxt) {
		w.fail("%v: SND.UNA %v > SND.NXT %v", e.who, s.SndUna, s.SndNxt)
	}
	if s.Unacknowledged > 0 && s.Deadline == tcp.Never {
		w.fail("%v: %d unacknowledged, and no deadline: %+v", e.who, s.Unacknowledged, s)
	}
	if (s.Unsent > 0 || s.FinQueued && !s.FinSent) && s.State.Synchronized() && s.Deadline == tcp.Never {
		w.fail("%v: %d unsent, and no deadline: %+v", e.who, s.Unsent, s)
	}
	if s.Flight > s.Unacknowledged {
		w.fail("%v: %d in flight of %d unacknowledged", e.who, s.Flight, s.Unacknowledged)
	}
	if s.Cwnd != 0 && (s.Cwnd < s.MSS || s.Cwnd > 1<<30) {
		w.fail("%v: cwnd is %d, and a segment %d", e.who, s.Cwnd, s.MSS)
	}
	if n := e.cfg.BuffersInUse(); n != int(s.Buffered) || n > e.cfg.MaxBuffers+2*2048 {
		w.fail("%v: %d octets of buffers in use, %d by its Status; the bound is %d", e.who, n, s.Buffered, e.cfg.MaxBuffers)
	}
	if s.Buffered > 4*(s.Unsent+s.Unacknowledged+s.Unread+s.OutOfOrder)+64*1024 {
		w.fail("%v: %d octets of memory for %+v", e.who, s.Buffered, s)
	}
	edge := s.RcvNxt.Add(s.RcvWnd)
	if s.State == tcp.SynSent {
		e.edgeSet = false
		return
	}
	if e.edgeSet && edge.Less(e.edge) {
		w.fail("%v: the right window edge went back from %v to %v", e.who, e.edge, edge)
	}
	e.edge, e.edgeSet = edge, true
}

// user is one call of a user.
func (w *world) user(e *endpoint, what, size byte) {
	switch what % 8 {
	case 0, 1, 2:
		text := make([]byte, int(size)*31)
		for i := range text {
			text[i] = byte((len(e.written) + i) * 7)
		}
		n, err := e.c.Send(w.now, text)
		w.logf("%v SEND %d -> %d %v", e.who, len(text), n, err)
		e.written = append(e.written, text[:n]...)
	case 3, 4, 5:
		w.receive(e, int(size)*40)
	case 6:
		if s := e.c.State(); size < 40 && s != tcp.SynSent && s != tcp.Listen { // there CLOSE gives up what is queued
			err := e.c.Close(w.now)
			w.logf("%v CLOSE %v", e.who, err)
			e.closed = e.closed || err == nil
		}
	case 7:
		if size == 1 && w.forge {
			w.logf("%v ABORT %v", e.who, e.c.Abort(w.now))
		}
		if size >= 128 { // the path shrinks, so it is said
			una := e.c.Status().SndUna
			w.logf("%v PACKET-TOO-BIG %v", e.who, e.c.PacketTooBig(w.now, una, 500+int(size-128)*8))
		}
		if size == 3 {
			w.logf("%v MEMORY-FREED", e.who)
			e.c.MemoryFreed()
		}
		if size == 4 && w.forge {
			w.logf("%v RECLAIM", e.who)
			e.c.Reclaim(w.now)
		}
		if size == 2 && w.forge {
			w.logf("%v CLOSE-RECEIVE %v", e.who, e.c.CloseReceive(w.now, tcp.Gone))
		}
	}
	w.settle(e)
}

func (w *world) receive(e *endpoint, most int) {
	buf := make([]byte, most)
	n, err := e.c.Receive(buf)
	w.logf("%v RECEIVE %d -> %d %v", e.who, most, n, err)
	e.read = append(e.read, buf[:n]...)
	if err == tcp.ErrClosing {
		e.eof = true
	}
	if peer := w.ends[1-e.who]; !w.forge && !bytes.HasPrefix(peer.written, e.read) {
		w.fail("%v read %d octets which %v did not write so", e.who, len(e.read), peer.who)
	}
}

// network is one deed of the network to a segment on its way from e.
func (w *world) network(e *endpoint, what, which byte) {
	if len(e.out) == 0 {
		return
	}
	i := int(which) % min(len(e.out), 8)
	p := e.out[i]
	take := func() { e.out = append(e.out[:i:i], e.out[i+1:]...) }
	switch what % 4 {
	case 0, 1: // it arrives
		take()
	case 2: // it arrives, and will again
	case 3: // it is lost
		take()
		w.logf("lost: %v", &p.seg)
		return
	}
	w.arrive(w.ends[1-e.who], p)
}

func (w *world) arrive(e *endpoint, p packet) {
	s := p.seg
	s.Text = append([]byte(nil), p.text...)
	w.logf("%v gets %v", e.who, &s)
	if w.fast {
		e.c.AnswerFastOpen(nil, 0) // in LISTEN alone it is heard
	}
	e.c.Arrive(w.now, &s)
	w.settle(e)
}

// forged is a segment that nobody sent, near what the machine expects.
func (w *world) forged(e *endpoint) {
	st := e.c.Status()
	near := func(base seq.Num) seq.Num {
		switch b := w.next(); b % 4 {
		case 0:
			return base
		case 1:
			return base + seq.Num(b)
		case 2:
			return base - seq.Num(b)
		}
		return base + seq.Num(w.next())<<23
	}
	s := wire.Segment{
		Seq: near(st.RcvNxt), Ack: near(st.SndNxt), Flags: wire.Flags(w.next()),
		Wnd: uint16(w.next()) << 8, Up: uint16(w.next()),
		Text: make([]byte, w.next()),
	}
	if b := w.next(); b&1 != 0 {
		s.Options.Set |= wire.HasTimestamps
		s.Options.TSVal, s.Options.TSEcr = uint32(b)<<24, uint32(w.next())<<24
	} else if b&2 != 0 {
		s.Options.Set |= wire.HasMSS | wire.HasWindowScale
		s.Options.MSS, s.Options.WindowScale = uint16(b), b&15
	} else if b&4 != 0 {
		s.Options.AddBlock(wire.SACKBlock{Left: near(st.SndUna), Right: near(st.SndNxt)})
	}
	w.arrive(e, packet{seg: s, text: s.Text})
}

func (w *world) run() {
	a, b := w.ends[0], w.ends[1]
	mode := tcp.Passive
	if w.next()&1 != 0 {
		mode = tcp.Active // a simultaneous open
	}
	if w.fast {
		a.c.OfferFastOpen(cookie, 1460)
	}
	if err := b.c.Open(w.now, mode); err != nil {
		w.fail("OPEN: %v", err)
	}
	w.settle(b)
	if err := a.c.Open(w.now, tcp.Active); err != nil {
		w.fail("active OPEN: %v", err)
	}
	if w.fast {
		w.user(a, 0, w.next()) // something to send with the SYN
	}
	w.settle(a)
	for steps := 0; len(w.script) > 0 && steps < 400; steps++ {
		op := w.next()
		e := w.ends[op>>7]
		switch op % 8 {
		case 0, 1:
			w.user(e, w.next(), w.next())
		case 2, 3, 4, 5:
			w.network(e, w.next(), w.next())
		case 6:
			w.pass(time.Duration(w.next()) * 4 * time.Millisecond)
		case 7:
			if w.forge {
				w.forged(e)
			}
		}
	}
}

// pass lets time go by, each timeout at its instant.
func (w *world) pass(d time.Duration) {
	until := w.now.Add(d)
	for n := 0; ; n++ {
		first := w.ends[0]
		if w.ends[1].c.Deadline() < first.c.Deadline() {
			first = w.ends[1]
		}
		at := first.c.Deadline()
		if at > until {
			w.now = until
			return
		}
		if n > 20000 {
			w.fail("time does not pass: %v waits for %v", first.who, at)
		}
		w.now = max(w.now, at)
		before := len(w.log)
		first.c.Timeout(w.now)
		w.settle(first)
		if first.c.Deadline() <= w.now && len(w.log) == before {
			w.fail("%v: Timeout at its deadline changes nothing: %+v", first.who, first.c.Status())
		}
	}
}

// heal makes the network perfect and the users read and close: the story must end well
// (STORY R4).
func (w *world) heal() {
	for range 4000 {
		moved := false
		for _, e := range w.ends {
			for len(e.out) > 0 {
				p := e.out[0]
				e.out = e.out[1:]
				w.arrive(w.ends[1-e.who], p)
				moved = true
			}
			if !e.eof && e.c.State() != tcp.Listen {
				w.receive(e, 1<<16)
				w.settle(e)
			}
			if !e.closed && e.c.State().Synchronized() {
				if err := e.c.Close(w.now); err != nil {
					w.fail("%v: CLOSE: %v", e.who, err)
				}
				e.closed = true
				w.settle(e)
			}
		}
		if moved {
			continue
		}
		d := min(w.ends[0].c.Deadline(), w.ends[1].c.Deadline())
		if d == tcp.Never {
			return
		}
		w.pass(max(d.Sub(w.now), 0))
	}
	w.fail("the story does not end: A is %v, B is %v", w.ends[0].c.State(), w.ends[1].c.State())
}

func (w *world) ended() {
	for _, e := range w.ends {
		peer := w.ends[1-e.who]
		if e.c.State() != tcp.Closed {
			w.fail("%v ends in %v", e.who, e.c.State())
		}
		// A network that is away for longer than 2 MSL keeps the last ACK from one end until the
		// other is gone, whole: then a reset is the answer, and nothing is lost.
		whole := peer.c.Err() == nil && bytes.Equal(peer.read, e.written)
		if err := e.c.Err(); err != nil && !(err == tcp.ErrReset && whole) {
			w.fail("%v ends with %v", e.who, err)
		}
		if !bytes.Equal(e.read, peer.written) {
			w.fail("%v read %d octets of the %d that %v wrote", e.who, len(e.read), len(peer.written), peer.who)
		}
	}
}

// networkSeeds begin with the octets that choose the configs: windows and options, memory, the
// congestion control and pacing.
var networkSeeds = [][]byte{
	{0},
	{0, 0, 0, 2, 0, 0, 130, 0, 0, 2, 0, 0, 0, 0, 100, 2, 3, 0, 2, 0, 0, 6, 255, 0, 6, 1},
	{0xff, 0, 4, 2, 2, 0, 2, 0, 0, 130, 0, 0, 0, 0, 255, 128, 0, 255, 2, 0, 1, 130, 0, 2, 2, 3, 0, 6, 60},
	{1, 0, 1, 2, 0, 0, 130, 0, 0, 2, 0, 0, 0, 0, 200, 0, 6, 3, 128, 6, 3, 2, 0, 0, 130, 0, 0, 6, 200},
	{7, 24, 0, 0, 2, 0, 0, 130, 0, 0, 2, 0, 0, 0, 0, 255, 0, 0, 255, 2, 0, 0, 2, 0, 1, 6, 9, 130, 0, 0, 128, 3, 9, 0, 0, 255, 6, 255},
	append([]byte{5, 40, 0}, bytes.Repeat([]byte{2, 0, 0, 130, 0, 0, 0, 0, 222, 2, 0, 1, 130, 3, 0, 6, 30, 128, 3, 99}, 12)...),
	append([]byte{29, 0, 2}, bytes.Repeat([]byte{2, 0, 0, 130, 0, 0, 0, 0, 222, 2, 0, 1, 130, 3, 0, 6, 3, 128, 3, 99}, 12)...),
	append([]byte{27, 0, 7}, bytes.Repeat([]byte{0, 0, 255, 0, 0, 255, 2, 0, 0, 130, 0, 0, 2, 3, 2, 0, 1, 130, 3, 0, 6, 50, 128, 3, 99}, 12)...),
	append([]byte{5, 2, 0, 0}, bytes.Repeat([]byte{0, 130, 0, 0, 0, 0, 222, 2, 0, 1, 130, 3, 0, 6, 30, 128, 3, 99, 5, 2, 0}, 12)...),
}

// Whatever a network does that only loses, doubles, delays and reorders, the octets arrive
// once and in order, and the connection ends in order: STORY R1, R2, R4.
func FuzzNetwork(f *testing.F) {
	for _, s := range networkSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, script, false)
		w.run()
		if w.ends[0].closed && w.ends[1].c.State() == tcp.Listen {
			return // closed before the SYN got through: nothing was to be delivered
		}
		w.heal()
		w.ended()
	})
}

// Whatever arrives, forged or not: no panic, no edge that is not in Figure 5, and the
// invariants hold after each call.
func FuzzHostile(f *testing.F) {
	for _, s := range networkSeeds {
		f.Add(s)
		f.Add(append(bytes.Clone(s), 7, 0, 0, 16, 1, 1, 9, 0, 135, 0, 0, 4, 1, 1, 0, 0))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newWorld(t, script, true)
		w.run()
		w.pass(20 * time.Minute)
	})
}

// The same two for ends that speak TCP Fast Open.
func FuzzFastOpen(f *testing.F) {
	for _, s := range networkSeeds {
		f.Add(false, s)
		f.Add(true, s)
		f.Add(false, append([]byte{32, 0, 0, 90, 2, 0, 0, 128, 3, 99, 128, 0, 90, 130, 0, 1}, s...))
		f.Add(true, append([]byte{32, 0, 0, 90, 2, 2, 0, 128, 3, 99, 128, 0, 90, 130, 3, 0, 6, 255, 2, 0, 0}, s...))
	}
	f.Fuzz(func(t *testing.T, forge bool, script []byte) {
		newWorld(t, script, forge).playFastOpen()
	})
}

func (w *world) playFastOpen() {
	w.fast = true
	w.run()
	switch {
	case w.forge:
		w.pass(20 * time.Minute)
	case w.ends[0].closed && w.ends[1].c.State() == tcp.Listen: // closed before the SYN got through
	default:
		w.heal()
		w.ended()
	}
}

// Many scripts by dice, and what they reach.
func TestFastOpenScripts(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 413))
	taken, fallback, acked := 0, 0, 0
	for i := range 1500 {
		script := make([]byte, 20+random.IntN(300))
		for k := range script {
			script[k] = byte(random.Uint32())
		}
		script[2] &^= byte(i & 1) // every second opens passively
		w := newWorld(t, script, i%3 == 0)
		w.playFastOpen()
		did := w.ends[1].c.FastOpen()
		if did.Received > 0 {
			taken++
		}
		if did.Fallback {
			fallback++
		}
		if w.ends[0].c.FastOpen().Acked > 0 {
			acked++
		}
	}
	if taken < 100 || fallback < 50 || acked < 100 {
		t.Errorf("%d SYNs had their text taken, %d of them had their SYN,ACK sent again, %d were acknowledged with it", taken, fallback, acked)
	}
}
