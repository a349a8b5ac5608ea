// Package breaks has the programs of docs/what-breaks.md: each as it is often written, with a fault that
// net.Pipe hides and TCP shows, and mended. Each test runs both over net.Pipe and over TCP, and holds
// the page to what it has seen.
package breaks

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// world is what a test's programs run in: hosts of the lab, "server", "other" and "client", or net.Pipe
// under their names.
type world struct {
	*testing.T
	lab   *lab.Net // nil: net.Pipe
	hosts map[string]*lab.Host

	mu    sync.Mutex
	pipes []net.Conn
	doors map[string]*door
}

// overPipe runs f over net.Pipe.
func overPipe(t *testing.T, f func(*world) string) (saw string) {
	t.Helper()
	lab.Test(t, func(t *testing.T, _ *lab.Net) {
		w := &world{T: t, doors: map[string]*door{}}
		saw = f(w)
		time.Sleep(time.Minute) // whoever sleeps comes to an end
		for _, d := range w.doors {
			d.Close()
		}
		w.hangUp()
	})
	return saw
}

// overTCP runs f over TCP, with a round trip of 40 ms and 100 Mbit/s.
func overTCP(t *testing.T, f func(*world) string) (saw string) {
	t.Helper()
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: 20 * time.Millisecond, Rate: 100 * lab.Mbps})
		w := &world{T: t, lab: n, hosts: map[string]*lab.Host{}}
		for i, name := range []string{"client", "server", "other"} {
			isn := uint32(i * 10000)
			w.hosts[name] = n.Host(name, vitro.Config{ISN: func(_, _ netip.AddrPort) uint32 { isn += 1000; return isn }})
		}
		saw = f(w)
		time.Sleep(time.Minute) // whoever sleeps comes to an end
	})
	return saw
}

// dial connects the client to a host that listens.
func (w *world) dial(ctx context.Context, to string) (net.Conn, error) {
	if w.lab != nil {
		return w.hosts["client"].DialContext(ctx, "tcp4", to+":80")
	}
	w.mu.Lock()
	d := w.doors[to]
	w.mu.Unlock()
	if d == nil {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	}
	a, b := w.pipe()
	select {
	case d.in <- b:
		return a, nil
	case <-d.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listen lets a host be reached.
func (w *world) listen(host string) net.Listener {
	if w.lab != nil {
		l, err := w.hosts[host].Listen("tcp4", ":80")
		if err != nil {
			w.Fatal(err)
		}
		return l
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.doors[host]; d != nil {
		d.Close()
	}
	d := &door{in: make(chan net.Conn), closed: make(chan struct{})}
	w.doors[host] = d
	return d
}

// connect returns both ends of a connection from the client to a host.
func (w *world) connect(to string) (client, server net.Conn) {
	if w.lab == nil {
		return w.pipe()
	}
	l := w.listen(to)
	defer l.Close()
	client, err := w.dial(w.Context(), to)
	if err == nil {
		server, err = l.Accept()
	}
	if err != nil {
		w.Fatal(err)
	}
	return client, server
}

func (w *world) pipe() (a, b net.Conn) {
	a, b = net.Pipe()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pipes = append(w.pipes, a, b)
	return a, b
}

// hangUp closes all pipes: a pipe has no other fault.
func (w *world) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.pipes {
		c.Close()
	}
}

// door is a Listener whose connections are those of net.Pipe.
type door struct {
	in     chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.in:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
func (d *door) Close() error   { d.once.Do(func() { close(d.closed) }); return nil }

// plain is an error without the sockets, which a page about it does not need.
func plain(err error) string {
	for op := (*net.OpError)(nil); errors.As(err, &op); {
		err = op.Err
	}
	return err.Error()
}
