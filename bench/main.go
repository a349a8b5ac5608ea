//go:build linux

// Command bench measures vitro beside gVisor's netstack and the Linux kernel, in one run, by
// turns, and writes results.md and results.json. make bench-peers runs it; as root it has the
// kernel at both ends of an emulator, otherwise it says what is missing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"
)

// options say how much is measured.
type options struct {
	rounds   int
	memory   time.Duration // each workload in memory
	conns    int
	network  time.Duration // each cell
	patience time.Duration // for the end of a blackout's consequences
	all      bool
	turns    bool
	hurry    bool // across an emulator
	dark     []cell
	match    *regexp.Regexp // of workloads
	log      func(format string, args ...any)
}

// peers are the columns of the tables.
var peers = []peer{vitroPeer, gvisorPeer, noRack, kernelPeer("cubic"), kernelPeer("bbr")}

const (
	inMemory   = "In memory"
	across     = "Across an emulator"
	inTheDark  = "Blackouts"
	sideBySide = "Beside the kernel's cubic, across one bottleneck"
)

func main() {
	log.SetFlags(log.Ltime)
	o := options{log: log.Printf, hurry: true, dark: blackouts}
	flag.IntVar(&o.rounds, "rounds", 3, "how often all is measured")
	flag.DurationVar(&o.memory, "memory", time.Second, "how long a workload in memory runs")
	flag.IntVar(&o.conns, "conns", 8000, "connections for the memory that they take")
	flag.DurationVar(&o.network, "network", 8*time.Second, "how long a transfer across an emulator runs")
	flag.DurationVar(&o.patience, "patience", 20*time.Second, "how long the consequences of a blackout may last")
	flag.BoolVar(&o.all, "all", false, "all cells of the network, not the few that show most")
	flag.BoolVar(&o.turns, "turns", false, "across the emulator too one peer after the other: five times as long")
	match := flag.String("run", "", "only workloads that match this regular expression")
	out := flag.String("out", "", "directory for results.md and results.json; without it the table goes to the standard output")
	note := flag.String("note", "", "what the results should say of the circumstances")
	flag.Parse()
	var err error
	if o.match, err = regexp.Compile(*match); err != nil {
		log.Fatal(err)
	}
	moreFiles()
	r := measure(o, thisMachine(o, *note))
	if err := write(r, *out); err != nil {
		log.Fatal(err)
	}
}

func write(r *report, dir string) error {
	if dir == "" {
		return r.markdown(os.Stdout)
	}
	for name, put := range map[string]func(*os.File) error{
		"results.md":   func(f *os.File) error { return r.markdown(f) },
		"results.json": func(f *os.File) error { return r.json(f) },
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(put(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// measure does everything, and reports what could be measured.
func measure(o options, m machine) *report {
	r := &report{Machine: m}
	for _, p := range peers {
		r.peers = append(r.peers, p.name)
	}
	for _, w := range workloads {
		for _, j := range w.joints {
			if name := w.name + ", " + j.String(); o.match.MatchString(name) {
				takeTurns(o, r, w, j, name)
			}
		}
	}
	if o.hurry {
		hurry()
	}
	for _, c := range cells(o.all) {
		if o.match.MatchString(c.String()) {
			together(o, r, across, c.String(), func(p peer, round int) ([]sample, error) {
				if p.onlyBlackouts {
					return nil, errNotHad
				}
				return goodput(p, c, o.network, uint64(round))
			})
		}
	}
	for _, c := range bottlenecks {
		name := fmt.Sprintf("%d Mbit/s, RTT %d ms, one bottleneck", c.rate, c.rtt.Milliseconds())
		if o.match.MatchString(name) {
			together(o, r, sideBySide, name, func(p peer, round int) ([]sample, error) {
				if !p.beside {
					return nil, errNotHad
				}
				return fairShare(p, peers[3], c, fairTimes*o.network, round)
			})
		}
	}
	for _, c := range o.dark {
		if o.match.MatchString(c.String()) {
			together(o, r, inTheDark, c.String(), func(p peer, round int) ([]sample, error) {
				return blackout(p, c.phase(round, o.rounds), o.patience, uint64(round))
			})
		}
	}
	return r
}

// takeTurns measures a workload in memory, one peer after the other, round for round.
func takeTurns(o options, r *report, w workload, j joint, name string) {
	for range o.rounds {
		for _, p := range peers {
			if p.memory == nil || p.name == "kernel bbr" { // a loopback has no bottleneck to probe
				continue
			}
			runtime.GC()
			world, err := p.memory(j)
			var s []sample
			if err == nil {
				s, err = w.run(world, o.memory, o.conns)
				world.close()
			}
			o.take(r, inMemory, p.name, name, s, err)
		}
	}
}

// together measures all peers at the same time, each across an emulator of its own, or by turns.
func together(o options, r *report, section, name string, run func(p peer, round int) ([]sample, error)) {
	for round := range o.rounds {
		samples, errs := make([][]sample, len(peers)), make([]error, len(peers))
		var wg sync.WaitGroup
		for i, p := range peers {
			wg.Go(func() { samples[i], errs[i] = run(p, round) })
			if o.turns {
				wg.Wait()
			}
		}
		wg.Wait()
		for i, p := range peers {
			o.take(r, section, p.name, name, samples[i], errs[i])
		}
	}
}

// take reports what came of one round of one peer.
func (o *options) take(r *report, section, peer, name string, s []sample, err error) {
	switch {
	case err == nil:
		for _, x := range s {
			o.log("%-18s %s: %s %.4g %s %s", peer, name, x.metric, x.value, x.unit, x.note)
		}
		r.add(section, peer, name, s)
	case errors.Is(err, errNotHad):
	case errors.Is(err, errNotHere):
		o.log("%s: %s: SKIPPED: %v", peer, name, err)
		r.tell(fmt.Sprintf("%s, %s, and what else needs the same: %v", peer, section, err))
	default:
		o.log("%s: %s: FAILED: %v", peer, name, err)
		r.tell(fmt.Sprintf("%s, %s: a round failed: %v", peer, name, err))
	}
}
