package loopback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/vitro-net/vitro/wire"
)

func world(t *testing.T, env map[string]string) *World {
	t.Helper()
	return NewWorld(func(name string) string { return env[name] })
}

func network(t *testing.T, w *World) *Net {
	t.Helper()
	n, err := w.Net("test", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.host.Close() })
	return n
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// pair connects, and returns both ends.
func pair(t *testing.T, n *Net, listen, dial string) (c, s *Conn) {
	t.Helper()
	l, err := n.Listen(ap(listen), false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err = n.Dial(t.Context(), netip.AddrPort{}, ap(dial)); err != nil {
		t.Fatalf("dial %s to a listener at %s: %v", dial, listen, err)
	}
	if s, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// Addresses are chosen as Linux chooses them: 127.0.0.1 towards all of 127.0.0.0/8, and who dials
// no address means this host.
func TestAddresses(t *testing.T) {
	n := network(t, world(t, nil))
	for _, c := range []struct{ listen, dial, local, remote string }{
		{"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", "127.0.0.1"},
		{"127.0.0.2:80", "127.0.0.2:80", "127.0.0.1", "127.0.0.2"},
		{"[::1]:80", "[::1]:80", "::1", "::1"},
		{"[::]:80", "127.0.0.9:80", "127.0.0.1", "127.0.0.9"},
		{"[::]:80", "[::1]:80", "::1", "::1"},
		{"0.0.0.0:80", "0.0.0.0:80", "127.0.0.1", "127.0.0.1"},
		{"[::]:80", "[::]:80", "::1", "::1"},
		{"[::ffff:127.0.0.3]:80", "[::ffff:127.0.0.3]:80", "127.0.0.1", "127.0.0.3"},
	} {
		x, y := pair(t, n, c.listen, c.dial)
		if l, r := x.LocalAddr().Addr().String(), x.RemoteAddr().Addr().String(); l != c.local || r != c.remote {
			t.Errorf("dialed %s: from %s to %s; want from %s to %s", c.dial, l, r, c.local, c.remote)
		}
		if x.LocalAddr() != y.RemoteAddr() || x.RemoteAddr() != y.LocalAddr() {
			t.Errorf("dialed %s: the ends see %v - %v and %v - %v", c.dial, x.LocalAddr(), x.RemoteAddr(), y.LocalAddr(), y.RemoteAddr())
		}
		x.Close()
		y.Close()
	}
	if _, err := n.Dial(t.Context(), ap("[::1]:0"), ap("127.0.0.1:80")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a dial from ::1 to 127.0.0.1 gives %v; want EINVAL", err)
	}
	if _, err := n.Dial(t.Context(), netip.AddrPort{}, ap("127.0.0.1:81")); !Refused(err) {
		t.Errorf("a port on which nobody listens gives %v; want it refused", err)
	}
	for a, want := range map[string]bool{"127.9.9.9": true, "::1": true, "0.0.0.0": true, "::": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "::2": false, "::ffff:10.0.0.1": false} {
		if Has(netip.MustParseAddr(a)) != want {
			t.Errorf("%s belongs to the loopback network: %v", a, !want)
		}
	}
	if !Has(netip.Addr{}) {
		t.Error("no address at all is not of the loopback network")
	}
}

// The link of the environment delays, in a bubble as it says, and limits what goes each way by itself.
func TestLinkDelaysAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, world(t, map[string]string{EnvLink: "delay=50ms,rate=8mbit,queue=2000"}))
		start := time.Now()
		c, s := pair(t, n, "127.0.0.1:80", "127.0.0.1:80")
		if d := time.Since(start).Round(time.Millisecond); d != 150*time.Millisecond {
			t.Errorf("Accept over a link of 50 ms returns after %v; want 150ms, three ways", d)
		}
		// Each way carries a megabyte a second, both at once.
		start = time.Now()
		const size = 2_000_000
		for _, x := range []*Conn{c, s} {
			go func() {
				_, _ = x.Write(make([]byte, size))
				_ = x.CloseWrite()
			}()
		}
		var wg sync.WaitGroup
		for _, x := range []*Conn{c, s} {
			wg.Go(func() {
				if m, err := io.Copy(io.Discard, x); m != size || err != nil {
					t.Errorf("%d octets and %v; want %d", m, err, size)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d < 2*time.Second || d > 3*time.Second {
			t.Errorf("2 MB each way at once, at 1 MB/s each way, took %v; want a little more than 2s", d)
		}
	})
}

// What the link loses is lost, is said in the capture, and the transfer goes on.
func TestLossInTheCapture(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := world(t, map[string]string{
			EnvLink: "delay=1ms,loss=5%,duplicate=5%,corrupt=5%,reorder=5%,seed=3",
			EnvPcap: filepath.Join(dir, "*.pcapng"), EnvStats: filepath.Join(dir, "stats"),
		})
		n := network(t, w)
		c, s := pair(t, n, "127.0.0.2:80", "127.0.0.2:80")
		n.Accepted()
		go func() {
			_, _ = c.Write(make([]byte, 1_000_000))
			_ = c.CloseWrite()
		}()
		if m, err := io.Copy(io.Discard, s); m != 1_000_000 || err != nil {
			t.Errorf("%d octets and %v across a bad link; want a million", m, err)
		}
		_ = s.Close()
		_ = c.Close()
		_, _ = n.Dial(context.Background(), netip.AddrPort{}, ap("127.0.0.2:81"))
	})
	f, err := os.Open(filepath.Join(dir, fmt.Sprint(os.Getpid(), ".pcapng")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	packets, octets := 0, 0
	comments := map[string]int{}
	for {
		data, _, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packets++
		octets += len(data)
		var ip wire.IP
		if f := wire.ParseIP(data, &ip); f != wire.FaultNone {
			t.Fatalf("packet %d of the capture: %v", packets, f)
		}
		for _, c := range opts.Comments {
			comments[c]++
		}
	}
	for _, want := range []string{"lost by chance", "arrives twice", "a bit is turned over on the way"} {
		if comments[want] == 0 {
			t.Errorf("no packet of the capture says %q; they say %v", want, comments)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "stats"))
	if err != nil {
		t.Fatal(err)
	}
	var connected, refused, accepted, carried, size, lost int
	if _, err := fmt.Sscanf(string(text), "%d connected, %d not connected, %d accepted, %d packets of %d octets on links, %d lost\n",
		&connected, &refused, &accepted, &carried, &size, &lost); err != nil {
		t.Fatalf("the counters are %q: %v", text, err)
	}
	if connected != 1 || refused != 1 || accepted != 1 || carried > packets || lost == 0 {
		t.Errorf("the counters are %q: want one connection, one refusal, and no more than the %d packets of the capture", text, packets)
	}
}

// A full queue loses what it has no room for.
func TestFullQueue(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := network(t, world(t, map[string]string{EnvLink: "delay=10ms,rate=2mbit,queue=5", EnvPcap: filepath.Join(dir, "x")}))
		c, s := pair(t, n, "127.0.0.1:80", "127.0.0.1:80")
		go func() {
			_, _ = c.Write(make([]byte, 300_000))
			_ = c.CloseWrite()
		}()
		if m, err := io.Copy(io.Discard, s); m != 300_000 || err != nil {
			t.Errorf("%d octets and %v through a short queue; want 300,000", m, err)
		}
	})
	text, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil || !strings.Contains(string(text), "queue full") {
		t.Errorf("no packet of the capture says that the queue was full (%v)", err)
	}
}

// What is wrong with the environment every network says.
func TestEnvironmentThatCannotBe(t *testing.T) {
	for _, env := range []map[string]string{
		{EnvLink: "delay=x"}, {EnvPcap: "/nowhere/x"}, {EnvStats: "/nowhere/x"},
	} {
		if _, err := world(t, env).Net("test", false); err == nil {
			t.Errorf("%v is taken", env)
		}
	}
}

// A closed network leaves no timer and takes no more packets.
func TestCableCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := network(t, world(t, map[string]string{EnvLink: "delay=1s"}))
		c, _ := pair(t, n, "127.0.0.1:80", "127.0.0.1:80")
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		n.host.Close()
		if d := time.Since(start); d != 0 {
			t.Errorf("closing a network with a packet on its way takes %v", d)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("Read on a closed network gives %v; want ErrClosed", err)
		}
	})
}
