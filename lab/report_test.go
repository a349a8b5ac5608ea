package lab_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// again runs a test of this package that fails on purpose, in a process of its own, and returns what it
// says. However the process ends, it leaves nothing behind where temporary files are.
func again(t *testing.T, name string, args ...string) string {
	t.Helper()
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0], append([]string{"-test.run=^" + name + "$", "-test.count=1", "-test.timeout=1m"}, args...)...)
	cmd.Env = append(os.Environ(), "LAB_ON_PURPOSE=1", "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%s does not fail:\n%s", name, out)
	}
	left, err := os.ReadDir(tmp)
	must(t, 0, err)
	for _, e := range left {
		t.Errorf("%s leaves %s behind", name, e.Name())
	}
	return string(out)
}

// onPurpose skips a test that fails on purpose, unless somebody wants it to.
func onPurpose(t *testing.T) {
	t.Helper()
	if os.Getenv("LAB_ON_PURPOSE") == "" {
		t.Skip("it fails on purpose: run by another")
	}
}

func TestFailsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		n.Rule(lab.First(1, lab.SYN).Drop(), lab.First(1, lab.SYNACK).Delay(5*time.Millisecond))
		c, _ := connect(t, client, server)
		c.Write([]byte("hello"))
		t.Error("on purpose")
	}, lab.Seeds(3))
}

// A test that fails tells the seed and how to repeat it, the connections, the ladder with what was
// lost and by which rule, and leaves the packets with a comment each.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	out := again(t, "TestFailsOnPurpose", "-test.artifacts", "-test.outputdir="+dir, "-lab.seed=2")
	for _, want := range []string{
		"seed 2", "-lab.seed=2", "go test -run '^TestFailsOnPurpose$'",
		"10.0.0.1:80", "ESTABLISHED", "5 unacknowledged",
		"... (lost)", "dropped by rule: first 1 SYN", "delayed by 5ms by rule: first 1 SYN,ACK",
		"<CTL=SYN,ACK>", "the packets, with what befell each: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(out, "seed=1") {
		t.Error("-lab.seed=2 has run another seed")
	}
	var captures []string
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".pcapng") {
			captures = append(captures, path)
		}
		return nil
	})
	if len(captures) != 1 {
		t.Fatalf("the packets are in %q; want one file\n%s", captures, out)
	}
	b, err := os.ReadFile(captures[0])
	must(t, 0, err)
	for _, want := range []string{"client to server: dropped by rule: first 1 SYN", "server to client: delayed by 5ms by rule"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no packet of the capture has the comment %q", want)
		}
	}
}

// lineOf returns the line of the calling test's file that has a mark.
func lineOf(t *testing.T, mark string) string {
	t.Helper()
	_, path, _, _ := runtime.Caller(1)
	file := filepath.Base(path)
	b, err := os.ReadFile(file)
	must(t, 0, err)
	before, _, ok := strings.Cut(string(b), "// LAB: "+mark+"\n")
	if !ok {
		t.Fatalf("no line is marked %q", mark)
	}
	return file + ":" + strconv.Itoa(strings.Count(before, "\n")+1)
}

func TestWaitsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		c, _ := connect(t, n.Host("client"), n.Host("server"))
		_, err := io.ReadFull(c, make([]byte, 1)) // LAB: the one that waits for what does not come
		t.Logf("Read ends with %v", err)
	}, lab.Limit(48*time.Hour))
}

// A bubble in which somebody waits for what does not come, while keep-alives let time go on, is ended:
// his line is named, though a library's function stands between, and his Read gives net.ErrClosed.
func TestLimit(t *testing.T) {
	out := again(t, "TestWaitsOnPurpose")
	for _, want := range []string{
		"after 48h0m0s of the bubble's time", "A goroutine waits (sync.Cond.Wait) at ",
		lineOf(t, "the one that waits for what does not come"), "use of closed network connection",
		"keep-alive probe", "ESTABLISHED",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	if got := strings.Count(out, "the same packets again"); got != 1 {
		t.Errorf("there are %d reports", got)
	}
}

func TestTriesForEverOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		n.Host("server")
		for client := n.Host("client"); ; {
			if _, err := client.Dial("tcp", "server:80"); err == nil {
				return
			}
			time.Sleep(time.Minute) // LAB: the one that tries for ever
		}
	}, lab.Limit(time.Hour))
}

