package tcp

// Connections that lived as less than a Conn for a while: as a SYN cookie, nothing at all
// (RFC 4987 section 3.6), and as a small record in TIME-WAIT (RFC 9293 section 3.6.1).

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// AcceptCookie makes a connection in LISTEN what it would be had it received syn and sent a
// SYN,ACK with sequence number iss: SYN-RECEIVED. It is for a stack that has answered syn
// by a cookie and kept nothing; the ACK that brought the cookie back is to be given to
// Arrive next. In other states it does nothing.
func (c *Conn) AcceptCookie(now Time, syn *wire.Segment, iss seq.Num) {
	if c.state != Listen {
		return
	}
	c.opened = Passive
	c.receiveSYN(now, syn)
	c.startSequence(iss)
	c.timer.progress = now
	c.rto.reset()
	c.restore(now, SynReceived, RuleCookie)
}

// TimeWaitRecord is what TIME-WAIT needs to know: enough to acknowledge a repeated FIN and
// to judge a SYN that would reopen the connection (RFC 6191). It has no pointers.
type TimeWaitRecord struct {
	Flow           wire.Flow
	SndNxt, RcvNxt seq.Num
	RcvWnd         uint32
	TSRecent       uint32
	throttled      uint32 // when an ACK was last throttled, in ms; 0: never
	Until          Time   // the end of 2 MSL
	Timestamps     bool
	rcvShift       uint8
	tc, hops       uint8
}

// TimeWait returns the record of a connection in TIME-WAIT, and false in other states.
func (c *Conn) TimeWait() (r TimeWaitRecord, ok bool) {
	if c.state != TimeWait {
		return r, false
	}
	r = TimeWaitRecord{
		Flow: c.flow, SndNxt: c.snd.nxt, RcvNxt: c.rcv.nxt, RcvWnd: c.rcv.wnd,
		TSRecent: c.opt.tsRecent, Until: c.timer.wait, Timestamps: c.opt.timestamps,
		rcvShift: c.rcv.shift, tc: c.tc, hops: c.hops,
	}
	if c.reply.lastThrott != 0 {
		r.throttled = max(uint32(c.reply.lastThrott/Time(time.Millisecond)), 1)
	}
	return r, true
}

// untold is a Config without a Trace, in force while InitTimeWait sets the state. It is
// never written.
var untold = Config{ready: true}

// InitTimeWait makes *c the connection of the record, in TIME-WAIT as it was. It needs no
// Release. Trace is not told: nothing has happened to the connection.
func (c *Conn) InitTimeWait(now Time, cfg *Config, r *TimeWaitRecord, mtu int) {
	c.Init(cfg, r.Flow, mtu)
	c.iss, c.irs = r.SndNxt-1, r.RcvNxt-1
	c.snd.una, c.snd.nxt, c.snd.up = r.SndNxt, r.SndNxt, r.SndNxt
	c.snd.fin = r.SndNxt - 1
	c.snd.synAcked, c.snd.finQueued, c.snd.finSent = true, true, true
	c.snd.mss = c.defaultMSS()
	c.rcv.nxt, c.rcv.wnd, c.rcv.shift = r.RcvNxt, r.RcvWnd, r.rcvShift
	c.rcv.up, c.rcv.lastAck, c.rcv.fin = r.RcvNxt, r.RcvNxt, r.RcvNxt-1
	c.rcv.finHeld, c.rcv.finSeen = true, true
	c.opt.timestamps = r.Timestamps
	c.beginTimestamps(now, r.TSRecent)
	c.opt.tsOffset = cfg.timestampOffset(r.Flow)
	c.tc, c.hops = r.tc, r.hops
	c.timer.wait = r.Until
	c.rto.reset()
	if r.throttled != 0 {
		age := uint32(now/Time(time.Millisecond)) - r.throttled
		c.reply.lastThrott = max(now-Time(age)*Time(time.Millisecond), 1)
	}
	c.cfg = &untold
	c.restore(now, TimeWait, RuleTimeWaitRecord)
	c.cfg = cfg
}
