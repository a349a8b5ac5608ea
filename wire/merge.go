package wire

import "bytes"

// mergeable are the only control bits that packets to be merged may carry. A SYN or RST
// is an event of its own, URG's pointer is relative to its own packet, and CWR is spoken
// once (RFC 3168 section 6.1.2). It is also one bit of RFC 9768's ACE, of which the others differ
// in no two packets that are merged.
const mergeable = ACK | PSH | FIN | ECE | AE

// Merge appends the text of next to held, when both are TCP packets that a receiver
// cannot tell from one: the reverse of [Splitter], as a link does for receive coalescing.
// Gso is the octets of text in each packet merged into held so far, 0 while held is one
// packet. It returns the longer held and its gso, or held as it was and false.
//
// Both packets have been verified before ([VerifyTCP]). The merged packet's TCP checksum
// field holds the pseudo-header's sum, so it is to be marked [ChecksumPartial], which a
// receiver in this process takes for verified; its IP header is complete. Held is not
// moved: there is no merging beyond its capacity.
//
// Two packets are one only if next follows held in sequence and nothing else differs that
// anybody could read: addresses, ports, traffic class with its ECN bits, hop limit, flow
// label, options (timestamps too), acknowledgment, window, flags. PSH or FIN ends the run.
// All packets of a run but the last have the same amount of text. Packets with IPv4
// options, IPv6 extension headers, TCP-AO, whose MAC is that of one segment, or without Don't
// Fragment, whose identification would be lost, are left alone.
func Merge(held []byte, gso uint16, next []byte) ([]byte, uint16, bool) {
	hIP, hOff := mergeHead(held)
	nIP, nOff := mergeHead(next)
	if hIP == 0 || hIP != nIP || hOff != nOff {
		return held, gso, false
	}
	h, n := TCP(held[hIP:]), TCP(next[nIP:])
	hText, nText := h[hOff:], n[nOff:]
	size := int(gso)
	if size == 0 {
		size = len(hText)
	}
	if len(hText) == 0 || len(hText) > MaxPacket || len(nText) == 0 || len(nText) > size || len(hText)%size != 0 {
		return held, gso, false
	}
	total := len(held) + len(nText)
	if total > MaxPacket || total > cap(held) {
		return held, gso, false
	}
	if !sameIP(held, next) || !sameTCP(h, n, hOff) || n.Seq() != h.Seq().Add(uint32(len(hText))) {
		return held, gso, false
	}

	last := n.Flags() & (PSH | FIN) // before the text moves: next may lie behind held in one buffer
	held = append(held, nText...)
	h = TCP(held[hIP:])
	h.SetFlags(h.Flags() | last)
	var src, dst Addr
	if hIP == IPv6HeaderLen {
		ip := IPv6(held)
		ip.SetPayloadLen(uint16(total - IPv6HeaderLen))
		src, dst = ip.Src(), ip.Dst()
	} else {
		ip := IPv4(held)
		ip.SetTotalLen(uint16(total))
		ip.UpdateChecksum()
		src, dst = ip.Src(), ip.Dst()
	}
	h.SetChecksum(PseudoSum(&src, &dst, ProtoTCP, len(h)))
	return held, uint16(size), true
}

// mergeHead returns the lengths of the IP and the TCP header of a packet that may be
// merged, and 0 for any other. The packet must fill b: no padding follows it.
func mergeHead(b []byte) (ipLen, tcpLen int) {
	switch Version(b) {
	case 4:
		h := IPv4(b)
		if len(b) < IPv4HeaderLen+TCPHeaderLen || h.HeaderLen() != IPv4HeaderLen ||
			int(h.TotalLen()) != len(b) || h.Protocol() != ProtoTCP || !h.DontFragment() ||
			h.MoreFragments() || h.FragmentOffset() != 0 || Sum(0, b[:IPv4HeaderLen]) != 0xffff {
			return 0, 0
		}
		ipLen = IPv4HeaderLen
	case 6:
		h := IPv6(b)
		if len(b) < IPv6HeaderLen+TCPHeaderLen || h.NextHeader() != ProtoTCP ||
			IPv6HeaderLen+int(h.PayloadLen()) != len(b) {
			return 0, 0
		}
		ipLen = IPv6HeaderLen
	default:
		return 0, 0
	}
	tcpLen = TCP(b[ipLen:]).DataOffset()
	if tcpLen < TCPHeaderLen || ipLen+tcpLen > len(b) {
		return 0, 0
	}
	return ipLen, tcpLen
}

// sameIP compares the IP headers but for lengths, IPv4's identification (which has no
// meaning with Don't Fragment, RFC 6864 section 4.1) and checksum. The IPv4 flag that is
// reserved is compared too.
func sameIP(a, b []byte) bool {
	if Version(a) != Version(b) {
		return false
	}
	if Version(a) == 6 {
		return [4]byte(a[:4]) == [4]byte(b[:4]) && bytes.Equal(a[6:40], b[6:40])
	}
	return a[1] == b[1] && bytes.Equal(a[6:10], b[6:10]) && bytes.Equal(a[12:20], b[12:20])
}

// sameTCP compares the TCP headers but for the sequence number, the checksum, and PSH
// and FIN in the later one.
func sameTCP(h, n TCP, off int) bool {
	hf, nf := h.Flags(), n.Flags()
	return hf&^mergeable == 0 && hf&(PSH|FIN) == 0 && hf&ACK != 0 &&
		nf&^(PSH|FIN) == hf &&
		h[12] == n[12] && // the data offset and the reserved bits
		[4]byte(h[:4]) == [4]byte(n[:4]) && // ports
		[4]byte(h[8:12]) == [4]byte(n[8:12]) && // acknowledgment
		h.Wnd() == n.Wnd() && h.Up() == n.Up() &&
		bytes.Equal(h[TCPHeaderLen:off], n[TCPHeaderLen:off]) && !hasAO(h[TCPHeaderLen:off])
}
