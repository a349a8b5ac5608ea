package tcp

// RFC 9293 section 3.10, Event Processing, in its order. This file decides and does not
// compute: what is arithmetic on queues, windows and timers is a call. Section 3.10.7.4
// is eight steps, one function each; a step returns whether the segment goes on to the next.

import (
	"github.com/vitro-net/vitro/wire"
)

// 3.10.1. OPEN Call.

// Open opens the connection: passively, to wait in LISTEN for a SYN, or actively, to send
// one. Errors: ErrUnspecified, ErrInvalidRemote, ErrExists, and ErrNotExist for a
// connection that has ended.
func (c *Conn) Open(now Time, mode OpenMode) error {
	switch c.state {
	case Closed:
		if c.lived {
			return ErrNotExist
		}
		if mode == Passive {
			c.opened = Passive
			c.become(now, Listen, RuleOpenPassive)
			return nil
		}
		return c.openActive(now, RuleOpenActive)
	case Listen:
		if mode == Passive {
			return ErrExists
		}
		return c.openActive(now, RuleOpenListen)
	case SynSent, SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:
		return ErrExists
	}
	return ErrNotExist
}

func (c *Conn) openActive(now Time, rule Rule) error {
	if err := checkRemote(c.flow); err != 0 {
		return err
	}
	c.opened = Active
	c.synchronize(now)
	c.become(now, SynSent, rule)
	return nil
}

// 3.10.2. SEND Call.

// Send queues p and returns how much of it there was room for; less than len(p) means the
// send buffer is full, and SignalWritable will say when it is not. Errors: ErrClosing,
// ErrNotExist, ErrUnspecified, or why the connection is CLOSED.
func (c *Conn) Send(now Time, p []byte) (int, error) {
	switch c.state {
	case Closed:
		return 0, c.whyClosed()
	case Listen:
		if err := c.openActive(now, RuleSendListen); err != nil {
			return 0, err
		}
		return c.queueText(now, p), nil
	case SynSent, SynReceived, Established, CloseWait:
		if c.snd.finQueued {
			return 0, ErrClosing
		}
		return c.queueText(now, p), nil
	case FinWait1, FinWait2, Closing, LastAck, TimeWait:
		return 0, ErrClosing
	}
	return 0, ErrNotExist
}

// SendUrgent is Send with the URGENT flag: what of p there was room for is urgent, and the
// urgent pointer points to the octet after it. New applications should not use it
// (SHLD-13).
func (c *Conn) SendUrgent(now Time, p []byte) (int, error) { // MUST-30
	n, err := c.Send(now, p)
	if n > 0 {
		c.markUrgent()
	}
	return n, err
}

// 3.10.3. RECEIVE Call.

// Receive moves what has arrived into p and returns how much. 0 without an error means
// there is nothing yet, and SignalReadable will say when there is. ErrClosing is the end
// of what the peer sent; other errors say why the connection is CLOSED.
func (c *Conn) Receive(p []byte) (int, error) {
	switch c.state {
	case Closed:
		return c.receiveRest(p, c.whyClosed())
	case Listen, SynSent:
		return 0, nil
	case SynReceived, Established, FinWait1, FinWait2: // in the first text is there by takeSynText alone
		return c.takeText(p), nil
	case CloseWait, Closing, LastAck, TimeWait:
		return c.receiveRest(p, ErrClosing)
	}
	return 0, ErrNotExist
}

// 3.10.4. CLOSE Call.

// Close says that the user has no more to send: a FIN follows what is queued. Receiving
// goes on. Errors: ErrClosing when the user has closed before, ErrNotExist.
func (c *Conn) Close(now Time) error {
	switch c.state {
	case Closed:
		return ErrNotExist
	case Listen:
		c.end(now, RuleCloseListen, ErrClosing)
		return nil
	case SynSent:
		c.end(now, RuleCloseSynSent, ErrClosing)
		return nil
	case SynReceived:
		if c.snd.finQueued {
			return ErrClosing
		}
		c.queueFIN(now)
		if c.unsent() == 0 {
			c.become(now, FinWait1, RuleCloseSynReceived)
		}
		return nil
	case Established:
		c.queueFIN(now)
		c.become(now, FinWait1, RuleCloseEstablished)
		return nil
	case CloseWait:
		if c.snd.finQueued {
			return ErrClosing
		}
		c.queueFIN(now)
		return nil
	case FinWait1, FinWait2, Closing, LastAck, TimeWait:
		return ErrClosing
	}
	return ErrNotExist
}

