package tun

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

const devicePath = "/dev/net/tun"

// Open opens or makes the TUN that c describes, sets up the kernel's side of it and brings
// it up. It acts in the network namespace of the calling thread; the Device can be used
// from any thread afterwards.
//
// Making an interface and setting it up needs the capability CAP_NET_ADMIN; opening a
// persistent one that belongs to the user and is set up needs none. Errors say what
// failed and the next step, and wrap the system's (errors.Is(err, fs.ErrPermission)).
func Open(c Config) (*Device, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	fds, name, vnet, err := openQueues(c)
	if err != nil {
		return nil, err
	}
	mtu, err := setUp(name, c)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	return newDevice(fds, name, mtu, vnet)
}

// FromFD makes a Device of an open file: a TUN that another program has opened and set up
// (and passed on, as Android's VpnService does), with or without virtio-net header, or a
// socket that keeps the bounds of packets (SOCK_SEQPACKET, SOCK_DGRAM) and carries plain IP
// packets. A TUN must have been opened with IFF_NO_PI; the kernel does not tell (TUNGETIFF
// sets that bit as IFF_NOFILTER too), so that the first packet without it ends the Device,
// and Err says so.
//
// MTU is in octets; 0 means that of the interface as the calling thread's network
// namespace knows it, and link.DefaultMTU where it does not.
//
// The Device owns the file from then on, and has made it non-blocking. After an error the
// file is still the caller's.
func FromFD(fd, mtu int) (*Device, error) {
	if mtu != 0 && (mtu < link.MinMTU || mtu > link.MaxMTU) {
		return nil, fmt.Errorf("tun: MTU %d is not in %d..%d", mtu, link.MinMTU, link.MaxMTU)
	}
	name, vnet, err := describeFD(fd)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("tun: file descriptor %d: %w", fd, err)
	}
	if mtu == 0 {
		if _, mtu, err = interfaceState(name); err != nil {
			mtu = link.DefaultMTU
		}
	}
	if vnet > 0 {
		askOffload(fd)
	}
	if name == "" {
		name = fmt.Sprintf("fd%d", fd)
	}
	return newDevice([]int{fd}, name, mtu, vnet)
}

// describeFD returns the name of the TUN and the octets of its virtio-net header; no name
// and 0 for a file that is no TUN but keeps the bounds of packets.
func describeFD(fd int) (name string, vnet int, err error) {
	var req ifreq
	switch err := ioctl(fd, unix.TUNGETIFF, unsafe.Pointer(&req)); err {
	case nil:
	case unix.EBADF:
		return "", 0, fmt.Errorf("tun: file descriptor %d: %w", fd, err)
	case unix.EBADFD:
		return "", 0, fmt.Errorf("tun: file descriptor %d: %w: it is open, but attached to no interface (TUNSETIFF)", fd, err)
	default:
		kind, serr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if serr != nil || kind != unix.SOCK_SEQPACKET && kind != unix.SOCK_DGRAM {
			return "", 0, fmt.Errorf("tun: file descriptor %d is neither a TUN nor a socket of packets: %w", fd, err)
		}
		return "", 0, nil
	}
	name, flags := req.Name(), req.flags
	if flags&unix.IFF_TUN == 0 {
		return "", 0, fmt.Errorf("tun: file descriptor %d is %s, a TAP: it carries Ethernet frames, and IP packets are needed", fd, name)
	}
	if flags&unix.IFF_VNET_HDR != 0 {
		if vnet, err = unix.IoctlGetInt(fd, unix.TUNGETVNETHDRSZ); err != nil {
			return "", 0, fmt.Errorf("tun: file descriptor %d (%s): %w", fd, name, err)
		}
		if vnet < vnetLen || vnet > wire.Headroom {
			return "", 0, fmt.Errorf("tun: file descriptor %d (%s) has a virtio-net header of %d octets; %d to %d are supported", fd, name, vnet, vnetLen, wire.Headroom)
		}
	}
	return name, vnet, nil
}

// check refuses a Config that means nothing.
func (c *Config) check() error {
	switch {
	case len(c.Name) >= unix.IFNAMSIZ:
		return fmt.Errorf("tun: interface name %q is longer than %d octets", c.Name, unix.IFNAMSIZ-1)
	case strings.ContainsAny(c.Name, "/ \t\n\x00"):
		return fmt.Errorf("tun: interface name %q has a character that no interface can have", c.Name)
	case c.MTU != 0 && (c.MTU < link.MinMTU || c.MTU > link.MaxMTU):
		return fmt.Errorf("tun: MTU %d is not in %d..%d", c.MTU, link.MinMTU, link.MaxMTU)
	case c.Queues < 0 || c.Queues > 256:
		return fmt.Errorf("tun: %d queues: not in 1..256", c.Queues)
	}
	for _, p := range c.Addrs {
		if !p.IsValid() {
			return fmt.Errorf("tun: an address is not valid: an address and a prefix length are needed, as 10.1.0.1/24")
		}
		if c.MTU != 0 && c.MTU < 1280 && p.Addr().Is6() {
			return fmt.Errorf("tun: MTU %d with address %s: IPv6 needs an MTU of 1280 or more (RFC 8200 section 5)", c.MTU, p)
		}
	}
	for _, p := range c.Routes {
		if !p.IsValid() {
			return fmt.Errorf("tun: a route is not valid: a prefix is needed, as 10.2.0.0/16")
		}
	}
	return nil
}

