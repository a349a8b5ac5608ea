package lab

import (
	"fmt"
	"strings"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Match picks packets. It is a value: each method returns another. What a Match counts is
// counted by each Rule for itself, after all else that the Match asks for, and a packet counts
// where it leaves the host that has made it, not where a router passes it on.
type Match struct {
	what  string
	tests []func(*Packet) bool
	n     int // which are picked of those that pass the tests; 0: all
	pick  picking
	on    [2]string // the link; empty: where it leaves the host that has made it
	// prompt: it is to be known what is picked when it departs, and not when something comes of it.
	prompt bool
}

type picking uint8

const (
	pickAll picking = iota
	pickFirst
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

// First picks the first n of what m matches.
func First(n int, m Match) Match { return m.counted(fmt.Sprintf("first %d", n), pickFirst, n) }

// Nth picks the nth of what m matches, the first being 1, and no other.
func Nth(n int, m Match) Match { return m.counted(fmt.Sprintf("number %d", n), pickNth, n) }

// Every picks each nth of what m matches: n, 2n, 3n and so on.
func Every(n int, m Match) Match { return m.counted(fmt.Sprintf("each %dth", n), pickEvery, n) }

// After picks all of what m matches but the first n.
func After(n int, m Match) Match { return m.counted(fmt.Sprintf("after %d", n), pickAfter, n) }

func (m Match) counted(name string, pick picking, n int) Match {
	m.what, m.pick, m.n = name+" "+m.what, pick, n
	return m
}

func (m Match) and(what string, f func(*Packet) bool) Match {
	m.what += " " + what
	m.tests = append(m.tests[:len(m.tests):len(m.tests)], f)
	return m
}

// From picks what a host sends.
func (m Match) From(host string) Match {
	return m.and("from "+host, func(p *Packet) bool { return p.From == host })
}

// To picks what is sent to an address of a host, or over a link to it.
func (m Match) To(host string) Match {
	return m.and("to "+host, func(p *Packet) bool { return p.To == host || p.from.net.owner(p.ip.Dst.Netip()) == host })
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
	return m.and("while "+names(states), func(p *Packet) bool { return has(states, p.SenderState) })
}

// WhilePeer picks what is sent while the connection of its receiver is in one of the states.
func (m Match) WhilePeer(states ...tcp.State) Match {
	return m.and("while the peer is "+names(states), func(p *Packet) bool { return has(states, p.ReceiverState) })
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

// If picks what f says, which is called under a lock of the Net, and must not call it.
func (m Match) If(f func(*Packet) bool) Match {
	m = m.and("if", f)
	m.prompt = true // f may look at the clock
	return m
}

// On picks what is sent over the link from one host or router to the next, in that direction,
// also what is only passed on.
func (m Match) On(from, to string) Match {
	m.what += " on the link from " + from + " to " + to
	m.on = [2]string{from, to}
	return m
}

// String says what is picked.
func (m Match) String() string { return m.what }

// matches reports whether p is picked; n counts what has passed the tests.
func (m *Match) matches(p *Packet, n *int) bool {
	if m.on == [2]string{} && !p.own || m.on != [2]string{} && m.on != [2]string{p.From, p.To} {
		return false
	}
	for _, f := range m.tests {
		if !f(p) {
			return false
		}
	}
	*n++
	switch m.pick {
	case pickFirst:
		return *n <= m.n
	case pickNth:
		return *n == m.n
	case pickEvery:
		return m.n > 0 && *n%m.n == 0
	case pickAfter:
		return *n > m.n
	case pickAll:
	}
	return true
}
