package judges_test

import (
	"errors"
	"io"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/link/tun"
)

// The TUN is deleted under a Stack: its user is told, dialing fails at once as it does with
// the kernel, and a new TUN with the same addresses carries the old connection on.
func TestKernelTUNDeleted(t *testing.T) {
	need(t, "ip")
	ns := netns.ForTest(t)
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	down := make(chan error, 9)
	attach := func() {
		t.Helper()
		var d *tun.Device
		err := ns.Do(func() (err error) {
			d, err = tun.Open(tun.Config{Name: "vt0", Addrs: []netip.Prefix{families[0].kernel}})
			return err
		})
		if err == nil {
			err = s.Attach(d, vitro.LinkConfig{Addresses: []netip.Prefix{families[0].vitro}, Down: func(err error) { down <- err }})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start := runtime.NumGoroutine()
	attach()
	kernel := kernelSide{&world{ns: ns, stack: s}}
	l, err := kernel.Listen(netip.AddrPortFrom(families[0].kernel.Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := s.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()

	if _, err := ns.Output(exec.Command("ip", "link", "delete", "vt0")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-down:
		if !errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "vt0 is gone") {
			t.Errorf("Down: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("nobody is told")
	}
	if _, err := s.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("vitro dials: %v; want ENETUNREACH", err)
	}
	if _, err := kernel.Dial(netip.AddrPortFrom(families[0].vitro.Addr(), 80).String()); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the kernel dials: %v; want ENETUNREACH", err)
	}
	eventually(t, "the TUN's goroutine has ended", func() bool { return runtime.NumGoroutine() <= start })

	if _, err := c.Write([]byte("hello")); err != nil {
		t.Errorf("Write without a link: %v; want that it waits", err)
	}
	attach()
	b := make([]byte, 5)
	k.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(k, b); string(b) != "hello" || err != nil {
		t.Errorf("by the new TUN comes %q, %v", b, err)
	}
	if len(down) != 0 {
		t.Errorf("told again: %v", <-down)
	}
}
