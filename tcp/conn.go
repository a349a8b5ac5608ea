package tcp

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// OpenMode is the active/passive flag of OPEN.
type OpenMode uint8

// The modes of OPEN.
const (
	Passive OpenMode = iota
	Active
)

// Conn is one connection: the transmission control block of RFC 9293 section 3.3.1 and
// the machine of section 3.10. It lives once: from OPEN until it is CLOSED.
type Conn struct {
	cfg  *Config
	flow wire.Flow

	iss, irs seq.Num
	snd      sendVars
	rcv      receiveVars
	opt      optionVars
	board    *board     // nil when nothing is outstanding
	search   *mtuSearch // for the path MTU; nil when there is nothing to search for
	rack     rackVars
	ecn      ecnVars
	auth     *auth // nil without TCP-AO
	count    counters
	rto      rtoVars
	cc       congestionVars
	timer    timerVars
	keep     keepAliveVars
	reply    replyVars
	fast     *fastOpen // RFC 7413, nil when not in use

	state   State
	opened  OpenMode // how SYN-RECEIVED was reached, MUST-11
	lived   bool     // it has left CLOSED, and does so once
	noDelay bool
	err     Error // why the connection is CLOSED, or 0 when it ended in order
	signal  Signal
	soft    SoftError
	tc      uint8  // DSCP and ECN field of what is sent, MUST-48
	hops    uint8  // hop limit of what is sent, 0: the stack's, MUST-49
	rxTC    uint8  // as last received, MAY-9
	mtu     uint16 // of the link
	pathMTU uint16 // learned, 0: the link's

	superMax uint32
}

// sendVars is the send sequence space, RFC 9293 section 3.3.1, Table 2.
type sendVars struct {
	una, nxt seq.Num // SND.UNA, SND.NXT
	wnd      uint32  // SND.WND, scaled; REC-1
	maxWnd   uint32  // MAX.SND.WND of section 3.10.7.4 and Max(SND.WND) of 3.8.6.2.1
	wl1, wl2 seq.Num // SND.WL1, SND.WL2
	up       seq.Num // SND.UP: the octet after the urgent data
	fin      seq.Num // the sequence number of our FIN, once finQueued
	mss      uint32  // SendMSS: what the peer can receive
	shift    uint8   // Snd.Wind.Shift of RFC 7323
	capacity uint32  // of queue; 0: it follows cwnd (tuning.go)

	synAcked  bool // our SYN is acknowledged
	finQueued bool // the user has closed: a FIN follows the queue
	finSent   bool
	urgent    bool

	queue ring // what has been sent and not acknowledged, and what has not been sent
}

// receiveVars is the receive sequence space, Table 3.
type receiveVars struct {
	nxt      seq.Num // RCV.NXT
	wnd      uint32  // RCV.WND: the right edge is the highest ever offered
	up       seq.Num // RCV.UP
	fin      seq.Num // the sequence number of the peer's FIN, when finHeld
	lastAck  seq.Num // Last.ACK.sent of RFC 7323
	pending  uint32  // octets that arrived in order since an ACK was sent
	segMax   uint32  // the largest text that has come in one segment, RMSS in use
	capacity uint32  // RCV.BUFF
	shift    uint8   // Rcv.Wind.Shift of RFC 7323

	synSeen bool // the peer's SYN has come: nxt and irs are known
	urgent  bool // in urgent mode
	finHeld bool // a FIN has arrived, perhaps out of order
	finSeen bool // the FIN has been processed
	fixed   bool // capacity is what the user has said: it is not tuned
	shut    ReceiveEnd

	queue ring           // what has arrived in order and has not been read
	held  []span         // what has arrived out of order
	twice wire.SACKBlock // what has come twice, and is to be reported
	turn  uint32         // of the last that did
	tuner *tuner         // nil: too little has come to measure
}

