package lab_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/lab"
	"github.com/vitro-net/vitro/sim"
)

// A slow receiver closes its window: the sender, who may queue no more than its buffer, waits.
func TestSlowReceiver(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		small := vitro.Config{ReceiveBuffer: 16 << 10, SendBuffer: 16 << 10}
		server, client := n.Host("server", small), n.Host("client", small)
		c, s := connect(t, client, server)
		go io.Copy(io.Discard, lab.Slow(s, 80*lab.Kbps)) // 10,000 octets a second
		took(t, "110,000 octets to one who reads 10,000 a second, of which buffers hold some", 6*time.Second, 11*time.Second, func() {
			if _, err := c.Write(make([]byte, 110_000)); err != nil {
				t.Error(err)
			}
		})
	}, lab.Strict())
}

// In a bubble Write does not wait, unless the test is strict: 1 MB fits no buffer of 16 KiB.
func TestElasticAndStrict(t *testing.T) {
	for _, strict := range []bool{false, true} {
		var opts []lab.Option
		if strict {
			opts = append(opts, lab.Strict())
		}
		line(t, func(t *testing.T, n *lab.Net) {
			small := vitro.Config{ReceiveBuffer: 16 << 10, SendBuffer: 16 << 10}
			c, _ := connect(t, n.Host("client", small), n.Host("server", small))
			c.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := c.Write(make([]byte, 1<<20)); (err != nil) != strict {
				t.Errorf("strict is %v, and a Write that nobody reads gives %v", strict, err)
			}
		}, opts...)
	}
}

// A queue of ten packets holds ten packets: what comes beyond is lost, and the rest comes at the rate.
func TestQueueAndRate(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		n.Default(lab.Link{Delay: 10 * time.Millisecond, Rate: 12 * lab.Mbps, Queue: 10})
		took(t, "1,200,000 octets with their headers at 12 Mbit/s", 800*time.Millisecond, 1500*time.Millisecond, func() {
			go c.Write(make([]byte, 1_160_000))
			must(t, 0, readFull(s, make([]byte, 1_160_000)))
		})
		if client.Stats().Retransmits == 0 {
			t.Error("a queue of ten packets has lost nothing of slow start's bursts")
		}
	})
}

// Loss comes in bursts where the link says so: two states, of which one loses all.
func TestBurstLoss(t *testing.T) {
	lab.Test(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		lost, run, longest := 0, 0, 0
		n.Default(lab.Link{Delay: 10 * time.Millisecond, Rate: 10 * lab.Mbps, Burst: sim.GilbertElliott{ToBad: 0.01, ToGood: 0.2, LossBad: 1}})
		n.Rule(lab.Any.From("client").Do(func(p *lab.Packet) lab.Verdict {
			if p.Again {
				lost++
				run++
			} else {
				run = 0
			}
			longest = max(longest, run)
			return lab.Verdict{}
		}))
		go c.Write(make([]byte, 1_000_000))
		must(t, 0, readFull(s, make([]byte, 1_000_000)))
		if lost < 5 || longest < 3 {
			t.Errorf("%d segments were sent again, at most %d in a row; want bursts of some five", lost, longest)
		}
	})
}

// A NAT that rebinds gives the connection another port: to the server it is a stranger's.
func TestNATRebinds(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		nat := n.NAT("nat", "client")
		c, s := connect(t, client, server)
		before := s.RemoteAddr().(*net.TCPAddr).Port
		nat.Rebind()
		c.Write([]byte("x"))
		s.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "Read from a peer whose port is another now", err, os.ErrDeadlineExceeded)
		_, s2 := connect(t, client, server)
		if after := s2.RemoteAddr().(*net.TCPAddr).Port; after == before {
			t.Errorf("after the rebinding a new connection comes from port %d again", after)
		}
	})
}

// Both families, and a link for one direction.
func TestIPv6(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		n.NAT("nat", "client")
		l, err := server.Listen("tcp6", ":80")
		must(t, 0, err)
		go func() {
			if c, err := l.Accept(); err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := client.Dial("tcp6", net.JoinHostPort(server.Addr6().String(), "80"))
		must(t, 0, err)
		defer c.Close()
		c.Write([]byte("six"))
		p := make([]byte, 3)
		if must(t, 0, readFull(c, p)); string(p) != "six" {
			t.Errorf("over IPv6 and a NAT comes %q", p)
		}
	})
}

