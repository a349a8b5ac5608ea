package lab_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
	"github.com/vitro-net/vitro/tcp"
)

const rtt = 40 * time.Millisecond

// line is a network whose links have an RTT of 40 ms.
func line(t *testing.T, f func(*testing.T, *lab.Net), opts ...lab.Option) {
	t.Helper()
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: rtt / 2})
		f(t, n)
	}, opts...)
}

// must returns v, or ends the test.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// connect returns both ends of a connection between two hosts.
func connect(t *testing.T, from, to *lab.Host) (client, server *vitro.Conn) {
	t.Helper()
	l, err := to.Listen("tcp4", ":80")
	must(t, 0, err)
	defer l.Close()
	c, err := from.Dial("tcp4", to.Name()+":80")
	must(t, 0, err)
	s, err := l.Accept()
	must(t, 0, err)
	return c.(*vitro.Conn), s.(*vitro.Conn)
}

func state(c *vitro.Conn) tcp.State { return c.Status().State }

// took wants that f takes a time between two.
func took(t *testing.T, what string, least, most time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if d := time.Since(start); d < least || d > most {
		t.Errorf("%s took %v; want %v to %v", what, d, least, most)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// states lists the states of a host's connections and records.
func states(h *lab.Host) string {
	var list []string
	for _, c := range h.Connections() {
		list = append(list, c.State.String())
	}
	return strings.Join(list, " ")
}

// The last acknowledgment of a close is lost: the peer sends its FIN again, and TIME-WAIT answers.
func TestTheLastAckOfTheCloseIsLost(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		lost := n.Rule(lab.First(1, lab.ACK).While(tcp.TimeWait).Drop())
		again := n.Rule(lab.FIN.If(func(p *lab.Packet) bool { return p.Again }).From("server").Delay(0))
		c.CloseWrite()
		_, err := io.ReadAll(s)
		must(t, 0, err)
		s.Close()
		time.Sleep(rtt)
		if got := states(server); got != "LAST-ACK" {
			t.Errorf("without the last acknowledgment the server is %s; want LAST-ACK", got)
		}
		time.Sleep(time.Second)
		if got := states(server); got != "" {
			t.Errorf("a second later the server is %s; want nothing", got)
		}
		if lost.Hits() != 1 || again.Hits() != 1 {
			t.Errorf("%d acknowledgments lost, %d FINs sent again; want one each", lost.Hits(), again.Hits())
		}
		if got := states(client); got != "TIME-WAIT" {
			t.Errorf("the client is %s; want TIME-WAIT", got)
		}
		took(t, "the rest of 2 MSL", 58*time.Second, 61*time.Second, func() {
			for states(client) == "TIME-WAIT" {
				time.Sleep(time.Second)
			}
		})
	})
}

// The third FIN passes, the first two are lost.
func TestTheThirdFIN(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		fins := n.Rule(lab.First(2, lab.FIN).From("client").Drop())
		took(t, "the third FIN", 600*time.Millisecond, 1500*time.Millisecond, func() {
			c.CloseWrite()
			_, err := s.Read(make([]byte, 1))
			wantErr(t, "Read at the end", err, io.EOF)
		})
		if fins.Hits() != 2 {
			t.Errorf("%d FINs lost", fins.Hits())
		}
	})
}

// What a rule rejects is lost, and resets its sender a round trip later; its receiver learns of it when it
// sends itself. A SYN that is rejected is refused.
func TestResetByRule(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		rejected := n.Rule(lab.First(1, lab.Text.From("client")).Reset())
		took(t, "the reset", rtt, rtt+time.Millisecond, func() {
			c.Write([]byte("x"))
			_, err := c.Read(make([]byte, 1))
			wantErr(t, "Read after a Write that was rejected", err, syscall.ECONNRESET)
		})
		if rejected.Hits() != 1 || state(s) != tcp.Established {
			t.Errorf("%d rejected, and the server is %v; want one, and ESTABLISHED", rejected.Hits(), state(s))
		}
		s.Write([]byte("y"))
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "the server's Read after its Write", err, syscall.ECONNRESET)
		n.Rule(lab.First(1, lab.SYN).Reset())
		_, err = client.Dial("tcp4", "server:80")
		wantErr(t, "Dial with a SYN that is rejected", err, syscall.ECONNREFUSED)
	})
}

