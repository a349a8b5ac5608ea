package seq_test

import (
	"testing"

	"github.com/vitro-net/vitro/seq"
)

// The circle has no beginning: what holds at 0 holds at 2^32-1 (RFC 9293 section 3.4).
func TestComparisonsAroundTheWrap(t *testing.T) {
	for _, base := range []seq.Num{0, 1, 1 << 31, 1<<32 - 1, 1<<32 - 5} {
		tests := []struct {
			b            uint32 // the distance from base to the other number
			less, lessEq bool
		}{
			{0, false, true},
			{1, true, true},
			{1<<31 - 1, true, true},
			{1<<32 - 1, false, false},
		}
		for _, tt := range tests {
			b := base.Add(tt.b)
			if got := base.Less(b); got != tt.less {
				t.Errorf("%v < %v is %v; want %v", base, b, got, tt.less)
			}
			if got := base.LessEq(b); got != tt.lessEq {
				t.Errorf("%v =< %v is %v; want %v", base, b, got, tt.lessEq)
			}
			if got := b.Sub(base); got != tt.b {
				t.Errorf("%v - %v is %d; want %d", b, base, got, tt.b)
			}
		}
	}
}

func TestIn(t *testing.T) {
	const first = seq.Num(1<<32 - 3)
	tests := []struct {
		a    seq.Num
		size uint32
		want bool
	}{
		{first, 0, false}, // an empty window holds nothing, not even its edge
		{first, 1, true},
		{first - 1, 10, false},
		{2, 6, true}, // the window runs 2^32-3 .. 2 across the wrap
		{3, 6, false},
	}
	for _, tt := range tests {
		if got := tt.a.In(first, tt.size); got != tt.want {
			t.Errorf("%v in window %v+%d is %v; want %v", tt.a, first, tt.size, got, tt.want)
		}
	}
}

func TestMaxMin(t *testing.T) {
	const early, late = seq.Num(1<<32 - 1), seq.Num(4)
	if got := seq.Max(early, late); got != late {
		t.Errorf("Max(%v, %v) = %v", early, late, got)
	}
	if got := seq.Max(late, early); got != late {
		t.Errorf("Max(%v, %v) = %v", late, early, got)
	}
	if got := seq.Min(early, late); got != early {
		t.Errorf("Min(%v, %v) = %v", early, late, got)
	}
	if got := seq.Min(late, early); got != early {
		t.Errorf("Min(%v, %v) = %v", late, early, got)
	}
}
