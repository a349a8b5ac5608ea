package host

import (
	"errors"
	"io"
	"syscall"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Errors are syscall.Errno as Linux gives them for the same act, io.EOF,
// os.ErrDeadlineExceeded, a context's own error, those of package tcp about keys, and:
var (
	// ErrClosed: the connection, the listener or the host has been closed by its user. It
	// stands for net.ErrClosed, which this package must not import.
	ErrClosed = errors.New("host: use of closed connection")
)

// errno returns the errno of what ended a connection or an attempt at one. soft is the
// last soft error: where the user timeout ended it, and the network had said why nothing
// came through, that is the reason to give (RFC 1122 section 4.2.3.5, RFC 5461 section 2),
// as Linux does.
func errno(err error, soft tcp.SoftError) error {
	if e, ok := err.(stack.Error); ok { //nolint:errorlint // the stack wraps nothing
		return stackErrno(e)
	}
	e, ok := err.(tcp.Error) //nolint:errorlint // nor does the machine
	if !ok {
		return err
	}
	switch e {
	case tcp.ErrReset:
		return syscall.ECONNRESET
	case tcp.ErrRefused:
		return syscall.ECONNREFUSED
	case tcp.ErrUserTimeout:
		if n, ok := softErrno(soft.Reason); ok {
			return n
		}
		return syscall.ETIMEDOUT
	case tcp.ErrUnreachable:
		if n, ok := softErrno(soft.Reason); ok {
			return n
		}
		return syscall.EHOSTUNREACH
	case tcp.ErrInvalidRemote:
		return syscall.ENETUNREACH // as Linux answers connect to a multicast address
	case tcp.ErrUnspecified:
		return syscall.ECONNREFUSED // as Linux answers connect to port 0
	case tcp.ErrExists:
		return syscall.EISCONN
	case tcp.ErrNotExist:
		return syscall.ENOTCONN
	case tcp.ErrClosing:
		return syscall.EPIPE
	case tcp.ErrResources:
		return syscall.ENOBUFS
	case tcp.ErrBadKey, tcp.ErrKeyOverlap, tcp.ErrNoKey, tcp.ErrKeyInUse:
		return e // no errno says it
	case tcp.ErrAborted, tcp.ErrUnread:
		return syscall.ECONNABORTED // by this end, after the user has left
	}
	return err
}

// ending is what has ended a connection in the machine's words, and the errno.
type ending struct {
	error
	errno error
}

func (e ending) Unwrap() []error { return []error{e.error, e.errno} }

// withErrno has errors.Is find in Status.Err what Read and Write return.
func withErrno(st tcp.Status) tcp.Status {
	if st.Err != nil {
		st.Err = ending{st.Err, errno(st.Err, st.Soft)}
	}
	return st
}

// refusal is an error about a link with the stack's own words, and the errno.
type refusal struct {
	error
	errno syscall.Errno
}

func (r refusal) Unwrap() error { return r.errno }

// refused is errno for an interface or a route: the text of an InterfaceError says more.
func refused(err error) error {
	var e stack.Error
	if !errors.As(err, &e) {
		return err
	}
	n := stackErrno(e)
	if no, ok := n.(syscall.Errno); ok { //nolint:errorlint // it is one or the other
		return refusal{err, no}
	}
	return n
}

func stackErrno(e stack.Error) error {
	switch e {
	case stack.ErrAddrInUse:
		return syscall.EADDRINUSE
	case stack.ErrAddrNotAvailable, stack.ErrNoPorts:
		return syscall.EADDRNOTAVAIL
	case stack.ErrNoRoute:
		return syscall.ENETUNREACH
	case stack.ErrLimit:
		return syscall.ENOBUFS
	case stack.ErrTooLong:
		return syscall.EMSGSIZE
	case stack.ErrNoDestination:
		return syscall.EDESTADDRREQ
	case stack.ErrInvalidAddr, stack.ErrNoInterface, stack.ErrInvalidMTU:
		return syscall.EINVAL
	case stack.ErrMulticast, stack.ErrFull: // no errno says the one, and nobody is told the other
	}
	return e
}

// softErrno returns the errno of an ICMP message, as RFC 1122 section 4.2.3.9 sorts them
// and Linux numbers them; false where there was none.
func softErrno(r tcp.SoftReason) (syscall.Errno, bool) {
	switch r {
	case tcp.NetUnreachable:
		return syscall.ENETUNREACH, true
	case tcp.HostUnreachable, tcp.Prohibited, tcp.TimeExceeded:
		return syscall.EHOSTUNREACH, true
	case tcp.ProtocolUnreachable:
		return syscall.ENOPROTOOPT, true
	case tcp.PortUnreachable:
		return syscall.ECONNREFUSED, true
	case tcp.ParameterProblem:
		return syscall.EPROTO, true
	case tcp.NoSoftError, tcp.ExcessiveRetransmissions:
	}
	return 0, false
}

// readError says what Read returns when the machine gives err instead of text. What ended
// the connection is told once, to Read or to Write, whichever asks first; after that the
// stream has an end like any other. After the peer's FIN it has its end in any case, and the
// reason is left for Write. So does Linux.
func (c *Conn) readError(err error) error {
	if c.peerClosed {
		return io.EOF
	}
	if e := c.takeError(err); e != nil {
		return e
	}
	return io.EOF
}

// writeError says what Write returns: the reason once, then EPIPE, "the local end has
// been shut down". After the peer's FIN a reset is EPIPE at once.
func (c *Conn) writeError(err error) error {
	e := c.takeError(err)
	if e == nil || c.peerClosed && errors.Is(e, syscall.ECONNRESET) {
		return syscall.EPIPE
	}
	return e
}

// takeError returns the errno of what ended the connection, the first time.
func (c *Conn) takeError(err error) error {
	if c.told || errors.Is(err, tcp.ErrClosing) || errors.Is(err, tcp.ErrNotExist) {
		return nil
	}
	c.told = true
	return errno(err, c.core.SoftError())
}
