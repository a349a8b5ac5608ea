package tcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// ATTACKS: split handshake, abuse of simultaneous open. Every order of up to five segments of
// the alphabet below, given to each way of opening, some 640,000 runs, each held against
// what RFC 9293 promises of all handshakes.

// alphabet is the segments; the machine's ISS is 1000, the peer's 2000.
var alphabet = []wire.Segment{
	{Seq: 2000, Flags: wire.SYN},
	{Seq: 2000, Ack: 1001, Flags: wire.SYN | wire.ACK},
	{Seq: 2000, Ack: 1000, Flags: wire.SYN | wire.ACK}, // of nothing that was sent
	{Seq: 7000, Flags: wire.SYN},                       // somebody else's
	{Seq: 2001, Ack: 1001, Flags: wire.ACK},
	{Seq: 2001, Ack: 1000, Flags: wire.ACK},
	{Seq: 2001, Ack: 1002, Flags: wire.ACK},
	{Seq: 2001, Flags: wire.RST},
	{Seq: 2002, Flags: wire.RST},
	{Seq: 0, Ack: 1001, Flags: wire.RST | wire.ACK},
	{Seq: 2001, Ack: 1000, Flags: wire.RST | wire.ACK},
	{Seq: 2001, Ack: 1001, Flags: wire.FIN | wire.ACK},
}

const longest = 5

// An order is one machine that has got the segments of path.
type order struct {
	t      *testing.T
	c      tcp.Conn
	path   []int
	synced bool // since its last LISTEN a SYN has come
	acked  bool // and then, or with it, an acknowledgment of its own SYN
	shared *orderTrace
}

// orderTrace collects what the machine at hand does.
type orderTrace struct {
	alphabet []wire.Segment
	fast     bool // what listens does TCP Fast Open
	longest  int
	edges    [][2]tcp.State
	runs     int
}

func (o *order) String() string {
	var b strings.Builder
	for _, k := range o.path {
		fmt.Fprintf(&b, "\n\t%v", &o.shared.alphabet[k])
	}
	return b.String()
}

func (o *order) fail(format string, args ...any) {
	o.t.Helper()
	o.t.Fatalf(format+" after%v", append(args, o)...)
}

// output returns what the machine has to send.
func (o *order) output() (out []wire.Segment) {
	var seg wire.Segment
	for o.c.Output(epoch, &seg) {
		out = append(out, seg)
	}
	return out
}

// give lets one segment arrive and holds what follows against the promises.
func (o *order) give(k int) {
	seg, before, next := o.shared.alphabet[k], o.c.State(), seq.Num(2001)
	if o.shared.fast {
		o.c.AnswerFastOpen(nil, 0)
		next = o.c.Status().RcvNxt
	}
	o.path = append(o.path, k)
	o.shared.runs++
	o.shared.edges = o.shared.edges[:0]
	o.synced = o.synced || seg.Flags.Has(wire.SYN)
	o.acked = o.acked || o.synced && seg.Flags.Has(wire.ACK) && !seg.Flags.Has(wire.RST) && seg.Ack == 1001 && before != tcp.Listen
	o.c.Arrive(epoch, &seg)
	out, after := o.output(), o.c.State()
	for _, e := range o.shared.edges {
		if !tcp.Legal(e[0], e[1]) {
			o.fail("%v -> %v is not in Figure 5", e[0], e[1])
		}
	}
	switch {
	case after.Synchronized() && before != after && !(o.synced && o.acked):
		o.fail("%v -> %v without both a SYN and an acknowledgment of ours", before, after)
	case len(out) > 1:
		o.fail("%d answers to one segment", len(out))
	case seg.Flags.Has(wire.RST) && len(out) > 0 && (out[0].Flags != wire.ACK || before == tcp.Listen || before == tcp.SynSent):
		o.fail("%v is answered by %v", &seg, &out[0])
	case seg.Flags.Has(wire.RST) && before != after && !rightReset(before, next, &seg):
		o.fail("%v moves %v to %v", &seg, before, after)
	case len(out) == 1 && len(out[0].Text) > 0:
		o.fail("text is sent: %v", &out[0])
	case o.shared.fast && before == tcp.SynReceived && after == tcp.Listen && o.c.Status().Unread > 0:
		o.fail("a fast-opened connection returns to LISTEN")
	case o.c.Status().Unread > 10:
		o.fail("%d octets are delivered; the peer has sent 10", o.c.Status().Unread)
	}
	if after == tcp.Listen {
		o.synced, o.acked = false, false
	}
}

// rightReset reports whether a reset may end a connection in that state: in SYN-SENT it
// acknowledges the SYN, later it is exactly at RCV.NXT (RFC 9293 section 3.5.3). Of a FIN
// before it RCV.NXT is one more.
func rightReset(in tcp.State, next seq.Num, seg *wire.Segment) bool {
	if in == tcp.SynSent {
		return seg.Flags.Has(wire.ACK) && seg.Ack == 1001
	}
	return seg.Seq == next || seg.Seq == 2002 && in != tcp.SynReceived && in != tcp.Established
}

