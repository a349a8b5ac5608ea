package tcp_test

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// authEnd is a machine whose segments go over the wire as octets.
type authEnd struct {
	*tcp.Conn
	t    testing.TB
	flow wire.Flow
	buf  []byte
	seg  wire.Segment
	ip   wire.IP
	rule tcp.Rule // by which the last segment was dropped
}

func newAuthEnd(t testing.TB, flow wire.Flow, cfg tcp.Config, keys ...tcp.Key) *authEnd {
	t.Helper()
	e := &authEnd{t: t, flow: flow, buf: make([]byte, 2000)}
	if cfg.ISN == nil {
		cfg.ISN = func(_ tcp.Time, f wire.Flow) seq.Num { return seq.Num(f.LocalPort) * 1000 }
	}
	cfg.Trace = &tcp.Trace{Drop: func(_ tcp.Observed, _ tcp.Time, _ *wire.Segment, rule tcp.Rule) { e.rule = rule }}
	e.Conn = tcp.New(&cfg, flow, 1500)
	if err := e.SetKeys(keys); err != nil {
		t.Fatal(err)
	}
	return e
}

// packet returns the next packet to send, nil when there is none. It is in force until the next.
func (e *authEnd) packet(now tcp.Time) []byte {
	if !e.Output(now, &e.seg) {
		return nil
	}
	n := wire.PutSegment(e.buf, &e.flow, &e.seg, wire.ChecksumPartial)
	e.Sign(e.buf[wire.HeaderLen(&e.flow, &e.seg)-wire.TCPHeaderLenOf(&e.seg) : n])
	return e.buf[:n]
}

// take gives a packet to the machine, and reports whether it was authentic.
func (e *authEnd) take(now tcp.Time, packet []byte) bool {
	if wire.ParseIP(packet, &e.ip) != wire.FaultNone || wire.ParseTCP(e.ip.Payload, &e.seg) != wire.FaultNone {
		e.t.Fatal("an illegal packet was sent")
	}
	if !e.Authenticate(now, &e.seg, e.ip.Payload) {
		return false
	}
	e.Arrive(now, &e.seg)
	return true
}

// pass hands on all that from has to send, and returns how many packets that were.
func pass(now tcp.Time, from, to *authEnd) (n int) {
	for b := from.packet(now); b != nil; b = from.packet(now) {
		if !to.take(now, b) {
			from.t.Fatalf("what one end has signed is dropped at the other: %v", to.rule)
		}
		n++
	}
	return n
}

var keyA = tcp.Key{SendID: 5, RecvID: 6, Secret: []byte("a secret of both ends")}

func mirror(k tcp.Key) tcp.Key {
	k.SendID, k.RecvID = k.RecvID, k.SendID
	return k
}

// authJoined are two ends of an established connection.
func authJoined(t testing.TB, flow wire.Flow, cfg tcp.Config, k tcp.Key) (a, b *authEnd) {
	t.Helper()
	a, b = newAuthEnd(t, flow, cfg, k), newAuthEnd(t, flow.Reverse(), cfg, mirror(k))
	b.Open(epoch, tcp.Passive)
	a.Open(epoch, tcp.Active)
	for pass(epoch, a, b)+pass(epoch, b, a) > 0 {
		continue
	}
	if a.State() != tcp.Established || b.State() != tcp.Established {
		t.Fatalf("A is %v and B is %v; want both ESTABLISHED", a.State(), b.State())
	}
	return a, b
}

// Four traffic keys: in a simultaneous open both SYNs have one of their own. RFC 5925 section
// 3.2, RFC 9293 Figure 7.
func TestAuthenticatedSimultaneousOpen(t *testing.T) {
	for _, algorithm := range []tcp.KeyAlgorithm{tcp.SHA1, tcp.AES128} {
		k := keyA
		k.Algorithm = algorithm
		a, b := newAuthEnd(t, someFlow, tcp.Config{}, k), newAuthEnd(t, someFlow.Reverse(), tcp.Config{}, mirror(k))
		a.Open(epoch, tcp.Active)
		b.Open(epoch, tcp.Active)
		synA, synB := bytes.Clone(a.packet(epoch)), bytes.Clone(b.packet(epoch))
		if !a.take(epoch, synB) || !b.take(epoch, synA) {
			t.Fatalf("a crossed SYN is dropped: %v, %v", a.rule, b.rule)
		}
		synA, synB = bytes.Clone(a.packet(epoch)), bytes.Clone(b.packet(epoch)) // SYN,ACK now
		if !a.take(epoch, synB) || !b.take(epoch, synA) {
			t.Fatalf("a crossed SYN,ACK is dropped: %v, %v", a.rule, b.rule)
		}
		for pass(epoch, a, b)+pass(epoch, b, a) > 0 {
			continue
		}
		if a.State() != tcp.Established || b.State() != tcp.Established {
			t.Errorf("A is %v and B is %v", a.State(), b.State())
		}
	}
}

