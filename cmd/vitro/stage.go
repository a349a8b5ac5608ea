package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The stage of the demonstration: two hosts on a virtual link, and what their users do.

var (
	clientAt = netip.MustParseAddrPort("10.0.0.1:49152")
	serverAt = netip.MustParseAddrPort("10.0.0.2:80")
	routerAt = netip.MustParseAddrPort("10.0.0.254:0")
)

// isnStep lies between the initial sequence numbers of two connections of one host, where
// they are not left to RFC 6528.
const isnStep = 10_000

// stageConfig is what the run depends on.
type stageConfig struct {
	seed  uint64
	isn   []seq.Num // of A and B; none: by RFC 6528
	delay time.Duration
	data  int // octets that are sent
	// What the network does to segments, counted from 1: they are lost, damaged, doubled, or
	// late by late times the delay.
	lose, damage, double, late []int
}

// stage is one run.
type stage struct {
	cfg  stageConfig
	w    *sim.World
	a, b *sim.Host
	rec  *ladder.Recorder

	link    *sim.Link // of A
	router  *sim.Host // between A and B, or nil
	atHand  ladder.ID // the segment that has reached the router, until it departs again
	atHandN int       // its number
	held    bool

	client, server *user
	fateToo        func(*sim.Packet) sim.Fate // what the scenario has the network do
	segments       int                        // that A and B have sent
	numbers        map[int]int                // of segments in the order of their departures, by the packet's ID
	ends           tcp.Time                   // when the first user closes or aborts, 0: never
	state          [2]tcp.State
	names          map[int]ladder.ID
}

// pause is how long a user waits before it does the next thing of its own accord: so long
// that what went before has settled.
func (s *stage) pause() time.Duration { return max(time.Second, 4*s.cfg.delay) }

// think is how long the server's user takes to close after the client's has: so long that
// the acknowledgment has arrived, and the FIN-WAIT-2 state can be seen.
func (s *stage) think() time.Duration { return max(3*s.cfg.delay, 30*time.Millisecond) }

func newStage(cfg stageConfig) *stage {
	s := &stage{
		cfg: cfg, w: sim.New(cfg.seed), rec: ladder.NewRecorder(tcp.Closed, tcp.Closed),
		names: map[int]ladder.ID{}, numbers: map[int]int{},
	}
	s.a, s.b = s.w.Host("A", s.hostConfig(0)), s.w.Host("B", s.hostConfig(1))
	s.rec.Peers = [2]string{"A, the client", "B, the server"}
	s.w.Watch(s.record)
	return s
}

// join joins A and B: by one link, or by two with a router between them. What the flags have
// the network do happens on the first.
func (s *stage) join(routed bool) error {
	port := func(h *sim.Host, at netip.AddrPort) sim.Port {
		return sim.Port{Host: h, Prefixes: []netip.Prefix{netip.PrefixFrom(at.Addr(), 24)}}
	}
	a, b := port(s.a, clientAt), port(s.b, serverAt)
	cfg := sim.LinkConfig{Delay: s.cfg.delay, Rule: s.fate}
	var err error
	if !routed {
		s.link, err = s.w.Link(cfg, a, b)
		return err
	}
	s.router = s.w.Host("R", stack.Config{Forward: true})
	one := func(at netip.AddrPort) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}
	}
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	a.Prefixes, a.Routes = one(clientAt), all
	b.Prefixes, b.Routes = one(serverAt), all
	cfg.Delay /= 2
	toA := sim.Port{Host: s.router, Prefixes: one(routerAt), Routes: one(clientAt)}
	if s.link, err = s.w.Link(cfg, a, toA); err != nil {
		return err
	}
	behind := sim.LinkConfig{Delay: s.cfg.delay - cfg.Delay, Rule: func(p *sim.Packet) sim.Fate {
		s.number(p)
		return sim.Fate{}
	}}
	_, err = s.w.Link(behind, sim.Port{Host: s.router, Routes: one(serverAt)}, b)
	return err
}

func (s *stage) hostConfig(host int) stack.Config {
	var cfg stack.Config
	if s.cfg.isn != nil {
		next := s.cfg.isn[host]
		cfg.TCP.ISN = func(tcp.Time, wire.Flow) seq.Num {
			isn := next
			next += isnStep
			return isn
		}
	}
	return cfg
}

// lateBy is how many delays longer a late segment is on its way: so many that an answer to
// the next is there before it.
const lateBy = 4

// number numbers a segment that departs; behind the router it keeps its number. What is none
// has 0.
func (s *stage) number(p *sim.Packet) int {
	switch {
	case !p.IsTCP:
		return 0
	case p.From == s.router:
		s.numbers[p.ID] = s.atHandN
	default:
		s.segments++
		s.numbers[p.ID] = s.segments
	}
	return s.numbers[p.ID]
}

