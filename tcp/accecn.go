package tcp

// Accurate ECN feedback, RFC 9768, on both sides of the handshake: who asks, what the SYNs say
// (section 3.1), and what a connection that has agreed remembers. The data receiver's part is
// echo.go, the data sender's marks.go.

import (
	"strconv"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// ECNCounters are the four counters that each end of a half-connection has, RFC 9768 section 3.2:
// what has arrived at the data receiver (r.cep and so on), or what the data sender has been told of
// (s.cep). They begin at 5, 0, 1, 1 (section 3.2.1).
type ECNCounters struct {
	CEP           uint64 // packets that arrived as CE
	CEB, E0B, E1B uint64 // octets of text that arrived as CE, ECT(0) and ECT(1)
}

// String is as "cep 5, ceb 0, e0b 1, e1b 1".
func (n ECNCounters) String() string {
	num := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return "cep " + num(n.CEP) + ", ceb " + num(n.CEB) + ", e0b " + num(n.E0B) + ", e1b " + num(n.E1B)
}

// accVars are what a connection in AccECN mode remembers.
type accVars struct {
	rcv ECNCounters // r.cep, r.ceb, r.e0b, r.e1b
	snd ECNCounters // s.cep, s.ceb, s.e0b, s.e1b

	// As data receiver.
	told      ECNCounters // rcv as our last option said
	echoed    uint64      // r.cep as our last ACK said
	lastCE    bool        // the packet that arrived last had CE
	handshake bool        // the next ACK has the handshake encoding
	bare      bool        // the ACK that is owed tells of marks alone: it has no SACK blocks
	introduce bool        // our options are to be shown to the path: up to the first text
	mute      bool        // our options do not get through
	trying    bool        // the text up to tried has the first option that text has had
	tried     seq.Num
	repeats   uint8 // times that the peer has repeated what begins at again, since it said something new
	again     seq.Num

	// As data sender.
	tsval    uint32 // TSval of the last feedback
	fresh    uint32 // packets that the ACK under way says arrived as CE
	untold   uint32 // octets that did, of which the congestion control does not know
	since    sinceOption
	mean     uint32 // packets that an ACK acknowledges, in the mean, in 64ths
	begun    bool   // there has been feedback: tsval is one
	early    bool   // our SYN or SYN,ACK arrived as CE
	checked  bool   // the peer's options have been looked at for zeros
	zeroed   bool   // they are not to be believed
	deaf     bool   // its marks are not to be answered
	unmarked bool   // something has arrived without CE
	rounds   uint8  // in a row of which all has arrived as CE
	round    seq.Num
}

// firstCounters are those of section 3.2.1: "r.cep = 5, r.e0b = r.e1b = 1, and r.ceb = 0".
var firstCounters = ECNCounters{CEP: 5, E0B: 1, E1B: 1}

func newAccVars() *accVars {
	first := firstCounters
	return &accVars{rcv: first, snd: first, told: first, echoed: first.CEP}
}

// The three flags as one field, whose lowest bit is ECE.
const (
	aceBits  = wire.AE | wire.CWR | wire.ECE
	aceShift = 6
)

func aceOf(f wire.Flags) uint8          { return uint8(f>>aceShift) & 7 }
func flagsOf(ace uint8) wire.Flags      { return wire.Flags(ace&7) << aceShift }
func classicSetup(f wire.Flags) bool    { return f&aceBits == wire.CWR|wire.ECE }
func saysAccurate(f wire.Flags) bool    { return f&aceBits != 0 && !classicSetup(f) } // of a SYN: section 3.1.3
func isSYN(seg *wire.Segment) bool      { return seg.Flags&(wire.SYN|wire.ACK) == wire.SYN }
func isSYNACK(seg *wire.Segment) bool   { return seg.Flags&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK }
func codepoint(seg *wire.Segment) uint8 { return seg.TC & ecnMask }

// handshakeACE is how a SYN,ACK says the ECN field of the SYN, and an ACK that of the SYN,ACK: tables
// 2 and 3, by codepoint.
var handshakeACE = [4]uint8{0: 0b010, ecnECT1: 0b011, ecnECT0: 0b100, ecnCE: 0b110}

// handshakeTC is the inverse; others say nothing.
func handshakeTC(ace uint8) (tc uint8, ok bool) {
	for tc, v := range handshakeACE {
		if v == ace {
			return uint8(tc), true
		}
	}
	return 0, false
}

// acc returns what the connection remembers, nil where it is not in AccECN mode. A half-open
// connection has nothing to remember: it has what the machine of a cookie has.
func (c *Conn) acc() *accVars {
	if c.ecn.acc == nil && c.ecn.accurate {
		c.ecn.acc = newAccVars()
	}
	return c.ecn.acc
}

// askAccurate makes our SYN one that asks for AccECN, and so the first that goes again. "If this
// first retransmission also fails to be acknowledged [...] the TCP Client SHOULD send subsequent
// retransmissions of the SYN with the three TCP-ECN flags cleared", section 3.1.4.1.
func (c *Conn) askAccurate(seg *wire.Segment) {
	if c.rto.count > 1 {
		c.ecn.plain = true
		return
	}
	c.ecn.wanted = true
	seg.Flags |= aceBits
}

// answerAccurate is our SYN,ACK. The first has an option as well. "The TCP Server SHOULD retransmit
// the SYN/ACK, but with no AccECN Option. If this retransmission times out [...] the TCP Server
// SHOULD retransmit the SYN/ACK with (AE,CWR,ECE) = (0,0,0) and no AccECN Option" (section
// 3.2.3.2.2): then it marks nothing.
func (c *Conn) answerAccurate(seg *wire.Segment) {
	if c.rto.count > 1 {
		c.ecn.silent = true
		return
	}
	seg.Flags |= flagsOf(handshakeACE[c.ecn.synTC])
	if c.rto.count > 0 {
		return
	}
	space := maxOptions - (wire.TCPHeaderLenOf(seg) - tcpHeader)
	for n := 3; n >= 0; n-- { // beside the cookie of a Fast Open there is not room for all
		if wire.AccECNLen(n) <= space {
			first := firstCounters
			putFields(&seg.Options, 0, n, &first)
			return
		}
	}
}

// agreeAccurate reads the peer's SYN or SYN,ACK by table 2 and reports whether it has settled what
// ECN the connection has.
func (c *Conn) agreeAccurate(seg *wire.Segment) bool {
	switch {
	case seg.Flags&wire.ACK == 0:
		// "Host A MUST then enter the same feedback mode as it would have entered had it been a
		// responding host": a SYN that crosses ours, if that has asked.
		if c.state != Listen && !c.ecn.wanted {
			return false
		}
		c.ecn.on, c.ecn.accurate = seg.Flags&aceBits != 0, saysAccurate(seg.Flags)
		c.ecn.synTC = codepoint(seg)
		return true
	case !c.ecn.wanted:
		return false
	}
	said := aceOf(seg.Flags)
	switch said {
	case 0b000, 0b111: // no ECN; reflected flags: "Broken"
		return true
	case 0b001: // RFC 3168; a SYN without ECN that has gone forbids to mark
		c.ecn.on, c.ecn.silent = true, c.ecn.plain
		return true
	}
	c.ecn.on, c.ecn.accurate = true, true
	a := c.acc()
	a.introduce = true
	c.acknowledgeSYNACK(seg)
	// The SYN was sent as Not-ECT. "the Client is advised to send non-ECN-capable packets" where
	// it has arrived as anything else, section 3.2.2.3. 0b101 is reserved: "as if it fed back that
	// the IP-ECN field on the SYN had arrived unchanged", section 3.1.3.
	tc, known := handshakeTC(said)
	c.ecn.silent = known && tc != 0
	a.early = known && tc == ecnCE
	c.checkZeros(&seg.Options)
	a.count(seg, seg.TextLen(), 0)
	return true
}

// acknowledgeSYNACK notes that the next ACK says the ECN field of a SYN,ACK (section 3.2.2.1), and
// r.cep that it was CE: "incremented from 5 to 6, but no further".
func (c *Conn) acknowledgeSYNACK(seg *wire.Segment) {
	a := c.acc()
	a.handshake, a.bare = true, true
	if c.ecn.synTC = codepoint(seg); c.ecn.synTC == ecnCE && !c.ecn.synCE {
		c.ecn.synCE = true
		a.rcv.CEP++
	}
}

// synAgain is a SYN or a SYN,ACK that has come again. "A host in AccECN mode [...] MUST feed back the
// IP-ECN field on the latest valid SYN or acceptable SYN/ACK to arrive", and a server which has had
// a SYN without ECN "MUST NOT set ECT on any packet for the rest of the connection" (section 3.1.5).
func (c *Conn) synAgain(seg *wire.Segment) {
	if !c.ecn.accurate || seg.Seq != c.irs {
		return
	}
	switch {
	case isSYN(seg) && !c.snd.synAcked:
		c.ecn.synTC = codepoint(seg)
		if seg.Flags&aceBits == 0 {
			c.ecn.silent = true
		}
	case isSYNACK(seg) && c.opened == Active && c.snd.synAcked:
		// An ACK that a throttle holds back says nothing.
		if _, known := handshakeTC(aceOf(seg.Flags)); known && c.reply.owed&owedACK != 0 {
			c.acknowledgeSYNACK(seg)
		}
	}
}

// mixedECN reports whether a SYN that has come again asks for the other kind of ECN: "MUST reset the
// connection with a RST packet, if it receives a 'Classic' ECN-setup SYN with (AE,CWR,ECE) =
// (0,1,1) and a SYN requesting AccECN feedback during the same handshake".
func (c *Conn) mixedECN(seg *wire.Segment) bool {
	if !c.ecn.on || !isSYN(seg) || seg.Flags&wire.RST != 0 || seg.Seq != c.irs {
		return false
	}
	return c.ecn.accurate && classicSetup(seg.Flags) || !c.ecn.accurate && saysAccurate(seg.Flags)
}

// finishAccurate is the segment that acknowledges our SYN. A server infers from a pure ACK how its
// SYN,ACK has arrived (table 4); a segment with text has the counter. What crossed in a
// simultaneous open has a SYN, and says nothing.
func (c *Conn) finishAccurate(now Time, seg *wire.Segment) {
	a := c.acc()
	if a == nil {
		return
	}
	if c.state == SynReceived && c.opened == Passive {
		ace := aceOf(seg.Flags)
		if seg.TextLen() == 0 && len(seg.Options.Blocks()) == 0 {
			switch ace {
			case 0b000: // "MUST NOT set ECT on outgoing packets and MUST NOT respond to AccECN feedback"
				c.ecn.silent, a.deaf = true, true
			case 0b011, 0b100:
				c.ecn.silent = true // section 3.2.2.3: our SYN,ACK was Not-ECT
			case 0b110:
				c.ecn.silent, a.early = true, true
				a.snd.CEP++
			}
		} else {
			n := newMarks(a.snd.CEP, ace)
			a.snd.CEP += uint64(n)
			a.early = n > 0
		}
		c.checkZeros(&seg.Options)
		a.readOption(&seg.Options)
	}
	a.begun, a.tsval = true, seg.Options.TSVal
	a.since.known = seg.Options.Has(wire.HasAccECN) && !a.zeroed
	if a.early && !a.deaf {
		// "triggers the congestion control actions necessary to respond to the CE feedback"
		c.count.marks++
		c.fall(now, Loss{Flight: c.cc.cwnd, ECN: true})
		if c.cc.model == nil {
			c.cc.cwnd = min(c.cc.cwnd, c.cc.ssthresh)
		}
	}
}
