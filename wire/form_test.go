package wire_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

func addr(s string) wire.Addr { return wire.AddrFrom(netip.MustParseAddr(s)) }

var (
	flow4 = wire.Flow{Local: addr("192.0.2.1"), Remote: addr("198.51.100.7"), LocalPort: 49152, RemotePort: 80}
	flow6 = wire.Flow{Local: addr("2001:db8::1"), Remote: addr("2001:db8:ffff::7"), LocalPort: 49152, RemotePort: 80}
)

// form returns s as a packet of f.
func form(t testing.TB, f wire.Flow, s wire.Segment) []byte {
	t.Helper()
	b := bytes.Repeat([]byte{0xff}, wire.HeaderLen(&f, &s)+int(s.TextLen())+8) // as an earlier packet left it
	n := wire.PutSegment(b, &f, &s, wire.ChecksumNone)
	if n == 0 {
		t.Fatalf("PutSegment(%v) = 0", &s)
	}
	return b[:n]
}

// parse reads a packet with its checksum verified.
func parse(t testing.TB, b []byte) (wire.IP, wire.Segment) {
	t.Helper()
	var ip wire.IP
	var s wire.Segment
	if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
		t.Fatalf("ParseIP: %v", f)
	}
	if f := wire.VerifyTCP(&ip, wire.ChecksumNone); f != wire.FaultNone {
		t.Fatalf("VerifyTCP: %v", f)
	}
	if f := wire.ParseTCP(ip.Payload, &s); f != wire.FaultNone {
		t.Fatalf("ParseTCP: %v", f)
	}
	s.TC, s.HopLimit = ip.TC, ip.HopLimit
	return ip, s
}

func TestFormAndParse(t *testing.T) {
	ts := wire.Options{Set: wire.HasTimestamps, TSVal: 7, TSEcr: 1<<32 - 1}
	syn := wire.Options{Set: wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted | wire.HasTimestamps,
		MSS: 1460, WindowScale: 14, TSVal: 99}
	sack := wire.Options{}
	for i := range seq.Num(wire.MaxSACKBlocks) {
		sack.AddBlock(wire.SACKBlock{Left: 1000 * i, Right: 1000*i + 500})
	}
	segs := []wire.Segment{
		{Seq: 1000, Flags: wire.SYN, Wnd: 65535, Options: syn, HopLimit: 64},
		{Seq: 1001, Ack: 2001, Flags: wire.ACK, Wnd: 1, Options: ts, HopLimit: 1, TC: 0xff},
		{Seq: 1001, Ack: 2001, Flags: wire.ACK | wire.PSH | wire.URG, Up: 3, Text: []byte("hello"), HopLimit: 255},
		{Seq: 1, Ack: 1, Flags: wire.ACK, Options: sack, HopLimit: 64},
	}
	for _, f := range []wire.Flow{flow4, flow6} {
		for _, want := range segs {
			ip, got := parse(t, form(t, f, want))
			if fl, fault := ip.Flow(); fault != wire.FaultNone || fl != f.Reverse() {
				t.Errorf("flow %v, %v; want %v", fl, fault, f.Reverse())
			}
			if !bytes.Equal(got.Text, want.Text) {
				t.Errorf("text %q; want %q", got.Text, want.Text)
			}
			got.Text = want.Text
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v\n got %+v\nwant %+v", f, got, want)
			}
		}
	}
}

// The longest cookie fills the header of a SYN with all the options that vitro sends; one that finds
// no room is left out.
func TestFastOpenFits(t *testing.T) {
	full := wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted | wire.HasTimestamps | wire.HasFastOpen
	s := wire.Segment{Flags: wire.SYN, Options: wire.Options{Set: full, FastOpen: make([]byte, 16)}}
	if !wire.FastOpenFits(&s) || wire.TCPHeaderLenOf(&s) != 60 {
		t.Errorf("with 16 octets the header has %d", wire.TCPHeaderLenOf(&s))
	}
	if _, got := parse(t, form(t, flow4, s)); len(got.Options.FastOpen) != 16 {
		t.Errorf("16 octets are read as %x", got.Options.FastOpen)
	}
	s.Options.AddBlock(wire.SACKBlock{Left: 1, Right: 2}) // no SYN has one, but then there is no room
	if wire.FastOpenFits(&s) || wire.TCPHeaderLenOf(&s) != 52 {
		t.Errorf("without room the header has %d", wire.TCPHeaderLenOf(&s))
	}
}

