package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/seq"
	"github.com/vitro-net/vitro/tcp"
)

//go:generate go run . demo --isn 1000,2000 --part birth --svg ../../docs/birth.svg
//go:generate go run . demo --isn 1000,2000 --part death --svg ../../docs/death.svg

const (
	defaultDelay = 20 * time.Millisecond
	maxDelay     = 10 * time.Second
	maxData      = 10 << 20
)

// demoFlags are the flags of vitro demo.
type demoFlags struct {
	scenario, part, isn string
	seed                uint64
	lose, damage        []int
	double, late        []int
	data                int
	delay               time.Duration
	why, split, json    bool
	pcap, svg           string
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Stage the life of a connection and print it as a ladder",
		Long: `Two hosts live the life of a TCP connection on a virtual network, in virtual time, and
it is printed in the notation of RFC 9293: a line for each segment, with the state of both
ends after it; "..." is a segment still on its way, or lost; users' calls stand in
parentheses. Nothing leaves this process, and no privilege is needed.

Scenarios:
` + scenarioList(),
		Example: `  vitro demo --isn 1000,2000            the story, with the numbers of a textbook
  vitro demo --why                      which sentence of the RFC moves each state
  vitro demo --lose 4                   what happens when the 4th segment is lost
  vitro demo --scenario half-open
  vitro demo --pcap - | wireshark -k -i -
  vitro demo --part birth --svg birth.svg`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	complete := func(name string, values ...string) {
		err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic(err) // there is no such flag
		}
	}
	var names []string
	for _, sc := range scenarios {
		names = append(names, sc.name+"\t"+sc.sentence)
	}
	complete("scenario", names...)
	complete("part", "birth", "death")
	return cmd
}

func (f *demoFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.scenario, "scenario", scenarios[0].name, "what happens: see above")
	flags.StringVar(&f.isn, "isn", "",
		"initial sequence numbers of A and B, as 1000,2000 (a further connection of a host has 10000 more); "+
			"default: by RFC 6528")
	flags.Uint64Var(&f.seed, "seed", 0,
		"seed of all that is random; default: 1 with --isn, else a new one, which is printed")
	flags.IntSliceVar(&f.lose, "lose", nil,
		"lose the Nth segment, counted from 1 in the order of departure; may be several, as 1,4; default: none")
	flags.IntSliceVar(&f.damage, "damage", nil,
		"damage the Nth segment, so that its checksum is wrong; default: none")
	flags.IntSliceVar(&f.double, "double", nil, "let the Nth segment arrive twice; default: none")
	flags.IntSliceVar(&f.late, "late", nil, fmt.Sprintf(
		"let the Nth segment take %d times longer, so that others overtake it; default: none", lateBy+1))
	flags.IntVar(&f.data, "data", 0, "send so many octets, of zeros, before the close; default: none")
	flags.DurationVar(&f.delay, "delay", defaultDelay, "how long a segment is on its way, as 150us or 1s")
	flags.BoolVar(&f.why, "why", false,
		"say by which sentence of which RFC each state changes and each segment is dropped or repeated")
	flags.BoolVar(&f.split, "split", false,
		"a line for each departure and one for each arrival, with both states while a segment is on its way")
	flags.StringVar(&f.part, "part", "",
		"birth: all before the first close; death: all from it on; default: both")
	flags.StringVar(&f.pcap, "pcap", "",
		"write the segments to a file as pcapng, for Wireshark; - is the standard output, instead of the ladder; "+
			"default: no file")
	flags.StringVar(&f.svg, "svg", "",
		"draw the run as an SVG picture to a file; - is the standard output, instead of the ladder; default: no file")
	flags.BoolVar(&f.json, "json", false, "print every event as a line of JSON instead of the ladder")
}

func scenarioList() string {
	var b strings.Builder
	for i, sc := range scenarios {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "  %-18s  %s", sc.name, sc.sentence)
	}
	return b.String()
}

// check refuses what cannot be asked, and returns the scenario and the numbers of --isn.
func (f *demoFlags) check() (*scenario, []seq.Num, error) {
	i := slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == f.scenario })
	if i < 0 {
		var names []string
		for _, sc := range scenarios {
			names = append(names, sc.name)
		}
		return nil, nil, usagef("--scenario %s is not known: it is one of %s",
			f.scenario, strings.Join(names, ", "))
	}
	isn, err := parseISN(f.isn)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case f.part != "" && f.part != "birth" && f.part != "death":
		return nil, nil, usagef("--part %s is not known: it is birth or death", f.part)
	case f.delay <= 0 || f.delay > maxDelay:
		return nil, nil, usagef("--delay %v is not in 1ns..%v", f.delay, maxDelay)
	case f.data < 0 || f.data > maxData:
		return nil, nil, usagef("--data %d is not in 0..%d", f.data, maxData)
	case slices.ContainsFunc(f.segments(), func(n int) bool { return n < 1 }):
		return nil, nil, usagef("--lose, --damage, --double and --late count segments from 1")
	case f.json && (f.why || f.split):
		return nil, nil, usagef("--json has all reasons and events already: leave --why and --split out")
	case (f.why || f.split) && (f.pcap == "-" || f.svg == "-"):
		return nil, nil, usagef("--why and --split are about the ladder, which --pcap - and --svg - replace: " +
			"give them a file, or leave --why and --split out")
	case f.pcap == "-" && f.svg == "-" || f.json && (f.pcap == "-" || f.svg == "-"):
		return nil, nil, usagef("only one of --json, --pcap - and --svg - can have the standard output")
	}
	return &scenarios[i], isn, nil
}

