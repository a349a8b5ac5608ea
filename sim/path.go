package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// PathConfig says how one direction of a link treats packets. The zero value delivers all of
// them, in order and at once.
//
// A packet meets, in this order: its fate, drawn when it enters; the MTU; the policer; the queue, while
// others are sent; the transmitter, at Rate; a blackout; loss and damage, somewhere on the way;
// delay, jitter and lateness. So what is lost by chance has taken its share of the rate.
type PathConfig struct {
	// Delay is how long a packet is on its way once it is sent. At least 1 ns: nothing arrives
	// at the instant at which it is sent.
	Delay time.Duration
	// Jitter is added to the delay, evenly spread from 0 to this. A packet waits for those
	// before it, unless JitterReorders lets it overtake them.
	Jitter         time.Duration
	JitterReorders bool
	// Rate is how many bits of IP packets are sent in a second. A packet is sent whole before
	// the next, and arrives when its last bit does. 0: no limit, and so no queue.
	Rate int64
	// Rates are what Rate becomes later, in the order of time. What is being sent ends at the old one.
	Rates  []RateChange
	Queue  QueueConfig
	Police PoliceConfig
	// MTU, when set, is the longest packet that passes, in octets. A longer one vanishes without
	// a word: a black hole. A router that tells is a Host with stack.Config.Forward before a link
	// with that LinkConfig.MTU.
	MTU int

	Loss  float64        // of how many packets one is lost, independently: 0 to 1
	Burst GilbertElliott // loss that comes in bursts, beside Loss
	// Reorder is the share of packets that are late by up to ReorderBy, evenly spread; those
	// behind overtake them.
	Reorder   float64
	ReorderBy time.Duration
	Duplicate float64 // the share of packets that arrive once more, half a delay later
	Corrupt   float64 // the share of packets of which one bit is turned over

	// Blackouts are when nothing gets through; they must not overlap.
	Blackouts []Blackout
}

// RateChange is that the rate is another from an instant on, which counts as those of a Blackout.
type RateChange struct {
	From time.Duration
	Rate int64
}

// Blackout is a time at which the path is dark: from its first instant on, up to but not
// including the one at which For has passed. What is on its way arrives.
type Blackout struct {
	From, For time.Duration // From counts from the start of the Path; in a World, from Start
	// Hold: the transmitter stops, and what waits in the queue goes when the light is back; what
	// was being sent is sent anew. Otherwise it goes on, and every packet is lost whose last bit
	// leaves in the dark.
	Hold bool
}

// GilbertElliott is loss by a chain of two states, good and bad. For each packet the chain
// moves, and then the packet is lost with the probability of the state. Bursts in the bad state
// are 1/ToGood packets long in the mean.
type GilbertElliott struct {
	ToBad, ToGood     float64 // probabilities that the state changes, for each packet
	LossGood, LossBad float64 // probabilities of loss in each state
}

// Fate is what a network does to a packet. The zero Fate is that it arrives as it is, after
// the link's delay.
type Fate struct {
	Lost    bool          // it never arrives
	Late    time.Duration // so much longer on its way: what departs later may overtake it
	Jitter  time.Duration // the same, but who may overtake it the path says
	Copies  int           // so many more arrive, each half a delay after the one before
	Damaged bool          // a bit is wrong when it arrives
	Bit     int           // which, counted from the lowest of the last octet
	Marked  bool          // if it is ECN-capable, it says Congestion Experienced when it arrives
}

// and joins what chance does to what a rule does.
func (f Fate) and(g Fate) Fate {
	f.Lost = f.Lost || g.Lost
	f.Late = max(f.Late, g.Late)
	f.Jitter = max(f.Jitter, g.Jitter)
	f.Copies = max(f.Copies, g.Copies)
	if g.Damaged {
		f.Damaged, f.Bit = true, g.Bit
	}
	f.Marked = f.Marked || g.Marked
	return f
}

// Loss is why a packet did not arrive.
type Loss uint8

// The reasons.
const (
	NotLost       Loss = iota
	LossByChance       // its Fate
	LossInQueue        // the queue was full
	LossByCoDel        // the queue has stood for too long
	LossByRED          // the queue has been too long
	LossTooLong        // longer than the path's MTU
	LossInTheDark      // a blackout
	LossByPolice       // more than the policer lets pass
	numLosses
)

var lossNames = [numLosses]string{"not lost", "lost by chance", "queue full", "dropped by CoDel", "dropped by RED", "too long", "in a blackout", "policed"}

// String says the reason in a few words.
func (l Loss) String() string {
	if l < numLosses {
		return lossNames[l]
	}
	return "unknown"
}

// Parcel is a packet as a Path carries it. From Put until it has come out it is the Path's.
type Parcel struct {
	Bytes []byte // the IP packet. Where the path changes it, it makes a copy
	Fate  Fate   // as drawn or as somebody wants it; Marked is what became of it
	Tag   any    // the owner's, not looked at
}