// fate decides what becomes of a segment.
func (s *stage) fate(p *sim.Packet) sim.Fate {
	n := s.number(p)
	var f sim.Fate
	if s.fateToo != nil {
		f = s.fateToo(p)
	}
	f.Lost = f.Lost || slices.Contains(s.cfg.lose, n)
	f.Damaged = f.Damaged || slices.Contains(s.cfg.damage, n)
	if slices.Contains(s.cfg.double, n) {
		f.Copies++
	}
	if slices.Contains(s.cfg.late, n) {
		f.Late += lateBy * s.cfg.delay
	}
	return f
}

func (s *stage) peer(h *sim.Host) ladder.Peer {
	if h == s.a {
		return ladder.A
	}
	return ladder.B
}

// record hands an event to the recorder.
func (s *stage) record(e *sim.Event) {
	if e.Host == s.router {
		s.recordRouter(e)
		return
	}
	p := s.peer(e.Host)
	switch e.Kind {
	case sim.Call:
		if s.ends == 0 && (e.Text == "close" || e.Text == "abort") {
			s.ends = e.Time
		}
		s.rec.Call(e.Time, p, e.Text)
	case sim.Note:
		s.rec.Note(e.Time, p, e.Text)
	case sim.State:
		// A connection that comes by a listener begins in LISTEN, where its host is already.
		if s.state[p] != e.To {
			s.state[p] = e.To
			s.rec.State(e.Time, p, e.To, e.Rule)
		}
	case sim.Depart:
		if e.Packet.IsTCP {
			s.noteFate(e.Time, p, &e.Packet.Fate)
			s.names[e.Packet.ID] = s.rec.Depart(e.Time, p, &e.Packet.Segment)
		}
	case sim.Arrive:
		if e.Packet.IsTCP {
			id, sent := s.names[e.Packet.ID]
			if !sent {
				id = s.rec.Stray(p.Other(), &e.Packet.Segment)
			}
			s.rec.Arrive(e.Time, id)
		}
	case sim.Lost:
		if e.Packet.IsTCP {
			s.rec.Lost(e.Time, s.names[e.Packet.ID])
		}
	case sim.Drop:
		s.rec.Rule(e.Time, p, e.Rule)
		if e.Fault != 0 {
			s.rec.Note(e.Time, p, "dropped: "+e.Fault.Sentence())
		}
	case sim.Retransmit:
		s.rec.Rule(e.Time, p, e.Rule)
	case sim.Timeout:
		s.rec.Note(e.Time, p, timeoutText(e.Rule))
	case sim.PathMTU:
		s.rec.Rule(e.Time, p, e.Rule)
	case sim.Crash:
		s.rec.Note(e.Time, p, "crash")
		s.state[p] = tcp.Closed
		s.rec.State(e.Time, p, tcp.Closed, 0)
	}
}

// recordRouter keeps the name of a segment over the router: what departs from it is what has
// arrived, and what does not has come to its end there.
func (s *stage) recordRouter(e *sim.Event) {
	switch e.Kind {
	case sim.Arrive:
		if e.Packet.IsTCP {
			s.atHand, s.atHandN, s.held = s.names[e.Packet.ID], s.numbers[e.Packet.ID], true
		}
	case sim.Depart:
		if e.Packet.IsTCP {
			s.names[e.Packet.ID] = s.atHand
			s.noteFate(e.Time, s.peer(e.Packet.To).Other(), &e.Packet.Fate)
		} else if s.held {
			s.rec.Note(e.Time, s.peer(e.Packet.To).Other(), routerNote) // it sends an ICMP error instead
		}
		s.held = false
	case sim.Lost:
		if e.Packet.IsTCP {
			s.rec.Lost(e.Time, s.names[e.Packet.ID])
		}
	case sim.Call, sim.Note, sim.State, sim.Drop, sim.Retransmit, sim.Timeout, sim.PathMTU, sim.Crash:
	}
}

// routerDrops is what becomes of a segment that has outlived its hops, the only one for which
// the router of this stage sends an ICMP error: RFC 1812 section 5.3.1.
const (
	routerNote  = "dropped: no hops left"
	routerDrops = "the hop limit has run out: a router drops the packet and tells its sender"
	routerRule  = "RFC 1812 5.3.1"
)

