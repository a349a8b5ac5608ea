package stack_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// hostile is a small world at the mercy of a script: a router with a listener that holds
// little, connections that come and go, and packets that are nearly right.
type hostile struct {
	*seat
	script []byte
	l      []*stack.Listener
	conns  []*stack.Conn
	last   []out  // what the stack sent last: what a peer would answer
	cookie []byte // of TCP Fast Open, given lately
}

func (h *hostile) next() byte {
	if len(h.script) == 0 {
		return 0
	}
	v := h.script[0]
	h.script = h.script[1:]
	return v
}

func (h *hostile) next32() uint32 {
	return binary.BigEndian.Uint32([]byte{h.next(), h.next(), h.next(), h.next()})
}

var fuzzAddrs = [...]string{"10.0.0.1", "10.0.0.9", "10.1.0.9", "2001:db8::1", "2001:db8::9", "2001:db8:1::9",
	"255.255.255.255", "224.0.0.1", "ff02::1", "127.0.0.1", "0.0.0.0", "::", "10.0.0.255", "10.1.0.1", "::1", "192.168.0.1"}

func newHostile(t testing.TB, script []byte) *hostile {
	cfg := config()
	cfg.Forward = true
	cfg.MaxTimeWait, cfg.MaxOrphans, cfg.MaxConnections, cfg.MaxPaths = 3, 3, 12, 2
	cfg.PortFirst, cfg.PortLast = 50000, 50003
	cfg.TCP.ReceiveBuffer, cfg.TCP.SendBuffer = 1<<14, 1<<14
	cfg.TCP.MaxBuffers = 1 << 17
	cfg.Keys = tcp.Keys{{Secret: []byte("nobody knows it"), PeerPort: 4001}}
	h := &hostile{seat: newSeat(t, cfg), script: script}
	h.passes = true
	h.link(stack.InterfaceConfig{MTU: 1300, MaxSuper: 20000, ChecksumOffload: true, Prefixes: prefixes("10.1.0.1/24", "2001:db8:1::1/64")})
	for _, o := range []stack.ListenOptions{{HalfOpen: 2, FastOpen: 2}, {HalfOpen: -1}} {
		l, err := h.s.Listen(netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(80+len(h.l))), 2, o)
		if err != nil {
			t.Fatal(err)
		}
		h.l = append(h.l, l)
	}
	return h
}

func (h *hostile) port() uint16 {
	return [...]uint16{80, 81, 82, 50000, 50001, 4000, 4001, 0}[h.next()%8]
}

// segment is one with ports and numbers that may fit something.
func (h *hostile) segment() []byte {
	from := netip.MustParseAddr(fuzzAddrs[h.next()%16])
	to := netip.MustParseAddr(fuzzAddrs[h.next()%16])
	if from.Is4() != to.Is4() {
		to = from
	}
	seg := wire.Segment{Flags: wire.Flags(h.next()), Wnd: uint16(h.next()) << 6, Up: uint16(h.next()), GSO: uint16(h.next())}
	seg.Seq, seg.Ack = seqNum(uint32(h.next())), seqNum(uint32(h.next()))
	seg.Options.Set = wire.OptionSet(h.next()) &^ wire.HasSACK
	seg.Options.MSS, seg.Options.WindowScale = uint16(h.next())*16, h.next()
	seg.Options.TSVal = uint32(h.next())
	seg.Text = make([]byte, int(h.next())*4)
	if seg.Options.Has(wire.HasFastOpen) {
		for i := range h.last { // a cookie that was given lately, to whomever
			if o := &h.last[i]; len(o.seg.Options.FastOpen) > 0 {
				h.cookie = o.seg.Options.FastOpen
			}
		}
		seg.Options.FastOpen = h.cookie
	}
	a, b := netip.AddrPortFrom(from, h.port()), netip.AddrPortFrom(to, h.port())
	if n := len(h.last); n > 0 && h.next()&1 == 0 { // an answer to what was sent
		o := &h.last[int(h.next())%n]
		if o.ip.Proto == wire.ProtoTCP && !o.ip.Fragment {
			f, _ := o.ip.Flow()
			a, b = f.LocalAddrPort(), f.RemoteAddrPort()
			seg.Seq = o.seg.Ack.Add(uint32(int8(seg.Seq)) >> 1 << 1)
			seg.Ack = o.seg.End().Add(uint32(int8(seg.Ack)) >> 7)
			seg.Options.TSEcr = o.seg.Options.TSVal
		}
	}
	return segment(a, b, seg)
}

func (h *hostile) packet() []byte {
	var b []byte
	switch h.next() % 6 {
	case 0, 1, 2:
		b = h.segment()
	case 3:
		b = raw(fuzzAddrs[h.next()%3], fuzzAddrs[h.next()%3], h.next(), h.next(), h.script[:min(len(h.script), 40)])
	case 4: // an error about what was sent
		m := wire.ICMPMessage{Kind: wire.ICMPUnreachable + wire.ICMPKind(h.next()%4), Code: h.next(), MTU: h.next32() >> 16}
		to := "10.0.0.1"
		if n := len(h.last); n > 0 {
			o := &h.last[int(h.next())%n]
			m.Body = o.raw
			if o.ip.V6 {
				to = "2001:db8::1"
			}
		}
		b = icmp(map[bool]string{true: "10.0.0.9", false: "2001:db8::9"}[to == "10.0.0.1"], to, m)
	case 5:
		b = append([]byte(nil), h.script[:min(len(h.script), 60)]...)
	}
	for range h.next() % 4 { // damage
		if len(b) > 0 {
			b[int(h.next())%len(b)] ^= h.next()
		}
	}
	if wire.Version(b) == 4 && len(b) >= 20 && h.next()&1 == 0 {
		if v := wire.IPv4(b); v.HeaderLen() >= 20 && v.HeaderLen() <= len(b) {
			v.UpdateChecksum()
		}
	}
	return b
}

