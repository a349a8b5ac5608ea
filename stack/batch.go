package stack

import (
	"iter"

	"github.com/vitro-net/vitro/wire"
)

// DefaultBudget is the Budget of a Batch that has none, in octets.
const DefaultBudget = 256 << 10

// Batch is what Output fills: packets that are to leave, oldest first, each with the number
// of the interface. Their octets stand in one arena, which Reset keeps, so that a Batch in
// use for a while allocates nothing. The zero Batch is ready. It is used by one goroutine
// at a time, and not shared between stacks that run at the same time.
type Batch struct {
	// Budget is how many octets Output may fill before it wants the batch sent. It is
	// raised to what the largest packet of an interface needs. 0: DefaultBudget.
	Budget int

	arena   []byte
	used    int
	ifaces  []int
	packets []wire.Packet
}

// Len returns how many packets there are.
func (b *Batch) Len() int { return len(b.packets) }

// Octets returns how many octets of the arena are in use, headroom included.
func (b *Batch) Octets() int { return b.used }

// Packet returns the i-th packet and the number of its interface. Before the packet are
// wire.Headroom octets free. It is in force until Reset.
func (b *Batch) Packet(i int) (iface int, p *wire.Packet) { return b.ifaces[i], &b.packets[i] }

// Runs iterates over the packets in order, as many at once as leave by one interface: a
// link takes such a slice as it is. The slices are in force until Reset.
func (b *Batch) Runs() iter.Seq2[int, []wire.Packet] {
	return func(yield func(int, []wire.Packet) bool) {
		for i := 0; i < len(b.packets); {
			j := i + 1
			for j < len(b.packets) && b.ifaces[j] == b.ifaces[i] {
				j++
			}
			if !yield(b.ifaces[i], b.packets[i:j:j]) {
				return
			}
			i = j
		}
	}
}

// Reset makes the batch empty and keeps its memory.
func (b *Batch) Reset() {
	clear(b.packets)
	b.packets, b.ifaces, b.used = b.packets[:0], b.ifaces[:0], 0
}

// fits reports whether a packet of up to n octets finds room. An empty batch makes room.
func (b *Batch) fits(n int) bool {
	n += wire.Headroom
	if b.used+n <= len(b.arena) {
		return true
	}
	if b.used > 0 {
		return false
	}
	if b.Budget == 0 {
		b.Budget = DefaultBudget
	}
	b.arena = make([]byte, max(b.Budget, n))
	return true
}

// free returns the space for the next packet, after its headroom.
func (b *Batch) free() []byte { return b.arena[b.used+wire.Headroom:] }

// add takes the first n octets of free as a packet.
func (b *Batch) add(iface, n int, gso uint16, sum wire.Checksum) {
	end := b.used + wire.Headroom + n
	b.ifaces = append(b.ifaces, iface)
	b.packets = append(b.packets, wire.Packet{Buf: b.arena[b.used:end:end], Head: wire.Headroom, GSO: gso, Sum: sum})
	b.used = end
}
