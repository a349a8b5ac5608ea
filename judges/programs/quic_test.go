package programs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/vitro-net/vitro/lab"
)

// It would say on the terminal that it does not know how to set the buffers of such a socket.
func init() { os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") }

// newQUIC begins a server on "server" that repeats each stream, and returns a client's connection.
func newQUIC(t *testing.T, n *lab.Net) *quic.Conn {
	server, client := n.Host("server"), n.Host("client")
	cert, pool := certificate(t, "server")
	config := &quic.Config{MaxIdleTimeout: time.Minute, KeepAlivePeriod: 5 * time.Second}
	spc, err := server.ListenPacket("udp4", ":443")
	must(t, err)
	st := &quic.Transport{Conn: spc}
	l, err := st.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"echo"}}, config)
	must(t, err)
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go func() {
						io.Copy(s, s)
						s.Close()
					}()
				}
			}()
		}
	}()
	cpc, err := client.ListenPacket("udp4", ":0")
	must(t, err)
	ct := &quic.Transport{Conn: cpc}
	to, err := client.Dialer().DialContext(t.Context(), "udp4", "server:443")
	must(t, err)
	addr := to.RemoteAddr()
	to.Close()
	c, err := ct.Dial(t.Context(), addr, &tls.Config{RootCAs: pool, ServerName: "server", NextProtos: []string{"echo"}}, config)
	must(t, err)
	t.Cleanup(func() {
		c.CloseWithError(0, "")
		ct.Close()
		l.Close()
		st.Close()
		cpc.Close()
		spc.Close()
	})
	return c
}

// Ten streams one after another.
func TestQUIC(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c := newQUIC(t, n)
		for i := range 10 {
			s, err := c.OpenStreamSync(t.Context())
			must(t, err)
			b := octets(1+20_000*i, n.Seed()+uint64(i))
			go func() {
				s.Write(b)
				s.Close()
			}()
			got, err := io.ReadAll(s)
			must(t, err)
			same(t, "a stream", got, b)
		}
	}, lab.StartAt(certified))
}

// A partition of ten seconds is only a wait; one that is longer than the idle timeout ends the connection.
func TestQUICPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c := newQUIC(t, n)
		s, err := c.OpenStreamSync(t.Context())
		must(t, err)
		_, err = s.Write([]byte("before!")) // else the server has not seen the end of the handshake, and gives up after 5 s
		must(t, err)
		_, err = io.ReadFull(s, make([]byte, 7))
		must(t, err)
		cutFor(n, "client", "server", 10*time.Second)
		start := time.Now()
		_, err = s.Write([]byte("through"))
		must(t, err)
		b := make([]byte, 7)
		_, err = io.ReadFull(s, b)
		if d := time.Since(start); err != nil || string(b) != "through" || d < 10*time.Second || d > time.Minute {
			t.Fatalf("after %v: %q, %v; want it once the partition has healed", d, b, err)
		}
		cutFor(n, "client", "server", 3*time.Minute)
		start = time.Now()
		_, err = io.ReadFull(s, b)
		var idle *quic.IdleTimeoutError
		if d := time.Since(start); !errors.As(err, &idle) || d < 55*time.Second || d > 65*time.Second {
			t.Errorf("after %v: %v; want the idle timeout after a minute", d, err)
		}
	}, lab.StartAt(certified))
}
