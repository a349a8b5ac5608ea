package vitro

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vitro-net/vitro/host"
)

// attemptDelay is the Connection Attempt Delay: "One recommended value for a default delay is 250
// milliseconds" (RFC 8305 section 5). Package net has 300 ms, for one other family.
const attemptDelay = 250 * time.Millisecond

// race dials several addresses by Happy Eyeballs: RFC 8305 section 5. The error is that of the first.
//
// What is not asynchronous here is the look-up of the name (section 3): a Resolver gives the addresses
// of both families in one answer, in the order of RFC 6724 where it is *net.Resolver.
func (d *Dialer) race(ctx context.Context, network string, local netip.AddrPort, addrs []netip.AddrPort, open opening) (*Conn, error) {
	begun := ctx.Err() == nil
	c, err := d.raceHosts(ctx, local, addrs, open)
	if err != nil {
		return nil, d.fail(network, addrs[0], err, begun)
	}
	return &Conn{c: c, network: network}, nil
}

func (d *Dialer) raceHosts(ctx context.Context, local netip.AddrPort, addrs []netip.AddrPort, open opening) (*host.Conn, error) {
	delay := cmp.Or(d.FallbackDelay, attemptDelay)
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		addrs[i] = self(a, false)
	}
	if !open.fast {
		return d.Stack.host.DialFirst(ctx, local, addrs, delay, d.config())
	}
	c, n, err := d.Stack.host.DialFirstFastOpen(ctx, local, addrs, delay, d.config(), open.data)
	if err != nil {
		return nil, err
	}
	return writeRest(ctx, c, open.data[n:])
}

// interleave returns the addresses with the families in turn, beginning with that of the first:
// "Whichever address family is first in the list should be followed by an address of the other
// address family" (RFC 8305 section 4). Within a family the order stays.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var first, other []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == addrs[0].Addr().Is4() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	var all []netip.AddrPort
	for len(first) > 0 && len(other) > 0 {
		all = append(all, first[0], other[0])
		first, other = first[1:], other[1:]
	}
	return append(append(all, first...), other...)
}
