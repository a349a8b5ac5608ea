package policy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/internal/policy"
)

// A bad source is caught with a text that holds want; a good one has want "".
type source struct {
	name string
	src  string
	want string
}

func pkg(t *testing.T, file, src string) *policy.Package {
	t.Helper()
	f, err := policy.Parse(file, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Package{Dir: filepath.ToSlash(filepath.Dir(file)), Module: ".", Files: []*policy.File{f}}
}

func caught(t *testing.T, found []policy.Finding, want string) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0:
		t.Errorf("nothing is wrong, but found %v", found)
	case want != "" && !slices.ContainsFunc(found, func(f policy.Finding) bool { return strings.Contains(f.String(), want) }):
		t.Errorf("found %v; want %q", found, want)
	}
}

func TestImports(t *testing.T) {
	table := policy.Table{
		".":   {Vitro: []string{"tcp"}, Std: []string{"net"}, Why: map[string]string{"*": "the door is thin"}},
		"tcp": {Std: []string{"strconv"}, Why: map[string]string{"*": "pure", "stack": "one does not know of many", "time": "no clock"}},
	}
	everywhere := map[string]string{"*": "not listed", "net": "only the door", "github.com": "no third party"}
	tests := []struct{ name, file, src, want string }{
		{"a listed import", "tcp/a.go", `package tcp; import "strconv"`, ""},
		{"a listed import of the project", "a.go", `package vitro; import "github.com/vitro-net/vitro/tcp"`, ""},
		{"an edge with its own reason", "tcp/a.go", `package tcp; import "github.com/vitro-net/vitro/stack"`, "tcp may not import stack: one does not know of many"},
		{"an edge with the row's reason", "tcp/a.go", `package tcp; import _ "github.com/vitro-net/vitro/life"`, "tcp may not import life: pure"},
		{"the root", "tcp/a.go", `package tcp; import v "github.com/vitro-net/vitro"`, "tcp may not import .: pure"},
		{"another module of the project", "a.go", `package vitro; import "github.com/vitro-net/vitro/cmd/vitro/x"`, "the door is thin"},
		{"std by the row", "tcp/a.go", `package tcp; import "time"`, "no clock"},
		{"std by the parent", "tcp/a.go", `package tcp; import "net/http/httptrace"`, "only the door"},
		{"std by default", "tcp/a.go", `package tcp; import "archive/tar"`, "not listed"},
		{"a library", "a.go", `package vitro; import "github.com/a/b"`, "no third party"},
		{"a package that only begins alike", "a.go", `package vitro; import "netx"`, "not listed"},
		{"a new package", "new/a.go", `package new`, "not in the import table"},
		{"a test", "tcp/a_test.go", `package tcp; import "net"`, ""},
		{"a new package of tests alone", "new/a_test.go", `package new`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			caught(t, policy.Imports([]*policy.Package{pkg(t, tt.file, tt.src)}, table, everywhere), tt.want)
		})
	}
	nested := pkg(t, "cmd/vitro/main.go", `package main; import "github.com/spf13/cobra"`)
	nested.Module = "cmd/vitro"
	caught(t, policy.Imports([]*policy.Package{nested}, table, everywhere), "")
}

