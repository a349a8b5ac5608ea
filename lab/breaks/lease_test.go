package breaks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// holdLeaseBefore renews a lease each second, and returns when that does not work any more.
func holdLeaseBefore(c net.Conn) error {
	go io.Copy(io.Discard, c) // the answers say nothing but "ok"
	for {
		if _, err := fmt.Fprintln(c, "renew"); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

func holdLeaseAfter(c net.Conn) error {
	answers := bufio.NewReader(c)
	for {
		c.SetDeadline(time.Now().Add(5 * time.Second)) // the lease is 10 s
		if _, err := fmt.Fprintln(c, "renew"); err != nil {
			return err
		}
		if _, err := answers.ReadString('\n'); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

func TestWriteHasReturned(t *testing.T) {
	const lease = 10 * time.Second
	hold := func(holdLease func(net.Conn) error) func(*world) string {
		return func(w *world) string {
			client, server := w.connect("server")
			var given atomic.Pointer[time.Time]
			give := func() { now := time.Now(); given.Store(&now) }
			give()
			go func() {
				for lines := bufio.NewScanner(server); lines.Scan(); {
					give()
					fmt.Fprintln(server, "ok")
				}
			}()
			time.AfterFunc(time.Minute+time.Second/2, func() {
				if w.lab == nil {
					w.hangUp()
					return
				}
				w.lab.Partition("client", "server")
			})
			holdLease(client)
			if two := time.Since(given.Load().Add(lease)); two > 0 {
				return fmt.Sprintf("two leaders for %v", two.Round(10*time.Second))
			}
			return "one leader at a time"
		}
	}
	example{
		title:  "Write has returned, and nobody has read",
		before: hold(holdLeaseBefore), after: hold(holdLeaseAfter),
		wants: "one leader at a time",
	}.show(t)
}