// Delivery is what comes out of a Path: a Parcel that arrives, or the news that it is lost.
type Delivery struct {
	*Parcel
	At   tcp.Time
	Loss Loss // NotLost: it arrives
}

// PathStats counts packets.
type PathStats struct {
	In, Arrived, Marked int
	Lost                [numLosses]int
	MostQueued          int // octets that have waited at once
}

// Path is one direction of a link, a machine of its own: packets go in with [Path.Put], and come
// out by [Path.Take] when [Path.Deadline] says. It knows no World and no clock: what it does
// depends on its config, the generator, and what it is told, not on how late Take is called.
type Path struct {
	cfg    PathConfig
	start  tcp.Time
	random *rand.Rand
	bad    bool // the state of Burst

	rates   []RateChange // to come
	police  police
	queue   queue
	sending *Parcel  // by the transmitter
	free    tcp.Time // when it has sent that
	spare   uint64   // what is left over of nanoseconds, in parts of Rate
	last    tcp.Time // when the last packet arrives of those that keep their order
	road    []travel // by the time at which they come out
	stats   PathStats
}

type travel struct {
	at     tcp.Time
	parcel *Parcel
	loss   Loss
}

// NewPath returns an empty path. Blackouts count from start. The generator must be its own.
func NewPath(cfg PathConfig, start tcp.Time, random *rand.Rand) (*Path, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Delay = max(cfg.Delay, 1)
	cfg.Blackouts = slices.Clone(cfg.Blackouts)
	slices.SortFunc(cfg.Blackouts, func(a, b Blackout) int { return int(min(max(a.From-b.From, -1), 1)) })
	for i, b := range cfg.Blackouts {
		if b.From < 0 || b.For <= 0 || i > 0 && b.From < cfg.Blackouts[i-1].From+cfg.Blackouts[i-1].For {
			return nil, fmt.Errorf("sim: a blackout of %v at %v: it must last, and overlap no other", b.For, b.From)
		}
	}
	p := &Path{cfg: cfg, start: start, random: random, rates: slices.Clone(cfg.Rates)}
	p.queue.init(cfg.Queue)
	p.police = police{cfg: cfg.Police}
	return p, nil
}

// Change gives the path another config from now on. What is on its way arrives as it would have;
// what waits in the queue waits on, and what is being sent ends at the old rate. The times of
// blackouts and rates count from now.
func (p *Path) Change(now tcp.Time, cfg PathConfig) error {
	next, err := NewPath(cfg, now, p.random)
	if err != nil {
		return err
	}
	p.advance(now)
	next.queue.take(&p.queue)
	next.sending, next.free, next.last, next.road, next.stats = p.sending, p.free, p.last, p.road, p.stats
	next.bad = p.bad
	*p = *next
	if p.cfg.Rate == 0 {
		p.empty(now)
	}
	return nil
}

// empty sends at once what waits, as there is no rate any more.
func (p *Path) empty(now tcp.Time) {
	if p.sending != nil {
		now = p.free
		p.launch(now, p.sending)
		p.sending = nil
	}
	for w, ok := p.queue.pop(); ok; w, ok = p.queue.pop() {
		p.launch(now, w.parcel)
	}
}

// check refuses what cannot be.
func (c *PathConfig) check() error {
	for _, share := range []struct {
		name string
		p    float64
	}{
		{"loss", c.Loss}, {"reordering", c.Reorder}, {"duplication", c.Duplicate}, {"corruption", c.Corrupt},
		{"change to bursts", c.Burst.ToBad}, {"end of bursts", c.Burst.ToGood},
		{"loss in bursts", c.Burst.LossBad}, {"loss between bursts", c.Burst.LossGood},
	} {
		if !(share.p >= 0 && share.p <= 1) {
			return fmt.Errorf("sim: %s %v is not in 0..1", share.name, share.p)
		}
	}
	switch {
	case c.Delay < 0:
		return fmt.Errorf("sim: delay %v is less than nothing", c.Delay)
	case c.Jitter < 0 || c.ReorderBy < 0:
		return errors.New("sim: jitter or lateness is less than nothing")
	case c.Rate < 0:
		return fmt.Errorf("sim: rate %d is less than nothing", c.Rate)
	case c.Rate == 0 && c.Queue != QueueConfig{}:
		return errors.New("sim: a path without a rate has no queue")
	}
	for i, r := range c.Rates {
		if c.Rate == 0 || r.Rate <= 0 || i > 0 && r.From < c.Rates[i-1].From {
			return fmt.Errorf("sim: a rate of %d from %v on: rates are more than nothing, in the order of time", r.Rate, r.From)
		}
	}
	return errors.Join(c.Queue.check(), c.Police.check())
}

