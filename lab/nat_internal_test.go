package lab

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A NAT whose ports are all in use forgets those that have not been used for long.
func TestNATOutOfPorts(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		Test(t, func(t *testing.T, n *Net) {
			n.Host("inside")
			nat := n.NAT("nat", "inside")
			nat.Timeout(timeout)
			b := nat.node.nat
			const many = 100_000
			socketOf := func(i int) socket {
				return socket{wire.ProtoUDP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 16), 1}), uint16(i))}
			}
			for i := range many {
				b.outside(tcp.Time(i+1)*tcp.Time(time.Millisecond), socketOf(i))
			}
			used := map[socket]bool{}
			for i := many - 40_000; i < many; i++ { // fewer than there are ports
				m := b.outward[socketOf(i)]
				if m == nil || used[m.outside] || b.inward[m.outside] != m {
					t.Fatalf("the socket %d, one of the last 40,000, has %+v", i, m)
				}
				used[m.outside] = true
			}
			if len(b.inward) != len(b.outward) || len(b.inward) > 1<<16-20_000 {
				t.Errorf("%d mappings one way, %d the other", len(b.inward), len(b.outward))
			}
		})
	}
}
