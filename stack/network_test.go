package stack_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// STORY R4: packets are lost and doubled at every step, and yet every octet of every
// connection arrives, every connection ends, and nothing is left of any: with half-open
// limits so low that cookies are at work, and with an accept queue that is too short.
func TestBadNetwork(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 9))
		cfg := config()
		cfg.HalfOpen = 3
		cfgA := config()
		told := []*told{tell(t, &cfgA), tell(t, &cfg)}
		p := newPair(t, cfgA, cfg)
		p.lose = func(from int, pkt *wire.Packet) bool {
			if random.IntN(10) == 0 { // again, a little later
				p.wire = append(p.wire, flight{p.now.Add(delay), 1 - from, wire.Packet{Buf: slices.Clone(pkt.Buf), Head: pkt.Head, GSO: pkt.GSO, Sum: pkt.Sum}})
			}
			return random.IntN(10) == 0
		}
		l, err := p.b.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), 80), 12, stack.ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		const n, size = 40, 30_000
		var clients []*stack.Conn
		servers := map[netip.AddrPort]*stack.Conn{}
		for i := range n {
			clients = append(clients, p.dial(p.a, ap([]netip.Addr{addrB, addrB6}[i%2], 80)))
		}
		sent, got := make([]int, n), map[netip.AddrPort]int{}
		end := p.now.Add(20 * time.Minute)
		for closed := 0; closed < n; {
			for s := l.Accept(p.now); s != nil; s = l.Accept(p.now) {
				servers[s.Remote()] = s
			}
			for i, c := range clients {
				if c.State() == tcp.Established && sent[i] < size {
					k, _ := c.Send(p.now, make([]byte, size-sent[i]))
					if sent[i] += k; sent[i] == size {
						c.Close(p.now)
					}
				}
			}
			closed = 0
			for at, s := range servers {
				k, err := s.Receive(p.now, make([]byte, size))
				got[at] += k
				if errors.Is(err, tcp.ErrClosing) {
					closed++
					s.Close(p.now)
				} else if err != nil {
					t.Fatalf("seed %d: %v: %v", seed, at, err)
				}
			}
			if closed < n && !p.step(end) {
				t.Fatalf("seed %d: %d of %d have ended", seed, closed, n)
			}
		}
		for _, c := range clients {
			if got[c.Local()] != size {
				t.Errorf("seed %d: %v: %d octets arrived", seed, c.Local(), got[c.Local()])
			}
			c.CloseReceive(p.now, tcp.Gone)
			c.Release(p.now)
		}
		for _, c := range clients {
			servers[c.Local()].CloseReceive(p.now, tcp.Gone)
			servers[c.Local()].Release(p.now)
		}
		l.Close(p.now)
		if p.b.Stats().CookiesSent == 0 {
			t.Error("no cookie was sent: the test tests less than it says")
		}
		p.run(20 * time.Minute)
		for i, s := range p.ends {
			told[i].left()
			checkCounters(t, s)
			if st := s.Stats(); st.Connections+st.TimeWait+st.Buffers+st.HalfOpen+st.Orphans != 0 || s.Deadline() != tcp.Never {
				t.Errorf("seed %d: left over: %+v", seed, st)
			}
		}
	}
}

// ATTACKS: TIME-WAIT and port exhaustion. With timestamps a port in TIME-WAIT serves again: 60
// connections a second from 100 ports, for ten times 2 MSL, all of them in TIME-WAIT here.
func TestPortsAreNotExhausted(t *testing.T) {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50099
	p := newPair(t, cfg, config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	for i := range 60 * 600 / 10 {
		client := p.dial(p.a, ap(addrB, 80)) // it fails the test if there is no port
		p.exchange()
		server := l.Accept(p.now)
		if server == nil {
			t.Fatalf("connection %d is %v", i, client.State())
		}
		client.Close(p.now)
		p.exchange()
		server.Close(p.now)
		p.exchange()
		client.Release(p.now)
		server.Release(p.now)
		p.exchange()
		p.now = p.now.Add(time.Second / 60)
		p.a.Timeout(p.now)
		p.b.Timeout(p.now)
	}
	if n := p.a.Stats().TimeWait; n != 100 {
		t.Errorf("%d of 100 ports are in TIME-WAIT", n)
	}
}

// exchange delivers at once whatever both have to say.
func (p *pair) exchange() {
	for moved := true; moved; {
		moved = false
		for i, s := range p.ends {
			for more := true; more; {
				more = s.Output(p.now, &p.batch)
				for j := range p.batch.Len() {
					_, pkt := p.batch.Packet(j)
					p.ends[1-i].Arrive(p.now, 1, pkt)
					moved = true
				}
				p.batch.Reset()
			}
		}
	}
}

// ATTACKS: middlebox reflection, SYN-ACK reflection. Whatever comes out of turn has one answer
// at most, which is no longer than what it answers and carries no text; a SYN for a listener has
// 1 + SynAckRetries, in a minute. That counts what comes later: ten minutes pass.
func TestNoAmplification(t *testing.T) {
	for flags := range 256 {
		for _, to := range []netip.AddrPort{local4, mustAP("10.0.0.1:9")} {
			x := newSeat(t, config())
			x.s.Listen(local4, 0, stack.ListenOptions{})
			seg := wire.Segment{Seq: 1, Ack: 2, Flags: wire.Flags(flags), Wnd: 1000, Text: []byte("GET / HTTP/1.1\r\n\r\n")}
			b := segment(peer4, to, seg)
			got := x.put(b)
			for end := x.now.Add(10 * time.Minute); x.s.Deadline() <= end; {
				x.now = x.s.Deadline()
				x.s.Timeout(x.now)
				got = append(got, x.take()...)
			}
			most := 1
			if to == local4 && seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN {
				most += stack.DefaultSynAckRetries
			}
			if len(got) > most {
				t.Errorf("%v to %v: %d answers", seg.Flags, to, len(got))
			}
			for _, o := range got {
				if len(o.raw) > len(b) || len(o.seg.Text) > 0 {
					t.Errorf("%v to %v is answered by %d octets", seg.Flags, to, len(o.raw))
				}
			}
			if n := x.s.Stats().Connections; n != 0 {
				t.Errorf("%v to %v: %d connections are left", seg.Flags, to, n)
			}
		}
	}
}

// ATTACKS: SYN-ACK reflection. However many forged SYNs there are, beyond one answer for each
// only those of the half-open connections are sent again; in ten minutes, fewer than one and a
// half times as many octets leave as came in.
func TestNoAmplificationOfAFlood(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(local4, 0, stack.ListenOptions{})
	x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
	in, octets, packets := 0, 0, 0
	count := func(list []out) {
		for _, o := range list {
			octets += len(o.raw)
			packets++
		}
	}
	const n = 20_000
	for i := range n { // in a minute, while SYN,ACKs are sent again
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 1000)
		b := segment(from, local4, syn(uint32(i)))
		in += len(b)
		count(x.put(b))
		x.now = x.now.Add(time.Minute / n)
		x.s.Timeout(x.now)
		count(x.take())
	}
	for end := x.now.Add(10 * time.Minute); x.s.Deadline() <= end; {
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		count(x.take())
	}
	if most := n + stack.DefaultHalfOpen*stack.DefaultSynAckRetries; packets > most || packets < n {
		t.Errorf("%d packets for %d SYNs; want at most %d", packets, n, most)
	}
	if octets > in*3/2 {
		t.Errorf("%d octets in, %d out", in, octets)
	}
}
