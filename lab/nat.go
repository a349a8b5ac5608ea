package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// NAT is a box that gives the hosts behind it one address. For each of their sockets it has a port of
// its own, the same to whomever they talk (RFC 4787 section 4.1), and lets in what comes from those
// to whom they have sent. It has no other filter, and forgets nothing by itself unless told to, or
// for want of ports. It passes no fragments, and hosts behind it do not reach each other by its address.
type NAT struct {
	net  *Net
	node *node
}

// nat is what a NAT knows.
type nat struct {
	node    *node
	inside  map[*node]bool
	timeout time.Duration
	picky   bool // it knows TCP connections from their SYN on, or not at all
	next    uint16
	outward map[socket]*mapping
	inward  map[socket]*mapping // by protocol and the NAT's port
	inUse   map[kind]int        // of inward
}

type socket struct {
	proto uint8
	at    netip.AddrPort
}

type mapping struct {
	inside  socket
	outside socket
	peers   map[netip.AddrPort]bool
	used    tcp.Time
}

const (
	firstNATPort = 20000
	allNATPorts  = 1<<16 - firstNATPort
)

// NAT makes a NAT with hosts behind it, which reach all others by it alone; those do not reach them,
// but answer. Each is joined with it by a link like [Net.Default], or as [Net.Link] says.
func (n *Net) NAT(name string, behind ...string) *NAT {
	n.tb.Helper()
	x := n.add(name)
	n.lock()
	defer n.mu.Unlock()
	x.nat = &nat{node: x, inside: map[*node]bool{}, next: firstNATPort}
	x.nat.forget()
	for _, b := range behind {
		h := n.named(b)
		x.nat.inside[h] = true
		if _, ok := n.links[[2]*node{x, h}]; !ok && n.links[[2]*node{h, x}] == nil {
			n.links[[2]*node{x, h}] = nil
		}
	}
	n.rejoined()
	return &NAT{n, x}
}

// Addr returns the IPv4 address that all behind it have to others.
func (t *NAT) Addr() netip.Addr { return t.node.addr4 }

// Addr6 returns the IPv6 address.
func (t *NAT) Addr6() netip.Addr { return t.node.addr6 }

// Forget empties the table, as a NAT that is restarted: what comes from outside is lost, without a
// word, until the host behind sends, and then it has another port. [NAT.DropUnknown] has that lost too.
func (t *NAT) Forget() {
	t.net.lock()
	defer t.net.mu.Unlock()
	t.node.nat.forget()
	t.net.record.note(t.node, "forgets all")
}

// Rebind gives each socket behind the NAT another port, from now on.
func (t *NAT) Rebind() {
	t.net.lock()
	defer t.net.mu.Unlock()
	b := t.node.nat
	list := b.mappings()
	clear(b.inward)
	clear(b.inUse)
	for _, m := range list {
		b.assign(t.net.now(), m)
	}
	t.net.record.note(t.node, "gives each socket another port")
}

// Timeout has the NAT forget a socket that has not been used for d, either way; 0, as at first: never.
func (t *NAT) Timeout(d time.Duration) {
	t.net.lock()
	defer t.net.mu.Unlock()
	t.node.nat.timeout = d
}

// DropUnknown has the NAT lose, without a word, a TCP segment from inside that belongs to no connection
// whose SYN it has passed on since it was made, or has forgotten all, as a firewall does that knows
// connections from their beginning on (Linux with nf_conntrack_tcp_loose=0). Then a connection that it
// has forgotten is dead at both ends, and neither is told. Without it, as at first, such a segment goes
// out from another port, and the host there answers with a reset.
func (t *NAT) DropUnknown(on bool) {
	t.net.lock()
	defer t.net.mu.Unlock()
	t.node.nat.picky = on
}

func (b *nat) forget() {
	b.outward, b.inward, b.inUse = map[socket]*mapping{}, map[socket]*mapping{}, map[kind]int{}
}

