package tcp_test

import (
	"math"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// cubicModel is RFC 9438 section 4 in segments and seconds, as it is written.
type cubicModel struct {
	cwnd, prior, wMax, wEst, k float64
	t, epoch                   float64
	begun, timeout             bool
}

func (m *cubicModel) ack(rtt, acked float64) {
	const c, alpha = 0.4, 3 * 0.3 / 1.7
	if !m.begun {
		m.begun, m.epoch, m.wEst, m.k = true, m.t, m.cwnd, 0
		if m.timeout || m.wMax <= m.cwnd {
			m.wMax = m.cwnd
		} else {
			m.k = math.Cbrt((m.wMax - m.cwnd) / c)
		}
		m.timeout = false
	}
	w := func(t float64) float64 { d := t - m.k; return c*d*d*d + m.wMax }
	a := alpha
	if m.wEst >= m.prior {
		a = 1
	}
	m.wEst += a * acked / m.cwnd
	t := m.t - m.epoch
	if w(t) < m.wEst {
		m.cwnd = max(m.cwnd, m.wEst)
		return
	}
	target := min(max(w(t+rtt), m.cwnd), 1.5*m.cwnd)
	m.cwnd += acked * (target - m.cwnd) / m.cwnd
}

func (m *cubicModel) loss(flight float64, timeout bool) {
	m.prior = m.cwnd
	if m.cwnd < m.wMax {
		m.wMax = m.cwnd * 1.7 / 2
	} else {
		m.wMax = m.cwnd
	}
	m.begun, m.timeout = false, timeout
	m.cwnd = max(flight*0.7, 2)
}

// CUBIC's curve against the model: concave, convex, the Reno-friendly region, fast convergence, a
// timeout; on paths of 1 to 300 ms.
func TestCubicAgainstTheModel(t *testing.T) { // MAY-18
	const mss = 1448
	for _, rtt := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		q := tcp.NewCubic()
		w := tcp.Window{Cwnd: 1000 * mss, Ssthresh: 1000 * mss, MSS: mss, SRTT: rtt}
		q.Start(epoch, w)
		m := cubicModel{cwnd: 1000}
		now := epoch
		for event := range 6 {
			for range int(20 * time.Second / max(rtt, 20*time.Millisecond)) {
				now = now.Add(rtt)
				m.t = float64(now) / 1e9
				for range 10 { // ten ACKs of a tenth of the window
					acked := w.Cwnd / 10
					w = q.Ack(now, w, tcp.Acknowledgment{Acked: acked, Limited: true})
					m.ack(rtt.Seconds(), float64(acked)/mss)
				}
				if got := float64(w.Cwnd) / mss; math.Abs(got-m.cwnd) > 1+m.cwnd/100 {
					t.Fatalf("RTT %v, event %d, %v after its beginning: cwnd is %.1f segments; want %.1f", rtt, event, now.Sub(epoch), got, m.cwnd)
				}
			}
			timeout := event == 3
			w.Ssthresh = q.Loss(now, w, tcp.Loss{Flight: w.Cwnd, Timeout: timeout})
			m.loss(m.cwnd, timeout)
			if got, want := float64(w.Ssthresh)/mss, m.cwnd; math.Abs(got-want) > 1 {
				t.Fatalf("RTT %v, event %d: ssthresh %.1f segments; want %.1f", rtt, event, got, want)
			}
			w.Cwnd = w.Ssthresh
		}
	}
}

