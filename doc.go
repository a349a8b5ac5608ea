// Package vitro is a TCP/IP stack inside a program, with the API of package net.
//
//	s, err := vitro.New(vitro.Config{})
//	err = s.Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
//	c, err := s.Dial("tcp", "10.0.0.2:80")
//	l, err := s.Listen("tcp", ":80")
//
// A [Stack] is a host of its own: it has its addresses, its ports, its connections, and
// shares nothing with the operating system's network or with other Stacks. It reaches the
// world by links: a pair in memory (package link), a TUN of Linux (package link/tun), or
// any other [link.Link].
//
// [Conn] is a [net.Conn] and [Listener] a [net.Listener], so net/http, crypto/tls and
// whatever else takes those runs over them; Dial, DialContext and Listen have the types of
// package net's, and DialTCP and ListenTCP the same with this package's. Of net.TCPConn's
// methods File, MultipathTCP and SyscallConn are missing: there is no file descriptor, and
// who looks for one (a pool that wants to see whether a connection is alive) takes a refusal
// for a broken connection, and its absence for what it is. Errors are those of package net: *net.OpError
// around syscall.ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EADDRINUSE, EADDRNOTAVAIL,
// EHOSTUNREACH, ENETUNREACH, os.ErrDeadlineExceeded, context.Canceled,
// context.DeadlineExceeded, net.ErrClosed, or io.EOF itself.
// Beyond the kernel's: ENOBUFS when the Stack has ended a connection to stay within
// Limits.MaxBuffers, and from Dial at Limits.MaxConnections.
//
// [UDPConn] is a [net.PacketConn] with the methods of net.UDPConn but File and SyscallConn: [Stack.ListenPacket] and Dial with
// "udp". There is no multicast. [Stack.Ping] sends ICMP echo requests; those that come are answered.
//
// No goroutine belongs to a Stack: work is done by those who call it, by its timers and
// by its links. It runs unchanged in a testing/synctest bubble.
//
// TCP is that of RFC 9293, in package tcp; package stack holds many connections and package
// host makes calls wait. Host names are resolved by Config.Resolver.
package vitro
