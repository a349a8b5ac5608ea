//go:build ignore

package net

// This file becomes part of the toolchain's package net by vitro overlay: it is what the patched
// functions call when a netFD is none of the kernel's.

import (
	"context"
	"errors"
	"internal/poll"
	"internal/synctest"
	"io"
	loopback "net/internal"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"weak"
)

// vitroFD is a socket of the loopback network: a connection or a listener.
type vitroFD struct {
	net    *loopback.Net
	bubble bool
	conn   *loopback.Conn
	ln     *loopback.Listener
}

// errVitroNoFD is what those get who ask for a file descriptor.
var errVitroNoFD error = vitroNoFD{}

type vitroNoFD struct{}

func (vitroNoFD) Error() string        { return "a socket of vitro's loopback network has no file descriptor" }
func (vitroNoFD) Is(target error) bool { return target == errors.ErrUnsupported }

var errVitroForeign = errors.New("a socket of vitro's loopback network is used in another testing/synctest bubble than its own")

// vitroWorld has the networks of the process: one for real time, and one for each bubble, which
// lives as long as the bubble does.
var vitroWorld struct {
	mu      sync.Mutex
	world   *loopback.World
	real    *loopback.Net
	bubbles []weak.Pointer[loopback.Net]
}

// init makes what package net makes when it first looks up a name: channels for all goroutines,
// which would belong to a bubble if one were the first to look.
func init() {
	resolvConf.initOnce.Do(resolvConf.init)
	nssConfig.initOnce.Do(nssConfig.init)
	if acquireThread(context.Background()) == nil {
		releaseThread()
	}
}

// vitroForEver is longer than any program runs.
const vitroForEver = 200 * 365 * 24 * time.Hour

// vitroNet returns the network of whoever calls it.
func vitroNet() (*loopback.Net, error) {
	v := &vitroWorld
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.world == nil {
		v.world = loopback.NewWorld(os.Getenv)
	}
	if !synctest.IsInBubble() {
		if v.real == nil {
			n, err := v.world.Net("loopback", false)
			if err != nil {
				return nil, err
			}
			v.real = n
		}
		return v.real, nil
	}
	kept := v.bubbles[:0]
	var own *loopback.Net
	for _, p := range v.bubbles {
		n := p.Value()
		if n == nil {
			continue // its bubble has ended
		}
		kept = append(kept, p)
		if synctest.IsAssociated(n) {
			own = n
		}
	}
	v.bubbles = kept
	if own != nil {
		return own, nil
	}
	n, err := v.world.Net("bubble", true)
	if err != nil {
		return nil, err
	}
	synctest.Associate(n)
	// The bubble's timers hold it, and nothing beyond the bubble.
	time.AfterFunc(vitroForEver, func() { runtime.KeepAlive(n) })
	v.bubbles = append(v.bubbles, weak.Make(n))
	return n, nil
}

// here returns an error unless the caller is where the socket was made. A goroutine of a bubble
// must not wait for one outside, which could not wake it.
func (v *vitroFD) here() error {
	if v.bubble != synctest.IsInBubble() || v.bubble && !synctest.IsAssociated(v.net) {
		return errVitroForeign
	}
	return nil
}

