package tcp

// The data receiver's part of RFC 9768: it counts the marks that arrive (section 3.2), says the
// count in ACE and in an option, and acknowledges sooner when there are marks (section 3.2.2.5.1).

import (
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

const maxOptions = 40 // octets; RFC 9293 section 3.1

// packetsOf is how many packets a segment was that came with n octets of text.
func packetsOf(seg *wire.Segment, n uint32) uint64 {
	if seg.GSO == 0 || n <= uint32(seg.GSO) {
		return 1
	}
	return uint64((n + uint32(seg.GSO) - 1) / uint32(seg.GSO))
}

// count counts a segment of so many octets of text, which was so many packets.
func (a *accVars) count(seg *wire.Segment, text uint32, packets uint64) {
	switch codepoint(seg) {
	case ecnCE:
		a.rcv.CEP += packets
		a.rcv.CEB += uint64(text)
	case ecnECT0:
		a.rcv.E0B += uint64(text)
	case ecnECT1:
		a.rcv.E1B += uint64(text)
	}
}

// hearAccurate counts a segment that has been found acceptable, which came with so many octets of
// text, whatever of it is new, and decides whether it is acknowledged at once. What a link has
// merged is one event, for which "either rule can be interpreted as requiring just a single ACK".
// In CLOSING and LAST-ACK nothing is counted: the peer has said all, and its ACKs are Not-ECT (RFC
// 3168 section 6.1.4).
func (c *Conn) hearAccurate(seg *wire.Segment, text uint32) {
	a := c.acc()
	if a == nil {
		return
	}
	a.count(seg, text, packetsOf(seg, text))
	if len(seg.Text) > 0 {
		a.repeats, a.bare = 0, a.bare && a.handshake
	}
	marked := codepoint(seg) == ecnCE
	first := marked && !a.lastCE
	a.lastCE = marked
	if !marked {
		return
	}
	if text > 0 && first {
		// "SHOULD emit an ACK whenever a data packet marked CE arrives after the previous packet
		// was not CE"
		c.oweAck()
	}
	// "MUST emit an ACK if 'n' CE marks have arrived since the previous ACK."
	switch since := a.rcv.CEP - a.echoed; {
	case (text > 0 || c.rcv.pending > 0) && since >= 2:
		c.oweAck()
	case text == 0 && since >= 3 && c.reply.owed&owedACK == 0:
		// "these ACKs of ACKs MUST NOT contain any SACK blocks"
		a.bare = true
		c.oweAck()
	}
}

// textAgain is text that the peer has sent again though we have acknowledged it. "MAY detect loss of
// ACKs carrying the AccECN Option by detecting whether the acknowledged data always reappears as a
// retransmission. In such cases, the host SHOULD disable the sending of the AccECN Option".
func (c *Conn) textAgain(seg *wire.Segment) {
	const enough = 3 // one or two are ACKs that congestion has lost
	a := c.ecn.acc
	if a == nil || len(seg.Text) <= 1 { // an octet is a keep-alive
		return
	}
	if a.repeats == 0 || seg.Seq != a.again {
		a.repeats, a.again = 0, seg.Seq
	}
	a.repeats += min(1, enough-a.repeats)
	a.mute = a.mute || a.repeats == enough
}

// introduced is called with new text that leaves. "the TCP Client SHOULD also include an AccECN Option
// on the first data segment it sends", section 3.2.3.2.1: whether that gets through is watched.
func (a *accVars) introduced(seg *wire.Segment) {
	if a.introduce && seg.Options.Has(wire.HasAccECN) {
		a.trying, a.tried = true, seg.End()
	}
	a.introduce = false
}

// optionLost is called when what begins at first is to be sent again: if it is the first text that
// had an option, the options go no more. "If the TCP Client detects that the first data segment it
// sent with an AccECN Option was lost [...] it SHOULD fall back to no AccECN Option on the
// retransmission."
func (c *Conn) optionLost(first seq.Num, rule Rule) {
	if rule == RuleTailLossProbe || rule == RuleWindowOpened || rule == RulePacketTooBig {
		return // it is not lost, or by another cause
	}
	if a := c.ecn.acc; a != nil && a.trying && first.Less(a.tried) {
		a.trying, a.mute = false, true
	}
}

// putAccurate gives a segment the ACE field and, where one is due, the option. Its ECN field is that
// of what is not to be marked.
func (c *Conn) putAccurate(seg *wire.Segment) {
	a := c.acc()
	ace := uint8(a.rcv.CEP)
	if a.handshake {
		ace = handshakeACE[c.ecn.synTC]
	}
	seg.Flags |= flagsOf(ace)
	if order, n := c.planOption(int(seg.Options.NSACK)); n > 0 {
		putFields(&seg.Options, order, n, &a.rcv)
		a.told = a.rcv
	}
	a.echoed = a.rcv.CEP
	a.handshake, a.bare = false, false
}

// putFields writes an option with the first n counters of an order.
func putFields(o *wire.Options, order uint8, n int, k *ECNCounters) {
	o.Set |= wire.HasAccECN
	o.AccECNOrder, o.NAccECN = order, 0
	fields := [3]uint64{k.E0B, k.CEB, k.E1B}
	if order == 1 {
		fields[0], fields[2] = k.E1B, k.E0B
	}
	for _, f := range fields[:n] {
		o.AddAccECN(uint32(f))
	}
}

// optionDue reports whether the next segment is to have an option. Section 3.2.3.3: "on every
// scheduled ACK if any byte counter has incremented since the last ACK".
func (c *Conn) optionDue() bool {
	a := c.ecn.acc
	return a != nil && !a.mute &&
		(a.introduce || a.rcv.CEB != a.told.CEB || a.rcv.E0B != a.told.E0B || a.rcv.E1B != a.told.E1B)
}

// planOption says which counters the next segment's option has beside so many SACK blocks, n of an
// order, none where n is 0: "a field for every byte counter that has changed at some time during
// the connection". Where there is no room for them they are those that have changed since the last
// option; "If there is insufficient space [...] then the entire AccECN TCP Option MUST be omitted."
func (c *Conn) planOption(blocks int) (order uint8, n int) {
	if !c.optionDue() {
		return 0, 0
	}
	a := c.ecn.acc
	space := min(maxOptions, int(c.mss())-1)
	if c.opt.timestamps {
		space = min(maxOptions-timestampsLength, int(c.mss())-1)
	}
	space -= int(c.auth.length())
	if blocks > 0 {
		space -= sackLength + 8*blocks
	}
	order, n = fieldsFor(a.rcv.E0B != 1, a.rcv.CEB != 0, a.rcv.E1B != 1)
	if a.introduce {
		order, n = 0, 3 // the peer may look at the values that both begin with
	}
	if wire.AccECNLen(n) > space {
		order, n = fieldsFor(a.rcv.E0B != a.told.E0B, a.rcv.CEB != a.told.CEB, a.rcv.E1B != a.told.E1B)
	}
	if wire.AccECNLen(n) > space {
		return 0, 0
	}
	return order, n
}

// fieldsFor is the shortest option that has the counters asked for.
func fieldsFor(e0b, ceb, e1b bool) (order uint8, n int) {
	switch {
	case e0b && e1b:
		return 0, 3
	case e1b:
		order = 1
	}
	switch {
	case ceb:
		return order, 2
	case e0b || e1b:
		return order, 1
	}
	return 0, 0
}

// optionLength is how many octets the AccECN option of the next segment takes.
func (c *Conn) optionLength(blocks int) uint32 {
	if _, n := c.planOption(blocks); n > 0 {
		return uint32(wire.AccECNLen(n))
	}
	return 0
}

// outputHandshakeAck sends the ACK of the SYN,ACK alone, before any text: "it SHOULD first send a
// pure ACK that does satisfy these conditions", section 3.2.2.1.
func (c *Conn) outputHandshakeAck(now Time, seg *wire.Segment) bool {
	return c.ecn.acc != nil && c.ecn.acc.handshake && c.outputAck(now, seg)
}

// cutsCWR reports whether whoever cuts a super-segment would take a bit of ACE for CWR, which goes
// with the first piece alone: "allow TSO only as long as the CWR flag in the TCP header is not set",
// section 3.3.4.
func (c *Conn) cutsCWR() bool {
	return c.ecn.acc != nil && flagsOf(uint8(c.ecn.acc.rcv.CEP))&wire.CWR != 0
}
