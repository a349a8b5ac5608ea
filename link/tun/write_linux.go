package tun

import (
	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// sender writes packets to one queue. It is a struct with a bound method so that no
// closure is made for a batch.
type sender struct {
	d     *Device
	batch []wire.Packet
	write func(fd uintptr) bool
	gone  error
}

func newSender(d *Device) *sender {
	s := &sender{d: d}
	s.write = s.writeAll
	return s
}

// Send writes the packets to the TUN, one system call each.
func (d *Device) Send(batch []wire.Packet) error {
	for len(batch) > 0 {
		q, n := d.queues[0], len(batch)
		if len(d.queues) > 1 {
			var i int
			i, n = d.run(batch)
			q = d.queues[i]
		}
		if err := d.sendOn(q, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// run returns the queue of the first packet, and how many packets in a row have it.
func (d *Device) run(batch []wire.Packet) (queue, n int) {
	queue = int(flowHash(batch[0].Bytes()) % uint32(len(d.queues)))
	for n = 1; n < len(batch); n++ {
		if int(flowHash(batch[n].Bytes())%uint32(len(d.queues))) != queue {
			break
		}
	}
	return queue, n
}

// sendOn writes the packets to one queue.
func (d *Device) sendOn(q *queue, batch []wire.Packet) error {
	s := q.free.Get().(*sender)
	s.batch = batch
	err := q.conn.Write(s.write)
	gone := s.gone
	s.batch, s.gone = nil, nil
	q.free.Put(s)
	if gone != nil {
		d.fail(gone)
		return d.Err()
	}
	if err != nil {
		return link.ErrClosed
	}
	return nil
}

// writeAll writes the batch. It never asks to wait: what the kernel does not take now is
// lost, as in any full queue.
func (s *sender) writeAll(fd uintptr) bool {
	d := s.d
	sent, octets, dropped := 0, 0, 0
	for i := range s.batch {
		p := &s.batch[i]
		b := d.frame(p)
		if b == nil {
			dropped++
			continue
		}
		_, err := unix.Write(int(fd), b)
		for err == unix.EINTR {
			_, err = unix.Write(int(fd), b)
		}
		switch {
		case err == nil:
			sent++
			octets += len(b) - d.vnet
		case isGone(err):
			s.gone = err
			dropped += len(s.batch) - i
		default: // EAGAIN: full; EIO: the interface is down; EINVAL: not a packet
			dropped++
		}
		if s.gone != nil {
			break
		}
	}
	d.stats.sent.Add(uint64(sent))
	d.stats.sentOctets.Add(uint64(octets))
	d.stats.sentDropped.Add(uint64(dropped))
	return true
}

// frame returns what is to be written for p: the packet, with its virtio-net header in the
// headroom; nil if the link does not carry it.
func (d *Device) frame(p *wire.Packet) []byte {
	n := len(p.Buf) - p.Head
	if d.vnet == 0 {
		if n > d.mtu || p.Sum == wire.ChecksumPartial {
			return nil
		}
		return p.Bytes()
	}
	if p.Head < d.vnet || n > d.mtu && (p.GSO == 0 || int(p.GSO) >= d.mtu || n > link.MaxSuper) {
		return nil
	}
	var h vnetHdr
	if !h.describe(p) {
		return nil
	}
	b := p.Buf[p.Head-d.vnet:]
	clear(b[:d.vnet])
	h.encode(b)
	return b
}
