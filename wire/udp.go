package wire

// UDP, RFC 768, with the checksum of RFC 1122 section 4.1.3.4 and RFC 8200 section 8.1.

// The most data that a datagram may have, in octets. IPv6's length does not count its header, so
// that such a packet is longer than [MaxPacket], and never goes in one piece.
const (
	MaxUDPv4 = MaxPacket - IPv4HeaderLen - UDPHeaderLen
	MaxUDPv6 = MaxPacket - UDPHeaderLen
)

// ParseUDP reads the datagram in a whole UDP packet that [ParseIP] has described, verifies its
// checksum, and returns its data, a view. What is known of the checksum says sum: of what is
// ChecksumPartial, which has not left this process, or ChecksumVerified, nothing is computed.
//
// The length of the datagram is that of its own header: octets of the packet behind it are not
// data. A checksum of zero says that there is none, over IPv4; over IPv6 that is a fault.
func ParseUDP(ip *IP, sum Checksum) ([]byte, Fault) {
	b := ip.Payload
	if ip.Proto != ProtoUDP || ip.Fragment {
		return nil, FaultTransport
	}
	if len(b) < UDPHeaderLen {
		return nil, FaultUDPShort
	}
	h := UDP(b)
	n := int(h.Len())
	if n < UDPHeaderLen || n > len(b) { // "the minimum value of the length is eight", RFC 768
		return nil, FaultUDPLength
	}
	b = b[:n:n]
	switch {
	case sum == ChecksumPartial: // whatever is in the field
	case h.Checksum() == 0 && ip.V6:
		// RFC 8200 section 8.1: "IPv6 receivers must discard UDP packets containing a
		// zero checksum".
		return nil, FaultUDPNoChecksum
	case sum == ChecksumNone && h.Checksum() != 0:
		if Sum(PseudoSum(&ip.Src, &ip.Dst, ProtoUDP, n), b) != 0xffff {
			return nil, FaultUDPChecksum
		}
	}
	return b[UDPHeaderLen:], FaultNone
}

// UDPLen returns the length of the packet that [PutUDP] writes for so many octets of data from
// src.
func UDPLen(src Addr, data int) int {
	if src.Is4() {
		return IPv4HeaderLen + UDPHeaderLen + data
	}
	return IPv6HeaderLen + UDPHeaderLen + data
}

// PutUDP writes a whole IP packet with a datagram of flow f, whose Local end sends it, to the
// beginning of b, and returns the packet's length. It returns 0 when b is too short, and for more
// data than [MaxUDPv4] or [MaxUDPv6]. With [ChecksumPartial] the checksum is left for
// the link to finish. The IP version is that of f.Local; a hopLimit of 0 is sent as
// [DefaultHopLimit].
func PutUDP(b []byte, f *Flow, tc, hopLimit uint8, data []byte, sum Checksum) int {
	total, most := UDPLen(f.Local, len(data)), MaxUDPv6
	if f.Local.Is4() {
		most = MaxUDPv4
	}
	if total > len(b) || len(data) > most {
		return 0
	}
	b = b[:total]
	h := b[putIP(b, &f.Local, &f.Remote, ProtoUDP, tc, hopLimit):]
	be.PutUint16(h, f.LocalPort)
	be.PutUint16(h[2:], f.RemotePort)
	be.PutUint16(h[4:], uint16(len(h)))
	be.PutUint16(h[6:], 0)
	copy(h[UDPHeaderLen:], data)
	ps := PseudoSum(&f.Local, &f.Remote, ProtoUDP, len(h))
	if sum == ChecksumPartial {
		be.PutUint16(h[6:], ps)
	} else {
		be.PutUint16(h[6:], udpSum(Sum(ps, h)))
	}
	return total
}

// udpSum returns the checksum of a running sum: "If the computed checksum is zero, it is
// transmitted as all ones", RFC 768.
func udpSum(sum uint16) uint16 {
	if sum = ^sum; sum == 0 {
		return 0xffff
	}
	return sum
}
