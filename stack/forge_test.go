package stack_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// One stack alone, and packets forged by the test: what a host does that has never heard
// of the rules.

type seat struct {
	t     testing.TB
	s     *stack.Stack
	now   tcp.Time
	batch stack.Batch
	// passes: what is forwarded may be damaged, and is passed on as it came.
	passes bool
}

// newSeat is a host 10.0.0.1, 2001:db8::1 on interface 1.
func newSeat(t testing.TB, cfg stack.Config) *seat {
	t.Helper()
	x := &seat{t: t, s: stack.New(cfg), now: tcp.Time(time.Hour)}
	x.link(stack.InterfaceConfig{MTU: 1500, Prefixes: prefixes("10.0.0.1/24", "2001:db8::1/64")})
	return x
}

func (x *seat) link(cfg stack.InterfaceConfig) int {
	x.t.Helper()
	id, err := x.s.AddInterface(cfg)
	if err != nil {
		x.t.Fatalf("AddInterface: %v", err)
	}
	return id
}

// out is a packet that the stack sent.
type out struct {
	iface int
	raw   []byte
	ip    wire.IP
	seg   wire.Segment
	icmp  wire.ICMPMessage
	gso   uint16
	quote wire.Quote
}

// take returns what the stack sends now. Every packet must be legal.
func (x *seat) take() []out {
	x.t.Helper()
	var list []out
	for more := true; more; {
		more = x.s.Output(x.now, &x.batch)
		for i := range x.batch.Len() {
			iface, p := x.batch.Packet(i)
			if p.Head < wire.Headroom {
				x.t.Fatalf("a packet with %d octets of headroom", p.Head)
			}
			list = append(list, x.read(iface, p))
		}
		x.batch.Reset()
	}
	return list
}

func (x *seat) read(iface int, p *wire.Packet) out {
	x.t.Helper()
	o := out{iface: iface, raw: slices.Clone(p.Bytes()), gso: p.GSO}
	if f := wire.ParseIP(o.raw, &o.ip); f != wire.FaultNone && !(x.passes && !isOwn(&o.ip.Src)) {
		x.t.Fatalf("sent a packet with: %v", f)
	}
	switch {
	case x.passes && !isOwn(&o.ip.Src):
	case o.ip.Fragment:
	case o.ip.Proto == wire.ProtoTCP:
		if f := wire.VerifyTCP(&o.ip, p.Sum); f != wire.FaultNone {
			x.t.Fatalf("sent: %v", f)
		}
		if f := wire.ParseTCP(o.ip.Payload, &o.seg); f != wire.FaultNone {
			x.t.Fatalf("sent: %v", f)
		}
	case o.ip.Proto == wire.ProtoICMP || o.ip.Proto == wire.ProtoICMPv6:
		if f := wire.ParseICMP(&o.ip, &o.icmp); f != wire.FaultNone {
			x.t.Fatalf("sent: %v", f)
		}
		if o.icmp.Kind.IsError() {
			if f := wire.ParseQuote(o.icmp.Body, o.ip.V6, &o.quote); f != wire.FaultNone && !x.passes {
				x.t.Fatalf("sent an error that quotes: %v", f)
			}
		}
	}
	return o
}

// put gives the stack a packet by interface 1 and returns the answers.
func (x *seat) put(b []byte) []out { return x.putBy(1, b) }

func (x *seat) putBy(iface int, b []byte) []out {
	x.t.Helper()
	before := slices.Clone(b)
	x.s.Arrive(x.now, iface, &wire.Packet{Buf: b})
	if !slices.Equal(before, b) {
		x.t.Fatal("Arrive has written to the packet")
	}
	return x.take()
}

// say sends a segment from remote to local.
func (x *seat) say(remote, local netip.AddrPort, seg wire.Segment) []out {
	x.t.Helper()
	return x.put(segment(remote, local, seg))
}

func flowOf(from, to netip.AddrPort) wire.Flow {
	return wire.Flow{Local: wire.AddrFrom(from.Addr()), LocalPort: from.Port(), Remote: wire.AddrFrom(to.Addr()), RemotePort: to.Port()}
}

// segment is a whole packet.
func segment(from, to netip.AddrPort, seg wire.Segment) []byte {
	f := flowOf(from, to)
	return wire.AppendSegment(nil, &f, &seg, wire.ChecksumNone)
}

// icmp is a whole packet.
func icmp(from, to string, m wire.ICMPMessage) []byte {
	src, dst := wire.AddrFrom(netip.MustParseAddr(from)), wire.AddrFrom(netip.MustParseAddr(to))
	b := make([]byte, wire.ICMPLen(src, &m))
	if wire.PutICMP(b, src, dst, 0, 0, &m) == 0 {
		panic("no such message")
	}
	return b
}

// raw is a packet of a protocol without meaning, or one to damage.
func raw(from, to string, proto, hops uint8, payload []byte) []byte {
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	if src.Is4() {
		b := append(make([]byte, 20), payload...)
		h := wire.IPv4(b)
		h.SetHeaderLen(20)
		h.SetTotalLen(uint16(len(b)))
		h.SetTTL(hops)
		h.SetProtocol(proto)
		h.SetSrc(wire.AddrFrom(src))
		h.SetDst(wire.AddrFrom(dst))
		h.UpdateChecksum()
		return b
	}
	b := append(make([]byte, 40), payload...)
	h := wire.IPv6(b)
	h.SetTC(0)
	h.SetPayloadLen(uint16(len(payload)))
	h.SetNextHeader(proto)
	h.SetHopLimit(hops)
	h.SetSrc(wire.AddrFrom(src))
	h.SetDst(wire.AddrFrom(dst))
	return b
}

// none fails if the stack has answered.
func none(t testing.TB, what string, got []out) {
	t.Helper()
	for _, o := range got {
		t.Errorf("%s is answered by %v > %v, protocol %d %v", what, o.ip.Src, o.ip.Dst, o.ip.Proto, o.seg.Flags)
	}
}

// one returns the only answer.
func one(t testing.TB, what string, got []out) out {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("%s has %d answers; want 1", what, len(got))
	}
	return got[0]
}

var (
	peer4  = mustAP("10.0.0.9:4000")
	peer6  = mustAP("[2001:db8::9]:4000")
	local4 = mustAP("10.0.0.1:80")
	local6 = mustAP("[2001:db8::1]:80")
)

func syn(seq uint32) wire.Segment {
	return wire.Segment{Seq: seqNum(seq), Flags: wire.SYN, Wnd: 65535, Options: wire.Options{Set: wire.HasMSS, MSS: 1460}}
}

func isOwn(a *wire.Addr) bool {
	return slices.Contains([]string{"10.0.0.1", "10.1.0.1", "2001:db8::1", "2001:db8:1::1"}, a.String())
}
