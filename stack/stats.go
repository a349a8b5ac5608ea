package stack

import (
	"cmp"
	"slices"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Drops are the counters of Stats that say what was dropped. To read them costs nothing, while Stats
// counts the connections too.
type Drops struct {
	Rules  [tcp.NumRules]uint64
	Faults [wire.NumFaults]uint64
}

// Drops puts the present counters into d, and reports whether they differ from what was there.
func (s *Stack) Drops(d *Drops) (changed bool) {
	if d.Rules == s.stats.Rules && d.Faults == s.stats.Faults {
		return false
	}
	d.Rules, d.Faults = s.stats.Rules, s.stats.Faults
	return true
}

// Stats are counters since New, and below them how many there are now.
type Stats struct {
	PacketsIn, PacketsOut   uint64 // by interfaces; what a stack sends itself is not counted as out
	SegmentsIn, SegmentsOut uint64
	// Faults counts packets dropped because they are illegal, by fault.
	Faults [wire.NumFaults]uint64
	// Rules counts segments dropped, by the rule that drops them; also, by tcp.RuleLimited,
	// answers that were not sent and, by tcp.RuleReopen, SYNs in place of records in TIME-WAIT.
	Rules [tcp.NumRules]uint64
	// NoInterface counts packets from an interface that is gone, NoRoute what could not be
	// sent, QueueFull answers and forwarded packets beyond Config.MaxQueued.
	NoInterface, NoRoute, QueueFull uint64
	// ICMPIn and ICMPOut count messages by kind; ICMPIgnored errors that named no
	// connection, or one that did not believe them.
	ICMPIn, ICMPOut [wire.ICMPSourceQuench + 1]uint64
	ICMPIgnored     uint64
	// Forwarded counts packets passed on; TooBig and HopLimitExceeded those that could not
	// be; Fragmented packets cut, Reassembled packets put together.
	Forwarded, TooBig, HopLimitExceeded uint64
	Fragmented, Reassembled             uint64
	// UnknownAO counts segments whose TCP-AO was passed over, no key being for their sockets.
	UnknownAO uint64
	// Resets counts those sent for segments of no connection.
	Resets uint64
	// CookiesSent and CookiesValid count SYN cookies, and those that came back.
	CookiesSent, CookiesValid uint64
	// HalfOpenTimedOut counts connections of listeners whose SYN,ACK nobody has answered.
	HalfOpenTimedOut uint64
	// FastOpenTaken counts SYNs whose text was delivered before the handshake (RFC 7413),
	// FastOpenSent and FastOpenAcked those sent with text, and of them those answered for it.
	FastOpenTaken, FastOpenSent, FastOpenAcked uint64
	// OrphansAborted, TimeWaitEvicted and BuffersReclaimed count what Config's limits cost:
	// MaxOrphans, MaxTimeWait, MaxBuffers; OrphansTimedOut what its OrphanTimeout does.
	OrphansTimedOut                                   uint64
	OrphansAborted, TimeWaitEvicted, BuffersReclaimed uint64

	// DatagramsIn and DatagramsOut count those of UDP, DatagramsUnheard those for which there was
	// no socket, DatagramsDropped those for which a socket had no room, or all together.
	DatagramsIn, DatagramsOut          uint64
	DatagramsUnheard, DatagramsDropped uint64

	// PortsTried counts the ports that Dial has looked at to find free ones.
	PortsTried uint64

	// Now.

	// States counts connections by state, records in TIME-WAIT among them; CLOSED are those
	// that a user has not released.
	States      [tcp.TimeWait + 1]int
	HalfOpen    int // of listeners, in SYN-RECEIVED
	FastOpen    int // of listeners, in SYN-RECEIVED, their SYN's text delivered
	Orphans     int // released and not yet closed
	Listeners   int
	Connections int // all but the records in TIME-WAIT
	TimeWait    int // records
	Buffers     int // octets of send and receive buffers
	Lacking     int // connections that tcp.Config.MaxBuffers keeps short of memory
	Fragments   int // octets held for reassembly
	Paths       int // destinations whose path MTU is known
	UDPSockets  int
	UDPBuffers  int // octets of memory of datagrams that wait to be read
}

// Stats returns the counters.
func (s *Stack) Stats() Stats {
	st := s.stats
	st.HalfOpen, st.Orphans = s.halfOpen, s.orphans.n
	st.FastOpen = s.fastPending
	st.Connections, st.TimeWait = s.all.n, s.waiting.len()
	for at, l := range s.listeners {
		if at == l.at { // a dual one stands there twice
			st.Listeners++
		}
	}
	st.Buffers, st.Lacking = s.cfg.TCP.BuffersInUse(), len(s.mem.lacking)
	st.Fragments, st.Paths = s.frags.Bytes(), len(s.paths.known)
	st.UDPSockets, st.UDPBuffers = s.udp.n, s.udp.queued
	return st
}

// Connections returns the status of every connection, of every listener (LISTEN, without a
// remote socket) and of every record in TIME-WAIT, ordered by local and then remote socket.
// Of a record only Flow, State, SND.NXT, RCV.NXT and Deadline are known.
func (s *Stack) Connections() []tcp.Status {
	list := make([]tcp.Status, 0, s.all.n+s.waiting.len()+len(s.listeners))
	for c := s.all.oldest; c != nil; c = c.next {
		list = append(list, c.tcp.Status())
	}
	for i := s.waiting.first; i != none; i = s.waiting.slab[i].next {
		r := &s.waiting.slab[i]
		list = append(list, tcp.Status{Flow: r.Flow, State: tcp.TimeWait, SndUna: r.SndNxt, SndNxt: r.SndNxt,
			RcvNxt: r.RcvNxt, Timestamps: r.Timestamps, Deadline: r.Until})
	}
	for at, l := range s.listeners {
		if at == l.at {
			list = append(list, tcp.Status{Flow: wire.Flow{Local: at.addr, LocalPort: at.port}, State: tcp.Listen, Deadline: tcp.Never})
		}
	}
	slices.SortStableFunc(list, func(a, b tcp.Status) int { return compareFlows(&a.Flow, &b.Flow) })
	return list
}

// UDPStatus is what there is to know of a UDP socket.
type UDPStatus struct {
	// Flow has the local socket, its address unspecified where any is meant, and the remote one of
	// a connected socket.
	Flow wire.Flow
	// Waiting is how many octets of memory datagrams take that wait to be read, Unsent how many octets
	// of packets have been written and not yet been given to a link.
	Waiting, Unsent int
	// Dropped counts the datagrams for which there was no room.
	Dropped uint64
}

// UDPSockets returns the status of every UDP socket, ordered by local and then remote socket.
func (s *Stack) UDPSockets() []UDPStatus {
	list := make([]UDPStatus, 0, s.udp.n)
	for at, u := range s.udp.bound {
		if at == u.at { // a dual one stands there twice
			list = append(list, UDPStatus{
				Flow:    wire.Flow{Local: at.addr, LocalPort: at.port, Remote: u.peer.addr, RemotePort: u.peer.port},
				Waiting: u.queued, Unsent: u.unsent, Dropped: u.dropped,
			})
		}
	}
	slices.SortFunc(list, func(a, b UDPStatus) int { return compareFlows(&a.Flow, &b.Flow) })
	return list
}

func compareFlows(a, b *wire.Flow) int {
	return cmp.Or(
		slices.Compare(a.Local[:], b.Local[:]), cmp.Compare(a.LocalPort, b.LocalPort),
		slices.Compare(a.Remote[:], b.Remote[:]), cmp.Compare(a.RemotePort, b.RemotePort))
}
