package wire_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

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
	b := make([]byte, wire.MaxPacket)
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
	for i := range wire.MaxSACKBlocks {
		sack.AddBlock(wire.SACKBlock{Left: 100 * 1, Right: 200})
		_ = i
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
