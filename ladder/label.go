package ladder

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/vitro-net/vitro/wire"
)

// texts returns the two rows of text of an arrow.
func (a *arrow) texts() (ctl, num string) {
	ctl = a.seg.Ctl.String()
	if ctl == "" {
		ctl = "no CTL"
	}
	if a.duplicate {
		ctl += " (duplicate)"
	}
	if a.again {
		return ctl, "" // its numbers stand at the first
	}
	num = "SEQ=" + a.seg.Seq.String()
	if a.seg.Ctl.Has(wire.ACK) {
		num += " ACK=" + a.seg.Ack.String()
	}
	if a.seg.Len > 0 {
		num += fmt.Sprintf(" LEN=%d", a.seg.Len)
	}
	return ctl, num
}

// box is a rectangle at an angle: a label, or (flat) an arrow.
type box struct{ x, y, cos, sin, halfW, halfH float64 }

// overlaps reports whether two boxes touch, by the separating axis theorem: two convex shapes are
// apart if and only if they are apart along the normal of one of their sides.
func (b box) overlaps(c box) bool {
	dx, dy := c.x-b.x, c.y-b.y
	for _, axis := range [][2]float64{{b.cos, b.sin}, {-b.sin, b.cos}, {c.cos, c.sin}, {-c.sin, c.cos}} {
		if math.Abs(dx*axis[0]+dy*axis[1]) > b.reach(axis)+c.reach(axis) {
			return false
		}
	}
	return true
}

// reach is how far b extends from its centre along an axis.
func (b box) reach(axis [2]float64) float64 {
	return b.halfW*math.Abs(b.cos*axis[0]+b.sin*axis[1]) + b.halfH*math.Abs(-b.sin*axis[0]+b.cos*axis[1])
}

// line is the arrow itself as a box.
func (a *arrow) line() box {
	dx, dy := a.x2-a.x1, a.y2-a.y1
	n := math.Hypot(dx, dy)
	return box{(a.x1 + a.x2) / 2, (a.y1 + a.y2) / 2, dx / n, dy / n, n / 2, 1}
}

// labelSide is how an arrow's two rows of text stand to it.
type labelSide uint8

const (
	astride labelSide = iota // one above, one below
	above
	below
)

// labelPlace is where an arrow's text stands.
type labelPlace struct {
	at   float64 // part of the way
	side labelSide
}

// baselines returns the distances of the two rows of text from the arrow, downwards.
func (s labelSide) baselines() (ctl, num float64) {
	switch s {
	case above:
		return -20, -6
	case below:
		return 15, 29
	case astride:
	}
	return -6, 15
}

// labelBox is the arrow's text at a place.
func (a *arrow) labelBox(at labelPlace) box {
	ctl, num := a.texts()
	chars := max(utf8.RuneCountInString(ctl), utf8.RuneCountInString(num))
	b := a.line()
	if b.cos < 0 {
		b.cos, b.sin = -b.cos, -b.sin // text reads from left to right
	}
	yCtl, yNum := at.side.baselines()
	top, bottom := yCtl-textSize*0.8, yNum+textSize*0.3
	down := (top + bottom) / 2
	b.x, b.y = a.x1+(a.x2-a.x1)*at.at-b.sin*down, a.y1+(a.y2-a.y1)*at.at+b.cos*down
	b.halfW, b.halfH = float64(chars)*advance/2+3, (bottom-top)/2
	return b
}

// labelParts are the parts of the way at which an arrow's text may stand, the best first: in its
// middle, else nearer to its sender, else nearer to its receiver.
var labelParts = []float64{0.5, 0.42, 0.36, 0.3, 0.58, 0.64, 0.7, 0.26, 0.74, 0.22, 0.78, 0.2, 0.8}

// nearby is how many arrows before and after one, in order of time, its text may touch. It keeps
// the picture of a long run from taking the square of its length.
const nearby = 64

// placeLabels puts each text where it touches no other arrow and no other text. It goes over them
// twice: the first texts cannot know where the later ones come to stand.
func (p *picture) placeLabels() {
	for range 2 {
		for i := range p.arrows {
			a := &p.arrows[i]
			best, fewest := labelPlace{}, math.MaxInt
			for _, side := range []labelSide{astride, above, below} {
				for _, part := range labelParts {
					at := labelPlace{part, side}
					if n := p.touched(i, a.labelBox(at)); n < fewest {
						best, fewest = at, n
					}
				}
			}
			a.label = best
		}
	}
}

// touched counts what the text of arrow i touches when it stands at b.
func (p *picture) touched(i int, b box) int {
	n := 0
	for k := max(0, i-nearby); k < min(len(p.arrows), i+nearby); k++ {
		if k == i {
			continue
		}
		a := &p.arrows[k]
		if b.overlaps(a.line()) {
			n++
		}
		if b.overlaps(a.labelBox(a.label)) {
			n++
		}
	}
	if b.x-b.halfW < p.inner(A)+2 || b.x+b.halfW > p.inner(B)-2 {
		n++
	}
	return n
}
