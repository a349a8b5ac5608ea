package stack_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

func seqNum(n uint32) seq.Num { return seq.Num(n) }

// MUST-57, MUST-63; ATTACKS: broadcast and multicast SYNs, martians, LAND. "This guidance is
// applicable to all incoming segments, not just SYNs."
func TestSegmentsOfNoHostAreDroppedInSilence(t *testing.T) {
	for _, c := range []struct{ what, from, to string }{
		{"a SYN to the limited broadcast", "10.0.0.9:4000", "255.255.255.255:80"},
		{"a SYN to the subnet's broadcast", "10.0.0.9:4000", "10.0.0.255:80"},
		{"a SYN to a multicast group", "10.0.0.9:4000", "224.0.0.1:80"},
		{"a SYN to an IPv6 multicast group", "[2001:db8::9]:4000", "[ff02::1]:80"},
		{"a SYN from 0.0.0.0", "0.0.0.0:4000", "10.0.0.1:80"},
		{"a SYN from net 0", "0.1.2.3:4000", "10.0.0.1:80"},
		{"a SYN from class E", "240.0.0.1:4000", "10.0.0.1:80"},
		{"a SYN from ::", "[::]:4000", "[2001:db8::1]:80"},
		{"a SYN from the limited broadcast", "255.255.255.255:4000", "10.0.0.1:80"},
		{"a SYN from the subnet's broadcast", "10.0.0.255:4000", "10.0.0.1:80"},
		{"a SYN from a multicast group", "224.0.0.1:4000", "10.0.0.1:80"},
		{"a SYN from an IPv6 multicast group", "[ff02::1]:4000", "[2001:db8::1]:80"},
		{"a SYN from loopback, from outside", "127.0.0.1:4000", "10.0.0.1:80"},
		{"a SYN from ::1, from outside", "[::1]:4000", "[2001:db8::1]:80"},
		{"a SYN to loopback, from outside", "10.0.0.9:4000", "127.0.0.1:80"},
		{"a SYN from ourselves (LAND)", "10.0.0.1:80", "10.0.0.1:80"},
		{"an IPv6 SYN from ourselves (LAND)", "[2001:db8::1]:80", "[2001:db8::1]:80"},
		{"a SYN to another host", "10.0.0.9:4000", "10.0.0.7:80"},
	} {
		for _, port := range []uint16{80, 81} { // where somebody listens, and where nobody
			for _, flags := range []wire.Flags{wire.SYN, wire.ACK, wire.ACK | wire.FIN} {
				x := newSeat(t, config())
				if _, err := x.s.Listen(mustAP("[::]:80"), 0, stack.ListenOptions{}); err != nil {
					t.Fatal(err)
				}
				to := netip.AddrPortFrom(mustAP(c.to).Addr(), port)
				seg := wire.Segment{Seq: 1, Flags: flags, Wnd: 1000}
				none(t, c.what, x.say(mustAP(c.from), to, seg))
				if n := x.s.Stats().Connections; n > 0 {
					t.Errorf("%s has made a connection", c.what)
				}
			}
		}
	}
}

// RFC 9293 section 3.10.7.1: a reset answers a segment of no connection, except a reset.
func TestResetForNoConnection(t *testing.T) {
	for _, c := range []struct {
		seg  wire.Segment
		want string
	}{
		{wire.Segment{Seq: 100, Flags: wire.SYN}, "<SEQ=0><ACK=101><CTL=RST,ACK>"},
		{wire.Segment{Seq: 100, Ack: 300, Flags: wire.ACK, Text: make([]byte, 10)}, "<SEQ=300><CTL=RST>"},
		{wire.Segment{Seq: 100, Flags: wire.FIN, Text: make([]byte, 10)}, "<SEQ=0><ACK=111><CTL=RST,ACK>"},
		{wire.Segment{Seq: 100, Flags: wire.RST}, ""},
		{wire.Segment{Seq: 100, Ack: 1, Flags: wire.RST | wire.ACK}, ""},
	} {
		for _, v6 := range []bool{false, true} {
			from, to := peer4, local4
			if v6 {
				from, to = peer6, local6
			}
			x := newSeat(t, config())
			got := x.say(from, to, c.seg)
			if c.want == "" {
				none(t, c.seg.String(), got)
				continue
			}
			o := one(t, c.seg.String(), got)
			if o.seg.String() != c.want || o.ip.Src.Netip() != to.Addr() || o.ip.Dst.Netip() != from.Addr() {
				t.Errorf("%v is answered by %v; want %v", c.seg.String(), o.seg.String(), c.want)
			}
			if o.ip.HopLimit != 64 {
				t.Errorf("the hop limit is %d", o.ip.HopLimit)
			}
		}
	}
}

