package vitro_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitro-net/vitro/internal/policy"
)

// The laws of the house, as tables. What the checks themselves catch is tested beside them,
// in internal/policy.

// planned names the packages of the import table and the nested modules that need not exist
// yet, and the issue that brings each, where it has a name. An entry is taken off when its
// package has come.
var planned = map[string]string{
	"life":       "The life on record",
	"adapters/*": "consumers",
}

// machineStands says that tcp.Conn is there, so that its one assignment of the state must be.
var machineStands = exists("tcp/event.go")

// pure lists the packages without clock, goroutine, channel, lock, I/O or global randomness.
var pure = []string{"seq", "wire", "tcp", "stack", "sim", "ladder", "life"}

// nested lists the modules below the root, as patterns of path.Match.
var nested = []string{"cmd/vitro", "judges", "judges/*", "bench", "adapters/*", "examples/*"}

// rootRequires is all that who imports vitro gets with it.
var rootRequires = []string{"golang.org/x/sys"}

// values is the part of the standard library that computes and does nothing else. Package
// time is for durations: no pure package may ask it what time it is.
var values = []string{
	"bytes", "cmp", "container/heap", "encoding", "encoding/binary", "encoding/hex", "errors", "io",
	"iter", "maps", "math", "math/bits", "net/netip", "slices", "sort", "strconv", "strings", "time",
	"unicode", "unicode/utf8",
}

func with(list []string, more ...string) []string { return slices.Concat(list, more) }

