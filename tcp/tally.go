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
	limit                        limit
	since                        Time // when limit was last looked at
}

// limit is what keeps a connection from sending more.
type limit uint8

const (
	limitNone   limit = iota // there is nothing to send
	limitPath                // the congestion window, pacing, or the Nagle algorithm
	limitWindow              // the peer's window
	limitBuffer              // the send buffer
)

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
	case limitBuffer:
		t.BufferLimited += passed
		t.Busy += passed
	case limitWindow:
		t.WindowLimited += passed
		t.Busy += passed
	case limitPath:
		t.Busy += passed
	case limitNone:
	}
	switch unsent := c.unsent(); {
	case !c.outstanding() && !c.somethingToSend():
		t.limit = limitNone
	case unsent > 0 && c.usableWindow() < min(unsent, c.mss()) && c.congestionRoom() > 0:
		t.limit = limitWindow
	case unsent == 0 && t.refused:
		t.limit = limitBuffer
	default:
		t.limit = limitPath
	}
}

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
