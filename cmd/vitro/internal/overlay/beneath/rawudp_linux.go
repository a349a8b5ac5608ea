//go:build ignore

package net

// SyscallConn of a UDP socket of ours, on Linux. Its file descriptor is that of the kernel's socket
// beside it. What the network brings is handed over there, when Read's function is to be called, by a
// socket that has the address it comes from: so that the function finds, with recvmsg and recvmmsg,
// who has sent it, to which address, and its ECN bits. To write by it is refused: what is written there the
// kernel would carry.

import (
	loopback "net/internal"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// errVitroNoWrite is what Write of a RawConn gives.
var errVitroNoWrite error = vitroNoWrite{}

type vitroNoWrite struct{ vitroNoFD }

func (vitroNoWrite) Error() string {
	return "a UDP socket of vitro's loopback network cannot be written by its file descriptor"
}

// vitroHand is a socket that hands datagrams over. While it is there it would get what comes to its
// address in place of whose address it is, so that it is there for no longer than that takes, and in the
// process no two are at once.
type vitroHand struct {
	fd       int // -1: there is none
	from, to netip.AddrPort
	tc       uint8
}

var vitroHanding sync.Mutex

// Some constants that package syscall does not name everywhere.
const (
	vitroUDPSegment   = 103
	vitroDiscover     = 2 // IP_PMTUDISC_DO
	vitroProbe        = 3 // IP_PMTUDISC_PROBE
	vitroLoopbackIf   = 1 // the interface lo has this number in every namespace
	vitroHandOverMost = 16
	vitroHandTimeout  = 100 * time.Millisecond
)

// The options of a UDP socket that are asked for by name.
const (
	vitroRecvTOS = iota
	vitroRecvTClass
	vitroPktInfo
	vitroPktInfo6
	vitroMTU
	vitroMTU6
)

var vitroUDPOptions = [...]vitroOption{
	vitroRecvTOS:    {level: syscall.IPPROTO_IP, name: syscall.IP_RECVTOS},
	vitroRecvTClass: {level: syscall.IPPROTO_IPV6, name: syscall.IPV6_RECVTCLASS},
	vitroPktInfo:    {level: syscall.IPPROTO_IP, name: syscall.IP_PKTINFO},
	vitroPktInfo6:   {level: syscall.IPPROTO_IPV6, name: syscall.IPV6_RECVPKTINFO},
	vitroMTU:        {level: syscall.IPPROTO_IP, name: syscall.IP_MTU_DISCOVER},
	vitroMTU6:       {level: syscall.IPPROTO_IPV6, name: syscall.IPV6_MTU_DISCOVER},
	6: {level: syscall.IPPROTO_IP, name: syscall.IP_TOS,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetTrafficClass(uint8(v)) }},
	7: {level: syscall.IPPROTO_IPV6, name: syscall.IPV6_TCLASS,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetTrafficClass(uint8(v)) }},
	8: {level: syscall.IPPROTO_IP, name: syscall.IP_TTL,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetHopLimit(uint8(v)) }},
	9: {level: syscall.IPPROTO_IPV6, name: syscall.IPV6_UNICAST_HOPS,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetHopLimit(uint8(v)) }},
	// The kernel tells twice what it was told.
	10: {level: syscall.SOL_SOCKET, name: syscall.SO_RCVBUF,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetReadBuffer(v / 2) }},
	11: {level: syscall.SOL_SOCKET, name: syscall.SO_SNDBUF,
		set: func(fd *netFD, v int) error { return fd.vitro.udp.SetWriteBuffer(v / 2) }},
}

// option returns what a program has set by Control, 0 where it has called none.
func (v *vitroFD) option(i int) int {
	r := v.raw.Load()
	if r == nil {
		return 0
	}
	r.control.Lock()
	defer r.control.Unlock()
	return r.known[i]
}

// vitroTellBuffer gives the kernel's socket a buffer that the methods of a UDPConn set.
func (fd *netFD) vitroTellBuffer(read bool, octets int) {
	name := syscall.SO_SNDBUF
	if read {
		name = syscall.SO_RCVBUF
	}
	o := &fd.vitro.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kernel != nil {
		_ = syscall.SetsockoptInt(o.kernel.pfd.Sysfd, syscall.SOL_SOCKET, name, octets)
	}
}

