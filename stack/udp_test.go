package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// datagram is a whole packet from port 4000 to port 53.
func datagram(from, to string, data []byte) []byte {
	return datagramOf(netip.AddrPortFrom(netip.MustParseAddr(from), 4000), netip.AddrPortFrom(netip.MustParseAddr(to), 53), data)
}

func datagramOf(from, to netip.AddrPort, data []byte) []byte {
	f := flowOf(from, to)
	b := make([]byte, wire.UDPLen(f.Local, len(data)))
	if wire.PutUDP(b, &f, 0, 9, data, wire.ChecksumNone) == 0 {
		panic("no such datagram")
	}
	return b
}

// listenUDP makes a socket.
func (x *seat) listenUDP(at string, opts stack.UDPOptions) *stack.UDP {
	x.t.Helper()
	u, err := x.s.ListenUDP(mustAP(at), opts)
	if err != nil {
		x.t.Fatalf("ListenUDP(%s): %v", at, err)
	}
	return u
}

func (x *seat) dialUDP(to string) *stack.UDP {
	x.t.Helper()
	u, err := x.s.DialUDP(netip.AddrPort{}, mustAP(to), stack.UDPOptions{})
	if err != nil {
		x.t.Fatalf("DialUDP(%s): %v", to, err)
	}
	return u
}

func receive(u *stack.UDP) string {
	b := make([]byte, 70000)
	d, ok := u.Receive(b)
	if !ok {
		return "nothing"
	}
	return string(b[:d.N])
}

// dataOf is what a datagram that was sent holds, whole or in fragments.
func dataOf(t testing.TB, got []out) (from, to netip.AddrPort, data []byte) {
	t.Helper()
	var r wire.Reassembler
	for i := range got {
		ip := got[i].ip
		if ip.Fragment {
			whole, f := r.Add(1, &ip)
			if f != wire.FaultNone {
				t.Fatalf("a fragment that was sent: %v", f)
			}
			if whole == nil {
				continue
			}
			wire.ParseIP(whole, &ip)
		}
		data, f := wire.ParseUDP(&ip, wire.ChecksumNone)
		if f != wire.FaultNone {
			t.Fatalf("sent: %v", f)
		}
		flow, _ := ip.Flow()
		return flow.RemoteAddrPort(), flow.LocalAddrPort(), data
	}
	t.Fatalf("%d packets hold no datagram", len(got))
	return
}

