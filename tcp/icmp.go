package tcp

// ICMP messages: RFC 9293 section 3.9.2.2, with the checks of RFC 5927.

import "github.com/vitro-net/vitro/seq"

// SoftError is an error that does not end a synchronized connection: RFC 9293 section
// 3.9.1.8, "a mechanism for reporting soft TCP error conditions to the application".
type SoftError struct {
	Reason     SoftReason
	Hard       bool    // ends an attempt to connect (RFC 9293 section 3.9.2.2, Hard Errors)
	Type, Code uint8   // of the ICMP message
	Seq        seq.Num // what the message quotes; for ExcessiveRetransmissions, SND.UNA
}

// SoftReason says what a SoftError is about.
type SoftReason uint8

// The reasons.
const (
	NoSoftError SoftReason = iota
	NetUnreachable
	HostUnreachable
	ProtocolUnreachable
	PortUnreachable
	Prohibited
	TimeExceeded
	ParameterProblem
	ExcessiveRetransmissions // R1 is reached: RFC 9293 section 3.8.3
)

var softReasonNames = [...]string{"none", "network unreachable", "host unreachable", "protocol unreachable",
	"port unreachable", "communication prohibited", "time exceeded", "parameter problem", "excessive retransmissions"}

// String names the reason.
func (r SoftReason) String() string { return softReasonNames[min(int(r), len(softReasonNames)-1)] }

// SoftError returns the last soft error; its Reason is NoSoftError when there was none.
func (c *Conn) SoftError() SoftError { return c.soft }

// PacketTooBig processes the report that a segment with sequence number quoted did not fit
// a path of mtu octets (RFC 1191, RFC 8201), and reports whether it was believed: only for
// what is in flight, only downwards, and not below 576 octets for IPv4 and 1280 for IPv6
// (RFC 5927 section 7). What is in flight is cut anew and sent again; it is no sign of
// congestion (RFC 8201 section 5.4). One about a probe that is larger than the rest says which size
// to probe next (RFC 8899 section 4.6.2), and what is sent stays as it is.
func (c *Conn) PacketTooBig(now Time, quoted seq.Num, mtu int) bool {
	if c.flow.Remote.Is4() && c.ignoresICMP(3, 4) {
		return false
	}
	mtu = max(mtu, int(c.leastMTU()))
	if !c.inFlight(quoted) || mtu >= int(c.pmtu()) {
		return c.inFlight(quoted) && c.mtuHint(now, quoted, mtu)
	}
	c.setPathMTU(mtu)
	c.lowerMTU(now, c.pathMTU, 0)
	c.tellPathMTU(now, RulePacketTooBig)
	if c.textOut() > 0 && (c.snd.synAcked || c.fastOpened()) {
		c.sentAgain(c.snd.una)
		c.loseAll(now, RulePacketTooBig)
	}
	c.synTooBig(now)
	return true
}

// SetPathMTU tells the connection that the path carries packets of mtu octets, as the stack has
// learned from another connection to the same host, and nothing above most; 0 means mtu. Where most
// is more, probes go on with the search (RFC 4821 section 5.2). It only lowers.
func (c *Conn) SetPathMTU(now Time, mtu, most int) {
	if mtu < int(c.pmtu()) {
		c.setPathMTU(mtu)
		c.lowerMTU(now, c.pathMTU, uint16(min(max(most, 0), int(c.mtu))))
	}
}

// SetLinkMTU tells the connection that its packets now leave by a link that carries mtu octets. It
// only lowers, and no probe goes beyond.
func (c *Conn) SetLinkMTU(mtu int) {
	c.mtu = min(c.mtu, clampMTU(mtu))
	if c.pathMTU != 0 {
		c.setPathMTU(int(c.pathMTU))
	}
}
