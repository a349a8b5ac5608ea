package host

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// Happy Eyeballs: RFC 8305 section 5. All attempts of a race are connections of one host, so it
// needs no goroutine: they share the gate at which their caller waits.

// MinAttemptDelay is the least time between two attempts of DialFirst: "a subsequent connection MUST
// NOT be started within 10 milliseconds of the previous attempt" (RFC 8305 section 5).
const MinAttemptDelay = 10 * time.Millisecond

// DialFirst is Dial of several addresses, in their order: when one has not answered within delay the
// next is tried beside it, and when one fails the next is tried at once. The first that is
// established is returned, and the others are given up. The error is that of the first address; or of
// ctx, when that has not failed before. A delay below MinAttemptDelay is that.
func (h *Host) DialFirst(ctx context.Context, local netip.AddrPort, remotes []netip.AddrPort, delay time.Duration, config DialConfig) (*Conn, error) {
	c, _, err := h.dialFirst(ctx, &race{local: local, remotes: remotes, delay: delay, config: config})
	return c, err
}

// DialFirstFastOpen is DialFirst as DialFastOpen: data may reach the servers of all the addresses.
func (h *Host) DialFirstFastOpen(ctx context.Context, local netip.AddrPort, remotes []netip.AddrPort, delay time.Duration, config DialConfig, data []byte) (*Conn, int, error) {
	return h.dialFirst(ctx, &race{local: local, remotes: remotes, delay: delay, config: config, fast: true, data: data})
}

// race is what DialFirst knows of its attempts.
type race struct {
	host    *Host
	gate    lazyGate // of all of them
	local   netip.AddrPort
	remotes []netip.AddrPort // that are still to be tried
	delay   time.Duration
	config  DialConfig
	fast    bool
	data    []byte

	tries  []try
	latest *Conn    // the attempt that was made last, unless it has failed
	begun  tcp.Time // then
	next   tcp.Time // when the one after it is due
	first  error    // of the first address
}

// try is an attempt.
type try struct {
	conn   *Conn // nil: it has failed
	queued int   // of the data
}

func (h *Host) dialFirst(ctx context.Context, r *race) (*Conn, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r.host, r.delay = h, max(r.delay, MinAttemptDelay)
	r.gate.gate = &gate{cond: sync.Cond{L: &h.mu}}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			r.gate.wake()
		})
		defer stop()
	}
	for {
		now := h.now()
		switch won := r.look(now); {
		case h.closed:
			return r.end(now, nil, ErrClosed)
		case won != nil:
			return r.end(now, won, nil)
		case ctx.Err() != nil:
			return r.end(now, nil, ctx.Err())
		case r.running() == 0 && len(r.remotes) == 0:
			return r.end(now, nil, r.first)
		case len(r.remotes) > 0 && now >= r.next:
			r.start(now)
		default:
			r.wait()
		}
	}
}

// start makes the next attempt.
func (r *race) start(now tcp.Time) {
	remote := r.remotes[0]
	r.remotes = r.remotes[1:]
	c, n, err := r.host.attempt(now, r.local, remote, r.config, r.fast, r.data)
	r.tries = append(r.tries, try{c, n})
	if err != nil {
		r.failed(len(r.tries)-1, err)
		return // nothing has been sent, so the next may go at once
	}
	c.rd = r.gate
	r.latest, r.begun, r.next = c, now, now.Add(r.delay)
	r.host.flush(now)
}

// look sees who has come to an end: it returns who is established, and makes the next attempt due
// when one has failed.
func (r *race) look(now tcp.Time) *try {
	for i := range r.tries {
		t := &r.tries[i]
		if t.conn == nil {
			continue
		}
		switch done, err := t.conn.outcome(); {
		case !done:
		case err == nil:
			return t
		default:
			r.failed(i, err)
			if t.conn == r.latest {
				r.latest = nil
			}
			t.conn.abandon(now)
			t.conn = nil
			r.hurry(now)
		}
	}
	return nil
}

// hurry makes the next attempt due when one has failed. The least delay of RFC 8305 section 5 is
// "required to avoid congestion collapse in the presence of high packet-loss rates": an attempt that
// has been answered, were it by a reset, has lost nothing and holds up nobody. One that waits does.
func (r *race) hurry(now tcp.Time) {
	due := now
	if r.latest != nil {
		due = max(due, r.begun.Add(MinAttemptDelay))
	}
	r.next = min(r.next, due)
}

// failed notes an error.
func (r *race) failed(i int, err error) {
	if i == 0 {
		r.first = err
	}
}

func (r *race) running() (n int) {
	for _, t := range r.tries {
		if t.conn != nil {
			n++
		}
	}
	return n
}

// wait waits for news of any attempt, and until the next is due.
func (r *race) wait() {
	r.gate.deadline = 0
	if len(r.remotes) > 0 {
		r.gate.deadline = r.next
	}
	r.gate.wait(r.host)
}

// end gives up all attempts but the one that has won, and leaves no timer.
func (r *race) end(now tcp.Time, won *try, err error) (*Conn, int, error) {
	for i := range r.tries {
		t := &r.tries[i]
		switch {
		case t.conn == nil:
		case t == won:
			t.conn.rd = lazyGate{}
		default:
			t.conn.abandon(now) // "SHOULD be canceled": RFC 8305 section 5
		}
	}
	r.gate.shut()
	r.host.flush(now)
	if won != nil {
		return won.conn, won.queued, nil
	}
	if r.first != nil && !r.host.closed {
		err = r.first
	}
	return nil, 0, err
}
