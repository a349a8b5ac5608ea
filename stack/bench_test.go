package stack_test

import (
	"net/netip"
	"testing"
	"unsafe"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// bench is two stacks joined directly, in a time that stands still but for a microsecond a
// batch.
type bench struct {
	now   tcp.Time
	ends  [2]*stack.Stack
	batch stack.Batch
}

func newBench(b *testing.B, cfg stack.InterfaceConfig) *bench {
	x := &bench{now: 1 << 40}
	for i := range x.ends {
		x.ends[i] = stack.New(config())
		cfg.Prefixes = prefixes([]string{"10.0.0.1/24", "10.0.0.2/24"}[i])
		if _, err := x.ends[i].AddInterface(cfg); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func (x *bench) pump() {
	for moved := true; moved; {
		moved = false
		x.now += 1000
		for i, s := range x.ends {
			for more := true; more; {
				more = s.Output(x.now, &x.batch)
				for j := range x.batch.Len() {
					_, p := x.batch.Packet(j)
					x.ends[1-i].Arrive(x.now, 1, p)
					moved = true
				}
				x.batch.Reset()
			}
		}
	}
}

func (x *bench) connect(b *testing.B, l *stack.Listener) (client, server *stack.Conn) {
	client, err := x.ends[0].Dial(x.now, netip.AddrPort{}, l.Addr(), stack.ConnOptions{NoDelay: true})
	if err != nil {
		b.Fatal(err)
	}
	x.pump()
	if server = l.Accept(x.now); server == nil {
		b.Fatal(client.State())
	}
	return client, server
}

func BenchmarkBulk(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  stack.InterfaceConfig
	}{
		{"1500", stack.InterfaceConfig{MTU: 1500}},
		{"super", stack.InterfaceConfig{MTU: 1500, MaxSuper: wire.MaxPacket, ChecksumOffload: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := newBench(b, c.cfg)
			l, _ := x.ends[1].Listen(ap(addrB, 80), 0, stack.ListenOptions{})
			client, server := x.connect(b, l)
			text := make([]byte, 256<<10)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for sent, got := 0, 0; got < len(text); {
					n, _ := client.Send(x.now, text[sent:])
					sent += n
					x.pump()
					n, _ = server.Receive(x.now, text)
					got += n
					if n == 0 {
						x.now += 1 << 28
						x.ends[0].Timeout(x.now)
						x.ends[1].Timeout(x.now)
					}
				}
			}
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	x := newBench(b, stack.InterfaceConfig{MTU: 1500})
	l, _ := x.ends[1].Listen(ap(addrB, 80), 0, stack.ListenOptions{Conn: stack.ConnOptions{NoDelay: true}})
	client, server := x.connect(b, l)
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		client.Send(x.now, buf)
		x.pump()
		server.Receive(x.now, buf)
		server.Send(x.now, buf)
		x.pump()
		client.Receive(x.now, buf)
	}
}

func BenchmarkConnect(b *testing.B) {
	x := newBench(b, stack.InterfaceConfig{MTU: 1500})
	l, _ := x.ends[1].Listen(ap(addrB, 80), 0, stack.ListenOptions{})
	b.ReportAllocs()
	for b.Loop() {
		client, server := x.connect(b, l)
		client.Close(x.now)
		x.pump()
		server.Close(x.now)
		x.pump()
		client.Release(x.now)
		server.Release(x.now)
		x.now += 1 << 20
		for _, s := range x.ends {
			s.Timeout(x.now)
		}
	}
	b.ReportMetric(float64(unsafe.Sizeof(stack.Conn{})), "B/conn")
}

func BenchmarkSYNFlood(b *testing.B) {
	x := newSeat(b, config())
	x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: -1})
	p := wire.Packet{Buf: segment(peer4, local4, syn(1))}
	b.ReportAllocs()
	for b.Loop() {
		x.s.Arrive(x.now, 1, &p)
		x.s.Output(x.now, &x.batch)
		x.batch.Reset()
	}
}
