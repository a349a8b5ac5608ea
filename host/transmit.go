package host

import (
	"errors"
	"runtime"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
)

const (
	// rounds is how many batches a caller sends for everybody before it goes its way. What
	// is left then is sent by the next caller or by the timer, whichever comes first, so
	// that no Write is kept for as long as others keep the network busy.
	rounds = 4
	// budget is the size of a batch in octets: two super-segments.
	budget = 128 << 10
)

// flush ends every piece of work: what it has made the stack want to send is sent, and
// the timer runs at the stack's next deadline. It is called with the lock, and gives it up
// while a link sends.
func (h *Host) flush(now tcp.Time) {
	if h.sending {
		h.kicked = true
	} else {
		now = h.transmit(now)
	}
	h.arm(now)
	h.wakeAll()
}

// transmit is the transmitter: there is one at a time. Whoever finds that there is one
// leaves what it has to send, and the transmitter finds it. It returns what time it has
// become.
//
// After each batch it lets go of its office and of the processor: the batch has woken those
// that it was for, and who never blocks, as a writer that finds room all the time, would keep
// them waiting until the scheduler takes its turn away, which is after 10 ms. A round trip of
// one octet beside such a writer, on two processors, took 500 µs, and one in a hundred 5 ms;
// so it takes 20 µs and 400 µs, and the writer is no slower (BenchmarkLatency).
func (h *Host) transmit(now tcp.Time) tcp.Time {
	for range rounds {
		var more bool
		if now, more = h.round(now); !more && !h.kicked {
			break
		}
		h.kicked = true
		h.mu.Unlock()
		runtime.Gosched()
		h.mu.Lock()
		now = h.now()
		if h.sending || !h.kicked {
			break // somebody else has taken over
		}
	}
	return now
}

// round makes and sends one batch. It returns what time it has become, and whether there is more.
func (h *Host) round(now tcp.Time) (tcp.Time, bool) {
	h.sending, h.kicked = true, false
	defer h.resign()
	h.refill(now)
	more := h.core.Output(now, &h.batch)
	if h.batch.Len() > 0 {
		for _, e := range h.send() {
			e.port.end(e.err)
		}
		now = h.now()
	}
	return now, more
}

// resign lets go of the transmitter's office, also where a function of the user's has panicked.
func (h *Host) resign() {
	h.batch.Reset()
	h.sending = false
	if h.closed {
		h.idle.Broadcast()
	}
}

// ended is a link that has ended, and why.
type ended struct {
	port *port
	err  error
}

// send gives the batch to the links, without the lock, and returns those that have ended. What
// was for them is lost, as on any other. It takes the lock again though a link panics, or the user of
// another host behind it, within its Send: whoever has called this one unlocks it on the way up.
func (h *Host) send() (gone []ended) {
	h.mu.Unlock()
	defer h.mu.Lock()
	ports := *h.ports.Load()
	for iface, packets := range h.batch.Runs() {
		p := ports[iface]
		if p == nil { // it has been taken away since
			continue
		}
		if err := p.link.Send(packets); errors.Is(err, link.ErrClosed) {
			gone = append(gone, ended{p, err})
		}
	}
	return gone
}

// refill queues for the writers that wait what there is room for now.
func (h *Host) refill(now tcp.Time) {
	for i, c := range h.fillable {
		h.fillable[i] = nil
		c.filling = false
		if j := c.job; j != nil && len(j.rest) > 0 && j.err == nil && !c.closed && !h.closed {
			c.fill(now)
		}
	}
	h.fillable = h.fillable[:0]
}

// arm sets the timer to the stack's next deadline. A timer that runs earlier is left
// alone: it finds nothing to do, and arms itself anew.
func (h *Host) arm(now tcp.Time) {
	at := h.core.Deadline()
	if h.kicked && !h.sending {
		at = now // the transmitter has left in the middle of its work
	}
	if h.closed || at >= h.armed {
		return
	}
	h.armed = at
	d := max(at.Sub(now), 0)
	if h.timer == nil {
		h.timer = time.AfterFunc(d, h.expire)
		return
	}
	h.timer.Reset(d)
}

// expire is the timer's function.
func (h *Host) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed = tcp.Never
	if h.closed {
		h.idle.Broadcast()
		return
	}
	now := h.now()
	h.core.Timeout(now)
	h.flush(now)
}
