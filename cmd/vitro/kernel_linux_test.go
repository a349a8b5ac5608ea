package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitro-net/vitro/internal/netns"
)

// The kernel as the other end, in a namespace of the test's own.

// limit is how long a test waits for a command.
const limit = time.Minute

// process is the command, running in a namespace.
type process struct {
	*exec.Cmd
	t        *testing.T
	out, err bytes.Buffer
	lines    chan string
	done     chan error
}

// start runs vitro in ns, as a process of its own.
func start(t *testing.T, ns *netns.NS, stdin io.Reader, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, self), t: t, lines: make(chan string, 100), done: make(chan error, 1)}
	p.Args = append([]string{"vitro"}, args...) // testscript.Main runs the command by its name
	r, w := io.Pipe()
	p.Stdin, p.Stdout, p.Stderr = stdin, io.MultiWriter(&p.out, w), io.MultiWriter(&p.err, w)
	if err := ns.Start(p.Cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		b := make([]byte, 1<<16)
		for {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			select {
			case p.lines <- string(b[:n]):
			default: // nobody waits for that much
			}
		}
	}()
	go func() { err := p.Wait(); w.Close(); p.done <- err }()
	return p
}

// ready waits for the first output, on either.
func (p *process) ready() {
	p.t.Helper()
	select {
	case _, ok := <-p.lines:
		if ok {
			return
		}
	case <-time.After(limit):
	}
	p.t.Fatalf("%v is not ready: %s", p.Args, &p.err)
}

// end waits for the end, and wants an exit code.
func (p *process) end(code int) {
	p.t.Helper()
	if err := <-p.done; p.ProcessState.ExitCode() != code {
		p.t.Fatalf("%v: %v; want exit code %d\n%s%s", p.Args, err, code, &p.out, &p.err)
	}
}

// interrupt ends a server, which has to do so in order.
func (p *process) interrupt() {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	p.end(exitOK)
}

