package programs_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/vitro-net/vitro/lab"
)

// newWebSocket begins a server on "server" that repeats each message, and returns a client's end.
func newWebSocket(t *testing.T, n *lab.Net) *websocket.Conn {
	server, client := n.Host("server"), n.Host("client")
	hs := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	})}
	go hs.Serve(listen(t, server, ":80"))
	t.Cleanup(func() { hs.Close() })
	transport := &http.Transport{DialContext: client.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	c, _, err := websocket.Dial(t.Context(), "ws://server/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	must(t, err)
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// Messages to and fro, pings among them, and a close that both sides know of.
func TestWebSocket(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c := newWebSocket(t, n)
		for i := range 20 {
			b := octets(1+i*4000, n.Seed()+uint64(i))
			must(t, c.Write(t.Context(), websocket.MessageBinary, b))
			_, got, err := c.Read(t.Context())
			must(t, err)
			same(t, "a message", got, b)
		}
		ctx := c.CloseRead(t.Context()) // which answers pings, and reads the pongs
		for range 3 {
			start := time.Now()
			must(t, c.Ping(t.Context()))
			if d := time.Since(start); d < 50*time.Millisecond {
				t.Errorf("a pong after %v, sooner than the path allows", d)
			}
		}
		must(t, c.Close(websocket.StatusNormalClosure, "done"))
		<-ctx.Done()
	})
}

// A partition in the middle: a ping with a deadline tells of it, exactly then, and the connection is
// of no use any more. Without a deadline a message waits until the partition heals.
func TestWebSocketPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c := newWebSocket(t, n)
		cutFor(n, "client", "server", 30*time.Second)
		start := time.Now()
		must(t, c.Write(t.Context(), websocket.MessageText, []byte("through")))
		_, got, err := c.Read(t.Context())
		if d := time.Since(start); string(got) != "through" || err != nil || d < 30*time.Second || d > soon {
			t.Fatalf("after %v: %q, %v; want the message once the partition has healed", d, got, err)
		}

		cutFor(n, "client", "server", 30*time.Second)
		read := c.CloseRead(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start = time.Now()
		err = c.Ping(ctx)
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != 5*time.Second {
			t.Errorf("a ping: %v after %v; want DeadlineExceeded after 5 s", err, d)
		}
		c.CloseNow()
		<-read.Done()
		if err := c.Write(t.Context(), websocket.MessageText, []byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a message after the close: %v; want net.ErrClosed", err)
		}
	})
}
