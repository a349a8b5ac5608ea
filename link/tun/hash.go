package tun

import (
	"encoding/binary"

	"github.com/vitro-net/vitro/wire"
)

// flowHash spreads packets over queues: all packets of one flow get one number. What has
// no ports, fragments among it, is spread by addresses alone.
func flowHash(b []byte) uint32 {
	var ports uint32
	h := uint32(2166136261)
	switch {
	case wire.Version(b) == 4 && len(b) >= wire.IPv4HeaderLen:
		ip := wire.IPv4(b)
		at := ip.HeaderLen()
		if hasPorts(ip.Protocol()) && !ip.MoreFragments() && ip.FragmentOffset() == 0 && at+4 <= len(b) {
			ports = binary.BigEndian.Uint32(b[at:])
		}
		h = mix(h, b[12:20])
	case wire.Version(b) == 6 && len(b) >= wire.IPv6HeaderLen:
		if hasPorts(b[6]) && wire.IPv6HeaderLen+4 <= len(b) {
			ports = binary.BigEndian.Uint32(b[wire.IPv6HeaderLen:])
		}
		h = mix(h, b[8:40])
	}
	h = (h ^ ports) * 0x85ebca6b
	h ^= h >> 15
	h *= 0xc2b2ae35
	return h ^ h>>16
}

func hasPorts(proto uint8) bool { return proto == wire.ProtoTCP || proto == wire.ProtoUDP }

// mix takes in b, a multiple of four octets.
func mix(h uint32, b []byte) uint32 {
	for ; len(b) >= 4; b = b[4:] {
		h = (h ^ binary.BigEndian.Uint32(b)) * 0x9e3779b1
		h ^= h >> 15
	}
	return h
}
