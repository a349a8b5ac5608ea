//go:build ignore

package net

// Elsewhere than on Linux a socket of ours has no SyscallConn, and what a Control function sets is
// lost.

import (
	"context"
	"internal/poll"
	loopback "net/internal"
	"net/netip"
	"syscall"
	"time"
)

// vitroRaw is never made.
type vitroRaw struct{}

func (*vitroRaw) close()                                        {}
func (*vitroRaw) flush(*loopback.Conn) error                    { return nil }
func (*vitroRaw) readLeft([]byte) (n int, some bool, err error) { return 0, false, nil }
func (fd *netFD) vitroSyscallConn() (syscall.RawConn, error)    { return nil, errVitroNoFD }
func (fd *netFD) vitroControlled()                              {}

func (fd *netFD) vitroTellBuffer(bool, int)                  {}
func (fd *netFD) vitroTooLong(int, netip.AddrPort) bool      { return false }
func (fd *netFD) vitroPutOOB([]byte, *loopback.Datagram) int { return 0 }
func vitroReadable(int, time.Duration) bool                  { return false }

func (fd *netFD) vitroParseOOB([]byte, netip.AddrPort) (*loopback.Via, int, error) {
	return nil, 0, nil
}

func (fd *netFD) vitroReceiveRaw([]byte, []byte) (loopback.Datagram, int, error) {
	return loopback.Datagram{}, 0, errVitroNoFD
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
