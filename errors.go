package vitro

import (
	"context"
	"net"
	"os"
	"syscall"

	"github.com/vitro-net/vitro/host"
)

// cause returns an error of package host as package net puts it into its OpError: an errno with
// the name of the system call that it would come from. The host wraps none of them: what wraps
// one is another's error (of a link, a reader, a Resolver), and stays as it is.
func cause(call string, err error) error {
	switch err {
	case host.ErrClosed: //nolint:errorlint // for that reason
		return net.ErrClosed
	case context.Canceled:
		return canceled{}
	case context.DeadlineExceeded:
		return timedOut{}
	}
	if errno, ok := err.(syscall.Errno); ok && call != "" { //nolint:errorlint // and here
		return os.NewSyscallError(call, errno)
	}
	return err
}

// canceled and timedOut are what package net makes of a context's errors: the same texts,
// the same answers to errors.Is.

type canceled struct{}

func (canceled) Error() string        { return "operation was canceled" }
func (canceled) Is(target error) bool { return target == context.Canceled }

// timedOut is waited when a Dial that was under way has timed out: by package net that is
// the one error or the other, whichever of its two timers is first.
type timedOut struct{ waited bool }

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }
func (e timedOut) Is(target error) bool {
	return target == context.DeadlineExceeded || e.waited && target == os.ErrDeadlineExceeded
}
