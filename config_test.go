package vitro_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Each field of Config does what its comment says.

func TestConfigPackets(t *testing.T) {
	la, lb := link.Pair(0)
	var first []wire.Packet
	see := func(v link.View) {
		if v.Dir == link.Out && first == nil {
			first = []wire.Packet{{Buf: append([]byte(nil), v.Bytes()...)}}
		}
	}
	a, b := join(t, vitro.Config{HopLimit: 9, PortFirst: 5000, PortLast: 5001}, link.Tap(la, see), lb)
	connect(t, a, b)
	var ip wire.IP
	if f := wire.ParseIP(first[0].Bytes(), &ip); f != 0 || ip.HopLimit != 9 {
		t.Errorf("%v, the SYN has the hop limit %d; want 9", f, ip.HopLimit)
	}
	if flow, _ := ip.Flow(); flow.LocalPort != 5000 && flow.LocalPort != 5001 {
		if flow.RemotePort != 5000 && flow.RemotePort != 5001 {
			t.Errorf("ports %v; want 5000 and 5001 alone", flow)
		}
	}
}

func TestConfigOptions(t *testing.T) {
	for _, tc := range []struct {
		config                  vitro.Config
		timestamps, sack, scale bool
	}{
		{vitro.Config{}, true, true, true},
		{vitro.Config{NoTimestamps: true}, false, true, true},
		{vitro.Config{NoSACK: true}, true, false, true},
		{vitro.Config{NoWindowScale: true}, true, true, false},
	} {
		a, b := pair(t, tc.config)
		c, _ := connect(t, a, b)
		if st := c.Status(); st.Timestamps != tc.timestamps || st.SACK != tc.sack || st.Scale != tc.scale {
			t.Errorf("timestamps %v, SACK %v, window scale %v; want %v, %v, %v",
				st.Timestamps, st.SACK, st.Scale, tc.timestamps, tc.sack, tc.scale)
		}
	}
}

// Two who dial each other at a time are connected, unless one does not want that.
func TestConfigNoSimultaneousOpen(t *testing.T) {
	for _, no := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			la, lb := link.Pair(0)
			slow := link.Odds{Delay: 10 * time.Millisecond}
			a, b := join(t, vitro.Config{NoSimultaneousOpen: no, SynTimeout: time.Second}, link.Fault(la, link.FaultConfig{Out: slow, In: slow}), lb)
			dial := func(s *vitro.Stack, from, to netip.Addr) error {
				d := vitro.Dialer{Stack: s, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 1000))}
				_, err := d.Dial("tcp", netip.AddrPortFrom(to, 1000).String())
				return err
			}
			other := make(chan error)
			go func() { other <- dial(b, addrB.Addr(), addrA.Addr()) }()
			err := dial(a, addrA.Addr(), addrB.Addr())
			if again := <-other; no && (!errors.Is(err, syscall.ETIMEDOUT) || again == nil) || !no && (err != nil || again != nil) {
				t.Errorf("NoSimultaneousOpen %v: %v, %v", no, err, again)
			}
		})
	}
}

// The numbers of the story.
func TestConfigISN(t *testing.T) {
	a, b := pair(t, vitro.Config{ISN: func(local, _ netip.AddrPort) uint32 {
		return map[netip.Addr]uint32{addrA.Addr(): 1000, addrB.Addr(): 2000}[local.Addr()]
	}})
	c, _ := connect(t, a, b)
	if st := c.Status(); st.ISS != 1000 || st.IRS != 2000 || st.SndNxt != 1001 || st.RcvNxt != 2001 {
		t.Errorf("ISS %v, IRS %v, SND.NXT %v, RCV.NXT %v; want 1000, 2000, 1001, 2001", st.ISS, st.IRS, st.SndNxt, st.RcvNxt)
	}
}

