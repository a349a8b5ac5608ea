package tcp

// The TCP Authentication Option: RFC 5925. Whoever forms and reads packets calls Sign for each
// segment that Output gives, and Authenticate before Arrive; the algorithms are in ao_crypto.go.
// TCP MD5 (RFC 2385) is not there: RFC 5925 obsoletes it for a keyed hash that is weak, and keys
// that cannot be changed while a connection lives.

import (
	"crypto/subtle"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// auth is what RFC 5925 section 4 gives each connection that uses TCP-AO.
type auth struct {
	keys    []*ringKey // those for its sockets, none of which has an ID of another
	current *ringKey   // current_key: signs what leaves
	next    *ringKey   // rnext_key: what the peer is asked to sign with
	snd     extended   // of SND.NXT
	rcv     extended   // of RCV.NXT
	authenticator

	vouched    bool // the segment that Arrive gets next is authentic
	acceptICMP bool
	heard      bool // keyID and rNextKeyID are of a segment of the peer
	keyID      uint8
	rNextKeyID uint8
	count      AuthCounts
}

// ringKey is a key of a connection with its traffic keys for all segments but SYNs.
type ringKey struct {
	Key
	send, receive trafficKey
}

// trafficKey is a MAC under the traffic key of two initial sequence numbers.
type trafficKey struct {
	mac            macer
	srcISN, dstISN seq.Num
}

// of returns the MAC for s. The sockets stay the same as long as the connection lives, the
// numbers do not.
func (t *trafficKey) of(k *Key, s *sockets) macer {
	if t.mac == nil || t.srcISN != s.srcISN || t.dstISN != s.dstISN {
		*t = trafficKey{k.traffic(s), s.srcISN, s.dstISN}
	}
	return t.mac
}

// extended is a sequence number with its Sequence Number Extension above it: 64 bits that begin
// at the initial sequence number, with an extension of zero (RFC 5925 section 6.2).
type extended struct {
	at    uint64
	isn   seq.Num
	begun bool
}

// advance moves on to n, which is less than 2^31 ahead. Another isn begins anew.
func (e *extended) advance(isn, n seq.Num) {
	if !e.begun || e.isn != isn {
		*e = extended{uint64(isn), isn, true}
	}
	if d := n.Sub(seq.Num(e.at)); d < 1<<31 {
		e.at += uint64(d)
	}
}

// sne returns the extension of n, which is less than 2^31 away, on whichever side: RFC 9187
// shows where the pseudocode of RFC 5925 errs.
func (e *extended) sne(n seq.Num) uint32 {
	return uint32((e.at + uint64(int64(int32(n-seq.Num(e.at))))) >> 32)
}

// SetKeys sets the keys with which the connection authenticates all segments, of which those
// that are not for its sockets are left out: RFC 5925 section 7.1. Where none is left TCP-AO is
// not used. Before the first SYN, whose sockets are to be known, any may be set, and the first
// is the one in use. Later keys may be added and, unless in use, taken away: "The set of MKTs MAY
// change during a connection", and "Components of an MKT MUST NOT change". The keys are copied.
//
// Errors: those of Keys.Check for the keys that are not left out, ErrUnspecified, ErrKeyInUse, and
// ErrNoKey for a connection that has begun without keys.
func (c *Conn) SetKeys(keys Keys) error {
	if c.flow.RemotePort == 0 {
		return ErrUnspecified
	}
	mine := keys.For(&c.flow)
	if err := mine.Check(); err != nil {
		return err
	}
	switch begun := c.opened == Active || c.rcv.synSeen; {
	case begun && c.auth == nil && len(keys) > 0:
		return ErrNoKey
	case begun && c.auth != nil:
		return c.auth.replace(mine)
	case begun:
		return nil
	case len(mine) == 0:
		c.auth = nil
		return nil
	}
	c.auth = new(auth)
	for i := range mine {
		c.auth.keys = append(c.auth.keys, &ringKey{Key: mine[i]})
	}
	c.auth.forget()
	c.superMax = 0 // a MAC is that of one segment
	return nil
}

// replace puts keys in the place of those of a connection that has begun.
func (a *auth) replace(keys Keys) error {
	var list []*ringKey
	current, next := false, false
	for i := range keys {
		k := &ringKey{Key: keys[i]}
		for _, old := range a.keys {
			if old.SendID != k.SendID && old.RecvID != k.RecvID {
				continue
			}
			if !old.equal(&k.Key) {
				return ErrKeyInUse
			}
			k = old
		}
		list = append(list, k)
		current, next = current || k == a.current, next || k == a.next
	}
	if !current || !next {
		return ErrKeyInUse
	}
	a.keys = list
	return nil
}

// Keys returns the connection's keys, with their secrets: "TCP STATUS SHOULD be augmented to
// allow the MKTs of a current or pending connection to be read", RFC 5925 section 7.1.
func (c *Conn) Keys() Keys {
	if c.auth == nil {
		return nil
	}
	list := make(Keys, 0, len(c.auth.keys))
	for _, k := range c.auth.keys {
		list = append(list, k.Key)
	}
	return list.Clone()
}

// SetCurrentKey says by which key all is signed that is sent from now on, current_key: that with
// the SendID. The peer may have another one used by what it sends. Error: ErrNoKey.
func (c *Conn) SetCurrentKey(sendID uint8) error {
	if c.auth == nil {
		return ErrNoKey
	}
	k := c.auth.sends(sendID)
	if k == nil {
		return ErrNoKey
	}
	c.auth.current = k
	return nil
}

// SetNextKey asks the peer, by all that is sent from now on, to sign by another key, rnext_key:
// that with the RecvID. A peer that has it does, and asks for it in turn only if its own user
// says so. What comes under other keys is taken as before. Error: ErrNoKey.
func (c *Conn) SetNextKey(recvID uint8) error {
	if c.auth == nil {
		return ErrNoKey
	}
	k := c.auth.receives(recvID)
	if k == nil {
		return ErrNoKey
	}
	c.auth.next = k
	return nil
}

// SetAcceptICMP lets a connection with keys heed the ICMP messages that RFC 5925 section 7.8 has
// it ignore by default once it is synchronized: IPv4's protocol and port unreachable and
// fragmentation needed, IPv6's port unreachable and administratively prohibited. Without
// them a smaller path MTU of IPv4 is found by probes alone (RFC 4821). It does nothing without keys.
func (c *Conn) SetAcceptICMP(on bool) {
	if c.auth != nil {
		c.auth.acceptICMP = on
	}
}

// Authenticated reports whether the connection uses TCP-AO.
func (c *Conn) Authenticated() bool { return c.auth != nil }

func (a *auth) sends(id uint8) *ringKey {
	for _, k := range a.keys {
		if k.SendID == id {
			return k
		}
	}
	return nil
}

func (a *auth) receives(id uint8) *ringKey {
	for _, k := range a.keys {
		if k.RecvID == id {
			return k
		}
	}
	return nil
}

// forget makes it what it was before the SYNs.
func (a *auth) forget() {
	if a == nil {
		return
	}
	a.current, a.next = a.keys[0], a.keys[0]
	a.snd, a.rcv = extended{}, extended{}
	a.vouched, a.heard = false, false
}

// length is how many octets of each header TCP-AO takes.
func (a *auth) length() uint32 {
	if a == nil {
		return 0
	}
	return wire.AOLen
}

// putAuth makes room for TCP-AO in a segment: RFC 5925 section 7.4, steps 2.a and 2.d. Its MAC
// is left to Sign.
func (c *Conn) putAuth(seg *wire.Segment) {
	a := c.auth
	if a == nil {
		return
	}
	a.snd.advance(c.iss, c.snd.nxt)
	seg.Options.Set |= wire.HasAO
	seg.Options.KeyID, seg.Options.RNextKeyID = a.current.SendID, a.next.RecvID
}

// Sign puts the MAC into a segment that Output has given and wire.PutSegment has formed, before
// its checksum is computed: RFC 5925 section 7.4, steps 2.b to 2.f. h are its header and text. It
// does nothing where there is no TCP-AO.
func (c *Conn) Sign(h wire.TCP) {
	at, n := wire.FindAO(h)
	if c.auth == nil || n != wire.AOLen {
		return
	}
	a := c.auth
	k := a.sends(h[at+2])
	if k == nil {
		return
	}
	f := &c.flow
	s := sockets{src: f.Local, dst: f.Remote, srcPort: f.LocalPort, dstPort: f.RemotePort, srcISN: c.iss}
	var m macer
	sne := uint32(0)
	if isFirst(h.Flags()) {
		m = k.traffic(&s) // Send_SYN_traffic_key
	} else {
		if c.rcv.synSeen {
			s.dstISN = c.irs
		}
		m = k.send.of(&k.Key, &s)
		sne = a.snd.sne(h.Seq())
	}
	copy(h[at+wire.AOHead:], a.mac(m, sne, &s.src, &s.dst, h, at, n, !k.ExcludeOptions))
}

// isFirst reports "SYN set, no ACK set": the segments that "MUST use a destination ISN of zero".
func isFirst(f wire.Flags) bool { return f&(wire.SYN|wire.ACK) == wire.SYN }

// Authenticate judges a segment that has come, before it is given to Arrive: RFC 5925 section
// 7.5. h are its header and text as they came, seg what wire.ParseTCP made of them. On a
// connection with keys it returns false for what is not authentic, which is dropped in silence,
// and Arrive takes nothing else. Without keys it returns true.
func (c *Conn) Authenticate(now Time, seg *wire.Segment, h wire.TCP) bool {
	if c.auth == nil {
		return true
	}
	rule := c.judge(seg, h)
	c.auth.vouched = rule == 0
	if rule != 0 {
		c.drop(now, seg, rule)
	}
	return rule == 0
}

// isVouched reports whether Authenticate has passed the segment, of which it is asked once.
func (c *Conn) isVouched(now Time, seg *wire.Segment) bool {
	if c.auth == nil {
		return true
	}
	if !c.auth.vouched {
		c.drop(now, seg, RuleAuthMissing)
		return false
	}
	c.auth.vouched = false
	return true
}

func (c *Conn) judge(seg *wire.Segment, h wire.TCP) Rule {
	a := c.auth
	at, n := wire.FindAO(h)
	if n == 0 {
		a.count.Missing++
		return RuleAuthMissing
	}
	k := a.receives(h[at+2])
	if k == nil {
		a.count.Unexpected++
		return RuleAuthKey
	}
	f := &c.flow
	s := sockets{src: f.Remote, dst: f.Local, srcPort: f.RemotePort, dstPort: f.LocalPort}
	rule := RuleAuthLength
	switch {
	case n != wire.AOLen: // "validate a segment's Length field before computing a MAC"
	case isFirst(seg.Flags):
		s.srcISN = seg.Seq
		rule = a.verify(k.traffic(&s), 0, &s, &k.Key, h, at)
	default:
		sne := uint32(0)
		s.dstISN = c.iss
		switch {
		case c.rcv.synSeen:
			s.srcISN = c.irs
			a.rcv.advance(c.irs, c.rcv.nxt)
			sne = a.rcv.sne(seg.Seq)
		case seg.Flags&wire.SYN != 0:
			s.srcISN = seg.Seq
		}
		rule = a.verify(k.receive.of(&k.Key, &s), sne, &s, &k.Key, h, at)
	}
	if rule != 0 {
		a.count.Bad++
		return rule
	}
	a.count.Good++
	a.follow(k, h[at+3], isFirst(seg.Flags) && c.opened == Passive && !c.rcv.synSeen)
	return 0
}

// verify compares the MAC of a segment, whose TCP-AO stands at octet at, with its own.
func (a *authenticator) verify(m macer, sne uint32, s *sockets, k *Key, h wire.TCP, at int) Rule {
	want := a.mac(m, sne, &s.src, &s.dst, h, at, wire.AOLen, !k.ExcludeOptions)
	if subtle.ConstantTimeCompare(want, h[at+wire.AOHead:at+wire.AOLen]) != 1 {
		return RuleAuthBad
	}
	return 0
}

// follow notes by which key the peer has signed, and by which it wants to be signed for: RFC
// 5925 section 7.5 step 2.e. The first segment of a passive connection chooses both keys.
func (a *auth) follow(k *ringKey, rNextKeyID uint8, first bool) {
	a.heard, a.keyID, a.rNextKeyID = true, k.RecvID, rNextKeyID
	if first {
		a.current, a.next = k, k
	}
	if ready := a.sends(rNextKeyID); ready != nil {
		a.current = ready
	}
}

// ignoresICMP reports whether an error is one of those that RFC 5925 section 7.8 has a
// synchronized connection ignore: "MUST default to ignore incoming ICMPv4 messages of Type 3
// (destination unreachable), Codes 2-4 [...], and ICMPv6 Type 1 (destination unreachable), Code 1
// (administratively prohibited) and Code 4 (port unreachable)".
func (c *Conn) ignoresICMP(kind, code uint8) bool {
	a := c.auth
	if a == nil || a.acceptICMP || !c.snd.synAcked {
		return false
	}
	ignored := kind == 1 && (code == 1 || code == 4)
	if c.flow.Remote.Is4() {
		ignored = kind == 3 && 2 <= code && code <= 4
	}
	if ignored {
		a.count.ICMP++
	}
	return ignored
}

// AuthCounts counts the segments of a connection that uses TCP-AO: RFC 5925 section 7.3.
type AuthCounts struct {
	Good       uint64 // authentic
	Bad        uint64 // dropped: another MAC, or one of another length
	Missing    uint64 // dropped: no TCP-AO
	Unexpected uint64 // dropped: a KeyID that no key has
	ICMP       uint64 // ICMP messages ignored (section 7.8)
}

// AuthStatus is what Status tells of TCP-AO. All is zero where it is not used.
type AuthStatus struct {
	On         bool
	CurrentKey uint8 // SendID of the key that signs what is sent
	NextKey    uint8 // RecvID of the key that the peer is asked to sign by
	Heard      bool  // an authentic segment has come, of which the last had:
	KeyID      uint8
	RNextKeyID uint8
	AuthCounts
}

func (a *auth) status() AuthStatus {
	if a == nil {
		return AuthStatus{}
	}
	return AuthStatus{On: true, CurrentKey: a.current.SendID, NextKey: a.next.RecvID,
		Heard: a.heard, KeyID: a.keyID, RNextKeyID: a.rNextKeyID, AuthCounts: a.count}
}
