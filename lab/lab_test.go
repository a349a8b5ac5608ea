package lab_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// A whole HTTP exchange over a path with delay and loss, on which the first two SYNs are lost, and
// which is dark for half a minute in the middle.
func TestFetch(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 20 * time.Millisecond, Rate: 10 * lab.Mbps, Queue: 64})
		server, client := n.Host("server"), n.Host("client")
		l, err := server.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello from %s", r.Host)
		}))
		hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
		lost := n.Rule(lab.First(2, lab.SYN).From("client").Drop())
		start := time.Now()
		resp, err := hc.Get("http://server/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello from server" {
			t.Errorf("the answer is %q", body)
		}
		if d := time.Since(start); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("with two SYNs lost it took %v; want 3 s and some", d)
		}
		if lost.Hits() != 2 {
			t.Errorf("%d SYNs lost", lost.Hits())
		}
		if got := client.Stats().Retransmits; got != 2 {
			t.Errorf("%d retransmissions; want the two SYNs\n%s", got, n.Ladder("client", "server"))
		}
		cut := n.Partition("client", "server")
		time.AfterFunc(30*time.Second, cut.Heal)
		start = time.Now()
		resp, err = hc.Get("http://server/again")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if d := time.Since(start); d < 30*time.Second {
			t.Errorf("through the partition in %v", d)
		}
		n.Settle()
		hc.CloseIdleConnections()
	})
}
