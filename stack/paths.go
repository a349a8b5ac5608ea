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
	if p.known == nil {
		p.known = make(map[wire.Addr]path)
	}
	if dst.Is4() {
		mtu = max(mtu, leastMTU4)
	}
	old, ok := p.known[dst]
	if ok && now < old.until && old.mtu < mtu {
		return
	}
	if !ok {
		if len(p.order) < limit {
			p.order = append(p.order, dst)
		} else {
			delete(p.known, p.order[p.next])
			p.order[p.next] = dst
			p.next = (p.next + 1) % limit
		}
	}
	p.known[dst] = path{mtu, now.Add(pathLife)}
}

// mtu returns what is known of the path to dst.
func (p *paths) mtu(now tcp.Time, dst *wire.Addr) (int, bool) {
	known, ok := p.known[*dst]
	return known.mtu, ok && now < known.until
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
