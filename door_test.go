package vitro_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The functions have the types of package net's: what takes those takes these.
var (
	_ = http.Transport{DialContext: (*vitro.Stack)(nil).DialContext}
	_ = http.Transport{DialContext: (*vitro.Dialer)(nil).DialContext}

	_ = []func(string, string) (net.Conn, error){net.Dial, (*vitro.Stack)(nil).Dial}
	_ = []func(string, string) (net.Listener, error){net.Listen, (*vitro.Stack)(nil).Listen}
	_ = []func(context.Context, string, string) (net.Listener, error){(&net.ListenConfig{}).Listen, (&vitro.ListenConfig{}).Listen}
)

// What has not been made says so, and a failure is a nil interface.
func TestNotMade(t *testing.T) {
	ctx := t.Context()
	end, _ := link.Pair(0)
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, call := range map[string]func() (any, error){
		"Dialer.Dial":        func() (any, error) { c, err := (&vitro.Dialer{}).Dial("tcp", "10.0.0.1:1"); return c, err },
		"Dialer.DialContext": func() (any, error) { c, err := (&vitro.Dialer{}).DialContext(ctx, "tcp", "10.0.0.1:1"); return c, err },
		"nil Dialer.Dial":    func() (any, error) { c, err := (*vitro.Dialer)(nil).Dial("tcp", "10.0.0.1:1"); return c, err },
		"Dialer of a new Stack": func() (any, error) {
			c, err := (&vitro.Dialer{Stack: new(vitro.Stack)}).Dial("tcp", ":1")
			return c, err
		},
		"ListenConfig.Listen":    func() (any, error) { l, err := (&vitro.ListenConfig{}).Listen(ctx, "tcp", ":1"); return l, err },
		"nil ListenConfig":       func() (any, error) { l, err := (*vitro.ListenConfig)(nil).Listen(ctx, "tcp", ":1"); return l, err },
		"Stack.Dial":             func() (any, error) { c, err := new(vitro.Stack).Dial("tcp", "10.0.0.1:1"); return c, err },
		"Stack.DialContext":      func() (any, error) { c, err := new(vitro.Stack).DialContext(ctx, "tcp", "10.0.0.1:1"); return c, err },
		"Stack.Listen":           func() (any, error) { l, err := new(vitro.Stack).Listen("tcp", ":1"); return l, err },
		"nil Stack.Listen":       func() (any, error) { l, err := (*vitro.Stack)(nil).Listen("tcp", ":1"); return l, err },
		"Stack.Attach":           func() (any, error) { return nil, new(vitro.Stack).Attach(end, vitro.LinkConfig{}) },
		"Attach of nil":          func() (any, error) { return nil, s.Attach(nil, vitro.LinkConfig{}) },
		"Stack.Close":            func() (any, error) { return nil, new(vitro.Stack).Close() },
		"a listener that is not": func() (any, error) { l, err := s.Listen("udp", ":1"); return l, errors.Join(err, syscall.EINVAL) },
		"Detach of no link":      func() (any, error) { return nil, s.Detach(nil) },
		"a dial that fails":      func() (any, error) { c, err := s.Dial("tcp", "10.9.9.9:1"); return c, errors.Join(err, syscall.EINVAL) },
	} {
		got, err := call()
		if got != nil || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v, %v; want nil and EINVAL", name, got, err)
		}
	}
	zero := new(vitro.Stack)
	if zero.Connections() != nil || zero.Stats().String() != "" || !zero.Time(1).IsZero() {
		t.Error("a zero Stack has something")
	}
}

