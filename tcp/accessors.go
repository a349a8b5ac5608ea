package tcp

import "github.com/vitro-net/vitro/seq"

// Single variables, for whoever holds many connections: Status costs more.

// Buffered returns how many octets of memory the connection's buffers have, used or not.
func (c *Conn) Buffered() int {
	n := len(c.snd.queue.buf) + len(c.rcv.queue.buf)
	for i := range c.rcv.held {
		n += len(c.rcv.held[i].text.buf)
	}
	return n
}

// Progress returns two numbers, each of which moves on only as the connection does: what the
// peer has acknowledged, and what the user has read.
func (c *Conn) Progress() (acknowledged, read seq.Num) {
	return c.snd.una, c.rcv.nxt.Add(-c.rcv.queue.n)
}

// FinQueued reports whether the user has closed.
func (c *Conn) FinQueued() bool { return c.snd.finQueued }

// UrgentLeft returns how many octets of urgent data have not been read (MUST-33).
func (c *Conn) UrgentLeft() uint32 { return c.urgentLeft() }

// SndUna returns SND.UNA.
func (c *Conn) SndUna() seq.Num { return c.snd.una }

// SndNxt returns SND.NXT.
func (c *Conn) SndNxt() seq.Num { return c.snd.nxt }
