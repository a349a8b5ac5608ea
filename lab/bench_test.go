package lab_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// inTest runs f as a test within a benchmark: a bubble wants a T. RunTests would run it once for each of
// the numbers of processors that -cpu lists: it is run once, with the benchmark's.
func inTest(b *testing.B, f func(*testing.T)) {
	b.Helper()
	procs, ran := runtime.GOMAXPROCS(0), false
	defer runtime.GOMAXPROCS(procs)
	once := func(t *testing.T) {
		if !ran {
			ran = true
			runtime.GOMAXPROCS(procs)
			f(t)
		}
	}
	if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: once}}) {
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

// Packets in a second of real time: ten megabytes over a path of 100 Mbit/s, where each packet arrives at
// an instant of its own, and over one without a rate, where those arrive together that were sent together.
func BenchmarkPackets(b *testing.B) {
	for _, c := range []struct {
		name string
		link lab.Link
	}{
		{"100 Mbps", lab.Link{Delay: 10 * time.Millisecond, Rate: 100 * lab.Mbps}},
		{"no rate", lab.Link{Delay: 10 * time.Millisecond}},
		{"1 % lost", lab.Link{Delay: 10 * time.Millisecond, Loss: 0.01}},
	} {
		b.Run(c.name, func(b *testing.B) {
			packets := uint64(0)
			inTest(b, func(t *testing.T) {
				for b.Loop() {
					packets += tenMegabytes(t, c.link)
				}
			})
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

// tenMegabytes sends so much over a link, and returns in how many packets.
func tenMegabytes(t *testing.T, l lab.Link) (packets uint64) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(l)
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		go func() {
			c.Write(make([]byte, 10e6))
			c.CloseWrite()
		}()
		if got, err := io.Copy(io.Discard, s); got != 10e6 || err != nil {
			t.Errorf("%d octets, %v", got, err)
		}
		packets = client.Stats().PacketsOut + server.Stats().PacketsOut
	})
	return packets
}

// Many hosts, each of which asks each other something and gets an answer.
func BenchmarkHosts(b *testing.B) {
	for _, hosts := range []int{10, 40} {
		b.Run(strconv.Itoa(hosts), func(b *testing.B) {
			packets := uint64(0)
			inTest(b, func(t *testing.T) {
				for b.Loop() {
					packets += eachAsksEach(t, hosts)
				}
			})
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

func eachAsksEach(t *testing.T, hosts int) (packets uint64) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 10 * time.Millisecond, Jitter: time.Millisecond})
		var all []*lab.Host
		for i := range hosts {
			h := n.Host(fmt.Sprint("host", i))
			l, err := h.Listen("tcp4", ":7")
			must(t, 0, err)
			go echo(l)
			all = append(all, h)
		}
		var asking sync.WaitGroup
		for i, h := range all {
			for j := range all {
				if i != j {
					asking.Go(func() { askTen(t, h, fmt.Sprintf("host%d:7", j)) })
				}
			}
		}
		asking.Wait()
		for _, h := range all {
			packets += h.Stats().PacketsOut
		}
	})
	return packets
}

// echo sends back what comes, on each connection.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

func askTen(t *testing.T, h *lab.Host, address string) {
	c, err := h.Dial("tcp4", address)
	must(t, 0, err)
	defer c.Close()
	for range 10 {
		must(t, 0, second(c.Write([]byte("question"))))
		must(t, 0, readFull(c, make([]byte, 8)))
	}
}

func second[T any](_ T, err error) error { return err }

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

// What an instant of a bubble costs by itself: a timer that wakes one goroutine, which wakes another. No packet
// that arrives at an instant of its own can take less.
func BenchmarkInstants(b *testing.B) {
	const each = 10_000
	instants := 0
	inTest(b, func(t *testing.T) {
		for b.Loop() { // outside: the clock of a benchmark must not be the bubble's
			synctest.Test(t, func(*testing.T) { wake(each) })
			instants += each
		}
	})
	b.ReportMetric(float64(instants)/b.Elapsed().Seconds(), "instants/s")
}

// wake has a goroutine woken so often, each time at another instant.
func wake(times int) {
	var mu sync.Mutex
	woken, over := sync.NewCond(&mu), false
	go func() {
		mu.Lock()
		defer mu.Unlock()
		for !over {
			woken.Wait()
		}
	}()
	timer := time.NewTimer(time.Microsecond)
	for i := range times {
		<-timer.C
		mu.Lock()
		over = i == times-1
		woken.Signal()
		mu.Unlock()
		timer.Reset(time.Microsecond)
	}
	timer.Stop()
}