// replyVars are what the connection owes: the answers that Output will give.
type replyVars struct {
	lastThrott Time // when a throttled ACK was last owed
	rstSeq     seq.Num
	rstAck     seq.Num
	owed       owed
	rstWithAck bool
}

// owed is a set of segments that Output owes.
type owed uint8

const (
	owedSYN       owed = 1 << iota // SYN, or SYN,ACK
	owedACK                        // an acknowledgment now
	owedReset                      // the reset in replyVars
	owedProbe                      // one octet into a closed window
	owedKeepAlive                  // SEG.SEQ = SND.NXT-1
	owedTail                       // a tail loss probe
	owedOverride                   // the override timeout of 3.8.6.2.1: send, however small
)

// Signal says what happened that the user may want to know: the "signals" of RFC 9293
// section 3.10.
type Signal uint16

// The signals.
const (
	SignalEstablished Signal = 1 << iota // the connection is synchronized
	SignalReadable                       // Receive will return something: text, the end, or an error
	SignalWritable                       // Send will take something, or return an error
	SignalAcked                          // octets were acknowledged
	SignalPeerClosed                     // the peer's FIN has come: "connection closing"
	SignalUrgent                         // urgent data is announced or has advanced, MUST-32
	SignalSoftError                      // SoftError has changed: an ICMP message, or R1 reached
	SignalListen                         // a passive connection has returned to LISTEN
	SignalTimeWait                       // TIME-WAIT is entered
	SignalClosed                         // the connection is CLOSED
	SignalPathMTU                        // a search for the path MTU has news: FoundMTU
	SignalNoMemory                       // Config.MaxBuffers kept a buffer small: MemoryFreed is to be called
	SignalFastOpen                       // text of a SYN is delivered, RFC 7413: the user may have the connection now
)

// New returns a connection in CLOSED. flow names both sockets; a passive OPEN may leave
// the remote one zero, to be filled in by SetRemote when the SYN has come. mtu is the
// size in octets of the largest IP packet of the link.
func New(cfg *Config, flow wire.Flow, mtu int) *Conn {
	c := new(Conn)
	c.Init(cfg, flow, mtu)
	return c
}

// Init makes *c what New returns, for callers that keep connections in slabs.
func (c *Conn) Init(cfg *Config, flow wire.Flow, mtu int) {
	cfg.setDefaults()
	*c = Conn{cfg: cfg, flow: flow, noDelay: cfg.NoDelay, mtu: clampMTU(mtu)}
	c.initBuffers()
	c.keep.idle, c.keep.interval, c.keep.count = DefaultKeepAliveIdle, DefaultKeepAliveInterval, DefaultKeepAliveCount
	c.timer.userTimeout = cfg.UserTimeout
}

func clampMTU(mtu int) uint16 { return uint16(min(max(mtu, minMTU), 1<<16-1)) }

// SetRemote fills in the remote socket of a passive OPEN, RFC 9293 section 3.10.7.2
// third: "the unspecified fields should be filled in now". It is for the LISTEN state.
func (c *Conn) SetRemote(flow wire.Flow) { c.flow = flow }

// Flow returns both sockets.
func (c *Conn) Flow() wire.Flow { return c.flow }

// State returns the state.
func (c *Conn) State() State { return c.state }

// Opened says whether the connection was opened actively or passively (MUST-11).
func (c *Conn) Opened() OpenMode { return c.opened }

// Err returns why the connection is CLOSED, or nil while it is not, or when it ended in
// order.
func (c *Conn) Err() error {
	if c.err == 0 {
		return nil
	}
	return c.err
}

// TakeSignals returns what has happened since it was last called, and forgets it.
func (c *Conn) TakeSignals() Signal {
	s := c.signal
	c.signal = 0
	return s
}

// SetNoDelay switches the Nagle algorithm off or on (MUST-17). What it held back goes
// with the next call of Output.
func (c *Conn) SetNoDelay(on bool) { c.noDelay = on }

