package lab_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
