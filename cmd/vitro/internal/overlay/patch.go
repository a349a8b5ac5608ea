package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// patchNet returns the files of the toolchain's package net that change, by name, as they are to
// be. What is put in stands on the line of the brace before it, so that all lines keep their
// numbers.
func patchNet(dir, goos, goarch string) (map[string][]byte, error) {
	p := &patcher{fset: token.NewFileSet(), files: map[string]*source{}, done: map[string]bool{}}
	if err := p.load(dir, goos, goarch); err != nil {
		return nil, err
	}
	for _, f := range p.files {
		if err := p.file(f); err != nil {
			return nil, err
		}
	}
	var missing []string
	for _, e := range edits {
		if !p.done[e.fn] {
			missing = append(missing, e.fn)
		}
	}
	if !p.done[fieldOf] {
		missing = append(missing, "type "+fieldOf)
	}
	if len(missing) > 0 {
		return nil, unknown("its package net has no %s", strings.Join(missing, ", "))
	}
	changed := map[string][]byte{}
	for name, f := range p.files {
		if len(f.puts) > 0 {
			changed[name] = f.patched()
		}
	}
	return changed, nil
}

// errUnknown is the cause of every error about a toolchain that is not as it is known.
var errUnknown = errors.New("this toolchain is not known")

func unknown(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnknown, fmt.Sprintf(format, args...))
}

type patcher struct {
	fset  *token.FileSet
	files map[string]*source
	done  map[string]bool // edits, by function
}

// source is a file.
type source struct {
	text   []byte
	parsed *ast.File
	puts   []put
}

// put is a text, at which octet it is put in, and of how many it takes the place.
type put struct {
	at   int
	text string
	drop int
}

func (s *source) patched() []byte {
	slices.SortFunc(s.puts, func(a, b put) int { return a.at - b.at })
	var out bytes.Buffer
	from := 0
	for _, p := range s.puts {
		out.Write(s.text[from:p.at])
		out.WriteString(p.text)
		from = p.at + p.drop
	}
	out.Write(s.text[from:])
	return out.Bytes()
}

// load reads what a build for a system takes of the package.
func (p *patcher) load(dir, goos, goarch string) error {
	context := build.Default
	context.GOOS, context.GOARCH = goos, goarch
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		// Both with and without cgo: it is not known here which it will be.
		match := false
		for _, context.CgoEnabled = range []bool{true, false} {
			m, err := context.MatchFile(dir, name)
			if err != nil {
				return err
			}
			match = match || m
		}
		if !match {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(p.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return unknown("%v", err)
		}
		p.files[name] = &source{text: text, parsed: parsed}
	}
	return nil
}

func (p *patcher) file(f *source) error {
	for _, d := range f.parsed.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			if err := p.types(f, d); err != nil {
				return err
			}
		case *ast.FuncDecl:
			if err := p.function(f, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *patcher) types(f *source, d *ast.GenDecl) error {
	for _, s := range d.Specs {
		t, ok := s.(*ast.TypeSpec)
		if !ok || t.Name.Name != fieldOf {
			continue
		}
		body, ok := t.Type.(*ast.StructType)
		if !ok || p.done[fieldOf] {
			return unknown("its net.%s is not the one struct that it was", fieldOf)
		}
		p.done[fieldOf] = true
		f.puts = append(f.puts, put{at: p.after(body.Fields.Opening), text: " " + field})
	}
	return nil
}

// after is the octet behind a brace.
func (p *patcher) after(brace token.Pos) int { return p.fset.Position(brace).Offset + 1 }

func (p *patcher) function(f *source, d *ast.FuncDecl) error {
	name := nameOf(d)
	i := slices.IndexFunc(edits, func(e edit) bool { return e.fn == name })
	if i < 0 {
		if unreached[name] == "" && touches(d) {
			return unknown("its net.%s touches file descriptors, and did not before", name)
		}
		return nil
	}
	e := edits[i]
	if sig := signature(p.fset, d.Type); sig != e.sig {
		return unknown("its net.%s is %s, and not %s", name, sig, e.sig)
	}
	if p.done[name] {
		return unknown("its net.%s is there twice", name)
	}
	p.done[name] = true
	text, ok := fill(e.put, d)
	if !ok {
		if touches(d) {
			return unknown("its net.%s has no names for its parameters", name)
		}
		return nil // it does nothing with them, as what stands for a missing feature
	}
	f.puts = append(f.puts, put{at: p.after(d.Body.Lbrace), text: " " + text + ";"})
	return nil
}

// nameOf is a function's name as the table has it.
func nameOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	switch t := d.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if id, ok := t.X.(*ast.Ident); ok {
			return "(*" + id.Name + ")." + d.Name.Name
		}
	case *ast.Ident:
		return t.Name + "." + d.Name.Name
	}
	return "?." + d.Name.Name
}

// touches reports whether a function selects the descriptor of a netFD.
func touches(d *ast.FuncDecl) (yes bool) {
	if d.Body == nil {
		return false
	}
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			yes = yes || n.Sel.Name == "pfd"
		case *ast.KeyValueExpr:
			id, ok := n.Key.(*ast.Ident)
			yes = yes || ok && id.Name == "pfd"
		}
		return !yes
	})
	return yes
}

// signature is the types of a function, without names.
func signature(fset *token.FileSet, t *ast.FuncType) string {
	results := types(fset, t.Results)
	sig := "(" + strings.Join(types(fset, t.Params), ", ") + ")"
	switch len(results) {
	case 0:
		return sig
	case 1:
		return sig + " " + results[0]
	}
	return sig + " (" + strings.Join(results, ", ") + ")"
}

func types(fset *token.FileSet, l *ast.FieldList) (list []string) {
	if l == nil {
		return nil
	}
	for _, f := range l.List {
		var b bytes.Buffer
		if fn, ok := f.Type.(*ast.FuncType); ok {
			b.WriteString("func" + signature(fset, fn))
		} else if err := printer.Fprint(&b, fset, f.Type); err != nil {
			b.WriteString("?")
		}
		for range max(len(f.Names), 1) {
			list = append(list, b.String())
		}
	}
	return list
}

// fill puts the names that a function has for its receiver and parameters into a text. It reports
// whether it has names for all.
func fill(text string, d *ast.FuncDecl) (string, bool) {
	var names []string
	receiver := ""
	if d.Recv != nil && len(d.Recv.List[0].Names) > 0 {
		receiver = d.Recv.List[0].Names[0].Name
	}
	names = append(names, receiver)
	for _, f := range d.Type.Params.List {
		if len(f.Names) == 0 {
			names = append(names, "")
		}
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	for i, n := range names {
		place := "$" + strconv.Itoa(i)
		if strings.Contains(text, place) && (n == "" || n == "_") {
			return "", false
		}
		text = strings.ReplaceAll(text, place, n)
	}
	return text, true
}
