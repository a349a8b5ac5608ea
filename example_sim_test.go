package vitro_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
)

// A network on its own clock: half of all packets are lost, and yet the two ends meet.
func Example_sim() {
	prefixes := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	at := netip.MustParseAddrPort("10.0.0.2:80")

	w := sim.New(1) // equal seeds, equal lives
	a, b := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
	w.Link(sim.LinkConfig{Delay: 20 * time.Millisecond, Loss: 0.5},
		sim.Port{Host: a, Prefixes: prefixes("10.0.0.1/24")}, sim.Port{Host: b, Prefixes: prefixes("10.0.0.2/24")})
	w.At(0, func() { b.Listen(at, stack.ListenOptions{}) })
	w.At(time.Second, func() { a.Dial(netip.AddrPort{}, at, stack.ConnOptions{}) })
	w.RunFor(time.Minute) // at once

	for _, c := range a.Connections() {
		fmt.Println(c.State)
	}
	// Output: ESTABLISHED
}
