package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The largest text of a segment follows from the peer's MSS option, the MTU and the options:
// RFC 9293 section 3.7.1, RFC 6691. "If an MSS Option is not received at connection setup,
// TCP implementations MUST assume a default send MSS of 536 (576 - 40) for IPv4 or 1220
// (1280 - 60) for IPv6"; "Eff.snd.MSS = min(SendMSS+20, MMS_S) - TCPhdrsize -
// IPoptionsize". RFC 7323-12: the timestamp's 12 octets count.
func TestTextOfASegment(t *testing.T) { // MUST-14, MUST-15, MUST-16, SHLD-28
	for _, tc := range []struct {
		what string
		s    setup
		want int
	}{
		{"the peer's MSS", setup{syn: "<MSS=1000>"}, 1000},
		{"no MSS option, IPv4", setup{syn: "<WS=0>"}, 536},
		{"no MSS option, IPv6", setup{syn: "<WS=0>", v6: true}, 1220},
		{"the MTU is less, IPv4", setup{syn: "<MSS=8960>", mtu: 1500}, 1460},
		{"the MTU is less, IPv6", setup{syn: "<MSS=8960>", mtu: 1500, v6: true}, 1440},
		{"the peer's MSS less timestamps", setup{syn: "<MSS=1000><TS=1,0>"}, 988},
		{"the MTU less timestamps", setup{syn: "<MSS=1460><TS=1,0>"}, 1448},
		{"timestamps and no MSS option", setup{syn: "<TS=1,0>"}, 524},
		{"a small MTU", setup{syn: "<MSS=1460>", mtu: 296}, 256},
	} {
		t.Run(tc.what, func(t *testing.T) {
			for _, fixture := range []func(*testing.T, setup) *peer{established, accepted} {
				p := fixture(t, tc.s)
				p.write(5 * tc.want)
				out := p.taken()
				p.must(len(out) == 5, "five segments leave; there are %d", len(out))
				for _, s := range out {
					p.must(len(s.Text) == tc.want, "each has %d octets of text; %v has %d", tc.want, &s.Segment, len(s.Text))
				}
			}
		})
	}
}

// The octets of SACK blocks come off the text too: RFC 6691 section 2, "the sender MUST
// reduce the TCP data length to account for any IP or TCP options that it is including".
func TestTextBesideSACKBlocks(t *testing.T) { // MUST-16
	p := established(t, setup{syn: "<MSS=1000><SACKOK><TS=1,0>"})
	p.send(p.data(2101, 10))
	p.taken()
	p.write(3000)
	out := p.taken()
	p.must(len(out[0].Options.Blocks()) == 1 && len(out[0].Text) == 1000-12-12,
		"with timestamps and one SACK block a segment has 976 octets; it has %d and %d blocks", len(out[0].Text), len(out[0].Options.Blocks()))
}

// "TCP implementations SHOULD send an MSS Option in every SYN segment when its receive MSS
// differs from the default"; it is the MTU less the fixed headers, whatever options will be
// used. It is sent in no segment without SYN.
func TestMSSThatIsAnnounced(t *testing.T) { // MUST-14, MUST-67, SHLD-5, MAY-3
	for _, tc := range []struct {
		mtu  int
		v6   bool
		want int
	}{
		{1500, false, 1460}, {1500, true, 1440}, {9000, false, 8960}, {9000, true, 8940},
		{1280, true, 1220}, {576, false, 536}, {65535, false, 65495}, {65535, true, 65475},
	} {
		p := newPeer(t, setup{mtu: tc.mtu, v6: tc.v6})
		p.c.Open(p.now, tcp.Active)
		p.flush()
		out := p.taken()
		p.must(out[0].Wnd == 65535, "the SYN's window is not scaled: 65535; it is %d", out[0].Wnd)
		p.must(out[0].Options.Has(wire.HasMSS) && int(out[0].Options.MSS) == tc.want,
			"with MTU %d the SYN says MSS=%d; it says %d", tc.mtu, tc.want, out[0].Options.MSS)

		p = newPeer(t, setup{mtu: tc.mtu, v6: tc.v6})
		p.c.Open(p.now, tcp.Passive)
		p.send("<SEQ=2000><CTL=SYN><MSS=100>")
		out = p.taken()
		p.must(int(out[0].Options.MSS) == tc.want,
			"with MTU %d the SYN,ACK says MSS=%d, whatever the peer's is; it says %d", tc.mtu, tc.want, out[0].Options.MSS)
	}
}

