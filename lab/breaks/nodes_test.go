package breaks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// joinBefore connects to the first of a cluster's nodes that can be reached.
func joinBefore(ctx context.Context, dial dialer, nodes []string) (net.Conn, error) {
	var failed error
	for _, node := range nodes {
		c, err := dial(ctx, node)
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", node, err))
	}
	return nil, failed
}

func joinAfter(ctx context.Context, dial dialer, nodes []string) (net.Conn, error) {
	var failed error
	for _, node := range nodes {
		share, cancel := context.WithTimeout(ctx, 4*time.Second) // two SYNs may be lost
		c, err := dial(share, node)
		cancel()
		if err == nil {
			return c, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", node, err))
	}
	return nil, failed
}

func TestDeadHostDoesNotRefuse(t *testing.T) {
	join := func(join func(context.Context, dialer, []string) (net.Conn, error)) func(*world) string {
		return func(w *world) string {
			if w.lab != nil {
				w.hosts["server"].Crash()
			}
			l := w.listen("other")
			go l.Accept()
			ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
			defer cancel()
			c, err := join(ctx, w.dial, []string{"server", "other"})
			if err != nil {
				return "no cluster: " + strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			c.Close()
			return "joined"
		}
	}
	example{
		title:  "A dead host does not refuse",
		before: join(joinBefore), after: join(joinAfter),
		wants: "joined",
	}.show(t)
}
