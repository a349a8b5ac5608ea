package breaks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

const mostUpload = 100

// refuseBefore answers an upload that is too large.
func refuseBefore(c net.Conn) {
	defer c.Close()
	var size int
	fmt.Fscanf(bufio.NewReader(c), "PUT %d\n", &size)
	if size > mostUpload {
		fmt.Fprintln(c, "413 too large")
		return
	}
	// ...
}

func refuseAfter(c net.Conn) {
	defer c.Close()
	var size int
	fmt.Fscanf(bufio.NewReader(c), "PUT %d\n", &size)
	if size > mostUpload {
		fmt.Fprintln(c, "413 too large")
		closeWrite(c)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		io.Copy(io.Discard, c) // until the client has read the answer and closes
		return
	}
	// ...
}

// closeWrite says that no more will be sent, where the connection can say so.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

func TestCloseDestroysTheAnswer(t *testing.T) {
	upload := func(refuse func(net.Conn)) func(*world) string {
		return func(w *world) string {
			client, server := w.connect("server")
			if w.lab != nil {
				w.lab.Rule(lab.First(1, lab.Text.From("server")).Drop())
			}
			go refuse(server)
			go func() {
				fmt.Fprintf(client, "PUT %d\n", 1000)
				client.Write(make([]byte, 1000))
			}()
			answer, err := io.ReadAll(client)
			client.Close()
			if err != nil {
				return "no answer: " + plain(err)
			}
			return string(answer[:len(answer)-1])
		}
	}
	example{
		title:  "Close destroys the answer",
		before: upload(refuseBefore), after: upload(refuseAfter),
		wants: "413 too large",
	}.show(t)
}
