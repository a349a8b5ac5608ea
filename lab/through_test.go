package lab_test

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
	"github.com/vitro-net/vitro/tcp"
)

// What is between two hosts, and how a segment gets from one to the other.
var between = map[string]func(n *lab.Net){
	"a link": func(n *lab.Net) {},
	"two routers": func(n *lab.Net) {
		n.Router("r1")
		n.Router("r2")
		n.Link("client", "r1", lab.Link{Delay: rtt / 8})
		n.Link("r1", "r2", lab.Link{Delay: rtt / 8})
		n.Link("r2", "server", lab.Link{Delay: rtt / 4})
	},
	"a NAT": func(n *lab.Net) {
		n.NAT("nat", "client")
		n.Link("client", "nat", lab.Link{Delay: rtt / 4})
		n.Link("nat", "server", lab.Link{Delay: rtt / 4})
	},
	"a NAT behind a router": func(n *lab.Net) {
		n.NAT("nat", "client")
		n.Router("r")
		n.Link("client", "nat", lab.Link{Delay: rtt / 8})
		n.Link("nat", "r", lab.Link{Delay: rtt / 8})
		n.Link("r", "server", lab.Link{Delay: rtt / 4})
	},
}

func eachBetween(t *testing.T, f func(t *testing.T, n *lab.Net, client, server *lab.Host)) {
	for name, build := range between {
		t.Run(name, func(t *testing.T) {
			line(t, func(t *testing.T, n *lab.Net) {
				client, server := n.Host("client"), n.Host("server")
				build(n)
				f(t, n, client, server)
			})
		})
	}
}

// A rule knows the states of both ends, whatever is between them.
func TestStatesOfBothEnds(t *testing.T) {
	eachBetween(t, func(t *testing.T, n *lab.Net, client, server *lab.Host) {
		c, s := connect(t, client, server)
		there := n.Rule(lab.Text.From("client").While(tcp.Established).WhilePeer(tcp.CloseWait).Delay(0))
		back := n.Rule(lab.Text.From("server").While(tcp.CloseWait).WhilePeer(tcp.FinWait2).Delay(0))
		c.Write([]byte("1"))
		must(t, 0, readFull(s, make([]byte, 1)))
		c.CloseWrite()
		time.Sleep(time.Second)
		s.Write([]byte("2"))
		must(t, 0, readFull(c, make([]byte, 1)))
		n.Settle()
		if there.Hits() != 0 || back.Hits() != 1 {
			t.Errorf("of what the server said in CLOSE-WAIT to FIN-WAIT-2 the rule has picked %d; want 1; of what nobody said %d", back.Hits(), there.Hits())
		}
	})
}

// A ladder shows each segment once, as it leaves the one end and reaches the other, and the states at both.
func TestLadderFromEndToEnd(t *testing.T) {
	eachBetween(t, func(t *testing.T, n *lab.Net, client, server *lab.Host) {
		c, s := connect(t, client, server)
		c.Write([]byte("question"))
		must(t, 0, readFull(s, make([]byte, 8)))
		s.Close()
		io.Copy(io.Discard, c)
		c.Close()
		n.Settle()
		got, want := plainLadder(n.Ladder("client", "server")), strings.TrimSpace(fromEndToEnd)
		if got != want {
			t.Errorf("the ladder is\n%s\nwant\n%s", got, want)
		}
	})
}

const fromEndToEnd = `
client server
1. CLOSED CLOSED
2. 0.000s SYN-SENT --> <SEQ=#><CTL=SYN> --> SYN-RECEIVED
3. 0.020s ESTABLISHED <-- <SEQ=#><ACK=#><CTL=SYN,ACK> <-- SYN-RECEIVED
4. 0.040s ESTABLISHED --> <SEQ=#><ACK=#><CTL=ACK> --> ESTABLISHED
5. 0.060s ESTABLISHED --> <SEQ=#><ACK=#><LEN=8><CTL=PSH,ACK> --> ESTABLISHED
6. 0.080s ESTABLISHED <-- <SEQ=#><ACK=#><CTL=ACK> <-- ESTABLISHED
7. 0.080s CLOSE-WAIT <-- <SEQ=#><ACK=#><CTL=FIN,ACK> <-- FIN-WAIT-1
8. 0.100s CLOSE-WAIT --> <SEQ=#><ACK=#><CTL=ACK> --> FIN-WAIT-2
9. 0.100s LAST-ACK --> <SEQ=#><ACK=#><CTL=FIN,ACK> --> TIME-WAIT
10. 0.120s CLOSED <-- <SEQ=#><ACK=#><CTL=ACK> <-- TIME-WAIT
`

var sequence = regexp.MustCompile(`\b[0-9]{5,}\b`)

