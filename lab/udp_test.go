package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// echoUDP answers each datagram with its sender's address.
func echoUDP(t *testing.T, h *lab.Host, address string) {
	t.Helper()
	c, err := h.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p := make([]byte, 2000)
		for {
			_, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			c.WriteTo([]byte(from.String()), from)
		}
	}()
}

// ask sends a datagram and returns the answer.
func ask(c net.Conn, wait time.Duration) (string, error) {
	if _, err := c.Write([]byte("who am I?")); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(wait))
	p := make([]byte, 200)
	n, err := c.Read(p)
	return string(p[:n]), err
}

func dial(t *testing.T, h *lab.Host, network, address string) net.Conn {
	t.Helper()
	c, err := h.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Datagrams over a link with delay, picked by protocol and by port; the same of TCP is not.
func TestUDPRules(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 20 * time.Millisecond})
		server, client := n.Host("server"), n.Host("client")
		for port := 53; port <= 55; port++ {
			echoUDP(t, server, fmt.Sprint(":", port))
		}
		l, err := server.Listen("tcp", ":53")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		lost := n.Rule(lab.First(2, lab.UDP.Port(53)).To("server").Drop())
		late := n.Rule(lab.Any.Port(54).From("client").Delay(time.Second))
		twice := n.Rule(lab.Nth(2, lab.UDP.From("server").Port(55)).Dup(1))
		start := time.Now()
		c := dial(t, client, "udp", "server:53")
		for i := range 3 {
			_, err := ask(c, time.Second)
			if want := i < 2; errors.Is(err, os.ErrDeadlineExceeded) != want {
				t.Errorf("question %d: %v", i, err)
			}
		}
		if d := time.Since(start); d < 2040*time.Millisecond || d > 2040*time.Millisecond+10 {
			t.Errorf("three questions, two of them lost, took %v", d)
		}
		dial(t, client, "tcp", "server:53").Close()
		if lost.Hits() != 2 {
			t.Errorf("%d datagrams are picked", lost.Hits())
		}
		start = time.Now()
		if _, err := ask(dial(t, client, "udp", "server:54"), 5*time.Second); err != nil || time.Since(start) < time.Second {
			t.Errorf("a datagram that is late: %v after %v", err, time.Since(start))
		}
		c = dial(t, client, "udp", "server:55")
		ask(c, time.Second)
		ask(c, time.Second)
		if _, err := c.Read(make([]byte, 100)); err != nil {
			t.Errorf("what is doubled comes once: %v", err)
		}
		if late.Hits() != 1 || twice.Hits() != 1 {
			t.Errorf("%d late, %d doubled", late.Hits(), twice.Hits())
		}
		if s := n.Netstat(); !strings.Contains(s, "[::]:53                -                      UDP") {
			t.Errorf("netstat has no socket:\n%s", s)
		}
	})
}

// A NAT gives datagrams its address, lets in answers and ICMP errors about what it has sent, and
// nothing else; what it has forgotten is lost.
func TestUDPBehindANAT(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 10 * time.Millisecond})
		server, client := n.Host("server"), n.Host("client")
		stranger := n.Host("stranger")
		nat := n.NAT("nat", "client")
		echoUDP(t, server, ":53")
		for _, host := range []struct{ server, nat string }{{server.Addr().String(), nat.Addr().String()}, {"[" + server.Addr6().String() + "]", "[" + nat.Addr6().String() + "]"}} {
			c := dial(t, client, "udp", host.server+":53")
			me, err := ask(c, time.Second)
			if err != nil || !strings.HasPrefix(me, host.nat+":") {
				t.Fatalf("the server sees %q, %v; want %s", me, err, host.nat)
			}
			again, err := ask(c, time.Second)
			if err != nil || again != me {
				t.Errorf("then it sees %q, %v", again, err)
			}
			// Somebody else at the NAT's port.
			s, _ := stranger.ListenPacket("udp", ":53")
			s.(*vitro.UDPConn).WriteToUDPAddrPort([]byte("boo"), netip.MustParseAddrPort(me))
			c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("what a stranger sends: %v", err)
			}
			s.Close()
			nat.Rebind()
			if other, err := ask(c, time.Second); err != nil || other == me {
				t.Errorf("after Rebind the server sees %q, %v", other, err)
			}
			nat.Forget()
			if other, err := ask(c, time.Second); err != nil || other == me {
				t.Errorf("after Forget the server sees %q, %v", other, err)
			}
			// Where nobody listens, the server says so through the NAT.
			if _, err := ask(dial(t, client, "udp", host.server+":9"), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a port without a socket behind a NAT: %v", err)
			}
		}
		nat.Timeout(30 * time.Second)
		c := dial(t, client, "udp", "server:53")
		me, _ := ask(c, time.Second)
		time.Sleep(time.Minute)
		if other, err := ask(c, time.Second); err != nil || other == me {
			t.Errorf("after a minute the server sees %q, %v; it was %q", other, err, me)
		}
	})
}

