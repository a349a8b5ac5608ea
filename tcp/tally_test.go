package tcp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Status counts what has gone and come: octets, segments, what came behind a gap, what went again and
// why, what the peer has twice.
func TestCounts(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000><WS=4><SACKOK>", rtt: 100 * time.Millisecond, cfg: tcp.Config{NoDelay: true}})
	p.write(3500)
	p.wait(10 * time.Millisecond)
	p.send(p.data(2001, 1000), p.data(4001, 1000), p.data(3001, 1000))
	k := p.c.Status().Counts
	p.must(k.OctetsIn == 3000 && k.TextIn == 3 && k.SegmentsIn == 4 && k.OutOfOrderIn == 1, "three segments of text have come, one of them early, after a SYN,ACK: %+v", k)
	p.must(k.LastTextIn == p.now, "text has come just now: %v", k.LastTextIn)
	p.must(k.OctetsOut == 3500 && k.TextOut == 4 && int(k.SegmentsOut) >= 7 && k.OctetsAcked == 0, "four segments have gone, beside a SYN and ACKs: %+v", k)
	p.wait(90 * time.Millisecond)
	p.sack(1001, 2001, 4501)
	p.wait(30 * time.Millisecond)
	st := p.c.Status()
	p.must(st.Phase == tcp.PhaseRecovery && st.LastLoss == tcp.RuleRACK, "the first is lost, by RACK: %v, %v", st.Phase, st.LastLoss)
	p.must(st.Counts.OctetsOut == 4500 && st.Retransmitted == 1000, "and goes again: %+v", st.Counts)
	p.send("<SEQ=5001><ACK=4501><CTL=ACK><SACK=1001-2001>")
	st = p.c.Status()
	p.must(st.Counts.OctetsAcked == 3500 && st.Counts.Duplicates == 1 && st.Phase == tcp.PhaseOpen, "all is acknowledged, and the first has come twice: %+v", st.Counts)
}

// And for how long the connection was busy, and what kept it from sending more: the peer's window,
// the send buffer, or the path.
func TestWhatKeepsItBack(t *testing.T) {
	p := established(t, setup{syn: "<MSS=1000>", wnd: 2000, rtt: 10 * time.Millisecond, cfg: tcp.Config{NoDelay: true, SendBuffer: 8000}})
	limit := func(want tcp.Limit, why string) {
		t.Helper()
		p.must(p.c.Status().Limit == want, "%s: %v, want %v", why, p.c.Status().Limit, want)
	}
	p.wait(time.Second)
	limit(tcp.LimitNone, "the user has written nothing")
	p.write(4000)
	limit(tcp.LimitWindow, "the peer takes 2000")
	p.wait(50 * time.Millisecond)
	p.send(p.ack(3001)) // 2000 may go, and do
	limit(tcp.LimitPath, "all is on the way")
	p.wait(30 * time.Millisecond)
	p.ackAll()
	limit(tcp.LimitNone, "all is acknowledged")
	p.wait(time.Second)
	k := p.c.Status().Counts
	p.must(k.WindowLimited == 50*time.Millisecond && k.Busy == 80*time.Millisecond && k.BufferLimited == 0, "50 ms the window, 30 ms the path: %+v", k)

	p = established(t, setup{syn: "<MSS=1000>", rtt: 10 * time.Millisecond, cfg: tcp.Config{NoDelay: true, SendBuffer: 8000}})
	p.write(20_000) // 8000 of it are taken, and go
	limit(tcp.LimitBuffer, "the user has more than the buffer takes")
	p.wait(40 * time.Millisecond)
	p.ackAll()
	p.wait(time.Second)
	k = p.c.Status().Counts
	p.must(k.BufferLimited == 40*time.Millisecond && k.WindowLimited == 0, "the user has more than the buffer takes: %+v", k)

	p = bulk(t, "<SACKOK>")
	limit(tcp.LimitPath, "cwnd is full")
	p.send("<SEQ=2001><CTL=RST>")
	limit(tcp.LimitNone, "after a reset nothing is to be sent")
}

// Of what a reset has ended nothing waits: its queues have been flushed.
func TestNothingWaitsAfterAReset(t *testing.T) {
	p := opened(t, "<SACKOK>")
	p.write(5000)
	p.send("<SEQ=2001><CTL=RST>")
	p.mustBe(tcp.Closed)
	p.must(p.c.Status().Unsent == 0, "%d octets wait to be sent", p.c.Status().Unsent)
	p.must(p.c.Status().Err == tcp.ErrReset, "it has ended by %v", p.c.Status().Err)
}

// What a Status and a Config have is printed in words.
func TestWords(t *testing.T) {
	for want, is := range map[string][]any{
		"open, recovery, timeout":        {tcp.PhaseOpen, tcp.PhaseRecovery, tcp.PhaseTimeout},
		"none, path, window, buffer":     {tcp.LimitNone, tcp.LimitPath, tcp.LimitWindow, tcp.LimitBuffer},
		"accept, request, accurate, off": {tcp.ECNAccept, tcp.ECNRequest, tcp.ECNAccurate, tcp.ECNOff},
		"black hole, always, off":        {tcp.MTUProbeBlackHole, tcp.MTUProbeAlways, tcp.MTUProbeOff},
		"ECN(9), MTUProbing(9)":          {tcp.ECN(9), tcp.MTUProbing(9)},
		"none":                           {tcp.FastOpen{}},
		"no error, Error(99)":            {tcp.Error(0), tcp.Error(99)},
		"asked, fallback":                {tcp.FastOpen{Asked: true, Fallback: true}},
		"sent 100, acknowledged 60":      {tcp.FastOpen{Sent: 100, Acked: 60}},
		"received 7":                     {tcp.FastOpen{Received: 7}},
		"cep 5, ceb 0, e0b 1, e1b 1":     {tcp.ECNCounters{CEP: 5, E0B: 1, E1B: 1}},
	} {
		var words []string
		for _, v := range is {
			words = append(words, fmt.Sprint(v))
		}
		if got := strings.Join(words, ", "); got != want {
			t.Errorf("%s is printed for what is %s", got, want)
		}
	}
	if (tcp.Config{}).ECN != tcp.ECNAccept || (tcp.Config{}).MTUProbing != tcp.MTUProbeBlackHole {
		t.Error("the zero Config does not have the defaults that its comments state")
	}
}
