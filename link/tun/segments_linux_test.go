package tun

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// sink is the least that can be called a TCP server: it takes one connection, acknowledges
// what comes in order, and notes how it came. A lost segment it does not survive, but the
// kernel sends what is not acknowledged again.
type sink struct {
	t    *testing.T
	d    *Device
	want int

	nxt      seq.Num
	got      []byte
	supers   int
	partials int
	bad      int
	done     chan struct{}
}

func (s *sink) Receive(batch []wire.Packet) {
	for i := range batch {
		s.receive(&batch[i])
	}
}

func (s *sink) receive(p *wire.Packet) {
	if cap(p.Buf) != len(p.Buf) {
		s.t.Error("appending to a packet would write to its neighbour")
	}
	var ip wire.IP
	var seg wire.Segment
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP {
		return
	}
	if wire.VerifyTCP(&ip, p.Sum) != wire.FaultNone || wire.ParseTCP(ip.Payload, &seg) != wire.FaultNone {
		s.bad++
		return
	}
	flow, _ := ip.Flow()
	out := wire.Segment{Seq: 1, Flags: wire.ACK, Wnd: 65535}
	switch {
	case seg.Flags.Has(wire.SYN):
		s.nxt = seg.Seq.Add(1)
		out.Seq, out.Flags = 0, wire.SYN|wire.ACK
		out.Options = wire.Options{Set: wire.HasMSS | wire.HasWindowScale, MSS: 1460, WindowScale: 7}
	case seg.TextLen() > 0 && seg.Seq == s.nxt:
		if p.Sum == wire.ChecksumPartial {
			s.partials++
		}
		if p.GSO > 0 {
			s.supers++
			s.cut(p, &ip, &seg)
		}
		s.got = append(s.got, seg.Text...)
		s.nxt = seg.End()
		if len(s.got) >= s.want {
			defer close(s.done)
		}
	case seg.TextLen() == 0:
		return
	}
	out.Ack = s.nxt
	a := tcpPacket(&flow, out, wire.ChecksumPartial)
	if !s.d.Offload().Checksum {
		a = tcpPacket(&flow, out, wire.ChecksumNone)
	}
	s.d.Send([]wire.Packet{a})
}

// cut cuts a super-segment as it would have been cut for a wire.
func (s *sink) cut(p *wire.Packet, ip *wire.IP, seg *wire.Segment) {
	var sp wire.Splitter
	if f := sp.Start(p.Bytes(), p.GSO); f != wire.FaultNone {
		s.t.Errorf("a super-segment cannot be cut: %v", f)
		return
	}
	buf := make([]byte, sp.MaxLen())
	if len(buf) > s.d.MTU() {
		s.t.Errorf("pieces of %d octets, MTU %d", len(buf), s.d.MTU())
	}
	for n := sp.Next(buf); n > 0; n = sp.Next(buf) {
		var piece wire.IP
		if wire.ParseIP(buf[:n], &piece) != wire.FaultNone || wire.VerifyTCP(&piece, wire.ChecksumNone) != wire.FaultNone {
			s.t.Error("a piece with a wrong sum")
		}
	}
}

func TestKernelSendsSuperSegments(t *testing.T) {
	for _, c := range []struct {
		name, to  string
		noOffload bool
	}{
		{"IPv4", "10.1.0.2:80", false}, {"IPv6", "[fd00::2]:80", false},
		{"IPv4 without offload", "10.1.0.2:80", true}, {"IPv6 without offload", "[fd00::2]:80", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := netns.ForTest(t)
			d := open(t, ns, Config{Addrs: both, NoOffload: c.noOffload})
			sent := text(4 << 20)
			s := &sink{t: t, d: d, want: len(sent), done: make(chan struct{})}
			if err := d.Attach(s); err != nil {
				t.Fatal(err)
			}
			var conn net.Conn
			if err := ns.Do(func() (err error) { conn, err = net.Dial("tcp", c.to); return }); err != nil {
				t.Fatalf("%v; %+v", err, d.Stats())
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(limit))
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			select {
			case <-s.done:
			case <-time.After(limit):
				t.Fatal("the text has not arrived")
			}
			d.Close()
			st := d.Stats()
			if !bytes.Equal(s.got[:len(sent)], sent) || s.bad > 0 {
				t.Errorf("the text is another; %d bad segments", s.bad)
			}
			switch {
			case s.supers == 0:
				t.Errorf("no super-segment; %+v", st)
			case !c.noOffload && st.Received > 1000:
				t.Errorf("%d packets for 4 MiB: the kernel has cut them", st.Received)
			case c.noOffload && (st.Received < 2800 || st.Merged == 0):
				t.Errorf("without offload %d packets, %d merged", st.Received, st.Merged)
			}
			t.Logf("%d super-segments; %+v", s.supers, st)
		})
	}
}