// The elapsed time leaves out what passes while cwnd is not in use, section 4.2; and a loss that was
// spurious leaves no trace, section 4.9.
func TestCubicIdleAndUndo(t *testing.T) {
	const mss = 1000
	grown := func(idle time.Duration, undo bool) uint32 {
		q := tcp.NewCubic()
		w := tcp.Window{Cwnd: 100 * mss, Ssthresh: 100 * mss, MSS: mss, SRTT: 50 * time.Millisecond}
		q.Start(epoch, w)
		now := epoch
		w.Ssthresh = q.Loss(now, w, tcp.Loss{Flight: w.Cwnd})
		w.Cwnd = w.Ssthresh
		ack := func(limited bool) {
			now = now.Add(50 * time.Millisecond)
			w = q.Ack(now, w, tcp.Acknowledgment{Acked: w.Cwnd, Limited: limited})
		}
		for range 40 {
			ack(true)
		}
		if idle > 0 {
			ack(false)
			now = now.Add(idle - 50*time.Millisecond)
		}
		if undo {
			before := w
			q.Loss(now, w, tcp.Loss{Flight: w.Cwnd})
			w = before
			q.Undo(now, w)
		}
		for range 40 {
			ack(true)
		}
		return w.Cwnd
	}
	want := grown(0, false)
	if got := grown(10*time.Second, false); got > want+mss || got+mss < want {
		t.Errorf("with ten idle seconds cwnd grows to %d; want %d", got, want)
	}
	if got := grown(0, true); got != want {
		t.Errorf("after a spurious loss cwnd grows to %d; want %d", got, want)
	}
}

// HyStart++, RFC 9406 section 4.2: a round trip that grows by an eighth, and 4 ms at least, ends
// exponential growth: a quarter of it for five rounds, then congestion avoidance. If it falls
// again, slow start goes on. What the ACK that ends a round lets go still belongs to it: where the
// round trip grows in the middle of slow start, the next round is the first that has seen it so.
func TestHyStart(t *testing.T) {
	const mss = 1000
	for _, tc := range []struct {
		name    string
		rtt     func(round int) time.Duration
		css     int // the first round in which cwnd grows by a quarter; 0: none
		resumes int // and the first after that in which it doubles again
		ends    int // the round in which slow start has ended; 0: never
	}{
		{"a path without a queue", func(int) time.Duration { return 80 * time.Millisecond }, 0, 0, 0},
		{"9 ms more, of 80", func(r int) time.Duration { return 80*time.Millisecond + time.Duration(r/3)*9*time.Millisecond }, 0, 0, 0},
		{"11 ms more, of 80", func(r int) time.Duration {
			if r < 3 {
				return 80 * time.Millisecond
			}
			return 91 * time.Millisecond
		}, 4, 0, 8},
		{"3 ms more, of 1", func(r int) time.Duration { return time.Millisecond + time.Duration(min(r, 1))*3*time.Millisecond }, 0, 0, 0},
		{"4 ms more, of 1", func(r int) time.Duration { return time.Millisecond + time.Duration(min(r, 1))*4*time.Millisecond }, 1, 0, 5},
		{"a burst that passes", func(r int) time.Duration {
			if r == 3 || r == 4 {
				return 120 * time.Millisecond
			}
			return 80 * time.Millisecond
		}, 4, 5, 0},
	} {
		q := tcp.NewCubic()
		w := tcp.Window{Cwnd: 10 * mss, Ssthresh: math.MaxUint32, MSS: mss, SRTT: 80 * time.Millisecond}
		q.Start(epoch, w)
		una, nxt := seq.Num(1), seq.Num(1).Add(w.Cwnd)
		css, resumes, ends := 0, 0, 0
		for round := range 12 {
			began := w.Cwnd
			end := nxt
			for una.Less(end) {
				una = una.Add(mss)
				w = q.Ack(epoch, w, tcp.Acknowledgment{Acked: mss, Limited: true, RTT: tc.rtt(round), Una: una, Nxt: nxt})
				nxt = una.Add(w.Cwnd)
			}
			grows := float64(w.Cwnd) / float64(began)
			switch {
			case ends == 0 && w.Ssthresh != math.MaxUint32:
				ends = round
			case css == 0 && ends == 0 && grows < 1.8:
				css = round
			case css != 0 && ends == 0 && resumes == 0 && grows > 1.8:
				resumes = round
			}
			if w.Cwnd > 4000*mss {
				break
			}
		}
		if css != tc.css || resumes != tc.resumes || ends != tc.ends {
			t.Errorf("%s: a quarter from round %d, double again from %d, over in %d; want %d, %d, %d", tc.name, css, resumes, ends, tc.css, tc.resumes, tc.ends)
		}
	}
}
