// Package ladder is the notation of RFC 9293 sections 3.5 and 3.6, figures 6 to 13: two
// peers, a line for each segment, the state of both ends at the sides.
//
//	    TCP Peer A                                               TCP Peer B
//	1.  CLOSED                                                   LISTEN
//	2.  SYN-SENT    --> <SEQ=1000><CTL=SYN>                  --> SYN-RECEIVED
//	3.  ESTABLISHED <-- <SEQ=2000><ACK=1001><CTL=SYN,ACK>    <-- SYN-RECEIVED
//	4.  ESTABLISHED --> <SEQ=1001><ACK=2001><CTL=ACK>        --> ESTABLISHED
//
// Section 3.5 says how to read it: "Right arrows (-->) indicate departure of a TCP
// segment from TCP Peer A to TCP Peer B or arrival of a segment at B from A. Left arrows
// (<--) indicate the reverse. Ellipses (...) indicate a segment that is still in the
// network (delayed). Comments appear in parentheses. TCP connection states represent the
// state AFTER the departure or arrival of the segment". So
//
//	--> <segment> -->    departs from A, arrives at B
//	--> <segment> ...    departs from A, delayed
//	... <segment> -->    sent earlier, or by nobody who is here, arrives at B
//	--> <segment> ... (lost)    departs from A and is lost on the way
//
// and the same from B to A with <-- and the sides exchanged. Beyond the RFC's grammar are
// only a time after the line's number (0.020s, or +0.020s after the time before it), options
// (<MSS=1460><WS=7><SACKOK><TS=1,0><UTO=300><AO=1,2><SACK=5-9,12-15><COOKIEOPT=NIL><ACCECN0=1,0,1>), <LEN=n>, <WND=n> and <UP=n>, the comment
// (lost), user calls as comments, and the reason of a line behind a semicolon:
// "; A by RFC 9293 3.10.7.4 fifth: our FIN is acknowledged". A row of fields alone goes on with
// the segment above it, a row that begins with a semicolon with its reasons.
//
// A text may begin with "# Title" (or end with a "Figure 6: ..." line), a sentence that says
// what happens, and a line that begins with RFC and names the clause.
//
// [Parse] reads the notation, [Ladder.Print] writes it, [Recorder] makes it, and a picture
// ([Recorder.SVG]), from what a simulation or a capture reports. The package does no I/O and reads
// no clock; its values are plain data, and not for use by several goroutines while one of them writes.
package ladder

import (
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Peer is one of the two sides: A at the left or B at the right.
type Peer uint8

// The peers.
const (
	A Peer = iota
	B
)

// Other returns the other side.
func (p Peer) Other() Peer { return p ^ 1 }

// String returns "A" or "B".
func (p Peer) String() string {
	if p == A {
		return "A"
	}
	return "B"
}

// defaultPeers are the headings of the RFC's figures.
var defaultPeers = [2]string{"TCP Peer A", "TCP Peer B"}

// Fate is what becomes of a segment on its line.
type Fate uint8

// The fates.
const (
	Delivered Fate = iota // departs and arrives, with nothing between
	Delayed               // departs; "still in the network"
	Arrived               // arrives; it departed on an earlier line, or never here (an old duplicate)
	Lost                  // departs, and never arrives
)

// String names the fate in a word.
func (f Fate) String() string {
	return [...]string{"delivered", "delayed", "arrived", "lost"}[f&3]
}

// A Ladder is one exchange of segments.
type Ladder struct {
	Title    string    // "Figure 6: Basic Three-Way Handshake for Connection Synchronization"
	Sentence string    // what happens
	Clause   string    // where it is written; begins with "RFC "
	Peers    [2]string // the headings; empty: TCP Peer A, TCP Peer B
	Lines    []Line
}

// A Line is one row. The rows under one number of the RFC's figures are several Lines, of which
// the first carries the number.
type Line struct {
	Number  int           // 0: the row goes on with the number above
	Timed   bool          // Time is known
	Time    time.Duration // since the start: of the departure if there is one on this line
	Ends    [2]End
	Segment *Segment // nil: no segment
	From    Peer     // who sent Segment
	Fate    Fate     // of Segment
	Why     []Why
}

// An End is what a line says of one peer.
type End struct {
	State tcp.State
	Known bool   // State is said
	Note  string // a comment or a user's call, without its parentheses
}

// Why is the reason for what a peer did on a line.
type Why struct {
	Peer     Peer
	Clause   string // RFC 9293 3.10.7.4 fifth
	Sentence string // our FIN is acknowledged
}

// String prints the reason as the notation has it.
func (w Why) String() string {
	s := w.Peer.String() + " by " + w.Clause
	if w.Sentence != "" {
		s += ": " + w.Sentence
	}
	return s
}

// whyOf returns the reason that rule gives, and false if it is no rule.
func whyOf(p Peer, rule tcp.Rule) (Why, bool) {
	if rule == 0 {
		return Why{}, false
	}
	return Why{Peer: p, Clause: rule.Clause(), Sentence: rule.Sentence()}, true
}
