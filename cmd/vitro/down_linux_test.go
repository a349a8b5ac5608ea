package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitro-net/vitro/internal/netns"
)

// When its TUN is deleted no command hangs: it says so and fails.
func TestTUNDeleted(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIPPED, THE END OF A TUN IS NOT TESTED: ip is not installed")
	}
	stdin, keep, err := os.Pipe() // never ends
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	for _, tc := range []struct {
		name string
		args []string
		dial string // by the kernel, to the command
	}{
		{"serve", []string{"serve", t.TempDir()}, "10.1.0.2:80"},
		{"listen, nobody has come", []string{"listen", ":7"}, ""},
		{"listen, joined", []string{"listen", ":7"}, "10.1.0.2:7"},
		{"listen --echo", []string{"listen", ":7", "--echo"}, "10.1.0.2:7"},
		{"dial", []string{"dial", "10.1.0.1:PORT"}, ""},
		{"dial --discard", []string{"dial", "10.1.0.1:PORT", "--discard"}, ""},
		{"get", []string{"get", "http://10.1.0.1:PORT/"}, ""},
		{"bench", []string{"bench", "rr", "--duration", "50s"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ns := netns.ForTest(t)
			l, port := listenIn(t, ns)
			args := append(strings.Fields(strings.ReplaceAll(strings.Join(tc.args, " "), "PORT", port)), tun4...)
			p := start(t, ns, stdin, args...)
			switch tc.args[0] {
			case "dial", "get":
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			default:
				p.ready()
			}
			if tc.dial != "" {
				c := dialIn(t, ns, tc.dial)
				c.Write([]byte("x"))
				if tc.name != "serve" && tc.name != "listen --echo" {
					p.ready() // the octet has come out
				}
			}
			start := time.Now()
			if _, err := ns.Output(exec.Command("ip", "link", "delete", "vt0")); err != nil {
				t.Fatal(err)
			}
			p.end(exitFailed)
			if !strings.Contains(p.err.String(), "vitro "+tc.args[0]+": tun: vt0 is gone: the interface was deleted") {
				t.Errorf("it says %q", &p.err)
			}
			if took := time.Since(start); took > finishTime {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

// listenIn listens in the kernel of the namespace, on every address.
func listenIn(t *testing.T, ns *netns.NS) (l net.Listener, port string) {
	t.Helper()
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", "0.0.0.0:0"); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return l, port
}

// What is fetched is there whole or not at all, and what takes too long is given up.
func TestGetFails(t *testing.T) {
	ns := netns.ForTest(t)
	dir := t.TempDir()
	port := kernelServer(t, ns, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		io.WriteString(w, "the beginning")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	old, none := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	if err := os.WriteFile(old, []byte("what was there"), 0o644); err != nil {
		t.Fatal(err)
	}
	url := "http://10.1.0.1:" + port
	for _, path := range []string{old, none} {
		p := start(t, ns, nil, append([]string{"get", url + "/cut", "-o", path}, tun4...)...)
		p.end(exitFailed)
		if !strings.Contains(p.err.String(), "after 13 octets: unexpected EOF") {
			t.Errorf("an answer that is cut short: %s", &p.err)
		}
		p = start(t, ns, nil, append([]string{"get", url + "/slow", "-o", path, "--timeout", "300ms"}, tun4...)...)
		p.end(exitFailed)
		if !strings.Contains(p.err.String(), "/slow: the answer is not complete after 300ms\n") {
			t.Errorf("an answer that does not end: %s", &p.err)
		}
	}
	p := start(t, ns, nil, append([]string{"get", "http://10.1.0.9/", "--timeout", "300ms"}, tun4...)...)
	p.end(exitFailed)
	if !strings.Contains(p.err.String(), "the answer is not complete after 300ms") {
		t.Errorf("nobody is there: %s", &p.err)
	}
	entries, err := os.ReadDir(dir)
	if b, _ := os.ReadFile(old); err != nil || len(entries) != 1 || string(b) != "what was there" {
		t.Errorf("after all failures there are %v, %v; the old file has %q", entries, err, b)
	}
}
