package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// "If there is unacknowledged data (i.e., SND.NXT > SND.UNA), then the sending TCP endpoint
// buffers all user data (regardless of the PSH bit) until the outstanding data has been
// acknowledged or until the TCP endpoint can send a full-sized segment", RFC 9293 section
// 3.7.4. What was held back goes in one segment: successive pushes collapse.
func TestNagle(t *testing.T) { // SHLD-7, SHLD-27
	p := established(t, setup{syn: "<MSS=1000>"})
	p.write(10)
	p.expect("<SEQ=1001><ACK=2001><LEN=10><CTL=PSH,ACK>")
	p.write(10)
	p.write(20)
	p.write(30)
	p.quiet("the first octets are not acknowledged")
	p.send(p.ack(1011))
	p.expect("<SEQ=1011><ACK=2001><LEN=60><CTL=PSH,ACK>")
	p.write(999)
	p.quiet("999 octets are no full segment")
	p.write(1)
	p.expect("<SEQ=1071><ACK=2001><LEN=1000><CTL=PSH,ACK>")
	p.write(2500)
	p.expect("<SEQ=2071><ACK=2001><LEN=1000><CTL=ACK>", "<SEQ=3071><ACK=2001><LEN=1000><CTL=ACK>")
	p.send(p.ack(3071))
	p.quiet("500 octets are no full segment, and something is outstanding")
	p.send(p.ack(4071))
	p.expect("<SEQ=4071><ACK=2001><LEN=500><CTL=PSH,ACK>")
}

// "A TCP implementation SHOULD implement the Nagle algorithm [...]. However, there MUST be a
// way for an application to disable the Nagle algorithm on an individual connection."
func TestNagleIsSwitchedOff(t *testing.T) { // MUST-17
	p := established(t, setup{syn: "<MSS=1000>"})
	p.c.SetNoDelay(true)
	p.write(10)
	p.write(10)
	p.expect("<SEQ=1001><ACK=2001><LEN=10><CTL=PSH,ACK>", "<SEQ=1011><ACK=2001><LEN=10><CTL=PSH,ACK>")
	p.c.SetNoDelay(false)
	p.write(10)
	p.quiet("it is on again")
	p.c.SetNoDelay(true)
	p.flush()
	p.expect("<SEQ=1021><ACK=2001><LEN=10><CTL=PSH,ACK>")
	p = established(t, setup{cfg: tcp.Config{NoDelay: true}})
	p.write(10)
	p.write(10)
	p.must(len(p.taken()) == 2, "the Config switches it off too")
}

// SEND has no PUSH flag here; then the TCP "MUST NOT buffer data indefinitely" and "MUST set
// the PSH bit in the last buffered segment (i.e., when there is no more queued data to be
// sent)", RFC 9293 section 3.9.1.2.
func TestEverythingIsPushed(t *testing.T) { // MUST-60, MUST-61, SHLD-27
	p := established(t, setup{syn: "<MSS=1000>"})
	p.write(1)
	p.expect("<SEQ=1001><ACK=2001><LEN=1><CTL=PSH,ACK>")
	p.send(p.ack(1002))
	p.write(3000)
	for i, s := range p.taken() {
		p.must(s.Flags.Has(wire.PSH) == (i == 2), "of three segments the last alone has PSH: %v", &s.Segment)
	}
	// Held back by Nagle and never acknowledged, what is queued goes with what is sent again.
	p.send(p.ack(4002))
	p.write(10)
	p.write(10)
	p.taken()
	p.next(time.Minute)
	p.expect("<SEQ=4002><ACK=2001><LEN=20><CTL=PSH,ACK>")
}

// "When an application program issues a series of SEND calls without setting the PUSH flag,
// the TCP implementation MAY aggregate the data internally without sending it"; "to send a
// maximum-sized segment whenever possible" it SHOULD. Data and FIN share the last one.
func TestSegmentsAreFull(t *testing.T) { // SHLD-28
	p := established(t, setup{syn: "<MSS=1000>"})
	for range 50 {
		p.write(123)
	}
	for p.c.Status().Unacknowledged > 0 {
		p.ackAll()
	}
	out := p.taken()
	sum := 0
	for i, s := range out {
		sum += len(s.Text)
		p.must(len(s.Text) == 1000 || i == 0 || sum == 50*123, "%v is full, or the first or the last", &s.Segment)
	}
	p.must(sum == 50*123, "all is sent")
	p.write(10)
	p.write(20)
	p.c.Close(p.now)
	p.flush()
	p.expect("<SEQ=7151><ACK=2001><LEN=10><CTL=PSH,ACK>", "<SEQ=7161><ACK=2001><LEN=20><CTL=FIN,PSH,ACK>")
}

