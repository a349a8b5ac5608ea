package judges_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/vitro-net/vitro/lab"
)

// TestLabNettest lets golang.org/x/net judge what a net.Conn must do between two hosts of a lab, over a
// cable and over paths with delay, loss and reordering. It is in real time: nettest calls t.Run, which
// no bubble allows.
func TestLabNettest(t *testing.T) {
	for _, tc := range []struct {
		name string
		link lab.Link
	}{
		{"cable", lab.Link{}},
		{"delay", lab.Link{Delay: time.Millisecond}},
		{"loss", lab.Link{Delay: time.Millisecond, Loss: 0.01, Reorder: 0.01, Duplicate: 0.01}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := lab.New(t)
			n.Default(tc.link)
			server, client := n.Host("server"), n.Host("client")
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				l, err := server.Listen("tcp", ":80")
				if err != nil {
					return nil, nil, nil, err
				}
				defer l.Close()
				if c1, err = client.Dial("tcp", "server:80"); err != nil {
					return nil, nil, nil, err
				}
				if c2, err = l.Accept(); err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() { c1.Close(); c2.Close() }, nil
			})
		})
	}
}
