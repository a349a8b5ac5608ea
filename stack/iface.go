package stack

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vitro-net/vitro/wire"
)

// InterfaceConfig describes one interface: a point-to-point link of layer 3, without
// gateways and without address resolution.
type InterfaceConfig struct {
	// MTU of the link, in octets: the largest IP packet it carries in one piece. 68 to
	// 65535, and at least 1280 when there is an IPv6 prefix. 0: 1500.
	// Where it varies from packet to packet it is the least: the MSS that goes out in SYNs is
	// made of it (RFC 9293 section 3.7.3, SHLD-6).
	MTU int
	// MaxSuper is the length of the longest super-segment (wire.Packet.GSO) that the link
	// takes, in octets with headers; 0: none.
	MaxSuper int
	// ChecksumOffload: the link takes packets whose checksum is wire.ChecksumPartial.
	ChecksumOffload bool
	// Prefixes are the stack's own addresses on this link, each with its subnet: 10.1.0.2/24.
	// The subnets are routes by themselves.
	Prefixes []netip.Prefix
	// Down keeps routes from leading to the interface until RaiseInterface is called. Its
	// addresses are the stack's own at once.
	Down bool
}

// loopback is the interface by which the stack reaches itself. Nobody else sees it, unless
// SetLoopback has made a link of it.
const loopback = 0

// netif is an interface.
type netif struct {
	id      int
	cfg     InterfaceConfig
	super   int // longest text of a super-segment, 0: none
	largest int // longest packet that leaves by it
}

// route leads to an interface.
type route struct {
	prefix prefix
	iface  int
	subnet bool // of an own address: what lies in it is on the link
}

// prefix is a netip.Prefix in the form of wire.Addr: IPv4 has 96 bits more.
type prefix struct {
	addr wire.Addr // all bits behind the prefix are 0
	bits int
}

func prefixFrom(p netip.Prefix) prefix {
	p = p.Masked()
	n := p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	return prefix{wire.AddrFrom(p.Addr()), n}
}

func (p *prefix) contains(a *wire.Addr) bool {
	whole := p.bits / 8
	if [16]byte(p.addr) != [16]byte(*a) && string(p.addr[:whole]) != string(a[:whole]) {
		return false
	}
	rest := p.bits % 8
	return rest == 0 || (p.addr[whole]^a[whole])>>(8-rest) == 0
}

// is4 reports whether the prefix is of IPv4 addresses.
func (p *prefix) is4() bool { return p.bits >= 96 && p.addr.Is4() }

// AddInterface adds an interface and returns its number, which Arrive and Batch use and
// which is not used again: of each that is gone 8 octets stay. Errors are InterfaceErrors: ErrInvalidMTU, ErrInvalidAddr for a prefix
// whose address cannot be one host's, ErrAddrInUse for an address the stack has already.
func (s *Stack) AddInterface(cfg InterfaceConfig) (id int, err error) {
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if err := s.checkInterface(&cfg); err != nil {
		return 0, err
	}
	cfg.MaxSuper = min(max(cfg.MaxSuper, 0), wire.MaxPacket)
	cfg.Prefixes = slices.Clone(cfg.Prefixes)
	return s.addInterface(cfg), nil
}

func (s *Stack) addInterface(cfg InterfaceConfig) int {
	n := &netif{id: len(s.ifaces), cfg: cfg}
	n.measure()
	s.ifaces = append(s.ifaces, n)
	for _, p := range cfg.Prefixes {
		s.own[wire.AddrFrom(p.Addr())] = n
		s.addRoute(route{prefixFrom(p), n.id, true})
		if p.Addr().Is4() && p.Bits() < 31 {
			s.broadcast = append(s.broadcast, broadcastOf(p))
		}
	}
	return n.id
}

// measure says how long what leaves by the interface may be.
func (n *netif) measure() {
	const headers = wire.IPv6HeaderLen + 60 // the longest in front of text
	n.largest, n.super = max(n.cfg.MTU, n.cfg.MaxSuper), 0
	if n.cfg.MaxSuper > n.cfg.MTU && n.cfg.MaxSuper > headers {
		n.super = n.cfg.MaxSuper - headers
	}
}

func broadcastOf(p netip.Prefix) wire.Addr {
	v := p.Masked().Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	for i := range v {
		v[i] |= byte(host >> (24 - 8*i))
	}
	return wire.Addr4(v)
}

// RemoveInterface takes an interface away, with its addresses and the routes that lead to
// it. Its connections stay (MUST-45): they send nothing until another interface leads to
// their peers, and end by their timeouts. Error: ErrNoInterface.
func (s *Stack) RemoveInterface(id int) error {
	n := s.iface(id)
	if n == nil || id == loopback {
		return ErrNoInterface
	}
	s.ifaces[id] = nil
	s.routes = slices.DeleteFunc(s.routes, func(r route) bool { return r.iface == id })
	for _, p := range n.cfg.Prefixes {
		delete(s.own, wire.AddrFrom(p.Addr()))
	}
	s.broadcast = s.broadcast[:0]
	for _, n := range s.ifaces {
		if n == nil {
			continue
		}
		for _, p := range n.cfg.Prefixes {
			if p.Addr().Is4() && p.Bits() < 31 {
				s.broadcast = append(s.broadcast, broadcastOf(p))
			}
		}
	}
	s.routing++
	return nil
}

