package lab

import (
	"encoding/binary"
	"net/netip"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A NAT gives an echo request another identifier, which takes the place of a port, and lets in the
// replies (RFC 5508).

// nameAt is where a header has what tells the sockets of one host apart: the source port, or the
// identifier of an echo.
func nameAt(proto uint8) int {
	if proto == wire.ProtoICMP || proto == wire.ProtoICMPv6 {
		return 4
	}
	return 0
}

// echo passes on an echo request from inside, or a reply from outside, and reports whether it has.
func (b *nat) echo(now tcp.Time, ip *wire.IP, inside bool) bool {
	var msg wire.ICMPMessage
	if wire.ParseICMP(ip, &msg) != wire.FaultNone {
		return false
	}
	src, dst := ip.Src.Netip(), ip.Dst.Netip()
	var to netip.AddrPort
	switch {
	case inside && msg.Kind == wire.ICMPEchoRequest:
		m := b.outside(now, socket{ip.Proto, netip.AddrPortFrom(src, msg.ID)})
		m.used, m.peers[netip.AddrPortFrom(dst, 0)] = now, true
		to = m.outside.at
	case !inside && msg.Kind == wire.ICMPEchoReply:
		m := b.inward[socket{ip.Proto, netip.AddrPortFrom(dst, msg.ID)}]
		if m == nil || b.stale(now, m) || !m.peers[netip.AddrPortFrom(src, 0)] {
			return false
		}
		m.used = now
		to = m.inside.at
	default:
		return false
	}
	setAddr(ip.Packet, inside, to.Addr())
	binary.BigEndian.PutUint16(ip.Payload[nameAt(ip.Proto):], to.Port())
	sumICMP(ip.Packet, ip.HeaderLen)
	return true
}

// echoFlow names an echo request or reply as sockets with its identifier for their ports.
func echoFlow(ip *wire.IP) (flow wire.Flow, ok bool) {
	var msg wire.ICMPMessage
	if ip.Packet == nil || wire.ParseICMP(ip, &msg) != wire.FaultNone {
		return flow, false
	}
	flow = wire.Flow{Local: ip.Src, Remote: ip.Dst, LocalPort: msg.ID, RemotePort: msg.ID}
	return flow, msg.Kind == wire.ICMPEchoRequest || msg.Kind == wire.ICMPEchoReply
}

// sumICMP computes the checksums of a packet with an ICMP message behind head octets anew.
func sumICMP(b []byte, head int) {
	h := wire.ICMP(b[head:])
	h.SetChecksum(0)
	sum := uint16(0)
	if wire.Version(b) == 6 {
		src, dst := wire.IPv6(b).Src(), wire.IPv6(b).Dst()
		sum = wire.PseudoSum(&src, &dst, wire.ProtoICMPv6, len(h))
	} else {
		wire.IPv4(b).UpdateChecksum()
	}
	h.SetChecksum(^wire.Sum(sum, h))
}
