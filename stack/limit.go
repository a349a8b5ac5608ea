package stack

import (
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// limiter bounds how many answers of a kind go to one destination: RFC 1812 section
// 4.3.2.8, RFC 4443 section 2.4 (f). It has a token bucket for each destination and none
// for all together: a common one tells an attacker what others have used up of it
// (CVE-2016-5696, CVE-2020-25705). Destinations share buckets by a keyed hash, so that
// nobody can choose with whom.
type limiter struct {
	key  [16]byte
	rate int // a second; so many may go at once; negative: none
	full []tcp.Time
}

const buckets = 1024

// take reports whether an answer to dst may go now, and counts it. A bucket is one number,
// the instant at which it would be full of tokens again; each answer moves it on.
func (l *limiter) take(now tcp.Time, dst *wire.Addr) bool {
	if l.rate < 0 {
		return false
	}
	if l.full == nil {
		l.full = make([]tcp.Time, buckets)
	}
	host := dst[:]
	if !dst.Is4() {
		host = dst[:8] // one user has a /64
	}
	b := &l.full[tcp.SipHash(&l.key, host)%buckets]
	at := max(*b, now).Add(time.Second / time.Duration(l.rate))
	if at.Sub(now) > time.Second {
		return false
	}
	*b = at
	return true
}