// Who hears what: sockets on one address, on all of a family, on all, and connected ones.
func TestUDPDemultiplexing(t *testing.T) {
	sent := [][2]string{{"10.0.0.9", "10.0.0.1"}, {"10.0.0.8", "10.0.0.1"}, {"10.0.0.8", "10.1.0.1"}, {"2001:db8::9", "2001:db8::1"}}
	for _, c := range []struct {
		at     string
		v6only bool
		peer   string // of a connected one, from port 4000
		hears  []int  // of sent
	}{
		{"10.0.0.1:53", false, "", []int{0, 1}},
		{"0.0.0.0:53", false, "", []int{0, 1, 2}},
		{"[2001:db8::1]:53", false, "", []int{3}},
		{"[::]:53", true, "", []int{3}},
		{"[::]:53", false, "", []int{0, 1, 2, 3}},
		{"10.0.0.1:53", false, "10.0.0.9:4000", []int{0}},
		{"[2001:db8::1]:53", false, "[2001:db8::9]:4000", []int{3}},
	} {
		x := newSeat(t, config())
		x.link(stack.InterfaceConfig{Prefixes: prefixes("10.1.0.1/24")})
		x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
		var u *stack.UDP
		if c.peer == "" {
			u = x.listenUDP(c.at, stack.UDPOptions{V6Only: c.v6only})
		} else {
			var err error
			if u, err = x.s.DialUDP(mustAP(c.at), mustAP(c.peer), stack.UDPOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range sent {
			what := fmt.Sprintf("on %s (peer %q), from %s to %s", c.at, c.peer, p[0], p[1])
			answers := x.put(datagram(p[0], p[1], []byte(p[0])))
			hears := slices.Contains(c.hears, i)
			b := make([]byte, 99)
			d, ok := u.Receive(b)
			if ok != hears {
				t.Errorf("%s: heard %v; want %v", what, ok, hears)
			}
			if !ok {
				// RFC 1122 section 4.1.3.1.
				if o := one(t, what, answers); o.icmp.Kind != wire.ICMPUnreachable || o.icmp.Code != map[bool]uint8{false: 3, true: 4}[o.ip.V6] {
					t.Errorf("%s: answered by %+v", what, o.icmp)
				}
				continue
			}
			none(t, what, answers)
			if d.From.String() != netip.AddrPortFrom(netip.MustParseAddr(p[0]), 4000).String() || d.To.String() != p[1] || string(b[:d.N]) != p[0] || d.Len != len(p[0]) {
				t.Errorf("%s: %+v, %q", what, d, b[:d.N])
			}
		}
		u.Close()
		one(t, "after Close", x.put(datagram("10.0.0.9", "10.0.0.1", nil)))
	}
}

// Two sockets never have an address and port in common, as with Linux without SO_REUSEADDR.
func TestUDPConflicts(t *testing.T) {
	type at struct {
		addr   string
		v6only bool
	}
	all := []at{{"10.0.0.1:53", false}, {"0.0.0.0:53", false}, {"[2001:db8::1]:53", false}, {"[::]:53", true}, {"[::]:53", false}, {"127.0.0.1:53", false}, {"10.0.0.1:54", false}}
	common := map[[2]int]bool{{0, 1}: true, {0, 4}: true, {1, 4}: true, {1, 5}: true, {2, 3}: true, {2, 4}: true, {3, 4}: true, {4, 5}: true}
	for i, a := range all {
		for j, b := range all {
			x := newSeat(t, config())
			first := x.listenUDP(a.addr, stack.UDPOptions{V6Only: a.v6only})
			_, err := x.s.ListenUDP(mustAP(b.addr), stack.UDPOptions{V6Only: b.v6only})
			want := i == j || common[[2]int{min(i, j), max(i, j)}]
			if (err == stack.ErrAddrInUse) != want || err != nil && !want {
				t.Errorf("%+v beside %+v: %v", b, a, err)
			}
			first.Close()
			if want {
				x.listenUDP(b.addr, stack.UDPOptions{V6Only: b.v6only})
			}
			if got, w := x.s.Stats().UDPSockets, 1; got != w {
				t.Errorf("%d sockets are left; want %d", got, w)
			}
		}
	}
	x := newSeat(t, config())
	x.listenUDP("10.0.0.1:53", stack.UDPOptions{})
	if _, err := x.s.DialUDP(mustAP("10.0.0.1:53"), mustAP("10.0.0.9:4000"), stack.UDPOptions{}); err != stack.ErrAddrInUse {
		t.Errorf("a connected socket beside another: %v", err)
	}
	for what, c := range map[string]struct {
		local, remote string
		want          error
	}{
		"an address that is not ours":  {"10.0.0.7:1", "10.0.0.9:1", stack.ErrAddrNotAvailable},
		"another family":               {"[2001:db8::1]:1", "10.0.0.9:1", stack.ErrInvalidAddr},
		"no route":                     {"", "192.0.2.9:1", stack.ErrNoRoute},
		"a group":                      {"", "224.0.0.1:1", stack.ErrMulticast},
		"a group of IPv6":              {"", "[ff02::1]:1", stack.ErrMulticast},
		"a broadcast":                  {"", "10.0.0.255:1", stack.ErrMulticast},
		"from the inside to elsewhere": {"127.0.0.1:1", "10.0.0.9:1", stack.ErrInvalidAddr},
		"nobody":                       {"", "0.0.0.0:1", stack.ErrInvalidAddr},
	} {
		var local netip.AddrPort
		if c.local != "" {
			local = mustAP(c.local)
		}
		if _, err := x.s.DialUDP(local, mustAP(c.remote), stack.UDPOptions{}); err != c.want {
			t.Errorf("DialUDP, %s: %v; want %v", what, err, c.want)
		}
	}
	for at, want := range map[string]error{"224.0.0.1:1": stack.ErrMulticast, "[ff02::1]:1": stack.ErrMulticast, "10.0.0.7:1": stack.ErrAddrNotAvailable, "10.0.0.255:1": stack.ErrMulticast} {
		if _, err := x.s.ListenUDP(mustAP(at), stack.UDPOptions{}); err != want {
			t.Errorf("ListenUDP(%s): %v; want %v", at, err, want)
		}
	}
	if !errors.Is(stack.ErrMulticast, errors.ErrUnsupported) || errors.Is(stack.ErrLimit, errors.ErrUnsupported) {
		t.Error("what is errors.ErrUnsupported")
	}
}

// RFC 6056 section 3.3.1: ports are chosen at random in the range, all of it, and never one that is
// taken.
func TestUDPPorts(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50099
	x := newSeat(t, cfg)
	taken := map[uint16]bool{}
	var socks []*stack.UDP
	inRow := 0
	for i := range 100 {
		at := []string{"10.0.0.1:0", "0.0.0.0:0", "[::]:0", "[2001:db8::1]:0"}[i%4]
		u := x.listenUDP(at, stack.UDPOptions{})
		port := u.Local().Port()
		if port < 50000 || port > 50099 || taken[port] {
			t.Fatalf("socket %d gets port %d", i, port)
		}
		if i < 50 && taken[port-1] {
			inRow++
		}
		taken[port] = true
		socks = append(socks, u)
	}
	if inRow > 35 {
		t.Errorf("%d of the first 50 ports follow another that is taken: they can be guessed", inRow)
	}
	if _, err := x.s.DialUDP(netip.AddrPort{}, mustAP("10.0.0.9:1"), stack.UDPOptions{}); err != stack.ErrNoPorts {
		t.Errorf("beyond all ports: %v", err)
	}
	socks[37].Close()
	if u := x.dialUDP("10.0.0.9:1"); u.Local().Port() != socks[37].Local().Port() {
		t.Errorf("the one that is free is %d, and %d was given", socks[37].Local().Port(), u.Local().Port())
	}
}

// What Send makes: whole datagrams with the address of the route, or an error, and nothing then.
func TestUDPSend(t *testing.T) {
	x := newSeat(t, config())
	x.link(stack.InterfaceConfig{MTU: 1300, Prefixes: prefixes("10.1.0.1/24")})
	dual, v4, v6 := x.listenUDP("[::]:53", stack.UDPOptions{}), x.listenUDP("10.0.0.1:54", stack.UDPOptions{}), x.listenUDP("[::]:55", stack.UDPOptions{V6Only: true})
	for _, c := range []struct {
		u          *stack.UDP
		to, source string
		size       int
	}{
		{dual, "10.0.0.9:4000", "10.0.0.1:53", 0}, {dual, "10.1.0.9:4000", "10.1.0.1:53", 1}, {dual, "[2001:db8::9]:4000", "[2001:db8::1]:53", 1400},
		{v4, "10.0.0.9:4000", "10.0.0.1:54", 1472}, {v4, "10.0.0.9:4000", "10.0.0.1:54", 1473}, {v4, "10.1.0.9:4000", "10.0.0.1:54", 1273},
		{v6, "[2001:db8::9]:4000", "[2001:db8::1]:55", 1452}, {v6, "[2001:db8::9]:4000", "[2001:db8::1]:55", 1453}, {dual, "10.0.0.9:4000", "10.0.0.1:53", 65507},
		{dual, "[2001:db8::9]:4000", "[2001:db8::1]:53", 65527},
	} {
		data := bytes.Repeat([]byte("abc"), c.size)[:c.size]
		if err := c.u.Send(x.now, mustAP(c.to), data); err != nil {
			t.Errorf("%d octets to %s: %v", c.size, c.to, err)
			continue
		}
		got := x.take()
		from, to, sent := dataOf(t, got)
		if from.String() != c.source || to.String() != c.to || !bytes.Equal(sent, data) {
			t.Errorf("%d octets to %s are %d from %v to %v", c.size, c.to, len(sent), from, to)
		}
		mtu := 1500
		if c.to == "10.1.0.9:4000" {
			mtu = 1300
		}
		for _, o := range got {
			if len(o.raw) > mtu {
				t.Errorf("a packet of %d octets over a link of %d", len(o.raw), mtu)
			}
			if o.ip.HopLimit != 64 {
				t.Errorf("hop limit %d", o.ip.HopLimit)
			}
			if !o.ip.V6 && o.ip.DontFragment == o.ip.Fragment {
				t.Errorf("a packet of %d octets: DF is %v", len(o.raw), o.ip.DontFragment)
			}
		}
	}
	dual.SetHopLimit(3)
	dual.SetTrafficClass(0xb8)
	dual.Send(x.now, mustAP("10.0.0.9:1"), nil)
	if o := one(t, "Send", x.take()); o.ip.HopLimit != 3 || o.ip.TC != 0xb8 {
		t.Errorf("hop limit %d, traffic class %x", o.ip.HopLimit, o.ip.TC)
	}
	big := make([]byte, 65528)
	for what, c := range map[string]struct {
		u    *stack.UDP
		to   string
		data []byte
		want error
	}{
		"too long":                    {dual, "10.0.0.9:1", big[:65508], stack.ErrTooLong},
		"too long for IPv6":           {dual, "[2001:db8::9]:1", big, stack.ErrTooLong},
		"nowhere":                     {dual, "", nil, stack.ErrNoDestination},
		"port 0":                      {dual, "10.0.0.9:0", nil, stack.ErrInvalidAddr},
		"a group":                     {dual, "224.0.0.1:1", nil, stack.ErrMulticast},
		"all":                         {dual, "255.255.255.255:1", nil, stack.ErrMulticast},
		"no route":                    {dual, "192.0.2.1:1", nil, stack.ErrNoRoute},
		"IPv6 from a socket of IPv4":  {v4, "[2001:db8::9]:1", nil, stack.ErrInvalidAddr},
		"IPv4 from one of IPv6 alone": {v6, "10.0.0.9:1", nil, stack.ErrNoRoute},
		"elsewhere from the inside":   {x.listenUDP("127.0.0.1:60", stack.UDPOptions{}), "10.0.0.9:1", nil, stack.ErrInvalidAddr},
		"a group from another socket": {v6, "[ff02::1]:1", nil, stack.ErrMulticast},
		"the broadcast of a subnet":   {v4, "10.1.0.255:1", nil, stack.ErrMulticast},
	} {
		var to netip.AddrPort
		if c.to != "" {
			to = mustAP(c.to)
		}
		if err := c.u.Send(x.now, to, c.data); err != c.want {
			t.Errorf("%s: %v; want %v", what, err, c.want)
		}
		none(t, what, x.take())
	}
	// To itself: 0.0.0.0 and :: mean this host.
	for _, to := range []string{"127.0.0.1:53", "10.0.0.1:53", "0.0.0.0:53", "[::]:53", "[::1]:53", "[2001:db8::1]:53"} {
		if err := dual.Send(x.now, mustAP(to), []byte(to)); err != nil {
			t.Errorf("to itself at %s: %v", to, err)
		}
		none(t, "what it sends itself", x.take())
		if got := receive(dual); got != to {
			t.Errorf("from itself at %s: %s", to, got)
		}
	}
	x.s.RemoveInterface(1)
	if err := v4.Send(x.now, mustAP("10.1.0.9:1"), nil); err != stack.ErrNoRoute {
		t.Errorf("from an address that is gone: %v", err)
	}
}

// Fragments on the way in, and a datagram that is damaged: RFC 1122 section 4.1.3.4, "UDP MUST
// silently discard the datagram".
func TestUDPArrives(t *testing.T) {
	for _, c := range [][2]string{{"10.0.0.9", "10.0.0.1"}, {"2001:db8::9", "2001:db8::1"}} {
		x, y := newSeat(t, config()), newSeat(t, config())
		u := x.listenUDP("[::]:53", stack.UDPOptions{})
		// y cuts what it sends: its packets with source and destination exchanged.
		v := y.listenUDP("[::]:53", stack.UDPOptions{})
		for _, size := range []int{1473, 3000, 65507} {
			data := bytes.Repeat([]byte{byte(size), 7, 9}, size/3+1)[:size]
			v.Send(y.now, netip.AddrPortFrom(netip.MustParseAddr(c[0]), 53), data)
			cut := y.take()
			if len(cut) < 2 {
				t.Fatalf("%d octets in %d packets", size, len(cut))
			}
			for i := range cut { // the last first
				b := bytes.Clone(cut[len(cut)-1-i].raw)
				turn(b, wire.Addr{})
				none(t, "a fragment", x.put(b))
			}
			if got := receive(u); got != string(data) {
				t.Errorf("%d octets arrive as %d", size, len(got))
			}
		}
		b := datagram(c[0], c[1], []byte("data"))
		b[len(b)-1] ^= 1
		none(t, "a damaged datagram", x.put(b))
		if got := receive(u); got != "nothing" || x.s.Stats().Faults[wire.FaultUDPChecksum] != 1 {
			t.Errorf("a damaged datagram is read as %q, %v", got, x.s.Stats().Faults)
		}
		unsummed := datagram(c[0], c[1], []byte("data"))
		unsummed[len(unsummed)-6], unsummed[len(unsummed)-5] = 0, 0
		none(t, "one without a checksum", x.put(unsummed))
		want := map[bool]string{false: "data", true: "nothing"}[netip.MustParseAddr(c[0]).Is6()]
		if got := receive(u); got != want {
			t.Errorf("from %s, one without a checksum is read as %q; want %q", c[0], got, want)
		}
		if x.s.Stats().UDPBuffers != 0 {
			t.Errorf("%d octets of memory are left", x.s.Stats().UDPBuffers)
		}
	}
}

// What ICMP says becomes an error of the connected socket, once, and of no other: RFC 1122 section
// 4.1.3.3; to a socket with many destinations Linux tells nothing either.
func TestUDPErrors(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		router, to, peer, other := "10.0.0.254", "10.0.0.1", "10.0.0.9:4000", "10.0.0.8:4000"
		port, host := uint8(wire.ICMPv4PortUnreachable), uint8(wire.ICMPv4HostUnreachable)
		if v6 {
			router, to, peer, other = "2001:db8::254", "2001:db8::1", "[2001:db8::9]:4000", "[2001:db8::8]:4000"
			port, host = wire.ICMPv6PortUnreachable, wire.ICMPv6AddressUnreachable
		}
		x := newSeat(t, config())
		n := &notes{}
		u, err := x.s.DialUDP(netip.AddrPort{}, mustAP(peer), stack.UDPOptions{Watcher: n})
		if err != nil {
			t.Fatal(err)
		}
		many := x.listenUDP("[::]:53", stack.UDPOptions{})
		u.Send(x.now, netip.AddrPort{}, []byte("hello"))
		sent := one(t, "Send", x.take()).raw
		for _, c := range []struct {
			m    wire.ICMPMessage
			want tcp.SoftReason
		}{
			{wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: port}, tcp.PortUnreachable},
			{wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: host}, tcp.HostUnreachable},
			{wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: 0}, tcp.NetUnreachable},
			{wire.ICMPMessage{Kind: wire.ICMPTimeExceeded}, tcp.TimeExceeded},
			{wire.ICMPMessage{Kind: wire.ICMPParameterProblem}, tcp.ParameterProblem},
		} {
			n.got = 0
			c.m.Body = sent
			if !v6 {
				c.m.Body = sent[:28] // as little as RFC 792 asks for
			}
			x.put(icmp(router, to, c.m))
			e, ok := u.TakeError()
			if !ok || e.Soft.Reason != c.want || e.MTU != 0 {
				t.Errorf("IPv6 %v, %+v: %v, %+v", v6, c.m.Kind, ok, e)
			}
			if n.got&tcp.SignalReadable == 0 || n.got&tcp.SignalWritable == 0 {
				t.Errorf("IPv6 %v, %+v: those that wait are told %v", v6, c.m.Kind, n.got)
			}
			if _, ok := u.TakeError(); ok {
				t.Error("an error is told twice")
			}
		}
		// Of another peer, another port, another socket.
		for what, b := range map[string][]byte{
			"another peer":   datagramOf(u.Local(), mustAP(other), nil),
			"another port":   datagramOf(netip.AddrPortFrom(u.Local().Addr(), u.Local().Port()-1), mustAP(peer), nil),
			"another socket": datagramOf(netip.AddrPortFrom(u.Local().Addr(), 53), mustAP(peer), nil),
		} {
			ignored := x.s.Stats().ICMPIgnored
			x.put(icmp(router, to, wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: port, Body: b}))
			if _, ok := u.TakeError(); ok || x.s.Stats().ICMPIgnored != ignored+1 {
				t.Errorf("an error about %s is told", what)
			}
			if _, ok := many.TakeError(); ok {
				t.Errorf("an error about %s is told to a socket that is not connected", what)
			}
		}
	}
}