// The same Seed gives the same numbers and ports; none gives others each time.
func TestConfigSeed(t *testing.T) {
	draw := func(seed uint64) (iss, irs seq.Num, port uint16) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, vitro.Config{Seed: seed})
			c, _ := connect(t, a, b)
			st := c.Status()
			iss, irs, port = st.ISS, st.IRS, st.Flow.LocalPort
		})
		return iss, irs, port
	}
	iss, irs, port := draw(7)
	if i, r, p := draw(7); i != iss || r != irs || p != port {
		t.Errorf("with one seed %v %v %v and %v %v %v", iss, irs, port, i, r, p)
	}
	if i, r, _ := draw(8); i == iss || r == irs {
		t.Errorf("with two seeds the same numbers: %v, %v", i, r)
	}
	iss, irs, _ = draw(0)
	if i, r, _ := draw(0); i == iss || r == irs {
		t.Errorf("without a seed the same numbers twice: %v, %v", i, r)
	}
}

func TestConfigDelayedAck(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{0: 40 * time.Millisecond, 100 * time.Millisecond: 100 * time.Millisecond, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, vitro.Config{DelayedAck: delay})
			c, s := connect(t, a, b)
			two := func() error {
				c.Write([]byte("x"))
				c.Write([]byte("x"))
				_, err := io.ReadFull(s, make([]byte, 2))
				return err
			}
			two() // the window opens
			time.Sleep(time.Second)
			c.SetNoDelay(false)
			takes(t, "two octets with the Nagle algorithm", want, two)
		})
	}
}

func TestConfigTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCable(t, vitro.Config{
			MinRTO: 2 * time.Second, MaxRTO: 8 * time.Second,
			UserTimeout: 100 * time.Second, SynTimeout: 10 * time.Second, FinWait2Timeout: 5 * time.Second,
		})
		c, s := connect(t, w.a, w.b)
		c.Write([]byte("x"))
		read(s)()
		time.Sleep(time.Second)
		if st := c.Status(); st.RTO != st.SRTT+2*time.Second {
			t.Errorf("RTO %v; want 2 s more than SRTT, %v", st.RTO, st.SRTT)
		}
		w.cut.Store(true)
		c.Write([]byte("x"))
		later(90*time.Second, func() {
			if rto := c.Status().RTO; rto != 8*time.Second {
				t.Errorf("RTO %v after many retransmissions; want the largest, 8 s", rto)
			}
		})
		wantErr(t, "Read", takes(t, "Read", 100*time.Second, read(c)), syscall.ETIMEDOUT)
		err := takes(t, "Dial", 10*time.Second, func() error { _, err := w.a.Dial("tcp", "10.0.0.2:80"); return err })
		wantErr(t, "Dial", err, syscall.ETIMEDOUT)
		c.Close()
		s.SetLinger(0)
		s.Close()
		w.cut.Store(false)

		c, s = connect(t, w.a, w.b)
		c.Close()
		time.Sleep(5*time.Second - time.Millisecond)
		if n := len(w.a.Connections()); n != 1 {
			t.Errorf("%d connections; want one in FIN-WAIT-2", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := len(w.a.Connections()); n != 0 {
			t.Errorf("%d connections after FinWait2Timeout", n)
		}
		s.Close()
	})
}

// flat is a congestion control that keeps its window.
type flat struct{ acks int }

func (*flat) Name() string                                     { return "flat" }
func (*flat) Start(tcp.Time, tcp.Window)                       {}
func (*flat) Undo(tcp.Time, tcp.Window)                        {}
func (*flat) Loss(_ tcp.Time, w tcp.Window, _ tcp.Loss) uint32 { return w.Cwnd }
func (f *flat) Ack(_ tcp.Time, w tcp.Window, _ tcp.Acknowledgment) tcp.Window {
	f.acks++
	return w
}

// The congestion control is CUBIC, or the Config's, or the connection's own.
func TestConfigCongestion(t *testing.T) { // MAY-18
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{})
		c, _ := connect(t, a, b)
		if got := c.Status().Congestion; got != "cubic" {
			t.Errorf("it is %q", got)
		}
		a, b = pair(t, vitro.Config{Congestion: tcp.NewReno})
		c, s := connect(t, a, b)
		if got := c.Status().Congestion; got != "reno" {
			t.Errorf("it is %q", got)
		}
		own := new(flat)
		if err := c.SetCongestion(own); err != nil {
			t.Fatal(err)
		}
		before := c.Status().Cwnd
		go io.Copy(io.Discard, s)
		c.Write(make([]byte, 1<<20))
		synctest.Wait()
		if st := c.Status(); st.Congestion != "flat" || st.Cwnd != before || own.acks == 0 {
			t.Errorf("%q has seen %d ACKs; cwnd goes from %d to %d", st.Congestion, own.acks, before, st.Cwnd)
		}
	})
}

