package breaks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// proxyBefore carries between two connections until one of them ends.
func proxyBefore(client, backend net.Conn) {
	defer client.Close()
	defer backend.Close()
	done := make(chan bool, 2)
	go func() { io.Copy(backend, client); done <- true }()
	go func() { io.Copy(client, backend); done <- true }()
	<-done
}

func proxyAfter(client, backend net.Conn) {
	defer client.Close()
	defer backend.Close()
	done := make(chan bool, 2)
	go func() { io.Copy(backend, client); endOf(backend); done <- true }()
	go func() { io.Copy(client, backend); endOf(client); done <- true }()
	<-done
	<-done
}

// endOf passes an EOF on, and leaves the other direction as it is.
func endOf(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		c.Close() // a pipe has no halves
		return
	}
	half.CloseWrite()
}

func TestHalfClose(t *testing.T) {
	ask := func(proxy func(client, backend net.Conn)) func(*world) string {
		return func(w *world) string {
			client, front := w.connect("server")
			back, backend := w.connect("other")
			go proxy(front, back)
			go func() {
				line, _ := bufio.NewReader(backend).ReadString('\n')
				time.Sleep(time.Second) // it thinks
				fmt.Fprintf(backend, "%d octets", len(line))
				backend.Close()
			}()
			fmt.Fprintln(client, "how long is this?")
			closeWrite(client) // as nc does, and whoever sends a file
			answer, err := io.ReadAll(client)
			client.Close()
			if err != nil {
				return plain(err)
			}
			return fmt.Sprintf("the answer is %q", answer)
		}
	}
	example{
		title:  "The end of one direction is not the end",
		before: ask(proxyBefore), after: ask(proxyAfter),
		wants: `the answer is "18 octets"`,
	}.show(t)
}
