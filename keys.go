package vitro

import (
	"syscall"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/tcp"
)

// The TCP Authentication Option, RFC 5925: with [tcp.Keys] in Config, Dialer or ListenConfig each
// segment of a connection has a MAC, and one that has not the right one is dropped in silence, a
// reset too. Both ends must have the keys; nothing is negotiated. Status().Auth tells the IDs in
// use and counts what was dropped.
//
// A key is changed while the connection lives: both ends add the new one by SetKeys, then one
// asks for it by SetNextKey, or uses it by SetCurrentKey, and when both use it the old one is
// left out of SetKeys.

// SetKeys gives the listener other keys for connections that come from now on; nil: Config.Keys,
// an empty list: none.
// Errors are net.ErrClosed, and tcp.ErrBadKey or tcp.ErrKeyOverlap as of tcp.Keys.Check, in an
// OpError.
func (l *Listener) SetKeys(keys tcp.Keys) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	if err := l.l.SetKeys(keys); err != nil {
		return l.fail("set", "setsockopt", err)
	}
	return nil
}

// SetKeys changes the connection's set of keys (RFC 5925 section 7.1). Those in use must stay and
// none may change (section 3.1), or the error is tcp.ErrKeyInUse; it is tcp.ErrNoKey on a connection
// that began without keys, tcp.ErrBadKey or tcp.ErrKeyOverlap as of tcp.Keys.Check, and
// net.ErrClosed, each in an OpError.
func (c *Conn) SetKeys(keys tcp.Keys) error {
	return c.setHere(func(h *host.Conn) error { return h.SetKeys(keys) })
}

// Keys returns the keys of the connection, with their secrets; nil where it has none, and after
// Close.
func (c *Conn) Keys() tcp.Keys {
	if !c.ok() {
		return nil
	}
	return c.c.Keys()
}

// SetCurrentKey says by which key all is signed that is sent from now on: that with the SendID
// (current_key of RFC 5925 section 6.1). The peer may ask for another. Errors are tcp.ErrNoKey and
// net.ErrClosed, in an OpError.
func (c *Conn) SetCurrentKey(sendID uint8) error {
	return c.setHere(func(h *host.Conn) error { return h.SetCurrentKey(sendID) })
}

// SetNextKey asks the peer, in all that is sent from now on, to sign by the key with the RecvID
// (rnext_key of RFC 5925 section 6.1). Errors are tcp.ErrNoKey and net.ErrClosed, in an OpError.
func (c *Conn) SetNextKey(recvID uint8) error {
	return c.setHere(func(h *host.Conn) error { return h.SetNextKey(recvID) })
}

// SetAcceptICMP lets a connection with keys heed the ICMP messages that it ignores by default (RFC
// 5925 section 7.8): port, protocol and administratively unreachable, and IPv4's fragmentation
// needed, without which a router cannot tell it of a smaller path MTU. Error: net.ErrClosed, in an
// OpError.
func (c *Conn) SetAcceptICMP(on bool) error {
	return c.setHere(func(h *host.Conn) error { return h.SetAcceptICMP(on) })
}