// A Dialer and a ListenConfig have their own, each connection a new one: also where the SYN has been
// answered by a cookie.
func TestOwnCongestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, halfOpen := range []int{0, -1} {
			a, b := pair(t, vitro.Config{Congestion: tcp.NewReno})
			made := 0
			lc := vitro.ListenConfig{Stack: b, HalfOpen: halfOpen, Congestion: func() tcp.Congestion { made++; return new(flat) }}
			l, err := lc.ListenTCP(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			for name, f := range map[string]func() tcp.Congestion{"bbr": tcp.NewBBR, "reno": nil, "cubic": tcp.NewCubic} {
				c, err := (&vitro.Dialer{Stack: a, Congestion: f}).DialTCP(t.Context(), "tcp", "10.0.0.2:80")
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.AcceptTCP()
				if err != nil {
					t.Fatal(err)
				}
				if got := c.Status().Congestion; got != name {
					t.Errorf("the Dialer's control is %q; want %q", got, name)
				}
				if got := s.Status().Congestion; got != "flat" {
					t.Errorf("the ListenConfig's control is %q, to SYNs by half-open connections up to %d", got, halfOpen)
				}
				s.SetCongestion(nil)
				if got := s.Status().Congestion; got != "reno" {
					t.Errorf("no control is the Config's: %q", got)
				}
			}
			if made != 3 {
				t.Errorf("for three connections %d controls were made", made)
			}
			l.Close()
		}
		a, b := pair(t, vitro.Config{Congestion: tcp.NewReno})
		if _, err := b.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		none := func() tcp.Congestion { return nil }
		c, err := (&vitro.Dialer{Stack: a, Congestion: none}).DialTCP(t.Context(), "tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Status().Congestion; got != "reno" {
			t.Errorf("where the Dialer's gives none it is %q", got)
		}
	})
}

// No control is the default: of a Config whose function gives none, and of a connection.
func TestNoCongestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, f := range map[string]func() tcp.Congestion{"cubic": func() tcp.Congestion { return nil }, "reno": tcp.NewReno} {
			a, b := pair(t, vitro.Config{Congestion: f})
			c, s := connect(t, a, b)
			if err := c.SetCongestion(new(flat)); err != nil {
				t.Fatal(err)
			}
			if err := c.SetCongestion(nil); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, s)
			c.Write(make([]byte, 1<<17))
			synctest.Wait()
			if st := c.Status(); st.Congestion != want || st.Unacknowledged != 0 {
				t.Errorf("%q has %d octets outstanding; want %q to have sent all", st.Congestion, st.Unacknowledged, want)
			}
		}
	})
}

// Pacing is off unless it is asked for (or a window has not been in use: RFC 7661).
func TestConfigPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, on := range []bool{false, true} {
			a, b := pair(t, vitro.Config{Pacing: on, RestartAfterIdle: true})
			c, s := connect(t, a, b)
			go io.Copy(io.Discard, s)
			time.Sleep(time.Millisecond) // of the bubble: a round trip of nothing has no rate
			c.Write(make([]byte, 1<<20))
			synctest.Wait()
			if rate := c.Status().PacingRate; (rate > 0) != on {
				t.Errorf("Pacing %v: the rate is %d", on, rate)
			}
		}
	})
}