// finSegmentized is the second half of CLOSE in CLOSE-WAIT: "Queue this request until all
// preceding SENDs have been segmentized; then send a FIN segment, enter LAST-ACK state."
// Output calls it when it forms the FIN for the first time.
func (c *Conn) finSegmentized(now Time) {
	switch c.state {
	case CloseWait:
		c.become(now, LastAck, RuleCloseCloseWait)
	case SynReceived: // with RFC 7413, which sends text there
		c.become(now, FinWait1, RuleCloseSynReceived)
	case Established, FinWait1, FinWait2, Closing, LastAck, TimeWait, Closed, Listen, SynSent:
		// "In any case, enter FIN-WAIT-1 state": that was done at the call.
	}
}

// CloseReceive says that the user will read no more: RFC 9293 section 3.6.1, MAY-1. With
// Discard, what arrives is acknowledged and thrown away. With Gone, text that has not been
// read, or that arrives later, resets the connection, "to show that data was lost"
// (SHLD-3); it reports whether it did so at once.
func (c *Conn) CloseReceive(now Time, how ReceiveEnd) bool {
	c.rcv.shut = max(c.rcv.shut, how)
	switch c.state {
	case Closed, Listen, SynSent, TimeWait:
		c.dropUnread()
	case SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck:
		if how == Gone && c.unread() > 0 {
			c.abort(now, RuleUnreadText, ErrUnread)
			return true
		}
		c.dropUnread()
		c.startFinWait2Timer(now)
	}
	return false
}

// 3.10.5. ABORT Call.

// Abort ends the connection at once: the peer gets a reset, and all that is queued is
// given up. Error: ErrNotExist.
func (c *Conn) Abort(now Time) error {
	switch c.state {
	case Closed:
		return ErrNotExist
	case Listen, SynSent:
		c.end(now, RuleAbortUnsynchronized, ErrAborted)
	case SynReceived, Established, FinWait1, FinWait2, CloseWait:
		c.abort(now, RuleAbort, ErrAborted)
	case Closing, LastAck:
		c.abortClosing(now)
	case TimeWait:
		c.end(now, RuleAbortClosing, ErrAborted)
	}
	return nil
}

// abortClosing sends a reset as long as the peer may still wait for something.
//
// It deviates from 3.10.5, which in CLOSING and LAST-ACK says: Respond with "ok" and delete the
// TCB. To the letter a peer whose text or FIN is lost would wait in FIN-WAIT-2 for ever.
func (c *Conn) abortClosing(now Time) {
	if c.outstanding() || c.somethingToSend() {
		c.abort(now, RuleAbortClosing, ErrAborted)
		return
	}
	c.end(now, RuleAbortClosing, ErrAborted)
}

// Reclaim is ABORT by the owner, who needs the connection's memory: how long one without
// progress may stay open "is subject to the implementation's resource management concerns",
// section 3.8.6.1. The user's calls then give ErrResources. In CLOSED what waits to be read is
// given up.
func (c *Conn) Reclaim(now Time) {
	switch c.state {
	case Closed:
		c.flush()
	case Listen, SynSent:
		c.end(now, RuleReclaim, ErrResources)
	case SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:
		c.abort(now, RuleReclaim, ErrResources)
	}
}

// abort sends <SEQ=SND.NXT><CTL=RST> and enters CLOSED.
func (c *Conn) abort(now Time, rule Rule, err Error) {
	from := c.seqInWindow()
	c.end(now, rule, err)
	c.oweReset(from)
}

// end deletes the TCB and enters CLOSED: err is what the user's calls return from now on,
// 0 when the connection ended in order, and then what has arrived can still be read.
func (c *Conn) end(now Time, rule Rule, err Error) {
	c.err = err
	c.stopTimers()
	c.reply.owed = 0
	c.become(now, Closed, rule)
	c.signal |= SignalClosed | SignalReadable | SignalWritable
	if err == ErrAborted || err == ErrUnread || err == ErrResources {
		c.flush()
		return
	}
	c.keepReceived()
}

