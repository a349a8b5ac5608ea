// Package within says whether a test is one that was built with vitro beneath package net.
package within

import (
	"errors"
	"net"
	"testing"
)

// Bubble skips the test unless package net is the one of `vitro overlay`: a socket of the kernel
// cannot stand in a testing/synctest bubble, for who waits for it is not waiting for the bubble's
// clock. Such a socket has a file descriptor, and one of vitro's has none.
func Bubble(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatalf("nothing listens on 127.0.0.77: %v", err)
	}
	defer l.Close() //nolint:errcheck // it was for the question alone
	tl, ok := l.(*net.TCPListener)
	if !ok {
		t.Fatalf("a listener is a %T", l)
	}
	f, err := tl.File()
	if err == nil {
		f.Close() //nolint:errcheck,gosec // as above
		t.Skip("this binary has the kernel beneath package net; `make clusters` builds it with vitro there")
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("a listener on 127.0.0.77 says neither that it has a file descriptor nor that it has none: %v", err)
	}
}
