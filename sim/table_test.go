package sim_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

var table = flag.String("table", "", "the golden table: check compares it, write writes it anew, show reports on the rows that -run picks")

const tablePath = "testdata/table.txt"

// control is a congestion control of the table.
type control struct {
	name string
	set  func(*stack.Config)
}

var controls = []control{
	{"cubic", func(c *stack.Config) { c.TCP.Congestion = tcp.NewCubic }},
	{"reno", func(c *stack.Config) { c.TCP.Congestion = tcp.NewReno }},
	{"bbr", func(c *stack.Config) { c.TCP.Congestion = tcp.NewBBR }},
}

// cell is one row of the table.
type cell struct {
	cc            control
	rtt           time.Duration
	mbit          int
	loss, reorder float64 // percent
}

func cells() (all []cell) {
	for _, cc := range controls {
		for _, rtt := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
			for _, mbit := range []int{10, 100, 1000} {
				for _, reorder := range []float64{0, 5} {
					for _, loss := range []float64{0, 0.1, 1, 3, 5} {
						all = append(all, cell{cc, rtt, mbit, loss, reorder})
					}
				}
			}
		}
	}
	return all
}

// duration is how long a cell runs: long enough for some eighty round trips, and not so long that
// the packets of a path that is full take many seconds to compute.
func (c *cell) duration() time.Duration {
	switch {
	case c.mbit <= 10:
		return 30 * time.Second
	case c.mbit <= 100:
		return 10 * time.Second
	case c.rtt >= 100*time.Millisecond:
		return 8 * time.Second
	case c.rtt >= 20*time.Millisecond:
		return 5 * time.Second
	}
	return 2 * time.Second
}

const tableHead = `# Bulk over one link in virtual time: "make sim-table" writes this file, "make sim-check" compares it.
#
# share: what the receiving user reads since the connection is established, of the path's rate; the rate counts IP
# octets, so 0.965 is all there can be. Loss and reordering (5 % of the packets late by up to RTT/4) befall the data;
# ACKs come back clean at the same rate. The queue is drop-tail, of one product of rate and RTT and at least 16
# packets; buffers are the defaults, which find their size. again: text segments sent again, of all. gaps: longer
# than twice the RTO without backoff, with data outstanding and the path not dark; nocause: of these, unexplained.
`

const rowHead = "cc     rtt  Mbit/s  loss%  late%    share   again%  timeouts  recoveries  longest-ms  gaps  nocause\n"

// queueOf is one product of rate and RTT, in octets, and no less than 16 packets.
func queueOf(rtt time.Duration, mbit int) int {
	return max(int(int64(mbit)*1_000_000/8*int64(rtt)/int64(time.Second)), 16*1500)
}

// bulkOver makes a World of A and B with a link and starts an endless transfer. buffers 0 are the
// defaults.
func bulkOver(t testing.TB, cc control, cfg sim.LinkConfig, buffers int) (*sim.World, *sim.Bulk) {
	t.Helper()
	w := sim.New(1)
	var hosts []*sim.Host
	for _, name := range []string{"A", "B"} {
		cfg := stack.Config{TCP: tcp.Config{ReceiveBuffer: buffers, SendBuffer: buffers}}
		cc.set(&cfg)
		hosts = append(hosts, w.Host(name, cfg))
	}
	link(t, w, cfg, port(hosts[0], "10.0.0.1/24"), port(hosts[1], "10.0.0.2/24"))
	b, err := w.NewBulk(sim.BulkConfig{From: hosts[0], To: hosts[1], At: server})
	if err != nil {
		t.Fatal(err)
	}
	return w, b
}

// run lives a cell and returns its row.
func (c *cell) run(t testing.TB) (row string, b *sim.Bulk) {
	t.Helper()
	clean := sim.PathConfig{Delay: c.rtt / 2, Rate: int64(c.mbit) * 1_000_000, Queue: sim.QueueConfig{Limit: queueOf(c.rtt, c.mbit)}}
	there := clean
	there.Loss, there.Reorder, there.ReorderBy = c.loss/100, c.reorder/100, c.rtt/4
	w, b := bulkOver(t, c.cc, sim.LinkConfig{Path: there, Back: &clean}, 0)
	w.RunFor(c.duration())
	r := b.Result()
	if up := r.Established.Sub(sim.Start); r.Established == 0 || up > 2*c.rtt {
		t.Errorf("%+v: the handshake has taken %v: seed %d loses the SYN, take another", c, up, r.Seed)
	}
	sound(t, b)
	return fmt.Sprintf("%-5s %4d  %6d  %5.1f  %5.0f  %7.4f  %7.3f  %8d  %10d  %10.1f  %4d  %7d\n", c.cc.name, c.rtt.Milliseconds(), c.mbit, c.loss, c.reorder,
		r.Goodput()/float64(c.mbit)/1e6, 100*float64(r.Resent)/float64(max(r.Segments, 1)), r.Timeouts, r.Recoveries,
		float64(r.Longest.Lit.Microseconds())/1e3, len(r.Gaps), r.Unexplained()), b
}

