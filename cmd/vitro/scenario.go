package main

import (
	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// scenario is one story, told by a sentence and the clause where it is written.
type scenario struct {
	name     string
	sentence string
	clause   string
	play     func(*stage)
	routed   bool // there is a router between A and B
}

// run lives the scenario to its end.
func (sc *scenario) run(s *stage) error {
	if err := s.join(sc.routed); err != nil {
		return err
	}
	sc.play(s)
	s.w.Run(tcp.Never)
	return nil
}

// scenarios are the stories of vitro demo. The first is the default.
var scenarios = []scenario{
	{
		"story", "A connection is born by a three-way handshake and dies by a four-way close.",
		"RFC 9293 sections 3.5 and 3.6, figures 6 and 12", playStory, false,
	}, {
		"simultaneous-open", "Both users open at the same time, the two SYNs cross, and one connection comes of it.",
		"RFC 9293 section 3.5, figure 7", playSimultaneousOpen, false,
	}, {
		"simultaneous-close", "Both users close at the same time, the two FINs cross, and both ends wait for 2 MSL.",
		"RFC 9293 section 3.6, figure 13", playSimultaneousClose, false,
	}, {
		"refused", "Nobody listens: the SYN is answered by a reset.",
		"RFC 9293 sections 3.5.2 and 3.10.7.1", playRefused, false,
	}, {
		"reset", "One user aborts: a reset ends the connection at once, with nothing to wait for.",
		"RFC 9293 sections 3.10.5 and 3.5.3", playReset, false,
	}, {
		"half-close", "One user closes and goes on reading: the other sends for as long as it likes.",
		"RFC 9293 section 3.6.1", playHalfClose, false,
	}, {
		"lost-last-ack", "The last ACK is lost: the FIN comes again, is acknowledged again, and 2 MSL begin anew.",
		"RFC 9293 section 3.10.7.4 fifth", playLostLastAck, false,
	}, {
		"lost-syn", "The first SYN is lost: it is sent again when its acknowledgment does not come.",
		"RFC 6298 section 2.1", playLostSyn, false,
	}, {
		"old-duplicate", "A SYN of an earlier connection arrives first: the answer to it does not fit, and is refused.",
		"RFC 9293 section 3.5, figure 8", playOldDuplicate, false,
	}, {
		"hop-limit", "A segment outlives its hops: a router drops it and tells its sender, who lets the next live longer.",
		"RFC 9293 sections 3.9.2 and 3.9.2.2, RFC 1812 section 5.3.1", playHopLimit, true,
	}, {
		"half-open", "One end crashes and forgets; its next SYN finds the other end in a connection that is no more.",
		"RFC 9293 section 3.5.1, figure 9", playHalfOpen, false,
	},
}

func playStory(s *stage) {
	s.w.At(0, func() { s.listen(s.closeAfterPeer) })
	s.w.At(0, func() { s.connect(s.sendAndClose) })
}

func playSimultaneousOpen(s *stage) {
	s.rec.Peers = [2]string{"A", "B"}
	s.w.At(0, func() {
		s.connect(s.sendAndClose)
		s.server = s.newUser(s.b, must(s.b.Dial(serverAt, clientAt, stack.ConnOptions{})))
		s.closeAfterPeer(s.server)
	})
}

func playSimultaneousClose(s *stage) {
	s.w.At(0, func() { s.listen(func(*user) {}) })
	s.w.At(0, func() {
		s.connect(func(u *user) {
			u.send(s.cfg.data, func() { s.client.close(); s.server.close() })
		})
	})
}

func playRefused(s *stage) { s.w.At(0, func() { s.connect(s.sendAndClose) }) }

func playReset(s *stage) {
	s.w.At(0, func() { s.listen(s.closeAfterPeer) })
	s.w.At(0, func() {
		s.connect(func(u *user) {
			u.send(s.cfg.data, func() { _ = u.conn.Abort() }) // an error says that it is CLOSED already
		})
	})
}

// halfCloseData is what the other end still sends where --data says nothing.
const halfCloseData = 1000

func playHalfClose(s *stage) {
	n := s.cfg.data
	if n == 0 {
		n = halfCloseData
	}
	s.w.At(0, func() {
		s.listen(func(u *user) {
			u.peerClosed = func() { s.w.After(s.think(), func() { u.send(n, u.close) }) }
		})
	})
	s.w.At(0, func() { s.connect((*user).close) })
}

func playLostLastAck(s *stage) {
	lost := false
	s.fateToo = func(p *sim.Packet) sim.Fate {
		if lost || p.From != s.a || s.client.conn.State() != tcp.TimeWait {
			return sim.Fate{}
		}
		lost = true
		return sim.Fate{Lost: true}
	}
	playStory(s)
}

func playLostSyn(s *stage) {
	s.fateToo = func(p *sim.Packet) sim.Fate { return sim.Fate{Lost: p.N == 1} }
	playStory(s)
}

// oldSegment is how far below the first SYN of A the old one lies.
const oldSegment = 100

func playOldDuplicate(s *stage) {
	s.fateToo = func(p *sim.Packet) (f sim.Fate) {
		if p.N == 1 { // so long that all about the old one is over when it arrives
			f.Late = 4 * s.cfg.delay
			old := p.Segment
			old.Seq -= oldSegment
			packet := wire.AppendSegment(nil, &p.Flow, &old, wire.ChecksumNone)
			s.w.After(s.cfg.delay/2, func() { must(struct{}{}, s.link.Inject(s.b, packet)) })
		}
		return f
	}
	playStory(s)
}

func playHopLimit(s *stage) {
	s.w.At(0, func() { s.listen(s.closeAfterPeer) })
	s.w.At(0, func() {
		s.connectWith(stack.ConnOptions{HopLimit: 1}, s.sendAndClose)
		s.client.softError = func() { must(struct{}{}, s.client.conn.SetHopLimit(wire.DefaultHopLimit)) }
	})
}

func playHalfOpen(s *stage) {
	s.w.At(0, func() { s.listen(s.closeAfterPeer) })
	s.w.At(0, func() {
		s.connect(func(u *user) {
			u.send(s.cfg.data, func() {
				s.a.Crash()
				s.w.After(s.pause(), func() { s.connect((*user).close) })
			})
		})
	})
}
