package stack_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// What ATTACKS.md says is shown is shown: each test that it names exists, and each row names
// one, or says what is still to come.
func TestAttacksPage(t *testing.T) {
	page, err := os.ReadFile("../ATTACKS.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(\\.[a-z/]*) ((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	rows, tests := 0, 0
	for i, line := range strings.Split(string(page), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Attack") {
			continue
		}
		rows++
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			t.Errorf("line %d has %d cells", i+1, len(cells)-2)
			continue
		}
		found := named.FindAllStringSubmatch(cells[3], -1)
		if len(found) == 0 && !strings.Contains(cells[3], "not yet: ") && !strings.Contains(cells[3], "nothing to test: ") {
			t.Errorf("line %d names no test", i+1)
		}
		for _, m := range found {
			tests++
			if !declares(t, m[1], m[2]) {
				t.Errorf("line %d: there is no %s in %s", i+1, m[2], m[1])
			}
		}
	}
	if rows < 30 || tests < 50 {
		t.Errorf("%d rows, %d tests: the page is not read", rows, tests)
	}
}

// declares reports whether a test stands in the package of that folder.
func declares(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(src), fmt.Sprintf("\nfunc %s(", name)) {
			return true
		}
	}
	return false
}

// ATTACKS: what a cookie tells of ports. The timestamps of SYN,ACKs with cookies, at one
// instant, to one host, tell nothing of each other: the offset covers the ports, and so do
// the cookies.
func TestCookiesOfPortsAreUnrelated(t *testing.T) {
	x := newSeat(t, config())
	x.s.Listen(mustAP("[::]:80"), 0, stack.ListenOptions{HalfOpen: -1})
	stamps, cookies, steps := map[uint32]bool{}, map[uint32]bool{}, map[uint32]int{}
	var before uint32
	for port := range uint16(1000) {
		first := syn(1)
		first.Options.Set |= wire.HasTimestamps
		o := one(t, "a SYN", x.say(netip.AddrPortFrom(peer4.Addr(), 1000+port), local4, first))
		stamps[o.seg.Options.TSVal] = true
		cookies[uint32(o.seg.Seq)] = true
		steps[(o.seg.Options.TSVal-before)>>28]++
		before = o.seg.Options.TSVal
	}
	if len(stamps) < 999 || len(cookies) < 999 {
		t.Errorf("1000 ports have %d timestamps and %d cookies", len(stamps), len(cookies))
	}
	for i := range uint32(16) {
		if n := steps[i]; n < 20 || n > 120 {
			t.Errorf("of 1000 steps from port to port %d fall into sixteenth %d", n, i)
		}
	}
}

