// Package link is what carries packets between a stack and the world: the interface
// [Link], a pair of ends in memory ([Pair]), and middleware to watch a link ([Tap]) or
// to spoil it ([Fault]). The TUN of Linux is package link/tun.
//
// A link carries IP packets and knows nothing of connections. Its unit is a batch of
// [wire.Packet], so that one lock, one wake-up and one clock reading serve many packets.
// A packet may be a super-segment of up to 64 KiB (wire.Packet.GSO) and its transport
// checksum may be unfinished (wire.ChecksumPartial) where [Link.Offload] says so.
package link

import (
	"errors"

	"github.com/vitro-net/vitro/wire"
)

// The errors of every link. Test for them with errors.Is.
var (
	// ErrClosed: the link has been closed.
	ErrClosed = errors.New("link: closed")
	// ErrAttached: Attach was called a second time.
	ErrAttached = errors.New("link: a receiver is already attached")
)

// The bounds of an MTU, in octets, and the one used where none is given.
const (
	MinMTU     = 68    // "Every internet module must be able to forward a datagram of 68 octets", RFC 791 section 3.2
	MaxMTU     = 65535 // what the Total Length field of RFC 791 section 3.1 can say
	DefaultMTU = 1500
)

// MaxSuper is the longest super-segment, in octets with its headers, that any link
// carries: no IP header can state more.
const MaxSuper = 65535

// A Receiver takes the packets that arrive on a link.
type Receiver interface {
	// Receive is called with a batch of packets that have arrived, oldest first, never
	// empty. The slice and the buffers are in force for the call only. They may be the
	// sender's own (a pair in memory passes them on), so that a receiver may write to
	// Buf[:Head] and finish a checksum, as Send may, and nothing else.
	//
	// Receive may be called from several goroutines at a time. The packets of one flow
	// stay in the order in which the link carried them as long as they have one carrier:
	// one goroutine that sends into a pair, one queue of a TUN.
	//
	// It must not call Close of the link that calls it: Close waits for Receive.
	//
	// A packet's Sum says what the link knows of its checksum; see [wire.Checksum]. A
	// packet with GSO set is a super-segment, whatever [Link.Offload] says: that is
	// about Send.
	Receive(batch []wire.Packet)
}

// A DownReceiver is a Receiver that wants to know when its link has ended by itself: a TUN
// was deleted, the other end of a pair was closed. A link that can end so looks for it.
type DownReceiver interface {
	Receiver

	// Down is called once, with an error that says why. Nothing will be carried from then
	// on; what the link had received before may still come. It is called like Receive: not
	// after Close has returned, and it must not call Close of the link that calls it.
	Down(err error)
}

// tellDown calls Down of a receiver that has it.
func tellDown(r Receiver, err error) {
	if d, ok := r.(DownReceiver); ok {
		d.Down(err)
	}
}

// Offload says what Send does for its caller. It does not change in a link's life.
type Offload struct {
	// MaxSuper is the length in octets, headers included, of the largest packet with
	// wire.Packet.GSO set that Send accepts; 0: none, every packet must fit the MTU.
	MaxSuper int
	// Checksum: Send accepts packets marked wire.ChecksumPartial, and finishes the sum
	// where it must.
	Checksum bool
}

// A Link carries IP packets out and in. All methods may be called by several goroutines
// at a time.
type Link interface {
	// Attach names the receiver and starts delivery. It is called once, before the first
	// Send; a second call gives ErrAttached, a call after Close ErrClosed.
	Attach(r Receiver) error

	// Send carries a batch out, in order. It keeps neither the slice nor the buffers
	// after it returns. It may overwrite Buf[:Head] of each packet, where the caller has
	// left at least wire.Headroom octets, and, when it finishes a checksum, the checksum
	// field.
	//
	// The network below promises nothing, so neither does Send: what a full queue, a
	// missing peer or a packet beyond the MTU or the offer of Offload loses is lost
	// without an error. The only error is one that wraps ErrClosed: the link was closed, or
	// has ended by itself, of which a DownReceiver is told.
	//
	// Send may call a Receiver before it returns (a pair in memory does): call it
	// without holding a lock that the receiver needs.
	Send(batch []wire.Packet) error

	// MTU returns the length in octets, IP header included, of the largest packet that
	// the link carries in one piece.
	MTU() int

	// Offload returns what Send accepts beyond plain packets.
	Offload() Offload

	// Close ends the link. When it returns no goroutine of the link is left, and Receive
	// will not be called again. Later calls wait likewise and return nil. It must not be
	// called from within the link's own Receive.
	Close() error
}

// clampMTU returns mtu held to what IP allows; 0 gives DefaultMTU.
func clampMTU(mtu int) int {
	if mtu == 0 {
		return DefaultMTU
	}
	return min(max(mtu, MinMTU), MaxMTU)
}
