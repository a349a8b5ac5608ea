package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// setUp gives the interface what c asks for and brings it up, by rtnetlink(7), and returns
// its MTU. What is so already is not touched, because touching needs a privilege.
func setUp(name string, c Config) (mtu int, err error) {
	up, mtu, err := interfaceState(name)
	if err != nil {
		return 0, fmt.Errorf("tun: %s: read its state: %w", name, err)
	}
	setMTU := c.MTU != 0 && c.MTU != mtu
	if up && !setMTU && len(c.Addrs) == 0 && len(c.Routes) == 0 {
		return mtu, nil
	}
	nl, err := dialNetlink()
	if err != nil {
		return 0, fmt.Errorf("tun: %s: rtnetlink: %w", name, err)
	}
	defer nl.close()
	index, err := interfaceIndex(name)
	if err != nil {
		return 0, fmt.Errorf("tun: %s: read its index: %w", name, err)
	}
	if setMTU {
		if err := nl.setMTU(index, c.MTU); err != nil {
			return 0, explainSetUp(name, fmt.Sprintf("set the MTU to %d", c.MTU), err)
		}
		mtu = c.MTU
	}
	if !up {
		if err := nl.setUp(index); err != nil {
			return 0, explainSetUp(name, "bring it up", err)
		}
	}
	for _, p := range c.Addrs {
		if err := nl.addAddr(index, p); err != nil {
			return 0, explainSetUp(name, "add address "+p.String(), err)
		}
	}
	for _, p := range c.Addrs {
		if err := nl.waitLocal(p.Addr().Unmap()); err != nil {
			return 0, explainSetUp(name, "wait for address "+p.String(), err)
		}
	}
	for _, p := range c.Routes {
		if err := nl.addRoute(index, p.Masked()); err != nil {
			return 0, explainSetUp(name, "add route "+p.Masked().String(), err)
		}
	}
	return mtu, nil
}

func explainSetUp(name, what string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("tun: %s: %s: %w: %s", name, what, err, capabilityAdvice(name))
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("tun: %s: %s: %w: IPv6 may be switched off; see /proc/sys/net/ipv6/conf/%s/disable_ipv6", name, what, err, name)
	}
	return fmt.Errorf("tun: %s: %s: %w", name, what, err)
}

// interfaceState reads whether the interface is up, and its MTU. It needs no privilege.
func interfaceState(name string) (up bool, mtu int, err error) {
	flags, err := interfaceIoctl(name, unix.SIOCGIFFLAGS)
	if err != nil {
		return false, 0, err
	}
	m, err := interfaceIoctl(name, unix.SIOCGIFMTU)
	if err != nil {
		return false, 0, err
	}
	return flags.Uint16()&unix.IFF_UP != 0, int(m.Uint32()), nil
}

func interfaceIndex(name string) (uint32, error) {
	req, err := interfaceIoctl(name, unix.SIOCGIFINDEX)
	if err != nil {
		return 0, err
	}
	return req.Uint32(), nil
}

func interfaceIoctl(name string, op uint) (*unix.Ifreq, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return req, unix.IoctlIfreq(fd, op, req)
}

// netlink is a conversation with rtnetlink(7): a request, its acknowledgment.
type netlink struct {
	fd  int
	seq uint32
	buf [8192]byte
}

func dialNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &netlink{fd: fd}, nil
}

func (nl *netlink) close() { unix.Close(nl.fd) }

func (nl *netlink) setMTU(index uint32, mtu int) error {
	m := linkMessage(index, 0)
	return nl.do(unix.RTM_NEWLINK, 0, attribute(m, unix.IFLA_MTU, ne.AppendUint32(nil, uint32(mtu))))
}

func (nl *netlink) setUp(index uint32) error {
	return nl.do(unix.RTM_NEWLINK, 0, linkMessage(index, unix.IFF_UP))
}

// linkMessage returns a struct ifinfomsg that sets the flags.
func linkMessage(index, flags uint32) []byte {
	m := make([]byte, 4, 32) // family, type
	m = ne.AppendUint32(m, index)
	m = ne.AppendUint32(m, flags)
	return ne.AppendUint32(m, flags) // the mask of what changes
}