// Draw draws what befalls the next packet by chance.
func (p *Path) Draw() Fate {
	var f Fate
	c := &p.cfg
	f.Lost = p.chance(c.Loss)
	if b := &c.Burst; *b != (GilbertElliott{}) {
		if p.bad && p.chance(b.ToGood) || !p.bad && p.chance(b.ToBad) {
			p.bad = !p.bad
		}
		f.Lost = p.chance(b.LossGood) && !p.bad || p.bad && p.chance(b.LossBad) || f.Lost
	}
	if c.Jitter > 0 {
		f.Jitter = time.Duration(p.random.Int64N(int64(c.Jitter) + 1))
	}
	if p.chance(c.Reorder) && c.ReorderBy > 0 {
		f.Late = time.Duration(1 + p.random.Int64N(int64(c.ReorderBy)))
	}
	if p.chance(c.Duplicate) {
		f.Copies = 1
	}
	if p.chance(c.Corrupt) {
		f.Damaged, f.Bit = true, int(p.random.Uint32()>>1)
	}
	return f
}

// chance draws, where there is anything to be drawn.
func (p *Path) chance(share float64) bool { return share > 0 && p.random.Float64() < share }

// Put lets a packet in. What is to befall it by chance the caller has drawn, with Draw.
func (p *Path) Put(now tcp.Time, parcel *Parcel) {
	p.advance(now)
	p.stats.In++
	if parcel.Fate.Marked {
		parcel.Fate.Marked = parcel.mark()
	}
	switch {
	case p.cfg.MTU > 0 && len(parcel.Bytes) > p.cfg.MTU:
		p.lose(now, parcel, LossTooLong)
	case !p.police.passes(now, len(parcel.Bytes)):
		p.lose(now, parcel, LossByPolice)
	case p.cfg.Rate == 0:
		p.launch(p.untilLight(now, 0), parcel)
	default:
		if loss := p.admit(now, parcel); loss != NotLost {
			p.lose(now, parcel, loss)
		} else if p.sending == nil {
			p.transmit(now, parcel)
		} else {
			p.queue.push(now, parcel)
			p.stats.MostQueued = max(p.stats.MostQueued, p.queue.octets)
		}
	}
}

// Deadline returns when Take has something to do next, or tcp.Never.
func (p *Path) Deadline() tcp.Time {
	d := tcp.Never
	if p.sending != nil {
		d = p.horizon()
	}
	if len(p.road) > 0 {
		d = min(d, p.road[0].at)
	}
	return d
}

// Soonest returns before which instant a packet of so many octets that is put in at now does not come
// out, unless it is lost at once. doomed: it may be lost, whatever the path's own chance.
func (p *Path) Soonest(now tcp.Time, octets int, doomed bool) tcp.Time {
	if p.cfg.Rate > 0 {
		if p.sending != nil {
			now = max(now, p.free)
		}
		if len(p.rates) == 0 {
			now = now.Add(time.Duration(uint64(octets) * 8 * uint64(time.Second) / uint64(p.cfg.Rate)))
		}
	}
	switch {
	case p.queue.cfg.Kind == CoDel || len(p.cfg.Blackouts) > 0:
		return now
	case doomed || p.cfg.Loss > 0 || p.cfg.Burst != (GilbertElliott{}):
		return now.Add(p.lostAfter())
	}
	return now.Add(p.cfg.Delay)
}

// horizon is before which instant nothing comes out of what is being sent and what waits. That a packet
// leaves the transmitter is none of the owner's business: Take finds it out.
func (p *Path) horizon() tcp.Time {
	switch {
	case p.queue.cfg.Kind == CoDel || len(p.cfg.Blackouts) > 0:
		return p.free // something may be lost then
	case p.sending.Fate.Lost || p.queue.doomed > 0:
		return p.free.Add(p.lostAfter())
	}
	return p.free.Add(p.cfg.Delay)
}

// lostAfter is how long a packet is on its way that is lost by chance.
func (p *Path) lostAfter() time.Duration { return max(p.cfg.Delay/2, 1) }

// Take returns what comes out next up to now, if there is anything: call it until it returns
// false. At Deadline there may be nothing: a packet is late, or has jitter.
func (p *Path) Take(now tcp.Time) (Delivery, bool) {
	p.advance(now)
	if len(p.road) == 0 || p.road[0].at > now {
		return Delivery{}, false
	}
	t := p.road[0]
	p.road[0] = travel{}
	p.road = p.road[1:]
	if t.loss == NotLost {
		p.stats.Arrived++
	} else {
		p.stats.Lost[t.loss]++
	}
	return Delivery{t.parcel, t.at, t.loss}, true
}

// Stats returns the counters.
func (p *Path) Stats() PathStats { return p.stats }

