package sim

import (
	"net/netip"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// watcher collects signals until the World tells the user.
type watcher struct {
	host  *Host
	stack *stack.Stack
	got   tcp.Signal
	woken bool
	told  func(tcp.Signal)
}

// Signal is called from within the stack.
func (w *watcher) Signal(sig tcp.Signal) {
	w.got |= sig
	if !w.woken {
		w.woken = true
		w.host.woken = append(w.host.woken, w)
	}
}

// Conn is one end of a connection, as a user of the host has it. Each call is an event, and
// what it makes the host send departs at the same instant.
type Conn struct {
	host    *Host
	stack   *stack.Stack // of the host's life to which the Conn belongs
	conn    *stack.Conn
	watcher watcher
	on      func(tcp.Signal)
}

func (h *Host) newConn(c *stack.Conn) *Conn {
	conn := &Conn{host: h, stack: h.stack, conn: c}
	conn.watcher = watcher{host: h, stack: h.stack, told: func(sig tcp.Signal) {
		if conn.on != nil {
			conn.on(sig)
		}
	}}
	return conn
}

// Dial is stack.Dial. A Watcher in opts is replaced: see OnSignal.
func (h *Host) Dial(local, remote netip.AddrPort, opts stack.ConnOptions) (*Conn, error) {
	h.called("connect")
	opts.Watcher = nil
	c, err := h.stack.Dial(h.world.now, local, remote, opts)
	if err != nil {
		return nil, err
	}
	h.touch()
	conn := h.newConn(c)
	c.Watch(&conn.watcher)
	return conn, nil
}

// OnSignal has the World call f when something has happened on the connection, after the
// host has sent what that made it send. It replaces the function before.
func (c *Conn) OnSignal(f func(tcp.Signal)) { c.on = f }

// gone reports that the host has forgotten the connection by a crash.
func (c *Conn) gone() bool { return c.stack != c.host.stack }

// Send is stack.Conn.Send: it queues p as far as there is room, and returns how far.
func (c *Conn) Send(p []byte) (int, error) {
	if c.gone() {
		return 0, tcp.ErrNotExist
	}
	n, err := c.conn.Send(c.host.world.now, p)
	if n > 0 {
		c.host.called("send %d octets", n)
	}
	c.host.touch()
	return n, err
}

// Receive is stack.Conn.Receive. It is no event: users read all the time.
func (c *Conn) Receive(p []byte) (int, error) {
	if c.gone() {
		return 0, tcp.ErrNotExist
	}
	c.host.touch()
	return c.conn.Receive(c.host.world.now, p)
}

// Close is stack.Conn.Close: a FIN follows what is queued, and receiving goes on.
func (c *Conn) Close() error {
	if c.gone() {
		return tcp.ErrNotExist
	}
	c.host.called("close")
	c.host.touch()
	return c.conn.Close(c.host.world.now)
}

// SetHopLimit is stack.Conn.SetHopLimit, for all that is sent from now on.
func (c *Conn) SetHopLimit(hops uint8) error {
	if c.gone() {
		return tcp.ErrNotExist
	}
	c.host.called("set hop limit %d", hops)
	c.conn.SetHopLimit(hops)
	return nil
}

// Abort is stack.Conn.Abort: a reset ends the connection.
func (c *Conn) Abort() error {
	if c.gone() {
		return tcp.ErrNotExist
	}
	c.host.called("abort")
	c.host.touch()
	return c.conn.Abort(c.host.world.now)
}

// Release is stack.Conn.Release: the user is done with the Conn, and the host frees it when
// it can.
func (c *Conn) Release() {
	if !c.gone() {
		c.host.touch()
		c.conn.Release(c.host.world.now)
	}
}

// Status returns the connection's state and variables; of one that a crash has taken, the
// last before.
func (c *Conn) Status() tcp.Status { return c.conn.Status() }

// State returns the state, CLOSED after a crash.
func (c *Conn) State() tcp.State {
	if c.gone() {
		return tcp.Closed
	}
	return c.conn.State()
}

// Err returns why the connection is CLOSED; see stack.Conn.Err.
func (c *Conn) Err() error { return c.conn.Err() }

// Flow returns both sockets.
func (c *Conn) Flow() wire.Flow { return c.conn.Flow() }

// Listener is a listener, as a user of the host has it.
type Listener struct {
	host     *Host
	stack    *stack.Stack
	listener *stack.Listener
	watcher  watcher
	accept   func(*Conn)
}

// Listen is stack.Listen, with the default backlog. A Watcher in opts is replaced: see
// OnAccept.
func (h *Host) Listen(local netip.AddrPort, opts stack.ListenOptions) (*Listener, error) {
	h.called("listen")
	opts.Watcher = nil
	sl, err := h.stack.Listen(local, 0, opts)
	if err != nil {
		return nil, err
	}
	l := &Listener{host: h, stack: h.stack, listener: sl}
	l.watcher = watcher{host: h, stack: h.stack, told: func(tcp.Signal) { l.acceptAll() }}
	sl.Watch(&l.watcher)
	at := sl.Addr()
	h.world.tell(Event{Kind: State, Host: h, Flow: wire.Flow{Local: wire.AddrFrom(at.Addr()), LocalPort: at.Port()},
		From: tcp.Closed, To: tcp.Listen, Rule: tcp.RuleOpenPassive})
	return l, nil
}

// Addr returns the local socket.
func (l *Listener) Addr() netip.AddrPort { return l.listener.Addr() }

// OnAccept has the World call f with each connection as soon as it is established; until it
// is set they wait.
func (l *Listener) OnAccept(f func(*Conn)) {
	l.accept = f
	l.acceptAll()
}

func (l *Listener) acceptAll() {
	if l.accept == nil || l.stack != l.host.stack {
		return
	}
	for {
		c := l.listener.Accept(l.host.world.now)
		if c == nil {
			return
		}
		l.host.touch()
		conn := l.host.newConn(c)
		l.accept(conn)
		c.Watch(&conn.watcher)
	}
}

// Close ends listening; see stack.Listener.Close.
func (l *Listener) Close() {
	if l.stack == l.host.stack {
		l.host.called("stop listening")
		l.host.touch()
		l.listener.Close(l.host.world.now)
	}
}
