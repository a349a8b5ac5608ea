package vitro_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/vitro-net/vitro"
)

// Datagrams one after the other: each is written, and read by the same goroutine. pkt/s counts them
// once.
func BenchmarkUDP(b *testing.B) {
	for _, size := range []int{64, 1472} {
		for _, name := range []string{"memory", "loopback", "kernel"} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				server, client := udpEnds(b, name)
				p, q := make([]byte, size), make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := client.Write(p); err != nil {
						b.Fatal(err)
					}
					if _, _, err := server.ReadFromUDPAddrPort(q); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pkt/s")
			})
		}
	}
}

func udpEnds(b *testing.B, name string) (server, client udpConn) {
	b.Helper()
	switch name {
	case "memory":
		x, y := pair(b, vitro.Config{})
		return listenUDP(b, y, "udp", ":53"), dialUDP(b, x, "10.0.0.2:53")
	case "loopback":
		x, _ := pair(b, vitro.Config{})
		return listenUDP(b, x, "udp", ":53"), dialUDP(b, x, "127.0.0.1:53")
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Skip(err)
	}
	c, err := net.Dial("udp", l.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close(); c.Close() })
	return l.(udpConn), c.(udpConn)
}
