package ladder

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// The pictures of the runs, and the story's two drawings.
func TestSVGGolden(t *testing.T) {
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			golden(t, r.name+".svg", string(r.run().SVG(SVGOptions{})))
		})
	}
	s := story(false)
	s.Sentence, s.Clause = "", ""
	birth := s.Slice(0, 90*ms)
	birth.Title = "The three-way handshake"
	golden(t, "birth.svg", string(birth.SVG(SVGOptions{Theme: ThemeLight})))
	death := s.Slice(1000*ms, tcp.Never)
	death.Title = "The four-way close"
	golden(t, "death.svg", string(death.SVG(SVGOptions{Theme: ThemeDark})))
}

// Equal records give equal bytes, and a picture is one well-formed document without scripts and
// references, whatever the texts are.
func TestSVGIsSafe(t *testing.T) {
	s := newStage(tcp.Closed, tcp.Listen)
	s.Title = `<script>alert("1")</script> & ]]> \x00` + "\x00\x1b\ufffe\xff"
	s.Sentence, s.Clause, s.Peers = s.Title, s.Title, [2]string{s.Title, "'" + s.Title}
	s.call(A, s.Title)
	s.note(B, `"><image href="x"/>`)
	s.flight(A, sg(1, 0, wire.SYN))
	got := s.SVG(SVGOptions{})
	if !bytes.Equal(got, s.SVG(SVGOptions{})) {
		t.Error("equal records give different pictures")
	}
	d := xml.NewDecoder(bytes.NewReader(got))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if n := e.Name.Local; !strings.Contains(" svg title desc style rect text path g ", " "+n+" ") {
			t.Errorf("element %s", n)
		}
		for _, a := range e.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") {
				t.Errorf("attribute %s", a.Name.Local)
			}
		}
	}
}

// No text touches an arrow, another text or a lifeline, with the numbers of the story and with the
// longest there are.
func TestSVGTextsTouchNothing(t *testing.T) {
	for _, r := range runs {
		for _, base := range []seq.Num{0, 4294900000} {
			rec := r.run()
			for i := range rec.sent {
				rec.sent[i].seg.Seq.N += base
				rec.sent[i].seg.Ack.N += base
			}
			p := layout(rec, time.Millisecond)
			for i := range p.arrows {
				a := &p.arrows[i]
				if n := p.touched(i, a.labelBox(a.label)); n > 0 {
					t.Errorf("%s: %v touches %d others", r.name, a.seg, n)
				}
			}
			for peer, bands := range p.bands {
				for k := 1; k < len(bands); k++ {
					if bands[k].y1-bands[k-1].y1 < 16 {
						t.Errorf("%s: %v: the name of %v stands on %v", r.name, Peer(peer), bands[k].state, bands[k-1].state)
					}
				}
			}
		}
	}
}
