package tcp_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// "A TCP endpoint SHOULD implement a delayed ACK [...] in particular, the delay MUST be less
// than 0.5 seconds. An ACK SHOULD be generated for at least every second full-sized segment or
// 2*RMSS bytes of new data", RFC 9293 section 3.8.6.3; 5681-10.
func TestDelayedAck(t *testing.T) { // MUST-40, SHLD-18, SHLD-19
	p := established(t, setup{})
	p.send(p.data(2001, 100))
	p.quiet("one segment waits for company")
	took := p.next(time.Second)
	p.must(took == tcp.DefaultDelayedAck && took < 500*time.Millisecond, "its ACK goes after %v; it goes after %v", tcp.DefaultDelayedAck, took)
	p.expect("<SEQ=1001><ACK=2101><CTL=ACK>")
	p.send(p.data(2101, 100))
	p.wait(tcp.DefaultDelayedAck - 1)
	p.write(10)
	p.expect("<SEQ=1001><ACK=2201><LEN=10><CTL=PSH,ACK>")
	p.wait(100 * time.Millisecond)
	p.quiet("the ACK went with the text")

	for _, size := range []int{536, 1000, 1448, 1460} {
		p = established(t, setup{})
		for i := range 20 {
			p.send(p.data(2001+seq.Num(i*size), size))
			if i%2 == 1 {
				p.expect(fmt.Sprintf("<SEQ=1001><ACK=%d><CTL=ACK>", 2001+(i+1)*size))
			} else {
				p.quiet("one of two")
			}
		}
	}
	// However long the user wants it, it is less than half a second.
	p = established(t, setup{cfg: tcp.Config{DelayedAck: time.Minute}})
	p.send(p.data(2001, 100))
	took = p.next(time.Second)
	p.must(took < 500*time.Millisecond, "the ACK goes after %v", took)
	// Or never.
	p = established(t, setup{cfg: tcp.Config{DelayedAck: -1}})
	p.send(p.data(2001, 100))
	p.expect("<SEQ=1001><ACK=2101><CTL=ACK>")
}

// On a link whose segments are small, two of them are two: RMSS is what we announced.
func TestDelayedAckOnASmallMTU(t *testing.T) { // SHLD-19
	p := established(t, setup{mtu: 296})
	p.send(p.data(2001, 256))
	p.quiet("one of two")
	p.send(p.data(2257, 256))
	p.expect("<SEQ=1001><ACK=2513><CTL=ACK>")
}

// A super-segment of two or more counts as what it was on the wire.
func TestDelayedAckOfASuperSegment(t *testing.T) { // SHLD-19
	p := established(t, setup{})
	seg := p.make(p.data(2001, 2920))
	seg.GSO = 1460
	p.give(seg)
	p.expect("<SEQ=1001><ACK=4921><CTL=ACK>")
	seg = p.make(p.data(4921, 1460))
	seg.GSO = 0
	p.give(seg)
	p.quiet("one of two")
}

// "A TCP implementation MUST [...] aggregate [...] ACK segments whenever possible. For
// example, if the TCP endpoint is processing a series of queued segments, it MUST process
// them all before sending any ACK segments", RFC 9293 section 3.10.7.4.
func TestAcksAreAggregated(t *testing.T) { // MUST-58, MUST-59
	p := established(t, setup{})
	p.batch(p.data(2001, 1460), p.data(3461, 1460), p.data(4921, 1460), p.data(6381, 1460), p.data(7841, 100))
	p.expect("<SEQ=1001><ACK=7941><CTL=ACK>")
	// Queued behind a gap, and released together.
	p.send(p.data(8941, 1000), p.data(9941, 1000), p.data(10941, 1000))
	p.taken()
	p.send(p.data(7941, 1000))
	p.expect("<SEQ=1001><ACK=11941><CTL=ACK>")
	// With text to send there is no ACK of its own.
	p.write(1)
	p.send(p.ack(1002))
	p.taken()
	p.c.SetNoDelay(true)
	seg := p.make(p.data(11941, 1460))
	p.c.Arrive(p.now, &seg)
	seg = p.make(p.data(13401, 1460))
	p.c.Arrive(p.now, &seg)
	p.write(5)
	p.expect("<SEQ=1002><ACK=14861><LEN=5><CTL=PSH,ACK>")
}

