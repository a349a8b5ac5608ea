package programs_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitro-net/vitro/lab"
)

// sshServer serves shells that repeat what they are told, and forwards connections to other hosts.
type sshServer struct {
	t      *testing.T
	host   *lab.Host
	config *ssh.ServerConfig
}

// newSSH begins a server on the host "server", port 22, and returns how a client gets in.
func newSSH(t *testing.T, n *lab.Net) (server *lab.Host, client *ssh.ClientConfig) {
	signer := func(seed byte) ssh.Signer {
		s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(slicesOf(seed, ed25519.SeedSize)))
		must(t, err)
		return s
	}
	hostKey, userKey := signer(1), signer(2)
	s := &sshServer{t, n.Host("server"), &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() != "user" || string(key.Marshal()) != string(userKey.PublicKey().Marshal()) {
				return nil, errors.New("unknown")
			}
			return new(ssh.Permissions), nil
		},
	}}
	s.config.AddHostKey(hostKey)
	accept(listen(t, s.host, ":22"), s.serve)
	return s.host, &ssh.ClientConfig{
		User: "user", Auth: []ssh.AuthMethod{ssh.PublicKeys(userKey)}, HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	}
}

func slicesOf(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func (s *sshServer) serve(c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			go s.session(ch)
		case "direct-tcpip":
			go s.forward(ch)
		default:
			ch.Reject(ssh.UnknownChannelType, "")
		}
	}
}

// session is a shell that repeats each line, until one says exit and with what status.
func (s *sshServer) session(n ssh.NewChannel) {
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range requests {
		r.Reply(r.Type == "shell" || r.Type == "pty-req", nil)
		if r.Type == "shell" {
			break
		}
	}
	go ssh.DiscardRequests(requests)
	for lines := bufio.NewScanner(ch); lines.Scan(); {
		var code uint32
		if _, err := fmt.Sscanf(lines.Text(), "exit %d", &code); err == nil {
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
			return
		}
		fmt.Fprintf(ch, "$ %s\n", lines.Text())
	}
}

// forward joins a channel with a connection to where the client wants to go (RFC 4254 section 7.2).
func (s *sshServer) forward(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	must(s.t, ssh.Unmarshal(n.ExtraData(), &to))
	c, err := s.host.Dial("tcp", fmt.Sprintf("%s:%d", to.Host, to.Port))
	if err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer c.Close()
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	var both sync.WaitGroup
	both.Go(func() { io.Copy(ch, c); ch.CloseWrite() })
	both.Go(func() { io.Copy(c, ch); c.(interface{ CloseWrite() error }).CloseWrite() })
	both.Wait()
}

func dialSSH(h *lab.Host, config *ssh.ClientConfig) (*ssh.Client, net.Conn, error) {
	c, err := h.Dial("tcp", "server:22")
	if err != nil {
		return nil, nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(c, "server:22", config)
	if err != nil {
		return nil, nil, err
	}
	return ssh.NewClient(conn, channels, requests), c, nil
}

// shell opens one, and returns its two ends.
func shell(t *testing.T, c *ssh.Client) (*ssh.Session, io.Writer, *bufio.Reader) {
	s, err := c.NewSession()
	must(t, err)
	must(t, s.RequestPty("vt100", 24, 80, nil))
	in, err := s.StdinPipe()
	must(t, err)
	out, err := s.StdoutPipe()
	must(t, err)
	must(t, s.Shell())
	return s, in, bufio.NewReader(out)
}

// A shell, and a port that is forwarded to a third host, with an end of text each way.
func TestSSH(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		_, config := newSSH(t, n)
		c, _, err := dialSSH(n.Host("client"), config)
		must(t, err)
		defer c.Close()

		s, in, out := shell(t, c)
		for i := range 20 {
			fmt.Fprintf(in, "line %d\n", i)
			got, err := out.ReadString('\n')
			if want := fmt.Sprintf("$ line %d\n", i); got != want || err != nil {
				t.Fatalf("the shell says %q, %v; want %q", got, err, want)
			}
		}
		fmt.Fprintln(in, "exit 3")
		var status *ssh.ExitError
		if err := s.Wait(); !errors.As(err, &status) || status.ExitStatus() != 3 {
			t.Errorf("the shell ends with %v; want status 3", err)
		}

		far := listen(t, n.Host("far"), ":7")
		go func() {
			c, err := far.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			b, _ := io.ReadAll(c)
			c.Write(b)
		}()
		f, err := c.Dial("tcp", "far:7")
		must(t, err)
		b := octets(300_000, n.Seed())
		_, err = f.Write(b)
		must(t, err)
		must(t, f.(interface{ CloseWrite() error }).CloseWrite())
		got, err := io.ReadAll(f)
		must(t, err)
		same(t, "the forwarded connection", got, b)
		f.Close()

		_, err = c.Dial("tcp", "far:8")
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || !strings.Contains(refused.Message, syscall.ECONNREFUSED.Error()) {
			t.Errorf("a forward to a port at which nobody listens: %v; want it refused, as the server was", err)
		}
	})
}

// A partition in the middle of a shell. One of half a minute is only a wait, since nobody has a
// deadline; one that does not end is given up by TCP when the line has been sent for as long as its
// user timeout, five minutes by default (RFC 9293 section 3.9.1.1), with ETIMEDOUT.
func TestSSHPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		_, config := newSSH(t, n)
		c, raw, err := dialSSH(n.Host("client"), config)
		must(t, err)
		defer c.Close()
		s, in, out := shell(t, c)
		fmt.Fprintln(in, "before")
		_, err = out.ReadString('\n')
		must(t, err)

		cutFor(n, "client", "server", 30*time.Second)
		start := time.Now()
		fmt.Fprintln(in, "through")
		got, err := out.ReadString('\n')
		if d := time.Since(start); got != "$ through\n" || err != nil || d < 30*time.Second || d > soon {
			t.Fatalf("after %v the shell says %q, %v; want the line once the partition has healed", d, got, err)
		}

		n.Partition("client", "server")
		start = time.Now()
		fmt.Fprintln(in, "never")
		_, err = out.ReadString('\n')
		if !errors.Is(err, io.EOF) {
			t.Errorf("the shell's output ends with %v; want EOF, which is what x/crypto/ssh makes of it", err)
		}
		if d := time.Since(start); d < 5*time.Minute || d > 6*time.Minute {
			t.Errorf("the connection was given up after %v; want the user timeout of 5 min", d)
		}
		if err := c.Wait(); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("the connection has ended with %v; want ETIMEDOUT", err)
		}
		if err := s.Wait(); err == nil {
			t.Error("the shell has ended without an error")
		}
		_, err = raw.Write([]byte("x"))
		if err == nil {
			t.Error("a write to a connection that has timed out succeeds")
		}
	})
}
