package stack

import (
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// DefaultBacklog is how many connections wait for Accept when Listen is given no number.
const DefaultBacklog = 1024

// ListenOptions are the settings of a Listener.
type ListenOptions struct {
	// Conn are those of the connections that come. Its Watcher is not used.
	Conn ConnOptions
	// V6Only keeps a Listener on :: from taking connections over IPv4.
	V6Only bool
	// HalfOpen bounds its connections in SYN-RECEIVED; SYNs beyond are answered by cookies.
	// 0: Config.HalfOpen; negative: cookies always. An authentic SYN (RFC 5925) is kept beyond.
	HalfOpen int
	// FastOpen is how many of its connections may be in SYN-RECEIVED that have brought text in
	// the SYN, with a valid cookie (RFC 7413; its PendingFastOpenRequests). Accept gives them
	// before the handshake's end, and a SYN that comes twice may be served twice: it is for
	// servers that can bear that. Beyond, SYNs are answered as usual. Default 0: none, and
	// nobody gets a cookie.
	FastOpen int
	// Watcher is told when there is something to accept.
	Watcher Watcher
}

// socket is an address, perhaps unspecified, and a port.
type socket struct {
	addr wire.Addr
	port uint16
}

var any4, any6 = wire.Addr4([4]byte{}), wire.Addr{}

// Listener is a connection record in LISTEN, RFC 9293 section 3.10.1. It stays there: each
// SYN makes a Conn of its own (MUST-41, MUST-42).
type Listener struct {
	stack   *Stack
	at      socket
	dual    bool // it is on 0.0.0.0 too
	opts    ListenOptions
	backlog int
	watcher Watcher
	closed  bool
	limit   int      // of halfOpen, without those reopened
	cookies tcp.Time // until when an ACK may bring a cookie back

	halfOpen, ready childList
	reopened        int // of halfOpen, in place of a record in TIME-WAIT
	fast            fastQueue
}

// queueOf says in which list of its listener a Conn stands.
type queueOf uint8

const (
	inNone queueOf = iota
	inHalfOpen
	inReady
)

// childList is a list of a listener's Conns, oldest first.
type childList struct {
	first, last *Conn
	n           int
}

func (l *childList) push(c *Conn) {
	c.lolder, c.lnewer = l.last, nil
	if l.last != nil {
		l.last.lnewer = c
	} else {
		l.first = c
	}
	l.last = c
	l.n++
}

func (l *childList) remove(c *Conn) {
	if c.lolder != nil {
		c.lolder.lnewer = c.lnewer
	} else {
		l.first = c.lnewer
	}
	if c.lnewer != nil {
		c.lnewer.lolder = c.lolder
	} else {
		l.last = c.lolder
	}
	c.lolder, c.lnewer = nil, nil
	l.n--
}

// Listen is the passive OPEN of RFC 9293 section 3.10.1 for many connections. A local
// address that is unspecified means any; port 0 means that the stack chooses. On :: a
// listener takes IPv4 too, unless V6Only. Two on one port must have no address in common, so
// that one on any address is alone with its port in its family, as with Linux. Backlog is how
// many established connections may wait for Accept; 0 or less: DefaultBacklog. Connections
// that have the local port do not stand in its way (MUST-42).
//
// Errors: ErrAddrInUse, ErrAddrNotAvailable, ErrNoPorts, ErrInvalidAddr, and those of
// tcp.Keys.Check.
func (s *Stack) Listen(local netip.AddrPort, backlog int, opts ListenOptions) (*Listener, error) {
	if !local.Addr().IsValid() {
		return nil, ErrInvalidAddr
	}
	if backlog <= 0 {
		backlog = DefaultBacklog
	}
	l := &Listener{stack: s, opts: opts, backlog: backlog, watcher: opts.Watcher}
	switch {
	case opts.HalfOpen == 0:
		l.limit = s.cfg.HalfOpen
	case opts.HalfOpen > 0:
		l.limit = opts.HalfOpen
	}
	if err := s.keysOf(&opts.Conn).Check(); err != nil {
		return nil, err
	}
	l.opts.Conn.Keys = opts.Conn.Keys.Clone()
	l.at = socket{wire.AddrFrom(local.Addr()), local.Port()}
	if !l.at.addr.IsUnspecified() && !s.isOwn(&l.at.addr) {
		return nil, ErrAddrNotAvailable
	}
	if l.at.port == 0 {
		if l.at.port = s.listenPort(); l.at.port == 0 {
			return nil, ErrNoPorts
		}
	}
	l.dual = l.at.addr == any6 && !opts.V6Only
	if s.conflicts(l) {
		return nil, ErrAddrInUse
	}
	s.listeners[l.at] = l
	if l.dual {
		s.listeners[socket{any4, l.at.port}] = l
	}
	s.countPort(l, 1)
	return l, nil
}

// conflicts reports whether a listener has an address in common with l.
func (s *Stack) conflicts(l *Listener) bool {
	n := s.ports[l.at.port]
	switch {
	case l.dual:
		return n.four+n.six > 0
	case l.at.addr == any4:
		return n.four > 0
	case l.at.addr == any6:
		return n.six > 0
	case l.at.addr.Is4():
		return s.listeners[l.at] != nil || s.listeners[socket{any4, l.at.port}] != nil
	}
	return s.listeners[l.at] != nil || s.listeners[socket{any6, l.at.port}] != nil
}

// families counts listeners by the versions of IP they take; a dual one counts twice.
type families struct{ four, six int }

func (s *Stack) countPort(l *Listener, by int) {
	n := s.ports[l.at.port]
	if l.dual || l.at.addr.Is4() {
		n.four += by
	}
	if !l.at.addr.Is4() {
		n.six += by
	}
	if n == (families{}) {
		delete(s.ports, l.at.port)
		return
	}
	s.ports[l.at.port] = n
}

// listenPort chooses a port on which nobody listens.
func (s *Stack) listenPort() uint16 {
	n := int(s.cfg.PortLast) - int(s.cfg.PortFirst) + 1
	start := s.random.IntN(n)
	for i := range n {
		port := s.cfg.PortFirst + uint16((start+i)%n)
		if !s.listens(port) {
			return port
		}
	}
	return 0
}

// listens reports whether somebody listens on the port, on whatever address.
func (s *Stack) listens(port uint16) bool { return s.ports[port] != families{} }

// Addr returns the local socket.
func (l *Listener) Addr() netip.AddrPort {
	return netip.AddrPortFrom(l.at.addr.Netip(), l.at.port)
}

// Watch makes w the one that is told of signals. It is told at once if there is something
// to accept.
func (l *Listener) Watch(w Watcher) {
	l.watcher = w
	l.tell()
}

func (l *Listener) tell() {
	if l.watcher == nil {
		return
	}
	if l.ready.n > 0 {
		l.watcher.Signal(tcp.SignalReadable)
	}
	if l.closed {
		l.watcher.Signal(tcp.SignalClosed)
	}
}

// Accept returns the connection that has been established longest and not been accepted, or
// nil. One that is fast-opened counts from its SYN on, and is in SYN-RECEIVED. It is the caller's,
// to be released in the end.
func (l *Listener) Accept(now tcp.Time) *Conn {
	c := l.ready.first
	if c != nil {
		l.leave(c)
	}
	return c
}

// leave takes c out of the listener's lists.
func (l *Listener) leave(c *Conn) {
	switch c.inQueue {
	case inHalfOpen:
		l.leaveHalfOpen(c)
	case inReady:
		l.ready.remove(c)
	case inNone:
	}
	c.inQueue, c.listener = inNone, nil
}

func (l *Listener) leaveHalfOpen(c *Conn) {
	l.halfOpen.remove(c)
	l.stack.halfOpen--
	if c.before != nil {
		l.reopened--
		l.stack.reopened--
	}
}

// Close ends listening. Connections that have not been accepted are aborted; what one of
// them had reopened is in TIME-WAIT again.
func (l *Listener) Close(now tcp.Time) {
	if l.closed {
		return
	}
	l.closed = true
	s := l.stack
	delete(s.listeners, l.at)
	if s.countPort(l, -1); !s.listens(l.at.port) {
		clear(s.full) // the port is one for everybody again
	}
	if l.dual {
		delete(s.listeners, socket{any4, l.at.port})
	}
	for _, list := range []*childList{&l.halfOpen, &l.ready} {
		for list.first != nil {
			c := list.first
			l.leave(c)
			c.Release(now) // which aborts it
			if c.before != nil {
				s.goBack(now, c.before) // MAY-2
			}
		}
	}
	l.tell()
}

// full reports whether as many connections wait for Accept as may.
func (l *Listener) full() bool { return l.ready.n >= l.backlog }

// crowded reports whether so many are half-open that cookies are due.
func (l *Listener) crowded() bool {
	s := l.stack
	return l.halfOpen.n-l.reopened >= l.limit || s.halfOpen-s.reopened >= s.cfg.MaxHalfOpen
}

// mayReopen reports whether a SYN may make a connection in place of a record in TIME-WAIT.
// A cookie cannot answer it: the peer's numbers decide about it, and it is to begin above
// those of the old connection (MAY-2). So there is a reserve, of the size of the bound for
// others, that a flood of SYNs cannot fill: it takes the sockets of a connection that was
// one, and a number or timestamp above its last.
func (l *Listener) mayReopen() bool {
	s := l.stack
	return !l.full() && s.all.n < s.cfg.MaxConnections && l.reopened < max(l.limit, s.cfg.HalfOpen) && s.reopened < s.cfg.MaxHalfOpen
}

// findListener returns the listener for a SYN, of which there is one at most.
func (s *Stack) findListener(flow *wire.Flow) *Listener {
	if l := s.listeners[socket{flow.Local, flow.LocalPort}]; l != nil {
		return l
	}
	if flow.Local.Is4() {
		return s.listeners[socket{any4, flow.LocalPort}]
	}
	return s.listeners[socket{any6, flow.LocalPort}]
}

// newChild makes a connection in LISTEN, with its remote socket filled in.
func (s *Stack) newChild(now tcp.Time, n *netif, l *Listener, flow *wire.Flow) *Conn {
	c := s.newConn(now, *flow, n)
	c.setOptions(now, &l.opts.Conn)
	c.watcher = nil
	c.listener, c.inQueue = l, inHalfOpen
	l.halfOpen.push(c)
	s.halfOpen++
	_ = c.tcp.Open(now, tcp.Passive) // a new record can be opened
	return c
}

// arriveListen is a segment for a listener: RFC 9293 section 3.10.7.2.
func (s *Stack) arriveListen(now tcp.Time, n *netif, l *Listener, flow *wire.Flow, seg *wire.Segment) {
	keyed, ok := s.authenticListen(now, l, flow, seg)
	switch {
	case !ok, !keyed && !s.takesStray(now, flow, tcp.Listen, seg):
	case seg.Flags&wire.RST != 0: // first
		s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleListenReset)
	case seg.Flags&wire.ACK != 0: // second
		if keyed || !s.arriveCookie(now, n, l, flow, seg) {
			s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleListenAck)
			s.reset(now, flow, seg)
		}
	case seg.Flags&wire.SYN == 0: // fourth
		s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleListenOther)
	case flow.RemotePort == 0 || l.full() || s.all.n >= s.cfg.MaxConnections:
		s.discardStray(now, flow, tcp.Listen, seg, tcp.RuleBacklogFull)
	case !keyed && l.crowded():
		s.sendCookie(now, n, l, flow, seg)
	default: // third
		c := s.newChild(now, n, l, flow)
		if !keyed { // an authentic SYN that is recorded stays authentic: its text could be told again
			l.answerFastOpen(now, c, flow, seg)
		}
		s.begin(now, c, seg)
		s.touch(now, c)
	}
}

