package tcp

import "strconv"

// Error is one of the error responses of RFC 9293 section 3.10: "Error responses in
// this document are identified by character strings."
type Error uint8

// The responses. The zero Error means none.
const (
	_ Error = iota
	// ErrNotExist: there is no connection (any more).
	ErrNotExist
	// ErrExists: OPEN on a connection that is open already.
	ErrExists
	// ErrUnspecified: an active OPEN, or a SEND in LISTEN, without a remote socket.
	ErrUnspecified
	// ErrInvalidRemote: an active OPEN to an address that cannot be one peer's
	// (multicast, broadcast), MUST-46.
	ErrInvalidRemote
	// ErrClosing: the user has closed; or, from Receive, the peer has, and everything it
	// sent has been read: the end of the stream.
	ErrClosing
	// ErrReset: the peer reset the connection.
	ErrReset
	// ErrRefused: the peer answered a SYN by a reset.
	ErrRefused
	// ErrAborted: the local user aborted the connection.
	ErrAborted
	// ErrUserTimeout: no acknowledgment for as long as the user timeout allows.
	ErrUserTimeout
	// ErrUnreachable: an ICMP error ended the attempt to connect; SoftError says which.
	ErrUnreachable
	// ErrUnread: the connection was reset because data arrived that nobody will read
	// (SHLD-3).
	ErrUnread
	// ErrResources: the connection's owner has taken its memory back (Reclaim).
	ErrResources
	// ErrBadKey: a key without a secret, or with an algorithm or a prefix that there is not.
	ErrBadKey
	// ErrKeyOverlap: two keys for the same sockets have an ID in common.
	ErrKeyOverlap
	// ErrNoKey: no key has that ID, is for that peer, or the connection has begun without keys.
	ErrNoKey
	// ErrKeyInUse: a key that the connection uses would be taken away or changed.
	ErrKeyInUse
)

var errorTexts = [...]string{
	ErrNotExist:      "connection does not exist",
	ErrExists:        "connection already exists",
	ErrUnspecified:   "remote socket unspecified",
	ErrInvalidRemote: "remote socket is no single host's",
	ErrClosing:       "connection closing",
	ErrReset:         "connection reset",
	ErrRefused:       "connection refused",
	ErrAborted:       "connection aborted by the user",
	ErrUserTimeout:   "connection aborted due to user timeout",
	ErrUnreachable:   "destination unreachable",
	ErrUnread:        "connection reset: data arrived after close",
	ErrResources:     "insufficient resources",
	ErrBadKey:        "key without a secret, or with an unknown algorithm or a prefix of no address",
	ErrKeyOverlap:    "two keys for the same sockets have an ID in common",
	ErrNoKey:         "no key for the peer, or none that has the ID",
	ErrKeyInUse:      "key is in use",
}

// Error returns the response's text.
func (e Error) Error() string {
	switch {
	case e == 0:
		return "no error"
	case int(e) < len(errorTexts):
		return errorTexts[e]
	}
	return "Error(" + strconv.Itoa(int(e)) + ")"
}
