package tcp

// The timers of RFC 9293: retransmission and zero-window probes (3.8.1, 3.8.6.1), delayed
// acknowledgment (3.8.6.3), keep-alive (3.8.4), user timeout (3.8.3), 2 MSL (3.6.1). A
// timer is the instant it runs out, 0 when it is off.

import (
	"time"

	"github.com/vitro-net/vitro/wire"
)

type timerVars struct {
	retransmit  Time // retransmission, zero-window probe or override
	delayedAck  Time
	wait        Time          // 2 MSL, or the end of FIN-WAIT-2 without a reader
	progress    Time          // since when what is queued has waited for an ACK
	userTimeout time.Duration // R2
	userSet     bool          // the user has set R2: it counts for the SYN too
	probes      uint8         // zero-window probes sent
	tellTimeout bool          // the user timeout option is to be sent
	peerTimeout uint16        // and what the peer's has said, 0: nothing
}

type keepAliveVars struct {
	on             bool
	sent           uint8 // probes without an answer
	count          uint8
	idle, interval time.Duration
	last           Time // when the peer was last heard
	at             Time // when to look next
}

const (
	overrideMin = 100 * time.Millisecond // section 3.8.6.2.1: "in the range 0.1 - 1.0 seconds"
	overrideMax = time.Second
)

// Deadline returns when Timeout must be called next, or Never.
func (c *Conn) Deadline() Time {
	d := Never
	if b := c.board; b != nil {
		for _, t := range [...]Time{b.rack.timer, b.probe.timer} {
			if t != 0 && t < d {
				d = t
			}
		}
	}
	if p := c.cc.pacer; p != nil && p.held {
		d = min(d, p.next)
	}
	for _, t := range [...]Time{c.timer.retransmit, c.timer.delayedAck, c.timer.wait, c.keep.at, c.userDeadline()} {
		if t != 0 && t < d {
			d = t
		}
	}
	return d
}

func (c *Conn) timedOut(now Time, rule Rule) {
	if t := c.cfg.Trace; t != nil && t.Timeout != nil {
		t.Timeout(c, now, rule)
	}
}

func (c *Conn) stopTimers() {
	if b := c.board; b != nil {
		b.rack.timer, b.probe.timer = 0, 0
	}
	if p := c.cc.pacer; p != nil {
		p.held = false
	}
	c.timer.retransmit, c.timer.delayedAck, c.timer.wait, c.timer.progress = 0, 0, 0, 0
	c.keep.on, c.keep.at = false, 0
}

// User timeout.

// startProgress begins the user timeout when something is queued on an idle connection.
func (c *Conn) startProgress(now Time) {
	if !c.outstanding() && !c.somethingToSend() {
		c.timer.progress = now
	}
}

// userDeadline is when R2 is reached (MUST-20), 0 for never.
func (c *Conn) userDeadline() Time {
	if c.timer.progress == 0 || !c.outstanding() && !c.somethingToSend() {
		return 0
	}
	limit := c.timer.userTimeout
	if !c.snd.synAcked && !c.timer.userSet {
		limit = c.cfg.SynTimeout // MUST-22, MUST-23
	}
	if limit < 0 {
		return 0
	}
	return c.timer.progress.Add(limit)
}

func (c *Conn) userTimeoutDue(now Time) bool {
	d := c.userDeadline()
	return d != 0 && d <= now
}

// Retransmission.

// restartRetransmission is RFC 6298 sections 5.2 and 5.3, after an ACK of new data. In
// recovery without SACK only the first partial ACK restarts it (RFC 6582 section 3.2).
func (c *Conn) restartRetransmission(now Time) {
	switch {
	case !c.outstanding():
		c.timer.retransmit = 0
	case c.cc.phase == PhaseRecovery && c.cc.partial:
	default:
		c.timer.retransmit = now.Add(c.patience())
	}
	c.cc.partial = c.cc.phase == PhaseRecovery && !c.opt.sack
}

