package judges_test

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/nettest"
)

// TestKernelNettest lets golang.org/x/net judge connections between vitro and the kernel,
// with vitro's end first and last.
func TestKernelNettest(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		w := newWorld(t, s)
		dials, listens, at := d.sides(w)
		l, err := listens.Listen(netip.AddrPortFrom(at, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			if c1, err = dials.Dial(l.Addr().String()); err != nil {
				return nil, nil, nil, err
			}
			if c2, err = l.Accept(); err != nil {
				return nil, nil, nil, err
			}
			return c1, c2, func() { c1.Close(); c2.Close() }, nil
		})
	})
}
