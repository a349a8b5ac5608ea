package judges_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/link/tun"
)

// The Linux kernel as peer: a network namespace of the test's own, a TUN in it, and a Stack
// at the TUN's other end.

// patience is how long a test waits for a peer before it calls it silent. It is no measure
// of anything: the machine may be busy with other tests.
const patience = 3 * time.Minute

// family is a version of IP, and who has which address on the TUN.
type family struct {
	name          string
	kernel, vitro netip.Prefix
	nobody        netip.Addr // routed to the TUN, and not vitro's
}

var families = []family{
	{"IPv4", netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("10.1.0.2/24"), netip.MustParseAddr("10.1.0.9")},
	{"IPv6", netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("fd00::2/64"), netip.MustParseAddr("fd00::9")},
}

// setup is what the TUN and the Stack are made with.
type setup struct {
	config    vitro.Config
	mtu       int // 0: 1500
	noOffload bool
	fault     *link.FaultConfig // of a Fault around the TUN; Out is from vitro to the kernel
	tap       func(link.View)
	routes    []netip.Prefix // what else vitro reaches by the TUN
}

// world is a namespace with the kernel on one side of a TUN and a Stack on the other.
type world struct {
	ns    *netns.NS
	tun   *tun.Device
	fault *link.FaultLink
	stack *vitro.Stack
}

// newWorld makes a world that ends with the test. Without root or a TUN the test is skipped.
func newWorld(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{ns: netns.ForTest(t)}
	var addrs, own []netip.Prefix
	for _, f := range families {
		addrs, own = append(addrs, f.kernel), append(own, f.vitro)
	}
	err := w.ns.Do(func() (err error) {
		w.tun, err = tun.Open(tun.Config{Name: "vt0", MTU: s.mtu, Addrs: addrs, NoOffload: s.noOffload})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var l link.Link = w.tun
	if s.fault != nil {
		w.fault = link.Fault(l, *s.fault)
		l = w.fault
	}
	l = link.Tap(l, s.tap)
	if w.stack, err = vitro.New(s.config); err == nil {
		err = w.stack.Attach(l, vitro.LinkConfig{Addresses: own, Routes: s.routes})
	}
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { w.stack.Close() })
	return w
}

// need skips a test, aloud, where a program is missing.
func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("SKIPPED, THE KERNEL IS NOT TESTED: %v", err)
	}
}

// run runs a command in the namespace.
func (w *world) run(t testing.TB, command string) string {
	t.Helper()
	out, err := w.ns.Output(exec.Command("sh", "-ec", command))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// side is an end of the TUN: what both can do, so that a test says it once.
type side interface {
	Dial(address string) (conn, error)
	Listen(address string) (net.Listener, error)
}

// conn is what a *vitro.Conn and a *net.TCPConn have in common.
type conn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(sec int) error
	SetReadBuffer(octets int) error
	SetWriteBuffer(octets int) error
}

type vitroSide struct{ *world }

func (s vitroSide) Dial(address string) (conn, error) {
	c, err := s.stack.DialTCP(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s vitroSide) Listen(address string) (net.Listener, error) {
	return s.stack.Listen("tcp", address)
}

type kernelSide struct{ *world }

func (s kernelSide) Dial(address string) (conn, error) {
	c, err := s.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// DialContext is Dial as package http wants it.
func (s kernelSide) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: patience}
	d.SetMultipathTCP(false)
	err = s.ns.Do(func() error { c, err = d.DialContext(ctx, network, address); return err })
	return c, err
}

func (s kernelSide) Listen(address string) (l net.Listener, err error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	err = s.ns.Do(func() error { l, err = c.Listen(context.Background(), "tcp", address); return err })
	return l, err
}

// way is who dials whom, over which family, over which kind of TUN.
type way struct {
	family
	vitroDials bool
}

var ways = []way{{families[0], true}, {families[0], false}, {families[1], true}, {families[1], false}}

func (w way) String() string {
	if w.vitroDials {
		return w.name + ", vitro dials"
	}
	return w.name + ", the kernel dials"
}

// sides returns who dials, who listens, and the listener's address.
func (w way) sides(in *world) (dials, listens side, at netip.Addr) {
	if w.vitroDials {
		return vitroSide{in}, kernelSide{in}, w.kernel.Addr()
	}
	return kernelSide{in}, vitroSide{in}, w.vitro.Addr()
}

// eachWay runs a test for all there are: each over a TUN with offload and one without. The
// test makes its world of the setup that it gets, and may be parallel.
func eachWay(t *testing.T, s setup, test func(t *testing.T, s setup, d way)) {
	for _, d := range ways {
		for _, s.noOffload = range []bool{false, true} {
			t.Run(d.String()+", "+s.String(), func(t *testing.T) { test(t, s, d) })
		}
	}
}

func (s setup) String() string {
	if s.noOffload {
		return "no offload"
	}
	return "offload"
}

// connect returns the two ends of a connection, the one that dialed first. They are closed
// when the test ends.
func connect(t testing.TB, dials, listens side, at netip.Addr) (dialed, accepted conn) {
	t.Helper()
	l, err := listens.Listen(netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialed, err = dials.Dial(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	accepted = c.(conn)
	for _, c := range []conn{dialed, accepted} {
		c.SetDeadline(time.Now().Add(patience))
	}
	return dialed, accepted
}

// ends returns the two ends of a connection between vitro and the kernel of k, at an address.
func (w way) ends(t testing.TB, vs vitroSide, ks kernelSide) (v *vitro.Conn, k *net.TCPConn) {
	t.Helper()
	if w.vitroDials {
		dialed, accepted := connect(t, vs, ks, w.kernel.Addr())
		return dialed.(*vitro.Conn), accepted.(*net.TCPConn)
	}
	dialed, accepted := connect(t, ks, vs, w.vitro.Addr())
	return accepted.(*vitro.Conn), dialed.(*net.TCPConn)
}

// eventually waits for what the kernel and vitro will do by themselves.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// String tells what vitro has counted, for a failure's message.
func (w *world) String() string { return fmt.Sprintf("%+v", w.stack.Stats()) }

// TestMain lets more parallel tests run than there are processors, if nobody says how many:
// most of them wait for timers, the kernel's and vitro's.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", "32")
	}
	os.Exit(m.Run())
}
