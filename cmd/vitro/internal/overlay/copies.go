package overlay

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"

	"github.com/vitro-net/vitro/cmd/vitro/internal/loopback"
	"github.com/vitro-net/vitro/host"
)

const (
	module  = "github.com/vitro-net/vitro/"
	topmost = "github.com/vitro-net/vitro/cmd/vitro/internal/loopback"
)

// places are where in the standard library copies of our packages stand. Package net can import
// nothing but from there, and go vet, which go test runs, goes into the directory of each package:
// so they must be directories that the toolchain has, with no package in them. Only a stack trace
// shows their names.
var places = map[string]string{
	topmost:           "net/internal",
	module + "host":   "internal/syscall",
	module + "stack":  "container",
	module + "tcp":    "text",
	module + "wire":   "internal/types",
	module + "seq":    "index",
	module + "link":   "compress",
	module + "sim":    "debug",
	module + "trace":  "database",
	module + "ladder": "archive",
}

// copies adds copies of our packages, from loopback inward, to what lies below src.
func copies(src string, overlay map[string][]byte) error {
	root, err := sourceOf(host.New, "host")
	if err != nil {
		return err
	}
	top, err := sourceOf(loopback.NewWorld, "loopback")
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for todo := []string{topmost}; len(todo) > 0; {
		path := todo[0]
		todo = todo[1:]
		if done[path] {
			continue
		}
		done[path] = true
		dir := filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(path, module)))
		if path == topmost {
			dir = filepath.Join(top, "loopback")
		}
		to := filepath.Join(src, filepath.FromSlash(places[path]))
		if err := vacant(to); err != nil {
			return err
		}
		more, err := copyPackage(dir, to, overlay)
		if err != nil {
			return err
		}
		todo = append(todo, more...)
	}
	return nil
}

// vacant returns an error unless a directory is there and has no package.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return unknown("%v", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") {
			return unknown("there is a package in its %s", dir)
		}
	}
	return nil
}

// copyPackage adds copies of a package's files, and returns which of ours they import.
func copyPackage(from, to string, overlay map[string][]byte) (imports []string, err error) {
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		s := &source{text: text}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(path, module) {
				continue
			}
			if places[path] == "" {
				return nil, fmt.Errorf("%s imports %s, which has no place in the standard library", name, path)
			}
			imports = append(imports, path)
			s.replace(fset, spec.Path, strconv.Quote(places[path]))
		}
		overlay[filepath.Join(to, name)] = s.patched()
	}
	return imports, nil
}

// replace puts a text where a literal stands.
func (s *source) replace(fset *token.FileSet, lit *ast.BasicLit, text string) {
	at := fset.Position(lit.Pos()).Offset
	s.puts = append(s.puts, put{at: at, text: text, drop: len(lit.Value)})
}

// sourceOf returns the directory in which that of a package lies, of which f is a function: where
// it was when this program was built, or, if the program does not say (-trimpath), in the cache of
// modules.
func sourceOf(f any, name string) (string, error) {
	pc := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	file, _ := pc.FileLine(pc.Entry())
	dir := filepath.Dir(filepath.FromSlash(file))
	if !filepath.IsAbs(dir) && !strings.Contains(dir, "@") {
		return "", errors.New("this command was built with -trimpath from a working tree, and does not know where its sources are")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(build.Default.GOPATH, "pkg", "mod", dir)
		if c := os.Getenv("GOMODCACHE"); c != "" {
			dir = filepath.Join(c, filepath.FromSlash(filepath.Dir(file)))
		}
	}
	if _, err := os.Stat(dir); err != nil || filepath.Base(dir) != name {
		return "", fmt.Errorf("the sources of vitro from which this command was built are not at %s any more", dir)
	}
	return filepath.Dir(dir), nil
}