// RaiseInterface makes an interface that was added Down one like any other. Error:
// ErrNoInterface.
func (s *Stack) RaiseInterface(id int) error {
	n := s.iface(id)
	if n == nil {
		return ErrNoInterface
	}
	n.cfg.Down = false
	s.routing++
	return nil
}

// AddRoute leads what is for prefix to an interface. The most specific prefix wins, and
// among equal ones the first. Errors: ErrNoInterface, and an InterfaceError, ErrInvalidAddr.
func (s *Stack) AddRoute(prefix netip.Prefix, iface int) error {
	if s.iface(iface) == nil || iface == loopback {
		return ErrNoInterface
	}
	if why := notAPrefix(prefix); why != "" {
		return &InterfaceError{ErrInvalidAddr, fmt.Sprintf("route %v: %s", prefix, why)}
	}
	s.addRoute(route{prefixFrom(prefix), iface, false})
	return nil
}

func (s *Stack) addRoute(r route) {
	i := 0
	for i < len(s.routes) && s.routes[i].prefix.bits >= r.prefix.bits {
		i++
	}
	s.routes = slices.Insert(s.routes, i, r)
	s.routing++
}

// iface returns the interface of a number, or nil.
func (s *Stack) iface(id int) *netif {
	if id < 0 || id >= len(s.ifaces) {
		return nil
	}
	return s.ifaces[id]
}

// lookup returns the interface that leads to a, the loopback for an own address, or nil;
// and whether a lies in a subnet of that interface.
func (s *Stack) lookup(a *wire.Addr) (n *netif, onLink bool) {
	if s.isOwn(a) {
		return s.ifaces[loopback], true
	}
	v4 := a.Is4()
	for i := range s.routes {
		r := &s.routes[i]
		if r.prefix.is4() != v4 || !r.prefix.contains(a) {
			continue
		}
		if n = s.ifaces[r.iface]; !n.cfg.Down {
			return n, r.subnet
		}
	}
	return nil, false
}

// between returns the interface by which local's packets reach remote, or nil. Loopback
// addresses are for the inside: RFC 1122 section 3.2.1.3 (g), "Addresses of this form MUST NOT
// appear outside a host", and RFC 4291 section 2.5.3.
func (s *Stack) between(local, remote *wire.Addr) *netif {
	n, _ := s.lookup(remote)
	if n != nil && n.id != loopback && local.IsLoopback() {
		return nil
	}
	return n
}

// isOwn reports whether a is one of the stack's addresses; all of 127.0.0.0/8 is.
func (s *Stack) isOwn(a *wire.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	_, own := s.own[*a]
	return own
}

// isBroadcast reports whether a is the limited broadcast or that of a subnet.
func (s *Stack) isBroadcast(a *wire.Addr) bool {
	return *a == wire.Addr4([4]byte{255, 255, 255, 255}) || slices.Contains(s.broadcast, *a)
}

// source chooses the address to send from towards dst (MUST-44), an interface for which
// lookup has been asked: one of the interface, if it has one of the family, else of another.
// Of several it is the one of dst's scope, then the one that has the longest prefix in
// common with dst (RFC 6724 section 5, rules 2 and 8), then the first.
func (s *Stack) source(n *netif, dst *wire.Addr) (wire.Addr, bool) {
	if n.id == loopback {
		return *dst, true
	}
	best, found := bestSource(n, dst)
	for _, other := range s.ifaces[1:] {
		if found {
			break
		}
		if other != nil && other != n {
			best, found = bestSource(other, dst)
		}
	}
	return best, found
}

func bestSource(n *netif, dst *wire.Addr) (best wire.Addr, found bool) {
	bestRank := -1
	for _, p := range n.cfg.Prefixes {
		a := wire.AddrFrom(p.Addr())
		if a.Is4() != dst.Is4() {
			continue
		}
		rank := commonBits(&a, dst)
		if isLinkLocal(&a) == isLinkLocal(dst) {
			rank += 256
		}
		if rank > bestRank {
			best, bestRank, found = a, rank, true
		}
	}
	return best, found
}

func commonBits(a, b *wire.Addr) int {
	for i := range a {
		if d := a[i] ^ b[i]; d != 0 {
			n := 8 * i
			for ; d&0x80 == 0; d <<= 1 {
				n++
			}
			return n
		}
	}
	return 128
}

// isLinkLocal reports whether a is in 169.254.0.0/16 or fe80::/10: such packets are not
// forwarded (RFC 3927 section 2.7, RFC 4291 section 2.5.6).
func isLinkLocal(a *wire.Addr) bool {
	if a.Is4() {
		return a[12] == 169 && a[13] == 254
	}
	return a[0] == 0xfe && a[1]&0xc0 == 0x80
}
