package breaks

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

type dialer = func(ctx context.Context, to string) (net.Conn, error)

// checkBefore reports whether a server is alive.
func checkBefore(ctx context.Context, dial dialer, server string) error {
	c, err := dial(ctx, server)
	if err != nil {
		return err
	}
	return c.Close()
}

func checkAfter(ctx context.Context, dial dialer, server string) error {
	c, err := dial(ctx, server)
	if err != nil {
		return err
	}
	defer c.Close()
	if t, ok := ctx.Deadline(); ok {
		c.SetDeadline(t)
	}
	if _, err := fmt.Fprintln(c, "ping"); err != nil {
		return err
	}
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

func TestConnectionIsNoAnswer(t *testing.T) {
	watch := func(check func(context.Context, dialer, string) error) func(*world) string {
		return func(w *world) string {
			l := w.listen("server")
			stuck := time.Now().Add(time.Minute)
			go func() {
				for time.Now().Before(stuck) { // then it waits for a lock, and nobody calls Accept
					c, err := l.Accept()
					if err != nil {
						return
					}
					if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
						fmt.Fprintln(c, "pong")
					}
					c.Close()
				}
			}()
			start := time.Now()
			for time.Since(start) < time.Hour {
				ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
				err := check(ctx, w.dial, "server")
				cancel()
				if err != nil {
					return fmt.Sprintf("alarm after %v", time.Since(start).Round(time.Minute))
				}
				time.Sleep(10 * time.Second)
			}
			return "no alarm for an hour"
		}
	}
	example{
		title:  "A connection is not an answer",
		before: watch(checkBefore), after: watch(checkAfter),
		wants: "alarm after 1m0s",
	}.show(t)
}
