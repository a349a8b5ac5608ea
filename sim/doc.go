// Package sim is a virtual network that is driven by its own clock: hosts that are
// [stack.Stack]s, links with a delay and with losses, and a [World] whose time goes from
// one event to the next. The minute of TIME-WAIT passes at once.
//
//	w := sim.New(1)
//	a, b := w.Host("A", stack.Config{}), w.Host("B", stack.Config{})
//	w.Link(sim.LinkConfig{Delay: 20 * time.Millisecond},
//		sim.Port{Host: a, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
//		sim.Port{Host: b, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
//	w.At(0, func() { b.Listen(...) })
//	w.At(time.Second, func() { a.Dial(...) })
//	w.Run(tcp.Never)
//
// What the users of the hosts do is written as functions that the World calls: at a time
// ([World.At]), when a connection is accepted ([Listener.OnAccept]), when something has
// happened on one ([Conn.OnSignal]). There is no goroutine and no sleep, and all randomness
// comes from the seed, so equal worlds live equal lives, to the last octet. [World.Watch]
// shows every event of it.
//
// A World and all that belongs to it is for one goroutine at a time.
package sim
