package wire_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

const second = int64(1_000_000_000)

// fragment returns the octets of a datagram from off to end as a packet.
func fragment(v6 bool, id uint16, proto uint8, data []byte, off, end int, more bool) []byte {
	if v6 {
		h := []byte{proto, 0, byte(off >> 8), byte(off &^ 7), 0, 0, byte(id >> 8), byte(id)}
		if more {
			h[3] |= 1
		}
		return ipv6(dst6, wire.ProtoFragment, h, data[off:end])
	}
	b := ipv4(dst4, proto, nil, data[off:end])
	wire.IPv4(b).SetID(id)
	wire.IPv4(b).SetFragment(false, more, off)
	wire.IPv4(b).UpdateChecksum()
	return b
}

// add parses one packet and gives it to r.
func add(t testing.TB, r *wire.Reassembler, now int64, b []byte) ([]byte, wire.IP, wire.Fault) {
	t.Helper()
	var ip wire.IP
	if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
		t.Fatal(f)
	}
	if !ip.Fragment {
		t.Fatalf("no fragment: %+v", ip)
	}
	out, f := r.Add(now, &ip)
	return out, ip, f
}

func datagram(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 31 >> 3)
	}
	return b
}

func TestReassembleInEveryOrder(t *testing.T) {
	data := datagram(45)
	cuts := [][2]int{{0, 24}, {24, 32}, {32, 40}, {40, 45}}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, v6 := range []bool{false, true} {
		for range 40 {
			var r wire.Reassembler
			for i, at := range rng.Perm(4) {
				c := cuts[at]
				p := fragment(v6, 7, wire.ProtoUDP, data, c[0], c[1], c[1] != 45)
				out, _, f := add(t, &r, 0, p)
				if f != wire.FaultNone || (out != nil) != (i == 3) {
					t.Fatalf("fragment %d: %d octets, %v", i, len(out), f)
				}
				if out == nil {
					if again, _, f := add(t, &r, 0, p); again != nil || f != wire.FaultNone { // an exact duplicate
						t.Fatalf("twice: %v", f)
					}
					continue
				}
				var ip wire.IP
				if f := wire.ParseIP(out, &ip); f != wire.FaultNone {
					t.Fatal(f)
				}
				if ip.Fragment || ip.Proto != wire.ProtoUDP || ip.HopLimit != 64 || !bytes.Equal(ip.Payload, data) {
					t.Fatalf("%+v", ip)
				}
			}
			if r.Len() != 0 || r.Bytes() != 0 {
				t.Fatalf("%d datagrams, %d octets left", r.Len(), r.Bytes())
			}
		}
	}
}

// RFC 8200 section 4.5: only the first fragment's headers stay, its next header is the
// one that counts, and the fragment header is gone.
func TestReassembledExtensions(t *testing.T) {
	var r wire.Reassembler
	data := datagram(64)
	frag := func(next uint8, off int, more byte) []byte {
		return []byte{next, 0, byte(off >> 8), byte(off) | more, 0, 0, 0, 9}
	}
	first := ipv6(dst6, 0, ext(60, 1, 4), ext(44, 1, 4), frag(60, 0, 1), ext(17, 1, 4), data[:32])
	last := ipv6(dst6, 44, frag(99, 40, 0), data[32:])
	add(t, &r, 0, last)
	out, _, f := add(t, &r, 0, first)
	want := ipv6(dst6, 0, ext(60, 1, 4), ext(60, 1, 4), ext(17, 1, 4), data)
	if f != wire.FaultNone || !bytes.Equal(out, want) {
		t.Errorf("%v\n got %x\nwant %x", f, out, want)
	}
}

