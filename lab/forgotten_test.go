package lab_test

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// crowd has two hosts connect, and then so many others that the first connection is forgotten.
func crowd(t *testing.T, n *lab.Net, nat bool) (c, s net.Conn) {
	t.Helper()
	client, server, other := n.Host("client"), n.Host("server"), n.Host("other")
	if nat {
		n.NAT("nat", "client")
	}
	l, err := server.Listen("tcp", ":80")
	must(t, 0, err)
	c = dial(t, client, "tcp", "server:80")
	s, err = l.Accept()
	must(t, 0, err)
	for range 300 {
		dial(t, other, "tcp", "server:80")
	}
	time.Sleep(time.Second)
	if l := n.Ladder("client", "server"); l != "" {
		t.Fatalf("the first of 301 connections has not been forgotten:\n%s", l)
	}
	return c, s
}

// A connection that has been forgotten has a ladder again from when it gets into trouble: with the states that its
// ends have, what is lost, what runs out, and how it ends.
func TestForgottenConnection(t *testing.T) {
	for _, nat := range []bool{false, true} {
		line(t, func(t *testing.T, n *lab.Net) {
			c, s := crowd(t, n, nat)
			n.Rule(lab.First(2, lab.Text.From("client")).Drop())
			c.Write([]byte("hello"))
			if err := readFull(s, make([]byte, 5)); err != nil {
				t.Errorf("what is sent again does not arrive: %v", err)
			}
			l := n.Ladder("client", "server")
			for want, times := range map[string]int{"(what was before has been forgotten)": 1, "dropped by rule": 2, "(lost)": 2, "SYN": 0, "CLOSED": 0} {
				if strings.Count(l, want) != times {
					t.Errorf("in the ladder %q is %d times; want %d:\n%s", want, strings.Count(l, want), times, l)
				}
			}
			if !strings.Contains(l, "--> ESTABLISHED") {
				t.Errorf("nothing arrives in the ladder:\n%s", l)
			}
		})
	}
}

// A reset is trouble too, and a partition, which has the first word in the ladder.
func TestForgottenConnectionEnds(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := crowd(t, n, false)
		c.(lingers).SetLinger(0)
		c.Close()
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "a Read", err, syscall.ECONNRESET)
		if l := n.Ladder("client", "server"); strings.Count(l, "CLOSED") < 2 || !strings.Contains(l, "ESTABLISHED") || !strings.Contains(l, "RST") {
			t.Errorf("the ladder of a connection that is reset is\n%s", l)
		}
	})
	line(t, func(t *testing.T, n *lab.Net) {
		c, _ := crowd(t, n, false)
		n.Partition("client", "server")
		c.Write([]byte("hello"))
		time.Sleep(10 * time.Second)
		l := n.Ladder("client", "server")
		cut, text := strings.Index(l, "cut off from"), strings.Index(l, "(lost)")
		if cut < 0 || text < cut || strings.Count(l, "what was before") != 1 || strings.Count(l, "(lost)") < 3 {
			t.Errorf("the ladder of a connection that is cut off is\n%s", l)
		}
	})
}

// One that ends in order, or has nothing to tell, stays forgotten.
func TestForgottenForGood(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := crowd(t, n, false)
		c.Write([]byte("hello"))
		readFull(s, make([]byte, 5))
		c.Close()
		s.Close()
		time.Sleep(5 * time.Minute)
		if l := n.Ladder("client", "server"); l != "" {
			t.Errorf("the ladder of a connection without trouble is\n%s", l)
		}
	})
}

func TestForgottenOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		c, s := crowd(t, n, false)
		n.Rule(lab.First(1, lab.Text.From("client")).Drop())
		c.Write([]byte("hello"))
		readFull(s, make([]byte, 5))
		t.Error("on purpose")
	})
}

// The report says how many connections have been forgotten, and has the ladder of the one that got into trouble
// after that.
func TestReportOfForgotten(t *testing.T) {
	out := again(t, "TestForgottenOnPurpose")
	for _, want := range []string{"46 connections have been forgotten", "what was before has been forgotten", "dropped by rule: first 1 text from client"} {
		if strings.Count(out, want) != 1 {
			t.Errorf("the report does not say once %q:\n%s", want, out)
		}
	}
}

// That TIME-WAIT ends is no trouble: connections that have ended in order are forgotten before one that is there yet.
func TestEndedAreForgottenFirst(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server, other := n.Host("client"), n.Host("server"), n.Host("other")
		connect(t, client, server)
		for range 2 {
			for range 150 {
				c, s := connect(t, other, server)
				c.Close()
				s.Close()
			}
			time.Sleep(10 * time.Minute)
		}
		if n.Ladder("client", "server") == "" {
			t.Error("of 301 connections, 300 of which have ended in order, the other one is forgotten")
		}
	})
}
