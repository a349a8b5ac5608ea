package host

import (
	"io"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Conn is a connection as its user has it. All methods may be called by several
// goroutines at a time; the octets of one Write stay together.
type Conn struct {
	host       *Host
	core       *stack.Conn // nil when the user has left it to the stack
	flow       *wire.Flow  // then
	next, prev *Conn       // the host's connections

	rd lazyGate // readers, and who waits in Dial
	wr lazyGate // writers, and who waits in Close

	job     *job // the Write that waits for room
	writing bool // a Write is at work, others wait their turn
	filling bool // the connection is in Host.fillable

	established bool
	peerClosed  bool // the peer's FIN has come
	told        bool // the user has been told what ended the connection
	closed      bool // by the user
	readShut    bool // by CloseRead
	linger      int32
	keepAlive   KeepAlive
	report      func(Report)
}

// job is what a Write has still to queue when there is no more room. Whoever processes the
// acknowledgment that makes room queues for it (Host.refill), so that a large Write wakes
// its caller once.
type job struct {
	rest   []byte
	urgent bool
	err    error
}

// signals is a Conn as the stack sees it.
type signals Conn

// Signal is called by the stack, under the lock. Soft errors wake nobody: they stand in
// Status for who asks (SHLD-20).
func (s *signals) Signal(sig tcp.Signal) {
	c := (*Conn)(s)
	c.note(sig)
	if sig&tcp.SignalEstablished != 0 {
		c.established = true
	}
	if sig&tcp.SignalPeerClosed != 0 {
		c.peerClosed = true
	}
	if sig&(tcp.SignalReadable|tcp.SignalEstablished|tcp.SignalPeerClosed|tcp.SignalClosed) != 0 {
		c.host.wake(&c.rd)
	}
	if sig&(tcp.SignalWritable|tcp.SignalAcked|tcp.SignalClosed) == 0 {
		return
	}
	if c.closed {
		c.host.wake(&c.wr) // a Close that lingers
	}
	if c.job != nil && !c.filling {
		c.filling = true
		c.host.fillable = append(c.host.fillable, c)
	}
}

// LocalAddr returns the socket of this end, also after Close.
func (c *Conn) LocalAddr() netip.AddrPort { f := c.sockets(); return f.LocalAddrPort() }

// RemoteAddr returns the socket of the other end, also after Close.
func (c *Conn) RemoteAddr() netip.AddrPort { f := c.sockets(); return f.RemoteAddrPort() }

func (c *Conn) sockets() wire.Flow {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.core == nil {
		return *c.flow
	}
	return c.core.Flow()
}

// Read reads what has arrived into p, and waits until there is something. At the end of
// what the peer sent it returns io.EOF. Errors: ErrClosed, os.ErrDeadlineExceeded (also
// when there would have been something to read, as with package net), and once what ended
// the connection: ECONNRESET, ETIMEDOUT, or the errno of an ICMP message.
func (c *Conn) Read(p []byte) (int, error) { return c.read(p, true) }

// TryRead is Read that does not wait: where there is nothing to read yet, it returns EAGAIN.
func (c *Conn) TryRead(p []byte) (int, error) { return c.read(p, false) }

func (c *Conn) read(p []byte, wait bool) (int, error) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch err := c.rd.expired(h); {
		case c.closed || h.closed:
			return 0, ErrClosed
		case len(p) == 0:
			return 0, nil
		case err != nil:
			return 0, err
		case c.readShut:
			return 0, io.EOF
		}
		now := h.now()
		n, err := c.core.Receive(now, p)
		if n > 0 {
			h.flush(now) // the window may have opened
			return n, nil
		}
		if err != nil {
			return 0, c.readError(err)
		}
		if !wait {
			return 0, syscall.EAGAIN
		}
		c.rd.wait(h)
	}
}

// Write queues all of p for sending, and waits as long as the send buffer is full. It
// returns how much was queued, less than len(p) only with an error: ErrClosed,
// os.ErrDeadlineExceeded, once what ended the connection, and then, or after CloseWrite,
// EPIPE. p is not used after Write has returned, but may be read by other goroutines
// before.
func (c *Conn) Write(p []byte) (int, error) { return c.write(p, false) }

// WriteUrgent is Write with the URGENT flag of RFC 9293 section 3.9.1.2 (MUST-30): the
// urgent pointer points to the octet after p. New applications should not use it (RFC
// 6093 section 5).
func (c *Conn) WriteUrgent(p []byte) (int, error) { return c.write(p, true) }

func (c *Conn) write(p []byte, urgent bool) (int, error) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := c.turn(); err != nil {
		return 0, err
	}
	now := h.now()
	n, err := c.send(now, p, urgent)
	if err == nil && n < len(p) {
		m, err := c.writeRest(now, p[n:], urgent)
		return n + m, err
	}
	h.flush(now)
	return n, err
}

