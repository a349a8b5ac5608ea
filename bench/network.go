//go:build linux

package main

import (
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// cell is a path, and what befalls the packets that carry text. Acknowledgments are delayed,
// and lost in a blackout.
type cell struct {
	rtt     time.Duration
	rate    int64   // Mbit/s, each way
	loss    float64 // shares
	reorder float64
	dark    time.Duration // a blackout, both ways,
	light   time.Duration // after so much time
	jitter  time.Duration // evenly spread, each way; the order stays
}

func (c cell) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d Mbit/s, RTT %d ms", c.rate, c.rtt.Milliseconds())
	if c.dark > 0 {
		fmt.Fprintf(&b, ", dark for %v", c.dark)
		return b.String()
	}
	fmt.Fprintf(&b, ", loss %g %%, reordering %g %%", 100*c.loss, 100*c.reorder)
	return b.String()
}

// emulator makes one for the cell. Its queue holds what is under way in a round trip; what is
// late is so by up to a quarter of it.
func (c cell) emulator(seed uint64) (*emulator, error) {
	rate := c.rate * 1e6
	p := sim.PathConfig{
		Delay: c.rtt / 2, Rate: rate, Jitter: c.jitter,
		Queue: sim.QueueConfig{Limit: max(int(rate/8*c.rtt.Milliseconds()/1000), 20*1500)},
	}
	if c.dark > 0 {
		p.Blackouts = []sim.Blackout{{From: c.light, For: c.dark}}
	}
	back := p
	p.Loss, p.Reorder, p.ReorderBy = c.loss, c.reorder, c.rtt/4
	return newEmulator(p, back, seed)
}

// cells returns the cells of goodput: all, or those of a table that is soon there.
func cells(all bool) (list []cell) {
	for _, rate := range []int64{100, 10} {
		for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
			for _, reorder := range []float64{0, 0.05} {
				for _, loss := range []float64{0, 0.001, 0.01, 0.03} {
					few := rate == 100 && reorder == 0 || rate == 100 && loss == 0 || rtt > 20*time.Millisecond && reorder == 0 && (loss == 0 || loss == 0.01)
					if all || few {
						list = append(list, cell{rtt: rtt, rate: rate, loss: loss, reorder: reorder})
					}
				}
			}
		}
	}
	return list
}

var blackouts = []cell{
	{rtt: 20 * time.Millisecond, rate: 100, light: 3 * time.Second, dark: 300 * time.Millisecond},
	{rtt: 20 * time.Millisecond, rate: 100, light: 3 * time.Second, dark: 3 * time.Second},
}

// transfer is a bulk transfer across an emulator, under way.
type transfer struct {
	e     *emulator
	w     world
	conn  net.Conn // the sender's
	began time.Duration
	bins  [1 << 14]atomic.Int64 // octets that the user has read, by the time of the emulator
	wg    sync.WaitGroup
	ends  closers
}

// bin is how long a bin is.
const bin = 10 * time.Millisecond

func begin(p peer, c cell, seed uint64) (t *transfer, err error) {
	e, err := c.emulator(seed)
	if err != nil {
		return nil, err
	}
	return beginOver(p, e)
}

func beginOver(p peer, e *emulator) (t *transfer, err error) {
	t = &transfer{e: e}
	if t.w, err = p.network(t.e); err != nil {
		return nil, err
	}
	t.ends.add(t.w.close)
	conn, server, err := pairOf(t.w)
	if err != nil {
		t.ends.close()
		return nil, err
	}
	t.conn, t.began = conn, time.Duration(t.e.now())
	t.ends.add(func() { cut(conn); cut(server) })
	t.wg.Go(func() {
		p := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			_, err = conn.Write(p)
		}
	})
	t.wg.Go(func() {
		p := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			var n int
			n, err = server.Read(p)
			t.bins[min(int(t.e.now())/int(bin), len(t.bins)-1)].Add(int64(n))
		}
	})
	return t, nil
}

// cut closes a connection at once, where it can be done.
func cut(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0) // Close closes all the same
	}
	c.Close()
}

func (t *transfer) end() {
	t.ends.close()
	t.wg.Wait()
}

// sum is how many octets were read in a time of the emulator.
func (t *transfer) sum(from, to time.Duration) (n int64) {
	for i := int(from / bin); i < int(to/bin); i++ {
		n += t.bins[i].Load()
	}
	return n
}

func (t *transfer) sleepUntil(at time.Duration) { time.Sleep(at - time.Duration(t.e.now())) }

