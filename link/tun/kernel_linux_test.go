package tun

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// The kernel is the judge of these tests: a TUN in a namespace of the test's own.

// limit is how long a test waits for the kernel before it calls it silent.
const limit = 10 * time.Second

var both = []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("fd00::1/64")}

func open(t *testing.T, ns *netns.NS, c Config) *Device {
	t.Helper()
	var d *Device
	if err := ns.Do(func() (err error) { d, err = Open(c); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// receiverFunc is a receiver that is called for each packet.
type receiverFunc func(p *wire.Packet)

func (f receiverFunc) Receive(batch []wire.Packet) {
	for i := range batch {
		f(&batch[i])
	}
}

// run runs a command in the namespace.
func run(t *testing.T, ns *netns.NS, command string) string {
	t.Helper()
	out, err := ns.Output(exec.Command("sh", "-c", command))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// echo answers pings on the device, whoever is asked.
func echo(d *Device) receiverFunc {
	return func(p *wire.Packet) {
		var ip wire.IP
		if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || len(ip.Payload) < wire.ICMPHeaderLen {
			return
		}
		m := wire.ICMP(ip.Payload)
		switch {
		case ip.Proto == wire.ProtoICMP && m.Type() == 8:
			m.SetType(0)
			m.SetChecksum(0)
			m.SetChecksum(inet(m))
			wire.IPv4(p.Bytes()).SetSrc(ip.Dst)
			wire.IPv4(p.Bytes()).SetDst(ip.Src)
		case ip.Proto == wire.ProtoICMPv6 && m.Type() == 128:
			m.SetType(129)
			m.SetChecksum(wire.PseudoSum(&ip.Dst, &ip.Src, wire.ProtoICMPv6, len(m)))
			p.Sum = wire.ChecksumPartial
			wire.IPv6(p.Bytes()).SetSrc(ip.Dst)
			wire.IPv6(p.Bytes()).SetDst(ip.Src)
		default:
			return
		}
		d.Send([]wire.Packet{*p})
	}
}

// ping pings from the namespace with a raw socket and returns an error if nothing answers.
func ping(ns *netns.NS, network, to string, request []byte, reply byte) error {
	var c net.Conn
	if err := ns.Do(func() (err error) { c, err = net.Dial(network, to); return }); err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write(request); err != nil {
		return err
	}
	b := make([]byte, 2000)
	for {
		n, _, err := c.(*net.IPConn).ReadFrom(b) // unlike Read, without the IPv4 header
		if err != nil {
			return err
		}
		if n == len(request) && b[0] == reply && bytes.Equal(b[4:n], request[4:]) {
			return nil
		}
	}
}

func TestKernelPings(t *testing.T) {
	for _, c := range []Config{{Name: "vt0", Addrs: both}, {Name: "vt0", Addrs: both, NoOffload: true}, {Addrs: both, Queues: 2}} {
		t.Run(fmt.Sprintf("NoOffload=%v,Queues=%d", c.NoOffload, c.Queues), func(t *testing.T) {
			ns := netns.ForTest(t)
			d := open(t, ns, c)
			if err := d.Attach(echo(d)); err != nil {
				t.Fatal(err)
			}
			v4 := append([]byte{8, 0, 0, 0, 0, 77, 0, 1}, text(56)...)
			binary.BigEndian.PutUint16(v4[2:], inet(v4))
			if err := ping(ns, "ip4:icmp", "10.1.0.2", v4, 0); err != nil {
				t.Errorf("IPv4: %v; %+v", err, d.Stats())
			}
			if c.NoOffload {
				return // the responder leaves the sum of IPv6 to the link
			}
			v6 := append([]byte{128, 0, 0, 0, 0, 77, 0, 1}, text(56)...)
			if err := ping(ns, "ip6:ipv6-icmp", "fd00::2", v6, 129); err != nil {
				t.Errorf("IPv6: %v; %+v", err, d.Stats())
			}
		})
	}
}

func TestKernelSendsUDP(t *testing.T) {
	for _, noOffload := range []bool{false, true} {
		ns := netns.ForTest(t)
		d := open(t, ns, Config{Addrs: both, NoOffload: noOffload})
		type datagram struct {
			text string
			sum  wire.Checksum
			good bool
		}
		got := make(chan datagram, 100)
		d.Attach(receiverFunc(func(p *wire.Packet) {
			var ip wire.IP
			if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoUDP || p.Head < wire.Headroom {
				return
			}
			u := wire.UDP(ip.Payload)
			if u.DstPort() == 7 {
				sum := wire.PseudoSum(&ip.Src, &ip.Dst, wire.ProtoUDP, len(u))
				good := p.Sum == wire.ChecksumPartial && u.Checksum() == sum || p.Sum != wire.ChecksumPartial && wire.Sum(sum, u) == 0xffff
				got <- datagram{string(u[8:]), p.Sum, good}
			}
		}))
		for _, to := range []string{"10.1.0.2:7", "[fd00::2]:7"} {
			var c net.Conn
			if err := ns.Do(func() (err error) { c, err = net.Dial("udp", to); return }); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, "hello")
			c.Close()
			select {
			case g := <-got:
				if g.text != "hello" || !g.good || noOffload == (g.sum == wire.ChecksumPartial) {
					t.Errorf("%s: %+v", to, g)
				}
			case <-time.After(limit):
				t.Errorf("%s: nothing arrived", to)
			}
		}
	}
}

// goroutines returns the stacks of goroutines of this package's readers.
func goroutines() (n int) {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), ".(*Device).read(")
}

func TestCloseWakesTheReader(t *testing.T) {
	ns := netns.ForTest(t)
	for range 20 {
		d := open(t, ns, Config{Name: "vt0", Addrs: both, Queues: 3})
		if goroutines() != 0 {
			t.Fatal("a goroutine before Attach")
		}
		if err := d.Attach(echo(d)); err != nil {
			t.Fatal(err)
		}
		if err := d.Attach(echo(d)); !errors.Is(err, link.ErrAttached) {
			t.Errorf("second Attach: %v", err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { d.Close() })
		}
		wg.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if n := goroutines(); n != 0 {
			t.Fatalf("%d readers after Close", n)
		}
		p := tcpPacket(flow4, wire.Segment{Flags: wire.SYN}, wire.ChecksumNone)
		if err := d.Send([]wire.Packet{p}); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		if err := d.Attach(echo(d)); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Attach: %v", err)
		}
		if err := d.Err(); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Err: %v", err)
		}
		if out, err := ns.Output(exec.Command("ip", "link", "show", "vt0")); err == nil {
			t.Fatalf("the interface is still there: %s", out)
		}
	}
}

