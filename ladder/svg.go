package ladder

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitro-net/vitro/wire"
)

// Theme says for which background a picture is coloured.
type Theme uint8

// The themes. The picture brings its background along in each.
const (
	ThemeAuto  Theme = iota // the reader's preference (CSS prefers-color-scheme), light where it is not known
	ThemeLight              // always light
	ThemeDark               // always dark
)

// SVGOptions is how a picture is drawn.
type SVGOptions struct {
	Theme Theme
	Round time.Duration // times are rounded to this; 0: to a millisecond
}

// SVG draws the record: two lifelines with their states, slanted arrows between them on an axis of
// time that runs downwards, broken where nothing happens for long. It is a whole SVG document
// without scripts and links; equal records give equal bytes.
func (r *Recorder) SVG(o SVGOptions) []byte {
	if o.Round <= 0 {
		o.Round = time.Millisecond
	}
	d := &drawing{picture: layout(r, o.Round)}
	d.open(o.Theme)
	d.heading()
	d.times()
	for _, p := range []Peer{A, B} {
		d.lifeline(p)
	}
	for i := range d.arrows {
		d.arrow(&d.arrows[i])
	}
	d.breaks()
	d.put("</svg>\n")
	return []byte(d.b.String())
}

type drawing struct {
	*picture
	b strings.Builder
}

// num prints a coordinate.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

// escape makes s safe as text and in an attribute, without the characters that XML forbids.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0xfffe || r == 0xffff {
			return utf8.RuneError
		}
		return r
	}, clean(s))
	return escaper.Replace(s)
}

// put writes format, where numbers are coordinates and texts are escaped already.
func (d *drawing) put(format string, args ...any) {
	for i, a := range args {
		if v, ok := a.(float64); ok {
			args[i] = num(v)
		}
	}
	fmt.Fprintf(&d.b, format, args...)
}

// text writes s at (x, y), its middle line.
func (d *drawing) text(class string, x, y float64, s string) {
	d.put(`<text class="%v" x="%v" y="%v">%v</text>`+"\n", class, x, y+4, escape(s))
}

func (d *drawing) open(theme Theme) {
	title := clean(d.r.Title)
	if title == "" {
		title = "A TCP connection"
	}
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" width="%v" height="%v" viewBox="0 0 %[1]v %[2]v" role="img" aria-label="%[3]v">`+"\n",
		math.Ceil(d.width), math.Ceil(d.height), escape(title))
	d.put("<title>%v</title>\n", escape(title))
	d.put("<desc>%v</desc>\n", escape(d.r.Sentence+" "+d.r.Clause))
	d.put("<style>\n%v</style>\n", styles(theme))
	d.put(`<rect class="bg" width="100%%" height="100%%"/>` + "\n")
}

// headerRows is the header, cut to the picture's width.
func (p *picture) headerRows() []string {
	text := clean(p.r.Sentence)
	if c := clean(p.r.Clause); c != "" {
		text = join(text, " ", "("+c+")")
	}
	if text == "" {
		return nil
	}
	return wrap(text, int((p.width-2*margin)/advance), opensHeader)
}

func (p *picture) headerHeight() float64 {
	h := 18 * float64(len(p.headerRows()))
	if clean(p.r.Title) != "" {
		h += 26
	}
	if h > 0 {
		h += 12
	}
	return h
}

func (d *drawing) heading() {
	y := margin + 8
	if t := clean(d.r.Title); t != "" {
		d.text("title", margin, y, t)
		y += 26
	}
	for _, row := range d.headerRows() {
		d.text("sub", margin, y, row)
		y += 18
	}
	names := peerNames(&Ladder{Peers: d.r.Peers})
	for _, p := range []Peer{A, B} {
		d.text("peer", d.bandX[p]+bandWidth/2, d.top-18, names[p])
	}
}

// times writes the time column, and from each time a faint line to the first lifeline.
func (d *drawing) times() {
	for i := range d.instants {
		in := &d.instants[i]
		d.text("time", d.timeX, in.y, d.timeText(in.t))
		d.put(`<path class="grid" d="M%v %vH%v"/>`+"\n", d.inner(A), in.y, d.inner(B))
	}
}