// mappings lists all, in the order of their ports.
func (b *nat) mappings() []*mapping {
	var list []*mapping
	for _, m := range b.inward {
		list = append(list, m)
	}
	slices.SortFunc(list, func(x, y *mapping) int { return int(x.outside.at.Port()) - int(y.outside.at.Port()) })
	return list
}

// assign gives a mapping the next port that is free. Where none is, another is forgotten.
func (b *nat) assign(now tcp.Time, m *mapping) {
	m.outside = socket{m.inside.proto, netip.AddrPortFrom(b.node.addr4, b.next)}
	if m.inside.at.Addr().Is6() {
		m.outside.at = netip.AddrPortFrom(b.node.addr6, b.next)
	}
	if b.inUse[m.outside.kind()] == allNATPorts {
		b.forgetOne(m.outside)
	}
	for {
		m.outside.at = netip.AddrPortFrom(m.outside.at.Addr(), b.next)
		if b.next++; b.next == 0 {
			b.next = firstNATPort
			b.forgetStale(now)
		}
		if b.inward[m.outside] == nil {
			break
		}
	}
	b.inward[m.outside] = m
	b.inUse[m.outside.kind()]++
}

// kind is a protocol and a family, which have ports of their own.
type kind struct {
	proto uint8
	v6    bool
}

func (s socket) kind() kind { return kind{s.proto, s.at.Addr().Is6()} }

// remove forgets a mapping.
func (b *nat) remove(m *mapping) {
	if b.inward[m.outside] == m {
		delete(b.inward, m.outside)
		b.inUse[m.outside.kind()]--
	}
	if b.outward[m.inside] == m {
		delete(b.outward, m.inside)
	}
}

// forgetStale makes room: nobody can tell that what is stale is gone.
func (b *nat) forgetStale(now tcp.Time) {
	for _, m := range b.inward {
		if b.stale(now, m) {
			b.remove(m)
		}
	}
}

// forgetOne forgets, of some whose ports have been given away for longest, the one that has not been used
// for longest. Its port is the next. All ports of that kind are in use.
func (b *nat) forgetOne(at socket) {
	const some = 64
	var idle *mapping
	port := b.next
	for range some {
		at.at = netip.AddrPortFrom(at.at.Addr(), port)
		if m := b.inward[at]; idle == nil || m.used < idle.used {
			idle = m
		}
		if port++; port == 0 {
			port = firstNATPort
		}
	}
	b.remove(idle)
	b.next = idle.outside.at.Port()
}

// stale reports whether a mapping has been forgotten.
func (b *nat) stale(now tcp.Time, m *mapping) bool {
	return b.timeout > 0 && now.Sub(m.used) >= b.timeout
}

// translate passes a packet on that has reached the NAT, or loses it.
func (b *nat) translate(now tcp.Time, p *Packet) {
	n := b.node.net
	bytes := slices.Clone(p.parcel.Bytes)
	var ip wire.IP
	if wire.ParseIP(bytes, &ip) != wire.FaultNone || ip.Fragment || ip.HopLimit <= 1 {
		n.lose(now, p, "a NAT does not pass it on")
		return
	}
	var ok bool
	switch {
	case ip.Proto == wire.ProtoICMP || ip.Proto == wire.ProtoICMPv6:
		inside := b.inside[p.from]
		ok = b.echo(now, &ip, inside) || inside && b.outwardError(now, &ip) || b.inwardError(now, &ip)
	case ip.Proto != wire.ProtoTCP && ip.Proto != wire.ProtoUDP || len(ip.Payload) < 8:
	case b.inside[p.from]:
		ok = b.goOut(now, &ip)
	default:
		ok = b.comeIn(now, &ip)
	}
	if !ok {
		n.lose(now, p, "the NAT knows no such connection")
		return
	}
	lowerHops(bytes)
	n.hand(now, b.node, bytes, false, p)
}

