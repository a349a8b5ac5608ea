package host

import (
	"errors"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/stack"
)

// AttachLoopback has what the host sends to its own addresses, 127.0.0.0/8 and ::1 among them,
// leave by l, and come back by it: what l is given to send it must deliver to its own receiver, when
// and as it likes, and nobody else: "Addresses of this form MUST NOT appear outside a host" (RFC
// 1122 section 3.2.1.3 (g)). Without it such packets stay within the host. It is for the time before the
// first connection, and once. The link belongs to the host then, as one of Attach, but that it
// cannot be detached. Errors: EADDRINUSE when there is a connection or a listener already, EINVAL
// for an MTU below 1280, ErrClosed, and those of the link's Attach.
func (h *Host) AttachLoopback(l link.Link) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return ErrClosed
	}
	offload := l.Offload()
	err := h.core.SetLoopback(stack.LoopbackConfig{MTU: l.MTU(), MaxSuper: offload.MaxSuper, ChecksumOffload: offload.Checksum})
	if err != nil {
		h.mu.Unlock()
		return refused(err)
	}
	p := &port{host: h, link: l, raised: true}
	h.setPort(p.iface, p)
	h.mu.Unlock()
	err = l.Attach(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.Join(err, ErrClosed)
	}
	p.owned = err == nil
	return err
}
