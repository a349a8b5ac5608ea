package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Who has the user timeout option on says its timeout in the SYN, "in the first packet that does not
// have the SYN flag set" and after each change (RFC 5482 section 3), and else not.
func TestUserTimeoutOptionIsSent(t *testing.T) {
	said := func(out []sent) (v []uint16) {
		for _, s := range out {
			if s.Options.Has(wire.HasUserTimeout) {
				v = append(v, s.Options.UserTimeout)
			}
		}
		return v
	}
	p := newPeer(t, setup{cfg: tcp.Config{UserTimeoutOption: true, UserTimeout: 10 * time.Minute}})
	if err := p.c.Open(p.now, tcp.Active); err != nil {
		t.Fatal(err)
	}
	p.flush()
	p.send("<SEQ=2000><ACK=1001><CTL=SYN,ACK><MSS=1460>")
	v := said(p.taken())
	p.must(len(v) == 2 && v[0] == 600 && v[1] == 600, "the SYN and the ACK after it say 600 s: %v", v)
	p.write(100)
	p.ackAll()
	p.send(p.data(2001, 2000))
	p.must(len(said(p.taken())) == 0, "no other segment does")
	p.c.SetUserTimeout(1000 * time.Hour)
	p.flush()
	v = said(p.taken())
	p.must(len(v) == 1 && v[0] == 1<<15|32767, "a change is told, in minutes where seconds are too many, as far as 15 bits go: %v", v)
	p.c.SetUserTimeout(-1)
	p.flush()
	p.must(len(said(p.taken())) == 0, "for ever cannot be said")

	p = established(t, setup{})
	p.c.SetUserTimeout(time.Minute)
	p.flush()
	p.quiet("without Config.UserTimeoutOption nothing is said")
}

// "USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))", section 3.1; "If an application
// explicitly sets the USER_TIMEOUT, CHANGEABLE MUST become false"; zero is ignored (3.4).
func TestUserTimeoutOptionIsHeard(t *testing.T) {
	for _, c := range []struct {
		name      string
		own       time.Duration
		set       time.Duration
		hears     string
		want, say time.Duration
	}{
		{"longer than ours", 5 * time.Minute, 0, "<UTO=900>", 15 * time.Minute, 15 * time.Minute},
		{"shorter than ours", 5 * time.Minute, 0, "<UTO=200>", 5 * time.Minute, 200 * time.Second},
		{"shorter than the lower limit", 10 * time.Second, 0, "<UTO=1>", 2 * time.Minute, time.Second},
		{"minutes, longer than the upper limit", 5 * time.Minute, 0, "<UTO=65535>", time.Hour, 32767 * time.Minute},
		{"longer than ours, which is above the upper limit", 3 * time.Hour, 0, "<UTO=65535>", 3 * time.Hour, 32767 * time.Minute},
		{"set by the user", 5 * time.Minute, time.Minute, "<UTO=900>", time.Minute, 15 * time.Minute},
	} {
		p := established(t, setup{syn: "<MSS=1460>" + c.hears, cfg: tcp.Config{UserTimeout: c.own, UserTimeoutOption: true}, before: func(p *peer) {
			if c.set != 0 {
				p.c.SetUserTimeout(c.set)
			}
		}})
		st := p.c.Status()
		p.must(st.UserTimeout == c.want && st.PeerUserTimeout == c.say, "%s: it waits for %v, and the peer has said %v", c.name, st.UserTimeout, st.PeerUserTimeout)
		p.write(100)
		p.wait(c.want - time.Second)
		p.mustBe(tcp.Established)
		p.wait(time.Second)
		p.mustBe(tcp.Closed)
	}
	p := established(t, setup{syn: "<MSS=1460><UTO=900>"})
	p.must(p.c.Status().UserTimeout == 5*time.Minute, "who has not switched it on ignores it")
	seg := p.make(p.ack(1001))
	var b [60]byte
	n := wire.PutSegment(b[:], &wire.Flow{Local: wire.Addr4([4]byte{1}), Remote: wire.Addr4([4]byte{2})}, &wire.Segment{Flags: wire.ACK, Options: wire.Options{Set: wire.HasUserTimeout}}, 0)
	p.must(wire.ParseTCP(b[20:n], &seg) == 0 && !seg.Options.Has(wire.HasUserTimeout), "0 seconds are reserved, and ignored")
}

// Keep-alives do not end a connection that is to survive for longer: RFC 5482 section 4.2. They go all
// the same.
func TestUserTimeoutOptionAndKeepAlive(t *testing.T) {
	for option, want := range map[bool]time.Duration{false: 10 * 15 * time.Second, true: 75*time.Minute + 15*time.Second} {
		p := established(t, setup{cfg: tcp.Config{UserTimeout: 75 * time.Minute, UserTimeoutOption: option}})
		p.send(p.ack(1001))
		p.c.SetKeepAlive(p.now, true, 15*time.Second, 15*time.Second, 9)
		p.rec = nil
		p.taken()
		p.wait(want - time.Second)
		p.mustBe(tcp.Established)
		n := len(p.taken())
		p.must(n == int(want/(15*time.Second))-1, "%d probes have gone in %v", n, want)
		p.wait(time.Second)
		p.mustBe(tcp.Closed)
	}
}