// One that tries again for ever, though its host is closed, is ended with the process.
func TestLimitOfOneThatTriesForEver(t *testing.T) {
	out := again(t, "TestTriesForEverOnPurpose")
	for _, want := range []string{"after 1h0m0s of the bubble's time", "after 1h0m0s more", "lab: TestTriesForEverOnPurpose does not end", lineOf(t, "the one that tries for ever")} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
}

// A connection that has been idle for a day has had keep-alives by the hundred: its ladder begins with the
// handshake all the same, and says how much is left out. A netstat does not list a hundred TIME-WAITs.
func TestLadderAndNetstatStayShort(t *testing.T) {
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		c, _ := connect(t, client, server)
		time.Sleep(20 * time.Hour)
		c.CloseWrite()
		n.Settle()
		text := n.Ladder("client", "server")
		for _, want := range []string{"<CTL=SYN>", "events are left out", "FIN-WAIT-2"} {
			if !strings.Contains(text, want) {
				t.Errorf("the ladder does not have %q", want)
			}
		}
		if lines := strings.Count(text, "\n"); lines > 200 {
			t.Errorf("the ladder has %d lines", lines)
		}
		for range 30 {
			c, s := connect(t, client, server)
			c.Close()
			n.Settle()
			s.Close()
			n.Settle()
		}
		if text := client.Netstat(); strings.Count(text, "TIME-WAIT") != 9 || !strings.Contains(text, "22 more in TIME-WAIT") {
			t.Errorf("of thirty connections in TIME-WAIT netstat says\n%s", text)
		}
	})
}

func TestInForceOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client, other := n.Host("server"), n.Host("client"), n.Host("other")
		n.Host("idle")
		n.Rule(lab.SYN.From("client").Delay(time.Millisecond), lab.First(1, lab.Text.From("other")).Drop())
		n.Rule(lab.FIN.Drop()).Remove()
		connect(t, client, server)
		n.Partition("server", "client")
		n.PartitionOneWay("other", "idle")
		n.Isolate("idle", "other")
		n.Isolate("server").Heal()
		other.Crash()
		server.Pause()
		t.Error("on purpose")
	})
}

// The report has the rules in force with how often each has picked something, the partitions, and which
// hosts are down or paused.
func TestReportOfWhatIsInForce(t *testing.T) {
	out := again(t, "TestInForceOnPurpose")
	for _, want := range []string{
		"a rule has picked 1: SYN from client, delayed by 1ms\n",
		"a rule has never picked a packet: first 1 text from other, dropped\n",
		"partition: server and client from each other\n", "partition: nothing gets from other to idle\n",
		"partition: idle, other from all others\n", "other, 10.0.0.3 and fd00::3: it is down\n",
		"server, 10.0.0.1 and fd00::1: it is paused, and 0 packets wait for it, and 0 of its own\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "FIN, dropped") || strings.Contains(out, "partition: server from all others") {
		t.Errorf("the report has a rule or a partition that is over:\n%s", out)
	}
}

func TestManyConnectionsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		lost := n.Rule(lab.First(2, lab.Text.From("client")).Drop())
		c, s := connect(t, client, server) // the second most trouble
		c.Write([]byte("x"))
		readFull(s, make([]byte, 1))
		c.SetLinger(0)
		c.Close()
		lost.Remove()
		for range 300 { // more than are remembered
			c, s := connect(t, client, server)
			c.SetLinger(0)
			c.Close()
			s.Close()
		}
		lost = n.Rule(lab.SYN.Drop())
		_, err := client.Dial("tcp", "server:80")
		t.Logf("nobody there: %v", err) // the most
		lost.Remove()
		for range 5 {
			connect(t, client, server)
		}
		time.Sleep(time.Hour) // of keep-alives
		t.Error("on purpose")
	})
}

