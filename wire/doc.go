// Package wire is what travels: IPv4, IPv6, TCP, UDP, ICMP and ICMPv6 headers, their
// options and checksums.
//
// It has two levels. A view ([IPv4], [IPv6], [TCP], [UDP], [ICMP]) is a slice of bytes with
// named fields, and judges nothing. [Segment] is what the TCP machine reads and
// writes: it holds only what is legal. [ParseTCP] is the way from the one to the
// other; what does not pass is a [Fault], a small number with a clause and a sentence.
//
// Nothing here allocates on the path of a packet, and nothing keeps the bytes it is
// given: a Segment's Text is a view of the buffer it was parsed from.
package wire
