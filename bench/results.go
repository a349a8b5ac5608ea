//go:build linux

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

const metricLate = "emulator late, 99 of 100"

// metricShare is what a peer has beside the kernel. From 0.8 to 1.25 of a fair half counts as one.
const metricShare = "of its half"

// sample is one measured value.
type sample struct {
	metric, unit string
	value        float64
	more         bool   // is better
	hidden       bool   // it is in the JSON alone
	note         string // what the value does not say
}

// result is the median of the rounds, as results.json has it.
type result struct {
	Peer     string    `json:"peer"`
	Workload string    `json:"workload"`
	Metric   string    `json:"metric"`
	Value    float64   `json:"value"`
	Unit     string    `json:"unit"`
	Better   string    `json:"better"` // more, less
	Rounds   []float64 `json:"rounds"`
	Note     string    `json:"note,omitempty"`

	section string
	hidden  bool
}

// report is everything that is written.
type report struct {
	Machine machine  `json:"machine"`
	Results []result `json:"results"`

	peers []string // columns
	tells []string // what was not measured, and why
}

func (r *report) add(section, peer, workload string, samples []sample) {
	for _, s := range samples {
		i := slices.IndexFunc(r.Results, func(x result) bool {
			return x.Peer == peer && x.Workload == workload && x.Metric == s.metric
		})
		if i < 0 {
			better := "less"
			if s.more {
				better = "more"
			}
			i = len(r.Results)
			r.Results = append(r.Results, result{
				Peer: peer, Workload: workload, Metric: s.metric, Unit: s.unit, Better: better,
				section: section, hidden: s.hidden,
			})
		}
		x := &r.Results[i]
		x.Rounds = append(x.Rounds, s.value)
		x.Value = median(x.Rounds)
		if s.note != "" {
			x.Note = s.note
		}
	}
}

// tell notes once that something was not measured.
func (r *report) tell(text string) {
	if !slices.Contains(r.tells, text) {
		r.tells = append(r.tells, text)
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// row is one workload and metric, with a result of each peer that has one.
type row struct {
	section, workload, metric, unit string
	more                            bool
	of                              map[string]result
}

func (r *report) rows() (rows []*row) {
	for _, x := range r.Results {
		if x.hidden {
			continue
		}
		i := slices.IndexFunc(rows, func(w *row) bool { return w.workload == x.Workload && w.metric == x.Metric })
		if i < 0 {
			i = len(rows)
			rows = append(rows, &row{x.section, x.Workload, x.Metric, x.Unit, x.Better == "more", map[string]result{}})
		}
		rows[i].of[x.Peer] = x
	}
	return rows
}

// ratio is vitro's value to that of another, "" where one is missing.
func (w *row) ratio(to string) string {
	a, b := w.of[vitroPeer.name], w.of[to]
	if len(a.Rounds) == 0 || len(b.Rounds) == 0 || b.Value == 0 {
		return ""
	}
	return number(a.Value / b.Value)
}

// behind reports whether vitro is worse than another.
func (w *row) behind(other string) bool {
	a, b := w.of[vitroPeer.name], w.of[other]
	if len(a.Rounds) == 0 || len(b.Rounds) == 0 {
		return false
	}
	if w.metric == metricShare { // neither more nor less is better, but half
		return math.Abs(a.Value-1) > math.Abs(b.Value-1) && (a.Value < 0.8 || a.Value > 1.25)
	}
	return w.more && a.Value < b.Value || !w.more && a.Value > b.Value
}

// number has three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 2, 64), ".00")
}

func group(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (w *row) cell(peer string) string {
	x, ok := w.of[peer]
	if !ok {
		return ""
	}
	if x.Note != "" && slices.Max(x.Rounds) == x.Value {
		return x.Note
	}
	return number(x.Value)
}

// json writes one result a line.
func (r *report) json(w io.Writer) error {
	m, err := json.Marshal(r.Machine)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"machine\": %s,\n\"results\": [", m)
	for i, x := range r.Results {
		line, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n%s", line)
	}
	b.WriteString("\n]}\n")
	_, err = w.Write(b.Bytes())
	return err
}

func (r *report) markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Peers side by side\n\nWritten by `make bench-peers`. What the rows measure stands below; BENCH.md has more of vitro.\n\n")
	r.Machine.describe(&b)
	for _, t := range r.tells {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", t)
	}
	rows := r.rows()
	section := ""
	var columns []string
	for _, w := range rows {
		if w.section != section {
			section = w.section
			columns = r.columns(rows, section)
			fmt.Fprintf(&b, "\n## %s\n\n| | unit | %s | vitro : gVisor | vitro : kernel cubic |\n", section, strings.Join(columns, " | "))
			b.WriteString("|---|---" + strings.Repeat("|---:", len(columns)+2) + "|\n")
		}
		fmt.Fprintf(&b, "| %s: %s | %s |", w.workload, w.metric, cmp.Or(w.unit, "count"))
		for _, p := range columns {
			fmt.Fprintf(&b, " %s |", w.cell(p))
		}
		fmt.Fprintf(&b, " %s | %s |\n", w.ratio("gVisor"), w.ratio("kernel cubic"))
	}
	r.lateness(&b)
	b.WriteString("\n## Where vitro is behind gVisor\n\n")
	none := true
	for _, w := range rows {
		if w.behind("gVisor") {
			none = false
			fmt.Fprintf(&b, "- %s, %s: %s against %s %s, rounds %s against %s\n", w.workload, w.metric, w.cell("vitro"), w.cell("gVisor"), w.unit,
				rounds(w.of["vitro"]), rounds(w.of["gVisor"]))
		}
	}
	if none {
		b.WriteString("In no row.\n")
	}
	b.WriteString("\n" + legend)
	_, err := io.WriteString(w, b.String())
	return err
}

