package vitro_test

import (
	"net"
	"syscall"
)

// kernelListenOne listens with a backlog of its own: one connection may wait for Accept where Linux is
// told 0.
func kernelListenOne(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		err2 := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) })
		if err == nil {
			err = err2
		}
	}
	return l, err
}
