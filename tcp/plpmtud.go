package tcp

// Path MTU discovery by what gets through: RFC 4821, with the states of RFC 8899 section 5.2. It
// finds the black hole, where packets that are too big vanish and no ICMP message says so, and
// searches upwards by probes: segments of new text that are larger than the rest. What a probe that
// is sent and answered does to the flow is in mtuprobe.go. Packet Too Big messages (RFC 1191, RFC
// 8201) stand beside it, in icmp.go.

import (
	"strconv"
	"time"

	"github.com/vitro-net/vitro/seq"
)

// MTUProbing says when connections search for the path MTU by probes (RFC 4821).
type MTUProbing uint8

// The ways.
const (
	// MTUProbeBlackHole begins with what the link and ICMP messages say, and searches once packets
	// of that size vanish: "PLPMTUD is only invoked to recover from ICMP black holes", RFC 4821
	// section 7.2. As long as they arrive it costs nothing.
	MTUProbeBlackHole MTUProbing = iota
	// MTUProbeAlways begins with 1200 octets and probes upwards from the first segments: on paths
	// that are known to be black holes it saves the timeouts by which one is found. That the link's MTU
	// passes is known after a round trip. What a narrower path has takes more probes, with pauses
	// after those that are lost: a transfer of 300 KB is over before, at 1200.
	MTUProbeAlways
	// MTUProbeOff does neither: what ICMP messages say is all.
	MTUProbeOff
)

var mtuProbingNames = [...]string{"black hole", "always", "off"}

// String is the way in a word or two.
func (p MTUProbing) String() string {
	if int(p) < len(mtuProbingNames) {
		return mtuProbingNames[p]
	}
	return "MTUProbing(" + strconv.Itoa(int(p)) + ")"
}

// PathMTUState is where the search for the path MTU is: the states of RFC 8899 section 5.2.
type PathMTUState uint8

// The states.
const (
	// PathMTUDisabled: there is nothing to search for. The MTU is that of the link or of the peer.
	PathMTUDisabled PathMTUState = iota
	// PathMTUBase: a black hole has been found, and whether 1200 octets pass is not known.
	PathMTUBase
	// PathMTUSearching: probes seek what more passes.
	PathMTUSearching
	// PathMTUSearchComplete: it is found; after ten minutes the search goes on.
	PathMTUSearchComplete
	// PathMTUError: 1200 octets do not pass.
	PathMTUError
)

var pathMTUStateNames = [...]string{"DISABLED", "BASE", "SEARCHING", "SEARCH_COMPLETE", "ERROR"}

// String is the state's name in RFC 8899.
func (s PathMTUState) String() string {
	return pathMTUStateNames[min(int(s), len(pathMTUStateNames)-1)]
}

const (
	// baseMTU is BASE_PLPMTU: "a default BASE_PLPMTU of 1200 bytes is RECOMMENDED", RFC 8899
	// section 5.1.2. Every path of IPv6 has more.
	baseMTU = 1200
	// raiseMTU is PMTU_RAISE_TIMER: "MUST NOT be less than 5 minutes and is recommended to be 10
	// minutes", RFC 4821 section 7.3; RFC 8201 section 4 says the same.
	raiseMTU = 10 * time.Minute
	// maxMTUProbes is MAX_PROBES: so many of a size are lost before it is deemed too large, for
	// "loss of a single probe is not an indication of a PMTU problem" (RFC 8899 section 5.1.3).
	maxMTUProbes = 3
	// fullStop is how many timeouts in a row are the full-stop timeout of RFC 4821 section 7.7, the
	// least that RFC 9293 section 3.8.3 lets R1 be. It does not follow Config.R1, which says when
	// the user hears of it: the path is as black for whoever wants to hear later.
	fullStop = 3
)

// commonMTUs are worth a probe before the range is halved: "it may be appropriate to probe at certain
// common or expected MTU sizes", RFC 4821 section 7.3. IPv6's least; tunnels of WireGuard over IPv6
// and over IPv4 (1420 and 1440), of IP in IP (1480), PPPoE (1492), Ethernet; FDDI and jumbo frames.
var commonMTUs = [...]uint16{1280, 1400, 1420, 1440, 1480, 1492, 1500, 4352, 9000}