// An MSS option in a segment without SYN means nothing: "the MSS Option [...] MUST only be
// sent in [...] SYN" (RFC 9293 section 3.1). Its data is taken, for options are accepted in any
// segment.
func TestMSSOutsideASYNIsIgnored(t *testing.T) { // MUST-5, MUST-65
	p := established(t, setup{})
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><MSS=100>")
	p.must(p.receive(100) == 10, "the text beside the option is taken")
	p.write(1460)
	p.must(texts(p.taken())[0] == 1460, "SendMSS is still 1460")
}

// A peer that announces a tiny MSS cannot make one packet of each octet: CVE-2019-11479.
func TestMSSHasAFloor(t *testing.T) {
	for _, said := range []string{"<MSS=0>", "<MSS=1>", "<MSS=47>"} {
		p := established(t, setup{syn: said + "<TS=1,0>"})
		p.must(p.c.Status().SendMSS == tcp.DefaultMinSendMSS, "SendMSS is not below %d; it is %d", tcp.DefaultMinSendMSS, p.c.Status().SendMSS)
		p.write(1000)
		p.must(texts(p.taken())[0] == tcp.DefaultMinSendMSS-12, "the first segment has %d octets", tcp.DefaultMinSendMSS-12)
	}
	p := established(t, setup{syn: "<MSS=100>", cfg: tcp.Config{MinSendMSS: 536}})
	p.write(1000)
	p.must(texts(p.taken())[0] == 536, "the floor is the Config's")
	// SACK blocks beside timestamps leave at least an octet.
	p = established(t, setup{syn: "<MSS=48><SACKOK><TS=1,0>"})
	for i := range 5 {
		p.send(p.data(seq.Num(2010+20*i), 1))
	}
	p.taken()
	p.write(100)
	for _, s := range p.taken() {
		p.must(len(s.Text) > 0, "a data segment has text")
	}
}

// No link, however small, makes the arithmetic of Eff.snd.MSS wrap.
func TestSmallestMTU(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, mtu := range []int{1, 68, 72, 80, 100, 200} {
			p := established(t, setup{mtu: mtu, v6: v6, syn: "<MSS=1460><SACKOK><TS=1,0>"})
			p.send(p.data(2010, 1), p.data(2020, 1), p.data(2030, 1), p.data(2040, 1))
			p.taken()
			p.write(100)
			for _, s := range p.taken() {
				p.must(len(s.Text) > 0 && len(s.Text) <= max(mtu, 68)-40, "with MTU %d, v6 %v, a segment has some octets; %v has %d", mtu, v6, &s.Segment, len(s.Text))
			}
		}
	}
}

