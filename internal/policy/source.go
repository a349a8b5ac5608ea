// Package policy reads the tree's Go source and finds where it breaks the house laws: who
// may import whom, what has no place in a pure package, where a state changes, how long a
// file may be. It works on syntax alone, so it sees the files of every platform and needs
// nothing to compile. The tables it judges by stand in policy_test.go at the root.
package policy

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Root is the import path of the root module.
const Root = "github.com/vitro-net/vitro"

// Package is the Go source of one directory.
type Package struct {
	Dir    string // from the root of the tree, with slashes; "." for the root
	Module string // the directory of the module it belongs to, likewise
	Files  []*File
}

// File is one Go file.
type File struct {
	Name  string // from the root of the tree, with slashes
	Test  bool   // a _test.go file
	Lines int
	AST   *ast.File
	Fset  *token.FileSet
}

// Finding is one law broken at one place.
type Finding struct {
	File string
	Line int
	Text string
}

// String prints "file:line: text".
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text) }

func (f *File) finding(n ast.Node, format string, args ...any) Finding {
	return Finding{f.Name, f.line(n.Pos()), fmt.Sprintf(format, args...)}
}

func (f *File) line(p token.Pos) int { return f.Fset.Position(p).Line }

// imports maps the name by which the file knows a package to its import path. A package
// imported without a name is known by the last element of its path that is no version.
func (f *File) imports() map[string]string {
	m := make(map[string]string, len(f.AST.Imports))
	for _, spec := range f.AST.Imports {
		p := importPath(spec)
		name := path.Base(p)
		if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" && name != "v" {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		m[name] = p
	}
	return m
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	return p
}

// Parse reads one file from src.
func Parse(name string, src []byte) (*File, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &File{
		Name:  name,
		Test:  strings.HasSuffix(name, "_test.go"),
		Lines: fset.File(syntax.FileStart).LineCount(),
		AST:   syntax,
		Fset:  fset,
	}, nil
}

// Load reads every Go file under root, nested modules too, but for testdata, hidden
// directories and those whose name begins with an underscore, which the go command
// passes over as well.
func Load(root string) ([]*Package, error) {
	byDir := make(map[string]*Package)
	modules := []string{"."}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		base := path.Base(rel)
		if d.IsDir() {
			if rel != "." && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if base == "go.mod" {
			modules = append(modules, path.Dir(rel))
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		file, err := Parse(rel, src)
		if err != nil {
			return err
		}
		dir := path.Dir(rel)
		if byDir[dir] == nil {
			byDir[dir] = &Package{Dir: dir}
		}
		byDir[dir].Files = append(byDir[dir].Files, file)
		return nil
	})
	if err != nil {
		return nil, err
	}
	pkgs := make([]*Package, 0, len(byDir))
	for _, p := range byDir {
		p.Module = moduleOf(p.Dir, modules)
		pkgs = append(pkgs, p)
	}
	slices.SortFunc(pkgs, func(a, b *Package) int { return cmp.Compare(a.Dir, b.Dir) })
	return pkgs, nil
}

// moduleOf returns the innermost of modules that holds dir.
func moduleOf(dir string, modules []string) string {
	for d := dir; ; d = path.Dir(d) {
		if slices.Contains(modules, d) {
			return d
		}
	}
}
