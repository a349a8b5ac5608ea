package tcp

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// Defaults of Config.
const (
	DefaultMaxReceiveBuffer  = 16 << 20
	DefaultMaxSendBuffer     = 16 << 20
	DefaultMaxBuffers        = 1 << 30
	DefaultMSL               = 30 * time.Second
	DefaultDelayedAck        = 40 * time.Millisecond
	DefaultMinRTO            = 200 * time.Millisecond
	DefaultMaxRTO            = 60 * time.Second
	DefaultUserTimeout       = 5 * time.Minute
	DefaultSynTimeout        = 3 * time.Minute
	DefaultKeepAliveIdle     = 2 * time.Hour
	DefaultKeepAliveInterval = 75 * time.Second
	DefaultKeepAliveCount    = 9
	DefaultFinWait2Timeout   = 60 * time.Second
	DefaultMinSendMSS        = 48
	DefaultR1                = 3
)

// Limits that RFC texts set.
const (
	maxDelayedAck  = 500 * time.Millisecond // MUST-40: "the delay MUST be less than 0.5 seconds"
	initialRTO     = time.Second            // RFC 6298 section 2.1
	maxWindowShift = 14                     // RFC 7323 section 2.3
	timestampTick  = time.Millisecond       // RFC 7323 section 5.4: 1 ms to 1 s
	maxReceive     = 1 << 30                // RFC 7323 section 2.3: the largest window
)

// Config is what many connections share. The zero value works: each zero field means
// its default, which New fills in. Connections that share a Config share its buffers
// too, so they are called under one lock; do not change a Config that is in use.
type Config struct {
	// ReceiveBuffer, when not 0, is the most a connection holds of what has arrived and not been
	// read, in octets: at least 4 KiB, at most 1 GiB (RFC 7323 section 2.3). Default 0: it begins
	// with 128 KiB and grows to three times what the user reads in a round trip.
	ReceiveBuffer int
	// SendBuffer, when not 0, is the most a connection holds of what has been sent by the user
	// and not been acknowledged, in octets: at least 4 KiB, at most 1 GiB. Default 0: what is
	// outstanding, and beyond it as much as the congestion window, or the peer's, at least 64 KiB.
	SendBuffer int
	// MaxReceiveBuffer and MaxSendBuffer are up to where buffers grow whose size is not said, in
	// octets. The window scale follows from the first (RFC 7323 section 2.1). Default 16 MiB each,
	// at least 4 KiB, at most 1 GiB.
	MaxReceiveBuffer, MaxSendBuffer int

	// MaxBuffers bounds the octets of memory in the buffers of all connections together. At the
	// bound a buffer grows no more: Send takes less, the window offered is smaller, text that
	// has come all the same is dropped, and its sender sends it again. SignalNoMemory says
	// so. Each direction of a connection has 2048 octets in any case, so that all move on,
	// however slowly. Default 1 GiB.
	MaxBuffers int

	// MSL is the maximum segment lifetime; TIME-WAIT lasts twice as long (MUST-13).
	// Default 30 s: RFC 9293 section 3.4.2 says 2 minutes and calls it "an engineering
	// choice"; 30 s is what deployed hosts use.
	MSL time.Duration
	// DelayedAck is how long an acknowledgment waits for company (RFC 9293 section
	// 3.8.6.3). Default 40 ms, less than 500 ms (MUST-40); negative: never.
	DelayedAck time.Duration
	// MinRTO is the least retransmission timeout, and by how much it exceeds the smoothed
	// round trip at least (G of RFC 6298 section 2). Default 200 ms, as Linux; RFC 6298
	// section 2.4 says 1 s SHOULD be it, and that research may find a smaller one.
	MinRTO time.Duration
	// MaxRTO is the largest timeout after backoff. Default 60 s, the least that RFC 6298
	// section 2.5 allows.
	MaxRTO time.Duration
	// UserTimeout is R2 of RFC 9293 section 3.8.3: a connection whose data stays without
	// an acknowledgment that long is aborted. Default 5 minutes, the "present global
	// default" of section 3.9.1.1, and more than 100 s (SHLD-11); negative: never.
	// Conn.SetUserTimeout overrides it.
	UserTimeout time.Duration
	// UserTimeoutOption has new connections tell the peer their user timeout, and adopt the longer
	// of both where the user has set none for the connection: at least 100 s and twice MaxRTO, at
	// most an hour or what is longer here (RFC 5482). Default: no.
	UserTimeoutOption bool
	// SynTimeout is R2 for a SYN. Default 3 minutes (MUST-23).
	SynTimeout time.Duration
	// R1 is after how many retransmissions of one segment the user is told (SHLD-9,
	// SHLD-10). Default 3.
	R1 int
	// FinWait2Timeout is how long a connection stays in FIN-WAIT-2 when nobody can read
	// from it any more (the user called CloseReceive with Gone). Default 60 s.
	FinWait2Timeout time.Duration
	// MinSendMSS is the least SendMSS a peer can make us use, in octets. Default 48:
	// less would let a peer turn one octet of text into one packet (CVE-2019-11479).
	MinSendMSS int

	// Congestion makes the congestion control of a new connection: NewCubic (RFC 9438), NewReno
	// (RFC 5681), NewBBR (draft-ietf-ccwg-bbr, experimental) or the user's. Default, and where it
	// returns nil, NewCubic; Conn.SetCongestion sets another for one.
	Congestion func() Congestion

	// RestartAfterIdle has a connection that has not sent for longer than the RTO begin again with
	// the initial window (RFC 5681 section 4.1). Default: what has been in use is kept for five
	// minutes and then halved, for each five minutes (RFC 7661), and paced as long as it is unused.
	RestartAfterIdle bool

	// Pacing spreads what cwnd lets go over the round trip, so that no burst fills a short queue.
	// Default: with a congestion control that asks for it (Paced), as BBR's. It costs timers.
	Pacing bool

	// ECN says whether new connections use explicit congestion notification (RFC 3168, RFC
	// 9768). Default ECNAccept: when the peer asks, and of the kind for which it asks.
	ECN ECN

	// MTUProbing says when new connections search for the path MTU by probes (RFC 4821). Default
	// MTUProbeBlackHole: once packets of the link's MTU vanish and smaller ones pass.
	MTUProbing MTUProbing

	// KeepAliveOctet gives each keep-alive probe one octet of garbage, for peers that answer
	// nothing less (RFC 9293 section 3.8.4, MAY-6). Default: none (SHLD-12).
	KeepAliveOctet bool
	// NoDelay switches the Nagle algorithm (RFC 9293 section 3.7.4) off in new
	// connections; Conn.SetNoDelay does so in one (MUST-17).
	NoDelay bool
	// NoTimestamps, NoSACK and NoWindowScale keep new connections from offering and
	// accepting the options of RFC 7323 and RFC 2018.
	NoTimestamps, NoSACK, NoWindowScale bool
	// NoSimultaneousOpen drops a SYN that crosses ours (RFC 9293 section 3.5, MUST-10): whoever
	// guesses ports could begin a split handshake with it. Default: it is answered.
	NoSimultaneousOpen bool

	// Secret keys the initial sequence numbers (RFC 6528) and timestamp offsets. Whoever
	// owns the Config fills it with random octets; the machine has no randomness.
	Secret [16]byte
	// ISN, when set, chooses initial sequence numbers instead of RFC 6528: for tests and
	// the demonstration. Anybody who can guess the numbers can forge segments.
	ISN func(now Time, flow wire.Flow) seq.Num

	// Trace, when set, is told what the machine does and why.
	Trace *Trace

	ready bool
	pool  pool
}

