package judges_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/tcp"
)

// TCP-AO with the kernel, which has it where it was built with CONFIG_TCP_AO (Linux 6.7).

// Socket options of linux/tcp.h.
const (
	tcpAOAddKey = 38
	tcpAODelKey = 39
	tcpAOInfo   = 40

	aoExcludeOptions = 1 << 1 // TCP_AO_KEYF_EXCLUDE_OPT
	aoSetCurrent     = 1 << 0
	aoSetRNext       = 1 << 1
)

// aoAdd is struct tcp_ao_add: a key as vitro has it, with its IDs as the kernel's.
func aoAdd(peer netip.Addr, k tcp.Key, flags uint32) string {
	b := make([]byte, 288)
	putSockaddr(b, peer)
	copy(b[128:], map[tcp.KeyAlgorithm]string{tcp.SHA1: "hmac(sha1)", tcp.AES128: "cmac(aes128)"}[k.Algorithm])
	binary.NativeEndian.PutUint32(b[196:], flags)
	b[202], b[203], b[204], b[205] = byte(peer.BitLen()), k.RecvID, k.SendID, 12
	if k.ExcludeOptions {
		b[206] = aoExcludeOptions
	}
	b[207] = byte(len(k.Secret))
	copy(b[208:], k.Secret)
	return string(b)
}

// aoDel is struct tcp_ao_del.
func aoDel(peer netip.Addr, k tcp.Key) string {
	b := make([]byte, 144)
	putSockaddr(b, peer)
	b[138], b[139], b[140] = byte(peer.BitLen()), k.RecvID, k.SendID
	return string(b)
}

func putSockaddr(b []byte, a netip.Addr) {
	family, at := uint16(unix.AF_INET), 4
	if a.Is6() {
		family, at = unix.AF_INET6, 8
	}
	binary.NativeEndian.PutUint16(b, family)
	copy(b[at:], a.AsSlice())
}

// aoCounts is what of struct tcp_ao_info_opt the tests ask.
type aoCounts struct {
	current, rnext                    uint8
	good, bad, notFound, none, icmped uint64
}

func setAO(c syscall.RawConn, option int, value string) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, option, value) }); e != nil {
		return e
	}
	return err
}

