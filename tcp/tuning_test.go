package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// tuned is a connection whose peer scales windows and, unless plain, has timestamps. Its ACKs are
// not delayed, so that the peer's next burst follows from the last of them.
func tuned(t *testing.T, plain bool, cfg tcp.Config) *peer {
	t.Helper()
	syn := "<MSS=1460><WS=10>"
	if !plain {
		syn += "<TS=1,0>"
	}
	cfg.DelayedAck = -1
	p := established(t, setup{syn: syn, rtt: 100 * time.Millisecond, cfg: cfg})
	p.rec = nil
	return p
}

// burst is what a peer sends in a round trip: up to n octets, so far as the window lets it, which
// echo the timestamp of the last ACK before them. The user reads each segment when it has come,
// or not. Segments are whole units of the window field, so that none of its edges is lost to
// rounding. It returns how much was sent.
func (p *peer) burst(n int, reads bool) (sent int) {
	p.t.Helper()
	p.tsval++
	echo := p.tsecr
	edge := p.edge
	for sent < n && p.c.Status().RcvNxt.Less(edge) {
		at := p.c.Status().RcvNxt
		seg := p.make(p.data(at, min(1280, n-sent, int(edge.Sub(at)))))
		seg.Options.TSEcr = echo
		sent += len(seg.Text)
		p.arrive(&seg)
		if reads {
			p.receive(1280)
		}
		p.flush()
	}
	p.taken()
	return sent
}

// stuff writes as long as something is taken.
func (p *peer) stuff() {
	p.t.Helper()
	for p.write(1<<18) > 0 {
	}
}

// Dynamic right-sizing: RCV.BUFF is at least twice what the user reads in a round trip, from the
// first to the ceiling, so that a peer in slow start never meets the window.
func TestReceiveBufferGrows(t *testing.T) {
	const ceiling = 4 << 20
	for _, plain := range []bool{false, true} {
		p := tuned(t, plain, tcp.Config{})
		p.must(p.c.Status().ReceiveBuffer == 128<<10 && p.c.Status().MaxReceiveBuffer == 16<<20, "it begins with 128 KiB of at most 16 MiB: %+v", p.c.Status())
		p = tuned(t, plain, tcp.Config{MaxReceiveBuffer: ceiling})
		buffer := uint32(0)
		for cwnd := 12800; cwnd < ceiling; cwnd *= 2 {
			n := p.burst(cwnd, true)
			p.wait(100 * time.Millisecond)
			st := p.c.Status()
			// Without timestamps the first window measures the round trip: 64 KiB have come by then.
			p.must(n == cwnd || plain && cwnd < 200000, "%v: of %d octets the window lets %d go; RCV.BUFF is %d", plain, cwnd, n, st.ReceiveBuffer)
			p.must(st.ReceiveBuffer >= min(2*uint32(n), ceiling)-2560 || plain && cwnd < 200000, "RCV.BUFF is %d where %d are read in a round trip", st.ReceiveBuffer, n)
			p.must(st.ReceiveBuffer >= buffer && st.ReceiveBuffer <= ceiling, "RCV.BUFF goes from %d to %d", buffer, st.ReceiveBuffer)
			buffer = st.ReceiveBuffer
			if cwnd > 200000 {
				p.must(st.ReceiverRTT >= 100*time.Millisecond && st.ReceiverRTT <= 102*time.Millisecond || plain && st.ReceiverRTT <= 300*time.Millisecond,
					"%v: the receiver's round trip is %v; it is 100 ms", plain, st.ReceiverRTT)
			}
		}
		p.must(buffer == ceiling, "RCV.BUFF ends with %d", buffer)
		p.must(p.cfg.BuffersInUse() == 0, "and memory is used by what waits: nothing; %d octets are held", p.cfg.BuffersInUse())
	}
}

// A rate that does not grow needs no more: three million octets at 1 MB/s and 100 ms are read out of
// a buffer that stays small.
func TestReceiveBufferStaysSmall(t *testing.T) {
	p := tuned(t, false, tcp.Config{})
	for range 300 { // ten milliseconds each
		p.burst(10000, true)
		p.wait(10 * time.Millisecond)
	}
	p.must(p.c.Status().ReceiveBuffer <= 512<<10, "RCV.BUFF is %d where 100 kB are read in a round trip", p.c.Status().ReceiveBuffer)
}

// ATTACKS: a peer that sends fast to a user who does not read. It makes us hold what RCV.BUFF is at
// first and no more, whatever it echoes.
func TestUserWhoDoesNotRead(t *testing.T) {
	p := tuned(t, false, tcp.Config{})
	for i := range 100 {
		p.burst(1<<20, false)
		p.wait(50 * time.Millisecond)
		p.tsecr -= uint32(i) // older and older
	}
	st := p.c.Status()
	p.must(st.ReceiveBuffer == 128<<10 && st.Unread <= 128<<10 && p.cfg.BuffersInUse() <= 128<<10, "%d octets wait, %d are held, RCV.BUFF is %d", st.Unread, p.cfg.BuffersInUse(), st.ReceiveBuffer)
}

