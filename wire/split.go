package wire

// Splitter cuts a super-segment, one IP and TCP packet with more text than a link takes,
// into packets that it takes: what a device does for TCP segmentation offload, in
// software. The zero Splitter has nothing to cut.
//
//	for n := sp.Next(buf); n > 0; n = sp.Next(buf) { send(buf[:n]) }
type Splitter struct {
	packet []byte // views of the packet given to Start; nil when nothing is left
	text   []byte // what is left
	head   int    // octets of IP and TCP header
	ip     int    // octets of IP header
	gso    int
	at     int // how many octets of text have gone
	count  int // how many packets have gone
}

// Start sets sp to cut b into packets of at most gso octets of text each; b must stay as
// it is until the last. A packet with less text comes out as one.
//
// It refuses, with FaultSplit or a fault of ParseIP and ParseTCP, what is not a whole
// TCP packet or has a SYN, RST or TCP-AO beside text for more than one. Whether the text is what
// the sender sent it cannot know: a packet that arrived is verified before it is cut,
// since every piece gets a checksum that fits.
func (sp *Splitter) Start(b []byte, gso uint16) Fault {
	*sp = Splitter{}
	var ip IP
	if f := ParseIP(b, &ip); f != FaultNone {
		return f
	}
	if ip.Proto != ProtoTCP || ip.Fragment || gso == 0 {
		return FaultSplit
	}
	if len(ip.Payload) < TCPHeaderLen {
		return FaultTCPShort
	}
	h := TCP(ip.Payload)
	off := h.DataOffset()
	if off < TCPHeaderLen || off > len(h) {
		return FaultTCPDataOffset
	}
	text := h[off:]
	if len(text) > int(gso) && (h.Flags()&(SYN|RST) != 0 || hasAO(h[TCPHeaderLen:off])) {
		return FaultSplit
	}
	*sp = Splitter{packet: ip.Packet, text: text, head: ip.HeaderLen + off, ip: ip.HeaderLen, gso: int(gso)}
	return FaultNone
}

// MaxLen returns the length of the longest packet that Next will write.
func (sp *Splitter) MaxLen() int { return sp.head + min(sp.gso, len(sp.text)) }

// Left returns how many packets Next has still to write.
func (sp *Splitter) Left() int {
	switch {
	case sp.packet == nil:
		return 0
	case len(sp.text) == 0:
		return 1
	}
	return (len(sp.text) + sp.gso - 1) / sp.gso
}

// Next writes the next packet to dst and returns its length, 0 when there is none left.
// It panics if dst is shorter than MaxLen. The TCP checksum is complete.
//
// The sequence number advances with the text; PSH and FIN go with the last packet, CWR
// with the first alone (RFC 3168 section 6.1.2: it answers one ECN-Echo), unless AE says that
// it is a bit of ACE: those "should retain the same ACE field" (RFC 9768 section 3.3.4); URG stays as
// long as urgent data is ahead, the pointer still naming the same octet. The IPv4
// identification counts up where the packet may be fragmented, as RFC 6864 section 4.3
// demands, and stays where it has no meaning.
func (sp *Splitter) Next(dst []byte) int {
	if sp.packet == nil {
		return 0
	}
	n := min(sp.gso, len(sp.text))
	text := sp.text[:n]
	sp.text = sp.text[n:]
	last := len(sp.text) == 0

	dst = dst[:sp.head+n]
	copy(dst, sp.packet[:sp.head])
	copy(dst[sp.head:], text)

	h := TCP(dst[sp.ip:])
	orig := TCP(sp.packet[sp.ip:])
	flags := orig.Flags()
	if !last {
		flags &^= PSH | FIN
	}
	if sp.at > 0 && flags&AE == 0 {
		flags &^= CWR
	}
	if flags&URG != 0 && sp.at > 0 {
		if int(orig.Up()) > sp.at {
			h.SetUp(orig.Up() - uint16(sp.at))
		} else {
			flags &^= URG
			h.SetUp(0)
		}
	}
	h.SetFlags(flags)
	h.SetSeq(orig.Seq().Add(uint32(sp.at)))
	src, dstAddr := sp.putLength(dst)
	h.SetChecksum(0)
	h.SetChecksum(^Sum(PseudoSum(&src, &dstAddr, ProtoTCP, len(h)), h)) // MUST-2

	sp.at += n
	sp.count++
	if last {
		sp.packet = nil
	}
	return len(dst)
}

// putLength makes the IP header of b fit its length, and returns its addresses.
func (sp *Splitter) putLength(b []byte) (src, dst Addr) {
	if Version(b) == 6 {
		h := IPv6(b)
		h.SetPayloadLen(uint16(len(b) - IPv6HeaderLen))
		return h.Src(), h.Dst()
	}
	h := IPv4(b)
	h.SetTotalLen(uint16(len(b)))
	if !h.DontFragment() {
		h.SetID(h.ID() + uint16(sp.count))
	}
	h.UpdateChecksum()
	return h.Src(), h.Dst()
}
