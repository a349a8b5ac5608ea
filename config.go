package vitro

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Config says what a Stack is. The zero value works: each zero field means its default. A
// field beyond the bounds that its comment states makes New return an error that names it;
// a size or a time is not negative where its comment does not say what that means.
//
// A panic of a function in it goes up as it is, to whoever has called the Stack or, behind a
// link.Pair, the one at its other end; from a timer it ends the program. Whoever recovers from it
// should close the Stack: what the panic has broken off is not done.
type Config struct {
	// ReceiveBuffer fixes the most that a connection holds of what has arrived and not been
	// read, in octets, and so the largest window it offers (RFC 9293 section 3.8.6): at least
	// 4 KiB, at most 1 GiB (RFC 7323 section 2.3). Default 0: it begins with 128 KiB and grows
	// to three times what is read in a round trip and the next power of two, up to
	// MaxReceiveBuffer. Conn.SetReadBuffer fixes that of one connection.
	ReceiveBuffer int
	// SendBuffer fixes the most that a connection holds of what has been written and not been
	// acknowledged, in octets; beyond, Write waits. At least 4 KiB, at most 1 GiB. Default 0:
	// what is outstanding, and as much again as the congestion window, at least 64 KiB, up to
	// MaxSendBuffer. Conn.SetWriteBuffer fixes that of one connection.
	SendBuffer int
	// MaxReceiveBuffer and MaxSendBuffer are up to where buffers grow that are not fixed, in
	// octets; the window scale follows from the first (RFC 7323 section 2.1). Default 16 MiB
	// each, at least 4 KiB, at most 1 GiB. With a fixed buffer in this Config neither says
	// anything, and New refuses it.
	MaxReceiveBuffer, MaxSendBuffer int
	// ElasticSend makes Write wait only beyond 16 MiB, whatever SendBuffer and
	// SetWriteBuffer say. It is for testing/synctest bubbles: net/http's HTTP/2 client
	// writes while it holds a mutex, a goroutine that waits for a mutex is not durably
	// blocked, and so the bubble's time would stand still. Default off.
	ElasticSend bool

	// MSL is the maximum segment lifetime: TIME-WAIT lasts twice as long (RFC 9293 section
	// 3.4.2, MUST-13). Default 30 s, at most 24 h; the RFC's own figure is 2 minutes, which it
	// calls "an engineering choice".
	MSL time.Duration
	// DelayedAck is how long an acknowledgment waits for company (RFC 9293 section
	// 3.8.6.3). Default 40 ms, at most 499 ms: "the delay MUST be less than 0.5 seconds"
	// (MUST-40); negative: none waits.
	DelayedAck time.Duration
	// MinRTO is the least retransmission timeout, and also by how much it exceeds the
	// smoothed round trip at least: G of RFC 6298 section 2. Default 200 ms, as Linux;
	// section 2.4 says that it SHOULD be 1 s, and that research may find less to do.
	MinRTO time.Duration
	// MaxRTO is the largest retransmission timeout after backoff. Default 60 s, the least
	// that RFC 6298 section 2.5 has in mind; not less than MinRTO.
	MaxRTO time.Duration
	// UserTimeout is how long what has been sent may stay without an acknowledgment before
	// the connection ends with ETIMEDOUT: R2 of RFC 9293 section 3.8.3. Default 5 minutes
	// (section 3.9.1.1); negative: for ever.
	UserTimeout time.Duration
	// UserTimeoutOption has connections tell the peer their user timeout, and adopt the longer of
	// both where Conn.SetUserTimeout has set none: at least 100 s and twice MaxRTO, at most an hour
	// or what is longer here (RFC 5482). Default: no.
	UserTimeoutOption bool
	// SynTimeout is the same for a SYN, and so for Dial. Default 3 minutes (MUST-23);
	// negative: for ever.
	SynTimeout time.Duration
	// R1 is after how many retransmissions of one segment a Report says so (RFC 9293 section
	// 3.8.3, SHLD-9 and SHLD-10). Default 3, at most 255.
	R1 int
	// FinWait2Timeout is how long a connection that has been closed waits for the peer's
	// FIN. Default 60 s, as Linux; the RFC has none.
	FinWait2Timeout time.Duration

	// Congestion makes the congestion control of each connection: tcp.NewCubic (RFC 9438),
	// tcp.NewReno (RFC 5681), tcp.NewBBR (draft-ietf-ccwg-bbr, experimental), or the user's. It is
	// called under the Stack's lock. Default, and where it returns nil, tcp.NewCubic. A Dialer and a
	// ListenConfig may have their own; Conn.SetCongestion sets that of one connection.
	Congestion func() tcp.Congestion

	// RestartAfterIdle has a connection that has not sent for longer than the RTO begin again with
	// the initial congestion window, as RFC 5681 section 4.1 says. Default: the window is kept for
	// five minutes and then halved, for each five minutes (RFC 7661).
	RestartAfterIdle bool

	// Pacing spreads what the congestion window lets go over the round trip, so that no burst
	// overflows a short queue. It costs timers. Default: only with a congestion control that asks
	// for it (tcp.Paced), which a Dialer, a ListenConfig or Conn.SetCongestion may give.
	Pacing bool

	// ECN says whether connections use explicit congestion notification (RFC 3168), and with
	// accurate feedback (RFC 9768). Default tcp.ECNAccept: when the peer asks. tcp.ECNRequest asks
	// for RFC 3168's too, tcp.ECNAccurate for the other.
	ECN tcp.ECN

	// MTUProbing says when connections search for the path MTU by probes (RFC 4821). Default
	// tcp.MTUProbeBlackHole: once packets of the link's MTU vanish without a word.
	// tcp.MTUProbeAlways begins with 1200 octets and probes upwards: that the link's MTU passes is
	// known after a round trip, what a narrower path has only in a long transfer; 300 KB are over
	// at 1200. tcp.MTUProbeOff believes ICMP messages alone.
	MTUProbing tcp.MTUProbing

	// Keys are those of TCP-AO (RFC 5925), for all connections for whose sockets there is one and
	// whose Dialer or ListenConfig has none. Such a connection counts for Limits.MaxConnections until
	// the end of TIME-WAIT. Default: none, and no connection uses TCP-AO.
	Keys tcp.Keys
	// DiscardUnknownAO drops segments that have TCP-AO where no key is for their sockets. Default:
	// the option is passed over (RFC 5925 section 7.3).
	DiscardUnknownAO bool

	// KeepAliveOctet gives each keep-alive probe one octet of garbage, for peers that answer
	// nothing less (RFC 9293 section 3.8.4, MAY-6). Default: none (SHLD-12).
	KeepAliveOctet bool
	// MinSendMSS is the least segment that a peer's MSS option can make us use, in octets:
	// less would let it turn each octet of text into a packet (CVE-2019-11479). Default 48,
	// at most 536, what every host takes (RFC 9293 section 3.7.1).
	MinSendMSS int
	// NoTimestamps, NoSACK and NoWindowScale keep connections from offering and accepting
	// the options of RFC 7323 section 3, RFC 2018, and RFC 7323 section 2. Default: all three
	// are offered and accepted.
	NoTimestamps, NoSACK, NoWindowScale bool
	// NoSimultaneousOpen drops a SYN that crosses ours: whoever guesses ports could begin a split
	// handshake with it. Default: it is answered (RFC 9293 section 3.5, MUST-10).
	NoSimultaneousOpen bool

	// HopLimit of packets whose connection has none of its own, IPv4's time to live (RFC 9293
	// section 3.9.2, MUST-49). Default 64.
	HopLimit uint8
	// PortFirst and PortLast bound the ports that are chosen for Dial and for Listen on
	// port 0 (RFC 6056 section 3.2). Default 32768 and 65535; both are in the range.
	PortFirst, PortLast uint16
	// Forward lets packets for others pass between the links, as a router does; it sends
	// ICMP Time Exceeded when a hop limit has run out. Default off (RFC 1122 section 3.1).
	Forward bool

	// Limits bound what peers can make the Stack spend. Default: those of each field.
	Limits Limits

	// Resolver turns host names into addresses for Dial and Listen. *net.Resolver is one. Go's own
	// runs over the Stack itself, by UDP and, for what is truncated there, TCP:
	//
	//	var s *vitro.Stack // asks the servers of /etc/resolv.conf; any other address may stand for them
	//	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) { return s.DialContext(ctx, network, address) }}
	//	s, err := vitro.New(vitro.Config{Resolver: r})
	//
	// Default nil: then only literal addresses and "localhost", which is this Stack's
	// loopback (RFC 6761 section 6.3), are known.
	Resolver Resolver

	// Seed, when not 0, makes the Stack reproducible: initial sequence numbers, ports and
	// secrets follow from it, and anybody who knows it can forge segments; who waits is woken only
	// when what the same event has brought is sent. For tests.
	// Default 0: secrets from crypto/rand.
	Seed uint64
	// ISN, when set, chooses initial sequence numbers instead of RFC 6528. For tests and
	// demonstrations: who can guess the numbers can forge segments. It is called under the
	// Stack's lock, as Trace is. Default nil.
	ISN func(local, remote netip.AddrPort) uint32
	// Trace, when set, is told of each change of state, each dropped segment, each
	// retransmission and timeout, each step of a search for the path MTU, with the sentence of
	// the RFC that says so. Of a segment that reaches no connection its Observed knows the sockets and CLOSED, or LISTEN; a
	// segment in a packet that a router passes on, or whose IP header is illegal, is no
	// segment to the Stack. What a reset returns to LISTEN is the listener again, and ends with it.
	// Its functions are called while the Stack's lock is held: they must
	// not call the Stack, its connections or listeners, and must not block. Default nil.
	Trace *tcp.Trace
	// TraceFault, when set, is told of each packet dropped because it is illegal, among them
	// segments whose checksum is wrong, and what is wrong with it. It is called as Trace's
	// functions are, and must not keep the packet. Default nil.
	TraceFault func(now tcp.Time, packet []byte, fault wire.Fault)
}