// "Segments with higher beginning sequence numbers SHOULD be held for later processing", and
// "a TCP implementation MAY send an ACK segment [...] when a valid segment arrives that is in
// the window but not at the left window edge"; RFC 5681 section 4.2: "SHOULD be sent
// immediately", and when a gap is filled, wholly or in part, too. 5681-9, 2018-4.
func TestOutOfOrder(t *testing.T) { // SHLD-31, MAY-13
	p := established(t, setup{})
	p.send(p.data(2101, 100))
	p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	p.send(p.data(2301, 100))
	p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	p.must(p.receive(1000) == 0, "nothing is there yet")
	p.send(p.data(2001, 100))
	p.expect("<SEQ=1001><ACK=2201><CTL=ACK>")
	p.must(p.receive(1000) == 200, "what was held is there")
	p.send(p.data(2201, 50))
	p.expect("<SEQ=1001><ACK=2251><CTL=ACK>")
	p.send(p.data(2251, 50))
	p.expect("<SEQ=1001><ACK=2401><CTL=ACK>")
	p.must(p.receive(1000) == 200, "and the rest")
	p.must(p.c.Status().Buffered == 0, "no buffer is left over")
}

// A duplicate is acknowledged at once: its sender may have missed our ACK. Text that overlaps
// in any way comes once.
func TestDuplicatesAndOverlaps(t *testing.T) {
	p := established(t, setup{})
	p.send(p.data(2001, 100))
	p.wait(time.Second)
	p.taken()
	p.send(p.data(2001, 100))
	p.expect("<SEQ=1001><ACK=2101><CTL=ACK>")
	p.send(p.data(2050, 100))
	p.expect("<SEQ=1001><ACK=2150><CTL=ACK>")
	p.send(p.data(2200, 100), p.data(2250, 100), p.data(2190, 20), p.data(2195, 300))
	p.send(p.data(2140, 400))
	p.must(p.receive(1000) == 539, "2001 to 2540 come once")
}

// The first SACK block is the one that holds what has just come; the others are those
// reported most recently: RFC 2018 section 4, "MUST specify the contiguous block of data
// containing the segment which triggered this ACK", "SHOULD be filled out by repeating the
// most recently reported SACK blocks". Four fit, three beside timestamps. 2018-1 to 2018-4.
func TestSACKBlocks(t *testing.T) {
	for _, tc := range []struct {
		options string
		fit     int
	}{{"<MSS=1460><SACKOK>", 4}, {"<MSS=1460><SACKOK><TS=1,0>", 3}} {
		p := established(t, setup{syn: tc.options})
		var recent []wire.SACKBlock // most recent first
		came := map[seq.Num]bool{}
		report := func(s seq.Num, n int, want wire.SACKBlock) {
			t.Helper()
			twice := came[s]
			came[s] = true
			p.send(p.data(s, n))
			keep := []wire.SACKBlock{want}
			for _, b := range recent {
				if b.Left.Less(want.Left) || want.Right.Less(b.Right) {
					keep = append(keep, b)
				}
			}
			recent = keep
			out := p.taken()
			p.must(len(out) == 1, "one ACK goes at once")
			got := out[0].Options.Blocks()
			if twice { // RFC 2883 section 4: it comes first, and takes the place of one
				p.must(got[0] == wire.SACKBlock{Left: s, Right: s.Add(uint32(n))}, "what came twice is reported first: %v", got)
				got = got[1:]
			}
			n = min(len(recent), tc.fit-(len(out[0].Options.Blocks())-len(got)))
			p.must(len(got) == n, "there are %d blocks; there are %v", n, got)
			for i, b := range got {
				p.must(b == recent[i], "the blocks are %v; they are %v", recent[:n], got)
			}
		}
		report(3001, 100, wire.SACKBlock{Left: 3001, Right: 3101})
		report(5001, 100, wire.SACKBlock{Left: 5001, Right: 5101})
		report(4001, 100, wire.SACKBlock{Left: 4001, Right: 4101})
		report(2501, 100, wire.SACKBlock{Left: 2501, Right: 2601})
		report(7001, 100, wire.SACKBlock{Left: 7001, Right: 7101})
		report(6001, 100, wire.SACKBlock{Left: 6001, Right: 6101})
		report(4101, 100, wire.SACKBlock{Left: 4001, Right: 4201})
		report(3101, 900, wire.SACKBlock{Left: 3001, Right: 4201})
		report(5001, 100, wire.SACKBlock{Left: 5001, Right: 5101})
		// Text of ours carries them too.
		p.write(10)
		p.must(p.taken()[0].Options.NSACK > 0, "a segment with text reports what is held")
		p.send(p.data(2001, 500))
		out := p.taken()
		p.must(out[0].Ack == 2601, "the gap's first part is filled")
		for _, b := range out[0].Options.Blocks() {
			p.must(out[0].Ack.Less(b.Left), "no block lies below the ACK; %v does", b)
		}
	}
	// 2018-1: without the peer's SACK-permitted there are none.
	p := established(t, setup{syn: "<MSS=1460>"})
	p.send(p.data(3001, 100))
	p.must(p.taken()[0].Options.NSACK == 0, "no SACK without an agreement")
}