// RFC 5722 section 4: "the entire datagram (and any constituent fragments, including
// those not yet received) MUST be silently discarded".
func TestOverlapDiscardsTheDatagram(t *testing.T) {
	data := datagram(64)
	other := bytes.Clone(data)
	other[9]++
	tests := []struct {
		name     string
		off, end int
		more     bool
		data     []byte
	}{
		{"one octet group", 8, 32, true, data},
		{"the same place, other octets", 0, 24, true, other},
		{"inside", 8, 16, true, data},
		{"the last again, with more to come", 40, 48, true, data},
		{"behind the end", 56, 64, true, data},
		{"a second end", 56, 64, false, data},
		{"an end before octets that came", 24, 32, false, data},
	}
	for _, v6 := range []bool{false, true} {
		for _, tt := range tests {
			var r wire.Reassembler
			add(t, &r, 0, fragment(v6, 7, 17, data, 0, 24, true))
			add(t, &r, 0, fragment(v6, 7, 17, data, 40, 48, false))
			_, ip, f := add(t, &r, 0, fragment(v6, 7, 17, tt.data, tt.off, tt.end, tt.more))
			if f != wire.FaultFragmentOverlap || ip.Problem {
				t.Errorf("v6 %v, %s: %v, answered %v; want %v in silence", v6, tt.name, f, ip.Problem, wire.FaultFragmentOverlap)
			}
			if out, _, f := add(t, &r, 0, fragment(v6, 7, 17, data, 24, 40, true)); out != nil || f != wire.FaultFragmentOverlap {
				t.Errorf("v6 %v, %s: what comes later is not discarded: %v", v6, tt.name, f)
			}
			if first, expired := r.Expire(60 * second); !expired || first != nil {
				t.Errorf("v6 %v, %s: expired %v, with an answer %v", v6, tt.name, expired, first != nil)
			}
		}
	}
}

func TestFragmentFaults(t *testing.T) {
	data := datagram(70000)
	tests := []struct {
		name    string
		b       []byte
		want    wire.Fault
		problem bool
		code    uint8
		pointer uint32
	}{
		{"IPv4, not a multiple of 8", fragment(false, 1, 17, data, 0, 20, true), wire.FaultFragmentLength, false, 0, 0},
		{"IPv6, not a multiple of 8", fragment(true, 1, 17, data, 0, 20, true), wire.FaultFragmentLength, true, 0, 4},
		{"IPv4, empty", fragment(false, 1, 17, data, 8, 8, true), wire.FaultFragmentLength, false, 0, 0},
		{"IPv4, the ping of death", fragment(false, 1, 1, data, 65528, 65600, false), wire.FaultFragmentBeyond, false, 0, 0},
		{"IPv6, the ping of death", fragment(true, 1, 58, data, 65528, 65536, false), wire.FaultFragmentBeyond, true, 0, 42},
		{"IPv4, one octet too many with its header", fragment(false, 1, 1, data, 65512, 65516, false), wire.FaultFragmentBeyond, false, 0, 0},
		{"IPv4, as large as can be", fragment(false, 1, 1, data, 65512, 65515, false), wire.FaultNone, false, 0, 0},
		{"IPv6, as large as can be", fragment(true, 1, 58, data, 65528, 65535, false), wire.FaultNone, false, 0, 0},
		{"IPv4, a TCP header in two", fragment(false, 1, 6, data, 0, 16, true), wire.FaultFragmentTiny, false, 0, 0},
		{"IPv4, over the TCP flags", fragment(false, 1, 6, data, 8, 16, true), wire.FaultFragmentTiny, false, 0, 0},
		{"IPv6, a TCP header in two", fragment(true, 1, 6, data, 0, 16, true), wire.FaultFragmentTiny, true, 3, 0},
		{"IPv6, an extension header in two", fragment(true, 1, 60, append([]byte{6, 5}, data...), 0, 24, true), wire.FaultFragmentTiny, true, 3, 0},
		{"IPv6, a whole TCP header", fragment(true, 1, 6, data, 0, 24, true), wire.FaultNone, false, 0, 0},
	}
	for _, tt := range tests {
		var r wire.Reassembler
		out, ip, f := add(t, &r, 0, tt.b)
		if out != nil || f != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, f, tt.want)
		}
		if ip.Problem != tt.problem || ip.ProblemCode != tt.code || ip.ProblemPointer != tt.pointer {
			t.Errorf("%s: problem %v, code %d at %d; want %v, %d at %d", tt.name, ip.Problem, ip.ProblemCode, ip.ProblemPointer, tt.problem, tt.code, tt.pointer)
		}
		if want := tt.want == wire.FaultNone; (r.Len() == 1) != want {
			t.Errorf("%s: %d datagrams kept", tt.name, r.Len())
		}
	}
}

