package tcp

// What event.go does otherwise than the text of section 3.10 says, where it changes no state: each
// a function that quotes the sentence and says why. The others are beside their steps.

import "github.com/vitro-net/vitro/wire"

// receiveRest serves what is on hand, then end.
//
// It deviates from 3.10.3, which in CLOSING, LAST-ACK and TIME-WAIT says: Return "error:
// connection closing". To the letter, a user who closes before reading what had arrived
// would lose it, though it was acknowledged; the text of CLOSE-WAIT ("any remaining data
// can be used to satisfy the RECEIVE") is followed in all of them, as BSD and Linux do.
func (c *Conn) receiveRest(p []byte, end error) (int, error) {
	if n := c.takeText(p); n > 0 || c.unread() > 0 {
		return n, nil
	}
	return 0, end
}

// keepReceived flushes what is queued for sending alone.
//
// It deviates from 3.10.7.4 second, "All segment queues should be flushed", and from 3.10.8
// likewise: what has arrived in order and was acknowledged before a reset or a timeout can
// still be read, and the error comes after it. A server that answers, closes with part of
// the request unread and so resets, would otherwise take back its answer. Linux does so.
func (c *Conn) keepReceived() { c.flushSendSide() }

// crossedSynAck makes the peer's SYN,ACK, when it crossed ours in a simultaneous open, an
// ACK that begins at RCV.NXT.
//
// It deviates from 3.10.7.4 first: to the letter, line 6 of Figure 7 is not acceptable,
// for <SEQ=300> lies below RCV.NXT=301, and the connection would stay in SYN-RECEIVED
// until both had retransmitted. The figure shows ESTABLISHED; BSD follows the figure.
func (c *Conn) crossedSynAck(seg *wire.Segment) {
	if c.opened == Active && seg.Seq == c.irs && seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN|wire.ACK && c.acksSomethingSent(seg) {
		seg.Flags &^= wire.SYN
		seg.Seq++
		seg.Wnd >>= c.snd.shift // RFC 7323 section 2.2: the window of a SYN is not scaled
	}
}

// ackFromBefore lets an ACK without text from RCV.NXT-1 count, and it is answered as well: it may
// be a keep-alive.
//
// It deviates from 3.10.7.4 first, which drops what is not acceptable, ACK and all. A peer whose
// window we have closed acknowledges from the edge of what we offered (seqInWindow), and does not
// know that we have taken the octet of its probe; if it has taken ours, neither would hear the
// other ever again. BSD takes the ACK of every duplicate.
func (c *Conn) ackFromBefore(seg *wire.Segment) bool {
	return seg.Flags&(wire.ACK|wire.RST|wire.SYN) == wire.ACK && seg.Len() == 0 && seg.Seq == c.rcv.nxt-1
}

// repeatedFIN reports whether the segment ends with the FIN that led to TIME-WAIT.
//
// It deviates from 3.10.7.4, which acknowledges it and restarts the timeout in the fifth
// step: a repeated FIN lies below RCV.NXT and would not get past the first. The fifth step
// says what is meant: "The only thing that can arrive in this state is a retransmission of
// the remote FIN. Acknowledge it, and restart the 2 MSL timeout." All stacks read it so.
func (c *Conn) repeatedFIN(seg *wire.Segment) bool {
	return seg.Flags&(wire.FIN|wire.RST|wire.SYN) == wire.FIN && seg.End() == c.rcv.nxt
}