// mtuSearch are the variables of a search. A connection on a path that carries its link's MTU has
// none. All sizes are those of IP packets, in octets.
type mtuSearch struct {
	phase     PathMTUState
	low, high uint16 // search_low: it passes, and is what is sent; search_high: no more than that may
	hint      uint16 // what an ICMP message said of a probe, 0: nothing
	step      bool   // first of all: is there anything more than low by now?
	whole     bool   // the size of before is to be tried once more, with what is lost
	tries     uint8  // PROBE_COUNT

	size       uint16  // PROBED_SIZE, 0: no probe is under way
	start, end seq.Num // what it carries
	again      bool    // it carries what was lost
	next       Time    // no other before
	raise      Time    // PMTU_RAISE_TIMER, in SEARCH_COMPLETE and ERROR

	sent, lost uint32
}

// leastMTU is MIN_PLPMTU: nothing makes us send packets that are smaller (RFC 5927 section 7).
func (c *Conn) leastMTU() uint16 {
	if c.flow.Remote.Is4() {
		return minPathMTU4
	}
	return minPathMTU6
}

// mostMTU is MAX_PLPMTU: what the link carries and the peer takes.
func (c *Conn) mostMTU() uint16 {
	return uint16(min(uint32(c.mtu), c.snd.mss+c.ipHeader()+tcpHeader))
}

// textOf is how much text a packet of mtu octets has, without SACK blocks.
func (c *Conn) textOf(mtu uint16) uint32 {
	n := min(c.snd.mss, uint32(mtu)-c.ipHeader()-tcpHeader)
	if c.opt.timestamps {
		n -= min(timestampsLength, n-1)
	}
	n -= min(c.auth.length(), n-1)
	return n
}

// fineness is how far apart what passes and what does not may stay: 8 octets, or a part in 128 where
// that is more. "The probe size range is small enough that further probing is no longer worth its
// cost", RFC 4821 section 7.3.
func fineness(mtu uint16) uint16 { return max(8, mtu/128) }

// beginMTUSearch is what Config.MTUProbing asks for at the beginning of a connection, RFC 4821
// section 7.2: "using a small initial eff_pmtu will avoid the costly timeouts".
func (c *Conn) beginMTUSearch() {
	if c.cfg.MTUProbing == MTUProbeAlways && c.search == nil && c.mostMTU() > c.baseMTU() {
		c.search = &mtuSearch{phase: PathMTUSearching, low: c.baseMTU(), high: c.mostMTU()}
		c.setPathMTU(int(c.search.low))
	}
}

// baseMTU is BASE_PLPMTU on this path.
func (c *Conn) baseMTU() uint16 { return max(baseMTU, c.leastMTU()) }

// askNarrow is what a segment sent again by the retransmission timer is cut to. After a full-stop
// timeout every other is no more than all paths carry: if that is acknowledged, and no more, then
// the path has been there, and what was sent whole vanished for its size. The others stay whole, so
// that a path that was only dark is found as it was.
func (c *Conn) askNarrow(from seq.Num, n uint32) uint32 {
	least := c.textOf(c.leastMTU())
	least -= min(c.mss()-c.room(), least-1)
	if c.rto.count < fullStop || (c.rto.count-fullStop)%2 != 0 || c.cc.phase != PhaseTimeout ||
		c.cfg.MTUProbing == MTUProbeOff || from != c.snd.una || n <= least {
		return n
	}
	c.board.narrow, c.board.asked = from.Add(least), true
	return least
}

