package wire

// Fault says why bytes are no legal packet. It is an error that costs nothing to make;
// zero is no fault. There are [NumFaults] of them, so that a stack can count each in an
// array.
type Fault uint8

// The faults.
const (
	FaultNone Fault = iota

	FaultIPShort           // fewer octets than the IP header has
	FaultIPVersion         // neither 4 nor 6
	FaultIPHeaderLength    // IHL below 5, or beyond the packet
	FaultIPTotalLength     // the total or payload length is more than arrived, or less than the header
	FaultIPChecksum        // IPv4 header checksum
	FaultIPMapped          // an IPv6 packet from or to an IPv4-mapped address
	FaultIPOption          // an IPv4 option's length is illegal
	FaultExtensionShort    // an IPv6 extension header reaches beyond the packet
	FaultExtensionCount    // more than MaxExtensions IPv6 extension headers
	FaultExtensionOrder    // hop-by-hop options not right behind the IPv6 header
	FaultIPv6Option        // the length of an option of an extension header is illegal
	FaultIPv6OptionUnknown // an unknown option that says "discard the packet"
	FaultRouting           // a routing header that has segments left

	FaultFragmentLength  // a fragment before the last is not a multiple of 8 octets, or is empty
	FaultFragmentBeyond  // the datagram would have more than 65,535 octets
	FaultFragmentTiny    // the first fragment does not hold all headers
	FaultFragmentOverlap // two fragments of a datagram overlap
	FaultFragmentECN     // one fragment says CE, another that it is not ECN-capable
	FaultFragmentTimeout // the datagram was not complete in time
	FaultFragmentBudget  // the datagram made room for a newer one

	FaultTCPShort        // fewer octets than the TCP header has
	FaultTCPDataOffset   // below 5, or beyond the segment
	FaultTCPChecksum     // the checksum does not fit
	FaultTCPOptionLength // an option's length is illegal
	FaultTCPAO           // two TCP-AOs, or one and TCP MD5

	FaultUDPShort      // fewer octets than the UDP header has
	FaultUDPLength     // the length is below 8, or beyond the packet
	FaultUDPChecksum   // the checksum does not fit
	FaultUDPNoChecksum // no checksum, over IPv6

	FaultICMPShort    // fewer octets than the ICMP header has
	FaultICMPChecksum // the checksum does not fit
	FaultQuote        // the packet quoted in an ICMP error does not hold what names its flow

	FaultSplit     // a super-segment that cannot be cut
	FaultTransport // the protocol or the fragment has no ports to read

	NumFaults = int(iota) // how many faults there are, FaultNone among them
)

var faults = [NumFaults]struct{ clause, sentence string }{
	FaultNone: {"none", "no fault"},

	FaultIPShort:           {"RFC 791 3.1, RFC 8200 3", "the packet is shorter than an IP header"},
	FaultIPVersion:         {"RFC 1122 3.2.1.1", "the IP version is neither 4 nor 6"},
	FaultIPHeaderLength:    {"RFC 791 3.1", "the IP header length is below 20 octets or beyond the packet"},
	FaultIPTotalLength:     {"RFC 791 3.1, RFC 8200 3", "the IP length field does not fit what arrived"},
	FaultIPChecksum:        {"RFC 1122 3.2.1.2", "the IPv4 header checksum is wrong"},
	FaultIPMapped:          {"RFC 4291 2.5.5.2", "an IPv4-mapped address stands in an IPv6 packet"},
	FaultIPOption:          {"RFC 791 3.1", "the length of an IPv4 option is illegal"},
	FaultExtensionShort:    {"RFC 8200 4", "an IPv6 extension header reaches beyond the packet"},
	FaultExtensionCount:    {"RFC 8504 5.3", "there are too many IPv6 extension headers"},
	FaultExtensionOrder:    {"RFC 8200 4", "hop-by-hop options do not stand right behind the IPv6 header"},
	FaultIPv6Option:        {"RFC 8200 4.2", "the length of an IPv6 option is illegal"},
	FaultIPv6OptionUnknown: {"RFC 8200 4.2", "an unknown IPv6 option says: discard the packet"},
	FaultRouting:           {"RFC 8200 4.4", "an unknown routing header has segments left"},

	FaultFragmentLength:  {"RFC 8200 4.5", "a fragment that is not the last is no multiple of 8 octets"},
	FaultFragmentBeyond:  {"RFC 8200 4.5", "a fragment reaches beyond 65,535 octets"},
	FaultFragmentTiny:    {"RFC 8200 4.5, RFC 1858 3", "the first fragment does not hold all headers"},
	FaultFragmentOverlap: {"RFC 5722 4", "fragments of one datagram overlap"},
	FaultFragmentECN:     {"RFC 3168 5.3", "a fragment says CE and another is not ECN-capable"},
	FaultFragmentTimeout: {"RFC 8200 4.5, RFC 1122 3.3.2", "fragments are missing after 60 seconds"},
	FaultFragmentBudget:  {"RFC 8504 5.1", "the budget for fragments is used up"},

	FaultTCPShort:        {"RFC 9293 3.1", "the segment is shorter than a TCP header"},
	FaultTCPDataOffset:   {"RFC 9293 3.1", "the data offset is below 5 words or beyond the segment"},
	FaultTCPChecksum:     {"RFC 9293 3.1 MUST-3", "the TCP checksum is wrong"},
	FaultTCPOptionLength: {"RFC 9293 3.1 MUST-7", "the length of a TCP option is illegal"},
	FaultTCPAO:           {"RFC 5925 2.2", "a segment has more than one TCP-AO, or TCP-AO and TCP MD5"},

	FaultUDPShort:      {"RFC 768", "the datagram is shorter than a UDP header"},
	FaultUDPLength:     {"RFC 768", "the UDP length is below 8 octets or beyond the packet"},
	FaultUDPChecksum:   {"RFC 1122 4.1.3.4", "the UDP checksum is wrong"},
	FaultUDPNoChecksum: {"RFC 8200 8.1", "a UDP packet over IPv6 has no checksum"},

	FaultICMPShort:    {"RFC 792, RFC 4443 2.1", "the message is shorter than an ICMP header"},
	FaultICMPChecksum: {"RFC 792, RFC 4443 2.3", "the ICMP checksum is wrong"},
	FaultQuote:        {"RFC 1122 3.2.2, RFC 4443 2.4", "the quoted packet does not name its flow"},

	FaultSplit:     {"RFC 9293 3.1", "the packet cannot be cut into segments"},
	FaultTransport: {"RFC 9293 3.1", "the packet has no ports to read"},
}

// Clause returns where it is written: "RFC 9293 3.1 MUST-7".
func (f Fault) Clause() string { return f.text().clause }

// Sentence returns what is wrong: "the length of a TCP option is illegal".
func (f Fault) Sentence() string { return f.text().sentence }

// String returns clause and sentence.
func (f Fault) String() string { return f.Clause() + ": " + f.Sentence() }

// Error returns what String does. Mind that a FaultNone in an error is not nil: use
// [Fault.Err].
func (f Fault) Error() string { return f.String() }

// Err returns f as an error, and nil for FaultNone. It does not allocate.
func (f Fault) Err() error {
	if f == FaultNone {
		return nil
	}
	return f
}

func (f Fault) text() struct{ clause, sentence string } {
	if int(f) >= NumFaults {
		return struct{ clause, sentence string }{"unknown", "no such fault"}
	}
	return faults[f]
}