// noteFate says what the network does to a segment of p; of one that is lost the ladder says
// so itself.
func (s *stage) noteFate(t tcp.Time, p ladder.Peer, f *sim.Fate) {
	if f.Lost {
		return
	}
	if f.Damaged {
		s.rec.Note(t, p, "damaged on its way")
	}
	if f.Copies > 0 {
		s.rec.Note(t, p, "doubled on its way")
	}
	if f.Late > 0 {
		s.rec.Note(t, p, fmt.Sprintf("late by %v", f.Late))
	}
}

// timeouts names the timers that run out most, as RFC 9293 section 3.10.8 does.
var timeouts = map[tcp.Rule]string{
	tcp.RuleRetransmitTimeout: "retransmission timeout",
	tcp.RuleTimeWaitTimeout:   "2 MSL",
	tcp.RuleUserTimeout:       "user timeout",
}

func timeoutText(rule tcp.Rule) string {
	if text, ok := timeouts[rule]; ok {
		return text
	}
	return rule.Sentence()
}

// must is for calls that cannot fail on this stage.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("vitro: on the demonstration's stage: %v", err))
	}
	return v
}

// user is who has one end of a connection: it reads all that arrives, and says how the
// connection ends when that is not in order. Each function may be nil, and is called once
// where it does not say more.
type user struct {
	s           *stage
	host        *sim.Host
	conn        *sim.Conn
	established func()
	peerClosed  func()
	softError   func() // every time

	got    int    // octets that have come
	unsent int    // octets that the send buffer has not taken yet
	acked  func() // all that was sent is acknowledged
}

func (s *stage) newUser(h *sim.Host, c *sim.Conn) *user {
	u := &user{s: s, host: h, conn: c}
	c.OnSignal(u.signal)
	return u
}

func (u *user) signal(sig tcp.Signal) {
	once := func(f *func()) {
		if g := *f; g != nil {
			*f = nil
			g()
		}
	}
	if sig&tcp.SignalEstablished != 0 {
		once(&u.established)
	}
	buf := make([]byte, 1<<16)
	for n := 1; n > 0; {
		n, _ = u.conn.Receive(buf) // the error is seen in the state
		u.got += n
	}
	u.push()
	if st := u.conn.Status(); u.unsent == 0 && st.Unsent == 0 && st.SndUna == st.SndNxt {
		once(&u.acked)
	}
	if sig&tcp.SignalPeerClosed != 0 {
		once(&u.peerClosed)
	}
	if sig&tcp.SignalSoftError != 0 {
		u.host.Note(softText(u.conn.Status().Soft.Reason))
		if u.softError != nil {
			u.softError()
		}
	}
	if err := u.conn.Err(); err != nil && !errors.Is(err, tcp.ErrAborted) && sig&tcp.SignalClosed != 0 {
		u.host.Note(err.Error())
	}
}

// softText names what the user is told of while the connection goes on.
func softText(r tcp.SoftReason) string {
	if r == tcp.ExcessiveRetransmissions {
		return r.String()
	}
	return "ICMP: " + r.String()
}

func (u *user) push() {
	for u.unsent > 0 {
		n, err := u.conn.Send(make([]byte, min(u.unsent, 1<<16)))
		if err != nil || n == 0 {
			return
		}
		u.unsent -= n
	}
}

// send sends n octets, and calls then when all are acknowledged and a pause has passed; with
// n = 0 at once.
func (u *user) send(n int, then func()) {
	if n == 0 {
		then()
		return
	}
	u.unsent, u.acked = n, func() { u.s.w.After(u.s.pause(), then) }
	u.push()
}

// close closes the connection, if it has not ended otherwise.
func (u *user) close() {
	if u.conn.State() != tcp.Closed {
		_ = u.conn.Close() // an error says that it is closed already
	}
}

// listen has B's user listen. With each connection it calls serve.
func (s *stage) listen(serve func(*user)) {
	l := must(s.b.Listen(serverAt, stack.ListenOptions{}))
	l.OnAccept(func(c *sim.Conn) {
		s.server = s.newUser(s.b, c)
		serve(s.server)
	})
}

// closeAfterPeer is what a server does: it closes a while after its peer has.
func (s *stage) closeAfterPeer(u *user) {
	u.peerClosed = func() { s.w.After(s.think(), u.close) }
}

// connect has A's user connect, and calls act when it is connected and a pause has passed.
func (s *stage) connect(act func(*user)) { s.connectWith(stack.ConnOptions{}, act) }

func (s *stage) connectWith(o stack.ConnOptions, act func(*user)) {
	s.client = s.newUser(s.a, must(s.a.Dial(clientAt, serverAt, o)))
	s.client.established = func() { s.w.After(s.pause(), func() { act(s.client) }) }
}

// sendAndClose is what a client does.
func (s *stage) sendAndClose(u *user) { u.send(s.cfg.data, u.close) }
