package tun

import (
	"encoding/binary"

	"github.com/vitro-net/vitro/wire"
)

// The header before each packet is struct virtio_net_hdr, Virtual I/O Device (VIRTIO)
// Version 1.2 section 5.1.6, in the machine's own byte order as the legacy interface has
// it.
const (
	vnetLen = 10

	vnetNeedsCsum = 1 // flags: the checksum from csum_start on is to be finished
	vnetDataValid = 2 // flags: the checksum has been verified

	vnetGSONone  = 0
	vnetGSOTCPv4 = 1
	vnetGSOTCPv6 = 4
	vnetGSOECN   = 0x80 // a bit: the segment has CWR set
)

type vnetHdr struct {
	flags      uint8
	gsoType    uint8
	hdrLen     uint16 // length of the headers, a hint
	gsoSize    uint16 // text in each segment
	csumStart  uint16 // where the summed octets begin
	csumOffset uint16 // where the sum stands, from csumStart
}

var ne = binary.NativeEndian

func (h *vnetHdr) decode(b []byte) {
	_ = b[vnetLen-1]
	*h = vnetHdr{b[0], b[1], ne.Uint16(b[2:]), ne.Uint16(b[4:]), ne.Uint16(b[6:]), ne.Uint16(b[8:])}
}

func (h *vnetHdr) encode(b []byte) {
	_ = b[vnetLen-1]
	b[0], b[1] = h.flags, h.gsoType
	ne.PutUint16(b[2:], h.hdrLen)
	ne.PutUint16(b[4:], h.gsoSize)
	ne.PutUint16(b[6:], h.csumStart)
	ne.PutUint16(b[8:], h.csumOffset)
}

// checksumOffset returns where a transport header has its checksum.
func checksumOffset(proto uint8) (uint16, bool) {
	switch proto {
	case wire.ProtoTCP:
		return 16, true
	case wire.ProtoUDP:
		return 6, true
	case wire.ProtoICMPv6:
		return 2, true
	}
	return 0, false
}

// accept sets p.Sum and p.GSO from the header that came with the packet, and reports
// whether the two fit each other. Nothing in the header is believed: a sum or a cut
// outside the packet, a super-segment that is no whole TCP segment of the version stated,
// all drop the packet.
func (h *vnetHdr) accept(p *wire.Packet) bool {
	b := p.Bytes()
	p.GSO, p.Sum = 0, wire.ChecksumNone
	if len(b) == 0 {
		return false
	}
	kind := h.gsoType &^ vnetGSOECN
	if h.flags&vnetNeedsCsum == 0 {
		if h.flags&vnetDataValid != 0 {
			p.Sum = wire.ChecksumVerified
		}
		// Segments cut from a super-segment need sums, so the one needs the other.
		return kind == vnetGSONone
	}
	start, field := int(h.csumStart), int(h.csumStart)+int(h.csumOffset)
	if field+2 > len(b) {
		return false
	}
	var ip wire.IP
	offset, sums := uint16(0), false
	if wire.ParseIP(b, &ip) == wire.FaultNone && !ip.Fragment && len(ip.Packet) == len(b) {
		offset, sums = checksumOffset(ip.Proto)
	}
	outer := sums && start == ip.HeaderLen && h.csumOffset == offset
	if kind == vnetGSONone {
		if outer {
			p.Sum = wire.ChecksumPartial
		} else {
			// A sum further in (a tunnel's passenger), which nobody up here would finish.
			finishSum(b, start, field)
		}
		return true
	}
	return outer && h.acceptGSO(p, &ip)
}

// acceptGSO does the part of accept that is about super-segments.
func (h *vnetHdr) acceptGSO(p *wire.Packet, ip *wire.IP) bool {
	want := uint8(vnetGSOTCPv4)
	if ip.V6 {
		want = vnetGSOTCPv6
	}
	if h.gsoType&^vnetGSOECN != want || ip.Proto != wire.ProtoTCP || h.gsoSize == 0 ||
		int(h.hdrLen) > len(ip.Packet) || len(ip.Payload) < wire.TCPHeaderLen {
		return false
	}
	off := wire.TCP(ip.Payload).DataOffset()
	if off < wire.TCPHeaderLen || off > len(ip.Payload) {
		return false
	}
	p.Sum = wire.ChecksumPartial
	if len(ip.Payload)-off > int(h.gsoSize) { // else there is nothing to cut
		p.GSO = h.gsoSize
	}
	return true
}

// describe sets h for a packet that is to be sent, and reports whether the kernel can
// carry it. For a super-segment it sees to it that the checksum field holds the sum of the
// pseudo-header, as the kernel wants it.
func (h *vnetHdr) describe(p *wire.Packet) bool {
	*h = vnetHdr{}
	if p.GSO == 0 && p.Sum != wire.ChecksumPartial {
		return true
	}
	var ip wire.IP
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Fragment || len(ip.Packet) != len(p.Bytes()) {
		return false
	}
	offset, ok := checksumOffset(ip.Proto)
	if !ok || int(offset)+2 > len(ip.Payload) {
		return false
	}
	if p.GSO > 0 && !h.describeGSO(p, &ip) {
		return false
	}
	if p.Sum == wire.ChecksumPartial || h.gsoType != vnetGSONone {
		h.flags = vnetNeedsCsum
		h.csumStart, h.csumOffset = uint16(ip.HeaderLen), offset
	}
	return true
}

// describeGSO does the part of describe that is about super-segments.
func (h *vnetHdr) describeGSO(p *wire.Packet, ip *wire.IP) bool {
	if ip.Proto != wire.ProtoTCP || len(ip.Payload) < wire.TCPHeaderLen {
		return false
	}
	t := wire.TCP(ip.Payload)
	off := t.DataOffset()
	if off < wire.TCPHeaderLen || off > len(t) {
		return false
	}
	if len(t)-off <= int(p.GSO) {
		return true // one segment: the kernel refuses to call it a super-segment
	}
	h.gsoType = vnetGSOTCPv4
	if ip.V6 {
		h.gsoType = vnetGSOTCPv6
	}
	if t.Flags().Has(wire.CWR) {
		h.gsoType |= vnetGSOECN
	}
	h.hdrLen, h.gsoSize = uint16(ip.HeaderLen+off), p.GSO
	if p.Sum != wire.ChecksumPartial {
		t.SetChecksum(wire.PseudoSum(&ip.Src, &ip.Dst, wire.ProtoTCP, len(t)))
	}
	return true
}

// finishSum finishes the checksum of b[start:], whose field holds the sum of the
// pseudo-header.
func finishSum(b []byte, start, field int) {
	sum := ^wire.Sum(0, b[start:])
	if sum == 0 {
		sum = 0xffff // RFC 768: zero would say that there is none; the two are equal elsewhere
	}
	binary.BigEndian.PutUint16(b[field:], sum)
}

// hasPI reports whether what was read begins with struct tun_pi: two octets of flags and
// an EtherType, before the virtio-net header of vnet octets and the packet. No IP packet
// has version 0, and no virtio-net header without flags states a header length.
func hasPI(b []byte, vnet int) bool {
	if len(b) <= 4+vnet || b[0] != 0 || b[1] != 0 {
		return false
	}
	switch binary.BigEndian.Uint16(b[2:]) {
	case 0x0800:
		return wire.Version(b[4+vnet:]) == 4
	case 0x86dd:
		return wire.Version(b[4+vnet:]) == 6
	}
	return false
}
