package vitro_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

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

// Datagrams between two hosts: a server that hears everybody, and a client that hears the server alone.
func ExampleStack_ListenPacket() {
	la, lb := link.Pair(1500)
	client, _ := vitro.New(vitro.Config{})
	server, _ := vitro.New(vitro.Config{})
	client.Attach(la, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	server.Attach(lb, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	defer client.Close()
	defer server.Close()

	l, _ := server.ListenPacket("udp", ":7")
	go func() {
		p := make([]byte, 1500)
		for {
			n, from, err := l.ReadFrom(p)
			if err != nil {
				return
			}
			l.WriteTo(p[:n], from)
		}
	}()
	p := make([]byte, 1500)
	c, _ := client.Dial("udp", "10.0.0.2:7")
	io.WriteString(c, "hello")
	n, err := c.Read(p)
	fmt.Printf("%s %v\n", p[:n], err)

	c, _ = client.Dial("udp", "10.0.0.2:9") // nobody is there
	io.WriteString(c, "hello")
	_, err = c.Read(p)
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// hello <nil>
	// true
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

// An attempt that must not take long, from a socket of one's own choice.
func ExampleDialer() {
	client, server := hosts(vitro.Config{})
	defer client.Close()
	defer server.Close()
	d := vitro.Dialer{
		Stack:     client,
		Timeout:   10 * time.Millisecond,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40000},
	}
	_, err := d.Dial("tcp", "10.0.0.9:80") // nobody has that address
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// dial tcp 10.0.0.1:40000->10.0.0.9:80: i/o timeout
	// true
}

// A peer that says nothing keeps nobody waiting for ever.
func ExampleConn_SetReadDeadline() {
	s, _ := vitro.New(vitro.Config{})
	defer s.Close()
	s.Listen("tcp", ":80")
	c, err := s.Dial("tcp", "localhost:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true
}

// A listener with a short queue, whose connections are probed after a minute of silence.
func ExampleListenConfig() {
	s, _ := vitro.New(vitro.Config{})
	defer s.Close()
	lc := vitro.ListenConfig{Stack: s, Backlog: 16, KeepAlive: time.Minute}
	l, err := lc.Listen(context.Background(), "tcp", ":80")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	_, err = s.Listen("tcp", ":80")
	fmt.Println(errors.Is(err, syscall.EADDRINUSE))
	// Output:
	// [::]:80
	// true
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

// capped is a congestion control that sends no more than 4 MiB a second, by at most 16 KiB at once.
type capped struct{ tcp.Congestion }

func (capped) Name() string                        { return "capped" }
func (capped) Pace() (rate uint64, quantum uint32) { return 4 << 20, 16 << 10 }

// One connection with a congestion control of its own: CUBIC, paced (tcp.Paced).
func ExampleConn_SetCongestion() {
	client, server := hosts(vitro.Config{})
	defer client.Close()
	defer server.Close()
	server.Listen("tcp", ":80")
	c, err := client.DialTCP(context.Background(), "tcp", "10.0.0.2:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.Status().Congestion, c.Status().PacingRate)
	c.SetCongestion(capped{tcp.NewCubic()})
	fmt.Println(c.Status().Congestion, c.Status().PacingRate)
	// Output:
	// cubic 0
	// capped 4194304
}

// Each segment of a connection with keys is authenticated (TCP-AO, RFC 5925): the SendID of one
// end is the RecvID of the other.
func ExampleDialer_keys() {
	client, server := hosts(vitro.Config{})
	defer client.Close()
	defer server.Close()
	secret := []byte("known to both, and to nobody else")
	peers := netip.MustParsePrefix("10.0.0.0/24")
	lc := vitro.ListenConfig{Stack: server, Keys: tcp.Keys{{SendID: 1, RecvID: 2, Secret: secret, Peer: peers}}}
	lc.Listen(context.Background(), "tcp", ":179")
	d := vitro.Dialer{Stack: client, Keys: tcp.Keys{{SendID: 2, RecvID: 1, Secret: secret}}}
	c, err := d.DialTCP(context.Background(), "tcp", "10.0.0.2:179")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	auth := c.Status().Auth
	fmt.Println(auth.On, auth.CurrentKey, auth.Bad)
	// Output: true 2 0
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