// imports is the import table: imports run inward only, and what is not listed has a reason.
var imports = policy.Table{
	"seq": {
		Std: []string{"cmp", "strconv"},
		Why: map[string]string{
			"*":    "arithmetic modulo 2^32 is the innermost thing there is",
			"time": "a sequence number has no time",
		},
	},
	"wire": {
		Vitro: []string{"seq"},
		Std:   with(values),
		Why: map[string]string{
			"*":    "a header is bytes: it means the same whoever reads it",
			"tcp":  "a segment is read before anyone knows of which connection it is",
			"link": "wire owns the Packet; what carries it comes after",
			"fmt":  "a segment is printed on a path where fmt's boxing would allocate: strconv",
		},
	},
	"tcp": {
		Vitro: []string{"seq", "wire"},
		// What TCP-AO computes is a function of its key and the segment (RFC 5926).
		Std: with(values, "crypto/aes", "crypto/cipher", "crypto/hmac", "crypto/sha1", "crypto/subtle"),
		Why: map[string]string{
			"*":      "the machine of one connection knows segments, calls and the time, and nothing around it",
			"stack":  "one connection does not know that there are others",
			"host":   "the machine waits for nobody",
			"link":   "the machine hands out segments; who carries them is not its business",
			"ladder": "the notation prints the machine, not the machine itself in the notation",
			"trace":  "the machine names its rules; who writes them down wraps it",
			"fmt":    "a connection's path allocates nothing: strconv",
		},
	},
	"stack": {
		Vitro: []string{"seq", "wire", "tcp"},
		Std:   with(values, "fmt", "math/rand/v2"),
		Why: map[string]string{
			"*":     "many connections are still no I/O and no clock: the stack is driven, and can be replayed",
			"host":  "the host waits for the stack, not the other way round",
			"link":  "the stack takes and gives packets; which link they go by is a number to it",
			"trace": "the stack reports by Rule; who records it wraps it",
		},
	},
	"host": {
		Vitro: []string{"seq", "wire", "tcp", "stack", "link"},
		Std:   with(values, "context", "crypto/rand", "fmt", "math/rand/v2", "os", "runtime", "sync", "sync/atomic", "syscall"),
		Why: map[string]string{
			"*":        "the host waits, and does nothing else: it must fit beneath package net",
			".":        "the root is the door to the host",
			"net":      "the host can be put beneath package net itself: then net imports it",
			"link/tun": "the host takes any link; which one is the caller's choice",
			"sim":      "the host runs on a real clock, the simulation on its own",
		},
	},
	"link": {
		Vitro: []string{"wire"},
		Std:   with(values, "context", "fmt", "math/rand/v2", "os", "sync", "sync/atomic"),
		Why: map[string]string{
			"*":   "a link carries packets, whatever is in them",
			"tcp": "a link carries packets: it knows no connection",
		},
	},
	"link/tun": {
		Vitro: []string{"wire", "link"},
		Std:   with(values, "context", "fmt", "os", "runtime", "sync", "sync/atomic", "syscall", "unsafe", "golang.org/x/sys/unix"),
		Why: map[string]string{
			"*":   "a link carries packets, whatever is in them",
			"net": "addresses are net/netip's, and netlink is spoken through golang.org/x/sys",
		},
	},
	"ladder": {
		Vitro: []string{"seq", "wire", "tcp"},
		Std:   with(values, "fmt", "html", "regexp"),
		Why: map[string]string{
			"*":     "the notation is read and written by all above it",
			"trace": "a trace is printed as a ladder, and a ladder needs no trace",
			"sim":   "a ladder is a text: it says what happens and makes nothing happen",
		},
	},
	"trace": {
		Vitro: []string{"seq", "wire", "tcp", "ladder"},
		Std:   with(values, "bufio", "encoding/json", "fmt", "sync", "sync/atomic"),
		Why: map[string]string{
			"*":     "a trace is what was recorded, wherever it was",
			"os":    "a trace is written to an io.Writer; whose file that is, the caller knows",
			"stack": "a trace can come from a foreign stack's packets",
		},
	},
	"life": {
		Vitro: []string{"seq", "wire", "tcp", "ladder", "trace"},
		Std:   with(values, "encoding/json", "fmt", "text/tabwriter"),
		Why: map[string]string{
			"*":     "a life is told from what was seen on the wire, of any stack",
			"stack": "a life is told of foreign stacks too: our own must not be needed to tell it",
		},
	},
	"sim": {
		Vitro: []string{"seq", "wire", "tcp", "stack", "link", "ladder", "trace"},
		Std:   with(values, "fmt", "math/rand/v2"),
		Why: map[string]string{
			"*":    "a simulation is driven by its own clock and needs nobody who waits",
			"host": "a host waits on a real clock: lab joins hosts, sim joins stacks",
			"life": "a simulation makes a life; telling it is for whoever ran it",
		},
	},
	".": {
		Vitro: []string{"seq", "wire", "tcp", "stack", "host", "link", "trace"},
		Std:   with(values, "context", "crypto/rand", "fmt", "net", "os", "runtime", "sync", "sync/atomic", "syscall"),
		Why: map[string]string{
			"*":        "the door is thin: what every program that imports vitro carries",
			"link/tun": "a program without a TUN does not carry the code for one",
			"sim":      "a program that talks to the world does not carry a simulated one",
			"net/http": "the door gives net.Conn and net.Listener; HTTP is for whoever opens it",
			"life":     "to tell a life is the command's work",
		},
	},
	"lab": {
		Vitro: []string{".", "seq", "wire", "tcp", "stack", "host", "link", "sim", "trace", "ladder"},
		Std: with(values, "bufio", "context", "flag", "fmt", "math/rand/v2", "net", "os", "path/filepath", "runtime", "sync",
			"sync/atomic", "syscall", "testing", "testing/synctest"),
		Why: map[string]string{
			"*":        "a laboratory is made of hosts and simulated links",
			"link/tun": "a laboratory needs no kernel and no root",
		},
	},
	"internal/policy": {
		Std: with(values, "fmt", "go/ast", "go/parser", "go/token", "io/fs", "os", "path", "path/filepath", "regexp"),
		Why: map[string]string{"*": "a judge does not depend on what it judges"},
	},
	"internal/netns": {
		Std: with(values, "fmt", "os", "os/exec", "path/filepath", "runtime", "testing", "golang.org/x/sys/unix"),
		Why: map[string]string{"*": "a helper for tests of any package, so it needs none of them"},
	},
	"internal/requirements": {
		Std: with(values, "embed", "flag", "fmt", "go/ast", "go/parser", "go/token", "io/fs", "os", "path", "path/filepath", "regexp"),
		Why: map[string]string{"*": "the requirements are counted from the text of the tree, not by running it"},
	},
}

// everywhere gives the reasons that hold for every package whose row does not list the import.
var everywhere = map[string]string{
	"*":            "its row in policy_test.go does not list it: if it has a good use here, list it, and say why in the commit",
	"net":          "only the root, lab and the nested modules speak package net: what is below can stand beneath it",
	"log":          "a library reports by its errors, its counters and its Trace, and writes no log",
	"os":           "no file, process or environment is its business",
	"syscall":      "only the host and the door speak in errnos, and only link/tun to the kernel",
	"sync":         "locks are taken in one place, the host, or in what it drives",
	"context":      "who waits is the host",
	"crypto/rand":  "secrets and seeds come in by Config",
	"math/rand":    "math/rand/v2, with a seed, where the table lists it",
	"unsafe":       "what it gains must be measured first",
	"reflect":      "what it does at run time a reader wants to see in the source",
	"testing":      "a product carries no test hooks; only lab is made for tests",
	"golang.org/x": "the root module requires golang.org/x/sys alone, and link/tun alone uses it",
	"github.com":   "who imports vitro gets the standard library and golang.org/x/sys, no more: what needs a library is a nested module",
	"C":            "vitro is built without cgo, for every platform",
}

