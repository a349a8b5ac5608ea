package tcp

// The keys of TCP-AO, Master Key Tuples: RFC 5925 sections 3.1 and 7.1. Which are for a connection,
// and whether a listener takes a SYN.

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/vitro-net/vitro/wire"
)

// Key is a Master Key Tuple of TCP-AO: RFC 5925 section 3.1. Both ends of a connection have it,
// the SendID of the one being the RecvID of the other.
type Key struct {
	SendID, RecvID uint8 // any values; those of keys for one peer differ
	// Algorithm is the MAC with its key derivation function. Default SHA1.
	Algorithm KeyAlgorithm
	// Secret is the master key, one octet or more: an ASCII string or any other. RFC 5925
	// section 5.3 advises 12 to 24 octets, RFC 5926 section 3.1.1.2 16 random ones for AES128.
	Secret []byte
	// ExcludeOptions leaves TCP options other than TCP-AO out of the MAC, for middleboxes that
	// change them. Default: they are covered.
	ExcludeOptions bool

	// Local and Peer, LocalPort and PeerPort say for which connections the key is. A Prefix or a
	// port that is zero means all.
	Local, Peer         netip.Prefix
	LocalPort, PeerPort uint16
}

// matches reports whether the key is for a pair of sockets.
func (k *Key) matches(f *wire.Flow) bool {
	return within(k.Local, &f.Local) && within(k.Peer, &f.Remote) &&
		(k.LocalPort == 0 || k.LocalPort == f.LocalPort) && (k.PeerPort == 0 || k.PeerPort == f.RemotePort)
}

func within(p netip.Prefix, a *wire.Addr) bool { return !p.IsValid() || p.Contains(a.Netip()) }

// overlaps reports whether there are sockets for which both keys are.
func (k *Key) overlaps(o *Key) bool {
	return meet(k.Local, o.Local) && meet(k.Peer, o.Peer) &&
		(k.LocalPort == 0 || o.LocalPort == 0 || k.LocalPort == o.LocalPort) &&
		(k.PeerPort == 0 || o.PeerPort == 0 || k.PeerPort == o.PeerPort)
}

func meet(p, o netip.Prefix) bool { return !p.IsValid() || !o.IsValid() || p.Overlaps(o) }

func usable(p netip.Prefix) bool {
	return p == netip.Prefix{} || p.IsValid() && !p.Addr().Is4In6()
}

// String names the key without its secret, which does not belong into logs.
func (k Key) String() string {
	s := "key " + strconv.Itoa(int(k.SendID)) + "/" + strconv.Itoa(int(k.RecvID)) + " " + k.Algorithm.String()
	if k.Peer.IsValid() {
		s += " for " + k.Peer.String()
	}
	return s
}

func (k *Key) equal(o *Key) bool {
	return k.SendID == o.SendID && k.RecvID == o.RecvID && k.Algorithm == o.Algorithm &&
		k.ExcludeOptions == o.ExcludeOptions && bytes.Equal(k.Secret, o.Secret)
}

// Keys is a list of keys.
type Keys []Key

// Check returns ErrBadKey if a key has no secret, an unknown algorithm, or a prefix that is none or
// that of IPv4 within IPv6, which no address is in; and ErrKeyOverlap if two for the same sockets
// have an ID in common: RFC 5925 section 3.1, "The IDs of MKTs MUST NOT overlap where their TCP
// connection identifiers overlap."
func (ks Keys) Check() error {
	for i := range ks {
		k := &ks[i]
		if len(k.Secret) == 0 || k.Algorithm >= numKeyAlgorithms || !usable(k.Local) || !usable(k.Peer) {
			return ErrBadKey
		}
		for j := range i {
			if o := &ks[j]; (k.SendID == o.SendID || k.RecvID == o.RecvID) && k.overlaps(o) {
				return ErrKeyOverlap
			}
		}
	}
	return nil
}

// For returns a copy of the keys that are for a pair of sockets, nil where there is none.
func (ks Keys) For(f *wire.Flow) Keys {
	var list Keys
	for i := range ks {
		if ks[i].matches(f) {
			list = append(list, ks[i])
		}
	}
	return list.Clone()
}

// Clone returns a copy, the secrets with it.
func (ks Keys) Clone() Keys {
	if ks == nil {
		return nil
	}
	list := make(Keys, len(ks)) // an empty list is not none
	copy(list, ks)
	for i := range list {
		list[i].Secret = bytes.Clone(list[i].Secret)
	}
	return list
}

// Match reports whether any key is for a pair of sockets.
func (ks Keys) Match(f *wire.Flow) bool {
	for i := range ks {
		if ks[i].matches(f) {
			return true
		}
	}
	return false
}

// AuthenticSYN judges a SYN for a listener, which has nothing of a connection yet: RFC 5925
// section 7.5. f is local first. It returns the rule by which the SYN is to be dropped, or none,
// also where no key is for the sockets.
func (ks Keys) AuthenticSYN(f *wire.Flow, seg *wire.Segment, h wire.TCP) Rule {
	if !ks.Match(f) {
		return 0
	}
	at, n := wire.FindAO(h)
	if n == 0 {
		return RuleAuthMissing
	}
	for i := range ks {
		k := &ks[i]
		if k.RecvID != h[at+2] || !k.matches(f) {
			continue
		}
		if n != wire.AOLen {
			return RuleAuthLength
		}
		var a authenticator
		s := sockets{src: f.Remote, dst: f.Local, srcPort: f.RemotePort, dstPort: f.LocalPort, srcISN: seg.Seq}
		return a.verify(k.traffic(&s), 0, &s, k, h, at)
	}
	return RuleAuthKey
}