// completes says that whoever behaves can still connect, whatever came before from others.
func (o *order) completes() {
	rest := map[tcp.State][]int{tcp.Listen: {0, 4}, tcp.SynSent: {1}, tcp.SynReceived: {4}}[o.c.State()]
	if rest == nil || o.c.State() == tcp.SynReceived && o.foreign() {
		return
	}
	at := *o
	for _, k := range rest {
		seg := o.shared.alphabet[k]
		if at.shared.fast {
			at.c.AnswerFastOpen(nil, 0)
		}
		at.c.Arrive(epoch, &seg)
		at.output()
	}
	if s := at.c.State(); s != tcp.Established && !(s == tcp.CloseWait && at.shared.fast) { // a SYN of those may have a FIN
		at.fail("the handshake does not complete: %v", at.c.State())
	}
}

// foreign reports whether the SYN that counts was somebody else's.
func (o *order) foreign() bool { return o.c.Status().IRS != 2000 }

func (o *order) explore() {
	o.completes()
	if len(o.path) == o.shared.longest || o.c.State() == tcp.Closed {
		return
	}
	for k := range o.shared.alphabet {
		next := *o
		next.path = append([]int(nil), o.path...)
		next.give(k)
		next.explore()
	}
}

func TestAllOrders(t *testing.T) { // MUST-9, MUST-10, MUST-11
	for _, way := range []struct {
		name string
		mode tcp.OpenMode
		no   bool // simultaneous open
	}{{"passive", tcp.Passive, false}, {"active", tcp.Active, false}, {"active, crossed SYNs refused", tcp.Active, true}} {
		t.Run(way.name, func(t *testing.T) {
			shared := &orderTrace{alphabet: alphabet, longest: longest}
			crossed := 0
			cfg := &tcp.Config{NoSimultaneousOpen: way.no, ISN: func(tcp.Time, wire.Flow) seq.Num { return 1000 }}
			cfg.Trace = &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, from, to tcp.State, _ tcp.Rule) {
				shared.edges = append(shared.edges, [2]tcp.State{from, to})
				if from == tcp.SynSent && to == tcp.SynReceived {
					crossed++
				}
			}}
			o := &order{t: t, shared: shared}
			o.c.Init(cfg, flowOfA, 1500)
			if err := o.c.Open(epoch, way.mode); err != nil {
				t.Fatal(err)
			}
			o.output()
			o.explore()
			t.Logf("%d segments", shared.runs)
			if (crossed > 0) != (way.mode == tcp.Active && !way.no) {
				t.Errorf("%d simultaneous opens", crossed)
			}
		})
	}
}

// fastAlphabet is that of a client of TCP Fast Open, whose SYN has 10 octets and may come twice, or
// without them, and of who disturbs it.
var fastAlphabet = []wire.Segment{
	{Seq: 2000, Flags: wire.SYN, Text: make([]byte, 10)},
	{Seq: 2000, Flags: wire.SYN},
	{Seq: 2000, Flags: wire.SYN | wire.FIN, Text: make([]byte, 10)},
	{Seq: 7000, Flags: wire.SYN, Text: make([]byte, 10)},
	{Seq: 2011, Ack: 1001, Flags: wire.ACK},
	{Seq: 2001, Ack: 1001, Flags: wire.ACK, Text: make([]byte, 10)},
	{Seq: 2011, Ack: 1000, Flags: wire.ACK},
	{Seq: 2011, Ack: 1002, Flags: wire.ACK},
	{Seq: 2001, Flags: wire.RST},
	{Seq: 2011, Flags: wire.RST},
	{Seq: 2011, Ack: 1001, Flags: wire.RST | wire.ACK},
	{Seq: 2011, Ack: 1001, Flags: wire.FIN | wire.ACK},
}

// The same promises for whoever listens with TCP Fast Open, and two more: what is fast-opened does
// not return to LISTEN, and no octet is delivered twice.
func TestAllOrdersOfFastOpen(t *testing.T) {
	shared := &orderTrace{alphabet: fastAlphabet, longest: longest - 1, fast: true}
	cfg := &tcp.Config{ISN: func(tcp.Time, wire.Flow) seq.Num { return 1000 }}
	delivered := 0
	cfg.Trace = &tcp.Trace{Become: func(_ tcp.Observed, _ tcp.Time, from, to tcp.State, rule tcp.Rule) {
		shared.edges = append(shared.edges, [2]tcp.State{from, to})
		if rule == tcp.RuleFastOpenSyn {
			delivered++
		}
	}}
	o := &order{t: t, shared: shared}
	o.c.Init(cfg, flowOfA, 1500)
	if err := o.c.Open(epoch, tcp.Passive); err != nil {
		t.Fatal(err)
	}
	o.explore()
	if t.Logf("%d segments", shared.runs); delivered == 0 {
		t.Error("no SYN is fast-opened")
	}
}
