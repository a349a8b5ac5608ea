// Package lab is a network for tests of network programs: real TCP, on virtual time.
//
//	func TestFetch(t *testing.T) {
//		lab.Test(t, func(t *testing.T, n *lab.Net) {
//			n.Default(lab.Link{Delay: 20 * time.Millisecond, Loss: 0.01, Rate: 10 * lab.Mbps, Queue: 64})
//			server, client := n.Host("server"), n.Host("client")
//			l, err := server.Listen("tcp", ":80")
//			if err != nil {
//				t.Fatal(err)
//			}
//			go http.Serve(l, handler)
//			hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
//			n.Rule(lab.First(2, lab.SYN).From("client").Drop())
//			resp, err := hc.Get("http://server/")
//			...
//		}, lab.Seeds(100))
//	}
//
// What net.Pipe never does happens here: a SYN is lost, text comes in pieces, a peer half-closes,
// resets, vanishes and comes back without its memory, a NAT forgets, a network is cut in two. A minute
// of waiting takes microseconds, nothing needs root, and no port of the machine is used. docs/what-breaks.md
// has ten programs that pass their tests over net.Pipe and fail them here, each mended.
//
// # Hosts and links
//
// A [Host] is a [vitro.Stack] with a name, an IPv4 and an IPv6 address. It knows all others by their names. Its
// Dial, DialContext and Listen are what programs take; [Host.Stack] has all else that vitro can. Each two
// hosts are joined by a link of their own, which [Net.Default] describes for all and [Net.Link] for one pair:
// delay, jitter, rate and queue, loss alone and in bursts, reordering, duplication, corruption, MTU,
// blackouts. Over a link without a Rate what is written at once arrives at once, and is read in one
// piece; with one it comes segment by segment. A link may be changed while packets are on it. [Net.Router] and [Net.NAT] make what stands
// between: whoever has a link to a router, or is behind a NAT, reaches the others by it alone.
//
// # Faults
//
// What befalls packets by chance follows from the seed. What befalls them by intent are rules: a [Match]
// picks packets by what they are ([SYN], [FIN], [Text], [Again]), by who sends them, by their number ([First], [Nth], [Every],
// [After]), and by the state of the connection at either end; its methods say what happens to them:
//
//	n.Rule(lab.Nth(3, lab.FIN).Drop())                                  // the third FIN
//	n.Rule(lab.RST.WhilePeer(tcp.CloseWait).Delay(time.Second))         // a reset to CLOSE-WAIT
//	n.Rule(lab.First(1, lab.ACK).While(tcp.TimeWait).Drop())            // the last acknowledgment of a close
//	n.Rule(lab.SYNACK.From("server").Delay(3 * time.Second))
//	n.Rule(lab.First(1, lab.Text.From("client")).Reset())               // a firewall rejects it
//
// [Net.Partition] cuts two hosts off from each other until it is healed, [Net.Isolate] some from all others. [Host.Crash] takes a host from the network
// with all its memory, [Host.Restart] brings it back, [Host.Pause] suspends it. [Slow] makes a receiver slow.
//
// # Time
//
// [Test] runs in a bubble of [testing/synctest]: time passes only when all goroutines wait, and then at once.
// A bubble has rules: what a goroutine in it waits for must be of the bubble. A goroutine that waits for a
// mutex, for the kernel's network, or for a goroutine outside keeps time from passing; if nothing
// happens for ten seconds of real time, and nobody computes, Test ends the process and names the lines ([Patience]). Who waits
// for what does not come is ended after a day of the bubble's time, and his line named ([Limit]). What
// a package makes once for the whole process, as net.DefaultResolver its configuration or others a pool of
// timers, belongs to the bubble that was first, and the next one dies of it. All
// goroutines must end within a minute after the test: the hosts are closed then, and whoever reads, writes
// or accepts gets net.ErrClosed; those that do not are named, and package synctest ends the process. A bubble begins in the year 2000, before the first day of any certificate
// of today: [StartAt].
//
// In a bubble Write does not wait before 16 MiB are queued, because net/http's HTTP/2 client writes
// while it holds a mutex; [Strict] takes that away. So what has been written may not have left for long:
// http.Server.Shutdown, which waits until responses are written, returns at once there, and a [Slow] receiver
// holds nobody. [New] makes the same network in real time.
//
// The goroutines of a bubble run one after the other, as a rule, and to wake one on another processor
// takes longer than to go on: where tests do not run in parallel, go test -cpu 1 is faster, by a third where packets are
// many, and threefold for one HTTP request.
//
// What is sent at an instant leaves a nanosecond later. A change of the network, a rule, a partition, a crash, another
// link, holds for all of that, whether it comes before or after the call that sends: else it would depend on the scheduler.
//
// # How far it is the same again
//
// The network is reproducible: equal seeds lose, delay and damage the same packets, by their number
// on their link, and packets that leave at one instant are put in an order that does not depend on
// which goroutine was first. A program in which at most one goroutine at a time has something to do at an
// instant gives the same packets at the same nanoseconds, each time. Programs with several that run at
// one instant are as reproducible as they are themselves: which of two goroutines wins a mutex,
// a select or a map's order is not the network's to say, and if it decides what is sent, packets differ.
// net/http with four clients over links with loss is the same, to the last octet, each time
// (TestSameSeedSamePackets).
//
// # When a test fails
//
// The log has the seed and the command that repeats it (-lab.seed=7), the connections of all hosts as netstat shows
// them, which hosts are down, the rules in force and how many packets each has picked, the partitions, and
// the ladders of the connections that had most trouble, in the notation of RFC 9293: each segment with
// the state of both ends, what was lost and by which rule; of datagrams, which have no ladder, the last that
// were lost, late, doubled or damaged. A file has the packets with a comment each, for
// Wireshark: go test -artifacts keeps it.
package lab