// sound fails the test where a transfer has gone wrong, or stands without a cause.
func sound(t testing.TB, b *sim.Bulk) {
	t.Helper()
	if r := b.Result(); r.Wrong > 0 || r.Err != nil || r.Unexplained() > 0 {
		t.Error(b.Report())
	}
}

// dark is one row of the blackouts.
type dark struct {
	cc   control
	mbit int
	kind string
	for_ time.Duration
}

const darkRTT, darkFrom = 20 * time.Millisecond, 5 * time.Second

const darkHead = `
# Blackouts during bulk: RTT 20 ms, 100 Mbit/s, dark from 5 s on. both: what leaves in the dark is lost, both ways; acks:
# only on the way back; hold: both ways stop, and their queues go on afterwards. timeouts, recoveries: since the dark
# began; after: timeouts since it ended. ack-ms: from the light to the first ACK with news. full-ms: from the light to
# the first round trip in which the path carries 95 % of its rate ("-": not within 40 s).
cc     kind  dark-ms  timeouts  after  recoveries  ack-ms   full-ms  longest-ms  nocause
`

func darks() (all []dark) {
	for _, cc := range controls {
		for _, kind := range []string{"both", "acks", "hold"} {
			for _, ms := range []int{30, 100, 300, 1000, 3000, 10_000, 30_000} {
				all = append(all, dark{cc, 100, kind, time.Duration(ms) * time.Millisecond})
			}
		}
	}
	return all
}

// run lives a blackout and returns its row.
func (d *dark) run(t testing.TB) (row string, b *sim.Bulk) {
	t.Helper()
	light := sim.PathConfig{Delay: darkRTT / 2, Rate: int64(d.mbit) * 1_000_000, Queue: sim.QueueConfig{Limit: queueOf(darkRTT, d.mbit)}}
	there, back := light, light
	out := []sim.Blackout{{From: darkFrom, For: d.for_, Hold: d.kind == "hold"}}
	back.Blackouts = out
	if d.kind != "acks" {
		there.Blackouts = out
	}
	w, b := bulkOver(t, d.cc, sim.LinkConfig{Path: there, Back: &back}, 0)
	from := sim.Start.Add(darkFrom)
	to := from.Add(d.for_)
	m := afterDark{to: to, packets: queueOf(darkRTT, d.mbit) / 1500 * 95 / 100}
	w.Watch(m.event)
	w.Run(from)
	before := b.Result()
	w.Run(to)
	dark := b.Result()
	for range 40 {
		w.RunFor(time.Second)
		if m.full != 0 && w.Now().Sub(m.full) > 2*time.Second {
			break
		}
	}
	r := b.Result()
	sound(t, b)
	d.recovers(t, &m, r.Timeouts-before.Timeouts, r.Timeouts-dark.Timeouts)
	full := "-"
	if m.full > 0 {
		full = fmt.Sprintf("%.1f", float64(m.full.Sub(to).Microseconds())/1e3)
	}
	return fmt.Sprintf("%-5s  %-5s  %6d  %8d  %5d  %10d  %6.1f  %8s  %10.1f  %7d\n", d.cc.name, d.kind, d.for_.Milliseconds(), r.Timeouts-before.Timeouts, r.Timeouts-dark.Timeouts,
		r.Recoveries-before.Recoveries, float64(m.ack.Sub(to).Microseconds())/1e3, full, float64(r.Longest.Lit.Microseconds())/1e3, r.Unexplained()), b
}