func (h *hostile) user() {
	switch h.next() % 4 {
	case 0:
		to := netip.AddrPortFrom(netip.MustParseAddr(fuzzAddrs[h.next()%16]), h.port())
		var local netip.AddrPort
		if h.next()&1 == 0 {
			local = netip.AddrPortFrom(netip.Addr{}, h.port())
		}
		if c, err := h.s.Dial(h.now, local, to, stack.ConnOptions{FastOpen: h.next()&1 == 0}); err == nil {
			h.conns = append(h.conns, c)
		}
		return
	case 1:
		if c := h.l[h.next()%2].Accept(h.now); c != nil {
			h.conns = append(h.conns, c)
		}
		return
	}
	if len(h.conns) == 0 {
		return
	}
	i := int(h.next()) % len(h.conns)
	c := h.conns[i]
	switch h.next() % 7 {
	case 0:
		c.Send(h.now, make([]byte, int(h.next())*64))
	case 1:
		c.Receive(h.now, make([]byte, 1000))
	case 2:
		c.Close(h.now)
	case 3:
		c.CloseReceive(h.now, tcp.ReceiveEnd(h.next()%3))
	case 4:
		c.Abort(h.now)
	case 5:
		c.SendUrgent(h.now, []byte("!"))
	case 6:
		c.Release(h.now)
		h.conns = append(h.conns[:i], h.conns[i+1:]...)
	}
}

func (h *hostile) step() {
	switch h.next() % 8 {
	case 0, 1, 2, 3:
		b := h.packet()
		sum := wire.ChecksumNone
		if h.next()&1 == 0 {
			sum = wire.ChecksumVerified // so that damage behind the IP header gets in
		}
		h.s.Arrive(h.now, 1+int(h.next()%2), &wire.Packet{Buf: b, GSO: uint16(h.next() % 3 * 100), Sum: sum})
	case 4, 5:
		h.user()
	case 6:
		if d := h.s.Deadline(); d != tcp.Never {
			if d < h.now {
				h.t.Fatalf("the deadline is %v ago", h.now.Sub(d))
			}
			h.now = d
			h.s.Timeout(h.now)
			h.take()
			if h.s.Deadline() <= d {
				h.t.Fatalf("Timeout at the deadline has not moved it")
			}
		}
	case 7:
		h.now = h.now.Add(time.Duration(h.next()) << (h.next() % 32))
		h.s.Timeout(h.now)
	}
	if got := h.take(); len(got) > 0 { // every packet sent is legal
		h.last = got
	}
	checkCounters(h.t, h.s)
	st := h.s.Stats()
	if st.Connections > 12+len(h.conns) || st.TimeWait > 3 || st.Paths > 2 || st.Orphans > 3 {
		h.t.Fatalf("beyond the limits: %d connections, %d records, %d paths, %d orphans", st.Connections, st.TimeWait, st.Paths, st.Orphans)
	}
}

// playHostile runs a script. Whatever arrives, nothing panics, what leaves is legal, the counters
// agree with what there is, and the limits hold. In the end, with everything released,
// nothing is left.
func playHostile(t *testing.T, script []byte) stack.Stats {
	h := newHostile(t, script)
	for len(h.script) > 0 {
		h.step()
	}
	for _, l := range h.l {
		l.Close(h.now)
	}
	for _, c := range h.conns {
		c.Release(h.now)
	}
	h.take()
	for n := 0; h.s.Deadline() != tcp.Never; n++ {
		if n > 10000 {
			t.Fatalf("no end: %+v", h.s.Connections())
		}
		h.now = max(h.now, h.s.Deadline())
		h.s.Timeout(h.now)
		h.take()
	}
	st := h.s.Stats()
	if st.Connections != 0 || st.TimeWait != 0 || st.Buffers != 0 || st.HalfOpen != 0 || st.Orphans != 0 || st.Fragments != 0 {
		t.Fatalf("left over: %+v", st)
	}
	return st
}

func FuzzStackArrive(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 255, 0, 0, 1, 1, 1, 90, 7, 5, 0, 5, 0})
	f.Add([]byte("a script of nothing in particular, which is as good a start as any other one"))
	f.Fuzz(func(t *testing.T, script []byte) {
		playHostile(t, script[:min(len(script), 4096)])
	})
}

// Many scripts by dice, and what they reach.
func TestHostileScripts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var reached [tcp.NumRules]uint64
	var forwarded, cookies, resets uint64
	for range 600 {
		script := make([]byte, 3000)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		st := playHostile(t, script)
		for i, n := range st.Rules {
			reached[i] += n
		}
		forwarded, cookies, resets = forwarded+st.Forwarded, cookies+st.CookiesSent, resets+st.Resets
	}
	for _, r := range []tcp.Rule{tcp.RuleMartian, tcp.RuleNoConnection, tcp.RuleListenAck, tcp.RuleListenReset, tcp.RuleUnacceptable, tcp.RuleAuthMissing, tcp.RuleAuthBad} {
		if reached[r] == 0 {
			t.Errorf("%v is never reached", r)
		}
	}
	if forwarded == 0 || cookies == 0 || resets == 0 {
		t.Errorf("%d forwarded, %d cookies, %d resets", forwarded, cookies, resets)
	}
}