// Arrive takes nothing that Authenticate has not passed, and each once.
func TestArriveWantsAuthentication(t *testing.T) {
	a, b := authJoined(t, someFlow, tcp.Config{}, keyA)
	a.Send(epoch, []byte("text"))
	p := bytes.Clone(a.packet(epoch))
	var seg wire.Segment
	wire.ParseIP(p, &b.ip)
	wire.ParseTCP(b.ip.Payload, &seg)
	b.Arrive(epoch, &seg)
	if st := b.Status(); st.Unread != 0 || b.rule != tcp.RuleAuthMissing {
		t.Errorf("%d octets were taken of a segment that nobody has judged; %v", st.Unread, b.rule)
	}
	if !b.take(epoch, p) {
		t.Fatalf("dropped: %v", b.rule)
	}
	wire.ParseTCP(b.ip.Payload, &seg)
	b.rule = 0
	b.Arrive(epoch, &seg)
	if st := b.Status(); st.Unread != 4 || b.rule != tcp.RuleAuthMissing {
		t.Errorf("%d octets; the second time: %v", st.Unread, b.rule)
	}
}

// An octet of the MAC, a MAC that is cut short, and one with more to it: RFC 5925 section 7.5,
// steps 2.a and 2.d.
func TestEveryBitOfTheMACCounts(t *testing.T) {
	a, b := authJoined(t, someFlow, tcp.Config{}, keyA)
	a.Send(epoch, []byte("text"))
	p := bytes.Clone(a.packet(epoch))
	wire.ParseIP(p, &b.ip)
	at, n := wire.FindAO(b.ip.Payload)
	for i := 4; i < n; i++ {
		for bit := range 8 {
			p[20+at+i] ^= 1 << bit
			if b.take(epoch, p) || b.rule != tcp.RuleAuthBad {
				t.Errorf("octet %d bit %d of the MAC is changed: %v", i-4, bit, b.rule)
			}
			p[20+at+i] ^= 1 << bit
		}
	}
	for _, length := range []byte{4, 8, 12, 15} {
		short := bytes.Clone(p)
		short[20+at+1] = length
		for i := 20 + at + int(length); i < 20+at+n; i++ {
			short[i] = 1 // no operation
		}
		if b.take(epoch, short) || b.rule != tcp.RuleAuthLength {
			t.Errorf("TCP-AO of %d octets: %v", length, b.rule)
		}
	}
	if !b.take(epoch, p) {
		t.Errorf("what was not changed is dropped: %v", b.rule)
	}
}

// The header of a segment with TCP-AO never has more than 60 octets, and what it takes is no
// text's (MUST-16): of SACK blocks one fits beside timestamps, two without.
func TestRoomForAuthentication(t *testing.T) { // MUST-16
	for _, c := range []struct {
		none   bool // no timestamps
		blocks uint8
	}{{false, 1}, {true, 2}} {
		a, b := authJoined(t, someFlow, tcp.Config{NoTimestamps: c.none}, keyA)
		a.SetSuperSegment(65535) // in vain: a MAC is that of one segment
		a.Send(epoch, make([]byte, 8*1460))
		most := 0
		for i := 0; ; i++ {
			p := a.packet(epoch)
			if p == nil {
				break
			}
			most = max(most, len(p))
			if i%2 == 1 { // every other is lost
				b.take(epoch, p)
			}
		}
		if most != 1500 {
			t.Errorf("the largest packet has %d octets; want 1500", most)
		}
		var last wire.Segment
		b.Send(epoch, make([]byte, 3000))
		for p := b.packet(epoch); p != nil; p = b.packet(epoch) {
			last = b.seg
			if len(p) > 1500 || wire.TCPHeaderLenOf(&last) > 60 {
				t.Errorf("a packet of %d octets, the header has %d", len(p), wire.TCPHeaderLenOf(&last))
			}
			if !a.take(epoch, p) {
				t.Fatalf("dropped: %v", a.rule)
			}
		}
		if last.Options.NSACK != c.blocks {
			t.Errorf("%d SACK blocks beside TCP-AO; want %d", last.Options.NSACK, c.blocks)
		}
	}
}

