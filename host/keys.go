package host

import "github.com/vitro-net/vitro/tcp"

// The keys of TCP-AO: RFC 5925 section 7.1.

// SetKeys gives the listener other keys for the connections that come from now on; nil: the
// stack's. Errors: those of tcp.Keys.Check, ErrClosed.
func (l *Listener) SetKeys(keys tcp.Keys) error {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.core.SetKeys(keys)
}

// SetKeys changes the set of keys: tcp.Conn.SetKeys. Errors: those, ErrClosed.
func (c *Conn) SetKeys(keys tcp.Keys) error {
	return c.set(func(tcp.Time) error { return c.core.SetKeys(keys) })
}

// Keys returns the keys, with their secrets; nil without TCP-AO, and after Close.
func (c *Conn) Keys() tcp.Keys {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.core == nil {
		return nil
	}
	return c.core.Keys()
}

// SetCurrentKey says by which key what is sent is signed. Errors: tcp.ErrNoKey, ErrClosed.
func (c *Conn) SetCurrentKey(sendID uint8) error {
	return c.set(func(tcp.Time) error { return c.core.SetCurrentKey(sendID) })
}

// SetNextKey says by which key the peer is asked to sign. Errors: tcp.ErrNoKey, ErrClosed.
func (c *Conn) SetNextKey(recvID uint8) error {
	return c.set(func(tcp.Time) error { return c.core.SetNextKey(recvID) })
}

// SetAcceptICMP lets a connection with keys heed ICMP messages that it ignores otherwise (RFC
// 5925 section 7.8). Error: ErrClosed.
func (c *Conn) SetAcceptICMP(on bool) error {
	return c.set(func(tcp.Time) error { c.core.SetAcceptICMP(on); return nil })
}
