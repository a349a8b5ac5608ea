package judges_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The clients and servers of package net/http over vitro at both ends.

// certificate returns a server's certificate for host and the pool that trusts it. It is
// valid at the start of a bubble's time, the year 2000, and now.
func certificate(t testing.TB, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vitro's judge"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		DNSNames: []string{host}, IPAddresses: []net.IP{net.ParseIP("10.0.0.2")},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// web is a server on one Stack and a client on another.
type web struct {
	client   *http.Client
	url      string
	accepted atomic.Int32 // connections
}

type version int

const (
	plain version = iota
	overTLS
	http2
)

func (v version) String() string { return [...]string{"HTTP", "HTTPS", "HTTP2"}[v] }

func newWeb(t testing.TB, a, b *vitro.Stack, v version, h http.Handler) *web {
	t.Helper()
	w := &web{url: "http://10.0.0.2:80"}
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			w.accepted.Add(1)
		}
	}
	transport := &http.Transport{DialContext: a.DialContext, ForceAttemptHTTP2: v == http2}
	var done sync.WaitGroup
	if v == plain {
		done.Go(func() { server.Serve(l) })
	} else {
		cert, pool := certificate(t, "10.0.0.2")
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		if v == overTLS {
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
		w.url = "https://10.0.0.2:80"
		done.Go(func() { server.ServeTLS(l, "", "") })
	}
	w.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		done.Wait()
	})
	return w
}

// echo answers with the protocol and the digest of the body.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %d %x", r.Proto, n, sum.Sum(nil))
})

// pattern gives n octets that depend on seed.
type pattern struct {
	n, at int64
	seed  byte
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		return 0, io.EOF
	}
	k := int(min(int64(len(b)), p.n-p.at))
	for i := range k {
		b[i] = byte(p.at+int64(i)) ^ byte((p.at+int64(i))>>8) ^ p.seed
	}
	p.at += int64(k)
	return k, nil
}

func digest(n int64, seed byte) string {
	sum := sha256.New()
	io.Copy(sum, &pattern{n: n, seed: seed})
	return fmt.Sprintf("%d %x", n, sum.Sum(nil))
}

func (w *web) post(n int64, seed byte) (string, error) {
	resp, err := w.client.Post(w.url, "application/octet-stream", &pattern{n: n, seed: seed})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

var protocols = map[version]string{plain: "HTTP/1.1", overTLS: "HTTP/1.1", http2: "HTTP/2.0"}

// Large bodies arrive whole, from many clients at once.
func TestHTTP(t *testing.T) {
	for _, v := range []version{plain, overTLS, http2} {
		for name, pc := range map[string]link.PairConfig{"": {}, " without offload": {NoOffload: true}} {
			t.Run(v.String()+name, func(t *testing.T) {
				a, b := pair(t, vitro.Config{}, pc)
				w := newWeb(t, a, b, v, echo)
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						n := int64(1<<20 + i)
						got, err := w.post(n, byte(i))
						if want := protocols[v] + " " + digest(n, byte(i)); got != want || err != nil {
							t.Errorf("POST of %d octets: %q, %v; want %q", n, got, err, want)
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// One connection serves one request after another.
func TestHTTPKeepsConnection(t *testing.T) {
	for _, v := range []version{plain, overTLS, http2} {
		t.Run(v.String(), func(t *testing.T) {
			a, b := pair(t, vitro.Config{}, link.PairConfig{})
			w := newWeb(t, a, b, v, echo)
			for range 20 {
				if _, err := w.post(1000, 0); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.accepted.Load(); n != 1 {
				t.Errorf("20 requests took %d connections", n)
			}
		})
	}
}

// The same in a bubble, over a link that takes 20 ms and loses one packet in fifty: a
// connection that is idle for ten hours still serves.
func TestHTTPInBubble(t *testing.T) {
	for _, v := range []version{plain, overTLS, http2} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				la, lb := link.Pair(0)
				odds := link.Odds{Drop: 0.02, Delay: 10 * time.Millisecond}
				fault := link.Fault(la, link.FaultConfig{Seed: 7, Out: odds, In: odds})
				a, b := join(t, vitro.Config{ElasticSend: true}, fault, lb)
				w := newWeb(t, a, b, v, echo)
				w.client.Transport.(*http.Transport).IdleConnTimeout = 0
				for i := range 3 {
					const n = 200_000
					got, err := w.post(n, byte(i))
					if want := protocols[v] + " " + digest(n, byte(i)); got != want || err != nil {
						t.Errorf("POST: %q, %v; want %q", got, err, want)
					}
					time.Sleep(10 * time.Hour)
				}
				if n := w.accepted.Load(); n != 1 {
					t.Errorf("3 requests took %d connections", n)
				}
			})
		})
	}
}

// A client's patience ends a request, exactly then.
func TestHTTPTimeoutInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{}, link.PairConfig{})
		w := newWeb(t, a, b, plain, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		w.client.Timeout = 30 * time.Second
		start := time.Now()
		_, err := w.client.Get(w.url)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || time.Since(start) != 30*time.Second {
			t.Errorf("Get: %v after %v; want a timeout after 30 s", err, time.Since(start))
		}
	})
}

// Shutdown waits for the request at work, and no connection outlives it but in TIME-WAIT,
// which lasts for two minutes with an MSL of one.
func TestHTTPShutdownInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		lost := false
		rule := func(_ link.Direction, p *wire.Packet) link.Verdict {
			first := !lost // the SYN
			lost = true
			return link.Verdict{Drop: first}
		}
		a, b := join(t, vitro.Config{MSL: time.Minute}, link.Fault(la, link.FaultConfig{Rule: rule}), lb)
		l, err := b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			io.WriteString(w, "done")
		})}
		go server.Serve(l)
		client := &http.Client{Transport: &http.Transport{DialContext: a.DialContext}}
		start := time.Now()
		time.AfterFunc(5*time.Second, func() { server.Shutdown(context.Background()) })
		resp, err := client.Get("http://10.0.0.2/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if string(body) != "done" || err != nil || time.Since(start) != 11*time.Second {
			t.Errorf("%q, %v after %v; want done after a second for the lost SYN and ten for the answer", body, err, time.Since(start))
		}
		client.CloseIdleConnections()
		time.Sleep(time.Second)
		states := func() (s []tcp.State) {
			for _, c := range append(a.Connections(), b.Connections()...) {
				s = append(s, c.State)
			}
			return s
		}
		// Server and client close at one instant, so that it may be both.
		s := states()
		if len(s) < 1 || len(s) > 2 || slices.ContainsFunc(s, func(s tcp.State) bool { return s != tcp.TimeWait }) {
			t.Errorf("after Shutdown there is %v; want TIME-WAIT", s)
		}
		time.Sleep(2 * time.Minute)
		if s := states(); len(s) != 0 {
			t.Errorf("after 2 MSL there is %v", s)
		}
	})
}
