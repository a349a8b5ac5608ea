//go:build linux

package main

import (
	"fmt"
	"net"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// gvisorPeer is gVisor's netstack as it comes: SACK and RACK are on, its receive buffer adjusts
// itself, its congestion control is CUBIC as in gVisor itself.
var gvisorPeer = peer{
	name:   "gVisor",
	beside: true,
	memory: func(j joint) (world, error) {
		a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", uint32(j.mtu))
		if j.plain {
			return newGvisor(nil, a, b)
		}
		return newGvisor(nil, &offloading{a}, &offloading{b})
	},
	network: func(e *emulator) (world, error) { return gvisorAcross(e) },
}

// noRack is the same without RACK, as some of its users have it.
var noRack = peer{
	name: "gVisor, RACK off",
	network: func(e *emulator) (world, error) {
		off := tcpip.TCPRecovery(0)
		return gvisorAcross(e, &off)
	},
	onlyBlackouts: true,
}

func gvisorAcross(e *emulator, more ...tcpip.SettableTransportProtocolOption) (world, error) {
	options := append([]tcpip.SettableTransportProtocolOption{
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: networkBuffer, Max: networkBuffer},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: networkBuffer, Max: networkBuffer},
	}, more...)
	return newGvisor(options, newGvisorEnd(e, 0), newGvisorEnd(e, 1))
}

type gvisorWorld struct{ stacks []*stack.Stack }

func newGvisor(options []tcpip.SettableTransportProtocolOption, links ...stack.LinkEndpoint) (world, error) {
	w := &gvisorWorld{}
	for i, l := range links {
		s := stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
		})
		w.stacks = append(w.stacks, s)
		for _, o := range options {
			if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
				w.close()
				return nil, fmt.Errorf("gVisor: %T: %v", o, err)
			}
		}
		err := s.CreateNIC(1, l)
		if err == nil {
			err = s.AddProtocolAddress(1, tcpip.ProtocolAddress{
				Protocol:          ipv4.ProtocolNumber,
				AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(addrs[i].Addr().AsSlice()), PrefixLen: addrs[i].Bits()},
			}, stack.AddressProperties{})
		}
		if err != nil {
			w.close()
			return nil, fmt.Errorf("gVisor: interface: %v", err)
		}
		s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	}
	return w, nil
}

func (w *gvisorWorld) listen() (net.Listener, error) {
	return gonet.ListenTCP(w.stacks[1], tcpip.FullAddress{Port: port}, ipv4.ProtocolNumber)
}

func (w *gvisorWorld) dial(net.Listener) (net.Conn, error) {
	to := tcpip.FullAddress{Addr: tcpip.AddrFromSlice(addrs[1].Addr().AsSlice()), Port: port}
	return gonet.DialTCP(w.stacks[0], to, ipv4.ProtocolNumber)
}

func (w *gvisorWorld) timeouts(net.Conn) uint64 { return w.stacks[0].Stats().TCP.Timeouts.Value() }

func (w *gvisorWorld) memory() uint64 { return heap() }

func (w *gvisorWorld) close() {
	for _, s := range w.stacks {
		s.Destroy()
	}
}

// offloading is a pipe that carries super-segments and whose checksums nobody computes: what
// vitro's pair in memory does by itself.
type offloading struct{ *pipe.Endpoint }

func (*offloading) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
}

func (*offloading) GSOMaxSize() uint32 { return 65535 }

func (*offloading) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// gvisorEnd is an end of an emulator as a link endpoint.
type gvisorEnd struct {
	*channel.Endpoint
	e    *emulator
	side int
}

func newGvisorEnd(e *emulator, side int) *gvisorEnd {
	g := &gvisorEnd{channel.New(0, 1500, ""), e, side}
	e.attach(side, func(packets [][]byte) {
		for _, p := range packets {
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
			g.InjectInbound(ipv4.ProtocolNumber, pkt)
			pkt.DecRef()
		}
	})
	return g
}

// WritePackets hands the packets to the emulator.
func (g *gvisorEnd) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range packets.AsSlice() {
		v := pkt.ToView()
		g.e.send(g.side, v.AsSlice())
		v.Release()
	}
	return packets.Len(), nil
}

// Close ends the emulator too.
func (g *gvisorEnd) Close() {
	g.e.close()
	g.Endpoint.Close()
}