// Segments parsed from octets: end-of-list, no-operation, unknown kinds and unaligned
// options lead to the same handshake and the same data as none. RFC 9293 section 3.1: "A TCP
// implementation MUST be able to receive a TCP Option in any segment", "MUST
// ignore without error any TCP Option it does not implement".
func TestOptionsAsOctets(t *testing.T) { // MUST-4, MUST-5, MUST-6, MUST-7, MUST-64
	parse := func(p *peer, s seq.Num, flags wire.Flags, options, text []byte) (wire.Segment, bool) {
		for len(options)%4 != 0 {
			options = append(options, 0)
		}
		b := make([]byte, 20, 60+len(text))
		b[0], b[1], b[2], b[3] = 0, 80, 0x9c, 0x40
		b[4], b[5], b[6], b[7] = byte(s>>24), byte(s>>16), byte(s>>8), byte(s)
		ack := seq.Num(1001)
		b[8], b[9], b[10], b[11] = byte(ack>>24), byte(ack>>16), byte(ack>>8), byte(ack)
		b[12], b[13] = byte(5+len(options)/4)<<4, byte(flags)
		b[14], b[15] = 0xff, 0xff
		b = append(append(b, options...), text...)
		return parseTCP(p, b)
	}
	for _, tc := range []struct {
		what    string
		options []byte
		mss     uint32
		bad     bool
	}{
		{"none", nil, 536, false},
		{"MSS", []byte{2, 4, 3, 232}, 1000, false},
		{"MSS after a no-operation", []byte{1, 2, 4, 3, 232}, 1000, false},
		{"MSS after three, then end of list and rubbish", []byte{1, 1, 1, 2, 4, 3, 232, 0, 99, 1}, 1000, false},
		{"an end of list before MSS", []byte{0, 2, 4, 3, 232}, 536, false},
		{"unknown kinds before MSS", []byte{253, 4, 1, 2, 70, 2, 25, 3, 9, 2, 4, 3, 232}, 1000, false},
		{"a length of 0", []byte{2, 4, 3, 232, 77, 0, 1, 1}, 1000, true},
		{"a length of 1", []byte{2, 4, 3, 232, 77, 1, 1, 1}, 1000, true},
		{"a length past the header", []byte{2, 4, 3, 232, 77, 40, 1, 1}, 1000, true},
		{"an MSS cut short", []byte{1, 1, 2, 4}, 536, true},
	} {
		t.Run(tc.what, func(t *testing.T) {
			p := synSent(t, setup{})
			seg, ok := parse(p, 2000, wire.SYN|wire.ACK, tc.options, nil)
			if !ok {
				p.must(tc.bad, "the options are legal")
				return // dropped with a reason: "MAY [...] drop"
			}
			p.give(seg)
			p.mustBe(tcp.Established)
			p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
			if !tc.bad {
				p.must(p.c.Status().SendMSS == tc.mss, "SendMSS is %d; it is %d", tc.mss, p.c.Status().SendMSS)
			}
			if seg, ok = parse(p, 2001, wire.ACK|wire.FIN, tc.options, octets(2001, 9)); ok {
				p.give(seg)
				p.must(p.receive(100) == 9, "text and FIN beside the options are taken")
				p.mustBe(tcp.CloseWait)
			}
		})
	}
}

func parseTCP(p *peer, b []byte) (wire.Segment, bool) {
	p.t.Helper()
	var seg wire.Segment
	fault := wire.ParseTCP(b, &seg)
	return seg, fault == 0
}

// "The window field in a segment where the SYN bit is set [...] MUST NOT be scaled", RFC
// 7323 section 2.2; other windows are. 7323-3. Windows live in 32 bits.
func TestWindowScale(t *testing.T) { // REC-1
	p := established(t, setup{syn: "<MSS=1460><WS=7>", wnd: 1000})
	p.must(p.c.Status().RcvShift == 8 && p.c.Status().RcvWnd > 1<<16, "ours is scaled by 2^8 from the first ACK on: up to the 16 MiB that the buffer may grow to")
	p.must(p.c.Status().SndWnd == 1000, "the SYN,ACK's window of 1000 is 1000 octets; it is %d", p.c.Status().SndWnd)
	p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=1000>")
	p.must(p.c.Status().SndWnd == 128000, "later, 1000 is 128000 octets; it is %d", p.c.Status().SndWnd)

	p = accepted(t, setup{syn: "<MSS=1460><WS=14>", wnd: 65535})
	p.must(p.c.Status().SndWnd == 65535<<14, "the window is near 1 GiB; it is %d", p.c.Status().SndWnd)

	// 7323-1: "This option MAY be sent in a <SYN,ACK> segment, but only if a Window Scale
	// option was received in the initial <SYN> segment."
	p = newPeer(t, setup{})
	p.c.Open(p.now, tcp.Passive)
	p.send("<SEQ=2000><CTL=SYN><MSS=1460>")
	out := p.taken()
	p.must(out[0].Options.Set == wire.HasMSS, "a SYN,ACK offers nothing that the SYN did not: %v", out[0].Options.Set)
	p = newPeer(t, setup{})
	p.c.Open(p.now, tcp.Passive)
	p.send("<SEQ=2000><CTL=SYN><WS=3><SACKOK><TS=5,0>")
	out = p.taken()
	p.must(out[0].Options.Set == wire.HasMSS|wire.HasWindowScale|wire.HasSACKPermitted|wire.HasTimestamps, "a SYN,ACK takes up what the SYN offered")
	p.must(out[0].Options.TSEcr == 5, "and echoes its TSval")
	// A user who wants none of them.
	p = newPeer(t, setup{cfg: tcp.Config{NoTimestamps: true, NoSACK: true, NoWindowScale: true}})
	p.c.Open(p.now, tcp.Passive)
	p.send("<SEQ=2000><CTL=SYN><WS=3><SACKOK><TS=5,0>")
	p.must(p.taken()[0].Options.Set == wire.HasMSS, "a SYN,ACK takes up nothing that is switched off")
}

