package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// keysAB are one key as A has it, and as B has it.
func keysAB(a, b uint8, secret string) (ofA, ofB tcp.Key) {
	ofA = tcp.Key{SendID: a, RecvID: b, Secret: []byte(secret)}
	ofB = tcp.Key{SendID: b, RecvID: a, Secret: []byte(secret)}
	return ofA, ofB
}

// keyed is a pair whose connection has keys, and is established.
type keyed struct {
	*pair
	l              *stack.Listener
	client, server *stack.Conn
}

func newKeyed(t *testing.T, remote netip.Addr, a, b tcp.Keys) *keyed {
	t.Helper()
	k := &keyed{pair: newPair(t, config(), config())}
	k.l = k.listen(k.b, ap(remote, 179), stack.ListenOptions{Conn: stack.ConnOptions{Keys: b}})
	k.client = k.dialKeys(ap(remote, 179), a)
	k.run(3 * delay)
	if k.server = k.l.Accept(k.now); k.server == nil {
		t.Fatalf("nothing to accept; the client is %v", k.client.State())
	}
	k.want(k.client, tcp.Established)
	return k
}

func (p *pair) dialKeys(remote netip.AddrPort, keys tcp.Keys) *stack.Conn {
	p.t.Helper()
	c, err := p.a.Dial(p.now, netip.AddrPort{}, remote, stack.ConnOptions{Keys: keys})
	if err != nil {
		p.t.Fatalf("Dial(%v): %v", remote, err)
	}
	return c
}

// inject lets B, or A, receive a packet that nobody of the two has sent.
func (k *keyed) inject(to int, packet []byte) {
	k.ends[to].Arrive(k.now, 1, &wire.Packet{Buf: packet})
	k.run(3 * delay)
}

// last returns the last packet of an end (0 is A) for which ok holds.
func (k *keyed) last(from int, ok func(*sent) bool) *sent {
	k.t.Helper()
	for _, s := range slices.Backward(k.seen) {
		if s.from == from && ok(&s) {
			return &s
		}
	}
	k.t.Fatalf("end %d has sent no such packet", from)
	return nil
}

// repack makes a packet of an altered segment, with a checksum that fits.
func repack(s *sent, alter func(h wire.TCP)) []byte {
	b := bytes.Clone(s.ip.Packet)
	h := wire.TCP(b[s.ip.HeaderLen:])
	alter(h)
	h.SetChecksum(0)
	h.SetChecksum(^wire.Sum(wire.PseudoSum(&s.ip.Src, &s.ip.Dst, wire.ProtoTCP, len(h)), h))
	return b
}

// A whole life with keys: every segment has TCP-AO and all that has come was authentic, with both
// algorithms, with options covered and not, over both versions of IP, while packets are lost,
// and though the sequence numbers of both ends pass 2^32.
func TestAuthenticatedLife(t *testing.T) {
	for _, algorithm := range []tcp.KeyAlgorithm{tcp.SHA1, tcp.AES128} {
		for _, exclude := range []bool{false, true} {
			for _, remote := range []netip.Addr{addrB, addrB6} {
				t.Run(fmt.Sprint(algorithm, exclude, remote), func(t *testing.T) {
					authenticatedLife(t, algorithm, exclude, remote)
				})
			}
		}
	}
}

