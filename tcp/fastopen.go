package tcp

// TCP Fast Open, RFC 7413: text in the SYN. Who may have it (cookies, how many at a time) and what
// is remembered of servers is the stack's; here is what the machine does otherwise.
//
// The rule of RFC 9293 that text of a SYN is not delivered before ESTABLISHED "is because TCP's
// initial handshake serves to capture old or duplicate SYNs. To enable applications to exchange
// data in a TCP handshake, TFO removes the constraint and allows data in SYN packets to be
// delivered to the application" (RFC 7413 section 2). So a SYN that comes twice may be served
// twice: "restrict TFO use to a class of applications (Section 6) that are tolerant of duplicate
// SYN packets with data" (section 2.1).

import (
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// FastOpen is what RFC 7413 has done for a connection. The zero value: nothing.
type FastOpen struct {
	// Asked: our SYN asked for a cookie.
	Asked bool
	// Sent, Acked and Received are octets of text: in our SYN, acknowledged by the SYN,ACK, and
	// taken from the peer's SYN.
	Sent, Acked, Received uint16
	// Fallback: the SYN or SYN,ACK went again without text and cookie, for it has not been answered,
	// or was too big for the path.
	Fallback bool
}

// String is as "sent 100, acknowledged 100"; "none" where nothing was done.
func (f FastOpen) String() string {
	var did []string
	if f.Asked {
		did = append(did, "asked")
	}
	if f.Sent > 0 {
		did = append(did, "sent "+strconv.Itoa(int(f.Sent))+", acknowledged "+strconv.Itoa(int(f.Acked)))
	}
	if f.Received > 0 {
		did = append(did, "received "+strconv.Itoa(int(f.Received)))
	}
	if f.Fallback {
		did = append(did, "fallback")
	}
	if did == nil {
		return "none"
	}
	return strings.Join(did, ", ")
}

// fastOpen is the state of one connection; most have none.
type fastOpen struct {
	did    FastOpen
	size   uint8 // of cookie
	brief  bool  // the peer's SYN,ACK has brought cookie
	plain  bool  // our SYN goes without
	refuse Rule  // why text of the peer's SYN is not taken
	mss    uint16
	cookie [wire.MaxCookie]byte // to be sent, or brought
}

// typicalMSS4 and typicalMSS6 bound the text of a SYN: "the client MAY limit the cached MSS to 1460
// bytes for IPv4 or 1440 for IPv6" (section 4.1.3).
const (
	typicalMSS4 = 1460
	typicalMSS6 = 1440
)

// OfferFastOpen lets the SYN of the active OPEN that follows carry cookie and, of what Send has
// queued when Output gives the SYN, as much as fits mss: what the server has announced before, 0
// where that is not known. Without a cookie the SYN asks for one. The text may reach the server's
// user twice. It is for a connection in CLOSED.
func (c *Conn) OfferFastOpen(cookie []byte, mss uint16) {
	if c.state != Closed || c.lived || len(cookie) > wire.MaxCookie {
		return
	}
	c.fast = &fastOpen{size: uint8(len(cookie)), mss: mss}
	copy(c.fast.cookie[:], cookie)
}

// AnswerFastOpen is for a connection in LISTEN whose SYN, with a Fast Open option, Arrive gets
// next. Text in it is delivered at once, and may be answered, unless refuse names a rule by which
// it is dropped. The SYN,ACK carries cookie, if there is one.
func (c *Conn) AnswerFastOpen(cookie []byte, refuse Rule) {
	if c.state != Listen || len(cookie) > wire.MaxCookie {
		return
	}
	c.fast = &fastOpen{size: uint8(len(cookie)), refuse: refuse}
	copy(c.fast.cookie[:], cookie)
}

// FastOpen returns what RFC 7413 has done for the connection.
func (c *Conn) FastOpen() FastOpen {
	if c.fast == nil {
		return FastOpen{}
	}
	return c.fast.did
}

// FastOpenCookie returns what the SYN,ACK to a SYN of OfferFastOpen has said: a cookie, nil where
// there was none, and the server's MSS. The cookie is a view, in force until the connection is
// released.
func (c *Conn) FastOpenCookie() (cookie []byte, mss uint16) {
	if t := c.fast; t != nil && t.brief {
		return t.cookie[:t.size], uint16(min(c.snd.mss, 1<<16-1))
	}
	return nil, uint16(min(c.snd.mss, 1<<16-1))
}

// SynAcked reports whether our SYN is acknowledged: the handshake has come to its end.
func (c *Conn) SynAcked() bool { return c.snd.synAcked }

// fastOpened is the FastOpened flag of section 4.2: "if a connection has successfully performed a
// TFO", the peer's SYN had a valid cookie, and its text was taken.
//
// In SYN-RECEIVED such a connection deviates from RFC 9293. By 3.10.2 text waits there, "Queue the
// data for transmission after entering ESTABLISHED state"; here "it may send the response data before
// the handshake finishes" (RFC 7413 section 3). By 3.10.7.4 second and fourth, a reset or a SYN in the
// window leads back to LISTEN; but the user has the connection, so that a reset ends it with an error,
// and a SYN is challenged as in a synchronized state.
func (c *Conn) fastOpened() bool { return c.fast != nil && c.fast.did.Received > 0 }

// putFastOpen puts cookie and text into our SYN, or the cookie into a SYN,ACK; not into one that is
// sent again: section 4.2.2, "the client SHOULD retransmit a SYN packet without data and Fast Open
// options", "the server SHOULD retransmit a SYN-ACK segment with neither data nor Fast Open
// options".
func (c *Conn) putFastOpen(now Time, seg *wire.Segment) {
	t := c.fast
	switch {
	case t == nil || t.plain || c.rto.count > 0:
		return
	case c.rcv.synSeen && (c.opened == Active || t.size == 0):
		return // a SYN,ACK that answers a crossed SYN, or has nothing to tell
	case !c.rcv.synSeen && t.size > 0 && (c.snd.queue.n == 0 || c.snd.urgent):
		return // nothing that could go with the SYN
	}
	seg.Options.Set |= wire.HasFastOpen
	seg.Options.FastOpen = t.cookie[:t.size]
	if !wire.FastOpenFits(seg) {
		// "If the SYN packet does not have enough option space for the Fast Open option, abort
		// TFO and fall back to the regular 3WHS."
		t.plain = true
		seg.Options.Set &^= wire.HasFastOpen
		seg.Options.FastOpen = nil
		return
	}
	if c.rcv.synSeen {
		return
	}
	if t.plain = true; t.size == 0 {
		t.did.Asked = true
		return
	}
	n := min(c.snd.queue.n, c.synRoom(seg))
	if n == 0 {
		return
	}
	seg.Text, seg.TextRest = c.snd.queue.view(0, n)
	seg.Flags |= wire.PSH // MUST-61
	t.did.Sent = uint16(n)
	c.sent(now, n, n, false) // "update SND.NXT to include the data accordingly"
}

// synRoom is how much text fits our SYN: "Include any data up to the cached server MSS or default
// 536 bytes", section 4.2.2, or 1220 for IPv6 (section 4.1.3), less the options.
func (c *Conn) synRoom(seg *wire.Segment) uint32 {
	limit := uint32(c.fast.mss)
	if limit == 0 {
		limit = c.defaultMSS()
	}
	if c.flow.Remote.Is4() {
		limit = min(limit, typicalMSS4)
	} else {
		limit = min(limit, typicalMSS6)
	}
	mtu := c.pmtu()
	if c.cfg.MTUProbing == MTUProbeAlways {
		mtu = min(mtu, c.baseMTU()) // nothing has shown yet that more passes
	}
	limit = min(limit, uint32(mtu)-c.ipHeader()-tcpHeader)
	return limit - min(uint32(wire.TCPHeaderLenOf(seg)-tcpHeader), limit)
}

// readFastOpen takes the cookie that a SYN,ACK brings in answer to our SYN.
func (c *Conn) readFastOpen(seg *wire.Segment) {
	t, o := c.fast, &seg.Options
	if t == nil || c.opened != Active || !c.offeredFastOpen() || seg.Flags&wire.ACK == 0 || len(o.FastOpen) == 0 {
		return
	}
	t.brief = true
	t.size = uint8(copy(t.cookie[:], o.FastOpen))
}

func (c *Conn) offeredFastOpen() bool { return c.fast.did.Asked || c.fast.did.Sent > 0 }

// listenRule is the rule by which a SYN leads from LISTEN to SYN-RECEIVED.
func (c *Conn) listenRule(seg *wire.Segment) Rule {
	if t := c.fast; t != nil && t.refuse == 0 && len(seg.Text) > 0 {
		return RuleFastOpenSyn
	}
	return RuleListenSyn
}

// takeSynText delivers the text of a SYN with a valid cookie, or drops that of one without, and
// reports whether it did either.
//
// It deviates from RFC 9293 3.10.7.2 third, "Any other control or text should be queued for
// processing later", and from section 3.5, by which text may come with a SYN "so long as the receiving
// TCP endpoint doesn't deliver the data to the user until it is clear the data is valid": a cookie
// makes it so. RFC 7413 section 4.2.2: "Buffer the data and notify the application." And of what is
// refused, section 3: "Otherwise, the server drops the data and sends a SYN-ACK acknowledging only
// the SYN sequence number." The FIN of such a SYN waits for ESTABLISHED. "If the FastOpened flag is
// set, the server MUST follow [RFC5681] (based on [RFC3390]) to set the initial congestion window
// for sending more data packets."
func (c *Conn) takeSynText(now Time, seg *wire.Segment) bool {
	t := c.fast
	switch {
	case t == nil || len(seg.Text) == 0:
		return false
	case t.refuse != 0:
		c.drop(now, seg, t.refuse)
		return true
	}
	from := c.rcv.nxt
	c.receiveText(now, seg)
	if t.did.Received = uint16(c.rcv.nxt.Sub(from)); t.did.Received > 0 {
		c.beginMTUSearch()
		c.startCongestion(now)
		c.signal |= SignalFastOpen | SignalWritable
	}
	return true
}

// repeatedSYN makes the SYN of a fast-opened connection, when it comes twice with its text, an old
// duplicate without.
//
// It deviates from RFC 9293 3.10.7.4, by which such a SYN, when more text is on it than on the
// first, ends in the window and is met in the fourth step. What it would lead to, LISTEN, is not
// possible: the user has the connection.
func (c *Conn) repeatedSYN(seg *wire.Segment) {
	if c.fast != nil && c.opened == Passive && seg.Seq == c.irs && seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN {
		seg.Text = nil
		seg.Flags &^= wire.FIN
	}
}

// fastOpenTimedOut is called when a SYN or SYN,ACK is about to be sent again, and returns the rule by
// which it is. Of a SYN,ACK: "regular TCP reduces the initial congestion window before sending any
// data [RFC5681]" (section 7.2), and so no more text goes before the handshake's end than one
// segment.
func (c *Conn) fastOpenTimedOut() Rule {
	t := c.fast
	if t == nil || t.did == (FastOpen{}) {
		return RuleRetransmitTimeout
	}
	t.did.Fallback = true
	if c.fastOpened() {
		c.cc.cwnd = c.mss()
	}
	return RuleFastOpenTimeout
}

// synTooBig sends our SYN without its text, which has not fitted the path.
func (c *Conn) synTooBig(now Time) {
	t := c.fast
	if t == nil || t.did.Sent == 0 || t.did.Fallback || c.rcv.synSeen || c.timer.retransmit == 0 {
		return // without a timer it waits for nothing
	}
	t.did.Fallback = true
	c.sentAgain(c.iss)
	c.retransmitting(now, c.iss, 1, RulePacketTooBig)
	c.oweSYN(now)
}

// fastOpenAcked is called when our SYN is acknowledged. "The client SHOULD retransmit any
// unacknowledged data in the first ACK packet", section 4.2.2. A server's text is lost with the
// SYN,ACK that was: the client, in SYN-SENT, has dropped it.
func (c *Conn) fastOpenAcked(now Time) {
	t := c.fast
	if t == nil {
		return
	}
	if t.did.Sent > 0 {
		t.did.Acked = uint16(min(c.snd.una.Sub(c.iss+1), uint32(t.did.Sent)))
	}
	switch {
	case c.board == nil:
	case t.did.Sent > 0 && !c.outstanding():
		c.releaseBoard()
	case t.did.Sent > 0 || c.rto.synLost && c.snd.una == c.iss+1:
		c.loseAll(now, RuleFastOpenAgain)
	}
}

// fastOpenEffect is afterAck for the ACK that ends the handshake: text may have gone before it.
func (c *Conn) fastOpenEffect(now Time, seg *wire.Segment, e *ackEffect) {
	if c.snd.una != c.iss+1 { // else it says nothing of the text, and is no duplicate
		c.afterAck(now, seg, e)
	}
	c.scheduleProbe(now)
}

// textOut is how many sequence numbers of text and FIN are sent and not acknowledged.
func (c *Conn) textOut() uint32 {
	n := c.snd.nxt.Sub(c.snd.una)
	if !c.snd.synAcked && n > 0 {
		n-- // our SYN
	}
	return n
}

// firstText is SND.UNA, or the number behind our SYN.
func (c *Conn) firstText() seq.Num {
	return c.snd.nxt.Add(-c.textOut())
}