func TestInterfaceIsSetUp(t *testing.T) {
	ns := netns.ForTest(t)
	for _, mtu := range []int{0, 1280, 1500, 9000, 65535} {
		d := open(t, ns, Config{Name: "vt%d", MTU: mtu, Addrs: both,
			Routes: []netip.Prefix{netip.MustParsePrefix("10.77.1.0/16"), netip.MustParsePrefix("fd77::/32"), netip.MustParsePrefix("0.0.0.0/0")}})
		want := mtu
		if want == 0 {
			want = 1500
		}
		if d.MTU() != want || d.Name() != "vt0" {
			t.Errorf("MTU %d of %s, want %d of vt0", d.MTU(), d.Name(), want)
		}
		out := run(t, ns, "ip addr show vt0; ip route; ip -6 route")
		for _, s := range []string{
			fmt.Sprintf("mtu %d", want), "UP", "inet 10.1.0.1/24", "inet6 fd00::1/64",
			"10.77.0.0/16 dev vt0", "fd77::/32 dev vt0", "default dev vt0",
		} {
			if !strings.Contains(out, s) {
				t.Errorf("no %q in:\n%s", s, out)
			}
		}
		for line := range strings.Lines(out) { // the kernel's own fe80:: address may be tentative yet
			if strings.Contains(line, "fd00::1/64") && (strings.Contains(line, "tentative") || !strings.Contains(line, "nodad")) {
				t.Errorf("the IPv6 address is not usable at once:\n%s", out)
			}
		}
		d.Close()
	}
}

