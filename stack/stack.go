package stack

import (
	"math/rand/v2"
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Stack is one host's (or router's) TCP/IP. Its methods, and those of its Conns and
// Listeners, are called by one goroutine at a time.
type Stack struct {
	cfg    Config
	random *rand.Rand

	ifaces    []*netif
	routes    []route // most specific first
	own       map[wire.Addr]*netif
	broadcast []wire.Addr
	cabled    bool   // the loopback is a link: SetLoopback
	routing   uint32 // counts changes of routes: a Conn that has an older count asks again

	conns     map[wire.Flow]*Conn
	all       connList // every Conn that is not yet freed, oldest first
	listeners map[socket]*Listener
	ports     map[uint16]families // listeners by port
	wheel     wheel
	due       []*timer
	dirty     dirtyList

	waiting     waitTable
	halfOpen    int
	fast        fastCache
	fastKeys    fastKeys
	fastPending int
	reopened    int       // of halfOpen, in place of records in TIME-WAIT
	orphans     childList // by when they last made progress
	mem         memory
	frags       wire.Reassembler
	udp         udpTable
	pings       pings
	paths       paths
	resets      limiter
	errors      limiter
	echoes      limiter
	perturb     []uint16                // of RFC 6056 algorithm 4
	full        map[wire.Flow]*[]uint16 // destinations without a port: the ports given up since
	portKey     [16]byte
	cookieKey   [16]byte

	outbox     queue // answers and forwarded packets
	loop       queue // packets to the stack itself
	loop2      queue
	fragmented uint64

	stats Stats
	user  tcp.Trace // the owner's

	// Scratch of Arrive and Output, so that neither allocates.
	ip      wire.IP
	seg     wire.Segment
	scratch tcp.Conn
	quiet   tcp.Config // Config.TCP for a scratch connection that nobody is told of
	big     []byte
}

// New returns a stack without interfaces but the one to itself, 127.0.0.0/8 and ::1.
func New(cfg Config) *Stack {
	cfg.setDefaults()
	s := &Stack{
		cfg:       cfg,
		random:    rand.New(rand.NewPCG(cfg.Seed, tcp.SipHash(&cfg.Secret, []byte("seed")))),
		own:       make(map[wire.Addr]*netif),
		conns:     make(map[wire.Flow]*Conn),
		listeners: make(map[socket]*Listener),
		ports:     make(map[uint16]families),
	}
	s.quiet = cfg.TCP
	s.quiet.Trace = nil
	s.countRules()
	s.scratch.Init(&s.cfg.TCP, wire.Flow{}, wire.MaxPacket) // fills in its defaults
	s.waiting = newWaitTable()
	s.frags.MaxBytes = cfg.ReassemblyBytes
	s.udp.init(&s.cfg)
	s.portKey, s.cookieKey = cfg.subkey(purposePort), cfg.subkey(purposeCookie)
	s.resets = limiter{rate: cfg.ResetRate, random: s.random}
	s.errors = limiter{rate: cfg.ErrorRate, random: s.random}
	s.echoes = limiter{rate: cfg.EchoRate, random: s.random}
	s.addInterface(InterfaceConfig{MTU: wire.MaxPacket, ChecksumOffload: true, Prefixes: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"),
	}})
	return s
}

// Deadline returns when Timeout must be called next, or tcp.Never. It is exact: the
// earliest instant at which anything is due.
func (s *Stack) Deadline() tcp.Time {
	d := min(s.wheel.earliest(), s.waiting.deadline(), s.orphanDeadline())
	if t, ok := s.frags.Deadline(); ok {
		d = min(d, tcp.Time(t))
	}
	return d
}

// Timeout processes all timers that have run out at now. Calling it early does nothing.
// Output is to be called after it.
func (s *Stack) Timeout(now tcp.Time) {
	s.due = s.wheel.expire(now, s.due[:0])
	for i, t := range s.due {
		s.due[i] = nil
		if t.conn.inQueue == inHalfOpen && t.conn.listener.unanswered(now, t.conn) {
			continue
		}
		if t.conn.pendingOf != nil && s.pendingUnanswered(now, t.conn) {
			continue
		}
		t.conn.tcp.Timeout(now)
		s.touch(now, t.conn)
	}
	s.expireOrphans(now)
	s.expireTimeWait(now)
	s.expireFragments(now)
}
