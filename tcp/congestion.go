package tcp

// Congestion control on the connection's side: what it tells an algorithm, and what cwnd lets go.
// The algorithms are reno.go, cubic.go and bbr.go; recovery from losses is in recovery.go, pacing in pace.go.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
)

// Congestion is a congestion control (MUST-19, MAY-18): how cwnd grows, and by how much it falls.
// When and what is sent within it is the machine's: what a recovery lets go (PRR, RFC 9937), what
// follows a timeout, the restart after idleness, the undoing of what was spurious.
//
// A value belongs to one connection. Its methods are called under the connection's lock; they
// have no other clock than now, and must not call the connection.
type Congestion interface {
	// Name is short and lower case: "cubic".
	Name() string
	// Start is called once, before all others: when text may be sent, which is when the connection
	// is established, or by Fast Open before. Then w has the initial window of RFC 6928, one segment
	// where a SYN was lost, and an Ssthresh that nothing reaches. Or by SetCongestion: then w is
	// what the control before has left.
	Start(now Time, w Window)
	// Ack is called for each acknowledgment of something new outside of recovery, and in the
	// slow start that follows a timeout. It returns w with Cwnd and Ssthresh as they are to be;
	// cwnd is one segment at the least and 1 GiB at the most, ssthresh two segments.
	Ack(now Time, w Window, a Acknowledgment) Window
	// Loss is called once when losses begin a recovery, when the retransmission timer runs out
	// for a segment for the first time, or when the network has marked packets. It returns the
	// new ssthresh, which is two segments at the least; cwnd is set by the machine.
	Loss(now Time, w Window, l Loss) (ssthresh uint32)
	// Undo is called when the last Loss was spurious, which the control before may have been told
	// of. Cwnd and Ssthresh are again what they were before it, or more.
	Undo(now Time, w Window)
}

// Window is what a Congestion works on. All sizes are in octets.
type Window struct {
	Cwnd, Ssthresh uint32
	MSS            uint32        // Eff.snd.MSS (RFC 9293 section 3.7.1)
	SRTT           time.Duration // RFC 6298; 0: not measured yet
}

// SlowStart reports that cwnd is below ssthresh: RFC 5681 section 3.1.
func (w Window) SlowStart() bool { return w.Cwnd < w.Ssthresh }

// Acknowledgment is what one ACK has said.
type Acknowledgment struct {
	Acked        uint32        // octets that have left the network by it, reported ones too
	Limited      bool          // cwnd was in use: without that nothing is known of a larger one
	RTT          time.Duration // of what it acknowledges and was sent once; 0: unknown
	Una, Nxt     seq.Num       // SND.UNA after it, SND.NXT
	AfterTimeout bool          // in the slow start that follows a timeout
	Marked       uint32        // octets that have arrived as CE since the last Ack, where the feedback is accurate (RFC 9768)
}

// Loss is what a Congestion is told of one.
type Loss struct {
	Flight  uint32 // FlightSize of RFC 5681, no more than cwnd
	Timeout bool
	ECN     bool // nothing is lost: the network has marked packets (RFC 3168)
}

type congestionVars struct {
	cwnd, ssthresh uint32      // octets
	dupAcks        uint32      // without SACK: duplicate ACKs in a row
	recover        seq.Num     // SND.NXT when recovery or a timeout began
	lastSent       Time        // when text was last sent
	control        Congestion  // nil or unmade before the connection is established
	valid          *validation // nil: cwnd has not grown
	pacer          *pacer      // nil: not paced
	model          *model      // nil: control is no PathModel
	phase          Phase
	partial        bool // without SACK: a partial ACK has come in this recovery
	afterTimeout   bool // this slow start follows a retransmission timeout
}

// SetCongestion gives the connection another congestion control: before it is established, or
// later; cwnd and ssthresh stay what they are. nil is a new one as of Config.Congestion. A control
// serves one connection.
func (c *Conn) SetCongestion(now Time, control Congestion) {
	c.cc.control = control
	if c.cc.cwnd > 0 {
		c.startControl(now)
	}
}