// childSignals is told of the signals of a connection that has not been accepted.
func (l *Listener) childSignals(now tcp.Time, c *Conn, sig tcp.Signal) {
	if c.inQueue != inHalfOpen {
		return
	}
	switch {
	case sig&(tcp.SignalEstablished|tcp.SignalFastOpen) != 0:
		if sig&tcp.SignalEstablished == 0 {
			l.pend(c)
		}
		l.leaveHalfOpen(c)
		c.inQueue, c.before = inReady, nil
		l.ready.push(c)
		l.tell()
	case sig&(tcp.SignalListen|tcp.SignalClosed) != 0:
		// MUST-11: returned to LISTEN, which the listener has never left; or given up.
		l.forget(now, c)
	}
}

// forget ends the listener's part in a connection that is not going to be one.
func (l *Listener) forget(now tcp.Time, c *Conn) {
	l.leave(c)
	c.released = true
	l.stack.unlist(c)
	if c.before != nil {
		l.stack.goBack(now, c.before)
	}
}

// unanswered drops a half-open connection, of which a timer has run out, when its SYN,ACK
// has been sent again as often as Config.SynAckRetries says, and waited for: the machine ends it
// by its user timeout. It reports whether it has; no user is told, and the peer gets no reset.
//
// R2 of three minutes (MUST-23) is for "An attempt to open a TCP connection", of which the
// application learns the end: here that is the peer's. It says its SYN again for so long, and
// each has a new answer. For the SYN,ACK nobody waits; it may be the answer to a forged SYN,
// and go to who has never asked.
func (l *Listener) unanswered(now tcp.Time, c *Conn) bool {
	if int(c.tcp.Status().Retransmissions) < l.stack.cfg.SynAckRetries {
		return false
	}
	s := l.stack
	s.stats.HalfOpenTimedOut++
	c.tcp.SetUserTimeout(1)
	c.tcp.Timeout(now)
	s.signals(now, c) // the listener forgets it
	s.free(c)         // before Output can send a reset
	return true
}
