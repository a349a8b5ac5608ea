package programs_test

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/vitro-net/vitro/lab"
)

// Two issues of Go itself, which took iptables and root to show: golang/go#30702, a client of HTTP/2
// whose connection a NAT has forgotten, and golang/go#36026, one whose connection is dropped by a
// firewall. Each request times out, and yet the next one is sent on the same dead connection.

// outage is what becomes of the requests of a client that sends one each second.
type outage struct {
	failed int           // requests in a row
	lasted time.Duration // until the next that succeeded
	why    error         // of the first
}

// requests sends one each second, until one succeeds after some have failed.
func (s *site) requests(t *testing.T) (o outage) {
	t.Helper()
	start := time.Now()
	for {
		_, _, err := s.post([]byte("x"))
		switch {
		case err == nil && (o.failed > 0 || time.Since(start) > 2*time.Minute):
			o.lasted = time.Since(start)
			return o
		case err != nil:
			if o.failed++; o.failed == 1 {
				o.why = err
			}
		}
		if time.Since(start) > 2*time.Hour {
			t.Fatalf("for two hours no request has succeeded: %v", err)
		}
		time.Sleep(time.Second)
	}
}

// pings has a client ask a connection from which nothing has come for 10 s, and close it when there is
// no answer in 5: the way around both issues.
var pings = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}

// behindNAT begins a site whose client is behind a NAT and waits a second for each answer. There is no
// loss but what the tests do.
func behindNAT(t *testing.T, n *lab.Net, p protocol) (*site, *lab.NAT) {
	n.Default(lab.Link{Delay: 25 * time.Millisecond})
	server, client := n.Host("server"), n.Host("client")
	nat := n.NAT("nat", "client")
	s := newSite(t, server, client, p, mirror)
	s.client.Timeout = time.Second
	return s, nat
}

func wantOutage(t *testing.T, o outage, failed [2]int, why error) {
	t.Helper()
	if o.failed < failed[0] || o.failed > failed[1] {
		t.Errorf("%d requests have failed, for %v; want %d to %d", o.failed, o.lasted, failed[0], failed[1])
	}
	if o.failed > 0 && !errors.Is(o.why, why) {
		t.Errorf("the first request that failed did so with %v; want %v", o.why, why)
	}
}

// golang/go#30702. The NAT forgets the connection, and drops what it does not know.
func TestGoIssue30702(t *testing.T) {
	for _, c := range []struct {
		name     string
		protocol protocol
		setup    func(*testing.T, *http.Transport)
		failed   [2]int
	}{
		// One request fails, and with it its connection.
		{"HTTP/1.1", http1, nil, [2]int{1, 1}},
		// The bug: until TCP itself gives the connection up, after five minutes (RFC 9293 section 3.9.1.1;
		// Linux: some fifteen), with two seconds for each request.
		{"HTTP/2", http2, nil, [2]int{100, 200}},
		// The ways around.
		{"HTTP/2 with pings", http2, func(_ *testing.T, t *http.Transport) { t.HTTP2 = pings }, [2]int{1, 10}},
		{"HTTP/2 of x/net with pings", http2, func(t *testing.T, tr *http.Transport) {
			h2, err := xhttp2.ConfigureTransports(tr) //nolint:staticcheck // deprecated since http.HTTP2Config is there, and what both issues recommend
			must(t, err)
			h2.ReadIdleTimeout, h2.PingTimeout = pings.SendPingTimeout, pings.PingTimeout //nolint:staticcheck // as above
		}, [2]int{1, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lab.Test(t, func(t *testing.T, n *lab.Net) {
				s, nat := behindNAT(t, n, c.protocol)
				if c.setup != nil {
					c.setup(t, s.transport)
				}
				nat.DropUnknown(true)
				_, _, err := s.post([]byte("x"))
				must(t, err)
				nat.Forget()
				o := s.requests(t)
				t.Logf("%d requests have failed, for %v", o.failed, o.lasted)
				wantOutage(t, o, c.failed, context.DeadlineExceeded)
				if got := s.dials.Load(); got != 2 {
					t.Errorf("%d connections; want another one", got)
				}
			}, lab.StartAt(certified))
		})
	}
}

// The same with a NAT that passes on what it does not know: the server does not know it either and
// answers with a reset, and the first request after it fails, or not even that.
func TestGoIssue30702WithReset(t *testing.T) {
	for _, p := range []protocol{http1, http2} {
		t.Run(p.String(), func(t *testing.T) {
			lab.Test(t, func(t *testing.T, n *lab.Net) {
				s, nat := behindNAT(t, n, p)
				_, _, err := s.post([]byte("x"))
				must(t, err)
				nat.Forget()
				wantOutage(t, s.requests(t), [2]int{0, 1}, syscall.ECONNRESET)
			}, lab.StartAt(certified))
		})
	}
}

// golang/go#36026: a firewall drops what the one connection sends, as iptables -I OUTPUT --sport PORT -j
// DROP does, and another connection would be served.
func TestGoIssue36026(t *testing.T) {
	for _, c := range []struct {
		name   string
		config *http.HTTP2Config
		failed [2]int
	}{{"as it is", nil, [2]int{100, 200}}, {"with pings", pings, [2]int{1, 10}}} {
		t.Run(c.name, func(t *testing.T) {
			lab.Test(t, func(t *testing.T, n *lab.Net) {
				n.Default(lab.Link{Delay: 25 * time.Millisecond})
				s := newSite(t, n.Host("server"), n.Host("client"), http2, mirror)
				s.client.Timeout = time.Second
				s.transport.HTTP2 = c.config
				_, _, err := s.post([]byte("x"))
				must(t, err)
				n.Rule(lab.Any.From("client").Port(s.last.Load().AddrPort().Port()).Drop())
				o := s.requests(t)
				t.Logf("%d requests have failed, for %v", o.failed, o.lasted)
				wantOutage(t, o, c.failed, context.DeadlineExceeded)
			}, lab.StartAt(certified))
		})
	}
}
