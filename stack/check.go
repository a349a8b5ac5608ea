package stack

import (
	"fmt"
	"net/netip"

	"github.com/vitro-net/vitro/wire"
)

// InterfaceError says what of an interface or a route is refused, and why. It wraps the Error.
type InterfaceError struct {
	Err  Error
	Text string
}

// Error returns the text: "10.1.0.0/24: the address of the subnet itself, ...".
func (e *InterfaceError) Error() string { return e.Text }

// Unwrap returns the Error.
func (e *InterfaceError) Unwrap() error { return e.Err }

// leastMTU is what every link must carry: RFC 791 section 3.2. What paths are believed to have
// is more: leastMTU4.
const leastMTU = 68

// checkInterface refuses what cannot be.
func (s *Stack) checkInterface(cfg *InterfaceConfig) error {
	refuse := func(err Error, format string, args ...any) error {
		return &InterfaceError{err, fmt.Sprintf(format, args...)}
	}
	if cfg.MTU < leastMTU || cfg.MTU > wire.MaxPacket {
		return refuse(ErrInvalidMTU, "an MTU of %d octets: it is at least %d (RFC 791 section 3.2) and at most %d", cfg.MTU, leastMTU, wire.MaxPacket)
	}
	for i, p := range cfg.Prefixes {
		why := notAPrefix(p)
		if why == "" {
			why = notAHost(p)
		}
		if why != "" {
			return refuse(ErrInvalidAddr, "%v: %s", p, why)
		}
		if p.Addr().Is6() && cfg.MTU < leastMTU6 {
			return refuse(ErrInvalidMTU, "%v on a link with an MTU of %d octets: IPv6 needs %d (RFC 8200 section 5)", p, cfg.MTU, leastMTU6)
		}
		if _, own := s.own[wire.AddrFrom(p.Addr())]; own {
			return refuse(ErrAddrInUse, "%v: another link has that address", p)
		}
		for _, q := range cfg.Prefixes[:i] {
			if q.Addr() == p.Addr() {
				return refuse(ErrAddrInUse, "%v: the address is given twice", p)
			}
		}
	}
	return nil
}

// notAPrefix says why p is no prefix of addresses, "" if it is one.
func notAPrefix(p netip.Prefix) string {
	switch a := p.Addr(); {
	case !p.IsValid():
		return "an address and the length of its prefix are needed, as 10.1.0.1/24"
	case a.Is4In6():
		return "an IPv4 address within IPv6 is to be given as IPv4"
	case a.Zone() != "":
		return "an address with a zone"
	}
	return ""
}

// notAHost says why the address of a prefix cannot be a host's own on a link, "" if it can.
func notAHost(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return "an address that means no host"
	case a.IsLoopback():
		return "a loopback address, which the stack has without a link"
	case a.IsMulticast():
		return "the address of a group, not of a host"
	case a.Is4() && a.As4()[0] >= 240:
		return "an address of the reserved class E"
	case a.Is4() && p.Bits() < 31 && p.Masked().Addr() == a:
		return fmt.Sprintf("the address of the subnet itself; that of a host in it is needed, as %v", netip.PrefixFrom(a.Next(), p.Bits()))
	case a.Is4() && p.Bits() < 31 && isBroadcast(p, a):
		return "the broadcast address of its subnet, not a host's"
	}
	return ""
}

// isBroadcast reports whether a is the directed broadcast address of an IPv4 subnet, RFC
// 1122 section 3.2.1.3 (d). Subnets of 31 bits have none (RFC 3021).
func isBroadcast(p netip.Prefix, a netip.Addr) bool {
	if !p.Contains(a) || p.Bits() >= 31 {
		return false
	}
	v := a.As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	return (uint32(v[0])<<24|uint32(v[1])<<16|uint32(v[2])<<8|uint32(v[3]))&host == host
}
