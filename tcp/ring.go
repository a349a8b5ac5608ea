package tcp

import "math/bits"

// The buffers of RFC 9293 section 3.3.1 ("pointers to the user's send and receive
// buffers"): rings whose size is a power of two, taken from the Config's pool when the
// first octet comes and given back when the last has gone, so that an idle connection
// has none.

const (
	minRing  = 1 << 9
	sureRing = 1 << 11 // what a queue gets however little memory there is
	poolKeep = 8 << 20 // octets a pool keeps for later
	maxHint  = 20      // logarithm of the largest ring that is taken for the first octet
)

// pool keeps rings that are not in use, by the logarithm of their size.
type pool struct {
	free   [31][][]byte
	boards []*board
	kept   int
	out    int // octets in rings that are in use
	most   int // what out may be, but for rings of sureRing; 0: no bound
}

// affords reports whether a ring of had octets may become one of size.
func (p *pool) affords(had, size int) bool {
	return p.most == 0 || size <= had || p.out-had+size <= p.most
}

func (p *pool) get(size uint32) []byte {
	p.out += int(size)
	class := bits.TrailingZeros32(size)
	if list := p.free[class]; len(list) > 0 {
		b := list[len(list)-1]
		list[len(list)-1] = nil
		p.free[class] = list[:len(list)-1]
		p.kept -= int(size)
		return b
	}
	return make([]byte, size)
}

func (p *pool) put(b []byte) {
	p.out -= len(b)
	if p.kept+len(b) > poolKeep {
		return
	}
	class := bits.TrailingZeros32(uint32(len(b)))
	p.free[class] = append(p.free[class], b)
	p.kept += len(b)
}

// BuffersInUse returns how many octets of buffer the connections of cfg hold now.
func (cfg *Config) BuffersInUse() int { return cfg.pool.out }

// ring holds n octets in order, the first at head.
type ring struct {
	buf  []byte
	head uint32
	n    uint32
	peak uint32 // the most that was in use since the buffer was taken
	hint uint8  // logarithm of the size to take next time
}

func (r *ring) mask() uint32 { return uint32(len(r.buf)) - 1 }

// ringSize is the size of a ring that holds n octets.
func ringSize(n uint32) int { return max(1<<bits.Len32(n-1), minRing) }

// fits reports whether reserve would make room for size octets, were it not for sureRing.
func (r *ring) fits(p *pool, size uint32) bool {
	return size <= uint32(len(r.buf)) || p.affords(len(r.buf), ringSize(size))
}

// could returns for how many of size octets reserve would make room.
func (r *ring) could(p *pool, size uint32) uint32 {
	if r.fits(p, size) {
		return size
	}
	want := ringSize(size)
	for want > sureRing && !p.affords(len(r.buf), want) {
		want >>= 1
	}
	return min(size, max(uint32(want), uint32(len(r.buf))))
}

// reserve makes room for size octets from head on, or for as many as the pool affords and at
// least for sureRing. It returns for how many.
func (r *ring) reserve(p *pool, size uint32) uint32 {
	if size > uint32(len(r.buf)) {
		if size = r.could(p, size); size > uint32(len(r.buf)) {
			r.grow(p, size)
		}
	}
	r.peak = max(r.peak, size)
	return size
}

// grow takes a buffer for size octets, or as large as the connection needed last time.
func (r *ring) grow(p *pool, size uint32) {
	want := ringSize(size)
	if hint := 1 << r.hint; hint > want && p.affords(len(r.buf), hint) {
		want = hint
	}
	b := p.get(uint32(want))
	if r.buf != nil {
		k := copy(b, r.buf[r.head:])
		copy(b[k:], r.buf[:r.head])
		p.put(r.buf)
	}
	r.buf, r.head = b, 0
}

// writeAt puts text at offset off from the head. The caller has made room.
func (r *ring) writeAt(off uint32, text []byte) {
	if len(text) == 0 {
		return
	}
	at := (r.head + off) & r.mask()
	k := copy(r.buf[at:], text)
	copy(r.buf, text[k:])
}

// extend adds front octets before the first and back octets behind the last, to be written
// by writeAt. The caller knows that they fit.
func (r *ring) extend(p *pool, front, back uint32) {
	r.reserve(p, r.n+front+back)
	r.head = (r.head - front) & r.mask()
	r.n += front + back
}

// view returns n octets from offset off on, in two parts where the ring wraps.
func (r *ring) view(off, n uint32) (a, b []byte) {
	if n == 0 {
		return nil, nil
	}
	at := (r.head + off) & r.mask()
	if room := uint32(len(r.buf)) - at; n > room {
		return r.buf[at:], r.buf[:n-room]
	}
	return r.buf[at : at+n], nil
}

// drop takes n octets off the front.
func (r *ring) drop(n uint32) {
	r.n -= n
	if len(r.buf) > 0 {
		r.head = (r.head + n) & r.mask()
	}
}

// release gives the buffer back, remembering its size for next time: a connection that
// has needed less than a quarter of it takes half as much then.
func (r *ring) release(p *pool) {
	if r.buf == nil {
		return
	}
	r.hint = uint8(min(bits.TrailingZeros32(uint32(len(r.buf))), maxHint))
	if r.peak < uint32(len(r.buf))/4 && r.hint > 0 {
		r.hint--
	}
	p.put(r.buf)
	r.buf, r.head, r.n, r.peak = nil, 0, 0, 0
}