// lateness says how good the emulator was.
func (r *report) lateness(w io.Writer) {
	var late []float64
	for _, x := range r.Results {
		if x.Metric == metricLate {
			late = append(late, x.Value)
		}
	}
	if len(late) > 0 {
		fmt.Fprintf(w, "\nThe emulator is a program like others. Across it, 99 of 100 packets came out at most %s ms later than the path says, in the median of peers and cells; %s ms in the worst.\n",
			number(median(late)), number(slices.Max(late)))
	}
}

func rounds(x result) string {
	var s []string
	for _, v := range x.Rounds {
		s = append(s, number(v))
	}
	return strings.Join(s, " ")
}

// columns are the peers that have something in a section.
func (r *report) columns(rows []*row, section string) (names []string) {
	for _, p := range r.peers {
		if slices.ContainsFunc(rows, func(w *row) bool { return w.section == section && len(w.of[p].Rounds) > 0 }) {
			names = append(names, p)
		}
	}
	return names
}

const legend = `## What the rows measure

Each value is the median of its rounds; results.json has them all. A ratio is vitro's value to the other's: where more is
better (a rate, goodput, work for the processor in Gbit per CPU-second) above 1 is better, elsewhere below.

**In memory**: two stacks of one kind in one process, or two sockets of the kernel over its loopback; the peers take turns,
A B C A B C. Processor time is what getrusage says of the process, the kernel's part for it included. *As on a wire*: packets
of at most the MTU, every checksum formed and checked. *Offloads*: whatever spares the peer that: super-segments and no
checksums over vitro's link.Pair; over gVisor's link/pipe with the capabilities of checksum offload and host GSO declared;
the kernel's loopback is always so. Buffers are the defaults: 1 MiB for gVisor, those of vitro and the kernel adjust themselves.

- *one stream*: one goroutine writes 64 KiB at a time, another reads.
- *1-byte round trips*: one octet there, one back, on one connection.
- *connect, request, close*: whole lives one after the other, one octet there and one back; the server closes first.
- *idle connections*: memory for an end after a request and an answer of 100 octets: Go's heap and stacks; for the kernel also
  the slabs of /proc/slabinfo that sockets, files and their kind live in.
- *TIME-WAIT*: the same for a connection that the server has closed first, and that is gone but for that.

**Across an emulator**: a bulk transfer over a path with an MTU of 1500, in real time, by the link model of package sim. The
queue is drop-tail and holds rate times RTT, at least 20 packets. Packets of text are lost independently, or late by up to
RTT/4; acknowledgments are not. vitro and gVisor are joined to the emulator in the process, with buffers of 4 MiB; the kernel
by two TUN devices in two network namespaces, without offloads. Each peer runs across an emulator of its own that loses the
same packets by number, all at the same time (with -turns one after the other). The process has the right of way (SCHED_RR, as
root), so that the emulators are on time on a machine that has other work too. Goodput is what the receiver's user has read,
from the handshake on.

**Beside the kernel's cubic, across one bottleneck**: the peer and the kernel send across one emulator and its one queue; which
of them begins first alternates. Counted in octets read, for eight times as long as the other transfers take, after a quarter
of that: 1 is a fair half. The kernel beside itself says how far apart two of a kind are.

**Blackouts**: both directions are dark after 3 s; what leaves in the dark is lost. Counted from the return of the light: when
the user reads something again, and when the rate of 100 ms is nine tenths of the rate of the second before the dark. Which
retransmission is the first after the dark, and so when something arrives, depends on how the dark's length falls to a peer's
backoff. So it is longer from round to round, by up to twice, as the backoff is: the first round has the length that the row says.
Timeouts are those of the sender's retransmission timer, as each peer counts them.
`
