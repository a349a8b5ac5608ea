package vitro_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/vitro-net/vitro"
)

// Whether two listeners fit on one port the kernel decides, and a Stack decides alike: any
// address and one, of IPv4, of IPv6 and of both, in both orders.
func TestListenBesideAnother(t *testing.T) {
	at := []struct{ network, host string }{
		{"tcp", ""}, {"tcp4", ""}, {"tcp6", ""},
		{"tcp", "0.0.0.0"}, {"tcp", "[::]"}, {"tcp4", "0.0.0.0"}, {"tcp6", "[::]"},
		{"tcp", "127.0.0.1"}, {"tcp4", "127.0.0.2"}, {"tcp", "[::1]"}, {"tcp6", "[::1]"},
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("the kernel has no IPv6: %v", err)
	}
	l.Close()
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	type listen func(network, address string) (net.Listener, error)
	// both says how a second listener fares beside a first, and whether the first could be had.
	both := func(l listen, i, j int) (string, bool) {
		first, err := l(at[i].network, at[i].host+":0")
		if err != nil {
			return err.Error(), false
		}
		defer first.Close()
		_, port, err := net.SplitHostPort(first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		second, err := l(at[j].network, at[j].host+":"+port)
		if err == nil {
			second.Close()
			return "fits", true
		}
		var op *net.OpError
		if !errors.As(err, &op) || !errors.Is(err, syscall.EADDRINUSE) {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %v %v", op.Op, op.Err, errors.Is(err, syscall.EADDRINUSE)), true
	}
	for i := range at {
		for j := range at {
			var kernels string
			vitros, ok := both(s.Listen, i, j)
			for range 3 { // another program may have the port that the kernel has chosen
				if kernels, _ = both(net.Listen, i, j); kernels == vitros {
					break
				}
			}
			if kernels != vitros || !ok {
				t.Errorf("%v, then %v: %s; the kernel says %s", at[i], at[j], vitros, kernels)
			}
		}
	}
}