// 3.10.7. SEGMENT ARRIVES.

// Arrive processes one segment, addressed to this connection and with a valid checksum.
// It may trim seg, and does not keep it. A connection with keys takes what Authenticate has
// passed.
func (c *Conn) Arrive(now Time, seg *wire.Segment) {
	c.countIn(now, seg)
	if !c.isVouched(now, seg) {
		return
	}
	switch c.state {
	case Closed:
		c.arriveClosed(now, seg)
	case Listen:
		c.arriveListen(now, seg)
	case SynSent:
		c.arriveSynSent(now, seg)
	case SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:
		c.arriveOther(now, seg)
	}
}

// 3.10.7.1. CLOSED STATE.
func (c *Conn) arriveClosed(now Time, seg *wire.Segment) {
	if seg.Flags&wire.RST != 0 {
		c.drop(now, seg, RuleClosedReset)
		return
	}
	c.drop(now, seg, RuleClosed)
	c.oweResetFor(seg)
}

// 3.10.7.2. LISTEN STATE.
func (c *Conn) arriveListen(now Time, seg *wire.Segment) {
	// First, check for a RST.
	if seg.Flags&wire.RST != 0 {
		c.drop(now, seg, RuleListenReset)
		return
	}
	// Second, check for an ACK.
	if seg.Flags&wire.ACK != 0 {
		c.drop(now, seg, RuleListenAck)
		c.oweReset(seg.Ack)
		return
	}
	// Third, check for a SYN.
	if seg.Flags&wire.SYN != 0 {
		c.opened = Passive
		c.receiveSYN(now, seg)
		c.synchronize(now)
		c.become(now, SynReceived, c.listenRule(seg))
		if !c.takeSynText(now, seg) {
			c.hold(now, seg) // "any other control or text should be queued for processing later"
		}
		return
	}
	// Fourth, other data or control: "This should not be reached."
	c.drop(now, seg, RuleListenOther)
}

// 3.10.7.3. SYN-SENT STATE.
func (c *Conn) arriveSynSent(now Time, seg *wire.Segment) {
	// First, check the ACK bit.
	acked := false
	if seg.Flags&wire.ACK != 0 {
		if !c.acksSomethingSent(seg) {
			c.drop(now, seg, RuleSynSentAck)
			if seg.Flags&wire.RST == 0 {
				c.oweReset(seg.Ack)
			}
			return
		}
		acked = true
	}
	// Second, check the RST bit. The exact match of RFC 5961 does not apply: nothing is
	// known of RCV.NXT yet.
	if seg.Flags&wire.RST != 0 {
		if !acked {
			c.drop(now, seg, RuleSynSentResetNoAck)
			return
		}
		// The text says "connection reset"; to the user it is a refusal, as SYN-RECEIVED
		// words it.
		c.end(now, RuleSynSentReset, ErrRefused)
		return
	}
	// Third, check the security: vitro has no security compartments (RFC 9293 appendix A.1).

	// Fourth, check the SYN bit.
	if seg.Flags&wire.SYN != 0 {
		if acked {
			c.receiveSYN(now, seg)
			c.acknowledge(now, seg)
			c.enterEstablished(now, RuleSynSentSynAck)
			c.oweAck()
			c.arriveAtSixth(now, seg)
			return
		}
		if c.cfg.NoSimultaneousOpen {
			c.drop(now, seg, RuleSynSentCrossed)
			return
		}
		c.receiveSYN(now, seg)
		c.become(now, SynReceived, RuleSynSentSyn) // MUST-10
		c.oweSYN(now)
		c.hold(now, seg)
		return
	}
	// Fifth, if neither of the SYN or RST bits is set, then drop the segment.
	c.drop(now, seg, RuleSynSentOther)
}

