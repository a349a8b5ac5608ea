package wire

import "net/netip"

// Addr is an IP address without pointers, so that a million of them cost the
// collector nothing. An IPv4 address is held as ::ffff:a.b.c.d; the zero Addr is
// IPv6's ::, "unspecified".
type Addr [16]byte

var v4Prefix = [12]byte{10: 0xff, 11: 0xff}

// AddrFrom returns ip as an Addr. The zone, if any, is dropped: a zone names a link,
// and a link is chosen by routing. The zero netip.Addr gives the zero Addr.
func AddrFrom(ip netip.Addr) Addr {
	if !ip.IsValid() {
		return Addr{}
	}
	return Addr(ip.As16())
}

// Addr4 returns the IPv4 address of the four bytes.
func Addr4(b [4]byte) Addr {
	var a Addr
	copy(a[:], v4Prefix[:])
	copy(a[12:], b[:])
	return a
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return [12]byte(a[:12]) == v4Prefix }

// As4 returns the four bytes of an IPv4 address.
func (a Addr) As4() [4]byte { return [4]byte(a[12:]) }

// Netip returns a as package netip has it, IPv4 in its short form.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// IsUnspecified reports whether a is 0.0.0.0 or ::.
func (a Addr) IsUnspecified() bool {
	return a == Addr{} || a == Addr4([4]byte{})
}

// IsMulticast reports whether a is in 224.0.0.0/4 or ff00::/8.
func (a Addr) IsMulticast() bool {
	if a.Is4() {
		return a[12]&0xf0 == 0xe0
	}
	return a[0] == 0xff
}

// IsLoopback reports whether a is in 127.0.0.0/8 or is ::1.
func (a Addr) IsLoopback() bool {
	if a.Is4() {
		return a[12] == 127
	}
	return a == Addr{15: 1}
}

// String prints a as package netip does.
func (a Addr) String() string { return a.Netip().String() }

// Flow names one connection as one of its ends sees it: the pair of sockets of RFC
// 9293 section 3.4.1. It has no pointers and can be a map's key.
type Flow struct {
	Local, Remote         Addr
	LocalPort, RemotePort uint16
}

// Reverse returns the flow as the other end sees it.
func (f Flow) Reverse() Flow {
	return Flow{Local: f.Remote, Remote: f.Local, LocalPort: f.RemotePort, RemotePort: f.LocalPort}
}

// LocalAddrPort returns the local socket.
func (f Flow) LocalAddrPort() netip.AddrPort {
	return netip.AddrPortFrom(f.Local.Netip(), f.LocalPort)
}

// RemoteAddrPort returns the remote socket.
func (f Flow) RemoteAddrPort() netip.AddrPort {
	return netip.AddrPortFrom(f.Remote.Netip(), f.RemotePort)
}

// String prints "local > remote".
func (f Flow) String() string {
	return f.LocalAddrPort().String() + " > " + f.RemoteAddrPort().String()
}