// Packet too big: RFC 1191, RFC 8201. What has been sent is lost, a connected socket is told, and
// what follows goes in fragments that fit, for ten minutes. It must be about what was sent.
func TestUDPPathMTU(t *testing.T) {
	for _, c := range []struct {
		router, to, peer string
		claim            uint32
		size             int // of a packet that is told of
		want             int // what the longest packet has then
	}{
		{"10.0.0.254", "10.0.0.1", "10.0.0.9:4000", 1300, 1500, 1300},
		{"10.0.0.254", "10.0.0.1", "10.0.0.9:4000", 0, 1500, 1492}, // RFC 1191 section 7.1
		{"10.0.0.254", "10.0.0.1", "10.0.0.9:4000", 68, 1500, 572}, // 576, in units of 8 octets
		{"10.0.0.254", "10.0.0.1", "10.0.0.9:4000", 1500, 1500, 1500},
		{"2001:db8::254", "2001:db8::1", "[2001:db8::9]:4000", 1300, 1500, 1296},
		{"2001:db8::254", "2001:db8::1", "[2001:db8::9]:4000", 1279, 1500, 1500},
	} {
		for _, connected := range []bool{true, false} {
			x := newSeat(t, config())
			peer := mustAP(c.peer)
			var u *stack.UDP
			var to netip.AddrPort
			if connected {
				u = x.dialUDP(c.peer)
			} else {
				u, to = x.listenUDP("[::]:53", stack.UDPOptions{}), peer
			}
			data := make([]byte, c.size-28)
			if !peer.Addr().Is4() {
				data = data[:c.size-48]
			}
			u.Send(x.now, to, data)
			sent := one(t, "a datagram", x.take()).raw
			forged := bytes.Clone(sent[:len(sent)-1]) // a length that was never sent
			if peer.Addr().Is4() {
				wire.IPv4(forged).SetTotalLen(uint16(len(forged)))
			} else {
				wire.IPv6(forged).SetPayloadLen(uint16(len(forged) - 40))
			}
			for _, b := range [][]byte{forged, sent} {
				x.put(icmp(c.router, c.to, wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: c.claim, Body: b}))
				e, told := u.TakeError()
				want := connected && c.want < c.size && len(b) == c.size
				if told != want || want && (e.MTU < c.want || e.MTU > c.want+7) {
					t.Errorf("%+v, connected %v, a quote of %d octets: told %v, %+v", c, connected, len(b), told, e)
				}
				u.Send(x.now, to, data)
				longest := 0
				got := x.take()
				for _, o := range got {
					longest = max(longest, len(o.raw))
				}
				if w := map[bool]int{true: c.want, false: c.size}[len(b) == c.size]; longest != w {
					t.Errorf("%+v, connected %v, after a quote of %d octets packets have %d; want %d", c, connected, len(b), longest, w)
				}
				if _, _, back := dataOf(t, got); len(back) != len(data) {
					t.Errorf("%+v: %d octets", c, len(back))
				}
			}
			// TCP, which knows better what was in flight, does not believe it (RFC 5927 section 7).
			if n := x.s.Stats().Paths; n != 0 {
				t.Errorf("%+v: %d paths are known to TCP", c, n)
			}
			x.now = x.now.Add(11 * time.Minute)
			u.Send(x.now, to, data)
			one(t, "a datagram ten minutes later", x.take())
		}
	}
}

