package link_test

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

var (
	flow4 = flowOf("10.0.0.1", "10.0.0.2")
	flow6 = flowOf("fd00::1", "fd00::2")
)

func flowOf(local, remote string) *wire.Flow {
	return &wire.Flow{
		Local: wire.AddrFrom(netip.MustParseAddr(local)), LocalPort: 4000,
		Remote: wire.AddrFrom(netip.MustParseAddr(remote)), RemotePort: 5000,
	}
}

func packet(f *wire.Flow, s wire.Segment, sum wire.Checksum) wire.Packet {
	b := wire.AppendSegment(make([]byte, wire.Headroom), f, &s, sum)
	return wire.Packet{Buf: b, Head: wire.Headroom, GSO: s.GSO, Sum: sum}
}

// data returns a TCP packet with n octets of text and a sequence number.
func data(at, n int) wire.Packet {
	return packet(flow4, wire.Segment{Seq: seq.Num(at), Flags: wire.ACK, Text: text(n)}, wire.ChecksumNone)
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// seqOf returns the sequence number of a TCP packet, -1 for what is none.
func seqOf(p *wire.Packet) int {
	var ip wire.IP
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || len(ip.Payload) < wire.TCPHeaderLen {
		return -1
	}
	return int(wire.TCP(ip.Payload).Seq())
}

type receiverFunc func(batch []wire.Packet)

func (f receiverFunc) Receive(batch []wire.Packet) { f(batch) }

func attach(t testing.TB, l link.Link, f func(batch []wire.Packet)) {
	t.Helper()
	if err := l.Attach(receiverFunc(f)); err != nil {
		t.Fatal(err)
	}
}

func TestPairPassesTheSameBuffers(t *testing.T) {
	a, b := link.Pair(0)
	var got []wire.Packet
	attach(t, b, func(batch []wire.Packet) { got = append(got, batch...) })
	attach(t, a, func([]wire.Packet) { t.Error("the sender hears itself") })
	sent := []wire.Packet{
		data(1, 100),
		packet(flow6, wire.Segment{Flags: wire.ACK, GSO: 1440, Text: text(60000)}, wire.ChecksumPartial),
	}
	if err := a.Send(sent); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d packets, want 2", len(got))
	}
	for i := range sent {
		if &got[i].Buf[0] != &sent[i].Buf[0] || got[i].GSO != sent[i].GSO || got[i].Sum != sent[i].Sum {
			t.Errorf("packet %d has been touched", i)
		}
	}
	if a.MTU() != 1500 || !a.Offload().Checksum || a.Offload().MaxSuper != 65535 {
		t.Errorf("MTU %d, %+v", a.MTU(), a.Offload())
	}
}

func TestPairLosesWhatDoesNotFit(t *testing.T) {
	ok := data(1, 1460)
	for _, c := range []struct {
		name      string
		noOffload bool
		bad       wire.Packet
	}{
		{"one octet too long", false, data(2, 1461)},
		{"pieces one octet too long", false, packet(flow4, wire.Segment{Flags: wire.ACK, GSO: 1461, Text: text(4000)}, wire.ChecksumPartial)},
		{"pieces one octet too long, IPv6 with timestamps", false, packet(flow6, wire.Segment{Flags: wire.ACK, GSO: 1429, Text: text(4000),
			Options: wire.Options{Set: wire.HasTimestamps}}, wire.ChecksumPartial)},
		{"super-segment without offload", true, packet(flow4, wire.Segment{Flags: wire.ACK, GSO: 1000, Text: text(4000)}, wire.ChecksumNone)},
		{"partial without offload", true, packet(flow4, wire.Segment{Flags: wire.ACK}, wire.ChecksumPartial)},
	} {
		a, b := link.NewPair(link.PairConfig{NoOffload: c.noOffload})
		n := 0
		attach(t, b, func(batch []wire.Packet) {
			for i := range batch {
				if &batch[i].Buf[0] != &ok.Buf[0] {
					t.Errorf("%s: it arrives", c.name)
				}
			}
			n += len(batch)
		})
		a.Send([]wire.Packet{c.bad, ok, c.bad, ok, ok, c.bad})
		if n != 3 || a.Lost() != 3 {
			t.Errorf("%s: %d arrive and %d are lost, want 3 and 3", c.name, n, a.Lost())
		}
	}
	for mtu, want := range map[int]int{0: 1500, 1: 68, 1280: 1280, 70000: 65535} {
		if a, _ := link.Pair(mtu); a.MTU() != want {
			t.Errorf("Pair(%d) has an MTU of %d, want %d", mtu, a.MTU(), want)
		}
	}
}

func TestPairAttachAndClose(t *testing.T) {
	a, b := link.Pair(1500)
	p := []wire.Packet{data(1, 1)}
	if err := a.Send(p); err != nil || a.Lost() != 1 {
		t.Errorf("Send to an end without receiver: %v, %d lost", err, a.Lost())
	}
	attach(t, b, func([]wire.Packet) {})
	if err := b.Attach(receiverFunc(nil)); !errors.Is(err, link.ErrAttached) {
		t.Errorf("second Attach: %v", err)
	}
	if err := a.Attach(nil); err == nil {
		t.Error("a nil receiver is taken")
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Send(p); err != nil || a.Lost() != 2 {
		t.Errorf("Send to a closed end: %v, %d lost", err, a.Lost())
	}
	if err := b.Send(p); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Send of a closed end: %v", err)
	}
	if err := b.Attach(receiverFunc(nil)); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Attach of a closed end: %v", err)
	}
}