// Super-segments are whole segments, cut further down by Segment.GSO, and obey the windows as
// single ones do.
func TestSuperSegments(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000>", cfg: tcp.Config{MTUProbing: tcp.MTUProbeOff}})
	p.c.SetSuperSegment(65535)
	p.write(33300)
	out := p.taken()
	p.must(len(out) == 1 && len(out[0].Text) == 10000 && out[0].GSO == 1000, "the initial window goes in one piece of ten segments: %v", texts(out))
	p.send(p.ack(11001))
	out = p.taken()
	p.must(len(out) == 1 && len(out[0].Text) == 20000, "then twenty: %v", texts(out))
	p.send(p.ack(31001))
	out = p.taken()
	p.must(len(out) == 1 && len(out[0].Text) == 3300 && out[0].Flags.Has(wire.PSH), "and the rest with its last, shorter segment, for nothing is outstanding: %v", texts(out))
	p.wait(20 * time.Second)
	for _, s := range p.taken() {
		p.must(len(s.Text) == 1000 && s.GSO == 0, "what is sent again after a timeout goes one by one: %v", &s.Segment)
	}
	p.c.SetSuperSegment(0)
	p.send(p.ack(34301))
	p.write(5000)
	for _, s := range p.taken() {
		p.must(len(s.Text) == 1000, "without it each is a segment")
	}
}

// SEND takes what there is room for, says so, and signals when there is room again.
func TestSendBuffer(t *testing.T) {
	p := established(t, setup{cfg: tcp.Config{SendBuffer: 1 << 14}})
	p.must(p.write(10000) == 10000 && p.write(10000) == 1<<14-10000 && p.write(1) == 0, "16384 octets are taken")
	p.c.TakeSignals()
	p.send(p.ack(1001 + 1460))
	p.must(p.c.TakeSignals()&(tcp.SignalWritable|tcp.SignalAcked) == tcp.SignalWritable|tcp.SignalAcked, "an ACK makes room")
	p.must(p.write(10000) == 1460, "1460 octets of it")
	for p.c.Status().Unacknowledged > 0 {
		p.ackAll()
	}
	p.must(p.c.Status().Buffered == 0 && p.cfg.BuffersInUse() == 0, "an idle connection has no buffer")
}

// What the user writes before the connection is there goes with the handshake's end.
func TestSendBeforeEstablished(t *testing.T) {
	p := synSent(t, setup{})
	p.write(100)
	p.quiet("nothing goes before the handshake is done")
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>")
	p.expect("<SEQ=1001><ACK=2001><LEN=100><CTL=PSH,ACK>")
}

// The DS field can be set, and changed while the connection lives; what the peer's segments
// had can be read. RFC 9293 sections 3.9.1.9 and 3.9.2.
func TestTrafficClassAndHopLimit(t *testing.T) { // MUST-48, MUST-49, SHLD-21, SHLD-22, SHLD-23, MAY-9
	p := newPeer(t, setup{})
	p.c.SetTrafficClass(0xb8)
	p.c.SetHopLimit(7)
	p.c.Open(p.now, tcp.Active)
	p.flush()
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>")
	p.write(10)
	p.wait(10 * time.Second) // and again
	out := p.taken()
	p.must(len(out) > 3, "there are a SYN, an ACK, text and its repetitions")
	for _, s := range out {
		p.must(s.TC == 0xb8 && s.HopLimit == 7, "%v has the DS field and hop limit that the user set: %#x, %d", &s.Segment, s.TC, s.HopLimit)
	}
	p.c.SetTrafficClass(0x20)
	p.send(p.ack(1011))
	p.write(10)
	p.must(p.taken()[0].TC == 0x20, "later segments carry the later one")
	p.c.Abort(p.now)
	p.flush()
	p.must(p.taken()[0].TC == 0x20, "the reset too")

	p = established(t, setup{})
	seg := p.make(p.data(seq.Num(2001), 5))
	seg.TC = 0x48
	p.give(seg)
	p.must(p.c.ReceivedTrafficClass() == 0x48, "the user can read what the last segment had")
}
