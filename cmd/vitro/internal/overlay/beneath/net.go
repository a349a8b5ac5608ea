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
	"sync/atomic"
	"syscall"
	"time"
	"weak"
)

// vitroFD is a socket of the loopback network: a connection, a listener, or one of UDP.
type vitroFD struct {
	net    *loopback.Net
	bubble bool
	conn   *loopback.Conn
	ln     *loopback.Listener
	udp    *loopback.UDP
	out    vitroUDP                 // of udp
	raw    atomic.Pointer[vitroRaw] // of SyscallConn, nil: nobody has asked
}

// vitroNew is the socket, of nothing yet.
func vitroNew(network string, family, sotype int, n *loopback.Net, bubble bool) *netFD {
	fd := &netFD{family: family, sotype: sotype, net: network, vitro: &vitroFD{net: n, bubble: bubble}}
	fd.pfd.Sysfd = -1 // for those who get at it by reflection
	return fd
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
	local, ok := vitroAddr(family, sotype, laddr)
	if !ok || !loopback.Has(local.Addr()) {
		return nil, nil, false
	}
	remote, ok := vitroAddr(family, sotype, raddr)
	if !ok || !loopback.Has(remote.Addr()) || laddr == nil && raddr == nil {
		return nil, nil, false
	}
	n, err := vitroNet()
	if err != nil {
		return nil, err, true
	}
	fd = vitroNew(network, family, sotype, n, synctest.IsInBubble())
	if ctrl != nil {
		err = fd.vitroControl(ctx, laddr, raddr, ctrl)
	}
	mine = true
	if err == nil && sotype == syscall.SOCK_DGRAM {
		mine, err = fd.vitroOpenUDP(local, remote, raddr == nil, v6only)
	} else if err == nil {
		mine, err = fd.vitroOpen(ctx, local, remote, raddr == nil, v6only)
	}
	if err != nil || !mine {
		fd.vitro.closeRaw()
		fd.vitro.out.close()
		return nil, err, mine
	}
	return fd, nil, true
}

// vitroOpen listens or connects. It reports whether that is vitro's business.
func (fd *netFD) vitroOpen(ctx context.Context, local, remote netip.AddrPort, listen, v6only bool) (mine bool, err error) {
	n := fd.vitro.net
	if listen {
		ln, err := n.Listen(local, v6only)
		if err != nil {
			return true, vitroError("bind", err)
		}
		fd.vitro.ln = ln
		fd.vitroSetAddr(ln.Addr(), netip.AddrPort{})
		return true, nil
	}
	c, err := n.Dial(ctx, local, remote)
	if err != nil {
		// What nobody here listens to may be a service of another process.
		if loopback.Refused(err) && !fd.vitro.bubble {
			return false, nil
		}
		return true, vitroDialError(err, local.IsValid())
	}
	fd.vitro.conn, fd.isConnected = c, true
	fd.vitroSetAddr(c.LocalAddr(), c.RemoteAddr())
	fd.vitroControlled()
	return true, nil
}

// vitroAddr returns an address of TCP or UDP as the kernel would be told it; the zero one for none.
func vitroAddr(family, sotype int, a sockaddr) (addr netip.AddrPort, ok bool) {
	switch t := a.(type) {
	case nil:
		return addr, sotype == syscall.SOCK_STREAM || sotype == syscall.SOCK_DGRAM
	case *TCPAddr:
		if t == nil {
			return addr, true
		}
	case *UDPAddr:
		if t == nil {
			return addr, true
		}
	default:
		return addr, false
	}
	sa, err := a.sockaddr(family)
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

func (fd *netFD) vitroSetAddr(local, remote netip.AddrPort) {
	fd.laddr = fd.vitroAddrOf(local)
	if remote.IsValid() {
		fd.raddr = fd.vitroAddrOf(remote)
	}
	if !fd.vitro.bubble { // finalizers run outside
		runtime.SetFinalizer(fd, (*netFD).Close)
	}
}

// vitroAddrOf is an address in the length that the kernel gives it for such a socket.
func (fd *netFD) vitroAddrOf(a netip.AddrPort) Addr {
	var ip IP
	if fd.family == syscall.AF_INET {
		four := a.Addr().As4()
		ip = four[:]
	} else {
		sixteen := a.Addr().As16()
		ip = sixteen[:]
	}
	if fd.sotype == syscall.SOCK_DGRAM {
		return &UDPAddr{IP: ip, Port: int(a.Port())}
	}
	return &TCPAddr{IP: ip, Port: int(a.Port())}
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
	nfd := vitroNew(fd.net, fd.family, fd.sotype, fd.vitro.net, fd.vitro.bubble)
	nfd.vitro.conn, nfd.isConnected = c, true
	nfd.vitroSetAddr(c.LocalAddr(), c.RemoteAddr())
	return nfd, nil
}

func (fd *netFD) vitroClose() error {
	if err := fd.vitro.here(); err != nil {
		return err
	}
	runtime.SetFinalizer(fd, nil)
	fd.vitro.closeRaw()
	if u := fd.vitro.udp; u != nil {
		fd.vitro.out.close()
		err := u.Close()
		fd.vitro.net.UDPClosed()
		return vitroError("close", err)
	}
	if fd.vitro.ln != nil {
		return vitroError("close", fd.vitro.ln.Close())
	}
	return vitroError("close", fd.vitro.conn.Close())
}

// flush sends what a RawConn's function has written and is not yet sent.
func (v *vitroFD) flush(c *loopback.Conn) error {
	if r := v.raw.Load(); r != nil {
		return r.flush(c)
	}
	return nil
}

func (v *vitroFD) closeRaw() {
	if r := v.raw.Load(); r != nil {
		r.close()
	}
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
	if fd.vitro.udp != nil {
		if len(p) == 0 {
			return 0, fd.vitro.here() // as package net has it
		}
		d, _, err := fd.vitroReceive(readSyscallName, p, nil)
		return d.N, err
	}
	err = fd.vitroCall(readSyscallName, func(c *loopback.Conn) (err error) {
		if r := fd.vitro.raw.Load(); r != nil {
			var some bool
			if n, some, err = r.readLeft(p); some {
				return err
			}
		}
		n, err = c.Read(p)
		return err
	})
	return n, err
}

func (fd *netFD) vitroWrite(p []byte) (n int, err error) {
	if fd.vitro.udp != nil {
		if err := fd.vitro.here(); err != nil {
			return 0, err
		}
		return fd.vitroSend(writeSyscallName, p, nil, netip.AddrPort{})
	}
	err = fd.vitroCall(writeSyscallName, func(c *loopback.Conn) (err error) {
		if err := fd.vitro.flush(c); err != nil {
			return err
		}
		n, err = c.Write(p)
		return err
	})
	return n, err
}

func (fd *netFD) vitroWriteBuffers(v *Buffers) (n int64, err error) {
	err = fd.vitroCall("writev", func(c *loopback.Conn) (err error) {
		if err := fd.vitro.flush(c); err != nil {
			return err
		}
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
		if err := fd.vitro.flush(c); err != nil {
			return err
		}
		return c.CloseWrite()
	})
}

func (fd *netFD) vitroSetDeadline(t time.Time, read, write bool) error {
	if err := fd.vitro.here(); err != nil {
		return err
	}
	if fd.vitro.udp != nil {
		return fd.vitroSetUDPDeadline(t, read, write)
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