// A passive connection that goes back to LISTEN knows nothing of the SYN that was.
func TestAuthenticatedRelisten(t *testing.T) {
	second := tcp.Key{SendID: 15, RecvID: 16, Secret: []byte("another")}
	a := newAuthEnd(t, someFlow, tcp.Config{}, second)
	b := newAuthEnd(t, someFlow.Reverse(), tcp.Config{}, mirror(keyA), mirror(second))
	b.Open(epoch, tcp.Passive)
	a.Open(epoch, tcp.Active)
	pass(epoch, a, b)
	a.take(epoch, b.packet(epoch))
	a.Abort(epoch) // a reset, signed
	pass(epoch, a, b)
	if got := b.Status().Auth; b.State() != tcp.Listen || got.CurrentKey != keyA.RecvID || got.Heard {
		t.Fatalf("B is %v: %+v", b.State(), got)
	}
	a = newAuthEnd(t, someFlow, tcp.Config{ISN: func(tcp.Time, wire.Flow) seq.Num { return 77 }}, keyA)
	a.Open(epoch, tcp.Active)
	for pass(epoch, a, b)+pass(epoch, b, a) > 0 {
		continue
	}
	if a.State() != tcp.Established || b.State() != tcp.Established {
		t.Errorf("A is %v and B is %v", a.State(), b.State())
	}
}

// The established path allocates nothing with keys either.
func TestAuthenticationAllocatesNothing(t *testing.T) {
	for _, algorithm := range []tcp.KeyAlgorithm{tcp.SHA1, tcp.AES128} {
		k := keyA
		k.Algorithm = algorithm
		a, b := authJoined(t, someFlow, tcp.Config{}, k)
		now, text, buffer := epoch, make([]byte, 10_000), make([]byte, 20_000)
		exchange := func() {
			a.Send(now, text)
			for pass(now, a, b)+pass(now, b, a) > 0 {
				b.Receive(buffer)
			}
			now = now.Add(50 * time.Millisecond)
			a.Timeout(now)
			b.Timeout(now)
		}
		for range 10 {
			exchange()
		}
		if got := testing.AllocsPerRun(100, exchange); got > 0 {
			t.Errorf("%v: an exchange makes %v allocations; want none", algorithm, got)
		}
	}
}