// What arrives in any order and any pieces is read once and in order, and the blocks reported
// are always what was received and not yet acknowledged: against a bitmap.
func TestReassemblyAgainstABitmap(t *testing.T) { // SHLD-31
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		const size = 4000
		p := established(t, setup{syn: "<MSS=1460><SACKOK>", iss: seq.Num(r.Uint32()), irs: seq.Num(r.Uint32()) | 1})
		first := p.irs + 1
		var have [size + 1]bool
		at := 0 // RCV.NXT by the bitmap
		for at < size {
			s := min(max(at-200, 0)+r.IntN(1500), size-1)
			n := min(1+r.IntN(300), size-s)
			p.send(p.data(first.Add(uint32(s)), n))
			before := have
			for i := s; i < s+n; i++ {
				have[i] = true
			}
			for have[at] {
				at++
			}
			st := p.c.Status()
			p.must(st.RcvNxt == first.Add(uint32(at)), "seed %d: RCV.NXT is %v; it is %v", seed, first.Add(uint32(at)), st.RcvNxt)
			held := uint32(0)
			for _, h := range have[at:] {
				if h {
					held++
				}
			}
			p.must(st.OutOfOrder == held, "seed %d: %d octets are held out of order; %d are", seed, held, st.OutOfOrder)
			for _, out := range p.taken() {
				for i, b := range out.Options.Blocks() {
					from, to := int(int32(b.Left.Sub(first))), int(int32(b.Right.Sub(first)))
					if i == 0 && (to <= at || len(out.Options.Blocks()) > 1 && inside(b, out.Options.Blocks()[1])) {
						// A D-SACK: all of it had come before (RFC 2883 section 4).
						for k := from; k < to; k++ {
							p.must(before[k], "seed %d: octet %d came once and is reported as a duplicate", seed, k)
						}
						p.must(s <= from && to <= s+n, "seed %d: the duplicate %d to %d has just come", seed, from, to)
						continue
					}
					for i := from; i < to; i++ {
						if !have[i] {
							p.fail("seed %d: octet %d is reported and was not received", seed, i)
						}
					}
					p.must(!have[from-1] && !have[to], "seed %d: the block %d to %d is whole", seed, from, to)
				}
			}
			if r.IntN(3) == 0 {
				p.receive(r.IntN(500))
			}
		}
		p.receive(size)
		p.must(p.read == first+size, "all octets are read")
	}
}

func inside(a, b wire.SACKBlock) bool { return b.Left.LessEq(a.Left) && a.Right.LessEq(b.Right) }

