package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// joined are two machines with the handshake between them done.
func joined(t testing.TB, cfg *tcp.Config) (a, b *tcp.Conn) {
	t.Helper()
	a, b = tcp.New(cfg, someFlow, 1500), tcp.New(cfg, someFlow.Reverse(), 1500)
	var seg wire.Segment
	b.Open(epoch, tcp.Passive)
	a.Open(epoch, tcp.Active)
	a.Output(epoch, &seg)
	b.Arrive(epoch, &seg)
	b.Output(epoch, &seg)
	a.Arrive(epoch, &seg)
	a.Output(epoch, &seg)
	b.Arrive(epoch, &seg)
	if a.State() != tcp.Established || b.State() != tcp.Established {
		t.Fatalf("A is %v and B is %v; want both ESTABLISHED", a.State(), b.State())
	}
	return a, b
}

// The established path allocates nothing per segment, in either direction: text and its ACK,
// with timestamps and window scale, one segment at a time and in super-segments; with CUBIC, with BBR,
// and with AccECN where some are marked.
func TestEstablishedPathAllocatesNothing(t *testing.T) {
	for i, super := range []int{0, 65535, 0, 65535, 0, 65535} {
		control, ecn := tcp.NewCubic, tcp.ECNAccept
		switch i / 2 {
		case 1:
			control = tcp.NewBBR
		case 2:
			ecn = tcp.ECNAccurate
		}
		a, b := joined(t, &tcp.Config{ECN: ecn, Congestion: control, ISN: func(_ tcp.Time, f wire.Flow) seq.Num { return seq.Num(f.LocalPort) }})
		a.SetSuperSegment(super)
		b.SetSuperSegment(super)
		now := epoch
		text, buffer := make([]byte, 20000), make([]byte, 65536)
		var seg wire.Segment
		segments := 0
		exchange := func(from, to *tcp.Conn) {
			from.Send(now, text)
			for moved := true; moved; {
				moved = false
				for from.Output(now, &seg) {
					onWire(&seg)
					if segments%400 == 7 && seg.TC&3 == 2 {
						seg.TC |= 1 // CE
					}
					to.Arrive(now, &seg)
					segments, moved = segments+1, true
				}
				for {
					if n, _ := to.Receive(buffer); n == 0 {
						break
					}
				}
				for to.Output(now, &seg) {
					from.Arrive(now, &seg)
					segments, moved = segments+1, true
				}
			}
			now = now.Add(50 * time.Millisecond)
			from.Timeout(now)
			to.Timeout(now)
			for to.Output(now, &seg) {
				from.Arrive(now, &seg)
			}
		}
		for range 10 { // buffers and pools find their sizes
			exchange(a, b)
			exchange(b, a)
		}
		segments = 0
		if got := testing.AllocsPerRun(100, func() { exchange(a, b); exchange(b, a) }); got > 0 {
			t.Errorf("with super-segments of %d octets an exchange of %d segments makes %v allocations; want none", super, segments/101, got)
		}
		if st := a.Status(); st.Unacknowledged > 0 || segments < 200 {
			t.Errorf("%d segments moved, %d octets are left: this was no exchange", segments, st.Unacknowledged)
		}
	}
}

var wireBuffer [1 << 17]byte

// onWire makes the segment's text one piece in a device's buffer, as it arrives.
func onWire(seg *wire.Segment) {
	n := copy(wireBuffer[:], seg.Text)
	n += copy(wireBuffer[n:], seg.TextRest)
	seg.Text, seg.TextRest = wireBuffer[:n], nil
}

// An idle connection has no buffer, and needs no timer.
func TestIdleConnectionIsSmall(t *testing.T) {
	cfg := &tcp.Config{ISN: func(_ tcp.Time, f wire.Flow) seq.Num { return seq.Num(f.LocalPort) }}
	a, b := joined(t, cfg)
	if n := cfg.BuffersInUse(); n != 0 || a.Status().Buffered+b.Status().Buffered != 0 {
		t.Errorf("two idle connections hold %d octets of buffer", n)
	}
	if a.Deadline() != tcp.Never || b.Deadline() != tcp.Never {
		t.Errorf("idle connections have deadlines %v and %v", a.Deadline(), b.Deadline())
	}
}
