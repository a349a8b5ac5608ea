package programs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// seeds is how many lives each program has.
var seeds = flag.Int("seeds", 10, "run each program with this `number` of seeds")

// path is what lies between any two hosts here: 50 ms there and back, and of a hundred packets one
// is lost.
var path = lab.Link{Delay: 25 * time.Millisecond, Loss: 0.01}

// soon is within what time a connection goes on by itself after a partition of half a minute to a minute, or
// ends: TCP doubles its timeout with each retransmission (RFC 6298 section 5.5), and one that is lost by
// chance after the partition costs as long as all before it. Beyond its user timeout nothing waits.
const soon = 5 * time.Minute

// overLoss runs a program over that path, once with each seed.
func overLoss(t *testing.T, f func(*testing.T, *lab.Net), opts ...lab.Option) {
	t.Helper()
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(path)
		f(t, n)
	}, append(opts, lab.Seeds(*seeds), lab.Limit(2*time.Hour))...)
}

// certified is when bubbles begin in which there are certificates: those below are of that year.
var certified = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// certificate returns a server's certificate for names, and the pool that trusts it. It is valid for
// a year from a month before certified on, and at no time before.
func certificate(t testing.TB, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: certified.AddDate(0, -1, 0), NotAfter: certified.AddDate(0, 11, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// must ends a test that has an error where there can be none.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listen listens on a host.
func listen(t testing.TB, h *lab.Host, address string) net.Listener {
	t.Helper()
	l, err := h.Listen("tcp", address)
	must(t, err)
	return l
}

// accept serves each connection that comes to a listener, until that is closed.
func accept(l net.Listener, serve func(net.Conn)) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// cutFor parts two hosts for a while, beginning now.
func cutFor(n *lab.Net, a, b string, d time.Duration) {
	time.AfterFunc(d, n.Partition(a, b).Heal)
}

// octets returns n octets that differ with seed.
func octets(n int, seed uint64) []byte {
	b := make([]byte, n)
	x := seed*2 + 1
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// same reports what is wrong with octets that have come back.
func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s: %d octets came back of %d, and they differ from octet %d on", what, len(got), len(want), i)
}
