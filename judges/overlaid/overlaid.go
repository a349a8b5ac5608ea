// Package overlaid has programs of others that take a file descriptor from their sockets, as servers,
// clients and pools do, on loopback addresses: by the overlay they run over vitro, unmodified.
// make overlaid builds them so, with a link that delays and loses; built otherwise they are skipped.
package overlaid

import (
	"errors"
	"net"
	"testing"
)

// Needs skips the test unless package net is the one of `vitro overlay`: a socket there has no file
// that could outlive it.
func Needs(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatalf("nothing listens on 127.0.0.77: %v", err)
	}
	defer l.Close()
	tl, ok := l.(*net.TCPListener)
	if !ok {
		t.Fatalf("a listener is a %T", l)
	}
	f, err := tl.File()
	if err == nil {
		f.Close()
		t.Skip("this binary has the kernel beneath package net; `make overlaid` builds it with vitro there")
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("a listener on 127.0.0.77 says neither that it has a file nor that it has none: %v", err)
	}
}
