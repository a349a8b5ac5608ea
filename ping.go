package vitro

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vitro-net/vitro/host"
)

// EchoError is an ICMP error in place of an echo: who says so, and what. It wraps the errno.
type EchoError = host.EchoError

// Ping sends an ICMP echo request (RFC 792, RFC 4443 section 4.1) to a host, an address or a name,
// and waits for the reply, until ctx ends: nothing else ends it where no answer comes. It returns the
// time between the two.
//
// Errors are *net.OpError. errors.As finds an *[EchoError] where a router or the host has said that
// the echo did not get there (time exceeded, unreachable), errors.Is the errno, EHOSTUNREACH,
// ENETUNREACH or others; ENETUNREACH where no route leads, ENOBUFS when 4096 wait,
// errors.ErrUnsupported for a group, what ends ctx, net.ErrClosed, and those of names as from Dial.
func (s *Stack) Ping(ctx context.Context, address string) (time.Duration, error) {
	return s.PingHops(ctx, address, 0)
}

// PingHops is Ping with a hop limit, IPv4's time to live: the router at which it runs out answers,
// and is EchoError.From. 0 is Config.HopLimit.
func (s *Stack) PingHops(ctx context.Context, address string, hops uint8) (time.Duration, error) {
	fail := func(addr net.Addr, err error) (time.Duration, error) {
		return 0, &net.OpError{Op: "ping", Net: "ip", Addr: addr, Err: err}
	}
	if !s.ok() {
		return fail(nil, syscall.EINVAL)
	}
	ips, err := s.resolveHost(ctx, "tcp", address, false)
	if err != nil {
		return fail(nil, err)
	}
	if len(ips) == 0 {
		return fail(nil, &net.AddrError{Err: "no suitable address found", Addr: address})
	}
	to := self(netip.AddrPortFrom(ips[0].Unmap(), 0), false).Addr()
	rtt, err := s.host.Ping(ctx, to, hops)
	if err != nil {
		return fail(&net.IPAddr{IP: net.IP(to.AsSlice())}, cause("sendto", err))
	}
	return rtt, nil
}
