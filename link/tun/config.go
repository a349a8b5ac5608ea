// Package tun is a link to the kernel of this machine: a TUN, a network interface whose
// other end is this program. What the kernel routes to the interface arrives here, and
// what is sent here the kernel takes in as if a cable had brought it.
//
// With the virtio-net header (IFF_VNET_HDR) both directions carry super-segments of up
// to 64 KiB and unfinished checksums, so that one system call moves up to 64 KiB; where
// the kernel refuses that, packets are plain. Linux only; elsewhere Open and FromFD give
// an error that wraps errors.ErrUnsupported.
package tun

import "net/netip"

// Config says which TUN to open and how the kernel's side of it is set up. The zero value
// makes a new TUN with a name, an MTU and no addresses, as the kernel chooses.
//
// What the interface already has is left alone, so that a persistent TUN made and set up
// by root can be opened by its owner without any privilege.
type Config struct {
	// Name of the interface, at most 15 octets. Where one of that name exists it is
	// opened, else it is made and goes away with Close. A name with %d in it lets the
	// kernel choose the number; "" means tun%d.
	Name string

	// MTU in octets, 68 to 65535. 0: as it is (1500 on a new TUN). IPv6 needs 1280 (RFC
	// 8200 section 5).
	MTU int

	// Addrs are the addresses of the kernel's end, each with its prefix length; the
	// kernel routes the prefixes to the TUN. They are not the addresses of the stack at
	// this end, which lie within those prefixes. IPv6 addresses can be used at once: there
	// is no duplicate address detection on a link with one neighbour.
	Addrs []netip.Prefix

	// Routes are further prefixes which the kernel is to route to the TUN.
	Routes []netip.Prefix

	// Queues is the number of queues, each with a goroutine that reads it; the packets of
	// one flow keep to one queue. 0 and 1: one. The kernel allows 256.
	Queues int

	// NoOffload: plain packets only, no virtio-net header.
	NoOffload bool
}

// Stats counts what a device has done. Packets are as they pass the device: a
// super-segment counts once.
type Stats struct {
	Received        uint64 // read from the kernel
	ReceivedOctets  uint64 // the same without virtio-net headers
	ReceivedInvalid uint64 // read, and dropped for a virtio-net header that does not fit the packet
	Merged          uint64 // read, and appended to the packet before
	Sent            uint64 // taken by the kernel
	SentOctets      uint64 // the same without virtio-net headers
	SentDropped     uint64 // not taken: queue full, interface down, or beyond what Offload and MTU offer
}
