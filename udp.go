package vitro

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/stack"
)

// UDPConn is a UDP socket: a [net.PacketConn], and as Dial gives it a [net.Conn], with the methods
// of [net.UDPConn] but File and SyscallConn. Its errors are *net.OpError with the texts and causes that package net
// has for the same act on Linux; after Close it is net.ErrClosed. All methods may be called by
// several goroutines at a time. The methods of a zero UDPConn return syscall.EINVAL.
//
// A socket that Dial has made is connected: it hears its peer alone, and what ICMP says of what it
// has sent is the error of the next Read or Write, once: ECONNREFUSED where no socket has the port,
// EHOSTUNREACH, ENETUNREACH and others, EMSGSIZE for a datagram that a path has not carried. Linux
// keeps to itself what it holds for transient; RFC 1122 section 4.1.3.3 says "all". To one that
// ListenPacket has made nothing is told.
//
// A datagram has at most 65507 octets over IPv4 and 65527 over IPv6; what is longer than a path
// carries goes in fragments. There is no multicast and no broadcast: to listen on a group or to write
// to one gives an error that is errors.ErrUnsupported. What arrives and finds no room (SetReadBuffer)
// is lost, as on the way.
type UDPConn struct {
	u       *host.UDP
	network string
}

var (
	_ net.Conn       = (*UDPConn)(nil)
	_ net.PacketConn = (*UDPConn)(nil)
)

// ListenPacket makes a UDP socket that sends to and hears everybody. The network is "udp", "udp4" or
// "udp6". An address without a host, as in ":53", means every address of the Stack, of both families
// with "udp"; port 0 is a port that the Stack chooses.
//
// Errors are *net.OpError: EADDRINUSE where a socket on that port has the address, or one of them;
// EADDRNOTAVAIL for an address that is not the Stack's or when no port is left; ENOBUFS at
// Limits.MaxUDPSockets; errors.ErrUnsupported for a group; net.ErrClosed, and those of names as from
// Dial.
//
// The socket is a *UDPConn; ListenUDP is the same with that type.
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	return (&ListenConfig{Stack: s}).ListenPacket(context.Background(), network, address)
}

// ListenUDP is ListenPacket with the type of the socket.
func (s *Stack) ListenUDP(network, address string) (*UDPConn, error) {
	return (&ListenConfig{Stack: s}).ListenUDP(context.Background(), network, address)
}

// ListenPacket makes a UDP socket; see Stack.ListenPacket. Of lc only Stack counts. ctx is for the
// look-up of the host's name.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	c, err := lc.ListenUDP(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *UDPConn in a net.PacketConn
	}
	return c, nil
}

// ListenUDP is ListenPacket with the type of the socket.
func (lc *ListenConfig) ListenUDP(ctx context.Context, network, address string) (*UDPConn, error) {
	fail := func(addr net.Addr, err error) (*UDPConn, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
	}
	if lc == nil || !lc.Stack.ok() {
		return fail(nil, syscall.EINVAL)
	}
	if network == "tcp" || network == "tcp4" || network == "tcp6" {
		addrs, err := lc.Stack.resolve(ctx, network, address, true)
		if err != nil {
			return fail(nil, err)
		}
		return fail(net.TCPAddrFromAddrPort(addrs[0]), &net.AddrError{Err: "unexpected address type", Addr: address})
	}
	addrs, err := lc.Stack.resolveUDP(ctx, network, address, true)
	if err != nil {
		return fail(nil, err)
	}
	local := addrs[0] // net prefers IPv4 where a name has both
	for _, a := range addrs {
		if a.Addr().Is4() {
			local = a
			break
		}
	}
	u, err := lc.Stack.host.ListenUDP(local, host.UDPConfig{V6Only: network == "udp6"})
	if err != nil {
		return fail(net.UDPAddrFromAddrPort(local), cause("bind", err))
	}
	return &UDPConn{u, network}, nil
}

// UDPStatus is what there is to know of a UDP socket: its sockets, what waits in it, what it has lost.
type UDPStatus = stack.UDPStatus