func authenticatedLife(t *testing.T, algorithm tcp.KeyAlgorithm, exclude bool, remote netip.Addr) {
	a, b := keysAB(1, 2, "correct horse battery staple")
	for _, key := range []*tcp.Key{&a, &b} {
		key.Algorithm, key.ExcludeOptions = algorithm, exclude
	}
	cfg := config()
	cfg.TCP.ISN = func(tcp.Time, wire.Flow) seq.Num { return 1<<32 - 20_000 }
	k := &keyed{pair: newPair(t, cfg, cfg)}
	random := rand.New(rand.NewPCG(1, 2))
	k.lose = func(int, *wire.Packet) bool { return random.IntN(20) == 0 }
	k.l = k.listen(k.b, ap(remote, 179), stack.ListenOptions{Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	k.client = k.dialKeys(ap(remote, 179), tcp.Keys{a})
	for range 100 {
		if k.server = k.l.Accept(k.now); k.server != nil {
			break
		}
		k.run(time.Second)
	}
	k.transfer(k.client, k.server, 60_000)
	k.transfer(k.server, k.client, 60_000)
	for _, c := range []*stack.Conn{k.client, k.server} {
		st := c.Status()
		if got := st.Auth; !got.On || got.Bad+got.Missing+got.Unexpected != 0 || got.Good < 40 {
			t.Errorf("%v: %+v", c.Local(), got)
		}
		if st.SndNxt.Sub(st.ISS) < 60_000 || st.SndNxt > st.ISS {
			t.Errorf("%v has sent up to %v from %v: it has not passed 2^32", c.Local(), st.SndNxt, st.ISS)
		}
		c.Close(k.now)
		c.CloseReceive(k.now, tcp.Gone)
	}
	k.run(time.Minute / 4)
	for i, s := range k.seen {
		at, n := wire.FindAO(wire.TCP(s.ip.Payload))
		if n != 16 || at+n != wire.TCP(s.ip.Payload).DataOffset() {
			t.Errorf("packet %d, %v, has a TCP-AO of %d octets at %d", i, s.seg.String(), n, at)
		}
		if len(s.ip.Packet) > 1500 {
			t.Errorf("packet %d has %d octets: more than the MTU (MUST-16)", i, len(s.ip.Packet))
		}
	}
	k.client.Release(k.now)
	k.server.Release(k.now)
	k.l.Close(k.now)
	k.run(5 * time.Minute)
	for _, s := range k.ends {
		if st := s.Stats(); st.Connections+st.TimeWait+st.Buffers != 0 || s.Deadline() != tcp.Never {
			t.Errorf("left over: %+v", st)
		}
	}
}

// What is not authentic opens no connection, and is not answered: RFC 5925 section 7.3, "TCP
// segments whose TCP-AO does not validate MUST be silently discarded."
func TestSYNThatIsNotAuthentic(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	wrong, other, long := a, a, a
	wrong.Secret = []byte("another secret")
	other.SendID = 7
	long.Algorithm = tcp.AES128
	for _, c := range []struct {
		what string
		keys tcp.Keys
		rule tcp.Rule
	}{
		{"without TCP-AO", tcp.Keys{}, tcp.RuleAuthMissing},
		{"by another secret", tcp.Keys{wrong}, tcp.RuleAuthBad},
		{"by another algorithm", tcp.Keys{long}, tcp.RuleAuthBad},
		{"by a KeyID that no key has", tcp.Keys{other}, tcp.RuleAuthKey},
	} {
		for _, limit := range []int{0, -1} { // a cookie is no way in either
			p := newPair(t, config(), config())
			p.listen(p.b, ap(addrB, 179), stack.ListenOptions{HalfOpen: limit, Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
			c1 := p.dialKeys(ap(addrB, 179), c.keys)
			p.run(20 * time.Second)
			p.want(c1, tcp.SynSent)
			st := p.b.Stats()
			if st.SegmentsOut != 0 || st.Rules[c.rule] < 4 || st.Connections != 0 || st.CookiesSent != 0 {
				t.Errorf("a SYN %s: %d segments out, %d dropped by %v, %d connections", c.what, st.SegmentsOut, st.Rules[c.rule], c.rule, st.Connections)
			}
		}
	}
}

// Nor does a client take an answer without, or of another key.
func TestSYNACKThatIsNotAuthentic(t *testing.T) {
	a, _ := keysAB(1, 2, "a secret")
	p := newPair(t, config(), config())
	p.listen(p.b, ap(addrB, 179), stack.ListenOptions{})
	c := p.dialKeys(ap(addrB, 179), tcp.Keys{a})
	p.run(20 * time.Second)
	p.want(c, tcp.SynSent)
	if got := c.Status().Auth; got.Missing < 2 || p.b.Stats().UnknownAO < 2 {
		t.Errorf("%+v; the listener has passed over %d", got, p.b.Stats().UnknownAO)
	}
	refused := p.dialKeys(ap(addrB, 9), tcp.Keys{a}) // where nobody listens
	p.run(20 * time.Second)
	p.want(refused, tcp.SynSent) // the reset cannot be authentic: RFC 5925 section 7.7
	if p.b.Stats().Resets == 0 {
		t.Error("no reset was sent: the test tests less than it says")
	}
}

// Of those for whom a listener has keys it wants them, others connect without: RFC 5925 section
// 7.3, whose default is "to silently accept such connections".
func TestKeysAreForPeers(t *testing.T) {
	a, b := keysAB(1, 2, "for the net 2001:db8::/64")
	b.Peer = netip.MustParsePrefix("2001:db8::/64")
	for _, discard := range []bool{false, true} {
		cfg := config()
		cfg.Keys, cfg.DiscardUnknownAO = tcp.Keys{b}, discard
		p := newPair(t, config(), cfg)
		p.listen(p.b, mustAP("[::]:179"), stack.ListenOptions{})
		four, six, without := p.dial(p.a, ap(addrB, 179)), p.dialKeys(ap(addrB6, 179), tcp.Keys{a}), p.dial(p.a, ap(addrB6, 179))
		strange := p.dialKeys(ap(addrB, 179), tcp.Keys{a}) // B has no key for it
		p.run(time.Second)
		p.want(four, tcp.Established)
		p.want(six, tcp.Established)
		p.want(without, tcp.SynSent)
		p.want(strange, tcp.SynSent)
		if st := p.b.Stats(); (st.UnknownAO > 0) == discard || (st.Rules[tcp.RuleAuthUnknown] > 0) != discard {
			t.Errorf("DiscardUnknownAO %v: %d passed over, %d discarded", discard, st.UnknownAO, st.Rules[tcp.RuleAuthUnknown])
		}
	}
	p := newPair(t, config(), config())
	a.Peer = netip.MustParsePrefix("192.0.2.0/24")
	if _, err := p.a.Dial(p.now, netip.AddrPort{}, ap(addrB, 179), stack.ConnOptions{Keys: tcp.Keys{a}}); !errors.Is(err, tcp.ErrNoKey) {
		t.Errorf("Dial with a key for another peer gives %v: the connection would be without", err)
	}
	mapped, none := netip.MustParsePrefix("::ffff:10.0.0.0/120"), netip.PrefixFrom(addrA, 33)
	for _, bad := range []tcp.Keys{{{SendID: 1}}, {{Secret: []byte("x"), Algorithm: 9}}, {{Secret: []byte("x"), Peer: mapped}}, {{Secret: []byte("x"), Peer: none}}} {
		if _, err := p.b.Listen(ap(addrB, 80), 0, stack.ListenOptions{Conn: stack.ConnOptions{Keys: bad}}); !errors.Is(err, tcp.ErrBadKey) {
			t.Errorf("Listen gives %v", err)
		}
	}
}

// An empty list of keys is none, and nil those of the Config; a key printed tells no secret.
func TestNoKeysInPlaceOfTheConfigs(t *testing.T) {
	a, _ := keysAB(1, 1, "a secret") // for both ends
	cfg := config()
	cfg.Keys = tcp.Keys{a}
	p := newPair(t, cfg, cfg)
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{Conn: stack.ConnOptions{Keys: tcp.Keys{}}})
	p.listen(p.b, ap(addrB, 179), stack.ListenOptions{})
	plain, authentic := p.dialKeys(ap(addrB, 80), tcp.Keys{}), p.dial(p.a, ap(addrB, 179))
	p.run(3 * delay)
	p.want(plain, tcp.Established)
	p.want(authentic, tcp.Established)
	if plain.Status().Auth.On || !authentic.Status().Auth.On {
		t.Errorf("TCP-AO: %v without keys, %v with those of the Config", plain.Status().Auth.On, authentic.Status().Auth.On)
	}
	l.SetKeys(nil)
	plain = p.dialKeys(ap(addrB, 80), tcp.Keys{})
	p.run(3 * delay)
	p.want(plain, tcp.SynSent)
	a.Peer = netip.MustParsePrefix("10.0.0.0/8")
	if got, want := fmt.Sprintf("%v %+v", a, []tcp.Key{a}), "key 1/1 SHA1 for 10.0.0.0/8 [key 1/1 SHA1 for 10.0.0.0/8]"; got != want {
		t.Errorf("printed as %s; want %s", got, want)
	}
}

// ATTACKS: whoever sees all, and writes what he likes, but has no key. Each octet of a segment
// that is covered, text, flags, numbers, options; a reset in its place; the segment of another
// connection; without TCP-AO. Nothing of it is answered or changes the connection.
func TestForgedSegmentsOnThePath(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	k := newKeyed(t, addrB, tcp.Keys{a}, tcp.Keys{b})
	k.transfer(k.client, k.server, 3000)
	k.run(time.Second) // all is acknowledged
	k.lose = func(from int, _ *wire.Packet) bool { return from == 0 }
	k.client.Send(k.now, []byte("the text that is altered on its way"))
	k.flush()
	k.lose = nil
	s := k.last(0, func(s *sent) bool { return len(s.seg.Text) > 0 })
	before := k.server.Status()
	answers := k.b.Stats().SegmentsOut
	for i := range s.ip.Payload {
		if i < 4 || i == 16 || i == 17 {
			continue // ports, which name the connection, and the checksum
		}
		for _, bit := range []byte{1, 0x80} {
			k.ends[1].Arrive(k.now, 1, &wire.Packet{Buf: repack(s, func(h wire.TCP) { h[i] ^= bit })})
			k.flush()
		}
	}
	for _, flags := range []wire.Flags{wire.RST, wire.RST | wire.ACK, wire.SYN, wire.FIN | wire.ACK, wire.ACK} {
		k.ends[1].Arrive(k.now, 1, &wire.Packet{Buf: repack(s, func(h wire.TCP) { h.SetFlags(flags) })})
		bare := wire.Segment{Seq: before.RcvNxt, Ack: before.SndNxt, Flags: flags, Wnd: 1000, Text: []byte("evil")}
		k.ends[1].Arrive(k.now, 1, &wire.Packet{Buf: segment(k.client.Local(), k.server.Local(), bare)})
		k.flush()
	}
	after := k.server.Status()
	if n := k.b.Stats().SegmentsOut - answers; n != 0 || after.RcvNxt != before.RcvNxt || after.SndNxt != before.SndNxt || after.State != tcp.Established {
		t.Errorf("%d answers; RCV.NXT goes from %v to %v, the server is %v", n, before.RcvNxt, after.RcvNxt, after.State)
	}
	if got := after.Auth; got.Good != before.Auth.Good || got.Missing < 5 || got.Bad == 0 || got.Unexpected == 0 {
		t.Errorf("counted: %+v", got)
	}
	// What was not altered is taken, and the rest of the life goes on.
	k.inject(1, s.ip.Packet)
	if got := k.server.Status().RcvNxt; got != s.seg.End() {
		t.Errorf("RCV.NXT is %v; want %v", got, s.seg.End())
	}
	k.server.Receive(k.now, make([]byte, 100))
	k.transfer(k.client, k.server, 3000)
}

// A connection of the same sockets has other traffic keys: nothing of one before can be replayed,
// nor the segment of one into another.
func TestReplayOfAnEarlierConnection(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 179), stack.ListenOptions{Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	var old []sent
	for i := range 2 {
		c, err := p.a.Dial(p.now, mustAP("10.0.0.1:5000"), ap(addrB, 179), stack.ConnOptions{Keys: tcp.Keys{a}})
		if err != nil {
			t.Fatal(err)
		}
		p.run(3 * delay)
		s := l.Accept(p.now)
		if s == nil {
			t.Fatalf("nothing to accept; the client is %v", c.State())
		}
		p.transfer(c, s, 5000)
		before := s.Status()
		for _, o := range old {
			if o.from == 0 {
				p.b.Arrive(p.now, 1, &wire.Packet{Buf: bytes.Clone(o.ip.Packet)})
			}
		}
		p.run(time.Second)
		after := s.Status()
		if after.RcvNxt != before.RcvNxt || after.State != tcp.Established {
			t.Errorf("RCV.NXT goes from %v to %v, the server is %v", before.RcvNxt, after.RcvNxt, after.State)
		}
		// The SYN alone has a key without the other end's number, and is authentic for ever.
		if i == 1 && (after.Auth.Bad < 4 || after.Auth.Good != before.Auth.Good+1) {
			t.Errorf("of %d replayed: %+v, before %+v", len(old), after.Auth, before.Auth)
		}
		old = p.seen
		for _, x := range []*stack.Conn{s, c} { // A has nothing in TIME-WAIT
			x.Close(p.now)
			p.run(time.Second)
			x.Release(p.now)
		}
		p.run(5 * time.Minute)
	}
}

// A key is changed while text goes both ways: nothing is lost, nothing dropped, and what is left
// out then is no key any more. RFC 5925 section 6.1.
func TestKeyChange(t *testing.T) {
	a1, b1 := keysAB(1, 2, "the first")
	a2, b2 := keysAB(11, 12, "the second")
	a2.Algorithm, b2.Algorithm = tcp.AES128, tcp.AES128
	k := newKeyed(t, addrB6, tcp.Keys{a1}, tcp.Keys{b1})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	k.transfer(k.client, k.server, 5000)
	must(k.client.SetKeys(tcp.Keys{a1, a2}))
	must(k.client.SetNextKey(a2.RecvID)) // B has it not yet
	k.transfer(k.client, k.server, 5000)
	if got := k.server.Status().Auth; got.CurrentKey != b1.SendID || got.RNextKeyID != a2.RecvID {
		t.Errorf("B, which has no such key, signs by %d; asked for was %d", got.CurrentKey, got.RNextKeyID)
	}
	must(k.server.SetKeys(tcp.Keys{b1, b2}))
	k.transfer(k.client, k.server, 5000)
	k.run(time.Second)
	if got := k.server.Status().Auth; got.CurrentKey != b2.SendID || got.NextKey != b1.RecvID {
		t.Errorf("B, which has the key now, signs by %d and asks for %d; want %d, and as before %d", got.CurrentKey, got.NextKey, b2.SendID, b1.RecvID)
	}
	if got := k.client.Status().Auth; got.KeyID != a2.RecvID || got.CurrentKey != a1.SendID {
		t.Errorf("A has last heard the key %d, and signs by %d", got.KeyID, got.CurrentKey)
	}
	must(k.client.SetCurrentKey(a2.SendID)) // the other way round: A goes first
	must(k.server.SetNextKey(b2.RecvID))
	k.transfer(k.client, k.server, 5000)
	k.transfer(k.server, k.client, 5000)
	k.run(time.Second)
	for _, c := range []struct {
		conn *stack.Conn
		keys tcp.Keys
	}{{k.client, tcp.Keys{a2}}, {k.server, tcp.Keys{b2}}} {
		must(c.conn.SetKeys(c.keys))
		if got := c.conn.Status().Auth; got.Bad+got.Missing+got.Unexpected != 0 || got.CurrentKey != c.keys[0].SendID || got.NextKey != c.keys[0].RecvID {
			t.Errorf("%v: %+v", c.conn.Local(), got)
		}
		if got := c.conn.Keys(); len(got) != 1 || got[0].SendID != c.keys[0].SendID || string(got[0].Secret) != "the second" {
			t.Errorf("Keys gives %+v", got)
		}
	}
	if st := k.client.Status(); st.Retransmitted != 0 {
		t.Errorf("%d octets were sent again: TCP-AO supports key changes with zero segment loss", st.Retransmitted)
	}
	k.transfer(k.server, k.client, 5000)
	// What is signed by the old key has no key.
	s := k.last(0, func(s *sent) bool { return s.seg.Options.KeyID == a1.SendID && len(s.seg.Text) > 0 })
	k.inject(1, s.ip.Packet)
	if got := k.server.Status().Auth; got.Unexpected != 1 {
		t.Errorf("a segment by a key that was taken away: %+v", got)
	}
}

// What of the keys may not change while a connection lives: RFC 5925 section 3.1.
func TestKeysInUse(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	k := newKeyed(t, addrB, tcp.Keys{a}, tcp.Keys{b})
	changed, sameID, second := a, a, a
	changed.Secret = []byte("another")
	sameID.SendID = 9
	second.SendID, second.RecvID = 3, 4
	for _, c := range []struct {
		what string
		keys tcp.Keys
		want error
	}{
		{"nothing", nil, tcp.ErrKeyInUse},
		{"without the one in use", tcp.Keys{second}, tcp.ErrKeyInUse},
		{"with another secret", tcp.Keys{changed}, tcp.ErrKeyInUse},
		{"two with one RecvID", tcp.Keys{a, sameID}, tcp.ErrKeyOverlap},
		{"one more", tcp.Keys{second, a}, nil},
	} {
		if err := k.client.SetKeys(c.keys); !errors.Is(err, c.want) {
			t.Errorf("SetKeys, %s, gives %v; want %v", c.what, err, c.want)
		}
	}
	if err := k.client.SetCurrentKey(9); !errors.Is(err, tcp.ErrNoKey) {
		t.Errorf("SetCurrentKey gives %v", err)
	}
	if err := k.client.SetNextKey(3); !errors.Is(err, tcp.ErrNoKey) { // which is a SendID
		t.Errorf("SetNextKey gives %v", err)
	}
	k.transfer(k.client, k.server, 5000)
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	plain, _ := p.connect(l, ap(addrB, 80))
	if err := plain.SetKeys(tcp.Keys{a}); !errors.Is(err, tcp.ErrNoKey) {
		t.Errorf("SetKeys on a connection that began without keys gives %v", err)
	}
	if plain.Keys() != nil || plain.Status().Auth != (tcp.AuthStatus{}) {
		t.Error("a connection without keys has some")
	}
}

// The SYN says by which key it is signed, and by which the answer is to be: RFC 5925 section 7.5.
func TestSYNChoosesTheKeys(t *testing.T) {
	a1, b1 := keysAB(1, 2, "the first")
	a2, b2 := keysAB(11, 12, "the second")
	k := newKeyed(t, addrB, tcp.Keys{a2, a1}, tcp.Keys{b1, b2})
	if got := k.server.Status().Auth; got.CurrentKey != b2.SendID || got.NextKey != b2.RecvID {
		t.Errorf("the SYN has the key %d; the server signs by %d and asks for %d", a2.SendID, got.CurrentKey, got.NextKey)
	}
	k.transfer(k.server, k.client, 5000)
	if err := k.l.SetKeys(tcp.Keys{b1}); err != nil {
		t.Fatal(err)
	}
	late := k.dialKeys(ap(addrB, 179), tcp.Keys{a2})
	k.run(time.Second)
	k.want(late, tcp.SynSent)
	if err := k.l.SetKeys(tcp.Keys{b1, b1}); !errors.Is(err, tcp.ErrKeyOverlap) {
		t.Errorf("Listener.SetKeys gives %v", err)
	}
	k.transfer(k.client, k.server, 5000) // which has kept its own
}

// ATTACKS: SYN flood. A flood of forged SYNs fills the listener; who has a key connects all the
// same, though no cookie answers him.
func TestAuthenticSYNDuringAFlood(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	b.Peer = netip.PrefixFrom(addrA, 32)
	p := newPair(t, config(), config())
	p.listen(p.b, ap(addrB, 179), stack.ListenOptions{HalfOpen: 4, Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	for i := range 100 {
		p.b.Arrive(p.now, 1, &wire.Packet{Buf: segment(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}), 1000), ap(addrB, 179), syn(uint32(i)))})
	}
	p.lose = func(from int, pkt *wire.Packet) bool {
		return from == 1 && wire.IPv4(pkt.Bytes()).Dst() != wire.AddrFrom(addrA)
	}
	c := p.dialKeys(ap(addrB, 179), tcp.Keys{a})
	p.run(3 * delay)
	p.want(c, tcp.Established)
	if p.b.Stats().CookiesSent == 0 {
		t.Error("no cookie was sent: the test tests less than it says")
	}
	// An ACK that is a valid cookie in all but the key does not get in.
	for _, s := range p.seen {
		if s.from == 1 && s.seg.Options.Set&wire.HasAO != 0 && s.seg.Flags.Has(wire.SYN) && s.flow.Remote != wire.AddrFrom(addrA) {
			t.Errorf("%v has TCP-AO, though there is no key", s.seg.String())
		}
	}
}

// A connection with keys stays whole in TIME-WAIT: a repeated FIN is acknowledged, signed, and a
// SYN that is authentic opens it anew; what is not does neither.
func TestAuthenticatedTimeWait(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	k := newKeyed(t, addrB, tcp.Keys{a}, tcp.Keys{b})
	k.server.Close(k.now) // B is in TIME-WAIT
	k.run(3 * delay)
	k.client.Close(k.now)
	k.run(3 * delay)
	k.client.Release(k.now)
	k.server.CloseReceive(k.now, tcp.Gone)
	k.server.Release(k.now)
	k.run(3 * delay)
	if st := k.b.Stats(); st.States[tcp.TimeWait] != 1 || st.TimeWait != 0 {
		t.Fatalf("in TIME-WAIT: %d, of them records: %d", st.States[tcp.TimeWait], st.TimeWait)
	}
	fin := k.last(0, func(s *sent) bool { return s.seg.Flags.Has(wire.FIN) })
	n := len(k.seen)
	k.inject(1, repack(fin, func(h wire.TCP) { h[30] ^= 1 }))
	if len(k.seen) != n {
		t.Error("a forged FIN is answered")
	}
	k.inject(1, fin.ip.Packet)
	if len(k.seen) != n+2 || !k.seen[n].seg.Options.Has(wire.HasAO) {
		// A has no connection any more, and says so.
		t.Errorf("a repeated FIN has %d packets in answer", len(k.seen)-n)
	}
	if st := k.b.Stats(); st.States[tcp.TimeWait] != 1 {
		t.Errorf("a reset without TCP-AO has ended TIME-WAIT: %v", st.States)
	}
	forged := syn(uint32(fin.seg.Seq) + 1<<20)
	k.inject(1, segment(fin.flow.LocalAddrPort(), fin.flow.RemoteAddrPort(), forged))
	if st := k.b.Stats(); st.States[tcp.TimeWait] != 1 || st.HalfOpen != 0 {
		t.Errorf("a SYN without TCP-AO has opened it anew: %v", st.States)
	}
	c, err := k.a.Dial(k.now, fin.flow.LocalAddrPort(), ap(addrB, 179), stack.ConnOptions{Keys: tcp.Keys{a}})
	if err != nil {
		t.Fatal(err)
	}
	k.run(3 * delay)
	k.want(c, tcp.Established)
	s := k.l.Accept(k.now)
	if s == nil {
		t.Fatal("nothing to accept")
	}
	k.transfer(c, s, 5000)
	k.run(5 * time.Minute)
	if st := k.b.Stats(); st.States[tcp.TimeWait] != 0 || st.Connections != 1 {
		t.Errorf("after 2 MSL: %v", st.States)
	}
}

// Keys that a listener gets hold for what was before: neither TIME-WAIT of a connection without
// them nor a cookie that was sent without lets anybody in.
func TestKeysCloseSideDoors(t *testing.T) {
	_, b := keysAB(1, 2, "a secret")
	for _, release := range []bool{false, true} {
		e := timeWait(t, true, release)
		if err := e.l.SetKeys(tcp.Keys{b}); err != nil {
			t.Fatal(err)
		}
		none(t, "a SYN without TCP-AO", e.tell(wire.Segment{Seq: 5000, Flags: wire.SYN}, 600))
		e.waiting("a SYN without TCP-AO")
		if n := e.s.Stats().Rules[tcp.RuleAuthMissing]; n != 1 {
			t.Errorf("released %v: %d segments are dropped for want of TCP-AO", release, n)
		}
	}
	x := newSeat(t, config())
	l, err := x.s.Listen(local4, 0, stack.ListenOptions{HalfOpen: -1})
	if err != nil {
		t.Fatal(err)
	}
	cookie := one(t, "a SYN", x.say(peer4, local4, syn(100)))
	l.SetKeys(tcp.Keys{b})
	ack := wire.Segment{Seq: 101, Ack: cookie.seg.Seq + 1, Flags: wire.ACK, Wnd: 1000}
	none(t, "an ACK without TCP-AO", x.say(peer4, local4, ack))
	ack.Options = wire.Options{Set: wire.HasAO, KeyID: b.RecvID, RNextKeyID: b.SendID}
	if o := one(t, "an ACK whose MAC cannot be right", x.say(peer4, local4, ack)); o.seg.Flags != wire.RST || o.seg.Options.Set != 0 {
		t.Errorf("answered by %v; want a reset without TCP-AO (RFC 5925 section 5.2)", o.seg.String())
	}
	if st := x.s.Stats(); st.Connections != 0 || st.CookiesValid != 0 {
		t.Errorf("%d connections, %d valid cookies", st.Connections, st.CookiesValid)
	}
}

// ATTACKS: an authentic SYN that was recorded stays authentic, and TCP Fast Open would deliver its
// text as often as it is sent. So it is not for connections with keys, at either end.
func TestNoFastOpenWithKeys(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 179), stack.ListenOptions{FastOpen: 10, Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	for range 2 {
		c, err := p.a.Dial(p.now, netip.AddrPort{}, ap(addrB, 179), stack.ConnOptions{Keys: tcp.Keys{a}, FastOpen: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Send(p.now, []byte("not with the SYN"))
		p.run(3 * delay)
		s := l.Accept(p.now)
		if s == nil {
			t.Fatalf("nothing to accept; the client is %v", c.State())
		}
		p.run(3 * delay)
		got := make([]byte, 100)
		if n, err := s.Receive(p.now, got); string(got[:n]) != "not with the SYN" || err != nil {
			t.Errorf("%q, %v", got[:n], err)
		}
	}
	for _, s := range p.seen {
		if s.seg.Flags.Has(wire.SYN) && (len(s.seg.Text) > 0 || s.seg.Options.Has(wire.HasFastOpen)) {
			t.Errorf("%v has text or the option of Fast Open", s.seg.String())
		}
	}
	// A SYN of another stack that has text, signed: the text waits for the handshake.
	k := &keyed{pair: newPair(t, config(), config())}
	k.l = k.listen(k.b, ap(addrB, 179), stack.ListenOptions{FastOpen: 10, Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	var cfg tcp.Config
	flow := flowOf(mustAP("10.0.0.1:5000"), ap(addrB, 179))
	other := tcp.New(&cfg, flow, 1500)
	other.SetKeys(tcp.Keys{a})
	other.OfferFastOpen(nil, 0)
	other.Open(k.now, tcp.Active)
	var seg wire.Segment
	other.Output(k.now, &seg)
	seg.Text = []byte("text in the SYN")
	packet := wire.AppendSegment(nil, &flow, &seg, wire.ChecksumPartial)
	other.Sign(packet[20:])
	wire.FinishChecksum(packet)
	k.ends[1].Arrive(k.now, 1, &wire.Packet{Buf: packet})
	k.flush()
	answer := k.last(1, func(*sent) bool { return true })
	if k.l.Accept(k.now) != nil || answer.seg.Ack != seg.Seq+1 || answer.seg.Options.Has(wire.HasFastOpen) || !answer.seg.Options.Has(wire.HasAO) {
		t.Errorf("answered by %v; the connection is accepted before the handshake: %v", answer.seg.String(), k.l.Accept(k.now) != nil)
	}
}

// A reset of a connection with keys is signed, and counts.
func TestAuthenticatedReset(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	k := newKeyed(t, addrB6, tcp.Keys{a}, tcp.Keys{b})
	k.transfer(k.client, k.server, 3000)
	k.client.Abort(k.now)
	k.run(3 * delay)
	if err := k.server.Err(); !errors.Is(err, tcp.ErrReset) {
		t.Errorf("the server is %v, %v", k.server.State(), err)
	}
}

// RFC 5925 section 7.8: which ICMP messages a synchronized connection ignores, and that its user
// may want them.
func TestICMPForAnAuthenticatedConnection(t *testing.T) {
	type message struct {
		kind    wire.ICMPKind
		code    uint8
		heeded6 bool // by IPv6
		heeded4 bool
	}
	for _, m := range []message{
		{wire.ICMPUnreachable, 0, true, true},
		{wire.ICMPUnreachable, 1, false, true}, // IPv6: administratively prohibited; IPv4: host unreachable
		{wire.ICMPUnreachable, 2, true, false}, // IPv4: protocol unreachable
		{wire.ICMPUnreachable, 3, true, false}, // IPv4: port unreachable
		{wire.ICMPUnreachable, 4, false, true}, // IPv6: port unreachable
		{wire.ICMPPacketTooBig, 0, true, false},
		{wire.ICMPTimeExceeded, 0, true, true},
	} {
		for _, v6 := range []bool{false, true} {
			if !v6 && m.kind == wire.ICMPUnreachable && m.code == 4 {
				continue // that is packet too big
			}
			for _, accept := range []bool{false, true} {
				heeded, from, to, remote := m.heeded4, "10.0.0.2", "10.0.0.1", addrB
				if v6 {
					heeded, from, to, remote = m.heeded6, "2001:db8::2", "2001:db8::1", addrB6
				}
				a, b := keysAB(1, 2, "a secret")
				k := newKeyed(t, remote, tcp.Keys{a}, tcp.Keys{b})
				k.client.SetAcceptICMP(accept)
				k.lose = func(int, *wire.Packet) bool { return true }
				k.client.Send(k.now, make([]byte, 1400))
				k.flush()
				about := k.last(0, func(s *sent) bool { return len(s.seg.Text) > 0 }).ip.Packet
				k.a.Arrive(k.now, 1, &wire.Packet{Buf: icmp(from, to, wire.ICMPMessage{Kind: m.kind, Code: m.code, MTU: 1300, Body: about})})
				st := k.client.Status()
				got := st.Soft.Reason != tcp.NoSoftError || st.PathMTU == 1300
				if got != (heeded || accept) || (st.Auth.ICMP == 1) == got {
					t.Errorf("IPv6 %v, accepted %v: kind %v code %d heeded: %v; %+v", v6, accept, m.kind, m.code, got, st.Auth)
				}
			}
		}
	}
}

// A SYN is not synchronized: there a hard error ends the attempt, as without keys.
func TestICMPForAnAuthenticatedSYN(t *testing.T) {
	a, _ := keysAB(1, 2, "a secret")
	k := &keyed{pair: newPair(t, config(), config())}
	k.client = k.dialKeys(ap(addrB, 179), tcp.Keys{a})
	k.flush()
	about := k.last(0, func(*sent) bool { return true }).ip.Packet
	k.a.Arrive(k.now, 1, &wire.Packet{Buf: icmp("10.0.0.2", "10.0.0.1", wire.ICMPMessage{Kind: wire.ICMPUnreachable, Code: wire.ICMPv4PortUnreachable, Body: about})})
	k.want(k.client, tcp.Closed)
}

// Over a link that cuts super-segments a connection with keys has none: each MAC is that of one
// segment. A stack that dials itself signs and judges as any.
func TestAuthenticatedSuperSegments(t *testing.T) {
	a, b := keysAB(1, 2, "a secret")
	x := stack.New(config())
	if _, err := x.AddInterface(stack.InterfaceConfig{MTU: 1500, MaxSuper: 65535, ChecksumOffload: true, Prefixes: prefixes("10.0.0.1/24")}); err != nil {
		t.Fatal(err)
	}
	p := newPair(t, config(), config())
	p.ends[0], p.a = x, x
	l := p.listen(p.b, ap(addrB, 179), stack.ListenOptions{Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	p.lose = func(from int, pkt *wire.Packet) bool {
		if pkt.GSO != 0 || len(pkt.Bytes()) > 1500 {
			t.Errorf("a packet of %d octets, to be cut to %d", len(pkt.Bytes()), pkt.GSO)
		}
		return false
	}
	c := p.dialKeys(ap(addrB, 179), tcp.Keys{a})
	p.run(3 * delay)
	s := l.Accept(p.now)
	if s == nil {
		t.Fatalf("nothing to accept; the client is %v", c.State())
	}
	p.transfer(c, s, 100_000)
	own := ap(addrA, 179)
	l = p.listen(p.a, own, stack.ListenOptions{Conn: stack.ConnOptions{Keys: tcp.Keys{b}}})
	c = p.dialKeys(own, tcp.Keys{a})
	p.run(time.Second)
	if s = l.Accept(p.now); s == nil {
		t.Fatalf("nothing to accept; the client is %v", c.State())
	}
	p.transfer(c, s, 100_000)
	if got := s.Status().Auth; got.Bad+got.Missing+got.Unexpected != 0 || got.Good < 3 {
		t.Errorf("%+v", got)
	}
}