// "If a Window Scale option is received with a shift.cnt value larger than 14, the TCP
// SHOULD log the error but MUST use 14 instead of the specified value", RFC 7323 section
// 2.3. 7323-2.
func TestWindowShiftIsAtMost14(t *testing.T) {
	for _, shift := range []uint8{14, 15, 255} {
		p := synSent(t, setup{})
		seg := p.make("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>")
		seg.Options.Set |= wire.HasWindowScale
		seg.Options.WindowScale = shift
		p.give(seg)
		p.taken()
		p.send("<SEQ=2001><ACK=1001><CTL=ACK><WND=2>")
		p.must(p.c.Status().SndWnd == 2<<14, "with a shift of %d the window 2 is %d; it is %d", shift, 2<<14, p.c.Status().SndWnd)
	}
	for _, buffer := range []int{1 << 12, 1<<16 - 1, 1 << 16, 1 << 20, 1 << 30, 1<<31 - 1} {
		p := newPeer(t, setup{cfg: tcp.Config{ReceiveBuffer: buffer}})
		p.c.Open(p.now, tcp.Active)
		p.flush()
		o := p.taken()[0].Options
		p.must(o.WindowScale <= 14 && min(buffer, 1<<30) <= 65536<<o.WindowScale, "a shift of %d is enough for %d octets", o.WindowScale, buffer)
	}
}

// Without the peer's Window Scale option nothing is scaled either way, and what is offered is
// what is accepted: RCV.WND is the window that the peer knows, at most 65535.
func TestNoWindowScale(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460>"})
	p.send(p.data(2001, 1000), p.data(3001, 1460), p.data(4461, 1460))
	st := p.c.Status()
	p.must(st.RcvShift == 0 && st.SndShift == 0, "no shift is in use")
	out := p.taken()
	last := out[len(out)-1]
	offered := last.Ack.Add(uint32(last.Wnd))
	p.must(st.RcvNxt.Add(st.RcvWnd).Sub(offered) == 0, "RCV.NXT+RCV.WND is %v, the right edge that was offered; it is %v", offered, st.RcvNxt.Add(st.RcvWnd))
	p.send(p.data(offered, 10))
	p.must(p.c.Status().OutOfOrder == 0, "text to the right of the window that was offered is not taken")
}

// Once both SYNs had the option, "TSopt MUST be sent in every non-<RST> segment", with the
// most recent TSval of the peer in every segment with ACK; "SHOULD be sent in an <RST>".
// 7323-4, 7323-6. The harness looks at each segment; here all kinds of them are made.
func TestTimestampsInEverySegment(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><TS=100,0><SACKOK>"})
	p.tsval = 101
	p.write(10)
	p.send(p.data(2001, 2000), p.data(5001, 10))
	p.c.SetKeepAlive(p.now, true, time.Minute, time.Minute, 0)
	p.ackAll()
	p.wait(time.Minute)
	p.wnd = 0
	p.write(10)
	p.ackAll()
	p.write(10)
	p.wait(time.Minute)
	for _, s := range p.taken() {
		p.must(s.Options.Has(wire.HasTimestamps), "%v has a timestamp", &s.Segment)
		p.must(s.Options.TSEcr == 100 || s.Options.TSEcr == 101, "TSecr is the peer's last TSval; it is %d", s.Options.TSEcr)
	}
	p.c.Abort(p.now)
	p.flush()
	rst := p.taken()[0]
	p.must(rst.Flags&wire.RST != 0 && rst.Options.Has(wire.HasTimestamps), "the reset has a timestamp")

	// 7323-6: the initial SYN has TSecr 0.
	p = newPeer(t, setup{})
	p.c.Open(p.now, tcp.Active)
	p.flush()
	o := p.taken()[0].Options
	p.must(o.Has(wire.HasTimestamps) && o.TSEcr == 0, "the SYN has TSecr 0")
}

