package link

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitro-net/vitro/wire"
)

// Verdict is what is to happen to one packet. The zero Verdict lets it pass.
type Verdict struct {
	Drop      bool          // the packet is lost, and nothing else happens to it
	Corrupt   bool          // one bit is turned, in a place where a checksum sees it
	Copies    int           // how many copies follow the packet, alike in all
	Delay     time.Duration // how long packet and copies wait
	Overtaken int           // how many later packets of the direction go before this one; see FaultConfig.OvertakeWait
}

// Rule decides about packets, which it must not change or keep. All of a Fault's calls are
// made one at a time and in the order of the packets of each direction, with a lock held: a
// rule must not call the link.
type Rule func(dir Direction, p *wire.Packet) Verdict

// Odds are what happens to the packets of one direction by chance, each independent of the
// others. Probabilities run from 0, never, to 1, always.
type Odds struct {
	Drop      float64       // the packet is lost
	Corrupt   float64       // one bit is turned
	Duplicate float64       // one copy follows
	Reorder   float64       // one to three later packets go first
	Delay     time.Duration // how long every packet waits
	Jitter    time.Duration // an equally distributed wait up to this is added to Delay, which reorders too
}

// FaultConfig says what a Fault does. The zero value lets everything pass.
type FaultConfig struct {
	// Seed of the two generators that Odds are drawn from, one a direction. A packet's
	// fate depends on the seed, the odds, and its number in its direction alone: each
	// packet takes equally many numbers, whatever the odds.
	Seed    uint64
	Out, In Odds

	// Rule, when not nil, is asked for each packet. What it says is added to what chance
	// has drawn.
	Rule Rule

	// OvertakeWait is how long a packet that is to be overtaken waits for those packets, on
	// top of its delay; then it goes without. 0: 10 ms.
	OvertakeWait time.Duration

	// Limit is the most packets, of both directions together, that wait at a time; a
	// packet beyond is lost. 0: 16384.
	Limit int
}

// FaultCount counts what has happened to the packets of one direction. A packet to which
// several things happen counts in each, but a lost one nowhere else.
type FaultCount struct {
	Packets    uint64 // that came; a super-segment counts as the packets it is cut into
	Dropped    uint64 // lost by rule or chance
	Corrupted  uint64
	Duplicated uint64 // copies made
	Delayed    uint64
	Reordered  uint64 // that were to be overtaken
	Overflowed uint64 // lost because FaultConfig.Limit packets, or copies of them, were waiting
	Refused    uint64 // super-segments lost because they cannot be cut or have a wrong checksum
}

// FaultStats counts both directions.
type FaultStats struct{ Out, In FaultCount }

// FaultLink is a link that spoils another. Make it with Fault.
type FaultLink struct {
	inner Link
	rule  Rule
	wait  time.Duration
	limit int
	gate  gate // timer callbacks, armed or running, and calls of the receiver
	recv  atomic.Pointer[Receiver]

	mu    sync.Mutex // never held during a call of a link or a receiver
	ways  [2]way
	queue queue
}

var _ Link = (*FaultLink)(nil)

// way is one direction.
type way struct {
	odds  Odds
	rng   *rand.Rand
	count FaultCount
	held  []*item // waiting to be overtaken, oldest first
}

// Fault returns inner with the faults of c. It owns inner from then on.
//
// It offers no offload, and cuts super-segments that inner delivers, so that whatever is
// lost, delayed or corrupted is one packet as on a wire, with a complete checksum. What
// passes unharmed is sent and received at once, in the caller's goroutine; what waits is
// delivered by one timer. It works in a testing/synctest bubble.
func Fault(inner Link, c FaultConfig) *FaultLink {
	f := &FaultLink{inner: inner, rule: c.Rule, wait: c.OvertakeWait, limit: c.Limit, gate: newGate()}
	if f.wait <= 0 {
		f.wait = 10 * time.Millisecond
	}
	if f.limit <= 0 {
		f.limit = 16384
	}
	f.queue.epoch = time.Now()
	for dir, odds := range []Odds{Out: c.Out, In: c.In} {
		f.ways[dir] = way{odds: odds, rng: rand.New(rand.NewPCG(c.Seed, uint64(dir)))}
	}
	return f
}

