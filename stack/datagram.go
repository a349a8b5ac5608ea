package stack

import (
	"net/netip"

	"github.com/vitro-net/vitro/wire"
)

// datagram is one that has arrived and waits to be received.
type datagram struct {
	next  *datagram
	from  socket
	to    wire.Addr
	tc    uint8
	n     int    // octets of data
	data  []byte // at least so many
	class uint8  // of sizes
}

// sizes are those in which memory for datagrams is taken, in octets: small ones as those of DNS and
// voice, those of an MTU, the rest. It is charged as it is taken, or a flood of the smallest would
// take many times the receive buffer.
var sizes = [...]int{256, 2 << 10, 16 << 10, 64 << 10}

// datagramCost is what a datagram takes beside its data.
const datagramCost = 96

func sizeClass(n int) uint8 {
	for i, size := range sizes {
		if n <= size {
			return uint8(i)
		}
	}
	panic("stack: a datagram longer than any")
}

func (d *datagram) cost() int { return sizes[d.class] + datagramCost }

// spares are datagrams that have been received: in use for a while, a socket allocates nothing.
type spares struct {
	lists  [len(sizes)]*datagram
	octets int
}

// maxSpare bounds the memory of spares.
const maxSpare = 1 << 20

func (f *spares) get(class uint8) *datagram {
	d := f.lists[class]
	if d == nil {
		return &datagram{data: make([]byte, sizes[class]), class: class}
	}
	f.lists[class], d.next = d.next, nil
	f.octets -= d.cost()
	return d
}

func (f *spares) put(d *datagram) {
	if f.octets+d.cost() > maxSpare {
		return
	}
	d.next, f.lists[d.class] = f.lists[d.class], d
	f.octets += d.cost()
}

// keep queues a datagram that has arrived, and reports whether there was room.
func (t *udpTable) keep(u *UDP, flow *wire.Flow, tc uint8, data []byte) bool {
	class := sizeClass(len(data))
	cost := sizes[class] + datagramCost
	if u.first != nil && u.queued+cost > u.receive || t.queued+cost > t.most {
		return false
	}
	d := t.free.get(class)
	d.n = copy(d.data, data)
	d.from, d.to, d.tc = socket{flow.Remote, flow.RemotePort}, flow.Local, tc
	if u.last != nil {
		u.last.next = d
	} else {
		u.first = d
	}
	u.last = d
	u.queued += cost
	t.queued += cost
	return true
}

// pop takes the oldest datagram off the queue.
func (u *UDP) pop() *datagram {
	d := u.first
	u.first, d.next = d.next, nil
	if u.first == nil {
		u.last = nil
	}
	return d
}

// release gives back the memory of a datagram of u.
func (t *udpTable) release(u *UDP, d *datagram) {
	u.queued -= d.cost()
	t.queued -= d.cost()
	t.free.put(d)
}

// Datagram is what Receive tells of one.
type Datagram struct {
	From netip.AddrPort
	// To is the address that it was sent to: "its specific-destination address MUST be passed up
	// to the application layer", RFC 1122 section 4.1.3.5.
	To netip.Addr
	// N is how many octets were copied, Len how many it has.
	N, Len int
	// TC has its DSCP and ECN bits.
	TC uint8
}

// Receive copies the oldest datagram to p, as much as has room, and forgets it. false: there is
// none.
func (u *UDP) Receive(p []byte) (Datagram, bool) {
	if u.first == nil {
		return Datagram{}, false
	}
	d := u.pop()
	got := Datagram{
		From: netip.AddrPortFrom(d.from.addr.Netip(), d.from.port), To: d.to.Netip(),
		N: copy(p, d.data[:d.n]), Len: d.n, TC: d.tc,
	}
	u.stack.udp.release(u, d)
	return got, true
}
