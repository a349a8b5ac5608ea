package vitro_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/tcp"
)

var (
	keyOfA = tcp.Key{SendID: 1, RecvID: 2, Secret: []byte("a secret of A and B")}
	keyOfB = tcp.Key{SendID: 2, RecvID: 1, Secret: keyOfA.Secret}
)

// With keys by Dialer and ListenConfig every segment is authenticated; without one of them, or
// with another, there is no connection, and Dial times out.
func TestKeysOfDialerAndListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{SynTimeout: time.Minute})
		l, err := (&vitro.ListenConfig{Stack: b, Keys: tcp.Keys{keyOfB}}).ListenTCP(t.Context(), "tcp", ":179")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := netip.AddrPortFrom(addrB.Addr(), 179).String()
		wrong := keyOfA
		wrong.Secret = []byte("another")
		for _, keys := range []tcp.Keys{nil, {wrong}} {
			if _, err := (&vitro.Dialer{Stack: a, Keys: keys}).Dial("tcp", at); !isTimeout(err) {
				t.Errorf("Dial with %d keys gives %v; want a timeout", len(keys), err)
			}
		}
		c, err := (&vitro.Dialer{Stack: a, Keys: tcp.Keys{keyOfA}}).DialTCP(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		go c.Write([]byte("authentic"))
		text := make([]byte, 9)
		if _, err := io.ReadFull(s, text); err != nil || string(text) != "authentic" {
			t.Errorf("%q, %v", text, err)
		}
		if got := s.Status().Auth; !got.On || got.CurrentKey != 2 || got.KeyID != 1 || got.Good < 3 || got.Bad != 0 {
			t.Errorf("Status tells %+v", got)
		}
		changeKeys(t, c, s)
		if err := l.SetKeys(tcp.Keys{}); err != nil {
			t.Fatal(err)
		}
		plain, err := a.Dial("tcp", at)
		if err != nil {
			t.Fatalf("when the listener has no keys any more: %v", err)
		}
		plain.Close()
		c.Close()
		if err := c.SetKeys(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close SetKeys gives %v", err)
		}
	})
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// changeKeys changes the key of both ends, from the client on.
func changeKeys(t *testing.T, c, s *vitro.Conn) {
	t.Helper()
	second, mirror := tcp.Key{SendID: 3, RecvID: 4, Secret: []byte("the next")}, tcp.Key{SendID: 4, RecvID: 3, Secret: []byte("the next")}
	for _, err := range []error{
		s.SetKeys(tcp.Keys{keyOfB, mirror}), c.SetKeys(tcp.Keys{keyOfA, second}),
		c.SetCurrentKey(3), c.SetNextKey(4), s.SetNextKey(3), c.SetAcceptICMP(true),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, way := range [][2]*vitro.Conn{{c, s}, {s, c}, {c, s}} {
		go way[0].Write([]byte("more"))
		if _, err := io.ReadFull(way[1], make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetKeys(tcp.Keys{mirror}); err != nil {
		t.Errorf("the old key cannot be taken away: %v", err)
	}
	if got := s.Keys(); len(got) != 1 || got[0].SendID != 4 {
		t.Errorf("Keys gives %+v", got)
	}
	var op *net.OpError
	if err := s.SetKeys(nil); !errors.Is(err, tcp.ErrKeyInUse) || !errors.As(err, &op) {
		t.Errorf("SetKeys without the key in use gives %v", err)
	}
}

// Keys of the Config are for all connections for whose sockets there is one.
func TestKeysOfConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := tcp.Key{Secret: []byte("one for both ends"), Peer: netip.PrefixFrom(addrB.Addr(), 32), PeerPort: 0}
		back := both
		back.Peer = netip.PrefixFrom(addrA.Addr(), 32)
		back.SendID, back.RecvID = 9, 9
		both.SendID, both.RecvID = 9, 9
		a, b := pair(t, vitro.Config{Keys: tcp.Keys{both, back}})
		c, s := connect(t, a, b)
		if !c.Status().Auth.On || !s.Status().Auth.On {
			t.Error("the keys of Config are not used")
		}
		if _, err := (&vitro.Dialer{Stack: a, Keys: tcp.Keys{{Secret: []byte("x"), PeerPort: 9}}}).Dial("tcp", c.RemoteAddr().String()); !errors.Is(err, tcp.ErrNoKey) {
			t.Errorf("Dial with a key for another port gives %v", err)
		}
	})
	_, err := vitro.New(vitro.Config{Keys: tcp.Keys{{SendID: 1}}})
	if !errors.Is(err, tcp.ErrBadKey) || !strings.Contains(err.Error(), "Config.Keys") {
		t.Errorf("New with a key without a secret gives %v", err)
	}
}
