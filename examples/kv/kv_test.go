package kv_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/examples/kv"
	"github.com/vitro-net/vitro/lab"
)

// All of the tests run in a network of lab, on virtual time: what waits for minutes takes
// milliseconds. There are hosts "server" and "client", 25 ms from each other, and what else a test asks for.

const oneWay = 25 * time.Millisecond

// service is a server on one host and a client on another.
type service struct {
	net    *lab.Net
	host   *lab.Host
	store  kv.Store
	client *kv.Client
}

// test runs f with a service. The server works for as long as work says for each request.
func test(t *testing.T, work func(), f func(*testing.T, *service), opts ...lab.Option) {
	t.Helper()
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: oneWay})
		s := &service{net: n, host: n.Host("server")}
		s.start(t, work)
		s.client = s.newClient("client")
		f(t, s)
	}, opts...)
}

// start begins a server with the values that the one before it has had.
func (s *service) start(t *testing.T, work func()) {
	t.Helper()
	l, err := s.host.Listen("tcp", ":7070")
	if err != nil {
		t.Fatal(err)
	}
	server := &kv.Server{Store: &s.store, Work: work}
	go server.Serve(l)
	t.Cleanup(server.Close) // all goroutines of a bubble must end
}

// newClient makes a host and a client on it.
func (s *service) newClient(name string) *kv.Client {
	return &kv.Client{Dial: s.net.Host(name).DialContext, Address: "server:7070"}
}

// took wants that f takes a time between two.
func took(t *testing.T, least, most time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if d := time.Since(start); d < least || d > most {
		t.Errorf("it took %v; want %v to %v", d, least, most)
	}
}

// wantValue wants a value that the server has.
func wantValue(t *testing.T, s *service, key, want string) {
	t.Helper()
	if got, err := s.client.Get(t.Context(), key); got != want || err != nil {
		t.Errorf("%s is %q, %v; want %q", key, got, err, want)
	}
}

// Two round trips for the first request, one for each other.
func TestGetAndPut(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		took(t, 4*oneWay, 4*oneWay+time.Millisecond, func() {
			if err := s.client.Put(t.Context(), "a key", "a \"value\"\n of two lines"); err != nil {
				t.Fatal(err)
			}
		})
		took(t, 2*oneWay, 2*oneWay+time.Millisecond, func() { wantValue(t, s, "a key", "a \"value\"\n of two lines") })
		if _, err := s.client.Get(t.Context(), "another"); !errors.Is(err, kv.ErrNone) {
			t.Errorf("a key that is not there: %v; want ErrNone", err)
		}
	})
}

// TCP sends a lost SYN again after one second, and then after two: the first try of two seconds goes by, and
// the second gets through. A client whose tries are shorter than a second would lose each to a single SYN.
func TestLostSYN(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		lost := s.net.Rule(lab.First(2, lab.SYN).From("client").Drop())
		took(t, 2*time.Second, 2500*time.Millisecond, func() {
			if err := s.client.Put(t.Context(), "key", "value"); err != nil {
				t.Error(err)
			}
		})
		if lost.Hits() != 2 {
			t.Errorf("%d SYNs were lost; want 2", lost.Hits())
		}
	})
}

// Where nobody listens each of the four tries is refused, with pauses of 100, 200 and 400 ms between them.
func TestNobodyListens(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		s.client.Address = "server:7071"
		took(t, 700*time.Millisecond+8*oneWay, 700*time.Millisecond+20*oneWay, func() {
			if err := s.client.Put(t.Context(), "key", "value"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("where nobody listens: %v; want ECONNREFUSED", err)
			}
		})
	})
}

// A connection is reset in the middle. What the client sends is rejected: the request has not been done,
// and the client tries again. What the server sends is: it has been done, and the client learns nothing until
// its TCP sends the request again, to a server that knows the connection no more and resets it; then the
// client tries again too. Either way what is added is added once.
func TestResetInTheMiddle(t *testing.T) {
	for _, who := range []string{"client", "server"} {
		t.Run("what the "+who+" sends", func(t *testing.T) {
			test(t, nil, func(t *testing.T, s *service) {
				if err := s.client.Put(t.Context(), "sum", "1"); err != nil {
					t.Fatal(err)
				}
				reset := s.net.Rule(lab.First(1, lab.Text).From(who).Reset())
				took(t, 6*oneWay, time.Second, func() {
					if got, err := s.client.Add(t.Context(), "sum", 5); got != "6" || err != nil {
						t.Errorf("1 and 5 make %q, %v", got, err)
					}
				})
				if reset.Hits() != 1 {
					t.Errorf("%d resets; want one", reset.Hits())
				}
				wantValue(t, s, "sum", "6")
			})
		})
	}
}