// A user who reads seldom, and then all there is, does not read fast: RCV.BUFF does not double each
// time.
func TestUserWhoGulps(t *testing.T) {
	for _, plain := range []bool{false, true} {
		p := tuned(t, plain, tcp.Config{})
		for range 30 {
			for range 20 { // two seconds in which all comes that may
				p.burst(1<<20, false)
				p.wait(100 * time.Millisecond)
			}
			p.receive(1 << 20)
		}
		p.must(p.c.Status().ReceiveBuffer <= 512<<10, "RCV.BUFF is %d where some 100 kB are read in two seconds", p.c.Status().ReceiveBuffer)
	}
}

// ATTACKS: timestamps that are echoed too late, too early or never make the receiver's round trip
// neither longer than the connection's life nor RCV.BUFF larger than its ceiling. Too early a one
// can only keep it small.
func TestForgedReceiverRTT(t *testing.T) {
	for _, forge := range []struct {
		name string
		echo func(p *peer) uint32
		wide bool // RCV.BUFF may grow
	}{
		{name: "always the newest", echo: func(p *peer) uint32 { return p.tsecr }},
		{name: "the first of all", echo: func(p *peer) uint32 { return p.tsecr - uint32(p.now.Sub(epoch)/time.Millisecond) }, wide: true},
		{name: "from before its life", echo: func(p *peer) uint32 { return p.tsecr - 1<<30 }, wide: true},
		{name: "from the future", echo: func(p *peer) uint32 { return p.tsecr + 1000 }, wide: true},
		{name: "none", echo: func(*peer) uint32 { return 0 }, wide: true},
	} {
		p := tuned(t, false, tcp.Config{MaxReceiveBuffer: 1 << 20})
		for range 80 {
			echo := forge.echo(p)
			was := p.tsecr
			p.tsecr = echo
			p.burst(60000, true)
			if p.tsecr == echo {
				p.tsecr = was
			}
			p.wait(100 * time.Millisecond)
			st := p.c.Status()
			p.must(st.ReceiverRTT <= p.now.Sub(epoch), "%s: the round trip is %v after %v", forge.name, st.ReceiverRTT, p.now.Sub(epoch))
			p.must(st.ReceiveBuffer <= 1<<20, "%s: RCV.BUFF is %d", forge.name, st.ReceiveBuffer)
		}
		p.must(forge.wide || p.c.Status().ReceiveBuffer <= 256<<10, "%s: RCV.BUFF is %d", forge.name, p.c.Status().ReceiveBuffer)
	}
}

// What the user has fixed stays, and what is tuned is not offered beyond the scale that the SYN
// had: "The maximum receive window, and therefore the scale factor, is determined by the maximum
// receive buffer space", RFC 7323 section 2.1.
func TestFixedBuffers(t *testing.T) {
	grow := func(p *peer) {
		for cwnd := 12800; cwnd < 1<<20; cwnd *= 2 {
			p.burst(cwnd, true)
			p.wait(100 * time.Millisecond)
		}
	}
	p := tuned(t, false, tcp.Config{ReceiveBuffer: 100000, SendBuffer: 50000})
	grow(p)
	st := p.c.Status()
	p.must(st.ReceiveBuffer == 100000 && st.MaxReceiveBuffer == 100000, "RCV.BUFF is fixed: %d of %d", st.ReceiveBuffer, st.MaxReceiveBuffer)
	p.must(p.write(1<<20) == 50000, "the send buffer is fixed")

	p = tuned(t, false, tcp.Config{})
	p.c.SetReceiveBuffer(200000)
	p.c.SetSendBuffer(300000)
	grow(p)
	st = p.c.Status()
	p.must(st.ReceiveBuffer == 200000 && st.MaxReceiveBuffer == 200000, "RCV.BUFF is fixed now: %d of %d", st.ReceiveBuffer, st.MaxReceiveBuffer)
	p.must(p.write(1<<20) == 300000, "the send buffer is fixed now")

	for _, ceiling := range []int{4096, 65535, 1 << 18, 1 << 24, 1 << 30} {
		p = tuned(t, false, tcp.Config{MaxReceiveBuffer: ceiling})
		st = p.c.Status()
		p.must(st.RcvShift <= 14 && ceiling <= 65536<<st.RcvShift, "a shift of %d is enough for %d octets", st.RcvShift, ceiling)
		p.must(st.ReceiveBuffer <= uint32(ceiling), "RCV.BUFF is %d of %d", st.ReceiveBuffer, ceiling)
		grow(p)
		p.must(int(p.c.Status().ReceiveBuffer) >= min(ceiling, 1<<20) && int(p.c.Status().ReceiveBuffer) <= ceiling, "RCV.BUFF has grown to %d of %d", p.c.Status().ReceiveBuffer, ceiling)
	}
}