// The most specific prefix wins, among equals the first; the subnets are routes.
func TestRoutes(t *testing.T) {
	x := newSeat(t, config())
	two := x.link(stack.InterfaceConfig{MTU: 1400, Prefixes: prefixes("10.1.0.1/16", "2001:db8:1::1/64", "fe80::1/64")})
	for _, r := range []struct {
		prefix string
		iface  int
	}{{"0.0.0.0/0", 1}, {"192.168.0.0/16", two}, {"192.168.3.0/24", 1}, {"::/0", two}, {"192.168.3.7/32", two}, {"192.168.3.7/32", 1}, {"172.16.0.0/12", two}, {"2001:db8:8000::/33", 1}} {
		if err := x.s.AddRoute(netip.MustParsePrefix(r.prefix), r.iface); err != nil {
			t.Fatal(err)
		}
	}
	check := func(to string, iface int, from string) {
		t.Helper()
		c, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP(to), stack.ConnOptions{})
		if err != nil {
			t.Fatalf("%s: %v", to, err)
		}
		o := one(t, "Dial "+to, x.take())
		if o.iface != iface || o.ip.Src.String() != from { // MUST-44
			t.Errorf("%s: by interface %d from %v; want %d, %s", to, o.iface, o.ip.Src, iface, from)
		}
		if c.Local().Addr() != o.ip.Src.Netip() {
			t.Errorf("Local is %v, the SYN came from %v", c.Local(), o.ip.Src)
		}
	}
	check("10.0.0.9:1", 1, "10.0.0.1")
	check("10.1.7.9:1", two, "10.1.0.1")
	check("8.8.8.8:1", 1, "10.0.0.1")
	check("192.168.1.1:1", two, "10.1.0.1")
	check("192.168.3.1:1", 1, "10.0.0.1")
	check("192.168.3.7:1", two, "10.1.0.1")
	check("[2001:db8::9]:1", 1, "2001:db8::1")
	check("[2001:db8:7::9]:1", two, "2001:db8:1::1")
	check("[fe80::9]:1", two, "fe80::1")
	check("172.31.0.1:1", two, "10.1.0.1")
	check("172.32.0.1:1", 1, "10.0.0.1")
	check("[2001:db8:8001::9]:1", 1, "2001:db8::1")
	check("[2001:db8:7fff::9]:1", two, "2001:db8:1::1")
	check("[fd00::9]:1", two, "2001:db8:1::1") // fe80::1 has more bits in common, and another scope
}

func TestDialErrors(t *testing.T) {
	x := newSeat(t, config())
	if _, err := x.s.Dial(x.now, mustAP("10.0.0.1:5000"), mustAP("10.0.0.9:1"), stack.ConnOptions{}); err != nil {
		t.Fatal(err)
	}
	x.take()
	for _, c := range []struct {
		local, remote string
		want          error
	}{
		{"", "255.255.255.255:1", tcp.ErrInvalidRemote}, // MUST-46
		{"", "10.0.0.255:1", tcp.ErrInvalidRemote},
		{"", "224.0.0.1:1", tcp.ErrInvalidRemote},
		{"", "[ff02::1]:1", tcp.ErrInvalidRemote},
		{"", "0.0.0.0:1", tcp.ErrUnspecified},
		{"", "[::]:1", tcp.ErrUnspecified},
		{"", "10.0.0.9:0", tcp.ErrUnspecified},
		{"", "10.9.0.1:1", stack.ErrNoRoute},
		{"", "[2001:db8:9::1]:1", stack.ErrNoRoute},
		{"10.0.0.7:0", "10.0.0.9:1", stack.ErrAddrNotAvailable},
		{"[2001:db8::1]:0", "10.0.0.9:1", stack.ErrInvalidAddr},
		{"127.0.0.1:0", "10.0.0.9:1", stack.ErrInvalidAddr},
		{"127.9.9.9:5000", "10.0.0.9:1", stack.ErrInvalidAddr},
		{"[::1]:0", "[2001:db8::9]:1", stack.ErrInvalidAddr},
		{"10.0.0.1:5000", "10.0.0.9:1", stack.ErrAddrInUse},
		{"0.0.0.0:5000", "10.0.0.9:1", stack.ErrAddrInUse},
		{"0.0.0.0:5000", "10.0.0.9:2", nil}, // another pair of sockets
		{"[::]:0", "10.0.0.9:3", nil},
	} {
		var local netip.AddrPort
		if c.local != "" {
			local = mustAP(c.local)
		}
		_, err := x.s.Dial(x.now, local, mustAP(c.remote), stack.ConnOptions{})
		if !errors.Is(err, c.want) {
			t.Errorf("Dial %s from %q: %v; want %v", c.remote, c.local, err, c.want)
		}
		if got := x.take(); (len(got) == 0) != (c.want != nil) {
			t.Errorf("Dial %s: %d packets with error %v", c.remote, len(got), err)
		}
	}
}