// "If a non-<RST> segment is received without a TSopt, a TCP SHOULD silently drop the segment.
// A TCP MUST NOT abort a TCP connection because any segment lacks an expected TSopt", RFC 7323
// section 3.2. 7323-5.
func TestSegmentWithoutTimestamp(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><TS=100,0>"})
	p.tsval = 100
	bare := p.make("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK>")
	bare.Options = wire.Options{}
	for range 10 {
		p.give(bare)
	}
	p.quiet("a segment without the timestamp is dropped in silence")
	p.must(p.c.Status().Unread == 0, "its text is not taken")
	p.mustBe(tcp.Established)
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK>")
	p.must(p.receive(100) == 10, "the connection goes on")

	// A timestamp on a connection that has not agreed on them is nothing.
	p = established(t, setup{syn: "<MSS=1460>"})
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=5,0>")
	p.must(p.receive(100) == 10, "the text is taken")
	p.send("<SEQ=2011><ACK=1001><LEN=10><CTL=ACK><TS=1,0>")
	p.must(p.receive(100) == 10, "there is no PAWS without an agreement")
}

// "If [...] SEG.TSval < TS.Recent [...] and if the RST bit is not set, then treat the
// arriving segment as not acceptable: Send an acknowledgment in reply [...] and drop the
// segment", RFC 7323 section 5.3 R1. 7323-8: it comes before the sequence number, and "an
// <RST> segment MUST NOT be subjected to the PAWS check".
func TestPAWS(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><TS=100,0>", cfg: tcp.Config{DelayedAck: -1}})
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=99,0>")
	p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	p.must(p.c.Status().Unread == 0, "the old duplicate's text is not taken")
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=100,0>")
	p.must(p.receive(100) == 10, "an equal TSval is not old")
	// Modulo 2^32.
	p.send("<SEQ=2011><ACK=1001><LEN=10><CTL=ACK><TS=2147483000,0>")
	p.send("<SEQ=2021><ACK=1001><LEN=10><CTL=ACK><TS=4294960000,0>")
	p.send("<SEQ=2031><ACK=1001><LEN=10><CTL=ACK><TS=3,0>")
	p.must(p.receive(100) == 30, "TSval wraps")
	p.taken()
	p.send("<SEQ=2041><ACK=1001><LEN=10><CTL=ACK><TS=4294967295,0>")
	p.expect("<SEQ=1001><ACK=2041><CTL=ACK>")
	p.must(p.receive(100) == 0, "what is from before the wrap is old")
	p.send("<SEQ=2041><CTL=RST><TS=1,0>")
	p.mustBe(tcp.Closed)
}

// The example of RFC 7323 section 5.3, in which segments are "discarded unnecessarily": A.1 has come,
// B.1 is lost, D.1 is late, and comes after B's retransmission. It is taken; what was sent before
// the sequence numbers could go round is not.
func TestOvertakenByARetransmission(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><TS=100,0>", cfg: tcp.Config{DelayedAck: -1}})
	text := func(n seq.Num, tsval int) string {
		return fmt.Sprintf("<SEQ=%d><ACK=1001><LEN=100><CTL=ACK><TS=%d,0>", n, tsval)
	}
	p.send(text(2001, 5000), text(2201, 5000)) // A and C
	p.wait(40 * time.Millisecond)
	p.send(text(2101, 5040)) // B again
	p.must(p.receive(1000) == 300, "the retransmission fills the gap")
	p.send(text(2301, 5001)) // D, late
	p.must(p.receive(1000) == 100, "D is late, not old, and is taken")
	p.send(text(2401, 99))
	p.must(p.receive(1000) == 0, "what is older than the SYN is of another connection")

	for i := range 10 { // ten seconds on, its clock is known to be further
		p.wait(time.Second)
		p.send(text(seq.Num(2401+100*i), 6000+1000*i))
	}
	p.must(p.receive(2000) == 1000, "the transfer goes on")
	p.send(text(3401, 5001))
	p.must(p.receive(1000) == 0, "ten seconds later a segment like D is an old duplicate")
	p.send(text(3401, 14_500))
	p.must(p.receive(1000) == 100, "and one of half a second ago is not")
}

