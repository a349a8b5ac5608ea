package judges_test

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
	"golang.org/x/sys/unix"
)

// marker marks every hundredth ECT(0) packet of a direction over IPv6, where no checksum is of the
// field, and counts what it marks.
type marker struct{ seen, packets, octets atomic.Uint64 }

func (m *marker) see(p *wire.Packet) {
	b := p.Bytes()
	var ip wire.IP
	if b[0]>>4 != 6 || b[1]>>4&3 != 2 || m.seen.Add(1)%100 != 50 || wire.ParseIP(b, &ip) != wire.FaultNone {
		return
	}
	b[1] |= 3 << 4
	n := len(wire.TCP(ip.Payload).Text())
	m.octets.Add(uint64(n))
	if size := int(p.GSO); size > 0 && size < n {
		m.packets.Add(uint64((n + size - 1) / size))
	} else {
		m.packets.Add(1)
	}
}

// AccECN with the kernel, RFC 9768: both agree, whoever dials. What is marked on the way to the kernel
// vitro knows to the octet, and on the way back the kernel does. Linux 6.18 has the code, and
// refuses the sysctl that switches it on.
func TestAccECN(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{config: vitro.Config{ECN: tcp.ECNAccurate}}, func(t *testing.T, s setup, d way) {
		var out, in marker
		s.fault = &link.FaultConfig{Rule: func(dir link.Direction, p *wire.Packet) link.Verdict {
			if dir == link.Out {
				out.see(p)
			} else {
				in.see(p)
			}
			return link.Verdict{}
		}}
		w := newWorld(t, s)
		if err := w.ns.Sysctl("ipv4/tcp_ecn", "3"); err != nil {
			t.Skipf("SKIPPED, THE KERNEL HAS NO AccECN: %v", err)
		}
		v, k := d.ends(t, vitroSide{w}, kernelSide{w})
		if st := v.Status(); !st.AccECN || st.ECNMute {
			t.Fatalf("AccECN is %v, mute %v", st.AccECN, st.ECNMute)
		}
		transfer(t, w, v, k, 8<<20, 1)
		transfer(t, w, k, v, 8<<20, 2)
		st := v.Status()
		t.Logf("to the kernel %d packets, %d octets marked, from it %d, %d; %d reductions, r %+v, s %+v",
			out.packets.Load(), out.octets.Load(), in.packets.Load(), in.octets.Load(), st.Marks, st.ECNReceived, st.ECNSent)
		if (st.Marks > 0) != (out.packets.Load() > 0) || st.ECNMute {
			t.Errorf("%d packets were marked; %d reductions, mute %v", out.packets.Load(), st.Marks, st.ECNMute)
		}
		if st.ECNSent.CEB != out.octets.Load() || st.ECNReceived.CEB != in.octets.Load() || st.ECNReceived.CEP-5 != in.packets.Load() {
			t.Errorf("r is %+v and s %+v", st.ECNReceived, st.ECNSent)
		}
		// The kernel counts a super-segment from a TUN as one packet.
		if s.noOffload && st.ECNSent.CEP-5 != out.packets.Load() {
			t.Errorf("s.cep is %d", st.ECNSent.CEP)
		}
		if info := tcpInfo(t, k); s.noOffload && uint64(info.Delivered_ce) != in.packets.Load() {
			t.Errorf("the kernel knows of %d marks", info.Delivered_ce)
		}
	})
}

// Whatever kinds of ECN the two have, they agree on the best that both know: RFC 9768 table 2.
func TestAccECNFallsBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kernel   string // net.ipv4.tcp_ecn; from 3 on it is AccECN
		vitro    tcp.ECN
		dials    bool // vitro does
		on, best bool
	}{
		{"0", tcp.ECNAccurate, true, false, false},
		{"1", tcp.ECNAccurate, true, true, false},
		{"2", tcp.ECNAccurate, true, true, false},
		{"1", tcp.ECNAccurate, false, true, false},
		{"2", tcp.ECNAccurate, false, false, false},
		{"3", tcp.ECNRequest, true, true, false},
		{"3", tcp.ECNAccept, true, false, false},
		{"3", tcp.ECNAccept, false, true, true},
		{"3", tcp.ECNOff, false, false, false},
	} {
		t.Run(fmt.Sprintf("tcp_ecn %s, vitro %d, vitro dials %v", tc.kernel, tc.vitro, tc.dials), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{config: vitro.Config{ECN: tc.vitro}})
			if err := w.ns.Sysctl("ipv4/tcp_ecn", tc.kernel); err != nil {
				t.Skipf("SKIPPED, THE KERNEL HAS NO AccECN: %v", err)
			}
			v, k := way{families[0], tc.dials}.ends(t, vitroSide{w}, kernelSide{w})
			if st := v.Status(); st.ECN != tc.on || st.AccECN != tc.best {
				t.Errorf("ECN is %v, accurate %v", st.ECN, st.AccECN)
			}
			transfer(t, w, v, k, 1<<20, 1)
			transfer(t, w, k, v, 1<<20, 2)
		})
	}
}

