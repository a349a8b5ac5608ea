package stack

import (
	"encoding/binary"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// SYN cookies: RFC 4987 section 3.6 and appendix A. Of a SYN beyond the limits nothing is
// kept. The sequence number of the SYN,ACK is the cookie: two bits of time, three of MSS,
// and 27 of two keyed hashes over them and the sockets, the second over the peer's sequence
// number too. The first alone fits when a later segment comes before the one that can make
// the connection: it is not for a stranger, and is no reason for a reset. Where the SYN has
// timestamps, window scale and SACK stand in the lowest five bits of TSval, which the peer
// echoes.

const (
	cookieSlot  = 64 * time.Second // a cookie is good for this slot and the next
	cookieHash  = 1<<14 - 1        // the second hash; the first has 13 bits above it
	cookieTS    = 1<<5 - 1
	cookieNoWS  = 15     // no window scale
	cookieSACK  = 1 << 4 // SACK permitted
	cookieClass = 27     // where the MSS stands
	cookieTime  = 27 + 3 // where the slot stands
	cookieLife  = 2 * cookieSlot
)

// ecnFlags are ACE in an ACK, RFC 9768. Section 5.1: "if the ACK contains an ACE field with the value
// 0b010 to 0b111 (decimal 2 to 7), the Server can infer" that the SYN asked for AccECN, and that
// its answer agreed.
const ecnFlags = wire.AE | wire.CWR | wire.ECE

// cookieMSS are the MSS that a cookie can say: the largest not above the peer's counts.
var cookieMSS = [8]uint16{64, 536, 1220, 1300, 1400, 1440, 1460, 8960}

func classOf(mss uint16) uint32 {
	class := uint32(0)
	for i, m := range cookieMSS {
		if m <= mss {
			class = uint32(i)
		}
	}
	return class
}

func slotAt(now tcp.Time) uint64 { return uint64(now / tcp.Time(cookieSlot)) }

// cookie returns the cookie for a SYN of sequence number irs.
func (s *Stack) cookie(flow *wire.Flow, irs seq.Num, class uint32, slot uint64) seq.Num {
	var b [50]byte
	copy(b[0:], flow.Local[:])
	copy(b[16:], flow.Remote[:])
	binary.BigEndian.PutUint16(b[32:], flow.LocalPort)
	binary.BigEndian.PutUint16(b[34:], flow.RemotePort)
	binary.BigEndian.PutUint64(b[36:], slot)
	b[44] = byte(class)
	first := uint32(tcp.SipHash(&s.cookieKey, b[:])) >> (32 - 13)
	b[45] = 1
	binary.BigEndian.PutUint32(b[46:], uint32(irs))
	second := uint32(tcp.SipHash(&s.cookieKey, b[:])) & cookieHash
	return seq.Num(uint32(slot)&3<<cookieTime | class<<cookieClass | first*(cookieHash+1) | second)
}

// sendCookie answers a SYN by a SYN,ACK with a cookie. It goes once: who misses it says its
// SYN again.
func (s *Stack) sendCookie(now tcp.Time, n *netif, l *Listener, flow *wire.Flow, syn *wire.Segment) {
	mss := uint16(536)
	if !flow.Local.Is4() {
		mss = 1220 // MUST-15
	}
	if syn.Options.Has(wire.HasMSS) {
		mss = syn.Options.MSS
	}
	irs := syn.Seq
	offered := syn.Options
	if syn.Flags&ecnFlags == wire.CWR|wire.ECE {
		syn.Flags &^= ecnFlags // nobody would remember that RFC 3168 was agreed, and echo marks
	}
	syn.Text = nil // what comes with a SYN is not kept: the peer says it again
	syn.Flags &^= wire.FIN

	// The machine says what the SYN,ACK is; then its record is forgotten.
	c := &s.scratch
	c.Init(&s.quiet, *flow, n.cfg.MTU)
	c.SetTrafficClass(l.opts.Conn.TrafficClass)
	c.SetHopLimit(l.opts.Conn.HopLimit)
	_ = c.Open(now, tcp.Passive) // a new record can be opened
	c.Arrive(now, syn)
	if !c.Output(now, &s.seg) {
		return
	}
	answer := &s.seg
	answer.Seq = s.cookie(flow, irs, classOf(mss), slotAt(now))
	o := &answer.Options
	if o.Has(wire.HasTimestamps) {
		bits := uint32(cookieNoWS)
		if o.Has(wire.HasWindowScale) {
			bits = uint32(offered.WindowScale)
		}
		if o.Has(wire.HasSACKPermitted) {
			bits |= cookieSACK
		}
		stamp := o.TSVal&^cookieTS | bits
		if int32(stamp-o.TSVal) > 0 {
			stamp -= cookieTS + 1 // never ahead of what the connection will send
		}
		o.TSVal = stamp
	} else {
		o.Set &^= wire.HasWindowScale | wire.HasSACKPermitted
	}
	l.cookies = now.Add(cookieLife)
	s.stats.CookiesSent++
	s.answer(flow, answer)
}

// ofCookie says what an ACK for a listener has to do with a cookie: valid, it brings one
// back; related, it belongs to the connection that a cookie will make.
func (s *Stack) ofCookie(now tcp.Time, l *Listener, flow *wire.Flow, seg *wire.Segment) (related, valid bool) {
	if now >= l.cookies || seg.Flags&(wire.SYN|wire.RST|wire.ACK) != wire.ACK {
		return false, false
	}
	iss, irs := seg.Ack-1, seg.Seq-1
	slot := slotAt(now)
	if uint32(slot)&3 != uint32(iss)>>cookieTime {
		slot-- // of the slot before, or of none: the hash will tell
	}
	wrong := s.cookie(flow, irs, uint32(iss)>>cookieClass&7, slot) ^ iss
	return wrong <= cookieHash, wrong == 0
}

// arriveCookie is an ACK for a listener. It reports whether the ACK has to do with a cookie:
// then it has made the connection, or is dropped in silence.
func (s *Stack) arriveCookie(now tcp.Time, n *netif, l *Listener, flow *wire.Flow, seg *wire.Segment) bool {
	related, valid := s.ofCookie(now, l, flow, seg)
	switch {
	case related && !valid:
		s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleBadCookie)
		return true
	case !valid:
		if now < l.cookies {
			s.count(tcp.RuleBadCookie) // and dropped as any ACK
		}
		return false
	}
	iss, irs := seg.Ack-1, seg.Seq-1
	s.stats.CookiesValid++
	if l.full() || s.all.n >= s.cfg.MaxConnections {
		s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleBacklogFull)
		return true
	}
	c := s.newChild(now, n, l, flow)
	syn := wire.Segment{Seq: irs, Flags: wire.SYN, Wnd: seg.Wnd, TC: seg.TC}
	syn.Options = wire.Options{Set: wire.HasMSS, MSS: cookieMSS[uint32(iss)>>cookieClass&7]}
	if seg.Options.Has(wire.HasTimestamps) && !s.cfg.TCP.NoTimestamps {
		bits := seg.Options.TSEcr & cookieTS
		o := &syn.Options
		o.Set |= wire.HasTimestamps
		o.TSVal = seg.Options.TSVal
		if scale := uint8(bits & cookieNoWS); scale != cookieNoWS {
			o.Set |= wire.HasWindowScale
			o.WindowScale = scale
		}
		if bits&cookieSACK != 0 {
			o.Set |= wire.HasSACKPermitted
		}
		seg.Options.TSEcr = 0 // the bits make it no measure of the round trip
	}
	if s.cfg.TCP.ECN != tcp.ECNOff && seg.Flags&(wire.AE|wire.CWR) != 0 {
		syn.Flags |= ecnFlags
	}
	c.tcp.AcceptCookie(now, &syn, iss)
	c.tcp.Arrive(now, seg)
	s.touch(now, c)
	return true
}

// preferCookie is an ACK for a connection in SYN-RECEIVED that does not acknowledge its SYN,
// but brings a cookie back: the peer's SYN came twice, and was answered by a cookie once.
// The peer has taken the cookie, so the connection gives way. It reports whether the ACK
// has been dealt with; the machine would answer by a reset, which would end what the peer
// has.
func (s *Stack) preferCookie(now tcp.Time, n *netif, c *Conn, seg *wire.Segment) bool {
	l, flow := c.listener, c.tcp.Flow()
	related, valid := s.ofCookie(now, l, &flow, seg)
	if !related || c.tcp.SndNxt() == seg.Ack {
		return false
	}
	if !valid {
		s.discard(now, &c.tcp, seg, tcp.RuleBadCookie)
		return true
	}
	l.leave(c)
	c.released = true
	_ = c.tcp.Abort(now) // it exists, and has no turn to send the reset
	s.free(c)
	s.arriveCookie(now, n, l, &flow, seg)
	return true
}