// ATTACKS: forged packet-too-big for UDP. Who has not seen what was sent must know its sockets and its
// length; of what never was longer than every path's least nothing is believed.
func TestForgedPacketTooBigForUDP(t *testing.T) {
	x := newSeat(t, config())
	u := x.dialUDP("10.0.0.9:4000")
	u.Send(x.now, netip.AddrPort{}, make([]byte, 500))
	x.take()
	for size := 28; size < 1500; size++ {
		b := datagramOf(u.Local(), u.Remote(), make([]byte, size-28))
		x.put(icmp("10.0.0.254", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPPacketTooBig, MTU: 68, Body: b}))
	}
	if _, told := u.TakeError(); told {
		t.Error("a forged message is told")
	}
	u.Send(x.now, netip.AddrPort{}, make([]byte, 1400))
	one(t, "a datagram after a forged message", x.take())
}

// ATTACKS: queue memory. What nobody reads is bounded, in a socket and in all together, by the memory
// it takes and not by its octets; and it is given back.
func TestUDPQueuesAreBounded(t *testing.T) {
	cfg := config()
	cfg.MaxUDPBuffers = 1 << 20
	x := newSeat(t, cfg)
	var socks []*stack.UDP
	for i := range 20 {
		socks = append(socks, x.listenUDP(fmt.Sprintf("10.0.0.1:%d", 100+i), stack.UDPOptions{}))
	}
	flood := func(port uint16, size int) {
		b := datagramOf(peer4, netip.AddrPortFrom(local4.Addr(), port), make([]byte, size))
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: b})
	}
	for _, size := range []int{0, 1, 300, 1472} {
		socks[0].Close()
		socks[0] = x.listenUDP("10.0.0.1:100", stack.UDPOptions{})
		for range 5000 {
			flood(100, size)
		}
		if got := x.s.Stats().UDPBuffers; got > stack.DefaultUDPBuffer || got < stack.DefaultUDPBuffer*9/10 {
			t.Errorf("datagrams of %d octets fill %d octets of memory of %d", size, got, stack.DefaultUDPBuffer)
		}
		n := 0
		for b := make([]byte, 2000); ; n++ {
			if _, ok := socks[0].Receive(b); !ok {
				break
			}
		}
		if n < 100 {
			t.Errorf("%d datagrams of %d octets were kept", n, size)
		}
	}
	dropped := x.s.Stats().DatagramsDropped
	for i := range socks {
		for range 1000 {
			flood(uint16(100+i), 1000)
		}
	}
	st := x.s.Stats()
	if st.UDPBuffers > 1<<20 || st.UDPBuffers < 1<<20*9/10 {
		t.Errorf("all sockets hold %d octets of %d", st.UDPBuffers, 1<<20)
	}
	if st.DatagramsDropped == dropped {
		t.Error("nothing is counted as dropped")
	}
	for _, u := range socks {
		u.Close()
	}
	if st := x.s.Stats(); st.UDPBuffers != 0 || st.UDPSockets != 0 {
		t.Errorf("left over: %d octets, %d sockets", st.UDPBuffers, st.UDPSockets)
	}
	// One datagram always has room, however small the buffer.
	u := x.listenUDP("10.0.0.1:100", stack.UDPOptions{})
	u.SetReceiveBuffer(1)
	flood(100, 1400)
	flood(100, 1400)
	if a, b := receive(u), receive(u); len(a) != 1400 || b != "nothing" {
		t.Errorf("a small buffer gives %d octets, then %d", len(a), len(b))
	}
}