// WriteBuffers is Write of several pieces, as writev: all that there is room for is queued before
// anything is sent, so that small ones share segments. It returns how much was queued.
func (c *Conn) WriteBuffers(pieces [][]byte) (int64, error) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := c.turn(); err != nil {
		return 0, err
	}
	now := h.now()
	var sum int64
	for _, p := range pieces {
		n, err := c.send(now, p, false)
		sum += int64(n)
		if err == nil && n < len(p) {
			n, err = c.writeRest(now, p[n:], false)
			sum += int64(n)
			now = h.now()
		}
		if err != nil {
			h.flush(now)
			return sum, err
		}
	}
	h.flush(now)
	return sum, nil
}

// turn waits until no other Write is at work.
func (c *Conn) turn() error {
	for c.writing {
		if err := c.mayWrite(); err != nil {
			return err
		}
		c.wr.wait(c.host)
	}
	return c.mayWrite()
}

// writeRest queues, as room comes, what there has been none for, and returns how much of it. Nobody
// else's octets get between, and what stands in the queue is flushed.
func (c *Conn) writeRest(now tcp.Time, p []byte, urgent bool) (int, error) {
	h := c.host
	j := h.newJob()
	j.rest, j.urgent = p, urgent
	c.writing, c.job = true, j
	h.flush(now)
	for len(j.rest) > 0 && j.err == nil {
		if j.err = c.mayWrite(); j.err == nil {
			c.wr.wait(h)
		}
	}
	n, err := len(p)-len(j.rest), j.err
	c.writing, c.job = false, nil
	h.freeJob(j)
	c.wr.wake() // the next Write
	return n, err
}

func (c *Conn) mayWrite() error {
	if c.closed || c.host.closed {
		return ErrClosed
	}
	return c.wr.expired(c.host)
}

func (c *Conn) send(now tcp.Time, p []byte, urgent bool) (n int, err error) {
	if urgent {
		n, err = c.core.SendUrgent(now, p)
	} else {
		n, err = c.core.Send(now, p)
	}
	if err != nil {
		err = c.writeError(err)
	}
	return n, err
}

// fill queues what there is room for of the Write that waits, and wakes it when it is done.
func (c *Conn) fill(now tcp.Time) {
	j := c.job
	n, err := c.send(now, j.rest, j.urgent)
	j.rest, j.err = j.rest[n:], err
	if len(j.rest) == 0 || err != nil {
		c.wr.wake()
	}
}

func (h *Host) newJob() *job {
	if n := len(h.jobs); n > 0 {
		j := h.jobs[n-1]
		h.jobs = h.jobs[:n-1]
		return j
	}
	return new(job)
}

func (h *Host) freeJob(j *job) {
	*j = job{}
	if len(h.jobs) < 64 {
		h.jobs = append(h.jobs, j)
	}
}

// copyBuffer is the size of the buffer of ReadFrom and WriteTo, in octets: a super-segment.
const copyBuffer = 64 << 10

// Buffers hold nothing but octets, so a bubble may use one from outside and give it back.
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// ReadFrom writes what r gives until r's io.EOF, which is not an error here. It returns
// how much was queued.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return Copy(c, r) }

// WriteTo writes to w what arrives, until the end of it.
func (c *Conn) WriteTo(w io.Writer) (int64, error) { return Copy(w, c) }

// Copy is io.Copy with a buffer of a super-segment, and without ReadFrom and WriteTo of
// the two.
func Copy(w io.Writer, r io.Reader) (int64, error) {
	b := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(b)
	var sum int64
	for {
		n, err := r.Read(b[:])
		if n > 0 {
			m, werr := w.Write(b[:n])
			sum += int64(m)
			if werr == nil && m < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return sum, werr
			}
		}
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.set(func(tcp.Time) error {
		c.rd.setDeadline(c.host, t)
		c.wr.setDeadline(c.host, t)
		return nil
	})
}

// SetReadDeadline sets when Read gives up, also one that waits now; the zero Time: never.
// With a time that is past, Read returns os.ErrDeadlineExceeded until it is set anew.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.set(func(tcp.Time) error { c.rd.setDeadline(c.host, t); return nil })
}

// SetWriteDeadline is SetReadDeadline for Write. What Write has queued is sent all the same.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.set(func(tcp.Time) error { c.wr.setDeadline(c.host, t); return nil })
}

// Status returns the variables of the connection: STATUS of RFC 9293 section 3.9.1.5.
// After Close it is the zero Status, but for the sockets.
func (c *Conn) Status() tcp.Status {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.core == nil {
		return tcp.Status{Flow: *c.flow}
	}
	return withErrno(c.core.Status())
}