// vitroSocket makes a socket, if it is for the loopback network.
func vitroSocket(ctx context.Context, network string, family, sotype int, v6only bool, laddr, raddr sockaddr, ctrl func(context.Context, string, string, syscall.RawConn) error) (fd *netFD, err error, mine bool) {
	local, isTCP := vitroAddr(family, laddr)
	if !isTCP || sotype != syscall.SOCK_STREAM || !loopback.Has(local.Addr()) {
		return nil, nil, false
	}
	remote, isTCP := vitroAddr(family, raddr)
	if !isTCP || !loopback.Has(remote.Addr()) || laddr == nil && raddr == nil {
		return nil, nil, false
	}
	n, err := vitroNet()
	if err != nil {
		return nil, err, true
	}
	fd = &netFD{family: family, sotype: sotype, net: network, vitro: &vitroFD{net: n, bubble: synctest.IsInBubble()}}
	if ctrl != nil {
		if err := fd.vitroControl(ctx, laddr, raddr, ctrl); err != nil {
			return nil, err, true
		}
	}
	if raddr == nil {
		ln, err := n.Listen(local, v6only)
		if err != nil {
			return nil, vitroError("bind", err), true
		}
		fd.vitro.ln = ln
		fd.vitroSetAddr(ln.Addr(), netip.AddrPort{})
		return fd, nil, true
	}
	c, err := n.Dial(ctx, local, remote)
	if err != nil {
		// What nobody here listens to may be a service of another process.
		if loopback.Refused(err) && !fd.vitro.bubble {
			return nil, nil, false
		}
		return nil, vitroDialError(err, local.IsValid()), true
	}
	fd.vitro.conn, fd.isConnected = c, true
	fd.vitroSetAddr(c.LocalAddr(), c.RemoteAddr())
	return fd, nil, true
}

