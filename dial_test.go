package vitro_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// Who listens on what is reached over which family.
func TestFamilies(t *testing.T) {
	const v4, v6 = "10.0.0.2:80", "[fd00::2]:80"
	for _, tc := range []struct {
		network, address string
		v4, v6           bool
	}{
		{"tcp", ":80", true, true},
		{"tcp", "[::]:80", true, true},
		{"tcp4", ":80", true, false},
		{"tcp6", ":80", false, true},
		{"tcp", v4, true, false},
		{"tcp", v6, false, true},
	} {
		a, b := pair(t, vitro.Config{})
		l, err := b.Listen(tc.network, tc.address)
		if err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]bool{v4: tc.v4, v6: tc.v6} {
			c, err := a.Dial("tcp", address)
			switch {
			case want && err != nil:
				t.Errorf("Listen(%q, %q), dial %s: %v", tc.network, tc.address, address, err)
			case !want && !errors.Is(err, syscall.ECONNREFUSED):
				t.Errorf("Listen(%q, %q), dial %s: %v; want a refusal", tc.network, tc.address, address, err)
			case want:
				s, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if got := s.LocalAddr().String(); got != address {
					t.Errorf("the server's end is %s; want %s", got, address)
				}
				if got, want := s.RemoteAddr().String(), c.LocalAddr().String(); got != want {
					t.Errorf("the server sees %s; the client is %s", got, want)
				}
			}
		}
	}
}

// names is a Resolver.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, network, host string) (ips []netip.Addr, err error) {
	for _, s := range n[host] {
		ips = append(ips, netip.MustParseAddr(s))
	}
	if ips == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return ips, nil
}

// Names are looked up by the Config's Resolver alone; of several addresses the first that
// answers is taken, and the first error is told.
func TestResolver(t *testing.T) {
	la, lb := link.Pair(0)
	a, b := join(t, vitro.Config{Resolver: names{
		"server": {"192.0.2.1", "fd00::2", "10.0.0.2"},
		"four":   {"10.0.0.2"},
		"away":   {"192.0.2.1", "192.0.2.2"},
	}}, la, lb)
	if _, err := b.Listen("tcp4", ":80"); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		network, address, remote string
		err                      error
	}{
		{"tcp", "server:80", "10.0.0.2:80", nil},
		{"tcp", "server:http", "10.0.0.2:80", nil},
		{"tcp4", "server:80", "10.0.0.2:80", nil},
		{"tcp6", "server:80", "", syscall.ECONNREFUSED},
		{"tcp", "away:80", "", syscall.ENETUNREACH},
	} {
		c, err := a.Dial(tc.network, tc.address)
		if !errors.Is(err, tc.err) {
			t.Errorf("Dial(%q, %q): %v; want %v", tc.network, tc.address, err, tc.err)
		}
		if err == nil && c.RemoteAddr().String() != tc.remote {
			t.Errorf("Dial(%q, %q) reached %v; want %s", tc.network, tc.address, c.RemoteAddr(), tc.remote)
		}
	}
	var dns *net.DNSError
	if _, err := a.Dial("tcp", "nobody:80"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("an unknown name: %v; want a DNSError", err)
	}
	if _, err := a.Dial("tcp6", "four:80"); err == nil || err.Error() != "dial tcp6: address four: no suitable address found" {
		t.Errorf("no address of the family: %v", err)
	}
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Dial("tcp", "server:80"); !errors.As(err, &dns) || err.Error() != "dial tcp: lookup server: no such host" {
		t.Errorf("a name without a Resolver: %v", err)
	}
}

// A Stack reaches itself by each of its addresses, and itself alone by 127.0.0.1.
func TestLoopback(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"10.0.0.2:80", "[fd00::2]:80", "127.0.0.1:80", "127.1.2.3:80", "[::1]:80", "localhost:80", ":80", "0.0.0.0:80", "[::]:80"} {
		c, err := b.Dial("tcp", address)
		if err != nil {
			t.Errorf("Dial(%q): %v", address, err)
			continue
		}
		if _, err := l.Accept(); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	if _, err := a.Dial("tcp", "127.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("127.0.0.1 of another Stack: %v", err)
	}
}

// A Stack with Forward carries packets between its links.
func TestForward(t *testing.T) {
	router, err := vitro.New(vitro.Config{Forward: true})
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	end := func(own, gateway string) *vitro.Stack {
		la, lb := link.Pair(0)
		s, err := vitro.New(vitro.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix(own)}, Routes: all}); err != nil {
			t.Fatal(err)
		}
		if err := router.Attach(lb, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix(gateway)}}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := end("10.1.0.2/24", "10.1.0.1/24"), end("10.2.0.2/24", "10.2.0.1/24")
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial("tcp", "10.2.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	wantErr(t, "Read", read(s)(), nil)
}
