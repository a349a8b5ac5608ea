package stack

import (
	"encoding/binary"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Fragmentation: RFC 791 section 3.2 for IPv4, by whoever must; RFC 8200 section 4.5 for
// IPv6, by the source alone. TCP has no need of it.

// fragment cuts the packet b into pieces of mtu octets at most, and queues them to leave by n. An
// IPv6 packet has no extension headers. A piece for which there is no room takes the rest with it.
func (s *Stack) fragment(n *netif, mtu int, b []byte) {
	s.stats.Fragmented++
	if wire.Version(b) == 6 {
		s.fragment6(n, mtu, b)
		return
	}
	s.fragment4(n, mtu, b)
}

// fragment4 is the procedure of RFC 791 section 3.2: options that are not to be copied stay
// in the first piece. A packet of our own gets an identification.
func (s *Stack) fragment4(n *netif, mtu int, b []byte) {
	h := wire.IPv4(b)
	first := h.HeaderLen()
	head := b[:first]
	id := h.ID()
	if h.DontFragment() {
		id = uint16(s.fragmentID())
	}
	at, more := h.FragmentOffset(), h.MoreFragments()
	for data := b[first:]; len(data) > 0; {
		room := (mtu - len(head)) &^ 7
		last := len(head)+len(data) <= mtu
		if last {
			room = len(data)
		}
		piece := s.grow(n, len(head)+room)
		if piece == nil {
			return
		}
		copy(piece[copy(piece, head):], data[:room])
		p := wire.IPv4(piece)
		p.SetHeaderLen(len(head))
		p.SetTotalLen(uint16(len(piece)))
		p.SetID(id)
		p.SetFragment(false, more || !last, at)
		p.UpdateChecksum()
		s.queueOf(n).add(n.id, len(piece), 0, wire.ChecksumNone)
		at += room
		data = data[room:]
		head = copiedOptions(head)
	}
}

// copiedOptions returns a header with only those options that every fragment has: RFC 791
// section 3.1, the copied flag.
func copiedOptions(head []byte) []byte {
	if len(head) == wire.IPv4HeaderLen {
		return head
	}
	out := append(make([]byte, 0, len(head)), head[:wire.IPv4HeaderLen]...)
	for o := head[wire.IPv4HeaderLen:]; len(o) > 0 && o[0] != 0; {
		size := 1
		if o[0] != 1 {
			if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
				break // ParseIP has seen to it
			}
			size = int(o[1])
			if o[0]&0x80 != 0 {
				out = append(out, o[:size]...)
			}
		}
		o = o[size:]
	}
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

func (s *Stack) fragment6(n *netif, mtu int, b []byte) {
	const head = wire.IPv6HeaderLen + 8
	id := s.fragmentID()
	data := b[wire.IPv6HeaderLen:]
	for at := 0; at < len(data); {
		size := min((mtu-head)&^7, len(data)-at)
		piece := s.grow(n, head+size)
		if piece == nil {
			return
		}
		p := wire.IPv6(piece)
		copy(p, b[:wire.IPv6HeaderLen])
		p.SetNextHeader(wire.ProtoFragment)
		p.SetPayloadLen(uint16(8 + size))
		f := piece[wire.IPv6HeaderLen:head]
		f[0], f[1] = wire.IPv6(b).NextHeader(), 0
		offset := uint16(at)
		if at+size < len(data) {
			offset |= 1 // more fragments
		}
		binary.BigEndian.PutUint16(f[2:], offset)
		binary.BigEndian.PutUint32(f[4:], id)
		copy(piece[head:], data[at:at+size])
		s.queueOf(n).add(n.id, len(piece), 0, wire.ChecksumNone)
		at += size
	}
}

// firstFragment returns the length of the first piece of a packet that is longer than mtu, in octets.
func firstFragment(v4 bool, mtu int) int {
	head := wire.IPv6HeaderLen + 8
	if v4 {
		head = wire.IPv4HeaderLen
	}
	return head + (mtu-head)&^7
}

// fragmentID returns an identification that cannot be guessed from the one before: RFC
// 7739 section 5.
func (s *Stack) fragmentID() uint32 {
	s.fragmented++
	var b [9]byte
	binary.BigEndian.PutUint64(b[:], s.fragmented)
	b[8] = 'f'
	return uint32(tcp.SipHash(&s.cfg.Secret, b[:]))
}
