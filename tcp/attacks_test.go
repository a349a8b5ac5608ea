package tcp_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// A peer that lies in its SACK blocks, of text that was never sent, that is acknowledged, that
// overlaps, that runs backwards, that it takes back later (RFC 2018 section 8), draws no storm
// and makes nothing be forgotten: CVE-2019-11477, CVE-2019-5599. Nor does it with segments as
// small as can be.
func TestLyingSACKBlocks(t *testing.T) {
	for _, mss := range []string{"<MSS=1000>", "<MSS=48>"} {
		p := established(t, setup{syn: mss + "<WS=4><SACKOK>", rtt: 100 * time.Millisecond, cfg: tcp.Config{SendBuffer: 1 << 20, UserTimeout: -1}})
		p.send(p.ack(1001))
		p.rec = nil
		p.write(1 << 20)
		for p.c.Status().Unacknowledged < 40*p.c.Status().MSS { // so that there are many segments in flight
			p.taken()
			p.ackAll()
		}
		p.taken()
		st := p.c.Status()
		una, flight, buffered := st.SndUna, st.Unacknowledged, st.Buffered
		r := rand.New(rand.NewPCG(1, 2))
		const lies = 50_000
		octets := 0
		for i := range uint32(lies) {
			seg := wire.Segment{Seq: p.irs + 1, Ack: una, Flags: wire.ACK, Wnd: 65535}
			seg.Options.Set = wire.HasSACK
			seg.Options.NSACK = 3
			for k := range 3 {
				at := una.Add(r.Uint32N(2*flight) - flight/2)
				seg.Options.SACK[k] = wire.SACKBlock{Left: at, Right: at.Add(r.Uint32N(flight) - flight/8)}
			}
			if i%2 == 0 { // every other octet
				at := una.Add(1 + 2*(i%(flight/2)))
				seg.Options.SACK[0] = wire.SACKBlock{Left: at, Right: at + 1}
			}
			p.give(seg)
			for _, s := range p.taken() {
				octets += len(s.Text)
			}
		}
		st = p.c.Status()
		p.must(st.SndUna == una, "a SACK acknowledges nothing")
		p.must(octets <= 3*int(flight), "%d lies draw %d octets, of a flight of %d", lies, octets, flight)
		p.must(st.Unacknowledged <= 4*flight, "there are %d octets in flight after %d", st.Unacknowledged, flight)
		p.must(st.Buffered == buffered, "they take no memory: %d octets after %d", st.Buffered, buffered)
		for p.c.Status().Unacknowledged+p.c.Status().Unsent > 0 { // the audit checks every octet
			p.taken()
			p.ackAll()
		}
		p.mustBe(tcp.Established)
	}
}

// Off the path nobody puts text into a connection: sequence number, acknowledgment (RFC 5961
// section 5) and port together take more than 2^32 guesses, with windows of a megabyte on both
// sides.
func TestBlindData(t *testing.T) {
	p := bulkWith(t, "", tcp.Config{ReceiveBuffer: 1 << 20})
	for range 300 { // so that ACKs of a whole window ago are plausible
		p.taken()
		p.ackAll()
	}
	p.taken()
	const apart = 1 << 14
	unacceptable := func(rule tcp.Rule) (n float64) {
		for _, d := range p.dropped {
			if d == rule.String() {
				n++
			}
		}
		p.dropped = nil
		return n
	}
	// Which sequence numbers are looked at, the acknowledgment being right?
	p.dropped = nil
	tries := 0.0
	p.must(p.c.Status().SndUna.Sub(1001) > 1<<20 && p.c.Status().MaxSndWnd > 1000000 && p.c.Status().RcvWnd > 1000000, "%+v", p.c.Status())
	una := p.c.Status().SndUna
	for s := uint64(0); s < 1<<32; s += apart {
		at := seq.Num(s) | 1
		if at.Sub(p.c.Status().RcvNxt) < 2*apart {
			continue // not what is in order: the window stays
		}
		tries++
		p.give(wire.Segment{Seq: at, Ack: una, Flags: wire.ACK, Wnd: 65535, Text: octets(at, 1)})
		p.taken()
	}
	seqHits := (tries - unacceptable(tcp.RuleUnacceptable)) / tries
	// Which acknowledgments, the sequence number being right?
	tries = 0
	for a := uint64(0); a < 1<<32; a += apart {
		if ack := seq.Num(a); una.Less(ack) && ack.LessEq(p.c.Status().SndNxt) {
			continue // not what takes from the flight
		}
		tries++
		at := p.c.Status().RcvNxt
		p.give(wire.Segment{Seq: at, Ack: seq.Num(a), Flags: wire.ACK, Wnd: 65535, Text: octets(at, 1)})
		p.receive(1)
		p.taken()
	}
	ackHits := (tries - unacceptable(tcp.RuleAckOutOfRange)) / tries
	const ports = 32768
	p.must(seqHits > 0 && ackHits > 0, "some guesses are right: %g, %g", seqHits, ackHits)
	guesses := ports / (seqHits * ackHits)
	p.must(guesses > 1<<32, "%g guesses put text into a connection: 1 of %g sequence numbers, 1 of %g ACKs", guesses, 1/seqHits, 1/ackHits)
}