// known makes of a flow from a node what the NAT does, and reports whether it knows it.
func (b *nat) known(x *node, flow *wire.Flow, proto uint8) bool {
	now := b.node.net.now()
	if b.inside[x] {
		m := b.outward[socket{proto, flow.LocalAddrPort()}]
		if m == nil || b.stale(now, m) {
			return false
		}
		flow.Local, flow.LocalPort = wire.AddrFrom(m.outside.at.Addr()), m.outside.at.Port()
		return true
	}
	m := b.inward[socket{proto, flow.RemoteAddrPort()}]
	if m == nil || b.stale(now, m) {
		return false
	}
	flow.Remote, flow.RemotePort = wire.AddrFrom(m.inside.at.Addr()), m.inside.at.Port()
	return true
}

// goOut gives a packet from inside the NAT's address and port.
func (b *nat) goOut(now tcp.Time, ip *wire.IP) bool {
	from := socket{ip.Proto, netip.AddrPortFrom(ip.Src.Netip(), binary.BigEndian.Uint16(ip.Payload))}
	to := netip.AddrPortFrom(ip.Dst.Netip(), binary.BigEndian.Uint16(ip.Payload[2:]))
	if known := b.outward[from]; b.picky && ip.Proto == wire.ProtoTCP && !begins(ip) &&
		(known == nil || b.stale(now, known) || !known.peers[to]) {
		return false
	}
	m := b.outside(now, from)
	m.used, m.peers[to] = now, true
	rewrite(ip, true, m.outside.at)
	return true
}

// outside returns the mapping of a socket inside, which is made where there is none.
func (b *nat) outside(now tcp.Time, from socket) *mapping {
	m := b.outward[from]
	if m == nil || b.stale(now, m) {
		if m != nil {
			b.remove(m)
		}
		m = &mapping{inside: from, peers: map[netip.AddrPort]bool{}, used: now}
		b.assign(now, m)
		b.outward[from] = m
	}
	return m
}

// begins reports whether a segment asks for a connection.
func begins(ip *wire.IP) bool {
	return len(ip.Payload) >= wire.TCPHeaderLen && wire.TCP(ip.Payload).Flags()&(wire.SYN|wire.ACK) == wire.SYN
}

// comeIn gives a packet from outside the address of the host that it is for.
func (b *nat) comeIn(now tcp.Time, ip *wire.IP) bool {
	at := socket{ip.Proto, netip.AddrPortFrom(ip.Dst.Netip(), binary.BigEndian.Uint16(ip.Payload[2:]))}
	from := netip.AddrPortFrom(ip.Src.Netip(), binary.BigEndian.Uint16(ip.Payload))
	m := b.inward[at]
	if m == nil || b.stale(now, m) || !m.peers[from] {
		return false
	}
	m.used = now
	rewrite(ip, false, m.inside.at)
	return true
}

// inwardError passes on an ICMP error about what the NAT has sent, with the packet that it quotes as
// the host inside has sent it (RFC 5508 section 4.2).
func (b *nat) inwardError(now tcp.Time, ip *wire.IP) bool {
	inner, quoted := quotedBy(ip)
	if inner == nil {
		return false
	}
	head := inner.HeaderLen + nameAt(inner.Proto)
	m := b.inward[socket{inner.Proto, netip.AddrPortFrom(inner.Src.Netip(), binary.BigEndian.Uint16(inner.Packet[head:]))}]
	if m == nil || b.stale(now, m) || len(quoted) < head+2 {
		return false
	}
	binary.BigEndian.PutUint16(quoted[head:], m.inside.at.Port())
	requote(ip, quoted, true, m.inside.at.Addr())
	setAddr(ip.Packet, false, m.inside.at.Addr())
	sumICMP(ip.Packet, ip.HeaderLen)
	return true
}

// outwardError passes on an ICMP error from inside about what the NAT has passed in, as its own and with the
// packet that it quotes as it came from outside (RFC 5508 section 4.3).
func (b *nat) outwardError(now tcp.Time, ip *wire.IP) bool {
	inner, quoted := quotedBy(ip)
	if inner == nil || inner.Proto != wire.ProtoTCP && inner.Proto != wire.ProtoUDP {
		return false
	}
	at := inner.HeaderLen + 2 // the destination port
	m := b.outward[socket{inner.Proto, netip.AddrPortFrom(inner.Dst.Netip(), binary.BigEndian.Uint16(inner.Packet[at:]))}]
	if m == nil || b.stale(now, m) || len(quoted) < at+2 {
		return false
	}
	binary.BigEndian.PutUint16(quoted[at:], m.outside.at.Port())
	requote(ip, quoted, false, m.outside.at.Addr())
	setAddr(ip.Packet, true, m.outside.at.Addr())
	sumICMP(ip.Packet, ip.HeaderLen)
	return true
}

