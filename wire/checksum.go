package wire

import (
	"encoding/binary"
	"math/bits"
)

// The checksum of IP, TCP, UDP and ICMP is "the 16-bit ones' complement of the ones'
// complement sum of all 16-bit words" (RFC 9293 section 3.1, RFC 791 section 3.1). A
// sum here is such a running sum, folded and not yet complemented; 0 and 0xffff are
// the same number, zero, and a sum over anything that is not all zeros is never 0.

// Sum adds the octets of b to the running sum and returns it. An odd last octet is
// padded "with zeros on its right", so only the last of several pieces may have an odd
// length; for others see [SwapSum].
func Sum(sum uint16, b []byte) uint16 {
	// The sum does not depend on the byte order it is computed in, but for a swap at
	// the end (RFC 1071 section 2B): loads are little-endian, which costs nothing on
	// the machines that matter, and eight octets are added at once, for 2^64-1 is a
	// multiple of 2^16-1.
	var acc, carry uint64
	for len(b) >= 64 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[32:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[40:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[48:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[56:]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	// What is left, at most seven octets. The last word is short: where its addition
	// carries, acc is no more than it, and the carry can be added without another.
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
		acc, carry = bits.Add64(acc, tail, carry)
		tail = 0
	}
	switch len(b) {
	case 3:
		tail = uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16
	case 2:
		tail = uint64(b[0]) | uint64(b[1])<<8
	case 1:
		tail = uint64(b[0])
	}
	acc, carry = bits.Add64(acc, tail, carry)
	return AddSum(sum, bits.ReverseBytes16(fold(acc+carry)))
}

// fold brings a sum of 64 bits down to 16.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

// AddSum returns the ones' complement sum of two running sums.
func AddSum(a, b uint16) uint16 {
	s, carry := bits.Add32(uint32(a)<<16, uint32(b)<<16, 0)
	return uint16(s>>16) + uint16(carry)
}

// SwapSum returns the running sum of octets whose first stands at an odd offset, given
// the sum of the same octets from an even one.
func SwapSum(sum uint16) uint16 { return bits.ReverseBytes16(sum) }

// PseudoSum returns the running sum of the pseudo-header: RFC 9293 section 3.1 figure
// 2 when src is an IPv4 address, else RFC 8200 section 8.1. Length is that of the
// transport header and its text, in octets.
func PseudoSum(src, dst *Addr, proto uint8, length int) uint16 {
	var s uint64
	if src.Is4() {
		s = uint64(binary.BigEndian.Uint32(src[12:])) + uint64(binary.BigEndian.Uint32(dst[12:]))
	} else {
		var carry uint64
		s, carry = bits.Add64(binary.BigEndian.Uint64(src[:]), binary.BigEndian.Uint64(src[8:]), 0)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(dst[:]), carry)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(dst[8:]), carry)
		s, carry = bits.Add64(s, 0, carry)
		s += carry
	}
	return fold(uint64(fold(s)) + uint64(proto) + uint64(uint32(length)))
}