// openQueues opens the file of each queue and attaches it to the interface. Where the
// kernel knows no virtio-net header it does without.
func openQueues(c Config) (fds []int, name string, vnet int, err error) {
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if c.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	vnetFlag := uint16(unix.IFF_VNET_HDR)
	if c.NoOffload {
		vnetFlag = 0
	}
	name = c.Name
	for range max(c.Queues, 1) {
		var fd int
		fd, got, err := openQueue(name, flags|vnetFlag)
		if errors.Is(err, unix.EINVAL) && len(fds) == 0 {
			// An interface with several queues can only be opened as such, and an old
			// kernel has no such header.
			for _, f := range []uint16{flags | vnetFlag | unix.IFF_MULTI_QUEUE, flags, flags | unix.IFF_MULTI_QUEUE} {
				if fd, got, err = openQueue(name, f); err == nil {
					vnetFlag = f & unix.IFF_VNET_HDR
					break
				}
			}
		}
		if err != nil {
			closeAll(fds)
			return nil, "", 0, explainOpen(name, c.Queues, err)
		}
		fds, name = append(fds, fd), got
	}
	if vnetFlag == 0 {
		return fds, name, 0, nil
	}
	for _, fd := range fds {
		// A persistent interface may have been left with another size.
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
			closeAll(fds)
			return nil, "", 0, fmt.Errorf("tun: %s: set the size of the virtio-net header: %w", name, err)
		}
		askOffload(fd)
	}
	return fds, name, vnetLen, nil
}

// openQueue opens one file and attaches it, and returns the name the interface has.
func openQueue(name string, flags uint16) (fd int, got string, err error) {
	fd, err = unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, "", &os.PathError{Op: "open", Path: devicePath, Err: err}
	}
	req := ifreq{flags: flags}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	if err := ioctl(fd, unix.TUNSETIFF, unsafe.Pointer(&req)); err != nil {
		unix.Close(fd)
		return -1, "", err
	}
	return fd, req.Name(), nil
}

// Offloads of TUNSETOFFLOAD: what the kernel may hand to us undone.
const (
	offloadCsum   = 1 << 0
	offloadTSO4   = 1 << 1
	offloadTSO6   = 1 << 2
	offloadTSOECN = 1 << 3
)

// askOffload asks for as much as the kernel has. What it refuses it does itself, before it
// hands packets out, so that there is nothing to report. UDP's segmentation is not asked
// for: wire.Packet.GSO is about TCP.
func askOffload(fd int) {
	for _, f := range []int{
		offloadCsum | offloadTSO4 | offloadTSO6 | offloadTSOECN,
		offloadCsum | offloadTSO4 | offloadTSO6,
		offloadCsum | offloadTSO4,
		offloadCsum,
	} {
		if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, f) == nil {
			return
		}
	}
}

// ifreq is struct ifreq with its flags: 40 octets on all machines that have 64 bits.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func (r *ifreq) Name() string { return unix.ByteSliceToString(r.name[:]) }

func ioctl(fd int, op uint, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(op), uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// explainOpen says what failed, why, and what to do about it.
func explainOpen(name string, queues int, err error) error {
	what := fmt.Sprintf("tun: open interface %q", name)
	if name == "" {
		what = "tun: make an interface"
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w: this kernel has no TUN driver loaded; run: sudo modprobe tun (in a container: start it with --device %s)", what, err, devicePath)
	case errors.Is(err, unix.EACCES) && errors.As(err, new(*os.PathError)):
		return fmt.Errorf("%s: %w: on most systems everybody may open it; run: sudo chmod a+rw %s\nand then %s",
			what, err, devicePath, capabilityAdvice(name))
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: %s", what, err, capabilityAdvice(name))
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: %w: another program has it open, or it is not a TUN; choose another name", what, err)
	case errors.Is(err, unix.EINVAL) && queues > 1:
		return fmt.Errorf("%s with %d queues: %w: it exists with one queue, or is not a TUN; make it with: ip tuntap add mode tun multi_queue", what, queues, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: %w: an interface of that name exists and is not a TUN; choose another name", what, err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%s: %w: more queues than this kernel allows", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// capabilityAdvice names the capability that is missing and how to give it to this program,
// or how to do without: an interface that root makes for a user needs none.
func capabilityAdvice(name string) string {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	if name == "" || strings.Contains(name, "%") {
		name = "vitro0"
	}
	name = shellQuote(name)
	return fmt.Sprintf("this needs the capability CAP_NET_ADMIN, which the program does not have; "+
		"run: sudo setcap cap_net_admin+ep %s\n"+
		"or make the interface once, for this user, set it up, and open it as it is: "+
		"sudo ip tuntap add dev %s mode tun user $USER && sudo ip addr add ADDRESS/LENGTH dev %s && sudo ip link set %s up",
		shellQuote(exe), name, name, name)
}

// shellQuote returns s as a shell takes it in one word.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
