package lab

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Match picks packets. It is a value: each method returns another. What a Match counts is
// counted by each Rule for itself, after all else that the Match asks for, and a packet counts
// where it leaves the host that has made it, not where a router passes it on. Counts may be nested:
// First(1, Nth(3, UDP)) counts what Nth(3, UDP) picks.
//
// A Match is made of one of those that this package has: the zero Match picks nothing, and [Net.Rule]
// refuses it, as it refuses a Match of which no packet could be, or of a host that there is not.
type Match struct {
	what   string
	tests  []func(*Packet) bool
	counts []count   // of those that pass the tests, the innermost first
	on     [2]string // the link; empty: where it leaves the host that has made it
	hosts  []string  // whose names must exist
	fault  string    // why no rule can be made of it
	// prompt: it is to be known what is picked when it departs, and not when something comes of it.
	prompt bool
}

// count picks by number.
type count struct {
	pick picking
	n    int
}

type picking uint8

const (
	pickFirst picking = iota
	pickNth
	pickEvery
	pickAfter
)

func segments(name string, f func(*Packet) bool) Match {
	return Match{what: name, tests: []func(*Packet) bool{func(p *Packet) bool { return p.IsTCP && f(p) }}}
}

func flags(name string, set, unset wire.Flags) Match {
	return segments(name, func(p *Packet) bool { return p.Segment.Flags&set == set && p.Segment.Flags&unset == 0 })
}

// Segments by what they are.
var (
	SYN    = flags("SYN", wire.SYN, wire.ACK)       // the first of a handshake
	SYNACK = flags("SYN,ACK", wire.SYN|wire.ACK, 0) // the second
	FIN    = flags("FIN", wire.FIN, 0)
	RST    = flags("RST", wire.RST, 0)
	// ACK is an acknowledgment and nothing else.
	ACK = segments("ACK", func(p *Packet) bool {
		return p.Segment.Flags&(wire.SYN|wire.FIN|wire.RST|wire.ACK) == wire.ACK && p.Segment.TextLen() == 0
	})
	// Text is a segment with text, whatever else it has.
	Text = segments("text", func(p *Packet) bool { return p.Segment.TextLen() > 0 })
	// Again is a segment of which something has been sent before.
	Again = segments("retransmission", func(p *Packet) bool { return p.Again })
	// TCP is every TCP segment, and Any every packet.
	TCP = segments("TCP", func(*Packet) bool { return true })
	Any = Match{what: "any"}
)

// UDP and ICMP are packets of these protocols, of both versions of IP.
var (
	UDP  = protocol("UDP", wire.ProtoUDP, wire.ProtoUDP)
	ICMP = protocol("ICMP", wire.ProtoICMP, wire.ProtoICMPv6)
)

func protocol(name string, v4, v6 uint8) Match {
	return Match{what: name, tests: []func(*Packet) bool{func(p *Packet) bool {
		return p.ip.Packet != nil && (p.ip.V6 && p.ip.Proto == v6 || !p.ip.V6 && p.ip.Proto == v4)
	}}}
}

// First picks the first n of what m matches, at least 1.
func First(n int, m Match) Match { return m.counted("First", fmt.Sprintf("first %d", n), pickFirst, n) }

// Nth picks the nth of what m matches, the first being 1, and no other.
func Nth(n int, m Match) Match { return m.counted("Nth", fmt.Sprintf("number %d", n), pickNth, n) }

// Every picks each nth of what m matches: n, 2n, 3n and so on. Every(1) picks all.
func Every(n int, m Match) Match {
	return m.counted("Every", "each "+ordinal(n), pickEvery, n)
}

// ordinal writes a number as one says which of several it is.
func ordinal(n int) string {
	end := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}

// After picks all of what m matches but the first n. After(0) picks all.
func After(n int, m Match) Match { return m.counted("After", fmt.Sprintf("after %d", n), pickAfter, n) }

func (m Match) counted(function, name string, pick picking, n int) Match {
	if n < 0 || n == 0 && pick != pickAfter {
		m = m.wrong(fmt.Sprintf("%s(%d) makes no sense: packets are counted from 1", function, n))
	}
	m = m.based()
	m.what, m.counts = name+" "+m.what, append(m.counts[:len(m.counts):len(m.counts)], count{pick, n})
	return m
}

