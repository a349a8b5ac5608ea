package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/tcp"
	"github.com/vitro-net/vitro/wire"
)

// Host is a host of a Net: a [vitro.Stack] with a name and addresses of both families. All methods
// may be called by several goroutines at a time.
type Host struct {
	net    *Net
	node   *node
	config vitro.Config

	mu    sync.Mutex
	stack *vitro.Stack
	lives uint64
}

// Host makes a host, with addresses of its own, which knows all hosts by their names ([DualStack]
// says by which addresses). After the end of the test, or when [Limit] has closed the hosts, a new one is closed
// as well, and so is one that [Host.Restart] brings back. It has the defaults of [vitro.Config], or the Config that is given; Seed,
// Resolver and ElasticSend, where they are not set, are the Net's. [Strict] says more of ElasticSend.
func (n *Net) Host(name string, config ...vitro.Config) *Host {
	n.tb.Helper()
	return n.newHost(name, false, config)
}

// Router makes a host that passes on what is for others, and lowers its hop limit. Only hosts that
// [Net.Link] joins with it reach it.
func (n *Net) Router(name string, config ...vitro.Config) *Host {
	n.tb.Helper()
	return n.newHost(name, true, config)
}

func (n *Net) newHost(name string, router bool, config []vitro.Config) *Host {
	n.tb.Helper()
	if len(config) > 1 {
		n.tb.Fatalf("lab: host %q has %d Configs", name, len(config))
	}
	x := n.add(name)
	h := &Host{net: n, node: x}
	if len(config) > 0 {
		h.config = config[0]
	}
	c := &h.config
	c.Forward = c.Forward || router
	c.ElasticSend = c.ElasticSend || !n.config.strict && n.config.bubble
	if c.Resolver == nil {
		c.Resolver = hostNames{n}
	}
	n.lock()
	x.host, x.router = h, c.Forward
	n.rejoined()
	c.Trace = n.traced(x, c.Trace)
	n.mu.Unlock()
	h.boot()
	return h
}

// boot gives the host a new Stack, which is closed if the Net is.
func (h *Host) boot() {
	h.net.tb.Helper()
	h.start()
	h.net.mu.Lock()
	closed := h.net.closed
	h.net.mu.Unlock()
	if closed {
		h.shut()
	}
}

func (h *Host) start() {
	h.net.tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lives++
	c := h.config
	if c.Seed == 0 {
		c.Seed = h.net.random(fmt.Sprintf("%s, life %d", h.node.name, h.lives)).Uint64() | 1
	}
	s, err := vitro.New(c)
	if err == nil {
		err = s.Attach(&port{h.node, link.DefaultMTU}, vitro.LinkConfig{
			Addresses: []netip.Prefix{netip.PrefixFrom(h.node.addr4, 32), netip.PrefixFrom(h.node.addr6, 128)},
			Routes:    []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		})
	}
	h.net.must(err)
	h.stack = s
}

// shut ends the Stack. A host that has none yet finds the Net closed when it gets one.
func (h *Host) shut() {
	if s := h.Stack(); s != nil {
		_ = s.Close()
	}
}

// Name returns the name.
func (h *Host) Name() string { return h.node.name }

// Addr returns the IPv4 address.
func (h *Host) Addr() netip.Addr { return h.node.addr4 }

// Addr6 returns the IPv6 address.
func (h *Host) Addr6() netip.Addr { return h.node.addr6 }

// Stack returns the host's Stack, which has all that package vitro can: after [Host.Restart] it is
// another.
func (h *Host) Stack() *vitro.Stack {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stack
}

// Dial connects to an address, in which the host may be a name: see [vitro.Stack.Dial].
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.Stack().Dial(network, address)
}

// DialContext is Dial with a context. It has the type that http.Transport.DialContext and others
// want.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.Stack().DialContext(ctx, network, address)
}

// Dialer returns a Dialer of the host, whose other fields are the caller's to set. It is of the host's Stack as
// it is now: after [Host.Restart] it gives net.ErrClosed, and the host has another, while
// [Host.DialContext] dials from whatever Stack the host has.
func (h *Host) Dialer() *vitro.Dialer { return &vitro.Dialer{Stack: h.Stack()} }

// Listen listens on an address of the host: see [vitro.Stack.Listen].
func (h *Host) Listen(network, address string) (net.Listener, error) {
	return h.Stack().Listen(network, address)
}

// Stats are the counters of a host, and what its connections have counted since they began.
type Stats struct {
	vitro.Stats
	Retransmits uint64 // segments that were sent though something of them had been sent before
}

// Stats returns the counters, those of [vitro.Stack.Stats] since the last [Host.Restart].
func (h *Host) Stats() Stats {
	s := Stats{Stats: h.Stack().Stats()}
	h.net.lock()
	defer h.net.mu.Unlock()
	s.Retransmits = h.node.again
	return s
}

// Connections returns the connections: see [vitro.Stack.Connections].
func (h *Host) Connections() []tcp.Status { return h.Stack().Connections() }

// mostTimeWait is how many connections in TIME-WAIT a netstat lists.
const mostTimeWait = 8

// Netstat has a line for each connection, as the command netstat; of those in TIME-WAIT the first, and how
// many more there are. The line of the host says whether it is down or paused.
func (h *Host) Netstat() string {
	h.net.lock()
	state := h.node.state()
	h.net.mu.Unlock()
	return h.netstat(state)
}

// state says why nothing gets through to a host, if so.
func (x *node) state() string {
	switch {
	case x.down:
		return ": it is down"
	case x.paused:
		return fmt.Sprintf(": it is paused, and %d packets wait for it, and %d of its own", len(x.held), len(x.waiting))
	}
	return ""
}

