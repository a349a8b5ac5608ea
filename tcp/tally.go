package tcp

// What has happened to a connection, in numbers: what Linux tells by TCP_INFO.

import (
	"time"

	"github.com/vitro-net/vitro/wire"
)

// Counts are the numbers of a connection's life so far. Super-segments count as what they are cut
// into or made of. Times are those of the last event.
type Counts struct {
	OctetsOut, OctetsAcked, OctetsIn uint64 // of text: sent, those sent again too; acknowledged; received in order
	SegmentsOut, SegmentsIn          uint32 // of all kinds; they wrap
	TextOut, TextIn                  uint32 // of these, with text
	OutOfOrderIn                     uint32 // of these, behind a gap
	Duplicates                       uint32 // D-SACK blocks that have come: the peer has something twice
	LastTextIn                       Time   // when text last came, 0: never

	Busy          time.Duration // in which something was outstanding or waiting to be sent,
	WindowLimited time.Duration // of which the peer's window kept back what waited,
	BufferLimited time.Duration // and the send buffer what the user had
}

// counters are Counts, and what else Status tells of losses.
type counters struct {
	Counts
	resent                       uint64 // octets
	recoveries, timeouts, undone uint32
	marks                        uint32 // ACKs with ECE that have been answered
	lastLoss                     Rule   // why something was last to be sent again
	refused                      bool   // the user has more than the send buffer takes
	limit                        Limit
	since                        Time // when limit was last looked at
}

// countIn counts a segment that arrives.
func (c *Conn) countIn(now Time, seg *wire.Segment) {
	n := wireSegments(seg)
	c.count.SegmentsIn += n
	if len(seg.Text) > 0 {
		c.count.TextIn += n
		c.count.LastTextIn = now
	}
}

// countOut counts a segment that leaves.
func (c *Conn) countOut(seg *wire.Segment) {
	n, text := wireSegments(seg), seg.TextLen()
	c.count.SegmentsOut += n
	if text > 0 {
		c.count.TextOut += n
		c.count.OctetsOut += uint64(text)
	}
}

// wireSegments is how many segments one is on the wire.
func wireSegments(seg *wire.Segment) uint32 {
	if n := uint32(seg.GSO); n > 0 {
		return max((seg.TextLen()+n-1)/n, 1)
	}
	return 1
}

// countTime looks what keeps the connection from sending more: once nothing goes any more.
func (c *Conn) countTime(now Time) {
	t := &c.count
	passed := now.Sub(t.since)
	t.since = now
	switch t.limit {
	case LimitBuffer:
		t.BufferLimited += passed
		t.Busy += passed
	case LimitWindow:
		t.WindowLimited += passed
		t.Busy += passed
	case LimitPath:
		t.Busy += passed
	case LimitNone:
	}
	t.limit = c.limit()
}

// limit is what keeps the connection from sending more now.
func (c *Conn) limit() Limit {
	switch unsent := c.unsent(); {
	case unsent == 0 && (c.board == nil || !c.outstanding()):
		return LimitNone
	case unsent > 0 && c.usableWindow() < min(unsent, c.mss()) && c.congestionRoom() > 0:
		return LimitWindow
	case unsent == 0 && c.count.refused:
		return LimitBuffer
	}
	return LimitPath
}

// Limit is what keeps a connection from sending more.
type Limit uint8

// The limits.
const (
	LimitNone   Limit = iota // nothing waits to be sent or acknowledged: the user has no more
	LimitPath                // what is outstanding, the congestion window, pacing, the Nagle algorithm, or the handshake
	LimitWindow              // the peer's window
	LimitBuffer              // the send buffer: it is full, and all of it is on the way
)

var limitNames = [...]string{"none", "path", "window", "buffer"}

// String is the limit in a word.
func (l Limit) String() string { return limitNames[min(int(l), len(limitNames)-1)] }

// Phase is where a connection is with its losses.
type Phase uint8

// The phases.
const (
	PhaseOpen     Phase = iota // nothing is deemed lost
	PhaseRecovery              // fast recovery
	PhaseTimeout               // slow start after a retransmission timeout, up to what was outstanding then
)

var phaseNames = [...]string{"open", "recovery", "timeout"}

// String is the phase in a word.
func (p Phase) String() string { return phaseNames[min(int(p), len(phaseNames)-1)] }