// A reset that reaches a connection in CLOSE-WAIT ends it.
func TestResetInCloseWait(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		rst := n.Rule(lab.RST.WhilePeer(tcp.CloseWait).Delay(time.Second))
		c.CloseWrite()
		time.Sleep(rtt)
		if got := state(s); got != tcp.CloseWait {
			t.Fatalf("after the FIN the server is %v; want CLOSE-WAIT", got)
		}
		c.SetLinger(0)
		c.Close()
		took(t, "the reset", time.Second, time.Second+rtt, func() {
			_, err := io.Copy(io.Discard, s)
			must(t, 0, err) // the FIN came before
			for state(s) != tcp.Closed {
				time.Sleep(time.Millisecond)
			}
		})
		_, err := s.Write([]byte("x"))
		wantErr(t, "Write after the reset", err, syscall.EPIPE) // as Linux has it in CLOSE-WAIT
		if rst.Hits() == 0 {
			t.Error("no reset went to CLOSE-WAIT")
		}
	})
}

// Each SYN,ACK is late by 3 s: SYNs go again, after 1 s and 2 s more, and one connection comes of it.
func TestSynAckDelayed(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		n.Rule(lab.SYNACK.Delay(3 * time.Second))
		took(t, "the handshake", 3*time.Second+rtt*3/2, 3*time.Second+rtt*3/2+time.Millisecond, func() {
			c, _ := connect(t, client, server)
			if got := state(c); got != tcp.Established {
				t.Errorf("the client is %v", got)
			}
		})
		if got := client.Stats().Retransmits; got != 2 {
			t.Errorf("%d SYNs sent again; want two", got)
		}
	})
}

// A partition in one direction: what comes back still arrives, so that the sender's text is lost and the
// receiver's is not; when it is healed all goes on.
func TestPartitionOneWay(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		cut := n.PartitionOneWay("client", "server")
		c.Write([]byte("lost"))
		s.Write([]byte("found"))
		p := make([]byte, 5)
		took(t, "what the server sends", rtt/2, rtt/2+time.Millisecond, func() { must(t, 0, readFull(c, p)) })
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := s.Read(p)
		wantErr(t, "Read across the partition", err, os.ErrDeadlineExceeded)
		cut.Heal()
		s.SetReadDeadline(time.Time{})
		took(t, "the news after the partition", 0, 8*time.Second, func() { must(t, 0, readFull(s, p[:4])) })
	})
}

func readFull(c net.Conn, p []byte) error {
	_, err := io.ReadFull(c, p)
	return err
}

// A group of two that is cut off from the two others: within each all is well, from one to the other nothing
// gets until it heals, also not to who stands behind a router.
func TestIsolate(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		hosts := map[string]*lab.Host{}
		for _, name := range []string{"a", "b", "c", "d"} {
			hosts[name] = n.Host(name)
			l, err := hosts[name].Listen("tcp", ":80")
			must(t, 0, err)
			defer l.Close()
		}
		n.Router("router")
		for _, name := range []string{"a", "b", "c", "d"} {
			n.Link(name, "router", lab.Link{Delay: rtt / 4})
		}
		reaches := func(from, to string) bool {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			c, err := hosts[from].DialContext(ctx, "tcp4", to+":80")
			if err == nil {
				c.Close()
			}
			return err == nil
		}
		cut := n.Isolate("a", "b")
		for _, way := range []string{"ab", "ba", "cd", "dc"} {
			if !reaches(way[:1], way[1:]) {
				t.Errorf("%s does not reach %s, which is on its side", way[:1], way[1:])
			}
		}
		for _, way := range []string{"ac", "ca", "bd", "db"} {
			if reaches(way[:1], way[1:]) {
				t.Errorf("%s reaches %s, from which it is cut off", way[:1], way[1:])
			}
		}
		cut.Heal()
		cut.Heal()
		if !reaches("a", "d") {
			t.Error("a does not reach d after the cut has healed")
		}
	})
}

// What each peer of a host that crashes is told, and when: nothing until it has started again, then a
// reset for what it sends.
func TestCrashAndRestart(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		server.Crash()
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "Read on the host that has crashed", err, net.ErrClosed)
		c.Write([]byte("anybody there?"))
		time.Sleep(30 * time.Second)
		if got := state(c); got != tcp.Established {
			t.Errorf("while its peer is down the client is %v; want ESTABLISHED", got)
		}
		server.Restart()
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read from a host that has lost its memory", err, syscall.ECONNRESET)
		connect(t, client, server)
	})
}

// After a restart a host dials by its own methods, whenever they were taken; a Dialer is of the Stack that
// is gone.
func TestDialerAfterRestart(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		l, err := server.Listen("tcp4", ":80")
		must(t, 0, err)
		defer l.Close()
		d, dialContext := client.Dialer(), client.DialContext
		client.Restart()
		_, err = d.Dial("tcp", "server:80")
		wantErr(t, "a Dialer of before the restart", err, net.ErrClosed)
		for _, dial := range []func(context.Context, string, string) (net.Conn, error){dialContext, client.Dialer().DialContext} {
			c, err := dial(t.Context(), "tcp", "server:80")
			must(t, 0, err)
			c.Close()
		}
	})
}

