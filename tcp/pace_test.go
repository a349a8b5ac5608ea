package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// steady is a congestion control that sends at a rate, whatever happens.
type steady struct {
	rate    uint64
	quantum uint32
}

func (*steady) Name() string                                     { return "steady" }
func (*steady) Start(tcp.Time, tcp.Window)                       {}
func (*steady) Undo(tcp.Time, tcp.Window)                        {}
func (*steady) Loss(_ tcp.Time, w tcp.Window, _ tcp.Loss) uint32 { return w.Cwnd }
func (s *steady) Pace() (uint64, uint32)                         { return s.rate, s.quantum }
func (*steady) Ack(_ tcp.Time, w tcp.Window, a tcp.Acknowledgment) tcp.Window {
	w.Cwnd += a.Acked
	return w
}

// What is paced goes by quanta at the rate, no faster: up to any time no more has gone than the
// rate and two quanta allow, and no less than the rate. Deadline says when the next may go, and
// acknowledgments that come meanwhile let nothing go.
func TestPacedText(t *testing.T) {
	const rate, quantum = 1_000_000, 2800
	p := established(t, setup{syn: "<MSS=1400><WS=4><SACKOK>", rtt: 10 * time.Millisecond, cfg: tcp.Config{
		SendBuffer: 1 << 20, Congestion: func() tcp.Congestion { return &steady{rate, quantum} },
	}})
	p.rec = nil
	begin := p.now
	p.write(1 << 20)
	var all []sent
	total, acked, instants := 0, 0, 0
	for p.now.Sub(begin) < 300*time.Millisecond {
		p.wait(time.Millisecond)
		for _, s := range p.taken() {
			if len(all) == 0 || all[len(all)-1].at != s.at {
				instants++
			}
			all = append(all, s)
			total += len(s.Text)
			most := int(s.at.Sub(begin))*rate/int(time.Second) + 2*quantum + 1400
			p.must(total <= most, "after %v, %d octets have gone; the rate gives %d", s.at.Sub(begin), total, most)
		}
		for ; acked < len(all) && all[acked].at <= p.now.Add(-10*time.Millisecond); acked++ {
			p.send(p.ack(all[acked].Seq.Add(uint32(len(all[acked].Text)))))
		}
		passed := p.now.Sub(begin)
		least := int(passed)*rate/int(time.Second) - 2*quantum
		p.must(total >= least, "after %v, %d octets have gone; the rate gives %d", passed, total, least)
	}
	p.must(instants <= 300_000/quantum+2, "%d departures of %d octets", instants, total)
}

// Without a control that paces, Config.Pacing spreads cwnd over the round trip: of a window of ten
// segments on a path of 100 ms, the last goes after some 50 ms (twice the rate, in slow start).
func TestPacingByWindow(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1400><WS=4><SACKOK>", rtt: 100 * time.Millisecond, cfg: tcp.Config{SendBuffer: 1 << 20, Pacing: true}})
	begin := p.now
	p.write(1 << 17)
	p.wait(99 * time.Millisecond)
	out := p.taken()
	p.must(len(out) == 10, "the initial window is ten segments: %d", len(out))
	first, last := out[0].at.Sub(begin), out[len(out)-1].at.Sub(begin)
	p.must(first == 0 && last > 25*time.Millisecond && last < 50*time.Millisecond, "the first goes at once, the last within half a round trip: %v, %v", first, last)
	for i := range out[4:] {
		p.must(out[i+4].at > out[i].at, "no more than a few go at once: %v", out[i].at.Sub(begin))
	}
	p.ackAll()
	p.wait(time.Second)
	p.must(p.c.Status().Timeouts == 0 && p.c.Status().Retransmitted > 0 || p.c.Status().Unacknowledged > 0, "the next window follows")
}

// vast is a congestion control without bounds.
type vast struct{ tcp.Congestion }

func (vast) Ack(_ tcp.Time, w tcp.Window, _ tcp.Acknowledgment) tcp.Window {
	w.Cwnd = 1<<32 - 1
	return w
}

// The largest window that there is has the rate that it should have.
func TestPacingByTheLargestWindow(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1400><WS=4><SACKOK>", rtt: 100 * time.Millisecond, cfg: tcp.Config{
		SendBuffer: 1 << 20, Pacing: true, Congestion: func() tcp.Congestion { return vast{tcp.NewReno()} },
	}})
	p.write(1 << 14)
	p.wait(100 * time.Millisecond)
	p.ackAll()
	st := p.c.Status()
	p.must(st.Cwnd == 1<<30 && st.PacingRate == uint64(2*st.Cwnd)*uint64(time.Second)/uint64(st.SRTT), "cwnd is %d, SRTT %v, the rate %d", st.Cwnd, st.SRTT, st.PacingRate)
}

// A control that takes over in the midst of a flight knows nothing of how it was sent: samples of the
// path begin with what it sends itself.
func TestAnotherModelInFlight(t *testing.T) {
	for name, first := range map[string]tcp.Congestion{"bbr": tcp.NewBBR(), "cubic": tcp.NewCubic()} {
		p := established(t, setup{syn: "<MSS=1000><WS=4><SACKOK>", rtt: 100 * time.Millisecond, cfg: tcp.Config{
			SendBuffer: 1 << 22, Congestion: func() tcp.Congestion { return first },
		}})
		p.write(1 << 22)
		for range 5 {
			p.round(1000)
		}
		second := tcp.NewBBR().(*tcp.BBR)
		p.c.SetCongestion(p.now, second)
		for range 5 {
			p.round(1000)
		}
		rate := p.c.Status().Counts.OctetsAcked * uint64(time.Second) / uint64(100*time.Millisecond)
		bw := second.Status().MaxBW
		p.must(0 < bw && bw < rate, "%s: the path carries %d octets a second, and less than all in one round trip, %d", name, bw, rate)
	}
}