// file makes a file of random octets and returns its sum.
func file(t *testing.T, path string, size int) [32]byte {
	t.Helper()
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

const fileSize = 20 << 20

// The kernel's curl downloads from vitro, over IPv4 and IPv6.
func TestServe(t *testing.T) {
	ns := netns.ForTest(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED, SERVING IS NOT TESTED: curl is not installed")
	}
	dir := t.TempDir()
	want := file(t, filepath.Join(dir, "file"), fileSize)
	for name, to := range map[string]string{"inside": "file", "outside": "/etc/passwd", "up": "../..", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, ns, nil,
		"serve", dir, "--tun", "vt0", "--addr", "10.1.0.2/24", "--addr", "fd00::2/64")
	p.ready()
	for _, host := range []string{"10.1.0.2", "[fd00::2]"} {
		got := filepath.Join(t.TempDir(), "got")
		if _, err := ns.Output(exec.Command(curl, "-sS", "-g", "--max-time", "60", "-o", got, "http://"+host+"/file")); err != nil {
			t.Fatalf("%v\n%s", err, &p.err)
		}
		if sum(t, got) != want {
			t.Errorf("from %s something else came", host)
		}
		out, err := ns.Output(exec.Command(curl, "-sS", "-g", "--max-time", "60", "http://"+host+"/"))
		if err != nil || !strings.Contains(out, `<a href="file">`) {
			t.Errorf("the directory: %v\n%s", err, out)
		}
		for name, want := range map[string]string{
			"inside": "200", "outside": "404", "up": "404", "loop": "404", "outside/": "404", "nothing": "404",
		} {
			status := []string{"-sS", "-g", "--max-time", "60", "-o", os.DevNull, "-w", "%{http_code}"}
			code, err := ns.Output(exec.Command(curl, append(status, "http://"+host+"/"+name)...))
			if code != want {
				t.Errorf("%s: %s, %v; want %s", name, code, err, want)
			}
		}
	}
	p.interrupt()
	if !strings.Contains(p.out.String(), "serving "+dir+" at http://10.1.0.2/\n") || !strings.Contains(p.out.String(), "http://[fd00::2]:80/\n") {
		t.Errorf("it says %q", &p.out)
	}

	p = start(t, ns, nil, "serve", dir, "--port", "0", "--tun", "vt0", "--addr", "10.1.0.2/24")
	p.ready()
	_, at, _ := strings.Cut(strings.TrimSpace(p.out.String()), " at ")
	out, err := ns.Output(exec.Command(curl, "-sS", "--max-time", "60", at))
	if err != nil || !strings.Contains(out, `<a href="file">`) || strings.HasSuffix(at, ":0/") {
		t.Errorf("with --port 0 it says %q; there: %v\n%s", &p.out, err, out)
	}
	p.interrupt()
}

// kernelServer is package net's own HTTP server in the namespace.
func kernelServer(t *testing.T, ns *netns.NS, h http.Handler) (port string) {
	t.Helper()
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", "[::]:0"); return }); err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// vitro downloads from a server on the kernel.
func TestGet(t *testing.T) {
	ns := netns.ForTest(t)
	dir := t.TempDir()
	want := file(t, filepath.Join(dir, "file"), fileSize)
	port := kernelServer(t, ns, http.FileServer(http.Dir(dir)))
	tun := []string{"--tun", "vt0", "--addr", "10.1.0.2/24", "--addr", "fd00::2/64"}
	for _, host := range []string{"10.1.0.1", "[fd00::1]"} {
		got := filepath.Join(t.TempDir(), "got")
		url := fmt.Sprintf("http://%s:%s/", host, port)
		start(t, ns, nil, append([]string{"get", url + "file", "-o", got}, tun...)...).end(exitOK)
		if sum(t, got) != want {
			t.Errorf("from %s something else came", host)
		}
		p := start(t, ns, nil, append([]string{"get", url}, tun...)...)
		p.end(exitOK)
		if !strings.Contains(p.out.String(), `<a href="file">`) {
			t.Errorf("the directory: %s", &p.out)
		}
		p = start(t, ns, nil, append([]string{"get", url + "nothing", "-o", filepath.Join(dir, "nothing")}, tun...)...)
		p.end(exitFailed)
		if !strings.Contains(p.err.String(), "the server answers 404 Not Found") {
			t.Errorf("what is not there: %s", &p.err)
		}
		if _, err := os.Stat(filepath.Join(dir, "nothing")); err == nil {
			t.Error("a failure made a file")
		}
	}
	p := start(t, ns, nil, append([]string{"get", "http://10.1.0.1:9/"}, tun...)...)
	p.end(exitFailed)
	if !strings.Contains(p.err.String(), "connection refused") {
		t.Errorf("where nobody listens: %s", &p.err)
	}
}

// Who may not make a TUN is told what to run.
func TestPermissionIsExplained(t *testing.T) {
	ns := netns.ForTest(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "vitro") //nolint:usetesting // only root may enter the parents of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "vitro")
	b, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(exe, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"get", "http://10.1.0.1/", "--tun", "vt0", "--addr", "10.1.0.2/24"}
	cmd := exec.Command(exe, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = dir
	out, err := ns.Output(cmd)
	if err == nil || cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(out, "sudo setcap cap_net_admin+ep "+exe+"\n") ||
		!strings.Contains(out, "sudo ip tuntap add dev vt0 mode tun user $USER ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What the explanation says works: an interface that root has made for a user and set up is
// used by him without a privilege.
func TestInterfaceOfAUser(t *testing.T) {
	ns := netns.ForTest(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("SKIPPED, AN INTERFACE WITHOUT PRIVILEGE IS NOT TESTED: setpriv is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "vitro") // testscript.Main runs the command by its name
	if err := os.Symlink(self, exe); err != nil {
		t.Fatal(err)
	}
	hello := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }
	port := kernelServer(t, ns, http.HandlerFunc(hello))
	get := func() (string, error) {
		// Root, but without the capability.
		cmd := exec.Command(setpriv, "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", exe,
			"get", "http://10.1.0.1:"+port+"/", "--tun", "vt0", "--addr", "10.1.0.2/24", "--kernel-addr", noKernelAddr)
		return ns.Output(cmd)
	}
	if out, err := get(); err == nil || !strings.Contains(out, "setcap") {
		t.Errorf("without an interface: %v\n%s", err, out)
	}
	setUp := "ip tuntap add dev vt0 mode tun user 0 && ip addr add 10.1.0.1/24 dev vt0 && ip link set vt0 up"
	if out, err := ns.Output(exec.Command("sh", "-c", setUp)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := get(); err != nil || out != "hello" {
		t.Errorf("by an interface of its own: %v\n%s", err, out)
	}
}

// dialIn connects from the kernel of the namespace.
func dialIn(t *testing.T, ns *netns.NS, addr string) *net.TCPConn {
	t.Helper()
	var c net.Conn
	if err := ns.Do(func() (err error) { c, err = net.DialTimeout("tcp", addr, limit); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	return c.(*net.TCPConn)
}

// exchange sends text and a FIN, and returns what comes until the peer's.
func exchange(t *testing.T, c *net.TCPConn, text []byte) []byte {
	t.Helper()
	go func() { c.Write(text); c.CloseWrite() }()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return got
}

// await reads until the peer's FIN, and only then sends text and its own.
func await(t *testing.T, c *net.TCPConn, text []byte) []byte {
	t.Helper()
	got, err := io.ReadAll(c)
	if err == nil {
		_, err = c.Write(text)
	}
	if err == nil {
		err = c.CloseWrite()
	}
	if err != nil {
		t.Error(err)
	}
	return got
}

var tun4 = []string{"--tun", "vt0", "--addr", "10.1.0.2/24"}

func someBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d octets, not the %d that were sent", what, len(got), len(want))
	}
}

// Echo and discard serve one connection after the other; half-close works both ways.
func TestListenServes(t *testing.T) {
	ns := netns.ForTest(t)
	text := someBytes(1, 1<<20)
	for _, mode := range []string{"--echo", "--discard"} {
		p := start(t, ns, nil, append([]string{"listen", ":7", mode}, tun4...)...)
		p.ready()
		want := text
		if mode == "--discard" {
			want = nil
		}
		for range 3 {
			equal(t, mode, exchange(t, dialIn(t, ns, "10.1.0.2:7"), text), want)
		}
		p.interrupt()
	}
}

// One connection joined to standard input and output, however the ends are timed.
func TestListenJoins(t *testing.T) {
	ns := netns.ForTest(t)
	in, out := someBytes(1, 1<<20), someBytes(2, 1<<20)
	for _, peer := range []func(*testing.T, *net.TCPConn, []byte) []byte{exchange, await} {
		p := start(t, ns, bytes.NewReader(in), append([]string{"listen", "10.1.0.2:9000"}, tun4...)...)
		p.ready()
		equal(t, "standard input", peer(t, dialIn(t, ns, "10.1.0.2:9000"), out), in)
		p.end(exitOK)
		equal(t, "standard output", p.out.Bytes(), out)
	}
}

func TestDial(t *testing.T) {
	ns := netns.ForTest(t)
	in, out := someBytes(1, 1<<20), someBytes(2, 1<<20)
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", "0.0.0.0:0"); return }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	peer := await
	for _, mode := range [][]string{nil, {}, {"--echo"}, {"--discard"}} {
		p := start(t, ns, bytes.NewReader(in), append(append([]string{"dial", "10.1.0.1:" + port}, mode...), tun4...)...)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := peer(t, c.(*net.TCPConn), out)
		peer = exchange
		p.end(exitOK)
		switch {
		case len(mode) == 0:
			equal(t, "standard input", got, in)
			equal(t, "standard output", p.out.Bytes(), out)
		case mode[0] == "--echo":
			equal(t, "echo", got, out)
		default:
			equal(t, "discard", got, nil)
		}
	}
	p := start(t, ns, nil, append([]string{"dial", "10.1.0.1:9"}, tun4...)...)
	p.end(exitFailed)
	if !strings.Contains(p.err.String(), "connection refused") {
		t.Errorf("where nobody listens: %s", &p.err)
	}
}

// An interrupt ends what waits.
func TestInterrupt(t *testing.T) {
	ns := netns.ForTest(t)
	stdin, _, err := os.Pipe() // never ends
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, ns, stdin, append([]string{"listen", ":7"}, tun4...)...)
	p.ready()
	p.interrupt()
	p = start(t, ns, stdin, append([]string{"listen", ":7"}, tun4...)...)
	p.ready()
	c := dialIn(t, ns, "10.1.0.2:7")
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	p.ready() // the octet has come out
	p.interrupt()
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the kernel's end: %v", err)
	}
}

// The kernel is measured against, over both versions of IP.
func TestBenchOnTUN(t *testing.T) {
	ns := netns.ForTest(t)
	for _, addr := range []string{"10.1.0.2/24", "fd00::2/64"} {
		p := start(t, ns, nil, "bench", "--duration", "50ms", "--parallel", "3", "--json", "--tun", "vt0", "--mtu", "1400", "--addr", addr)
		p.end(exitOK)
		var r benchReport
		if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Where != "vt0" || r.MTU != 1400 || len(r.Results) != len(benchmarks) {
			t.Errorf("%+v", r)
		}
		for _, m := range r.Results {
			if m.Value <= 0 {
				t.Errorf("%s: %+v", addr, m)
			}
		}
	}
}