// 3.10.7.4. Other States.
func (c *Conn) arriveOther(now Time, seg *wire.Segment) {
	text := seg.TextLen()           // before the first step has trimmed it
	if c.checkSequence(now, seg) && // first
		c.checkRST(now, seg) && // second
		// Third, check security: vitro has no security compartments (appendix A.1).
		c.checkSYN(now, seg) && // fourth
		c.checkACK(now, seg) { // fifth
		c.heard(now, seg)
		c.hearAccurate(seg, text)
		c.arriveAtSixth(now, seg)
	}
}

// arriveAtSixth is where SYN-SENT joins: "continue processing at the sixth step".
func (c *Conn) arriveAtSixth(now Time, seg *wire.Segment) {
	c.checkURG(now, seg)         // sixth
	if c.processText(now, seg) { // seventh
		c.checkFIN(now, seg) // eighth
	}
}

// First, check sequence number.
func (c *Conn) checkSequence(now Time, seg *wire.Segment) bool {
	switch c.state {
	case SynReceived:
		if c.mixedECN(seg) {
			c.end(now, RuleMixedECN, ErrAborted)
			c.oweResetFor(seg)
			return false
		}
		c.crossedSynAck(seg)
		c.repeatedSYN(seg)
	case TimeWait:
		if c.repeatedFIN(seg) {
			c.drop(now, seg, RuleTimeWaitFin)
			c.oweAck()
			c.startTimeWait(now)
			return false
		}
	case Closed, Listen, SynSent, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck:
	}
	if rule := c.checkTimestamp(now, seg); rule != 0 {
		c.drop(now, seg, rule)
		c.answerUnacceptable(now, seg, rule)
		return false
	}
	if !c.acceptable(seg) {
		if c.ackFromBefore(seg) {
			c.answerUnacceptable(now, seg, RuleUnacceptable)
			c.checkACK(now, seg)
			return false
		}
		c.drop(now, seg, RuleUnacceptable)
		if seg.Flags&wire.RST == 0 {
			c.allTwice(seg)
			c.answerUnacceptable(now, seg, RuleUnacceptable)
		}
		return false
	}
	if seg.Flags&wire.RST == 0 {
		c.recordTimestamp(now, seg)
		c.trim(seg)
	}
	return true
}

// Second, check the RST bit, with the three checks of RFC 5961 section 3. The first of
// them, a RST outside the window, was dropped in the first step. Text in it does not matter
// (SHLD-2).
func (c *Conn) checkRST(now Time, seg *wire.Segment) bool {
	if seg.Flags&wire.RST == 0 {
		return true
	}
	if seg.Seq != c.rcv.nxt {
		c.drop(now, seg, RuleResetChallenge)
		c.challenge(now)
		return false
	}
	switch c.state {
	case SynReceived:
		switch {
		case c.fastOpened():
			c.end(now, RuleFastOpenReset, ErrReset) // the user has it
		case c.opened == Passive:
			c.relisten(now, RuleResetPassive)
		default:
			c.end(now, RuleResetRefused, ErrRefused)
		}
	case Established, FinWait1, FinWait2, CloseWait:
		c.end(now, RuleReset, ErrReset)
	case Closing, LastAck:
		c.end(now, RuleResetClosing, c.resetWhileClosing())
	case TimeWait:
		// Deviates from the text, "enter the CLOSED state": RFC 1337 section 3 shows how an
		// old duplicate then ends TIME-WAIT early, and its fix F1 is to ignore the reset.
		c.drop(now, seg, RuleTimeWaitReset)
	case Closed, Listen, SynSent:
	}
	return false
}

// relisten returns a passive connection to LISTEN. "The user need not be informed": the
// signal is for the owner of the listener.
func (c *Conn) relisten(now Time, rule Rule) {
	c.forget()
	c.signal |= SignalListen
	c.become(now, Listen, rule)
}

// Fourth, check the SYN bit.
func (c *Conn) checkSYN(now Time, seg *wire.Segment) bool {
	if seg.Flags&wire.SYN == 0 {
		return true
	}
	switch c.state {
	case SynReceived:
		if c.opened == Passive && !c.fastOpened() {
			c.drop(now, seg, RuleSynPassive)
			c.relisten(now, RuleSynPassive)
			return false
		}
	case Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:
	case Closed, Listen, SynSent:
	}
	c.drop(now, seg, RuleSynChallenge)
	c.challenge(now)
	return false
}

