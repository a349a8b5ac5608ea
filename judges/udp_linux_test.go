package judges_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/tcp"
)

// UDP between vitro and the kernel over a TUN, with and without checksum offload: what each sends the
// other reads, in one packet and in fragments, and each hears that nobody has a port.
func TestUDPWithTheKernel(t *testing.T) {
	for _, noOffload := range []bool{false, true} {
		w := newWorld(t, setup{noOffload: noOffload})
		for _, f := range families {
			own, err := w.stack.ListenPacket("udp", netip.AddrPortFrom(f.vitro.Addr(), 53).String())
			if err != nil {
				t.Fatal(err)
			}
			var kernel net.PacketConn
			var refused net.Conn
			err = w.ns.Do(func() (err error) {
				if kernel, err = net.ListenPacket("udp", netip.AddrPortFrom(f.kernel.Addr(), 53).String()); err == nil {
					refused, err = net.Dial("udp", netip.AddrPortFrom(f.vitro.Addr(), 9).String())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			ends := []net.PacketConn{own, kernel}
			for i, from := range ends {
				to := ends[1-i]
				who := []string{"vitro", "the kernel"}[i]
				for _, size := range []int{0, 1, 2, 1452, 1472, 1473, 4000, 65507} {
					sent := bytes.Repeat([]byte{byte(size), 5, 7}, size/3+1)[:size]
					if _, err := from.WriteTo(sent, to.LocalAddr()); err != nil {
						t.Fatalf("%s, offload %v: %s sends %d octets: %v", f.name, !noOffload, who, size, err)
					}
					to.SetReadDeadline(time.Now().Add(patience))
					p := make([]byte, 70000)
					n, addr, err := to.ReadFrom(p)
					if err != nil || !bytes.Equal(p[:n], sent) || addr.String() != from.LocalAddr().String() {
						t.Fatalf("%s, offload %v: of %d octets that %s sends %d arrive from %v, %v", f.name, !noOffload, size, who, n, addr, err)
					}
				}
			}
			ours, err := w.stack.Dial("udp", netip.AddrPortFrom(f.kernel.Addr(), 9).String())
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range []net.Conn{ours, refused} {
				c.Write([]byte("is anybody there?"))
				c.SetReadDeadline(time.Now().Add(patience))
				if _, err := c.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s: %s, told that nobody has the port: %v", f.name, []string{"vitro", "the kernel"}[i], err)
				}
				c.Close()
			}
			own.Close()
			kernel.Close()
		}
	}
}

// Ping of the kernel, and what it says of an address that its route has no host for.
func TestPingTheKernel(t *testing.T) {
	w := newWorld(t, setup{routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, f := range families {
		if rtt, err := w.stack.Ping(ctx, f.kernel.Addr().String()); err != nil || rtt <= 0 {
			t.Errorf("%s: the kernel's echo after %v: %v", f.name, rtt, err)
		}
	}
	w.run(t, "echo 1 > /proc/sys/net/ipv4/ip_forward")
	if _, err := w.stack.Ping(ctx, "192.0.2.1"); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("where the kernel has no route: %v", err)
	}
	need(t, "ip")
	w.run(t, "ip route add 192.0.2.0/24 dev vt0")
	var echo *vitro.EchoError
	if _, err := w.stack.PingHops(ctx, "192.0.2.1", 1); !errors.As(err, &echo) || echo.Soft.Reason != tcp.TimeExceeded || echo.From != families[0].kernel.Addr() {
		t.Errorf("with a hop limit of 1: %v", err)
	}
}
