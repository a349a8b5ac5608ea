package host

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

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

// Attach attaches a link, which belongs to the host when Attach has returned nil: Close closes
// it. A link that ends by itself (link.DownReceiver, or Send gives link.ErrClosed, as when
// somebody else has closed it) is closed and taken away, with its addresses and routes: what
// they led to gives ENETUNREACH, if no other route leads there. Connections stay: another
// link with their address carries them on, or they end by their timeouts.
//
// Nothing is sent by the link before its own Attach has returned, unless it has delivered
// packets already. Errors: EINVAL, EADDRINUSE for an address that the host has, ErrClosed, also
// when the host is closed meanwhile, and those of the link's Attach; then the link still
// belongs to the caller.
func (h *Host) Attach(l link.Link, config LinkConfig) error {
	p, err := h.reserve(l, config)
	if err != nil {
		return err
	}
	err = l.Attach(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errors.Join(err, ErrClosed)
	case err != nil:
		p.remove()
		h.setPort(p.iface, nil)
		return err
	}
	p.owned = true
	p.raise()
	if p.gone {
		p.report()
	}
	return nil
}

// reserve gives a link its addresses. No route leads to it yet.
func (h *Host) reserve(l link.Link, config LinkConfig) (*port, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	offload := l.Offload()
	iface, err := h.core.AddInterface(stack.InterfaceConfig{
		MTU: l.MTU(), MaxSuper: offload.MaxSuper, ChecksumOffload: offload.Checksum,
		Prefixes: config.Addresses, Down: true,
	})
	if err != nil {
		return nil, refused(err)
	}
	p := &port{host: h, link: l, iface: iface, down: config.Down}
	for _, prefix := range config.Routes {
		if err := h.core.AddRoute(prefix, iface); err != nil {
			p.remove()
			return nil, refused(err)
		}
	}
	return p, nil
}

// Detach takes a link away, as one that has ended by itself, and closes it. LinkConfig.Down is
// not told. It must not be called from within the link's Send or Receive. Errors: ENODEV when
// the link is not attached here, ErrClosed, and that of the link's Close.
func (h *Host) Detach(l link.Link) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return ErrClosed
	}
	p := h.portOf(l)
	if p == nil {
		h.mu.Unlock()
		return syscall.ENODEV
	}
	p.remove()
	h.setPort(p.iface, nil)
	h.mu.Unlock()
	return l.Close()
}

// portOf returns the port of a link that belongs to the host, or nil.
func (h *Host) portOf(l link.Link) *port {
	for _, p := range *h.ports.Load() {
		if p != nil && p.owned && !p.gone && p.iface != 0 && same(p.link, l) {
			return p
		}
	}
	return nil
}

// same compares two links, of which the types may be such that == panics.
func same(a, b link.Link) (yes bool) {
	defer func() { _ = recover() }()
	return a == b
}

// setPort puts a port into a new table: the transmitter reads it without the lock.
func (h *Host) setPort(iface int, p *port) {
	ports := slices.Clone(*h.ports.Load())
	for len(ports) <= iface {
		ports = append(ports, nil)
	}
	ports[iface] = p
	h.ports.Store(&ports)
}

// port is a link as the host has it, and the link's Receiver.
type port struct {
	host  *Host
	link  link.Link
	iface int
	down  func(error)

	raised bool  // routes lead to it
	owned  bool  // the link's Attach has returned
	gone   bool  // its interface has been taken away
	why    error // by itself
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
	p.raise()
	now := h.now()
	for i := range batch {
		h.core.Arrive(now, p.iface, &batch[i])
	}
	h.flush(now)
}

// raise makes the link one that is sent by. What it delivers before its Attach has returned is
// answered: a link that delivers can send.
func (p *port) raise() {
	if !p.raised {
		p.raised = true
		p.host.setPort(p.iface, p)
		_ = p.host.core.RaiseInterface(p.iface) // it may have gone
	}
}

// remove takes the interface away, and reports whether it was there.
func (p *port) remove() bool {
	p.gone = true
	return p.host.core.RemoveInterface(p.iface) == nil
}

// Down is called by the link when it has ended by itself.
func (p *port) Down(err error) {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	p.end(err)
	p.host.flush(p.host.now())
}

// end takes away a link that has ended. The link is not closed here, since Close would wait for
// the call that brings the news.
func (p *port) end(err error) {
	if p.host.closed || !p.remove() {
		return
	}
	p.why = err
	if p.owned {
		p.report()
	}
}

// report has the link closed and the user told.
func (p *port) report() {
	p.host.reports.add(p.host, func() {
		p.bury()
		if p.down != nil {
			p.down(p.why)
		}
	})
}

// bury closes a link that has ended, so that nothing is left of it though the host lives on.
func (p *port) bury() {
	_ = p.link.Close() // an error changes nothing: the link has ended
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	p.host.setPort(p.iface, nil)
}