// Attach names the receiver, and attaches to the link beneath.
func (f *FaultLink) Attach(r Receiver) error {
	if r == nil {
		return errors.New("link: Attach of a nil receiver")
	}
	if f.gate.closed() {
		return ErrClosed
	}
	if !f.recv.CompareAndSwap(nil, &r) {
		return ErrAttached
	}
	return f.inner.Attach((*faultReceiver)(f))
}

// Send sends what the faults leave of the batch.
func (f *FaultLink) Send(batch []wire.Packet) error {
	if f.gate.closed() {
		return ErrClosed
	}
	if out := f.judge(Out, batch); len(out) > 0 {
		return f.inner.Send(out)
	}
	return nil
}

// faultReceiver is the FaultLink as the link beneath sees it.
type faultReceiver FaultLink

// Receive passes on what the faults leave of the batch.
func (r *faultReceiver) Receive(batch []wire.Packet) {
	f := (*FaultLink)(r)
	if !f.gate.enter() {
		return
	}
	defer f.gate.leave()
	if in := f.judge(In, batch); len(in) > 0 {
		(*f.recv.Load()).Receive(in)
	}
}

// Down passes on that the link beneath has ended. What is waiting still arrives.
func (r *faultReceiver) Down(err error) {
	f := (*FaultLink)(r)
	if f.gate.enter() {
		defer f.gate.leave()
		tellDown(*f.recv.Load(), err)
	}
}

// MTU returns that of the link beneath.
func (f *FaultLink) MTU() int { return f.inner.MTU() }

// Offload returns none.
func (f *FaultLink) Offload() Offload { return Offload{} }

// Stats returns the counters.
func (f *FaultLink) Stats() FaultStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return FaultStats{Out: f.ways[Out].count, In: f.ways[In].count}
}

// Close closes this link and the one beneath. What is waiting is lost.
func (f *FaultLink) Close() error {
	if f.gate.shut() {
		f.mu.Lock()
		f.disarm()
		f.queue.heap = nil
		f.ways[Out].held, f.ways[In].held = nil, nil
		f.mu.Unlock()
	}
	f.gate.wait()
	return f.inner.Close()
}

// judge decides about each packet of a batch and returns those that go on now, in order.
func (f *FaultLink) judge(dir Direction, batch []wire.Packet) []wire.Packet {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.queue.now()
	pass := make([]wire.Packet, 0, len(batch))
	for i := range batch {
		p := batch[i]
		switch {
		case p.GSO > 0:
			for _, piece := range f.cut(dir, &p) {
				pass = f.judgeOne(dir, now, piece, pass)
			}
		default:
			if p.Sum == wire.ChecksumPartial && finish(p.Bytes()) {
				p.Sum = wire.ChecksumVerified
			}
			pass = f.judgeOne(dir, now, p, pass)
		}
	}
	f.arm(now)
	return pass
}

// cut returns the pieces of a super-segment, in buffers of their own.
func (f *FaultLink) cut(dir Direction, p *wire.Packet) []wire.Packet {
	var ip wire.IP
	var sp wire.Splitter
	// A sum must be right before the pieces get new ones.
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP ||
		wire.VerifyTCP(&ip, p.Sum) != wire.FaultNone || sp.Start(p.Bytes(), p.GSO) != wire.FaultNone {
		f.ways[dir].count.Refused++
		return nil
	}
	pieces := make([]wire.Packet, 0, sp.Left())
	for sp.Left() > 0 {
		b := make([]byte, wire.Headroom+sp.MaxLen())
		n := sp.Next(b[wire.Headroom:])
		pieces = append(pieces, wire.Packet{Buf: b[:wire.Headroom+n], Head: wire.Headroom, Sum: wire.ChecksumVerified})
	}
	return pieces
}

