package vitro_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Happy Eyeballs, RFC 8305, in virtual time.

// eyes is a Stack A that knows a name of several addresses, all of them B's. B listens on port 80 of
// those that are open, answers with a reset for others, and hears nothing that is sent to dark ones.
type eyes struct {
	a, b   *vitro.Stack
	l      *vitro.Listener
	delays map[string]time.Duration // each way; default 10 ms
	dark   map[string]bool
	begun  time.Time
	tried  []attempt
	sent   int // packets by A, dark or not
	resets int
}

// attempt is the first SYN to an address, and when it was sent.
type attempt struct {
	address string
	after   time.Duration
}

// look makes eyes for the addresses of the name "server". One in brackets is dark, one with a minus
// refuses.
func look(t *testing.T, addresses ...string) *eyes {
	t.Helper()
	e := &eyes{delays: map[string]time.Duration{}, dark: map[string]bool{}}
	var known []string
	var own []netip.Prefix
	var open []string
	for _, s := range addresses {
		address := s
		switch s[0] {
		case '(':
			address = s[1 : len(s)-1]
			e.dark[address] = true
		case '-':
			address = s[1:]
		}
		known = append(known, address)
		ip := netip.MustParseAddr(address)
		if !addrA.Contains(ip) && !six[0].Contains(ip) {
			continue // no route leads there
		}
		own = append(own, netip.PrefixFrom(ip, map[bool]int{true: 24, false: 64}[ip.Is4()]))
		if address == s {
			open = append(open, address)
		}
	}
	la, lb := link.Pair(0)
	stack := func(l link.Link, addresses []netip.Prefix) *vitro.Stack {
		s, err := vitro.New(vitro.Config{Resolver: names{"server": known}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Attach(l, vitro.LinkConfig{Addresses: addresses}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	e.a = stack(link.Fault(la, link.FaultConfig{Rule: e.rule}), []netip.Prefix{addrA, six[0]})
	e.b = stack(lb, own)
	for _, address := range open {
		l, err := (&vitro.ListenConfig{Stack: e.b, KeepAlive: -1}).ListenTCP(t.Context(), "tcp", net.JoinHostPort(address, "80"))
		if err != nil {
			t.Fatal(err)
		}
		e.l = l
	}
	e.begun = time.Now()
	return e
}

func (e *eyes) rule(d link.Direction, p *wire.Packet) link.Verdict {
	var ip wire.IP
	var seg wire.Segment
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || wire.ParseTCP(ip.Payload, &seg) != wire.FaultNone {
		return link.Verdict{}
	}
	other := ip.Dst
	if d == link.In {
		other = ip.Src
	}
	address := other.Netip().String()
	if d == link.Out {
		e.sent++
		if seg.Flags&wire.RST != 0 {
			e.resets++
		}
		if seg.Flags&wire.SYN != 0 && !slices.ContainsFunc(e.tried, func(a attempt) bool { return a.address == address }) {
			e.tried = append(e.tried, attempt{address, time.Since(e.begun)})
		}
	}
	delay, ok := e.delays[address]
	if !ok {
		delay = 10 * time.Millisecond
	}
	return link.Verdict{Delay: delay, Drop: e.dark[address]}
}

// dial dials the name and wants an error, or to reach a remote address after some time.
func (e *eyes) dial(t *testing.T, d vitro.Dialer, network, want string, after time.Duration) *vitro.Conn {
	t.Helper()
	d.Stack = e.a
	c, err := d.DialTCP(t.Context(), network, "server:80")
	took := time.Since(e.begun)
	if err != nil {
		t.Fatalf("Dial: %v; want %s", err, want)
	}
	if got := c.RemoteAddr().(*net.TCPAddr).IP.String(); got != want || took != after {
		t.Errorf("Dial reached %s after %v; want %s after %v", got, took, want, after)
	}
	return c
}

// wantTried wants the first SYNs to have gone to these addresses at these times.
func (e *eyes) wantTried(t *testing.T, want ...attempt) {
	t.Helper()
	if !slices.Equal(e.tried, want) {
		t.Errorf("tried %v; want %v", e.tried, want)
	}
}

// wantOnly wants A to have nothing but c, or nothing at all, and B no more than that once all packets
// have arrived.
func (e *eyes) wantOnly(t *testing.T, c *vitro.Conn) {
	t.Helper()
	synctest.Wait() // for who is about to send
	want := 0
	if c != nil {
		want = 1
	}
	if c != nil {
		c.SetKeepAlive(false)
	}
	if got := e.a.Connections(); len(got) != want {
		t.Errorf("when Dial has returned there are %d connections; want %d: %v", len(got), want, got)
	}
	time.Sleep(10 * time.Second)
	listens := func(s tcp.Status) bool { return s.State == tcp.Listen }
	if got := slices.DeleteFunc(e.b.Connections(), listens); len(got) != want {
		t.Errorf("the peer has %d connections; want %d: %v", len(got), want, got)
	}
	synctest.Wait()
	sent := e.sent
	time.Sleep(time.Hour)
	synctest.Wait()
	if e.sent != sent {
		t.Errorf("%d packets after the race", e.sent-sent)
	}
}

const ms = time.Millisecond

// An address that does not answer costs 250 ms, for the other family is next; a race leaves nothing.
func TestRaceFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "(fd00::2)", "(fd00::3)", "10.0.0.2")
		c := e.dial(t, vitro.Dialer{}, "tcp", "10.0.0.2", 270*ms)
		e.wantTried(t, attempt{"fd00::2", 0}, attempt{"10.0.0.2", 250 * ms})
		e.wantOnly(t, c)
	})
}