// A host that nobody answers for: Dial gives up after the context's time, and to one that is not there
// at once.
func TestNobodyThere(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		server.Crash()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		took(t, "Dial to a host that is down", 5*time.Second, 5*time.Second, func() {
			_, err := client.DialContext(ctx, "tcp4", "server:80")
			wantErr(t, "Dial to a host that is down", err, context.DeadlineExceeded)
		})
		_, err := client.Dial("tcp", "10.0.7.7:80")
		wantErr(t, "Dial to an address of nobody", err, syscall.EHOSTUNREACH)
		_, err = client.Dial("tcp", "nobody:80")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("Dial to a name of nobody: %v; want a DNSError", err)
		}
		server.Restart()
		_, err = client.Dial("tcp4", "server:80")
		wantErr(t, "Dial to a port of nobody", err, syscall.ECONNREFUSED)
	})
}

// What comes to a host that is paused waits for it.
func TestPause(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		server.Pause()
		c.Write([]byte("x"))
		time.AfterFunc(10*time.Second, server.Resume)
		took(t, "what was sent in the pause", 10*time.Second, 10*time.Second, func() { must(t, 0, readFull(s, make([]byte, 1))) })
		n.Settle()
		if got := c.Status().Unacknowledged; got != 0 {
			t.Errorf("after the pause %d octets are not acknowledged", got)
		}
	})
}

// A NAT that forgets: what the server sends is lost, what the client sends gets a reset, as the server
// knows no such socket of the NAT's.
func TestNATForgets(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		nat := n.NAT("nat", "client")
		c, s := connect(t, client, server)
		if got := s.RemoteAddr().(*net.TCPAddr).IP.String(); got != nat.Addr().String() {
			t.Fatalf("the server sees %s; want the NAT's %v", got, nat.Addr())
		}
		c.SetKeepAlive(false) // a probe would show the NAT the way again, as a delayed acknowledgment
		s.Write([]byte("x"))
		must(t, 0, readFull(c, make([]byte, 1)))
		time.Sleep(time.Second)
		nat.Forget()
		s.Write([]byte("y"))
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read behind a NAT that has forgotten", err, os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		c.Write([]byte("z"))
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read after a Write to one to whom the socket is unknown", err, syscall.ECONNRESET)
	})
}

// A NAT that passes on nothing but what it knows from the SYN on: a connection that it has forgotten is
// dead without a word, at both ends, and another one is not concerned.
func TestNATDropsUnknown(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		nat := n.NAT("nat", "client")
		nat.DropUnknown(true)
		c, s := connect(t, client, server)
		c.Write([]byte("x"))
		must(t, 0, readFull(s, make([]byte, 1)))
		nat.Forget()
		c.Write([]byte("y"))
		s.Write([]byte("z"))
		for _, end := range []*vitro.Conn{c, s} {
			end.SetReadDeadline(time.Now().Add(time.Minute))
			_, err := end.Read(make([]byte, 1))
			wantErr(t, "Read from "+end.RemoteAddr().String(), err, os.ErrDeadlineExceeded)
		}
		c2, s2 := connect(t, client, server)
		c2.Write([]byte("x"))
		must(t, 0, readFull(s2, make([]byte, 1)))
		nat.DropUnknown(false)
		c.SetReadDeadline(time.Time{})
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read once the NAT lets pass what it does not know", err, syscall.ECONNRESET)
	})
}

// A NAT with a timeout forgets an idle connection; keep-alives keep it.
func TestNATTimeout(t *testing.T) {
	for _, keep := range []bool{false, true} {
		line(t, func(t *testing.T, n *lab.Net) {
			server, client := n.Host("server"), n.Host("client")
			n.NAT("nat", "client").Timeout(5 * time.Minute)
			c, s := connect(t, client, server)
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: keep, Idle: time.Minute, Interval: time.Minute, Count: 5})
			s.SetKeepAlive(false)
			time.Sleep(time.Hour)
			s.Write([]byte("x"))
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := c.Read(make([]byte, 1)); (err == nil) != keep {
				t.Errorf("after an idle hour with keep-alive %v Read gives %v", keep, err)
			}
		})
	}
}

// Hosts behind a router reach others by it alone, over hops that count; a partition between the ends
// holds there too.
func TestRouter(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		router := n.Router("router")
		n.Link("client", "router", lab.Link{Delay: 10 * time.Millisecond})
		n.Link("router", "server", lab.Link{Delay: 30 * time.Millisecond})
		took(t, "the handshake", 80*time.Millisecond, 81*time.Millisecond, func() {
			c, err := dialOnce(client, server)
			must(t, c, err).Close()
		})
		n.Settle()
		if got := router.Stats().Forwarded; got < 4 {
			t.Errorf("the router has passed on %d packets", got)
		}
		n.Partition("client", "server")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.DialContext(ctx, "tcp4", "server:81")
		wantErr(t, "Dial across the partition", err, context.DeadlineExceeded)
	})
}