// The same network in real time: two milliseconds there and back.
func TestRealTime(t *testing.T) {
	n := lab.New(t)
	n.Default(lab.Link{Delay: time.Millisecond})
	server, client := n.Host("server"), n.Host("client")
	lost := n.Rule(lab.Nth(2, lab.Text).Drop())
	c, s := connect(t, client, server)
	go func() {
		io.Copy(s, s)
		s.Close()
	}()
	for range 3 {
		c.Write([]byte("x"))
		must(t, 0, readFull(c, make([]byte, 1)))
	}
	n.Settle()
	if lost.Hits() != 1 {
		t.Errorf("%d segments lost by the rule", lost.Hits())
	}
	c.Close()
}

// In real time Settle gives those who have been woken time to send, though nothing is on its way.
func TestSettleInRealTime(t *testing.T) {
	n := lab.New(t)
	start := time.Now()
	n.Settle()
	if d := time.Since(start); d < 2*time.Millisecond {
		t.Errorf("Settle returns after %v; who has been woken has two milliseconds", d)
	}
}

// Rules by number, and rules that end.
func TestRulesCount(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		text := lab.Text.From("client").To("server").Port(80)
		count := func(m lab.Match) *lab.Applied {
			return n.Rule(m.Do(func(*lab.Packet) lab.Verdict { return lab.Verdict{} }))
		}
		first, nth, every, after := count(lab.First(2, text)), count(lab.Nth(3, text)), count(lab.Every(2, text)), count(lab.After(3, text))
		other, gone := count(lab.Text.From("server")), count(text)
		gone.Remove()
		for range 5 {
			c.Write([]byte("x"))
			must(t, 0, readFull(s, make([]byte, 1)))
		}
		for _, x := range []struct {
			what string
			a    *lab.Applied
			want int
		}{{"the first two", first, 2}, {"the third", nth, 1}, {"every second", every, 2}, {"after three", after, 2}, {"the server's", other, 0}, {"one that is removed", gone, 0}} {
			if got := x.a.Hits(); got != x.want {
				t.Errorf("of five segments a rule for %s has picked %d; want %d", x.what, got, x.want)
			}
		}
	})
}

// What a rule damages is thrown away by its checksum, and what it doubles comes once.
func TestDamagedAndDoubled(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, s := connect(t, client, server)
		n.Rule(lab.First(1, lab.Text).Corrupt(), lab.Nth(2, lab.Text).Dup(2))
		c.Write([]byte("hello"))
		c.CloseWrite()
		got, err := io.ReadAll(s)
		if string(got) != "hello" || err != nil {
			t.Errorf("%q, %v; want hello", got, err)
		}
		n.Settle()
		st := server.Stats()
		faults := uint64(0)
		for _, k := range st.ByFault() {
			faults += k
		}
		if faults != 1 {
			t.Errorf("%d illegal packets; want the one that was damaged", faults)
		}
		if in, out := st.PacketsIn, client.Stats().PacketsOut; in != out+2 {
			t.Errorf("of %d packets %d have arrived; want two copies more", out, in)
		}
	})
}

// A link that becomes shorter at the instant at which something is sent over it is the shorter one for that,
// and what is on its way already arrives as it would have.
func TestLinkChangedAtOnce(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		n.Default(lab.Link{Delay: time.Second})
		c.Write([]byte("1"))
		n.Default(lab.Link{Delay: time.Millisecond})
		took(t, "what was sent at the instant of the change", time.Millisecond, time.Millisecond+10, func() { must(t, 0, readFull(s, make([]byte, 1))) })
		time.Sleep(time.Minute)
		n.Default(lab.Link{Delay: time.Second})
		c.Write([]byte("2"))
		time.Sleep(time.Millisecond)
		n.Default(lab.Link{Delay: time.Millisecond})
		took(t, "what was on its way", 999*time.Millisecond, 999*time.Millisecond+10, func() { must(t, 0, readFull(s, make([]byte, 1))) })
	})
}

// A rate that is taken away lets what waits go at once.
func TestRateTakenAway(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		client, server := n.Host("client"), n.Host("server")
		c, s := connect(t, client, server)
		n.Default(lab.Link{Delay: time.Millisecond, Rate: lab.Kbps}) // a full segment takes 12 s
		c.Write(make([]byte, 5000))
		time.Sleep(time.Second)
		n.Default(lab.Link{Delay: time.Millisecond})
		took(t, "what was being sent, and what waited", 11*time.Second, 11500*time.Millisecond, func() { must(t, 0, readFull(s, make([]byte, 5000))) })
	})
}
