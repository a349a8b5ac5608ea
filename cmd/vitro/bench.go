package main

import (
	"cmp"
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
	Super    bool          `json:"super_segments"`
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
this machine by a TUN interface; then what is asked for is measured, or all of it. With
--no-offload every packet is made and summed by itself; without, up to 64 KiB go as one
super-segment, which the link cuts, or nobody. Measured is:

` + strings.Join(list, "\n"),
		Example: `  vitro bench
  vitro bench --no-offload
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
	flags.Lookup("mtu").Usage = "MTU of the link in octets; default: 1500 in memory, and a TUN's as it is"
	flags.BoolVar(&f.memory, "memory", false, "join two stacks in memory; that is the default without --tun")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.DurationVar(&f.duration, "duration", 2*time.Second, "how long each measurement takes, as 500ms or 10s")
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
	if f.tun.name != "" {
		return f.onTUN(cmd, args)
	}
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	mtu := cmp.Or(f.tun.mtu, link.DefaultMTU)
	b := f.bench(ctx)
	if err := b.inMemory(link.PairConfig{MTU: mtu, NoOffload: f.tun.plain}); err != nil {
		return err
	}
	defer b.close()
	return f.measure(cmd, b, f.report("memory", mtu), args)
}

// onTUN makes the kernel the other host.
func (f *benchFlags) onTUN(cmd *cobra.Command, args []string) error {
	if err := f.tun.check(); err != nil {
		return err
	}
	if len(f.tun.kernels) == 0 {
		return usagef("--kernel-addr %s: the address to measure against is needed", noKernelAddr)
	}
	return f.tun.run(cmd, func(ctx context.Context, s *vitro.Stack) error {
		at := net.JoinHostPort(f.tun.kernels[0].Addr().String(), "0")
		b := f.bench(ctx)
		b.ours = s
		b.listen = func() (net.Listener, error) { return net.Listen("tcp", at) }
		return f.measure(cmd, b, f.report(f.tun.name, f.tun.device.MTU()), args)
	})
}

func (f *benchFlags) bench(ctx context.Context) *bench {
	return &bench{ctx: ctx, duration: f.duration, parallel: f.parallel, size: f.size}
}

func (f *benchFlags) report(where string, mtu int) *benchReport {
	return &benchReport{
		Where: where, MTU: mtu, Super: !f.tun.plain,
		CPUs: runtime.GOMAXPROCS(0), Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Parallel: f.parallel, Seconds: f.duration.Seconds(),
	}
}

// measure measures what is asked for, or all, and prints it.
func (f *benchFlags) measure(cmd *cobra.Command, b *bench, r *benchReport, args []string) error {
	out := cmd.OutOrStdout()
	if !f.json {
		fmt.Fprintln(out, r)
	}
	for _, m := range benchmarks {
		if len(args) > 0 && !slices.Contains(args, m.name) {
			continue
		}
		result, err := m.run(b)
		if b.ctx.Err() != nil {
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

// String is the line above the results.
func (r *benchReport) String() string {
	kind := "plain packets"
	if r.Super {
		kind = "super-segments"
	}
	return fmt.Sprintf("%s, MTU %d, %s, %d CPUs, %s, %s", r.Where, r.MTU, kind, r.CPUs, r.Platform, r.Go)
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
func (b *bench) inMemory(c link.PairConfig) error {
	la, lb := link.NewPair(c)
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