// The families take turns, beginning with that of the first answer, and within one the order stays.
func TestRaceInterleaves(t *testing.T) {
	for _, tc := range []struct {
		network string
		known   []string
		want    []attempt
	}{
		{"tcp", []string{"(fd00::2)", "(fd00::3)", "(fd00::4)", "(10.0.0.2)", "(10.0.0.3)"}, []attempt{
			{"fd00::2", 0}, {"10.0.0.2", 250 * ms}, {"fd00::3", 500 * ms}, {"10.0.0.3", 750 * ms}, {"fd00::4", 1000 * ms},
		}},
		{"tcp", []string{"(10.0.0.2)", "(10.0.0.3)", "(fd00::2)"}, []attempt{
			{"10.0.0.2", 0}, {"fd00::2", 250 * ms}, {"10.0.0.3", 500 * ms},
		}},
		{"tcp4", []string{"(10.0.0.3)", "(fd00::2)", "(10.0.0.2)"}, []attempt{{"10.0.0.3", 0}, {"10.0.0.2", 250 * ms}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := look(t, tc.known...)
			d := vitro.Dialer{Stack: e.a, Timeout: 5 * time.Second}
			_, err := d.Dial(tc.network, "server:80")
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errTimeout) || time.Since(e.begun) != d.Timeout {
				t.Errorf("Dial after %v: %v", time.Since(e.begun), err)
			}
			e.wantTried(t, tc.want...)
			e.wantOnly(t, nil)
		})
	}
}

// One that is refused lets the next go at once, and so does one that no route leads to.
func TestRaceFailureIsNoDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "-fd00::2", "192.0.2.1", "-fd00::3", "192.0.2.2", "10.0.0.2")
		c := e.dial(t, vitro.Dialer{}, "tcp", "10.0.0.2", 60*ms)
		e.wantTried(t, attempt{"fd00::2", 0}, attempt{"fd00::3", 20 * ms}, attempt{"10.0.0.2", 40 * ms})
		e.wantOnly(t, c)
	})
}

// The first SYN,ACK wins, also that of an earlier attempt, and the loser's is answered by a reset.
func TestRaceTheFasterWins(t *testing.T) {
	for first, want := range map[time.Duration]string{200 * ms: "fd00::2", 300 * ms: "10.0.0.2"} {
		synctest.Test(t, func(t *testing.T) {
			e := look(t, "fd00::2", "10.0.0.2")
			e.delays["fd00::2"], e.delays["10.0.0.2"] = first, 100*ms
			c := e.dial(t, vitro.Dialer{}, "tcp", want, map[bool]time.Duration{true: 400 * ms, false: 450 * ms}[want == "fd00::2"])
			e.wantOnly(t, c)
			if e.resets != 1 {
				t.Errorf("%d resets; want one, for the loser", e.resets)
			}
		})
	}
}

// The delay is the Dialer's, but "a subsequent connection MUST NOT be started within 10 milliseconds of
// the previous attempt"; not even when an earlier one fails meanwhile.
func TestRaceDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "(fd00::2)", "(10.0.0.2)", "(fd00::3)")
		d := vitro.Dialer{Stack: e.a, Timeout: time.Second, FallbackDelay: 1}
		d.Dial("tcp", "server:80")
		e.wantTried(t, attempt{"fd00::2", 0}, attempt{"10.0.0.2", 10 * ms}, attempt{"fd00::3", 20 * ms})
	})
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "-fd00::2", "(10.0.0.2)", "fd00::3")
		e.delays["fd00::2"] = 63 * ms // refused after 126 ms
		c := e.dial(t, vitro.Dialer{FallbackDelay: 120 * ms}, "tcp", "fd00::3", 150*ms)
		e.wantTried(t, attempt{"fd00::2", 0}, attempt{"10.0.0.2", 120 * ms}, attempt{"fd00::3", 130 * ms})
		e.wantOnly(t, c)
	})
}

// Without FallbackDelay, or from a port of one's own, the addresses are tried one after another, each
// for its share of the time that is left, but for 2 s where there are as many: as with package net.
func TestNoRace(t *testing.T) {
	own := &net.TCPAddr{Port: 4321}
	for _, tc := range []struct {
		d    vitro.Dialer
		want []attempt
	}{
		{vitro.Dialer{FallbackDelay: -1, Timeout: 9 * time.Second}, []attempt{{"fd00::2", 0}, {"fd00::3", 3 * time.Second}, {"10.0.0.2", 6 * time.Second}}},
		{vitro.Dialer{FallbackDelay: -1, Timeout: 3 * time.Second}, []attempt{{"fd00::2", 0}, {"fd00::3", 2 * time.Second}}},
		{vitro.Dialer{LocalAddr: own, Timeout: 9 * time.Second}, []attempt{{"fd00::2", 0}, {"fd00::3", 3 * time.Second}, {"10.0.0.2", 6 * time.Second}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := look(t, "(fd00::2)", "(fd00::3)", "(10.0.0.2)")
			tc.d.Stack = e.a
			_, err := tc.d.Dial("tcp", "server:80")
			wantErr(t, "Dial", err, context.DeadlineExceeded)
			e.wantTried(t, tc.want...)
			e.wantOnly(t, nil)
		})
	}
}