// A segment may carry text beside RST (SHLD-2: "TCP implementations SHOULD allow a received
// RST segment to include data"), and beside FIN.
func TestTextBesideControl(t *testing.T) { // SHLD-2
	p := established(t, setup{})
	p.send("<SEQ=2001><LEN=20><CTL=RST>")
	p.mustBe(tcp.Closed)
	p.must(p.c.Err() == tcp.ErrReset, "the user learns of the reset")
	p = established(t, setup{})
	p.send("<SEQ=2001><ACK=1001><LEN=20><CTL=RST,ACK>")
	p.mustBe(tcp.Closed)
	p = established(t, setup{})
	p.send("<SEQ=2001><ACK=1001><LEN=20><CTL=FIN,ACK>")
	p.mustBe(tcp.CloseWait)
	p.expect("<SEQ=1001><ACK=2022><CTL=ACK>")
	p.must(p.receive(100) == 20, "the text before the FIN is read")
}

// A FIN waits until everything before it has come, and its own segment may be long gone.
func TestFINOutOfOrder(t *testing.T) {
	p := established(t, setup{})
	p.send("<SEQ=2101><ACK=1001><LEN=50><CTL=FIN,ACK>")
	p.mustBe(tcp.Established)
	p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	p.send(p.data(2001, 100))
	p.mustBe(tcp.CloseWait)
	p.expect("<SEQ=1001><ACK=2152><CTL=ACK>")
	p.must(p.receive(1000) == 150, "everything is read")
}

// A FIN that contradicts text received does no harm: forged, it must not keep the true one
// from being heard (RFC 5961 section 5, "blind data injection").
func TestFalseFIN(t *testing.T) {
	p := established(t, setup{})
	p.send("<SEQ=2101><ACK=1001><CTL=FIN,ACK>") // the forged one, ahead of what has come
	p.send(p.data(2001, 200))                   // the peer itself has more
	p.must(p.receive(1000) == 200, "the text is read")
	p.send("<SEQ=2201><ACK=1001><LEN=10><CTL=FIN,ACK>")
	p.mustBe(tcp.CloseWait)
	p.must(p.receive(1000) == 10, "the true FIN ends the stream")
	// A FIN below what is held is none.
	p = established(t, setup{})
	p.send(p.data(2101, 100), "<SEQ=2051><ACK=1001><CTL=FIN,ACK>", p.data(2001, 50))
	p.mustBe(tcp.Established)
	p.send(p.data(2051, 50))
	p.mustBe(tcp.Established)
	p.must(p.receive(1000) == 200, "the text is read")
}

// An ACK without text is not answered, though something is held out of order: two ends that both have
// a gap would answer each other as fast as the path lets them.
func TestAckBesideAGapDrawsNone(t *testing.T) {
	for _, syn := range []string{"<MSS=1460>", "<MSS=1460><SACKOK>"} {
		p := established(t, setup{syn: syn})
		p.write(2920)
		p.taken()
		p.send(p.data(3001, 10))
		p.expect("<SEQ=3921><ACK=2001><CTL=ACK>")
		p.send(p.ack(1001))
		p.quiet("an ACK of nothing new")
		p.send(p.ack(2461))
		p.quiet("an ACK of something, which lets nothing new go")
		p.send(p.data(2001, 1000))
		p.expect("<SEQ=3921><ACK=3011><CTL=ACK>")
	}
}

// SHLD-19: a segment is no less full-sized for the options that it has and the one before has not.
func TestFullSizedButForOptions(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1460><SACKOK>"})
	p.send(p.data(2001, 1460), p.data(3461, 1460))
	p.expect("<SEQ=1001><ACK=4921><CTL=ACK>")
	for at := seq.Num(4921); at.Less(30000); at += 2 * 1448 {
		p.send(p.data(at, 1448))
		p.quiet("the first waits for the second")
		p.send(p.data(at+1448, 1448))
		p.expect(fmt.Sprintf("<SEQ=1001><ACK=%d><CTL=ACK>", at+2*1448))
	}
}