// Fifth, check the ACK field.
func (c *Conn) checkACK(now Time, seg *wire.Segment) bool {
	if seg.Flags&wire.ACK == 0 {
		c.drop(now, seg, RuleNoAck)
		return false
	}
	switch c.state {
	case SynReceived:
		if !c.acksSomethingSent(seg) {
			c.drop(now, seg, RuleSynReceivedAck)
			c.oweReset(seg.Ack)
			return false
		}
		before := c.beforeAck()
		c.acknowledge(now, seg)
		c.fastOpenEffect(now, seg, &before)
		c.setSendWindow(now, seg)
		c.enterEstablished(now, RuleSynReceivedAcked)
	case Established, CloseWait:
		return c.ackEstablished(now, seg)
	case FinWait1:
		if !c.ackEstablished(now, seg) {
			return false
		}
		if c.finAcked() {
			c.become(now, FinWait2, RuleFinWait1Acked)
			c.startFinWait2Timer(now)
		}
	case FinWait2:
		return c.ackEstablished(now, seg)
	case Closing:
		news := c.acksSomethingSent(seg)
		if !c.ackEstablished(now, seg) {
			return false
		}
		if !c.finAcked() {
			if !news {
				c.drop(now, seg, RuleClosingOther)
			}
			return false
		}
		c.become(now, TimeWait, RuleClosingAcked)
		c.startTimeWait(now)
	case LastAck:
		news := c.acksSomethingSent(seg)
		switch {
		case !c.ackEstablished(now, seg):
		case c.finAcked():
			c.end(now, RuleLastAckAcked, 0)
		case !news:
			c.drop(now, seg, RuleClosingOther)
		}
		return false
	case TimeWait:
		// The remote FIN was met in the first step; nothing else "can arrive".
		c.drop(now, seg, RuleTimeWaitOther)
		return false
	case Closed, Listen, SynSent:
		return false
	}
	return true
}

// enterEstablished is common to SYN-SENT and SYN-RECEIVED. A CLOSE that was "queue[d] for
// processing after entering ESTABLISHED state" (3.10.4) is processed now.
func (c *Conn) enterEstablished(now Time, rule Rule) {
	c.become(now, Established, rule)
	c.signal |= SignalEstablished | SignalWritable
	if c.snd.finQueued {
		c.become(now, FinWait1, RuleCloseEstablished)
	}
}

// ackEstablished is the processing that the ESTABLISHED state shares with all that follow.
// It begins with the check of RFC 5961 section 5 (MAY-12), which takes in the text's "If
// the ACK acks something not yet sent [...] send an ACK, drop the segment".
func (c *Conn) ackEstablished(now Time, seg *wire.Segment) bool {
	if !c.ackPlausible(seg) {
		c.drop(now, seg, RuleAckOutOfRange)
		c.challenge(now)
		return false
	}
	before := c.beforeAck()
	if c.acksSomethingSent(seg) {
		c.acknowledge(now, seg)
	}
	c.afterAck(now, seg, &before)
	c.updateSendWindow(now, seg)
	return true
}

// Sixth, check the URG bit.
func (c *Conn) checkURG(now Time, seg *wire.Segment) {
	if seg.Flags&wire.URG == 0 {
		return
	}
	switch c.state {
	case Established, FinWait1, FinWait2:
		c.urgentArrives(seg)
	case CloseWait, Closing, LastAck, TimeWait:
		c.drop(now, seg, RuleUrgentAfterFin)
	case Closed, Listen, SynSent, SynReceived:
	}
}

// Seventh, process the segment text.
func (c *Conn) processText(now Time, seg *wire.Segment) bool {
	switch c.state {
	case Established, FinWait1, FinWait2:
		if c.rcv.shut == Gone && c.bringsNewText(seg) {
			c.drop(now, seg, RuleUnreadText)
			c.abort(now, RuleUnreadText, ErrUnread) // SHLD-3
			return false
		}
		c.receiveText(now, seg)
	case CloseWait, Closing, LastAck, TimeWait:
		if seg.Len() > 0 {
			c.drop(now, seg, RuleTextAfterFin)
		}
	case Closed, Listen, SynSent, SynReceived:
		return false
	}
	return true
}

