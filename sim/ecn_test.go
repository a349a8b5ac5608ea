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
