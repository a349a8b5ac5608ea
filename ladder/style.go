package ladder

import "strings"

// phaseClass names the style of a state's band.
var phaseClass = [...]string{
	phaseNone:    "none",
	phaseOpening: "opening",
	phaseOpen:    "open",
	phaseClosing: "closing",
	phaseWaiting: "waiting",
}

// A palette gives each role its colour. Text keeps a contrast of 4.5 to 1 against the background
// (WCAG 2.1, 1.4.3).
type palette struct {
	bg, text, faint, grid, line              string
	none, opening, open, closing, waiting    string
	syn, fin, rst, callFill, callLine, pause string
}

var (
	light = palette{
		bg: "#ffffff", text: "#1f2328", faint: "#59636e", grid: "#eaeef2", line: "#59636e",
		none: "#d1d9e0", opening: "#54aeff", open: "#4ac26b", closing: "#e8a33d", waiting: "#c297ff",
		syn: "#0969da", fin: "#9a6700", rst: "#cf222e", callFill: "#f6f8fa", callLine: "#8c959f", pause: "#59636e",
	}
	dark = palette{
		bg: "#0d1117", text: "#e6edf3", faint: "#9198a1", grid: "#1b222b", line: "#9198a1",
		none: "#3d444d", opening: "#1f6feb", open: "#238636", closing: "#bb8009", waiting: "#8957e5",
		syn: "#58a6ff", fin: "#e3b341", rst: "#ff7b72", callFill: "#161b22", callLine: "#6e7681", pause: "#9198a1",
	}
)

// shapes are the styles that have no colour.
const shapes = `text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}
.title{font-size:16px;font-weight:700}
.peer{font-size:13px;font-weight:700;text-anchor:middle}
.state,.ctl{font-weight:700}
.time,.end{text-anchor:end}
.mid{text-anchor:middle}
.note-text{font-style:italic}
.arrow,.leader,.zig,.cross,.grid,.idle{fill:none}
.arrow{stroke-width:1.5}
.edge{stroke-width:2}
.dashed{stroke-dasharray:6 4}
.cross{stroke-width:2.5;stroke-linecap:round}
.zig{stroke-width:1.3;stroke-linejoin:round}
.idle{stroke-dasharray:1 5;stroke-linecap:round;stroke-width:1.5}
.note{stroke-dasharray:3 2}
`

// css returns the rules of one palette.
func (c *palette) css() string {
	return strings.NewReplacer(
		"BG", c.bg, "TEXT", c.text, "FAINT", c.faint, "GRID", c.grid, "LINE", c.line,
		"NONE", c.none, "OPENING", c.opening, "OPEN", c.open, "CLOSING", c.closing, "WAITING", c.waiting,
		"SYN", c.syn, "FIN", c.fin, "RST", c.rst, "CALL", c.callFill, "RIM", c.callLine, "PAUSE", c.pause,
	).Replace(`.bg,.gap{fill:BG}
.edge{stroke:BG}
text{fill:TEXT}
.sub,.time,.num{fill:FAINT}
.pause{fill:PAUSE}
.grid{stroke:GRID}
.arrow,.leader{stroke:LINE}
.head{fill:LINE}
.idle,.zig{stroke:PAUSE}
.call,.note{fill:CALL;stroke:RIM}
.none{fill:NONE}
.opening{fill:OPENING}
.open{fill:OPEN}
.closing{fill:CLOSING}
.waiting{fill:WAITING}
.syn{fill:SYN}
.fin{fill:FIN}
.rst,.lost-text{fill:RST}
.lost,.cross{stroke:RST}
`)
}

// styles returns the style sheet. Colours stand in plain rules, said twice for the two
// backgrounds, because not every renderer knows CSS variables.
func styles(t Theme) string {
	switch t {
	case ThemeLight:
		return shapes + light.css()
	case ThemeDark:
		return shapes + dark.css()
	case ThemeAuto:
	}
	return shapes + light.css() + "@media (prefers-color-scheme:dark){\n" + dark.css() + "}\n"
}