// Eighth, check the FIN bit. The FIN counts when all that precedes it has been received;
// it may have come in an earlier segment than the one that fills the gap.
func (c *Conn) checkFIN(now Time, seg *wire.Segment) {
	if !c.finArrived() {
		return
	}
	c.advanceOverFIN()
	switch c.state {
	case SynReceived, Established:
		c.become(now, CloseWait, RuleFinEstablished)
	case FinWait1:
		// "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT": the
		// fifth step has then made it FIN-WAIT-2.
		c.become(now, Closing, RuleFinFinWait1)
	case FinWait2:
		c.become(now, TimeWait, RuleFinFinWait2)
		c.startTimeWait(now)
	case CloseWait, Closing, LastAck, TimeWait:
		// "Remain".
	case Closed, Listen, SynSent:
	}
}

// restore puts a connection into the state in which it was while it was kept as less than
// a Conn (restore.go).
func (c *Conn) restore(now Time, to State, rule Rule) { c.become(now, to, rule) }

// 3.10.8. Timeouts.

// Timeout processes the timers that have run out at now. Calling it early does nothing.
func (c *Conn) Timeout(now Time) {
	switch {
	case c.state == Closed || c.state == Listen:
		return
	case c.userTimeoutDue(now):
		c.timedOut(now, RuleUserTimeout)
		c.endByUserTimeout(now)
		return
	case c.timeWaitDue(now):
		c.endByWait(now)
		return
	case c.keepAliveDead(now):
		c.timedOut(now, RuleKeepAliveDead)
		c.abort(now, RuleKeepAliveDead, ErrUserTimeout)
		return
	}
	c.lossTimeouts(now)
	c.delayedAckTimeout(now)
	c.keepAliveTimeout(now)
}

// endByUserTimeout: "For any state if the user timeout expires, flush all queues, signal
// the user [...], delete the TCB, enter the CLOSED state". The peer is told by a reset
// where ABORT would tell it: the timeout is an abort on the user's behalf (3.9.1.4).
func (c *Conn) endByUserTimeout(now Time) {
	switch c.state {
	case Closed, Listen, TimeWait, FinWait2:
	case SynSent:
		c.end(now, RuleUserTimeout, ErrUserTimeout)
	case SynReceived, Established, FinWait1, CloseWait, Closing, LastAck:
		c.abort(now, RuleUserTimeout, ErrUserTimeout)
	}
}

// endByWait ends the two states that only wait: TIME-WAIT after 2 MSL, and FIN-WAIT-2
// when nobody reads any more.
func (c *Conn) endByWait(now Time) {
	switch c.state {
	case TimeWait:
		c.timedOut(now, RuleTimeWaitTimeout)
		c.end(now, RuleTimeWaitTimeout, 0)
	case FinWait2:
		// The RFC has no such timeout: a peer that never closes would hold the TCB for
		// ever. BSD and Linux give up after a minute when the user is gone, and so do we.
		c.timedOut(now, RuleFinWait2Timeout)
		c.end(now, RuleFinWait2Timeout, 0)
	case Closed, Listen, SynSent, SynReceived, Established, FinWait1, CloseWait, Closing, LastAck:
	}
}

// 3.9.2.2. ICMP Messages.

// ICMP processes an ICMP error about a segment of this connection, whose sequence number
// the message quotes. Only a number in flight is believed (RFC 5927 section 4.1). A hard
// error ends an attempt to connect; once synchronized every error is soft (RFC 5927
// section 5.2, RFC 5461), because whoever guesses the four-tuple could end any connection.
func (c *Conn) ICMP(now Time, e SoftError) bool { // MUST-54
	if !c.inFlight(e.Seq) || c.ignoresICMP(e.Type, e.Code) {
		return false
	}
	c.soft = e
	c.signal |= SignalSoftError // MUST-47, SHLD-25
	switch c.state {
	case SynSent, SynReceived:
		if e.Hard && c.opened == Active { // SHLD-26
			c.end(now, RuleICMPHard, ErrUnreachable)
			c.soft = e
		}
	case Closed, Listen, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:
		// MUST-56.
	}
	return true
}
