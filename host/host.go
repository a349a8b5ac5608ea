package host

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Elastic is the send buffer of Config.ElasticSend, in octets.
const Elastic = 16 << 20

// Config is what New needs. The zero value is a host with package stack's defaults; its
// secrets are zero then too, so whoever faces a network fills them in.
type Config struct {
	Stack stack.Config

	// ElasticSend makes Write wait only when 16 MiB of a connection are unacknowledged,
	// whatever the TCP configuration and SetSendBuffer say. It is for testing/synctest
	// bubbles: a program there may write under a mutex (net/http's HTTP/2 client does), and
	// a goroutine that waits for a mutex keeps the bubble's time from passing.
	ElasticSend bool

	// Reproducible has those who wait woken only when all has been sent that the same event has
	// brought, so that it does not depend on the scheduler what stands in the segments. For tests.
	Reproducible bool
}

// Host is a stack with a lock, a clock, a timer and links. Make it with New. All methods
// may be called by several goroutines at a time.
type Host struct {
	mu    sync.Mutex
	core  *stack.Stack
	start time.Time
	ports atomic.Pointer[[]*port] // by the stack's interfaces, nil where there is none

	sending  bool       // somebody is the transmitter
	kicked   bool       // there is more to send than the transmitter knows
	idle     *sync.Cond // Close waits for transmitter and timer
	batch    stack.Batch
	fillable []*Conn // writers that wait, and there is room
	jobs     []*job  // for the next that wait
	reports  reports

	timer   *time.Timer
	armed   tcp.Time // when timer runs, Never: it does not
	closed  bool
	elastic bool
	orderly bool    // Config.Reproducible
	woken   []*gate // with that, who is to be woken

	conns     *Conn
	listeners *Listener
	udps      *UDP
	pings     lazyGate // who waits in Ping
}

// New returns a host without links. It reaches itself by its own addresses.
func New(c Config) *Host {
	if c.ElasticSend {
		c.Stack.TCP.SendBuffer = Elastic
	}
	h := &Host{core: stack.New(c.Stack), start: time.Now(), armed: tcp.Never, elastic: c.ElasticSend, orderly: c.Reproducible}
	h.batch.Budget = budget
	h.idle = sync.NewCond(&h.mu)
	h.ports.Store(new([]*port))
	return h
}

// now reads the clock. It is called under the lock, so that time never runs backwards for
// the stack.
func (h *Host) now() tcp.Time { return tcp.Time(time.Since(h.start)) + 1 }

// Time returns the time of day of an instant as the stack has it; for 0, which is none, and
// for tcp.Never the zero Time.
func (h *Host) Time(t tcp.Time) time.Time {
	if t == 0 || t == tcp.Never {
		return time.Time{}
	}
	return h.start.Add(time.Duration(t - 1))
}

// Close ends everything at once: calls that wait return ErrClosed, connections are reset,
// links closed. When it returns no timer and no goroutine of the host or its links is
// left, but for a function of SetReport or LinkConfig.Down that is running. It must not be
// called from within a link's Send or Receive; from within those functions it may. A second
// Close does nothing.
func (h *Host) Close() error {
	var errs []error
	for _, l := range h.shut() {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// shut does all of Close but closing the links, which it returns: that must not be under the lock.
func (h *Host) shut() (links []link.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	now := h.now()
	for h.listeners != nil {
		h.listeners.shut(now)
	}
	for c := h.conns; c != nil; c = c.next {
		c.rd.shut()
		c.wr.shut()
	}
	h.shutUDP()
	h.core.AbortAll(now)
	h.kicked = true // the resets
	for h.sending || h.kicked {
		if h.sending {
			h.idle.Wait()
		} else {
			now = h.transmit(now)
		}
	}
	for h.armed != tcp.Never && !h.timer.Stop() {
		h.idle.Wait() // for expire, which has begun
	}
	h.reports.stop()
	for _, p := range *h.ports.Load() {
		if p != nil && p.owned {
			links = append(links, p.link)
		}
	}
	return links
}

// newConn returns a connection; adopt joins it with the stack's.
func (h *Host) newConn() *Conn { return &Conn{host: h, linger: -1} }

func (h *Host) adopt(c *Conn, core *stack.Conn) {
	c.core, c.next = core, h.conns
	if c.next != nil {
		c.next.prev = c
	}
	h.conns = c
	core.Watch((*signals)(c))
}

// forget takes a connection out of the list.
func (h *Host) forget(c *Conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else if h.conns == c {
		h.conns = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}

// Stats returns the stack's counters.
func (h *Host) Stats() stack.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core.Stats()
}

// Connections returns the status of every connection, ordered by local and then remote
// socket.
func (h *Host) Connections() []tcp.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.core.Connections()
	for i := range list {
		list[i] = withErrno(list[i])
	}
	return list
}
