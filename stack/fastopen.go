package stack

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// TCP Fast Open, RFC 7413: the cookies of a server and its pending requests, and what a client
// remembers of servers. What a connection does with them is in tcp/fastopen.go.

const (
	// fastRotation is how long cookies are made with one key; they are valid for this period and
	// the next: RFC 7413 section 4.1.2, 5, "periodically changing the server key used to generate
	// cookies". Whoever gets an address by DHCP that another had before may use that one's
	// cookies as long (section 5.2).
	fastRotation = 12 * time.Hour
	// fastMemory is how long a connection that has ended in SYN-RECEIVED counts as pending: section
	// 5.1, "continuing to account for those connection requests that have just been reset against
	// the listener's PendingFastOpenRequests until a timeout period has passed". Linux: 60 s.
	fastMemory = time.Minute
	// fastPenalty is for how long Fast Open is not tried again after a negative response (section
	// 4.1.3.1, "at least temporarily"); it doubles with each in a row, up to mostPenalty.
	fastPenalty = time.Minute
	mostPenalty = time.Hour
)

// fastKeys are the keys of the current period and of that before.
type fastKeys struct {
	period uint64
	key    [2][16]byte
}

// fastKey returns the key of a period: back is 0 for the current, 1 for the one before.
func (s *Stack) fastKey(now tcp.Time, back int) *[16]byte {
	k := &s.fastKeys
	if period := 1 + uint64(now/tcp.Time(fastRotation)); period != k.period {
		k.period = period
		base := s.cfg.subkey(purposeFastOpen)
		for i := range k.key {
			for half := range 2 {
				var b [9]byte
				binary.LittleEndian.PutUint64(b[:], period-uint64(i))
				b[8] = byte(half)
				binary.LittleEndian.PutUint64(k.key[i][8*half:], tcp.SipHash(&base, b[:]))
			}
		}
	}
	return &k.key[back]
}

// fastCookie is GetCookie(IP_Address) of RFC 7413 section 4.1.2: a MAC of both addresses, for "the
// cookies are dependent on the client and server IP addresses" (section 4.1.3).
func fastCookie(key *[16]byte, flow *wire.Flow) uint64 {
	var b [32]byte
	copy(b[:16], flow.Local[:])
	copy(b[16:], flow.Remote[:])
	return tcp.SipHash(key, b[:])
}

// judgeCookie is IsCookieValid. fresh is the cookie for the client to use from now on, nil where it
// has it.
func (s *Stack) judgeCookie(now tcp.Time, flow *wire.Flow, given []byte) (fresh []byte, valid bool) {
	current := fastCookie(s.fastKey(now, 0), flow)
	if len(given) == 8 {
		switch binary.BigEndian.Uint64(given) { // of equal time for all that is wrong
		case current:
			return nil, true
		case fastCookie(s.fastKey(now, 1), flow):
			valid = true
		}
	}
	return binary.BigEndian.AppendUint64(nil, current), valid
}

// answerFastOpen tells c, which is to get syn next, what l makes of its Fast Open option: section
// 4.2.2, "Server: Receiving SYN and responding with SYN-ACK".
func (l *Listener) answerFastOpen(now tcp.Time, c *Conn, flow *wire.Flow, syn *wire.Segment) {
	if l.opts.FastOpen <= 0 || !syn.Options.Has(wire.HasFastOpen) {
		return // "the server does not perform any TFO-related operations and MUST ignore all cookie options"
	}
	if l.fast.now(now) >= l.opts.FastOpen {
		c.tcp.AnswerFastOpen(nil, tcp.RuleFastOpenLimit)
		return
	}
	fresh, valid := l.stack.judgeCookie(now, flow, syn.Options.FastOpen)
	if valid {
		c.tcp.AnswerFastOpen(fresh, 0)
	} else {
		c.tcp.AnswerFastOpen(fresh, tcp.RuleFastOpenCookie)
	}
}

// fastQueue is a listener's PendingFastOpenRequests.
type fastQueue struct {
	pending int        // fast-opened and in SYN-RECEIVED, accepted by the user or not
	ended   []tcp.Time // until when those count that were so and have ended
}

// now returns how many there are.
func (q *fastQueue) now(now tcp.Time) int {
	gone := 0
	for gone < len(q.ended) && q.ended[gone] <= now {
		gone++
	}
	q.ended = q.ended[:copy(q.ended, q.ended[gone:])]
	return q.pending + len(q.ended)
}

// pend counts c, which its listener has just fast-opened.
func (l *Listener) pend(c *Conn) {
	c.pendingOf = l
	l.fast.pending++
	l.stack.stats.FastOpenTaken++
	l.stack.fastPending++
}

// unpend counts c no more.
func (c *Conn) unpend() {
	c.pendingOf.fast.pending--
	c.stack.fastPending--
	c.pendingOf = nil
}

// pendingSignals is told of the signals of a connection that is pending.
func (c *Conn) pendingSignals(now tcp.Time, sig tcp.Signal) {
	q := &c.pendingOf.fast
	switch {
	case c.tcp.SynAcked():
		c.unpend()
	case sig&tcp.SignalClosed != 0:
		c.unpend()
		q.ended = append(q.ended, now.Add(fastMemory))
	}
}

