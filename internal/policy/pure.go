package policy

import (
	"go/ast"
	"go/token"
	"slices"
)

// impure gives the packages that a pure package may not import, whatever its row in the
// import table says, and why. A package below one of them is meant too.
var impure = map[string]string{
	"sync":         "a pure package takes no lock: its caller does",
	"sync/atomic":  "a pure package shares nothing between goroutines",
	"context":      "a context is a channel and a clock",
	"log":          "a pure package reports by what it returns",
	"log/slog":     "a pure package reports by what it returns",
	"os":           "a pure package does no I/O",
	"syscall":      "a pure package does no I/O",
	"net":          "a pure package does no I/O",
	"math/rand":    "its functions draw from a global source: take math/rand/v2 and a seed",
	"crypto/rand":  "equal inputs must give equal outputs: secrets come in by Config",
	"hash/maphash": "its seed is random: equal inputs must give equal outputs",
	"runtime":      "what a pure package does must not depend on the process around it",
	"unique":       "it keeps a global table behind a lock",
	"golang.org/x": "a pure package does no I/O",
}

// timeNames are the names of package time that neither read a clock nor wait.
var timeNames = []string{
	"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "ParseDuration",
	"Time", "Unix", "UnixMilli", "UnixMicro", "Date", "UTC", "Month", "Weekday", "Parse",
	"January", "RFC3339", "RFC3339Nano", "DateTime", "DateOnly", "TimeOnly", "StampNano", "StampMicro",
}

// randNames are the names of package math/rand/v2 that do not use its global source.
var randNames = []string{
	"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "PCG", "ChaCha8", "Source", "Zipf",
}

// printers write to the process's standard output or standard error.
var printers = []string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"}

// Pure finds, in the files of pkg that are not tests, whatever keeps equal inputs from
// giving equal outputs: clocks, goroutines, channels, locks, I/O, global randomness.
func Pure(pkg *Package) []Finding {
	var found []Finding
	for _, f := range pkg.Files {
		if !f.Test {
			found = append(found, f.impureImports()...)
			found = append(found, f.impureCode()...)
		}
	}
	return found
}

func (f *File) impureImports() []Finding {
	var found []Finding
	for _, spec := range f.AST.Imports {
		p := importPath(spec)
		if why, ok := impureReason(p); ok {
			found = append(found, f.finding(spec, "import of %s: %s", p, why))
		}
		if spec.Name != nil && spec.Name.Name == "." {
			found = append(found, f.finding(spec, "import of %s by dot: a reader, and this test, must see where a name comes from", p))
		}
	}
	return found
}

func impureReason(p string) (string, bool) {
	if p == "net/netip" || p == "math/rand/v2" {
		return "", false // values without I/O; judged by what is used of it
	}
	r := why(p, "", impure)
	return r, r != ""
}

func (f *File) impureCode() []Finding {
	var found []Finding
	imports := f.imports()
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.finding(n, "go statement: a pure package starts no goroutine"))
		case *ast.ChanType:
			found = append(found, f.finding(n, "channel: a pure package waits for nothing"))
		case *ast.SendStmt:
			found = append(found, f.finding(n, "send on a channel: a pure package waits for nothing"))
		case *ast.SelectStmt:
			found = append(found, f.finding(n, "select: a pure package waits for nothing"))
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found = append(found, f.finding(n, "receive from a channel: a pure package waits for nothing"))
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
				found = append(found, f.finding(n, "%s writes to standard error: a pure package does no I/O", id.Name))
			}
		case *ast.SelectorExpr:
			if finding, bad := f.impureSelector(n, imports); bad {
				found = append(found, finding)
			}
		}
		return true
	})
	return found
}

func (f *File) impureSelector(n *ast.SelectorExpr, imports map[string]string) (Finding, bool) {
	id, ok := n.X.(*ast.Ident)
	if !ok || id.Obj != nil { // id.Obj: a variable of that name, not the package
		return Finding{}, false
	}
	switch name := n.Sel.Name; imports[id.Name] {
	case "time":
		if !slices.Contains(timeNames, name) {
			return f.finding(n, "time.%s: a pure package is told the time and the place", name), true
		}
	case "math/rand/v2":
		if !slices.Contains(randNames, name) {
			return f.finding(n, "rand.%s draws from a global source: use a generator made from a seed", name), true
		}
	case "fmt":
		if slices.Contains(printers, name) {
			return f.finding(n, "fmt.%s: a pure package does no I/O: return the text, or write to an io.Writer given", name), true
		}
	}
	return Finding{}, false
}
