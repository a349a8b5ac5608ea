package ladder

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/vitro-net/vitro/tcp"
)

// Measures of the picture, in its units (pixels at full size). Widths of text are those of a
// monospaced face, an advance of at most 0.61 of its size, so that layout needs no font.
const (
	flightHeight = 60.0  // of the shortest flight
	minGap       = 42.0  // between two instants
	maxGap       = 3.0   // flights; what is longer is broken
	brokenGap    = 78.0  // height of a broken gap
	slotHeight   = 42.0  // between two deeds of a peer at one instant
	stateHeight  = 20.0  // between two states of one deed
	laneWidth    = 560.0 // between the lifelines
	bandWidth    = 12.0
	textSize     = 12.0
	advance      = textSize * 0.61
	margin       = 20.0
	nameWidth    = 12 * advance // SYN-RECEIVED
	maxCall      = 30           // characters of a call that are shown
	lostAt       = 0.6          // how far a lost segment comes
	doubledAt    = 0.45         // where in the network a segment is doubled, or comes from
)

// picture is where everything stands.
type picture struct {
	r        *Recorder
	deeds    []*deed
	at       []place // by deed
	instants []instant
	arrows   []arrow
	bands    [2][]band
	calls    [2][]callMark

	timeX         float64    // right edge of the time column
	callX         [2]float64 // inner edges of the calls
	nameX         [2]float64 // inner edges of the states' names
	bandX         [2]float64 // left edges
	top, first    float64    // of the lifelines; of the first instant
	bottom        float64
	width, height float64
	round         time.Duration
}

// place is the height of one deed: in is where it begins (an arrow arrives), out where it ends (an
// arrow departs).
type place struct{ in, out float64 }

type instant struct {
	t      tcp.Time
	y      float64
	height float64 // that its deeds need
	// What lies between this instant and the next.
	gap    time.Duration
	broken bool
	breakY float64
	free   bool // nothing is in flight through the break
}

type arrow struct {
	seg            *Segment
	x1, y1, x2, y2 float64
	fate           Fate
	dashed         bool // part of its way is not known
	duplicate      bool // "(duplicate)"
	again          bool // it is one of a segment drawn already
	label          labelPlace
}

type band struct {
	y1, y2 float64
	state  tcp.State
	why    string
}

type callMark struct {
	y     float64
	text  string
	note  bool
	plain bool // no name of a state stands beside it
}

func layout(r *Recorder, round time.Duration) *picture {
	p := &picture{r: r, deeds: r.deeds(), round: round}
	p.columns()
	p.findInstants()
	p.placeInstants()
	p.makeBands()
	p.makeArrows()
	p.placeLabels()
	return p
}

// columns places the columns: time, A's calls, A's states, the lane, B's states, B's calls.
func (p *picture) columns() {
	var calls [2]int
	longest := len("0.000s")
	for _, d := range p.deeds {
		calls[d.peer] = max(calls[d.peer], utf8.RuneCountInString(callText(d, true)))
		longest = max(longest, len(p.timeText(d.t)))
	}
	callWidth := func(n int) float64 {
		if n == 0 {
			return 0
		}
		return float64(n)*advance + 28
	}
	p.timeX = margin + float64(longest)*advance
	p.callX[A] = p.timeX + 24 + callWidth(calls[A])
	p.nameX[A] = p.callX[A] + nameWidth + 8
	p.bandX[A] = p.nameX[A] + 8
	p.bandX[B] = p.bandX[A] + bandWidth + laneWidth
	p.nameX[B] = p.bandX[B] + bandWidth + 8
	p.callX[B] = p.nameX[B] + nameWidth + 8
	p.width = p.callX[B] + callWidth(calls[B]) + margin
}

// callText is what a deed's calls and notes say, shortened to what there is room for.
func callText(d *deed, short bool) string {
	s := ""
	for _, c := range d.calls {
		s = join(s, ", ", clean(c.text))
	}
	if r := []rune(s); short && len(r) > maxCall {
		return string(r[:maxCall-1]) + "…"
	}
	return s
}

func (p *picture) timeText(t tcp.Time) string {
	return formatTime(t.Sub(p.r.origin).Round(p.round))
}

// findInstants gathers the deeds by their time and places them within it.
func (p *picture) findInstants() {
	p.at = make([]place, len(p.deeds))
	var last [2]int // the peer's last deed of this instant, or -1
	for i, d := range p.deeds {
		if n := len(p.instants); n == 0 || p.instants[n-1].t != d.t {
			p.instants = append(p.instants, instant{t: d.t})
			last = [2]int{-1, -1}
		}
		y := 0.0
		if k := last[d.peer]; k >= 0 {
			y = p.at[k].out
			if d.kind != departs || len(d.calls) > 0 || p.deeds[k].kind != arrives {
				y += slotHeight // else the answer leaves where the segment came in
			}
		}
		if d.kind == arrives && d.meet >= 0 && p.deeds[d.meet].t == d.t {
			y = max(y, p.at[d.meet].out+slotHeight) // a link without delay
		}
		p.at[i] = place{y, y + stateHeight*float64(max(0, len(d.states)-1))}
		in := &p.instants[len(p.instants)-1]
		in.height = max(in.height, p.at[i].out)
		last[d.peer] = i
	}
}

