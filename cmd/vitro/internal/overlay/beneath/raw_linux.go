//go:build ignore

package net

// SyscallConn of a socket of ours, on Linux. The file descriptors that a program's functions get are
// the kernel's, made when first asked for, and what passes by them is ours: Read's function finds in
// its one what vitro's connection has received, and what Write's function puts into its one, vitro's
// connection sends. Control's function gets a third, of a socket that is never connected: options of
// it that vitro knows are taken over, and what it tells of a connection is that there is none.

import (
	"context"
	"internal/poll"
	"io"
	loopback "net/internal"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// vitroRaw is what a socket has for SyscallConn.
type vitroRaw struct {
	mu     sync.Mutex
	users  int // of file descriptors
	closed bool

	control sync.Mutex // one Control at a time
	options int        // a socket of the kernel's that has the options, -1: none yet, or UDP's
	asked   bool       // Control has been called
	known   [12]int    // their values, in the order of vitroFD.options

	read  vitroPipe // what is received goes through near
	write vitroPipe // what is sent comes out of far
	ahead []byte    // received, and not yet in the pipe
	over  error     // what the connection has said when there was no more
	rest  []byte    // what a program has written and a deadline has kept from being sent
}

// vitroPipe is a pair of sockets. The program's functions get near.
type vitroPipe struct {
	mu        sync.Mutex
	made      bool
	near, far int
	left      int  // octets that wait in near
	ended     bool // after them it has its end
}

// vitroSlice is how many octets are put into a pipe at a time.
const vitroSlice = 64 << 10

// vitroSlices hold nothing but octets, so bubbles may share them.
var vitroSlices = sync.Pool{New: func() any { return new([vitroSlice]byte) }}

// vitroRawConn is what SyscallConn returns.
type vitroRawConn struct{ fd *netFD }

func (fd *netFD) vitroSyscallConn() (syscall.RawConn, error) {
	fd.vitro.rawOf()
	return vitroRawConn{fd}, nil
}

func (v *vitroFD) rawOf() *vitroRaw {
	if r := v.raw.Load(); r != nil {
		return r
	}
	r := &vitroRaw{options: -1}
	if v.raw.CompareAndSwap(nil, r) {
		runtime.SetFinalizer(r, (*vitroRaw).close) // where a program of a bubble forgets to
	}
	return v.raw.Load()
}

func (c vitroRawConn) error(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case op == "raw-control":
		return &OpError{Op: op, Net: c.fd.net, Addr: c.fd.laddr, Err: err}
	}
	return &OpError{Op: op, Net: c.fd.net, Source: c.fd.laddr, Addr: c.fd.raddr, Err: err}
}

func (c vitroRawConn) Control(f func(uintptr)) error {
	err := c.fd.vitro.here()
	if err == nil {
		err = vitroError("setsockopt", c.fd.vitro.rawOf().runControl(c.fd, f))
	}
	runtime.KeepAlive(c.fd)
	return c.error("raw-control", err)
}

func (c vitroRawConn) Read(f func(uintptr) bool) error {
	var err error
	if c.fd.vitro.udp != nil {
		if err = c.fd.vitro.here(); err == nil {
			err = vitroError("read", c.fd.vitro.rawOf().runReadUDP(c.fd, f))
		}
		runtime.KeepAlive(c.fd)
		return c.error("raw-read", err)
	}
	err = c.fd.vitroCall("read", func(v *loopback.Conn) error { return c.fd.vitro.rawOf().runRead(v, f) })
	return c.error("raw-read", err)
}

func (c vitroRawConn) Write(f func(uintptr) bool) error {
	if c.fd.vitro.udp != nil {
		return c.error("raw-write", errVitroNoWrite)
	}
	err := c.fd.vitroCall("write", func(v *loopback.Conn) error { return c.fd.vitro.rawOf().runWrite(v, f) })
	return c.error("raw-write", err)
}

// acquire keeps the file descriptors open until release.
func (r *vitroRaw) acquire() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return loopback.ErrClosed
	}
	r.users++
	return nil
}

func (r *vitroRaw) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	r.free()
}

// close is called as the socket is closed.
func (r *vitroRaw) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.free()
}

func (r *vitroRaw) free() {
	if !r.closed || r.users > 0 {
		return
	}
	for _, p := range []*vitroPipe{&r.read, &r.write} {
		if p.made {
			p.made = false
			poll.CloseFunc(p.near)
			poll.CloseFunc(p.far)
		}
	}
	if r.options >= 0 {
		poll.CloseFunc(r.options)
		r.options = -1
	}
}

// make makes the pair, if there is none yet.
func (p *vitroPipe) make() error {
	if p.made {
		return nil
	}
	s, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	p.near, p.far, p.made = s[0], s[1], true
	return nil
}

// count asks how much waits in near.
func (p *vitroPipe) count() {
	var n int32
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(p.near), syscall.TIOCINQ, uintptr(unsafe.Pointer(&n))); e == 0 {
		p.left = int(n)
	}
}

