package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/link/tun"
	"github.com/vitro-net/vitro/tcp"
)

// tunFlags are the flags of all commands that use a TUN.
type tunFlags struct {
	name   string
	addrs  []string
	kernel []string
	routes []string
	mtu    int
	plain  bool // --no-offload

	own, kernels, beyond []netip.Prefix // the same, read
	device               *tun.Device    // once it is open
}

// noKernelAddr is --kernel-addr's word for: leave the kernel's end as it is.
const noKernelAddr = "none"

func (f *tunFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "tun", "",
		"the TUN interface to use; it is made where there is none of that name, and goes away again; no default")
	flags.StringArrayVar(&f.addrs, "addr", nil,
		"address of this end with its subnet, as 10.1.0.2/24 or fd00::2/64; may be several; no default")
	flags.StringArrayVar(&f.kernel, "kernel-addr", nil,
		`address of the kernel's end, as 10.1.0.1/24; "none" leaves it as it is, for a TUN that is set up already; `+
			"default: the first other address of each subnet")
	flags.StringArrayVar(&f.routes, "route", nil,
		"prefix that is reached by the TUN, beside the subnets; default: everything")
	flags.IntVar(&f.mtu, "mtu", 0, "MTU of the TUN in octets; default: as it is, 1500 for a new one")
	flags.BoolVar(&f.plain, "no-offload", false,
		"send and take packets of at most the MTU with whole checksums, no super-segments; default: super-segments")
}

// check reads the flags.
func (f *tunFlags) check() (err error) {
	switch {
	case f.name == "":
		return usagef("--tun is missing: the name of a TUN interface is needed, as --tun vitro0")
	case len(f.addrs) == 0:
		return usagef("--addr is missing: this end needs an address, as --addr 10.1.0.2/24")
	case f.mtu != 0 && (f.mtu < link.MinMTU || f.mtu > link.MaxMTU):
		return usagef("--mtu %d is not in %d..%d", f.mtu, link.MinMTU, link.MaxMTU)
	}
	if f.own, err = parsePrefixes("--addr", "10.1.0.2/24", f.addrs); err != nil {
		return err
	}
	if f.beyond, err = parsePrefixes("--route", "10.2.0.0/16", f.routes); err != nil {
		return err
	}
	if len(f.routes) == 0 {
		f.beyond = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	if err := f.rehearse(); err != nil {
		return err
	}
	f.kernels = nil
	switch {
	case len(f.kernel) == 0:
		for _, p := range f.own {
			k, ok := neighbour(p)
			if !ok {
				return usagef("--addr %v has no room for the kernel's end: name it by --kernel-addr", p)
			}
			f.kernels = append(f.kernels, k)
		}
	case len(f.kernel) != 1 || f.kernel[0] != noKernelAddr:
		f.kernels, err = parsePrefixes("--kernel-addr", "10.1.0.1/24", f.kernel)
	}
	return err
}

// rehearse gives the addresses to a Stack in memory: what it says of them is said before there
// is a TUN.
func (f *tunFlags) rehearse() error {
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		return err
	}
	defer s.Close()
	l, _ := link.Pair(f.mtu)
	err = s.Attach(l, vitro.LinkConfig{Addresses: f.own, Routes: f.beyond})
	var op *net.OpError
	if errors.As(err, &op) {
		return usagef("--addr, --route, --mtu: %v", op.Err)
	}
	return err
}

func parsePrefixes(flag, example string, texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, s := range texts {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, usagef("%s %s: an address and the length of its subnet are needed, as %s", flag, s, example)
		}
		list = append(list, p)
	}
	return list, nil
}

// neighbour returns the first address of the subnet that a host can have and p does not.
func neighbour(p netip.Prefix) (netip.Prefix, bool) {
	a := p.Masked().Addr()
	if p.Bits() < a.BitLen()-1 {
		a = a.Next() // the first is the subnet's own: RFC 1122 section 3.2.1.3, RFC 4291 section 2.6.1
	}
	if a == p.Addr() {
		a = a.Next()
	}
	return netip.PrefixFrom(a, p.Bits()), a.IsValid() && p.Contains(a)
}

// open makes a Stack on the TUN; down is told when the TUN has gone. Names are resolved by
// the operating system.
func (f *tunFlags) open(down func(error)) (*vitro.Stack, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	device, err := tun.Open(tun.Config{Name: f.name, MTU: f.mtu, Addrs: f.kernels, NoOffload: f.plain})
	if err != nil {
		return nil, err // it says what, why and the next step
	}
	s, err := vitro.New(vitro.Config{Resolver: net.DefaultResolver})
	if err == nil {
		f.device = device
		err = s.Attach(device, vitro.LinkConfig{
			Addresses: f.own, Routes: f.beyond, Down: func(err error) { down(gone{err}) },
		})
		if err == nil {
			return s, nil
		}
		s.Close()
	}
	device.Close()
	return nil, err
}

// gone is the error of a command whose TUN has gone.
type gone struct{ error }

func (e gone) Unwrap() error { return e.error }

// goneOf returns why the TUN of a context has gone, nil if it has not.
func goneOf(ctx context.Context) error {
	var e gone
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}

// run has do use a Stack on the TUN. The context ends with an interrupt, and when the TUN has
// gone, which is then the error, whatever do makes of it.
func (f *tunFlags) run(cmd *cobra.Command, do func(ctx context.Context, s *vitro.Stack) error) error {
	parent, stop := interrupted(cmd.Context())
	defer stop()
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	s, err := f.open(end)
	if err != nil {
		return err
	}
	err = do(ctx, s)
	finish(ctx, s)
	if down := goneOf(ctx); down != nil {
		return down
	}
	return err
}

// interrupted returns a context that ends with the first interrupt; a second one ends the
// process as usual.
func interrupted(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// finishTime is how long a command waits at its end for what it has sent to arrive.
const finishTime = 5 * time.Second

// finish waits until all that was sent is acknowledged, FINs too, and closes s. What the
// peer may still send, in FIN-WAIT-2, and TIME-WAIT are not waited for: the process that
// would answer is about to end. Without a TUN nothing will be acknowledged.
func finish(ctx context.Context, s *vitro.Stack) {
	for end := time.Now().Add(finishTime); time.Now().Before(end) && slices.ContainsFunc(s.Connections(), underWay); {
		if goneOf(ctx) != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Close()
}

func underWay(st tcp.Status) bool {
	return st.State != tcp.Closed && st.State != tcp.Listen && st.State != tcp.FinWait2 && st.State != tcp.TimeWait
}
