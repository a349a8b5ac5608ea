package wire

// Headroom is how many octets a producer of packets leaves free before each, for the
// header of a link (a virtio_net_hdr has at most 12).
const Headroom = 16

// Checksum says what is known of the transport checksum of a packet.
type Checksum uint8

// The states of a checksum.
const (
	// ChecksumNone: the field holds the sum, which has not been verified.
	ChecksumNone Checksum = iota
	// ChecksumPartial: the field holds the folded sum of the pseudo-header alone, and
	// whoever carries the packet out of this process finishes it. Between two stacks
	// in one process nobody needs to.
	ChecksumPartial
	// ChecksumVerified: whoever delivered the packet has verified the sum.
	ChecksumVerified
)

// Packet is one IP packet in a buffer, as a link carries it. It may be a
// super-segment: a TCP packet with more text than the link's MTU, GSO saying how to cut
// it (and, on arrival, what it was merged from).
type Packet struct {
	Buf  []byte // headroom, then the packet to the end
	Head int    // where in Buf the IP header begins; a link may write to Buf[:Head]
	GSO  uint16 // octets of text in each segment to be cut; 0: not to be cut
	Sum  Checksum
}

// Bytes returns the packet without its headroom.
func (p *Packet) Bytes() []byte { return p.Buf[p.Head:] }