// vitroAddr returns a TCP address as the kernel would be told it; the zero one for none.
func vitroAddr(family int, a sockaddr) (addr netip.AddrPort, ok bool) {
	t, ok := a.(*TCPAddr)
	if a == nil || ok && t == nil {
		return netip.AddrPort{}, true
	}
	if !ok {
		return netip.AddrPort{}, false
	}
	sa, err := t.sockaddr(family)
	if err != nil {
		return netip.AddrPort{}, false // the kernel's way gives the error
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

// vitroControl calls a function that sets options of a socket with one of the kernel's, which is
// closed then: most such functions only want a file descriptor.
func (fd *netFD) vitroControl(ctx context.Context, laddr, raddr sockaddr, ctrl func(context.Context, string, string, syscall.RawConn) error) error {
	s, err := sysSocket(fd.family, fd.sotype, 0)
	if err != nil {
		return err
	}
	scratch, err := newFD(s, fd.family, fd.sotype, fd.net)
	if err != nil {
		poll.CloseFunc(s)
		return err
	}
	defer scratch.Close()
	addr := raddr
	if addr == nil {
		addr = laddr
	}
	return ctrl(ctx, fd.ctrlNetwork(), addr.String(), newRawConn(scratch))
}

func (fd *netFD) vitroSetAddr(local, remote netip.AddrPort) {
	fd.laddr = fd.vitroTCPAddr(local)
	if remote.IsValid() {
		fd.raddr = fd.vitroTCPAddr(remote)
	}
	if !fd.vitro.bubble { // finalizers run outside
		runtime.SetFinalizer(fd, (*netFD).Close)
	}
}

// vitroTCPAddr is an address in the length that the kernel gives it for such a socket.
func (fd *netFD) vitroTCPAddr(a netip.AddrPort) *TCPAddr {
	if fd.family == syscall.AF_INET {
		ip := a.Addr().As4()
		return &TCPAddr{IP: ip[:], Port: int(a.Port())}
	}
	ip := a.Addr().As16()
	return &TCPAddr{IP: ip[:], Port: int(a.Port())}
}

func vitroError(call string, err error) error {
	if err == loopback.ErrClosed {
		return poll.ErrNetClosing
	}
	return wrapSyscallError(call, err)
}

func vitroDialError(err error, bound bool) error {
	switch err {
	case context.Canceled, context.DeadlineExceeded:
		return mapErr(err)
	case syscall.EADDRINUSE, syscall.EADDRNOTAVAIL:
		if bound {
			return os.NewSyscallError("bind", err)
		}
	}
	return vitroError("connect", err)
}

func (fd *netFD) vitroAccept() (*netFD, error) {
	if err := fd.vitro.here(); err != nil {
		return nil, err
	}
	if fd.vitro.ln == nil {
		return nil, os.NewSyscallError("accept", syscall.EINVAL)
	}
	c, err := fd.vitro.ln.Accept()
	if err != nil {
		return nil, vitroError("accept", err)
	}
	fd.vitro.net.Accepted()
	nfd := &netFD{family: fd.family, sotype: fd.sotype, net: fd.net, isConnected: true}
	nfd.vitro = &vitroFD{net: fd.vitro.net, bubble: fd.vitro.bubble, conn: c}
	nfd.vitroSetAddr(c.LocalAddr(), c.RemoteAddr())
	return nfd, nil
}

func (fd *netFD) vitroClose() error {
	if err := fd.vitro.here(); err != nil {
		return err
	}
	runtime.SetFinalizer(fd, nil)
	if fd.vitro.ln != nil {
		return vitroError("close", fd.vitro.ln.Close())
	}
	return vitroError("close", fd.vitro.conn.Close())
}

// vitroCall does something to a connection.
func (fd *netFD) vitroCall(call string, f func(*loopback.Conn) error) error {
	if err := fd.vitro.here(); err != nil {
		return err
	}
	if fd.vitro.conn == nil {
		return os.NewSyscallError(call, syscall.ENOTCONN)
	}
	err := vitroError(call, f(fd.vitro.conn))
	runtime.KeepAlive(fd)
	return err
}

func (fd *netFD) vitroRead(p []byte) (n int, err error) {
	err = fd.vitroCall(readSyscallName, func(c *loopback.Conn) (err error) {
		n, err = c.Read(p)
		return err
	})
	return n, err
}

func (fd *netFD) vitroWrite(p []byte) (n int, err error) {
	err = fd.vitroCall(writeSyscallName, func(c *loopback.Conn) (err error) {
		n, err = c.Write(p)
		return err
	})
	return n, err
}

func (fd *netFD) vitroWriteBuffers(v *Buffers) (n int64, err error) {
	err = fd.vitroCall("writev", func(c *loopback.Conn) (err error) {
		n, err = c.WriteBuffers(*v)
		return err
	})
	v.consume(n)
	return n, err
}

func (fd *netFD) vitroShutdown(how int) error {
	return fd.vitroCall("shutdown", func(c *loopback.Conn) error {
		if how == syscall.SHUT_RD {
			return c.CloseRead()
		}
		return c.CloseWrite()
	})
}

func (fd *netFD) vitroSetDeadline(t time.Time, read, write bool) error {
	if err := fd.vitro.here(); err != nil {
		return err
	}
	if fd.vitro.ln != nil {
		if !read {
			return nil
		}
		return vitroError("set", fd.vitro.ln.SetDeadline(t))
	}
	return fd.vitroSet(func(c *loopback.Conn) error {
		switch {
		case read && write:
			return c.SetDeadline(t)
		case read:
			return c.SetReadDeadline(t)
		}
		return c.SetWriteDeadline(t)
	})
}

func (fd *netFD) vitroSet(f func(*loopback.Conn) error) error { return fd.vitroCall("setsockopt", f) }

// vitroKeepAlive changes what a connection's keep-alive is.
func (fd *netFD) vitroKeepAlive(change func(*loopback.KeepAlive)) error {
	return fd.vitroSet(func(c *loopback.Conn) error {
		k := c.KeepAlive()
		change(&k)
		return c.SetKeepAlive(k)
	})
}

// vitroDuration is a keep-alive time as net's functions are told it: 0 is the default, less than
// that leaves it as it is, and the kernel counts seconds.
func vitroDuration(to *time.Duration, d, def time.Duration) {
	switch {
	case d == 0:
		*to = def
	case d > 0:
		*to = roundDurationUp(d, time.Second) * time.Second
	}
}

// vitroIs reports whether r or w, which net is about to splice, is a connection of ours.
func vitroIs(x any) bool {
	switch c := x.(type) {
	case *io.LimitedReader:
		return vitroIs(c.R)
	case *TCPConn:
		return c.ok() && c.fd.vitro != nil
	case tcpConnWithoutWriteTo:
		return c.ok() && c.fd.vitro != nil
	}
	return false
}

type (
	vitroConn      = loopback.Conn
	vitroKeepAlive = loopback.KeepAlive
)

// vitroCount is vitroDuration for a number.
func vitroCount(to *int, n, def int) {
	switch {
	case n == 0:
		*to = def
	case n > 0:
		*to = n
	}
}