// advance does what the transmitter has done up to now.
func (p *Path) advance(now tcp.Time) {
	for p.sending != nil && p.free <= now {
		at, sent := p.free, p.sending
		p.sending = nil
		p.launch(at, sent)
		if next := p.dequeue(at); next != nil {
			p.transmit(at, next)
		} else {
			p.queue.idle = at
		}
	}
}

// transmit begins to send a packet.
func (p *Path) transmit(now tcp.Time, parcel *Parcel) {
	p.sending = parcel
	for len(p.rates) > 0 && p.start.Add(p.rates[0].From) <= now {
		p.cfg.Rate, p.spare, p.rates = p.rates[0].Rate, 0, p.rates[1:]
	}
	p.free = p.untilLight(now, p.takes(len(parcel.Bytes)))
}

// takes is how long it takes to send n octets. What does not make a whole nanosecond is carried
// over, so that in the long run the rate is exact.
func (p *Path) takes(n int) time.Duration {
	parts := uint64(n)*8*uint64(time.Second) + p.spare
	p.spare = parts % uint64(p.cfg.Rate)
	return time.Duration(parts / uint64(p.cfg.Rate))
}

// untilLight returns when a packet is sent that takes so long, begun now: a blackout that holds
// has it sent again at its end.
func (p *Path) untilLight(now tcp.Time, takes time.Duration) tcp.Time {
	end := now.Add(takes)
	for i := range p.cfg.Blackouts {
		if b := &p.cfg.Blackouts[i]; b.Hold && p.within(b, end) {
			end = p.start.Add(b.From + b.For + takes)
		}
	}
	return end
}

func (p *Path) within(b *Blackout, t tcp.Time) bool {
	from := p.start.Add(b.From)
	return from <= t && t < from.Add(b.For)
}

// dark reports whether what leaves at t is lost in a blackout.
func (p *Path) dark(t tcp.Time) bool {
	return slices.ContainsFunc(p.cfg.Blackouts, func(b Blackout) bool { return !b.Hold && p.within(&b, t) })
}

// launch sends a packet on its way.
func (p *Path) launch(now tcp.Time, parcel *Parcel) {
	f := &parcel.Fate
	switch {
	case p.dark(now):
		p.lose(now, parcel, LossInTheDark)
		return
	case f.Lost:
		p.lose(now.Add(p.lostAfter()), parcel, LossByChance) // somewhere on the way
		return
	}
	if f.Damaged {
		parcel.damage()
	}
	at := now.Add(p.cfg.Delay + max(f.Jitter, 0))
	if !p.cfg.JitterReorders {
		at = max(at, p.last)
		p.last = at
	}
	at = at.Add(max(f.Late, 0))
	p.put(travel{at, parcel, NotLost})
	for range f.Copies {
		at = at.Add(max(p.cfg.Delay/2, 1))
		p.put(travel{at, parcel, NotLost})
	}
}

func (p *Path) lose(at tcp.Time, parcel *Parcel, why Loss) { p.put(travel{at, parcel, why}) }

// put lets t come out after what comes out at the same time.
func (p *Path) put(t travel) {
	i := len(p.road)
	for i > 0 && p.road[i-1].at > t.at {
		i--
	}
	p.road = slices.Insert(p.road, i, t)
}

// The ECN field, the lower two bits of the traffic class: RFC 3168 section 5.
const (
	ecnMask    = 3
	notCapable = 0
	congestion = 3
)

// mark sets Congestion Experienced, and reports whether the packet is ECN-capable.
func (p *Parcel) mark() bool {
	switch wire.Version(p.Bytes) {
	case 4:
		h := wire.IPv4(p.Bytes)
		if len(h) < wire.IPv4HeaderLen || h.TC()&ecnMask == notCapable {
			return false
		}
		if h.TC()&ecnMask != congestion {
			h = slices.Clone(h)
			h.SetTC(h.TC() | congestion)
			h.UpdateChecksum()
			p.Bytes = h
		}
		return true
	case 6:
		h := wire.IPv6(p.Bytes)
		if len(h) < wire.IPv6HeaderLen || h.TC()&ecnMask == notCapable {
			return false
		}
		h = slices.Clone(h)
		h.SetTC(h.TC() | congestion)
		p.Bytes = h
		return true
	}
	return false
}

// damage turns the bit of the Fate over. In IPv6 it is one behind the fixed header, which has no
// checksum that could find it out.
func (p *Parcel) damage() {
	n := len(p.Bytes)
	if wire.Version(p.Bytes) == 6 && n > wire.IPv6HeaderLen {
		n -= wire.IPv6HeaderLen
	}
	if n == 0 {
		return
	}
	bit := p.Fate.Bit % (8 * n)
	p.Fate.Bit = bit
	p.Bytes = slices.Clone(p.Bytes)
	p.Bytes[len(p.Bytes)-1-bit/8] ^= 1 << (bit % 8)
}