// lifeline draws one peer's states, their names, and its user's calls at the outside.
func (d *drawing) lifeline(p Peer) {
	anchor := ""
	if p == A {
		anchor = " end"
	}
	for i, b := range d.bands[p] {
		d.put(`<rect class="%v" x="%v" y="%v" width="%v" height="%v">`, phaseClass[phaseOf(b.state)], d.bandX[p], b.y1, bandWidth, b.y2-b.y1)
		title := b.state.String()
		if b.why != "" {
			title += ", " + b.why
		}
		d.put("<title>%v</title></rect>\n", escape(title))
		y := b.y1
		if i == 0 {
			y += 8 // the lifeline begins here
		} else {
			d.put(`<path class="edge" d="M%v %vh%v"/>`+"\n", d.bandX[p], b.y1, bandWidth)
		}
		d.text("state"+anchor, d.nameX[p], y, b.state.String())
	}
	for _, c := range d.calls[p] {
		class := "call"
		if c.note {
			class = "note"
		}
		w := float64(utf8.RuneCountInString(c.text))*advance + 16
		x, rim, edge := d.callX[B]+4, d.callX[B]+4, d.bandX[B]+bandWidth+2
		if p == A {
			x, rim, edge = d.callX[A]-4-w, d.callX[A]-4, d.bandX[A]-2
		}
		d.put(`<rect class="%v" x="%v" y="%v" width="%v" height="20" rx="10"/>`+"\n", class, x, c.y-10, w)
		d.text(class+"-text mid", x+w/2, c.y, c.text)
		if c.plain {
			d.put(`<path class="leader" d="M%v %vH%v"/>`+"\n", rim, c.y, edge)
		}
	}
}

// arrow draws one segment's way and its text.
func (d *drawing) arrow(a *arrow) {
	class := "arrow"
	if a.fate == Lost {
		class += " lost"
	}
	if a.dashed {
		class += " dashed"
	}
	angle := math.Atan2(a.y2-a.y1, a.x2-a.x1) * 180 / math.Pi
	d.put(`<path class="%v" d="M%v %vL%v %v"/>`+"\n", class, a.x1, a.y1, a.x2, a.y2)
	switch a.fate {
	case Delivered, Arrived:
		d.put(`<path class="head" d="M0 0L-10 -4L-10 4Z" transform="translate(%v %v) rotate(%v)"/>`+"\n", a.x2, a.y2, angle)
	case Lost:
		d.put(`<path class="cross" d="M%v %vl12 12m0 -12l-12 12"/>`+"\n", a.x2-6, a.y2-6)
		side, anchor := 14.0, ""
		if a.x2 < a.x1 {
			side, anchor = -14, " end"
		}
		d.text("lost-text"+anchor, a.x2+side, a.y2, "lost")
	case Delayed:
		side, anchor := 8.0, ""
		if a.x2 < a.x1 {
			side, anchor = -8, " end"
		}
		d.text("sub"+anchor, a.x2+side, a.y2, "still in the network")
	}
	ctl, nums := a.texts()
	yCtl, yNum := a.label.side.baselines()
	if a.x2 < a.x1 {
		angle += 180 // text reads from left to right
	}
	if angle > 180 {
		angle -= 360
	}
	x, y := a.x1+(a.x2-a.x1)*a.label.at, a.y1+(a.y2-a.y1)*a.label.at
	d.put(`<g transform="translate(%v %v) rotate(%v)"><text class="ctl mid %v" y="%v">%v</text><text class="num mid" y="%v">%v</text></g>`+"\n",
		x, y, angle, ctlClass(a.seg.Ctl), yCtl, escape(ctl), yNum, escape(nums))
}

// ctlClass colours the control bits by what they do to the connection.
func ctlClass(f wire.Flags) string {
	switch {
	case f.Has(wire.RST):
		return "rst"
	case f.Has(wire.SYN):
		return "syn"
	case f.Has(wire.FIN):
		return "fin"
	}
	return "ack"
}

// breaks marks where time is left out, and how much.
func (d *drawing) breaks() {
	for i := range d.instants {
		in := &d.instants[i]
		if !in.broken {
			continue
		}
		for _, p := range []Peer{A, B} {
			x, y := d.bandX[p]-3, in.breakY
			const zig = "l4.5 -6l4.5 6l4.5 -6l4.5 6"
			d.put(`<path class="gap" d="M%v %v%v"/>`+"\n", x, y+3, zig+"v-6l-4.5 -6l-4.5 6l-4.5 -6l-4.5 6Z")
			d.put(`<path class="zig" d="M%v %v%vM%[1]v %[4]v%[3]v"/>`+"\n", x, y+3, zig, y-3)
		}
		text := gapText(in.gap)
		if !in.free {
			d.text("pause end", d.timeX, in.breakY, text)
			continue
		}
		mid, half := (d.inner(A)+d.inner(B))/2, float64(utf8.RuneCountInString(text))*advance/2+8
		d.put(`<path class="idle" d="M%v %vH%vM%v %vH%v"/>`+"\n", d.inner(A)+12, in.breakY, mid-half, mid+half, in.breakY, d.inner(B)-12)
		d.text("pause mid", mid, in.breakY, text)
	}
}

// gapText says how long a gap is: "59.98 s".
func gapText(g time.Duration) string {
	unit, name := time.Second, " s"
	switch {
	case g < time.Microsecond:
		unit, name = time.Nanosecond, " ns"
	case g < time.Millisecond:
		unit, name = time.Microsecond, " µs"
	case g < time.Second:
		unit, name = time.Millisecond, " ms"
	}
	return strconv.FormatFloat(math.Round(float64(g)/float64(unit)*1000)/1000, 'f', -1, 64) + name
}