// A server whose first request takes ten seconds: who has three seconds is told after three, though the
// client would try for longer, and its next request does not take the late answer for its own.
func TestSlowServer(t *testing.T) {
	var requests atomic.Int32
	work := func() {
		if requests.Add(1) == 1 {
			time.Sleep(10 * time.Second)
		}
	}
	test(t, work, func(t *testing.T, s *service) {
		s.store.Put("slow", "1")
		s.store.Put("next", "2")
		s.client.Try = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		took(t, 3*time.Second, 3*time.Second, func() {
			if _, err := s.client.Get(ctx, "slow"); !errors.Is(err, context.DeadlineExceeded) {
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() {
					t.Errorf("from a slow server: %v; want a timeout", err)
				}
			}
		})
		took(t, 4*oneWay, 5*oneWay, func() { wantValue(t, s, "next", "2") })
		time.Sleep(10 * time.Second)
		wantValue(t, s, "next", "2")
	})
}

// A partition of ten seconds. Who gives up before it heals gets an error, who does not gets the answer;
// the health check says that the server is gone and that it is back, each once, and says nothing of a ping
// that alone is lost.
func TestPartitionThatHeals(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		type event struct {
			there bool
			after time.Duration
		}
		var events []event
		watcher := s.newClient("watcher")
		var watch sync.WaitGroup
		watch.Go(func() {
			kv.Watch(ctx, watcher, time.Second, func(there bool) { events = append(events, event{there, time.Since(start)}) })
		})
		if err := s.client.Put(t.Context(), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(start.Add(2*time.Second - oneWay))) // the third ping is about to be sent
		time.AfterFunc(time.Second, s.net.Partition("server", "watcher").Heal)
		time.Sleep(time.Until(start.Add(5 * time.Second)))

		for _, other := range []string{"client", "watcher"} {
			time.AfterFunc(10*time.Second, s.net.Partition("server", other).Heal)
		}
		patient := s.newClient("patient")
		time.AfterFunc(10*time.Second, s.net.Partition("server", "patient").Heal)
		patient.Tries = 10
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := s.client.Get(t.Context(), "key"); err == nil {
				t.Error("a request of less than ten seconds gets through the partition")
			}
		})
		both.Go(func() {
			took(t, 10*time.Second, 15*time.Second, func() {
				if got, err := patient.Get(t.Context(), "key"); got != "value" || err != nil {
					t.Errorf("the patient client gets %q, %v", got, err)
				}
			})
		})
		both.Wait()
		time.Sleep(5 * time.Second)
		cancel()
		watch.Wait()
		if len(events) != 3 || !events[0].there || events[1].there || !events[2].there {
			t.Fatalf("the watcher says %v; want there, gone, there", events)
		}
		for i, want := range []time.Duration{0, 7 * time.Second, 15 * time.Second} {
			if d := events[i].after - want; d < 0 || d > 2*time.Second {
				t.Errorf("the watcher says %v after %v; want %v, or little later", events[i].there, events[i].after, want)
			}
		}
	})
}

// The server's machine crashes, and comes back five seconds later with its disk and without a memory of
// any connection. The client's old one is reset, and its request gets through on a new one.
func TestCrashAndRestart(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		if err := s.client.Put(t.Context(), "key", "value"); err != nil {
			t.Fatal(err)
		}
		s.host.Crash()
		if err := s.client.Ping(t.Context()); err == nil {
			t.Error("a host that has crashed answers")
		}
		time.Sleep(3 * time.Second)
		s.host.Restart()

		// It is up, and nobody listens yet: the kernel says so.
		err := s.client.Ping(t.Context())
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a host where nobody listens: %v; want ECONNREFUSED", err)
		}
		s.start(t, nil)
		wantValue(t, s, "key", "value")

		// Once more, while the client is idle.
		s.host.Crash()
		s.host.Restart()
		s.start(t, nil)
		took(t, 6*oneWay, time.Second, func() { wantValue(t, s, "key", "value") })
	})
}

// A server hangs up on who is silent for five minutes. The client finds out when it asks again, an hour
// later, and nobody notices.
func TestIdle(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		for range 3 {
			if err := s.client.Put(t.Context(), "key", "value"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Five clients add at the same time, on a path that loses one packet in twenty and holds others up. The sum
// is right with each of twenty seeds.
func TestAddOverLoss(t *testing.T) {
	test(t, nil, func(t *testing.T, s *service) {
		s.net.Default(lab.Link{Delay: oneWay, Jitter: oneWay, Loss: 0.05, Duplicate: 0.01})
		var all sync.WaitGroup
		for i := range 5 {
			c := s.newClient("client" + strconv.Itoa(i))
			c.Tries = 10
			all.Go(func() {
				for range 20 {
					if _, err := c.Add(t.Context(), "sum", 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		wantValue(t, s, "sum", "100")
	}, lab.Seeds(20))
}
