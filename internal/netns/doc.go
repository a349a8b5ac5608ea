// Package netns gives tests a network namespace of their own: the Linux kernel as a peer,
// with no trace of it on the host's network. It needs root (CAP_SYS_ADMIN) and is a
// helper for tests; nothing that is shipped imports it.
//
//	ns := netns.ForTest(t) // skips the test where it cannot be had
//	err := ns.Do(func() error { // on a thread inside the namespace
//		dev, err = tun.Open(tun.Config{...}) // works from any thread afterwards
//		return err
//	})
//	out, err := ns.Output(exec.Command("ip", "addr")) // a process inside it
//
// Whatever is opened inside the namespace (a TUN, a socket, a listener) stays in it and
// can be used from any goroutine later.
package netns
