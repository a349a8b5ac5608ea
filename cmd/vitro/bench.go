package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
)

// benchFlags are the flags of vitro bench.
type benchFlags struct {
	tun      tunFlags
	memory   bool
	json     bool
	duration time.Duration
	parallel int
	size     int
}

// measurement is one result, as --json prints it.
type measurement struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	P50   float64 `json:"p50_us,omitempty"` // microseconds
	P99   float64 `json:"p99_us,omitempty"`
}

type benchReport struct {
	Where    string        `json:"where"` // memory, or the name of the TUN
	MTU      int           `json:"mtu"`
	CPUs     int           `json:"cpus"`
	Platform string        `json:"platform"`
	Go       string        `json:"go"`
	Parallel int           `json:"parallel"`
	Seconds  float64       `json:"seconds"` // of each measurement
	Results  []measurement `json:"results"`
}

// benchmarks are what can be measured, in their order.
var benchmarks = []struct {
	name string
	what string
	run  func(*bench) (measurement, error)
}{
	{"bulk", "one stream of data, from this stack to the other", (*bench).bulk},
	{"receive", "one stream of data, from the other stack to this one", (*bench).receive},
	{"rr", "requests and responses, one after the other on each connection", (*bench).roundTrips},
	{"connect", "connections made and ended, one after the other", (*bench).connects},
}

func newBench() *cobra.Command {
	var f benchFlags
	var names, list []string
	for _, b := range benchmarks {
		names = append(names, b.name)
		list = append(list, fmt.Sprintf("  %-8s  %s", b.name, b.what))
	}
	cmd := &cobra.Command{
		Use:   "bench [WHAT]...",
		Short: "Measure the stack: in memory, or against the kernel on a TUN",
		Long: `Two stacks in this process are joined in memory, or, with --tun, one and the kernel of
this machine by a TUN interface; then what is asked for is measured, or all of it:

` + strings.Join(list, "\n"),
		Example: `  vitro bench
  vitro bench bulk rr --tun vitro0 --addr 10.1.0.2/24`,
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				if !slices.Contains(names, a) {
					return usagef("%s cannot be measured: it is one of %s", a, strings.Join(names, ", "))
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.tun.register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.memory, "memory", false, "join two stacks in memory; the default without --tun")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.DurationVar(&f.duration, "duration", 2*time.Second, "how long each measurement takes")
	flags.IntVar(&f.parallel, "parallel", 1, "connections at a time, for rr and connect")
	flags.IntVar(&f.size, "size", 1, "octets of a request and of a response, for rr")
	return cmd
}

func (f *benchFlags) check() error {
	switch {
	case f.memory && f.tun.name != "":
		return usagef("--memory and --tun exclude each other")
	case f.tun.name == "" && len(f.tun.addrs)+len(f.tun.kernel)+len(f.tun.routes) > 0:
		return usagef("--addr, --kernel-addr and --route are for --tun, which is missing")
	case f.duration <= 0:
		return usagef("--duration %v is no time to measure in", f.duration)
	case f.parallel < 1 || f.parallel > 10_000:
		return usagef("--parallel %d is not in 1..10000", f.parallel)
	case f.size < 1 || f.size > 1<<20:
		return usagef("--size %d is not in 1..%d", f.size, 1<<20)
	case f.tun.name == "" && f.tun.mtu != 0 && (f.tun.mtu < link.MinMTU || f.tun.mtu > link.MaxMTU):
		return usagef("--mtu %d is not in %d..%d", f.tun.mtu, link.MinMTU, link.MaxMTU)
	}
	return nil
}

func (f *benchFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	b := &bench{ctx: ctx, duration: f.duration, parallel: f.parallel, size: f.size}
	r := benchReport{Where: "memory", MTU: f.tun.mtu, CPUs: runtime.GOMAXPROCS(0), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), Parallel: f.parallel, Seconds: f.duration.Seconds()}
	var err error
	if f.tun.name == "" {
		if r.MTU == 0 {
			r.MTU = link.DefaultMTU
		}
		err = b.inMemory(r.MTU)
	} else if err = b.onTUN(&f.tun); err == nil {
		r.Where, r.MTU = f.tun.name, f.tun.device.MTU()
	}
	if err != nil {
		return err
	}
	defer b.close()
	out := cmd.OutOrStdout()
	if !f.json {
		fmt.Fprintf(out, "%s, MTU %d, %d CPUs, %s, %s\n", r.Where, r.MTU, r.CPUs, r.Platform, r.Go)
	}
	for _, m := range benchmarks {
		if len(args) > 0 && !slices.Contains(args, m.name) {
			continue
		}
		result, err := m.run(b)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		result.Name = m.name
		r.Results = append(r.Results, result)
		if !f.json {
			fmt.Fprintln(out, result)
		}
	}
	if f.json {
		return json.NewEncoder(out).Encode(r)
	}
	return nil
}

// String prints a row of the result.
func (m measurement) String() string {
	s := fmt.Sprintf("%-8s %12.2f %s", m.Name, m.Value, m.Unit)
	if m.P50 > 0 {
		s += fmt.Sprintf("   half within %.1f us, 99 %% within %.1f us", m.P50, m.P99)
	}
	return s
}

// bench is two hosts: ours, which dials, and the other, which listens.
type bench struct {
	ctx      context.Context
	duration time.Duration
	parallel int
	size     int

	ours   *vitro.Stack
	listen func() (net.Listener, error)
	close  func()
}

// inMemory joins two stacks by a pair.
func (b *bench) inMemory(mtu int) error {
	la, lb := link.Pair(mtu)
	var stacks [2]*vitro.Stack
	for i, l := range []link.Link{la, lb} {
		s, err := vitro.New(vitro.Config{})
		if err != nil {
			return err
		}
		stacks[i] = s
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)
		if err := s.Attach(l, vitro.LinkConfig{Addresses: []netip.Prefix{prefix}}); err != nil {
			return err
		}
	}
	b.ours = stacks[0]
	b.listen = func() (net.Listener, error) { return stacks[1].Listen("tcp", "10.0.0.2:0") }
	b.close = func() { stacks[0].Close(); stacks[1].Close() }
	return nil
}

// onTUN makes the kernel the other host.
func (b *bench) onTUN(f *tunFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if len(f.kernels) == 0 {
		return usagef("--kernel-addr %s: the address to measure against is needed", noKernelAddr)
	}
	s, err := f.open()
	if err != nil {
		return err
	}
	at := net.JoinHostPort(f.kernels[0].Addr().String(), "0")
	b.ours, b.close = s, func() { s.Close() }
	b.listen = func() (net.Listener, error) { return net.Listen("tcp", at) }
	return nil
}