// startRetransmission is RFC 6298 section 5.1: "if the timer is not running, start it".
func (c *Conn) startRetransmission(now Time) {
	if c.timer.retransmit == 0 {
		c.timer.retransmit = now.Add(c.timeout())
	}
}

// lossTimeouts are the reordering timer, PTO and RTO. RFC 8985 section 8: a loss probe goes before
// the timeout.
func (c *Conn) lossTimeouts(now Time) {
	c.checkLimited()
	c.reorderingTimeout(now)
	c.probeTimeout(now)
	c.retransmissionTimeout(now)
}

// retransmissionTimeout: what ran out depends on what the timer waited for.
func (c *Conn) retransmissionTimeout(now Time) {
	if c.timer.retransmit == 0 || now < c.timer.retransmit {
		return
	}
	c.timer.retransmit = 0
	switch {
	case !c.snd.synAcked:
		c.rto.synLost = true
		c.sentAgain(c.iss)
		c.countRetransmission()
		rule := c.fastOpenTimedOut()
		c.timedOut(now, rule)
		c.retransmitting(now, c.iss, 1, rule)
		c.oweSYN(now)
	case c.snd.wnd == 0:
		c.timedOut(now, RuleZeroWindowProbe)
		c.reply.owed |= owedProbe
		c.timer.probes += min(1, 254-min(c.timer.probes, 254))
		c.timer.retransmit = now.Add(c.patience())
	case !c.outstanding():
		c.timedOut(now, RuleOverride)
		c.reply.owed |= owedOverride
	default:
		// RFC 6298 section 5.4 to 5.6: the earliest segment, twice the RTO, start again.
		c.countRetransmission()
		c.timedOut(now, RuleRetransmitTimeout)
		c.congestionTimeout(now, RuleRetransmitTimeout)
		c.timer.retransmit = now.Add(c.timeout())
	}
}

// countRetransmission doubles the RTO (section 5.5), and at R1 tells the user (SHLD-9).
func (c *Conn) countRetransmission() {
	c.rto.backoff += min(1, 32-min(c.rto.backoff, 32))
	c.rto.count += min(1, 255-c.rto.count)
	if int(c.rto.count) == c.cfg.R1 { // SHLD-10
		c.soft = SoftError{Reason: ExcessiveRetransmissions, Seq: c.snd.una}
		c.signal |= SignalSoftError
	}
}

// patience is how long to wait for an ACK, or between two probes of a closed window, whether
// the peer takes the octet of a probe or not (SHLD-30).
func (c *Conn) patience() time.Duration {
	if c.snd.wnd == 0 && c.timer.probes > 0 {
		return c.backedOff(c.timer.probes)
	}
	return c.timeout()
}

// waitToSend runs the timer when something is to be sent and nothing lets it: the window is
// closed (MUST-36) or so small that section 3.8.6.2.1 holds the text back.
func (c *Conn) waitToSend(now Time) {
	if c.timer.retransmit != 0 || !c.outstanding() && !c.somethingToSend() {
		return
	}
	d := c.patience()
	if c.snd.synAcked && c.snd.wnd > 0 && !c.outstanding() {
		d = min(max(d, overrideMin), overrideMax)
	}
	c.timer.retransmit = now.Add(d)
}

// startPersist begins to wait for a window that has closed, or shrunk to nothing (MUST-35):
// "when a zero window has existed for the retransmission timeout period" comes the first
// probe (SHLD-29).
func (c *Conn) startPersist(now Time) {
	c.timer.probes = 0
	c.timer.retransmit = 0
	c.rto.timing = false
	c.waitToSend(now)
}

// stopPersist: the window has opened. Once it was closed for so long that a probe has gone, what
// was sent into it is deemed lost; it is no sign of congestion. Before that the timer is left to
// tell: a peer could otherwise draw all that is in flight again by closing and opening its window.
func (c *Conn) stopPersist(now Time) {
	probed := c.timer.probes > 0
	c.timer.probes = 0
	c.timer.retransmit = 0
	c.reply.owed &^= owedProbe
	switch {
	case !c.outstanding() || !c.snd.synAcked:
	case probed:
		c.loseAll(now, RuleWindowOpened)
		c.sentAgain(c.snd.una)
	default:
		c.startRetransmission(now)
	}
}

