//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what was measured on, and with what.
type machine struct {
	Date       string `json:"date"`
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	MemoryGiB  int    `json:"memory_gib"`
	System     string `json:"system"`
	Go         string `json:"go"`
	Gvisor     string `json:"gvisor"`
	Load       string `json:"load"` // of the minutes before
	Rounds     int    `json:"rounds"`
	ByTurns    bool   `json:"network_by_turns"`
	Note       string `json:"note,omitempty"`
}

func thisMachine(o options, note string) machine {
	m := machine{
		Date: time.Now().UTC().Format(time.DateOnly), Processors: runtime.NumCPU(), Go: runtime.Version(),
		Rounds: o.rounds, ByTurns: o.turns, Note: note, Gvisor: gvisorVersion(),
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.MemoryGiB = int((uint64(info.Totalram)*uint64(info.Unit) + 1<<29) >> 30) //nolint:unconvert // Totalram has 32 bits where int has
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.System = fmt.Sprintf("%s %s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if words := strings.Fields(string(text)); len(words) > 3 {
			m.Load = strings.Join(words[:3], " ")
		}
	}
	return m
}

func gvisorVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "gvisor.dev/gvisor" {
				return d.Version
			}
		}
	}
	return "unknown"
}

func (m *machine) describe(w io.Writer) {
	fmt.Fprintf(w, "%s, %s, %d processors, %d GiB, %s, %s, gvisor.dev/gvisor %s. Load average at the start: %s. Rounds: %d.",
		m.Date, m.Processor, m.Processors, m.MemoryGiB, m.System, m.Go, m.Gvisor, m.Load, m.Rounds)
	if m.Note != "" {
		fmt.Fprintf(w, " %s", m.Note)
	}
	fmt.Fprintln(w)
}

// moreFiles lets the kernel's connections be as many as the machine allows.
func moreFiles() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = max(l.Max, 1<<16)
		l.Max = max(l.Max, 1<<16)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &l) // as root; otherwise what there is must do
	}
}

// hurry gives the threads of this process the right of way before those of others (SCHED_RR, as
// root), and a thread to whatever goroutine can run. An emulator that waits for a processor is
// another path than it says.
func hurry() {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 8))
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	for _, t := range tasks { // those to come inherit it
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetAttr(id, &attr, 0) // without the right to it: as it is
		}
	}
}