// RFC 1122 section 3.2.1.3 (g): loopback addresses "MUST NOT appear outside a host", not even
// those of a connection to an address that was the host's own when it began.
func TestLoopbackStaysInside(t *testing.T) {
	for _, c := range []struct{ local, remote, rest string }{
		{"127.0.0.1:0", "10.7.0.1:1", "0.0.0.0/0"},
		{"[::1]:0", "[2001:db8:7::1]:1", "::/0"},
	} {
		x := newSeat(t, config())
		two := x.link(stack.InterfaceConfig{Prefixes: prefixes("10.7.0.1/24", "2001:db8:7::1/64")})
		l, err := x.s.Listen(mustAP("[::]:1"), 0, stack.ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := x.s.Dial(x.now, mustAP(c.local), mustAP(c.remote), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		none(t, "a connection to itself", x.take())
		server := l.Accept(x.now)
		if conn.State() != tcp.Established || server == nil {
			t.Fatalf("from %s to %s: %v", c.local, c.remote, conn.State())
		}
		if err := x.s.RemoveInterface(two); err != nil {
			t.Fatal(err)
		}
		if err := x.s.AddRoute(netip.MustParsePrefix(c.rest), 1); err != nil {
			t.Fatal(err)
		}
		before := x.s.Stats().NoRoute
		conn.Send(x.now, []byte("secret"))
		none(t, "text from "+c.local, x.take())
		if x.s.Stats().NoRoute == before {
			t.Errorf("from %s: what was not sent is not counted", c.local)
		}
	}
}

// A default route of one version is none for the other.
func TestRoutesByVersion(t *testing.T) {
	x := newSeat(t, config())
	x.s.AddRoute(netip.MustParsePrefix("::/0"), 1)
	if _, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP("8.8.8.8:1"), stack.ConnOptions{}); !errors.Is(err, stack.ErrNoRoute) {
		t.Errorf("IPv4 by ::/0: %v", err)
	}
	y := newSeat(t, config())
	y.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
	if _, err := y.s.Dial(y.now, netip.AddrPort{}, mustAP("[2001:db8:7::1]:1"), stack.ConnOptions{}); !errors.Is(err, stack.ErrNoRoute) {
		t.Errorf("IPv6 by 0.0.0.0/0: %v", err)
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/120")} {
		if err := x.s.AddRoute(p, 1); !errors.Is(err, stack.ErrInvalidAddr) {
			t.Errorf("AddRoute %v: %v", p, err)
		}
	}
	for _, id := range []int{-1, 0, 2} {
		if err := x.s.AddRoute(netip.MustParsePrefix("::/0"), id); !errors.Is(err, stack.ErrNoInterface) {
			t.Errorf("AddRoute by %d: %v", id, err)
		}
	}
}

// MUST-43, MUST-45: the local address asked for is the one on the wire, for good.
func TestLocalAddressAskedFor(t *testing.T) {
	x := newSeat(t, config())
	x.link(stack.InterfaceConfig{Prefixes: prefixes("10.2.0.1/24")})
	c, err := x.s.Dial(x.now, mustAP("10.2.0.1:0"), mustAP("10.0.0.9:1"), stack.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := one(t, "the SYN", x.take())
	if o.ip.Src.String() != "10.2.0.1" || o.iface != 1 {
		t.Errorf("the SYN came from %v by %d", o.ip.Src, o.iface)
	}
	// The preferred address and the route change; the connection does not.
	three := x.link(stack.InterfaceConfig{Prefixes: prefixes("10.3.0.1/24")})
	x.s.AddRoute(netip.MustParsePrefix("10.0.0.9/32"), three)
	x.now = x.s.Deadline()
	x.s.Timeout(x.now)
	o = one(t, "the SYN again", x.take())
	if o.ip.Src.String() != "10.2.0.1" || o.iface != three || c.Local().Addr() != o.ip.Src.Netip() {
		t.Errorf("the SYN came again from %v by %d", o.ip.Src, o.iface)
	}
}

// An interface that goes takes its addresses and routes along.
func TestRemoveInterface(t *testing.T) {
	x := newSeat(t, config())
	c, _ := x.s.Dial(x.now, netip.AddrPort{}, mustAP("10.0.0.9:1"), stack.ConnOptions{})
	x.take()
	if err := x.s.RemoveInterface(1); err != nil {
		t.Fatal(err)
	}
	x.now = x.s.Deadline()
	x.s.Timeout(x.now)
	none(t, "a timeout without an interface", x.take())
	if c.State() != tcp.SynSent || x.s.Stats().NoRoute == 0 {
		t.Errorf("the connection is %v; %d without a route", c.State(), x.s.Stats().NoRoute)
	}
	none(t, "a packet by the interface that is gone", x.say(peer4, local4, syn(1)))
	if _, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP("10.0.0.9:1"), stack.ConnOptions{}); !errors.Is(err, stack.ErrNoRoute) {
		t.Errorf("Dial: %v", err)
	}
	for _, id := range []int{0, 1, 2, -1} {
		if err := x.s.RemoveInterface(id); !errors.Is(err, stack.ErrNoInterface) {
			t.Errorf("RemoveInterface(%d): %v", id, err)
		}
	}
	// Back again, under another number, the connection goes on.
	two := x.link(stack.InterfaceConfig{Prefixes: prefixes("10.0.0.1/24")})
	x.now = x.s.Deadline()
	x.s.Timeout(x.now)
	if o := one(t, "the SYN", x.take()); o.iface != two {
		t.Errorf("the SYN goes by %d", o.iface)
	}
}

// No route leads to an interface before it is raised, and its addresses are taken.
func TestRaiseInterface(t *testing.T) {
	x := newSeat(t, config())
	two := x.link(stack.InterfaceConfig{Prefixes: prefixes("10.7.0.1/24"), Down: true})
	if err := x.s.AddRoute(netip.MustParsePrefix("8.8.8.0/24"), two); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.AddInterface(stack.InterfaceConfig{Prefixes: prefixes("10.7.0.1/24")}); !errors.Is(err, stack.ErrAddrInUse) {
		t.Errorf("the same address: %v", err)
	}
	dial := func(to string) error {
		_, err := x.s.Dial(x.now, netip.AddrPort{}, mustAP(to), stack.ConnOptions{})
		return err
	}
	for _, to := range []string{"10.7.0.9:1", "8.8.8.8:1"} {
		if err := dial(to); !errors.Is(err, stack.ErrNoRoute) {
			t.Errorf("Dial %s: %v", to, err)
		}
	}
	x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1) // another way is taken
	if err := dial("8.8.8.8:1"); err != nil {
		t.Error(err)
	}
	if o := one(t, "a SYN", x.take()); o.iface != 1 {
		t.Errorf("it went by %d", o.iface)
	}
	if err := x.s.RaiseInterface(two); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"10.7.0.9:2", "8.8.8.8:2"} {
		if err := dial(to); err != nil {
			t.Errorf("Dial %s: %v", to, err)
		}
		if o := one(t, "a SYN", x.take()); o.iface != two || o.ip.Src.String() != "10.7.0.1" {
			t.Errorf("to %s by %d from %v", to, o.iface, o.ip.Src)
		}
	}
	if err := x.s.RaiseInterface(3); !errors.Is(err, stack.ErrNoInterface) {
		t.Errorf("RaiseInterface(3): %v", err)
	}
}

