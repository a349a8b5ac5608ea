package vitro

import (
	"fmt"
	"strings"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Stats are counters since New, and what there is now.
type Stats struct{ stack.Stats }

// ByRule returns how many segments were dropped by each rule, those that dropped any.
func (s Stats) ByRule() map[tcp.Rule]uint64 {
	m := map[tcp.Rule]uint64{}
	for r, n := range s.Rules {
		if n > 0 {
			m[tcp.Rule(r)] = n
		}
	}
	return m
}

// ByFault returns how many packets were dropped for each fault, those that there were.
func (s Stats) ByFault() map[wire.Fault]uint64 {
	m := map[wire.Fault]uint64{}
	for f, n := range s.Faults {
		if n > 0 {
			m[wire.Fault(f)] = n
		}
	}
	return m
}

// String has a line for each counter that is not 0: its name and number. Drops are counted
// by the clause and the sentence that ask for them.
func (s Stats) String() string {
	var b strings.Builder
	line := func(name string, n uint64) {
		if n > 0 {
			fmt.Fprintf(&b, "%12d  %s\n", n, name)
		}
	}
	line("packets in", s.PacketsIn)
	line("packets out", s.PacketsOut)
	line("segments in", s.SegmentsIn)
	line("segments out", s.SegmentsOut)
	for f, n := range s.Faults {
		line("packets dropped, "+wire.Fault(f).String(), n)
	}
	for r, n := range s.Rules {
		line("segments dropped, "+tcp.Rule(r).String(), n)
	}
	line("packets from an interface that is gone", s.NoInterface)
	line("packets without a route", s.NoRoute)
	line("packets dropped, queue full", s.QueueFull)
	for k, name := range icmpNames {
		line("ICMP in, "+name, s.ICMPIn[k])
		line("ICMP out, "+name, s.ICMPOut[k])
	}
	line("ICMP errors ignored", s.ICMPIgnored)
	line("packets forwarded", s.Forwarded)
	line("packets not forwarded, too big", s.TooBig)
	line("packets not forwarded, hop limit exceeded", s.HopLimitExceeded)
	line("packets fragmented", s.Fragmented)
	line("packets reassembled", s.Reassembled)
	line("segments whose TCP-AO was passed over", s.UnknownAO)
	line("datagrams in", s.DatagramsIn)
	line("datagrams out", s.DatagramsOut)
	line("datagrams for which there was no socket", s.DatagramsUnheard)
	line("datagrams dropped, no room", s.DatagramsDropped)
	line("resets sent for no connection", s.Resets)
	line("SYN cookies sent", s.CookiesSent)
	line("SYN cookies that came back", s.CookiesValid)
	line("SYNs whose text was taken, TCP Fast Open", s.FastOpenTaken)
	line("SYNs sent with text", s.FastOpenSent)
	line("SYNs sent with text that was acknowledged", s.FastOpenAcked)
	line("orphans aborted, Limits.MaxOrphans", s.OrphansAborted)
	line("SYN,ACKs without an answer", s.HalfOpenTimedOut)
	line("orphans timed out", s.OrphansTimedOut)
	line("TIME-WAIT ended early, Limits.MaxTimeWait", s.TimeWaitEvicted)
	line("connections aborted, Limits.MaxBuffers", s.BuffersReclaimed)
	line("ports looked at by Dial", s.PortsTried)
	now := func(name string, n int) { line("now: "+name, uint64(n)) }
	for st, n := range s.States {
		now("connections in "+tcp.State(st).String(), n)
	}
	now("half-open connections", s.HalfOpen)
	now("TCP Fast Open connections in SYN-RECEIVED", s.FastOpen)
	now("orphans", s.Orphans)
	now("listeners", s.Listeners)
	now("connections", s.Connections)
	now("TIME-WAIT records", s.TimeWait)
	now("octets of buffers", s.Buffers)
	now("connections short of memory, Limits.MaxBuffers", s.Lacking)
	now("octets of fragments", s.Fragments)
	now("path MTUs", s.Paths)
	now("UDP sockets", s.UDPSockets)
	now("octets of datagrams", s.UDPBuffers)
	return b.String()
}

var icmpNames = [...]string{
	wire.ICMPOther:            "other",
	wire.ICMPEchoRequest:      "echo request",
	wire.ICMPEchoReply:        "echo reply",
	wire.ICMPUnreachable:      "unreachable",
	wire.ICMPPacketTooBig:     "packet too big",
	wire.ICMPTimeExceeded:     "time exceeded",
	wire.ICMPParameterProblem: "parameter problem",
	wire.ICMPSourceQuench:     "source quench",
}
