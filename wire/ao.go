package wire

// The TCP Authentication Option, RFC 5925 section 2.2: room for it in what leaves, and where
// it stands in what has come. Its MAC is package tcp's: a header is read before anybody knows
// whose key it is made with.

const (
	optMD5 = 19 // RFC 2385, not spoken: RFC 5925 obsoletes it
	optAO  = 29
)

// AOLen is the length of the TCP-AO that [PutSegment] writes, in octets: kind, length, KeyID,
// RNextKeyID, and room for a MAC of 96 bits, which both algorithms of RFC 5926 have.
const AOLen = AOHead + 12

// AOHead is what of a TCP-AO stands before its MAC, in octets.
const AOHead = 4

// nextOption returns where the next option that has a length stands in b, from octet at on:
// its first octet, and the one behind it. At the end of the list, and where a length is
// illegal, both are len(b).
func nextOption(b []byte, at int) (first, end int) {
	for at < len(b) && b[at] != optEnd {
		if b[at] == optNOP {
			at++
			continue
		}
		if at+1 == len(b) || b[at+1] < 2 || at+int(b[at+1]) > len(b) {
			break
		}
		return at, at + int(b[at+1])
	}
	return len(b), len(b)
}

// FindAO returns where the first TCP-AO of a segment stands, in octets from the beginning of
// its header, and how long it is; 0 and 0 when there is none. [ParseTCP] must have found no
// fault with the segment.
func FindAO(h TCP) (at, length int) {
	b := h.Options()
	for first, end := nextOption(b, 0); first < len(b); first, end = nextOption(b, end) {
		if b[first] == optAO {
			return TCPHeaderLen + first, end - first
		}
	}
	return 0, 0
}

// hasAO reports whether there is a TCP-AO in a list of options.
func hasAO(b []byte) bool {
	if len(b) == 12 && be.Uint32(b) == alignedTimestamps {
		return false
	}
	for first, end := nextOption(b, 0); first < len(b); first, end = nextOption(b, end) {
		if b[first] == optAO {
			return true
		}
	}
	return false
}

// checkAO finds fault with a list that has a TCP-AO and another, or TCP MD5: "When multiple
// TCP-AOs appear, TCP MUST discard the segment", and of TCP-AO and TCP MD5, "When both options
// appear, TCP MUST silently discard the segment."
func checkAO(b []byte) Fault {
	n := 0
	for first, end := nextOption(b, 0); first < len(b); first, end = nextOption(b, end) {
		if b[first] == optAO || b[first] == optMD5 {
			n++
		}
	}
	if n > 1 {
		return FaultTCPAO
	}
	return FaultNone
}
