package kv

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrNone is the answer to Get where there is no value.
var ErrNone = errors.New("kv: no such key")

// Client asks a server, over one connection, which it makes when it needs one. Several goroutines may
// use one at a time: one of them is served at a time. Its fields must not be changed meanwhile.
type Client struct {
	// Dial connects: net.Dialer's DialContext, or whatever has its type. Address is what it is given.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Address string
	// Try is how long one try may take, the dialing included. Default: 2 s. Tries is how many there are
	// of a request, and Pause how long the client waits before the second; each wait is twice as long as
	// the one before. Default: 4, and 100 ms.
	Try   time.Duration
	Tries int
	Pause time.Duration

	turn chan struct{} // one at a time, and who waits can give up
	once sync.Once
	conn net.Conn
	read *bufio.Reader
}

// Get returns a value, or ErrNone.
func (c *Client) Get(ctx context.Context, key string) (string, error) {
	return c.value(c.ask(ctx, fmt.Sprintf("get %q", key)))
}

// Put sets a value. It may have done so even if it fails.
func (c *Client) Put(ctx context.Context, key, value string) error {
	_, err := c.ask(ctx, fmt.Sprintf("put %q %q", key, value))
	return err
}

// Add adds to a number and returns the sum. However often it had to be tried, what it adds is added
// once; if it fails, once or not at all.
func (c *Client) Add(ctx context.Context, key string, delta int) (string, error) {
	return c.value(c.ask(ctx, fmt.Sprintf("add %q %d %q", key, delta, rand.Text())))
}

// Ping asks whether the server is there, once.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.tries(ctx, "ping", 1)
	return err
}

// Close hangs up.
func (c *Client) Close() error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.give()
	c.hangUp()
	return nil
}

func (c *Client) value(words []string, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case len(words) == 1 && words[0] == "none":
		return "", ErrNone
	case len(words) != 2 || words[0] != "value":
		return "", fmt.Errorf("kv: the server says %q", words)
	}
	return words[1], nil
}

func (c *Client) ask(ctx context.Context, request string) ([]string, error) {
	n := c.Tries
	if n == 0 {
		n = 4
	}
	return c.tries(ctx, request, n)
}

// tries asks up to n times, until there is an answer.
func (c *Client) tries(ctx context.Context, request string, n int) (words []string, err error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.give()
	pause := c.Pause
	if pause == 0 {
		pause = 100 * time.Millisecond
	}
	for i := range n {
		if i > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil, errors.Join(ctx.Err(), err)
			}
			pause *= 2
		}
		if words, err = c.try(ctx, request); err == nil {
			break
		}
		c.hangUp() // an answer that comes late would be taken for that to the next request
	}
	if err == nil && len(words) == 2 && words[0] == "error" {
		err = fmt.Errorf("kv: the server says %s", words[1])
	}
	return words, err
}

// try asks once.
func (c *Client) try(ctx context.Context, request string) ([]string, error) {
	try := c.Try
	if try == 0 {
		try = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	if c.conn == nil {
		conn, err := c.Dial(ctx, "tcp", c.Address)
		if err != nil {
			return nil, err
		}
		c.conn, c.read = conn, bufio.NewReader(conn)
	}
	conn := c.conn
	// When the context ends, whatever the reason, so does the wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintln(conn, request); err != nil {
		return nil, err
	}
	line, err := c.read.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err() // the deadline is on the connection by now
	}
	return fields(line)
}

func (c *Client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *Client) take(ctx context.Context) error {
	c.once.Do(func() { c.turn = make(chan struct{}, 1) })
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) give() { <-c.turn }
