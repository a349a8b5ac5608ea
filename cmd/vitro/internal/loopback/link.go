package loopback

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/sim"
)

// Link says how every way from one address to another treats packets.
type Link struct {
	Path sim.PathConfig
	MTU  int
	Seed uint64 // 0: another each time
}

// Packets that wait where there is a rate: what it carries in a tenth of a second, at least so many.
const leastQueue = 20

// Keys is what ParseLink knows, for those who ask.
const Keys = "delay, jitter, rate, queue, loss, reorder, duplicate, corrupt, mtu, seed"

// ParseLink reads a link as VITRO_LINK has it, as delay=20ms,loss=1%,rate=10mbit: keys and values
// with commas between. delay is one way, and jitter is added to it, evenly spread from 0 to that;
// rate is in bits a second, with kbit, mbit, gbit; queue counts packets of the MTU that may wait,
// where there is a rate (as many as it carries in a tenth of a second, at least 20); loss,
// duplicate, corrupt and reorder are shares of packets, as 1% or 0.01: who is late by reorder is so
// by up to half a delay, at least 1 ms. mtu is from 1280 to 65535, 1500 where it is not given; with
// seed, other than 0, chance does the same each time.
func ParseLink(s string) (Link, error) {
	l := Link{MTU: link.DefaultMTU}
	queue := 0
	seen := map[string]bool{}
	for _, field := range strings.Split(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if seen[key] {
			return Link{}, fmt.Errorf("VITRO_LINK: %s is given twice", key)
		}
		seen[key] = true
		if err := l.set(key, value, &queue); err != nil {
			return Link{}, fmt.Errorf("VITRO_LINK: %q: %w", field, err)
		}
	}
	if queue > 0 && l.Path.Rate == 0 {
		return Link{}, fmt.Errorf("VITRO_LINK: a link without a rate has no queue")
	}
	if l.Path.Rate > 0 {
		l.Path.Queue.Limit = queue * l.MTU
		if queue == 0 {
			l.Path.Queue.Limit = max(int(l.Path.Rate/8/10), leastQueue*l.MTU)
		}
	}
	if l.Path.Reorder > 0 {
		l.Path.ReorderBy = max(l.Path.Delay/2, time.Millisecond)
	}
	if _, err := sim.NewPath(l.Path, 1, nil); err != nil {
		return Link{}, fmt.Errorf("VITRO_LINK: %w", err)
	}
	return l, nil
}

func (l *Link) set(key, value string, queue *int) (err error) {
	p := &l.Path
	switch key {
	case "delay":
		p.Delay, err = time.ParseDuration(value)
	case "jitter":
		p.Jitter, err = time.ParseDuration(value)
	case "rate":
		p.Rate, err = parseRate(value)
	case "queue":
		*queue, err = parseNumber(value, 1, 1<<20)
	case "loss":
		p.Loss, err = parseShare(value)
	case "reorder":
		p.Reorder, err = parseShare(value)
	case "duplicate":
		p.Duplicate, err = parseShare(value)
	case "corrupt":
		p.Corrupt, err = parseShare(value)
	case "mtu":
		l.MTU, err = parseNumber(value, 1280, link.MaxMTU)
	case "seed":
		l.Seed, err = strconv.ParseUint(value, 10, 64)
	default:
		err = fmt.Errorf("%s is not known: it is one of %s", strconv.Quote(key), Keys)
	}
	return err
}

func parseNumber(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < least || n > most) {
		err = fmt.Errorf("%d is not within %d and %d", n, least, most)
	}
	return n, err
}

func parseShare(s string) (float64, error) {
	n, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(n, 64)
	if percent {
		f /= 100
	}
	if err == nil && !(f >= 0 && f <= 1) {
		err = fmt.Errorf("%s is not a share from 0 to 1, or 0%% to 100%%", s)
	}
	return f, err
}

func parseRate(s string) (int64, error) {
	number, unit := strings.ToLower(s), 1.0
	for _, u := range []struct {
		name string
		bits float64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}} {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = n, u.bits
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err == nil && !(f*unit >= 1 && f*unit <= math.MaxInt64/16) {
		err = fmt.Errorf("%s is no rate", s)
	}
	return int64(f * unit), err
}
