package vitro_test

import (
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

var (
	addrA = netip.MustParsePrefix("10.0.0.1/24")
	addrB = netip.MustParsePrefix("10.0.0.2/24")
	six   = []netip.Prefix{netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("fd00::2/64")}
)

// join makes two Stacks, 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2, of two ends of a link.
func join(t testing.TB, c vitro.Config, la, lb link.Link) (a, b *vitro.Stack) {
	t.Helper()
	stacks := make([]*vitro.Stack, 2)
	for i, l := range []link.Link{la, lb} {
		s, err := vitro.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		err = s.Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{[]netip.Prefix{addrA, addrB}[i], six[i]}})
		if err != nil {
			t.Fatal(err)
		}
		stacks[i] = s
	}
	return stacks[0], stacks[1]
}

// pair is two Stacks joined in memory.
func pair(t testing.TB, c vitro.Config) (a, b *vitro.Stack) {
	la, lb := link.Pair(0)
	return join(t, c, la, lb)
}

// connect returns both ends of a new connection from a to b.
func connect(t testing.TB, a, b *vitro.Stack) (client, server *vitro.Conn) {
	t.Helper()
	l, err := b.ListenTCP("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.AddrPortFrom(addrB.Addr(), l.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port())
	if client, err = a.DialTCP(t.Context(), "tcp", at.String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}
