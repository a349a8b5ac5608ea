package stack

import (
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// UDP sockets: RFC 768, RFC 1122 section 4.1. Datagrams for groups and broadcasts do not come this
// far (arrive), and are not sent.

// DefaultUDPBuffer is the receive buffer and the send buffer of a UDP socket, in octets.
const DefaultUDPBuffer = 256 << 10

// The bounds of the two.
const (
	minUDPBuffer = 2 << 10
	maxUDPBuffer = 1 << 30
)

// UDPOptions are the settings of a UDP socket.
type UDPOptions struct {
	// V6Only keeps a socket on :: from taking and sending datagrams over IPv4.
	V6Only bool
	// Watcher is told by tcp.SignalReadable that there is a datagram to receive or an error to
	// take, by tcp.SignalWritable that Send, which gave ErrFull, may be tried again.
	Watcher Watcher
}

// UDP is a UDP socket. One that DialUDP has made is connected: it has one peer, hears nobody else,
// and is told of ICMP errors.
type UDP struct {
	stack   *Stack
	at      socket // the address perhaps unspecified
	dual    bool   // it is on 0.0.0.0 too
	peer    socket // of a connected one; else the port is 0 and the address ::
	talks   bool   // it is connected
	watcher Watcher
	closed  bool

	first, last *datagram // that wait to be received
	queued      int       // octets of memory they take
	receive     int       // the receive buffer: a bound of queued
	unsent      int       // octets of packets that wait for Output
	send        int       // the send buffer: a bound of unsent
	blocked     bool      // it is in udpTable.blocked
	dropped     uint64    // datagrams for which there was no room
	trouble     UDPError  // not yet taken; its Reason is NoSoftError when there is none

	tc, hopLimit uint8
}

// UDPError is what an ICMP message has said about a datagram of a connected socket (RFC 1122 section
// 4.1.3.3).
type UDPError struct {
	Soft tcp.SoftError
	// MTU is what the path carries, in octets, when the datagram was too big for it; else 0. What
	// is sent from now on goes in fragments that fit.
	MTU int
}

// udpTable has all UDP sockets. Two never have a local socket in common, so that one is found by
// its own; it is the connected one's business whom it hears.
type udpTable struct {
	n       int
	bound   map[socket]*UDP // a dual one stands there twice
	ports   map[uint16]families
	blocked []*UDP // that have been refused, and are told when there is room
	queued  int    // octets of memory of all receive queues
	free    spares
	paths   paths
	sent    sentLog
	most    int // of queued
}

func (t *udpTable) init(cfg *Config) {
	t.most = cfg.MaxUDPBuffers
	t.bound = make(map[socket]*UDP)
	t.ports = make(map[uint16]families)
}

// ListenUDP makes a socket that sends to and hears everybody. A local address that is unspecified
// means any, on :: of both families unless V6Only; port 0 means that the stack chooses. Errors:
// ErrInvalidAddr, ErrAddrInUse, ErrAddrNotAvailable, ErrNoPorts, ErrLimit, ErrMulticast.
func (s *Stack) ListenUDP(local netip.AddrPort, opts UDPOptions) (*UDP, error) {
	if !local.Addr().IsValid() {
		return nil, ErrInvalidAddr
	}
	u := s.newUDP(&opts)
	u.at = socket{wire.AddrFrom(local.Addr()), local.Port()}
	u.dual = u.at.addr == any6 && !opts.V6Only
	return u, s.bind(u)
}

// DialUDP makes a connected socket. A local address that is unspecified is chosen by the route, a
// port of 0 at random (RFC 6056 section 3.3.1). Nothing is sent. Errors: as ListenUDP, and ErrNoRoute.
func (s *Stack) DialUDP(local, remote netip.AddrPort, opts UDPOptions) (*UDP, error) {
	flow := wire.Flow{Remote: wire.AddrFrom(remote.Addr())}
	if !remote.Addr().IsValid() || flow.Remote.IsUnspecified() {
		return nil, ErrInvalidAddr
	}
	if s.isForeign(local.Addr()) {
		return nil, ErrAddrNotAvailable
	}
	if s.isGroup(&flow.Remote) {
		return nil, ErrMulticast
	}
	n, _ := s.lookup(&flow.Remote)
	if n == nil {
		return nil, ErrNoRoute
	}
	if err := s.chooseLocal(n, local.Addr(), &flow); err != nil {
		return nil, err
	}
	u := s.newUDP(&opts)
	u.at, u.peer, u.talks = socket{flow.Local, local.Port()}, socket{flow.Remote, remote.Port()}, true
	return u, s.bind(u)
}

func (s *Stack) newUDP(opts *UDPOptions) *UDP {
	return &UDP{stack: s, watcher: opts.Watcher, receive: DefaultUDPBuffer, send: DefaultUDPBuffer}
}

// isGroup reports whether an address is that of many hosts.
func (s *Stack) isGroup(a *wire.Addr) bool { return a.IsMulticast() || s.isBroadcast(a) }

// bind gives u its place in the table, and a port if it has none.
func (s *Stack) bind(u *UDP) error {
	t := &s.udp
	switch {
	case s.isGroup(&u.at.addr):
		return ErrMulticast
	case !u.at.addr.IsUnspecified() && !s.isOwn(&u.at.addr):
		return ErrAddrNotAvailable
	case t.n >= s.cfg.MaxUDPSockets:
		return ErrLimit
	case u.at.port == 0:
		if !s.chooseUDPPort(u) {
			return ErrNoPorts
		}
	case t.conflicts(u):
		return ErrAddrInUse
	}
	t.n++
	t.bound[u.at] = u
	if u.dual {
		t.bound[socket{any4, u.at.port}] = u
	}
	t.countPort(u, 1)
	return nil
}

// conflicts reports whether a socket has an address in common with u.
func (t *udpTable) conflicts(u *UDP) bool {
	n := t.ports[u.at.port]
	switch {
	case u.dual:
		return n.four+n.six > 0
	case u.at.addr == any4:
		return n.four > 0
	case u.at.addr == any6:
		return n.six > 0
	case u.at.addr.Is4():
		return t.bound[u.at] != nil || t.bound[socket{any4, u.at.port}] != nil
	}
	return t.bound[u.at] != nil || t.bound[socket{any6, u.at.port}] != nil
}

func (t *udpTable) countPort(u *UDP, by int) {
	n := t.ports[u.at.port]
	if u.dual || u.at.addr.Is4() {
		n.four += by
	}
	if !u.at.addr.Is4() {
		n.six += by
	}
	if n == (families{}) {
		delete(t.ports, u.at.port)
		return
	}
	t.ports[u.at.port] = n
}

// chooseUDPPort chooses a port on which there is no other socket: RFC 6056 section 3.3.1, "Simple
// Port Randomization Algorithm", with a fresh random number for the first tries, so that where ports
// in a row are taken the one behind them is no likelier.
func (s *Stack) chooseUDPPort(u *UDP) bool {
	n := s.portRange()
	start := uint32(0)
	for i := range n + randomTries {
		if i <= randomTries {
			start = uint32(s.random.IntN(int(n)))
		} else {
			start++
		}
		if u.at.port = s.portAt(start); s.udp.ports[u.at.port] == (families{}) {
			return true
		}
	}
	u.at.port = 0
	return false
}

const randomTries = 32

// find returns the socket that hears what flow.Remote sends to flow.Local.
func (t *udpTable) find(flow *wire.Flow) *UDP {
	u := t.bound[socket{flow.Local, flow.LocalPort}]
	if u == nil {
		wild := any6
		if flow.Local.Is4() {
			wild = any4
		}
		u = t.bound[socket{wild, flow.LocalPort}]
	}
	if u != nil && u.talks && u.peer != (socket{flow.Remote, flow.RemotePort}) {
		return nil
	}
	return u
}

// Close ends the socket: its datagrams are gone, and its port is free.
func (u *UDP) Close() {
	if u.closed {
		return
	}
	u.closed = true
	t := &u.stack.udp
	for u.first != nil {
		t.release(u, u.pop())
	}
	t.n--
	delete(t.bound, u.at)
	if u.dual {
		delete(t.bound, socket{any4, u.at.port})
	}
	t.countPort(u, -1)
}

// Local returns the local socket. Its address is unspecified where any is meant.
func (u *UDP) Local() netip.AddrPort { return netip.AddrPortFrom(u.at.addr.Netip(), u.at.port) }

// Remote returns the remote socket of a connected one, else the zero AddrPort.
func (u *UDP) Remote() netip.AddrPort {
	if !u.talks {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(u.peer.addr.Netip(), u.peer.port)
}

// SetReceiveBuffer bounds the memory of datagrams that wait to be received; what arrives beyond
// is dropped, but one always has room. At least 2 KiB, at most 1 GiB. Each takes its data, rounded
// up, and some 100 octets.
func (u *UDP) SetReceiveBuffer(octets int) { u.receive = clampUDPBuffer(octets) }

// SetSendBuffer bounds the octets of packets that Send has queued and Output has not yet given; one
// always has room. At least 2 KiB, at most 1 GiB.
func (u *UDP) SetSendBuffer(octets int) { u.send = clampUDPBuffer(octets) }

func clampUDPBuffer(octets int) int { return min(max(octets, minUDPBuffer), maxUDPBuffer) }

// SetTrafficClass sets the octet with DSCP and ECN bits of what is sent from now on: RFC 1122
// section 4.1.4, "MUST be able to set the TTL and TOS values".
func (u *UDP) SetTrafficClass(tc uint8) { u.tc = tc }

// SetHopLimit sets the hop limit of what is sent from now on; 0 restores the stack's default.
func (u *UDP) SetHopLimit(hops uint8) { u.hopLimit = hops }

func (u *UDP) signal(sig tcp.Signal) {
	if u.watcher != nil && !u.closed {
		u.watcher.Signal(sig)
	}
}

// unblock tells those that have been refused that the queue is empty again.
func (t *udpTable) unblock() {
	if len(t.blocked) == 0 {
		return
	}
	list := t.blocked
	t.blocked = nil
	for _, u := range list {
		u.blocked = false
		u.signal(tcp.SignalWritable)
	}
}

// Send sends a datagram, to the peer of a connected socket or else to a destination; of 0.0.0.0 and ::
// the stack itself is one. Nothing waits here for an answer of any kind: that it was sent is all
// that is known. What is longer than the path carries goes in fragments.
//
// Errors: ErrTooLong, ErrMulticast, ErrNoDestination, ErrInvalidAddr for port 0 or an address of
// the other family, ErrNoRoute, ErrAddrNotAvailable, ErrFull.
func (u *UDP) Send(now tcp.Time, to netip.AddrPort, p []byte) error {
	return u.SendVia(now, to, p, Via{TC: u.tc})
}

// SendVia is Send with what the datagram has otherwise than the others of the socket. Errors: as Send,
// and ErrAddrNotAvailable for a source that is none of the socket's.
func (u *UDP) SendVia(now tcp.Time, to netip.AddrPort, p []byte, via Via) error {
	s := u.stack
	flow := wire.Flow{Local: u.at.addr, LocalPort: u.at.port, Remote: u.peer.addr, RemotePort: u.peer.port}
	if !u.talks {
		if err := u.aim(to, &flow); err != nil {
			return err
		}
	}
	if most := wire.MaxUDPv4; len(p) > most && (flow.Remote.Is4() || len(p) > wire.MaxUDPv6) {
		return ErrTooLong
	}
	if s.isGroup(&flow.Remote) {
		return ErrMulticast
	}
	if !via.source(&flow) {
		return ErrAddrNotAvailable
	}
	n, _ := s.lookup(&flow.Remote)
	switch {
	case n == nil:
		s.stats.NoRoute++
		return ErrNoRoute
	case flow.Local.IsUnspecified():
		var ok bool
		if flow.Local, ok = s.source(n, &flow.Remote); !ok {
			return ErrAddrNotAvailable
		}
	case n.id != loopback && flow.Local.IsLoopback():
		return ErrInvalidAddr
	case !s.isOwn(&flow.Local): // its interface has gone
		return ErrNoRoute
	}
	return s.sendUDP(now, u, n, &flow, via.TC, p)
}

// Blocked reports whether Send has given ErrFull, and tcp.SignalWritable is still to come.
func (u *UDP) Blocked() bool { return u.blocked }

// aim sets the destination of flow.
func (u *UDP) aim(to netip.AddrPort, flow *wire.Flow) error {
	if !to.IsValid() {
		return ErrNoDestination
	}
	flow.Remote, flow.RemotePort = wire.AddrFrom(to.Addr()), to.Port()
	switch {
	case flow.RemotePort == 0:
		return ErrInvalidAddr
	case flow.Remote.Is4() == u.at.addr.Is4():
	case u.dual:
		flow.Local = any4
	case flow.Remote.Is4():
		return ErrNoRoute // as Linux, from a socket of IPv6 alone
	default:
		return ErrInvalidAddr
	}
	switch flow.Remote {
	case any4:
		flow.Remote = wire.Addr4([4]byte{127, 0, 0, 1})
	case any6:
		flow.Remote = wire.Addr{15: 1}
	}
	return nil
}

// sendUDP queues a datagram that leaves by n.
func (s *Stack) sendUDP(now tcp.Time, u *UDP, n *netif, flow *wire.Flow, tc uint8, p []byte) error {
	size := wire.UDPLen(flow.Local, len(p))
	q := s.queueOf(n)
	// Half of the queue is for answers and what is forwarded.
	if u.unsent > 0 && u.unsent+size > u.send || !q.empty() && len(q.buf)+size > s.cfg.MaxQueued/2 {
		if !u.blocked {
			u.blocked = true
			s.udp.blocked = append(s.udp.blocked, u)
		}
		return ErrFull
	}
	hops := u.hopLimit
	if hops == 0 {
		hops = s.cfg.HopLimit
	}
	mtu := s.udpMTU(now, n, &flow.Remote)
	if size > mtu {
		if cap(s.big) < size {
			s.big = make([]byte, size)
		}
		s.big = s.big[:size]
		wire.PutUDP(s.big, flow, tc, hops, p, wire.ChecksumNone)
		s.stats.DatagramsOut++
		s.udp.sent.note(flow, firstFragment(flow.Remote.Is4(), mtu))
		s.fragment(n, mtu, s.big)
		return nil
	}
	b := s.grow(n, size)
	if b == nil {
		return nil // lost, as by a network without room; Stats.QueueFull
	}
	sum := wire.ChecksumNone
	if n.cfg.ChecksumOffload {
		sum = wire.ChecksumPartial
	}
	wire.PutUDP(b, flow, tc, hops, p, sum)
	s.stats.DatagramsOut++
	s.udp.sent.note(flow, size)
	u.unsent += size
	q.addFrom(u, n.id, size, 0, sum)
	return nil
}

// udpMTU is what packets of UDP to dst may have.
func (s *Stack) udpMTU(now tcp.Time, n *netif, dst *wire.Addr) int {
	mtu := n.cfg.MTU
	for _, known := range [...]*paths{&s.paths, &s.udp.paths} {
		if len(known.known) == 0 || n.id == loopback {
			continue
		}
		if m, _ := known.mtu(now, dst); m != 0 {
			mtu = min(mtu, m)
		}
	}
	return mtu
}

// arriveUDP takes in a datagram for this host.
func (s *Stack) arriveUDP(now tcp.Time, ip *wire.IP, sum wire.Checksum) {
	data, f := wire.ParseUDP(ip, sum)
	if f != wire.FaultNone {
		// RFC 1122 section 4.1.3.4: "UDP MUST silently discard the datagram".
		s.fault(now, ip.Packet, f)
		return
	}
	flow, f := ip.Flow()
	if f != wire.FaultNone {
		s.fault(now, ip.Packet, f)
		return
	}
	s.stats.DatagramsIn++
	u := s.udp.find(&flow)
	if u == nil {
		// RFC 1122 section 4.1.3.1: "UDP SHOULD send an ICMP Port Unreachable message".
		s.stats.DatagramsUnheard++
		s.tellUnreachable(now, ip, wire.ICMPv4PortUnreachable, wire.ICMPv6PortUnreachable)
		return
	}
	if !s.udp.keep(u, &flow, ip.TC, data) {
		s.stats.DatagramsDropped++
		u.dropped++
		return
	}
	u.signal(tcp.SignalReadable)
}

// arriveUDPError takes in an ICMP error about a datagram, and reports whether it was of use.
func (s *Stack) arriveUDPError(now tcp.Time, ip *wire.IP, m *wire.ICMPMessage, q *wire.Quote) bool {
	if q.Proto != wire.ProtoUDP {
		return false
	}
	u := s.udp.find(&q.Flow)
	if u == nil {
		return false
	}
	var e UDPError
	if m.Kind == wire.ICMPPacketTooBig {
		if e.MTU = s.datagramTooBig(now, q, int(min(m.MTU, wire.MaxPacket))); e.MTU == 0 {
			return false
		}
		e.Soft = tcp.SoftError{Type: m.Type, Code: m.Code, Reason: tcp.HostUnreachable}
	} else {
		e.Soft = softError(ip.V6, m)
	}
	if u.talks {
		u.trouble = e
		u.signal(tcp.SignalReadable | tcp.SignalWritable)
	}
	// Which of the destinations of another socket it was about, no call can say: as with Linux the
	// user of that socket is told nothing.
	return u.talks || e.MTU != 0
}

// datagramTooBig learns what a path carries, and returns it, 0 when the message is not believed: it
// must be about a packet that has been sent lately, of just that length. What is learned is UDP's
// alone, for TCP has better proof of what was in flight (RFC 5927 section 7).
func (s *Stack) datagramTooBig(now tcp.Time, q *wire.Quote, mtu int) int {
	v6 := !q.Flow.Remote.Is4()
	if v6 && mtu < leastMTU6 { // "it must discard it", RFC 8201 section 4
		return 0
	}
	if mtu == 0 {
		mtu = plateau(q.Len)
	}
	if mtu >= q.Len || !s.udp.sent.has(&q.Flow, q.Len) {
		return 0
	}
	if !v6 {
		mtu = max(mtu, leastMTU4)
	}
	s.udp.paths.learn(now, q.Flow.Remote, mtu, s.cfg.MaxPaths)
	return mtu
}

// TakeError returns what ICMP has said of a connected socket since it was last asked, the last of
// it; false: nothing.
func (u *UDP) TakeError() (UDPError, bool) {
	e := u.trouble
	u.trouble = UDPError{}
	return e, e.Soft.Reason != tcp.NoSoftError
}

// sentLog knows the last packets that may have been too big for a path.
type sentLog struct {
	ring []sentPacket
	next int
}

type sentPacket struct {
	flow wire.Flow
	size uint16
}

// logged is how many packets of UDP are remembered.
const logged = 512

// note remembers a packet of size octets, if there are paths for which it is too big.
func (l *sentLog) note(flow *wire.Flow, size int) {
	least := leastMTU6
	if flow.Remote.Is4() {
		least = leastMTU4
	}
	switch {
	case size <= least || flow.Remote.IsLoopback():
	case len(l.ring) < logged:
		l.ring = append(l.ring, sentPacket{*flow, uint16(size)})
	default:
		l.ring[l.next] = sentPacket{*flow, uint16(size)}
		l.next = (l.next + 1) % logged
	}
}

func (l *sentLog) has(flow *wire.Flow, size int) bool {
	for i := range l.ring {
		if p := &l.ring[i]; int(p.size) == size && p.flow == *flow {
			return true
		}
	}
	return false
}