// MakeCongestion has the connection make its congestion control by f, and not by Config.Congestion,
// when text may be sent: a connection that is never established has none. Where f returns nil it is
// the Config's all the same. It is for a connection that has none yet: later it does nothing.
func (c *Conn) MakeCongestion(f func() Congestion) {
	if c.cc.cwnd == 0 {
		c.cc.control = &unmade{make: f}
	}
}

// unmade stands for a control until it is made: a field of its own would make each connection larger.
// Nothing of it is called.
type unmade struct {
	Congestion
	make func() Congestion
}

// startControl begins with the control that has been set, or the Config's.
func (c *Conn) startControl(now Time) {
	if u, is := c.cc.control.(*unmade); is {
		c.cc.control = u.make()
	}
	if c.cc.control == nil {
		c.cc.control = c.cfg.Congestion()
	}
	if c.cc.control == nil {
		c.cc.control = NewCubic() // the user's function gives none
	}
	c.usePace(now)
	c.cc.control.Start(now, c.window())
}

// initialWindow is RFC 6928 section 2: min (10*MSS, max (2*MSS, 14600)).
func (c *Conn) initialWindow() uint32 {
	mss := c.mss()
	return min(10*mss, max(2*mss, 14600))
}

func (c *Conn) startCongestion(now Time) {
	if c.cc.cwnd > 0 {
		return // by the peer's SYN, RFC 7413
	}
	c.cc.cwnd = c.initialWindow()
	if c.rto.synLost {
		c.cc.cwnd = c.mss() // RFC 5681 section 3.1: the SYN or SYN,ACK was lost
	}
	c.cc.ssthresh = 1<<32 - 1
	c.startControl(now)
}

func (c *Conn) window() Window {
	return Window{Cwnd: c.cc.cwnd, Ssthresh: c.cc.ssthresh, MSS: c.mss(), SRTT: c.rto.srtt}
}

// flight is what is in the network: sent, not acknowledged, not reported, not deemed lost (RFC
// 9937 section 6.2, "inflight").
func (c *Conn) flight() uint32 {
	n := c.textOut()
	if b := c.board; b != nil {
		n -= b.sacked + b.lost
	}
	if !c.opt.sack && c.cc.phase == PhaseRecovery {
		n -= min(c.cc.dupAcks*c.mss(), n) // each stands for a segment that has arrived
	}
	return n
}

// congestionRoom is how much cwnd lets go now. The first two duplicate ACKs let one new segment
// go each: RFC 3042. With SACK they do by what they report.
func (c *Conn) congestionRoom() uint32 {
	cwnd := c.cc.cwnd
	if !c.opt.sack && c.cc.phase == PhaseOpen {
		cwnd += min(c.cc.dupAcks, dupThresh-1) * c.mss()
	}
	if f := c.flight(); f < cwnd {
		return cwnd - f
	}
	return 0
}

// grow tells the control that acked octets have left the network, of flight that were outstanding.
func (c *Conn) grow(now Time, acked, flight uint32) {
	if c.cc.model != nil {
		return
	}
	a := Acknowledgment{Acked: acked, RTT: c.board.rack.fresh, Una: c.snd.una, Nxt: c.snd.nxt, AfterTimeout: c.cc.afterTimeout, Marked: c.takeUntold()}
	w := c.window()
	if w.SlowStart() {
		a.Limited = flight >= w.Cwnd/2 // what was sent in the last round trip
	} else {
		c.cc.afterTimeout = false
		a.Limited = flight+w.MSS >= w.Cwnd
	}
	if v := c.cc.valid; v != nil && a.Limited {
		v.limited = true
	}
	w = c.cc.control.Ack(now, w, a)
	c.cc.cwnd, c.cc.ssthresh = min(max(w.Cwnd, w.MSS), maxReceive), max(w.Ssthresh, 2*w.MSS)
}

// fall tells the control of a loss. What is beyond cwnd was sent by limited transmit and "MUST NOT
// be included" (RFC 5681 section 3.2).
func (c *Conn) fall(now Time, l Loss) {
	w := c.window()
	l.Flight = min(c.unvalidatedLoss(now, l.Flight), w.Cwnd)
	c.ecn.cwr = true // "for any reason", RFC 3168 section 6.1.2
	c.cc.ssthresh = max(c.cc.control.Loss(now, w, l), 2*w.MSS)
}
