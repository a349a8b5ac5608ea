package stack

import "errors"

// Error says why a call was refused. It is a small number, so that a caller can map each to
// what its users know; see also [tcp.Error], which the machine's own refusals are.
type Error uint8

// The errors.
const (
	_ Error = iota
	// ErrAddrInUse: another listener has the address and port, or another connection both
	// sockets (EADDRINUSE).
	ErrAddrInUse
	// ErrAddrNotAvailable: the local address is none of the stack's, or there is none to
	// reach the remote address from (EADDRNOTAVAIL).
	ErrAddrNotAvailable
	// ErrNoRoute: no interface leads to the remote address (ENETUNREACH).
	ErrNoRoute
	// ErrNoPorts: every port of the range is in use towards the remote socket
	// (EADDRNOTAVAIL).
	ErrNoPorts
	// ErrInvalidAddr: an address or prefix that is none, or local and remote address of
	// different families, or a loopback address to reach another host from (EINVAL).
	ErrInvalidAddr
	// ErrNoInterface: there is no interface of that number.
	ErrNoInterface
	// ErrInvalidMTU: an MTU below 68 octets, which RFC 791 section 3.2 asks of every link,
	// or below 1280 with an IPv6 prefix (RFC 8200 section 5), or above 65535.
	ErrInvalidMTU
	// ErrLimit: the stack holds as many connections as Config allows (ENOBUFS).
	ErrLimit
	// ErrTooLong: more data than a datagram holds (EMSGSIZE).
	ErrTooLong
	// ErrMulticast: the address of a group or a broadcast address, which UDP does not serve here.
	ErrMulticast
	// ErrNoDestination: a socket without a remote one has been given none (EDESTADDRREQ).
	ErrNoDestination
	// ErrFull: there is no room for the datagram now. tcp.SignalWritable tells when there is
	// (EAGAIN).
	ErrFull
)

var errorTexts = [...]string{
	0:                   "no error",
	ErrAddrInUse:        "address already in use",
	ErrAddrNotAvailable: "address not available",
	ErrNoRoute:          "no route to the network",
	ErrNoPorts:          "no free port towards that socket",
	ErrInvalidAddr:      "invalid address",
	ErrNoInterface:      "no such interface",
	ErrInvalidMTU:       "invalid MTU",
	ErrLimit:            "too many connections",
	ErrTooLong:          "more data than a datagram holds",
	ErrMulticast:        "multicast and broadcast are not supported",
	ErrNoDestination:    "destination address required",
	ErrFull:             "no room for a datagram now",
}

// Error returns the text.
func (e Error) Error() string {
	if int(e) >= len(errorTexts) {
		return "no error"
	}
	return errorTexts[e]
}

// Is reports whether target is errors.ErrUnsupported, for ErrMulticast.
func (e Error) Is(target error) bool { return e == ErrMulticast && target == errors.ErrUnsupported }
