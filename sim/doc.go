// Package sim is a virtual network that is driven by its own clock: hosts that are
// [stack.Stack]s, links that treat packets as networks do, and a [World] whose time goes from
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
// [LinkConfig] says what the way from one to the other does to packets: rate and queue, loss and
// bursts of it, jitter, late, double and damaged packets, blackouts. The model of one direction is
// [Path], which knows no World and can be driven by any clock. [World.NewBulk] sends as fast as it
// goes and measures it: every gap in which nothing moves is listed with its cause.
//
// A World and all that belongs to it is for one goroutine at a time.
package sim