// runRead is Read of a RawConn: f is called, and when it says that there was not enough, again as
// soon as there is more.
func (r *vitroRaw) runRead(c *loopback.Conn, f func(uintptr) bool) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.release()
	for {
		done, err := r.offer(c, f)
		if done || err != nil {
			return err
		}
		var next [1]byte // of more there will be room when f is called
		n, err := c.Read(next[:])
		if err != nil && err != io.EOF {
			return err
		}
		r.read.mu.Lock()
		r.ahead = append(r.ahead, next[:n]...)
		ended := r.read.ended
		r.read.mu.Unlock()
		if ended {
			return io.EOF // f has seen it, and wants more
		}
	}
}

// offer calls f when near has what there is.
func (r *vitroRaw) offer(c *loopback.Conn, f func(uintptr) bool) (done bool, err error) {
	p := &r.read
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.make(); err != nil {
		return false, err
	}
	if err := r.fill(c); err != nil {
		return false, err
	}
	done = f(uintptr(p.near))
	p.count()
	return done, nil
}

// fill puts into the pipe what has been received. Errors: what ends the reading, but for the end of
// the stream, when nothing is left before it.
func (r *vitroRaw) fill(c *loopback.Conn) error {
	p := &r.read
	slice := vitroSlices.Get().(*[vitroSlice]byte)
	defer vitroSlices.Put(slice)
	n := copy(slice[:], r.ahead)
	if p.left+n < vitroSlice && r.over == nil {
		m, err := c.TryRead(slice[n : vitroSlice-p.left])
		n += m
		if _, ok := err.(syscall.Errno); ok && err != syscall.EAGAIN || err == io.EOF {
			r.over = err // it is told once
		} else if err != nil && !ok {
			return err
		}
	}
	if err := r.over; err != nil && err != io.EOF && p.left+n == 0 {
		r.over = io.EOF
		return err
	}
	if n > 0 {
		m, _ := syscall.Write(p.far, slice[:n]) // it has room for that, or takes the rest the next time
		m = max(m, 0)
		p.left += m
		r.ahead = append([]byte(nil), slice[m:n]...)
	}
	if r.over == io.EOF && len(r.ahead) == 0 && !p.ended {
		p.ended = true
		return os.NewSyscallError("shutdown", syscall.Shutdown(p.far, syscall.SHUT_WR))
	}
	return nil
}

// readLeft is Read of what a RawConn's function has left in the pipe, if there is any.
func (r *vitroRaw) readLeft(b []byte) (n int, some bool, err error) {
	if err := r.acquire(); err != nil {
		return 0, true, err
	}
	defer r.release()
	p := &r.read
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		n, err = syscall.Read(p.near, b)
		p.count()
		return max(n, 0), true, err
	}
	n = copy(b, r.ahead)
	r.ahead = r.ahead[n:]
	return n, n > 0, nil
}

// runWrite is Write of a RawConn: what f has written is queued before it returns. What a deadline
// keeps from that goes before all that is written later.
func (r *vitroRaw) runWrite(c *loopback.Conn, f func(uintptr) bool) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.release()
	p := &r.write
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.make(); err != nil {
		return err
	}
	for {
		if err := r.writeRest(c); err != nil {
			return err
		}
		done := f(uintptr(p.near))
		slice := vitroSlices.Get().(*[vitroSlice]byte)
		for {
			n, err := syscall.Read(p.far, slice[:])
			if err != nil || n <= 0 {
				break
			}
			r.rest = append(r.rest, slice[:n]...)
		}
		vitroSlices.Put(slice)
		if len(r.rest) == 0 && !done {
			time.Sleep(time.Millisecond) // it waits for something else
		}
		if done {
			_ = r.writeRest(c) // the next call says why not
			return nil
		}
	}
}

// writeRest sends what f has written. The lock of the pipe is held, so that nobody writes between.
func (r *vitroRaw) writeRest(c *loopback.Conn) error {
	n, err := c.Write(r.rest)
	r.rest = r.rest[n:]
	return err
}

// flush is writeRest for those who write otherwise.
func (r *vitroRaw) flush(c *loopback.Conn) error {
	r.write.mu.Lock()
	defer r.write.mu.Unlock()
	if len(r.rest) == 0 {
		return nil
	}
	return r.writeRest(c)
}

// vitroOption is one of a socket that vitro knows too: level, name, and how vitro sets it.
type vitroOption struct {
	level, name int
	set         func(fd *netFD, v int) error // nil: its value is looked up
}

var vitroTCPOptions = [...]vitroOption{
	{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetNoDelay(v != 0) })},
	{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, vitroAlive(func(k *loopback.KeepAlive, v int) { k.On = v != 0 })},
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, vitroAlive(func(k *loopback.KeepAlive, v int) { k.Idle = time.Duration(v) * time.Second })},
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, vitroAlive(func(k *loopback.KeepAlive, v int) { k.Interval = time.Duration(v) * time.Second })},
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, vitroAlive(func(k *loopback.KeepAlive, v int) { k.Count = v })},
	{syscall.IPPROTO_TCP, vitroUserTimeout, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetUserTimeout(time.Duration(v) * time.Millisecond) })},
	{syscall.IPPROTO_IP, syscall.IP_TOS, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetTrafficClass(uint8(v)) })},
	{syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetTrafficClass(uint8(v)) })},
	{syscall.IPPROTO_IP, syscall.IP_TTL, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetHopLimit(uint8(v)) })},
	{syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetHopLimit(uint8(v)) })},
	// The kernel tells twice what it was told.
	{syscall.SOL_SOCKET, syscall.SO_RCVBUF, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetReceiveBuffer(v / 2) })},
	{syscall.SOL_SOCKET, syscall.SO_SNDBUF, vitroTCP(func(c *loopback.Conn, v int) error { return c.SetSendBuffer(v / 2) })},
}

