package lab_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
)

// A slow receiver takes as long as the rate says, by io.Copy too.
func TestSlowTakesItsTime(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := connect(t, n.Host("client"), n.Host("server", vitro.Config{ReceiveBuffer: 8 << 10}))
		received := make(chan []byte)
		go func() {
			var b bytes.Buffer
			io.Copy(&b, lab.Slow(s, 80*lab.Kbps)) // 10,000 octets a second
			received <- b.Bytes()
		}()
		took(t, "100,000 octets to one who copies 10,000 a second", 9900*time.Millisecond, 10100*time.Millisecond, func() {
			c.Write(make([]byte, 100_000))
			c.CloseWrite()
			if b := <-received; len(b) != 100_000 {
				t.Errorf("%d octets were received", len(b))
			}
		})
	}, lab.Strict())
}

// While a slow receiver waits, its deadline and its Close end a Read as they do without it, and what
// has arrived meanwhile is read later, whole and at the rate.
func TestSlowDeadlineAndClose(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := connect(t, n.Host("client"), n.Host("server"))
		slowly(t, c, s)
	})
}

func slowly(t *testing.T, c, s net.Conn) {
	t.Helper()
	text := bytes.Repeat([]byte("0123456789abcdef"), 256) // 4 KiB
	go func() {
		c.Write(text)
		c.Read(make([]byte, 1))
		c.Close()
	}()
	slow := lab.Slow(s, 40960) // a kilobyte takes 200 ms
	b := make([]byte, len(text))
	k, err := slow.Read(b)
	if k == 0 || err != nil || !bytes.Equal(b[:k], text[:k]) {
		t.Fatalf("the first Read gives %q, %v", b[:k], err)
	}
	slow.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	start := time.Now()
	again, err := slow.Read(b[k:])
	wantErr(t, "a Read with a deadline while it is too soon", err, os.ErrDeadlineExceeded)
	if d := time.Since(start); again != 0 || d != 50*time.Millisecond {
		t.Errorf("that Read gives %d octets after %v; its deadline is 50 ms", again, d)
	}
	go func() { // the deadline of a Read that waits is put off, and then brought nearer
		slow.SetDeadline(time.Now().Add(time.Hour))
		time.Sleep(20 * time.Millisecond)
		slow.SetDeadline(time.Now())
	}()
	slow.SetReadDeadline(time.Time{})
	_, err = slow.Read(b[k:])
	wantErr(t, "a Read whose deadline is brought nearer", err, os.ErrDeadlineExceeded)
	slow.SetDeadline(time.Time{})
	if _, err := io.ReadFull(slow, b[k:]); err != nil || !bytes.Equal(b, text) {
		t.Errorf("what comes after it is not what was sent, %v", err)
	}
	if d := time.Since(start); d < 550*time.Millisecond {
		t.Errorf("4 KiB at 40,960 bits a second are there %v after the first of them; want some 600 ms", d)
	}
	ended := make(chan error)
	go func() {
		_, err := slow.Read(b)
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond) // it waits for the kilobyte before it
	start = time.Now()
	slow.Close()
	wantErr(t, "a Read while the connection is closed", <-ended, net.ErrClosed)
	if d := time.Since(start); d != 0 {
		t.Errorf("a Read learns %v later that the connection is closed", d)
	}
}

// In real time the same: a kilobyte takes two hours here, and nobody waits for them.
func TestSlowInRealTime(t *testing.T) {
	n := lab.New(t)
	c, s := connect(t, n.Host("client"), n.Host("server"))
	c.Write(make([]byte, 2048))
	slow := lab.Slow(s, 1)
	b := make([]byte, 1024)
	_, err := slow.Read(b)
	must(t, 0, err)
	slow.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = slow.Read(b)
	wantErr(t, "a Read with a deadline while it is too soon", err, os.ErrDeadlineExceeded)
	slow.SetReadDeadline(time.Time{})
	ended := make(chan error)
	go func() {
		_, err := slow.Read(b)
		ended <- err
	}()
	slow.Close()
	wantErr(t, "a Read while the connection is closed", <-ended, net.ErrClosed)
}

// Several that read from a slow receiver share its rate.
func TestSlowReaders(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := connect(t, n.Host("client"), n.Host("server"))
		slow := lab.Slow(s, 8*lab.Kbps)
		start := time.Now()
		done := make(chan int)
		for range 5 {
			go func() {
				k, _ := io.Copy(io.Discard, slow)
				done <- int(k)
			}()
		}
		c.Write(make([]byte, 20_000))
		c.CloseWrite()
		all := 0
		for range 5 {
			all += <-done
		}
		if d := time.Since(start); all != 20_000 || d < 20*time.Second || d > 21*time.Second {
			t.Errorf("five have read %d octets in %v; 20,000 take 20 s", all, d)
		}
	})
}