// goodput is the rate at which the receiver's user reads, from the handshake on for d.
func goodput(p peer, c cell, d time.Duration, seed uint64) ([]sample, error) {
	t, err := begin(p, c, seed)
	if err != nil {
		return nil, err
	}
	t.sleepUntil(t.began + d)
	n, timeouts := t.sum(0, t.began+d), t.w.timeouts(t.conn)
	t.end()
	return []sample{
		{metric: "goodput", value: float64(n) * 8 / 1e6 / d.Seconds(), unit: "Mbit/s", more: true},
		{metric: "timeouts", value: float64(timeouts), unit: "", hidden: true},
		{metric: metricLate, value: t.e.lateness().Seconds() * 1e3, unit: "ms", hidden: true},
	}, nil
}

// bottlenecks are what two share: a peer's transfer and the kernel's, across one queue. The jitter is of a
// few packets' time. Without, who is a fifth of a millisecond faster loses: its packets meet the full
// queue by about one packet sooner, in each round trip anew, so that those which overflow it are always
// its own ("On Traffic Phase Effects in Packet-Switched Gateways", 1992; the kernel's ends
// are farther, behind a TUN, than those in this process).
var bottlenecks = []cell{
	{rtt: 20 * time.Millisecond, rate: 20, jitter: time.Millisecond},
	{rtt: 50 * time.Millisecond, rate: 50, jitter: time.Millisecond},
}

// fairTimes is for how many times the length of a transfer two share a bottleneck: a cycle of CUBIC takes
// seconds, and within a few of them two of a kind are up to a half apart.
const fairTimes = 8

// fairShare is how much of its half p gets beside other in d, counted from when they have been there for a
// quarter of that. In even rounds p begins before other, in odd ones after it.
func fairShare(p, other peer, c cell, d time.Duration, round int) ([]sample, error) {
	e, err := c.emulator(uint64(round))
	if err != nil {
		return nil, err
	}
	both := [2]peer{p, other}
	first := round % 2
	var t [2]*transfer
	var ends closers
	defer ends.close()
	for i, x := range [2]*emulator{e, e.partner()} {
		which := (first + i) % 2
		if t[which], err = beginOver(both[which], x); err != nil {
			return nil, err
		}
		ends.add(t[which].end)
		time.Sleep(d / 8)
	}
	from := t[first].began + d/4
	t[first].sleepUntil(from + d)
	mine, theirs := float64(t[0].sum(from, from+d)), float64(t[1].sum(from, from+d))
	return []sample{
		{metric: metricShare, value: 2 * mine / (mine + theirs), unit: "share", more: true},
		{metric: "both", value: (mine + theirs) * 8 / 1e6 / d.Seconds(), unit: "Mbit/s", more: true},
	}, nil
}

// phase is the cell with a blackout that is longer by up to twice, evenly spread over the rounds by its
// logarithm: a backoff doubles, and so each peer is met in all phases of it alike.
func (c cell) phase(round, rounds int) cell {
	c.dark = time.Duration(float64(c.dark) * math.Exp2(float64(round)/float64(rounds)))
	return c
}

// blackout: after the light is back, how long until something arrives, and until the rate is
// nine tenths of what it was; patience is how long that may take.
func blackout(p peer, c cell, patience time.Duration, seed uint64) ([]sample, error) {
	t, err := begin(p, c, seed)
	if err != nil {
		return nil, err
	}
	defer t.end()
	t.sleepUntil(c.light)
	before := t.w.timeouts(t.conn)
	reference := min(time.Second, c.light/2)
	was := float64(t.sum(c.light-reference, c.light)) / float64(reference/bin)
	if was == 0 {
		return nil, fmt.Errorf("nothing arrives before the blackout")
	}
	light := c.light + c.dark
	const window = 10 // bins
	first, full := patience, patience
	for at := light; at < light+patience && full == patience; at += bin {
		t.sleepUntil(at + (window+1)*bin)
		if t.sum(at, at+bin) == 0 {
			continue
		}
		first = min(first, at-light)
		if float64(t.sum(at, at+window*bin)) >= 0.9*window*was {
			full = at - light
		}
	}
	note := ""
	if full == patience {
		note = fmt.Sprintf("not within %v", patience)
	}
	firstNote := note
	if first < patience {
		firstNote = ""
	}
	return []sample{
		{metric: "first octets after", value: first.Seconds() * 1e3, unit: "ms", note: firstNote},
		{metric: "full rate after", value: full.Seconds() * 1e3, unit: "ms", note: note},
		{metric: "timeouts", value: float64(t.w.timeouts(t.conn) - before), unit: ""},
	}, nil
}