// Delayed acknowledgment.

func (c *Conn) delayedAckTimeout(now Time) {
	if c.timer.delayedAck != 0 && c.timer.delayedAck <= now {
		c.timer.delayedAck = 0
		c.oweAck()
	}
}

// 2 MSL.

// startTimeWait: "start the time-wait timer, turn off the other timers" (MUST-13).
func (c *Conn) startTimeWait(now Time) {
	c.stopTimers()
	c.timer.wait = now.Add(2 * c.cfg.MSL)
	c.signal |= SignalTimeWait
}

// startFinWait2Timer bounds FIN-WAIT-2 when nobody will read what the peer may yet send.
func (c *Conn) startFinWait2Timer(now Time) {
	if c.rcv.shut == Gone && c.finAcked() && !c.rcv.finSeen {
		c.timer.wait = now.Add(c.cfg.FinWait2Timeout)
	}
}

func (c *Conn) timeWaitDue(now Time) bool {
	return c.timer.wait != 0 && c.timer.wait <= now
}

// Keep-alive, RFC 9293 section 3.8.4 (MAY-5).

// SetKeepAlive switches keep-alives on or off (MUST-24; off at first, MUST-25). A probe goes
// when nothing has been heard for idle, then every interval; after count probes without an
// answer the connection ends with ErrUserTimeout (MUST-29), with Config.UserTimeoutOption not
// before its user timeout. 0 restores a default: 2 hours (MUST-27, MUST-28), 75 s, 9.
func (c *Conn) SetKeepAlive(now Time, on bool, idle, interval time.Duration, count int) {
	orDefault(&idle, DefaultKeepAliveIdle)
	orDefault(&interval, DefaultKeepAliveInterval)
	orDefault(&count, DefaultKeepAliveCount)
	k := &c.keep
	k.on, k.idle, k.interval, k.count = on, idle, interval, uint8(min(max(count, 1), 255))
	k.sent, k.at = 0, 0
	if c.rcv.finSeen && c.finAcked() {
		k.on = false // TIME-WAIT ends by its own timer (MUST-13)
		return
	}
	if on && c.snd.synAcked {
		k.at = max(k.last.Add(idle), now)
	}
}

// startKeepAlive: the handshake is done.
func (c *Conn) startKeepAlive(now Time) {
	c.keep.last = now
	if c.keep.on {
		c.keep.at = now.Add(c.keep.idle)
	}
}

// heard is called for each acceptable segment.
func (c *Conn) heard(now Time, seg *wire.Segment) {
	c.rxTC = seg.TC
	c.hearECN(seg)
	c.hearUserTimeout(seg)
	c.keep.last = now
	c.keep.sent = 0
}

// keepAliveTimeout sends a probe if the connection has been idle: "only be sent when no
// sent data is outstanding, and no data or acknowledgment packets have been received for
// the connection within an interval" (MUST-26).
func (c *Conn) keepAliveTimeout(now Time) {
	k := &c.keep
	if k.at == 0 || now < k.at {
		return
	}
	if due := k.last.Add(k.idle); due > now {
		k.at = due
		return
	}
	if c.outstanding() || c.somethingToSend() {
		k.at = now.Add(k.interval)
		return
	}
	c.timedOut(now, RuleKeepAlive)
	k.sent += min(1, 255-k.sent)
	c.reply.owed |= owedKeepAlive
	k.at = now.Add(k.interval)
}

func (c *Conn) keepAliveDead(now Time) bool {
	k := &c.keep
	return k.at != 0 && k.at <= now && k.sent >= k.count && !c.outstanding() && !c.somethingToSend() && !c.spared(now)
}
