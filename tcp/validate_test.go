package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// warmed is a connection of 100 ms whose cwnd has grown to 64 segments or more by use.
func warmed(t *testing.T, cfg tcp.Config) *peer {
	t.Helper()
	cfg.SendBuffer, cfg.Congestion, cfg.NoDelay = 1<<20, tcp.NewReno, true
	p := established(t, setup{syn: "<MSS=1000><WS=5><SACKOK>", rtt: 100 * time.Millisecond, cfg: cfg})
	p.rec = nil
	for p.c.Status().Cwnd < 64_000 {
		p.trip(int(p.c.Status().Cwnd))
	}
	p.must(p.c.Status().PacingRate == 0, "who uses cwnd is not paced")
	return p
}

// trip is a round trip in which the user writes n octets and all of them are acknowledged.
func (p *peer) trip(n int) []sent {
	p.t.Helper()
	p.write(n)
	p.wait(100 * time.Millisecond)
	out := p.taken()
	for _, s := range out {
		if len(s.Text) > 0 {
			p.send(p.ack(s.Seq.Add(uint32(len(s.Text)))))
		}
	}
	return append(out, p.taken()...)
}

// "A TCP sender that enters the non-validated phase preserves the cwnd", RFC 7661 section 4.4: after
// a minute without a word what has been in use may go again, but spread over a round trip (4.4.2).
func TestIdleWindowIsKept(t *testing.T) {
	p := warmed(t, tcp.Config{})
	cwnd := p.c.Status().Cwnd
	p.wait(time.Minute)
	begin := p.now
	out := p.trip(int(cwnd))
	p.must(p.c.Status().Cwnd >= cwnd, "cwnd is kept: %d of %d", p.c.Status().Cwnd, cwnd)
	n, last := 0, begin
	for _, s := range out {
		n += len(s.Text)
		if s.at == begin {
			p.must(n <= 16_000, "no burst: %d octets at once", n)
		}
		last = max(last, s.at)
	}
	p.must(n >= int(cwnd)*9/10 && last.Sub(begin) > 30*time.Millisecond, "%d octets of %d go within a round trip, the last after %v", n, cwnd, last.Sub(begin))
	for range 3 {
		p.trip(int(p.c.Status().Cwnd))
	}
	p.must(p.c.Status().PacingRate == 0, "in use again, the window is validated")
}

// "cwnd = max((1/2)*cwnd, IW)" and "ssthresh = max(ssthresh, 3*cwnd/4)" for each five minutes that
// it was not used: section 4.4.3, "one reduction [...] for each NVP" of 4.5.2.
func TestIdleWindowEnds(t *testing.T) {
	for _, c := range []struct {
		idle   time.Duration
		halved int
	}{{4 * time.Minute, 0}, {6 * time.Minute, 1}, {11 * time.Minute, 2}, {24 * time.Hour, 100}} {
		p := warmed(t, tcp.Config{})
		before := p.c.Status().Cwnd
		p.wait(c.idle)
		p.write(1000)
		want := before
		for range c.halved {
			want = max(want/2, 10_000)
		}
		st := p.c.Status()
		p.must(st.Cwnd == want, "after %v of %d octets %d are left; want %d", c.idle, before, st.Cwnd, want)
		p.must(c.halved == 0 || st.Ssthresh >= before/4*3, "ssthresh knows what was in use: %d", st.Ssthresh)
	}
}

// A user who sends little does not keep a large window for what a loss leaves: "cwnd =
// (Max(pipeACK,LossFlightSize))/2", section 4.4.1. And one who sends a burst, and loses at its end, is
// judged by the burst: pipeACK.
func TestLossInTheNonValidatedPhase(t *testing.T) {
	for _, c := range []struct {
		name        string
		use         int // octets in each round trip, of a window of 64
		least, most uint32
	}{{"little", 5000, 2000, 2400}, {"a third", 20_000, 9000, 9400}} {
		p := warmed(t, tcp.Config{})
		for range 30 {
			p.trip(c.use)
		}
		p.must(p.c.Status().PacingRate > 0, "%s: the window is not validated", c.name)
		cwnd := p.c.Status().Cwnd
		p.write(5000) // the first of these five is lost
		p.wait(100 * time.Millisecond)
		una := p.c.Status().SndUna
		p.taken()
		for i := range uint32(4) {
			p.sack(una, una.Add(1000), una.Add(2000+1000*i))
		}
		p.must(p.c.Status().Recovering, "%s: a loss", c.name)
		p.wait(100 * time.Millisecond)
		p.ackAll()
		st := p.c.Status()
		p.must(!st.Recovering && st.Cwnd >= c.least && st.Cwnd <= c.most && st.Ssthresh == st.Cwnd, "%s: of cwnd %d the loss leaves %d, ssthresh %d", c.name, cwnd, st.Cwnd, st.Ssthresh)
	}
}