// quotedBy returns the packet that an ICMP error is about, as far as it is quoted, and where in the
// error that stands; nil: it is none.
func quotedBy(ip *wire.IP) (inner *wire.IP, quoted []byte) {
	var msg wire.ICMPMessage
	if wire.ParseICMP(ip, &msg) != wire.FaultNone || !msg.Kind.IsError() {
		return nil, nil
	}
	inner = new(wire.IP)
	if fault := wire.ParseIP(padded(msg.Body), inner); fault != wire.FaultNone || len(inner.Payload) < 8 {
		return nil, nil
	}
	return inner, msg.Body
}

// requote puts another address into the quoted packet of an error.
func requote(ip *wire.IP, quoted []byte, src bool, to netip.Addr) {
	setAddr(quoted, src, to)
	if !ip.V6 {
		wire.IPv4(quoted).UpdateChecksum()
	}
}

// padded returns a quoted packet with as many zeros as its header says that there were octets.
func padded(quoted []byte) []byte {
	n := 0
	switch {
	case wire.Version(quoted) == 4 && len(quoted) >= wire.IPv4HeaderLen:
		n = int(wire.IPv4(quoted).TotalLen())
	case wire.Version(quoted) == 6 && len(quoted) >= wire.IPv6HeaderLen:
		n = wire.IPv6HeaderLen + int(wire.IPv6(quoted).PayloadLen())
	}
	return append(slices.Clone(quoted), make([]byte, max(n-len(quoted), 0))...)
}

// rewrite puts another source or destination into a packet, and corrects the checksums by the
// difference (RFC 1624), so that what was damaged stays so.
func rewrite(ip *wire.IP, src bool, to netip.AddrPort) {
	old, port := ip.Src, ip.Payload[:2]
	if !src {
		old, port = ip.Dst, ip.Payload[2:4]
	}
	addr := wire.AddrFrom(to.Addr())
	var none wire.Addr
	before := wire.AddSum(wire.PseudoSum(&old, &none, 0, 0), wire.Sum(0, port))
	binary.BigEndian.PutUint16(port, to.Port())
	after := wire.AddSum(wire.PseudoSum(&addr, &none, 0, 0), wire.Sum(0, port))
	setAddr(ip.Packet, src, to.Addr())
	if !ip.V6 {
		wire.IPv4(ip.Packet).UpdateChecksum()
	}
	at := 16 // of TCP's checksum
	if ip.Proto == wire.ProtoUDP {
		at = 6
	}
	if len(ip.Payload) < at+2 {
		return
	}
	sum := binary.BigEndian.Uint16(ip.Payload[at:])
	if ip.Proto == wire.ProtoUDP && sum == 0 {
		return // none was computed
	}
	sum = ^wire.AddSum(wire.AddSum(^sum, ^before), after)
	if ip.Proto == wire.ProtoUDP && sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(ip.Payload[at:], sum)
}

// setAddr puts an address into a header.
func setAddr(b []byte, src bool, a netip.Addr) {
	at := 12
	if a.Is6() {
		at = 8
	}
	if !src {
		at += a.BitLen() / 8
	}
	copy(b[at:], a.AsSlice())
}

// lowerHops lowers the hop limit by one.
func lowerHops(b []byte) {
	if wire.Version(b) == 4 {
		h := wire.IPv4(b)
		h.SetTTL(h.TTL() - 1)
		h.UpdateChecksum()
		return
	}
	h := wire.IPv6(b)
	h.SetHopLimit(h.HopLimit() - 1)
}