func TestInterfacesThatCannotBe(t *testing.T) {
	x := newSeat(t, config())
	for _, c := range []struct {
		mtu    int
		prefix string
		want   error
		says   string
	}{
		{67, "10.5.0.1/24", stack.ErrInvalidMTU, "67 octets: it is at least 68"},
		{65536, "10.5.0.1/24", stack.ErrInvalidMTU, "at most 65535"},
		{1279, "2001:db8:5::1/64", stack.ErrInvalidMTU, "2001:db8:5::1/64 on a link with an MTU of 1279 octets: IPv6 needs 1280"},
		{68, "10.5.0.1/24", nil, ""},
		{1500, "10.0.0.1/32", stack.ErrAddrInUse, "10.0.0.1/32: another link has that address"},
		{1500, "10.6.0.255/24", stack.ErrInvalidAddr, "10.6.0.255/24: the broadcast address"},
		{1500, "10.6.0.0/24", stack.ErrInvalidAddr, "10.6.0.0/24: the address of the subnet itself; that of a host in it is needed, as 10.6.0.1/24"},
		{1500, "10.6.0.0/31", nil, ""},
		{1500, "224.0.0.1/24", stack.ErrInvalidAddr, "224.0.0.1/24: the address of a group"},
		{1500, "ff02::1/64", stack.ErrInvalidAddr, "a group"},
		{1500, "127.0.0.1/8", stack.ErrInvalidAddr, "loopback"},
		{1500, "127.9.0.1/16", stack.ErrInvalidAddr, "loopback"},
		{1500, "::1/128", stack.ErrInvalidAddr, "loopback"},
		{1500, "0.0.0.0/0", stack.ErrInvalidAddr, "no host"},
		{1500, "0.1.0.1/16", stack.ErrInvalidAddr, "no host"},
		{1500, "::/0", stack.ErrInvalidAddr, "no host"},
		{1500, "240.0.0.1/8", stack.ErrInvalidAddr, "class E"},
		{1500, "::ffff:10.7.0.1/120", stack.ErrInvalidAddr, "to be given as IPv4"},
	} {
		_, err := x.s.AddInterface(stack.InterfaceConfig{MTU: c.mtu, Prefixes: prefixes(c.prefix)})
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("MTU %d, %s: %v; want %v, %q", c.mtu, c.prefix, err, c.want, c.says)
		}
	}
	for _, c := range []struct {
		prefixes []netip.Prefix
		says     string
	}{
		{[]netip.Prefix{{}}, "as 10.1.0.1/24"},
		{prefixes("10.9.0.1/24", "10.9.0.1/16"), "10.9.0.1/16: the address is given twice"},
	} {
		if _, err := x.s.AddInterface(stack.InterfaceConfig{Prefixes: c.prefixes}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v; want %q", c.prefixes, err, c.says)
		}
	}
}