// SetUserTimeout sets R2 of RFC 9293 section 3.8.3 for this connection (MUST-21): how
// long what is sent may stay without an acknowledgment. 0 restores the default of the
// Config, a negative d means for ever.
func (c *Conn) SetUserTimeout(d time.Duration) {
	if d == 0 {
		d = c.cfg.UserTimeout
	}
	c.timer.userTimeout = d
	c.timer.userSet = true
	if c.cfg.UserTimeoutOption {
		c.timer.tellTimeout = true
		if c.snd.synAcked {
			c.oweAck()
		}
	}
}

// SetTrafficClass sets the DS field, and the ECN bits, of all that is sent from now on
// (MUST-48, SHLD-21). They reach the IP layer as they are (SHLD-22), and the machine itself
// does not change them (SHLD-23).
func (c *Conn) SetTrafficClass(tc uint8) { c.tc = tc }

// ReceivedTrafficClass returns the octet of the segment that arrived last (MAY-9).
func (c *Conn) ReceivedTrafficClass() uint8 { return c.rxTC }

// SetHopLimit sets the hop limit (time to live) of all that is sent from now on; 0 means
// the stack's default (MUST-49).
func (c *Conn) SetHopLimit(hops uint8) { c.hops = hops }

// become is the one place where a state changes. Only event.go calls it.
func (c *Conn) become(now Time, to State, rule Rule) {
	from := c.state
	c.state = to
	c.lived = true
	if t := c.cfg.Trace; t != nil && t.Become != nil {
		t.Become(c, now, from, to, rule)
	}
}

// drop records why a segment was not used.
func (c *Conn) drop(now Time, seg *wire.Segment, rule Rule) {
	if t := c.cfg.Trace; t != nil && t.Drop != nil {
		t.Drop(c, now, seg, rule)
	}
}

// flush gives up all that is queued: "all segment queues should be flushed".
func (c *Conn) flush() {
	c.snd.queue.release(&c.cfg.pool)
	c.rcv.queue.release(&c.cfg.pool)
	c.dropHeld()
	c.releaseBoard()
}

// forget makes a passive connection what it was in LISTEN.
func (c *Conn) forget() {
	c.flush()
	c.stopTimers()
	c.iss, c.irs, c.fast = 0, 0, nil
	c.snd, c.opt, c.rto, c.cc = sendVars{capacity: c.snd.capacity}, optionVars{}, rtoVars{}, congestionVars{}
	c.ecn = ecnVars{}
	c.auth.forget()
	c.reply.owed &= owedReset
	rcv := receiveVars{capacity: c.rcv.capacity, fixed: c.rcv.fixed, shut: c.rcv.shut}
	c.rcv = rcv
}

// Release gives back what the connection holds. It is the end of the Conn's use: the
// owner calls it when the connection is CLOSED and the user wants no more of it.
func (c *Conn) Release() { c.flush() }

// base returns the sequence number of the first octet of the send queue.
func (c *Conn) base() seq.Num {
	if !c.snd.synAcked {
		return c.iss + 1
	}
	return c.snd.una
}

// unsent returns how many octets of the send queue have never been sent.
func (c *Conn) unsent() uint32 {
	if c.snd.finSent {
		return 0
	}
	end, from := c.base().Add(c.snd.queue.n), seq.Max(c.snd.nxt, c.base())
	if end.Less(from) {
		return 0 // the queue has been flushed
	}
	return end.Sub(from)
}

// somethingToSend reports whether text or a FIN waits for its first transmission.
func (c *Conn) somethingToSend() bool {
	return c.snd.finQueued && !c.snd.finSent || c.unsent() > 0
}

// outstanding reports SND.UNA < SND.NXT: something is sent and not acknowledged.
func (c *Conn) outstanding() bool { return c.snd.una != c.snd.nxt }

// finAcked reports whether our FIN is acknowledged.
func (c *Conn) finAcked() bool { return c.snd.finSent && c.snd.fin.Less(c.snd.una) }