// pendingUnanswered is Listener.unanswered for a connection that is pending: its user is told that it has
// timed out.
func (s *Stack) pendingUnanswered(now tcp.Time, c *Conn) bool {
	if int(c.tcp.Status().Retransmissions) < s.cfg.SynAckRetries {
		return false
	}
	s.stats.HalfOpenTimedOut++
	c.unpend()
	c.tcp.SetUserTimeout(1)
	c.tcp.Timeout(now)
	s.touch(now, c)
	return true
}

// fastServer is what the cookie cache of a client is ordered by. With port 0 the entry has the
// cookie: "at most one (most recently received) cookie per client and server IP address pair". With
// a port it is of a negative response: those "should include remote port numbers, too" (section
// 4.1.3.1).
type fastServer struct {
	local, remote wire.Addr
	port          uint16
}

type fastEntry struct {
	fastServer
	size         uint8
	failures     uint8 // in a row
	mss          uint16
	cookie       [wire.MaxCookie]byte
	until        tcp.Time // when Fast Open may be tried again
	older, newer *fastEntry
}

// fastCache holds Config.MaxFastOpen entries; the one that has not been used for longest makes room.
type fastCache struct {
	at             map[fastServer]*fastEntry
	oldest, newest *fastEntry
}

// find returns an entry, which is now the newest, or nil.
func (f *fastCache) find(at fastServer) *fastEntry {
	e := f.at[at]
	if e != nil && e != f.newest {
		f.unlink(e)
		f.link(e)
	}
	return e
}

// put is find, and makes the entry where there is none.
func (f *fastCache) put(at fastServer, most int) *fastEntry {
	if e := f.find(at); e != nil {
		return e
	}
	if f.at == nil {
		f.at = make(map[fastServer]*fastEntry)
	}
	for len(f.at) >= most {
		f.drop(f.oldest)
	}
	e := &fastEntry{fastServer: at}
	f.at[at] = e
	f.link(e)
	return e
}

func (f *fastCache) drop(e *fastEntry) {
	if e != nil {
		delete(f.at, e.fastServer)
		f.unlink(e)
	}
}

func (f *fastCache) link(e *fastEntry) {
	e.older, e.newer = f.newest, nil
	if f.newest != nil {
		f.newest.newer = e
	} else {
		f.oldest = e
	}
	f.newest = e
}

func (f *fastCache) unlink(e *fastEntry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		f.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		f.newest = e.older
	}
}

// offerFastOpen gives c, which is about to be opened, the cookie of its server, or has it ask for
// one; not where that has failed lately.
func (s *Stack) offerFastOpen(now tcp.Time, c *Conn, flow *wire.Flow) {
	if e := s.fast.find(fastServer{flow.Local, flow.Remote, flow.RemotePort}); e != nil && now < e.until {
		return
	}
	c.offered = true
	if e := s.fast.find(fastServer{flow.Local, flow.Remote, 0}); e != nil {
		c.tcp.OfferFastOpen(e.cookie[:e.size], e.mss)
		return
	}
	c.tcp.OfferFastOpen(nil, 0)
}

// learnFastOpen takes in how a connection of offerFastOpen has begun.
func (s *Stack) learnFastOpen(now tcp.Time, c *Conn) {
	c.offered = false
	did, flow := c.tcp.FastOpen(), c.tcp.Flow()
	if did.Sent > 0 {
		s.stats.FastOpenSent++
	}
	if did.Acked > 0 {
		s.stats.FastOpenAcked++
	}
	tried := did.Asked || did.Sent > 0
	if !c.tcp.SynAcked() {
		// No response at all: "most importantly". A user may not wait for as long as the
		// machine would. A reset says that nobody listens, and is no such response.
		if tried && (did.Fallback || errors.Is(c.tcp.Err(), tcp.ErrUnreachable)) {
			s.penalize(now, &flow)
		}
		return
	}
	cookie, mss := c.tcp.FastOpenCookie()
	if cookie != nil {
		e := s.fast.put(fastServer{flow.Local, flow.Remote, 0}, s.cfg.MaxFastOpen)
		e.size, e.mss = uint8(copy(e.cookie[:], cookie)), mss
	} else if e := s.fast.find(fastServer{flow.Local, flow.Remote, 0}); e != nil {
		e.mss = mss
	}
	switch {
	case cookie != nil || did.Acked > 0:
		s.fast.drop(s.fast.at[fastServer{flow.Local, flow.Remote, flow.RemotePort}])
	case tried:
		s.penalize(now, &flow)
	}
}

// penalize is section 4.1.3.1: "For any negative responses, the client SHOULD disable Fast Open on
// the specific path (the source and destination IP addresses and ports) at least temporarily."
func (s *Stack) penalize(now tcp.Time, flow *wire.Flow) {
	e := s.fast.put(fastServer{flow.Local, flow.Remote, flow.RemotePort}, s.cfg.MaxFastOpen)
	e.until = now.Add(min(fastPenalty<<e.failures, mostPenalty))
	e.failures = min(e.failures+1, 6)
}
