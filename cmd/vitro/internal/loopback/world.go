package loopback

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/vitro-net/vitro/link"
)

// The variables of the environment that say what the networks of a process are.
const (
	EnvLink  = "VITRO_LINK"  // the link: ParseLink
	EnvPcap  = "VITRO_PCAP"  // a file for what is on the links, in pcapng
	EnvStats = "VITRO_STATS" // a file for the counters, one line
)

// World is what the networks of a process have in common. Make it with NewWorld.
type World struct {
	link     Link
	linked   bool     // by the environment
	capture  *capture // nil: none
	counters counters
	err      error
}

// NewWorld reads the environment, and opens the files that it names: a * in a name stands for the
// number of the process. What is wrong with it every use of the World says.
func NewWorld(getenv func(string) string) *World {
	w := &World{}
	if s := getenv(EnvLink); s != "" {
		w.linked = true
		w.link, w.err = ParseLink(s)
	}
	if w.link.Seed == 0 {
		w.link.Seed = rand.Uint64()
	}
	if name := getenv(EnvPcap); name != "" && w.err == nil {
		w.capture, w.err = newCapture(named(name), w.link)
	}
	if name := getenv(EnvStats); name != "" && w.err == nil {
		w.counters.file, w.err = os.Create(named(name))
		w.counters.write()
	}
	return w
}

// cabled reports whether packets leave the hosts: somebody is to see, delay or lose them.
func (w *World) cabled() bool { return w.linked || w.capture != nil }

func (w *World) mtu() int {
	if w.linked {
		return w.link.MTU
	}
	return link.MaxMTU
}

func named(name string) string { return strings.ReplaceAll(name, "*", strconv.Itoa(os.Getpid())) }

// counters say what has been done, in a file if there is one.
type counters struct {
	mu                           sync.Mutex
	file                         *os.File
	connected, refused, received int
	packets, octets, lost        int
}

func (c *counters) dialed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.connected++
	} else {
		c.refused++
	}
	c.write()
}

func (c *counters) accepted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received++
	c.write()
}

func (c *counters) update() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write()
}

func (c *counters) carried(octets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets++
	c.octets += octets
}

func (c *counters) dropped() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
}

// write puts the counters where those before were. It grows no shorter, so nothing is left of them.
func (c *counters) write() {
	if c.file == nil {
		return
	}
	line := fmt.Sprintf("%d connected, %d not connected, %d accepted, %d packets of %d octets on links, %d lost\n",
		c.connected, c.refused, c.received, c.packets, c.octets, c.lost)
	if _, err := c.file.WriteAt([]byte(line), 0); err != nil {
		c.file = nil
	}
}
