package sim

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// BulkConfig describes a transfer.
type BulkConfig struct {
	From, To *Host
	At       netip.AddrPort // where To listens
	Octets   int64          // how many are sent; 0: for as long as the World runs
	Conn     stack.ConnOptions
	// Every is the length of the intervals of BulkResult.Arrived. 0: none are counted.
	Every time.Duration
	// Lines is about how many events the ladder of a report goes back. 0: 40.
	Lines int
}

// Bulk is a transfer from one host to another, as fast as both can, with what is measured of it:
// how fast it is, what is sent again, and every gap in which nothing moves though it could.
type Bulk struct {
	cfg     BulkConfig
	world   *World
	conn    *Conn
	pattern []byte // what is sent, over and over, twice
	sent    int64
	buf     []byte
	peer    *Conn // the receiver's end
	paused  bool
	result  BulkResult
	meter   meter
	recent  recent
}

// BulkResult is what has been measured so far.
type BulkResult struct {
	Seed        uint64   // of the World
	Established tcp.Time // when the sender's end was, 0: never
	End         tcp.Time // when the last octet was read, or now
	Read        int64    // octets that the receiving user has read, in order
	Wrong       int64    // octets of them that are not those sent
	Err         error    // why the sender's connection is CLOSED

	// Arrived counts, for each interval from Established on, the octets of IP packets with text
	// that have reached the receiver: what the path has carried.
	Arrived []int64

	Segments, Resent int // that carry text and left the sender; of these, whose text had gone before
	Timeouts         int // of the retransmission timer
	Recoveries       int // times that tcp.Status.Recovering became true
	// Retransmits counts what the machine wanted to send again, by its rule.
	Retransmits [tcp.NumRules]int

	Gaps    []Gap // longer than twice the RTO without backoff
	Longest Gap   // of all, longer or not
}

// Goodput is how many bits a second the receiving user has read since the connection was
// established.
func (r *BulkResult) Goodput() float64 {
	if d := r.End.Sub(r.Established); r.Established > 0 && d > 0 {
		return float64(r.Read) * 8 / d.Seconds()
	}
	return 0
}

// Unexplained returns how many gaps have no cause.
func (r *BulkResult) Unexplained() (n int) {
	for i := range r.Gaps {
		if r.Gaps[i].Cause == "" {
			n++
		}
	}
	return n
}

// patternLen is the length of the pattern. It is prime, so that no segment or buffer has it.
const patternLen = 65521

// NewBulk has To listen and From connect now, and sends as soon as the connection is there.
func (w *World) NewBulk(cfg BulkConfig) (*Bulk, error) {
	if cfg.From == nil || cfg.To == nil || cfg.From == cfg.To || cfg.From.world != w || cfg.To.world != w {
		return nil, errors.New("sim: a transfer is from one host of this World to another")
	}
	orDefault(&cfg.Lines, 40)
	b := &Bulk{cfg: cfg, world: w, pattern: make([]byte, 2*patternLen), buf: make([]byte, patternLen)}
	for i := range patternLen {
		b.pattern[i] = byte(i ^ i>>8)
	}
	copy(b.pattern[patternLen:], b.pattern[:patternLen])
	b.result.Seed = w.seed
	l, err := cfg.To.Listen(cfg.At, stack.ListenOptions{})
	if err != nil {
		return nil, err
	}
	l.OnAccept(func(c *Conn) {
		b.peer = c
		c.OnSignal(func(tcp.Signal) { b.read() })
	})
	if b.conn, err = cfg.From.Dial(netip.AddrPort{}, cfg.At, cfg.Conn); err != nil {
		return nil, err
	}
	b.meter = newMeter(b)
	b.recent = recent{lines: cfg.Lines, from: cfg.From, to: cfg.To}
	w.Watch(b.watch)
	b.conn.OnSignal(func(tcp.Signal) { b.write() })
	return b, nil
}

// Conn returns the sender's end.
func (b *Bulk) Conn() *Conn { return b.conn }

// Done reports whether all octets have been read.
func (b *Bulk) Done() bool { return b.cfg.Octets > 0 && b.result.Read >= b.cfg.Octets }

