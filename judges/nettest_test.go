package judges_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// TestNettest lets golang.org/x/net judge what a net.Conn must do: over a pair in memory
// with every offload, over one with none, and from a Stack to itself.
func TestNettest(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config link.PairConfig
		self   bool
	}{
		{"pair", link.PairConfig{}, false},
		{"pair without offload", link.PairConfig{NoOffload: true}, false},
		{"pair of large packets", link.PairConfig{MTU: link.MaxMTU}, false},
		{"loopback", link.PairConfig{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b := pair(t, vitro.Config{}, tc.config)
				address := "10.0.0.2:80"
				if tc.self {
					a, address = b, "127.0.0.1:80"
				}
				l, err := b.Listen("tcp", ":80")
				if err != nil {
					return nil, nil, nil, err
				}
				if c1, err = a.Dial("tcp", address); err != nil {
					return nil, nil, nil, err
				}
				if c2, err = l.Accept(); err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() { c1.Close(); c2.Close(); a.Close(); b.Close() }, nil
			})
		})
	}
}
