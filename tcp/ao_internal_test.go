package tcp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// vector is one packet of RFC 9235, sections 4 to 7.
type vector struct {
	section   string // "4.1.1"
	title     string
	algorithm KeyAlgorithm
	omits     bool // TCP options are not covered
	server    bool // the server sends it
	client    seq.Num
	serverISN seq.Num
	traffic   []byte // the traffic key
	packet    []byte
	mac       []byte
}

func (v *vector) isSYN() bool { return strings.HasSuffix(v.section, ".1") }

// ip is the packet taken apart.
func (v *vector) ip(t testing.TB) (ip wire.IP, seg wire.Segment) {
	t.Helper()
	if f := wire.ParseIP(v.packet, &ip); f != wire.FaultNone {
		t.Fatalf("%s: %v", v.section, f)
	}
	if f := wire.ParseTCP(ip.Payload, &seg); f != wire.FaultNone {
		t.Fatalf("%s: %v", v.section, f)
	}
	return ip, seg
}

// key is the key of RFC 9235 section 3.1.1, as the sender has it, or the receiver.
func (v *vector) key(sender bool) Key {
	k := Key{SendID: 61, RecvID: 84, Algorithm: v.algorithm, Secret: []byte("testvector"), ExcludeOptions: v.omits}
	if v.server == sender {
		k.SendID, k.RecvID = k.RecvID, k.SendID
	}
	return k
}

// vectors reads the RFC's text.
func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc9235.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	var client, server seq.Num
	var into *[]byte
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case strings.Count(words[0], ".") == 3: // "4.1.1."
			v := vector{section: strings.TrimSuffix(words[0], "."), title: line}
			v.server = strings.Contains(line, "(Server)")
			v.omits = strings.Contains(line, "Omits")
			if v.section[0] == '5' || v.section[0] == '7' {
				v.algorithm = AES128
			}
			list = append(list, v)
			into = nil
		case len(words) == 4 && words[1] == "ISN":
			n, err := hex.DecodeString(strings.TrimPrefix(words[3], "0x"))
			if err != nil {
				t.Fatal(err)
			}
			isn := seq.Num(uint32(n[0])<<24 | uint32(n[1])<<16 | uint32(n[2])<<8 | uint32(n[3]))
			if words[0] == "Client" {
				client = isn
			} else {
				server = isn
			}
		case strings.HasSuffix(line, "_traffic_key:"):
			into = &list[len(list)-1].traffic
		case strings.HasSuffix(line, "/TCP:"):
			v := &list[len(list)-1]
			v.client, v.serverISN, into = client, server, &v.packet
		case line == "   MAC:":
			into = &list[len(list)-1].mac
		case into != nil && strings.HasPrefix(line, "     "):
			for _, w := range words {
				b, err := hex.DecodeString(w[:2]) // in 4.2.2 the text has "41a" for 41
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				*into = append(*into, b...)
			}
		}
	}
	if len(list) != 32 {
		t.Fatalf("%d packets were read of RFC 9235; it has 32", len(list))
	}
	return list
}

// RFC 9235 section 4 to 7: each traffic key and each MAC.
func TestAuthenticationVectors(t *testing.T) {
	for _, v := range vectors(t) {
		ip, seg := v.ip(t)
		k := v.key(true)
		h := wire.TCP(ip.Payload)
		s := sockets{src: ip.Src, dst: ip.Dst, srcPort: h.SrcPort(), dstPort: h.DstPort(), srcISN: v.client, dstISN: v.serverISN}
		if v.server {
			s.srcISN, s.dstISN = v.serverISN, v.client
		}
		if v.isSYN() {
			s.dstISN = 0
		}
		if got := k.derive(&s); !bytes.Equal(got, v.traffic) {
			t.Errorf("%s: the traffic key is %x; RFC 9235 has %x", v.title, got, v.traffic)
		}
		at, n := wire.FindAO(h)
		var a authenticator
		if got := a.mac(newMacer(v.algorithm, v.traffic), 0, &ip.Src, &ip.Dst, h, at, n, !v.omits); !bytes.Equal(got, v.mac) {
			t.Errorf("%s: the MAC is %x; RFC 9235 has %x", v.title, got, v.mac)
		}
		if seg.Options.KeyID != k.SendID || seg.Options.RNextKeyID != k.RecvID || n != wire.AOLen {
			t.Errorf("%s: TCP-AO of %d octets has the IDs %d, %d", v.title, n, seg.Options.KeyID, seg.Options.RNextKeyID)
		}
	}
}