// vitroReadable waits for a time until there is a datagram, and reports whether there is.
func vitroReadable(s int, d time.Duration) bool {
	poll := struct {
		fd              int32
		events, revents int16
	}{fd: int32(s), events: 1} // POLLIN
	wait := syscall.NsecToTimespec(int64(d))
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&wait)), 0, 0, 0)
	return int(n) > 0
}

// runReadUDP is Read of a RawConn.
func (r *vitroRaw) runReadUDP(fd *netFD, f func(uintptr) bool) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.release()
	k, err := fd.vitroBound()
	if err != nil {
		return err
	}
	u := fd.vitro.udp
	fd.vitro.out.leave()
	b := vitroSlices.Get().(*[vitroSlice]byte)
	defer vitroSlices.Put(b)
	var first loopback.Datagram // what has been waited for
	for {
		done := false
		var failed error
		err := k.pfd.RawControl(func(s uintptr) {
			r.read.mu.Lock()
			defer r.read.mu.Unlock()
			if failed = vitroHandOver(u, int(s), first, b[:]); failed == nil {
				done = f(s)
			}
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		fd.vitro.out.hasRead()
		if done {
			return nil
		}
		if first, err = u.ReadFrom(b[:]); err != nil {
			return err
		}
	}
}

// vitroHandOver gives the kernel's socket a datagram that has been taken already, which is in b, if
// there is one, and then, unless there are more to be read there, some of what has come.
func vitroHandOver(u *loopback.UDP, s int, d loopback.Datagram, b []byte) error {
	h := vitroHand{fd: -1}
	vitroHanding.Lock()
	defer vitroHanding.Unlock()
	defer h.drop()
	if err := h.hand(s, &d, b); err != nil {
		return err
	}
	if vitroPumped(&d) && vitroReadable(s, 0) {
		return nil
	}
	for octets, n := 0, 0; octets < vitroSlice && n < vitroHandOverMost; n++ {
		d, err := u.TryReadFrom(b)
		if err == syscall.EAGAIN {
			return nil
		}
		if err == nil {
			err = h.hand(s, &d, b)
		}
		if err != nil {
			return err
		}
		octets += d.N
	}
	return nil
}

// hand gives the kernel's socket a datagram, and waits until it is there. Those to no address are pump's:
// one says only that something has come from outside; and what has come from there before the socket
// was first read by its file descriptor cannot be had that way, and is lost.
func (h *vitroHand) hand(s int, d *loopback.Datagram, b []byte) error {
	if vitroPumped(d) {
		return nil
	}
	if h.fd < 0 || h.from != d.From || h.to.Addr() != d.To || h.tc != d.TC {
		if err := h.be(s, d); err != nil {
			return err
		}
	}
	sa, err := ipToSockaddr(vitroFamily(h.to), h.to.Addr().AsSlice(), int(h.to.Port()), "")
	if err != nil {
		return err
	}
	_ = syscall.Sendto(h.fd, b[:d.N], 0, sa) // what the kernel has no room for is lost
	vitroReadable(s, vitroHandTimeout)
	return nil
}

func vitroPumped(d *loopback.Datagram) bool { return !d.To.IsValid() || d.To.IsUnspecified() }

func (h *vitroHand) drop() {
	if h.fd >= 0 {
		_ = syscall.Close(h.fd)
		h.fd = -1
	}
}

func vitroFamily(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

// be makes the socket that hands over such a datagram.
func (h *vitroHand) be(s int, d *loopback.Datagram) (err error) {
	h.drop()
	at, err := syscall.Getsockname(s)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	h.from, h.to, h.tc = d.From, netip.AddrPortFrom(d.To, vitroSockaddr(at).Port()), d.TC
	if h.fd, err = syscall.Socket(vitroFamily(h.from), syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := syscall.SetsockoptInt(h.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	level, name := syscall.IPPROTO_IP, syscall.IP_TOS
	if h.from.Addr().Is6() {
		level, name = syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
	}
	if err := syscall.SetsockoptInt(h.fd, level, name, int(h.tc)); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	sa, err := ipToSockaddr(vitroFamily(h.from), h.from.Addr().AsSlice(), int(h.from.Port()), "")
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", syscall.Bind(h.fd, sa))
}

// vitroReceiveRaw takes the next datagram where the functions of a RawConn do.
func (fd *netFD) vitroReceiveRaw(p, oob []byte) (d loopback.Datagram, oobn int, err error) {
	var n, flags int
	var sa syscall.Sockaddr
	var failed error
	err = fd.vitro.rawOf().runReadUDP(fd, func(s uintptr) bool {
		n, oobn, flags, sa, failed = syscall.Recvmsg(int(s), p, oob, syscall.MSG_DONTWAIT)
		return failed != syscall.EAGAIN
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return d, 0, err
	}
	d.From, d.N, d.Len = vitroSockaddr(sa), n, n
	if flags&syscall.MSG_TRUNC != 0 {
		d.Len++
	}
	return d, oobn, nil
}

// vitroTooLong reports whether a datagram is longer than a packet, and the program wants none cut.
func (fd *netFD) vitroTooLong(n int, to netip.AddrPort) bool {
	if !to.IsValid() {
		to = fd.vitro.udp.RemoteAddr()
	}
	option, headers := vitroMTU, 20+8
	if to.Addr().Is6() {
		option, headers = vitroMTU6, 40+8
	}
	if n+headers <= fd.vitro.net.MTU() {
		return false
	}
	v := fd.vitro.option(option)
	return v == vitroDiscover || v == vitroProbe
}

// vitroPutOOB writes what recvmsg tells beside the data, as far as the program has asked for it: of what
// comes from outside nothing.
func (fd *netFD) vitroPutOOB(oob []byte, d *loopback.Datagram) (n int) {
	if vitroPumped(d) {
		return 0
	}
	put := func(level, name int, data []byte) {
		space := syscall.CmsgSpace(len(data))
		if n+space > len(oob) {
			return
		}
		b := oob[n : n+space]
		clear(b)
		h := (*syscall.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = int32(level), int32(name)
		h.SetLen(syscall.CmsgLen(len(data)))
		copy(b[syscall.CmsgLen(0):], data)
		n += space
	}
	v := fd.vitro
	native := func(v uint32) []byte { return (*[4]byte)(unsafe.Pointer(&v))[:] }
	if d.From.Addr().Is4() {
		if v.option(vitroRecvTOS) != 0 {
			put(syscall.IPPROTO_IP, syscall.IP_TOS, []byte{d.TC})
		}
		if v.option(vitroPktInfo) != 0 {
			to := d.To.As4()
			put(syscall.IPPROTO_IP, syscall.IP_PKTINFO, append(append(native(vitroLoopbackIf), to[:]...), to[:]...))
			return n
		}
	} else if v.option(vitroRecvTClass) != 0 {
		put(syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, native(uint32(d.TC)))
	}
	if fd.family == syscall.AF_INET6 && v.option(vitroPktInfo6) != 0 {
		to := d.To.As16()
		put(syscall.IPPROTO_IPV6, syscall.IPV6_PKTINFO, append(to[:], native(vitroLoopbackIf)...))
	}
	return n
}

// vitroParseOOB reads what sendmsg is told beside the data: traffic class, source, and the size of
// the datagrams into which the data is to be cut (UDP_SEGMENT), 0 for one.
func (fd *netFD) vitroParseOOB(oob []byte, to netip.AddrPort) (via *loopback.Via, size int, err error) {
	if len(oob) == 0 {
		return nil, 0, nil
	}
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, 0, err
	}
	via = &loopback.Via{TC: fd.vitro.udp.TrafficClass()}
	for _, m := range messages {
		level, name, b := int(m.Header.Level), int(m.Header.Type), m.Data
		switch {
		case level == syscall.IPPROTO_IP && name == syscall.IP_TOS && len(b) == 1:
			via.TC = b[0]
		case level == syscall.IPPROTO_IP && name == syscall.IP_TOS && len(b) == 4,
			level == syscall.IPPROTO_IPV6 && name == syscall.IPV6_TCLASS && len(b) == 4:
			via.TC = uint8(*(*int32)(unsafe.Pointer(&b[0])))
		case level == syscall.IPPROTO_IP && name == syscall.IP_PKTINFO && len(b) == 12:
			via.Source = netip.AddrFrom4([4]byte(b[4:8]))
		case level == syscall.IPPROTO_IPV6 && name == syscall.IPV6_PKTINFO && len(b) == 20:
			via.Source = netip.AddrFrom16([16]byte(b[:16])).Unmap()
		case level == syscall.IPPROTO_UDP && name == vitroUDPSegment && len(b) == 2:
			size = int(*(*uint16)(unsafe.Pointer(&b[0])))
		default:
			return nil, 0, syscall.EINVAL
		}
	}
	return via, size, nil
}
