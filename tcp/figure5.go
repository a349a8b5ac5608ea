package tcp

// Figure 5 of RFC 9293 section 3.3.2 as data, with its notes and with what section 3.10 adds
// that the figure leaves out. It never dispatches: tests hold every run against it.

import (
	"iter"
	"slices"
)

// EdgeSource says where an edge is written.
type EdgeSource uint8

// The sources of an edge.
const (
	InFigure EdgeSource = iota // drawn in Figure 5
	InNotes                    // "The following notes apply to Figure 5"
	InText                     // section 3.10: aborts, resets and timeouts
)

// Edge is one change of state: Event causes it, Action answers it, both as the figure
// words them.
type Edge struct {
	From, To      State
	Event, Action string
	Source        EdgeSource
}

// Figure5 returns the edges, each pair of states once for each source.
func Figure5() iter.Seq[Edge] { return slices.Values(figure5[:]) }

var figure5 = [...]Edge{
	{Closed, Listen, "passive OPEN", "create TCB", InFigure},
	{Closed, SynSent, "active OPEN", "create TCB, snd SYN", InFigure},
	{Listen, Closed, "CLOSE", "delete TCB", InFigure},
	{Listen, SynReceived, "rcv SYN", "snd SYN,ACK", InFigure},
	{Listen, SynSent, "SEND", "snd SYN", InFigure},
	{SynSent, Closed, "CLOSE", "delete TCB", InFigure},
	{SynSent, SynReceived, "rcv SYN", "snd SYN,ACK", InFigure},
	{SynSent, Established, "rcv SYN,ACK", "snd ACK", InFigure},
	{SynReceived, Listen, "rcv RST (note 1)", "", InFigure},
	{SynReceived, Established, "rcv ACK of SYN", "", InFigure},
	{SynReceived, FinWait1, "CLOSE", "snd FIN", InFigure},
	{Established, FinWait1, "CLOSE", "snd FIN", InFigure},
	{Established, CloseWait, "rcv FIN", "snd ACK", InFigure},
	{FinWait1, FinWait2, "rcv ACK of FIN", "", InFigure},
	{FinWait1, Closing, "rcv FIN", "snd ACK", InFigure},
	{FinWait2, TimeWait, "rcv FIN", "snd ACK", InFigure},
	{CloseWait, LastAck, "CLOSE", "snd FIN", InFigure},
	{Closing, TimeWait, "rcv ACK of FIN", "", InFigure},
	{LastAck, Closed, "rcv ACK of FIN", "", InFigure},
	{TimeWait, Closed, "Timeout=2MSL", "delete TCB", InFigure},

	// Note 2 omits FIN-WAIT-1 to TIME-WAIT, "if a FIN is received and the local FIN is also
	// acknowledged". In the order of section 3.10.7.4 the fifth step has by then entered
	// FIN-WAIT-2, and the eighth leaves it: a foreign stack may take the edge at once.
	{FinWait1, TimeWait, "rcv FIN and ACK of FIN (note 2)", "snd ACK", InNotes},

	// Note 3, and 3.10.5, 3.10.7.4 second, 3.10.8: "these transitions are not explicitly shown".
	{SynReceived, Closed, "rcv RST, ABORT or user timeout", "", InText},
	{Established, Closed, "rcv RST, ABORT or user timeout", "", InText},
	{FinWait1, Closed, "rcv RST, ABORT or user timeout", "", InText},
	{FinWait2, Closed, "rcv RST, ABORT", "", InText},
	{CloseWait, Closed, "rcv RST, ABORT or user timeout", "", InText},
	{Closing, Closed, "rcv RST, ABORT or user timeout", "", InText},
}

// Legal reports whether Figure 5, its notes or section 3.10 have an edge between the states.
func Legal(from, to State) bool {
	for _, e := range figure5 {
		if e.From == from && e.To == to {
			return true
		}
	}
	return false
}