func exists(file string) bool {
	_, err := os.Stat(filepath.FromSlash(file))
	return err == nil
}

func tree(t *testing.T) []*policy.Package {
	t.Helper()
	pkgs, err := policy.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

func report(t *testing.T, found []policy.Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestImportsRunInward(t *testing.T) {
	report(t, policy.Imports(tree(t), imports, everywhere))
}

// A table of which part names no package guards nothing there.
func TestImportTableNamesWhatExists(t *testing.T) {
	present := map[string]bool{}
	for _, pkg := range tree(t) {
		present[pkg.Dir] = slices.ContainsFunc(pkg.Files, func(f *policy.File) bool { return !f.Test })
	}
	for dir, row := range imports {
		if !present[dir] && planned[dir] == "" {
			t.Errorf("the import table has a row for %s, which does not exist and is not planned", dir)
		}
		if row.Why["*"] == "" {
			t.Errorf("the row for %s has no reason \"*\"", dir)
		}
		for _, to := range row.Vitro {
			if _, ok := imports[to]; !ok {
				t.Errorf("%s may import %s, which has no row", dir, to)
			}
			if row.Why[to] != "" {
				t.Errorf("%s may import %s, and the table also says why not", dir, to)
			}
		}
		for _, p := range row.Std {
			if row.Why[p] != "" {
				t.Errorf("%s may import %s, and the table also says why not", dir, p)
			}
		}
	}
	for _, dir := range pure {
		if _, ok := imports[dir]; !ok {
			t.Errorf("%s is to be pure and has no row in the import table", dir)
		}
	}
	for dir := range planned {
		if _, ok := imports[dir]; !ok && !slices.Contains(nested, dir) {
			t.Errorf("%s is planned, and neither a row of the import table nor a nested module", dir)
		}
	}
}

// What is planned is there for no reader: whoever names it in the documents says so, on the
// same line. What has come is not planned any more.
func TestPlannedIsNamedAsPlanned(t *testing.T) {
	for dir := range planned {
		if exists(strings.TrimSuffix(dir, "/*")) {
			t.Errorf("%s is there: take it off the list of what is planned", dir)
		}
	}
	for _, doc := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} {
		src, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(src)) {
			for dir := range planned {
				if strings.Contains(line, "`"+dir+"`") && !strings.Contains(strings.ToLower(line), "planned") {
					t.Errorf("%s names `%s` and does not say that it is planned: %s", doc, dir, line)
				}
			}
		}
	}
}

// The law says that imports run inward: no chain of allowed imports comes back.
func TestImportTableHasNoCycle(t *testing.T) {
	var visit func(dir string, above []string)
	visit = func(dir string, above []string) {
		if slices.Contains(above, dir) {
			t.Fatalf("the import table allows a cycle: %s", strings.Join(append(above, dir), " -> "))
		}
		for _, to := range imports[dir].Vitro {
			visit(to, append(slices.Clone(above), dir))
		}
	}
	for dir := range imports {
		visit(dir, nil)
	}
}

func TestPurePackagesArePure(t *testing.T) {
	for _, pkg := range tree(t) {
		if slices.Contains(pure, pkg.Dir) {
			report(t, policy.Pure(pkg))
		}
	}
}

func TestStateChangesInOneFunnel(t *testing.T) {
	for _, pkg := range tree(t) {
		if pkg.Dir == "tcp" {
			report(t, policy.Funnel(pkg, machineStands))
		}
	}
}

func TestSwitchesNameTheirStates(t *testing.T) {
	for _, pkg := range tree(t) {
		report(t, policy.Switches(pkg))
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, pkg := range tree(t) {
		report(t, policy.Size(pkg))
	}
}

func TestModules(t *testing.T) {
	mods, work, err := policy.Modules(".")
	if err != nil {
		t.Fatal(err)
	}
	report(t, policy.CheckModules(mods, work, nested, rootRequires))
}