// judgeOne decides about one packet of the size of a wire's, and appends to pass what goes
// on now: the packet, its copies, and those that waited to be overtaken by it.
func (f *FaultLink) judgeOne(dir Direction, now time.Duration, p wire.Packet, pass []wire.Packet) []wire.Packet {
	w := &f.ways[dir]
	w.count.Packets++
	v, turn := w.draw()
	if f.rule != nil {
		v = v.plus(f.rule(dir, &p))
	}
	if v.Drop {
		w.count.Dropped++
		return pass
	}
	if v.Corrupt {
		w.count.Corrupted++
		p = clone(&p)
		corrupt(&p, turn)
	}
	due := now + max(v.Delay, 0)
	if v.Delay > 0 {
		w.count.Delayed++
	}
	w.count.Duplicated += uint64(max(v.Copies, 0))
	if v.Overtaken > 0 {
		w.count.Reordered++
	}
	for i := range 1 + max(v.Copies, 0) {
		if i > 0 {
			p = clone(&p) // a buffer of its own, as packets of a batch have
		}
		switch {
		case v.Overtaken <= 0 && due <= now:
			pass = append(pass, p)
		case len(f.queue.heap) >= f.limit:
			w.count.Overflowed++
		default:
			it := f.queue.push(dir, clone(&p), due)
			if v.Overtaken > 0 {
				it.left, it.after = v.Overtaken, due
				w.held = append(w.held, it)
				f.queue.move(it, due+f.wait)
			}
		}
	}
	if v.Overtaken > 0 {
		return pass
	}
	return f.overtake(w, now, due, pass)
}

// overtake counts a packet which goes on at the time due for all that wait to be
// overtaken. Those that have waited enough go right behind it.
func (f *FaultLink) overtake(w *way, now, due time.Duration, pass []wire.Packet) []wire.Packet {
	keep := w.held[:0]
	for _, it := range w.held {
		if it.index < 0 {
			continue // it has gone, tired of waiting
		}
		if it.left--; it.left > 0 {
			keep = append(keep, it)
			continue
		}
		if at := max(it.after, due); at <= now {
			f.queue.remove(it)
			pass = append(pass, it.packet)
		} else {
			f.queue.move(it, at)
		}
	}
	clear(w.held[len(keep):])
	w.held = keep
	return pass
}

// plus joins two verdicts.
func (v Verdict) plus(u Verdict) Verdict {
	return Verdict{
		Drop:      v.Drop || u.Drop,
		Corrupt:   v.Corrupt || u.Corrupt,
		Copies:    v.Copies + u.Copies,
		Delay:     v.Delay + u.Delay,
		Overtaken: max(v.Overtaken, u.Overtaken),
	}
}

// draw draws one packet's fate, and the number that says which bit is turned.
func (w *way) draw() (v Verdict, turn uint64) {
	drop, damage, double, order := w.rng.Float64(), w.rng.Float64(), w.rng.Float64(), w.rng.Float64()
	jitter, overtaken, turn := w.rng.Float64(), w.rng.Uint64(), w.rng.Uint64()
	o := &w.odds
	v = Verdict{
		Drop:    drop < o.Drop,
		Corrupt: damage < o.Corrupt,
		Delay:   o.Delay + time.Duration(jitter*float64(o.Jitter)),
	}
	if double < o.Duplicate {
		v.Copies = 1
	}
	if order < o.Reorder {
		v.Overtaken = 1 + int(overtaken%3)
	}
	return v, turn
}

// corrupt turns one bit of p. In IPv4 any will do: the header has its own checksum. In IPv6
// the first eight octets are left alone, since no checksum covers the traffic class, the
// flow label and the hop limit.
func corrupt(p *wire.Packet, turn uint64) {
	b := p.Bytes()
	if wire.Version(b) == 6 && len(b) > 8 {
		b = b[8:]
	}
	if len(b) > 0 {
		bit := turn % uint64(len(b)*8)
		b[bit/8] ^= 1 << (bit % 8)
	}
	p.Sum = wire.ChecksumNone
}

// clone returns p in a buffer of its own.
func clone(p *wire.Packet) wire.Packet {
	b := make([]byte, wire.Headroom+len(p.Bytes()))
	copy(b[wire.Headroom:], p.Bytes())
	return wire.Packet{Buf: b, Head: wire.Headroom, Sum: p.Sum}
}
