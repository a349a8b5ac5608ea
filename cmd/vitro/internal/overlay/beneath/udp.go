//go:build ignore

package net

// UDP sockets of the loopback network. One that is not connected may have a socket of the kernel's
// beside it, outside, for what is not on the network: it sends from there what it sends elsewhere, and
// gets what comes to there, as a host behind a NAT does.

import (
	"internal/poll"
	loopback "net/internal"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// vitroUDP is what a UDP socket has beside that of vitro's.
type vitroUDP struct {
	v6only bool
	mu     sync.Mutex
	kernel *netFD // nil: none yet. It is outside, and what SyscallConn's functions get
	bound  bool   // it has an address
	raw    bool   // it is read by a RawConn's functions, and pump leaves alone what comes to it
	read   chan struct{}
	writes time.Time // the deadline of Write
	closed bool
}

func (fd *netFD) vitroOpenUDP(local, remote netip.AddrPort, listen, v6only bool) (mine bool, err error) {
	v := fd.vitro
	v.out.v6only = v6only
	if listen {
		if v.udp, err = v.net.ListenUDP(local, v6only); err != nil {
			return true, vitroError("bind", err)
		}
		fd.vitroSetAddr(v.udp.LocalAddr(), netip.AddrPort{})
		fd.vitroControlled()
		return true, nil
	}
	// As with TCP, what nobody here listens to may be a service of another process: as the resolver of
	// a system is, on 127.0.0.53.
	if !v.bubble && !v.net.Hears(remote) {
		return false, nil
	}
	if v.udp, err = v.net.DialUDP(local, remote); err != nil {
		return true, vitroDialError(err, local.IsValid())
	}
	fd.isConnected = true
	fd.vitroSetAddr(v.udp.LocalAddr(), v.udp.RemoteAddr())
	fd.vitroControlled()
	return true, nil
}

// close is called before the socket is closed, so that nobody makes another of the kernel's. The
// kernel's own Close waits for pump, which takes the lock.
func (o *vitroUDP) close() {
	o.mu.Lock()
	o.closed = true
	k := o.kernel
	if o.read != nil {
		close(o.read)
		o.read = nil
	}
	o.mu.Unlock()
	if k != nil {
		_ = k.Close()
	}
}

// vitroKernel returns the socket of the kernel's, which is made if there is none.
func (fd *netFD) vitroKernel() (*netFD, error) {
	o := &fd.vitro.out
	o.mu.Lock()
	defer o.mu.Unlock()
	return fd.vitroKernelLocked()
}

func (fd *netFD) vitroKernelLocked() (*netFD, error) {
	o := &fd.vitro.out
	if o.closed {
		return nil, poll.ErrNetClosing
	}
	if o.kernel != nil {
		return o.kernel, nil
	}
	s, err := sysSocket(fd.family, fd.sotype, 0)
	if err != nil {
		return nil, err
	}
	if err := setDefaultSockopts(s, fd.family, fd.sotype, o.v6only); err != nil {
		poll.CloseFunc(s)
		return nil, err
	}
	k, err := newFD(s, fd.family, fd.sotype, fd.net)
	if err != nil {
		poll.CloseFunc(s)
		return nil, err
	}
	runtime.SetFinalizer(k, (*netFD).Close) // where a program of a bubble forgets to
	o.kernel = k
	return k, nil
}

// vitroBound is vitroKernel with an address: where the socket may talk with the outside its own, if
// that is free there.
func (fd *netFD) vitroBound() (*netFD, error) {
	v, o := fd.vitro, &fd.vitro.out
	o.mu.Lock()
	defer o.mu.Unlock()
	k, err := fd.vitroKernelLocked()
	if err != nil || o.bound {
		return k, err
	}
	outside := !v.bubble && !fd.isConnected
	at := v.udp.LocalAddr()
	err = syscall.EADDRINUSE
	if outside {
		err = vitroBind(k, at)
	}
	if err == syscall.EADDRINUSE || err == syscall.EACCES {
		err = vitroBind(k, netip.AddrPortFrom(at.Addr(), 0))
	}
	if err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	// From now on a socket that hands over what the network brings may have the same address.
	_ = syscall.SetsockoptInt(k.pfd.Sysfd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	o.bound = true
	if outside {
		if err := k.init(); err != nil {
			return nil, err
		}
		_ = k.SetWriteDeadline(o.writes)
		o.read = make(chan struct{}, 1)
		go v.pump(k, o.read)
	}
	return k, nil
}

func vitroBind(k *netFD, at netip.AddrPort) error {
	sa, err := ipToSockaddr(k.family, at.Addr().AsSlice(), int(at.Port()), "")
	if err != nil {
		return err
	}
	return syscall.Bind(k.pfd.Sysfd, sa)
}

// pump has what comes from outside read as what comes by the network. Once a RawConn's functions read,
// it leaves it to them, and wakes those who wait for the network.
func (v *vitroFD) pump(k *netFD, read chan struct{}) {
	b := make([]byte, 64<<10)
	for {
		var d loopback.Datagram // to no address: that is how it is known
		raw, failed := false, error(nil)
		err := k.pfd.RawRead(func(s uintptr) bool {
			v.out.mu.Lock()
			defer v.out.mu.Unlock()
			if raw = v.out.raw; raw {
				return vitroReadable(int(s), 0)
			}
			var sa syscall.Sockaddr
			if d.N, sa, failed = syscall.Recvfrom(int(s), b, 0); failed == nil {
				d.From = vitroSockaddr(sa)
			}
			return failed != syscall.EAGAIN
		})
		if err != nil {
			return
		}
		if failed == nil {
			v.udp.Deliver(d, b[:d.N])
		}
		if !raw {
			continue
		}
		if _, ok := <-read; !ok {
			return
		}
	}
}

// leave has pump leave what comes from outside to a RawConn's functions.
func (o *vitroUDP) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.raw = true
}

// hasRead tells pump that a RawConn's function has been called.
func (o *vitroUDP) hasRead() {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.read <- struct{}{}:
	default:
	}
}

