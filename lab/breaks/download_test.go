package breaks

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// downloadBefore does not wait for ever for a server that is silent.
func downloadBefore(to io.Writer, c net.Conn) (int64, error) {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return io.Copy(to, c)
}

func downloadAfter(to io.Writer, c net.Conn) (int64, error) {
	return io.Copy(to, patient{c})
}

// patient gives up when nothing comes for ten seconds.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	return p.Conn.Read(b)
}

func TestOneDeadlineForAll(t *testing.T) {
	fetch := func(download func(io.Writer, net.Conn) (int64, error)) func(*world) string {
		return func(w *world) string {
			if w.lab != nil {
				w.lab.Default(lab.Link{Delay: 20 * time.Millisecond, Rate: 2 * lab.Mbps})
			}
			client, server := w.connect("server")
			go func() {
				server.Write(make([]byte, 8<<20))
				server.Close()
			}()
			n, err := download(io.Discard, client)
			if err != nil {
				return fmt.Sprintf("after %.1f MB: %s", float64(n)/1e6, plain(err))
			}
			silent, _ := w.connect("other")
			start := time.Now()
			_, err = download(io.Discard, silent)
			return fmt.Sprintf("%.1f MB, then %v of silence: %s", float64(n)/1e6, time.Since(start), plain(err))
		}
	}
	example{
		title:  "A deadline for the whole is a demand on the network",
		before: fetch(downloadBefore), after: fetch(downloadAfter),
		wants: "8.4 MB, then 10s of silence: i/o timeout",
	}.show(t)
}