// ATTACKS: many sockets.
func TestMaxUDPSockets(t *testing.T) {
	cfg := config()
	cfg.MaxUDPSockets = 10
	x := newSeat(t, cfg)
	for range 10 {
		x.dialUDP("10.0.0.9:53")
	}
	if _, err := x.s.ListenUDP(mustAP("0.0.0.0:0"), stack.UDPOptions{}); err != stack.ErrLimit {
		t.Errorf("ListenUDP beyond MaxUDPSockets: %v", err)
	}
	if _, err := x.s.DialUDP(netip.AddrPort{}, mustAP("10.0.0.9:53"), stack.UDPOptions{}); err != stack.ErrLimit {
		t.Errorf("DialUDP beyond MaxUDPSockets: %v", err)
	}
}

// Who sends faster than packets are taken waits: first for its own share, then for that of all
// sockets, and answers still have room.
func TestUDPSendBuffer(t *testing.T) {
	x := newSeat(t, config())
	var n [3]notes
	var u [3]*stack.UDP
	for i := range u {
		u[i], _ = x.s.DialUDP(netip.AddrPort{}, mustAP("10.0.0.9:53"), stack.UDPOptions{Watcher: &n[i]})
	}
	fill := func(u *stack.UDP) (octets int) {
		for {
			switch err := u.Send(x.now, netip.AddrPort{}, make([]byte, 1000)); err {
			case nil:
				octets += 1028
			case stack.ErrFull:
				return octets
			default:
				t.Fatal(err)
			}
		}
	}
	a, b, c := fill(u[0]), fill(u[1]), fill(u[2])
	if a < 250_000 || a > 256<<10 || b < 250_000 || b > 256<<10 {
		t.Errorf("sockets fill %d and %d octets of 256 KiB each", a, b)
	}
	if a+b+c > 512<<10 {
		t.Errorf("all sockets fill %d octets of half of 1 MiB", a+b+c)
	}
	if o := len(x.put(icmp("10.0.0.9", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPEchoRequest}))); o < 500 {
		t.Errorf("%d packets are sent", o)
	}
	if x.s.Stats().ICMPOut[wire.ICMPEchoReply] != 1 || x.s.Stats().QueueFull != 0 {
		t.Error("an echo has found no room beside datagrams")
	}
	for i := range u {
		if n[i].got&tcp.SignalWritable == 0 || u[i].Blocked() {
			t.Errorf("socket %d is not told that there is room", i)
		}
		if got := fill(u[i]); i == 0 && got != a {
			t.Errorf("then it fills %d octets; want %d again", got, a)
		}
	}
	u[0].SetSendBuffer(1)
	x.take()
	if err := u[0].Send(x.now, netip.AddrPort{}, make([]byte, 60000)); err != nil {
		t.Errorf("the first datagram beyond a small send buffer: %v", err)
	}
}

