package programs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// protocol is what HTTP is spoken over.
type protocol int

const (
	http1 protocol = iota
	http2
)

func (p protocol) String() string { return [...]string{"HTTP/1.1", "HTTP/2.0"}[p] }

// site is a server on the host "server", and a client on "client".
type site struct {
	url       string
	client    *http.Client
	transport *http.Transport
	dials     atomic.Int32
	last      atomic.Pointer[net.TCPAddr] // of the client's last connection
}

// newSite begins both: HTTP/1.1 in the clear, HTTP/2 over TLS.
func newSite(t *testing.T, server, client *lab.Host, p protocol, h http.Handler) *site {
	t.Helper()
	s := &site{url: "http://server/"}
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	s.transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := client.DialContext(ctx, network, address)
		if err == nil {
			s.dials.Add(1)
			s.last.Store(c.LocalAddr().(*net.TCPAddr))
		}
		return c, err
	}}
	if p == http1 {
		go hs.Serve(listen(t, server, ":80"))
	} else {
		cert, pool := certificate(t, "server")
		hs.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.transport.TLSClientConfig = &tls.Config{RootCAs: pool}
		s.transport.ForceAttemptHTTP2 = true
		s.url = "https://server/"
		l := listen(t, server, ":443")
		go hs.ServeTLS(l, "", "")
	}
	s.client = &http.Client{Transport: s.transport}
	t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		hs.Close()
	})
	return s
}

// post sends a body and returns the one that comes back.
func (s *site) post(b []byte) ([]byte, *http.Response, error) {
	r, err := s.client.Post(s.url, "application/octet-stream", bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	return got, r, err
}

// mirror sends back what it gets, all of it first.
var mirror = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Write(b)
})

// eachProtocol runs a test with both, at a time when the certificates are valid.
func eachProtocol(t *testing.T, f func(*testing.T, *lab.Net, protocol)) {
	for _, p := range []protocol{http1, http2} {
		t.Run(p.String(), func(t *testing.T) {
			overLoss(t, func(t *testing.T, n *lab.Net) { f(t, n, p) }, lab.StartAt(certified))
		})
	}
}

// Bodies of many sizes, six at once; HTTP/2 takes one connection for all.
func TestHTTP(t *testing.T) {
	eachProtocol(t, func(t *testing.T, n *lab.Net, p protocol) {
		s := newSite(t, n.Host("server"), n.Host("client"), p, mirror)
		if _, _, err := s.post(nil); err != nil { // HTTP/2 dials once if it knows that it is HTTP/2
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				for j := range 4 {
					b := octets(1+(4*i+j)*5000, n.Seed()+uint64(i))
					got, r, err := s.post(b)
					if err != nil {
						t.Error(err)
						return
					}
					same(t, "a body", got, b)
					if r.Proto != p.String() {
						t.Errorf("the answer is %s; want %v", r.Proto, p)
					}
				}
			})
		}
		all.Wait()
		if d := s.dials.Load(); p == http2 && d != 1 {
			t.Errorf("%d connections; want one for all requests", d)
		}
	})
}

// A partition in the middle of an answer: who has a timeout gets it, exactly then, and who waits gets
// the answer whole. When the server has crashed meanwhile and come back, the connection is reset.
func TestHTTPPartition(t *testing.T) {
	eachProtocol(t, func(t *testing.T, n *lab.Net, p protocol) {
		server := n.Host("server")
		half := make(chan bool, 1)
		body := octets(200_000, n.Seed())
		s := newSite(t, server, n.Host("client"), p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			half <- true
			time.Sleep(time.Second)
			w.Write(body[len(body)/2:])
		}))
		get := func(meanwhile func()) ([]byte, time.Duration, error) {
			t.Helper()
			start := time.Now()
			r, err := s.client.Get(s.url)
			must(t, err)
			defer r.Body.Close()
			<-half
			meanwhile()
			b, err := io.ReadAll(r.Body)
			return b, time.Since(start), err
		}
		cut := func() { cutFor(n, "client", "server", 30*time.Second) }

		got, d, err := get(cut)
		if err != nil || d < 30*time.Second || d > soon {
			t.Fatalf("after %v: %v; want the answer once the partition has healed", d, err)
		}
		same(t, "the body", got, body)

		s.client.Timeout = 10 * time.Second
		_, d, err = get(cut)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) || d != 10*time.Second {
			t.Errorf("after %v: %v; want the client's timeout after 10 s", d, err)
		}
		time.Sleep(time.Minute)

		s.client.Timeout = 0
		_, d, err = get(func() {
			cut()
			time.AfterFunc(10*time.Second, server.Crash)
			time.AfterFunc(20*time.Second, server.Restart)
		})
		// The client only reads: its keep-alive probe is what the new server answers by a reset.
		if !errors.Is(err, syscall.ECONNRESET) || d < 30*time.Second || d > soon {
			t.Errorf("after %v: %v; want ECONNRESET, when a probe has met the server that has restarted", d, err)
		}
	})
}
