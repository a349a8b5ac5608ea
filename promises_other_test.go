//go:build !linux

package vitro_test

import "net"

// kernelListenOne is never called: what is compared is Linux's.
func kernelListenOne(address string) (net.Listener, error) { return net.Listen("tcp", address) }