// In steady state a datagram allocates nothing, in or out, nor does a flood that nobody hears.
func TestUDPAllocatesNothing(t *testing.T) {
	x := newSeat(t, config())
	u := x.listenUDP("[::]:53", stack.UDPOptions{})
	for _, size := range []int{1, 1400, 8000} {
		in := datagram("10.0.0.9", "10.0.0.1", make([]byte, min(size, 1400)))
		unheard := datagramOf(peer4, netip.AddrPortFrom(local4.Addr(), 9), make([]byte, 100))
		data, b := make([]byte, size), make([]byte, 9000)
		p, q := wire.Packet{Buf: in}, wire.Packet{Buf: unheard}
		to := mustAP("10.0.0.9:4000")
		round := func() {
			x.now = x.now.Add(time.Second)
			x.s.Arrive(x.now, 1, &p)
			x.s.Arrive(x.now, 1, &q)
			if _, ok := u.Receive(b); !ok {
				t.Fatal("nothing has arrived")
			}
			if err := u.Send(x.now, to, data); err != nil {
				t.Fatal(err)
			}
			for more := true; more; {
				more = x.s.Output(x.now, &x.batch)
				x.batch.Reset()
			}
		}
		for range 600 {
			round()
		}
		if n := testing.AllocsPerRun(500, round); n != 0 {
			t.Errorf("%d octets: %v allocations a datagram each way", size, n)
		}
	}
}
