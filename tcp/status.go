package tcp

// 3.10.6. STATUS Call, RFC 9293 section 3.9.1.5.

import (
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/wire"
)

// Status is what Conn.Status returns: the variables of section 3.3.1 and what the machine knows of
// the path. What a congestion control thinks, and what has become of each octet that is outstanding,
// is not in it.
//
// Err is an Error of this package, as Conn.Err returns it. Where package host or vitro gives the Status,
// errors.Is finds in it the errno too that Read and Write have for the same end: syscall.ECONNRESET
// for ErrReset.
type Status struct {
	Flow   wire.Flow
	State  State
	Opened OpenMode
	Err    error // why it is CLOSED; nil: it is not, or has ended in order

	ISS, SndUna, SndNxt, SndUp, SndWL1, SndWL2 seq.Num
	SndWnd, MaxSndWnd                          uint32 // octets
	SndShift                                   uint8
	IRS, RcvNxt, RcvUp                         seq.Num
	RcvWnd                                     uint32 // octets
	RcvShift                                   uint8

	Unsent                          uint32 // octets queued and never sent
	Unacknowledged                  uint32 // sequence numbers sent and not acknowledged
	Unread                          uint32 // octets received and not read
	OutOfOrder                      uint32 // octets held behind a gap
	Buffered                        uint32 // octets of memory in both buffers
	ReceiveBuffer, MaxReceiveBuffer uint32 // RCV.BUFF, and up to where it grows; octets
	SendBuffer, MaxSendBuffer       uint32 // what Send may queue now, and at most; octets
	UrgentLeft                      uint32 // octets of urgent data not read; 0 is normal mode (MUST-33)

	MSS                      uint32       // Eff.snd.MSS, octets
	SendMSS                  uint32       // what the peer announced, or the default
	PathMTU                  int          // octets
	MTUState                 PathMTUState // of the search for it
	MTUProbes, MTUProbesLost uint32       // sent in the search, and of these lost
	Timestamps               bool
	SACK                     bool
	Scale                    bool
	NoDelay                  bool
	FinQueued                bool
	FinSent                  bool

	SRTT, RTTVar, RTO time.Duration // RTO after backoff
	Congestion        string        // the congestion control's name, "" before there is one
	Cwnd, Ssthresh    uint32        // octets
	PacingRate        uint64        // octets a second, 0: not paced
	Flight            uint32        // octets deemed to be in the network
	Recovering        bool          // in fast recovery: Phase is PhaseRecovery
	Recoveries        uint32        // of them, in the connection's life
	Timeouts          uint32        // of the retransmission timer
	Undone            uint32        // recoveries and timeouts that were spurious
	Marks             uint32        // ACKs whose marks have reduced cwnd (RFC 3168)
	ECN               bool          // both ends use it
	FastOpen          FastOpen      // what RFC 7413 has done
	AccECN            bool          // with accurate feedback (RFC 9768)
	ECNMute           bool          // nothing is sent as ECN-capable, though ECN is agreed
	ECNReceived       ECNCounters   // r.cep, r.ceb, r.e0b, r.e1b; zero without AccECN
	ECNSent           ECNCounters   // s.cep, s.ceb, s.e0b, s.e1b
	Retransmitted     uint64        // octets
	Reported, Lost    uint32        // octets: by SACK, and deemed lost
	MinRTT            time.Duration // the least of the last minutes, 0: unknown
	ReceiverRTT       time.Duration // as the receiving side measures it, no less than it is; 0: unknown
	Retransmissions   uint8         // of the segment at SND.UNA, in a row
	Probes            uint8         // zero-window probes in a row
	UserTimeout       time.Duration // R2; negative: for ever
	PeerUserTimeout   time.Duration // what the peer has said (RFC 5482), 0: nothing
	TrafficClass      uint8
	HopLimit          uint8
	Soft              SoftError // the last
	Deadline          Time      // of the next timer, or Never

	Phase      Phase  // of recovery
	LastLoss   Rule   // why something was last to be sent again; 0: nothing was
	Backoff    uint8  // how often the RTO is doubled
	Reordering bool   // segments have overtaken each other: RACK waits for them (RFC 8985 section 6.2)
	ReceiveMSS uint32 // text of the longest segment that has come, octets
	Limit      Limit  // what keeps it from sending more now; for how long what has, Counts says
	Counts     Counts
	Auth       AuthStatus
}

