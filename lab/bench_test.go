package lab_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// inTest runs f as a test within a benchmark: a bubble wants a T.
func inTest(b *testing.B, f func(*testing.T)) {
	b.Helper()
	if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: f}}) {
		b.Fatal("the test within has failed")
	}
}

// A lab with two hosts, and one HTTP request.
func BenchmarkRequest(b *testing.B) {
	inTest(b, func(t *testing.T) {
		for b.Loop() {
			lab.Test(t, func(t *testing.T, n *lab.Net) {
				n.Default(lab.Link{Delay: 20 * time.Millisecond})
				server, client := n.Host("server"), n.Host("client")
				l, err := server.Listen("tcp4", ":80")
				must(t, 0, err)
				go http.Serve(l, http.NotFoundHandler())
				hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext, DisableKeepAlives: true}}
				resp, err := hc.Get("http://server/")
				must(t, 0, err)
				resp.Body.Close()
			})
		}
	})
}

// Packets in a second of real time: ten megabytes over a path of 100 Mbit/s.
func BenchmarkPackets(b *testing.B) {
	packets := uint64(0)
	inTest(b, func(t *testing.T) {
		for b.Loop() {
			lab.Test(t, func(t *testing.T, n *lab.Net) {
				n.Default(lab.Link{Delay: 10 * time.Millisecond, Rate: 100 * lab.Mbps})
				client, server := n.Host("client"), n.Host("server")
				c, s := connect(t, client, server)
				go func() {
					c.Write(make([]byte, 10e6))
					c.CloseWrite()
				}()
				if got, err := io.Copy(io.Discard, s); got != 10e6 || err != nil {
					t.Errorf("%d octets, %v", got, err)
				}
				packets += client.Stats().PacketsOut + server.Stats().PacketsOut
			})
		}
	})
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}

// What waits for long passes at once: each in a lab of its own, from the first line to the last.
func BenchmarkLongTimes(b *testing.B) {
	for _, c := range []struct {
		name string
		live func(*testing.T, *lab.Net, *vitro.Conn, *vitro.Conn)
	}{
		{"TIME-WAIT of two minutes", func(t *testing.T, n *lab.Net, c, s *vitro.Conn) {
			c.Close()
			s.Close()
			time.Sleep(2*time.Minute + time.Second)
		}},
		{"keep-alive after two hours", func(t *testing.T, n *lab.Net, c, s *vitro.Conn) {
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9})
			s.SetKeepAlive(false)
			n.Partition("client", "server")
			c.Read(make([]byte, 1))
		}},
		{"user timeout of fifteen minutes", func(t *testing.T, n *lab.Net, c, s *vitro.Conn) {
			c.SetUserTimeout(15 * time.Minute)
			n.Partition("client", "server")
			c.Write([]byte("x"))
			c.Read(make([]byte, 1))
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			inTest(b, func(t *testing.T) {
				for b.Loop() {
					line(t, func(t *testing.T, n *lab.Net) {
						client, server := n.Host("client", vitro.Config{MSL: time.Minute}), n.Host("server")
						x, y := connect(t, client, server)
						c.live(t, n, x, y)
					})
				}
			})
		})
	}
}