func TestPersistentInterface(t *testing.T) {
	ns := netns.ForTest(t)
	run(t, ns, "ip tuntap add dev old mode tun && ip addr add 10.1.0.1/24 dev old && ip link set old up mtu 1400 && "+
		"ip tuntap add dev many mode tun multi_queue && ip tuntap add dev tap mode tap")
	d := open(t, ns, Config{Name: "old"})
	if d.MTU() != 1400 || d.Offload().MaxSuper == 0 {
		t.Errorf("MTU %d, %+v", d.MTU(), d.Offload())
	}
	var err error
	fails := func(c Config, wrapped error, says string) {
		t.Helper()
		ns.Do(func() error { _, err = Open(c); return nil })
		if !errors.Is(err, wrapped) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	fails(Config{Name: "old"}, unix.EBUSY, "another program has it open")
	fails(Config{Name: "lo"}, unix.EINVAL, "not a TUN")
	fails(Config{Name: "tap"}, unix.EINVAL, "not a TUN")
	d.Close()
	fails(Config{Name: "old", Queues: 2}, unix.EINVAL, "one queue")
	d = open(t, ns, Config{Name: "many"}) // one queue of an interface made for several
	d.Close()
	d = open(t, ns, Config{Name: "many", Queues: 4})
	d.Close()
	run(t, ns, "ip link show old && ip link show many") // both are still there
}

func TestErrorsSayTheNextStep(t *testing.T) {
	ns := netns.ForTest(t)
	run(t, ns, "ip tuntap add dev mine mode tun user 0 && ip link set mine up")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = ns.Do(func() error {
		dropNetAdmin(t)
		// A persistent interface of one's own that is set up needs no privilege.
		d, err := Open(Config{Name: "mine"})
		if err != nil {
			return err
		}
		d.Close()
		for _, c := range []Config{{}, {Name: "vt0"}, {Name: "mine", MTU: 1400}, {Name: "mine", Addrs: both}} {
			_, err := Open(c)
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "sudo setcap cap_net_admin+ep "+exe+"\n") ||
				!strings.Contains(err.Error(), "sudo ip tuntap add dev "+cmp.Or(c.Name, "vitro0")+" mode tun user $USER && ") {
				t.Errorf("%+v: %v", c, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from the calling thread, which ends soon.
func dropNetAdmin(t *testing.T) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// downs is a DownReceiver.
type downs chan error

func (downs) Receive([]wire.Packet) {}
func (d downs) Down(err error)      { d <- err }

// Whoever has a TUN is told that it was deleted, once, with however many queues; of his own
// Close he is not.
func TestInterfaceDeleted(t *testing.T) {
	ns := netns.ForTest(t)
	d := open(t, ns, Config{Name: "vt0", Addrs: both, Queues: 4})
	told := make(downs, 9)
	d.Attach(told)
	run(t, ns, "ip link delete vt0")
	select {
	case err := <-told:
		if !errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "vt0 is gone: the interface was deleted") {
			t.Errorf("Down: %v", err)
		}
	case <-time.After(limit):
		t.Fatal("nobody is told")
	}
	awaitEnd(t, d)
	p := tcpPacket(flow4, wire.Segment{Flags: wire.SYN}, wire.ChecksumNone)
	if err := d.Send([]wire.Packet{p}); !errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "vt0 is gone") {
		t.Errorf("Send: %v", err)
	}
	d.Close()
	d = open(t, ns, Config{Name: "vt1"})
	d.Attach(told)
	d.Close()
	if len(told) != 0 {
		t.Errorf("told again: %v", <-told)
	}
}

// The kernel wakes a reader in the midst of the deletion, when a read still says EAGAIN. On one
// processor the reader often runs right then.
func TestInterfaceDeletedOnOneProcessor(t *testing.T) {
	ns := netns.ForTest(t)
	onOneProcessor(t)
	for i := range 40 {
		d := open(t, ns, Config{Name: "vt0", Queues: 4})
		told := make(downs, 1)
		d.Attach(told)
		run(t, ns, "ip link delete vt0")
		select {
		case <-told:
		case <-time.After(limit):
			t.Fatalf("deletion %d: nobody is told", i)
		}
		d.Close()
	}
}

// onOneProcessor keeps all threads of the process, and what they start, on one processor until
// the test ends.
func onOneProcessor(t *testing.T) {
	t.Helper()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	set := func(cpus *unix.CPUSet) {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, th := range threads {
			tid, _ := strconv.Atoi(th.Name())
			unix.SchedSetaffinity(tid, cpus) // a thread that has ended needs none
		}
	}
	set(&one)
	t.Cleanup(func() { set(&all) })
}

// passFD opens a TUN as a foreign program would and returns its file.
func passFD(t *testing.T, ns *netns.NS, flags uint16) (fd int) {
	t.Helper()
	err := ns.Do(func() (err error) {
		if fd, err = unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		req := ifreq{flags: flags}
		copy(req.name[:], "passed")
		return ioctl(fd, unix.TUNSETIFF, unsafe.Pointer(&req))
	})
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestPassedFD(t *testing.T) {
	for _, vnet := range []uint16{0, unix.IFF_VNET_HDR} {
		for _, size := range []int{10, 12} {
			ns := netns.ForTest(t)
			fd := passFD(t, ns, unix.IFF_TUN|unix.IFF_NO_PI|vnet)
			if vnet != 0 {
				if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, size); err != nil {
					t.Fatal(err)
				}
			}
			run(t, ns, "ip addr add 10.1.0.1/24 dev passed && ip link set passed up mtu 1300")
			var d *Device
			if err := ns.Do(func() (err error) { d, err = FromFD(fd, 0); return }); err != nil {
				t.Fatal(err)
			}
			if d.MTU() != 1300 || d.Name() != "passed" || d.Offload().Checksum != (vnet != 0) {
				t.Errorf("MTU %d, name %s, offload %+v", d.MTU(), d.Name(), d.Offload())
			}
			d.Attach(echo(d))
			v4 := append([]byte{8, 0, 0, 0, 0, 77, 0, 1}, text(56)...)
			binary.BigEndian.PutUint16(v4[2:], inet(v4))
			if err := ping(ns, "ip4:icmp", "10.1.0.2", v4, 0); err != nil {
				t.Errorf("header of %d octets: %v; %+v", d.vnet, err, d.Stats())
			}
			d.Close()
		}
	}
}

func TestPassedFDThatDoesNotFit(t *testing.T) {
	ns := netns.ForTest(t)
	tap := passFD(t, ns, unix.IFF_TAP|unix.IFF_NO_PI)
	if _, err := FromFD(tap, 0); err == nil || !strings.Contains(err.Error(), "a TAP") {
		t.Errorf("a TAP: %v", err)
	}
	if err := unix.Close(tap); err != nil {
		t.Errorf("the file is not the caller's any more: %v", err)
	}
	null, _ := os.Open("/dev/null")
	defer null.Close()
	if _, err := FromFD(int(null.Fd()), 0); err == nil {
		t.Error("/dev/null passes for a TUN")
	}
	fd, _ := unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	defer unix.Close(fd)
	if _, err := FromFD(fd, 0); err == nil || !strings.Contains(err.Error(), "attached to no interface") {
		t.Errorf("a TUN without interface: %v", err)
	}
}

func TestPassedFDWithPacketInformation(t *testing.T) {
	for _, vnet := range []uint16{0, unix.IFF_VNET_HDR} {
		ns := netns.ForTest(t)
		d, err := FromFD(passFD(t, ns, unix.IFF_TUN|vnet), 1500)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		d.Attach(receiverFunc(func(p *wire.Packet) { t.Errorf("received % x", p.Bytes()) }))
		run(t, ns, "ip addr add fd00::1/64 dev passed && ip link set passed up") // makes the kernel speak
		awaitEnd(t, d)
		if err := d.Err(); !strings.Contains(err.Error(), "IFF_NO_PI") {
			t.Error(err)
		}
	}
}

// awaitEnd waits until the device has ended by itself.
func awaitEnd(t *testing.T, d *Device) {
	t.Helper()
	for end := time.Now().Add(limit); d.Err() == nil; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the reader has not noticed")
		}
	}
}

// A socket of packets needs no root: what one end sends the other reads.
func TestSocketOfPackets(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := FromFD(fds[0], 1400)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 3 { // waiting before Attach, so that they come in one batch and merge
		p := tcpPacket(flow4, wire.Segment{Seq: 0, Flags: wire.ACK, Text: text(1000)}, wire.ChecksumNone)
		unix.Write(fds[1], p.Bytes())
	}
	got := make(chan int, 1)
	d.Attach(batchFunc(func(b []wire.Packet) { got <- len(b) }))
	if n := <-got; n != 3 {
		t.Errorf("a batch of %d, want 3", n)
	}
	big := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(1500)}, wire.ChecksumNone)
	fits := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(1360)}, wire.ChecksumNone)
	super := tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(1360), GSO: 100}, wire.ChecksumPartial)
	if err := d.Send([]wire.Packet{big, fits, super}); err != nil {
		t.Error(err)
	}
	b := make([]byte, 2000)
	if n, _ := unix.Read(fds[1], b); !bytes.Equal(b[:n], fits.Bytes()) {
		t.Errorf("%d octets arrive, want the packet of %d", n, len(fits.Bytes()))
	}
	if s := d.Stats(); s.Sent != 1 || s.SentDropped != 2 || s.Received != 3 {
		t.Errorf("%+v", s)
	}
	unix.Close(fds[1])
	awaitEnd(t, d)
}

