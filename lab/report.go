package lab

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/trace"
	"github.com/vitro-net/vitro/wire"
)

// How much a report has.
const (
	reported      = 3  // ladders
	mostDatagrams = 20 // datagrams
)

// report tells of a test that has failed.
func (n *Net) report() {
	n.tb.Helper()
	netstat := n.Netstat()
	n.lock()
	defer n.mu.Unlock()
	n.tb.Log(n.text(n.now(), netstat))
}

// lastReport is the report of a Net whose bubble is hung, as of what has happened last, or says that it is
// not to be had. It is made from outside the bubble, where the time is another, and does not wait long
// for a lock that is held.
func (n *Net) lastReport(most time.Duration) string {
	made := make(chan string, 1)
	locked := func(f func()) bool {
		if !n.mu.TryLock() {
			return false
		}
		defer n.mu.Unlock()
		f()
		return true
	}
	go func() {
		var hosts []hostState
		var text string
		if locked(func() { hosts = n.hosts() }) {
			netstat := netstatOf(hosts)
			locked(func() { text = n.text(n.record.latest(), netstat) })
		}
		made <- text
	}()
	select {
	case text := <-made:
		if text != "" {
			return text
		}
	case <-time.After(most):
	}
	return "The Net's report is not to be had: who waits holds its lock, or that of a host."
}

// latest is when something has happened last.
func (r *record) latest() tcp.Time {
	at := tcp.Time(1)
	for _, s := range r.stories {
		at = max(at, s.last)
	}
	if k := len(r.packets); k > 0 {
		at = max(at, r.packets[k-1].at)
	}
	return at
}

// text tells of a test that has failed: the seed, what the hosts have, the rules and partitions in force, the
// ladders of the connections that had most trouble, the datagrams that had some, and where the packets are.
func (n *Net) text(now tcp.Time, netstat string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %v after the start: %d packets have left their hosts, %d were lost\n", n.seed, n.time(now).Sub(n.start), n.record.departed, n.record.lostAny)
	if _, ok := n.tb.(*testing.T); ok {
		fmt.Fprintf(&b, "the same packets again: go test -run '^%s$' -lab.seed=%d\n", strings.ReplaceAll(baseName(n.tb.Name()), "/", "$/^"), n.seed)
	}
	b.WriteString(netstat)
	n.force(&b)
	n.record.omitted(&b)
	for _, s := range n.record.worst(reported) {
		b.WriteByte('\n')
		b.WriteString(s.ladder(ladder.PrintOptions{Times: ladder.TimesAbsolute, Round: time.Microsecond, Why: ladder.WhysClause}))
	}
	n.datagrams(&b)
	if file, err := n.capture(); err != nil {
		fmt.Fprintf(&b, "\nthe packets: %v\n", err)
	} else if file != "" {
		fmt.Fprintf(&b, "\nthe packets, with what befell each: %s\n", file)
	} else {
		b.WriteString("\nthe packets, with what befell each: go test -artifacts keeps them in a file\n")
	}
	return b.String()
}

// force lists the rules that are in force, with how many packets each has picked, which for one that is
// not what was meant is none, and the partitions.
func (n *Net) force(b *strings.Builder) {
	for _, a := range n.rules {
		picked := fmt.Sprintf("has picked %d", a.hits)
		if a.hits == 0 {
			picked = "has never picked a packet"
		}
		fmt.Fprintf(b, "a rule %s: %s, %s\n", picked, a.rule.match.what, a.rule.what)
	}
	for _, c := range n.cuts {
		fmt.Fprintf(b, "partition: %v\n", c)
	}
}

// String says who is cut off from whom.
func (c *Cut) String() string {
	switch {
	case c.from == nil:
		var names []string
		for _, x := range c.group {
			names = append(names, x.name)
		}
		return strings.Join(names, ", ") + " from all others"
	case c.both:
		return c.from.name + " and " + c.to.name + " from each other"
	}
	return "nothing gets from " + c.from.name + " to " + c.to.name
}

