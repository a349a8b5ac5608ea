package stack_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// An echo request and its reply between two stacks, and of a stack with itself.
func TestPing(t *testing.T) {
	p := newPair(t, config(), config())
	for _, to := range []netip.Addr{addrB, addrB6, addrA, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		n := &notes{}
		ping, err := p.a.Ping(p.now, to, stack.PingOptions{Watcher: n})
		if err != nil {
			t.Fatal(err)
		}
		p.run(3 * delay)
		want := 2 * delay
		if to == addrA || to.IsLoopback() {
			want = 0
		}
		r, ok := ping.Result()
		if !ok || r.RTT != want || r.From != to || r.Soft.Reason != tcp.NoSoftError || n.got != tcp.SignalReadable {
			t.Errorf("the echo of %v: %v, %+v, told %v; want it after %v", to, ok, r, n.got, want)
		}
	}
	for to, want := range map[string]error{
		"224.0.0.1": stack.ErrMulticast, "ff02::1": stack.ErrMulticast, "10.0.0.255": stack.ErrMulticast,
		"192.0.2.1": stack.ErrNoRoute, "0.0.0.0": stack.ErrInvalidAddr,
	} {
		if _, err := p.a.Ping(p.now, netip.MustParseAddr(to), stack.PingOptions{}); err != want {
			t.Errorf("Ping(%s): %v; want %v", to, err, want)
		}
	}
}

// ICMP errors in place of the reply, of the router on the way or of the host.
func TestPingErrors(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		router, to, peer := "10.0.0.254", "10.0.0.1", "10.0.0.9"
		if v6 {
			router, to, peer = "2001:db8::254", "2001:db8::1", "2001:db8::9"
		}
		for _, c := range []struct {
			m    wire.ICMPMessage
			want tcp.SoftReason
		}{
			{wire.ICMPMessage{Kind: wire.ICMPTimeExceeded}, tcp.TimeExceeded},
			{wire.ICMPMessage{Kind: wire.ICMPUnreachable}, tcp.NetUnreachable},
		} {
			x := newSeat(t, config())
			ping, err := x.s.Ping(x.now, netip.MustParseAddr(peer), stack.PingOptions{HopLimit: 2})
			if err != nil {
				t.Fatal(err)
			}
			sent := one(t, "Ping", x.take())
			if sent.ip.HopLimit != 2 || sent.icmp.Kind != wire.ICMPEchoRequest {
				t.Errorf("sent: %+v", sent.icmp)
			}
			c.m.Body = sent.raw[:len(sent.raw)-56]
			x.put(icmp(router, to, c.m))
			if r, ok := ping.Result(); !ok || r.Soft.Reason != c.want || r.From.String() != router {
				t.Errorf("IPv6 %v, %v: %v, %+v", v6, c.m.Kind, ok, r)
			}
		}
	}
}

// ATTACKS: forged echo replies. Who has not seen the request cannot answer it, however much of it is
// guessed, and its number and name are not what was before.
func TestForgedEchoReply(t *testing.T) {
	x := newSeat(t, config())
	peer := netip.MustParseAddr("10.0.0.9")
	var last wire.ICMPMessage
	for i := range 3 {
		ping, err := x.s.Ping(x.now, peer, stack.PingOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m := one(t, "Ping", x.take()).icmp
		if i > 0 && (m.ID == last.ID || bytes.Equal(m.Body, last.Body)) {
			t.Error("an echo request is like the one before")
		}
		last = m
		last.Body = bytes.Clone(m.Body)
		for what, f := range map[string]func(m *wire.ICMPMessage) string{
			"from another":  func(*wire.ICMPMessage) string { return "10.0.0.8" },
			"another ID":    func(m *wire.ICMPMessage) string { m.ID++; return "10.0.0.9" },
			"another Seq":   func(m *wire.ICMPMessage) string { m.Seq++; return "10.0.0.9" },
			"other data":    func(m *wire.ICMPMessage) string { m.Body[3] ^= 1; return "10.0.0.9" },
			"no data":       func(m *wire.ICMPMessage) string { m.Body = nil; return "10.0.0.9" },
			"more data":     func(m *wire.ICMPMessage) string { m.Body = append(m.Body, 0); return "10.0.0.9" },
			"a request":     func(m *wire.ICMPMessage) string { m.Kind = wire.ICMPEchoRequest; return "10.0.0.9" },
			"an unknown ID": func(m *wire.ICMPMessage) string { m.ID ^= 0x8000; return "10.0.0.9" },
		} {
			forged := wire.ICMPMessage{Kind: wire.ICMPEchoReply, ID: m.ID, Seq: m.Seq, Body: bytes.Clone(m.Body)}
			from := f(&forged)
			x.put(icmp(from, "10.0.0.1", forged))
			if _, ok := ping.Result(); ok {
				t.Fatalf("a forged reply, %s, is believed", what)
			}
		}
		reply := icmp("10.0.0.9", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPEchoReply, ID: m.ID, Seq: m.Seq, Body: m.Body})
		x.now = x.now.Add(7 * time.Millisecond)
		x.put(reply)
		if r, ok := ping.Result(); !ok || r.RTT != 7*time.Millisecond {
			t.Errorf("the true reply: %v, %+v", ok, r)
		}
		x.put(reply) // again, to nobody
	}
	// As many as may wait, and they are forgotten when closed.
	var list []*stack.Ping
	for {
		p, err := x.s.Ping(x.now, peer, stack.PingOptions{})
		x.take()
		if err != nil {
			if err != stack.ErrLimit || len(list) != 4096 {
				t.Errorf("%v after %d", err, len(list))
			}
			break
		}
		list = append(list, p)
	}
	for _, p := range list {
		p.Close()
	}
	if _, err := x.s.Ping(x.now, peer, stack.PingOptions{}); err != nil {
		t.Error(err)
	}
}
