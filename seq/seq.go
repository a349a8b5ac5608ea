// Package seq is the arithmetic of TCP sequence numbers, RFC 9293 section 3.4:
// "all arithmetic dealing with sequence numbers must be performed modulo 2^32".
//
// A comparison of two numbers means something only while they lie less than 2^31
// apart; TCP's windows, at most 2^30 (RFC 7323 section 2.3), keep them so.
package seq

import "strconv"

// Num is a sequence number: a point on a circle of 2^32.
type Num uint32

// Add returns a advanced by n octets.
func (a Num) Add(n uint32) Num { return a + Num(n) }

// Sub returns the distance from b forward to a, in octets.
func (a Num) Sub(b Num) uint32 { return uint32(a - b) }

// Less reports a < b, as RFC 9293 section 3.4 writes it.
func (a Num) Less(b Num) bool { return int32(a-b) < 0 }

// LessEq reports a =< b.
func (a Num) LessEq(b Num) bool { return int32(a-b) <= 0 }

// In reports first =< a < first+size: a lies in the window of size octets at first.
func (a Num) In(first Num, size uint32) bool { return uint32(a-first) < size }

// Max returns the later of a and b.
func Max(a, b Num) Num {
	if a.Less(b) {
		return b
	}
	return a
}

// Min returns the earlier of a and b.
func Min(a, b Num) Num {
	if b.Less(a) {
		return b
	}
	return a
}

// String prints a in decimal, as the RFC's figures do.
func (a Num) String() string { return strconv.FormatUint(uint64(a), 10) }
