package host

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
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
}

// Host is a stack with a lock, a clock, a timer and links. Make it with New. All methods
// may be called by several goroutines at a time.
type Host struct {
	mu    sync.Mutex
	core  *stack.Stack
	start time.Time
	links atomic.Pointer[[]link.Link] // by the stack's interfaces, nil where there is none

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

	conns     *Conn
	listeners *Listener
}

// New returns a host without links. It reaches itself by its own addresses.
func New(c Config) *Host {
	if c.ElasticSend {
		c.Stack.TCP.SendBuffer = Elastic
	}
	h := &Host{core: stack.New(c.Stack), start: time.Now(), armed: tcp.Never, elastic: c.ElasticSend}
	h.batch.Budget = budget
	h.idle = sync.NewCond(&h.mu)
	h.links.Store(new([]link.Link))
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

// LinkConfig says how a link is used.
type LinkConfig struct {
	// Addresses are the host's own on this link, each with its subnet, which is a route.
	Addresses []netip.Prefix
	// Routes are what else is reached by this link: 0.0.0.0/0 and ::/0 are all the rest.
	// The longest prefix wins.
	Routes []netip.Prefix
	// Down, if set, is told why the link has ended by itself, once; see Attach. It is called
	// as the functions of Conn.SetReport are, and may call the host, Close too.
	Down func(error)
}

// Attach attaches a link, which belongs to the host from then on: Close closes it. A link
// that ends by itself (link.DownReceiver) is closed and taken away, with its addresses and
// routes: what they led to gives ENETUNREACH, if no other route leads there. Connections
// stay: another link with their address carries them on, or they end by their timeouts.
// Errors: EINVAL, EADDRINUSE for an address that the host has, ErrClosed, and those of the
// link's Attach; then the link still belongs to the caller.
func (h *Host) Attach(l link.Link, config LinkConfig) error {
	iface, err := h.addLink(l, config)
	if err != nil {
		return err
	}
	if err := l.Attach(&port{h, iface, config.Down}); err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.setLink(iface, nil)
		return errors.Join(err, h.core.RemoveInterface(iface))
	}
	return nil
}

func (h *Host) addLink(l link.Link, config LinkConfig) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, ErrClosed
	}
	offload := l.Offload()
	iface, err := h.core.AddInterface(stack.InterfaceConfig{
		MTU: l.MTU(), MaxSuper: offload.MaxSuper, ChecksumOffload: offload.Checksum,
		Prefixes: config.Addresses,
	})
	if err != nil {
		return 0, refused(err)
	}
	for _, p := range config.Routes {
		if err := h.core.AddRoute(p, iface); err != nil {
			_ = h.core.RemoveInterface(iface) // it is there
			return 0, refused(err)
		}
	}
	h.setLink(iface, l)
	return iface, nil
}

// setLink puts a link into a new table: the transmitter reads it without the lock.
func (h *Host) setLink(iface int, l link.Link) {
	links := slices.Clone(*h.links.Load())
	for len(links) <= iface {
		links = append(links, nil)
	}
	links[iface] = l
	h.links.Store(&links)
}

// port is a link's Receiver.
type port struct {
	host  *Host
	iface int
	down  func(error)
}

var _ link.DownReceiver = (*port)(nil)

// Receive is called by the link.
func (p *port) Receive(batch []wire.Packet) {
	h := p.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	now := h.now()
	for i := range batch {
		h.core.Arrive(now, p.iface, &batch[i])
	}
	h.flush(now)
}

// Down is called by the link when it has ended by itself. The link is not closed here, since
// Close would wait for this call.
func (p *port) Down(err error) {
	h := p.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.core.RemoveInterface(p.iface) != nil {
		return
	}
	h.reports.add(h, func() {
		h.bury(p.iface)
		if p.down != nil {
			p.down(err)
		}
	})
	h.flush(h.now())
}

// bury closes a link that has ended, so that nothing is left of it though the host lives on.
func (h *Host) bury(iface int) {
	if l := (*h.links.Load())[iface]; l != nil {
		_ = l.Close() // an error changes nothing: the link has ended
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLink(iface, nil)
}

// Close ends everything at once: calls that wait return ErrClosed, connections are reset,
// links closed. When it returns no timer and no goroutine of the host or its links is
// left, but for a function of SetReport or LinkConfig.Down that is running. It must not be
// called from within a link's Send or Receive; from within those functions it may. A second
// Close does nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
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
	h.mu.Unlock()
	var errs []error
	for _, l := range *h.links.Load() {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
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
	return h.core.Connections()
}
