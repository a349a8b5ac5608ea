package stack_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A handle released without Close aborts.
func TestReleaseWithoutClose(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, server := p.connect(l, ap(addrB, 80))
	client.Release(p.now)
	client.Release(p.now)
	p.run(2 * delay)
	if !errors.Is(server.Err(), tcp.ErrReset) || p.a.Stats().Connections != 0 {
		t.Errorf("the peer is %v, %v; %d connections", server.State(), server.Err(), p.a.Stats().Connections)
	}
}

// Release after Close gives up nothing: what is queued goes, from CLOSE-WAIT too.
func TestReleaseAfterClose(t *testing.T) {
	for _, peerFirst := range []bool{false, true} {
		p := newPair(t, mebibytes(), mebibytes())
		l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
		client, server := p.connect(l, ap(addrB, 80))
		if peerFirst {
			server.Close(p.now)
			p.run(3 * delay)
			p.want(client, tcp.CloseWait)
		}
		client.Send(p.now, make([]byte, 500_000))
		client.Close(p.now)
		client.CloseReceive(p.now, tcp.Gone)
		client.Release(p.now)
		p.run(time.Minute)
		got := 0
		for {
			n, err := server.Receive(p.now, make([]byte, 100_000))
			if got += n; err != nil {
				if !errors.Is(err, tcp.ErrClosing) {
					t.Errorf("peer first %v: %v", peerFirst, err)
				}
				break
			}
			if n == 0 {
				t.Fatalf("peer first %v: the stream does not end", peerFirst)
			}
		}
		if got != 500_000 {
			t.Errorf("peer first %v: %d of 500000 octets", peerFirst, got)
		}
	}
}

// ATTACKS: side channels of common limits (CVE-2016-5696, CVE-2020-25705). Who uses up what
// 3000 destinations get of resets, errors and echoes sees nothing of one more, nor does that
// one see anything of them; a /64 is one destination.
func TestLimitsAreForEachDestination(t *testing.T) {
	cfg := config()
	cfg.ResetRate, cfg.ErrorRate, cfg.EchoRate = 3, 3, 3
	for _, v6 := range []bool{false, true} {
		x := newSeat(t, cfg)
		x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
		x.s.AddRoute(netip.MustParsePrefix("::/0"), 1)
		flood := func(n int) int {
			from, to := netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), "10.0.0.1"
			other := from
			if v6 {
				a := [16]byte{0x20, 1, 0xd, 0xb8, 7, byte(n >> 16), byte(n >> 8), byte(n)}
				from, to = netip.AddrFrom16(a), "2001:db8::1"
				a[15] = 1
				other = netip.AddrFrom16(a)
			}
			answers := 0
			for range 3 {
				for _, host := range []netip.Addr{from, other} {
					answers += len(x.put(icmp(host.String(), to, wire.ICMPMessage{Kind: wire.ICMPEchoRequest})))
					answers += len(x.put(datagram(host.String(), to, nil)))
					answers += len(x.say(netip.AddrPortFrom(host, 1), netip.AddrPortFrom(netip.MustParseAddr(to), 9), syn(1)))
				}
			}
			return answers
		}
		for n := range 3000 {
			if got := flood(n); got != 9 {
				t.Fatalf("IPv6 %v: destination %d gets %d answers; want 3 of each of 3 kinds", v6, n, got)
			}
		}
		if got := flood(0); got != 0 {
			t.Errorf("IPv6 %v: the first destination gets %d more", v6, got)
		}
	}
}

// MaxQueued bounds answers and forwarded packets that nobody takes.
func TestQueueIsBounded(t *testing.T) {
	cfg := config()
	cfg.MaxQueued = 10_000
	x := newSeat(t, cfg)
	for i := range 1000 {
		b := icmp("10.0.0.9", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPEchoRequest, Seq: uint16(i), Body: make([]byte, 72)})
		x.s.Arrive(x.now, 1, &wire.Packet{Buf: b})
	}
	if n := len(x.take()); n != 100 {
		t.Errorf("%d packets of 100 octets", n)
	}
	if n := x.s.Stats().QueueFull; n != 900 {
		t.Errorf("%d were dropped", n)
	}
}

// A bulk connection does not keep others waiting: what they say goes within a turn of it,
// and a batch has about its budget.
func TestTurns(t *testing.T) {
	x := newSeat(t, config())
	a, b := open(t, x, 1), open(t, x, 2)
	for range 20 { // let the bulk connection's window grow
		a.c.Send(x.now, make([]byte, 1<<20))
		a.acknowledge(x)
	}
	a.c.Send(x.now, make([]byte, 1<<20))
	b.c.Send(x.now, []byte("small"))
	batch := stack.Batch{Budget: 200_000}
	octets, first := 0, -1
	for more := true; more; {
		more = x.s.Output(x.now, &batch)
		if batch.Octets() > 200_000 {
			t.Errorf("a batch of %d octets", batch.Octets())
		}
		for i := range batch.Len() {
			_, p := batch.Packet(i)
			o := x.read(1, p)
			if o.ip.Dst == wire.AddrFrom(b.peer.Addr()) && wire.TCP(o.ip.Payload).DstPort() == b.peer.Port() && first < 0 {
				first = octets
			}
			octets += len(o.raw)
		}
		batch.Reset()
	}
	if octets < 300_000 {
		t.Fatalf("only %d octets in all: the test tests nothing", octets)
	}
	if first < 0 || first > 140_000 {
		t.Errorf("the small segment goes after %d octets", first)
	}
}

// What the stack sends to itself does not make one Output call last for ever.
func TestLoopEndsATurn(t *testing.T) {
	x := newSeat(t, mebibytes())
	l, _ := x.s.Listen(mustAP("127.0.0.1:80"), 0, stack.ListenOptions{})
	c, _ := x.s.Dial(x.now, netipAP(), mustAP("127.0.0.1:80"), stack.ConnOptions{})
	x.take()
	s := l.Accept(x.now)
	s.CloseReceive(x.now, tcp.Discard)
	calls, sends, total := 0, 0, 0
	for total < 20<<20 {
		n, err := c.Send(x.now, make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		total += n
		sends++
		for more := true; more; calls++ {
			more = x.s.Output(x.now, &x.batch)
			x.batch.Reset()
		}
		if n == 0 && c.Status().Unsent > 0 {
			t.Fatalf("it stands still: %+v", c.Status())
		}
	}
	if calls < 2*sends {
		t.Errorf("%d calls for %d octets in %d parts", calls, total, sends)
	}
}

// An idle connection is small. The aim is 512 octets an end; this holds what there is, so
// that it does not grow unseen.
func TestSizeOfAConnection(t *testing.T) {
	if n := unsafe.Sizeof(stack.Conn{}); n > 1024 {
		t.Errorf("a connection has %d octets", n)
	}
}
