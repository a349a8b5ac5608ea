package tcp

// What a segment is answered with: RFC 9293 section 3.5.2, Reset Generation, and the
// challenge ACKs of RFC 5961 with their throttling.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// throttleInterval is the least time between two ACKs in answer to segments that carry
// nothing: RFC 5961 section 7 asks for a limit. It is kept for each connection alone, for a
// common one would tell an attacker about others (CVE-2016-5696). It also ends the ACK
// storm of two ends that have lost each other's numbers.
const throttleInterval = 500 * time.Millisecond

func (c *Conn) oweAck() { c.reply.owed |= owedACK }

func (c *Conn) oweSYN(now Time) {
	c.reply.owed |= owedSYN
	c.startRetransmission(now)
}

// oweReset owes <SEQ=s><CTL=RST>.
func (c *Conn) oweReset(s seq.Num) {
	c.reply.owed |= owedReset
	c.reply.rstSeq, c.reply.rstWithAck = s, false
}

// oweResetFor owes the reset that answers a segment of no connection.
func (c *Conn) oweResetFor(seg *wire.Segment) {
	var r wire.Segment
	if ResetFor(seg, &r) {
		c.reply.owed |= owedReset
		c.reply.rstSeq, c.reply.rstAck = r.Seq, r.Ack
		c.reply.rstWithAck = r.Flags&wire.ACK != 0
	}
}

// ResetFor forms the reset that answers a segment for which there is no connection, RFC
// 9293 section 3.10.7.1, and reports whether there is one: a reset is not answered.
func ResetFor(seg, reset *wire.Segment) bool {
	if seg.Flags&wire.RST != 0 {
		return false
	}
	*reset = wire.Segment{Flags: wire.RST}
	if seg.Flags&wire.ACK != 0 {
		reset.Seq = seg.Ack // <SEQ=SEG.ACK><CTL=RST>
		return true
	}
	reset.Flags |= wire.ACK // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
	reset.Ack = seg.End()
	return true
}

// challenge owes the challenge ACK of RFC 5961: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
func (c *Conn) challenge(now Time) { c.oweThrottledAck(now) }

// answerUnacceptable: "If an incoming segment is not acceptable, an acknowledgment should
// be sent in reply". One that carries text or a FIN is answered always: its sender is
// repeating what we have, and waits for our ACK.
func (c *Conn) answerUnacceptable(now Time, seg *wire.Segment, rule Rule) {
	if rule == RuleNoTimestamp {
		return // RFC 7323 section 3.2: "silently drop the segment"
	}
	if seg.Len() > 0 && seg.Flags&wire.SYN == 0 {
		c.textAgain(seg)
		c.oweAck()
		return
	}
	c.oweThrottledAck(now)
	c.synAgain(seg)
}

func (c *Conn) oweThrottledAck(now Time) {
	if c.reply.lastThrott != 0 && now.Sub(c.reply.lastThrott) < throttleInterval {
		return
	}
	c.reply.lastThrott = now
	c.oweAck()
}