// flight returns the shortest time that a segment took, the scale of the picture.
func (p *picture) flight() time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for _, d := range p.deeds {
		if d.kind == departs && d.meet >= 0 {
			if f := p.deeds[d.meet].t.Sub(d.t); f > 0 {
				shortest = min(shortest, f)
			}
		}
	}
	if shortest < math.MaxInt64 {
		return shortest
	}
	for i := 1; i < len(p.instants); i++ {
		shortest = min(shortest, p.instants[i].t.Sub(p.instants[i-1].t))
	}
	return max(shortest, 1)
}

// placeInstants lays the instants along the axis: to the scale of the shortest flight, but never
// closer than their text, and broken where nothing happens for long.
func (p *picture) placeInstants() {
	flight := p.flight()
	p.top = margin + 34 + p.headerHeight()
	p.first = p.top + 40
	y := p.first
	for i := range p.instants {
		in := &p.instants[i]
		in.y = y
		y += in.height
		if i+1 == len(p.instants) {
			break
		}
		in.gap = p.instants[i+1].t.Sub(in.t)
		flights := float64(in.gap) / float64(flight)
		if in.broken = flights > maxGap; !in.broken {
			y += max(minGap, flights*flightHeight)
			continue
		}
		in.breakY = y + brokenGap/2
		y += brokenGap
		if p.losesAt(in.t) { // leave room for the cross
			in.breakY += flightHeight / 2
			y += flightHeight / 2
		}
		in.free = p.idle(in.t)
	}
	p.bottom = y + 44
	p.height = p.bottom + margin
	k := 0
	for i, d := range p.deeds {
		for p.instants[k].t != d.t {
			k++
		}
		p.at[i].in += p.instants[k].y
		p.at[i].out += p.instants[k].y
	}
}

// losesAt reports whether a segment that departs at t comes to nothing.
func (p *picture) losesAt(t tcp.Time) bool {
	for _, d := range p.deeds {
		if d.kind == departs && d.t == t && d.meet < 0 {
			return true
		}
	}
	return false
}

// idle reports whether nothing that arrives is in flight just after t.
func (p *picture) idle(t tcp.Time) bool {
	for _, d := range p.deeds {
		if d.kind == departs && d.meet >= 0 && d.t <= t && p.deeds[d.meet].t > t {
			return false
		}
	}
	return true
}

// makeBands gives each peer its states along its lifeline, and its calls beside them.
func (p *picture) makeBands() {
	for _, peer := range []Peer{A, B} {
		p.bands[peer] = []band{{y1: p.top, state: p.r.start[peer]}}
	}
	for i, d := range p.deeds {
		bands := &p.bands[d.peer]
		for k, s := range d.states {
			y := p.at[i].in + stateHeight*float64(k)
			(*bands)[len(*bands)-1].y2 = y
			why := ""
			if k < len(d.why) {
				why = d.why[k].String()
			}
			*bands = append(*bands, band{y1: y, state: s, why: why})
		}
		if len(d.calls) > 0 {
			note := true
			for _, c := range d.calls {
				note = note && c.kind == evNote
			}
			p.calls[d.peer] = append(p.calls[d.peer], callMark{p.at[i].in, callText(d, true), note, len(d.states) == 0})
		}
	}
	for _, peer := range []Peer{A, B} {
		bands := p.bands[peer]
		bands[len(bands)-1].y2 = p.bottom
	}
}

// inner returns the edge of a peer's band that faces the other.
func (p *picture) inner(peer Peer) float64 {
	if peer == A {
		return p.bandX[A] + bandWidth
	}
	return p.bandX[B]
}

// makeArrows gives each segment its way.
func (p *picture) makeArrows() {
	ways := map[ID]arrow{} // of the segments that departed here
	for i, d := range p.deeds {
		if d.kind == bare {
			continue
		}
		s := &p.r.sent[d.id]
		x1, x2 := p.inner(s.from), p.inner(s.from.Other())
		a := arrow{seg: &s.seg, x1: x1, x2: x2, label: labelPlace{at: 0.5}}
		part := func(f float64) float64 { return x1 + (x2-x1)*f }
		switch {
		case d.kind == departs && d.meet >= 0:
			a.y1, a.y2 = p.at[i].out, p.at[d.meet].in
			ways[d.id] = a
		case d.kind == departs:
			a.fate, a.dashed = Delayed, !d.lost
			if d.lost {
				a.fate = Lost
			}
			a.y1, a.x2 = p.at[i].out, part(lostAt)
			a.y2 = a.y1 + flightHeight*lostAt
		case d.meet >= 0:
			continue // drawn from its departure
		default:
			a.fate, a.dashed, a.y2 = Arrived, true, p.at[i].in
			a.duplicate = d.again || s.stray
			a.x1, a.y1 = part(doubledAt), a.y2-flightHeight*(1-doubledAt)
			if w, ok := ways[d.id]; ok { // it leaves the way of the first
				a.y1 = w.y1 + (w.y2-w.y1)*doubledAt
				a.again = true
			}
		}
		p.arrows = append(p.arrows, a)
	}
}
