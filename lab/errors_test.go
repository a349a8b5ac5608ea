package lab_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// The links of each of between.
var linksBetween = map[string][][2]string{
	"a link":                {{"client", "server"}},
	"two routers":           {{"client", "r1"}, {"r1", "r2"}, {"r2", "server"}},
	"a NAT":                 {{"client", "nat"}, {"nat", "server"}},
	"a NAT behind a router": {{"client", "nat"}, {"nat", "r"}, {"r", "server"}},
}

// Whoever sends what a link is too narrow for is told so, through routers and NATs: nothing waits for a
// timeout, whichever link it is, and whichever way.
func TestNarrowLinkAnywhere(t *testing.T) {
	for name, build := range between {
		for _, narrow := range linksBetween[name] {
			t.Run(name+" "+narrow[0]+"-"+narrow[1], func(t *testing.T) {
				line(t, func(t *testing.T, n *lab.Net) {
					client, server := n.Host("client"), n.Host("server")
					build(n)
					c, s := connect(t, client, server)
					n.Link(narrow[0], narrow[1], lab.Link{Delay: rtt / 8, MTU: 1300})
					for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
						took(t, "50,000 octets", rtt/8, 8*rtt, func() {
							way[0].Write(make([]byte, 50_000))
							must(t, 0, readFull(way[1], make([]byte, 50_000)))
						})
					}
					if k := client.Connections()[0].Timeouts + server.Connections()[0].Timeouts; k > 0 {
						t.Errorf("%d timeouts", k)
					}
				})
			})
		}
	}
}

// A host behind a NAT says to who is outside that nobody hears at a port.
func TestUnreachableBehindNAT(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		nat := n.NAT("nat", "client")
		here, err := client.ListenPacket("udp4", ":5000")
		must(t, 0, err)
		there, err := server.ListenPacket("udp4", ":53")
		must(t, 0, err)
		at := &net.UDPAddr{IP: server.Addr().AsSlice(), Port: 53}
		_, err = here.WriteTo([]byte("?"), at)
		must(t, 0, err)
		_, from, err := there.ReadFrom(make([]byte, 9))
		must(t, 0, err)
		if host, _, _ := strings.Cut(from.String(), ":"); host != nat.Addr().String() {
			t.Errorf("it comes from %v", from)
		}
		here.Close()
		there.Close()
		d := server.Dialer()
		d.LocalAddr = at
		back, err := d.Dial("udp4", from.String())
		must(t, 0, err)
		back.Write([]byte("!"))
		back.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := back.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Read: %v; want ECONNREFUSED", err)
		}
	})
}

// A partition of one way holds for the replies to an echo as for all else.
func TestPingThroughAPartition(t *testing.T) {
	eachBetween(t, func(t *testing.T, n *lab.Net, client, server *lab.Host) {
		ping := func(want error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := client.Ping(ctx, "server"); !errors.Is(err, want) {
				t.Errorf("%v; want %v", err, want)
			}
		}
		ping(nil)
		cut := n.PartitionOneWay("server", "client")
		ping(context.DeadlineExceeded)
		cut.Heal()
		ping(nil)
		n.Isolate("server", "client")
		ping(nil)
	})
}

// What is sent again is that behind a router or NAT too, and a router itself has sent nothing again.
func TestAgainBehind(t *testing.T) {
	for name, build := range between {
		t.Run(name, func(t *testing.T) {
			line(t, func(t *testing.T, n *lab.Net) {
				client, server := n.Host("client"), n.Host("server")
				build(n)
				links := linksBetween[name]
				last := links[len(links)-1]
				again := n.Rule(lab.Again.From("client").On(last[0], last[1]).Delay(0))
				c, s := connect(t, client, server)
				n.Rule(lab.First(1, lab.Text.From("client")).Drop())
				c.Write([]byte("1"))
				must(t, 0, readFull(s, make([]byte, 1)))
				n.Settle()
				if again.Hits() != 1 || client.Stats().Retransmits != 1 || server.Stats().Retransmits != 0 {
					t.Errorf("on the last link %d are sent again, by the client %d, by the server %d; want 1, 1, 0",
						again.Hits(), client.Stats().Retransmits, server.Stats().Retransmits)
				}
			})
		})
	}
}

// Pauses, crashes and partitions of a router are in the ladders of what it passes on, and so is a reset that
// a rule makes up before it.
func TestLadderTellsOfTheRouter(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		r := n.Router("r")
		n.Link("client", "r", lab.Link{Delay: rtt / 4})
		n.Link("r", "server", lab.Link{Delay: rtt / 4})
		c, s := connect(t, client, server)
		r.Pause()
		r.Resume()
		n.Partition("r", "server").Heal()
		r.Restart()
		time.Sleep(time.Second)
		n.Rule(lab.First(1, lab.Text).Reset())
		c.Write([]byte("1"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v; want a reset", err)
		}
		s.Close()
		n.Settle()
		ladder := plainLadder(n.Ladder("client", "server"))
		for _, want := range []string{"(r: pause)", "(r: resume)", "(r: crash)", "(r: restart)", "(server: cut off from r)",
			"(server: joined again with r)", "CLOSED <-- <SEQ=#><CTL=RST> <-- ESTABLISHED"} {
			if !strings.Contains(ladder, want) {
				t.Errorf("no %q:\n%s", want, ladder)
			}
		}
	})
}

// Also where the links have no delay.
func TestLadderTellsOfAResetAtOnce(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{})
		client, server := n.Host("client"), n.Host("server")
		n.Router("r")
		n.Link("client", "r", lab.Link{})
		n.Link("r", "server", lab.Link{})
		c, _ := connect(t, client, server)
		n.Rule(lab.First(1, lab.Text).Reset())
		c.Write([]byte("1"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v; want a reset", err)
		}
		n.Settle()
		ladder := plainLadder(n.Ladder("client", "server"))
		if want := "CLOSED <-- <SEQ=#><CTL=RST>"; !strings.Contains(ladder, want) {
			t.Errorf("no %q:\n%s", want, ladder)
		}
	})
}