// segments returns all that something is to happen to.
func (f *demoFlags) segments() []int { return slices.Concat(f.lose, f.damage, f.double, f.late) }

// parseISN reads "1000,2000". Nothing gives nil.
func parseISN(s string) ([]seq.Num, error) {
	if s == "" {
		return nil, nil
	}
	fields := strings.Split(s, ",")
	var isn []seq.Num
	for _, f := range fields {
		n, err := strconv.ParseUint(strings.TrimSpace(f), 10, 32)
		if err != nil || len(fields) != 2 {
			return nil, usagef("--isn %s: two numbers from 0 to 4294967295 are needed, as 1000,2000", s)
		}
		isn = append(isn, seq.Num(n))
	}
	return isn, nil
}

func (f *demoFlags) run(cmd *cobra.Command) error {
	sc, isn, err := f.check()
	if err != nil {
		return err
	}
	drawn := !cmd.Flags().Changed("seed") && isn == nil
	switch {
	case drawn:
		var b [4]byte
		_, _ = rand.Read(b[:]) // it never fails
		f.seed = uint64(binary.LittleEndian.Uint32(b[:]))
	case isn != nil && !cmd.Flags().Changed("seed"):
		f.seed = 1
	}
	s := newStage(stageConfig{seed: f.seed, isn: isn, delay: f.delay, data: f.data,
		lose: f.lose, damage: f.damage, double: f.double, late: f.late})
	s.rec.Sentence, s.rec.Clause = sc.sentence, sc.clause
	events := newEventLog(s)
	capture := newPacketLog(s)
	if err := sc.run(s); err != nil {
		return err
	}

	from, to, err := f.bounds(s)
	if err != nil {
		return err
	}
	rec := s.rec
	if f.part != "" {
		rec = rec.Slice(from, to)
	}
	out := cmd.OutOrStdout()
	err = writeTo(f.pcap, out, func(w io.Writer) error { return capture.write(w, sc, from, to) })
	if err == nil {
		err = writeTo(f.svg, out, func(w io.Writer) error { return f.draw(w, rec) })
	}
	if err == nil {
		err = f.print(out, rec, events, from, to)
	}
	if err != nil {
		return err
	}
	if drawn {
		fmt.Fprintf(cmd.ErrOrStderr(), "The same run again: --seed %d\n", f.seed)
	}
	return f.missing(s)
}

// missing is the error of a run in which there was no segment to do with what was asked for.
func (f *demoFlags) missing(s *stage) error {
	for _, n := range f.segments() {
		if n > s.segments {
			return fmt.Errorf("there was no segment %d; %d were sent", n, s.segments)
		}
	}
	return nil
}

// bounds are those of --part.
func (f *demoFlags) bounds(s *stage) (from, to tcp.Time, err error) {
	switch {
	case f.part == "":
		return 0, tcp.Never, nil
	case s.ends == 0:
		return 0, 0, fmt.Errorf("--part %s: nobody closes in this run; try it without --part", f.part)
	case f.part == "birth":
		return 0, s.ends - 1, nil
	}
	return s.ends, tcp.Never, nil
}

// print writes the ladder or the events, unless the standard output is taken.
func (f *demoFlags) print(out io.Writer, rec *ladder.Recorder, events *eventLog, from, to tcp.Time) error {
	switch {
	case f.pcap == "-" || f.svg == "-":
		return nil
	case f.json:
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for i := range events.list {
			if e := &events.list[i]; from <= e.at && e.at <= to {
				if err := enc.Encode(e); err != nil {
					return err
				}
			}
		}
		return nil
	}
	o := ladder.PrintOptions{Times: ladder.TimesAbsolute, Round: f.round(), Brief: true}
	if f.why {
		o.Why = ladder.WhysFull
	}
	o.Width, o.Color = terminal(out)
	l := rec.Ladder()
	if f.split {
		l = rec.Split()
	}
	_, err := io.WriteString(out, l.Print(o))
	return err
}

// round is to what times are rounded: a millisecond, and less where the delay is less.
func (f *demoFlags) round() time.Duration {
	for r := time.Millisecond; r > 1; r /= 10 {
		if f.delay%r == 0 {
			return r
		}
	}
	return 1
}

// draw writes the picture. The two parts have the titles of the story's two drawings.
func (f *demoFlags) draw(w io.Writer, rec *ladder.Recorder) error {
	switch {
	case f.scenario != scenarios[0].name:
	case f.part == "birth":
		rec.Title = "Birth: the three-way handshake"
	case f.part == "death":
		rec.Title = "Death: the four-way close"
	}
	if rec.Title != "" {
		rec.Sentence, rec.Clause = "", ""
		defer func() { rec.Title = "" }() // the ladder has none
	}
	_, err := w.Write(rec.SVG(ladder.SVGOptions{Round: f.round()}))
	return err
}
