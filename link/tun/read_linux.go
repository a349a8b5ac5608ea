package tun

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

const (
	// maxBatch is the most packets in one call of Receive.
	maxBatch = 128
	// arenaLen holds one batch: at least four packets of the largest size, more than
	// maxBatch of 1500 octets. It is meant to stay in the processor's second cache.
	arenaLen = 5 << 16
)

var errPI = errors.New("the file was opened without IFF_NO_PI, so that packets have a header of four octets; open it with that flag")

// reader reads one queue in batches.
type reader struct {
	d     *Device
	arena []byte // packets, one behind the other, each after its headroom
	batch []wire.Packet
	room  int // octets of arena that the next packet may need
	err   error
}

// read is the goroutine of a queue: it ends when the file is closed or the interface gone.
func (d *Device) read(q *queue, r link.Receiver) {
	rd := &reader{d: d, arena: make([]byte, arenaLen), batch: make([]wire.Packet, 0, maxBatch)}
	rd.room = wire.Headroom + maxRead
	fill := rd.fill
	for {
		if err := q.conn.Read(fill); err != nil {
			rd.err = err                // after Close nobody is told of it
			_ = q.conn.Control(rd.gone) // it fails after Close, too
		}
		if len(rd.batch) > 0 {
			r.Receive(rd.take())
		}
		if rd.err != nil {
			d.fail(rd.err)
			d.down(r)
			return
		}
	}
}

// fill reads packets until there are no more, or the batch or the arena is full. It
// returns false to be called again when the file is readable.
func (rd *reader) fill(fd uintptr) bool {
	at, octets, invalid := 0, 0, 0
	for len(rd.batch) < maxBatch && at+rd.room <= len(rd.arena) {
		head := at + wire.Headroom
		b := rd.arena[head-rd.d.vnet : head+maxRead]
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if len(rd.batch) == 0 {
				rd.gone(fd)
			}
		case err != nil:
			rd.err = err
		case n == 0:
			rd.err = io.EOF
		}
		if err != nil || n == 0 {
			break
		}
		n -= rd.d.vnet
		if hasPI(b[:n+rd.d.vnet], rd.d.vnet) {
			rd.err = errPI
			break
		}
		if !rd.add(at, n) {
			invalid++
			continue
		}
		octets += n
		at = (head + n + arenaAlign - 1) &^ (arenaAlign - 1)
	}
	c := &rd.d.stats
	c.received.Add(uint64(len(rd.batch) + invalid))
	c.receivedOctets.Add(uint64(octets))
	c.receivedInvalid.Add(uint64(invalid))
	return len(rd.batch) > 0 || rd.err != nil
}

// gone sees whether the interface is being deleted. The kernel wakes the reader while it does so,
// once, and until it has done it a read says EAGAIN as ever: who waits again then waits for good,
// or is told by the runtime that the file cannot be polled. Poll knows it before the reader is woken.
func (rd *reader) gone(fd uintptr) {
	p := []unix.PollFd{{Fd: int32(fd)}}
	if n, err := unix.Poll(p, 0); n > 0 && err == nil && p[0].Revents&unix.POLLERR != 0 {
		rd.err = unix.EBADFD // what the next read would say
	}
}

// add appends the packet of n octets which has been read to the arena, and reports whether
// its header was sound.
func (rd *reader) add(at, n int) bool {
	if n <= 0 {
		return false
	}
	head := at + wire.Headroom
	// The capacity reaches beyond the packet, so that merge can append to it.
	p := wire.Packet{Buf: rd.arena[at : head+n], Head: wire.Headroom}
	if rd.d.vnet > 0 {
		var h vnetHdr
		h.decode(rd.arena[head-rd.d.vnet:])
		if !h.accept(&p) {
			return false
		}
	}
	rd.batch = append(rd.batch, p)
	return true
}

// take returns the batch, merged, and makes room for the next.
func (rd *reader) take() []wire.Packet {
	b := merge(rd.batch)
	if m := len(rd.batch) - len(b); m > 0 {
		rd.d.stats.merged.Add(uint64(m))
	}
	for i := range b {
		b[i].Buf = b[i].Buf[:len(b[i].Buf):len(b[i].Buf)]
	}
	rd.batch = rd.batch[:0]
	return b
}
