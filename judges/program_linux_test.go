package judges_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// vitro's client and a server that knows nothing of Go: Python's.
func TestKernelPython(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	b, want := bulk()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bulk"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, noOffload := range []bool{false, true} {
			s := setup{noOffload: noOffload}
			t.Run(f.name+", "+s.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, s)
				at := f.kernel.Addr()
				cmd := exec.CommandContext(t.Context(), "python3", "-m", "http.server", "--bind", at.String(), "--directory", dir, "8000")
				var said strings.Builder
				cmd.Stdout, cmd.Stderr = &said, &said
				if err := w.ns.Start(cmd); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				t.Cleanup(func() { cmd.Process.Kill(); <-ended })
				address := fmt.Sprintf("%v:8000", at)
				if at.Is6() {
					address = fmt.Sprintf("[%v]:8000", at)
				}
				eventually(t, "Python listens", func() bool {
					select {
					case err := <-ended:
						ended <- err
						t.Fatalf("Python: %v: %s", err, said.String())
					default:
					}
					c, err := w.stack.Dial("tcp", address)
					if err == nil {
						c.Close()
					}
					return err == nil
				})
				if got := w.httpDown(t, "http://"+address+"/bulk"); got != want {
					t.Errorf("SHA-256 %s, want %s", got, want)
				}
			})
		}
	}
}
