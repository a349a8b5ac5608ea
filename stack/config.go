package stack

import (
	"encoding/binary"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Defaults of Config.
const (
	DefaultPortFirst      = 32768
	DefaultPortLast       = 65535
	DefaultMaxConnections = 1 << 20
	DefaultMaxHalfOpen    = 4096
	DefaultHalfOpen       = 256
	DefaultSynAckRetries  = 5
	DefaultMaxOrphans     = 16384
	DefaultOrphanTimeout  = 100 * time.Second
	DefaultMaxTimeWait    = 1 << 18
	DefaultStallTimeout   = 30 * time.Second
	DefaultMaxPaths       = 4096
	DefaultMaxQueued      = 1 << 20
	DefaultMaxFastOpen    = 1024
	DefaultResetRate      = 1000
	DefaultErrorRate      = 100
	DefaultEchoRate       = 1000
	DefaultMaxUDPSockets  = 1 << 16
	DefaultMaxUDPBuffers  = 64 << 20
)

// Config is fixed for a Stack's life. The zero value works, but for Secret and Seed, which
// an attacker must not know; each other zero field means its default.
type Config struct {
	// TCP is what all connections share. When its Secret is zero, one is derived from
	// Secret here. Its Trace is told by all connections, and by the stack: of each segment
	// that it drops before or beside a connection, for an Observed in CLOSED, or in LISTEN,
	// without a Status; and of each record in TIME-WAIT that ends or comes back.
	TCP tcp.Config
	// Fault, when set, is told of each packet dropped because it is illegal, its checksum
	// wrong among others, and what is wrong with it. The packet is in force for the call only;
	// where a datagram has missed fragments for too long it is what has come of it, or nil. Like
	// the functions of a Trace it must not call the stack.
	Fault func(now tcp.Time, packet []byte, fault wire.Fault)

	// Keys are those of TCP-AO (RFC 5925) for connections and listeners whose options have none.
	// Where none is for its sockets a connection does without; one that has a key stays whole in
	// TIME-WAIT, and counts for MaxConnections. Dial and Listen return the error of tcp.Keys.Check.
	// Not changed while the Stack is in use.
	Keys tcp.Keys
	// DiscardUnknownAO drops segments that have TCP-AO where no key is for their sockets. Default:
	// the option is passed over (RFC 5925 section 7.3).
	DiscardUnknownAO bool

	// HopLimit of all packets whose connection has set none (MUST-49). Default 64.
	HopLimit uint8
	// Secret keys ports, SYN cookies and those of TCP Fast Open. Fill it with random octets.
	Secret [16]byte
	// Seed of what is random and no secret by itself: the steps from one port to the next.
	Seed uint64
	// PortFirst and PortLast bound the ports the stack chooses. Default 32768 to 65535:
	// RFC 6056 section 3.2 asks for a range as wide as possible, "1024 to 65535", and
	// below 32768 users expect to find servers.
	PortFirst, PortLast uint16

	// MaxConnections bounds how many connections there are, half-open ones and orphans
	// counted, records in TIME-WAIT not. Default 1048576. Beyond, Dial gives ErrLimit and a
	// SYN is dropped.
	MaxConnections int
	// MaxHalfOpen bounds connections in SYN-RECEIVED in the whole stack; SYNs beyond are
	// answered by cookies (RFC 4987 section 3.6). As many again may stand in place of records
	// in TIME-WAIT (MAY-2), which no flood of forged SYNs reaches. Default 4096.
	MaxHalfOpen int
	// HalfOpen is the same bound for one listener whose options say none. Default 256.
	HalfOpen int
	// SynAckRetries is how often a listener's SYN,ACK is sent again: after 1, 3, 7, 15 and 31
	// seconds, and after 63 the connection is dropped in silence. A peer that is there says
	// its SYN again (RFC 9293 section 3.8.3: for at least 3 minutes), and gets another; one
	// that is not, because the SYN was forged, gets no more. Default 5; negative: none.
	SynAckRetries int
	// MaxOrphans bounds connections that live on after the user has released them. For one
	// more, the one that has waited longest for its peer to acknowledge anything is aborted:
	// whoever holds many of them open cannot keep others from closing. Default 16384.
	MaxOrphans int
	// OrphanTimeout is after what time without anything acknowledged a released connection is
	// aborted, even if its peer answers the probes of a closed window (RFC 9293 section
	// 3.8.6.1, "subject to the implementation's resource management concerns"). In FIN-WAIT-2
	// tcp.Config.FinWait2Timeout holds instead. Default 100 s, as RFC 9293 section 3.8.3 asks
	// of R2 (SHLD-11); negative: never.
	OrphanTimeout time.Duration
	// MaxTimeWait bounds the records in TIME-WAIT. Each takes 80 octets, and 150 to 180 with its
	// place in the table by which it is found. The oldest makes room.
	// Default 262144.
	MaxTimeWait int
	// StallTimeout is how long a connection may make no progress while buffers take more than
	// seven eighths of TCP.MaxBuffers: its peer has acknowledged, and its user read, next to
	// nothing (no more than a 128th of what it holds). Then those that have waited longest
	// are reset, and their calls give tcp.ErrResources. Default 30 s; time counts from when
	// buffers took half of the bound.
	StallTimeout time.Duration
	// MaxPaths bounds the path MTUs remembered. Default 4096.
	MaxPaths int
	// MaxFastOpen bounds what is remembered of servers for TCP Fast Open (RFC 7413 section
	// 4.1.3): of each a cookie, and of each port that has not answered well a note. What has not
	// been used for longest makes room. Default 1024.
	MaxFastOpen int
	// MaxQueued bounds the octets of answers and forwarded packets that wait for Output;
	// beyond, they are dropped. Default 1 MiB.
	MaxQueued int
	// ReassemblyBytes bounds the memory for fragments, wire.DefaultReassemblyBytes when 0.
	ReassemblyBytes int

	// MaxUDPSockets bounds the UDP sockets; beyond, ListenUDP and DialUDP give ErrLimit. Default
	// 65536.
	MaxUDPSockets int
	// MaxUDPBuffers bounds the octets of memory of datagrams that wait to be read, in all sockets
	// together; beyond, what arrives is dropped. Default 64 MiB.
	MaxUDPBuffers int

	// ResetRate, ErrorRate and EchoRate bound how many resets for segments of no
	// connection, ICMP errors, and echo replies go to one destination in a second; so many
	// may go at once. Defaults 1000, 100, 1000; negative: none at all.
	ResetRate, ErrorRate, EchoRate int

	// Forward lets packets that are not the stack's own pass between its interfaces.
	Forward bool
}

func orDefault[T int | uint8 | uint16 | time.Duration](p *T, def T) {
	if *p == 0 {
		*p = def
	}
}

func (cfg *Config) setDefaults() {
	orDefault(&cfg.HopLimit, wire.DefaultHopLimit)
	orDefault(&cfg.PortFirst, DefaultPortFirst)
	orDefault(&cfg.PortLast, DefaultPortLast)
	cfg.PortLast = max(cfg.PortFirst, cfg.PortLast)
	orDefault(&cfg.MaxConnections, DefaultMaxConnections)
	orDefault(&cfg.MaxHalfOpen, DefaultMaxHalfOpen)
	orDefault(&cfg.HalfOpen, DefaultHalfOpen)
	orDefault(&cfg.SynAckRetries, DefaultSynAckRetries)
	orDefault(&cfg.MaxOrphans, DefaultMaxOrphans)
	orDefault(&cfg.OrphanTimeout, DefaultOrphanTimeout)
	orDefault(&cfg.MaxTimeWait, DefaultMaxTimeWait)
	orDefault(&cfg.StallTimeout, DefaultStallTimeout)
	orDefault(&cfg.MaxPaths, DefaultMaxPaths)
	orDefault(&cfg.MaxFastOpen, DefaultMaxFastOpen)
	cfg.MaxFastOpen = max(cfg.MaxFastOpen, 1)
	orDefault(&cfg.MaxQueued, DefaultMaxQueued)
	orDefault(&cfg.MaxUDPSockets, DefaultMaxUDPSockets)
	orDefault(&cfg.MaxUDPBuffers, DefaultMaxUDPBuffers)
	orDefault(&cfg.ResetRate, DefaultResetRate)
	orDefault(&cfg.ErrorRate, DefaultErrorRate)
	orDefault(&cfg.EchoRate, DefaultEchoRate)
	if cfg.TCP.Secret == [16]byte{} {
		cfg.TCP.Secret = cfg.subkey(purposeTCP)
	}
}

// A purpose keeps apart the uses of one secret.
const (
	purposeTCP = iota
	purposePort
	purposeCookie
	purposeFastOpen
)

// subkey derives a key from the secret.
func (cfg *Config) subkey(purpose byte) (key [16]byte) {
	for i := range 2 {
		binary.LittleEndian.PutUint64(key[8*i:], tcp.SipHash(&cfg.Secret, []byte{'s', 'u', 'b', purpose, byte(i)}))
	}
	return key
}