func dialOnce(client, server *lab.Host) (net.Conn, error) {
	l, err := server.Listen("tcp4", ":80")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return client.Dial("tcp4", "server:80")
}

// A narrow link: who sends what is too long is told, or is not and finds out by itself.
func TestNarrowLink(t *testing.T) {
	for _, hole := range []bool{false, true} {
		lab.Test(t, func(t *testing.T, n *lab.Net) {
			server, client := n.Host("server"), n.Host("client")
			n.Default(lab.Link{Delay: 10 * time.Millisecond, MTU: 1300, BlackHole: hole})
			c, s := connect(t, client, server)
			most := 100 * time.Millisecond
			if hole {
				most = 3 * time.Second
			}
			took(t, "a transfer over a link with an MTU of 1300", 0, most, func() {
				go c.Write(make([]byte, 10000))
				must(t, 0, readFull(s, make([]byte, 10000)))
			})
			if got := c.Status().PathMTU; got > 1300 || got < 1300 && !hole {
				t.Errorf("the path MTU is taken for %d; want 1300, or less where nobody has said so", got)
			}
		})
	}
}

// A link is another while packets are on it: those arrive as they would have.
func TestLinkChanges(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		c.Write([]byte("1"))
		time.Sleep(time.Millisecond)
		n.Link("client", "server", lab.Link{Delay: time.Second, Back: &lab.Link{Delay: time.Millisecond}})
		took(t, "what was on its way", rtt/2-2*time.Millisecond, rtt/2, func() { must(t, 0, readFull(s, make([]byte, 1))) })
		c.Write([]byte("2"))
		took(t, "the next", time.Second, time.Second+time.Millisecond, func() { must(t, 0, readFull(s, make([]byte, 1))) })
		s.Write([]byte("3"))
		took(t, "what comes back", time.Millisecond, 2*time.Millisecond, func() { must(t, 0, readFull(c, make([]byte, 1))) })
	})
}

// A rule is asked when the packet departs, whatever else happens then or later.
func TestRuleAsksTheClock(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		n.Default(lab.Link{Delay: time.Second})
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		time.Sleep(time.Minute)
		var late []time.Duration
		n.Rule(lab.Any.Do(func(p *lab.Packet) (v lab.Verdict) {
			late = append(late, time.Since(p.Sent))
			return v
		}))
		c.Write([]byte("1"))
		must(t, 0, readFull(s, make([]byte, 1)))
		c.Write([]byte("2")) // and the rule is there already
		must(t, 0, readFull(s, make([]byte, 1)))
		n.Settle()
		for _, d := range late {
			if d > time.Nanosecond {
				t.Errorf("it was asked %v after the packet had been sent", d)
			}
		}
		if len(late) < 4 {
			t.Errorf("it was asked %d times; want two segments and their acknowledgments", len(late))
		}
	})
}

// A blackout by schedule counts from when the link is set.
func TestBlackout(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		time.Sleep(time.Minute)
		n.Default(lab.Link{Delay: rtt / 2, Blackouts: []lab.Blackout{{From: time.Second, For: 10 * time.Second}}})
		c.Write([]byte("1"))
		took(t, "before the dark", rtt/2, rtt/2+time.Millisecond, func() { must(t, 0, readFull(s, make([]byte, 1))) })
		time.Sleep(2 * time.Second)
		c.Write([]byte("2"))
		took(t, "in the dark", 8*time.Second, 18*time.Second, func() { must(t, 0, readFull(s, make([]byte, 1))) })
	})
}

// It does so too where nobody has used the link before: the first SYN meets the dark, and the one after a second.
func TestBlackoutOfAnUnusedLink(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		dark := []lab.Blackout{{From: time.Second, For: 2 * time.Second}}
		n.Default(lab.Link{Delay: rtt / 2, Blackouts: dark, Back: &lab.Link{Delay: rtt / 2, Blackouts: dark}})
		server, client := n.Host("server"), n.Host("client")
		l, err := server.Listen("tcp4", ":80")
		must(t, 0, err)
		defer l.Close()
		time.Sleep(2500 * time.Millisecond)
		took(t, "to connect", time.Second+rtt, time.Second+rtt+time.Millisecond, func() {
			c, err := client.Dial("tcp4", "server:80")
			must(t, 0, err)
			c.Close()
		})
	})
}

// A bubble's clock begins where the test wants it.
func TestStartAt(t *testing.T) {
	want := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	line(t, func(t *testing.T, n *lab.Net) {
		if got := time.Now().UTC(); !got.Equal(want) {
			t.Errorf("it is %v; want %v", got, want)
		}
		connect(t, n.Host("a"), n.Host("b"))
	}, lab.StartAt(want))
}
