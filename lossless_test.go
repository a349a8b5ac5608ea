package vitro_test

import (
	"flag"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

var lossless = flag.Int64("lossless", 0, "how many GiB TestLossless sends over each fast link, and a quarter of it over the slow one; 0: 64 MiB")

// Over links that lose nothing, nothing is deemed lost: no recovery, no timeout, no octet is sent again, whatever
// the scheduler does meanwhile. But where it stands still for two round trips the last segment goes again as a
// probe (RFC 8985 section 7.3), which is not a loss. "make lossless" sends a hundred GiB.
func TestLossless(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  link.PairConfig
		parts int64 // of the volume: the slower, the less
	}{
		{"mtu=1500", link.PairConfig{NoOffload: true}, 1},
		{"mtu=1500-super", link.PairConfig{}, 4},
		{"mtu=65535", link.PairConfig{MTU: link.MaxMTU}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			volume := int64(64 << 20)
			if *lossless > 0 {
				volume = *lossless << 30 / 4 * c.parts
			}
			la, lb := link.NewPair(c.link)
			var probed atomic.Uint64 // octets
			trace := &tcp.Trace{Retransmit: func(_ tcp.Observed, _ tcp.Time, _ seq.Num, n uint32, rule tcp.Rule) {
				if rule == tcp.RuleTailLossProbe {
					probed.Add(uint64(n))
				}
			}}
			a, b := join(t, vitro.Config{Trace: trace}, la, lb)
			client, server := connect(t, a, b)
			var read int64
			var wg sync.WaitGroup
			wg.Go(func() {
				read, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, server, make([]byte, 64<<10))
			})
			p := make([]byte, 64<<10)
			for left := volume; left > 0; left -= int64(len(p)) {
				if _, err := client.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			st := client.Status()
			if err := client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			again := st.Retransmitted - min(probed.Load(), st.Retransmitted)
			if st.Recoveries+st.Timeouts > 0 || again > 0 || read != volume {
				t.Errorf("of %d octets %d arrive; %d recoveries, %d timeouts, %d octets sent again", volume, read, st.Recoveries, st.Timeouts, again)
			}
			if n := probed.Load(); n > 0 {
				t.Logf("the machine has stood still: %d octets went again as probes", n)
			}
		})
	}
}