// ATTACKS: TCP Fast Open where nobody has asked for it, TCP-AO, MD5. None is spoken: such an option is passed over, nothing
// is computed for it, and text that comes with a SYN is neither answered nor acknowledged before
// the handshake is done.
func TestOptionsThatAreNotSpoken(t *testing.T) {
	for _, c := range []struct {
		what   string
		option []byte // twelve octets
	}{
		{"TFO with a cookie", []byte{34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}},
		{"TFO asking for one", []byte{34, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"TFO, experimental", []byte{254, 12, 0xf9, 0x89, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"TCP-AO", []byte{29, 12, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"MD5, cut short", []byte{19, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
	} {
		for _, halfOpen := range []int{0, -1} {
			x := newSeat(t, config())
			l, _ := x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: halfOpen})
			first := wire.Segment{Seq: 100, Flags: wire.SYN, Wnd: 1000, Text: []byte("GET /")}
			first.Options.Set = wire.HasTimestamps // as long as the option
			b := segment(peer4, local4, first)
			copy(b[40:52], c.option)
			x.s.Arrive(x.now, 1, &wire.Packet{Buf: b, Sum: wire.ChecksumVerified})
			o := one(t, c.what, x.take())
			if o.seg.Flags != wire.SYN|wire.ACK || o.seg.Ack != 101 || len(o.seg.Text) > 0 || o.seg.Options.Set != wire.HasMSS {
				t.Errorf("%s: answered by %v %+v", c.what, o.seg.String(), o.seg.Options)
			}
			if header := wire.TCP(o.ip.Payload).DataOffset(); header != 24 {
				t.Errorf("%s: the answer has a header of %d octets", c.what, header)
			}
			if l.Accept(x.now) != nil {
				t.Errorf("%s: accepted before the handshake is done", c.what)
			}
		}
	}
}

// ATTACKS: SYN flood. During a flood from more hosts than may be half-open, a peer that behaves
// connects within one round trip, as without it, and nothing is held for the others.
func TestConnectDuringASynFlood(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	p.b.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
	p.lose = func(_ int, pkt *wire.Packet) bool { // what goes to forged addresses is lost
		var ip wire.IP
		wire.ParseIP(pkt.Bytes(), &ip)
		return ip.Dst != wire.AddrFrom(addrA) && ip.Dst != wire.AddrFrom(addrB)
	}
	flood := func(round int) {
		for i := range 2000 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(round), byte(i >> 8), byte(i)}), 1000)
			p.b.Arrive(p.now, 1, &wire.Packet{Buf: segment(from, ap(addrB, 80), syn(uint32(i)))})
		}
	}
	for round := range 20 {
		flood(round)
		client, err := p.a.Dial(p.now, netipAP(), ap(addrB, 80), stack.ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.run(delay)
		flood(round)
		p.run(2 * delay)
		server := l.Accept(p.now)
		if server == nil {
			t.Fatalf("round %d: after three ways the client is %v", round, client.State())
		}
		p.transfer(client, server, 2000)
		p.transfer(server, client, 2000)
		client.Abort(p.now)
		client.Release(p.now)
		p.run(2 * delay)
		server.Release(p.now)
		p.run(time.Second)
		if n := p.b.Stats().Connections; n > stack.DefaultHalfOpen {
			t.Fatalf("round %d: %d connections", round, n)
		}
	}
	if st := p.b.Stats(); st.CookiesValid == 0 || st.Buffers != 0 {
		t.Errorf("%d cookies have come back, %d octets are held", st.CookiesValid, st.Buffers)
	}
}

// ATTACKS: Netkill, many at once. Five thousand clients ask for a page each, close their window
// and go on answering; the server has closed. All is given back within the orphans' time.
func TestManyClosedWindows(t *testing.T) {
	x := newSeat(t, config())
	l, _ := x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: 20_000})
	const n = 5_000
	x.s.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), 1)
	for i := range n {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}), 1000)
		o := one(t, "a SYN", x.say(from, local4, syn(1000)))
		x.say(from, local4, wire.Segment{Seq: 1001, Ack: o.seg.Seq + 1, Flags: wire.ACK})
		c := l.Accept(x.now)
		if c == nil {
			t.Fatal("not accepted")
		}
		if _, err := c.Send(x.now, make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		c.Close(x.now)
		c.Release(x.now)
	}
	x.take()
	st := x.s.Stats()
	if st.Orphans != n || st.Buffers < n*2000 {
		t.Fatalf("%d orphans, %d octets", st.Orphans, st.Buffers)
	}
	begin := x.now
	for x.s.Stats().Orphans > 0 {
		if x.now.Sub(begin) > stack.DefaultOrphanTimeout {
			t.Fatalf("after %v there are %d orphans", x.now.Sub(begin), x.s.Stats().Orphans)
		}
		x.now = x.s.Deadline()
		x.s.Timeout(x.now)
		for _, o := range x.take() { // each probe is answered: the window is closed
			if o.seg.Flags&wire.RST == 0 {
				f, _ := o.ip.Flow()
				x.s.Arrive(x.now, 1, &wire.Packet{Buf: segment(f.LocalAddrPort(), f.RemoteAddrPort(), wire.Segment{Seq: 1001, Ack: o.seg.Seq, Flags: wire.ACK})})
			}
		}
	}
	if st = x.s.Stats(); st.Buffers != 0 || st.Connections != 0 || st.OrphansTimedOut != n {
		t.Errorf("%d octets, %d connections, %d timed out", st.Buffers, st.Connections, st.OrphansTimedOut)
	}
}
