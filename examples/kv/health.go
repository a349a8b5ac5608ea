package kv

import (
	"context"
	"time"
)

// Watch pings a server each interval until the context ends, and tells whenever it comes to be there or
// not to be there: the first time in any case. A ping has as long as the interval. The server is not
// there when two pings in a row have failed.
func Watch(ctx context.Context, c *Client, interval time.Duration, tell func(there bool)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failed, said := 0, false
	for there := false; ; {
		ping, cancel := context.WithTimeout(ctx, interval)
		err := c.Ping(ping)
		cancel()
		if ctx.Err() != nil {
			return
		}
		failed++
		if err == nil {
			failed = 0
		}
		if now := failed == 0; (now || failed == 2) && (now != there || !said) {
			there, said = now, true
			tell(now)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
