package loopback

import (
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

func TestParseLink(t *testing.T) {
	l, err := ParseLink("delay=20ms, jitter=5ms,rate=10mbit,queue=30,loss=1%,reorder=0.05,duplicate=2%,corrupt=0.5%,mtu=1400,seed=7")
	if err != nil {
		t.Fatal(err)
	}
	want := sim.PathConfig{
		Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 10_000_000, Queue: sim.QueueConfig{Limit: 42_000},
		Loss: 0.01, Reorder: 0.05, ReorderBy: 10 * time.Millisecond, Duplicate: 0.02, Corrupt: 0.005,
	}
	if l.Path.Delay != want.Delay || l.Path.Jitter != want.Jitter || l.Path.Rate != want.Rate || l.Path.Queue != want.Queue ||
		l.Path.Loss != want.Loss || l.Path.Reorder != want.Reorder || l.Path.ReorderBy != want.ReorderBy ||
		l.Path.Duplicate != want.Duplicate || l.Path.Corrupt != want.Corrupt || l.MTU != 1400 || l.Seed != 7 {
		t.Errorf("a link with every key is %+v", l)
	}
	for s, limit := range map[string]int{"rate=1gbit": 12_500_000, "rate=1000": 20 * 1500, "rate=1Mbit,mtu=9000": 20 * 9000} {
		if l, err := ParseLink(s); err != nil || l.Path.Queue.Limit != limit {
			t.Errorf("%s has a queue of %d octets, %v; want %d", s, l.Path.Queue.Limit, err, limit)
		}
	}
}

// What is no link is refused, with the word that is wrong.
func TestLinksThatCannotBe(t *testing.T) {
	for s, says := range map[string]string{
		"delay":               `"delay"`,
		"delay=20":            "missing unit",
		"delay=-1ms":          "less than nothing",
		"latency=1ms":         `"latency" is not known: it is one of delay, jitter`,
		"loss=101%":           "101%",
		"loss=-1":             "-1 is not a share",
		"loss=NaN":            "NaN is not a share",
		"rate=0":              "0 is no rate",
		"rate=fast":           "fast",
		"rate=1e30gbit":       "is no rate",
		"queue=10":            "without a rate",
		"rate=1mbit,queue=0":  "0 is not within",
		"mtu=1000":            "1000 is not within 1280 and 65535",
		"delay=1ms,delay=2ms": "delay is given twice",
		"delay=1ms,":          `""`,
	} {
		_, err := ParseLink(s)
		if err == nil || !strings.HasPrefix(err.Error(), "VITRO_LINK: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want an error of VITRO_LINK that says %s", s, err, says)
		}
	}
}
