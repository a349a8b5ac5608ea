package tcp

// minBuffer is the least size of a buffer, in octets.
const minBuffer = 1 << 12

// SetReceiveBuffer sets RCV.BUFF of RFC 9293 section 3.8.6.2.2 for this connection, in
// octets: at least 4 KiB, at most 1 GiB. What has been offered to the peer is not taken back
// (SHLD-14). It is not tuned any more. The window scale is that of the handshake, so a buffer much
// larger than Config.ReceiveBuffer, or MaxReceiveBuffer, is not offered whole.
func (c *Conn) SetReceiveBuffer(octets int) {
	c.rcv.fixed, c.rcv.tuner = true, nil
	c.rcv.capacity = uint32(min(max(octets, minBuffer), maxReceive))
	if c.snd.synAcked {
		c.consumed() // what has become free may be worth an ACK
	}
}

// SetSendBuffer sets for this connection how many octets Send takes before an
// acknowledgment makes room: at least 4 KiB, at most 1 GiB. What is queued stays, and the
// buffer follows cwnd no more.
func (c *Conn) SetSendBuffer(octets int) {
	c.snd.capacity = uint32(min(max(octets, minBuffer), maxReceive))
	c.signal |= SignalWritable
}

// MemoryFreed tells a connection that has signaled SignalNoMemory that Config.BuffersInUse has
// fallen: it takes text again, and offers the window that it could not.
func (c *Conn) MemoryFreed() {
	c.signal |= SignalWritable
	if c.state.Synchronized() && !c.rcv.finSeen && c.windowUpdateDue() {
		c.oweAck()
	}
}
