package tcp

import (
	"bytes"
	"testing"

	"github.com/vitro-net/vitro/seq"
)

// The ring against a slice: octets in order, with some written behind them ahead of time.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 10, 1, 5, 2, 3, 3, 200, 0, 255, 2, 255})
	f.Add([]byte{3, 100, 0, 50, 3, 1, 0, 255, 0, 255, 2, 200, 1, 250, 4, 0, 0, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 300)]
		var p pool
		var r ring
		var want []byte // the n octets in order, then what was written ahead, by offset
		var known []bool
		next := byte(0)
		put := func(off, n int) {
			text := make([]byte, n)
			for len(want) < off+n {
				want, known = append(want, 0), append(known, false)
			}
			for i := range text {
				next++
				text[i] = next
				want[off+i], known[off+i] = next, true
			}
			r.reserve(&p, uint32(off+n))
			r.writeAt(uint32(off), text)
		}
		for len(script) >= 2 {
			op, arg := script[0]%5, int(script[1])
			script = script[2:]
			switch op {
			case 0: // more in order
				put(int(r.n), arg*9)
				r.n += uint32(arg * 9)
			case 1: // some ahead of its turn
				put(int(r.n)+arg*7, arg)
			case 2: // some off the front
				n := min(arg*11, int(r.n))
				r.drop(uint32(n))
				want, known = want[n:], known[n:]
			case 3: // what was ahead is next
				n := min(arg, len(want)-int(r.n))
				r.n += uint32(max(n, 0))
			case 4: // an idle connection gives its buffer back
				if r.n == 0 {
					r.release(&p)
					want, known = nil, nil
				}
			}
			check(t, &r, &p, want, known)
		}
		r.release(&p)
		if p.out != 0 {
			t.Fatalf("%d octets of buffer are not given back", p.out)
		}
	})
}

func check(t *testing.T, r *ring, p *pool, want []byte, known []bool) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	if uint32(len(r.buf)) < r.n || len(r.buf)&(len(r.buf)-1) != 0 || p.out != len(r.buf) {
		t.Fatalf("%d octets in a buffer of %d; the pool says %d", r.n, len(r.buf), p.out)
	}
	for _, part := range [][2]int{{0, len(want)}, {len(want) / 3, len(want) / 2}} {
		a, b := r.view(uint32(part[0]), uint32(part[1]-part[0]))
		got := append(bytes.Clone(a), b...)
		if len(got) != part[1]-part[0] {
			t.Fatalf("a view of %d octets has %d", part[1]-part[0], len(got))
		}
		for i, have := range got {
			if at := part[0] + i; known[at] && have != want[at] {
				t.Fatalf("octet %d of %d is %d; want %d", at, len(want), have, want[at])
			}
		}
	}
}

// octetAt is what stands at a distance from the first octet of the stream.
func octetAt(pos int) byte { return byte(pos*7 + pos>>8) }

func streamText(pos, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = octetAt(pos + i)
	}
	return text
}

