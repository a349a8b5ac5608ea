package overlaid

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A pool asks the file descriptor of a connection whether it is alive before it gives it out again:
// one connection serves for all, and another when the server has closed it.
func TestRedisPool(t *testing.T) {
	Needs(t)
	synctest.Test(t, pool)
}

func pool(t *testing.T) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dials := 0
	c := redis.NewClient(&redis.Options{
		Addr: m.Addr(), MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	defer c.Close()
	for range 10 {
		if err := c.Incr(t.Context(), "counter").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Get(t.Context(), "counter").Int(); n != 10 || err != nil || dials != 1 {
		t.Errorf("10 increments make %d, %v, by %d connections; want one", n, err, dials)
	}
	addr := m.Addr()
	m.Close()
	time.Sleep(time.Second) // the FIN is there
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); err != nil || dials != 2 {
		t.Errorf("after the server was away: %v, by %d connections; want a second one without an error", err, dials)
	}
}