// errTimeout is what errors.Is must find in a Dial that has waited too long.
var errTimeout = os.ErrDeadlineExceeded

// The error is that of the first address, whenever it comes; a context's only if that had not failed.
func TestRaceErrors(t *testing.T) {
	for _, tc := range []struct {
		known []string
		end   time.Duration // of the context
		text  string
		is    error
	}{
		{[]string{"-fd00::2", "192.0.2.1"}, 0, "dial tcp [fd00::2]:80: connect: connection refused", syscall.ECONNREFUSED},
		{[]string{"192.0.2.1", "-fd00::2"}, 0, "dial tcp 192.0.2.1:80: connect: network is unreachable", syscall.ENETUNREACH},
		{[]string{"(fd00::2)", "-10.0.0.2"}, 0, "dial tcp [fd00::2]:80: connect: connection timed out", syscall.ETIMEDOUT},
		{[]string{"-fd00::2", "(10.0.0.2)"}, time.Second, "dial tcp [fd00::2]:80: connect: connection refused", syscall.ECONNREFUSED},
		{[]string{"(fd00::2)", "-10.0.0.2"}, 100 * ms, "dial tcp [fd00::2]:80: operation was canceled", context.Canceled},
		{[]string{"(fd00::2)", "(10.0.0.2)"}, 300 * ms, "dial tcp [fd00::2]:80: operation was canceled", context.Canceled},
		{[]string{"(fd00::2)", "(10.0.0.2)"}, -1, "dial tcp [fd00::2]:80: operation was canceled", context.Canceled},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := look(t, tc.known...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			switch {
			case tc.end > 0:
				later(tc.end, cancel)
			case tc.end < 0:
				cancel()
			}
			_, err := e.a.DialContext(ctx, "tcp", "server:80")
			if err == nil || err.Error() != tc.text || !errors.Is(err, tc.is) {
				t.Errorf("%v: %v; want %s", tc.known, err, tc.text)
			}
			if took := time.Since(e.begun); tc.end != 0 && took != max(tc.end, 0) {
				t.Errorf("%v: the context ended after %v, Dial after %v", tc.known, tc.end, took)
			}
			e.wantOnly(t, nil)
		})
	}
}

// Close of the Stack ends a race at once. A context that ends later has no say over the winner.
func TestRaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "(fd00::2)", "(10.0.0.2)")
		later(300*ms, func() { e.a.Close() })
		_, err := e.a.Dial("tcp", "server:80")
		wantErr(t, "Dial", err, net.ErrClosed)
		if took := time.Since(e.begun); took != 300*ms {
			t.Errorf("Dial ended after %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "(fd00::2)", "10.0.0.2")
		ctx, cancel := context.WithCancel(t.Context())
		c, err := e.a.DialContext(ctx, "tcp", "server:80")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		s, err := e.l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "x")
		wantErr(t, "the server's Read", read(s)(), nil)
		c.SetReadDeadline(time.Now().Add(time.Second)) // the winner has a gate of its own
		wantErr(t, "the client's Read", takes(t, "the client's Read", time.Second, read(c)), errTimeout)
	})
}

// askedNames is a Resolver that waits until its context ends, and says so as *net.Resolver does.
type askedNames struct{}

func (askedNames) LookupNetIP(ctx context.Context, _, name string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: "operation was canceled", Name: name, UnwrapErr: ctx.Err()}
}

// A context that ends while a name is looked up ends Dial, with net's text.
func TestDialContextEndsTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := vitro.New(vitro.Config{Resolver: askedNames{}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		later(time.Second, cancel)
		err = takes(t, "Dial", time.Second, func() error {
			_, err := s.DialContext(ctx, "tcp", "server:80")
			return err
		})
		if !errors.Is(err, context.Canceled) || err.Error() != "dial tcp: lookup server: operation was canceled" {
			t.Errorf("Dial: %v", err)
		}
	})
}

// A race with TCP Fast Open: what was queued for the losers is not sent to the winner twice.
func TestRaceFastOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := look(t, "(fd00::2)", "10.0.0.2")
		big := make([]byte, 1<<20) // more than the send buffer has room for
		go func() {
			c, err := e.a.DialFastOpen(t.Context(), "tcp", "server:80", big)
			if err != nil {
				t.Error(err)
				return
			}
			c.CloseWrite()
		}()
		s, err := e.l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, s); n != int64(len(big)) || err != nil {
			t.Errorf("%d octets arrived, %v; want %d", n, err, len(big))
		}
	})
}