// wrong notes why no rule can be made of the Match, if that is the first reason.
func (m Match) wrong(fault string) Match {
	if m.fault == "" {
		m.fault = fault
	}
	return m
}

// based notes that a Match is made of none.
func (m Match) based() Match {
	if m.what == "" {
		return m.wrong("the zero Match picks nothing: begin with Any, TCP, SYN or another")
	}
	return m
}

func (m Match) and(what string, f func(*Packet) bool) Match {
	m = m.based()
	m.what += " " + what
	m.tests = append(m.tests[:len(m.tests):len(m.tests)], f)
	return m
}

// of notes names that must exist.
func (m Match) of(hosts ...string) Match {
	m.hosts = append(m.hosts[:len(m.hosts):len(m.hosts)], hosts...)
	return m
}

// From picks what a host has made, on a link further on too: see On. What a NAT passes on it has not made.
func (m Match) From(host string) Match {
	return m.of(host).and("from "+host, func(p *Packet) bool { return p.first().From == host })
}

// To picks what is sent to an address of a host, or over a link to it.
func (m Match) To(host string) Match {
	return m.of(host).and("to "+host, func(p *Packet) bool { return p.To == host || p.from.net.owner(p.ip.Dst.Netip()) == host })
}

// Port picks what is from or to a port, of TCP or UDP.
func (m Match) Port(port uint16) Match {
	return m.and(fmt.Sprintf("port %d", port), func(p *Packet) bool {
		return (p.IsTCP || p.IsUDP) && (p.Flow.LocalPort == port || p.Flow.RemotePort == port)
	})
}

// While picks what is sent while the connection of its sender is in one of the states. A segment
// that changes the state is sent in the new one: a FIN in FIN-WAIT-1 or LAST-ACK, the last
// acknowledgment of a close in TIME-WAIT.
func (m Match) While(states ...tcp.State) Match {
	return m.some("While", states).and("while "+names(states), func(p *Packet) bool { return has(states, p.SenderState) })
}

// WhilePeer picks what is sent while the connection of its receiver is in one of the states.
func (m Match) WhilePeer(states ...tcp.State) Match {
	return m.some("WhilePeer", states).and("while the peer is "+names(states), func(p *Packet) bool { return has(states, p.ReceiverState) })
}

func (m Match) some(function string, states []tcp.State) Match {
	if len(states) == 0 {
		return m.wrong(function + " without a state picks nothing")
	}
	return m
}

func has(states []tcp.State, s tcp.State) bool {
	for _, x := range states {
		if x == s {
			return true
		}
	}
	return false
}

func names(states []tcp.State) string {
	var list []string
	for _, s := range states {
		list = append(list, s.String())
	}
	return strings.Join(list, " or ")
}

// If picks what f says, which is called under a lock of the Net, and must not call it; on a goroutine of its own,
// so that a Fatal or FailNow in it fails the test, but does not end it, and the packet is not picked.
func (m Match) If(f func(*Packet) bool) Match {
	if f == nil {
		m = m.wrong("If without a function")
	}
	m = m.and("if", func(p *Packet) (yes bool) {
		apart(func() { yes = f(p) })
		return yes
	})
	m.prompt = true // f may look at the clock
	return m
}

// On picks what is sent over the link from one host or router to the next, in that direction,
// also what is only passed on.
func (m Match) On(from, to string) Match {
	m = m.based().of(from, to)
	m.what += " on the link from " + from + " to " + to
	m.on = [2]string{from, to}
	return m
}

// String says what is picked.
func (m Match) String() string { return m.what }

// matches reports whether p is picked; seen counts, for each of the counts, what has come to it.
func (m *Match) matches(p *Packet, seen []int) bool {
	if m.on == [2]string{} && !p.own || m.on != [2]string{} && m.on != [2]string{p.From, p.To} {
		return false
	}
	for _, f := range m.tests {
		if !f(p) {
			return false
		}
	}
	for i, c := range m.counts {
		seen[i]++
		if !c.picks(seen[i]) {
			return false
		}
	}
	return true
}

// picks reports whether the kth is picked.
func (c count) picks(k int) bool {
	switch c.pick {
	case pickFirst:
		return k <= c.n
	case pickNth:
		return k == c.n
	case pickEvery:
		return k%c.n == 0
	case pickAfter:
		return k > c.n
	}
	return false
}
