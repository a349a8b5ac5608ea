// Package trace is a life on record. Today it holds the writer of capture files: [Capture]
// writes pcapng, which Wireshark and tshark read, with a comment at each packet.
package trace