// blackHole answers what askNarrow asked: RFC 4821 section 7.7, RFC 8899 section 4.3. "If eff_pmtu is
// larger than search_low, set eff_pmtu to search_low. Otherwise, set both eff_pmtu and search_low to
// the initial value": here it is the least in any case, the one size of which it is known that it
// passes.
func (c *Conn) blackHole(now Time) {
	had := c.pmtu()
	s := c.search
	if s == nil {
		s = new(mtuSearch)
		c.search = s
	}
	*s = mtuSearch{phase: PathMTUBase, low: c.leastMTU(), high: had, hint: had, sent: s.sent, lost: s.lost}
	if s.low >= c.baseMTU() {
		s.phase = PathMTUSearching
	}
	// The black hole may have been a path that was dark. One probe of the size of before goes at
	// once, made of what is lost, before all that is cut small; it is the one exception to "no
	// outstanding probes or losses". Without SACK nothing would tell in time what became of it.
	if s.whole = c.opt.sack; !s.whole {
		c.signal |= SignalPathMTU
	}
	c.setPathMTU(int(s.low))
	c.board.undo.frto = frtoNo
	c.tellPathMTU(now, RuleBlackHole)
}

// nextMTU is the size of the next probe, 0 when the search is over: "Each Packetization Layer MUST
// determine when probing has converged", RFC 4821 section 7.3. Failed probes cost more than those that
// pass, so that sizes come upwards, but for the largest: mostly it is that or a common one.
func (c *Conn) nextMTU() uint16 {
	s := c.search
	if s.high < s.low+fineness(s.low) && !(s.high == c.mostMTU() && s.low < s.high) {
		return 0
	}
	switch {
	case s.phase == PathMTUBase:
		return min(c.baseMTU(), s.high)
	case s.low < s.hint && s.hint <= s.high:
		return s.hint
	case s.step:
		return min(s.low+fineness(s.low), s.high)
	case s.high == c.mostMTU():
		return s.high
	}
	common := false
	for _, mtu := range commonMTUs {
		if s.low < mtu && mtu <= s.high {
			return mtu
		}
		common = common || mtu == s.low
	}
	if common { // the next does not pass: this is likely to be it
		return s.low + fineness(s.low)
	}
	return s.low + (s.high-s.low+1)/2
}

// endMTUSearch rests where there is nothing more to find.
func (c *Conn) endMTUSearch(now Time) {
	s := c.search
	if s.phase == PathMTUBase || c.nextMTU() != 0 {
		return
	}
	if s.phase != PathMTUError {
		s.phase = PathMTUSearchComplete
	}
	s.step, s.hint = false, 0
	s.raise = now.Add(raiseMTU)
	c.tellPathMTU(now, RuleMTUComplete)
}

// raiseDue goes on with a search that was over: "search_high should be reset to its initial value [...] so
// that probing can resume".
func (c *Conn) raiseDue(now Time) {
	s := c.search
	if s.raise == 0 || now < s.raise {
		return
	}
	s.raise = 0
	if s.low >= c.mostMTU() {
		return
	}
	s.high, s.step, s.tries = c.mostMTU(), true, 0
	if s.phase == PathMTUSearchComplete {
		s.phase = PathMTUSearching
	}
	c.tellPathMTU(now, RuleMTURaise)
}

// lowerMTU takes in that a router, or the stack, says that the path carries mtu and no more.
func (c *Conn) lowerMTU(now Time, mtu, high uint16) {
	if c.cfg.MTUProbing == MTUProbeOff {
		return
	}
	s := c.search
	if s == nil {
		s = new(mtuSearch)
		c.search = s
	}
	*s = mtuSearch{phase: PathMTUSearching, low: mtu, high: max(mtu, high), step: high >= c.mtu, sent: s.sent, lost: s.lost}
	switch {
	case high <= mtu:
		s.phase, s.raise = PathMTUSearchComplete, now.Add(raiseMTU)
	case mtu < c.baseMTU():
		s.phase = PathMTUBase
	}
}

// FoundMTU returns what a search has found of the path, in octets of IP packets: what passes, and
// above what nothing does, or nothing is known to; both are 0 where there was no search. See
// SignalPathMTU.
func (c *Conn) FoundMTU() (passes, most int) {
	if s := c.search; s != nil {
		return int(s.low), int(s.high)
	}
	return 0, 0
}

// tellPathMTU tells of a step of the search.
func (c *Conn) tellPathMTU(now Time, rule Rule) {
	if t := c.cfg.Trace; t != nil && t.PathMTU != nil {
		mtu := c.pmtu()
		if s := c.search; s != nil && s.size != 0 {
			mtu = s.size
		}
		t.PathMTU(c, now, int(mtu), rule)
	}
}
