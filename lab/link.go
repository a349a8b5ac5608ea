package lab

import (
	"errors"
	"fmt"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
)

// Rate is how many bits of IP packets a link carries in a second.
type Rate int64

// Units of a Rate.
const (
	Kbps Rate = 1000
	Mbps Rate = 1000 * Kbps
	Gbps Rate = 1000 * Mbps
)

// Link says how the way between two hosts treats packets, each direction for itself. The zero
// value is a cable of no length: what is sent is there a nanosecond later, all of it, in order.
//
// Shares run from 0, never, to 1, always. What is drawn by chance follows from the seed.
type Link struct {
	// Delay is how long a packet is on its way, so that the round trip is twice as much.
	Delay time.Duration
	// Jitter is added to the delay, evenly spread from 0 to this. A packet waits for those
	// before it, unless JitterReorders lets it overtake them.
	Jitter         time.Duration
	JitterReorders bool
	// Rate bounds what is sent in a second: a packet is sent whole before the next. Default 0: no
	// limit, and so no queue.
	Rate Rate
	// Queue is how many packets of the MTU may wait while others are sent; what does not fit is
	// lost. Default, with a Rate: what Rate carries in a tenth of a second, at least 20.
	Queue int
	// CoDel has the queue drop what makes it stand for long (RFC 8289), and ECN has it mark
	// those packets instead which can be marked (RFC 3168).
	CoDel, ECN bool

	Loss      float64            // the share of packets that are lost, each by itself
	Burst     sim.GilbertElliott // loss in bursts, beside it
	Reorder   float64            // the share of packets that are late by up to ReorderBy: those behind overtake them
	ReorderBy time.Duration      // default: half of Delay, at least 1 ms
	Duplicate float64            // the share of packets that arrive twice
	Corrupt   float64            // the share of packets with one bit turned over

	// MTU is the longest packet that passes, in octets. Whoever sends a longer one is told so by
	// ICMP, as by a router before a narrow link. Default 1500.
	MTU int
	// BlackHole keeps ICMP messages from being sent: a longer packet vanishes without a word.
	BlackHole bool

	// Blackouts are when nothing gets through, counted from when the Link is set.
	Blackouts []Blackout

	// Back, if set, is the direction from the second host to the first, which is otherwise as the
	// other.
	Back *Link

	since tcp.Time // when it was set
}

// set returns the link as it is from now on.
func (l Link) set(now tcp.Time) *Link {
	l.since = now
	if l.Back != nil {
		l.Back = l.Back.set(now)
	}
	return &l
}

// Blackout is a time at which a link is dark: what is sent is lost, what is on its way arrives.
type Blackout struct {
	From, For time.Duration
}

// mtu returns the MTU.
func (l *Link) mtu() int {
	if l.MTU == 0 {
		return link.DefaultMTU
	}
	return l.MTU
}

// path is what sim makes of it. The MTU is checked before a packet gets there.
func (l *Link) path() sim.PathConfig {
	c := sim.PathConfig{
		Delay: l.Delay, Jitter: l.Jitter, JitterReorders: l.JitterReorders, Rate: int64(l.Rate),
		Loss: l.Loss, Burst: l.Burst, Reorder: l.Reorder, ReorderBy: l.ReorderBy,
		Duplicate: l.Duplicate, Corrupt: l.Corrupt,
	}
	if c.Reorder > 0 && c.ReorderBy == 0 {
		c.ReorderBy = max(l.Delay/2, time.Millisecond)
	}
	if l.Rate > 0 {
		c.Queue.Limit = l.Queue * l.mtu()
		if l.Queue == 0 {
			c.Queue.Limit = max(int(l.Rate/8/10), 20*l.mtu())
		}
		c.Queue.ECN = l.ECN
		if l.CoDel {
			c.Queue.Kind = sim.CoDel
		}
	}
	for _, b := range l.Blackouts {
		c.Blackouts = append(c.Blackouts, sim.Blackout{From: b.From, For: b.For})
	}
	return c
}

// check refuses what cannot be, and what would say nothing.
func (l *Link) check() error {
	switch {
	case l.Queue < 0:
		return fmt.Errorf("lab: a queue of %d packets", l.Queue)
	case l.Rate == 0 && (l.Queue > 0 || l.CoDel):
		return errors.New("lab: a link without a Rate has no queue")
	case l.ECN && !l.CoDel:
		return errors.New("lab: a queue marks packets (ECN) with CoDel alone")
	case l.MTU != 0 && (l.MTU < link.MinMTU || l.MTU > link.MaxMTU):
		return fmt.Errorf("lab: an MTU of %d octets", l.MTU)
	case l.Back != nil && l.Back.Back != nil:
		return errors.New("lab: the way back of a way back")
	}
	if _, err := sim.NewPath(l.path(), 1, nil); err != nil {
		return err
	}
	if l.Back != nil {
		return l.Back.check()
	}
	return nil
}