// The other way: a client in this test sends more than one segment in one packet, and the
// kernel's server reads the right text.
func TestKernelTakesSuperSegments(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		flow         *wire.Flow
		sum          wire.Checksum
	}{
		{"IPv4", "10.1.0.1:5000", flow4, wire.ChecksumPartial}, {"IPv6", "[fd00::1]:5000", flow6, wire.ChecksumPartial},
		{"IPv4, sum complete", "10.1.0.1:5000", flow4, wire.ChecksumNone}, {"IPv6, sum complete", "[fd00::1]:5000", flow6, wire.ChecksumNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := netns.ForTest(t)
			d := open(t, ns, Config{Addrs: both})
			var l net.Listener
			if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", c.listen); return }); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			answers := make(chan wire.Segment, 100)
			d.Attach(receiverFunc(func(p *wire.Packet) {
				var ip wire.IP
				var seg wire.Segment
				if wire.ParseIP(p.Bytes(), &ip) == wire.FaultNone && ip.Proto == wire.ProtoTCP && wire.ParseTCP(ip.Payload, &seg) == wire.FaultNone {
					seg.Text = nil
					answers <- seg
				}
			}))
			send := func(s wire.Segment) {
				s.Wnd = 65535
				if err := d.Send([]wire.Packet{tcpPacket(c.flow, s, c.sum)}); err != nil {
					t.Fatal(err)
				}
			}
			awaitAck := func(ack seq.Num) wire.Segment {
				for {
					select {
					case a := <-answers:
						if a.Flags.Has(wire.RST) {
							t.Fatalf("reset: %v", &a)
						}
						if a.Ack == ack {
							return a
						}
					case <-time.After(limit):
						t.Fatalf("no acknowledgment of %d; %+v", ack, d.Stats())
					}
				}
			}
			send(wire.Segment{Seq: 1000, Flags: wire.SYN, Options: wire.Options{Set: wire.HasMSS, MSS: 1000}})
			irs := awaitAck(1001).Seq
			send(wire.Segment{Seq: 1001, Ack: irs.Add(1), Flags: wire.ACK})
			conn := accept(t, l)
			defer conn.Close()
			at, sent := seq.Num(1001), text(60000)
			for _, n := range []int{1, 1000, 1001, 20000, 37998} {
				send(wire.Segment{Seq: at, Ack: irs.Add(1), Flags: wire.ACK | wire.PSH, GSO: 1000, Text: sent[at-1001:][:n]})
				at = at.Add(uint32(n))
				awaitAck(at)
			}
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("the text is another, %v", err)
			}
			if s := d.Stats(); s.SentDropped > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(limit))
	return c
}

// Two devices and the kernel between them as a router: what enters the one as a
// super-segment leaves the other as packets of its smaller MTU, cut by the kernel from
// what the header said.
func TestKernelCutsSuperSegments(t *testing.T) {
	ns := netns.ForTest(t)
	in := open(t, ns, Config{Name: "in", Addrs: both})
	out := open(t, ns, Config{Name: "out", Addrs: []netip.Prefix{netip.MustParsePrefix("10.2.0.1/24")}, NoOffload: true})
	if err := ns.Sysctl("ipv4/ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	type piece struct {
		seq  seq.Num
		text []byte
	}
	pieces := make(chan piece, 1000)
	out.Attach(receiverFunc(func(p *wire.Packet) {
		var ip wire.IP
		if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP {
			return
		}
		if wire.VerifyTCP(&ip, p.Sum) != wire.FaultNone {
			t.Error("a piece with a wrong sum")
		}
		h := wire.TCP(ip.Payload)
		pieces <- piece{h.Seq(), bytes.Clone(h.Text())}
	}))
	f := flowOf("10.1.0.2", "10.2.0.2")
	sent := text(50000)
	in.Send([]wire.Packet{tcpPacket(f, wire.Segment{Seq: 7, Flags: wire.ACK, GSO: 1400, Text: sent}, wire.ChecksumPartial)})
	got := make([]byte, len(sent))
	for n := 0; n < len(sent); {
		select {
		case p := <-pieces:
			n += copy(got[p.seq-7:], p.text)
		case <-time.After(limit):
			s, _ := ns.Output(exec.Command("cat", "/proc/net/snmp"))
			t.Fatalf("%d octets of %d; %+v %+v\n%s", n, len(sent), in.Stats(), out.Stats(), s)
		}
	}
	if s := out.Stats(); !bytes.Equal(got, sent) || s.Received < 36 {
		t.Errorf("the text is another, or it came in %d packets, want 36", s.Received)
	}
}

func TestFlowKeepsToItsQueue(t *testing.T) {
	ns := netns.ForTest(t)
	d := open(t, ns, Config{Addrs: both, Queues: 4})
	s := &sink{t: t, d: d, want: 1 << 20, done: make(chan struct{})}
	d.Attach(s) // one flow and no lock: the race detector sees if two readers meet
	var conn net.Conn
	if err := ns.Do(func() (err error) { conn, err = net.Dial("tcp4", "10.1.0.2:80"); return }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	conn.Write(text(1 << 20))
	select {
	case <-s.done:
	case <-time.After(limit):
		t.Fatal("the text has not arrived")
	}
}
