package stack_test

import (
	"net/netip"
	"testing"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// The MSS of a SYN is the MTU of the interface that its route takes, less the fixed headers:
// RFC 9293 sections 3.7.1 and 3.7.3. MUST-67, SHLD-6.
func TestMSSFollowsTheInterface(t *testing.T) {
	for _, c := range []struct {
		mtu    int
		remote string
		want   uint16
	}{
		{1500, "10.9.0.2:80", 1460},
		{1500, "[2001:db8:9::2]:80", 1440},
		{1280, "10.9.0.2:80", 1240},
		{1280, "[2001:db8:9::2]:80", 1220},
		{576, "10.9.0.2:80", 536},
		{9000, "10.9.0.2:80", 8960},
		{65535, "[2001:db8:9::2]:80", 65475},
	} {
		s := stack.New(config())
		local := prefixes("10.9.0.1/24", "2001:db8:9::1/64")
		if c.mtu < 1280 {
			local = local[:1] // IPv6 has no such links
		}
		for _, i := range []stack.InterfaceConfig{
			{MTU: 1400, Prefixes: prefixes("10.8.0.1/24")}, // another link, not on the way
			{MTU: c.mtu, Prefixes: local},
		} {
			if _, err := s.AddInterface(i); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Dial(1, netip.AddrPort{}, netip.MustParseAddrPort(c.remote), stack.ConnOptions{}); err != nil {
			t.Fatal(err)
		}
		var b stack.Batch
		s.Output(1, &b)
		var ip wire.IP
		var syn wire.Segment
		for _, packets := range b.Runs() {
			if f := wire.ParseIP(packets[0].Bytes(), &ip); f != wire.FaultNone {
				t.Fatal(f)
			}
			if f := wire.ParseTCP(ip.Payload, &syn); f != wire.FaultNone {
				t.Fatal(f)
			}
		}
		if syn.Flags != wire.SYN || !syn.Options.Has(wire.HasMSS) || syn.Options.MSS != c.want {
			t.Errorf("MTU %d to %s: the SYN is %v with MSS %d; want %d", c.mtu, c.remote, &syn, syn.Options.MSS, c.want)
		}
	}
}