// The octets of a SYN and of an ACK as most stacks lay them out; the whole header is
// said here by hand. MUST-2, MUST-14, MUST-68, MUST-69
func TestFormedOctets(t *testing.T) {
	syn := wire.Segment{Seq: 1000, Flags: wire.SYN, Wnd: 65535, Options: wire.Options{
		Set: wire.HasMSS | wire.HasWindowScale | wire.HasSACKPermitted | wire.HasTimestamps, MSS: 1460, WindowScale: 7, TSVal: 1}}
	ack := wire.Segment{Seq: 1001, Ack: 2001, Flags: wire.ACK, Wnd: 65535, Options: wire.Options{
		Set: wire.HasTimestamps | wire.HasSACK, TSVal: 1, TSEcr: 2, NSACK: 4, SACK: [4]wire.SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}}}}
	tests := []struct {
		name string
		s    wire.Segment
		want []byte // options
	}{
		{"SYN", syn, []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}},
		{"ACK, timestamps and as many blocks as fit", ack, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
			1, 1, 5, 26, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6}},
		{"SYN with a Fast Open cookie", wire.Segment{Flags: wire.SYN, Options: wire.Options{Set: wire.HasMSS | wire.HasFastOpen, MSS: 1460,
			FastOpen: []byte{9, 8, 7, 6, 5, 4, 3, 2}}}, []byte{2, 4, 5, 0xb4, 1, 1, 34, 10, 9, 8, 7, 6, 5, 4, 3, 2}},
		{"SYN that asks for one", wire.Segment{Flags: wire.SYN, Options: wire.Options{Set: wire.HasFastOpen}}, []byte{1, 1, 34, 2}},
		{"no cookie in another segment", wire.Segment{Flags: wire.ACK, Options: wire.Options{Set: wire.HasFastOpen}}, nil},
		{"no cookie of five octets", wire.Segment{Flags: wire.SYN, Options: wire.Options{Set: wire.HasFastOpen, FastOpen: make([]byte, 5)}}, nil},
		{"SACK-permitted alone", wire.Segment{Flags: wire.SYN, Options: wire.Options{Set: wire.HasSACKPermitted}}, []byte{1, 1, 4, 2}},
		// MUST-65
		{"no option of a SYN in another segment", wire.Segment{Flags: wire.ACK, Options: syn.Options}, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}},
	}
	for _, tt := range tests {
		b := form(t, flow4, tt.s)
		if got := wire.TCP(b[20:]).Options(); !bytes.Equal(got, tt.want) {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, got, tt.want)
		}
		if got := wire.TCPHeaderLenOf(&tt.s); got != 20+len(tt.want) {
			t.Errorf("%s: header of %d", tt.name, got)
		}
	}
	b := form(t, flow4, wire.Segment{Seq: 0x01020304, Ack: 9, Up: 9, Flags: wire.RST, Wnd: 0x0506, TC: 7, HopLimit: 8})
	want := []byte{0x45, 7, 0, 40, 0, 0, 0x40, 0, 8, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7,
		0xc0, 0, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 4, 5, 6, 0, 0, 0, 0} // no ACK, no URG: fields 0
	ipSum := ^slowSum(want[:20])
	want[10], want[11] = byte(ipSum>>8), byte(ipSum)
	tcpSum := ^slowSum(slowPseudo(flow4.Local, flow4.Remote, 6, 20), want[20:])
	want[36], want[37] = byte(tcpSum>>8), byte(tcpSum)
	if !bytes.Equal(b, want) {
		t.Errorf("\n got %x\nwant %x", b, want)
	}
}

// ChecksumPartial: the field holds the pseudo-header's sum, and FinishChecksum makes it
// what ChecksumNone gives.
func TestPartialChecksum(t *testing.T) {
	for _, f := range []wire.Flow{flow4, flow6} {
		s := wire.Segment{Seq: 1, Flags: wire.ACK, Text: []byte("odd")}
		whole := form(t, f, s)
		b := wire.AppendSegment([]byte("head"), &f, &s, wire.ChecksumPartial)[4:]
		at := tcpAt(b)
		if got, want := wire.TCP(b[at:]).Checksum(), slowSum(slowPseudo(f.Local, f.Remote, 6, len(b)-at)); got != want {
			t.Errorf("partial: %04x; want %04x", got, want)
		}
		if fault := wire.FinishChecksum(b); fault != wire.FaultNone || !bytes.Equal(b, whole) {
			t.Errorf("%v\n got %x\nwant %x", fault, b, whole)
		}
	}
	for _, b := range [][]byte{nil, ipv4(dst4, 1, nil, make([]byte, 40)), ipv4(dst4, 6, nil, make([]byte, 19)), ipv4(dst4, 17, nil, make([]byte, 7))} {
		if wire.FinishChecksum(b) == wire.FaultNone {
			t.Errorf("%x has no TCP or UDP checksum to finish", b)
		}
	}
}

