package stack_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/wire"
)

// dark is a host with UDP sockets at the mercy of a script.
type dark struct {
	*hostile
	socks []*stack.UDP
	pings []*stack.Ping
}

func newDark(t testing.TB, script []byte) *dark {
	cfg := config()
	cfg.PortFirst, cfg.PortLast = 50000, 50007
	cfg.MaxUDPSockets, cfg.MaxUDPBuffers, cfg.MaxQueued, cfg.MaxPaths = 6, 20_000, 1<<16, 2
	cfg.ErrorRate = 1000
	d := &dark{hostile: &hostile{seat: newSeat(t, cfg), script: script}}
	d.link(stack.InterfaceConfig{MTU: 1300, ChecksumOffload: true, Prefixes: prefixes("10.1.0.1/24", "2001:db8:1::1/64")})
	return d
}

func (d *dark) at() netip.AddrPort {
	ports := [...]uint16{53, 54, 50000, 50001, 4000, 0}
	return netip.AddrPortFrom(netip.MustParseAddr(fuzzAddrs[d.next()%16]), ports[d.next()%6])
}

// arrives gives the stack something that is nearly right: a datagram, whole or cut, or an ICMP error or
// reply about what it has sent.
func (d *dark) arrives() {
	var b []byte
	from, to := d.at(), d.at()
	if from.Addr().Is4() != to.Addr().Is4() {
		from = netip.AddrPortFrom(to.Addr(), from.Port())
	}
	data := bytes.Repeat([]byte{d.next()}, int(d.next())*7)
	switch kind := d.next() % 6; {
	case kind < 2:
		b = datagramOf(from, to, data)
	case kind < 4 && len(d.last) > 0: // an answer to what was sent
		o := &d.last[int(d.next())%len(d.last)]
		if flow, f := o.ip.Flow(); f == wire.FaultNone {
			b = datagramOf(flow.LocalAddrPort(), flow.RemoteAddrPort(), data)
		}
	case len(d.last) > 0: // what ICMP says of it
		o := &d.last[int(d.next())%len(d.last)]
		m := wire.ICMPMessage{Kind: wire.ICMPEchoReply + wire.ICMPKind(d.next()%5), Code: d.next(), MTU: uint32(d.next()) << 4, Body: o.raw}
		if m.Kind == wire.ICMPEchoReply {
			m.ID, m.Seq, m.Body = o.icmp.ID, o.icmp.Seq, o.icmp.Body
		}
		b = icmp(o.ip.Dst.String(), o.ip.Src.String(), m)
	}
	for range d.next() % 3 { // damage
		if len(b) > 0 {
			b[int(d.next())%len(b)] ^= d.next()
		}
	}
	if wire.Version(b) == 4 && len(b) >= 28 {
		if h := wire.IPv4(b); d.next()&3 == 0 {
			h.SetFragment(false, d.next()&1 == 0, int(d.next())*8)
		}
		if v := wire.IPv4(b); v.HeaderLen() >= 20 && v.HeaderLen() <= len(b) {
			v.UpdateChecksum()
		}
	}
	sum := wire.ChecksumNone
	if d.next()&1 == 0 {
		sum = wire.ChecksumVerified
	}
	d.s.Arrive(d.now, 1+int(d.next()%2), &wire.Packet{Buf: b, Sum: sum})
}

func (d *dark) calls() {
	switch d.next() % 8 {
	case 0:
		if u, err := d.s.ListenUDP(d.at(), stack.UDPOptions{V6Only: d.next()&1 == 0}); err == nil {
			d.socks = append(d.socks, u)
		}
		return
	case 1:
		var local netip.AddrPort
		if d.next()&1 == 0 {
			local = d.at()
		}
		if u, err := d.s.DialUDP(local, d.at(), stack.UDPOptions{}); err == nil {
			d.socks = append(d.socks, u)
		}
		return
	case 2:
		if p, err := d.s.Ping(d.now, d.at().Addr(), stack.PingOptions{}); err == nil {
			d.pings = append(d.pings, p)
		}
		return
	}
	if len(d.socks) == 0 {
		return
	}
	i := int(d.next()) % len(d.socks)
	u := d.socks[i]
	switch d.next() % 8 {
	case 0:
		u.Close()
		d.socks = append(d.socks[:i], d.socks[i+1:]...)
	case 1, 2:
		if got, ok := u.Receive(make([]byte, 100)); ok && got.N > min(got.Len, 100) {
			d.t.Fatalf("%+v", got)
		}
	case 3:
		u.TakeError()
	case 4:
		u.SetReceiveBuffer(int(d.next()) << 8)
		u.SetSendBuffer(int(d.next()) << 8)
	default:
		_ = u.Send(d.now, d.at(), make([]byte, int(d.next())<<(d.next()%9)))
	}
}

// play runs the script. Nothing panics, what leaves is legal, the limits hold, and in the end, all
// sockets closed, nothing is left.
func (d *dark) play() stack.Stats {
	for len(d.script) > 0 {
		if d.next()&1 == 0 {
			d.arrives()
		} else {
			d.calls()
		}
		if d.next()&3 != 0 {
			if got := d.take(); len(got) > 0 {
				d.last = got
			}
		}
		if d.next()&31 == 0 {
			d.now = d.now.Add(time.Minute)
			d.s.Timeout(d.now)
		}
		st := d.s.Stats()
		if st.UDPSockets != len(d.socks) || st.UDPSockets > 6 || st.UDPBuffers > 20_000 {
			d.t.Fatalf("%d sockets of %d, %d octets", st.UDPSockets, len(d.socks), st.UDPBuffers)
		}
	}
	for _, u := range d.socks {
		u.Close()
	}
	for _, p := range d.pings {
		p.Close()
	}
	d.take()
	st := d.s.Stats()
	if st.UDPSockets != 0 || st.UDPBuffers != 0 {
		d.t.Fatalf("left over: %+v", st)
	}
	return st
}

func FuzzUDPArrive(f *testing.F) {
	f.Add([]byte{1, 0, 11, 0, 0, 1, 1, 0, 3, 4, 0, 0, 1, 9, 200, 0, 0, 0, 0, 1, 1})
	f.Add([]byte("another script of nothing in particular, with sockets that are opened and closed"))
	for seed := range uint64(4) {
		f.Add(dice(seed, 600))
	}
	f.Fuzz(func(t *testing.T, script []byte) { newDark(t, script[:min(len(script), 4096)]).play() })
}

func dice(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 11))
	script := make([]byte, n)
	for i := range script {
		script[i] = byte(random.Uint32())
	}
	return script
}

// Many scripts by dice, and what they reach.
func TestHostileDatagrams(t *testing.T) {
	var sum stack.Stats
	for seed := range uint64(300) {
		st := newDark(t, dice(seed, 3000)).play()
		sum.DatagramsIn += st.DatagramsIn
		sum.DatagramsOut += st.DatagramsOut
		sum.DatagramsUnheard += st.DatagramsUnheard
		sum.DatagramsDropped += st.DatagramsDropped
		sum.Fragmented += st.Fragmented
		sum.Paths += st.Paths
		for i, n := range st.Faults {
			sum.Faults[i] += n
		}
	}
	for what, n := range map[string]uint64{
		"in": sum.DatagramsIn, "out": sum.DatagramsOut, "unheard": sum.DatagramsUnheard, "dropped": sum.DatagramsDropped, "fragmented": sum.Fragmented,
		"checksums": sum.Faults[wire.FaultUDPChecksum], "lengths": sum.Faults[wire.FaultUDPLength],
	} {
		if n == 0 {
			t.Errorf("%s: never reached", what)
		}
	}
}
