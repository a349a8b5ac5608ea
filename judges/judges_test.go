package judges_test

import (
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// pair returns two Stacks, 10.0.0.1 and 10.0.0.2, joined in memory.
func pair(t testing.TB, c vitro.Config, pc link.PairConfig) (a, b *vitro.Stack) {
	t.Helper()
	la, lb := link.NewPair(pc)
	return join(t, c, la, lb)
}

// join makes two Stacks of two ends of a link.
func join(t testing.TB, c vitro.Config, la, lb link.Link) (a, b *vitro.Stack) {
	t.Helper()
	attach := func(l link.Link, addr string) *vitro.Stack {
		s, err := vitro.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	return attach(la, "10.0.0.1/24"), attach(lb, "10.0.0.2/24")
}
