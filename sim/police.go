package sim

import (
	"fmt"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// PoliceConfig is a token bucket that drops what there are no tokens for, and has no queue. The
// zero value lets all pass.
type PoliceConfig struct {
	Rate  int64 // bits of IP packets a second
	Burst int   // how many octets of tokens there are at first, and at most
}

func (c *PoliceConfig) check() error {
	if c.Rate < 0 || c.Burst < 0 || (c.Rate == 0) != (c.Burst == 0) {
		return fmt.Errorf("sim: a policer with %d bit/s and a burst of %d octets", c.Rate, c.Burst)
	}
	return nil
}

// police is the bucket, as the instant at which it is full again.
type police struct {
	cfg  PoliceConfig
	full tcp.Time
}

// passes takes the tokens of a packet of n octets, if there are enough.
func (p *police) passes(now tcp.Time, n int) bool {
	if p.cfg.Rate == 0 {
		return true
	}
	full := max(p.full, now).Add(p.takes(n))
	if full.Sub(now) > p.takes(p.cfg.Burst) {
		return false
	}
	p.full = full
	return true
}

// takes is how long the tokens of n octets take to come.
func (p *police) takes(n int) time.Duration {
	return time.Duration(uint64(n) * 8 * uint64(time.Second) / uint64(p.cfg.Rate))
}
