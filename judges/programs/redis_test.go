package programs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/vitro-net/vitro/lab"
)

// silent has the client not say on the terminal that it could not dial.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silent{}) }

// newRedis begins a miniredis on "server" and returns a client on "client". A miniredis listens by
// package net alone, but takes connections that others have accepted: its Dial makes one without a
// listener, and then its Server serves what it is given.
//
// Two things in the client live outside any bubble. Its maintenance notifications, on by default, look the
// server's name up by net.DefaultResolver, whose configuration is made once in a process: the second
// bubble that asks dies with "send on synctest channel from outside bubble". They are switched off. And
// the pool of the client is as large as there are goroutines that use it: one that must wait for a
// connection takes a timer from a pool of timers that belongs to the package, and a timer of one bubble
// cannot be used in the next.
func newRedis(t *testing.T, n *lab.Net) (c *redis.Client, dials *atomic.Int32) {
	server, client := n.Host("server"), n.Host("client")
	m := miniredis.NewMiniRedis()
	first, err := m.Dial()
	must(t, err)
	must(t, first.Close())
	accept(listen(t, server, ":6379"), func(c net.Conn) { m.Server().ServeConn(c) })
	dials = new(atomic.Int32)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := client.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dials.Add(1)
		return c, nil
	}
	c = redis.NewClient(&redis.Options{
		Addr: "server:6379", Dialer: dial, PoolSize: 32,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               1, DialerRetries: 1, DialTimeout: 5 * time.Second,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
	})
	t.Cleanup(func() {
		c.Close()
		m.Close()
	})
	return c, dials
}

// Counters, a pipeline, a transaction, and a subscription that gets all messages in order.
func TestRedis(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c, dials := newRedis(t, n)
		ctx := t.Context()
		done := make(chan error)
		for range 8 {
			go func() {
				var err error
				for range 10 {
					err = errors.Join(err, c.Incr(ctx, "counter").Err())
				}
				done <- err
			}()
		}
		for range 8 {
			must(t, <-done)
		}
		if got, err := c.Get(ctx, "counter").Int(); got != 80 || err != nil {
			t.Errorf("80 increments make %d, %v", got, err)
		}

		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 200 {
				p.RPush(ctx, "list", octets(1000, uint64(i)))
			}
			return nil
		})
		must(t, err)
		list, err := c.LRange(ctx, "list", 0, -1).Result()
		must(t, err)
		if len(list) != 200 {
			t.Errorf("the list has %d of 200", len(list))
		}
		for i, s := range list {
			same(t, "an element", []byte(s), octets(1000, uint64(i)))
		}

		sub := c.Subscribe(ctx, "news")
		defer sub.Close()
		_, err = sub.Receive(ctx) // that it is subscribed
		must(t, err)
		for i := range 30 {
			must(t, c.Publish(ctx, "news", strconv.Itoa(i)).Err())
		}
		for i := range 30 {
			m, err := sub.ReceiveMessage(ctx)
			must(t, err)
			if m.Payload != strconv.Itoa(i) {
				t.Errorf("message %d is %q", i, m.Payload)
			}
		}
		// Eight at once, and the subscription; a read that has timed out costs a connection.
		if d := dials.Load(); d > 12 {
			t.Errorf("%d connections for nine users", d)
		}
	})
}

// A partition of two minutes in the middle. A command ends with a timeout once its read and all its
// retries have; after the partition the same client goes on by itself.
func TestRedisPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		c, _ := newRedis(t, n)
		must(t, c.Set(t.Context(), "key", "before", 0).Err())
		cutFor(n, "client", "server", 2*time.Minute)
		healed := time.Now().Add(2 * time.Minute)
		var ne net.Error
		start := time.Now()
		err := c.Set(t.Context(), "key", "during", 0).Err()
		if d := time.Since(start); !errors.As(err, &ne) || !ne.Timeout() || d < 10*time.Second || d > 20*time.Second {
			t.Errorf("during the partition: %v after %v; want a timeout, after the 10 s of a read and the 5 s of a dial", err, d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		err = c.Ping(ctx).Err()
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d > time.Second+time.Millisecond {
			t.Errorf("a ping during the partition: %v after %v; want DeadlineExceeded after its second", err, d)
		}
		time.Sleep(time.Until(healed))
		for i := range 20 {
			if err := c.Set(t.Context(), "key", fmt.Sprint("after ", i), 0).Err(); err != nil {
				t.Fatalf("after the partition: %v", err)
			}
		}
		if got, err := c.Get(t.Context(), "key").Result(); got != "after 19" || err != nil {
			t.Errorf("the key is %q, %v; want what was set last", got, err)
		}
	})
}
