package link

import (
	"encoding/binary"

	"github.com/vitro-net/vitro/wire"
)

// finish finishes the transport checksum of a packet marked wire.ChecksumPartial, TCP, UDP
// or ICMPv6, and reports whether it could.
func finish(b []byte) bool {
	var ip wire.IP
	if wire.ParseIP(b, &ip) != wire.FaultNone || ip.Fragment {
		return false
	}
	at := 0
	switch ip.Proto {
	case wire.ProtoTCP:
		at = 16
	case wire.ProtoUDP:
		at = 6
	case wire.ProtoICMPv6:
		at = 2
	default:
		return false
	}
	if at+2 > len(ip.Payload) {
		return false
	}
	// The field holds the pseudo-header's sum, so that the sum of all is the whole.
	sum := ^wire.Sum(0, ip.Payload)
	if sum == 0 && ip.Proto == wire.ProtoUDP {
		sum = 0xffff // RFC 768: zero says that there is no sum
	}
	binary.BigEndian.PutUint16(ip.Payload[at:], sum)
	return true
}
