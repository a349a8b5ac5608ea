package lab_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// A host that is made, or restarted, after the end of its test is closed: who listens there is told so, and
// does not wait for ever in a bubble that ends.
func TestHostsAfterTheEnd(t *testing.T) {
	for name, late := range map[string]func(n *lab.Net, h *lab.Host) *lab.Host{
		"host":    func(n *lab.Net, _ *lab.Host) *lab.Host { return n.Host("late") },
		"router":  func(n *lab.Net, _ *lab.Host) *lab.Host { return n.Router("late") },
		"restart": func(_ *lab.Net, h *lab.Host) *lab.Host { h.Restart(); return h },
	} {
		told := make(chan [2]error, 1)
		t.Run(name, func(t *testing.T) {
			line(t, func(t *testing.T, n *lab.Net) {
				h := n.Host("host")
				go func() {
					time.Sleep(10 * time.Second) // into the minute that goroutines have to end
					h := late(n, h)
					l, err := h.Listen("tcp", ":80")
					_, err2 := h.Dial("tcp", "10.0.0.1:80")
					told <- [2]error{err, err2}
					if err == nil {
						l.Accept()
					}
				}()
			})
		})
		for i, err := range <-told {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: after the end of the test %s gives %v", name, []string{"Listen", "Dial"}[i], err)
			}
		}
	}
}

// What waits for a paused host that crashes, or of its own, is lost, and the ladder says how.
func TestCrashOfAPausedHost(t *testing.T) {
	for _, router := range []bool{false, true} {
		line(t, func(t *testing.T, n *lab.Net) {
			client, server := n.Host("client"), n.Host("server")
			paused := server
			if router {
				paused = n.Router("router")
				n.Link("client", "router", lab.Link{Delay: time.Millisecond})
				n.Link("router", "server", lab.Link{Delay: time.Millisecond})
			}
			c, s := connect(t, client, server)
			time.Sleep(time.Second)
			paused.Pause()
			c.Write([]byte("held"))
			if !router {
				s.Write([]byte("of its own"))
			}
			time.Sleep(50 * time.Millisecond)
			paused.Restart()
			want := 2
			if router {
				want = 1
			}
			if l := n.Ladder("client", "server"); strings.Count(l, "the host crashes") != want || strings.Count(l, "(lost)") != want {
				t.Errorf("%d packets are lost with the host that crashes; the ladder is\n%s", want, l)
			}
		})
	}
}
