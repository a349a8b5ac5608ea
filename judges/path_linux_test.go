package judges_test

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// lengths notes the longest packet of each direction, as long as on a wire: of a
// super-segment the pieces count.
type lengths [2]atomic.Int64

func (l *lengths) see(v link.View) {
	n := int64(len(v.Bytes()))
	var ip wire.IP
	if gso := int(v.Packet.GSO); gso > 0 && wire.ParseIP(v.Bytes(), &ip) == wire.FaultNone {
		n = min(n, int64(ip.HeaderLen+wire.TCP(ip.Payload).DataOffset()+gso))
	}
	most := &l[v.Dir]
	for was := most.Load(); was < n; was = most.Load() {
		most.CompareAndSwap(was, n)
	}
}

// want sees to it that full packets went both ways.
func (l *lengths) want(t *testing.T, octets int) {
	t.Helper()
	for dir := range l {
		if n := l[dir].Load(); n != int64(octets) {
			t.Errorf("the longest packet %v has %d octets, want %d", link.Direction(dir), n, octets)
		}
	}
}

// headers is the length of an IP and a TCP header without options.
func (f family) headers() int {
	if f.kernel.Addr().Is6() {
		return 60
	}
	return 40
}

// The kernel has a route with a smaller MTU: it announces the MSS that fits, and vitro keeps
// to it.
func TestKernelRouteMTU(t *testing.T) {
	t.Parallel()
	need(t, "ip")
	eachWay(t, setup{mtu: 9000}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		const mtu = 1400
		var longest lengths
		s.tap = longest.see
		w := newWorld(t, s)
		to := d.vitro.Addr()
		w.run(t, fmt.Sprintf("ip route add %v/%d dev vt0 src %v mtu lock %d advmss %d", to, to.BitLen(), d.kernel.Addr(), mtu, mtu-d.headers()))
		v, k := d.ends(t, vitroSide{w}, kernelSide{w})
		exchange(t, w, v, k, 3_000_000)
		longest.want(t, mtu)
	})
}

// behind is a network behind the kernel, or behind vitro.
var behind = map[string]struct{ router, host netip.Prefix }{
	"IPv4": {netip.MustParsePrefix("10.2.0.1/24"), netip.MustParsePrefix("10.2.0.2/24")},
	"IPv6": {netip.MustParsePrefix("fd01::1/64"), netip.MustParsePrefix("fd01::2/64")},
}