func TestPure(t *testing.T) {
	tests := []source{
		{"durations and instants given", `import "time"; const d = 3 * time.Second; func f(t time.Time) time.Duration { return t.Sub(time.Unix(0, 1)) }`, ""},
		{"Now", `import "time"; var t = time.Now()`, "time.Now"},
		{"Now as a value", `import "time"; var now = time.Now`, "time.Now"},
		{"Now by another name", `import clock "time"; var t = clock.Now()`, "time.Now"},
		{"Since", `import "time"; func f(t time.Time) any { return time.Since(t) }`, "time.Since"},
		{"Until", `import "time"; func f(t time.Time) any { return time.Until(t) }`, "time.Until"},
		{"After", `import "time"; func f() { _ = time.After(1) }`, "time.After"},
		{"AfterFunc", `import "time"; func f() { time.AfterFunc(1, f) }`, "time.AfterFunc"},
		{"Sleep", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
		{"NewTimer", `import "time"; func f() { time.NewTimer(1) }`, "time.NewTimer"},
		{"a Timer", `import "time"; type T struct { t *time.Timer }`, "time.Timer"},
		{"Tick", `import "time"; func f() { time.Tick(1) }`, "time.Tick"},
		{"the zone of the machine", `import "time"; var l = time.Local`, "time.Local"},
		{"a variable named as the package", `import "time"; var _ time.Duration; type now struct{ Now int }; func f(time now) int { return time.Now }`, ""},
		{"time by dot", `import . "time"; var t = Now()`, "by dot"},
		{"a goroutine", `func f() { go f() }`, "goroutine"},
		{"a channel's type", `type T struct { c chan int }`, "channel"},
		{"a channel's direction", `func f(c <-chan int) {}`, "channel"},
		{"a send", `func f[C ~struct{}](c C) { c <- 1 }`, "send"},
		{"a receive", `func f() { <-g() }; func g() int { return 0 }`, "receive"},
		{"select", `func f() { select {} }`, "select"},
		{"a lock", `import "sync"; var mu sync.Mutex`, "no lock"},
		{"an atomic", `import "sync/atomic"; var n atomic.Int64`, "shares nothing"},
		{"a lock in a file for one system", "//go:build windows\n\nIMPORT \"sync\"; var mu sync.Mutex", "no lock"},
		{"a context", `import "context"; func f(context.Context) {}`, "context"},
		{"a log", `import "log"; func f() { log.Print() }`, "import of log"},
		{"slog", `import "log/slog"; func f() { slog.Info("") }`, "import of log/slog"},
		{"a file", `import "os"; var a = os.Args`, "import of os"},
		{"a process", `import "os/exec"; var a = exec.Command`, "import of os/exec"},
		{"the network", `import "net/http"; var c http.Client`, "import of net/http"},
		{"an address", `import "net/netip"; var a netip.Addr`, ""},
		{"printing", `import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
		{"printing to a writer, and to a string", `import ("fmt"; "io"); func f(w io.Writer) { fmt.Fprintln(w, fmt.Sprint(1)) }`, ""},
		{"builtin printing", `func f() { println() }`, "println"},
		{"a method named print", `func (t T) print() { t.print() }; type T int`, ""},
		{"the old math/rand", `import "math/rand"; var r = rand.New(rand.NewSource(1))`, "import of math/rand"},
		{"the global source", `import "math/rand/v2"; var n = rand.IntN(3)`, "rand.IntN"},
		{"a generator from a seed", `import "math/rand/v2"; var r = rand.New(rand.NewPCG(1, 2)); var n = r.IntN(3)`, ""},
		{"true randomness", `import "crypto/rand"; var r = rand.Reader`, "import of crypto/rand"},
		{"a random seed", `import "hash/maphash"; var s maphash.Seed`, "import of hash/maphash"},
		{"the kernel", `import "golang.org/x/sys/unix"; var x unix.Timespec`, "import of golang.org/x/sys/unix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := "package tcp; " + tt.src
			if build, rest, ok := strings.Cut(tt.src, "IMPORT"); ok {
				src = build + "package tcp; import" + rest
			}
			caught(t, policy.Pure(pkg(t, "tcp/a.go", src)), tt.want)
			caught(t, policy.Pure(pkg(t, "tcp/a_test.go", src)), "") // a test may wait
		})
	}
}

func TestFunnel(t *testing.T) {
	const become = "package tcp; func (c *Conn) become(s State, r Rule) { c.state = s }; "
	tests := []struct{ name, file, src, want string }{
		{"the funnel, and a call in event.go", "tcp/event.go", become + `func (c *Conn) Close() { c.become(Closed, 0) }`, ""},
		{"a read elsewhere", "tcp/event.go", become + `func (c *Conn) f() bool { s := c.state; return s == c.state }`, ""},
		{"a call elsewhere", "tcp/loss.go", become + `func (c *Conn) f() { c.become(Closed, 0) }`, "outside event.go"},
		{"a call by its value", "tcp/loss.go", become + `func (c *Conn) f() { g(c.become) }`, "outside event.go"},
		{"a second assignment", "tcp/event.go", become + `func (c *Conn) f() { c.state = Closed }`, "changes in become alone"},
		{"an assignment among others", "tcp/event.go", become + `func (c *Conn) f() { c.x, (c.state) = 1, Closed }`, "changes in become alone"},
		{"an increment", "tcp/event.go", become + `func (c *Conn) f() { c.state++ }`, "changes in become alone"},
		{"an operation", "tcp/event.go", become + `func (c *Conn) f() { c.state += 1 }`, "changes in become alone"},
		{"an operation in become", "tcp/event.go", "package tcp; func (c *Conn) become(s State) { c.state |= s }", "changes in become alone"},
		{"its address", "tcp/event.go", become + `func (c *Conn) f() *State { return &c.state }`, "changes in become alone"},
		{"a literal", "tcp/event.go", become + `func f() *Conn { return &Conn{state: Listen} }`, "changes in become alone"},
		{"a literal at package level", "tcp/event.go", become + `var zero = Conn{state: Listen}`, "changes in become alone"},
		{"a range", "tcp/event.go", become + `func (c *Conn) f() { for _, c.state = range States {} }`, "changes in become alone"},
		{"twice in become", "tcp/event.go", `package tcp; func (c *Conn) become(s State) { c.state = s; c.state = s }`, "a second time"},
		{"no funnel at all", "tcp/event.go", `package tcp; func (c *Conn) turn(s State) {}`, "no longer sees"},
		{"a test", "tcp/a_test.go", become + `func f(c *Conn) { c.state = Listen }`, "no longer sees"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { caught(t, policy.Funnel(pkg(t, tt.file, tt.src), true), tt.want) })
	}
	caught(t, policy.Funnel(pkg(t, "tcp/state.go", "package tcp; type State uint8"), false), "")
}

func TestSwitches(t *testing.T) {
	const all = `case Closed, Listen: case SynSent, SynReceived: case Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait:`
	tests := []source{
		{"all eleven", "package tcp\nfunc f(c *Conn) { switch c.state { " + all + " } }", ""},
		{"all eleven and a default", "package tcp\nfunc f(c *Conn) { switch c.state { " + all + " default: } }", "default"},
		{"ten", "package tcp\nfunc f(c *Conn) { switch c.state { " + strings.Replace(all, ", LastAck", "", 1) + " } }", "does not name LastAck:"},
		{"over a variable", "package tcp\nfunc f(s State) { switch s { case Listen: } }", "does not name Closed, SynSent"},
		{"over a call", "package tcp\nfunc f(c *Conn) { switch c.State() { case Listen: } }", "does not name Closed"},
		{"over the state, naming none", "package tcp\nfunc f(c *Conn) { switch c.state { default: } }", "default"},
		{"with a directive and its reason", "package tcp\nfunc f(s State) {\n\t//exhaustive:ignore the others wait for nothing\n\tswitch s { case Listen: }\n}", ""},
		{"with a directive and a default", "package tcp\nfunc f(s State) {\n\t//exhaustive:ignore the others wait for nothing\n\tswitch s { case Listen: default: }\n}", "default"},
		{"with a bare directive", "package tcp\nfunc f(s State) {\n\t//exhaustive:ignore\n\tswitch s { case Listen: }\n}", "without a reason"},
		{"with a directive far above", "package tcp\nfunc f(s State) {\n\t//exhaustive:ignore the others wait for nothing\n\n\tswitch s { case Listen: }\n}", "does not name"},
		{"in another package", "package stack\nimport \"github.com/vitro-net/vitro/tcp\"\nfunc f(s tcp.State) { switch s { case tcp.Listen: default: } }", "default"},
		{"in another package, by another name", "package stack\nimport t \"github.com/vitro-net/vitro/tcp\"\nfunc f(s t.State) { switch s { case t.Listen: } }", "does not name"},
		{"other words that sound alike", "package stack\nfunc f(s door) { switch s { case Closed: default: } }", ""},
		{"other values", "package tcp\nfunc f(r Rule) { switch r { case 1: default: } }", ""},
		{"conditions", "package tcp\nfunc f(c *Conn) { switch { case c.state == Listen: default: } }", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := "tcp/a.go"
			if strings.Contains(tt.src, "package stack") {
				file = "stack/a.go"
			}
			caught(t, policy.Switches(pkg(t, file, tt.src)), tt.want)
		})
	}
}

func TestSize(t *testing.T) {
	long := strings.Repeat("// filler\n", policy.MaxFileLines)
	body := func(lines int) string { return "{\n" + strings.Repeat("\tg()\n", lines-2) + "}\n" }
	tests := []struct{ name, file, src, want string }{
		{"a short file", "tcp/a.go", "package tcp\n", ""},
		{"a long file", "tcp/a.go", "package tcp\n" + long, "over 750"},
		{"a long file that says why", "tcp/a.go", "// Package tcp is long because section 3.10 is.\npackage tcp\n" + long, ""},
		{"a long file that says why too late", "tcp/a.go", "// Package tcp\npackage tcp\n" + long + "\n// Long because it grew.\n", "over 750"},
		{"a long generated file", "tcp/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage tcp\n" + long, ""},
		{"a long test", "tcp/a_test.go", "package tcp\n" + long, ""},
		{"a function of 70 lines", "tcp/a.go", "package tcp\n\nfunc f() " + body(70), ""},
		{"a function of 71 lines", "tcp/a.go", "package tcp\n\nfunc f() " + body(71), "f has 71 lines"},
		{"a method of 71 lines", "tcp/a.go", "package tcp\n\nfunc (c *Conn) f() " + body(71), "f has 71 lines"},
		{"a long function that says why", "tcp/a.go", "package tcp\n\n// f does it.\n// Long because the eight steps stand in one order.\nfunc f() " + body(71), ""},
		{"a long function that gives no reason", "tcp/a.go", "package tcp\n\n// f does it. Long because.\nfunc f() " + body(71), "f has 71 lines"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { caught(t, policy.Size(pkg(t, tt.file, tt.src)), tt.want) })
	}
}

func TestCheckModules(t *testing.T) {
	const (
		root = "module github.com/vitro-net/vitro\n\ngo 1.26\n"
		cmd  = "module github.com/vitro-net/vitro/cmd/vitro\n\ngo 1.26.0\n\nrequire github.com/spf13/cobra v1.10.2\n"
		work = "go 1.26\n\nuse (\n\t.\n\t./cmd/vitro // the command\n)\n"
	)
	tests := []struct{ name, root, cmd, work, want string }{
		{"as it should be", root + "require golang.org/x/sys v0.49.0\n", cmd, work, ""},
		{"a requirement", root + "require github.com/a/b v1.0.0\n", cmd, work, "requires github.com/a/b"},
		{"a requirement in a block", root + "require (\n\tgolang.org/x/sys v0.49.0\n\tgolang.org/x/net v0.1.0 // indirect\n)\n", cmd, work, "requires golang.org/x/net"},
		{"a replacement", root + "replace golang.org/x/sys => ../sys\n", cmd, work, "replaces golang.org/x/sys"},
		{"a module not joined", root, cmd, "go 1.26\nuse .\n", "no use of cmd/vitro"},
		{"a module of another name", root, strings.Replace(cmd, "cmd/vitro", "command", 1), work, "want github.com/vitro-net/vitro/cmd/vitro"},
		{"another Go", root, strings.Replace(cmd, "1.26.0", "1.27.0", 1), work, "go 1.27.0"},
		{"no module", root, "", work, "no go.mod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mods := []*policy.Module{policy.ParseModule(".", []byte(tt.root))}
			if tt.cmd != "" {
				mods = append(mods, policy.ParseModule("cmd/vitro", []byte(tt.cmd)))
			}
			caught(t, policy.CheckModules(mods, policy.ParseModule(".", []byte(tt.work)), []string{"cmd/*"}, []string{"golang.org/x/sys"}), tt.want)
			if tt.name == "as it should be" {
				caught(t, policy.CheckModules(mods, policy.ParseModule(".", []byte(tt.work)), []string{"bench"}, []string{"golang.org/x/sys"}), "not known")
			}
		})
	}
}

// Load sees the files of every platform and of nested modules, and none that the go command
// passes over.
func TestLoad(t *testing.T) {
	root := t.TempDir()
	for name, src := range map[string]string{
		"go.mod":                    "module github.com/vitro-net/vitro\n",
		"go.work":                   "use .\n",
		"tcp/a.go":                  "package tcp\n",
		"tcp/a_windows.go":          "package tcp\n",
		"tcp/a_test.go":             "package tcp\n",
		"tcp/testdata/b.go":         "not Go",
		".git/c.go":                 "not Go",
		"_old/d.go":                 "not Go",
		"cmd/vitro/go.mod":          "module github.com/vitro-net/vitro/cmd/vitro\n",
		"cmd/vitro/main.go":         "package main\n",
		"cmd/vitro/internal/x/x.go": "package x\n",
	} {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pkgs, err := policy.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pkgs {
		for _, f := range p.Files {
			got = append(got, p.Module+" "+f.Name)
		}
	}
	want := []string{"cmd/vitro cmd/vitro/main.go", "cmd/vitro cmd/vitro/internal/x/x.go", ". tcp/a.go", ". tcp/a_test.go", ". tcp/a_windows.go"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Load read %q; want %q", got, want)
	}
	mods, work, err := policy.Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(mods) != 2 || mods[0].Dir != "." || mods[1].Dir != "cmd/vitro" || !slices.Equal(work.Uses, []string{"."}) {
		t.Errorf("Modules read %+v and go.work %+v", mods, work)
	}
}
