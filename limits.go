package vitro

import (
	"time"

	"github.com/vitro-net/vitro/stack"
)

// Limits bound what a Stack spends on its peers, friendly or not. Each zero field means its
// default; what is beyond a limit is lost, refused or ended as the field's comment says, and
// counted in Stats.
type Limits struct {
	// MaxConnections bounds the connections, half-open ones and orphans counted, records in
	// TIME-WAIT not. Default 1048576. Beyond, Dial gives ENOBUFS and a SYN is dropped.
	MaxConnections int
	// MaxBuffers bounds the octets of memory in the buffers of all connections, but for 2048 in
	// each direction of each. Default 1 GiB. At the bound buffers grow no more: Write takes
	// less at a time, peers are offered smaller windows, and what arrives all the same is
	// dropped, to be sent again.
	MaxBuffers int
	// StallTimeout is how long a connection may make no progress when buffers take more than
	// seven eighths of MaxBuffers: its peer has acknowledged, and its user read, no more than
	// a 128th of what it holds. Then those that have waited longest are reset: their calls
	// give ENOBUFS. Default 30 s.
	StallTimeout time.Duration
	// MaxHalfOpen bounds the connections in SYN-RECEIVED of all listeners together; SYNs
	// beyond are answered by SYN cookies (RFC 4987 section 3.6). Default 4096.
	MaxHalfOpen int
	// HalfOpen is the same for one listener whose ListenConfig says nothing. Default 256.
	HalfOpen int
	// SynAckRetries is how often the SYN,ACK of a listener is sent again. Default 5, which is
	// for 63 seconds; negative: never.
	SynAckRetries int
	// MaxOrphans bounds the connections that live on after their user has closed them. For
	// one more, the one whose peer has acknowledged nothing for longest is reset. Default
	// 16384.
	MaxOrphans int
	// OrphanTimeout is after what time without an acknowledgment of anything such a connection
	// is reset, even if its peer answers the probes of a closed window. Default 100 s;
	// negative: never.
	OrphanTimeout time.Duration
	// MaxTimeWait bounds the records in TIME-WAIT. Each takes 80 octets, and 150 to 180 with its
	// place in the table by which it is found. The oldest makes room.
	// Default 262144, at most 2147483647.
	MaxTimeWait int
	// MaxPaths bounds the path MTUs that are remembered (RFC 8201 section 5.3). Default
	// 4096.
	MaxPaths int
	// MaxFastOpen bounds what is remembered of servers for DialFastOpen (RFC 7413 section
	// 4.1.3): the cookie of each, and a note of each port that has not answered well. What has not
	// been used for longest makes room. Default 1024.
	MaxFastOpen int
	// MaxQueued bounds the octets of answers and forwarded packets that wait to be sent;
	// beyond, they are dropped. Default 1 MiB.
	MaxQueued int
	// ReassemblyBytes bounds the memory for fragments of packets, in octets. Default 512 KiB.
	ReassemblyBytes int

	// MaxUDPSockets bounds the UDP sockets. Default 65536. Beyond, ListenPacket and Dial give ENOBUFS.
	MaxUDPSockets int
	// MaxUDPBuffers bounds the octets of memory of datagrams that wait to be read, in all sockets
	// together. Default 64 MiB. Beyond, what arrives is dropped.
	MaxUDPBuffers int

	// ResetRate, ErrorRate and EchoRate bound how many resets for segments of no connection,
	// ICMP errors (RFC 1812 section 4.3.2.8) and echo replies go to one destination in a
	// second; so many may go at once. Defaults 1000, 100, 1000; negative: none at all.
	ResetRate, ErrorRate, EchoRate int
}

// set hands the limits to the layer that keeps them; what is 0 has its default there.
func (l *Limits) set(s *stack.Config) {
	s.MaxConnections, s.TCP.MaxBuffers, s.StallTimeout = l.MaxConnections, l.MaxBuffers, l.StallTimeout
	s.MaxHalfOpen, s.HalfOpen = l.MaxHalfOpen, l.HalfOpen
	s.SynAckRetries = l.SynAckRetries
	s.MaxOrphans, s.OrphanTimeout, s.MaxTimeWait = l.MaxOrphans, l.OrphanTimeout, l.MaxTimeWait
	s.MaxFastOpen = l.MaxFastOpen
	s.MaxPaths, s.MaxQueued, s.ReassemblyBytes = l.MaxPaths, l.MaxQueued, l.ReassemblyBytes
	s.MaxUDPSockets, s.MaxUDPBuffers = l.MaxUDPSockets, l.MaxUDPBuffers
	s.ResetRate, s.ErrorRate, s.EchoRate = l.ResetRate, l.ErrorRate, l.EchoRate
}
