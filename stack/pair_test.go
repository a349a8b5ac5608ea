package stack_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A pair is two stacks and the wire between them, in virtual time: what one sends arrives at
// the other after delay, unless lose says that it does not.

const delay = 10 * time.Millisecond

var (
	addrA  = netip.MustParseAddr("10.0.0.1")
	addrB  = netip.MustParseAddr("10.0.0.2")
	addrB6 = netip.MustParseAddr("2001:db8::2")
)

type flight struct {
	at  tcp.Time
	to  int
	pkt wire.Packet
}

type pair struct {
	t     testing.TB
	now   tcp.Time
	a, b  *stack.Stack
	ends  [2]*stack.Stack
	wire  []flight
	batch stack.Batch
	// lose is asked of each packet by its sender (0 is a).
	lose func(from int, p *wire.Packet) bool
	seen []sent
}

// sent is one TCP segment that was on the wire.
type sent struct {
	from int
	at   tcp.Time
	ip   wire.IP
	flow wire.Flow
	seg  wire.Segment
}

func prefixes(v ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range v {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

func config() stack.Config {
	return stack.Config{Secret: [16]byte{1, 2, 3}, Seed: 7}
}

func newPair(t testing.TB, cfgA, cfgB stack.Config) *pair {
	cfgB.Secret[0] ^= 0xff
	p := &pair{t: t, now: tcp.Time(time.Hour), a: stack.New(cfgA), b: stack.New(cfgB)}
	p.ends = [2]*stack.Stack{p.a, p.b}
	for i, s := range p.ends {
		host := []string{"1", "2"}[i]
		id, err := s.AddInterface(stack.InterfaceConfig{MTU: 1500, Prefixes: prefixes("10.0.0."+host+"/24", "2001:db8::"+host+"/64")})
		if err != nil || id != 1 {
			t.Fatalf("AddInterface: %d, %v", id, err)
		}
	}
	return p
}

// flush puts on the wire what both have to send.
func (p *pair) flush() {
	for i, s := range p.ends {
		for more := true; more; {
			more = s.Output(p.now, &p.batch)
			for _, packets := range p.batch.Runs() {
				for _, pkt := range packets {
					p.put(i, pkt)
				}
			}
			p.batch.Reset()
		}
	}
}

func (p *pair) put(from int, pkt wire.Packet) {
	p.note(from, pkt)
	if p.lose != nil && p.lose(from, &pkt) {
		return
	}
	pkt.Buf = slices.Clone(pkt.Buf)
	p.wire = append(p.wire, flight{p.now.Add(delay), 1 - from, pkt})
}

func (p *pair) note(from int, pkt wire.Packet) {
	x := sent{from: from, at: p.now}
	b := slices.Clone(pkt.Bytes())
	if f := wire.ParseIP(b, &x.ip); f != wire.FaultNone {
		p.t.Fatalf("%d sends an illegal packet: %v", from, f)
	}
	if x.ip.Proto == wire.ProtoTCP && !x.ip.Fragment {
		if f := wire.VerifyTCP(&x.ip, pkt.Sum); f != wire.FaultNone {
			p.t.Fatalf("%d sends: %v", from, f)
		}
		wire.ParseTCP(x.ip.Payload, &x.seg)
		x.flow, _ = x.ip.Flow()
		x.flow = x.flow.Reverse()
	}
	p.seen = append(p.seen, x)
}

// step goes to the next instant at which something happens, not beyond limit, and reports
// whether there was one.
func (p *pair) step(limit tcp.Time) bool {
	p.flush()
	next := min(p.a.Deadline(), p.b.Deadline())
	if len(p.wire) > 0 {
		next = min(next, p.wire[0].at)
	}
	if next > limit {
		return false
	}
	p.now = max(p.now, next)
	for len(p.wire) > 0 && p.wire[0].at <= p.now {
		f := p.wire[0]
		p.wire = p.wire[1:]
		p.ends[f.to].Arrive(p.now, 1, &f.pkt)
	}
	for _, s := range p.ends {
		s.Timeout(p.now)
	}
	p.flush()
	return true
}

// run lets d pass.
func (p *pair) run(d time.Duration) {
	end := p.now.Add(d)
	for n := 0; p.step(end); n++ {
		if n > 1_000_000 {
			p.t.Fatal("no end of events")
		}
	}
	p.now = end
}

// notes is a Watcher that remembers.
type notes struct{ got tcp.Signal }

func (n *notes) Signal(s tcp.Signal) { n.got |= s }

func ap(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func (p *pair) listen(s *stack.Stack, at netip.AddrPort, opts stack.ListenOptions) *stack.Listener {
	p.t.Helper()
	l, err := s.Listen(at, 0, opts)
	if err != nil {
		p.t.Fatalf("Listen(%v): %v", at, err)
	}
	return l
}

func (p *pair) dial(s *stack.Stack, remote netip.AddrPort) *stack.Conn {
	p.t.Helper()
	c, err := s.Dial(p.now, netip.AddrPort{}, remote, stack.ConnOptions{})
	if err != nil {
		p.t.Fatalf("Dial(%v): %v", remote, err)
	}
	return c
}

// connect makes a connection from a to b, port 80, where somebody listens.
func (p *pair) connect(l *stack.Listener, remote netip.AddrPort) (client, server *stack.Conn) {
	p.t.Helper()
	client = p.dial(p.a, remote)
	p.run(3 * delay)
	server = l.Accept(p.now)
	if server == nil {
		p.t.Fatalf("nothing to accept; the client is %v", client.State())
	}
	p.want(client, tcp.Established)
	p.want(server, tcp.Established)
	return client, server
}

func (p *pair) want(c *stack.Conn, s tcp.State) {
	p.t.Helper()
	if c.State() != s {
		p.t.Fatalf("%v is %v; want %v", c.Flow(), c.State(), s)
	}
}

// transfer sends n octets from x to y and checks them.
func (p *pair) transfer(x, y *stack.Conn, n int) {
	p.t.Helper()
	buf := make([]byte, 4096)
	sent, got := 0, 0
	end := p.now.Add(10 * time.Minute)
	for got < n {
		before := sent + got
		for sent < n {
			chunk := buf[:min(len(buf), n-sent)]
			for i := range chunk {
				chunk[i] = byte((sent + i) * 31 >> 3)
			}
			k, err := x.Send(p.now, chunk)
			if err != nil {
				p.t.Fatalf("Send: %v", err)
			}
			if k == 0 {
				break
			}
			sent += k
		}
		for {
			k, err := y.Receive(p.now, buf)
			if err != nil {
				p.t.Fatalf("Receive: %v", err)
			}
			if k == 0 {
				break
			}
			for i, v := range buf[:k] {
				if v != byte((got+i)*31>>3) {
					p.t.Fatalf("octet %d is damaged", got+i)
				}
			}
			got += k
		}
		if got < n && !p.step(end) && sent+got == before {
			p.t.Fatalf("nothing happens any more: %d of %d octets", got, n)
		}
	}
	p.flush()
}

func mustAP(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
