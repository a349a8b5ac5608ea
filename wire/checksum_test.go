package wire_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

// slowSum is the sum as RFC 9293 section 3.1 says it: 16-bit words, ones' complement
// addition, an odd octet padded with zeros on its right.
func slowSum(pieces ...[]byte) uint16 {
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	sum := 0
	for i := 0; i < len(all); i += 2 {
		sum += int(all[i])<<8 + int(all[i+1])
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// slowPseudo is the pseudo-header, octet by octet: RFC 9293 figure 2, RFC 8200 8.1.
func slowPseudo(src, dst wire.Addr, proto uint8, n int) []byte {
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		b := append(s[:], d[:]...)
		return append(b, 0, proto, byte(n>>8), byte(n))
	}
	b := append(src[:len(src):len(src)], dst[:]...)
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, proto)
}

func TestSumKnown(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want uint16
	}{
		{"nothing", nil, 0},
		{"RFC 1071 section 3", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{"one octet is the upper one", []byte{0x12}, 0x1200},
		{"zeros are zero", make([]byte, 100), 0},
		{"all ones are the other zero", []byte{0xff, 0xff, 0xff, 0xff}, 0xffff},
	}
	for _, tt := range tests {
		if got := wire.Sum(0, tt.b); got != tt.want {
			t.Errorf("%s: %04x; want %04x", tt.name, got, tt.want)
		}
	}
}

func TestSumEveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	ones := make([]byte, 300)
	for i := range ones {
		ones[i] = 0xff // every addition carries
	}
	for n := range 300 {
		for _, buf := range [][]byte{b[:n], ones[:n], b[300-n:]} {
			if got, want := wire.Sum(0, buf), slowSum(buf); got != want {
				t.Fatalf("%d octets: %04x; want %04x", n, got, want)
			}
		}
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte("an odd number of octets"), 4, uint16(0xffff))
	f.Add(make([]byte, 65), 1, uint16(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1}, 3, uint16(0xfffe))
	f.Fuzz(func(t *testing.T, b []byte, cut int, start uint16) {
		seed := []byte{byte(start >> 8), byte(start)}
		if got, want := wire.Sum(start, b), slowSum(seed, b); got != want {
			t.Fatalf("Sum: %04x; want %04x", got, want)
		}
		if len(b) == 0 {
			return
		}
		cut = int(uint(cut) % uint(len(b)))
		second := wire.Sum(0, b[cut:])
		if cut%2 == 1 {
			second = wire.SwapSum(second)
		}
		if got, want := wire.AddSum(wire.Sum(0, b[:cut]), second), slowSum(b); got != want {
			t.Fatalf("cut at %d: %04x; want %04x", cut, got, want)
		}
	})
}

func FuzzPseudoSum(f *testing.F) {
	f.Add(make([]byte, 32), uint8(6), 20)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(255), 65535)
	f.Fuzz(func(t *testing.T, b []byte, proto uint8, n int) {
		if len(b) < 32 {
			return
		}
		n &= 0xffff
		src, dst := wire.Addr(b[:16]), wire.Addr(b[16:32])
		src4, dst4 := wire.Addr4([4]byte(b)), wire.Addr4([4]byte(b[16:]))
		for _, p := range [][2]wire.Addr{{src, dst}, {src4, dst4}} {
			if p[0].Is4() != p[1].Is4() {
				continue
			}
			if got, want := wire.PseudoSum(&p[0], &p[1], proto, n), slowSum(slowPseudo(p[0], p[1], proto, n)); got != want {
				t.Fatalf("%v %v: %04x; want %04x", p[0], p[1], got, want)
			}
		}
	})
}

var sink uint16

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 64, 1460, 65535} {
		buf := make([]byte, n)
		for i := range buf {
			buf[i] = byte(i * 7)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				sink = wire.Sum(0, buf)
			}
		})
	}
}