func TestFormRefuses(t *testing.T) {
	b := make([]byte, 70000)
	fits := wire.Segment{Flags: wire.ACK, Text: make([]byte, 65495)}
	if n := wire.PutSegment(b, &flow4, &fits, wire.ChecksumNone); n != wire.MaxPacket {
		t.Errorf("the largest packet has %d octets", n)
	}
	tooLong := wire.Segment{Flags: wire.ACK, Text: make([]byte, 65000), TextRest: make([]byte, 496)}
	if n := wire.PutSegment(b, &flow4, &tooLong, wire.ChecksumNone); n != 0 {
		t.Errorf("a packet of %d octets", n)
	}
	if out := wire.AppendSegment(b[:3], &flow4, &tooLong, wire.ChecksumNone); len(out) != 3 {
		t.Errorf("appended %d octets", len(out))
	}
	if n := wire.PutSegment(b[:39], &flow4, &wire.Segment{}, wire.ChecksumNone); n != 0 {
		t.Error("written beyond the buffer")
	}
}

// MUST-49: every value of the hop limit can be sent; 0 stands for the default.
func TestHopLimit(t *testing.T) {
	for _, f := range []wire.Flow{flow4, flow6} {
		for hops, want := range map[uint8]uint8{0: wire.DefaultHopLimit, 1: 1, 7: 7, 255: 255} {
			if ip, _ := parse(t, form(t, f, wire.Segment{Flags: wire.ACK, HopLimit: hops})); ip.HopLimit != want {
				t.Errorf("%d is sent as %d", hops, ip.HopLimit)
			}
		}
	}
}

// Nothing allocates on the path of a packet.
func TestNoAllocations(t *testing.T) {
	text := make([]byte, 4000)
	s := wire.Segment{Flags: wire.ACK, Text: text[:3000], TextRest: text[3000:], Options: wire.Options{Set: wire.HasTimestamps}}
	buf, piece := make([]byte, 65535), make([]byte, 2000)
	var err error
	for _, f := range []wire.Flow{flow4, flow6} {
		packet := form(t, f, s)
		msg := form(t, f, wire.Segment{Flags: wire.ACK, Text: text[:1000]})
		next := form(t, f, wire.Segment{Seq: 1000, Flags: wire.ACK, Text: text[:1000]})
		held := append(make([]byte, 0, 9000), msg...)
		var (
			ip  wire.IP
			seg wire.Segment
			m   wire.ICMPMessage
			q   wire.Quote
			sp  wire.Splitter
		)
		tests := map[string]func(){
			"PutSegment":    func() { wire.PutSegment(buf, &f, &s, wire.ChecksumNone) },
			"AppendSegment": func() { wire.AppendSegment(buf[:0], &f, &s, wire.ChecksumPartial) },
			"parse": func() {
				wire.ParseIP(packet, &ip)
				wire.VerifyTCP(&ip, wire.ChecksumNone)
				wire.ParseTCP(ip.Payload, &seg)
				ip.Flow()
			},
			"split": func() {
				for sp.Start(packet, 1000); sp.Next(piece) > 0; {
				}
			},
			"merge": func() {
				if _, _, ok := wire.Merge(held, 0, next); !ok {
					t.Error("not merged")
				}
				copy(held, msg)
			},
			"ICMP": func() {
				em := wire.ICMPMessage{Kind: wire.ICMPTimeExceeded, Body: packet}
				n := wire.PutICMP(buf, f.Remote, f.Local, 0, 0, &em)
				wire.ParseIP(buf[:n], &ip)
				wire.ParseICMP(&ip, &m)
				if wire.ParseQuote(m.Body, ip.V6, &q) != wire.FaultNone || q.Flow != f {
					t.Error("no quote")
				}
			},
			"a fault is an error": func() { err = wire.ParseTCP(nil, &seg).Err() },
		}
		for name, do := range tests {
			if n := testing.AllocsPerRun(100, do); n != 0 {
				t.Errorf("%v: %s: %v allocations", f, name, n)
			}
		}
	}
	if err == nil {
		t.Error("no fault")
	}
}

func BenchmarkPutSegment(b *testing.B) {
	for _, n := range []int{0, 1448, 64000} {
		s := wire.Segment{Flags: wire.ACK, Text: make([]byte, n), Options: wire.Options{Set: wire.HasTimestamps}}
		buf := make([]byte, wire.MaxPacket)
		for _, sum := range []wire.Checksum{wire.ChecksumNone, wire.ChecksumPartial} {
			name := map[wire.Checksum]string{wire.ChecksumNone: "full", wire.ChecksumPartial: "partial"}[sum]
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					wire.PutSegment(buf, &flow4, &s, sum)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	packet := form(b, flow4, wire.Segment{Flags: wire.ACK, Text: make([]byte, 1448), Options: wire.Options{Set: wire.HasTimestamps}})
	var ip wire.IP
	var s wire.Segment
	for b.Loop() {
		wire.ParseIP(packet, &ip)
		wire.VerifyTCP(&ip, wire.ChecksumVerified)
		wire.ParseTCP(ip.Payload, &s)
	}
}
