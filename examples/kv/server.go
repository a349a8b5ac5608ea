package kv

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Store is what a server remembers, and what outlives it: a disk, if you will. Several goroutines may use
// one at a time. The zero value is empty.
type Store struct {
	mu     sync.Mutex
	values map[string]string
	done   map[string]string // the answers of additions, by their ids
}

// Get returns a value, and whether there is one.
func (s *Store) Get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	return v, ok
}

// Put keeps a value.
func (s *Store) Put(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, value)
}

func (s *Store) put(key, value string) {
	if s.values == nil {
		s.values, s.done = map[string]string{}, map[string]string{}
	}
	s.values[key] = value
}

// Add adds to a number, once for each id, and returns the sum. No value counts as 0.
func (s *Store) Add(key string, delta int, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum, ok := s.done[id]; ok {
		return sum, nil
	}
	n := 0
	if v, ok := s.values[key]; ok {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			return "", fmt.Errorf("%q is no number", v)
		}
	}
	sum := strconv.Itoa(n + delta)
	s.put(key, sum)
	s.done[id] = sum
	return sum, nil
}

// Server serves a Store. Its fields must not be changed while it does.
type Server struct {
	Store *Store
	// Idle is how long a client may say nothing, or not take what it is told, before it is hung up on. Default:
	// five minutes.
	Idle time.Duration
	// Work, if set, is called before each request is done: a slow disk.
	Work func()

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	all    sync.WaitGroup
}

// Serve serves who comes to a listener, and returns the error that ends it: net.ErrClosed after Close.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.note(c) {
			c.Close()
			return net.ErrClosed
		}
		go func() {
			defer s.all.Done()
			s.serve(c)
			s.forget(c)
		}()
	}
}

func (s *Server) note(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
	s.conns[c] = true
	s.all.Add(1)
	return true
}

func (s *Server) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.Close()
}

// Close hangs up on all clients and waits until their requests are done. The listener is who made it's to
// close.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// serve answers one client until it hangs up, is silent for too long, or says what is not understood.
func (s *Server) serve(c net.Conn) {
	idle := s.Idle
	if idle == 0 {
		idle = 5 * time.Minute
	}
	r := bufio.NewReader(c)
	for {
		if err := c.SetDeadline(time.Now().Add(idle)); err != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if s.Work != nil {
			s.Work()
		}
		answer, err := s.do(line)
		if err != nil {
			answer = fmt.Sprintf("error %q", err)
		}
		if _, werr := c.Write([]byte(answer + "\n")); werr != nil || errors.Is(err, errSyntax) {
			return
		}
	}
}

// do does one request.
func (s *Server) do(line string) (string, error) {
	words, err := fields(line)
	if err != nil {
		return "", err
	}
	switch {
	case len(words) == 1 && words[0] == "ping":
		return "ok", nil
	case len(words) == 2 && words[0] == "get":
		if v, ok := s.Store.Get(words[1]); ok {
			return fmt.Sprintf("value %q", v), nil
		}
		return "none", nil
	case len(words) == 3 && words[0] == "put":
		s.Store.Put(words[1], words[2])
		return "ok", nil
	case len(words) == 4 && words[0] == "add":
		delta, err := strconv.Atoi(words[2])
		if err != nil {
			return "", fmt.Errorf("%w: %q", errSyntax, words[2])
		}
		sum, err := s.Store.Add(words[1], delta, words[3])
		return fmt.Sprintf("value %q", sum), err
	}
	return "", fmt.Errorf("%w: %q", errSyntax, line)
}
