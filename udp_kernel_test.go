package vitro_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
)

// udpConn is what *net.UDPConn and *vitro.UDPConn have in common.
type udpConn interface {
	net.Conn
	net.PacketConn
	ReadFromUDP([]byte) (int, *net.UDPAddr, error)
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	ReadMsgUDP(p, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	ReadMsgUDPAddrPort(p, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteToUDP([]byte, *net.UDPAddr) (int, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	WriteMsgUDP(p, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	WriteMsgUDPAddrPort(p, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

// udpNetwork is package net on the kernel's loopback, or a Stack on its own.
type udpNetwork struct {
	listen func(network, address string) (net.PacketConn, error)
	dial   func(d net.Dialer, network, address string) (net.Conn, error)
}

var kernelUDP = udpNetwork{
	listen: net.ListenPacket,
	dial:   func(d net.Dialer, network, address string) (net.Conn, error) { return d.Dial(network, address) },
}

func vitroUDP(t *testing.T) udpNetwork {
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return udpNetwork{
		listen: s.ListenPacket,
		dial: func(d net.Dialer, network, address string) (net.Conn, error) {
			dialer := vitro.Dialer{Stack: s, Timeout: d.Timeout, Deadline: d.Deadline, LocalAddr: d.LocalAddr}
			return dialer.DialContext(context.Background(), network, address)
		},
	}
}

type udpAct struct {
	*act
	udpNetwork
}

func (a *udpAct) open(address string) udpConn {
	a.t.Helper()
	c, err := a.udpNetwork.listen("udp", address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	return c.(udpConn)
}

func (a *udpAct) connect(c udpConn) udpConn {
	a.t.Helper()
	d, err := a.udpNetwork.dial(net.Dialer{}, "udp", c.LocalAddr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { d.Close() })
	return d.(udpConn)
}

func (a *udpAct) say(format string, args ...any) {
	a.notes = append(a.notes, addresses.ReplaceAllString(fmt.Sprintf(format, args...), "ADDR"))
}

func portOf(c udpConn) uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

var hello = []byte("hello")

// udpActs are calls whose results must be those of package net on the kernel.
var udpActs = map[string]func(a *udpAct){
	"refused": func(a *udpAct) {
		gone := a.open("127.0.0.1:0")
		c := a.connect(gone)
		gone.Close()
		p := make([]byte, 9)
		for range 2 {
			n, err := c.Write(hello)
			a.note("Write to nobody", int64(n), err)
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err = c.Read(p)
			a.note("Read", int64(n), err)
			c.SetReadDeadline(past)
			n, err = c.Read(p)
			a.note("another Read", int64(n), err)
		}
		c.SetReadDeadline(time.Time{})
		for i := range 5 {
			n, err := c.Write(hello)
			a.note(fmt.Sprint("Write ", i), int64(n), err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _, err := c.ReadFrom(p)
		a.err("ReadFrom", err)
		c.Write(hello)
		_, _, _, _, err = c.ReadMsgUDP(p, nil)
		a.err("ReadMsgUDP", err)
		c.Write(hello)
		_, _, err = c.WriteMsgUDP(hello, nil, nil)
		a.err("WriteMsgUDP", err)
	},
	"refused, not connected": func(a *udpAct) {
		gone, c := a.open("127.0.0.1:0"), a.open("127.0.0.1:0")
		gone.Close()
		for range 2 {
			n, err := c.WriteTo(hello, gone.LocalAddr())
			a.note("WriteTo nobody", int64(n), err)
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _, err := c.ReadFrom(make([]byte, 9))
		a.err("ReadFrom", err)
	},
	"a peer and a stranger": func(a *udpAct) {
		server := a.open("127.0.0.1:0")
		c, stranger := a.connect(server), a.open("127.0.0.1:0")
		stranger.WriteTo([]byte("stranger"), c.LocalAddr())
		server.WriteTo([]byte("server"), c.LocalAddr())
		p := make([]byte, 20)
		n, err := c.Read(p)
		a.note("Read "+string(p[:n]), int64(n), err)
		d, err := a.udpNetwork.dial(net.Dialer{}, "udp", c.LocalAddr().String())
		a.err("Dial a connected socket", err)
		defer d.Close()
		d.Write(hello)
		_, err = d.Read(p)
		a.err("what a connected socket does not hear", err)
	},
	"destinations": func(a *udpAct) {
		peer := a.open("127.0.0.1:0")
		for _, address := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
			c := a.open(address)
			to := int(portOf(peer))
			for _, addr := range []*net.UDPAddr{
				nil, {}, {Port: to}, {IP: net.IP{1, 2, 3}, Port: to}, {IP: net.IPv4(127, 0, 0, 1), Port: 0}, {IP: net.IPv4(127, 0, 0, 1), Port: to},
				{IP: net.IPv4zero, Port: to}, {IP: net.IPv6unspecified, Port: to}, {IP: net.IPv6loopback, Port: to},
			} {
				what := address + fmt.Sprintf(" to %v of %d octets, ", addr != nil && addr.Port != 0, len(ipOf(addr))) + ipOf(addr).String()
				n, err := c.WriteToUDP(hello, addr)
				if address == "[::1]:0" && ipOf(addr).To4() != nil {
					continue // Linux sends it, from an address that is no socket's
				}
				a.note(what, int64(n), err)
				n, _, err = c.WriteMsgUDP(hello, nil, addr)
				a.note("WriteMsgUDP "+what, int64(n), err)
			}
			for _, addr := range []netip.AddrPort{
				{}, netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:9"), ap("127.0.0.1", to), ap("::ffff:127.0.0.1", to),
			} {
				what := address + " to " + addr.Addr().String()
				if address == "[::1]:0" && addr.Addr().Unmap().Is4() {
					continue
				}
				n, err := c.WriteToUDPAddrPort(hello, addr)
				a.note("WriteToUDPAddrPort "+what, int64(n), err)
				n, _, err = c.WriteMsgUDPAddrPort(hello, nil, addr)
				a.note("WriteMsgUDPAddrPort "+what, int64(n), err)
			}
			n, err := c.WriteTo(hello, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: to})
			a.note("WriteTo a TCPAddr", int64(n), err)
			n, err = c.WriteTo(hello, nil)
			a.note("WriteTo nil", int64(n), err)
			n, err = c.Write(hello)
			a.note("Write without a peer", int64(n), err)
			a.say("RemoteAddr %v", c.RemoteAddr())
		}
		c := a.connect(peer)
		n, err := c.WriteTo(hello, peer.LocalAddr())
		a.note("WriteTo of a connected socket", int64(n), err)
		n, err = c.WriteToUDPAddrPort(hello, netip.MustParseAddrPort("127.0.0.1:9"))
		a.note("WriteToUDPAddrPort of a connected socket", int64(n), err)
		n, _, err = c.WriteMsgUDP(hello, nil, peer.LocalAddr().(*net.UDPAddr))
		a.note("WriteMsgUDP of a connected socket", int64(n), err)
		n, _, err = c.WriteMsgUDP(hello, nil, nil)
		a.note("WriteMsgUDP to nil of a connected socket", int64(n), err)
		n, _, err = c.WriteMsgUDPAddrPort(hello, nil, netip.AddrPort{})
		a.note("WriteMsgUDPAddrPort to nothing of a connected socket", int64(n), err)
	},
	"lengths": func(a *udpAct) {
		for i, host := range []string{"127.0.0.1", "[::1]"} {
			most := []int{65507, 65527}[i]
			server := a.open(host + ":0")
			c := a.connect(server)
			p := make([]byte, 70000)
			for _, size := range []int{0, 1, 1473, most - 1, most, most + 1, 65536, 70000} {
				sent := bytes.Repeat([]byte{byte(size)}, size)
				n, err := c.Write(sent)
				a.note(fmt.Sprint(host, " Write ", size), int64(n), err)
				if err == nil {
					n, from, err := server.ReadFrom(p)
					a.note(fmt.Sprint("ReadFrom ", size, bytes.Equal(p[:n], sent), from.String() == c.LocalAddr().String()), int64(n), err)
				}
			}
			for _, size := range []int{0, 3, 5, 6} {
				c.Write(hello)
				n, oobn, flags, from, err := server.ReadMsgUDP(p[:size], nil)
				a.note(fmt.Sprint("ReadMsgUDP ", size, oobn, flags&0x20, from.String() == c.LocalAddr().String()), int64(n), err)
				c.Write(hello)
				n, ap, err := server.ReadFromUDPAddrPort(p[:size])
				a.note(fmt.Sprint("ReadFromUDPAddrPort ", size, ap.String() == c.LocalAddr().String()), int64(n), err)
			}
			c.WriteMsgUDP(hello, nil, nil)
			server.WriteTo(nil, c.LocalAddr())
			n, err := c.Read(nil)
			a.note("Read nothing", int64(n), err)
			n, err = c.Read(p)
			a.note("Read an empty datagram", int64(n), err)
		}
	},
	"closed": func(a *udpAct) {
		server := a.open("127.0.0.1:0")
		for _, c := range []udpConn{a.connect(server), server} {
			to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
			later := make(chan error)
			go func() { _, err := c.Read(make([]byte, 1)); later <- err }()
			runtime.Gosched()
			a.err("Close", c.Close())
			a.err("a Read that waited", <-later)
			a.err("Close again", c.Close())
			n, err := c.Read(make([]byte, 1))
			a.note("Read", int64(n), err)
			n, err = c.Read(nil)
			a.note("Read nothing", int64(n), err)
			n, _, err = c.ReadFrom(make([]byte, 1))
			a.note("ReadFrom", int64(n), err)
			_, _, _, _, err = c.ReadMsgUDP(nil, nil)
			a.err("ReadMsgUDP", err)
			n, err = c.Write(hello)
			a.note("Write", int64(n), err)
			n, err = c.WriteTo(hello, to)
			a.note("WriteTo", int64(n), err)
			_, _, err = c.WriteMsgUDP(hello, nil, nil)
			a.err("WriteMsgUDP", err)
			a.err("SetDeadline", c.SetDeadline(time.Time{}))
			a.err("SetReadDeadline", c.SetReadDeadline(time.Time{}))
			a.err("SetWriteDeadline", c.SetWriteDeadline(time.Time{}))
			a.err("SetReadBuffer", c.SetReadBuffer(10000))
			a.err("SetWriteBuffer", c.SetWriteBuffer(10000))
			a.say("LocalAddr %v", c.LocalAddr())
			a.say("RemoteAddr %v", c.RemoteAddr())
		}
	},
	"deadlines": func(a *udpAct) {
		server := a.open("127.0.0.1:0")
		c := a.connect(server)
		c.Write(hello)
		server.SetReadDeadline(past)
		n, _, err := server.ReadFrom(make([]byte, 9))
		a.note("ReadFrom of what is there, late", int64(n), err)
		server.SetReadDeadline(time.Time{})
		n, _, err = server.ReadFrom(make([]byte, 9))
		a.note("ReadFrom without a deadline", int64(n), err)
		server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _, err = server.ReadFrom(make([]byte, 9))
		a.note("ReadFrom with a deadline", int64(n), err)
		c.SetWriteDeadline(past)
		n, err = c.Write(hello)
		a.note("Write, late", int64(n), err)
		server.SetWriteDeadline(past)
		n, err = server.WriteTo(hello, c.LocalAddr())
		a.note("WriteTo, late", int64(n), err)
	},
	"listening": func(a *udpAct) {
		taken := a.open("127.0.0.1:0")
		wild := a.open(":0")
		port, wildPort := itoa(int64(portOf(taken))), itoa(int64(portOf(wild)))
		for _, tc := range [][2]string{
			{"udp", "127.0.0.1:" + port}, {"udp4", "127.0.0.1:" + port}, {"udp", ":" + port}, {"udp4", ":" + port},
			{"udp6", ":" + port}, {"udp", "127.0.0.2:" + port}, {"udp", "[::1]:" + port},
			{"udp", ":" + wildPort}, {"udp", "127.0.0.1:" + wildPort}, {"udp4", ":" + wildPort}, {"udp6", ":" + wildPort}, {"udp", "[::1]:" + wildPort},
			{"udp", "192.0.2.1:0"}, {"udp", "[2001:db8::1]:0"}, {"udp", "0.0.0.0:0"}, {"udp4", "0.0.0.0:0"}, {"udp", "[::]:0"}, {"udp6", "[::]:0"}, {"udp4", ""}, {"udp", ""}, {"udp6", ""},
			{"udp", "localhost:0"}, {"udp4", "[::1]:0"}, {"udp6", "127.0.0.1:0"}, {"udp", "127.0.0.1"}, {"udp", "127.0.0.1:nosuchservice"}, {"udp", "127.0.0.1:66000"}, {"udp", "127.0.0.1:-1"},
			{"udp5", "127.0.0.1:0"}, {"tcp", "127.0.0.1:0"}, {"", "127.0.0.1:0"},
		} {
			c, err := a.udpNetwork.listen(tc[0], tc[1])
			a.err("ListenPacket "+tc[0]+" "+strings.NewReplacer(port, "taken", wildPort, "wild").Replace(tc[1]), err)
			if err == nil {
				a.say("LocalAddr %s %s", c.LocalAddr().Network(), c.LocalAddr().(*net.UDPAddr).IP)
				c.Close()
			}
		}
		taken.Close()
		again, err := a.udpNetwork.listen("udp", "127.0.0.1:"+port)
		a.err("ListenPacket again", err)
		if err == nil {
			again.Close()
		}
	},
	"dialing": func(a *udpAct) {
		taken := a.open("127.0.0.1:0")
		for _, tc := range []struct {
			network, address string
			local            net.Addr
		}{
			{"udp", "127.0.0.1:9", nil}, {"udp4", "127.0.0.1:9", nil}, {"udp6", "[::1]:9", nil}, {"udp", ":9", nil}, {"udp4", ":9", nil}, {"udp6", ":9", nil}, {"udp", "localhost:9", nil},
			{"udp", "0.0.0.0:9", nil}, {"udp", "[::]:9", nil}, {"udp", "127.0.0.1:domain", nil}, {"udp", "127.0.0.1:0", nil},
			{"udp", "", nil}, {"udp", "127.0.0.1", nil}, {"udp", "127.0.0.1:nosuchservice", nil}, {"udp4", "[::1]:9", nil}, {"udp6", "127.0.0.1:9", nil}, {"udp5", "127.0.0.1:9", nil},
			{"udp", "127.0.0.1:9", taken.LocalAddr()},
			{"udp", "127.0.0.1:9", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)}},
			{"udp", "127.0.0.1:9", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}},
			{"udp", "127.0.0.1:9", &net.UDPAddr{}},
			{"udp", "127.0.0.1:9", (*net.UDPAddr)(nil)},
			{"udp", "[::1]:9", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)}},
			{"udp", "127.0.0.1:9", &net.TCPAddr{}},
		} {
			c, err := a.udpNetwork.dial(net.Dialer{LocalAddr: tc.local}, tc.network, tc.address)
			a.err(fmt.Sprintf("Dial %s %s %T", tc.network, tc.address, tc.local), err)
			if err == nil {
				a.say("LocalAddr %s", c.LocalAddr().(*net.UDPAddr).IP)
				a.notes = append(a.notes, "RemoteAddr "+c.RemoteAddr().String())
				c.Close()
			}
		}
		_, err := a.udpNetwork.dial(net.Dialer{Deadline: past}, "udp", "127.0.0.1:9")
		a.err("Dial too late", err)
	},
	"families": func(a *udpAct) {
		for _, tc := range []struct{ network, address, to string }{
			{"udp", ":0", "127.0.0.1"}, {"udp", ":0", "[::1]"}, {"udp4", ":0", "127.0.0.1"}, {"udp6", ":0", "[::1]"},
			{"udp", "127.0.0.1:0", "127.0.0.1"}, {"udp", "[::1]:0", "[::1]"}, {"udp6", ":0", "127.0.0.1"}, {"udp4", ":0", "[::1]"},
		} {
			l, err := a.udpNetwork.listen(tc.network, tc.address)
			if err != nil {
				a.t.Fatal(err)
			}
			s := l.(udpConn)
			what := tc.network + " " + tc.address + " from " + tc.to
			d, err := a.udpNetwork.dial(net.Dialer{}, "udp", fmt.Sprintf("%s:%d", tc.to, portOf(s)))
			a.err("Dial "+what, err)
			c := d.(udpConn)
			c.Write(hello)
			c.Write(hello)
			c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err = c.Read(make([]byte, 9)); err != nil {
				a.err(what+": nobody hears it", err)
				s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			}
			n, from, err := s.ReadFromUDPAddrPort(make([]byte, 9))
			a.note("ReadFromUDPAddrPort "+what, int64(n), err)
			a.notes = append(a.notes, "from "+from.Addr().String())
			n, addr, err := s.ReadFromUDP(make([]byte, 9))
			a.note("ReadFromUDP "+what, int64(n), err)
			if err == nil {
				a.say("from %v, %d octets", addr.IP, len(addr.IP))
				n, err = s.WriteToUDP(hello, addr)
				a.note("WriteToUDP the source", int64(n), err)
				n, err = s.WriteToUDPAddrPort(hello, from)
				a.note("WriteToUDPAddrPort the source", int64(n), err)
				c.SetReadDeadline(time.Now().Add(time.Second))
				n, addr, err = c.ReadFromUDP(make([]byte, 9))
				a.note("ReadFromUDP of a connected socket", int64(n), err)
				if err == nil {
					a.say("from %v, %d octets", addr.IP, len(addr.IP))
				}
			}
			c.Close()
			s.Close()
		}
	},
}

func ipOf(a *net.UDPAddr) net.IP {
	if a == nil {
		return nil
	}
	return a.IP
}

func ap(ip string, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port))
}

// The same calls over the kernel's loopback and over a Stack's: the results are the same, texts,
// types and what errors.Is says of them.
func TestUDPAsTheKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the texts and errnos are Linux's")
	}
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skip("SKIPPED: no IPv6 loopback of the kernel here: ", err)
	} else {
		c.Close()
	}
	for name, do := range udpActs {
		t.Run(name, func(t *testing.T) {
			var notes [2][]string
			for i, n := range []udpNetwork{kernelUDP, vitroUDP(t)} {
				a := &udpAct{&act{t: t}, n}
				do(a)
				notes[i] = a.notes
			}
			if len(notes[0]) != len(notes[1]) {
				t.Errorf("%d notes of the kernel, %d of vitro", len(notes[0]), len(notes[1]))
			}
			for i := range min(len(notes[0]), len(notes[1])) {
				if k, v := notes[0][i], notes[1][i]; k != v {
					t.Errorf("kernel: %s\n        vitro:  %s", k, v)
				}
			}
		})
	}
}