// write sends what there is room for.
func (b *Bulk) write() {
	if b.conn.State() != tcp.Established {
		return
	}
	if b.result.Established == 0 {
		b.result.Established = b.world.now
	}
	for b.cfg.Octets == 0 || b.sent < b.cfg.Octets {
		p := b.pattern[b.sent%patternLen:][:patternLen]
		if b.cfg.Octets > 0 {
			p = p[:min(patternLen, b.cfg.Octets-b.sent)]
		}
		n, err := b.conn.Send(p)
		if err != nil || n == 0 {
			return // what it ends by is in Err
		}
		b.sent += int64(n)
	}
	_ = b.conn.Close() // it is ESTABLISHED
}

// Pause stops the receiving user from reading, so that the window closes; Resume has it go on.
func (b *Bulk) Pause() { b.paused = true }

// Resume ends a Pause.
func (b *Bulk) Resume() {
	b.paused = false
	b.read()
}

// read reads what has arrived.
func (b *Bulk) read() {
	for !b.paused && b.peer != nil {
		n, _ := b.peer.Receive(b.buf) // the end of it is seen in Read
		if n == 0 {
			return
		}
		if want := b.pattern[b.result.Read%patternLen:][:n]; !bytes.Equal(b.buf[:n], want) {
			for i := range n {
				if b.buf[i] != want[i] {
					b.result.Wrong++
				}
			}
		}
		b.result.Read += int64(n)
		b.result.End = b.world.now
	}
}

// watch sees every event of the World.
func (b *Bulk) watch(e *Event) {
	if e.Packet != nil {
		flow := e.Packet.Flow
		if !e.Packet.IsTCP || flow != b.meter.flow && flow != b.meter.back {
			return
		}
	} else if e.Flow != b.meter.flow && e.Flow != b.meter.back {
		return
	}
	b.recent.add(e)
	b.meter.event(e)
	if b.cfg.Every > 0 && e.Kind == Arrive && e.Host == b.cfg.To && e.Packet.Segment.TextLen() > 0 && b.result.Established > 0 {
		i := int(e.Time.Sub(b.result.Established) / b.cfg.Every)
		for len(b.result.Arrived) <= i {
			b.result.Arrived = append(b.result.Arrived, 0)
		}
		b.result.Arrived[i] += int64(len(e.Packet.Bytes))
	}
}

// Result returns what has been measured so far. A gap that is not over is among the gaps.
func (b *Bulk) Result() BulkResult {
	r := b.result
	r.Err = b.conn.Err()
	if !b.Done() {
		r.End = b.world.now
	}
	m := b.meter // a copy: the gap may go on
	m.result = &r
	r.Gaps, m.sacked = slices.Clone(r.Gaps), nil
	m.close(b.world.now, true)
	return r
}

// Report tells what has been measured, with the seed that does it again and the last lines of
// the ladder: for a test that fails.
func (b *Bulk) Report() string {
	r := b.Result()
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d: %d octets read in %v, %.3f Mbit/s; %d segments, %d again, %d timeouts, %d recoveries\n",
		r.Seed, r.Read, r.End.Sub(r.Established), r.Goodput()/1e6, r.Segments, r.Resent, r.Timeouts, r.Recoveries)
	if r.Err != nil {
		fmt.Fprintf(&s, "the sender's connection is CLOSED: %v\n", r.Err)
	}
	if r.Wrong > 0 {
		fmt.Fprintf(&s, "%d octets are not those sent\n", r.Wrong)
	}
	for i := range r.Gaps {
		s.WriteString(r.Gaps[i].String() + "\n")
		if r.Gaps[i].Cause == "" && r.Gaps[i].Ladder != "" {
			s.WriteString(r.Gaps[i].Ladder)
		}
	}
	s.WriteString("the last lines:\n" + b.recent.ladder())
	return s.String()
}

// flows returns both sockets, as the sender and as the receiver sees them.
func (b *Bulk) flows() (flow, back wire.Flow) {
	flow = b.conn.Flow()
	return flow, flow.Reverse()
}
