package lab

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Verdict is what a rule does to a packet, beside what the link does. The zero Verdict lets it pass. One with a
// negative Delay or Copies fails the test, and lets it pass.
type Verdict struct {
	Drop    bool          // it is lost
	Delay   time.Duration // how much longer it is on its way: what departs later overtakes it
	Copies  int           // how many more arrive
	Corrupt bool          // a bit of it is turned over
	Reset   bool          // it is lost, and a segment is answered by a reset
}

// Rule says what becomes of the packets that a Match picks. Make it with Match's methods: the zero Rule
// is refused by [Net.Rule].
type Rule struct {
	match Match
	what  string
	do    func(*Packet) Verdict
}

// Drop loses what is picked.
func (m Match) Drop() Rule { return m.always("dropped", Verdict{Drop: true}) }

// Delay lets what is picked arrive later by d, which is not negative.
func (m Match) Delay(d time.Duration) Rule {
	if d < 0 {
		m = m.wrong(fmt.Sprintf("a delay of %v", d))
	}
	return m.always("delayed by "+d.String(), Verdict{Delay: d})
}

// Dup lets what is picked arrive n more times: with 0 the rule only counts.
func (m Match) Dup(n int) Rule {
	if n < 0 {
		m = m.wrong(fmt.Sprintf("Dup(%d)", n))
	}
	return m.always(fmt.Sprintf("doubled %d times", n), Verdict{Copies: n})
}

// Corrupt turns over a bit of what is picked.
func (m Match) Corrupt() Rule { return m.always("damaged", Verdict{Corrupt: true}) }

// Reset loses what is picked, and answers a segment with a reset as one of no connection gets it (RFC 9293
// section 3.10.7.1), from the address that it was for: as a firewall that rejects it, or a balancer that has
// forgotten the connection. The receiver is not told.
func (m Match) Reset() Rule {
	m.prompt = true // the answer comes sooner than anything else could
	return m.always("reset", Verdict{Reset: true})
}

func (m Match) always(what string, v Verdict) Rule {
	return Rule{m, what, func(*Packet) Verdict { return v }}
}

// Do asks f what is to become of what is picked. It is called under a lock of the Net, and must not
// call it; on a goroutine of its own, so that a Fatal or FailNow in it fails the test, but does not end it, and
// the packet passes.
func (m Match) Do(f func(*Packet) Verdict) Rule {
	if f == nil {
		m = m.wrong("Do without a function")
	}
	m.prompt = true // f may look at the clock
	return Rule{m, "treated", func(p *Packet) (v Verdict) {
		apart(func() { v = f(p) })
		return v
	}}
}

// apart calls a function of the user's, and waits until it has ended, however it does. Of the goroutines that
// ask the rules each holds the Net's lock, and some hold that of a host: runtime.Goexit, which a Fatal calls,
// must not end one of them.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// String says what the rule does, to what.
func (r Rule) String() string { return r.what + " by rule: " + r.match.what }

// Applied is a rule that is in force.
type Applied struct {
	net  *Net
	rule Rule
	seen []int // by each count of the Match
	hits int
}

// check refuses what can never do anything.
func (r *Rule) check(n *Net) error {
	switch {
	case r.match.fault != "":
		return fmt.Errorf("lab: no rule: %s", r.match.fault)
	case r.do == nil:
		return errors.New("lab: the zero Rule does nothing: make one with the methods of a Match")
	case r.match.what == "":
		return fmt.Errorf("lab: no rule: %s", r.match.based().fault)
	}
	for _, name := range r.match.hosts {
		if !slices.ContainsFunc(n.nodes, func(x *node) bool { return x.name == name }) {
			return fmt.Errorf("lab: there is no host %q, of which a rule speaks: %s", name, r.match.what)
		}
	}
	return nil
}

// Rule puts rules in force, for packets sent from now on. A packet that several pick gets what all
// of them say. The Applied is that of the last. A rule that can never do anything ends the test: one of a
// Match that picks nothing, and one with the name of a host that there is not, since as a rule it is
// misspelled. So make the hosts first.
func (n *Net) Rule(rules ...Rule) *Applied {
	n.tb.Helper()
	n.lock()
	defer n.mu.Unlock()
	if len(rules) == 0 {
		n.tb.Fatal("lab: Rule without a rule")
	}
	for i := range rules {
		n.must(rules[i].check(n))
	}
	var a *Applied
	for _, r := range rules {
		a = &Applied{net: n, rule: r, seen: make([]int, len(r.match.counts))}
		n.rules = append(n.rules, a)
	}
	n.replan()
	return a
}

// Hits returns how many packets the rule has picked. A packet is asked for as it departs, which is a nanosecond
// after it is sent: right after a Write, at the same instant, Hits does not count what that has sent.
func (a *Applied) Hits() int {
	a.net.lock()
	defer a.net.mu.Unlock()
	return a.hits
}

// Remove ends the rule.
func (a *Applied) Remove() {
	n := a.net
	n.lock()
	defer n.mu.Unlock()
	for i, x := range n.rules {
		if x == a {
			n.rules = append(n.rules[:i:i], n.rules[i+1:]...)
			return
		}
	}
}

// judge asks all rules, and adds what they say to the packet's fate.
func (n *Net) judge(now tcp.Time, p *Packet, f *sim.Fate) {
	for _, a := range n.rules {
		if !a.rule.match.matches(p, a.seen) {
			continue
		}
		a.hits++
		v := a.rule.do(p)
		if v.Delay < 0 || v.Copies < 0 {
			n.tb.Errorf("lab: a rule's Verdict has a Delay of %v and Copies of %d: %v", v.Delay, v.Copies, a.rule)
			continue
		}
		if v == (Verdict{}) {
			continue
		}
		p.befalls(a.rule.String())
		f.Lost = f.Lost || v.Drop || v.Reset
		f.Late += v.Delay
		f.Copies += v.Copies
		if v.Corrupt && !f.Damaged {
			f.Damaged, f.Bit = true, p.from.random.Int()>>1
		}
		if v.Reset {
			n.reset(now, p)
		}
	}
}

// reset sends a reset from where a segment would arrive next, when it would.
func (n *Net) reset(now tcp.Time, p *Packet) {
	var rst wire.Segment
	if !p.IsTCP || !tcp.ResetFor(&p.Segment, &rst) {
		return
	}
	flow := p.Flow.Reverse()
	n.forge(now.Add(n.linkOf(p.from, p.to).Delay), p.to, wire.AppendSegment(nil, &flow, &rst, wire.ChecksumNone))
}