// testClose closes a link while others send to it: Receive is not called once Close has
// returned.
func testClose(t *testing.T, from link.Link, to link.Link) {
	t.Helper()
	var closed, late atomic.Bool
	attach(t, to, func([]wire.Packet) {
		for range 10 {
			runtime.Gosched()
			if closed.Load() {
				late.Store(true)
			}
		}
	})
	var stop atomic.Bool
	var senders, closers sync.WaitGroup
	for range 4 {
		p := []wire.Packet{data(1, 100)}
		senders.Go(func() {
			for !stop.Load() {
				from.Send(p)
				runtime.Gosched()
			}
		})
	}
	for range 3 {
		closers.Go(func() {
			runtime.Gosched()
			to.Close()
			closed.Store(true)
		})
	}
	closers.Wait()
	stop.Store(true)
	senders.Wait()
	if late.Load() {
		t.Error("Receive is called after Close has returned")
	}
}

func TestPairCloseIsExact(t *testing.T) {
	for range 100 {
		a, b := link.Pair(1500)
		testClose(t, a, b)
	}
}

func TestPairWorksWithoutAllocation(t *testing.T) {
	a, b := link.Pair(1500)
	attach(t, b, func([]wire.Packet) {})
	batch := []wire.Packet{data(1, 100), packet(flow4, wire.Segment{Flags: wire.ACK, GSO: 1000, Text: text(4000)}, wire.ChecksumPartial)}
	if n := testing.AllocsPerRun(100, func() { a.Send(batch) }); n > 0 || a.Lost() > 0 {
		t.Errorf("%v allocations, %d lost", n, a.Lost())
	}
}

func BenchmarkPair(b *testing.B) {
	x, y := link.Pair(1500)
	attach(b, y, func([]wire.Packet) {})
	batch := []wire.Packet{packet(flow4, wire.Segment{Flags: wire.ACK, GSO: 1448, Text: text(60000)}, wire.ChecksumPartial)}
	for b.Loop() {
		x.Send(batch)
	}
}

func TestTapSeesBothDirections(t *testing.T) {
	a, b := link.Pair(1500)
	var seen []string
	tapped := link.TapAt(a, clock(), func(v link.View) {
		seen = append(seen, v.Time.Format("05")+" "+v.Dir.String()+" "+string(rune('0'+seqOf(v.Packet))))
	})
	attach(t, tapped, func(batch []wire.Packet) {
		for i := range batch {
			seen = append(seen, "received "+string(rune('0'+seqOf(&batch[i]))))
		}
	})
	attach(t, b, func(batch []wire.Packet) {
		if seqOf(&batch[0]) == 1 {
			b.Send([]wire.Packet{data(3, 1)})
		}
	})
	if err := tapped.Send([]wire.Packet{data(1, 1), data(2, 1)}); err != nil {
		t.Fatal(err)
	}
	want := "01 out 1, 01 out 2, 02 in 3, received 3"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("seen: %s\nwant: %s", got, want)
	}
	tapped.Close()
	if err := tapped.Send(nil); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	if l := link.Tap(a, nil); l != link.Link(a) {
		t.Error("a tap that is not there is something")
	}
}

func TestViewForCaptures(t *testing.T) {
	for _, f := range []*wire.Flow{flow4, flow6} {
		for _, gso := range []uint16{0, 1000} {
			p := packet(f, wire.Segment{Flags: wire.ACK, GSO: gso, Text: text(3001)}, wire.ChecksumPartial)
			before := bytes.Clone(p.Buf)
			v := link.View{Dir: link.Out, Packet: &p}
			b := v.AppendWire([]byte("xyz"))
			var ip wire.IP
			if wire.ParseIP(b[3:], &ip) != wire.FaultNone || wire.VerifyTCP(&ip, wire.ChecksumNone) != wire.FaultNone {
				t.Error("the capture has a wrong checksum")
			}
			if !bytes.Equal(before, p.Buf) {
				t.Error("the packet has been changed")
			}
		}
	}
	// pcapng: direction in bits 0 and 1, checksum valid in bit 10, segmentation in bit 11.
	p := data(1, 1)
	for _, c := range []struct {
		dir  link.Direction
		sum  wire.Checksum
		gso  uint16
		want uint32
	}{
		{link.Out, wire.ChecksumNone, 0, 0x002}, {link.In, wire.ChecksumPartial, 0, 0x001},
		{link.In, wire.ChecksumVerified, 0, 0x401}, {link.Out, wire.ChecksumPartial, 9, 0x802},
	} {
		p.Sum, p.GSO = c.sum, c.gso
		if got := (link.View{Dir: c.dir, Packet: &p}).EPBFlags(); got != c.want {
			t.Errorf("%+v: %#x", c, got)
		}
	}
}
