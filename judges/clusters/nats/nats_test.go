// Package nats_test runs three clustered NATS servers and their clients, unmodified, over vitro in a
// testing/synctest bubble, for an hour that takes seconds.
package nats_test

import (
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/vitro-net/vitro/judges/clusters/within"
)

const (
	members   = 3
	clientsAt = 4222
	routesAt  = 6222
)

// begin starts a server on an address of its own, 127.0.0.1 and so on.
func begin(t *testing.T, i int) *server.Server {
	t.Helper()
	o := &server.Options{
		ServerName: "server" + strconv.Itoa(i),
		Host:       address(i),
		Port:       clientsAt,
		Cluster:    server.ClusterOpts{Name: "vitro", Host: address(i), Port: routesAt},
		NoSigs:     true, // signals come from outside the bubble
		NoLog:      true,
	}
	for j := range members {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: address(j) + ":" + strconv.Itoa(routesAt)})
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatalf("server %d takes no connections after 10 s", i)
	}
	return s
}

func address(i int) string { return fmt.Sprintf("127.0.0.%d", i+1) }

// end stops a server and waits until all of it has gone.
func end(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// client is one that hears all subjects.
type client struct {
	*nats.Conn
	mu    sync.Mutex
	heard map[string]int // messages by their text
	away  int            // how often the connection was lost
	back  int            // how often there was another
}

// connect makes a client that begins at a server and knows the others.
func connect(t *testing.T, i int) *client {
	t.Helper()
	c := &client{heard: map[string]int{}}
	all := ""
	for j := range members {
		all += fmt.Sprintf("nats://%s:%d,", address((i+j)%members), clientsAt)
	}
	nc, err := nats.Connect(all[:len(all)-1], nats.Name("client"+strconv.Itoa(i)), nats.DontRandomize(), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { c.mu.Lock(); c.away++; c.mu.Unlock() }),
		nats.ReconnectHandler(func(*nats.Conn) { c.mu.Lock(); c.back++; c.mu.Unlock() }))
	if err != nil {
		t.Fatalf("client %d: %v", i, err)
	}
	c.Conn = nc
	_, err = nc.Subscribe("news.>", func(m *nats.Msg) { c.mu.Lock(); c.heard[string(m.Data)]++; c.mu.Unlock() })
	if err != nil {
		t.Fatalf("client %d: %v", i, err)
	}
	_, err = nc.Subscribe("ask."+strconv.Itoa(i), func(m *nats.Msg) {
		if err := m.Respond(m.Data); err != nil {
			t.Errorf("client %d cannot answer: %v", i, err)
		}
	})
	if err != nil {
		t.Fatalf("client %d: %v", i, err)
	}
	return c
}

// times returns how often the connection was lost and made again.
func (c *client) times() (away, back int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away, c.back
}

// TestHour is an hour of messages from each of three clients to all and of requests around, each
// client at another server. In the twentieth minute the server of client 0 stops, and in the
// fortieth it comes back. What is published while no client is on its way to another server reaches
// everybody, once.
func TestHour(t *testing.T) {
	within.Bubble(t)
	// A package-level pool of nats.go keeps timers, which belong to the bubble that made them: two
	// collections empty it of what an earlier one has left (go test -count).
	runtime.GC()
	runtime.GC()
	real := time.Now()
	synctest.Test(t, hour)
	t.Logf("an hour took %v", time.Since(real).Round(time.Millisecond))
}

func hour(t *testing.T) {
	began := time.Now()
	var servers [members]*server.Server
	var clients [members]*client
	for i := range members {
		servers[i] = begin(t, i)
	}
	time.Sleep(5 * time.Second) // routes
	for i, s := range servers {
		if s.NumRoutes() == 0 {
			t.Errorf("server %d has no route to another after 5 s", i)
		}
	}
	for i := range members {
		clients[i] = connect(t, i)
	}
	time.Sleep(time.Second) // interest
	run := newspaper{t: t, clients: clients[:]}

	run.until(began.Add(20 * time.Minute))
	if at := clients[0].ConnectedAddr(); at != address(0)+":"+strconv.Itoa(clientsAt) {
		t.Errorf("client 0 is at %s after 20 minutes without a fault", at)
	}
	time.Sleep(5 * time.Second) // what is under way is lost with a server: NATS promises no more
	end(servers[0])
	time.Sleep(10 * time.Second)
	if at := clients[0].ConnectedAddr(); at == address(0)+":"+strconv.Itoa(clientsAt) || !clients[0].IsConnected() {
		t.Errorf("10 s after its server has stopped client 0 is connected to %q", at)
	}

	run.until(began.Add(40 * time.Minute))
	servers[0] = begin(t, 0)
	late := connect(t, 0)
	if at := late.ConnectedAddr(); at != address(0)+":"+strconv.Itoa(clientsAt) {
		t.Errorf("a client that comes to the server begun again is at %s", at)
	}
	time.Sleep(10 * time.Second)
	if servers[0].NumRoutes() == 0 {
		t.Error("10 s after it began again server 0 has no route to another")
	}
	first := run.number

	run.until(began.Add(time.Hour))
	time.Sleep(10 * time.Second)
	for i, c := range clients {
		run.heardAll(fmt.Sprintf("client %d", i), c, 0)
	}
	run.heardAll("the late client", late, first)
	for i, c := range clients {
		away, back := c.times()
		if want := map[int]int{0: 1}[i]; away != want || back != want {
			t.Errorf("client %d lost its connection %d times and had another %d times, where %d of both is due", i, away, back, want)
		}
	}
	t.Logf("%d messages to three and %d requests; %v of virtual time", run.number, run.asked, time.Since(began))

	for _, c := range append(clients[:], late) {
		c.Close()
	}
	for _, s := range servers {
		end(s)
	}
}

// newspaper publishes numbered messages, and asks.
type newspaper struct {
	t             *testing.T
	clients       []*client
	number, asked int
}

// until publishes by each client in turn, and lets each ask the next, till a time.
func (p *newspaper) until(end time.Time) {
	for time.Now().Before(end) {
		i := p.number % len(p.clients)
		if err := p.clients[i].Publish(fmt.Sprintf("news.%d", i), []byte(strconv.Itoa(p.number))); err != nil {
			p.t.Fatalf("client %d cannot publish message %d: %v", i, p.number, err)
		}
		p.number++
		if p.number%10 == 0 {
			text := strconv.Itoa(p.number)
			m, err := p.clients[i].Request("ask."+strconv.Itoa((i+1)%len(p.clients)), []byte(text), 10*time.Second)
			if err != nil || string(m.Data) != text {
				p.t.Fatalf("client %d asks %s and gets %v, %v", i, text, m, err)
			}
			p.asked++
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// heardAll checks that a client has heard each message from the first on, once.
func (p *newspaper) heardAll(name string, c *client, first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bad := 0
	for i := first; i < p.number; i++ {
		if n := c.heard[strconv.Itoa(i)]; n != 1 {
			bad++
			if bad <= 3 {
				p.t.Errorf("%s has heard message %d %d times", name, i, n)
			}
		}
	}
	if bad > 0 {
		p.t.Errorf("%s has not heard %d of %d messages once", name, bad, p.number-first)
	}
}
