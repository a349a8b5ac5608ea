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
		p := newPair(t, config(), cfg)
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
		for _, s := range p.ends {
			checkCounters(t, s)
			if st := s.Stats(); st.Connections+st.TimeWait+st.Buffers+st.HalfOpen+st.Orphans != 0 || s.Deadline() != tcp.Never {
				t.Errorf("seed %d: left over: %+v", seed, st)
			}
		}
	}
}

// ATTACKS: TIME-WAIT and port exhaustion. With timestamps a port can serve one connection a
// second: 60 a second from 100 ports, for ten times 2 MSL, all of them in TIME-WAIT here.
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

// ATTACKS: middlebox reflection. Whatever comes out of turn has one answer at most, which is
// no longer than what it answers and carries no text.
func TestNoAmplification(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(local4, 0, stack.ListenOptions{})
	for flags := range 256 {
		for _, to := range []netip.AddrPort{local4, mustAP("10.0.0.1:9")} {
			seg := wire.Segment{Seq: 1, Ack: 2, Flags: wire.Flags(flags), Wnd: 1000, Text: []byte("GET / HTTP/1.1\r\n\r\n")}
			from := netip.AddrPortFrom(peer4.Addr(), uint16(1000+flags))
			b := segment(from, to, seg)
			got := x.put(b)
			if len(got) > 1 || len(got) == 1 && (len(got[0].raw) > len(b) || len(got[0].seg.Text) > 0) {
				t.Errorf("%v to %v: %d answers", seg.Flags, to, len(got))
			}
		}
	}
}