// Resolver turns a host name into addresses, in the order to try them. network is "ip", "ip4" or "ip6".
// It returns when ctx ends, for Dial waits for it. Errors should be *net.DNSError. *net.Resolver is a
// Resolver, one that asks the operating system's network.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// host returns the configuration of the layer below.
func (c *Config) host() (host.Config, error) {
	if err := c.check(); err != nil {
		return host.Config{}, err
	}
	var h host.Config
	h.ElasticSend, h.Reproducible = c.ElasticSend, c.Seed != 0
	s := &h.Stack
	s.HopLimit, s.PortFirst, s.PortLast, s.Forward = c.HopLimit, c.PortFirst, c.PortLast, c.Forward
	s.Keys, s.DiscardUnknownAO = c.Keys.Clone(), c.DiscardUnknownAO
	s.TCP = tcp.Config{
		ReceiveBuffer: c.ReceiveBuffer, SendBuffer: c.SendBuffer,
		MaxReceiveBuffer: c.MaxReceiveBuffer, MaxSendBuffer: c.MaxSendBuffer,
		MSL: c.MSL, DelayedAck: c.DelayedAck, MinRTO: c.MinRTO, MaxRTO: c.MaxRTO,
		UserTimeout: c.UserTimeout, UserTimeoutOption: c.UserTimeoutOption, SynTimeout: c.SynTimeout, R1: c.R1, FinWait2Timeout: c.FinWait2Timeout,
		KeepAliveOctet: c.KeepAliveOctet, MinSendMSS: c.MinSendMSS,
		Congestion: c.Congestion,
		Pacing:     c.Pacing, RestartAfterIdle: c.RestartAfterIdle,
		ECN:          c.ECN,
		MTUProbing:   c.MTUProbing,
		NoDelay:      true, // as package net has it
		NoTimestamps: c.NoTimestamps, NoSACK: c.NoSACK, NoWindowScale: c.NoWindowScale,
		NoSimultaneousOpen: c.NoSimultaneousOpen,
		Trace:              c.Trace,
	}
	s.Fault = c.TraceFault
	c.Limits.set(s)
	if isn := c.ISN; isn != nil {
		s.TCP.ISN = func(_ tcp.Time, flow wire.Flow) seq.Num {
			return seq.Num(isn(flow.LocalAddrPort(), flow.RemoteAddrPort()))
		}
	}
	if c.Seed != 0 {
		s.Secret, s.Seed = secretOf(c.Seed), c.Seed
		return h, nil
	}
	var seed [8]byte
	if _, err := crand.Read(s.Secret[:]); err != nil {
		return h, err
	}
	if _, err := crand.Read(seed[:]); err != nil {
		return h, err
	}
	s.Seed = binary.LittleEndian.Uint64(seed[:])
	return h, nil
}

// secretOf stretches a seed to a key.
func secretOf(seed uint64) (key [16]byte) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	for i := range 2 {
		binary.LittleEndian.PutUint64(key[8*i:], tcp.SipHash(&[16]byte{byte(i)}, b[:]))
	}
	return key
}
