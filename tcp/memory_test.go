package tcp_test

import (
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

// Config.MaxBuffers, with one connection: 4096 octets in all, and 2048 in each direction in
// any case.

func noMemory(t *testing.T) *peer {
	p := established(t, setup{cfg: tcp.Config{MaxBuffers: 4096}})
	p.must(p.c.Status().RcvWnd > 60000, "the SYN has offered a window: %d", p.c.Status().RcvWnd)
	return p
}

// Text for which there is no memory is not accepted: RCV.NXT stays before it, and an ACK says
// so. The FIN behind it waits for its turn.
func TestTextWithoutMemory(t *testing.T) {
	p := noMemory(t)
	p.send("<SEQ=2001><ACK=1001><LEN=4000><CTL=ACK>")
	p.expect("<SEQ=1001><ACK=6001><CTL=ACK>")
	p.c.TakeSignals()
	p.send("<SEQ=6001><ACK=1001><LEN=1000><CTL=FIN,ACK>")
	p.expect("<SEQ=1001><ACK=6097><CTL=ACK>")
	p.mustBe(tcp.Established)
	p.must(len(p.dropped) == 1 && p.dropped[0] == tcp.RuleNoMemory.String(), "dropped by %v", p.dropped)
	p.must(p.c.TakeSignals()&tcp.SignalNoMemory != 0, "the owner is told")
	p.must(p.cfg.BuffersInUse() == 4096, "%d octets are in use", p.cfg.BuffersInUse())
	p.must(p.receive(1<<16) == 4096, "what was accepted is read")
	p.taken()
	p.send("<SEQ=6097><ACK=1001><LEN=904><CTL=ACK>")
	p.mustBe(tcp.CloseWait)
	p.must(p.receive(1<<16) == 904, "and the rest")
	p.must(p.cfg.BuffersInUse() == 0, "all is given back")
}

// Out of order, text is held only as far as there is memory; what is in order has 2048 octets
// all the same, and a gap that is filled never takes the buffers beyond the bound.
func TestOutOfOrderWithoutMemory(t *testing.T) {
	p := noMemory(t)
	for _, seg := range []string{
		"<SEQ=3001><ACK=1001><LEN=1000><CTL=ACK>", "<SEQ=5001><ACK=1001><LEN=1000><CTL=ACK>",
		"<SEQ=7001><ACK=1001><LEN=1000><CTL=ACK>", "<SEQ=9001><ACK=1001><LEN=1000><CTL=ACK>",
		"<SEQ=11001><ACK=1001><LEN=1000><CTL=ACK>", // the fifth kilobyte
		"<SEQ=10001><ACK=1001><LEN=100><CTL=ACK>",  // one held would grow
	} {
		p.send(seg)
		p.expect("<SEQ=1001><ACK=2001><CTL=ACK>")
	}
	p.must(len(p.dropped) == 2 && p.dropped[0] == tcp.RuleTooManySpans.String(), "dropped by %v", p.dropped)
	p.must(p.c.Status().OutOfOrder == 4000 && p.cfg.BuffersInUse() == 4096, "%d octets are held", p.c.Status().OutOfOrder)
	p.send("<SEQ=2001><ACK=1001><LEN=1000><CTL=ACK>") // fills the first gap
	p.expect("<SEQ=1001><ACK=4001><CTL=ACK>")
	p.send("<SEQ=4001><ACK=1001><LEN=1000><CTL=ACK>") // there is memory for 48 of these
	p.must(p.cfg.BuffersInUse() <= 4096+2048, "%d octets are in use", p.cfg.BuffersInUse())
	p.receive(1 << 16)
	p.taken()
	for p.c.Status().RcvNxt != 12001 { // the peer sends again what is not acknowledged
		at := p.c.Status().RcvNxt
		p.send(p.data(at, 500))
		p.must(p.c.Status().RcvNxt != at, "nothing more is accepted at %v", at)
		p.must(p.cfg.BuffersInUse() <= 4096+2048, "%d octets are in use", p.cfg.BuffersInUse())
		p.receive(1 << 16)
		p.taken()
	}
	p.must(p.cfg.BuffersInUse() == 0, "all is given back")
}

// What has been offered is not taken back (SHLD-14), but no more is offered than there is
// memory for, until the owner says that there is some.
func TestWindowWithoutMemory(t *testing.T) { // SHLD-14
	p := noMemory(t)
	p.must(p.write(5000) == 4096, "the send queue has it all")
	for p.read != 2001+65535 { // what the SYN has offered
		p.send(p.data(p.c.Status().RcvNxt, min(2000, int(seq.Num(2001+65535).Sub(p.read)))))
		p.receive(2000)
		p.must(p.cfg.BuffersInUse() <= 4096+2048, "%d octets are in use", p.cfg.BuffersInUse())
	}
	p.wait(time.Second)
	p.must(p.c.Status().RcvWnd <= 2048, "a window of %d is offered; there are 2048 octets", p.c.Status().RcvWnd)
	p.taken()
	p.c.TakeSignals()
	for p.c.Status().Unacknowledged+p.c.Status().Unsent > 0 {
		p.ackAll()
	}
	p.c.TakeSignals()
	p.must(p.cfg.BuffersInUse() == 0, "the send queue gives back what it had")
	p.c.MemoryFreed()
	p.flush()
	p.must(p.c.TakeSignals()&tcp.SignalWritable != 0, "Send takes text again")
	p.must(p.c.Status().RcvWnd == 4096, "a window of %d is offered; there are 4096 octets", p.c.Status().RcvWnd)
}

// Who lacks memory that nobody holds will never have it: the owner is not asked to look out for
// some, or it would be told each time that there is some, and ask again.
func TestMemoryThatNobodyHolds(t *testing.T) {
	p := noMemory(t)
	for range 30 {
		p.send(p.data(p.c.Status().RcvNxt, 1400))
		p.receive(1 << 16)
		p.must(p.cfg.BuffersInUse() == 0, "nothing is held")
	}
	p.c.TakeSignals()
	p.c.MemoryFreed()
	p.flush()
	p.must(p.c.TakeSignals()&tcp.SignalNoMemory == 0, "it asks for memory that nobody holds")
}
