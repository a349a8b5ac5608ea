package lab

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/vitro-net/vitro"
)

// Slow returns c with a receiver that reads no faster than r bits a second, which must be more than 0: a
// Read gives up to a kilobyte, or a datagram, and the next one waits for as long as that takes at the rate.
// So the window closes on whoever sends more. Deadlines and Close end that wait as they end a Read. That a
// TCP connection of a Host has failed, or its host is closed or has crashed, ends it a second later at most.
//
// Of a [vitro.Conn], which is what the TCP connections of a Host are, the result has all methods; of
// another it has those of net.Conn, and CloseWrite where c has it.
//
// In a bubble a slow receiver holds its sender only with [Strict]: without it a Write there waits only
// beyond 16 MiB.
func Slow(c net.Conn, r Rate) net.Conn {
	if r <= 0 {
		panic(fmt.Sprintf("lab: Slow at %d bits a second", r))
	}
	_, datagrams := c.(net.PacketConn)
	p := &pace{rate: r, datagrams: datagrams, gone: goneOf(c)}
	p.changed.L = &p.mu
	if t, ok := c.(*vitro.Conn); ok {
		return &slowTCP{t, p}
	}
	s := slow{c, p}
	if w, ok := c.(closeWriter); ok {
		return &slowHalf{s, w}
	}
	return &s
}

// pace has one Read after the other, each when what was read before has taken its time.
type pace struct {
	rate      Rate
	datagrams bool
	gone      func() bool // reports whether the connection has failed; nil: nobody can tell

	mu       sync.Mutex
	changed  sync.Cond
	free     time.Time // when the next Read may begin
	reading  bool      // one has begun
	deadline time.Time
	ended    bool // the connection is closed, for reading at least
}

// read reads what the rate allows. A wait that a deadline or Close has ended is followed by a Read as
// well, which says so as c does.
func (p *pace) read(c io.Reader, b []byte) (int, error) {
	if len(b) == 0 {
		return c.Read(b)
	}
	if !p.datagrams {
		b = b[:min(len(b), 1024)]
	}
	mine := p.begin()
	n, err := c.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(n) * 8 * time.Second / time.Duration(p.rate))
	if mine {
		p.reading = false
		p.changed.Broadcast()
	}
	return n, err
}

// begin waits for the turn of a Read, and reports whether it has got it: not, if there is nothing to
// wait for any more.
func (p *pace) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.ended || !p.deadline.IsZero() && !now.Before(p.deadline):
			return false
		case p.gone != nil && p.gone():
			return false
		case !p.reading && !now.Before(p.free):
			p.reading = true
			return true
		}
		p.wait(now)
	}
}

// wait waits until something may be otherwise.
func (p *pace) wait(now time.Time) {
	at := p.deadline
	if !p.reading {
		at = sooner(at, p.free)
		if p.gone != nil {
			at = sooner(at, now.Add(glance))
		}
	}
	if !at.IsZero() {
		defer time.AfterFunc(at.Sub(now), p.wake).Stop()
	}
	p.changed.Wait()
}

// glance is how long one waits before one looks whether the connection is still there.
const glance = time.Second

// sooner is the sooner of two instants, of which the zero Time is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// goneOf returns how to see that a Read of c would fail, without one that takes something.
func goneOf(c net.Conn) func() bool {
	t, ok := c.(*vitro.Conn)
	if !ok {
		return nil
	}
	return func() bool {
		if _, err := t.Read(nil); err != nil {
			return true // it is closed, or its host
		}
		s := t.Status()
		return s.Err != nil && s.Unread == 0
	}
}

func (p *pace) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}

// until takes over a deadline for reading, which c has already.
func (p *pace) until(t time.Time, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.deadline = t
		p.changed.Broadcast()
	}
	return err
}

// end takes over that c is closed.
func (p *pace) end(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
	return err
}

// slowTCP is a slow connection of a Host.
type slowTCP struct {
	*vitro.Conn
	pace *pace
}

func (s *slowTCP) Read(b []byte) (int, error)    { return s.pace.read(s.Conn, b) }
func (s *slowTCP) SetDeadline(t time.Time) error { return s.pace.until(t, s.Conn.SetDeadline(t)) }
func (s *slowTCP) SetReadDeadline(t time.Time) error {
	return s.pace.until(t, s.Conn.SetReadDeadline(t))
}
func (s *slowTCP) Close() error     { return s.pace.end(s.Conn.Close()) }
func (s *slowTCP) CloseRead() error { return s.pace.end(s.Conn.CloseRead()) }

// WriteTo writes what arrives to w, no faster than Read gives it.
func (s *slowTCP) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{s}) }

// slow is another slow connection.
type slow struct {
	net.Conn
	pace *pace
}

func (s *slow) Read(b []byte) (int, error)        { return s.pace.read(s.Conn, b) }
func (s *slow) SetDeadline(t time.Time) error     { return s.pace.until(t, s.Conn.SetDeadline(t)) }
func (s *slow) SetReadDeadline(t time.Time) error { return s.pace.until(t, s.Conn.SetReadDeadline(t)) }
func (s *slow) Close() error                      { return s.pace.end(s.Conn.Close()) }

type closeWriter interface{ CloseWrite() error }

// slowHalf is one that can be half closed.
type slowHalf struct {
	slow
	closeWriter
}