// What stands in the way of a datagram, and what its sender hears of it.
func TestUDPTroubles(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 10 * time.Millisecond})
		server, client := n.Host("server"), n.Host("client")
		n.Router("router")
		n.Link("client", "router", lab.Link{Delay: 10 * time.Millisecond})
		n.Link("router", "server", lab.Link{Delay: 10 * time.Millisecond, MTU: 1300})
		echoUDP(t, server, ":53")
		start := time.Now()
		_, err := ask(dial(t, client, "udp", "server:9"), time.Second)
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > 50*time.Millisecond {
			t.Errorf("where no socket is: %v after %v", err, time.Since(start))
		}
		// Too long for the second link: the first is lost and told of, the next is cut.
		c := dial(t, client, "udp", "server:53")
		for i := range 2 {
			c.Write(make([]byte, 1400))
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 100))
			if i == 0 && !errors.Is(err, syscall.EMSGSIZE) || i == 1 && err != nil {
				t.Errorf("datagram %d beyond the MTU of the path: %v", i, err)
			}
		}
		_, err = ask(dial(t, client, "udp", "10.77.0.1:53"), time.Second)
		if !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("of an address that no host has: %v", err)
		}
		cut := n.Partition("router", "server")
		if _, err = ask(c, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("through a partition: %v", err)
		}
		cut.Heal()
		if _, err = ask(c, time.Second); err != nil {
			t.Errorf("after it has healed: %v", err)
		}
		server.Restart() // its socket is gone
		if _, err = ask(c, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("of a host that has restarted: %v", err)
		}
	})
}

// Ping measures the path, to the nanosecond, and says who does not pass it on.
func TestPing(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		router := n.Router("router")
		n.Link("client", "router", lab.Link{Delay: 10 * time.Millisecond})
		n.Link("router", "server", lab.Link{Delay: 20 * time.Millisecond})
		for _, to := range []string{"server", server.Addr().String(), server.Addr6().String()} {
			rtt, err := client.Ping(t.Context(), to)
			if err != nil || rtt < 60*time.Millisecond || rtt > 60*time.Millisecond+10 {
				t.Errorf("the echo of %s after %v, %v", to, rtt, err)
			}
		}
		_, err := client.Stack().PingHops(t.Context(), "server", 1)
		var echo *vitro.EchoError
		if !errors.As(err, &echo) || echo.From != router.Addr() || !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("with a hop limit of 1: %v", err)
		} else if want := "ping ip " + server.Addr().String() + ": time exceeded, says " + router.Addr().String(); err.Error() != want {
			t.Errorf("%q; want %q", err, want)
		}
		n.Partition("router", "server")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Ping(ctx, "server"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("through a partition: %v", err)
		}
	})
}

// Echoes pass a NAT, and the errors about them, but not those of a stranger.
func TestPingBehindANAT(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 10 * time.Millisecond})
		server, client, stranger := n.Host("server"), n.Host("client"), n.Host("stranger")
		nat := n.NAT("nat", "client")
		for _, to := range []string{server.Addr().String(), server.Addr6().String(), stranger.Addr().String(), server.Addr().String()} {
			rtt, err := client.Ping(t.Context(), to)
			if err != nil || rtt < 40*time.Millisecond || rtt > 41*time.Millisecond {
				t.Errorf("the echo of %s through the NAT after %v, %v", to, rtt, err)
			}
			nat.Rebind()
		}
		for _, to := range []string{"10.77.0.1", "fd00::77"} {
			var echo *vitro.EchoError
			if _, err := client.Ping(t.Context(), to); !errors.As(err, &echo) {
				t.Errorf("the echo of %s, which no host has: %v", to, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stranger.Ping(ctx, client.Addr().String()); err == nil {
			t.Error("a stranger's echo gets in")
		}
	})
}

// A name server on a host of the Net, asked by Go's own resolver: the first question is lost, and asked
// again after its five seconds.
func TestResolverAsksAgain(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 20 * time.Millisecond})
		server, client := n.Host("server"), n.Host("client")
		c, err := server.ListenPacket("udp", ":53")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			p := make([]byte, 2000)
			for {
				k, from, err := c.ReadFrom(p)
				if err != nil {
					return
				}
				// The question with one address as answer: RFC 1035 section 4.
				end := 12
				for p[end] != 0 {
					end += 1 + int(p[end])
				}
				a := append([]byte{p[0], p[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, p[12:end+5]...)
				a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 1, 2, 3)
				if k > end {
					c.WriteTo(a, from)
				}
			}
		}()
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return client.DialContext(ctx, network, "server:53")
		}}
		lost := n.Rule(lab.First(1, lab.UDP.Port(53)).From("client").Drop())
		start := time.Now()
		ips, err := r.LookupNetIP(t.Context(), "ip4", "any.test.")
		if err != nil || len(ips) != 1 || ips[0].String() != "10.1.2.3" {
			t.Errorf("%v, %v", ips, err)
		}
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second || lost.Hits() != 1 {
			t.Errorf("with the first question lost it took %v", d)
		}
	})
}