// Observed is a connection as a Trace sees it.
type Observed interface {
	Flow() wire.Flow
	State() State
	Status() Status
}

// Trace is a set of functions, each called when it is set, at the instant of the event and
// under the connection's lock: they must not wait, nor call what owns the connection, and must
// not keep the segment. Connections that share a Config share its Trace. The path of in-order
// data and its acknowledgment calls none of them.
type Trace struct {
	// Become is told of each change of state.
	Become func(c Observed, now Time, from, to State, rule Rule)
	// Drop is told of each segment that arrived and was not used.
	Drop func(c Observed, now Time, seg *wire.Segment, rule Rule)
	// Retransmit is told when octets from first on, n of them, are to be sent again.
	Retransmit func(c Observed, now Time, first seq.Num, n uint32, rule Rule)
	// PathMTU is told of each step of a search for the path MTU, and when a Packet Too Big message
	// has lowered it: mtu is the size of the probe, or what is sent from now on, in octets.
	PathMTU func(c Observed, now Time, mtu int, rule Rule)
	// Timeout is told when a timer has run out.
	Timeout func(c Observed, now Time, rule Rule)
}

func orDefault[T int | time.Duration](p *T, def T) {
	if *p == 0 {
		*p = def
	}
}

// setDefaults fills what is zero and bounds what has a limit.
func (cfg *Config) setDefaults() {
	if cfg.ready {
		return
	}
	cfg.ready = true
	orDefault(&cfg.MaxReceiveBuffer, DefaultMaxReceiveBuffer)
	orDefault(&cfg.MaxSendBuffer, DefaultMaxSendBuffer)
	orDefault(&cfg.MaxBuffers, DefaultMaxBuffers)
	cfg.pool.most = cfg.MaxBuffers
	orDefault(&cfg.MSL, DefaultMSL)
	orDefault(&cfg.DelayedAck, DefaultDelayedAck)
	orDefault(&cfg.MinRTO, DefaultMinRTO)
	orDefault(&cfg.MaxRTO, DefaultMaxRTO)
	orDefault(&cfg.UserTimeout, DefaultUserTimeout)
	orDefault(&cfg.SynTimeout, DefaultSynTimeout)
	orDefault(&cfg.R1, DefaultR1)
	orDefault(&cfg.FinWait2Timeout, DefaultFinWait2Timeout)
	orDefault(&cfg.MinSendMSS, DefaultMinSendMSS)
	if cfg.Congestion == nil {
		cfg.Congestion = NewCubic
	}
	for _, p := range []*int{&cfg.ReceiveBuffer, &cfg.SendBuffer, &cfg.MaxReceiveBuffer, &cfg.MaxSendBuffer} {
		if *p != 0 {
			*p = min(max(*p, minBuffer), maxReceive)
		}
	}
	cfg.DelayedAck = min(cfg.DelayedAck, maxDelayedAck-time.Millisecond) // MUST-40
	cfg.MaxRTO = max(cfg.MaxRTO, cfg.MinRTO)
}