// datagrams lists the packets that no ladder has, those of UDP and of ICMP: the last that something has
// befallen, or, where there is no such, the last.
func (n *Net) datagrams(b *strings.Builder) {
	var all, harmed []*Packet
	for _, p := range n.record.packets {
		if p.ip.Packet == nil || p.ip.Proto == wire.ProtoTCP {
			continue
		}
		if p.harm() != "" {
			harmed = append(harmed, p)
		}
		if p.own {
			all = append(all, p)
		}
	}
	list, what := harmed, " that were lost, late, doubled or damaged"
	if len(list) == 0 {
		list, what = all, ", none of which was lost, late, doubled or damaged"
	}
	if len(list) == 0 {
		return
	}
	more := ""
	if k := len(list) - mostDatagrams; k > 0 {
		list, more = list[k:], fmt.Sprintf(", the last %d of %d", mostDatagrams, len(list))
	}
	fmt.Fprintf(b, "\ndatagrams%s%s:\n", what, more)
	for _, p := range list {
		fmt.Fprintf(b, "  %12v  %s > %s  %s\n", time.Duration(p.at-1).Round(time.Microsecond), p.From, cmp.Or(p.To, "nobody"), p.datagram())
	}
}

// harm says what has befallen a packet on its link; nothing, if it has only taken its time.
func (p *Packet) harm() string {
	if len(p.why) > 0 {
		return strings.Join(p.why, "; ")
	}
	var list []string
	f := &p.parcel.Fate
	if f.Late > 0 {
		list = append(list, "late by "+f.Late.String())
	}
	if f.Copies > 0 {
		list = append(list, fmt.Sprintf("arrives %d times", f.Copies+1))
	}
	if f.Damaged {
		list = append(list, "damaged")
	}
	return strings.Join(list, "; ")
}

// datagram describes a packet that is no TCP segment.
func (p *Packet) datagram() string {
	src, dst, what, size := p.ip.Src.String(), p.ip.Dst.String(), "ICMP", len(p.ip.Payload)
	switch {
	case p.IsUDP:
		src, dst, what = p.Flow.LocalAddrPort().String(), p.Flow.RemoteAddrPort().String(), "UDP"
		size -= wire.UDPHeaderLen
	case p.ip.Proto == wire.ProtoUDP:
		what = "a piece of UDP"
	case p.ip.Proto != wire.ProtoICMP && p.ip.Proto != wire.ProtoICMPv6:
		what = fmt.Sprintf("protocol %d", p.ip.Proto)
	}
	text := fmt.Sprintf("%s > %s  %s, %d octets", src, dst, what, size)
	if harm := p.harm(); harm != "" {
		text += ": " + harm
	}
	return text
}

// baseName is the name of a test without the seed's own.
func baseName(name string) string {
	if i := strings.LastIndex(name, "/seed="); i >= 0 {
		return name[:i]
	}
	return name
}

// worst returns the stories with the most trouble, of those with as much the one that has moved last first.
func (r *record) worst(most int) []*story {
	list := slices.Clone(r.stories)
	slices.SortStableFunc(list, func(a, b *story) int {
		return cmp.Or(cmp.Compare(b.trouble, a.trouble), cmp.Compare(b.last, a.last))
	})
	return list[:min(most, len(list))]
}

// artifacts is what has a directory for files that stay.
type artifacts interface{ ArtifactDir() string }

// capture writes the packets that are kept as a pcapng file, each with what befell it, if the file is to
// stay.
func (n *Net) capture() (name string, err error) {
	tb, ok := n.tb.(artifacts)
	if f := flag.Lookup("test.artifacts"); !ok || f == nil || f.Value.String() != "true" || len(n.record.packets) == 0 {
		return "", nil
	}
	name = filepath.Join(tb.ArtifactDir(), fmt.Sprintf("seed-%d.pcapng", n.seed))
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	err = n.writeCapture(w)
	return name, errors.Join(err, w.Flush(), f.Close())
}

func (n *Net) writeCapture(w *bufio.Writer) error {
	c, err := trace.NewCapture(w, "vitro lab", fmt.Sprintf("%s, seed %d", n.tb.Name(), n.seed))
	if err != nil {
		return err
	}
	links := map[[2]string]int{}
	for _, p := range n.record.packets {
		ends := [2]string{min(p.From, p.To), max(p.From, p.To)}
		i, ok := links[ends]
		if !ok {
			if i, err = c.Interface(ends[0]+"-"+ends[1], "the link between them, where packets depart"); err != nil {
				return err
			}
			links[ends] = i
		}
		comment := p.From + " to " + p.To
		if len(p.why) > 0 {
			comment += ": " + strings.Join(p.why, "; ")
		}
		if err := c.Packet(&trace.Captured{Interface: i, Time: p.Sent, Data: p.Bytes, Comment: comment}); err != nil {
			return err
		}
	}
	return nil
}
