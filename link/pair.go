package link

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vitro-net/vitro/wire"
)

// PairConfig describes a pair of ends in memory. The zero value is a pair with an MTU of
// DefaultMTU and every offload.
type PairConfig struct {
	// MTU in octets; 0: DefaultMTU. It is held to MinMTU and MaxMTU.
	MTU int
	// NoOffload: packets of at most MTU octets with complete checksums, as on a wire.
	NoOffload bool
}

// End is one end of a pair in memory.
//
// Send calls the other end's Receiver directly, in the caller's goroutine, with the same
// buffers: nothing is copied, queued or handed over, unfinished checksums and
// super-segments pass untouched, and no lock is held during the call. A receiver that
// answers from within Receive therefore makes the two ends call each other in turn;
// it must see to it that this ends (package host queues, and sends in one place).
//
// Packets are lost without an error while the other end has no receiver, when it is
// closed, and when they exceed what the pair carries; see Lost. When the other end is closed
// a DownReceiver is told so, by the goroutine that closes it.
type End struct {
	peer    *End
	gate    gate // calls of this end's Receiver
	recv    atomic.Pointer[Receiver]
	told    atomic.Bool // the receiver, that the other end is closed
	lost    atomic.Uint64
	mtu     int
	offload Offload
}

var _ Link = (*End)(nil)

// Pair returns the two ends of a link in memory with every offload. The MTU is in octets;
// 0 means DefaultMTU.
func Pair(mtu int) (a, b *End) { return NewPair(PairConfig{MTU: mtu}) }

// NewPair returns the two ends of a link in memory.
func NewPair(c PairConfig) (a, b *End) {
	a, b = &End{gate: newGate()}, &End{gate: newGate()}
	a.peer, b.peer = b, a
	for _, e := range []*End{a, b} {
		e.mtu = clampMTU(c.MTU)
		if !c.NoOffload {
			e.offload = Offload{MaxSuper: MaxSuper, Checksum: true}
		}
	}
	return a, b
}

// Attach names the receiver of this end.
func (e *End) Attach(r Receiver) error {
	if r == nil {
		return errors.New("link: Attach of a nil receiver")
	}
	if e.gate.closed() {
		return ErrClosed
	}
	if !e.recv.CompareAndSwap(nil, &r) {
		return ErrAttached
	}
	e.tell()
	return nil
}

var errPeerClosed = fmt.Errorf("link: the other end of the pair is closed (%w)", ErrClosed)

// tell tells the receiver that the other end is closed, if that is so, once. Whichever comes
// last, Attach here or Close there, finds both.
func (e *End) tell() {
	r := e.recv.Load()
	if r == nil || !e.peer.gate.closed() || !e.told.CompareAndSwap(false, true) || !e.gate.enter() {
		return
	}
	defer e.gate.leave()
	tellDown(*r, errPeerClosed)
}

// Send calls the other end's Receive with the batch. Packets that the pair cannot carry
// are left out.
func (e *End) Send(batch []wire.Packet) error {
	if e.gate.closed() {
		return ErrClosed
	}
	to := e.peer
	r := to.recv.Load()
	if r == nil || !to.gate.enter() {
		e.lost.Add(uint64(len(batch)))
		return nil
	}
	defer to.gate.leave()
	from := 0
	for i := range batch {
		if e.fits(&batch[i]) {
			continue
		}
		e.lost.Add(1)
		if from < i {
			(*r).Receive(batch[from:i])
		}
		from = i + 1
	}
	if from < len(batch) {
		(*r).Receive(batch[from:])
	}
	return nil
}

// fits reports whether the pair carries p: in one piece, or as a super-segment.
func (e *End) fits(p *wire.Packet) bool {
	if p.Sum == wire.ChecksumPartial && !e.offload.Checksum {
		return false
	}
	n := len(p.Buf) - p.Head
	if n <= e.mtu {
		return true
	}
	if p.GSO == 0 || n > e.offload.MaxSuper {
		return false
	}
	h := tcpOf(p)
	return h != nil && n-len(h)+h.DataOffset()+int(p.GSO) <= e.mtu // one segment of it
}

// MTU returns the largest packet in octets.
func (e *End) MTU() int { return e.mtu }

// Offload returns what Send accepts.
func (e *End) Offload() Offload { return e.offload }

// Lost returns how many packets Send has not carried.
func (e *End) Lost() uint64 { return e.lost.Load() }

// Close closes this end: its Send gives ErrClosed, and when Close returns its Receiver
// will not be called again. What the other end sends is lost from then on, as with a cable
// unplugged, and its DownReceiver is told.
func (e *End) Close() error {
	e.gate.shut()
	e.peer.tell()
	e.gate.wait()
	return nil
}
