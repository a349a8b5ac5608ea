package overlaid

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

// The buffers that it wants are more than most kernels give.
func init() { os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") }

// certificate is a server's, and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"server"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(100 * 365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A server and a client of quic-go as they come, on sockets of all addresses and of one: both read by
// recvmmsg from a file descriptor, with ECN bits and the address a datagram was sent to, and write
// many datagrams at once.
func TestQUIC(t *testing.T) {
	Needs(t)
	for _, c := range []struct{ name, listen, dial string }{
		{"one address", "127.0.0.2:0", "127.0.0.2"}, {"all addresses", ":0", "127.0.0.3"}, {"IPv6", "[::1]:0", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) { streams(t, c.listen, c.dial, false) })
		t.Run(c.name+" in a bubble", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { streams(t, c.listen, c.dial, true) })
		})
	}
}

func streams(t *testing.T, listen, dial string, bubble bool) {
	cert, roots := certificate(t)
	l, err := quic.ListenAddr(listen, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"echo"}},
		&quic.Config{MaxIdleTimeout: 5 * time.Second}) // for where the link loses that the client has gone
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept(context.Background())
		if err != nil {
			return
		}
		for {
			s, err := c.AcceptStream(context.Background())
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(s, s)
				_ = s.Close()
			}()
		}
	}()
	port := l.Addr().(*net.UDPAddr).Port //nolint:forcetypeassert // it is one of UDP
	c, err := quic.DialAddr(t.Context(), net.JoinHostPort(dial, strconv.Itoa(port)),
		&tls.Config{RootCAs: roots, ServerName: "server", NextProtos: []string{"echo"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		s, err := c.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Repeat([]byte{byte(i)}, 100_000*i+1)
		go func() {
			_, _ = s.Write(b)
			_ = s.Close()
		}()
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("stream %d: %d octets, %v; want the %d that were sent", i, len(got), err, len(b))
		}
	}
	if err := c.CloseWithError(0, ""); err != nil {
		t.Error(err)
	}
	<-ended // by what the client has said, or by the idle timeout
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if bubble {
		time.Sleep(time.Minute) // quic-go leaves a connection to timers for a while
	}
}