// A slow receiver that would wait for long yet learns within a second that its connection has been reset, that
// its host has crashed, and that the test has ended: no goroutine of a test outlives it.
func TestSlowNoticesTheEnd(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(n *lab.Net, c, s net.Conn, server *lab.Host)
		want error
	}{
		"reset": {func(_ *lab.Net, c, _ net.Conn, _ *lab.Host) {
			c.(lingers).SetLinger(0)
			c.Close()
		}, syscall.ECONNRESET},
		"crash": {func(_ *lab.Net, _, _ net.Conn, server *lab.Host) { server.Crash() }, net.ErrClosed},
		"close": {func(_ *lab.Net, _, _ net.Conn, server *lab.Host) { server.Stack().Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			line(t, func(t *testing.T, n *lab.Net) {
				client, server := n.Host("client"), n.Host("server")
				c, s := connect(t, client, server)
				c.Write(make([]byte, 1000))
				slow := lab.Slow(s, 1) // that takes two hours
				slow.Read(make([]byte, 1024))
				time.AfterFunc(10*time.Minute, func() { end.do(n, c, s, server) })
				took(t, "a Read of a slow receiver", 10*time.Minute, 10*time.Minute+1100*time.Millisecond, func() {
					_, err := slow.Read(make([]byte, 1024))
					wantErr(t, "a Read of a slow receiver", err, end.want)
				})
			})
		})
	}
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := connect(t, n.Host("client"), n.Host("server"))
		c.Write(make([]byte, 2000))
		go io.Copy(io.Discard, lab.Slow(s, 1))
		time.Sleep(time.Second)
	})
}

// What has arrived before a connection ends is read at the rate still, and the end as late as without that.
func TestSlowReadsToTheEnd(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := connect(t, n.Host("client"), n.Host("server"))
		s.CloseWrite()
		c.Write(make([]byte, 4096))
		c.Close()
		time.Sleep(time.Minute) // both have closed
		took(t, "4 KiB at a kilobyte in eight seconds, and the end", 32*time.Second, 32*time.Second, func() {
			k, err := io.Copy(io.Discard, lab.Slow(s, 1024))
			if k != 4096 || err != nil {
				t.Errorf("a slow receiver reads %d octets of 4096, %v", k, err)
			}
		})
	})
}

type (
	closesWrite interface{ CloseWrite() error }
	closesRead  interface{ CloseRead() error }
	lingers     interface{ SetLinger(sec int) error }
	tells       interface{ SetKeepAlive(on bool) error }
)

// A slow connection of a host can all that the connection can, and another what a net.Conn can, and half
// close if it could.
func TestSlowHidesNothing(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		slow := lab.Slow(c, lab.Kbps)
		for what, ok := range map[string]bool{
			"CloseWrite": is[closesWrite](slow), "CloseRead": is[closesRead](slow), "SetLinger": is[lingers](slow),
			"SetKeepAlive": is[tells](slow), "ReadFrom": is[io.ReaderFrom](slow), "WriteTo": is[io.WriterTo](slow),
		} {
			if !ok {
				t.Errorf("a slow connection has no %s", what)
			}
		}
		slow.(closesWrite).CloseWrite()
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "Read when a slow peer has closed its half", err, io.EOF)
		s.Write(make([]byte, 2000))
		slow.Read(make([]byte, 2000))
		time.AfterFunc(time.Second, func() { slow.(closesRead).CloseRead() })
		took(t, "a Read while CloseRead is called", time.Second, time.Second, func() {
			_, err = slow.Read(make([]byte, 1))
		})
		wantErr(t, "a Read while CloseRead is called", err, io.EOF)

		half := lab.Slow(struct {
			net.Conn
			closesWrite
		}{c, c}, lab.Kbps)
		if !is[closesWrite](half) || is[closesRead](half) {
			t.Error("a slow connection of one that can close its sending half must have CloseWrite, and not CloseRead")
		}
		if is[closesWrite](lab.Slow(struct{ net.Conn }{c}, lab.Kbps)) {
			t.Error("a slow connection of a net.Conn alone has a CloseWrite that can do nothing")
		}
		from, err := server.ListenPacket("udp", ":9")
		must(t, 0, err)
		d := dial(t, client, "udp", "server:9")
		from.WriteTo(make([]byte, 1300), d.LocalAddr())
		u := lab.Slow(d, lab.Mbps)
		if k, err := u.Read(make([]byte, 2000)); k < 1300 || err != nil {
			t.Errorf("a slow receiver reads %d octets of a datagram of 1300, %v", k, err)
		}
	})
}

func is[T any](v any) bool { _, ok := v.(T); return ok }
