package tun

import "github.com/vitro-net/vitro/wire"

// arenaAlign is where the packets of a batch begin in their buffer, in octets.
const arenaAlign = 8

// merge joins runs of consecutive TCP packets of one connection to super-segments, in
// place, and returns the shorter batch: receive coalescing, for where the kernel hands out
// single segments. The packets of a batch lie one behind the other in one buffer, so that
// a packet's text moves down over the headers between; a run is broken by any packet that
// [wire.Merge] cannot join, and then the next packet may begin one.
func merge(batch []wire.Packet) []wire.Packet {
	if len(batch) < 2 {
		return batch
	}
	out := batch[:1]
	for i := 1; i < len(batch); i++ {
		held, next := &out[len(out)-1], batch[i]
		if next.GSO == 0 && verified(held) && verified(&next) {
			b, gso, ok := wire.Merge(held.Buf[held.Head:], held.GSO, next.Bytes())
			if ok {
				held.Buf = held.Buf[:held.Head+len(b)]
				held.GSO, held.Sum = gso, wire.ChecksumPartial
				continue
			}
		}
		out = append(out, next)
	}
	return out
}

// verified reports whether p is a TCP packet whose checksum is known to be right, and
// computes it where it is not known yet; a sum found right is noted, so that nobody
// computes it twice.
func verified(p *wire.Packet) bool {
	if p.Sum != wire.ChecksumNone {
		return true
	}
	var ip wire.IP
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP || ip.Fragment {
		return false
	}
	if wire.VerifyTCP(&ip, p.Sum) != wire.FaultNone {
		return false
	}
	p.Sum = wire.ChecksumVerified
	return true
}
