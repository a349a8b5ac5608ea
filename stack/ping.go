package stack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Echo requests that the stack sends, and what comes of them: RFC 792, RFC 1122 section 3.2.2.6,
// RFC 4443 section 4.

// maxPings bounds how many may wait for an answer at a time.
const maxPings = 4096

// pingData is how much data an echo request has, in octets. The first sixteen are secret, so that
// only who has seen the request can answer it.
const pingData = 56

// PingOptions are the settings of a Ping.
type PingOptions struct {
	HopLimit uint8 // 0: that of the Config
	// Watcher is told, by tcp.SignalReadable, that there is an answer.
	Watcher Watcher
}

// Ping is an echo request that waits for its answer.
type Ping struct {
	table   *pings
	key     pingKey
	seq     uint16
	data    [pingData]byte
	sent    tcp.Time
	watcher Watcher
	result  PingResult
	done    bool
}

// PingResult is what came back.
type PingResult struct {
	RTT time.Duration // of a reply
	// From is who has answered: by another than the host that was asked, it is an error.
	From netip.Addr
	// Soft is what an ICMP error has said; its Reason is NoSoftError for a reply.
	Soft tcp.SoftError
}

type pingKey struct {
	local, remote wire.Addr
	id            uint16
}

// pings are those that wait.
type pings struct {
	waiting map[pingKey]*Ping
	sent    uint64
}

// Ping sends an echo request. It waits for its answer until Close. Errors: ErrInvalidAddr,
// ErrMulticast, ErrNoRoute, ErrAddrNotAvailable, ErrLimit when 4096 wait.
func (s *Stack) Ping(now tcp.Time, remote netip.Addr, opts PingOptions) (*Ping, error) {
	to := wire.AddrFrom(remote)
	switch {
	case !remote.IsValid() || to.IsUnspecified():
		return nil, ErrInvalidAddr
	case s.isGroup(&to):
		return nil, ErrMulticast
	case len(s.pings.waiting) >= maxPings:
		return nil, ErrLimit
	}
	n, _ := s.lookup(&to)
	if n == nil {
		s.stats.NoRoute++
		return nil, ErrNoRoute
	}
	from, ok := s.source(n, &to)
	if !ok {
		return nil, ErrAddrNotAvailable
	}
	t := &s.pings
	if t.waiting == nil {
		t.waiting = make(map[pingKey]*Ping)
	}
	p := &Ping{table: t, key: pingKey{from, to, 0}, sent: now, watcher: opts.Watcher}
	for {
		p.key.id = uint16(s.random.Uint32())
		if t.waiting[p.key] == nil {
			break
		}
	}
	t.sent++
	p.seq = uint16(t.sent)
	for i := range 2 {
		var b [10]byte
		binary.BigEndian.PutUint64(b[:], t.sent)
		b[8], b[9] = 'p', byte(i)
		binary.BigEndian.PutUint64(p.data[8*i:], tcp.SipHash(&s.cfg.Secret, b[:]))
	}
	t.waiting[p.key] = p
	hops := opts.HopLimit
	if hops == 0 {
		hops = s.cfg.HopLimit
	}
	s.putICMPHops(n, &from, &to, 0, hops, &wire.ICMPMessage{Kind: wire.ICMPEchoRequest, ID: p.key.id, Seq: p.seq, Body: p.data[:]})
	return p, nil
}

// Result returns the answer; false: there is none yet.
func (p *Ping) Result() (PingResult, bool) { return p.result, p.done }

// Close ends the waiting.
func (p *Ping) Close() { delete(p.table.waiting, p.key) }

func (p *Ping) end(r PingResult) {
	p.Close()
	p.result, p.done = r, true
	if p.watcher != nil {
		p.watcher.Signal(tcp.SignalReadable)
	}
}

// reply takes in an echo reply. One that nobody waits for says nothing.
func (t *pings) reply(now tcp.Time, ip *wire.IP, m *wire.ICMPMessage) {
	p := t.waiting[pingKey{ip.Dst, ip.Src, m.ID}]
	if p == nil || m.Seq != p.seq || string(m.Body) != string(p.data[:]) {
		return
	}
	p.end(PingResult{RTT: now.Sub(p.sent), From: ip.Src.Netip()})
}

// failed takes in an ICMP error, and reports whether it is about an echo request that waits.
func (t *pings) failed(ip *wire.IP, m *wire.ICMPMessage, q *wire.Quote) bool {
	kind := uint8(8)
	if ip.V6 {
		kind = 128
	}
	h := wire.ICMP(q.Transport)
	if q.Proto != ip.Proto || len(h) < wire.ICMPHeaderLen || h.Type() != kind {
		return false
	}
	p := t.waiting[pingKey{q.Flow.Local, q.Flow.Remote, h.ID()}]
	if p == nil || h.EchoSeq() != p.seq || m.Kind == wire.ICMPPacketTooBig {
		return false // every path carries one
	}
	p.end(PingResult{From: ip.Src.Netip(), Soft: softError(ip.V6, m)})
	return true
}
