package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// Device is an open TUN. It is a link.Link.
type Device struct {
	name   string
	mtu    int
	vnet   int // octets of virtio-net header before each packet, 0: none
	queues []*queue
	stats  counters

	mu       sync.Mutex // never held during a call out
	attached bool
	closed   bool
	gone     error // why the device has ended before Close
	told     bool  // the receiver, of that
	readers  sync.WaitGroup
}

var _ link.Link = (*Device)(nil)

// counters is Stats as it is counted.
type counters struct {
	received, receivedOctets, receivedInvalid, merged atomic.Uint64
	sent, sentOctets, sentDropped                     atomic.Uint64
}

// queue is one file of the TUN. The kernel gives what a flow sends to the queue that last
// sent for the flow.
type queue struct {
	file *os.File
	conn syscall.RawConn
	free sync.Pool // of *sender
}

// newDevice makes a link of the open files, which are non-blocking.
func newDevice(fds []int, name string, mtu, vnet int) (*Device, error) {
	d := &Device{name: name, mtu: mtu, vnet: vnet}
	for i, fd := range fds {
		// A non-blocking file is watched by the runtime's poller, so that a reader waits
		// without a thread, and Close wakes it.
		f := os.NewFile(uintptr(fd), "/dev/net/tun")
		conn, err := f.SyscallConn()
		if err != nil {
			for _, q := range d.queues {
				q.file.Close()
			}
			closeAll(fds[i:])
			return nil, fmt.Errorf("tun: %s: %w", name, err)
		}
		q := &queue{file: f, conn: conn}
		q.free.New = func() any { return newSender(d) }
		d.queues = append(d.queues, q)
	}
	return d, nil
}

// Name returns the name of the interface.
func (d *Device) Name() string { return d.name }

// MTU returns the interface's MTU in octets as it was when the device was opened.
func (d *Device) MTU() int { return d.mtu }

// Offload returns what Send accepts: everything with a virtio-net header, else nothing.
func (d *Device) Offload() link.Offload {
	if d.vnet == 0 {
		return link.Offload{}
	}
	return link.Offload{MaxSuper: link.MaxSuper, Checksum: true}
}

// Stats returns the counters. Each is exact; together they are no snapshot.
func (d *Device) Stats() Stats {
	c := &d.stats
	return Stats{
		Received: c.received.Load(), ReceivedOctets: c.receivedOctets.Load(),
		ReceivedInvalid: c.receivedInvalid.Load(), Merged: c.merged.Load(),
		Sent: c.sent.Load(), SentOctets: c.sentOctets.Load(), SentDropped: c.sentDropped.Load(),
	}
}

// Attach starts one goroutine a queue, which reads what is there, calls r with it, and
// waits for more.
func (d *Device) Attach(r link.Receiver) error {
	if r == nil {
		return errors.New("tun: Attach of a nil receiver")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return link.ErrClosed
	case d.attached:
		return link.ErrAttached
	}
	d.attached = true
	for _, q := range d.queues {
		d.readers.Go(func() { d.read(q, r) })
	}
	return nil
}

// Close closes the TUN. An interface that is not persistent is gone when Close returns.
func (d *Device) Close() error {
	d.mu.Lock()
	first := !d.closed
	d.closed = true
	d.mu.Unlock()
	var errs []error
	if first {
		for _, q := range d.queues {
			errs = append(errs, q.file.Close())
		}
	}
	d.readers.Wait()
	return errors.Join(errs...)
}

// fail notes why a queue is dead. Later calls of Send say so.
func (d *Device) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil && !d.closed {
		if errors.Is(err, unix.EBADFD) || errors.Is(err, unix.EFAULT) { // what the kernel says of a file without interface
			err = fmt.Errorf("the interface was deleted: %w", err)
		}
		d.gone = fmt.Errorf("tun: %s is gone: %w (%w)", d.name, err, link.ErrClosed)
	}
}

// down tells the receiver why the device has ended, once. A reader does so, even if it was
// Send that has noticed: readers are what Close waits for.
func (d *Device) down(r link.Receiver) {
	d.mu.Lock()
	err, told := d.gone, d.told || d.closed
	d.told = true
	d.mu.Unlock()
	if r, ok := r.(link.DownReceiver); ok && !told {
		r.Down(err)
	}
}

// Err returns nil while the device works, and after that why it has ended: the interface
// was deleted, the other end of the socket was closed, or Close was called. The error wraps
// link.ErrClosed. A link.DownReceiver is told of the first two.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.gone != nil:
		return d.gone
	case d.closed:
		return link.ErrClosed
	}
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// isGone reports whether a system call's error means that the interface was deleted or
// the other end of a socket closed, so that nothing will ever work again.
func isGone(err error) bool {
	switch err {
	case unix.EBADFD, unix.EFAULT, unix.EBADF, unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN, unix.ENXIO, unix.ENODEV:
		return true
	}
	return false
}

// maxRead is the longest packet that the kernel hands out: IPv6's header is not counted in
// its 16 bits of length.
const maxRead = wire.MaxPacket + wire.IPv6HeaderLen
