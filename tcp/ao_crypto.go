package tcp

// The algorithms of TCP-AO: RFC 5926. Two key derivation functions make traffic keys of a master
// key, two MACs of 96 bits authenticate segments.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// KeyAlgorithm is a MAC with the key derivation function that RFC 5926 gives it.
type KeyAlgorithm uint8

// The algorithms, by the names that RFC 5926 section 3.1.1.3 has for users.
const (
	SHA1   KeyAlgorithm = iota // HMAC-SHA-1-96 and KDF_HMAC_SHA1: "SHOULD use [...] as the default selection"
	AES128                     // AES-128-CMAC-96 and KDF_AES_128_CMAC
	numKeyAlgorithms
)

// String returns "SHA1" or "AES128".
func (a KeyAlgorithm) String() string {
	switch a {
	case SHA1:
		return "SHA1"
	case AES128:
		return "AES128"
	case numKeyAlgorithms:
	}
	return "none"
}

const (
	macLen   = wire.AOLen - wire.AOHead // 96 bits, RFC 5926 section 3.2
	kdfLabel = "TCP-AO"
)

// macer computes MACs under one key: as hash.Hash, of which it is a part. Write gives no error.
type macer interface {
	Reset()
	Write(p []byte) (int, error)
	Sum(b []byte) []byte
}

// newMacer returns the MAC of an algorithm under a key, which AES128 wants to have 16 octets.
func newMacer(a KeyAlgorithm, key []byte) macer {
	if a == AES128 {
		return newCMAC([16]byte(key))
	}
	return hmac.New(sha1.New, key)
}

// kdfKey is the key of the PRF: the master key itself, but for AES128, where one that has not
// 16 octets is the message of a MAC under zeros (RFC 5926 section 3.1.1.2).
func kdfKey(k *Key) []byte {
	if k.Algorithm != AES128 || len(k.Secret) == 16 {
		return k.Secret
	}
	m := newCMAC([16]byte{})
	_, _ = m.Write(k.Secret)
	return m.Sum(nil)
}

// sockets names the source and the destination of a segment, with their initial sequence
// numbers, 0 where one is not known: the context of RFC 5925 section 5.2.
type sockets struct {
	src, dst         wire.Addr
	srcPort, dstPort uint16
	srcISN, dstISN   seq.Num
}

// derive makes a traffic key: RFC 5926 section 3.1.1. Both functions need their PRF once, as its
// output is as long as the key of the MAC.
func (k *Key) derive(s *sockets) []byte {
	b := append(make([]byte, 0, 64), 1) // i
	b = append(b, kdfLabel...)
	b = appendAddr(appendAddr(b, &s.src), &s.dst)
	b = binary.BigEndian.AppendUint16(b, s.srcPort)
	b = binary.BigEndian.AppendUint16(b, s.dstPort)
	b = binary.BigEndian.AppendUint32(b, uint32(s.srcISN))
	b = binary.BigEndian.AppendUint32(b, uint32(s.dstISN))
	prf := newMacer(k.Algorithm, kdfKey(k))
	bits := uint16(160)
	if k.Algorithm == AES128 {
		bits = 128
	}
	_, _ = prf.Write(binary.BigEndian.AppendUint16(b, bits))
	return prf.Sum(nil)
}

// traffic returns the MAC under the traffic key for s.
func (k *Key) traffic(s *sockets) macer { return newMacer(k.Algorithm, k.derive(s)) }

// appendAddr appends an address as its version of IP has it in a header.
func appendAddr(b []byte, a *wire.Addr) []byte {
	if a.Is4() {
		return append(b, a[12:]...)
	}
	return append(b, a[:]...)
}

// authenticator computes the MAC of segments. Its buffers are those of one connection, so that
// nothing is allocated for a segment.
type authenticator struct {
	head [4 + 40 + 60]byte // SNE, pseudo-header, header
	sum  [sha1.Size]byte
}

// mac returns the MAC of a segment, in force until it is next called: RFC 5925 section 5.1. Its
// TCP-AO stands at octet at and has n octets. Without options it alone is covered of them.
func (a *authenticator) mac(m macer, sne uint32, src, dst *wire.Addr, h wire.TCP, at, n int, options bool) []byte {
	b := binary.BigEndian.AppendUint32(a.head[:0], sne)
	b = appendAddr(appendAddr(b, src), dst)
	if src.Is4() {
		b = append(b, 0, wire.ProtoTCP)
		b = binary.BigEndian.AppendUint16(b, uint16(len(h)))
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
		b = append(b, 0, 0, 0, wire.ProtoTCP)
	}
	off, first := h.DataOffset(), len(b)
	if options {
		b = append(b, h[:off]...)
	} else {
		b = append(b, h[:wire.TCPHeaderLen]...)
		b = append(b, h[at:at+n]...)
		at = wire.TCPHeaderLen
	}
	clear(b[first+16 : first+18]) // "where the TCP checksum and TCP-AO MAC fields are set to zero"
	clear(b[first+at+wire.AOHead : first+at+n])
	m.Reset()
	_, _ = m.Write(b)
	_, _ = m.Write(h[off:])
	return m.Sum(a.sum[:0])[:macLen]
}

// cmac is AES-CMAC, RFC 4493, over what is written to it in pieces.
type cmac struct {
	aes     cipher.Block
	k1, k2  [16]byte // for a last block that is whole, and for one that is not
	x       [16]byte // the chain
	pending [16]byte // what may be the last block
	n       int      // octets of pending
}

func newCMAC(key [16]byte) *cmac {
	c := new(cmac)
	c.aes, _ = aes.NewCipher(key[:]) // 16 octets are a key of AES
	c.aes.Encrypt(c.k1[:], c.k1[:])
	double(&c.k1)
	c.k2 = c.k1
	double(&c.k2)
	return c
}

// double is the step of RFC 4493 section 2.3 from L to K1, and from K1 to K2.
func double(b *[16]byte) {
	high, low := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	carry := high >> 63
	binary.BigEndian.PutUint64(b[:], high<<1|low>>63)
	binary.BigEndian.PutUint64(b[8:], low<<1^carry*0x87)
}

// Reset begins a message.
func (c *cmac) Reset() { c.x, c.n = [16]byte{}, 0 }

// Write adds to the message. It gives no error.
func (c *cmac) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 {
		if c.n == len(c.pending) {
			c.chain(&c.pending)
			c.n = 0
		}
		n := copy(c.pending[c.n:], p)
		c.n += n
		p = p[n:]
	}
	return size, nil
}

// Sum appends the MAC of what has been written to b. The next message begins with Reset.
func (c *cmac) Sum(b []byte) []byte {
	last := &c.k1
	if c.n < len(c.pending) {
		last = &c.k2
		c.pending[c.n] = 0x80
		clear(c.pending[c.n+1:])
	}
	xor(&c.pending, last)
	c.chain(&c.pending)
	return append(b, c.x[:]...)
}

func (c *cmac) chain(block *[16]byte) {
	xor(&c.x, block)
	c.aes.Encrypt(c.x[:], c.x[:])
}

func xor(a, b *[16]byte) {
	le := binary.LittleEndian
	le.PutUint64(a[:], le.Uint64(a[:])^le.Uint64(b[:]))
	le.PutUint64(a[8:], le.Uint64(a[8:])^le.Uint64(b[8:]))
}
