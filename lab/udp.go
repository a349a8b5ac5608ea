package lab

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// ListenPacket makes a UDP socket on an address of the host: see [vitro.Stack.ListenPacket]. Dial and
// DialContext with the network "udp" make a connected one.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	return h.Stack().ListenPacket(network, address)
}

// Ping sends an ICMP echo request to a host, which may be a name, and waits for the reply until ctx
// ends: see [vitro.Stack.Ping].
func (h *Host) Ping(ctx context.Context, address string) (time.Duration, error) {
	return h.Stack().Ping(ctx, address)
}

// netstatUDP has a line for each UDP socket.
func (h *Host) netstatUDP(b *strings.Builder) {
	for _, u := range h.Stack().UDPSockets() {
		remote := "-"
		if u.Flow.RemotePort != 0 {
			remote = u.Flow.RemoteAddrPort().String()
		}
		fmt.Fprintf(b, "  %-22v %-22v UDP", u.Flow.LocalAddrPort(), remote)
		if u.Waiting > 0 {
			fmt.Fprintf(b, "  %d octets of memory to read", u.Waiting)
		}
		if u.Dropped > 0 {
			fmt.Fprintf(b, " %d dropped", u.Dropped)
		}
		b.WriteByte('\n')
	}
}
