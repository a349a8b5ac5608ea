package trace

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
)

// The format is draft-ietf-opsawg-pcapng: blocks, each with its length in front and behind,
// padded to 32 bits, in the byte order of the writer, here little-endian.

// Types of blocks, sections 4.1 to 4.3.
const (
	blockSection   = 0x0A0D0D0A // Section Header Block
	blockInterface = 1          // Interface Description Block
	blockPacket    = 6          // Enhanced Packet Block
)

// byteOrderMagic tells readers the byte order, section 4.1.
const byteOrderMagic = 0x1A2B3C4D

// linkTypeRaw is LINKTYPE_RAW: "Raw IP; the packet begins with an IPv4 or IPv6 header, with
// the version field of the header indicating which".
const linkTypeRaw = 101

// Options, sections 3.5, 4.1 to 4.3.
const (
	optEnd             = 0
	optComment         = 1
	optName            = 2 // if_name
	optDescription     = 3 // if_description
	optUserApplication = 4 // shb_userappl
	optResolution      = 9 // if_tsresol
	optFlags           = 2 // epb_flags
)

// nanoseconds is if_tsresol for times in units of 10^-9 s.
const nanoseconds = 9

// maxOption is the longest value of an option: its length field has 16 bits.
const maxOption = 1<<16 - 1

// Captured is one packet of a capture.
type Captured struct {
	Interface int       // as Capture.Interface returned it
	Time      time.Time // to the nanosecond, from 1970 on
	Data      []byte    // an IP packet
	Length    int       // of the packet on the wire, when Data is only its beginning; 0: len(Data)
	Flags     uint32    // epb_flags, section 4.3.1; 0: none known
	Comment   string    // UTF-8; "": none
}

// Capture writes a pcapng file: the packets of one or several interfaces of layer 3. Its
// first error stays: all calls after it return the same. It writes each block with one
// Write, and keeps nothing; to have few system calls give it a bufio.Writer. For one
// goroutine at a time.
type Capture struct {
	w      io.Writer
	buf    []byte
	ifaces int
	err    error
}

// NewCapture begins a file. Application is the name of the program that writes it, comment
// one about the whole; each may be empty.
func NewCapture(w io.Writer, application, comment string) (*Capture, error) {
	c := &Capture{w: w}
	c.begin(blockSection)
	c.u32(byteOrderMagic)
	c.u16(1) // version 1.0
	c.u16(0)
	c.u64(1<<64 - 1) // "the size of the section is not specified"
	c.text(optComment, comment)
	c.text(optUserApplication, application)
	c.end()
	return c, c.err
}

// Interface adds an interface and returns its number, from 0 on. Description may be empty.
func (c *Capture) Interface(name, description string) (int, error) {
	c.begin(blockInterface)
	c.u16(linkTypeRaw)
	c.u16(0)
	c.u32(0) // no limit to the length of packets
	c.text(optName, name)
	c.text(optDescription, description)
	c.option(optResolution, []byte{nanoseconds})
	c.end()
	if c.err != nil {
		return 0, c.err
	}
	c.ifaces++
	return c.ifaces - 1, nil
}

// Packet adds a packet. It keeps none of p. An interface or a time that cannot be is an error
// of the caller, and the file goes on without the packet.
func (c *Capture) Packet(p *Captured) error {
	if c.err != nil {
		return c.err
	}
	if p.Interface < 0 || p.Interface >= c.ifaces {
		return fmt.Errorf("trace: packet of interface %d; the capture has %d", p.Interface, c.ifaces)
	}
	ns := p.Time.UnixNano()
	if p.Time.Before(time.Unix(0, 0)) || !time.Unix(0, ns).Equal(p.Time) {
		return fmt.Errorf("trace: %v cannot stand in a capture", p.Time)
	}
	c.begin(blockPacket)
	c.u32(uint32(p.Interface))
	c.u32(uint32(uint64(ns) >> 32))
	c.u32(uint32(uint64(ns)))
	c.u32(uint32(len(p.Data)))
	c.u32(uint32(max(p.Length, len(p.Data))))
	c.padded(p.Data)
	c.text(optComment, p.Comment)
	if p.Flags != 0 {
		c.option(optFlags, binary.LittleEndian.AppendUint32(nil, p.Flags))
	}
	c.end()
	return c.err
}

func (c *Capture) u16(v uint16) { c.buf = binary.LittleEndian.AppendUint16(c.buf, v) }
func (c *Capture) u32(v uint32) { c.buf = binary.LittleEndian.AppendUint32(c.buf, v) }
func (c *Capture) u64(v uint64) { c.buf = binary.LittleEndian.AppendUint64(c.buf, v) }

// padded appends b and zeros up to the next 32 bits.
func (c *Capture) padded(b []byte) {
	c.buf = append(c.buf, b...)
	for len(c.buf)%4 != 0 {
		c.buf = append(c.buf, 0)
	}
}

// option appends an option.
func (c *Capture) option(code uint16, value []byte) {
	c.u16(code)
	c.u16(uint16(len(value)))
	c.padded(value)
}

// text appends an option that holds a text, if there is one: legal UTF-8, without zeros,
// and no longer than an option can be.
func (c *Capture) text(code uint16, s string) {
	if len(s) > maxOption {
		s = s[:maxOption]
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if s != "" {
		c.option(code, []byte(s))
	}
}

// begin starts a block.
func (c *Capture) begin(kind uint32) {
	c.buf = c.buf[:0]
	c.u32(kind)
	c.u32(0) // the length, which end knows
}

// end ends the options and the block, and writes it.
func (c *Capture) end() {
	c.option(optEnd, nil)
	size := uint32(len(c.buf) + 4)
	c.u32(size)
	binary.LittleEndian.PutUint32(c.buf[4:], size)
	if c.err != nil {
		return
	}
	n, err := c.w.Write(c.buf)
	if err == nil && n < len(c.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		c.err = fmt.Errorf("trace: the capture cannot be written: %w", err)
	}
}
