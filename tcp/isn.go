package tcp

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// RFC 9293 section 3.4.1 and RFC 6528: initial sequence numbers; RFC 7323 section 5.4:
// the offset of the timestamp clock.

// isnTick is the clock of section 3.4.1: it "typically increments at least once every
// roughly 4 microseconds".
const isnTick = 4 * time.Microsecond

// isn returns ISN = M + F(localip, localport, remoteip, remoteport, secretkey), F being
// SipHash-2-4, which RFC 6528 section 3 asks to be a keyed hash.
func (cfg *Config) isn(now Time, flow wire.Flow) seq.Num {
	if cfg.ISN != nil {
		return cfg.ISN(now, flow)
	}
	m := uint32(now / Time(isnTick))            // MUST-8
	f := uint32(cfg.flowHash(flow, purposeISN)) // SHLD-1, MUST-9
	return seq.Num(m + f)
}

// timestampOffset makes the timestamps of two connections incomparable (RFC 7323 section
// 5.4, "a random offset may be added"); it covers the ports, so it tells nothing about
// other connections.
func (cfg *Config) timestampOffset(flow wire.Flow) uint32 {
	return uint32(cfg.flowHash(flow, purposeTimestamp))
}

// A purpose keeps apart the uses of one secret.
const (
	purposeISN = iota
	purposeTimestamp
)

func (cfg *Config) flowHash(flow wire.Flow, purpose byte) uint64 {
	var b [37]byte
	copy(b[0:16], flow.Local[:])
	copy(b[16:32], flow.Remote[:])
	binary.BigEndian.PutUint16(b[32:], flow.LocalPort)
	binary.BigEndian.PutUint16(b[34:], flow.RemotePort)
	b[36] = purpose
	return SipHash(&cfg.Secret, b[:])
}

// SipHash returns SipHash-2-4 of p under key: a short-input PRF ("SipHash: a fast
// short-input PRF", 2012) that cannot be computed, nor its key found, from outside.
func SipHash(key *[16]byte, p []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[0:]), binary.LittleEndian.Uint64(key[8:])
	v0, v1 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d
	v2, v3 := k0^0x6c7967656e657261, k1^0x7465646279746573
	last := uint64(len(p)) << 56
	for ; len(p) >= 8; p = p[8:] {
		m := binary.LittleEndian.Uint64(p)
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
	}
	for i, b := range p {
		last |= uint64(b) << (8 * i)
	}
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (a, b, c, d uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}