func TestReassemblyTimeout(t *testing.T) {
	data := datagram(64)
	for _, v6 := range []bool{false, true} {
		var r wire.Reassembler
		if _, waits := r.Deadline(); waits {
			t.Error("nothing waits")
		}
		first := fragment(v6, 1, 17, data, 0, 24, true)
		add(t, &r, 0, first)
		add(t, &r, 5*second, fragment(v6, 2, 17, data, 24, 32, true))
		add(t, &r, 59*second, fragment(v6, 1, 17, data, 24, 32, true)) // does not prolong
		if at, waits := r.Deadline(); !waits || at != 60*second {
			t.Errorf("deadline %d, %v; want 60 s after the first arrival", at, waits)
		}
		if _, expired := r.Expire(60*second - 1); expired {
			t.Error("too early")
		}
		if got, expired := r.Expire(60 * second); !expired || !bytes.Equal(got, first) {
			t.Errorf("expired %v\n got %x\nwant %x", expired, got, first)
		}
		if at, _ := r.Deadline(); at != 65*second {
			t.Errorf("next deadline %d", at)
		}
		if got, expired := r.Expire(65 * second); !expired || got != nil {
			t.Errorf("expired %v, with a first fragment that never came: %x", expired, got)
		}
		if r.Len() != 0 || r.Bytes() != 0 {
			t.Errorf("%d datagrams, %d octets left", r.Len(), r.Bytes())
		}
		// Nobody called Expire: the old fragment is not completed by a new one.
		add(t, &r, 0, first)
		if out, _, _ := add(t, &r, 60*second, fragment(v6, 1, 17, data, 24, 64, false)); out != nil {
			t.Error("completed after its time")
		}
	}
}

// RFC 3168 section 5.3.
func TestReassembledECN(t *testing.T) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	tests := []struct {
		a, b, want uint8
		fault      wire.Fault
	}{
		{ect0, ect0, ect0, wire.FaultNone},
		{notECT, notECT, notECT, wire.FaultNone},
		{ce, ce, ce, wire.FaultNone},
		{ect0, ce, ce, wire.FaultNone},
		{ce, ect1, ce, wire.FaultNone},
		{notECT, ce, 0, wire.FaultFragmentECN},
		{ce, notECT, 0, wire.FaultFragmentECN},
	}
	data := datagram(64)
	setTC := func(b []byte, tc uint8) []byte {
		if wire.Version(b) == 4 {
			wire.IPv4(b).SetTC(tc)
			wire.IPv4(b).UpdateChecksum()
		} else {
			wire.IPv6(b).SetTC(tc)
		}
		return b
	}
	for _, v6 := range []bool{false, true} {
		for _, tt := range tests {
			var r wire.Reassembler
			add(t, &r, 0, setTC(fragment(v6, 1, 17, data, 0, 32, true), 0xb8|tt.a))
			out, _, f := add(t, &r, 0, setTC(fragment(v6, 1, 17, data, 32, 64, false), 0xb8|tt.b))
			if f != tt.fault {
				t.Errorf("v6 %v, %d and %d: %v; want %v", v6, tt.a, tt.b, f, tt.fault)
			}
			if f != wire.FaultNone {
				continue
			}
			var ip wire.IP
			if wire.ParseIP(out, &ip); ip.TC != 0xb8|tt.want {
				t.Errorf("v6 %v, %d and %d: class %x; want %x", v6, tt.a, tt.b, ip.TC, 0xb8|tt.want)
			}
		}
	}
}

