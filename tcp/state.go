package tcp

import (
	"iter"
	"strconv"
)

// State is a state of RFC 9293 section 3.3.2. Their order has a meaning: from SynSent
// on there is a peer, from Established on the connection is synchronized, from CloseWait
// on the peer has sent its FIN.
type State uint8

// The eleven states.
const (
	Closed      State = iota // "represents no connection state at all"
	Listen                   // "waiting for a connection request from any remote TCP peer and port"
	SynSent                  // "waiting for a matching connection request after having sent a connection request"
	SynReceived              // "waiting for a confirming connection request acknowledgment"
	Established              // "an open connection, data received can be delivered to the user"
	FinWait1                 // "waiting for a connection termination request from the remote TCP peer, or an acknowledgment of the connection termination request previously sent"
	FinWait2                 // "waiting for a connection termination request from the remote TCP peer"
	CloseWait                // "waiting for a connection termination request from the local user"
	Closing                  // "waiting for a connection termination request acknowledgment from the remote TCP peer"
	LastAck                  // "waiting for an acknowledgment of the connection termination request previously sent to the remote TCP peer"
	TimeWait                 // "waiting for enough time to pass to be sure the remote TCP peer received the acknowledgment of its connection termination request"
)

// States returns the eleven states in their order, TimeWait the last.
func States() iter.Seq[State] {
	return func(yield func(State) bool) {
		for s := Closed; s <= TimeWait && yield(s); s++ {
		}
	}
}

var stateNames = [...]string{"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"}

// String prints the state as RFC 9293 does: SYN-SENT.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// Synchronized reports whether both ends know each other's sequence numbers: RFC 9293
// section 3.5 lists ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK
// and TIME-WAIT.
func (s State) Synchronized() bool { return s >= Established }
