package stack

import (
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The TCP Authentication Option, RFC 5925: where packets are formed and read, the connection
// signs and judges them. No SYN cookie answers a SYN that is authentic: whoever sends it has the
// key, and what a cookie would have to keep of the keys is in no option that comes back.

// keysOf returns the keys of a connection's or listener's options.
func (s *Stack) keysOf(o *ConnOptions) tcp.Keys {
	if o.Keys != nil {
		return o.Keys
	}
	return s.cfg.Keys
}

// checkKeys refuses the keys of a Dial: own ones of which none is for the peer would leave
// the connection without the protection that was asked for.
func (s *Stack) checkKeys(o *ConnOptions, flow *wire.Flow) error {
	keys := s.keysOf(o).For(flow) // of thousands, for as many peers, a few
	if len(o.Keys) > 0 && keys == nil {
		return tcp.ErrNoKey
	}
	return keys.Check()
}

// SetKeys gives the listener other keys for the SYNs that come from now on; nil: Config.Keys.
// They are copied. Connections that have begun keep theirs. Errors: those of tcp.Keys.Check.
func (l *Listener) SetKeys(keys tcp.Keys) error {
	if err := keys.Check(); err != nil {
		return err
	}
	l.opts.Conn.Keys = keys.Clone()
	return nil
}

// SetKeys is tcp.Conn.SetKeys.
func (c *Conn) SetKeys(keys tcp.Keys) error { return c.tcp.SetKeys(keys) }

// Keys is tcp.Conn.Keys.
func (c *Conn) Keys() tcp.Keys { return c.tcp.Keys() }

// SetCurrentKey is tcp.Conn.SetCurrentKey.
func (c *Conn) SetCurrentKey(sendID uint8) error { return c.tcp.SetCurrentKey(sendID) }

// SetNextKey is tcp.Conn.SetNextKey.
func (c *Conn) SetNextKey(recvID uint8) error { return c.tcp.SetNextKey(recvID) }

// SetAcceptICMP is tcp.Conn.SetAcceptICMP.
func (c *Conn) SetAcceptICMP(on bool) { c.tcp.SetAcceptICMP(on) }

// form writes the packet of a segment of c, signed where it has TCP-AO, and returns its length.
func form(b []byte, c *Conn, flow *wire.Flow, seg *wire.Segment, sum wire.Checksum) int {
	if !seg.Options.Has(wire.HasAO) {
		return wire.PutSegment(b, flow, seg, sum)
	}
	size := wire.PutSegment(b, flow, seg, wire.ChecksumPartial)
	if size == 0 {
		return 0
	}
	b = b[:size]
	c.tcp.Sign(b[wire.HeaderLen(flow, seg)-wire.TCPHeaderLenOf(seg):])
	if sum != wire.ChecksumPartial {
		_ = wire.FinishChecksum(b) // it has just been formed
	}
	return size
}

// authentic judges the segment of the packet that is arriving for a connection.
func (s *Stack) authentic(now tcp.Time, c *Conn, seg *wire.Segment) bool {
	if !c.tcp.Authenticated() {
		if s.discardsUnknown(seg) {
			s.discard(now, &c.tcp, seg, tcp.RuleAuthUnknown)
			return false
		}
		return true
	}
	return c.tcp.Authenticate(now, seg, s.ip.Payload)
}

// discardsUnknown decides on a segment for whose sockets there is no key: RFC 5925 section 7.3, "A
// TCP-AO implementation MUST allow for configuration of the behavior of segments with TCP-AO but
// that do not match an MKT."
func (s *Stack) discardsUnknown(seg *wire.Segment) bool {
	if !seg.Options.Has(wire.HasAO) {
		return false
	}
	if !s.cfg.DiscardUnknownAO {
		s.stats.UnknownAO++
	}
	return s.cfg.DiscardUnknownAO
}

// takesStray is that for a segment of no connection, which it drops.
func (s *Stack) takesStray(now tcp.Time, flow *wire.Flow, state tcp.State, seg *wire.Segment) bool {
	if !s.discardsUnknown(seg) {
		return true
	}
	s.discardStray(now, flow, state, seg, tcp.RuleAuthUnknown)
	return false
}

// authenticListen judges a segment for a listener, and says whether there are keys for its
// sockets. One that is no SYN can have been signed only with numbers that are not known any more:
// its reset goes "without authentication" (RFC 5925 section 5.2).
func (s *Stack) authenticListen(now tcp.Time, l *Listener, flow *wire.Flow, seg *wire.Segment) (keyed, ok bool) {
	keys := s.keysOf(&l.opts.Conn)
	if !keys.Match(flow) {
		return false, true
	}
	var rule tcp.Rule
	switch {
	case seg.Flags&(wire.SYN|wire.ACK) == wire.SYN:
		rule = keys.AuthenticSYN(flow, seg, s.ip.Payload)
	case !seg.Options.Has(wire.HasAO):
		rule = tcp.RuleAuthMissing
	}
	if rule != 0 {
		s.discardStray(now, flow, tcp.Listen, seg, rule)
		return true, false
	}
	return true, true
}

// begin gives a listener's new connection its SYN, which has passed authenticListen.
func (s *Stack) begin(now tcp.Time, c *Conn, syn *wire.Segment) {
	if c.tcp.Authenticate(now, syn, s.ip.Payload) {
		c.tcp.Arrive(now, syn)
	}
}