// plainLadder is a ladder without its title, sequence numbers and columns.
func plainLadder(s string) string {
	_, s, _ = strings.Cut(s, "\n\n")
	s = sequence.ReplaceAllString(s, "#")
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return strings.TrimSpace(b.String())
}

// A partition of two hosts is one, whatever is between them; others are not cut off.
func TestPartitionThrough(t *testing.T) {
	for what, cut := range map[string]func(n *lab.Net) *lab.Cut{
		"both ways":               func(n *lab.Net) *lab.Cut { return n.Partition("server", "client") },
		"from the server":         func(n *lab.Net) *lab.Cut { return n.PartitionOneWay("server", "client") },
		"from the client":         func(n *lab.Net) *lab.Cut { return n.PartitionOneWay("client", "server") },
		"the client from all":     func(n *lab.Net) *lab.Cut { return n.Isolate("client") },
		"the server and another":  func(n *lab.Net) *lab.Cut { return n.Isolate("server", "other") },
		"nobody, in one group":    func(n *lab.Net) *lab.Cut { return n.Isolate("server", "client") },
		"nobody, in the other":    func(n *lab.Net) *lab.Cut { return n.Isolate("other") },
		"nobody, of two that are": func(n *lab.Net) *lab.Cut { return n.Partition("client", "other") },
	} {
		t.Run(what, func(t *testing.T) {
			eachBetween(t, func(t *testing.T, n *lab.Net, client, server *lab.Host) {
				n.Host("other")
				c, s := connect(t, client, server)
				c.Write([]byte("0"))
				must(t, 0, readFull(s, make([]byte, 1)))
				time.Sleep(time.Second)
				healed := cut(n)
				whole := strings.HasPrefix(what, "nobody")
				wantThere, wantBack := whole || what == "from the server", whole || what == "from the client"
				c.Write([]byte("1"))
				s.Write([]byte("2"))
				time.Sleep(rtt)
				if st := server.Connections(); len(st) != 1 || (st[0].Unread == 1) != wantThere {
					t.Errorf("the client's text arrives: want %v; %v", wantThere, st)
				}
				if st := client.Connections(); len(st) != 1 || (st[0].Unread == 1) != wantBack {
					t.Errorf("the server's text arrives: want %v; %v", wantBack, st)
				}
				healed.Heal()
				must(t, 0, readFull(s, make([]byte, 1)))
				must(t, 0, readFull(c, make([]byte, 1)))
				if ladder := n.Ladder("client", "server"); strings.Contains(ladder, "cut off") == whole {
					t.Errorf("the ladder says nothing of the cut, or of one that is none:\n%s", ladder)
				}
			})
		})
	}
}

// A router or a NAT that is cut off from a host, or from all, passes nothing on to it.
func TestPartitionOfWhatPassesOn(t *testing.T) {
	for what, cut := range map[string]func(n *lab.Net, passes string) *lab.Cut{
		"from the client": func(n *lab.Net, passes string) *lab.Cut { return n.Partition("client", passes) },
		"from the server": func(n *lab.Net, passes string) *lab.Cut { return n.Partition(passes, "server") },
		"from all":        func(n *lab.Net, passes string) *lab.Cut { return n.Isolate(passes) },
	} {
		for _, passes := range []string{"router", "NAT"} {
			t.Run(passes+" "+what, func(t *testing.T) {
				line(t, func(t *testing.T, n *lab.Net) {
					client, server := n.Host("client"), n.Host("server")
					if passes == "NAT" {
						n.NAT(passes, "client")
					} else {
						n.Router(passes)
					}
					n.Link("client", passes, lab.Link{Delay: rtt / 4})
					n.Link("server", passes, lab.Link{Delay: rtt / 4})
					c, s := connect(t, client, server)
					time.Sleep(time.Second)
					healed := cut(n, passes)
					c.Write([]byte("1"))
					s.Write([]byte("2"))
					time.Sleep(time.Minute)
					if x, y := client.Connections()[0].Unread, server.Connections()[0].Unread; x+y > 0 {
						t.Errorf("%d octets reach the client, %d the server", x, y)
					}
					healed.Heal()
					must(t, 0, readFull(s, make([]byte, 1)))
					must(t, 0, readFull(c, make([]byte, 1)))
				})
			})
		}
	}
}

// What befalls a NAT is in the ladders of those behind it.
func TestLadderTellsOfTheNAT(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		nat := n.NAT("nat", "client")
		c, s := connect(t, client, server)
		c.Write([]byte("1"))
		must(t, 0, readFull(s, make([]byte, 1)))
		nat.Forget()
		s.Write([]byte("2"))
		n.Settle()
		ladder := n.Ladder("client", "server")
		for _, want := range []string{"(nat: forgets all)", "(the NAT knows no such connection)"} {
			if !strings.Contains(ladder, want) {
				t.Errorf("no %q:\n%s", want, ladder)
			}
		}
	})
}