func vitroSockaddr(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// vitroOutside returns the socket of the kernel's by which a datagram to an address goes, nil when it
// goes by the network: that of a bubble is all there is, in real time what nobody here hears is outside.
func (fd *netFD) vitroOutside(to netip.AddrPort) (*netFD, error) {
	v := fd.vitro
	if err := v.here(); err != nil {
		return nil, err
	}
	if v.bubble || fd.isConnected || !to.IsValid() || loopback.Has(to.Addr()) && v.net.Hears(to) {
		return nil, nil
	}
	return fd.vitroBound()
}

// vitroReceive takes the next datagram.
func (fd *netFD) vitroReceive(call string, p, oob []byte) (d loopback.Datagram, oobn int, err error) {
	if err := fd.vitro.here(); err != nil {
		return d, 0, err
	}
	if fd.vitro.out.isRaw() {
		d, oobn, err = fd.vitroReceiveRaw(p, oob)
	} else if d, err = fd.vitro.udp.ReadFrom(p); err == nil && len(oob) > 0 {
		oobn = fd.vitroPutOOB(oob, &d)
	}
	runtime.KeepAlive(fd)
	return d, oobn, vitroError(call, err)
}

func (o *vitroUDP) isRaw() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.raw
}

// vitroSend sends a datagram by the network.
func (fd *netFD) vitroSend(call string, p, oob []byte, to netip.AddrPort) (int, error) {
	via, size, err := fd.vitroParseOOB(oob, to)
	if size <= 0 {
		size = len(p)
	}
	for rest := p; err == nil; {
		n := min(size, len(rest))
		if fd.vitroTooLong(n, to) {
			err = syscall.EMSGSIZE
		} else {
			err = fd.vitro.net.Send(fd.vitro.udp, rest[:n], to, via)
		}
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	runtime.KeepAlive(fd)
	if err != nil {
		return 0, vitroError(call, err)
	}
	return len(p), nil
}

func vitroPut4(sa *syscall.SockaddrInet4, a netip.AddrPort) {
	sa.Addr, sa.Port = a.Addr().As4(), int(a.Port())
}

func vitroPut6(sa *syscall.SockaddrInet6, a netip.AddrPort) {
	sa.Addr, sa.Port, sa.ZoneId = a.Addr().As16(), int(a.Port()), 0
}

func (fd *netFD) vitroReadFrom4(p []byte, from *syscall.SockaddrInet4) (int, error) {
	d, _, err := fd.vitroReceive(readFromSyscallName, p, nil)
	if err == nil {
		vitroPut4(from, d.From)
	}
	return d.N, err
}

func (fd *netFD) vitroReadFrom6(p []byte, from *syscall.SockaddrInet6) (int, error) {
	d, _, err := fd.vitroReceive(readFromSyscallName, p, nil)
	if err == nil {
		vitroPut6(from, d.From)
	}
	return d.N, err
}

func vitroFlags(d *loopback.Datagram) int {
	if d.Len > d.N {
		return syscall.MSG_TRUNC
	}
	return 0
}

func (fd *netFD) vitroReadMsg4(p, oob []byte, sa *syscall.SockaddrInet4) (n, oobn, flags int, err error) {
	d, oobn, err := fd.vitroReceive(readMsgSyscallName, p, oob)
	if err == nil {
		vitroPut4(sa, d.From)
	}
	return d.N, oobn, vitroFlags(&d), err
}

func (fd *netFD) vitroReadMsg6(p, oob []byte, sa *syscall.SockaddrInet6) (n, oobn, flags int, err error) {
	d, oobn, err := fd.vitroReceive(readMsgSyscallName, p, oob)
	if err == nil {
		vitroPut6(sa, d.From)
	}
	return d.N, oobn, vitroFlags(&d), err
}

func (fd *netFD) vitroWriteTo4(p []byte, sa *syscall.SockaddrInet4) (int, error) {
	to := vitroSockaddr(sa)
	if k, err := fd.vitroOutside(to); k != nil || err != nil {
		if err != nil {
			return 0, err
		}
		return k.writeToInet4(p, sa)
	}
	return fd.vitroSend(writeToSyscallName, p, nil, to)
}

func (fd *netFD) vitroWriteTo6(p []byte, sa *syscall.SockaddrInet6) (int, error) {
	to := vitroSockaddr(sa)
	if k, err := fd.vitroOutside(to); k != nil || err != nil {
		if err != nil {
			return 0, err
		}
		return k.writeToInet6(p, sa)
	}
	return fd.vitroSend(writeToSyscallName, p, nil, to)
}

func (fd *netFD) vitroWriteMsg(p, oob []byte, sa syscall.Sockaddr) (n, oobn int, err error) {
	to := vitroSockaddr(sa)
	if k, err := fd.vitroOutside(to); k != nil || err != nil {
		if err != nil {
			return 0, 0, err
		}
		return k.writeMsg(p, oob, sa)
	}
	return fd.vitroSendMsg(p, oob, to)
}

// vitroWriteMsg4 is writeMsgInet4: sa is nil for the peer of a connected socket.
func (fd *netFD) vitroWriteMsg4(p, oob []byte, sa *syscall.SockaddrInet4) (n, oobn int, err error) {
	var to netip.AddrPort
	if sa != nil {
		to = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	}
	if k, err := fd.vitroOutside(to); k != nil || err != nil {
		if err != nil {
			return 0, 0, err
		}
		return k.writeMsgInet4(p, oob, sa)
	}
	return fd.vitroSendMsg(p, oob, to)
}

func (fd *netFD) vitroWriteMsg6(p, oob []byte, sa *syscall.SockaddrInet6) (n, oobn int, err error) {
	var to netip.AddrPort
	if sa != nil {
		to = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	if k, err := fd.vitroOutside(to); k != nil || err != nil {
		if err != nil {
			return 0, 0, err
		}
		return k.writeMsgInet6(p, oob, sa)
	}
	return fd.vitroSendMsg(p, oob, to)
}

func (fd *netFD) vitroSendMsg(p, oob []byte, to netip.AddrPort) (n, oobn int, err error) {
	if n, err = fd.vitroSend(writeMsgSyscallName, p, oob, to); err != nil {
		return 0, 0, err
	}
	return n, len(oob), nil
}

// vitroSetBuffer sets how much a socket holds of what comes, or of what is to be sent.
func (fd *netFD) vitroSetBuffer(read bool, octets int) error {
	if u := fd.vitro.udp; u != nil {
		if err := fd.vitro.here(); err != nil {
			return err
		}
		fd.vitroTellBuffer(read, octets)
		if read {
			return vitroError("setsockopt", u.SetReadBuffer(octets))
		}
		return vitroError("setsockopt", u.SetWriteBuffer(octets))
	}
	return fd.vitroSet(func(c *loopback.Conn) error {
		if read {
			return c.SetReceiveBuffer(octets)
		}
		return c.SetSendBuffer(octets)
	})
}

func (fd *netFD) vitroSetUDPDeadline(t time.Time, read, write bool) error {
	u := fd.vitro.udp
	if write {
		o := &fd.vitro.out
		o.mu.Lock()
		if o.writes = t; o.read != nil {
			_ = o.kernel.SetWriteDeadline(t)
		}
		o.mu.Unlock()
	}
	switch {
	case read && write:
		return vitroError("set", u.SetDeadline(t))
	case read:
		return vitroError("set", u.SetReadDeadline(t))
	}
	return vitroError("set", u.SetWriteDeadline(t))
}