// addAddr gives the interface an address, which may be there already.
func (nl *netlink) addAddr(index uint32, p netip.Prefix) error {
	addr := p.Addr().Unmap()
	a := addr.AsSlice()
	m := []byte{family(addr), uint8(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE} // struct ifaddrmsg
	m = ne.AppendUint32(m, index)
	m = attribute(m, unix.IFA_LOCAL, a)
	m = attribute(m, unix.IFA_ADDRESS, a)
	if addr.Is6() {
		m = attribute(m, unix.IFA_FLAGS, ne.AppendUint32(nil, unix.IFA_F_NODAD))
	}
	return nl.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, m)
}

// waitLocal waits until the kernel takes packets to an IPv6 address for its own. Adding the
// address only starts a piece of work in the kernel, at whose end the local route appears; a
// packet that comes before it is dropped without a word.
func (nl *netlink) waitLocal(a netip.Addr) error {
	if a.Is4() {
		return nil
	}
	m := []byte{unix.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // struct rtmsg
	m = attribute(m, unix.RTA_DST, a.AsSlice())
	for deadline := time.Now().Add(localWait); ; time.Sleep(time.Millisecond) {
		route, err := nl.ask(unix.RTM_GETROUTE, m)
		if err == nil && len(route) >= unix.SizeofRtMsg && route[7] == unix.RTN_LOCAL { // rtm_type
			return nil
		}
		if time.Now().After(deadline) {
			return unix.ETIMEDOUT
		}
	}
}

// localWait is how long waitLocal waits: the kernel's work takes less than a millisecond on an
// idle machine.
const localWait = 5 * time.Second

// addRoute routes a prefix to the interface. A route to the same prefix is replaced.
func (nl *netlink) addRoute(index uint32, p netip.Prefix) error {
	scope := uint8(unix.RT_SCOPE_LINK)
	if p.Addr().Is6() {
		scope = unix.RT_SCOPE_UNIVERSE
	}
	m := []byte{ // struct rtmsg
		family(p.Addr()), uint8(p.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, scope, unix.RTN_UNICAST,
		0, 0, 0, 0,
	}
	if p.Bits() > 0 {
		m = attribute(m, unix.RTA_DST, p.Addr().AsSlice())
	}
	m = attribute(m, unix.RTA_OIF, ne.AppendUint32(nil, index))
	return nl.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, m)
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// attribute appends a struct rtattr and its value, padded to four octets.
func attribute(m []byte, kind uint16, value []byte) []byte {
	m = ne.AppendUint16(m, uint16(unix.SizeofRtAttr+len(value)))
	m = ne.AppendUint16(m, kind)
	m = append(m, value...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}

// do sends a request and waits for its acknowledgment, whose errno it returns.
func (nl *netlink) do(kind, flags uint16, body []byte) error {
	_, err := nl.exchange(kind, unix.NLM_F_ACK|flags, body)
	return err
}

// ask sends a request and returns the body of its answer, in force until the next request.
func (nl *netlink) ask(kind uint16, body []byte) ([]byte, error) {
	return nl.exchange(kind, 0, body)
}

func (nl *netlink) exchange(kind, flags uint16, body []byte) ([]byte, error) {
	nl.seq++
	m := ne.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = ne.AppendUint16(m, kind)
	m = ne.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = ne.AppendUint32(m, nl.seq)
	m = ne.AppendUint32(m, 0)
	m = append(m, body...)
	if err := unix.Sendto(nl.fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	for {
		n, _, err := unix.Recvfrom(nl.fd, nl.buf[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		r := nl.buf[:n] // struct nlmsghdr, then its body
		if n < unix.SizeofNlMsghdr+4 || ne.Uint32(r[8:]) != nl.seq {
			continue
		}
		answer := r[unix.SizeofNlMsghdr:]
		if ne.Uint16(r[4:]) != unix.NLMSG_ERROR {
			return answer, nil
		}
		if e := -int32(ne.Uint32(answer)); e != 0 { // struct nlmsgerr begins with the errno
			return nil, unix.Errno(e)
		}
		return nil, nil
	}
}