// The verifier against whatever comes: it takes a segment only if its MAC is the one computed
// here, by the letter of RFC 5925 section 5.1 and RFC 5926, for the key that the segment names.
func FuzzAuthenticate(f *testing.F) {
	f.Add([]byte{0x80, 0x10, 0, 9, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 29, 16, 6, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1}, uint32(1), false, false, true)
	f.Add([]byte{0x60, 0x12, 0, 9, 0, 0, 0, 0, 29, 4, 6, 5}, uint32(1<<31), true, true, true)
	f.Add([]byte{0x90, 0x04, 0, 9, 0, 0, 0, 0, 29, 16, 6, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, uint32(7), true, false, false)
	f.Fuzz(func(t *testing.T, rest []byte, number uint32, aes128, exclude, right bool) {
		k := keyA
		k.ExcludeOptions = exclude
		if aes128 {
			k.Algorithm = tcp.AES128
		}
		a, b := authJoined(t, someFlow, tcp.Config{}, k)
		h := make([]byte, 12, 12+len(rest))
		binary.BigEndian.PutUint16(h, someFlow.LocalPort)
		binary.BigEndian.PutUint16(h[2:], someFlow.RemotePort)
		st := b.Status()
		binary.BigEndian.PutUint32(h[4:], uint32(st.RcvNxt)+number)
		binary.BigEndian.PutUint32(h[8:], uint32(st.SndNxt))
		h = append(h, rest...)
		var seg wire.Segment
		if len(h) > 60_000 || wire.ParseTCP(h, &seg) != wire.FaultNone {
			return
		}
		at, n := wire.FindAO(h)
		if right && n == 16 {
			copy(h[at+4:], slowMAC(&k, a.Status(), h, at))
		}
		want := n == 16 && h[at+2] == k.SendID && bytes.Equal(h[at+4:at+16], slowMAC(&k, a.Status(), h, at))
		before := bytes.Clone(h)
		got := b.Authenticate(epoch, &seg, h)
		if got != want || !bytes.Equal(h, before) {
			t.Fatalf("authentic: %v; want %v (%v), TCP-AO of %d octets at %d", got, want, b.rule, n, at)
		}
		if got {
			b.Arrive(epoch, &seg)
		}
	})
}

// slowMAC computes the MAC of a segment of the connection whose sender has the status st. Numbers
// below the initial one stand for those of the round before.
func slowMAC(k *tcp.Key, st tcp.Status, h []byte, at int) []byte {
	f := st.Flow
	context := append([]byte("\x01TCP-AO"), f.Local[12:]...)
	context = append(context, f.Remote[12:]...)
	context = binary.BigEndian.AppendUint16(context, f.LocalPort)
	context = binary.BigEndian.AppendUint16(context, f.RemotePort)
	first := h[13]&0x12 == 2
	number := binary.BigEndian.Uint32(h[4:])
	if first {
		context = binary.BigEndian.AppendUint32(context, number)
		context = append(context, 0, 0, 0, 0)
	} else {
		context = binary.BigEndian.AppendUint32(context, uint32(st.ISS))
		context = binary.BigEndian.AppendUint32(context, uint32(st.IRS))
	}
	extension := uint32(0)
	if below := int64(st.SndNxt) + int64(int32(number-uint32(st.SndNxt))); below < 0 && !first {
		extension = 1<<32 - 1
	}
	message := binary.BigEndian.AppendUint32(nil, extension)
	message = append(message, f.Local[12:]...)
	message = append(message, f.Remote[12:]...)
	message = append(message, 0, 6)
	message = binary.BigEndian.AppendUint16(message, uint16(len(h)))
	off := int(h[12]>>4) * 4
	header := bytes.Clone(h[:off])
	header[16], header[17] = 0, 0
	clear(header[at+4 : at+int(h[at+1])])
	if k.ExcludeOptions {
		header = append(header[:20:20], header[at:at+int(h[at+1])]...)
	}
	message = append(append(message, header...), h[off:]...)
	if k.Algorithm == tcp.AES128 {
		derived := slowCMAC(make([]byte, 16), k.Secret)
		traffic := slowCMAC(derived, append(context, 0, 128))
		return slowCMAC(traffic, message)[:12]
	}
	prf := hmac.New(sha1.New, k.Secret)
	prf.Write(append(context, 0, 160))
	mac := hmac.New(sha1.New, prf.Sum(nil))
	mac.Write(message)
	return mac.Sum(nil)[:12]
}

// slowCMAC is AES-CMAC as NIST SP 800-38B section 6 has it, bit by bit.
func slowCMAC(key, message []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	sub := make([]byte, 16)
	block.Encrypt(sub, sub)
	rounds := 1
	if len(message) == 0 || len(message)%16 != 0 {
		rounds = 2
		message = append(bytes.Clone(message), 0x80)
		for len(message)%16 != 0 {
			message = append(message, 0)
		}
	}
	for range rounds {
		top := sub[0] >> 7
		for i := range sub {
			sub[i] <<= 1
			if i < 15 {
				sub[i] |= sub[i+1] >> 7
			}
		}
		if top == 1 {
			sub[15] ^= 0x87
		}
	}
	x := make([]byte, 16)
	for i, b := range message {
		if i >= len(message)-16 {
			b ^= sub[i%16]
		}
		x[i%16] ^= b
		if i%16 == 15 {
			block.Encrypt(x, x)
		}
	}
	return x
}

// What a key costs a segment of 1432 octets: to sign it, and to judge it, so that a forger
// knows what he costs.
func BenchmarkAuthenticate(b *testing.B) {
	for _, algorithm := range []tcp.KeyAlgorithm{tcp.SHA1, tcp.AES128} {
		k := keyA
		k.Algorithm = algorithm
		from, to := authJoined(b, someFlow, tcp.Config{}, k)
		from.Send(epoch, make([]byte, 1432))
		p := from.packet(epoch)
		wire.ParseIP(p, &to.ip)
		wire.ParseTCP(to.ip.Payload, &to.seg)
		b.Run(algorithm.String()+"/sign", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for range b.N {
				from.Sign(to.ip.Payload)
			}
		})
		b.Run(algorithm.String()+"/judge", func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for range b.N {
				if !to.Authenticate(epoch, &to.seg, to.ip.Payload) {
					b.Fatal("not authentic")
				}
			}
		})
	}
}
