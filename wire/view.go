package wire

import (
	"encoding/binary"

	"github.com/vitro-net/vitro/seq"
)

// Sizes of headers without options, in octets, and the largest packet of either
// version (a jumbogram, RFC 2675, is not supported).
const (
	IPv4HeaderLen = 20
	IPv6HeaderLen = 40
	TCPHeaderLen  = 20
	UDPHeaderLen  = 8
	ICMPHeaderLen = 8
	MaxPacket     = 65535
)

// Protocol numbers.
const (
	ProtoHopByHop = 0
	ProtoICMP     = 1
	ProtoTCP      = 6
	ProtoUDP      = 17
	ProtoRouting  = 43
	ProtoFragment = 44
	ProtoICMPv6   = 58
	ProtoNone     = 59
	ProtoDestOpts = 60
)

var be = binary.BigEndian

// Version returns the IP version of a packet, 0 if there is no octet to hold one.
func Version(b []byte) uint8 {
	if len(b) == 0 {
		return 0
	}
	return b[0] >> 4
}

// IPv4 is a view of an IPv4 packet, RFC 791 section 3.1. It needs 20 octets, and
// judges nothing else.
type IPv4 []byte

func (h IPv4) Version() uint8       { return h[0] >> 4 }
func (h IPv4) HeaderLen() int       { return int(h[0]&0x0f) * 4 } // in octets
func (h IPv4) TC() uint8            { return h[1] }               // type of service: DSCP and ECN
func (h IPv4) TotalLen() uint16     { return be.Uint16(h[2:]) }   // in octets, header included
func (h IPv4) ID() uint16           { return be.Uint16(h[4:]) }
func (h IPv4) DontFragment() bool   { return h[6]&0x40 != 0 }
func (h IPv4) MoreFragments() bool  { return h[6]&0x20 != 0 }
func (h IPv4) FragmentOffset() int  { return int(be.Uint16(h[6:])&0x1fff) * 8 } // in octets
func (h IPv4) TTL() uint8           { return h[8] }
func (h IPv4) Protocol() uint8      { return h[9] }
func (h IPv4) Checksum() uint16     { return be.Uint16(h[10:]) }
func (h IPv4) Src() Addr            { return Addr4([4]byte(h[12:16])) }
func (h IPv4) Dst() Addr            { return Addr4([4]byte(h[16:20])) }
func (h IPv4) SetTC(v uint8)        { h[1] = v }
func (h IPv4) SetTotalLen(n uint16) { be.PutUint16(h[2:], n) }
func (h IPv4) SetID(v uint16)       { be.PutUint16(h[4:], v) }
func (h IPv4) SetTTL(v uint8)       { h[8] = v }
func (h IPv4) SetProtocol(v uint8)  { h[9] = v }
func (h IPv4) SetChecksum(v uint16) { be.PutUint16(h[10:], v) }
func (h IPv4) SetSrc(a Addr)        { copy(h[12:16], a[12:]) }
func (h IPv4) SetDst(a Addr)        { copy(h[16:20], a[12:]) }
func (h IPv4) SetHeaderLen(n int)   { h[0] = 4<<4 | uint8(n/4) } // sets the version too
func (h IPv4) Options() []byte      { return h[IPv4HeaderLen:h.HeaderLen()] }
func (h IPv4) Payload() []byte      { return h[h.HeaderLen():h.TotalLen()] }

// SetFragment sets the flags and the offset, which is in octets and a multiple of 8.
func (h IPv4) SetFragment(dontFragment, more bool, offset int) {
	v := uint16(offset / 8)
	if dontFragment {
		v |= 0x4000
	}
	if more {
		v |= 0x2000
	}
	be.PutUint16(h[6:], v)
}

// UpdateChecksum computes the header's checksum anew.
func (h IPv4) UpdateChecksum() {
	h.SetChecksum(0)
	h.SetChecksum(^Sum(0, h[:h.HeaderLen()]))
}

// IPv6 is a view of an IPv6 packet, RFC 8200 section 3. It needs 40 octets, and judges
// nothing else.
type IPv6 []byte