// A flood of first fragments stays in the budget, and good traffic passes.
func TestReassemblyBudget(t *testing.T) {
	data := datagram(65000)
	var r wire.Reassembler
	for i := range 100_000 {
		add(t, &r, int64(i), fragment(true, uint16(i), 17, data, 0, 1232, true))
		if r.Bytes() > wire.DefaultReassemblyBytes || r.Len() > wire.DefaultReassemblyDatagrams {
			t.Fatalf("%d octets of %d datagrams", r.Bytes(), r.Len())
		}
		if i%10_000 == 0 {
			good := int64(1 << 40)
			add(t, &r, good, fragment(false, 1, 17, data, 0, 1480, true))
			if out, _, _ := add(t, &r, good, fragment(false, 1, 17, data, 1480, 2000, false)); out == nil {
				t.Fatal("good traffic does not pass")
			}
		}
	}
	if r.Evicted == 0 {
		t.Error("nothing made room")
	}

	small := wire.Reassembler{MaxBytes: 4096, MaxDatagrams: 3}
	for i := range 10 {
		add(t, &small, 0, fragment(false, uint16(i), 17, data, 0, 8, true))
	}
	if small.Len() != 3 {
		t.Errorf("%d datagrams; want 3", small.Len())
	}
	if _, _, f := add(t, &small, 0, fragment(false, 99, 17, data, 0, 4096, true)); f != wire.FaultFragmentBudget || small.Len() != 0 {
		t.Errorf("a fragment beyond the whole budget: %v, %d datagrams", f, small.Len())
	}

	var many wire.Reassembler
	for i := range wire.MaxFragments {
		if _, _, f := add(t, &many, 0, fragment(false, 1, 17, data, 16*i, 16*i+8, true)); f != wire.FaultNone {
			t.Fatalf("fragment %d: %v", i, f)
		}
	}
	if _, _, f := add(t, &many, 0, fragment(false, 1, 17, data, 60000, 60008, true)); f != wire.FaultFragmentBudget || many.Len() != 0 {
		t.Errorf("one fragment too many: %v, %d datagrams", f, many.Len())
	}
}

// slowDatagram is the reference: every fragment is remembered, and each rule is asked of
// all of them again.
type slowDatagram struct {
	born  int64
	dead  bool
	frags []slowFragment
}

type slowFragment struct {
	off  int
	data []byte
	more bool
}

func (d *slowDatagram) add(f slowFragment) (whole []byte, dead bool) {
	if d.dead {
		return nil, true
	}
	for _, g := range d.frags {
		if g.off == f.off && g.more == f.more && bytes.Equal(g.data, f.data) {
			return nil, false
		}
	}
	d.frags = append(d.frags, f)
	owner := map[int]byte{}
	end := -1
	for _, g := range d.frags {
		for i, c := range g.data {
			if _, taken := owner[g.off+i]; taken {
				d.dead = true
			}
			owner[g.off+i] = c
		}
		if !g.more {
			if end >= 0 && end != g.off+len(g.data) {
				d.dead = true
			}
			end = g.off + len(g.data)
		}
	}
	for _, g := range d.frags {
		if end >= 0 && (g.off+len(g.data) > end || g.more && g.off+len(g.data) == end) {
			d.dead = true
		}
	}
	if d.dead {
		return nil, true
	}
	if end < 0 || len(owner) != end {
		return nil, false
	}
	for i := range end {
		whole = append(whole, owner[i])
	}
	return whole, false
}