// Wireshark reads what two Stacks say to each other of ECN: it knows ACE only where it has seen AccECN
// agreed in the handshake. Between text and its ACKs the counters of the option are those of Status.
func TestAccECNTshark(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	c := newCapture(t)
	marked := 0
	var ends [2]*vitro.Stack
	a, b := link.Pair(1500)
	faulty := link.Fault(a, link.FaultConfig{Rule: func(dir link.Direction, p *wire.Packet) link.Verdict {
		if h := p.Bytes(); dir == link.Out && h[1]>>4&3 == 2 {
			if marked++; marked%10 == 5 {
				h[1] |= 3 << 4
			}
		}
		return link.Verdict{}
	}})
	for i, l := range []link.Link{link.Tap(faulty, c.see), b} {
		var err error
		if ends[i], err = vitro.New(vitro.Config{ECN: tcp.ECNAccurate}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
		if err := ends[i].Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fd00::%d/64", i+1))}}); err != nil {
			t.Fatal(err)
		}
	}
	dialed, accepted := connect(t, vitroSide{&world{stack: ends[0]}}, vitroSide{&world{stack: ends[1]}}, netip.MustParseAddr("fd00::2"))
	transfer(t, &world{stack: ends[0]}, dialed, accepted, 1<<20, 1)
	said, heard := dialed.(*vitro.Conn).Status(), accepted.(*vitro.Conn).Status()
	packets := c.tshark(t, "tcp.flags.syn", "tcp.flags.ack", "tcp.flags.ae", "tcp.flags.cwr", "tcp.flags.ece", "tcp.flags.ace", "ipv6.src", "tcp.len",
		"tcp.options.acc_ecn.ee0b", "tcp.options.acc_ecn.eceb", "tcp.options.acc_ecn.ee1b", "_ws.malformed")
	if len(packets) < 10 {
		t.Fatalf("%d packets", len(packets))
	}
	for i, want := range []string{"111", "010"} {
		p := packets[i]
		if got := p["tcp.flags.ae"] + p["tcp.flags.cwr"] + p["tcp.flags.ece"]; p["tcp.flags.syn"] != "1" || got != want {
			t.Errorf("packet %d of the handshake has AE, CWR, ECE %s; want %s", i+1, got, want)
		}
	}
	ace, eceb, ee0b := "", "", ""
	for i, p := range packets[2:] {
		if p["_ws.malformed"] != "" || p["tcp.flags.ace"] == "" {
			t.Fatalf("packet %d: %v", i+3, p)
		}
		if p["ipv6.src"] == "fd00::2" {
			ace, eceb, ee0b = p["tcp.flags.ace"], cmp.Or(p["tcp.options.acc_ecn.eceb"], eceb), cmp.Or(p["tcp.options.acc_ecn.ee0b"], ee0b)
		}
	}
	k := heard.ECNReceived
	if said.ECNSent.CEP != k.CEP || fmt.Sprint(k.CEP&7, k.CEB&0xffffff, k.E0B&0xffffff) != ace+" "+eceb+" "+ee0b {
		t.Errorf("tshark reads ACE %s, ECEB %s, EE0B %s; the receiver has %+v, the sender %+v", ace, eceb, ee0b, k, said.ECNSent)
	}
}

func tcpInfo(t *testing.T, c *net.TCPConn) *unix.TCPInfo {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var got error
	if err := raw.Control(func(fd uintptr) { info, got = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || got != nil {
		t.Fatal(err, got)
	}
	return info
}
