//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/internal/netns"
	"github.com/vitro-net/vitro/link/tun"
	"github.com/vitro-net/vitro/wire"
)

// kernelPeer is the Linux kernel with a congestion control: in memory over a loopback, across
// an emulator between two TUN devices in two network namespaces. Its buffers adjust themselves.
func kernelPeer(congestion string) peer {
	return peer{
		name:    "kernel " + congestion,
		memory:  func(j joint) (world, error) { return newLoopback(congestion, j) },
		network: func(e *emulator) (world, error) { return newTUNs(congestion, e) },
		beside:  congestion == "cubic",
	}
}

// kernelWorld is two sockets' namespaces; nil is the one of this process.
type kernelWorld struct {
	congestion string
	ns         [2]*netns.NS
	address    netip.Addr // where the listener is
	closers
}

// newLoopback returns the loopback of this process, which has an MTU of 65536, or for another
// MTU one in a namespace.
func newLoopback(congestion string, j joint) (world, error) {
	w := &kernelWorld{congestion: congestion, address: netip.MustParseAddr("127.0.0.1")}
	switch {
	case j.plain:
		return nil, errNotHad // it has no checksums to compute, and cuts nothing
	case j.mtu > 1500:
		return w, nil
	}
	ns, err := netns.New()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	w.add(func() { ns.Close() })
	w.ns = [2]*netns.NS{ns, ns}
	if _, err := ns.Output(exec.Command("ip", "link", "set", "lo", "mtu", strconv.Itoa(j.mtu))); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// newTUNs joins two namespaces by the emulator.
func newTUNs(congestion string, e *emulator) (world, error) {
	w := &kernelWorld{congestion: congestion, address: addrs[1].Addr()}
	w.add(e.close)
	for i := range w.ns {
		ns, err := netns.New()
		if err != nil {
			w.close()
			return nil, fmt.Errorf("%w: %w", errNotHere, err)
		}
		w.add(func() { ns.Close() })
		w.ns[i] = ns
		var dev *tun.Device
		err = ns.Do(func() (err error) {
			dev, err = tun.Open(tun.Config{Name: "bench0", MTU: 1500, Addrs: addrs[i : i+1], NoOffload: true})
			return err
		})
		if err != nil {
			w.close()
			return nil, fmt.Errorf("%w: %w", errNotHere, err)
		}
		w.add(func() { dev.Close() })
		var batch []wire.Packet // of the one goroutine that delivers
		e.attach(i, func(packets [][]byte) {
			batch = batch[:0]
			for _, p := range packets {
				batch = append(batch, wire.Packet{Buf: p})
			}
			_ = dev.Send(batch) // its one error, closed, ends the world
		})
		if err := dev.Attach(&fromKernel{e: e, side: i}); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// fromKernel hands to the emulator what comes from a TUN. Packets that were merged while they
// were read are cut again: the emulator is a wire.
type fromKernel struct {
	e    *emulator
	side int
	cut  wire.Splitter
	buf  [1500]byte
}

// Receive is called by the one goroutine that reads the TUN.
func (f *fromKernel) Receive(batch []wire.Packet) {
	for i := range batch {
		p := &batch[i]
		if p.GSO == 0 || f.cut.Start(p.Bytes(), p.GSO) != wire.FaultNone {
			f.e.send(f.side, p.Bytes())
			continue
		}
		for n := f.cut.Next(f.buf[:]); n > 0; n = f.cut.Next(f.buf[:]) {
			f.e.send(f.side, f.buf[:n])
		}
	}
}

// within runs do in the namespace of one side.
func (w *kernelWorld) within(side int, do func() error) error {
	if w.ns[side] == nil {
		return do()
	}
	return w.ns[side].Do(do)
}

// control sets the congestion control of a socket.
func (w *kernelWorld) control(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, w.congestion)
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("%w: congestion control %s: %w", errNotHere, w.congestion, err)
	}
	return nil
}

func (w *kernelWorld) listen() (l net.Listener, err error) {
	c := net.ListenConfig{Control: w.control}
	c.SetMultipathTCP(false) // which Go's listeners have by default, and which costs
	err = w.within(1, func() error {
		l, err = c.Listen(context.Background(), "tcp4", netip.AddrPortFrom(w.address, 0).String())
		return err
	})
	return l, err
}

func (w *kernelWorld) dial(l net.Listener) (c net.Conn, err error) {
	d := net.Dialer{Control: w.control}
	d.SetMultipathTCP(false)
	err = w.within(0, func() error {
		c, err = d.DialContext(context.Background(), "tcp4", l.Addr().String())
		return err
	})
	return c, err
}

// timeouts are those of the namespace, which has one connection.
func (w *kernelWorld) timeouts(net.Conn) uint64 {
	n := uint64(0)
	_ = w.within(0, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/netstat")
		n = netstat(string(text), "TcpExt:", "TCPTimeouts")
		return err
	})
	return n
}

// netstat finds a counter in the two lines, names and values, that begin with the prefix.
func netstat(text, prefix, name string) uint64 {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != prefix {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		if i := slices.Index(names, name); i > 0 && i < len(words) {
			n, _ := strconv.ParseUint(words[i], 10, 64)
			return n
		}
	}
	return 0
}

// slabs are the kernel's own stores of what a connection consists of.
var slabs = []string{
	"TCP", "tw_sock_TCP", "request_sock_TCP", "tcp_bind_bucket", "tcp_bind2_bucket", "sock_inode_cache",
	"filp", "dentry", "eventpoll_epi", "eventpoll_pwq", "ep_head", "lsm_file_cache", "lsm_inode_cache",
}

// memory counts the heap here, for there is a net.Conn for each, and the slabs there.
func (w *kernelWorld) memory() uint64 {
	sum := heap()
	f, err := os.Open("/proc/slabinfo")
	if err != nil {
		return sum
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) < 4 || !slices.Contains(slabs, words[0]) {
			continue
		}
		active, _ := strconv.ParseUint(words[1], 10, 64)
		size, _ := strconv.ParseUint(words[3], 10, 64)
		sum += active * size
	}
	return sum
}
