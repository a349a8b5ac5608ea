package stack

import (
	"net/netip"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Watcher is told what has happened on a Conn or a Listener: Signal is called from inside
// the stack's calls, under its owner's lock. It must not call the stack; it notes what it is
// told and wakes whoever waits.
//
// A Listener signals tcp.SignalReadable when Accept will return a connection, and
// tcp.SignalClosed when it is closed.
type Watcher interface{ Signal(tcp.Signal) }

// ConnOptions are the settings of a connection from its first SYN on. The zero value means
// the defaults of Config.
type ConnOptions struct {
	// NoDelay switches the Nagle algorithm off.
	NoDelay bool
	// TrafficClass is the DS field with the ECN bits (MUST-48).
	TrafficClass uint8
	// HopLimit; 0: Config's (MUST-49).
	HopLimit uint8
	// UserTimeout is R2 (RFC 9293 section 3.8.3); 0: tcp.Config's, negative: never. It
	// holds for the SYN of an active OPEN too.
	UserTimeout time.Duration
	// KeepAlive switches keep-alives on; zero values of the others mean their defaults.
	KeepAlive         bool
	KeepAliveIdle     time.Duration
	KeepAliveInterval time.Duration
	KeepAliveCount    int
	// FastOpen lets Dial use TCP Fast Open (RFC 7413): what Send queues before the next call of
	// Stack.Output goes with the SYN, as far as it fits, where the server has given a cookie
	// before; else the SYN asks for one. The server's user may get that text twice. For
	// connections that come see ListenOptions.FastOpen.
	FastOpen bool
	// Keys are those of TCP-AO (RFC 5925), of which the ones for the connection's sockets count:
	// with any, all segments are authenticated, the SYN by the first or, for a Listener, by that
	// which it names; FastOpen does nothing. nil: Config.Keys; an empty list is none.
	Keys tcp.Keys
	// Congestion makes the congestion control when the connection is established, or takes text by
	// TCP Fast Open before. Default, and where it returns nil, that of tcp.Config.
	Congestion func() tcp.Congestion
	// Watcher is told of signals from the first on. For connections that come by a Listener
	// set it with Conn.Watch after Accept.
	Watcher Watcher
}

// Conn is the user's handle on one connection. Its methods are those of tcp.Conn; they are
// called like all of the stack's, and each is to be followed by Stack.Output.
type Conn struct {
	stack *Stack
	tcp   tcp.Conn
	timer timer

	nextDirty   *Conn
	older, next *Conn // in Stack.all
	watcher     Watcher
	untold      tcp.Signal // what no watcher has heard of

	listener       *Listener // while it is half-open or not accepted
	pendingOf      *Listener // while it is fast-opened and in SYN-RECEIVED
	inQueue        queueOf
	lolder, lnewer *Conn // in the listener's list, or among the orphans
	iface          *netif
	routing        uint32 // Stack.routing when iface was found
	before         *before
	orphaned       orphanVars
	reused         reused
	dirty          bool
	lackAt         int // 1 + the place in Stack.mem.lacking; 0: none
	seen           seen
	released       bool
	offered        bool // by offerFastOpen, and not yet learned from
	orphan         bool // released, and in Stack.orphans
	listed         bool // in Stack.conns
	detached       bool // in TIME-WAIT, and another connection has the sockets
	freed          bool
}

func (s *Stack) newConn(now tcp.Time, flow wire.Flow, n *netif) *Conn {
	c := &Conn{stack: s, iface: n, routing: s.routing}
	c.timer.conn = c
	c.tcp.Init(&s.cfg.TCP, flow, n.cfg.MTU)
	c.tcp.SetSuperSegment(n.super)
	if mtu, most := s.paths.mtu(now, &flow.Remote); mtu != 0 {
		c.tcp.SetPathMTU(now, mtu, most)
	}
	s.stats.States[tcp.Closed]++
	s.all.push(c)
	s.conns[flow] = c
	c.listed = true
	return c
}

func (c *Conn) setOptions(now tcp.Time, o *ConnOptions) {
	if o.NoDelay {
		c.tcp.SetNoDelay(true)
	}
	c.tcp.SetTrafficClass(o.TrafficClass)
	c.tcp.SetHopLimit(o.HopLimit)
	if o.UserTimeout != 0 {
		c.tcp.SetUserTimeout(o.UserTimeout)
	}
	if o.KeepAlive {
		c.tcp.SetKeepAlive(now, true, o.KeepAliveIdle, o.KeepAliveInterval, o.KeepAliveCount)
	}
	if o.Congestion != nil {
		c.tcp.MakeCongestion(o.Congestion)
	}
	_ = c.tcp.SetKeys(c.stack.keysOf(o)) // they have been checked
	c.watcher = o.Watcher
}

// Send is tcp.Conn.Send: it queues p as far as there is room and returns how far.
func (c *Conn) Send(now tcp.Time, p []byte) (int, error) {
	n, err := c.tcp.Send(now, p)
	c.stack.touch(now, c)
	return n, err
}

// SendUrgent is tcp.Conn.SendUrgent.
func (c *Conn) SendUrgent(now tcp.Time, p []byte) (int, error) {
	n, err := c.tcp.SendUrgent(now, p)
	c.stack.touch(now, c)
	return n, err
}

// Receive is tcp.Conn.Receive: it moves what has arrived into p. 0 without an error means
// that there is nothing yet; tcp.ErrClosing is the end of the stream.
func (c *Conn) Receive(now tcp.Time, p []byte) (int, error) {
	n, err := c.tcp.Receive(p)
	c.stack.touch(now, c)
	return n, err
}

// Close is tcp.Conn.Close: a FIN follows what is queued. Receiving goes on.
func (c *Conn) Close(now tcp.Time) error {
	err := c.tcp.Close(now)
	c.stack.touch(now, c)
	return err
}

// CloseReceive is tcp.Conn.CloseReceive: the user reads no more. It reports whether text
// that was never read reset the connection.
func (c *Conn) CloseReceive(now tcp.Time, how tcp.ReceiveEnd) bool {
	reset := c.tcp.CloseReceive(now, how)
	c.stack.touch(now, c)
	return reset
}

// Abort is tcp.Conn.Abort: a reset ends the connection at once.
func (c *Conn) Abort(now tcp.Time) error {
	err := c.tcp.Abort(now)
	c.stack.touch(now, c)
	return err
}

// Release says that the user is done with the handle, and must not use it again. Call Close
// and CloseReceive before, or Abort; one that has done neither aborts the connection. The
// stack lets the connection live out its closing and then frees it; in TIME-WAIT only a
// small record is left of it. How many may live on, and for how long without any progress,
// Config.MaxOrphans and Config.OrphanTimeout say.
func (c *Conn) Release(now tcp.Time) {
	if c.released {
		return
	}
	s := c.stack
	c.released = true
	c.watcher = nil
	switch c.tcp.State() {
	case tcp.Listen, tcp.SynSent, tcp.SynReceived, tcp.Established, tcp.CloseWait:
		if !c.tcp.FinQueued() {
			_ = c.tcp.Abort(now) // it exists
		}
	case tcp.Closed, tcp.FinWait1, tcp.FinWait2, tcp.Closing, tcp.LastAck, tcp.TimeWait:
	}
	if state := c.tcp.State(); state != tcp.Closed && state != tcp.TimeWait {
		s.adopt(now, c)
	}
	s.touch(now, c)
}

// Status returns the connection's state and variables.
func (c *Conn) Status() tcp.Status { return c.tcp.Status() }

// State returns the state.
func (c *Conn) State() tcp.State { return c.tcp.State() }

// Err returns why the connection is CLOSED, nil while it is not or when it ended in order.
func (c *Conn) Err() error { return c.tcp.Err() }

// SoftError returns the last soft error: what ICMP messages have said, or that there were
// excessive retransmissions (MUST-47).
func (c *Conn) SoftError() tcp.SoftError { return c.tcp.SoftError() }

// UrgentLeft returns how many octets of urgent data have not been read (MUST-33).
func (c *Conn) UrgentLeft() uint32 { return c.tcp.UrgentLeft() }

// SetNoDelay switches the Nagle algorithm off or on (MUST-17).
func (c *Conn) SetNoDelay(now tcp.Time, on bool) {
	c.tcp.SetNoDelay(on)
	c.stack.touch(now, c)
}

// SetUserTimeout sets R2 for this connection; 0: the default, negative: for ever.
func (c *Conn) SetUserTimeout(now tcp.Time, d time.Duration) {
	c.tcp.SetUserTimeout(d)
	c.stack.touch(now, c)
}

// SetKeepAlive is tcp.Conn.SetKeepAlive.
func (c *Conn) SetKeepAlive(now tcp.Time, on bool, idle, interval time.Duration, count int) {
	c.tcp.SetKeepAlive(now, on, idle, interval, count)
	c.stack.touch(now, c)
}

// SetCongestion is tcp.Conn.SetCongestion.
func (c *Conn) SetCongestion(now tcp.Time, control tcp.Congestion) {
	c.tcp.SetCongestion(now, control)
	c.stack.touch(now, c)
}

// SetTrafficClass sets the DS field and the ECN bits of all that is sent from now on.
func (c *Conn) SetTrafficClass(tc uint8) { c.tcp.SetTrafficClass(tc) }

// ReceivedTrafficClass returns that of the segment that arrived last (MAY-9).
func (c *Conn) ReceivedTrafficClass() uint8 { return c.tcp.ReceivedTrafficClass() }

// SetHopLimit sets the hop limit of all that is sent from now on; 0: the stack's default.
func (c *Conn) SetHopLimit(hops uint8) { c.tcp.SetHopLimit(hops) }

// Local returns the local socket. It stays the same for the connection's life (MUST-45).
func (c *Conn) Local() netip.AddrPort { return c.tcp.Flow().LocalAddrPort() }

// Remote returns the peer's socket.
func (c *Conn) Remote() netip.AddrPort { return c.tcp.Flow().RemoteAddrPort() }

// Flow returns both sockets.
func (c *Conn) Flow() wire.Flow { return c.tcp.Flow() }

// Watch makes w the one that is told of signals, in place of the one before; nil for
// nobody. It is told at once of what nobody has been told yet.
func (c *Conn) Watch(w Watcher) {
	c.watcher = w
	if w != nil && c.untold != 0 {
		sig := c.untold
		c.untold = 0
		w.Signal(sig)
	}
}

// touch does what follows a call of the machine: signals, timer, and a place among those
// that may have something to send.
func (s *Stack) touch(now tcp.Time, c *Conn) {
	if c.freed {
		return
	}
	s.signals(now, c)
	s.wheel.arm(&c.timer, c.tcp.Deadline())
	s.dirty.push(c)
}

// signals hands on what has happened.
func (s *Stack) signals(now tcp.Time, c *Conn) {
	sig := c.tcp.TakeSignals()
	if sig == 0 {
		return
	}
	if sig&tcp.SignalNoMemory != 0 {
		s.lack(c)
	}
	if sig&tcp.SignalPathMTU != 0 {
		s.foundMTU(now, c)
	}
	if c.listener != nil {
		c.listener.childSignals(now, c, sig)
	}
	if c.pendingOf != nil {
		c.pendingSignals(now, sig)
	}
	if c.offered && sig&(tcp.SignalEstablished|tcp.SignalClosed) != 0 {
		s.learnFastOpen(now, c)
	}
	if sig&(tcp.SignalClosed|tcp.SignalListen) != 0 {
		s.unlist(c)
	}
	if c.watcher != nil {
		c.watcher.Signal(sig)
	} else {
		c.untold |= sig
	}
}

// unlist makes the connection's sockets free for another.
func (s *Stack) unlist(c *Conn) {
	if c.listed {
		c.listed = false
		flow := c.tcp.Flow()
		delete(s.conns, flow)
		s.giveUp(flow)
	}
}

// settle is called when a connection has sent what it had to. It frees what nobody wants
// any more.
func (s *Stack) settle(now tcp.Time, c *Conn) {
	if !c.released {
		return
	}
	switch c.tcp.State() {
	case tcp.Closed, tcp.Listen:
		s.free(c)
	case tcp.TimeWait:
		if !c.tcp.Authenticated() { // or the keys would go with it
			s.keepTimeWait(now, c)
		}
	case tcp.SynSent, tcp.SynReceived, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.CloseWait, tcp.Closing, tcp.LastAck:
	}
}

// free takes c out of everything.
func (s *Stack) free(c *Conn) {
	if c.freed {
		return
	}
	c.freed = true
	s.disown(c)
	s.stats.States[c.tcp.State()]--
	s.unlist(c)
	s.wheel.disarm(&c.timer)
	s.unlack(c)
	s.all.remove(c)
	c.tcp.Release()
}

// connList is a list of Conns by age.
type connList struct {
	oldest, newest *Conn
	n              int
}

func (l *connList) push(c *Conn) {
	c.older = l.newest
	if l.newest != nil {
		l.newest.next = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.n++
}

func (l *connList) remove(c *Conn) {
	if c.older != nil {
		c.older.next = c.next
	} else {
		l.oldest = c.next
	}
	if c.next != nil {
		c.next.older = c.older
	} else {
		l.newest = c.older
	}
	c.older, c.next = nil, nil
	l.n--
}