// The same through the machine, from both seats: what the RFC's end signs the machine signs
// alike, and takes; with any one octet changed it does not.
func TestAuthenticationVectorsThroughTheMachine(t *testing.T) {
	list := vectors(t)
	for ; len(list) > 0; list = list[4:] {
		for _, server := range []bool{false, true} {
			first := &list[1] // of 4 packets the second has both numbers
			ip, _ := list[0].ip(t)
			h := wire.TCP(ip.Payload)
			flow := wire.Flow{Local: ip.Src, LocalPort: h.SrcPort(), Remote: ip.Dst, RemotePort: h.DstPort()}
			iss, mode := first.client, Active
			if server {
				flow, iss, mode = flow.Reverse(), first.serverISN, Passive
			}
			c := New(&Config{ISN: func(Time, wire.Flow) seq.Num { return iss }}, flow, 1500)
			k := list[0].key(!server)
			if err := c.SetKeys(Keys{k}); err != nil {
				t.Fatal(err)
			}
			if err := c.Open(1, mode); err != nil {
				t.Fatal(err)
			}
			for i := range list[:4] {
				v := &list[i]
				ip, seg := v.ip(t)
				if v.server == server {
					signs(t, c, v, ip.Payload)
					continue
				}
				takes(t, c, v, &ip, &seg)
			}
			if c.State() != Established {
				t.Errorf("%s: the machine is %v after the RFC's packets", first.title, c.State())
			}
			if got := c.Status().Auth; got.KeyID != k.RecvID || got.RNextKeyID != k.SendID || !got.Heard {
				t.Errorf("%s: Status tells %+v", first.title, got)
			}
		}
	}
}

func signs(t *testing.T, c *Conn, v *vector, h wire.TCP) {
	t.Helper()
	want := bytes.Clone(h)
	at, n := wire.FindAO(h)
	clear(h[at+wire.AOHead : at+n])
	if c.Sign(h); !bytes.Equal(h, want) {
		t.Errorf("%s: signed as\n%x; RFC 9235 has\n%x", v.title, h, want)
	}
}

func takes(t *testing.T, c *Conn, v *vector, ip *wire.IP, seg *wire.Segment) {
	t.Helper()
	h := wire.TCP(ip.Payload)
	off := h.DataOffset()
	for i := range h {
		covered := i < 16 || i >= 18 // all but the checksum
		if at, n := wire.FindAO(h); v.omits && i >= wire.TCPHeaderLen && i < off && (i < at || i >= at+n) {
			covered = false
		}
		forged := bytes.Clone(h)
		forged[i] ^= 1
		var s wire.Segment
		if f := wire.ParseTCP(forged, &s); f != wire.FaultNone || s.Options.KeyID != seg.Options.KeyID || s.Options.RNextKeyID != seg.Options.RNextKeyID {
			continue // it would not come so far, or be another key's
		}
		if got := c.judge(&s, forged) == 0; got == covered {
			t.Errorf("%s: with octet %d changed the segment is authentic: %v", v.title, i, got)
		}
	}
	if !c.Authenticate(1, seg, h) {
		t.Fatalf("%s is not authentic to the machine", v.title)
	}
	c.Arrive(1, seg)
	var out wire.Segment
	for c.Output(1, &out) {
		continue
	}
}

// extensions are the numbers of RFC 9187 section 6, "in the order they legitimately could be
// received".
const extensions = `
00000000 00000000
00000000 30000000
00000000 90000000
00000000 70000000
00000000 a0000000
00000001 00000001
00000000 e0000000
00000001 00000000
00000001 7fffffff
00000001 00000000
00000001 50000000
00000001 80000000
00000001 00000001
00000001 40000000
00000001 90000000
00000001 b0000000
00000002 0fffffff
00000002 20000000
00000002 90000000
00000002 70000000
00000002 A0000000
00000003 00004000
00000002 D0000000
00000003 20000000
00000003 90000000
00000003 70000000
00000003 A0000000
00000004 00004000
00000003 D0000000
`

func TestSequenceNumberExtension(t *testing.T) {
	var e extended
	e.advance(0, 0)
	for _, line := range strings.Fields(strings.ReplaceAll(strings.TrimSpace(extensions), " ", "")) {
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		want, n := binary.BigEndian.Uint32(b), seq.Num(binary.BigEndian.Uint32(b[4:]))
		if got := e.sne(n); got != want {
			t.Errorf("%v has the extension %d; RFC 9187 has %d", n, got, want)
		}
		e.advance(0, n)
	}
	// It begins at the initial sequence number, with 0 (RFC 5925 section 6.2).
	e.advance(0xffffffff, 0)
	if syn, text, old := e.sne(0xffffffff), e.sne(0), e.sne(0xfffffff0); syn != 0 || text != 1 || old != 0 {
		t.Errorf("with an initial number of 2^32-1 the SYN has the extension %d, the first octet %d, one before %d; want 0, 1, 0", syn, text, old)
	}
}

// NIST SP 800-38B appendix D.1, which are also the vectors of RFC 4493 section 4.
func TestCMAC(t *testing.T) {
	message, _ := hex.DecodeString("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	key, _ := hex.DecodeString("2b7e151628aed2a6abf7158809cf4f3c")
	for n, want := range map[int]string{
		0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c", 20: "7d85449ea6ea19c823a7bf78837dfade",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		for cut := range n + 1 { // in two pieces, wherever they meet
			c := newCMAC([16]byte(key))
			c.Write([]byte("what was before"))
			c.Reset()
			c.Write(message[:cut])
			c.Write(message[cut:n])
			if got := hex.EncodeToString(c.Sum(nil)); got != want {
				t.Errorf("AES-CMAC of %d octets, cut at %d, is %s; want %s", n, cut, got, want)
			}
		}
	}
}