func (h IPv6) Version() uint8         { return h[0] >> 4 }
func (h IPv6) TC() uint8              { return h[0]<<4 | h[1]>>4 } // traffic class: DSCP and ECN
func (h IPv6) FlowLabel() uint32      { return be.Uint32(h) & 0xfffff }
func (h IPv6) PayloadLen() uint16     { return be.Uint16(h[4:]) } // in octets, extension headers included
func (h IPv6) NextHeader() uint8      { return h[6] }
func (h IPv6) HopLimit() uint8        { return h[7] }
func (h IPv6) Src() Addr              { return Addr(h[8:24]) }
func (h IPv6) Dst() Addr              { return Addr(h[24:40]) }
func (h IPv6) SetTC(v uint8)          { h[0], h[1] = 6<<4|v>>4, v<<4|h[1]&0x0f } // sets the version too
func (h IPv6) SetFlowLabel(v uint32)  { be.PutUint32(h, be.Uint32(h)&^0xfffff|v&0xfffff) }
func (h IPv6) SetPayloadLen(n uint16) { be.PutUint16(h[4:], n) }
func (h IPv6) SetNextHeader(v uint8)  { h[6] = v }
func (h IPv6) SetHopLimit(v uint8)    { h[7] = v }
func (h IPv6) SetSrc(a Addr)          { copy(h[8:24], a[:]) }
func (h IPv6) SetDst(a Addr)          { copy(h[24:40], a[:]) }

// TCP is a view of a TCP header and its text, RFC 9293 section 3.1. It needs 20 octets,
// and judges nothing else.
type TCP []byte

func (h TCP) SrcPort() uint16      { return be.Uint16(h) }
func (h TCP) DstPort() uint16      { return be.Uint16(h[2:]) }
func (h TCP) Seq() seq.Num         { return seq.Num(be.Uint32(h[4:])) }
func (h TCP) Ack() seq.Num         { return seq.Num(be.Uint32(h[8:])) }
func (h TCP) DataOffset() int      { return int(h[12]>>4) * 4 } // in octets
func (h TCP) Flags() Flags         { return Flags(be.Uint16(h[12:])) & flagBits }
func (h TCP) Wnd() uint16          { return be.Uint16(h[14:]) }
func (h TCP) Checksum() uint16     { return be.Uint16(h[16:]) }
func (h TCP) Up() uint16           { return be.Uint16(h[18:]) }
func (h TCP) SetSrcPort(v uint16)  { be.PutUint16(h, v) }
func (h TCP) SetDstPort(v uint16)  { be.PutUint16(h[2:], v) }
func (h TCP) SetSeq(v seq.Num)     { be.PutUint32(h[4:], uint32(v)) }
func (h TCP) SetAck(v seq.Num)     { be.PutUint32(h[8:], uint32(v)) }
func (h TCP) SetDataOffset(n int)  { h[12] = uint8(n/4) << 4 } // in octets; clears AE and the reserved bits
func (h TCP) SetFlags(v Flags)     { h[12], h[13] = h[12]&^1|uint8(v>>8)&1, uint8(v) }
func (h TCP) SetChecksum(v uint16) { be.PutUint16(h[16:], v) }
func (h TCP) SetUp(v uint16)       { be.PutUint16(h[18:], v) }
func (h TCP) Options() []byte      { return h[TCPHeaderLen:h.DataOffset()] }
func (h TCP) Text() []byte         { return h[h.DataOffset():] }

// UDP is a view of a UDP header and its data, RFC 768. It needs 8 octets, and judges
// nothing else.
type UDP []byte

func (h UDP) SrcPort() uint16  { return be.Uint16(h) }
func (h UDP) DstPort() uint16  { return be.Uint16(h[2:]) }
func (h UDP) Len() uint16      { return be.Uint16(h[4:]) }
func (h UDP) Checksum() uint16 { return be.Uint16(h[6:]) }

// ICMP is a view of a message of ICMP (RFC 792) or ICMPv6 (RFC 4443), whose first eight
// octets have the same layout. It needs 8 octets, and judges nothing else.
type ICMP []byte

func (h ICMP) Type() uint8          { return h[0] }
func (h ICMP) Code() uint8          { return h[1] }
func (h ICMP) Rest() uint32         { return be.Uint32(h[4:]) } // unused, MTU, pointer, or ID and number
func (h ICMP) ID() uint16           { return be.Uint16(h[4:]) } // of an echo
func (h ICMP) EchoSeq() uint16      { return be.Uint16(h[6:]) } // of an echo
func (h ICMP) Body() []byte         { return h[ICMPHeaderLen:] }
func (h ICMP) SetType(v uint8)      { h[0] = v }
func (h ICMP) SetCode(v uint8)      { h[1] = v }
func (h ICMP) SetChecksum(v uint16) { be.PutUint16(h[2:], v) }
func (h ICMP) SetRest(v uint32)     { be.PutUint32(h[4:], v) }
