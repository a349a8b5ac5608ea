package link

import (
	"time"

	"github.com/vitro-net/vitro/wire"
)

// Direction is the way of a packet as the user of a link sees it.
type Direction uint8

// The directions.
const (
	Out Direction = iota // Send
	In                   // Receive
)

// String returns "out" or "in".
func (d Direction) String() string {
	if d == In {
		return "in"
	}
	return "out"
}

// View is one packet as a tap sees it. The packet is in force for the call only, and must
// not be changed.
type View struct {
	Time   time.Time // of the batch that the packet came in
	Dir    Direction
	Packet *wire.Packet
}

// Bytes returns the packet as it passes: it may be a super-segment, and its checksum may be
// unfinished.
func (v View) Bytes() []byte { return v.Packet.Bytes() }

// AppendWire appends the packet to dst as it would stand on a wire but for its length: the
// transport checksum is finished, a super-segment is left whole. That is what a capture
// file holds, and what makes no reader of it complain about checksums.
func (v View) AppendWire(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, v.Bytes()...)
	if v.Packet.Sum == wire.ChecksumPartial {
		finish(dst[at:])
	}
	return dst
}

// Flags of the option epb_flags of pcapng's Enhanced Packet Block,
// draft-ietf-opsawg-pcapng section 4.3.1.
const (
	epbInbound       = 1
	epbOutbound      = 2
	epbChecksumValid = 1 << 10
	epbOffloaded     = 1 << 11 // TCP segmentation offload
)

// EPBFlags returns the option epb_flags of a pcapng Enhanced Packet Block whose data is
// what AppendWire writes: the direction, and what is known of checksum and segmentation.
func (v View) EPBFlags() uint32 {
	f := uint32(epbOutbound)
	if v.Dir == In {
		f = epbInbound
	}
	if v.Packet.Sum == wire.ChecksumVerified {
		f |= epbChecksumValid
	}
	if v.Packet.GSO > 0 {
		f |= epbOffloaded
	}
	return f
}

// Tap returns l with see called for each packet, before it is sent and before it is
// received. See is called in the goroutines that send and receive, several at a time, and
// must not block. What a link loses is seen too when it was given to Send. A nil see gives
// l itself, so that a tap which is not there costs nothing.
func Tap(l Link, see func(View)) Link { return TapAt(l, time.Now, see) }

// TapAt is Tap with a clock, which is read once a batch.
func TapAt(l Link, now func() time.Time, see func(View)) Link {
	if see == nil {
		return l
	}
	return &tap{Link: l, now: now, see: see}
}

type tap struct {
	Link
	now func() time.Time
	see func(View)
}

func (t *tap) Send(batch []wire.Packet) error {
	t.show(Out, batch)
	return t.Link.Send(batch)
}

func (t *tap) Attach(r Receiver) error {
	if r == nil {
		return t.Link.Attach(nil)
	}
	return t.Link.Attach(&tapReceiver{t, r})
}

type tapReceiver struct {
	t *tap
	r Receiver
}

func (r *tapReceiver) Receive(batch []wire.Packet) {
	r.t.show(In, batch)
	r.r.Receive(batch)
}

// Down passes on that the link beneath has ended.
func (r *tapReceiver) Down(err error) { tellDown(r.r, err) }

func (t *tap) show(dir Direction, batch []wire.Packet) {
	at := t.now()
	for i := range batch {
		t.see(View{at, dir, &batch[i]})
	}
}