func (h *Host) netstat(state string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s and %s%s\n", h.Name(), h.Addr(), h.Addr6(), state)
	waiting := 0
	for _, c := range h.Connections() {
		if c.State == tcp.TimeWait {
			if waiting++; waiting > mostTimeWait {
				continue
			}
		}
		line := fmt.Sprintf("  %-22v %-22v %-12v", c.Flow.LocalAddrPort(), c.Flow.RemoteAddrPort(), c.State)
		for _, x := range []struct {
			n    uint32
			what string
		}{{c.Unacknowledged, "unacknowledged"}, {c.Unsent, "to send"}, {c.Unread, "to read"}} {
			if x.n > 0 {
				line += fmt.Sprintf(" %d %s", x.n, x.what)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if more := waiting - mostTimeWait; more > 0 {
		fmt.Fprintf(&b, "  %d more in TIME-WAIT\n", more)
	}
	h.netstatUDP(&b)
	return b.String()
}

// Crash takes the host from the network without a word, with all its memory: its peers get no answer
// any more, and its own connections and listeners give net.ErrClosed. [Host.Restart] brings it back.
func (h *Host) Crash() {
	n := h.net
	n.lock()
	down := h.node.down
	h.node.down = true
	n.drop(h.node)
	clear(h.node.states)
	clear(h.node.sent)
	if !down {
		n.record.crash(h.node)
	}
	n.mu.Unlock()
	_ = h.Stack().Close()
}

// drop loses what is still with a host that crashes: what waits for it, what a pause has kept of its own, and
// what it has sent at this instant.
func (n *Net) drop(x *node) {
	now := n.now()
	for _, p := range x.held {
		n.lose(now, p, "the host crashes")
	}
	for _, b := range x.waiting {
		n.hand(now, x, b, true, nil)
	}
	x.held, x.waiting = nil, nil
	n.unsend(x)
}

// Restart brings a host back after [Host.Crash], or crashes it and brings it back: with its
// addresses, and without any memory. What its peers still send to it is answered by resets.
func (h *Host) Restart() {
	h.net.tb.Helper()
	h.Crash()
	h.net.lock()
	h.node.down, h.node.paused = false, false
	h.net.record.note(h.node, "restart")
	h.net.mu.Unlock()
	h.boot()
}

// Pause stops what comes to the host and what it sends, as when its machine is suspended: all of it
// waits until [Host.Resume]. The programs on it are not stopped, nor are their clocks, nor its timers.
func (h *Host) Pause() {
	h.net.lock()
	defer h.net.mu.Unlock()
	h.node.paused = true
	h.net.record.note(h.node, "pause")
}

// Resume ends a Pause.
func (h *Host) Resume() {
	n := h.net
	n.lock()
	defer n.mu.Unlock()
	x := h.node
	if !x.paused {
		return
	}
	x.paused = false
	n.record.note(x, "resume")
	now := n.now()
	for _, b := range x.waiting {
		n.hand(now, x, b, true, nil)
	}
	held := x.held
	x.held, x.waiting = nil, nil
	if len(held) > 0 {
		n.deliver(x, held)
	}
	n.arm()
}

// Netstat returns that of all hosts.
func (n *Net) Netstat() string {
	n.lock()
	hosts := n.hosts()
	n.mu.Unlock()
	return netstatOf(hosts)
}

// hostState is a host, and why nothing gets through to it.
type hostState struct {
	*Host
	state string
}

// hosts lists the hosts. What they have must be asked without the Net's lock, which a host takes while it
// holds its own.
func (n *Net) hosts() (list []hostState) {
	for _, x := range n.nodes {
		if x.host != nil {
			list = append(list, hostState{x.host, x.state()})
		}
	}
	return list
}

func netstatOf(hosts []hostState) string {
	var b strings.Builder
	for _, h := range hosts {
		b.WriteString(h.netstat(h.state))
	}
	return b.String()
}

// hostNames resolves the names of hosts.
type hostNames struct{ net *Net }

// LookupNetIP returns the addresses of a host, as net.Resolver does.
func (r hostNames) LookupNetIP(_ context.Context, network, name string) ([]netip.Addr, error) {
	n := r.net
	n.lock()
	defer n.mu.Unlock()
	for _, x := range n.nodes {
		if x.name != strings.TrimSuffix(name, ".") {
			continue
		}
		switch {
		case network == "ip6":
			return []netip.Addr{x.addr6}, nil
		case network == "ip" && n.config.dual:
			return []netip.Addr{x.addr6, x.addr4}, nil
		}
		return []netip.Addr{x.addr4}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// traced joins a user's Trace with what the Net wants to know.
func (n *Net) traced(x *node, user *tcp.Trace) *tcp.Trace {
	var t tcp.Trace
	if user != nil {
		t = *user
	}
	also := t
	t.Become = func(c tcp.Observed, now tcp.Time, from, to tcp.State, rule tcp.Rule) {
		n.became(x, c.Flow(), to, rule)
		if also.Become != nil {
			also.Become(c, now, from, to, rule)
		}
	}
	t.Drop = func(c tcp.Observed, now tcp.Time, seg *wire.Segment, rule tcp.Rule) {
		n.ruled(x, c.Flow(), rule)
		if also.Drop != nil {
			also.Drop(c, now, seg, rule)
		}
	}
	t.Timeout = func(c tcp.Observed, now tcp.Time, rule tcp.Rule) {
		n.timedOut(x, c.Flow(), rule)
		if also.Timeout != nil {
			also.Timeout(c, now, rule)
		}
	}
	return &t
}