// Where memory is short buffers do not grow, so that others find some.
func TestBuffersDoNotGrowWithoutMemory(t *testing.T) {
	p := tuned(t, false, tcp.Config{MaxBuffers: 1 << 20})
	for cwnd := 12800; cwnd < 1<<20; cwnd *= 2 {
		p.burst(cwnd, true)
		p.wait(100 * time.Millisecond)
	}
	p.must(p.c.Status().ReceiveBuffer == 128<<10, "RCV.BUFF is %d of the mebibyte there is for all", p.c.Status().ReceiveBuffer)
	for range 12 {
		p.stuff()
		p.ackAll()
	}
	p.must(p.c.Status().Cwnd > 200000, "cwnd is %d: the test tests nothing", p.c.Status().Cwnd)
	p.must(p.c.Status().SendBuffer <= 128<<10, "the send buffer is %d of the mebibyte there is for all", p.c.Status().SendBuffer)
}

// The send buffer has what is outstanding and, behind it, as much as cwnd lets go: what is written
// waits no longer than a round trip, and the path never waits for it.
func TestSendBufferFollowsCwnd(t *testing.T) {
	p := tuned(t, false, tcp.Config{})
	p.send(p.ack(1001))
	st := p.c.Status()
	p.must(st.SendBuffer == 64<<10 && st.MaxSendBuffer == 16<<20, "it begins with 64 KiB of at most 16 MiB: %d of %d", st.SendBuffer, st.MaxSendBuffer)
	for range 8 {
		p.stuff()
		st = p.c.Status()
		p.must(st.Unsent >= st.Cwnd, "%d octets wait, cwnd is %d", st.Unsent, st.Cwnd)
		p.must(st.Unsent <= max(st.Cwnd, 64<<10), "%d octets wait behind %d, cwnd is %d", st.Unsent, st.Unacknowledged, st.Cwnd)
		p.wait(100 * time.Millisecond)
		p.taken()
		p.ackAll()
	}
	p.must(p.c.Status().SendBuffer > 4<<20, "it has grown to %d", p.c.Status().SendBuffer)

	// A path that has become slow: what waits goes, and no more is taken.
	p.stuff()
	p.wait(time.Second)
	p.must(p.c.Status().Cwnd < 10000, "cwnd is %d after a timeout", p.c.Status().Cwnd)
	p.must(p.write(1<<20) == 0, "what waits is more than cwnd: none is taken")
}

// ATTACKS: a peer that offers a huge window and takes nothing, or took much and takes nothing now,
// makes us hold no more than cwnd allows, and than the ceiling.
func TestPeerThatDoesNotAcknowledge(t *testing.T) {
	p := tuned(t, false, tcp.Config{MaxSendBuffer: 4 << 20})
	p.send(p.ack(1001))
	p.must(p.c.Status().SndWnd > 60<<20, "a window of %d", p.c.Status().SndWnd)
	p.stuff()
	p.must(p.cfg.BuffersInUse() <= 128<<10, "%d octets are held for a peer that has acknowledged nothing", p.cfg.BuffersInUse())
	for range 30 {
		p.taken()
		p.wait(10 * time.Millisecond)
		p.ackAll()
		p.stuff()
	}
	for range 100 {
		p.stuff()
		p.wait(time.Second)
	}
	p.must(p.c.Status().SendBuffer == 4<<20 && p.cfg.BuffersInUse() <= 4<<20, "%d octets are held, the send buffer is %d", p.cfg.BuffersInUse(), p.c.Status().SendBuffer)
}

// To another process of this machine no more waits than the processor's caches hold: a mebibyte, where
// the round trip is less than a quarter of a millisecond.
func TestNearPeer(t *testing.T) {
	for rtt, most := range map[time.Duration]uint32{50 * time.Microsecond: 1 << 20, 10 * time.Millisecond: 4 << 20} {
		p := tuned(t, false, tcp.Config{MaxSendBuffer: 4 << 20})
		p.send(p.ack(1001))
		for range 30 {
			p.stuff()
			p.taken()
			p.wait(rtt)
			p.ackAll()
		}
		p.stuff()
		p.must(p.c.Status().SendBuffer == most, "after %v of round trips the send buffer is %d; want %d", rtt, p.c.Status().SendBuffer, most)
	}
}