// MUST-49, MUST-48: what the options of Dial and Listen say is on every packet.
func TestHopLimitAndTrafficClass(t *testing.T) {
	cfg := config()
	cfg.HopLimit = 7
	x := newSeat(t, cfg)
	x.s.Dial(x.now, netip.AddrPort{}, mustAP("10.0.0.9:1"), stack.ConnOptions{})
	if o := one(t, "Dial", x.take()); o.ip.HopLimit != 7 || o.ip.TC != 0 {
		t.Errorf("hop limit %d, traffic class %d", o.ip.HopLimit, o.ip.TC)
	}
	opts := stack.ConnOptions{HopLimit: 33, TrafficClass: 0xb8}
	x.s.Dial(x.now, netip.AddrPort{}, mustAP("[2001:db8::9]:1"), opts)
	if o := one(t, "Dial", x.take()); o.ip.HopLimit != 33 || o.ip.TC != 0xb8 {
		t.Errorf("hop limit %d, traffic class %#x", o.ip.HopLimit, o.ip.TC)
	}
	x.s.Listen(local4, 0, stack.ListenOptions{Conn: opts})
	if o := one(t, "a SYN", x.say(peer4, local4, syn(1))); o.ip.HopLimit != 33 || o.ip.TC != 0xb8 {
		t.Errorf("SYN,ACK: hop limit %d, traffic class %#x", o.ip.HopLimit, o.ip.TC)
	}
}
