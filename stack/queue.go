package stack

import "github.com/vitro-net/vitro/wire"

// queue holds packets that wait for Output, in one buffer.
type queue struct {
	buf     []byte
	packets []queued
	head    int
}

type queued struct {
	iface  int
	off, n int
	gso    uint16
	sum    wire.Checksum
	from   *UDP // whose send buffer it stands in, or nil
}

func (q *queue) empty() bool { return q.head == len(q.packets) }

// grow returns n octets at the end of the buffer, to be taken by add.
func (q *queue) grow(n int) []byte {
	need := len(q.buf) + n
	if need > cap(q.buf) {
		b := make([]byte, len(q.buf), max(need, 2*cap(q.buf), 1<<12))
		copy(b, q.buf)
		q.buf = b
	}
	return q.buf[len(q.buf):need:need]
}

// add queues the first n octets of what grow returned.
func (q *queue) add(iface, n int, gso uint16, sum wire.Checksum) { q.addFrom(nil, iface, n, gso, sum) }

// addFrom is add for what is charged to a socket until it is popped.
func (q *queue) addFrom(u *UDP, iface, n int, gso uint16, sum wire.Checksum) {
	q.packets = append(q.packets, queued{iface, len(q.buf), n, gso, sum, u})
	q.buf = q.buf[:len(q.buf)+n]
}

// pop returns the oldest packet; its octets are in force until reset.
func (q *queue) pop() (p queued, b []byte) {
	p = q.packets[q.head]
	q.packets[q.head].from = nil
	q.head++
	if p.from != nil {
		p.from.unsent -= p.n
	}
	return p, q.buf[p.off : p.off+p.n : p.off+p.n]
}

func (q *queue) reset() { q.buf, q.packets, q.head = q.buf[:0], q.packets[:0], 0 }

// dirtyList is a list of Conns that may have something to send, in the order in which they
// are to be asked.
type dirtyList struct{ first, last *Conn }

func (l *dirtyList) push(c *Conn) {
	if c.dirty {
		return
	}
	c.dirty = true
	c.nextDirty = nil
	if l.last != nil {
		l.last.nextDirty = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *dirtyList) pop() *Conn {
	c := l.first
	l.first = c.nextDirty
	if l.first == nil {
		l.last = nil
	}
	c.dirty, c.nextDirty = false, nil
	return c
}
