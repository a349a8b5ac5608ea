package overlay

import (
	"encoding/json"
	"errors"
	"go/build"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// here is the toolchain that runs the test.
func here(t *testing.T) Toolchain {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(out))
	return Toolchain{GOROOT: f[0], GOVERSION: f[1], GOOS: runtime.GOOS, GOARCH: runtime.GOARCH}
}

// For every system that is named, what is changed can be changed, and every line keeps its number:
// nothing but the lines with something put in differ, and they in nothing else.
func TestPatches(t *testing.T) {
	tc := here(t)
	src := filepath.Join(tc.GOROOT, "src", "net")
	for _, goos := range systems {
		changed, err := patchNet(src, goos, "amd64")
		if err != nil {
			t.Errorf("%s: %v", goos, err)
			continue
		}
		puts := 0
		for name, text := range changed {
			old, err := os.ReadFile(filepath.Join(src, name))
			if err != nil {
				t.Fatal(err)
			}
			was, is := strings.Split(string(old), "\n"), strings.Split(string(text), "\n")
			if len(was) != len(is) {
				t.Errorf("%s: %s has %d lines, and had %d", goos, name, len(is), len(was))
				continue
			}
			for i := range was {
				if was[i] == is[i] {
					continue
				}
				puts++
				if !strings.HasPrefix(is[i], was[i]) || !strings.Contains(is[i], "vitro") {
					t.Errorf("%s: %s:%d is %q, and was %q", goos, name, i+1, is[i], was[i])
				}
			}
		}
		least := len(edits) + 1 // and the struct
		if goos != "linux" {
			least -= 5 // a system may lack splice in both directions, and the three times of keep-alive
		}
		if puts < least {
			t.Errorf("%s: %d places have changed; want at least %d", goos, puts, least)
		}
	}
}

// The overlay names files that are there, changes none of the toolchain, and is made once.
func TestWrite(t *testing.T) {
	tc := here(t)
	cache := t.TempDir()
	path, err := Write(tc, cache)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &overlay); err != nil {
		t.Fatal(err)
	}
	for of, with := range overlay.Replace {
		if !strings.HasPrefix(of, tc.GOROOT) || !strings.HasPrefix(with, cache) {
			t.Errorf("%s is replaced with %s", of, with)
		}
		b, err := os.ReadFile(with)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(b), "\""+module) {
			t.Errorf("the copy for %s imports a package of %s", of, module)
		}
	}
	for _, place := range places {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(overlay.Replace)), func(of string) bool {
			return filepath.Dir(of) == filepath.Join(tc.GOROOT, "src", filepath.FromSlash(place))
		}) {
			t.Errorf("no copies for %s", place)
		}
	}
	again, err := Write(tc, cache)
	if err != nil || again != path {
		t.Errorf("a second time it is at %s, %v; want %s", again, err, path)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 1 {
		t.Errorf("the cache has %d entries, %v; want one", len(entries), err)
	}
}

// copied makes a GOROOT of which package net can be spoilt.
func copied(t *testing.T) Toolchain {
	t.Helper()
	tc := here(t)
	src := filepath.Join(tc.GOROOT, "src")
	root := t.TempDir()
	net := filepath.Join(root, "src", "net")
	if err := os.MkdirAll(net, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(src, "net"))
	if err != nil {
		t.Fatal(err)
	}
	context := build.Default
	context.GOOS = "linux"
	for _, e := range entries {
		if match, _ := context.MatchFile(filepath.Join(src, "net"), e.Name()); !match || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(src, "net", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(net, e.Name()), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range places {
		if err := os.MkdirAll(filepath.Join(root, "src", filepath.FromSlash(place)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Toolchain{GOROOT: root, GOVERSION: tc.GOVERSION, GOOS: "linux", GOARCH: "amd64"}
}

// A toolchain that is not as it is known gets no overlay, but an error that says what is other.
func TestUnknownToolchains(t *testing.T) {
	add := func(name, text string) func(*Toolchain) error {
		return func(tc *Toolchain) error {
			return os.WriteFile(filepath.Join(tc.GOROOT, "src", filepath.FromSlash(name)), []byte(text), 0o644)
		}
	}
	replace := func(name, old, with string) func(*Toolchain) error {
		return func(tc *Toolchain) error {
			path := filepath.Join(tc.GOROOT, "src", "net", name)
			b, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(b), old) {
				err = errors.New("the test does not find " + old)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, with)), 0o644)
		}
	}
	for says, spoil := range map[string]func(*Toolchain) error{
		"it is go1.25.3, and the overlay knows Go 1.26": func(tc *Toolchain) error { tc.GOVERSION = "go1.25.3"; return nil },
		"it is go1.260, and":                            func(tc *Toolchain) error { tc.GOVERSION = "go1.260"; return nil },
		"and not for windows":                           func(tc *Toolchain) error { tc.GOOS = "windows"; return nil },
		"has no isUsingMultipathTCP":                    replace("mptcpsock_linux.go", "func isUsingMultipathTCP(", "func isUsingIt("),
		"net.(*netFD).halt touches file descriptors":    replace("fd_posix.go", ") shutdown(", ") halt("),
		"net.setLinger is (*netFD, int64) error":        replace("sockopt_posix.go", "setLinger(fd *netFD, sec int)", "setLinger(fd *netFD, sec int64)"),
		"net.(*netFD).peek touches file descriptors":    add("net/peek.go", "package net\nfunc (fd *netFD) peek() int { return fd.pfd.Sysfd }\n"),
		"net.peek touches file descriptors":             add("net/peek.go", "package net\nvar p = 1\nfunc peek(fd *netFD) any { return netFD{pfd: fd.pfd} }\n"),
		"net.setNoDelay is there twice":                 add("net/twice.go", "package net\nfunc setNoDelay(fd *netFD, on bool) error { return nil }\n"),
		"net.netFD is not the one struct":               replace("fd_posix.go", "type netFD struct {", "type netFD interface {}\ntype other struct {"),
		"there is a package in its":                     add("text/text.go", "package text\n"),
		"its package net has a file vitro.go":           add("net/vitro.go", "package net\n"),
		"expected 'package'":                            add("net/broken.go", "import\n"),
		"no names for its parameters":                   replace("fd_posix.go", "func (fd *netFD) Close() error {", "func (*netFD) Close() error { var fd *netFD;"),
	} {
		tc := copied(t)
		if err := spoil(&tc); err != nil {
			t.Error(err)
			continue
		}
		_, err := Write(tc, t.TempDir())
		if !errors.Is(err, errUnknown) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error about an unknown toolchain that says %q", err, says)
		}
	}
	if _, err := Write(copied(t), t.TempDir()); err != nil {
		t.Errorf("a copy of the toolchain as it is: %v", err)
	}
}