type batchFunc func([]wire.Packet)

func (f batchFunc) Receive(b []wire.Packet) { f(b) }

// A virtio-net header longer than ours ends in zeros, whatever was in the headroom.
func TestLongHeaderIsClean(t *testing.T) {
	d := &Device{mtu: 1500, vnet: 12}
	p := tcpPacket(flow4, wire.Segment{Flags: wire.ACK}, wire.ChecksumNone)
	for i := range wire.Headroom {
		p.Buf[i] = 0xff
	}
	if b := d.frame(&p); !bytes.Equal(b, append(make([]byte, 12), p.Bytes()...)) {
		t.Errorf("% x", b)
	}
	p.Buf, p.Head = p.Buf[wire.Headroom:], 0
	if b := d.frame(&p); b != nil {
		t.Error("a packet without headroom is sent")
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	ns := netns.ForTest(t)
	d := open(t, ns, Config{Addrs: both})
	batch := []wire.Packet{
		tcpPacket(flow4, wire.Segment{Flags: wire.ACK, Text: text(5000), GSO: 1000}, wire.ChecksumPartial),
		tcpPacket(flow6, wire.Segment{Flags: wire.ACK, Text: text(1000)}, wire.ChecksumPartial),
	}
	if n := testing.AllocsPerRun(200, func() { d.Send(batch) }); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
	if s := d.Stats(); s.SentDropped > 0 || s.Sent == 0 {
		t.Errorf("%+v", s)
	}
}