// UDPSockets returns the status of every UDP socket, ordered by local and then remote socket.
func (s *Stack) UDPSockets() []UDPStatus {
	if !s.ok() {
		return nil
	}
	return s.host.UDPSockets()
}

// isUDP reports whether a network is one of UDP.
func isUDP(network string) bool { return strings.HasPrefix(network, "udp") }

// resolveUDP is resolve for UDP, whose services have names of their own.
func (s *Stack) resolveUDP(ctx context.Context, network, address string, listen bool) ([]netip.AddrPort, error) {
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if address != "" {
		name, service, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := net.DefaultResolver.LookupPort(ctx, network, service)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(name, strconv.Itoa(port))
	}
	return s.resolve(ctx, "tcp"+strings.TrimPrefix(network, "udp"), address, listen)
}

// DialUDP makes a UDP socket that is connected with an address: see [UDPConn]. Nothing is sent, and
// no error says that nobody is there. Stack.Dial and DialContext with the network "udp", "udp4" or
// "udp6" are the same. ctx is for the look-up of the host's name; where it has several addresses the
// first that a route leads to is taken.
//
// Errors are *net.OpError as from Dial and ListenPacket.
func (s *Stack) DialUDP(ctx context.Context, network, address string) (*UDPConn, error) {
	return (&Dialer{Stack: s}).DialUDP(ctx, network, address)
}

// DialUDP is Stack.DialUDP with the Timeout, Deadline and LocalAddr of d, a *net.UDPAddr here.
func (d *Dialer) DialUDP(ctx context.Context, network, address string) (*UDPConn, error) {
	if d == nil || !d.Stack.ok() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EINVAL}
	}
	if at := d.deadline(time.Now()); !at.IsZero() {
		sub, cancel := context.WithDeadline(ctx, at)
		defer cancel()
		ctx = sub
	}
	addrs, err := d.Stack.resolveUDP(ctx, network, address, false)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	local, err := d.localUDP()
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if addrs = sameFamily(addrs, local.Addr()); len(addrs) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "no suitable address found", Addr: d.LocalAddr.String()}}
	}
	var first error
	for _, remote := range addrs {
		err := ctx.Err()
		if err == nil {
			var u *host.UDP
			if u, err = d.Stack.host.DialUDP(local, self(remote, network == "udp6" || local.Addr().Is6()), host.UDPConfig{}); err == nil {
				return &UDPConn{u, network}, nil
			}
		}
		if first == nil {
			source := d.LocalAddr
			if a, ok := source.(*net.UDPAddr); ok && a == nil {
				source = nil
			}
			first = &net.OpError{Op: "dial", Net: network, Source: source, Addr: net.UDPAddrFromAddrPort(remote), Err: cause(d.callUDP(err), err)}
		}
	}
	return nil, first
}

// callUDP is call: an address of one's own choice is bound.
func (d *Dialer) callUDP(err error) string {
	if d.LocalAddr != nil && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE)) {
		return "bind"
	}
	return "connect"
}

// localUDP is local for a *net.UDPAddr.
func (d *Dialer) localUDP() (netip.AddrPort, error) {
	a, ok := d.LocalAddr.(*net.UDPAddr)
	switch {
	case d.LocalAddr == nil || ok && a == nil:
		return netip.AddrPort{}, nil
	case !ok:
		return netip.AddrPort{}, &net.AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()}
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	if ip = ip.Unmap(); ip.IsUnspecified() {
		ip = netip.Addr{}
	}
	return netip.AddrPortFrom(ip, uint16(a.Port)), nil
}

func (c *UDPConn) ok() bool { return c != nil && c.u != nil }

// v6 reports whether it is a socket of IPv6, on which addresses of IPv4 have their mapped form.
func (c *UDPConn) v6() bool { return !c.u.LocalAddr().Addr().Is4() }

// fail makes of the host's err what package net returns: call is the system call it would name.
func (c *UDPConn) fail(op, call string, to net.Addr, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: to, Err: cause(call, err)}
}

