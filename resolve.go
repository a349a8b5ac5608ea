package vitro

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// resolve turns what Dial and Listen are given into sockets, at least one; what Dial is given without
// a host has no address (see self). Its errors are those of package net for the same fault.
func (s *Stack) resolve(ctx context.Context, network, address string, listen bool) ([]netip.AddrPort, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if address == "" && !listen {
		return nil, errMissingAddress
	}
	name, service := "", "0"
	if address != "" {
		var err error
		if name, service, err = net.SplitHostPort(address); err != nil {
			return nil, err
		}
	}
	// Names of services come from tables in package net and from /etc/services: nothing is
	// asked of a network.
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	ips, err := s.resolveHost(ctx, network, name, listen)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		if ip = ip.Unmap(); !ip.IsValid() || ip.Is4() && network != "tcp6" || ip.Is6() && network != "tcp4" {
			addrs = append(addrs, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	if len(addrs) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: name}
	}
	return addrs, nil
}

// errMissingAddress is what package net says, and of its kind: no net.Error.
var errMissingAddress = errors.New("missing address")

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// resolveHost returns the addresses of a host's name, in the order to try them.
func (s *Stack) resolveHost(ctx context.Context, network, name string, listen bool) ([]netip.Addr, error) {
	switch {
	case name == "" && !listen:
		return []netip.Addr{{}}, nil
	case name == "localhost": // RFC 6761 section 6.3
		return []netip.Addr{loopback4, loopback6}, nil
	case name == "" && network == "tcp4":
		return []netip.Addr{netip.IPv4Unspecified()}, nil
	case name == "":
		return []netip.Addr{netip.IPv6Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		switch {
		case listen && network == "tcp" && ip == netip.IPv4Unspecified():
			return []netip.Addr{netip.IPv6Unspecified()}, nil // package net means every address by it
		case ip.Zone() != "":
			// A zone names an interface; here a link is chosen by its addresses and routes.
			return nil, &net.AddrError{Err: "address with a zone", Addr: name}
		}
		return []netip.Addr{ip}, nil
	}
	if s.resolver == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	family := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	return s.resolver.LookupNetIP(ctx, family, name)
}

// self returns the socket to dial for one that has no address or an unspecified one, which means this
// host, as with net.Dial on Linux. six says of which family it is where there is no address.
func self(remote netip.AddrPort, six bool) netip.AddrPort {
	ip := remote.Addr()
	switch {
	case ip == netip.IPv6Unspecified(), !ip.IsValid() && six:
		return netip.AddrPortFrom(loopback6, remote.Port())
	case ip == netip.IPv4Unspecified(), !ip.IsValid():
		return netip.AddrPortFrom(loopback4, remote.Port())
	}
	return remote
}
