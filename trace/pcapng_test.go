package trace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/trace"
)

// block is a block as the draft draws it: the type, the body, and the options behind.
type block struct {
	kind uint32
	body []byte
}

// blocks takes a file apart, and checks what holds for every block: its length in front and
// behind, a multiple of four.
func blocks(t *testing.T, file []byte) []block {
	t.Helper()
	var list []block
	for len(file) > 0 {
		if len(file) < 12 {
			t.Fatalf("%d octets are left, which are no block", len(file))
		}
		n := binary.LittleEndian.Uint32(file[4:])
		if n%4 != 0 || n < 12 || int(n) > len(file) {
			t.Fatalf("a block of %d octets; %d are left", n, len(file))
		}
		if behind := binary.LittleEndian.Uint32(file[n-4:]); behind != n {
			t.Fatalf("block length %d in front, %d behind", n, behind)
		}
		list = append(list, block{binary.LittleEndian.Uint32(file), file[8 : n-4]})
		file = file[n:]
	}
	return list
}

// options reads the options at the end of a block, as "code=value".
func options(t *testing.T, b []byte) (list []string) {
	t.Helper()
	for {
		if len(b) < 4 {
			t.Fatal("options without an end")
		}
		code, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if code == 0 {
			if n != 0 || len(b) != 4 {
				t.Fatalf("%d octets after the end of options", len(b)-4)
			}
			return list
		}
		list = append(list, fmt.Sprintf("%d=%s", code, b[4:4+n]))
		for n%4 != 0 {
			if b[4+n] != 0 {
				t.Fatal("padding is not zero")
			}
			n++
		}
		b = b[4+n:]
	}
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: %q; want %q", what, got, want)
	}
}

// The blocks, field by field, by the figures of draft-ietf-opsawg-pcapng sections 4.1 to 4.3.
func TestCapture(t *testing.T) {
	var file bytes.Buffer
	c, err := trace.NewCapture(&file, "vitro", "a story")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"A", "B2"} {
		if id, err := c.Interface(name, ""); id != i || err != nil {
			t.Fatalf("interface %d, %v", id, err)
		}
	}
	at := time.Unix(1700000000, 123456789)
	if err := c.Packet(&trace.Captured{Interface: 1, Time: at, Data: []byte{0x45, 1, 2, 3, 4}, Comment: "why", Flags: 2}); err != nil {
		t.Fatal(err)
	}
	if err := c.Packet(&trace.Captured{Time: time.Unix(0, 0), Data: []byte{0x60}, Length: 1500}); err != nil {
		t.Fatal(err)
	}
	b := blocks(t, file.Bytes())
	if len(b) != 5 {
		t.Fatalf("%d blocks", len(b))
	}
	le := binary.LittleEndian
	section := b[0].body
	if b[0].kind != 0x0A0D0D0A || le.Uint32(section) != 0x1A2B3C4D || le.Uint16(section[4:]) != 1 || le.Uint16(section[6:]) != 0 || le.Uint64(section[8:]) != 1<<64-1 {
		t.Errorf("section header %x", section)
	}
	want(t, "section", options(t, section[16:]), "1=a story", "4=vitro")
	for i, name := range []string{"A", "B2"} {
		body := b[1+i].body
		if b[1+i].kind != 1 || le.Uint16(body) != 101 || le.Uint32(body[4:]) != 0 {
			t.Errorf("interface description %x", body)
		}
		want(t, "interface", options(t, body[8:]), "2="+name, "9=\x09")
	}
	body := b[3].body
	ns := uint64(le.Uint32(body[4:]))<<32 | uint64(le.Uint32(body[8:]))
	if b[3].kind != 6 || le.Uint32(body) != 1 || ns != 1700000000123456789 || le.Uint32(body[12:]) != 5 || le.Uint32(body[16:]) != 5 ||
		!bytes.Equal(body[20:28], []byte{0x45, 1, 2, 3, 4, 0, 0, 0}) {
		t.Errorf("packet %x", body)
	}
	want(t, "packet", options(t, body[28:]), "1=why", "2=\x02\x00\x00\x00")
	body = b[4].body
	if le.Uint32(body[12:]) != 1 || le.Uint32(body[16:]) != 1500 {
		t.Errorf("packet cut short: %x", body)
	}
	want(t, "packet", options(t, body[24:]))
}

// Whatever a comment is, the file stays one.
func TestTextsCannotBreakTheFile(t *testing.T) {
	for _, comment := range []string{"\x00", "a\x00b", "\xff\xfe", strings.Repeat("x", 70000), strings.Repeat("é", 40000), "ä"} {
		var file bytes.Buffer
		c, _ := trace.NewCapture(&file, comment, comment)
		c.Interface(comment, comment)
		if err := c.Packet(&trace.Captured{Time: time.Unix(1, 0), Data: []byte{1, 2, 3}, Comment: comment}); err != nil {
			t.Fatal(err)
		}
		b := blocks(t, file.Bytes())
		for _, o := range options(t, b[2].body[24:]) {
			if strings.ContainsAny(o, "\x00\ufffd") || !strings.HasPrefix(o, "1=") {
				t.Errorf("option %.20q", o)
			}
		}
	}
}

func TestPacketsThatCannotBe(t *testing.T) {
	var file bytes.Buffer
	c, _ := trace.NewCapture(&file, "", "")
	p := trace.Captured{Time: time.Unix(1, 0)}
	if c.Packet(&p) == nil {
		t.Error("a packet of no interface was taken")
	}
	c.Interface("A", "")
	size := file.Len()
	for name, p := range map[string]trace.Captured{
		"interface -1": {Interface: -1, Time: p.Time},
		"interface 1":  {Interface: 1, Time: p.Time},
		"1969":         {Time: time.Unix(-1, 0)},
		"no time":      {},
		"year 3000":    {Time: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if c.Packet(&p) == nil || file.Len() != size {
			t.Errorf("%s was taken", name)
		}
	}
	if err := c.Packet(&p); err != nil {
		t.Errorf("and then: %v", err)
	}
}

// full is a disk that holds so many blocks.
type full int

func (f *full) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, io.ErrShortBuffer
	}
	return len(p), nil
}

func TestFirstErrorStays(t *testing.T) {
	for n := range full(3) {
		f := n
		c, err := trace.NewCapture(&f, "", "")
		if err == nil {
			_, err = c.Interface("A", "")
		}
		if err == nil {
			err = c.Packet(&trace.Captured{Time: time.Unix(1, 0)})
		}
		if !errors.Is(err, io.ErrShortBuffer) {
			t.Errorf("disk of %d blocks: %v", n, err)
		}
		f = 100
		if err := c.Packet(&trace.Captured{Time: time.Unix(1, 0)}); !errors.Is(err, io.ErrShortBuffer) {
			t.Errorf("disk of %d blocks, after the error: %v", n, err)
		}
		if _, err := c.Interface("B", ""); !errors.Is(err, io.ErrShortBuffer) || f != 100 {
			t.Errorf("disk of %d blocks: an interface after the error: %v, %d blocks written", n, err, 100-f)
		}
	}
}
