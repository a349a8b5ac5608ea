package stack

import (
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// What is known of paths to destinations: RFC 1191 sections 5 and 6, RFC 8201 section 5.

// pathLife is how long a path MTU is believed: RFC 1191 section 6.3 and RFC 8201 section
// 5.3 say 10 minutes. New connections begin with the link's MTU then.
const pathLife = 10 * time.Minute

// Least path MTUs. A message that says less makes us believe the first, for IPv4 (RFC 1122
// section 3.3.2: what every host must be able to receive, "greater than or equal to 576");
// for IPv6 (RFC 8200 section 5) there are no such paths, and such a message is discarded.
const (
	leastMTU4 = 576
	leastMTU6 = 1280
)

type path struct {
	mtu   int
	most  int // above it nothing passes, as a search has found; 0: there was none
	until tcp.Time
}

// paths is bounded: the destination that was learned longest ago makes room.
type paths struct {
	known map[wire.Addr]path
	order []wire.Addr // by when first learned, a ring
	next  int
}

// learn notes that packets to dst may have mtu octets. What is known only falls until it is
// forgotten: "A host MUST not increase its estimate of the Path MTU in response to the
// contents of a Datagram Too Big message", RFC 1191 section 3; an older connection, which
// still sends more, may well get one that says more. Nor does that one prolong the other.
func (p *paths) learn(now tcp.Time, dst wire.Addr, mtu, limit int) {
	if dst.Is4() {
		mtu = max(mtu, leastMTU4)
	}
	if old, ok := p.known[dst]; ok && now < old.until && old.mtu < mtu {
		return
	}
	p.set(dst, path{mtu: mtu, until: now.Add(pathLife)}, limit)
}

// found notes what a connection's probes have found (RFC 4821 section 5.2): it may be more than was
// known, for it has passed.
func (p *paths) found(now tcp.Time, dst wire.Addr, mtu, most, limit int) {
	p.set(dst, path{mtu: mtu, most: most, until: now.Add(pathLife)}, limit)
}

func (p *paths) set(dst wire.Addr, what path, limit int) {
	if p.known == nil {
		p.known = make(map[wire.Addr]path)
	}
	if _, ok := p.known[dst]; !ok {
		if len(p.order) < limit {
			p.order = append(p.order, dst)
		} else {
			delete(p.known, p.order[p.next])
			p.order[p.next] = dst
			p.next = (p.next + 1) % limit
		}
	}
	p.known[dst] = what
}

// mtu returns what is known of the path to dst: what passes, and above what nothing does; 0 when
// nothing is known. What a search has found is not forgotten after pathLife, or the next connection
// would stall in the same black hole: it begins with that, and looks whether there is more by now.
func (p *paths) mtu(now tcp.Time, dst *wire.Addr) (passes, most int) {
	switch known := p.known[*dst]; {
	case now < known.until:
		return known.mtu, known.most
	case known.most != 0:
		return known.mtu, wire.MaxPacket
	}
	return 0, 0
}

// foundMTU keeps what the connection's search has found, for those that follow.
func (s *Stack) foundMTU(now tcp.Time, c *Conn) {
	if passes, most := c.tcp.FoundMTU(); passes != 0 {
		s.paths.found(now, c.tcp.Flow().Remote, passes, most, s.cfg.MaxPaths)
	}
}

// plateaus is the table of RFC 1191 section 7.1, for routers that do not say their MTU.
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68}

// plateau returns the largest likely MTU that is less than the length of a packet that did
// not fit.
func plateau(length int) int {
	for _, mtu := range plateaus {
		if mtu < length {
			return mtu
		}
	}
	return plateaus[len(plateaus)-1]
}