// Buffers grow up to their ceilings, where neither Config nor connection fixes them.
func TestConfigBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			config        vitro.Config
			set           bool // SetReadBuffer and SetWriteBuffer are called
			receive, send uint32
		}{
			{vitro.Config{}, false, 16 << 20, 16 << 20},
			{vitro.Config{MaxReceiveBuffer: 1 << 18, MaxSendBuffer: 1 << 17}, false, 1 << 18, 1 << 17},
			{vitro.Config{ReceiveBuffer: 50000, SendBuffer: 60000}, false, 50000, 60000},
			{vitro.Config{}, true, 70000, 80000},
		} {
			a, b := pair(t, tc.config)
			c, s := connect(t, a, b)
			if tc.set {
				s.SetReadBuffer(70000)
				c.SetWriteBuffer(80000)
			}
			if n := c.Status().MaxSendBuffer; n != tc.send {
				t.Errorf("%+v: the send buffer may grow to %d; want %d", tc, n, tc.send)
			}
			if n := s.Status().MaxReceiveBuffer; n != tc.receive {
				t.Errorf("%+v: the receive buffer may grow to %d; want %d", tc, n, tc.receive)
			}
			const size = 4 << 20
			go func() {
				c.Write(make([]byte, size))
				c.CloseWrite()
			}()
			if n, err := io.Copy(io.Discard, s); n != size || err != nil {
				t.Errorf("%+v: %d octets, %v", tc, n, err)
			}
			if n := s.Status().ReceiveBuffer; n > tc.receive {
				t.Errorf("%+v: the receive buffer has %d octets", tc, n)
			}
			if n := c.Status().SendBuffer; n > tc.send {
				t.Errorf("%+v: the send buffer has %d octets", tc, n)
			}
		}
	})
}

// ECN is used when one asks and the other does not refuse.
func TestConfigECN(t *testing.T) {
	for mode, want := range map[tcp.ECN]bool{tcp.ECNAccept: false, tcp.ECNRequest: true, tcp.ECNOff: false, tcp.ECNAccurate: true} {
		a, b := pair(t, vitro.Config{ECN: mode})
		c, s := connect(t, a, b)
		if c.Status().ECN != want || s.Status().ECN != want {
			t.Errorf("mode %v: %v, %v", mode, c.Status().ECN, s.Status().ECN)
		}
		if best := mode == tcp.ECNAccurate; c.Status().AccECN != best || s.Status().AccECN != best {
			t.Errorf("mode %v: accurate %v, %v", mode, c.Status().AccECN, s.Status().AccECN)
		}
	}
}

// A connection begins to probe for the path MTU at once, or does not.
func TestConfigMTUProbing(t *testing.T) {
	for mode, want := range map[tcp.MTUProbing]tcp.PathMTUState{
		tcp.MTUProbeBlackHole: tcp.PathMTUDisabled, tcp.MTUProbeAlways: tcp.PathMTUSearching, tcp.MTUProbeOff: tcp.PathMTUDisabled,
	} {
		a, b := pair(t, vitro.Config{MTUProbing: mode})
		c, s := connect(t, a, b)
		if c.Status().MTUState != want || s.Status().MTUState != want {
			t.Errorf("mode %v: %v, %v", mode, c.Status().MTUState, s.Status().MTUState)
		}
	}
}

// Who has been left, and who has never been there, does not stay.
func TestConfigLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCable(t, vitro.Config{Limits: vitro.Limits{OrphanTimeout: 7 * time.Second, SynAckRetries: 1}})
		c, s := connect(t, w.a, w.b)
		w.cut.Store(true)
		c.Write([]byte("x"))
		c.Close()
		time.Sleep(7*time.Second - time.Millisecond)
		if n := len(w.a.Connections()); n != 1 {
			t.Errorf("%d connections; want the one that is closed", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := len(w.a.Connections()); n != 0 {
			t.Errorf("%d connections after OrphanTimeout", n)
		}
		s.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		deaf := func(dir link.Direction, _ *wire.Packet) link.Verdict { return link.Verdict{Drop: dir == link.In} }
		a, b := join(t, vitro.Config{Limits: vitro.Limits{SynAckRetries: 1}}, link.Fault(la, link.FaultConfig{Rule: deaf}), lb)
		if _, err := b.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := a.DialContext(ctx, "tcp", "10.0.0.2:80")
		wantErr(t, "Dial", err, context.DeadlineExceeded)
		half := func() int { return b.Stats().HalfOpen }
		time.Sleep(3*time.Second - 2*time.Millisecond) // sent again after 1 s, waited for 2 s more
		if half() != 1 {
			t.Errorf("%d half-open connections; want one", half())
		}
		time.Sleep(2 * time.Millisecond)
		if half() != 0 {
			t.Errorf("%d half-open connections after the last SYN,ACK", half())
		}
	})
}

func TestConfigLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{Limits: vitro.Limits{MaxConnections: 2}})
		connect(t, a, b)
		connect(t, a, b)
		_, err := a.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "a third Dial of two", err, syscall.ENOBUFS)
	})
	synctest.Test(t, func(t *testing.T) {
		const limit = 256 << 10
		a, b := pair(t, vitro.Config{Limits: vitro.Limits{MaxBuffers: limit}})
		var ends []*vitro.Conn
		for range 20 {
			c, s := connect(t, a, b)
			ends = append(ends, c, s)
			c.SetWriteDeadline(time.Now().Add(time.Second))
			c.Write(make([]byte, 64<<10)) // nobody reads it
		}
		time.Sleep(time.Minute)
		if n := b.Stats().Buffers; n > limit {
			t.Errorf("%d octets of buffers; the limit is %d", n, limit)
		}
		aborted := 0
		for _, c := range append(ends, ends...) { // a Write may itself be the last straw
			c.SetWriteDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Write([]byte("x")); errors.Is(err, syscall.ENOBUFS) {
				aborted++
			}
		}
		if want := a.Stats().BuffersReclaimed + b.Stats().BuffersReclaimed; want == 0 || aborted != int(want) {
			t.Errorf("%d of %d connections that the Stack aborted say so", aborted, want)
		}
	})
}

func TestListenConfigBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{})
		if _, err := (&vitro.ListenConfig{Stack: b, Backlog: 1}).Listen(t.Context(), "tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		d := vitro.Dialer{Stack: a, Timeout: 10 * time.Second}
		_, err := d.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "the first", err, nil)
		_, err = d.Dial("tcp", "10.0.0.2:80")
		wantErr(t, "the second of one", err, context.DeadlineExceeded)
	})
}

// What is negative in a KeepAliveConfig stays as it was, and 0 is package net's default.
func TestKeepAliveConfig(t *testing.T) {
	for _, tc := range []struct {
		second net.KeepAliveConfig
		want   time.Duration
	}{
		{net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}, 62 * time.Second},
		{net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: -1, Count: 3}, 33 * time.Second},
		{net.KeepAliveConfig{Enable: true}, 150 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newCable(t, vitro.Config{})
			c, _ := connect(t, w.a, w.b)
			w.cut.Store(true)
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: time.Second, Count: 2})
			c.SetKeepAliveConfig(tc.second)
			err := takes(t, "Read", tc.want, read(c))
			if !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// Trace hears of a segment that no connection wanted, TraceFault of one that was damaged.
func TestConfigTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := link.Pair(0)
		first := link.Nth(1, link.TCP(wire.SYN, 0))
		damaged := link.Fault(la, link.FaultConfig{Rule: link.When(first, link.Verdict{Corrupt: true})})
		var told []string
		c := vitro.Config{
			Trace: &tcp.Trace{Drop: func(c tcp.Observed, _ tcp.Time, seg *wire.Segment, rule tcp.Rule) {
				told = append(told, fmt.Sprintf("%v, %v: %v", c.State(), seg.Flags, rule))
			}},
			TraceFault: func(_ tcp.Time, packet []byte, fault wire.Fault) {
				told = append(told, fmt.Sprintf("version %d: %v", wire.Version(packet), fault))
			},
		}
		a, _ := join(t, c, damaged, lb)
		_, err := a.Dial("tcp", "10.0.0.2:9")
		wantErr(t, "Dial to nobody", err, syscall.ECONNREFUSED)
		want := []string{
			"version 4: " + wire.FaultIPChecksum.String(),
			"CLOSED, SYN: " + tcp.RuleNoConnection.String(),
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q; want %q", told, want)
		}
	})
}