func FuzzReassemble(f *testing.F) {
	f.Add([]byte{0x00, 0x10, 0, 0, 0x02, 0x01, 0, 0}, false)
	f.Add([]byte{0x00, 0x30, 1, 0, 0x02, 0x31, 1, 0, 0x04, 0x20, 1, 0}, true)
	f.Add([]byte{0x00, 0x30, 0, 0, 0x01, 0x30, 0, 0, 0x03, 0x20, 0, 70}, true)
	f.Fuzz(func(t *testing.T, ops []byte, v6 bool) {
		var r wire.Reassembler
		slow := map[uint16]*slowDatagram{}
		now := int64(0)
		data := datagram(4096)
		alt := bytes.Clone(data)
		for i := range alt {
			alt[i] ^= 0x55
		}
		for len(ops) >= 4 {
			off, n := int(ops[0]&0x1f)*8, int(ops[1]>>4)*8
			more := ops[1]&1 == 0
			if !more {
				n = max(n-int(ops[1]>>1&7), 0)
			}
			src := data
			if ops[2]&2 != 0 {
				src = alt
			}
			id := uint16(ops[2] & 1)
			now += int64(ops[3]) * second / 2
			ops = ops[4:]
			if n == 0 || off == 0 && !more {
				continue // empty, or no fragment at all
			}
			if off == 0 && v6 && n < 8 {
				continue
			}
			// The octets depend on the place, and now and then are others.
			b := fragment(v6, id, 17, src, off, off+n, more)
			out, _, fault := add(t, &r, now, b)

			d := slow[id]
			if d == nil || now-d.born >= 60*second {
				d = &slowDatagram{born: now}
				slow[id] = d
			}
			want, dead := d.add(slowFragment{off, bytes.Clone(src[off : off+n]), more})
			if dead != (fault == wire.FaultFragmentOverlap) || !dead && fault != wire.FaultNone {
				t.Fatalf("%v; the slow one says dead: %v", fault, dead)
			}
			if (out == nil) != (want == nil) {
				t.Fatalf("whole: %v; the slow one: %v", out != nil, want != nil)
			}
			if out != nil {
				var ip wire.IP
				if f := wire.ParseIP(out, &ip); f != wire.FaultNone || ip.Fragment || !bytes.Equal(ip.Payload, want) {
					t.Fatalf("%v\n got %x\nwant %x", f, ip.Payload, want)
				}
				delete(slow, id)
			}
		}
		for _, more := r.Expire(now + 61*second); more; _, more = r.Expire(now + 61*second) {
		}
		if r.Len() != 0 || r.Bytes() != 0 {
			t.Fatalf("%d datagrams, %d octets left", r.Len(), r.Bytes())
		}
	})
}

// Any bytes at all: no panic, and the budget is kept.
func FuzzReassembleBytes(f *testing.F) {
	f.Add(fragment(false, 1, 17, datagram(64), 0, 32, true), fragment(false, 1, 17, datagram(64), 32, 64, false))
	f.Add(ipv6(dst6, 0, ext(44, 1, 4), []byte{17, 0, 0, 1, 0, 0, 0, 1}, datagram(32)), fragment(true, 1, 17, datagram(64), 32, 64, false))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := wire.Reassembler{MaxBytes: 2000, MaxDatagrams: 2}
		for i, p := range [][]byte{a, b, a} {
			if len(p) > 20 && p[0]>>4 == 4 && int(p[0]&15)*4 <= len(p) && p[0]&15 >= 5 {
				wire.IPv4(p).UpdateChecksum()
			}
			var ip wire.IP
			if wire.ParseIP(p, &ip) != wire.FaultNone || !ip.Fragment {
				continue
			}
			out, fault := r.Add(int64(i), &ip)
			if r.Bytes() > 2000 || r.Len() > 2 {
				t.Fatalf("%d octets", r.Bytes())
			}
			if ip.Problem && (fault == wire.FaultNone || int(ip.ProblemPointer) >= len(ip.Packet)) {
				t.Fatalf("%v at %d", fault, ip.ProblemPointer)
			}
			if out != nil && (wire.ParseIP(out, &ip) == wire.FaultIPTotalLength || len(ip.Packet) != len(out)) {
				t.Fatalf("%x", out)
			}
		}
	})
}