// LocalAddr returns the local socket, a *net.UDPAddr; its IP is unspecified where every address of
// the Stack is meant.
func (c *UDPConn) LocalAddr() net.Addr {
	if !c.ok() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.u.LocalAddr())
}

// RemoteAddr returns the peer of a connected socket, a *net.UDPAddr, else nil.
func (c *UDPConn) RemoteAddr() net.Addr {
	if !c.ok() || !c.u.RemoteAddr().IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.u.RemoteAddr())
}

// Read reads the next datagram into p, and waits until there is one; what has no room in p is lost.
// Errors are os.ErrDeadlineExceeded and what UDPConn says of ICMP.
func (c *UDPConn) Read(p []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if len(p) == 0 && !c.u.Closed() {
		return 0, nil // as package net, which leaves the datagram
	}
	d, err := c.u.ReadFrom(p)
	if err != nil {
		return 0, c.fail("read", "read", c.RemoteAddr(), err)
	}
	return d.N, nil
}

// Datagram is what ReadDatagram tells of a datagram: From and To are its source and destination, N
// is how many octets were copied, Len how many it has, TC has its DSCP and ECN bits.
type Datagram = stack.Datagram

// ReadDatagram is Read that tells all of the datagram: also to which of the Stack's addresses it was
// sent (RFC 1122 section 4.1.3.5), for which Linux has IP_PKTINFO.
func (c *UDPConn) ReadDatagram(p []byte) (Datagram, error) {
	if !c.ok() {
		return Datagram{}, syscall.EINVAL
	}
	return c.receive(p, "recvmsg")
}

func (c *UDPConn) receive(p []byte, call string) (Datagram, error) {
	d, err := c.u.ReadFrom(p)
	if err != nil {
		return d, c.fail("read", call, c.RemoteAddr(), err)
	}
	return d, nil
}

// source returns where a datagram is from as package net has it.
func (c *UDPConn) source(d *Datagram) netip.AddrPort {
	if c.v6() {
		return netip.AddrPortFrom(netip.AddrFrom16(d.From.Addr().As16()), d.From.Port())
	}
	return d.From
}

// ReadFrom is Read that also returns where the datagram is from, a *net.UDPAddr.
func (c *UDPConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := c.ReadFromUDP(p)
	if addr == nil {
		return n, nil, err // not a nil *net.UDPAddr in a net.Addr
	}
	return n, addr, err
}

// ReadFromUDP is ReadFrom with the type of the address.
func (c *UDPConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom without an allocation. On a socket of IPv6, as one of every
// address is, an IPv4 address has the form ::ffff:10.0.0.1, as with package net.
func (c *UDPConn) ReadFromUDPAddrPort(p []byte) (n int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, netip.AddrPort{}, syscall.EINVAL
	}
	d, err := c.receive(p, "recvfrom")
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return d.N, c.source(&d), nil
}

// msgTrunc is what ReadMsgUDP's flags have when p was too short: MSG_TRUNC of Linux.
const msgTrunc = 0x20

// ReadMsgUDP is ReadFromUDP that also tells, by the flag 0x20, whether the datagram had more octets
// than p. There is never anything for oob: see ReadDatagram.
func (c *UDPConn) ReadMsgUDP(p, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(p, oob)
	if err == nil {
		addr = net.UDPAddrFromAddrPort(from)
	}
	return n, oobn, flags, addr, err
}

// ReadMsgUDPAddrPort is ReadMsgUDP with another type of the address.
func (c *UDPConn) ReadMsgUDPAddrPort(p, _ []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, 0, 0, netip.AddrPort{}, syscall.EINVAL
	}
	d, err := c.receive(p, "recvmsg")
	if err != nil {
		return 0, 0, 0, netip.AddrPort{}, err
	}
	if d.N < d.Len {
		flags = msgTrunc
	}
	return d.N, 0, flags, c.source(&d), nil
}

