package host_test

import (
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A panic of a function that a user has given goes up to whoever has called, through both hosts of a
// pair, as it is: no lock is lost or left on the way, so that both can be closed.
func TestPanicsGoUp(t *testing.T) {
	for name, config := range map[string]func(blow func()) tcp.Config{
		"ISN": func(blow func()) tcp.Config {
			return tcp.Config{ISN: func(tcp.Time, wire.Flow) seq.Num { blow(); return 1 }}
		},
		"Trace": func(blow func()) tcp.Config {
			return tcp.Config{Trace: &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, _, to tcp.State, _ tcp.Rule) {
				if to == tcp.Established {
					blow()
				}
			}}}
		},
		"Congestion": func(blow func()) tcp.Config {
			return tcp.Config{Congestion: func() tcp.Congestion { blow(); return nil }}
		},
	} {
		for _, client := range []bool{true, false} {
			blown := false
			blow := func() {
				if !blown {
					blown = true
					panic(name)
				}
			}
			var hosts [2]*host.Host
			la, lb := link.Pair(0)
			for i, l := range []link.Link{la, lb} {
				c := host.Config{}
				if client == (i == 0) {
					c.Stack.TCP = config(blow)
				}
				hosts[i] = host.New(c)
				if err := hosts[i].Attach(l, host.LinkConfig{Addresses: prefixes([]string{"10.0.0.1/24", "10.0.0.2/24"}[i])}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := hosts[1].Listen(serverB, host.ListenConfig{}); err != nil {
				t.Fatal(err)
			}
			func() {
				defer func() {
					if got := recover(); got != name {
						t.Errorf("%s of the client %v: Dial panics with %v", name, client, got)
					}
				}()
				_, err := hosts[0].Dial(t.Context(), netip.AddrPort{}, serverB, host.DialConfig{})
				t.Errorf("%s of the client %v: Dial returns %v", name, client, err)
			}()
			for _, h := range hosts {
				if err := h.Close(); err != nil {
					t.Errorf("%s of the client %v: Close: %v", name, client, err)
				}
			}
		}
	}
}
