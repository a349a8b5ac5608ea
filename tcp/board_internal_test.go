package tcp

import (
	"testing"

	"github.com/vitro-net/vitro/seq"
)

// The scoreboard against one octet after the other: what SACK has reported is a part of what was
// reported, all of it where whole segments were; what is lost and what went again are exact.
func FuzzBoard(f *testing.F) {
	f.Add([]byte{0, 30, 2, 5, 9, 3, 0, 4, 0, 1, 7, 2, 0, 255})
	f.Add([]byte{0, 255, 0, 9, 2, 10, 20, 2, 40, 9, 3, 1, 3, 2, 4, 0, 1, 12, 2, 0, 90, 5, 0, 1, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		const first = seq.Num(1<<32 - 500)
		const mss = 10
		var b board
		var sacked, lost, again [1 << 13]bool // by octet
		una, nxt, now := 0, 0, Time(0)
		at := func(i int) seq.Num { return first.Add(uint32(i)) }
		next := func() int {
			if len(script) == 0 {
				return 0
			}
			v := script[0]
			script = script[1:]
			return int(v)
		}
		delivered := func(r run) {
			for s := r.start; s != r.end; s++ {
				if i := int(s.Sub(first)); sacked[i] {
					t.Fatalf("octet %d is delivered twice", i)
				}
			}
		}
		for len(script) > 0 && nxt < 8000 {
			now++
			switch next() % 6 {
			case 0: // new segments
				n := next() + 1
				b.push(at(nxt), at(nxt+n), now-now%3, mss)
				nxt += n
			case 1: // an ACK
				una = min(una+next(), nxt)
				b.acked(at(una), delivered)
			case 2: // a SACK block
				from, n := una+next(), next()
				to := min(from+n, nxt)
				if from >= to {
					continue
				}
				b.reported(at(from), at(to), func(r run) {
					delivered(r)
					for s := r.start; s != r.end; s++ {
						i := int(s.Sub(first))
						if i < from || i >= to {
							t.Fatalf("octet %d is reported by %d to %d", i, from, to)
						}
						sacked[i], lost[i] = true, false
					}
				})
			case 3: // a run is lost
				if list := b.list(); len(list) > 0 {
					k := next() % len(list)
					r := list[k]
					b.lose(k)
					for s := r.start; s != r.end; s++ {
						if i := int(s.Sub(first)); !sacked[i] {
							lost[i] = true
						}
					}
				}
			case 4: // what is lost goes again
				from, n := b.nextLost(uint32(1 + next()))
				for i := range int(n) {
					if o := int(from.Sub(first)) + i; !lost[o] {
						t.Fatalf("octet %d goes again and is not lost", o)
					} else {
						lost[o], again[o] = false, true
					}
				}
				if n > 0 {
					b.resent(from, n, now, mss)
				}
			case 5:
				if next()%8 == 0 {
					b.forgetSACK()
					for i, s := range sacked {
						again[i] = again[i] || s
					}
					sacked = [1 << 13]bool{}
				}
			}
			checkBoard(t, &b, at(una), at(nxt), first, &sacked, &lost, &again)
		}
	})
}

func checkBoard(t *testing.T, b *board, una, nxt, first seq.Num, sacked, lost, again *[1 << 13]bool) {
	t.Helper()
	var reported, gone uint32
	want := una
	for k, r := range b.list() {
		if r.start != want || !r.start.Less(r.end) {
			t.Fatalf("run %d is %v to %v; it begins at %v", k, r.start, r.end, want)
		}
		want = r.end
		for s := r.start; s != r.end; s++ {
			i := int(s.Sub(first))
			if (r.what&runSacked != 0) != sacked[i] || (r.what&runLost != 0) != (lost[i] && !sacked[i]) {
				t.Fatalf("octet %d: %03b; reported %v, lost %v", i, r.what, sacked[i], lost[i])
			}
			if r.what&(runSacked|runLost) == 0 && (r.what&runAgain != 0) != again[i] {
				t.Fatalf("octet %d: %03b; again %v", i, r.what, again[i])
			}
		}
		switch {
		case r.what&runSacked != 0:
			reported += r.len()
		case r.what&runLost != 0:
			gone += r.len()
		}
	}
	if want != nxt {
		t.Fatalf("the runs end at %v; SND.NXT is %v", want, nxt)
	}
	if b.sacked != reported || b.lost != gone {
		t.Fatalf("%d reported, %d lost; by the runs %d, %d", b.sacked, b.lost, reported, gone)
	}
}

// A probe goes again from the end, where nothing is lost; what is lost before it is still found.
func TestProbeBehindLosses(t *testing.T) {
	var b board
	b.push(100, 110, 1, 10)
	b.push(110, 120, 2, 10)
	b.push(120, 130, 3, 10)
	b.lose(0)
	if from, n := b.nextLost(10); from != 100 || n != 10 {
		t.Fatalf("lost are %d octets from %v", n, from)
	}
	b.resent(120, 10, 4, 10)
	if from, n := b.nextLost(10); from != 100 || n != 10 {
		t.Errorf("after a probe %d octets from %v are lost", n, from)
	}
	b.resent(100, 10, 5, 10)
	if _, n := b.nextLost(10); n != 0 {
		t.Errorf("%d octets are lost when all has gone again", n)
	}
}
