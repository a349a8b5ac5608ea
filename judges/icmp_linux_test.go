package judges_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// ping is a socket of the kernel's for echo requests, their replies, and errors from whomever.
type ping struct {
	*net.IPConn
	to netip.Addr
}

func (w *world) ping(t testing.TB, to netip.Addr) ping {
	t.Helper()
	network := "ip4:icmp"
	if to.Is6() {
		network = "ip6:ipv6-icmp"
	}
	var c *net.IPConn
	if err := w.ns.Do(func() (err error) { c, err = net.ListenIP(network, nil); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return ping{c, to}
}

// request sends an echo request. The kernel sums ICMPv6 by itself, and ICMP not.
func (p ping) request(id uint16, body []byte) error {
	b := append([]byte{8, 0, 0, 0, 0, 0, 0, 1}, body...)
	binary.BigEndian.PutUint16(b[4:], id)
	if p.to.Is6() {
		b[0] = 128
	} else {
		var sum uint32
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i]) << 8
			if i+1 < len(b) {
				sum += uint32(b[i+1])
			}
		}
		for sum>>16 != 0 {
			sum = sum&0xffff + sum>>16
		}
		binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	}
	_, err := p.WriteTo(b, &net.IPAddr{IP: p.to.AsSlice()})
	return err
}

// message waits for a message of a type, and returns what follows type, code and checksum.
func (p ping) message(typ byte) (code byte, rest []byte, err error) {
	b := make([]byte, 1<<16)
	for {
		n, _, err := p.ReadFrom(b)
		if err != nil {
			return 0, nil, err
		}
		if n >= 8 && b[0] == typ {
			return b[1], b[4:n], nil
		}
	}
}

// The kernel pings vitro: with nothing, with what fits, and with what has to be fragmented
// both ways.
func TestKernelPing(t *testing.T) {
	t.Parallel()
	for _, noOffload := range []bool{false, true} {
		s := setup{noOffload: noOffload}
		t.Run(s.String(), func(t *testing.T) {
			w := newWorld(t, s)
			for _, f := range families {
				p := w.ping(t, f.vitro.Addr())
				reply := byte(0)
				if p.to.Is6() {
					reply = 129
				}
				for i, size := range []int{0, 1, 56, 1400, 1472, 1473, 5001, 20_000} {
					body := make([]byte, size)
					rand.NewChaCha8([32]byte{byte(i)}).Read(body)
					if err := p.request(uint16(i), body); err != nil {
						t.Fatalf("%s: %d octets: %v", f.name, size, err)
					}
					_, rest, err := p.message(reply)
					if err != nil || len(rest) < 4 || binary.BigEndian.Uint16(rest) != uint16(i) || !bytes.Equal(rest[4:], body) {
						t.Errorf("%s: %d octets: %d come back, %v; %v", f.name, size, len(rest)-4, err, w)
					}
				}
			}
		})
	}
}

// What vitro has not is told to who asks: a UDP port, a protocol.
func TestKernelUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for _, f := range families {
		var u net.Conn
		to := netip.AddrPortFrom(f.vitro.Addr(), 9)
		if err := w.ns.Do(func() (err error) { u, err = net.Dial("udp", to.String()); return }); err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		u.SetDeadline(time.Now().Add(patience))
		u.Write([]byte("anybody there?"))
		if _, err := u.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: a UDP socket reads %v, want ECONNREFUSED", f.name, err)
		}
	}
	// 132 is SCTP.
	for _, c := range []struct {
		f         family
		network   string
		typ, code byte
	}{{families[0], "ip4:132", 3, 2}, {families[1], "ip6:132", 4, 1}} {
		p := w.ping(t, c.f.vitro.Addr())
		err := w.ns.Do(func() error {
			r, err := net.Dial(c.network, c.f.vitro.Addr().String())
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = r.Write(make([]byte, 12))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if code, _, err := p.message(c.typ); code != c.code || err != nil {
			t.Errorf("%s: code %d, %v; want type %d, code %d", c.f.name, code, err, c.typ, c.code)
		}
	}
}
