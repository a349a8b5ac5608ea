package vitro_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"syscall"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
)

// Two hosts in one program, joined in memory.
func Example() {
	la, lb := link.Pair(1500)
	client, _ := vitro.New(vitro.Config{})
	server, _ := vitro.New(vitro.Config{})
	client.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	server.Attach(lb, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	defer client.Close()
	defer server.Close()

	l, _ := server.Listen("tcp", ":7")
	go func() {
		c, _ := l.Accept()
		io.Copy(c, c)
		c.Close()
	}()
	c, err := client.DialTCP(context.Background(), "tcp", "10.0.0.2:7")
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(c, "hello")
	c.CloseWrite()
	echo, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", echo, err)
	// Output: hello <nil>
}

// An HTTP server and a client, each on a host of its own.
func Example_http() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello from ", r.Host)
	})

	la, lb := link.Pair(1500) // a cable in memory; link/tun is one to the kernel
	client, _ := vitro.New(vitro.Config{})
	server, _ := vitro.New(vitro.Config{})
	client.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	server.Attach(lb, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	defer client.Close()
	defer server.Close()

	l, _ := server.Listen("tcp", ":80")
	go http.Serve(l, handler)
	web := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	resp, err := web.Get("http://10.0.0.2/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output: hello from 10.0.0.2
}

// Errors are those of package net.
func ExampleStack_Dial() {
	client, server := hosts(vitro.Config{})
	defer client.Close()
	defer server.Close()
	_, err := client.Dial("tcp", "10.0.0.2:80")
	fmt.Println(err)
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// dial tcp 10.0.0.2:80: connect: connection refused
	// true
}

// A Stack reaches itself.
func ExampleStack_Listen() {
	s, _ := vitro.New(vitro.Config{})
	defer s.Close()
	l, _ := s.Listen("tcp", "localhost:80")
	c, err := s.DialContext(context.Background(), "tcp", "localhost:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr(), c.RemoteAddr())
	// Output: 127.0.0.1:80 127.0.0.1:80
}

// Each change of state names the sentence of the RFC that makes it.
func ExampleConfig_trace() {
	trace := &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, from, to tcp.State, rule tcp.Rule) {
		fmt.Println(from, "->", to, "by", rule)
	}}
	client, _ := hosts(vitro.Config{Trace: trace})
	defer client.Close()
	client.Dial("tcp", "10.0.0.2:80")
	// Output:
	// CLOSED -> SYN-SENT by RFC 9293 3.10.1: active OPEN: a SYN is sent, enter SYN-SENT
	// SYN-SENT -> CLOSED by RFC 9293 3.10.7.3 second: a RST that acknowledges our SYN: enter CLOSED
}

// hosts returns two hosts joined in memory, 10.0.0.1 and 10.0.0.2.
func hosts(c vitro.Config) (client, server *vitro.Stack) {
	la, lb := link.Pair(1500)
	client, _ = vitro.New(c)
	server, _ = vitro.New(vitro.Config{})
	client.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	server.Attach(lb, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	return client, server
}