// recovers holds what an outage may cost at most. A short one: two timeouts, and news within an RTO and
// three round trips of the light. Any: no second timeout in the light, and from the first news to the
// full rate ten round trips of slow start, with BBR fifteen. How long after a long one the first
// retransmission comes is the backoff's business (RFC 6298 section 5.5).
func (d *dark) recovers(t testing.TB, m *afterDark, timeouts, lit int) {
	const rto = 240 * time.Millisecond // 200 ms beyond a round trip with its queue
	patience := 10 * darkRTT
	if d.cc.name == "bbr" {
		patience = 15 * darkRTT
	}
	short := d.for_ <= 300*time.Millisecond && d.cc.name != "bbr"
	if short && (timeouts > 2 || m.ack.Sub(m.to) > rto+3*darkRTT) || lit > 1 || m.full == 0 || m.full.Sub(m.ack) > patience {
		t.Errorf("%s, %s dark for %v: %d timeouts, %d of them in the light; news after %v, the full rate %v later",
			d.cc.name, d.kind, d.for_, timeouts, lit, m.ack.Sub(m.to), m.full.Sub(m.ack))
	}
}

// afterDark looks for the first news and for the first full round trip after a blackout.
type afterDark struct {
	to, ack, full tcp.Time
	begun         bool
	una           uint32
	packets       int        // that fill 95 % of a round trip
	arrived       []tcp.Time // since then
}

func (m *afterDark) event(e *sim.Event) {
	if e.Kind != sim.Arrive {
		return
	}
	seg := &e.Packet.Segment
	if e.Host.Name == "A" && seg.Flags.Has(wire.ACK) {
		news := !m.begun || int32(uint32(seg.Ack)-m.una) > 0
		if news {
			m.begun, m.una = true, uint32(seg.Ack)
		}
		if news && m.ack == 0 && e.Time >= m.to {
			m.ack = e.Time
		}
	}
	if e.Host.Name != "B" || seg.TextLen() == 0 || e.Time < m.to || m.full != 0 {
		return
	}
	m.arrived = append(m.arrived, e.Time)
	if n := len(m.arrived); n > m.packets && e.Time.Sub(m.arrived[n-1-m.packets]) <= darkRTT {
		m.full = m.arrived[n-1-m.packets]
	}
}

// TestTable lives all of the table and compares it, or writes it; see make sim-table. To see one
// row with its gaps and the last lines of its ladder:
//
//	go test ./sim -v -table show -run TestTable/rows/reno-20ms-100Mbit-1%-late5%
//	go test ./sim -v -table show -run TestTable/rows/reno-both-300ms
func TestTable(t *testing.T) {
	if *table == "" {
		t.Skip("takes a minute or two: make sim-check")
	}
	grid, outs := cells(), darks()
	rows, darkRows := make([]string, len(grid)), make([]string, len(outs))
	t.Run("rows", func(t *testing.T) {
		for i, c := range grid {
			t.Run(fmt.Sprintf("%s-%v-%dMbit-%v%%-late%v%%", c.cc.name, c.rtt, c.mbit, c.loss, c.reorder), func(t *testing.T) {
				t.Parallel()
				rows[i] = show(t, rowHead, c.run)
			})
		}
		for i, d := range outs {
			t.Run(fmt.Sprintf("%s-%s-%v", d.cc.name, d.kind, d.for_), func(t *testing.T) {
				t.Parallel()
				darkRows[i] = show(t, darkHead, d.run)
			})
		}
	})
	switch {
	case *table == "show":
		return
	case slices.Contains(rows, "") || slices.Contains(darkRows, ""):
		t.Fatal("-run has left rows out: the table is compared and written as a whole")
	}
	got := tableHead + rowHead + strings.Join(rows, "") + darkHead + strings.Join(darkRows, "")
	if *table == "write" {
		if err := os.WriteFile(tablePath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, string(want), got)
}

// show runs a row, and reports on it when that is what is asked for.
func show(t *testing.T, head string, run func(testing.TB) (string, *sim.Bulk)) string {
	t.Helper()
	row, b := run(t)
	if *table == "show" {
		t.Logf("\n%s%s%s", head, row, b.Report())
	}
	return row
}

// compare shows the lines that differ.
func compare(t *testing.T, want, got string) {
	t.Helper()
	was, is := strings.Split(want, "\n"), strings.Split(got, "\n")
	var diff strings.Builder
	for i := range max(len(was), len(is)) {
		var a, b string
		if i < len(was) {
			a = was[i]
		}
		if i < len(is) {
			b = is[i]
		}
		if a != b {
			fmt.Fprintf(&diff, "-%s\n+%s\n", a, b)
		}
	}
	if diff.Len() > 0 {
		t.Errorf("the table has changed; if it may, make sim-table writes it anew:\n%s%s", rowHead, &diff)
	}
}
