package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NS is a network namespace. Its methods may be called by several goroutines at a time.
type NS struct{ file *os.File }

// New makes a network namespace with its loopback interface up. It lives until Close and
// until the last process, socket and device in it is gone. The calling goroutine's thread
// stays where it is.
func New() (*NS, error) {
	ns := &NS{}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netns: new network namespace: %w (needs root)", err)
		}
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("netns: loopback up: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		ns.file = f
		return err
	})
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// ForTest returns a new namespace which is deleted when the test ends. The test is
// skipped, with the reason, where the process may not make one or where /dev/net/tun
// cannot be opened.
func ForTest(t testing.TB) *NS {
	t.Helper()
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skipf("SKIPPED, THE KERNEL IS NOT TESTED: no TUN here: %v", err)
	} else {
		f.Close()
	}
	ns, err := New()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("SKIPPED, THE KERNEL IS NOT TESTED: run this test as root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// Close lets go of the namespace.
func (ns *NS) Close() error { return ns.file.Close() }

// Do runs f on a thread inside the namespace and returns its error. Only the goroutine
// of f is inside, not goroutines that f starts: with package net, listen and dial by
// literal addresses. f may call t.FailNow.
func (ns *NS) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netns: enter the namespace: %w", err)
		}
		return f()
	})
}

// Start starts cmd inside the namespace; cmd.Wait is the caller's. The thread that starts
// it ends at once, so SysProcAttr.Pdeathsig must not be set.
func (ns *NS) Start(cmd *exec.Cmd) error { return ns.Do(cmd.Start) }

// Output runs cmd inside the namespace and returns what it printed on both its outputs.
// The error has that text in it.
func (ns *NS) Output(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := ns.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("netns: %s: %w: %s", cmd, err, strings.TrimSpace(out.String()))
	}
	return out.String(), err
}

// Sysctl sets a variable of the namespace, named as in /proc/sys/net with slashes:
// Sysctl("ipv4/tcp_sack", "0").
func (ns *NS) Sysctl(name, value string) error {
	return ns.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
	})
}

// onOwnThread runs f on a thread that nothing else will ever run on: the goroutine ends
// without unlocking it, and the runtime ends the thread.
func onOwnThread(f func() error) error {
	err := errors.New("netns: the function ended its goroutine")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		err = f()
	}()
	<-done
	return err
}

// loopbackUp brings the interface lo of the calling thread's namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