// Status returns the connection's state and variables. It may be called at any time; a
// CLOSED connection answers too.
func (c *Conn) Status() Status {
	s := Status{
		Flow: c.flow, State: c.state, Opened: c.opened, Err: c.Err(),
		ISS: c.iss, SndUna: c.snd.una, SndNxt: c.snd.nxt, SndUp: c.snd.up, SndWL1: c.snd.wl1, SndWL2: c.snd.wl2,
		SndWnd: c.snd.wnd, MaxSndWnd: c.snd.maxWnd, SndShift: c.snd.shift,
		IRS: c.irs, RcvNxt: c.rcv.nxt, RcvUp: c.rcv.up, RcvWnd: c.rcv.wnd, RcvShift: c.rcv.shift,
		Unsent: c.unsent(), Unacknowledged: c.snd.nxt.Sub(c.snd.una), Unread: c.unread(),
		Buffered:      uint32(len(c.snd.queue.buf) + len(c.rcv.queue.buf)),
		ReceiveBuffer: c.rcv.capacity, MaxReceiveBuffer: c.receiveCeiling(), SendBuffer: c.sendCapacity(), MaxSendBuffer: c.sendCeiling(),
		UrgentLeft: c.urgentLeft(),
		SendMSS:    c.snd.mss, PathMTU: int(c.pmtu()),
		Timestamps: c.opt.timestamps, SACK: c.opt.sack, Scale: c.opt.scale, NoDelay: c.noDelay,
		FinQueued: c.snd.finQueued, FinSent: c.snd.finSent,
		SRTT: c.rto.srtt, RTTVar: c.rto.rttvar, RTO: c.timeout(),
		Cwnd: c.cc.cwnd, Ssthresh: c.cc.ssthresh, Flight: c.flight(), Recovering: c.cc.phase == PhaseRecovery,
		Recoveries: c.count.recoveries, Timeouts: c.count.timeouts, Undone: c.count.undone, Marks: c.count.marks, ECN: c.ecn.on, AccECN: c.ecn.accurate, ECNMute: c.ecn.silent, Retransmitted: c.count.resent,
		MinRTT:          c.leastRTT(),
		Retransmissions: c.rto.count, Probes: c.timer.probes,
		UserTimeout: c.timer.userTimeout, PeerUserTimeout: decodeTimeout(c.timer.peerTimeout), TrafficClass: c.tc, HopLimit: c.hops, Soft: c.soft,
		Deadline: c.Deadline(),
		Auth:     c.auth.status(),
	}
	s.FastOpen = c.FastOpen()
	s.Phase, s.LastLoss, s.Limit, s.Counts = c.cc.phase, c.count.lastLoss, c.limit(), c.count.Counts
	s.Backoff, s.Reordering, s.ReceiveMSS = c.rto.backoff, c.rack.reordering, c.rcv.segMax
	if _, is := c.cc.control.(*unmade); c.cc.control != nil && !is {
		s.Congestion = c.cc.control.Name()
	}
	if p := c.cc.pacer; p != nil {
		s.PacingRate, _ = p.rate(c)
	}
	if m := c.search; m != nil {
		s.MTUState, s.MTUProbes, s.MTUProbesLost = m.phase, m.sent, m.lost
	}
	if c.rcv.tuner != nil {
		s.ReceiverRTT = c.rcv.tuner.rtt
	}
	if a := c.ecn.acc; a != nil {
		s.ECNReceived, s.ECNSent = a.rcv, a.snd
	}
	if c.board != nil {
		s.Reported, s.Lost = c.board.sacked, c.board.lost
	}
	if c.snd.mss > 0 {
		s.MSS = c.mss()
	}
	for i := range c.rcv.held {
		h := &c.rcv.held[i]
		s.OutOfOrder += h.end.Sub(h.start)
		s.Buffered += uint32(len(h.text.buf))
	}
	return s
}