// What a Config's comment excludes is not bent: New names the field.
func TestConfigRefused(t *testing.T) {
	for want, c := range map[string]vitro.Config{
		"ReceiveBuffer is -1":             {ReceiveBuffer: -1},
		"ReceiveBuffer is 4095":           {ReceiveBuffer: 4095},
		"SendBuffer is 1073741825":        {SendBuffer: 1<<30 + 1},
		"MaxReceiveBuffer is 4095":        {MaxReceiveBuffer: 4095},
		"MaxSendBuffer is -1":             {MaxSendBuffer: -1},
		"MaxReceiveBuffer is 8192, but":   {MaxReceiveBuffer: 8192, ReceiveBuffer: 8192},
		"MaxSendBuffer is 8192, but":      {MaxSendBuffer: 8192, SendBuffer: 4096},
		"MaxSendBuffer is 4096, but":      {MaxSendBuffer: 4096, ElasticSend: true},
		"MSL is -1ns":                     {MSL: -1},
		"MSL is 24h0m0.000000001s":        {MSL: 24*time.Hour + 1},
		"MSL is 2562047h47m16.854775807s": {MSL: math.MaxInt64},
		"DelayedAck is 500ms":             {DelayedAck: 500 * time.Millisecond}, // MUST-40
		"MinRTO is -1s":                   {MinRTO: -time.Second},
		"MinRTO, 3s, is more than":        {MinRTO: 3 * time.Second, MaxRTO: 2 * time.Second},
		"MinRTO, 200ms, is more than":     {MaxRTO: 100 * time.Millisecond},
		"MinRTO, 1m1s, is more than":      {MinRTO: 61 * time.Second},
		"FinWait2Timeout is -1ns":         {FinWait2Timeout: -1},
		"R1 is -1":                        {R1: -1},
		"R1 is 256":                       {R1: 256},
		"MinSendMSS is 537":               {MinSendMSS: 537},
		"ECN is 4":                        {ECN: tcp.ECNOff + 1},
		"MTUProbing is 3":                 {MTUProbing: tcp.MTUProbeOff + 1},
		"PortFirst, 2000, is beyond":      {PortFirst: 2000, PortLast: 1999},
		"PortFirst, 32768, is beyond":     {PortLast: 1999},
		"Limits.MaxConnections is -1":     {Limits: vitro.Limits{MaxConnections: -1}},
		"Limits.MaxBuffers is -1":         {Limits: vitro.Limits{MaxBuffers: -1}},
		"Limits.HalfOpen is -1":           {Limits: vitro.Limits{HalfOpen: -1}},
		"Limits.StallTimeout is -1ns":     {Limits: vitro.Limits{StallTimeout: -1}},
		"Limits.ReassemblyBytes is -5":    {Limits: vitro.Limits{ReassemblyBytes: -5}},
	} {
		if s, err := vitro.New(c); err == nil || s != nil || !strings.HasPrefix(err.Error(), "vitro: Config."+want) {
			t.Errorf("%+v: %v; want an error that begins with %q", c, err, want)
		}
	}
	for _, c := range []vitro.Config{
		{MSL: 24 * time.Hour},
		{ReceiveBuffer: 4096, SendBuffer: 1 << 30, DelayedAck: 499 * time.Millisecond, UserTimeout: -1, SynTimeout: -1},
		{DelayedAck: -1, MinRTO: time.Minute, PortFirst: 65535, Limits: vitro.Limits{ResetRate: -1, ErrorRate: -1, EchoRate: -1}},
	} {
		s, err := vitro.New(c)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		s.Close()
	}
}

// Each limit reaches the layer that keeps it.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{Limits: vitro.Limits{ResetRate: -1}, SynTimeout: 10 * time.Second})
		_, err := a.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "Dial to where no reset comes from", err, syscall.ETIMEDOUT)
		if n := b.Stats().Resets; n != 0 {
			t.Errorf("%d resets; want none", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{Limits: vitro.Limits{MaxTimeWait: 1, MaxOrphans: 1}})
		for range 3 {
			c, s := connect(t, a, b)
			c.Close()
			s.Close()
		}
		if st := a.Stats(); st.TimeWait != 1 || st.TimeWaitEvicted != 2 {
			t.Errorf("%d in TIME-WAIT, %d evicted; want 1 and 2", st.TimeWait, st.TimeWaitEvicted)
		}
		for range 2 {
			c, _ := connect(t, a, b)
			c.Close()
		}
		if st := a.Stats(); st.OrphansAborted != 1 {
			t.Errorf("%d orphans aborted; want 1", st.OrphansAborted)
		}
	})
	for _, tc := range []struct {
		limits   vitro.Limits
		listener int
		want     bool
	}{
		{vitro.Limits{}, 0, false},
		{vitro.Limits{}, -1, true},
		{vitro.Limits{MaxHalfOpen: 1}, 0, true},
		{vitro.Limits{HalfOpen: 1}, 0, true},
		{vitro.Limits{HalfOpen: 1}, 2, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			la, lb := link.Pair(0)
			syns := 0
			fault := link.Fault(la, link.FaultConfig{Rule: func(dir link.Direction, _ *wire.Packet) link.Verdict {
				return link.Verdict{Drop: dir == link.In} // the SYN,ACKs: all stay half open
			}})
			a, b := join(t, vitro.Config{Limits: tc.limits}, fault, lb)
			l, err := (&vitro.ListenConfig{Stack: b, HalfOpen: tc.listener}).Listen(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for range 2 {
				(&vitro.Dialer{Stack: a, Timeout: time.Millisecond}).Dial("tcp", "10.0.0.2:80")
				syns++
			}
			if got := b.Stats().CookiesSent > 0; got != tc.want {
				t.Errorf("%+v, the listener's HalfOpen %d: cookies: %v; want %v", tc.limits, tc.listener, got, tc.want)
			}
		})
	}
}

