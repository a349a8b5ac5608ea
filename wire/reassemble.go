package wire

import (
	"bytes"
	"slices"
)

// Bounds of a [Reassembler] whose fields are zero.
const (
	// DefaultReassemblyBytes holds seven of the largest datagrams.
	DefaultReassemblyBytes = 512 << 10
	// DefaultReassemblyDatagrams is how many datagrams may be incomplete at once.
	DefaultReassemblyDatagrams = 1024
	// ReassemblyTimeout is 60 s in nanoseconds: RFC 8200 section 4.5, and the least that
	// RFC 1122 section 3.3.2 recommends.
	ReassemblyTimeout = 60_000_000_000
	// MaxFragments is how many fragments one datagram may have. The largest has 119 over
	// IPv4's smallest host MTU of 576 octets and 54 over IPv6's of 1,280.
	MaxFragments = 256
)

// What a datagram and a fragment cost beside their octets, in the budget.
const (
	datagramCost = 256
	fragmentCost = 64
)

// Reassembler makes datagrams of fragments, RFC 791 section 3.2 and RFC 8200 section
// 4.5, within a budget. The zero value is ready. It has no clock: times are nanoseconds
// from any fixed moment, and must not go back. It is not for concurrent use.
//
// A fragment that overlaps another discards the whole datagram, and whatever of it comes
// later, without a word: RFC 5722 section 4 demands it for IPv6. RFC 791 lets IPv4
// fragments overlap; the same is done there, since no sender's IP does so and overlaps
// serve to pass filters (RFC 1858 section 4). An exact duplicate is ignored, as RFC 8200
// permits.
//
// When the budget is used up, the oldest datagrams make room: of a flood of fragments
// that are never completed only the last ones are held.
type Reassembler struct {
	MaxBytes     int // of memory, bookkeeping included; 0: DefaultReassemblyBytes
	MaxDatagrams int // 0: DefaultReassemblyDatagrams

	// Evicted counts datagrams that made room for others.
	Evicted uint64

	open           map[fragmentKey]*datagram
	oldest, newest *datagram // a list by age, which is the order of expiry
	bytes          int
}

// fragmentKey is what fragments of one datagram have in common: RFC 791 section 3.2
// names the protocol too, RFC 8200 section 4.5 does not.
type fragmentKey struct {
	src, dst Addr
	id       uint32
	proto    uint8
}

// datagram is one that is incomplete, or dead: then it only remembers what to discard.
type datagram struct {
	key          fragmentKey
	born         int64
	older, newer *datagram
	head         []byte // headers of the first fragment, IPv6's fragment header included
	parts        []part // by offset, without overlap
	total        int    // octets of the whole, -1 while the last fragment is missing
	have         int    // octets in parts
	cost         int
	ce, notECT   bool
	dead         bool
}

type part struct {
	off  int
	data []byte
}

func (p part) end() int { return p.off + len(p.data) }

// Add takes the fragment that ip describes, copies it, and returns the whole packet, IP
// header and all, when it was the last one missing; the packet is the caller's, to be
// given to [ParseIP]. Otherwise it returns nil, and a fault when the fragment or its
// datagram is dropped: ip.Problem then says whether to answer.
func (r *Reassembler) Add(now int64, ip *IP) ([]byte, Fault) {
	if f := checkFragment(ip); f != FaultNone {
		return nil, f
	}
	d := r.find(now, ip)
	if d.dead {
		return nil, FaultFragmentOverlap
	}
	fresh, f := d.accept(ip)
	if f != FaultNone {
		if f == FaultFragmentOverlap {
			r.kill(d)
		} else {
			r.remove(d)
		}
		return nil, f
	}
	if !fresh {
		return nil, FaultNone
	}
	r.charge(d)
	if d.have == d.total && d.head != nil {
		r.remove(d)
		return d.assemble(ip.V6)
	}
	if !r.makeRoom(d) {
		return nil, FaultFragmentBudget
	}
	return nil, FaultNone
}

