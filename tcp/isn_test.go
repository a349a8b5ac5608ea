package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Known answers: SipHash-2-4 under the key 00 01 .. 0f of the inputs 00 01 .. of length 0, 1,
// 2, ..., from the vectors that come with the algorithm's specification.
func TestSipHashKnownAnswers(t *testing.T) {
	var key [16]byte
	var input [16]byte
	for i := range key {
		key[i], input[i] = byte(i), byte(i)
	}
	for n, want := range map[int]uint64{
		0:  0x726fdb47dd0e0e31,
		1:  0x74f839c593dc67fd,
		2:  0x0d6c8009d9a94f5a,
		3:  0x85676696d7fb7e2d,
		15: 0xa129ca6149be45e5, // the example of the paper's appendix A
	} {
		if got := tcp.SipHash(&key, input[:n]); got != want {
			t.Errorf("of %d octets it is %#016x; want %#016x", n, got, want)
		}
	}
}

// iss is the ISS of a connection opened at a time.
func iss(t *testing.T, cfg *tcp.Config, flow wire.Flow, at tcp.Time) seq.Num {
	t.Helper()
	c := tcp.New(cfg, flow, 1500)
	if err := c.Open(at, tcp.Active); err != nil {
		t.Fatal(err)
	}
	return c.Status().ISS
}

var someFlow = wire.Flow{
	Local: wire.Addr4([4]byte{192, 0, 2, 1}), LocalPort: 40000,
	Remote: wire.Addr4([4]byte{192, 0, 2, 2}), RemotePort: 80,
}

// "A TCP implementation MUST use the above type of 'clock' for clock-driven selection of
// initial sequence numbers": one that "typically increments at
// least once every roughly 4 microseconds". RFC 9293 section 3.4.1: ISN = M + F(tuple, secret).
func TestISNFollowsTheClock(t *testing.T) { // MUST-8, SHLD-1
	cfg := &tcp.Config{Secret: [16]byte{1}}
	first := iss(t, cfg, someFlow, epoch)
	for _, d := range []time.Duration{0, 4 * time.Microsecond, time.Millisecond, time.Second, time.Hour, 5 * time.Hour} {
		got := iss(t, cfg, someFlow, epoch.Add(d)).Sub(first)
		want := uint32(d / (4 * time.Microsecond))
		if got-want+1 > 2 {
			t.Errorf("after %v the ISN of the same tuple has advanced by %d; want %d", d, got, want)
		}
	}
}

// The function F "MUST NOT be computable from the outside": other tuples, and another secret,
// give unrelated numbers, bit by bit; RFC 6528 section 3.
func TestISNsAreUnrelated(t *testing.T) { // MUST-9, SHLD-1
	cfg := &tcp.Config{Secret: [16]byte{1}}
	const n = 4096
	var bits [32]int
	seen := map[uint32]bool{}
	before := iss(t, cfg, someFlow, epoch)
	for i := range n {
		f := someFlow
		f.LocalPort = uint16(i + 1)
		now := iss(t, cfg, f, epoch)
		d := now.Sub(before)
		before = now
		seen[d] = true
		for b := range bits {
			bits[b] += int(d >> b & 1)
		}
	}
	if len(seen) < n-2 {
		t.Errorf("neighbouring ports differ by %d values in %d steps", len(seen), n)
	}
	for b, ones := range bits {
		if ones < n/2-300 || ones > n/2+300 {
			t.Errorf("bit %d of the difference is set in %d of %d steps", b, ones, n)
		}
	}
	// Each part of the tuple, and each octet of the secret, counts.
	base := iss(t, cfg, someFlow, epoch)
	for what, f := range map[string]func(*wire.Flow){
		"the local address":  func(f *wire.Flow) { f.Local = wire.Addr4([4]byte{192, 0, 2, 3}) },
		"the remote address": func(f *wire.Flow) { f.Remote = wire.Addr4([4]byte{192, 0, 2, 3}) },
		"the local port":     func(f *wire.Flow) { f.LocalPort++ },
		"the remote port":    func(f *wire.Flow) { f.RemotePort++ },
	} {
		g := someFlow
		f(&g)
		if iss(t, cfg, g, epoch) == base {
			t.Errorf("%s does not count", what)
		}
	}
	for i := range cfg.Secret {
		other := &tcp.Config{Secret: cfg.Secret}
		other.Secret[i] ^= 0x80
		if iss(t, other, someFlow, epoch) == base {
			t.Errorf("octet %d of the secret does not count", i)
		}
	}
}

// The timestamp offset is another function of the same secret: it tells nothing of the ISN.
func TestISNAndTimestampAreUnrelated(t *testing.T) { // MUST-9
	cfg := &tcp.Config{Secret: [16]byte{1}}
	seen := map[uint32]bool{}
	for port := range uint16(256) {
		f := someFlow
		f.LocalPort = port + 1
		c := tcp.New(cfg, f, 1500)
		c.Open(epoch, tcp.Active)
		var seg wire.Segment
		c.Output(epoch, &seg)
		seen[uint32(seg.Seq)-seg.Options.TSVal] = true
	}
	if len(seen) < 250 {
		t.Errorf("ISN - TSval has %d values for 256 tuples", len(seen))
	}
}

// A Config may fix the numbers.
func TestISNIsFixed(t *testing.T) {
	cfg := &tcp.Config{ISN: func(_ tcp.Time, f wire.Flow) seq.Num { return 1000 + seq.Num(f.LocalPort-40000) }}
	if got := iss(t, cfg, someFlow, epoch); got != 1000 {
		t.Errorf("ISS is %v; want 1000", got)
	}
}