// "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then [...] SEG.TSval is copied
// into TS.Recent", RFC 7323 section 4.3. 7323-7, with its three cases: (A) delayed ACK, (B)
// a hole in the sequence space, (C) a filled hole.
func TestWhichTimestampIsEchoed(t *testing.T) {
	echo := func(p *peer) uint32 {
		p.wait(500 * time.Millisecond)
		out := p.taken()
		return out[len(out)-1].Options.TSEcr
	}
	// (A) Delayed ACKs: "the Timestamps option of the earliest unacknowledged segment".
	p := established(t, setup{syn: "<MSS=1460><TS=1,0>"})
	p.send("<SEQ=2001><ACK=1001><LEN=100><CTL=ACK><TS=10,0>", "<SEQ=2101><ACK=1001><LEN=100><CTL=ACK><TS=20,0>")
	got := echo(p)
	p.must(got == 10, "(A) of two segments acknowledged together the first is echoed: 10; it is %d", got)
	// (B) and (C).
	p.send("<SEQ=2301><ACK=1001><LEN=100><CTL=ACK><TS=30,0>")
	got = echo(p)
	p.must(got != 30, "(B) a segment behind a hole is not echoed; it is %d", got)
	p.send("<SEQ=2201><ACK=1001><LEN=100><CTL=ACK><TS=40,0>")
	got = echo(p)
	p.must(got == 40, "(C) a segment that fills the hole is echoed; TSecr is %d", got)
}

// TS.Recent is not believed for ever: RFC 7323 section 5.5 has it invalid after 24 days
// of idleness; the segment that comes then sets it anew. 7323-9.
func TestTimestampAfter25DaysOfIdleness(t *testing.T) {
	const day = 24 * time.Hour
	p := established(t, setup{syn: "<MSS=1460><TS=3000000000,0>"})
	p.wait(23 * day)
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=2999999999,0>")
	p.must(p.receive(100) == 0, "after 23 days TS.Recent is in force")
	p.wait(2 * day)
	p.send("<SEQ=2001><ACK=1001><LEN=10><CTL=ACK><TS=2999999000,0>")
	p.must(p.receive(100) == 10, "after 25 days it is not: the peer's clock may have gone round")
	p.send("<SEQ=2011><ACK=1001><LEN=10><CTL=ACK><TS=2999999001,0>")
	p.must(p.receive(100) == 10, "then the new one is in force")
	p.taken()
	p.send("<SEQ=2021><ACK=1001><LEN=10><CTL=ACK><TS=2999998999,0>")
	p.must(p.receive(100) == 0, "and what is older than it is old")
}

// The timestamp clock ticks "in the range 1 ms to 1 sec per tick" and goes only forwards, modulo
// 2^32; RFC 7323 section 5.4. 7323-10.
func TestTimestampClock(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><TS=1,0>"})
	var before uint32
	for i, gap := range []time.Duration{0, time.Microsecond, time.Second, time.Hour, 24 * 24 * time.Hour} {
		p.wait(gap)
		p.send(fmt.Sprintf("<SEQ=1990><ACK=1001><LEN=5><CTL=ACK><TS=%d,0>", i+1))
		out := p.taken()
		ts := out[len(out)-1].Options.TSVal
		if i > 0 {
			ticks := ts - before
			least, most := uint32(gap/time.Second), uint32(gap/time.Millisecond)+1
			p.must(ticks >= least && ticks <= most, "in %v the clock goes %d to %d ticks; it went %d", gap, least, most, ticks)
		}
		before = ts
	}
}

// Two connections' timestamps cannot be compared (RFC 7323 section 7.1, "a random offset
// may be added"), and an off-path host cannot tell ports apart by them.
func TestTimestampOffsets(t *testing.T) {
	cfg := tcp.Config{Secret: [16]byte{1, 2, 3}}
	seen := map[uint32]bool{}
	flow := wire.Flow{Local: wire.Addr4([4]byte{192, 0, 2, 1}), Remote: wire.Addr4([4]byte{192, 0, 2, 2}), RemotePort: 80}
	var before uint32
	steps := map[uint32]int{}
	for port := range uint16(1000) {
		flow.LocalPort = 40000 + port
		c := tcp.New(&cfg, flow, 1500)
		c.Open(epoch, tcp.Active)
		var seg wire.Segment
		if !c.Output(epoch, &seg) {
			t.Fatal("there is no SYN")
		}
		ts := seg.Options.TSVal
		seen[ts] = true
		steps[(ts-before)>>28]++
		before = ts
	}
	if len(seen) < 999 {
		t.Errorf("1000 connections have %d different timestamps at one instant", len(seen))
	}
	for sixteenth := range uint32(16) {
		if n := steps[sixteenth]; n < 20 || n > 120 {
			t.Errorf("of 1000 steps from one port to the next, %d fall into sixteenth %d of the circle; about 62 would", n, sixteenth)
		}
	}
}