// checkFragment judges one fragment alone.
func checkFragment(ip *IP) Fault {
	n := len(ip.Payload)
	if n == 0 || ip.MoreFragments && n%8 != 0 {
		return ip.fragmentProblem(FaultFragmentLength, 4) // "pointing to the Payload Length field"
	}
	fixed, off := 0, ip.FragmentOffset
	if ip.V6 {
		// The payload length of the whole counts the extension headers that stay.
		fixed = ip.HeaderLen - 8 - IPv6HeaderLen
	} else {
		fixed = ip.HeaderLen
	}
	if fixed+off+n > MaxPacket {
		return ip.fragmentProblem(FaultFragmentBeyond, ip.HeaderLen-6) // "the Fragment Offset field"
	}
	if !ip.V6 {
		// RFC 1858 section 3 and RFC 3128: a filter must find the whole TCP header in
		// the first fragment, and no second one may write over its flags.
		if ip.Proto == ProtoTCP && (off == 0 && n < TCPHeaderLen || off > 0 && off < TCPHeaderLen) {
			return FaultFragmentTiny
		}
		return FaultNone
	}
	if off == 0 {
		w := *ip
		if w.skipExtensions() != FaultNone || len(w.Payload) < upperLen(w.Proto) {
			return ip.problem(FaultFragmentTiny, problemFirstFrag, 0)
		}
	}
	return FaultNone
}

// upperLen returns the least length of the header of a protocol.
func upperLen(proto uint8) int {
	switch proto {
	case ProtoTCP:
		return TCPHeaderLen
	case ProtoUDP:
		return UDPHeaderLen
	case ProtoICMPv6:
		return ICMPHeaderLen
	}
	return 0
}

// fragmentProblem notes the Parameter Problem that RFC 8200 section 4.5 wants for f. IPv4
// has none.
func (ip *IP) fragmentProblem(f Fault, pointer int) Fault {
	if ip.V6 {
		return ip.problem(f, problemField, pointer)
	}
	return f
}

// find returns the datagram that the fragment belongs to, a new one if need be.
func (r *Reassembler) find(now int64, ip *IP) *datagram {
	key := fragmentKey{src: ip.Src, dst: ip.Dst, id: ip.ID}
	if !ip.V6 {
		key.proto = ip.Proto
	}
	if d := r.open[key]; d != nil {
		if now-d.born < ReassemblyTimeout {
			return d
		}
		r.remove(d)
	}
	if r.open == nil {
		r.open = make(map[fragmentKey]*datagram)
	}
	d := &datagram{key: key, born: now, total: -1, older: r.newest}
	if r.newest != nil {
		r.newest.newer = d
	} else {
		r.oldest = d
	}
	r.newest = d
	r.open[key] = d
	r.charge(d)
	return d
}

// accept puts the fragment in its place. It reports false for a duplicate.
func (d *datagram) accept(ip *IP) (fresh bool, f Fault) {
	p := part{off: ip.FragmentOffset, data: ip.Payload}
	at, _ := slices.BinarySearchFunc(d.parts, p.off, func(q part, off int) int { return q.off - off })
	if at < len(d.parts) && d.parts[at].off == p.off && bytes.Equal(d.parts[at].data, p.data) &&
		ip.MoreFragments == (p.end() != d.total) {
		return false, FaultNone
	}
	if at > 0 && d.parts[at-1].end() > p.off || at < len(d.parts) && d.parts[at].off < p.end() {
		return false, FaultFragmentOverlap
	}
	// Two ends, or octets beyond the end, are a contradiction of the same kind.
	if !ip.MoreFragments {
		if d.total >= 0 && d.total != p.end() || at < len(d.parts) {
			return false, FaultFragmentOverlap
		}
		d.total = p.end()
	} else if d.total >= 0 && p.end() >= d.total {
		return false, FaultFragmentOverlap
	}
	if len(d.parts) == MaxFragments {
		return false, FaultFragmentBudget
	}
	if p.off == 0 {
		d.head = bytes.Clone(ip.Packet[:ip.HeaderLen])
	}
	p.data = bytes.Clone(p.data)
	d.parts = slices.Insert(d.parts, at, p)
	d.have += len(p.data)
	switch ip.TC & ecnMask {
	case ecnCE:
		d.ce = true
	case ecnNotECT:
		d.notECT = true
	}
	return true, FaultNone
}

// The ECN field, the lower two bits of TC, RFC 3168 section 5.
const (
	ecnMask   = 3
	ecnNotECT = 0
	ecnCE     = 3
)

