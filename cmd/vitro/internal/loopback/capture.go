package loopback

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/trace"
)

// capture is the file of VITRO_PCAP, which all networks of the process share: each is an
// interface of it. A packet is written when it is sent, at once, since nobody tells a library
// that its process ends.
type capture struct {
	mu   sync.Mutex
	file *trace.Capture
}

func newCapture(name string, l Link) (*capture, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	c, err := trace.NewCapture(f, "vitro overlay", "The loopback network of a Go program. Chance on its links: seed="+strconv.FormatUint(l.Seed, 10))
	return &capture{file: c}, err
}

func (c *capture) iface(name string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Interface(name, "")
}

// packet writes a packet. What goes wrong with the file spoils no program: the file ends.
func (c *capture) packet(iface int, at time.Time, b []byte, comment string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.file.Packet(&trace.Captured{Interface: iface, Time: at, Data: b, Comment: comment})
}

// comment says what befalls a packet.
func comment(f sim.Fate, overflow bool) string {
	var why []string
	switch {
	case overflow:
		why = append(why, sim.LossInQueue.String())
	case f.Lost:
		why = append(why, sim.LossByChance.String())
	}
	if f.Late > 0 {
		why = append(why, "late by "+f.Late.String())
	}
	if f.Copies > 0 {
		why = append(why, "arrives twice")
	}
	if f.Damaged {
		why = append(why, "a bit is turned over on the way")
	}
	return strings.Join(why, ", ")
}
