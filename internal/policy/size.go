package policy

import (
	"go/ast"
	"regexp"
)

// The lengths over which a file and a function owe a reason.
const (
	MaxFileLines = 750
	MaxFuncLines = 70
)

// longBecause is how the reason begins, in the file's first comment or the function's.
var longBecause = regexp.MustCompile(`(?i)\blong because\s+\w`)

// Size finds files and functions that are too long and do not say why. A test's length is its
// own business, and so is that of generated code.
func Size(pkg *Package) []Finding {
	var found []Finding
	for _, f := range pkg.Files {
		if f.Test || ast.IsGenerated(f.AST) {
			continue
		}
		if f.Lines > MaxFileLines && !f.longWithReason() {
			found = append(found, f.finding(f.AST, "%d lines; over %d a file is split by concern, or its first comment says \"Long because ...\"", f.Lines, MaxFileLines))
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := f.line(fn.End()) - f.line(fn.Pos()) + 1
			if n > MaxFuncLines && !longBecause.MatchString(fn.Doc.Text()) {
				found = append(found, f.finding(fn, "%s has %d lines; over %d a function is split, or its comment says \"Long because ...\"", fn.Name.Name, n, MaxFuncLines))
			}
		}
	}
	return found
}

func (f *File) longWithReason() bool {
	return len(f.AST.Comments) > 0 && longBecause.MatchString(f.AST.Comments[0].Text())
}
