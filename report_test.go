package vitro_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// The user hears of what goes wrong before it ends anything, and only who wants to: RFC 9293
// section 3.8.3, "inform the application of the delivery problem [...] when R1 is reached and
// before R2"; section 3.9.1.8.
func TestReports(t *testing.T) { // MUST-22, MUST-47, SHLD-9, SHLD-20
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		var cut atomic.Bool
		fault := link.Fault(la, link.FaultConfig{Rule: func(link.Direction, *wire.Packet) link.Verdict {
			return link.Verdict{Drop: cut.Load()}
		}})
		a, b := join(t, vitro.Config{}, fault, lb)
		c, s := connect(t, a, b)
		var got []vitro.Report
		if err := c.SetReport(func(r vitro.Report) { got = append(got, r) }); err != nil {
			t.Fatal(err)
		}
		cut.Store(true)
		c.Write([]byte("lost"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != 1 || !errors.Is(got[0].Err(), syscall.ETIMEDOUT) || got[0].Urgent {
			t.Errorf("text without an answer: the reports are %v; want one of ETIMEDOUT", got)
		}
		if st := c.Status(); !st.State.Synchronized() {
			t.Errorf("the report has ended the connection: %v", st.State)
		}
		got = nil
		if err := c.SetReport(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("reports that were switched off: %v", got)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("Read after R2: %v; want ETIMEDOUT", err)
		}
		_ = s

		// The SYN too: whoever dials hears of it before Dial returns.
		dialer := vitro.Dialer{Stack: a, Report: func(r vitro.Report) { got = append(got, r) }}
		_, err := dialer.DialContext(context.Background(), "tcp", "10.0.0.2:9")
		synctest.Wait()
		var op *net.OpError
		if !errors.As(err, &op) || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("Dial: %v; want an OpError of ETIMEDOUT", err)
		}
		if len(got) != 1 || !errors.Is(got[0].Err(), syscall.ETIMEDOUT) {
			t.Errorf("a SYN without an answer: the reports are %v", got)
		}
	})
}

// Urgent data is announced when it comes, when its end moves on, and when it has been read:
// RFC 9293 section 3.8.5.
func TestUrgentReports(t *testing.T) { // MUST-32, MUST-33
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{})
		c, s := connect(t, a, b)
		var left []uint32
		s.SetReport(func(r vitro.Report) {
			if !r.Urgent || r.Err() != nil {
				t.Errorf("the report is %+v", r)
			}
			left = append(left, r.UrgentLeft)
		})
		c.WriteUrgent([]byte("stop"))
		c.WriteUrgent([]byte("now"))
		time.Sleep(time.Nanosecond) // a timer tells
		p := make([]byte, 100)
		n, err := s.Read(p)
		if string(p[:n]) != "stopnow" || err != nil {
			t.Errorf("read %q, %v", p[:n], err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(left) != 3 || left[0] != 4 || left[1] != 7 || left[2] != 0 {
			t.Errorf("urgent octets left were reported as %v; want 4, 7, 0", left)
		}
	})
}