// Write sends p as a datagram to the peer of a connected socket. That it was sent is all that no
// error means. It waits while earlier ones have not been given to a link (SetWriteBuffer). Errors are
// os.ErrDeadlineExceeded, EMSGSIZE, ENETUNREACH, EDESTADDRREQ without a peer, and what UDPConn says
// of ICMP; p is then not sent.
func (c *UDPConn) Write(p []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if err := c.u.WriteTo(p, netip.AddrPort{}); err != nil {
		return 0, c.fail("write", "write", c.RemoteAddr(), err)
	}
	return len(p), nil
}

// WriteTo sends p as a datagram to a *net.UDPAddr; see Write. On a connected socket it returns
// net.ErrWriteToConnected.
func (c *UDPConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	a, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.fail("write", "", addr, syscall.EINVAL)
	}
	return c.WriteToUDP(p, a)
}

// WriteToUDP is WriteTo with the type of the address.
func (c *UDPConn) WriteToUDP(p []byte, addr *net.UDPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	n, err := c.write(p, "sendto", addr)
	if err != nil {
		return 0, c.fail("write", "", opAddr(addr), err)
	}
	return n, nil
}

// opAddr is an address for an error: a nil one must not become a net.Addr.
func opAddr(a *net.UDPAddr) net.Addr {
	if a == nil {
		return nil
	}
	return a
}

func (c *UDPConn) write(p []byte, call string, addr *net.UDPAddr) (int, error) {
	switch {
	case c.u.RemoteAddr().IsValid():
		return 0, net.ErrWriteToConnected
	case addr == nil:
		return 0, errMissingAddress
	}
	to, err := c.destination(addr)
	if err != nil {
		return 0, err
	}
	if err := c.u.WriteTo(p, to); err != nil {
		return 0, cause(call, err)
	}
	return len(p), nil
}

// destination reads an address as package net does: without an IP it means this host.
func (c *UDPConn) destination(a *net.UDPAddr) (netip.AddrPort, error) {
	if a.Zone != "" {
		return netip.AddrPort{}, &net.AddrError{Err: "address with a zone", Addr: a.String()}
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	ip = ip.Unmap()
	switch v6 := c.v6(); {
	case !v6 && len(a.IP) == 0:
		ip = netip.IPv4Unspecified()
	case v6 && (len(a.IP) == 0 || ip == netip.IPv4Unspecified()):
		ip = netip.IPv6Unspecified()
	case !v6 && !ip.Is4():
		return netip.AddrPort{}, &net.AddrError{Err: "non-IPv4 address", Addr: a.IP.String()}
	case !ok:
		return netip.AddrPort{}, &net.AddrError{Err: "non-IPv6 address", Addr: a.IP.String()}
	}
	return netip.AddrPortFrom(ip, uint16(a.Port)), nil
}

// addrPort is a net.Addr for an error, as package net has it there.
type addrPort struct{ netip.AddrPort }

// Network returns "udp".
func (addrPort) Network() string { return "udp" }

// WriteToUDPAddrPort is WriteTo without an allocation.
func (c *UDPConn) WriteToUDPAddrPort(p []byte, addr netip.AddrPort) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if err := c.writeAddrPort(p, "sendto", addr); err != nil {
		return 0, c.fail("write", "", addrPort{addr}, err)
	}
	return len(p), nil
}

func (c *UDPConn) writeAddrPort(p []byte, call string, addr netip.AddrPort) error {
	ip := addr.Addr().Unmap()
	switch {
	case c.u.RemoteAddr().IsValid():
		return net.ErrWriteToConnected
	case !addr.IsValid():
		return errMissingAddress
	case ip.Zone() != "":
		return &net.AddrError{Err: "address with a zone", Addr: addr.String()}
	case !c.v6() && !ip.Is4():
		return &net.AddrError{Err: "non-IPv4 address", Addr: ip.String()}
	}
	if err := c.u.WriteTo(p, netip.AddrPortFrom(ip, addr.Port())); err != nil {
		return cause(call, err)
	}
	return nil
}

