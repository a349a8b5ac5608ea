package judges_test

import (
	"sync/atomic"
	"testing"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// ECN with the kernel, RFC 3168: both agree, whoever dials; marks on the way let vitro's cwnd fall,
// by the kernel's ECE, and nothing is sent again for them.
func TestECN(t *testing.T) {
	t.Parallel()
	eachWay(t, setup{config: vitro.Config{ECN: tcp.ECNRequest}}, func(t *testing.T, s setup, d way) {
		var marked atomic.Int64
		s.fault = &link.FaultConfig{Rule: func(dir link.Direction, p *wire.Packet) link.Verdict {
			// Every hundredth of vitro's ECT(0) packets over IPv6, where no checksum is of the field.
			if b := p.Bytes(); dir == link.Out && b[0]>>4 == 6 && b[1]>>4&3 == 2 && marked.Add(1)%100 == 50 {
				b[1] |= 3 << 4
			}
			return link.Verdict{}
		}}
		w := newWorld(t, s)
		if err := w.ns.Sysctl("ipv4/tcp_ecn", "1"); err != nil {
			t.Fatal(err)
		}
		v, k := d.ends(t, vitroSide{w}, kernelSide{w})
		if !v.Status().ECN {
			t.Fatal("ECN is not agreed")
		}
		transfer(t, w, v, k, 8<<20, 1)
		transfer(t, w, k, v, 8<<20, 2)
		if st := v.Status(); (st.Marks > 0) != (marked.Load() >= 50) {
			t.Errorf("%d packets were ECT(0); %d marks were answered", marked.Load(), st.Marks)
		}
	})
}
