//go:build !linux

package tun

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

var errOS = fmt.Errorf("tun: %w on %s: a TUN is opened on Linux only", errors.ErrUnsupported, runtime.GOOS)

// Device is an open TUN. There is none on this system.
type Device struct{}

var _ link.Link = (*Device)(nil)

// Open gives an error that wraps errors.ErrUnsupported.
func Open(Config) (*Device, error) { return nil, errOS }

// FromFD gives an error that wraps errors.ErrUnsupported.
func FromFD(fd, mtu int) (*Device, error) { return nil, errOS }

// Name returns "".
func (*Device) Name() string { return "" }

// MTU returns 0.
func (*Device) MTU() int { return 0 }

// Offload returns none.
func (*Device) Offload() link.Offload { return link.Offload{} }

// Stats returns zeros.
func (*Device) Stats() Stats { return Stats{} }

// Attach gives an error that wraps errors.ErrUnsupported.
func (*Device) Attach(link.Receiver) error { return errOS }

// Send gives link.ErrClosed.
func (*Device) Send([]wire.Packet) error { return link.ErrClosed }

// Err returns link.ErrClosed.
func (*Device) Err() error { return link.ErrClosed }

// Close does nothing.
func (*Device) Close() error { return nil }