// WriteMsgUDP is WriteToUDP, and on a connected socket, with a nil address, Write. Control messages
// are refused: oob that is not empty gives errors.ErrUnsupported.
func (c *UDPConn) WriteMsgUDP(p, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	switch {
	case len(oob) > 0:
		err = errors.ErrUnsupported
	case addr == nil && c.u.RemoteAddr().IsValid():
		n, err = c.writeMsg(p)
	default:
		n, err = c.write(p, "sendmsg", addr)
	}
	if err != nil {
		return 0, 0, c.fail("write", "", opAddr(addr), err)
	}
	return n, 0, nil
}

// WriteMsgUDPAddrPort is WriteMsgUDP with another type of the address.
func (c *UDPConn) WriteMsgUDPAddrPort(p, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	switch {
	case len(oob) > 0:
		err = errors.ErrUnsupported
	case !addr.IsValid() && c.u.RemoteAddr().IsValid():
		_, err = c.writeMsg(p)
	default:
		err = c.writeAddrPort(p, "sendmsg", addr)
	}
	if err != nil {
		return 0, 0, c.fail("write", "", addrPort{addr}, err)
	}
	return len(p), 0, nil
}

func (c *UDPConn) writeMsg(p []byte) (int, error) {
	if err := c.u.WriteTo(p, netip.AddrPort{}); err != nil {
		return 0, cause("sendmsg", err)
	}
	return len(p), nil
}

// Close ends the use of the socket: calls that wait return net.ErrClosed, and what has not been read
// is gone.
func (c *UDPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := c.u.Close(); err != nil {
		return c.fail("close", "close", c.RemoteAddr(), err)
	}
	return nil
}

// SetDeadline sets both deadlines. See [net.Conn].
func (c *UDPConn) SetDeadline(t time.Time) error {
	return c.set(func(u *host.UDP) error { return u.SetDeadline(t) })
}

// SetReadDeadline sets when reading gives up, with an error that is os.ErrDeadlineExceeded. It holds
// for a call that waits now too; the zero Time means never.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	return c.set(func(u *host.UDP) error { return u.SetReadDeadline(t) })
}

// SetWriteDeadline is SetReadDeadline for writing.
func (c *UDPConn) SetWriteDeadline(t time.Time) error {
	return c.set(func(u *host.UDP) error { return u.SetWriteDeadline(t) })
}

// SetReadBuffer bounds the memory, in octets, of datagrams that have arrived and wait to be read; each
// takes 256, 2048, 16384 or 65536 octets and 96 more. What has no room is dropped, but one always
// has. Default 256 KiB; at least 2 KiB, at most 1 GiB: what is beyond is held to that. See also
// Limits.MaxUDPBuffers.
func (c *UDPConn) SetReadBuffer(octets int) error {
	return c.set(func(u *host.UDP) error { return u.SetReadBuffer(octets) })
}

// SetWriteBuffer bounds the octets of packets that have been written and not yet been given to a
// link; beyond, Write waits. Default 256 KiB; at least 2 KiB, at most 1 GiB: what is beyond is held to
// that. See also Limits.MaxQueued, of which all sockets together have half.
func (c *UDPConn) SetWriteBuffer(octets int) error {
	return c.set(func(u *host.UDP) error { return u.SetWriteBuffer(octets) })
}

// SetTrafficClass sets the octet that holds DSCP and ECN bits, IPv4's type of service and IPv6's
// traffic class, of what is sent from now on (RFC 1122 section 4.1.4).
func (c *UDPConn) SetTrafficClass(tc uint8) error {
	return c.set(func(u *host.UDP) error { return u.SetTrafficClass(tc) })
}

// SetHopLimit sets the hop limit, IPv4's time to live, of what is sent from now on; 0 restores the
// Config's value (RFC 1122 section 4.1.4).
func (c *UDPConn) SetHopLimit(hops uint8) error {
	return c.set(func(u *host.UDP) error { return u.SetHopLimit(hops) })
}

func (c *UDPConn) set(do func(*host.UDP) error) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if err := do(c.u); err != nil {
		return &net.OpError{Op: "set", Net: c.network, Addr: c.LocalAddr(), Err: cause("setsockopt", err)}
	}
	return nil
}