// farKernel makes a second namespace behind the first, which routes to it over a link of a
// smaller MTU than either end has. The far end announces more than the link carries, and
// sends no more.
func farKernel(t *testing.T, w *world, mtu int) kernelSide {
	t.Helper()
	far := netns.ForTest(t)
	var file *os.File
	err := far.Do(func() (err error) { file, err = os.Open("/proc/thread-self/ns/net"); return })
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	there := &world{ns: far, stack: w.stack}
	for _, ns := range []*netns.NS{w.ns, far} { // an address is usable at once
		for _, name := range []string{"ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad"} {
			if err := ns.Sysctl(name, "0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	v4, v6 := behind["IPv4"], behind["IPv6"]
	w.run(t, fmt.Sprintf(`sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		ip link add near type veth peer name far netns /proc/%d/fd/%d
		ip link set near up mtu %d; ip addr add %v dev near; ip addr add %v dev near nodad`,
		os.Getpid(), file.Fd(), mtu, v4.router, v6.router))
	there.run(t, fmt.Sprintf(`ip link set far up mtu 9000; ip addr add %v dev far; ip addr add %v dev far nodad
		ip route add default via %v mtu lock %d advmss %d; ip -6 route add default via %v mtu lock %d advmss %d`,
		v4.host, v6.host, v4.router.Addr(), mtu, 9000-40, v6.router.Addr(), mtu, 9000-60))
	return kernelSide{there}
}

// A router between the two, the kernel, has a link that carries less than either end
// believes: ICMP tells vitro, which sends again in smaller pieces (RFC 1191, RFC 8201).
func TestKernelPathMTU(t *testing.T) {
	t.Parallel()
	need(t, "ip")
	eachWay(t, setup{mtu: 9000}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		const mtu = 1400
		s.routes = []netip.Prefix{behind[d.name].router.Masked()}
		w := newWorld(t, s)
		far := farKernel(t, w, mtu)
		d.kernel = behind[d.name].host
		v, k := d.ends(t, vitroSide{w}, far)
		exchange(t, w, v, k, 3_000_000)
		st, stats := v.Status(), w.stack.Stats()
		if st.PathMTU != mtu || stats.ICMPIn[wire.ICMPPacketTooBig] == 0 || stats.Paths != 1 {
			t.Errorf("vitro believes in %d octets after %d messages", st.PathMTU, stats.ICMPIn[wire.ICMPPacketTooBig])
		}
		// The next connection knows it from the start.
		v, k = d.ends(t, vitroSide{w}, far)
		exchange(t, w, v, k, 3_000_000)
		if now := w.stack.Stats(); now.ICMPIn[wire.ICMPPacketTooBig] != stats.ICMPIn[wire.ICMPPacketTooBig] {
			t.Error("the path is forgotten")
		}
	})
}

// wide is a link whose user believes that it carries more than it does.
type wide struct{ link.Link }

func (wide) MTU() int { return 9000 }

// The router is vitro, and it is the kernel that hears of the MTU, and of a hop limit that
// has run out.
func TestKernelBehindVitro(t *testing.T) {
	t.Parallel()
	need(t, "ip")
	eachWay(t, setup{mtu: 9000, config: vitro.Config{Forward: true}}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		const mtu = 1400
		w := newWorld(t, s)
		b := behind[d.name]
		w.run(t, fmt.Sprintf("ip route add %v dev vt0", b.router.Masked()))
		near, farEnd := link.NewPair(link.PairConfig{MTU: mtu, NoOffload: s.noOffload})
		if err := w.stack.Attach(near, vitro.LinkConfig{Addresses: []netip.Prefix{b.router}}); err != nil {
			t.Fatal(err)
		}
		far, err := vitro.New(vitro.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { far.Close() })
		err = far.Attach(wide{farEnd}, vitro.LinkConfig{Addresses: []netip.Prefix{b.host}, Routes: []netip.Prefix{d.kernel.Masked()}})
		if err != nil {
			t.Fatal(err)
		}
		d.vitro = b.host
		v, k := d.ends(t, vitroSide{&world{stack: far}}, kernelSide{w})
		transfer(t, w, k, v, 3_000_000, 4)
		if st := w.stack.Stats(); st.TooBig == 0 || st.ICMPOut[wire.ICMPPacketTooBig] == 0 || st.Forwarded == 0 {
			t.Errorf("vitro told nobody: %v", w)
		}
		hopLimit(t, w, b.host.Addr())
	})
}

// hopLimit sends an echo request that vitro must not pass on, and one that it must.
func hopLimit(t *testing.T, w *world, to netip.Addr) {
	p := w.ping(t, to)
	exceeded, reply, level, option := byte(11), byte(0), syscall.IPPROTO_IP, syscall.IP_TTL
	if to.Is6() {
		exceeded, reply, level, option = 3, 129, syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	raw, err := p.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for hops, answer := range map[int]byte{1: exceeded, 2: reply} {
		raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), level, option, hops) })
		if err == nil {
			err = p.request(uint16(hops), []byte("how far is it?"))
		}
		if err != nil {
			t.Fatal(err)
		}
		if code, _, err := p.message(answer); code != 0 || err != nil {
			t.Errorf("%d hops: code %d, %v; want type %d, code 0", hops, code, err, answer)
		}
	}
}

// A path that swallows what is longer than 1300 octets, and says nothing, on the way to the kernel:
// vitro finds out (RFC 4821), and the next connection knows it from the start.
func TestKernelBehindABlackHole(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		const mtu = 1300
		var swallowed atomic.Int64
		s.fault = &link.FaultConfig{Rule: func(dir link.Direction, p *wire.Packet) link.Verdict {
			tooLong := dir == link.Out && len(p.Bytes()) > mtu
			if tooLong {
				swallowed.Add(1)
			}
			return link.Verdict{Drop: tooLong}
		}}
		w := newWorld(t, s)
		v, k := d.ends(t, vitroSide{w}, kernelSide{w})
		exchange(t, w, v, k, 3_000_000)
		st := v.Status()
		if st.PathMTU > mtu || st.PathMTU < mtu*9/10 || st.Timeouts < 3 {
			t.Errorf("vitro sends packets of %d octets after %d timeouts", st.PathMTU, st.Timeouts)
		}
		before := swallowed.Load()
		v, k = d.ends(t, vitroSide{w}, kernelSide{w})
		exchange(t, w, v, k, 3_000_000)
		// Timeouts say nothing, since on a machine at work the kernel answers late. A path that is not known
		// swallows the ten packets of the first window; the search that goes on loses some probes.
		if st, n := v.Status(), swallowed.Load()-before; st.PathMTU > mtu || st.PathMTU < mtu*9/10 || n >= 10 {
			t.Errorf("the path is forgotten: %d octets, %d packets swallowed", st.PathMTU, n)
		}
	})
}
