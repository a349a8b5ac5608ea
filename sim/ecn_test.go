package sim_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// Across a queue that marks, RED's or CoDel's, a transfer that asks for ECN loses nothing and sends
// nothing again, and the queue stays short; one that does not ask loses packets there.
func TestMarksInsteadOfLosses(t *testing.T) {
	for name, q := range map[string]sim.QueueConfig{
		"CoDel": {Kind: sim.CoDel, ECN: true, Limit: 4 << 20},
		"RED":   {Kind: sim.RED, ECN: true, Limit: 4 << 20, Min: 30_000, Max: 400_000, MaxP: 0.1},
	} {
		for _, ecn := range []tcp.ECN{tcp.ECNRequest, tcp.ECNAccept} {
			clean := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000}
			there := clean
			there.Queue = q
			cc := control{"cubic", func(c *stack.Config) { c.TCP.ECN = ecn }}
			w, b := bulkOver(t, cc, sim.LinkConfig{Path: there, Back: &clean}, 4<<20)
			w.RunFor(12 * time.Second)
			r, st := b.Result(), b.Conn().Status()
			share := r.Goodput() / 20e6
			t.Logf("%s, ECN %v: share %.3f, %d sent again, %d marks, SRTT %v", name, st.ECN, share, r.Resent, st.Marks, st.SRTT)
			asked := ecn == tcp.ECNRequest
			if st.ECN != asked || (st.Marks > 0) != asked || (r.Resent == 0) != asked {
				t.Errorf("%s, asked %v: ECN is %v; %d marks, %d sent again", name, asked, st.ECN, st.Marks, r.Resent)
			}
			if share < 0.85 || st.SRTT > 100*time.Millisecond {
				t.Errorf("%s, asked %v: %.3f of the rate, SRTT %v", name, asked, share, st.SRTT)
			}
		}
	}
}

// live is the one connection of a host that has ended one direction.
func live(t *testing.T, h *sim.Host) tcp.Status {
	t.Helper()
	for _, st := range h.Connections() {
		if st.State == tcp.FinWait2 || st.State == tcp.CloseWait {
			return st
		}
	}
	t.Fatal("no connection has sent all")
	return tcp.Status{}
}

// With accurate feedback (RFC 9768) the sender's count of marks is the receiver's to the last, which
// is what the queue has marked; the same of octets. Still nothing is lost or sent again.
func TestEveryMarkIsTold(t *testing.T) {
	const octets = 20 << 20
	for name, q := range map[string]sim.QueueConfig{
		"CoDel": {Kind: sim.CoDel, ECN: true, Limit: 4 << 20},
		"RED":   {Kind: sim.RED, ECN: true, Limit: 4 << 20, Min: 30_000, Max: 400_000, MaxP: 0.1},
		"step":  {Kind: sim.CoDel, ECN: true, Limit: 4 << 20, Target: time.Millisecond, Interval: 2 * time.Millisecond},
	} {
		for _, noTimestamps := range []bool{false, true} {
			w := sim.New(1)
			cfg := stack.Config{TCP: tcp.Config{ReceiveBuffer: 4 << 20, SendBuffer: 4 << 20, ECN: tcp.ECNAccurate, NoTimestamps: noTimestamps}}
			a, b := w.Host("A", cfg), w.Host("B", cfg)
			there := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Queue: q}
			back := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000}
			l, err := w.Link(sim.LinkConfig{Path: there, Back: &back}, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
			if err != nil {
				t.Fatal(err)
			}
			bulk, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: server, Octets: octets})
			if err != nil {
				t.Fatal(err)
			}
			w.RunFor(12 * time.Second)
			r := bulk.Result()
			said, heard := live(t, a), live(t, b)
			marked := uint64(l.Stats(a).Marked)
			t.Logf("%s: share %.3f, %d sent again, %d reductions, %d packets and %d octets marked", name, r.Goodput()/20e6, r.Resent, said.Marks, marked, said.ECNSent.CEB)
			if !said.AccECN || !heard.AccECN || said.ECNMute || r.Resent != 0 || said.Marks == 0 || marked == 0 {
				t.Errorf("%s: AccECN %v and %v, %d reductions, %d marked, %d sent again", name, said.AccECN, heard.AccECN, said.Marks, marked, r.Resent)
			}
			if said.ECNSent != heard.ECNReceived || heard.ECNReceived.CEP != 5+marked {
				t.Errorf("%s: the sender has heard of %+v; the receiver has %+v; the queue has marked %d", name, said.ECNSent, heard.ECNReceived, marked)
			}
			if k := heard.ECNReceived; k.CEB+k.E0B-1 != octets {
				t.Errorf("%s: %d octets were sent, all ECN-capable; %d and %d have arrived as CE and ECT(0)", name, octets, k.CEB, k.E0B-1)
			}
		}
	}
}

// Where acknowledgments are lost, and text now and then, the sender's count is still the receiver's: an
// option settles what ACE, which has gone around meanwhile, leaves open.
func TestMarksAreToldThoughAcksAreLost(t *testing.T) {
	for _, lost := range []struct{ acks, text float64 }{{0.1, 0}, {0.3, 0}, {0.1, 0.005}} {
		for seed := range uint64(3) {
			w := sim.New(seed + 1)
			cfg := stack.Config{TCP: tcp.Config{ReceiveBuffer: 4 << 20, SendBuffer: 4 << 20, ECN: tcp.ECNAccurate}}
			a, b := w.Host("A", cfg), w.Host("B", cfg)
			there := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Loss: lost.text,
				Queue: sim.QueueConfig{Kind: sim.CoDel, ECN: true, Limit: 4 << 20, Target: time.Millisecond, Interval: 2 * time.Millisecond}}
			back := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 20_000_000, Loss: lost.acks}
			link(t, w, sim.LinkConfig{Path: there, Back: &back}, port(a, "10.0.0.1/24"), port(b, "10.0.0.2/24"))
			if _, err := w.NewBulk(sim.BulkConfig{From: a, To: b, At: server, Octets: 5 << 20}); err != nil {
				t.Fatal(err)
			}
			w.RunFor(30 * time.Second)
			said, heard := live(t, a), live(t, b)
			if k := heard.ECNReceived; said.ECNSent.CEP != k.CEP || said.ECNSent.CEB > k.CEB || k.CEP <= 5 || said.ECNMute {
				t.Errorf("%.0f %% of ACKs lost, seed %d: the sender has heard of %+v; the receiver has %+v; mute %v", lost.acks*100, seed+1, said.ECNSent, k, said.ECNMute)
			}
		}
	}
}
