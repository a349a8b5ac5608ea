package tcp

// The user timeout option: RFC 5482. Both ends say for how long they would wait, and adopt the longer
// time within limits.

import (
	"time"

	"github.com/vitro-net/vitro/wire"
)

// The limits of RFC 5482 section 3.1: L_LIMIT "SHOULD be set to at least 100 seconds"; U_LIMIT bounds
// for how long a peer can make us hold a connection.
const (
	leastPeerTimeout = 100 * time.Second
	mostPeerTimeout  = time.Hour
)

// minutes is the granularity bit of the option.
const minutes = 1 << 15

// advertised is ADV_UTO: what the user has set, or the default. 0 is for ever, which the option cannot
// say.
func (c *Conn) advertised() time.Duration {
	if c.timer.userSet {
		return max(c.timer.userTimeout, 0)
	}
	return max(c.cfg.UserTimeout, 0)
}

// encodeTimeout is section 3.3: seconds, or where they are too many minutes; rounded up.
func encodeTimeout(d time.Duration) uint16 {
	if s := (d + time.Second - 1) / time.Second; s < minutes {
		return uint16(s)
	}
	return minutes | uint16(min((d+time.Minute-1)/time.Minute, minutes-1))
}

func decodeTimeout(v uint16) time.Duration {
	if v&minutes != 0 {
		return time.Duration(v&^minutes) * time.Minute
	}
	return time.Duration(v) * time.Second
}

// putUserTimeout puts the option into a SYN, and into "the first packet that does not have the SYN flag
// set" and after a change into the next; of these, into one without text, whose size it does not
// change.
func (c *Conn) putUserTimeout(seg *wire.Segment) {
	d := c.advertised()
	syn := seg.Flags&wire.SYN != 0
	if !c.cfg.UserTimeoutOption || d == 0 || !syn && !c.timer.tellTimeout || wire.TCPHeaderLenOf(seg)-tcpHeader+4 > maxOptions {
		return
	}
	seg.Options.Set |= wire.HasUserTimeout
	seg.Options.UserTimeout = encodeTimeout(d)
	c.timer.tellTimeout = syn
}

// hearUserTimeout is section 3.1: "USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))".
// "If an application explicitly sets the USER_TIMEOUT, CHANGEABLE MUST become false"; Status tells what
// the peer has said all the same.
func (c *Conn) hearUserTimeout(seg *wire.Segment) {
	if !c.cfg.UserTimeoutOption || !seg.Options.Has(wire.HasUserTimeout) {
		return
	}
	c.timer.peerTimeout = seg.Options.UserTimeout
	own := c.advertised()
	if c.timer.userSet || own == 0 {
		return
	}
	wanted := max(own, decodeTimeout(c.timer.peerTimeout), leastPeerTimeout, 2*c.cfg.MaxRTO)
	c.timer.userTimeout = min(wanted, max(own, mostPeerTimeout))
}

// spared reports whether keep-alives do not end the connection yet, since it is to survive for longer
// what they find out.
//
// It deviates from RFC 5482 section 4.2, by which with this option "the keep-alive timer MUST be set to
// a value larger than that of the adopted USER TIMEOUT", for "the TCP keep-alive mechanism might abort
// a connection that would otherwise have survived the transient period without connectivity". Here
// they go as the user has said, and keep what is on the way from forgetting the connection; it is that
// they abort it which waits. So does Linux, where a user timeout is set.
func (c *Conn) spared(now Time) bool {
	return c.cfg.UserTimeoutOption && c.timer.userTimeout > 0 && now <= c.keep.last.Add(c.timer.userTimeout)
}