func (w *world) aoInfo(t testing.TB, c *net.TCPConn) (i aoCounts) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	if e := raw.Control(func(fd uintptr) { b, err = getAO(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	at := func(i int) uint64 { return binary.NativeEndian.Uint64(b[8+8*i:]) }
	return aoCounts{b[6], b[7], at(0), at(1), at(2), at(3), at(4)}
}

// withKeys makes both sides' connection with keys, and returns its ends. An error is of who
// dials, and is one of time.
func (w way) withKeys(t testing.TB, in *world, vitros tcp.Keys, kernels tcp.Keys, wait time.Duration) (v *vitro.Conn, k *net.TCPConn, err error) {
	t.Helper()
	peer := w.vitro.Addr()
	control := func(_, _ string, c syscall.RawConn) error {
		for _, key := range kernels {
			if err := setAO(c, tcpAOAddKey, aoAdd(peer, key, 0)); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if w.vitroDials {
		var l net.Listener
		err = in.ns.Do(func() (err error) {
			lc := net.ListenConfig{Control: control}
			lc.SetMultipathTCP(false)
			l, err = lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(w.kernel.Addr(), 0).String())
			return err
		})
		skipWithoutAO(t, err)
		defer l.Close()
		if v, err = (&vitro.Dialer{Stack: in.stack, Keys: vitros}).DialTCP(ctx, "tcp", l.Addr().String()); err != nil {
			return nil, nil, err
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		k = c.(*net.TCPConn)
	} else {
		l, err := (&vitro.ListenConfig{Stack: in.stack, Keys: vitros}).ListenTCP(t.Context(), "tcp", netip.AddrPortFrom(w.vitro.Addr(), 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var c net.Conn
		err = in.ns.Do(func() (err error) {
			dialer := net.Dialer{Control: control}
			dialer.SetMultipathTCP(false)
			c, err = dialer.DialContext(ctx, "tcp", l.Addr().String())
			return err
		})
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return nil, nil, err
		}
		skipWithoutAO(t, err)
		k = c.(*net.TCPConn)
		if v, err = l.AcceptTCP(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { v.Close(); k.Close() })
	for _, c := range []conn{v, k} {
		c.SetDeadline(time.Now().Add(patience))
	}
	return v, k, nil
}

func skipWithoutAO(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skipf("SKIPPED, THE KERNEL IS NOT TESTED: it has no TCP-AO (CONFIG_TCP_AO): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// RFC 5925 with the kernel, both algorithms of RFC 5926, options covered and not: text both ways,
// then another key by the kernel's wish, and a third by vitro's; not one segment is dropped.
func TestTCPAO(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []tcp.KeyAlgorithm{tcp.SHA1, tcp.AES128} {
		for _, exclude := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, options excluded %v", algorithm, exclude), func(t *testing.T) {
				eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
					w := newWorld(t, s)
					key := func(id uint8, secret string) tcp.Key {
						return tcp.Key{SendID: id, RecvID: id + 100, Algorithm: algorithm, ExcludeOptions: exclude, Secret: []byte(secret)}
					}
					first, second, third := key(1, "sixteen octets!!"), key(2, "not so many"), key(3, "more than sixteen octets, which AES-128 takes the MAC of")
					v, k, err := d.withKeys(t, w, tcp.Keys{first}, tcp.Keys{first}, patience)
					if err != nil {
						t.Fatal(err)
					}
					talk(t, w, v, k, 1<<18, 1)
					talk(t, w, k, v, 1<<18, 2)
					raw, err := k.SyscallConn()
					if err != nil {
						t.Fatal(err)
					}
					must := func(err error) {
						t.Helper()
						if err != nil {
							t.Fatal(err)
						}
					}
					must(v.SetKeys(tcp.Keys{first, second, third}))
					must(setAO(raw, tcpAOAddKey, aoAdd(d.vitro.Addr(), third, 0)))
					must(setAO(raw, tcpAOAddKey, aoAdd(d.vitro.Addr(), second, aoSetRNext)))
					talk(t, w, k, v, 1<<18, 3)
					talk(t, w, v, k, 1<<18, 4)
					if got := v.Status().Auth; got.CurrentKey != second.SendID || got.RNextKeyID != second.SendID {
						t.Errorf("the kernel asks for key %d: %+v", second.SendID, got)
					}
					must(v.SetNextKey(third.RecvID))
					talk(t, w, v, k, 1<<18, 5)
					talk(t, w, k, v, 1<<18, 6)
					vs, ks := v.Status().Auth, w.aoInfo(t, k)
					if vs.KeyID != third.RecvID || ks.current != third.RecvID || ks.rnext != second.SendID {
						t.Errorf("vitro asks for key %d: it has heard %d; the kernel signs by %d and asks for %d", third.RecvID, vs.KeyID, ks.current, ks.rnext)
					}
					if vs.Bad+vs.Missing+vs.Unexpected != 0 || vs.Good == 0 {
						t.Errorf("vitro counts %+v", vs)
					}
					if ks.bad+ks.notFound+ks.none != 0 || ks.good == 0 {
						t.Errorf("the kernel counts %+v", ks)
					}
					must(v.SetKeys(tcp.Keys{second, third}))
					must(setAO(raw, tcpAODelKey, aoDel(d.vitro.Addr(), first)))
					talk(t, w, v, k, 1<<18, 7)
					must(v.CloseWrite())
					must(k.CloseWrite())
					eventually(t, "both ends have closed in order", func() bool {
						st := v.Status().State
						return st == tcp.TimeWait || st == tcp.Closed
					})
				})
			})
		}
	}
}

// Without a key, with another secret, or by another algorithm there is no connection.
func TestTCPAOThatIsNotAuthentic(t *testing.T) {
	t.Parallel()
	right := tcp.Key{SendID: 1, RecvID: 2, Secret: []byte("the right one")}
	wrong, other := right, right
	wrong.Secret = []byte("a wrong one")
	other.Algorithm = tcp.AES128
	for _, c := range []struct {
		what           string
		vitro, kernels tcp.Keys
	}{
		{"vitro has none", tcp.Keys{}, tcp.Keys{right}},
		{"the kernel has none", tcp.Keys{right}, nil},
		{"another secret", tcp.Keys{right}, tcp.Keys{wrong}},
		{"another algorithm", tcp.Keys{other}, tcp.Keys{right}},
	} {
		for _, d := range ways {
			if c.what == "vitro has none" && !d.vitroDials {
				continue // vitro passes the option over, and the kernel drops the answer: the next line of the table
			}
			t.Run(d.String()+", "+c.what, func(t *testing.T) {
				w := newWorld(t, setup{})
				if _, _, err := d.withKeys(t, w, tcp.Keys{right}, tcp.Keys{right}, patience); err != nil {
					t.Fatalf("with one key: %v", err) // or it is skipped
				}
				if _, _, err := d.withKeys(t, w, c.vitro, c.kernels, 3*time.Second); err == nil {
					t.Error("they have connected")
				}
			})
		}
	}
}

// A reset of either is authentic to the other.
func TestTCPAOReset(t *testing.T) {
	t.Parallel()
	key := tcp.Key{SendID: 1, RecvID: 2, Algorithm: tcp.AES128, Secret: []byte("a secret")}
	for _, d := range ways {
		for _, vitroResets := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, vitro resets %v", d, vitroResets), func(t *testing.T) {
				w := newWorld(t, setup{})
				v, k, err := d.withKeys(t, w, tcp.Keys{key}, tcp.Keys{key}, patience)
				if err != nil {
					t.Fatal(err)
				}
				talk(t, w, v, k, 1<<16, 1)
				resets, hears := conn(v), conn(k)
				if !vitroResets {
					resets, hears = k, v
				}
				resets.SetLinger(0)
				resets.Close()
				if _, err := hears.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("Read gives %v", err)
				}
			})
		}
	}
}

// getAO returns struct tcp_ao_info_opt of a socket.
func getAO(fd int) ([]byte, error) {
	b := make([]byte, 48)
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, tcpAOInfo,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil, errno
	}
	return b, nil
}

// talk sends n octets, and reads them at the other end; both may talk again.
func talk(t *testing.T, w *world, from, to conn, n, seed int) {
	t.Helper()
	text := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(text)
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(text)
		sent <- err
	}()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("what was read is what was written: %v; %v; %v", bytes.Equal(got, text), err, w)
	}
	if err := <-sent; err != nil {
		t.Fatalf("write: %v; %v", err, w)
	}
}
