package judges_test

import (
	"bufio"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// capture writes what passes a link as a pcap file (draft-ietf-opsawg-pcap): every packet,
// in the order in which it passed, as vitro made it. A checksum that vitro leaves to the link
// is finished; one that it makes is written as it is.
type capture struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	buf  []byte
}

func newCapture(t *testing.T) *capture {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "capture.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{file: f, w: bufio.NewWriter(f)}
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	h = binary.LittleEndian.AppendUint32(h, 2|4<<16)       // version 2.4
	h = append(h, make([]byte, 8)...)
	h = binary.LittleEndian.AppendUint32(h, 1<<18) // longest packet
	h = binary.LittleEndian.AppendUint32(h, 101)   // LINKTYPE_RAW: IPv4 or IPv6
	c.w.Write(h)
	t.Cleanup(func() { f.Close() })
	return c
}

func (c *capture) see(v link.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // in the file's order
	const head = 16
	c.buf = v.AppendWire(append(c.buf[:0], make([]byte, head)...))
	n := uint32(len(c.buf) - head)
	for i, field := range []uint32{uint32(now.Unix()), uint32(now.Nanosecond()), n, n} {
		binary.LittleEndian.PutUint32(c.buf[4*i:], field)
	}
	c.w.Write(c.buf)
}

// tshark reads the capture and returns the fields of each packet. A field that a packet has
// several times has semicolons in it.
func (c *capture) tshark(t *testing.T, fields ...string) (packets []map[string]string) {
	t.Helper()
	c.mu.Lock()
	err := c.w.Flush()
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", c.file.Name(), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-d", "tcp.port==1-65535,data", // whatever protocol a port by chance is that of
		"-T", "fields", "-E", "aggregator=;"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, said.String())
	}
	for line := range strings.Lines(string(out)) {
		p := make(map[string]string)
		for i, v := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			p[fields[i]] = v
		}
		packets = append(packets, p)
	}
	return packets
}

// Wireshark judges clean runs: births, data both ways, deaths.
func TestTshark(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	// On a busy machine an acknowledgment takes long without being lost, and a reader lets a window
	// close that does not hold all that is sent.
	eachWay(t, setup{config: vitro.Config{MinRTO: 10 * time.Second, ReceiveBuffer: 2 << 20}}, func(t *testing.T, s setup, d way) {
		t.Parallel()
		c := newCapture(t)
		s.tap = c.see
		w := newWorld(t, s)
		for i := range 10 {
			v, k := d.ends(t, vitroSide{w}, kernelSide{w})
			n := 4 << (2 * i) // to 1 MiB
			if i%2 == 0 {
				exchange(t, w, v, k, n)
			} else { // one FIN after the other
				transfer(t, w, v, k, n, 1)
				transfer(t, w, k, v, n, 2)
			}
			v.Close()
			k.Close()
		}
		eventually(t, "all is over", func() bool { return w.stack.Stats().Connections == 0 })
		packets := c.tshark(t, "frame.number", "ip.src", "ipv6.src", "tcp.seq", "tcp.ack", "tcp.len", "tcp.flags", "_ws.expert.severity",
			"_ws.expert.message", "tcp.checksum.status", "ip.checksum.status", "tcp.options.timestamp.tsval")
		sums := 0
		for _, p := range packets {
			if p["ip.src"]+p["ipv6.src"] == d.vitro.Addr().String() {
				sums++
				checkShark(t, p)
			}
		}
		if sums < 50 {
			t.Errorf("of %d packets %d are vitro's", len(packets), sums)
		}
	})
}

// checkShark judges a packet of vitro's by what tshark says of it.
func checkShark(t *testing.T, p map[string]string) {
	t.Helper()
	const (
		good        = "1"
		warning     = 0x00600000
		flowControl = "TCP window specified by the receiver is now completely full"
		// On a busy machine the kernel sends again what has arrived, and is told so (RFC 2883).
		twice = "D-SACK Sequence"
	)
	for i, message := range strings.Split(p["_ws.expert.message"], ";") {
		severity := strings.Split(p["_ws.expert.severity"], ";")
		if message == "" || message == twice || message == flowControl { // it is what a window is for, and depends on how busy the reader is
			continue
		}
		if n, err := strconv.ParseInt(severity[min(i, len(severity)-1)], 0, 64); err != nil || n >= warning {
			t.Errorf("the expert says %q (%#x, %v): %v", message, n, err, p)
		}
	}
	// MUST-2
	if p["tcp.checksum.status"] != good || p["ip.src"] != "" && p["ip.checksum.status"] != good {
		t.Errorf("a checksum is not good: %v", p)
	}
	if p["tcp.options.timestamp.tsval"] == "" { // RFC 7323 section 3.2: "in every non-<RST> segment"
		t.Errorf("no timestamp: %v", p)
	}
}
