package breaks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

const recordLen = 20 // "reading 0001: 21.5C\n"

// readRecordsBefore looks each tenth of a second whether it is to stop.
func readRecordsBefore(c net.Conn, stop func() bool, got func(string)) error {
	record := make([]byte, recordLen)
	for !stop() {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := io.ReadFull(c, record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		got(string(record))
	}
	return nil
}

func readRecordsAfter(c net.Conn, stop func() bool, got func(string)) error {
	record, have := make([]byte, recordLen), 0
	for !stop() {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := io.ReadFull(c, record[have:])
		have += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		got(string(record))
		have = 0
	}
	return nil
}

func TestTimeoutInTheMiddle(t *testing.T) {
	read := func(readRecords func(net.Conn, func() bool, func(string)) error) func(*world) string {
		return func(w *world) string {
			client, server := w.connect("server")
			if w.lab != nil {
				w.lab.Rule(lab.Nth(2, lab.Text.From("client")).Delay(150 * time.Millisecond))
			}
			var batch bytes.Buffer
			for i := range 100 {
				fmt.Fprintf(&batch, "reading %04d: 21.5C\n", i)
			}
			go func() {
				client.Write(batch.Bytes())
				client.Close()
			}()
			n, bad := 0, ""
			readRecords(server, func() bool { return bad != "" }, func(r string) {
				if !strings.HasPrefix(r, "reading ") {
					bad = fmt.Sprintf("after %d readings comes %q", n, r)
				}
				n++
			})
			if bad != "" {
				return bad
			}
			return fmt.Sprintf("%d readings", n)
		}
	}
	example{
		title:  "A timeout comes in the middle of a message",
		before: read(readRecordsBefore), after: read(readRecordsAfter),
		wants: "100 readings",
	}.show(t)
}
