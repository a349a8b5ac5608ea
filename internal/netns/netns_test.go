//go:build linux

package netns

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestNamespaceIsApart(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns := ForTest(t)
	var inside string
	if err := ns.Do(func() (err error) { inside, err = os.Readlink("/proc/thread-self/ns/net"); return }); err != nil {
		t.Fatal(err)
	}
	if inside == before {
		t.Error("Do ran in the namespace of the test")
	}
	for range 50 { // whatever thread the test runs on now, it is outside
		if now, _ := os.Readlink("/proc/thread-self/ns/net"); now != before {
			t.Fatalf("the test runs in %s, want %s", now, before)
		}
	}
	out, err := ns.Output(exec.Command("cat", "/proc/net/dev"))
	if err != nil || !strings.Contains(out, "lo:") || strings.Contains(out, "eth") {
		t.Errorf("interfaces inside: %v\n%s", err, out)
	}
}

func TestLoopbackIsUpAndSocketsStay(t *testing.T) {
	ns := ForTest(t)
	var l net.Listener
	var c net.Conn
	err := ns.Do(func() (err error) {
		if l, err = net.Listen("tcp4", "127.0.0.1:0"); err == nil {
			c, err = net.Dial("tcp4", l.Addr().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer c.Close()
	if _, err := net.Dial("tcp4", l.Addr().String()); err == nil {
		t.Error("the listener inside is reached from outside")
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestDoReportsErrorsAndGoexit(t *testing.T) {
	ns := ForTest(t)
	want := errors.New("mine")
	if err := ns.Do(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
	if _, err := ns.Output(exec.Command("sh", "-c", "echo why; exit 3")); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("got %v, want what the command said", err)
	}
	if err := ns.Sysctl("ipv4/tcp_sack", "0"); err != nil {
		t.Error(err)
	}
	if out, _ := ns.Output(exec.Command("cat", "/proc/sys/net/ipv4/tcp_sack")); strings.TrimSpace(out) != "0" {
		t.Errorf("tcp_sack is %q inside", out)
	}
	if out, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_sack"); strings.TrimSpace(string(out)) != "1" {
		t.Errorf("tcp_sack is %q outside", out)
	}
}
