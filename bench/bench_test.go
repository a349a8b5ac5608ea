//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/sim"
)

// Everything runs for a moment, and comes out in both files. How fast it is does not matter.
func TestEveryPeer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("SKIPPED IN PART, THE KERNEL IS NOT MEASURED ACROSS AN EMULATOR: run this test as root")
	}
	o := options{
		rounds: 1, memory: 20 * time.Millisecond, conns: 20, network: 300 * time.Millisecond, patience: 300 * time.Millisecond,
		match: regexp.MustCompile("MTU|100 Mbit/s, RTT 20 ms, (loss 1 |dark)|20 Mbit/s.*bottleneck"), log: t.Logf,
		dark: []cell{{rtt: 20 * time.Millisecond, rate: 100, light: 2 * time.Second, dark: 50 * time.Millisecond}},
	}
	r := measure(o, thisMachine(o, "a test"))
	dir := t.TempDir()
	if err := write(r, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || len(back.Results) != len(r.Results) {
		t.Fatalf("results.json has %d of %d results: %v", len(back.Results), len(r.Results), err)
	}
	text, err = os.ReadFile(filepath.Join(dir, "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		kernel := strings.HasPrefix(p.name, "kernel")
		for _, s := range []string{inMemory, across, inTheDark, sideBySide} {
			if s == inMemory && (p.memory == nil || p.name == "kernel bbr") || s == across && p.onlyBlackouts || s == sideBySide && (!p.beside || os.Getuid() != 0) ||
				kernel && slices.ContainsFunc(r.tells, func(t string) bool { return strings.Contains(t, p.name) && strings.Contains(t, errNotHere.Error()) }) {
				continue
			}
			if !slices.ContainsFunc(r.Results, func(x result) bool { return x.Peer == p.name && x.section == s && len(x.Rounds) > 0 }) {
				t.Errorf("%s: nothing measured: %s; %q", p.name, s, r.tells)
			}
			if !strings.Contains(string(text), "\n## "+s+"\n") {
				t.Errorf("results.md has no section %q", s)
			}
		}
	}
	for _, tell := range r.tells {
		if strings.Contains(tell, "failed") {
			t.Error(tell)
		}
	}
}

// What an emulator delivers is in time, whole and in order, and never early.
func TestEmulator(t *testing.T) {
	p := sim.PathConfig{Delay: 10 * time.Millisecond, Rate: 8e6}
	e, err := newEmulator(p, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	type arrival struct {
		packet string
		after  time.Duration
	}
	arrived := make(chan arrival, 10)
	start := time.Now()
	e.attach(1, func(packets [][]byte) {
		for _, p := range packets {
			arrived <- arrival{string(p), time.Since(start)}
		}
	})
	e.attach(0, func([][]byte) { t.Error("a packet came back") })
	for _, c := range "abc" {
		e.send(0, []byte(strings.Repeat(string(c), 1000)))
	}
	for i, c := range "abc" {
		a := <-arrived
		if a.packet != strings.Repeat(string(c), 1000) {
			t.Errorf("packet %d is %.10s", i, a.packet)
		}
		if least := p.Delay + time.Duration(i+1)*time.Millisecond; a.after < least { // sent whole, one after the other
			t.Errorf("packet %d came after %v, want at least %v", i, a.after, least)
		}
	}
}

func TestMedianAndRatio(t *testing.T) {
	r := report{peers: []string{"vitro", "gVisor"}}
	for _, v := range []float64{3, 1, 2} {
		r.add("s", "vitro", "w", []sample{{metric: "m", value: v, more: true}, {metric: "n", value: v}})
		r.add("s", "gVisor", "w", []sample{{metric: "m", value: 4 * v, more: true}, {metric: "n", value: 4 * v}})
	}
	rows := r.rows()
	if len(rows) != 2 || rows[0].of["vitro"].Value != 2 || rows[0].ratio("gVisor") != "0.25" || rows[0].ratio("kernel") != "" {
		t.Errorf("rows %+v", rows)
	}
	if !rows[0].behind("gVisor") || rows[1].behind("gVisor") {
		t.Error("more is better in the first row, less in the second")
	}
	if median([]float64{4, 1}) != 2.5 {
		t.Error("the median of two is between them")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", 0.126: "0.13", 12.34: "12.3", 999.6: "1,000", 1234567: "1,234,567", 100: "100"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestNetstat(t *testing.T) {
	text := "TcpExt: SyncookiesSent TCPTimeouts\nTcpExt: 3 17\nIpExt: TCPTimeouts\nIpExt: 5\n"
	if n := netstat(text, "TcpExt:", "TCPTimeouts"); n != 17 {
		t.Errorf("%d timeouts, want 17", n)
	}
	if n := netstat(text, "TcpExt:", "Other"); n != 0 {
		t.Errorf("a counter that is not there is %d", n)
	}
}