// What a router does not pass on does not arrive in the ladder: it is what goes again in pieces that does.
func TestLadderOfATooLongSegment(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		n.Router("r")
		n.Link("client", "r", lab.Link{Delay: rtt / 4})
		n.Link("r", "server", lab.Link{Delay: rtt / 4, MTU: 600})
		c, s := connect(t, client, server)
		c.Write(make([]byte, 1000))
		must(t, 0, readFull(s, make([]byte, 1000)))
		n.Settle()
		ladder := plainLadder(n.Ladder("client", "server"))
		for want, times := range map[string]int{
			"--> <SEQ=#><ACK=#><LEN=1000><CTL=PSH,ACK> ... ": 1, "... <SEQ=#><ACK=#><LEN=1000><CTL=PSH,ACK> -->": 0,
			"--> <SEQ=#><ACK=#><LEN=548><CTL=ACK> --> ": 1, "--> <SEQ=#><ACK=#><LEN=452><CTL=PSH,ACK> --> ": 1,
		} {
			if strings.Count(ladder, want) != times {
				t.Errorf("%q is there %d times; want %d:\n%s", want, strings.Count(ladder, want), times, ladder)
			}
		}
	})
}

// What has been damaged on one link is so on the next, and the end that does not use it is told of in the ladder.
func TestLadderOfADamagedSegment(t *testing.T) {
	eachBetween(t, func(t *testing.T, n *lab.Net, client, server *lab.Host) {
		c, s := connect(t, client, server)
		n.Rule(lab.First(1, lab.Text).Corrupt())
		text := make([]byte, 1400) // nearly all of the packet: the bit is one of them
		c.Write(text)
		must(t, 0, readFull(s, text))
		ladder := plainLadder(n.Ladder("client", "server"))
		if strings.Count(ladder, "(damaged by rule: first 1 text)") != 1 || strings.Count(ladder, "<LEN=1400>") != 2 {
			t.Errorf("want two segments, one of them damaged:\n%s", ladder)
		}
	})
}

// Of a long transfer the middle is left out, and what has departed in it is not said to be doubled.
func TestLadderOfALongTransfer(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: rtt / 2, Rate: 10 * lab.Mbps})
		c, s := connect(t, n.Host("client"), n.Host("server"))
		go c.Write(make([]byte, 1e6))
		must(t, 0, readFull(s, make([]byte, 1e6)))
		n.Settle()
		ladder := n.Ladder("client", "server")
		if !strings.Contains(ladder, "events are left out") || strings.Contains(ladder, "(duplicate)") {
			t.Errorf("nothing is left out, or something is said to be doubled:\n%s", ladder)
		}
	})
}

// Who dials and closes at once acknowledges the SYN,ACK in ESTABLISHED, and the rule and the ladder agree.
func TestLadderOfOneInstant(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		l, err := server.Listen("tcp4", ":80")
		must(t, 0, err)
		defer l.Close()
		ack := n.Rule(lab.First(1, lab.ACK.From("client").While(tcp.Established)).Delay(0))
		c, err := client.Dial("tcp4", "server:80")
		must(t, 0, err)
		c.Close()
		n.Settle()
		const want = "ESTABLISHED --> <SEQ=#><ACK=#><CTL=ACK> --> ESTABLISHED"
		got := plainLadder(n.Ladder("client", "server"))
		if ack.Hits() != 1 || !strings.Contains(got, want) {
			t.Errorf("%d acknowledgments in ESTABLISHED by the rule; the ladder wants %q:\n%s", ack.Hits(), want, got)
		}
	})
}

// A host that crashes has not sent what it was to send at that instant.
func TestCrashAtOnce(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		time.Sleep(time.Second)
		c.Write([]byte("1"))
		client.Crash()
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if k, err := s.Read(make([]byte, 1)); k > 0 {
			t.Errorf("%d octets arrive, %v", k, err)
		}
	})
}

// A reset by a rule comes back after the delay of the link, however slow that is: what it answers is not sent.
func TestResetOnASlowLink(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, _ := connect(t, n.Host("client"), n.Host("server"))
		n.Default(lab.Link{Delay: 10 * time.Millisecond, Rate: 100 * lab.Kbps})
		n.Rule(lab.Text.Reset())
		c.Write(make([]byte, 1000)) // would take 84 ms
		took(t, "the reset of 40 octets, which take 3.2 ms, and two delays", 23*time.Millisecond, 24*time.Millisecond, func() {
			if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("Read: %v; want a reset", err)
			}
		})
	})
}