// vitroTCP sets an option of a connection; what a program sets of a listener has no effect.
func vitroTCP(set func(*loopback.Conn, int) error) func(*netFD, int) error {
	return func(fd *netFD, v int) error {
		if fd.vitro.conn == nil {
			return nil
		}
		return set(fd.vitro.conn, v)
	}
}

func (fd *netFD) vitroOptions() *[12]vitroOption {
	if fd.sotype == syscall.SOCK_DGRAM {
		return &vitroUDPOptions
	}
	return &vitroTCPOptions
}

// vitroUserTimeout is TCP_USER_TIMEOUT, which package syscall does not name everywhere.
const vitroUserTimeout = 18

func vitroAlive(change func(*loopback.KeepAlive, int)) func(*netFD, int) error {
	return vitroTCP(func(c *loopback.Conn, v int) error {
		k := c.KeepAlive()
		change(&k, v)
		return c.SetKeepAlive(k)
	})
}

// runControl is Control of a RawConn.
func (r *vitroRaw) runControl(fd *netFD, f func(uintptr)) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.release()
	r.control.Lock()
	defer r.control.Unlock()
	s, err := r.optionSocket(fd)
	if err != nil {
		return err
	}
	if fd.vitro.conn != nil {
		r.tell(s, fd.vitro.conn)
	}
	f(uintptr(s))
	if fd.vitro.conn == nil && fd.vitro.udp == nil {
		return nil // vitroControlled will do it
	}
	return r.takeOver(fd, s)
}

// optionSocket returns the socket of the kernel's that has the options.
func (r *vitroRaw) optionSocket(fd *netFD) (int, error) {
	if fd.sotype == syscall.SOCK_DGRAM {
		k, err := fd.vitroKernel()
		if err != nil {
			return -1, err
		}
		if !r.asked {
			r.get(fd, k.pfd.Sysfd, &r.known)
		}
		r.asked = true
		return k.pfd.Sysfd, nil
	}
	if r.options < 0 {
		s, err := sysSocket(fd.family, fd.sotype, 0)
		if err != nil {
			return -1, err
		}
		r.options = s
		r.get(fd, s, &r.known)
	}
	r.asked = true
	return r.options, nil
}

// tell gives the socket of the options those that the methods of a TCPConn set.
func (r *vitroRaw) tell(s int, c *loopback.Conn) {
	k := c.KeepAlive()
	or := func(n, def int) int {
		if n == 0 {
			return def
		}
		return n
	}
	for i, v := range [...]int{
		boolint(c.Status().NoDelay), boolint(k.On),
		or(int(k.Idle/time.Second), 2*60*60), or(int(k.Interval/time.Second), 75), or(k.Count, 9),
	} {
		o := &vitroTCPOptions[i]
		if syscall.SetsockoptInt(s, o.level, o.name, v) == nil {
			r.known[i] = v
		}
	}
}

// takeOver sets for a socket of ours what a program has set for the socket of the options.
func (r *vitroRaw) takeOver(fd *netFD, s int) (err error) {
	var now [12]int
	r.get(fd, s, &now)
	for i, v := range now {
		if v == r.known[i] {
			continue
		}
		r.known[i] = v
		if set := fd.vitroOptions()[i].set; set != nil {
			if e := set(fd, v); err == nil {
				err = e
			}
		}
	}
	return err
}

// get asks the kernel for the values; those that a socket of the family does not have stay 0.
func (r *vitroRaw) get(fd *netFD, s int, values *[12]int) {
	for i, o := range fd.vitroOptions() {
		values[i], _ = syscall.GetsockoptInt(s, o.level, o.name)
	}
}

// vitroControl calls the function of a Dialer or ListenConfig that sets options of a socket before
// it is used. Those that vitro knows a connection gets by vitroControlled.
func (fd *netFD) vitroControl(ctx context.Context, laddr, raddr sockaddr, ctrl func(context.Context, string, string, syscall.RawConn) error) error {
	addr := raddr
	if addr == nil {
		addr = laddr
	}
	c, err := fd.vitroSyscallConn()
	if err != nil {
		return err
	}
	return ctrl(ctx, fd.ctrlNetwork(), addr.String(), c)
}

// vitroControlled is called when there is a connection, or a socket of UDP.
func (fd *netFD) vitroControlled() {
	r := fd.vitro.raw.Load()
	if r == nil {
		return
	}
	r.control.Lock()
	defer r.control.Unlock()
	if !r.asked {
		return
	}
	if s, err := r.optionSocket(fd); err == nil {
		_ = r.takeOver(fd, s)
	}
}
