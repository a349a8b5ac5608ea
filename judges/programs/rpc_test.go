package programs_test

import (
	"errors"
	"io"
	"net"
	"net/rpc"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// Arith is what net/rpc's documentation serves.
type Arith struct{}

// Multiply is its only method.
func (Arith) Multiply(args [2]int, product *int) error {
	*product = args[0] * args[1]
	return nil
}

// newRPC begins a server on "server", and returns a client on "client".
func newRPC(t *testing.T, n *lab.Net) (server *lab.Host, c *rpc.Client) {
	server = n.Host("server")
	s := rpc.NewServer()
	must(t, s.Register(Arith{}))
	accept(listen(t, server, ":1234"), func(c net.Conn) { s.ServeConn(c) })
	conn, err := n.Host("client").Dial("tcp", "server:1234")
	must(t, err)
	return server, rpc.NewClient(conn)
}

// A hundred calls at once over one connection.
func TestRPC(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		_, c := newRPC(t, n)
		defer c.Close()
		done := make(chan *rpc.Call, 100)
		for i := range cap(done) {
			c.Go("Arith.Multiply", [2]int{i, i}, new(int), done)
		}
		for range cap(done) {
			call := <-done
			must(t, call.Error)
			if x, got := call.Args.([2]int)[0], *call.Reply.(*int); got != x*x {
				t.Errorf("%d times itself is %d", x, got)
			}
		}
	})
}

// Through a partition a call waits. When the server has crashed in it and come back, the call's
// retransmission is answered by a reset, and the client says so.
func TestRPCPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		server, c := newRPC(t, n)
		defer c.Close()
		var product int
		cutFor(n, "client", "server", 20*time.Second)
		start := time.Now()
		must(t, c.Call("Arith.Multiply", [2]int{6, 7}, &product))
		if d := time.Since(start); product != 42 || d < 20*time.Second || d > soon {
			t.Errorf("6 times 7 is %d after %v; want 42 after the partition", product, d)
		}

		cutFor(n, "client", "server", 20*time.Second)
		time.AfterFunc(10*time.Second, server.Restart)
		start = time.Now()
		err := c.Call("Arith.Multiply", [2]int{6, 7}, &product)
		if d := time.Since(start); !errors.Is(err, syscall.ECONNRESET) || d < 20*time.Second || d > soon {
			t.Errorf("after %v: %v; want ECONNRESET, after the partition", d, err)
		}
		if err := c.Call("Arith.Multiply", [2]int{6, 7}, &product); !errors.Is(err, rpc.ErrShutdown) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the next call: %v; want ErrShutdown", err)
		}
	})
}
