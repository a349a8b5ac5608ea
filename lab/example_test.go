package lab_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
	"github.com/vitro-net/vitro/tcp"
)

// play runs a test within an example, which has no T. In a test of yours there is one.
func play(f func(*testing.T)) {
	verbose := flag.Lookup("test.v").Value.String()
	_ = flag.Set("test.v", "false") // what testing prints is not the example's
	defer func() { _ = flag.Set("test.v", verbose) }()
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "Example", F: f}})
}

// The first two SYNs are lost: the third goes out after three seconds, which pass at once.
func Example() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			n.Default(lab.Link{Delay: 20 * time.Millisecond})
			server, client := n.Host("server"), n.Host("client")
			l, err := server.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "hello from %s", r.Host)
			}))
			n.Rule(lab.First(2, lab.SYN).From("client").Drop())

			hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
			start := time.Now()
			resp, err := hc.Get("http://server/")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			hc.CloseIdleConnections()
			fmt.Printf("%s, %v, after %v\n", body, err, time.Since(start).Round(time.Millisecond))
		})
	})
	// Output: hello from server, <nil>, after 3.08s
}

// What a program sees of a partition: nothing, until its deadline; and when it is healed, all that was
// written.
func ExampleNet_Partition() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			n.Default(lab.Link{Delay: 5 * time.Millisecond})
			a, b := n.Host("a"), n.Host("b")
			x, y := connect(t, a, b)
			cut := n.Partition("a", "b")
			x.Write([]byte("are you there?"))
			y.SetReadDeadline(time.Now().Add(time.Minute))
			p := make([]byte, 100)
			_, err := y.Read(p)
			fmt.Println("during:", errors.Is(err, os.ErrDeadlineExceeded))

			cut.Heal()
			y.SetReadDeadline(time.Time{})
			m, err := y.Read(p)
			fmt.Println("after:", string(p[:m]), err)
		})
	})
	// Output:
	// during: true
	// after: are you there? <nil>
}

// A host that has crashed and is back knows nothing of its connections: who sends to it gets a reset.
func ExampleHost_Restart() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			server, client := n.Host("server"), n.Host("client")
			c, _ := connect(t, client, server)
			server.Restart()
			_, err := c.Write([]byte("still there?"))
			fmt.Println("Write:", err)
			_, err = c.Read(make([]byte, 1))
			fmt.Println("Read:", errors.Is(err, syscall.ECONNRESET))
		})
	})
	// Output:
	// Write: <nil>
	// Read: true
}

// A NAT that forgets idle connections after five minutes: what the server sends then is lost, and
// neither end learns of it.
func ExampleNet_NAT() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			server, client := n.Host("server"), n.Host("client")
			n.NAT("nat", "client").Timeout(5 * time.Minute)
			c, s := connect(t, client, server)
			for _, x := range []interface {
				SetKeepAliveConfig(net.KeepAliveConfig) error
			}{c, s} {
				x.SetKeepAliveConfig(net.KeepAliveConfig{Enable: false})
			}
			for _, idle := range []time.Duration{4 * time.Minute, 6 * time.Minute} {
				time.Sleep(idle)
				s.Write([]byte("news"))
				c.SetReadDeadline(time.Now().Add(time.Minute))
				_, err := c.Read(make([]byte, 4))
				fmt.Printf("after %v: %v\n", idle, err == nil)
			}
		})
	})
	// Output:
	// after 4m0s: true
	// after 6m0s: false
}

// Rules by meaning and by state: the last acknowledgment of a close is lost, so that the server, in
// LAST-ACK, sends its FIN again.
func ExampleMatch_While() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			n.Default(lab.Link{Delay: 10 * time.Millisecond})
			server, client := n.Host("server"), n.Host("client")
			c, s := connect(t, client, server)
			lost := n.Rule(lab.First(1, lab.ACK).While(tcp.TimeWait).Drop())
			c.Close()
			time.Sleep(50 * time.Millisecond)
			s.Close()
			time.Sleep(time.Second)
			fmt.Printf("%d lost, %d sent again\n", lost.Hits(), server.Stats().Retransmits)
		})
	})
	// Output: 1 lost, 1 sent again
}

// The ladder of a connection whose first SYN was lost.
func ExampleNet_Ladder() {
	play(func(t *testing.T) {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			n.Default(lab.Link{Delay: 10 * time.Millisecond})
			isn := func(first uint32) vitro.Config {
				return vitro.Config{ISN: func(_, _ netip.AddrPort) uint32 { return first }, PortFirst: 40000, PortLast: 40000}
			}
			server, client := n.Host("server", isn(2000)), n.Host("client", isn(1000))
			n.Rule(lab.First(1, lab.SYN).Drop())
			connect(t, client, server)
			fmt.Print(n.Ladder("client", "server"))
		})
	})
	// Output:
	// # 10.0.0.2:40000 to 10.0.0.1:80
	//
	//             client                                                       server
	// 1.          CLOSED                                                       CLOSED
	// 2.  0.000s  SYN-SENT    --> <SEQ=1000><CTL=SYN>                      ... (lost)
	// 3.  0.005s  (dropped by rule: first 1 SYN)
	// 4.  1.000s  (retransmission timeout: send the front of the queue again)
	//             SYN-SENT    --> <SEQ=1000><CTL=SYN>                      --> SYN-RECEIVED
	// 5.  1.010s  ESTABLISHED <-- <SEQ=2000><ACK=1001><CTL=SYN,ACK>        <-- SYN-RECEIVED
	// 6.  1.020s  ESTABLISHED --> <SEQ=1001><ACK=2001><CTL=ACK>            --> ESTABLISHED
}