// The ranges held out of order against a bitmap: ordered, apart, and exactly what has come, so
// long as there are not too many; then what is lost is farthest from RCV.NXT. The octets in
// them, and those that follow in order when a gap is filled, are what was sent; memory is by
// how much has come.
func FuzzSpans(f *testing.F) {
	f.Add(uint32(0), []byte{10, 5, 20, 5, 15, 5, 0, 1})
	f.Add(uint32(1<<32-100), []byte{250, 200, 1, 1, 3, 1, 5, 1, 7, 1, 2, 1})
	f.Add(uint32(1<<31-3), bytes.Repeat([]byte{9, 1, 200, 2, 90, 7, 30, 1, 0, 255}, 40))
	var many []byte // ranges of an octet from both ends, more than are held
	for i := range byte(120) {
		many = append(many, 255-i, 0, i, 0)
	}
	f.Add(uint32(7), many)
	f.Fuzz(func(t *testing.T, nxt uint32, script []byte) {
		script = script[:min(len(script), 600)]
		c := &Conn{cfg: new(Config)}
		c.rcv.nxt = seq.Num(nxt)
		base := c.rcv.nxt
		const size = 256 * 4
		var have [1 << 17]bool
		for len(script) >= 2 && int(c.rcv.nxt.Sub(base))+2*size < len(have) {
			next := int(c.rcv.nxt.Sub(base))
			from, n := next+int(script[0])*4+1, int(script[1])%64+1
			if script[1]&128 != 0 { // in order
				c.store(streamText(next, n))
				c.advance(uint32(n))
				c.mergeHeld()
				for i := next; i < int(c.rcv.nxt.Sub(base)); i++ {
					have[i] = false
				}
				script = script[2:]
				compare(t, c, base, have[:])
				continue
			}
			if script[1]&64 != 0 {
				from += int(script[1]) & 3
			}
			script = script[2:]
			full := len(c.rcv.held) == c.maxSpans()
			before := append([]span(nil), c.rcv.held...)
			kept := c.holdText(base.Add(uint32(from)), streamText(from, n))
			if kept {
				for i := from; i < from+n; i++ {
					have[i] = true
				}
			}
			if full {
				// Either it touched a range, or the farthest has gone, or it was the farthest itself.
				last := int(before[c.maxSpans()-1].start.Sub(base))
				if !kept && from < last {
					t.Fatalf("a range at %d was refused, though the farthest is at %d", from, last)
				}
				if kept && len(c.rcv.held) == c.maxSpans() && c.rcv.held[c.maxSpans()-1].end.Less(before[c.maxSpans()-1].start) {
					for i := last; i < int(before[c.maxSpans()-1].end.Sub(base)); i++ {
						have[i] = false
					}
				}
			}
			compare(t, c, base, have[:])
		}
		got := make([]byte, c.rcv.queue.n)
		if n := c.takeText(got); n != len(got) || !bytes.Equal(got, streamText(0, n)) {
			t.Fatalf("%d octets in order are not what was sent", len(got))
		}
		c.dropHeld()
		if c.cfg.pool.out != 0 {
			t.Fatalf("%d octets of buffer are not given back", c.cfg.pool.out)
		}
	})
}

// compare holds the spans against the bitmap.
func compare(t *testing.T, c *Conn, base seq.Num, have []bool) {
	t.Helper()
	var want [][2]int
	end := int(c.rcv.nxt.Sub(base)) + 2048
	for i := int(c.rcv.nxt.Sub(base)); i < end; i++ {
		if !have[i] {
			continue
		}
		from := i
		for i < end && have[i] {
			i++
		}
		want = append(want, [2]int{from, i})
	}
	if len(want) != len(c.rcv.held) || len(want) > c.maxSpans() {
		t.Fatalf("there are %d ranges; want %d: %v", len(c.rcv.held), len(want), want)
	}
	latest, most := 0, len(c.rcv.queue.buf)
	for i := range c.rcv.held {
		s := &c.rcv.held[i]
		if got := [2]int{int(s.start.Sub(base)), int(s.end.Sub(base))}; got != want[i] {
			t.Fatalf("range %d is %v; want %v", i, got, want[i])
		}
		a, b := s.text.view(0, s.text.n)
		if text := append(bytes.Clone(a), b...); !bytes.Equal(text, streamText(want[i][0], want[i][1]-want[i][0])) {
			t.Fatalf("range %d does not hold what was sent", i)
		}
		if len(s.text.buf) > max(minRing, 4*int(s.text.n)) {
			t.Fatalf("%d octets are held in a buffer of %d", s.text.n, len(s.text.buf))
		}
		most += len(s.text.buf)
		if s.turn == c.rcv.turn {
			latest++
		}
	}
	if latest > 1 {
		t.Fatalf("%d ranges hold the segment that came last", latest)
	}
	if c.cfg.pool.out != most {
		t.Fatalf("the pool has given out %d octets; %d are in use", c.cfg.pool.out, most)
	}
}