// assemble returns the whole packet.
func (d *datagram) assemble(v6 bool) ([]byte, Fault) {
	// RFC 3168 section 5.3: a CE among the fragments must not be lost, and must not be
	// set on a packet of which a part was not ECN-capable.
	if d.ce && d.notECT {
		return nil, FaultFragmentECN
	}
	hl := len(d.head)
	if v6 {
		hl -= 8
	}
	total := hl + d.total
	if !v6 && total > MaxPacket || v6 && total-IPv6HeaderLen > MaxPacket {
		return nil, FaultFragmentBeyond // the first fragment's headers are longer than the last's
	}
	b := make([]byte, 0, total)
	b = append(b, d.head[:hl]...)
	for _, p := range d.parts {
		b = append(b, p.data...)
	}
	if !v6 {
		h := IPv4(b)
		h.SetTotalLen(uint16(total))
		h.SetFragment(h.DontFragment(), false, 0)
		if d.ce {
			h.SetTC(h.TC() | ecnCE)
		}
		h.UpdateChecksum()
		return b, FaultNone
	}
	h := IPv6(b)
	h.SetPayloadLen(uint16(total - IPv6HeaderLen))
	if d.ce {
		h.SetTC(h.TC() | ecnCE)
	}
	// "The Next Header field of the last header of the Per-Fragment headers is obtained
	// from the Next Header field of the first fragment's Fragment header."
	b[lastNextHeader(b[:hl])] = d.head[hl]
	return b, FaultNone
}

// lastNextHeader returns the offset of the next header field of the last header in b, an
// IPv6 header and extension headers that ParseIP has walked.
func lastNextHeader(b []byte) int {
	field, at := 6, IPv6HeaderLen
	for at < len(b) {
		size := 8
		if b[field] != ProtoFragment {
			size += int(b[at+1]) * 8
		}
		field, at = at, at+size
	}
	return field
}

// charge brings the budget up to date with d.
func (r *Reassembler) charge(d *datagram) {
	cost := datagramCost + len(d.head) + d.have + fragmentCost*len(d.parts)
	r.bytes += cost - d.cost
	d.cost = cost
}

// makeRoom drops the oldest datagrams until the budget is kept, and reports whether d is
// still there.
func (r *Reassembler) makeRoom(d *datagram) bool {
	maxBytes, maxDatagrams := r.MaxBytes, r.MaxDatagrams
	if maxBytes == 0 {
		maxBytes = DefaultReassemblyBytes
	}
	if maxDatagrams == 0 {
		maxDatagrams = DefaultReassemblyDatagrams
	}
	for r.bytes > maxBytes || len(r.open) > maxDatagrams {
		victim := r.oldest
		r.remove(victim)
		r.Evicted++
		if victim == d {
			return false
		}
	}
	return true
}

// kill discards what d has and leaves it to discard what comes.
func (r *Reassembler) kill(d *datagram) {
	d.dead, d.head, d.parts, d.have = true, nil, nil, 0
	r.charge(d)
}

func (r *Reassembler) remove(d *datagram) {
	delete(r.open, d.key)
	r.bytes -= d.cost
	if d.older != nil {
		d.older.newer = d.newer
	} else {
		r.oldest = d.newer
	}
	if d.newer != nil {
		d.newer.older = d.older
	} else {
		r.newest = d.older
	}
	d.older, d.newer = nil, nil
}

// Deadline returns when Expire is to be called next, and false when nothing waits.
func (r *Reassembler) Deadline() (int64, bool) {
	if r.oldest == nil {
		return 0, false
	}
	return r.oldest.born + ReassemblyTimeout, true
}

// Expire drops one datagram that is still incomplete [ReassemblyTimeout] after its first
// arrival; it is to be called until it returns false. First is the first fragment as it
// arrived, which an ICMP Time Exceeded, code 1, is to quote; nil if it has not arrived
// or if the datagram was discarded for an overlap, and then there is none to send.
func (r *Reassembler) Expire(now int64) (first []byte, expired bool) {
	d := r.oldest
	if d == nil || now-d.born < ReassemblyTimeout {
		return nil, false
	}
	r.remove(d)
	if d.head == nil {
		return nil, true
	}
	return append(d.head, d.parts[0].data...), true
}

// Len returns how many datagrams are incomplete, and Bytes what they cost of the budget.
func (r *Reassembler) Len() int { return len(r.open) }

// Bytes returns how many octets of the budget are in use.
func (r *Reassembler) Bytes() int { return r.bytes }
