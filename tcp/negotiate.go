package tcp

// What the SYNs agree on: RFC 9293 sections 3.4 and 3.7.1 (MSS), RFC 7323 sections 2 and
// 3 (window scale, timestamps), RFC 2018 section 2 (SACK permitted).

import (
	"math/bits"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

const (
	minMTU           = 68   // RFC 791: what every link must carry
	minPathMTU4      = 576  // what an ICMP message can lower an IPv4 path to; RFC 1122 section 3.3.3
	minPathMTU6      = 1280 // RFC 8200 section 5
	defaultMSS4      = 536  // MUST-15: 576 - 40
	defaultMSS6      = 1220 // MUST-15: 1280 - 60
	tcpHeader        = 20
	timestampsLength = 12 // with two NOPs that align it
	sackLength       = 4  // two NOPs, kind, length; then 8 octets a block
)

// optionVars is what the two SYNs have agreed on, and the state of timestamps.
type optionVars struct {
	timestamps bool
	sack       bool
	scale      bool
	tsRecent   uint32 // TS.Recent
	tsOffset   uint32
	tsRecentAt Time // when TS.Recent was last updated
	tsSince    Time // when our first timestamp was sent
	tsPast     pastTimestamp
}

// checkRemote returns ErrInvalidRemote for an address that is not one host's (MUST-46).
// The stack knows the broadcast addresses of its subnets and checks them before.
func checkRemote(f wire.Flow) Error {
	switch {
	case f.Remote.IsUnspecified() || f.RemotePort == 0:
		return ErrUnspecified
	case f.Remote.IsMulticast() || f.Remote == wire.Addr4([4]byte{255, 255, 255, 255}):
		return ErrInvalidRemote
	}
	return 0
}

func (c *Conn) ipHeader() uint32 {
	if c.flow.Remote.Is4() {
		return 20
	}
	return 40
}

// receiveMSS is the MSS to announce: the MTU less the fixed headers, "ignoring both IP and
// TCP options" (MUST-67).
func (c *Conn) receiveMSS() uint16 { return c.mtu - uint16(c.ipHeader()) - tcpHeader }

// pmtu is EMTU_S, the largest packet that the path is known to carry.
func (c *Conn) pmtu() uint16 {
	if c.pathMTU != 0 {
		return c.pathMTU
	}
	return c.mtu
}

func (c *Conn) setPathMTU(mtu int) {
	c.pathMTU = min(clampMTU(mtu), c.mtu)
}

func (c *Conn) defaultMSS() uint32 {
	if c.flow.Remote.Is4() {
		return defaultMSS4
	}
	return defaultMSS6
}

// mss is Eff.snd.MSS of RFC 9293 section 3.7.1 for a segment without SACK blocks (MUST-16).
func (c *Conn) mss() uint32 {
	return c.textOf(c.pmtu())
}

// synchronize selects ISS and queues a SYN: "Set SND.UNA to ISS, SND.NXT to ISS+1".
func (c *Conn) synchronize(now Time) {
	c.startSequence(c.cfg.isn(now, c.flow))
	if c.opened == Active {
		c.offerOptions()
	}
	c.opt.tsSince = now
	c.timer.progress = now
	c.rto.reset()
	c.timer.tellTimeout = true
	c.oweSYN(now)
}

func (c *Conn) startSequence(iss seq.Num) {
	c.iss = iss
	c.snd.una, c.snd.nxt = iss, iss+1
	c.snd.up = iss
	c.cc.recover = iss
	c.opt.tsOffset = c.cfg.timestampOffset(c.flow)
	if c.opened == Active || c.snd.mss == 0 {
		c.snd.mss = c.defaultMSS()
	}
}

// SetISNFloor makes the next SYN's sequence number larger than floor: for a connection
// that reopens one in TIME-WAIT, MAY-2: it "assigns its initial sequence number for the new
// connection to be larger than the largest sequence number it used on the previous".
// It is for a connection in SYN-SENT or SYN-RECEIVED whose SYN has not been taken from
// Output.
func (c *Conn) SetISNFloor(floor seq.Num) {
	if c.state != SynSent && c.state != SynReceived || floor.Less(c.iss) {
		return
	}
	const margin = 1 << 16 // more than the old connection's window may still be under way
	c.startSequence(floor.Add(margin))
}

// offerOptions sets what our SYN offers; receiveSYN takes back what the peer's does not.
func (c *Conn) offerOptions() {
	c.opt.timestamps = !c.cfg.NoTimestamps
	c.opt.sack = !c.cfg.NoSACK
	c.opt.scale = !c.cfg.NoWindowScale
	c.rcv.shift = 0
	if c.opt.scale {
		c.rcv.shift = windowShift(c.receiveCeiling())
	}
}

// windowShift is the least shift that lets the window field express what is offered of capacity:
// some units less than all (offerable).
func windowShift(capacity uint32) uint8 {
	return uint8(min(bits.Len32((capacity-1)>>16), maxWindowShift))
}

// receiveSYN takes RCV.NXT, IRS and the options from the peer's SYN, and leaves in seg what
// follows the SYN: "processing of SYN and ACK should not be repeated".
func (c *Conn) receiveSYN(now Time, seg *wire.Segment) {
	if c.state == Listen {
		c.offerOptions()
	}
	c.rxTC = seg.TC
	o := &seg.Options
	c.rcv.synSeen = true
	c.irs = seg.Seq
	c.rcv.nxt = seg.Seq + 1
	c.rcv.up = c.rcv.nxt
	c.rcv.lastAck = c.rcv.nxt

	c.snd.mss = c.defaultMSS() // MUST-15
	if o.Has(wire.HasMSS) {    // MUST-14
		c.snd.mss = max(uint32(o.MSS), uint32(c.cfg.MinSendMSS))
	}
	c.opt.scale = c.opt.scale && o.Has(wire.HasWindowScale)
	c.snd.shift = 0
	if c.opt.scale {
		c.snd.shift = min(o.WindowScale, maxWindowShift)
	} else {
		c.rcv.shift = 0
	}
	c.opt.sack = c.opt.sack && o.Has(wire.HasSACKPermitted)
	c.agreeECN(seg)
	c.hearUserTimeout(seg)
	c.readFastOpen(seg)
	c.opt.timestamps = c.opt.timestamps && o.Has(wire.HasTimestamps)
	if c.opt.timestamps {
		c.beginTimestamps(now, o.TSVal)
	}
	c.rcv.wnd = min(c.offerable(), 1<<16-1)

	c.snd.wnd = uint32(seg.Wnd) // RFC 7323 section 2.2: the window of a SYN is not scaled
	c.snd.maxWnd = c.snd.wnd
	c.snd.wl1, c.snd.wl2 = seg.Seq, seg.Ack

	seg.Flags &^= wire.SYN
	seg.Seq++
	c.trim(seg)
}