// The ladders of a report are those of the connections with the most trouble, however long ago it was, and
// probes of idle connections that are answered are none: of more connections than are remembered, those
// are forgotten first that had none.
func TestReportHasTheMostTrouble(t *testing.T) {
	out := again(t, "TestManyConnectionsOnPurpose")
	_, report, _ := strings.Cut(out, "the same packets again")
	ladders := regexp.MustCompile(`(?m)^ *# 10\.0\.0\.2:(\d+) to 10\.0\.0\.1:80$`).FindAllStringSubmatchIndex(report, -1)
	if len(ladders) != 3 {
		t.Fatalf("the report has %d ladders:\n%s", len(ladders), report)
	}
	first, second := report[ladders[0][0]:ladders[1][0]], report[ladders[1][0]:ladders[2][0]]
	if strings.Contains(first, "ESTABLISHED") || strings.Count(first, "... (lost)") < 5 {
		t.Errorf("the first ladder is not that of the SYN that nobody got:\n%s", first)
	}
	if !strings.Contains(second, "dropped by rule: first 2 text from client") {
		t.Errorf("the second ladder is not that of the connection with two losses:\n%s", second)
	}
	if strings.Contains(first, "keep-alive") {
		t.Errorf("an idle connection is in front:\n%s", report)
	}
	out = again(t, "TestUnansweredProbeOnPurpose")
	if i := strings.Index(out, "    # "); i < 0 || !strings.HasPrefix(strings.TrimSpace(out[i:]), "# 10.0.0.2:") {
		t.Errorf("the first ladder is not that of the connection whose probes nobody answers:\n%s", out[max(i, 0):])
	}
}

// A probe that is not answered is trouble.
func TestUnansweredProbeOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client, other := n.Host("server"), n.Host("client"), n.Host("other")
		connect(t, client, server)
		server.Pause() // so that nothing is lost
		time.Sleep(time.Minute)
		for range 5 {
			connect(t, other, client)
			time.Sleep(10 * time.Second)
		}
		t.Error("on purpose")
	})
}

func TestDatagramsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		echoUDP(t, server, ":9")
		c := dial(t, client, "udp", "server:9")
		n.Rule(lab.Every(2, lab.UDP.From("server")).Drop(), lab.Nth(59, lab.UDP.From("client")).Delay(3*time.Millisecond))
		for range 60 {
			c.Write([]byte("who is there?"))
			time.Sleep(time.Second)
		}
		t.Error("on purpose")
	}, lab.Seed(5))
}

func TestQuietDatagramsOnPurpose(t *testing.T) {
	onPurpose(t)
	line(t, func(t *testing.T, n *lab.Net) {
		server, client := n.Host("server"), n.Host("client")
		echoUDP(t, server, ":9")
		dial(t, client, "udp", "server:9").Write([]byte("who is there?"))
		client.Ping(t.Context(), "server")
		t.Error("on purpose")
	})
}

// No ladder has datagrams: a report lists the last of them that something befell, and else the last.
func TestReportHasDatagrams(t *testing.T) {
	out := again(t, "TestDatagramsOnPurpose")
	list := regexp.MustCompile(`(?m)^ +[0-9.]+m?s  (server|client) > .*$`).FindAllString(out, -1)
	if !strings.Contains(out, "datagrams that were lost, late, doubled or damaged, the last 20 of 31:") || len(list) != 20 {
		t.Errorf("of 31 datagrams that something befell the report has %d, or does not say so:\n%s", len(list), out)
	}
	for _, want := range []string{
		`59\.\d+s  server > client  10\.0\.0\.1:9 > 10\.0\.0\.2:\d+  UDP, 14 octets: dropped by rule: each 2nd UDP from server`,
		`58s  client > server  10\.0\.0\.2:\d+ > 10\.0\.0\.1:9  UDP, 13 octets: delayed by 3ms by rule: number 59 UDP from client`,
	} {
		if !regexp.MustCompile(want).MatchString(strings.Join(list, "\n")) {
			t.Errorf("no line is %q:\n%s", want, strings.Join(list, "\n"))
		}
	}
	out = again(t, "TestQuietDatagramsOnPurpose")
	for _, want := range []string{
		"datagrams, none of which was lost, late, doubled or damaged:", "server > client  10.0.0.1:9 > 10.0.0.2:",
		"client > server  10.0.0.2 > 10.0.0.1  ICMP, ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report does not say %q:\n%s", want, out)
		}
	}
	if out := again(t, "TestFailsOnPurpose"); strings.Contains(out, "\n        datagrams") {
		t.Errorf("the report of a test without datagrams has some:\n%s", out)
	}
}
