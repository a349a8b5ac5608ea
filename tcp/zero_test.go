package tcp_test

import (
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Zero is a sequence number like any other: RFC 9293 section 3.4, "This space ranges from 0 to
// 2^32 - 1". A connection whose two numbers begin at 0, or wrap to it, lives and ends.
func TestNumbersFromZero(t *testing.T) {
	for _, isn := range []struct{ a, b uint32 }{{0, 0}, {1<<32 - 1, 1<<32 - 1}, {0, 1<<32 - 1}, {1<<32 - 1, 0}} {
		a, b := newCell(t), newCell(t)
		a.c = tcp.New(&tcp.Config{ISN: isnOf(seq.Num(isn.a))}, flowOfA, 1500)
		b.c = tcp.New(&tcp.Config{ISN: isnOf(seq.Num(isn.b))}, flowOfA.Reverse(), 1500)
		a.must(b.c.Open(b.now, tcp.Passive))
		a.must(a.c.Open(a.now, tcp.Active))
		carry := func() {
			var g wire.Segment
			for {
				switch {
				case a.c.Output(a.now, &g):
					b.c.Arrive(b.now, &g)
				case b.c.Output(b.now, &g):
					a.c.Arrive(a.now, &g)
				default:
					return
				}
			}
		}
		carry()
		if a.c.State() != tcp.Established || b.c.State() != tcp.Established {
			t.Fatalf("ISNs %d and %d: A is %v, B is %v", isn.a, isn.b, a.c.State(), b.c.State())
		}
		a.must(a.c.Close(a.now))
		carry()
		a.must(b.c.Close(b.now))
		carry()
		for c := a.c; c.Deadline() != tcp.Never; {
			c.Timeout(c.Deadline())
		}
		for who, c := range []*tcp.Conn{a.c, b.c} {
			if c.State() != tcp.Closed || c.Err() != nil {
				t.Errorf("ISNs %d and %d: end %d is %v with %v", isn.a, isn.b, who, c.State(), c.Err())
			}
			if err := c.Open(1<<40, tcp.Active); err != tcp.ErrNotExist {
				t.Errorf("ISNs %d and %d: OPEN of a connection that has ended returns %v; want %v", isn.a, isn.b, err, tcp.ErrNotExist)
			}
		}
	}
}

// A connection that was opened and closed before any number was chosen has lived too.
func TestOpenAfterListen(t *testing.T) {
	m := newCell(t)
	m.reach(tcp.Listen)
	m.must(m.c.Abort(m.now))
	if err := m.c.Open(m.now, tcp.Active); err != tcp.ErrNotExist {
		t.Errorf("OPEN after ABORT in LISTEN returns %v; want %v", err, tcp.ErrNotExist)
	}
}
