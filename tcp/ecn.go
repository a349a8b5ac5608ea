package tcp

// Explicit congestion notification: RFC 3168 section 6.1 (SHLD-8), with the smaller reduction of
// RFC 8511.

import (
	"strconv"

	"github.com/vitro-net/vitro/wire"
)

// ECN says whether connections use explicit congestion notification.
type ECN uint8

// The ways. Each but ECNOff agrees to the kind the peer asks for, RFC 3168's or Accurate ECN
// (RFC 9768).
const (
	// ECNAccept uses it when the peer asks.
	ECNAccept ECN = iota
	// ECNRequest asks for RFC 3168's too. A SYN that gets no answer is sent again without (RFC 3168
	// section 6.1.1.1), for there are middleboxes that drop it.
	ECNRequest
	// ECNAccurate asks for Accurate ECN, and takes RFC 3168's where the peer has no more. The SYN
	// asks twice; the third is sent without (RFC 9768 section 3.1.4.1).
	ECNAccurate
	// ECNOff never uses it.
	ECNOff
)

var ecnNames = [...]string{"accept", "request", "accurate", "off"}

// String is the way in a word.
func (e ECN) String() string {
	if int(e) < len(ecnNames) {
		return ecnNames[e]
	}
	return "ECN(" + strconv.Itoa(int(e)) + ")"
}

// ecnVars are the state of RFC 3168 of one connection, and of RFC 9768 what is before the handshake's
// end.
type ecnVars struct {
	asked bool // our SYNs so far were ECN-setup SYNs
	on    bool // both have agreed
	echo  bool // CE has come and no CWR since: ACKs have ECE
	cwr   bool // cwnd has been reduced: the next new text says so

	wanted   bool  // a SYN of ours has asked for AccECN
	plain    bool  // and a later one for nothing
	accurate bool  // AccECN mode
	silent   bool  // nothing is marked as ECN-capable
	synCE    bool  // a SYN,ACK came as CE
	synTC    uint8 // the ECN field of the peer's last SYN or SYN,ACK
	acc      *accVars
}

// The codepoints of section 5.
const (
	ecnMask = 3
	ecnCE   = 3
	ecnECT0 = 2
	ecnECT1 = 1
)

// askECN makes our SYN an ECN-setup SYN. One that is sent again is none, and then "neither Host A
// nor Host B may set the ECT bit".
func (c *Conn) askECN(seg *wire.Segment) {
	switch {
	case c.rcv.synSeen && c.ecn.accurate:
		c.answerAccurate(seg)
	case c.rcv.synSeen: // a SYN,ACK
		if c.ecn.on {
			seg.Flags |= wire.ECE
		}
	case c.cfg.ECN == ECNAccurate:
		c.askAccurate(seg)
	case c.rto.count > 0 || c.cfg.ECN != ECNRequest:
		c.ecn.asked = false
	default:
		c.ecn.asked = true
		seg.Flags |= wire.ECE | wire.CWR
	}
	seg.TC &^= ecnMask // "A host MUST NOT set ECT on SYN or SYN-ACK packets."
}

// agreeECN reads the peer's SYN or SYN,ACK. One that crosses ours agrees to nothing.
func (c *Conn) agreeECN(seg *wire.Segment) {
	setup := seg.Flags & (wire.ECE | wire.CWR)
	switch {
	case c.cfg.ECN == ECNOff || c.agreeAccurate(seg):
	case seg.Flags&wire.ACK != 0:
		c.ecn.on = c.ecn.asked && setup == wire.ECE
	}
}

// hearECN is section 6.1.3: from CE on every ACK has ECE, until CWR.
func (c *Conn) hearECN(seg *wire.Segment) {
	if !c.ecn.on || c.ecn.accurate || len(seg.Text) == 0 {
		return
	}
	if seg.Flags&wire.CWR != 0 {
		c.ecn.echo = false
	}
	if seg.TC&ecnMask == ecnCE {
		c.ecn.echo = true
	}
}

// putECN sets what every segment of the connection has; text that is new is marked by markNew.
func (c *Conn) putECN(seg *wire.Segment) {
	if !c.ecn.on {
		return
	}
	seg.TC &^= ecnMask
	if c.ecn.accurate {
		c.putAccurate(seg)
	} else if c.ecn.echo {
		seg.Flags |= wire.ECE
	}
}

// markNew is section 6.1.2: new text is ECT(0), and the first after a reduction has CWR. What is
// sent again is not (section 6.1.5), nor a probe of a closed window (6.1.6).
func (c *Conn) markNew(seg *wire.Segment) {
	if !c.ecn.on || seg.TextLen() == 0 {
		return
	}
	if !c.ecn.silent {
		seg.TC |= ecnECT0
	}
	if a := c.ecn.acc; a != nil {
		a.introduced(seg)
		return
	}
	if c.ecn.cwr {
		seg.Flags |= wire.CWR
		c.ecn.cwr = false
	}
}

// tellsOfMarks reports whether the ACK tells of congestion.
func (c *Conn) tellsOfMarks(seg *wire.Segment) bool {
	if a := c.ecn.acc; a != nil {
		return a.fresh > 0 && !a.deaf
	}
	return c.ecn.on && seg.Flags&wire.ECE != 0
}

// marksUnanswered reports whether marks that an ACK tells of have not been answered: "TCP should not
// react to congestion indications more than once every window of data".
func (c *Conn) marksUnanswered() bool { return c.cc.recover.Less(c.snd.una) }

// answerEcho reduces cwnd as a loss would, but that nothing is lost: by PRR where there is SACK. Of
// a cwnd of one segment the text says that it wait for the retransmission timer; here ssthresh is
// two segments at the least, and a window of one follows a timeout alone.
func (c *Conn) answerEcho(now Time, e *ackEffect) {
	c.count.marks++
	if c.opt.sack {
		c.beginReduction(now, e, Loss{Flight: e.flight, ECN: true})
		c.reduce(e)
		return
	}
	c.fall(now, Loss{Flight: e.flight, ECN: true})
	c.cc.recover = c.snd.nxt
	c.recoveryWindow(c.cc.ssthresh)
}