// R1 says when the user is told: a tail loss probe goes first, then twice the timeout runs out. And an octet goes with the probes that are to have one.
func TestConfigR1AndKeepAliveOctet(t *testing.T) {
	for r1, want := range map[int]time.Duration{1: 400 * time.Millisecond, 2: 800 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := newCable(t, vitro.Config{R1: r1})
			c, _ := connect(t, w.a, w.b)
			time.Sleep(time.Second)
			w.cut.Store(true)
			start := time.Now()
			told := make(chan time.Duration, 9)
			c.SetReport(func(vitro.Report) { told <- time.Since(start) })
			c.Write([]byte("x"))
			if got := <-told; got < want || got > want+10*time.Millisecond {
				t.Errorf("R1 of %d is reached after %v; want %v", r1, got, want)
			}
		})
	}
	for _, octet := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			la, lb := link.Pair(0)
			probes, text := 0, 0
			see := func(v link.View) {
				var ip wire.IP
				var seg wire.Segment
				if v.Dir == link.Out && wire.ParseIP(v.Bytes(), &ip) == 0 && wire.ParseTCP(ip.Payload, &seg) == 0 && time.Now().Second() > 3 {
					probes++
					text += len(seg.Text)
				}
			}
			a, b := join(t, vitro.Config{KeepAliveOctet: octet}, link.Tap(la, see), lb)
			start := time.Now()
			connect(t, a, b)
			time.Sleep(time.Until(start.Add(40 * time.Second)))
			synctest.Wait()
			if probes == 0 || text > 0 != octet {
				t.Errorf("KeepAliveOctet %v: %d probes with %d octets", octet, probes, text)
			}
		})
	}
}

// Instants of Trace and Status are times of day.
func TestStackTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *vitro.Stack
		var at []time.Time
		trace := &tcp.Trace{Become: func(_ tcp.Observed, now tcp.Time, _, _ tcp.State, _ tcp.Rule) { at = append(at, s.Time(now)) }}
		la, lb := link.Pair(0)
		s, b := join(t, vitro.Config{Trace: trace}, la, lb)
		_ = b
		time.Sleep(17 * time.Second)
		s.Dial("tcp", "10.0.0.2:80")
		if len(at) == 0 || !at[0].Equal(time.Now()) {
			t.Errorf("Trace: %v; want now, %v", at, time.Now())
		}
		if !s.Time(0).IsZero() || !s.Time(tcp.Never).IsZero() {
			t.Errorf("no instant is %v, never is %v; want the zero Time", s.Time(0), s.Time(tcp.Never))
		}
	})
}

// Stats as text has a line for each number that is not zero, and no other; a drop has its
// clause.
func TestStatsString(t *testing.T) {
	var st vitro.Stats
	if got := st.String(); got != "" {
		t.Errorf("nothing is %q", got)
	}
	lines, leaves := 0, numbers(reflect.ValueOf(&st.Stats).Elem(), func(v reflect.Value, n uint64) {
		if v.CanInt() {
			v.SetInt(int64(n))
		} else {
			v.SetUint(n)
		}
	})
	seen := map[string]bool{}
	for line := range strings.Lines(st.String()) {
		lines++
		number, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if seen[number] || seen[name] || name == "" {
			t.Errorf("%q is there twice", line)
		}
		seen[number], seen[name] = true, true
	}
	if lines != leaves {
		t.Errorf("%d lines; want one for each of %d numbers", lines, leaves)
	}
	var few vitro.Stats
	few.Rules[tcp.RulePAWS], few.Faults[wire.FaultTCPChecksum], few.SegmentsIn = 3, 2, 9
	if got := few.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "3  segments dropped, RFC 7323") {
		t.Errorf("%s", got)
	}
	if m := few.ByRule(); len(m) != 1 || m[tcp.RulePAWS] != 3 {
		t.Errorf("ByRule: %v", m)
	}
	if m := few.ByFault(); len(m) != 1 || m[wire.FaultTCPChecksum] != 2 {
		t.Errorf("ByFault: %v", m)
	}
}

// numbers calls set for each number in v with one of its own, and returns how many there are.
func numbers(v reflect.Value, set func(reflect.Value, uint64)) int {
	n := 0
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		default:
			n++
			set(v, uint64(n))
		}
	}
	walk(v)
	return n
}

// A function of SetReport may close everything, whoever brings the news: a timer, or a link
// that is in the middle of Receive.
func TestCloseWithinReport(t *testing.T) {
	for _, by := range []string{"a timeout", "a packet"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newCable(t, vitro.Config{})
				c, s := connect(t, w.a, w.b)
				closed := make(chan error, 1)
				c.SetReport(func(r vitro.Report) {
					c.Status()
					closed <- w.a.Close()
				})
				if by == "a packet" {
					s.WriteUrgent([]byte("stop"))
				} else {
					w.cut.Store(true)
					c.Write([]byte("x"))
				}
				wantErr(t, "Close within a report", <-closed, nil)
				wantErr(t, "Read", read(c)(), net.ErrClosed)
			})
		})
	}
}
