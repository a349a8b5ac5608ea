package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// tag is one mention of a requirement.
type tag struct {
	id     string
	file   string // from the root of the tree, with slashes
	line   int
	symbol string // the declaration or the test; "" for the file as a whole
	test   bool
	prose  bool // it stands where a tag may not: in the middle of a sentence
}

// place is how the page names where a tag stands.
func (t tag) place() string {
	if t.symbol == "" {
		return t.file
	}
	return t.file + ":" + t.symbol
}

const (
	idPattern = `(?:MUST|SHLD|MAY|REC)-[0-9]+`
	listOfIDs = idPattern + `(?:(?:,| and) ` + idPattern + `)*`
)

var (
	anID    = regexp.MustCompile(`\b` + idPattern + `\b`)
	wholeID = regexp.MustCompile(`^` + idPattern + `$`)
	idList  = regexp.MustCompile(`\b` + listOfIDs + `\b`)
	before  = regexp.MustCompile(`(^|\(|[,;:.] )$`)
	after   = regexp.MustCompile(`^($|[).,;:])`)
	quoted  = regexp.MustCompile("\"[^\"]*\"|`[^`]*`")
)

// idsOf finds the requirements that one line of a comment names, as tags or in a sentence.
// What stands in quotation marks is no sentence of ours.
func idsOf(line string) (tags, prose []string) {
	line = strings.TrimSpace(line)
	rest := []byte(line)
	for _, at := range idList.FindAllStringIndex(line, -1) {
		if before.MatchString(line[:at[0]]) && after.MatchString(line[at[1]:]) {
			tags = append(tags, anID.FindAllString(line[at[0]:at[1]], -1)...)
			copy(rest[at[0]:at[1]], strings.Repeat(" ", at[1]-at[0]))
		}
	}
	return tags, anID.FindAllString(quoted.ReplaceAllString(string(rest), ""), -1)
}

// scan reads the tree, nested modules too, but for this package: it speaks of tags without
// meaning any. What the go command passes over is passed over, but for testdata.
func scan(root string) ([]tag, error) {
	var tags []tag
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
			if rel != "." && (base[0] == '.' || base[0] == '_' || base == "node_modules" || rel == "internal/requirements") {
				return fs.SkipDir
			}
			return nil
		}
		inTestdata := strings.Contains("/"+rel, "/testdata/")
		isGo := strings.HasSuffix(base, ".go") && !inTestdata
		if !isGo && !(inTestdata && strings.HasSuffix(base, ".txt")) {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		found := scanText(rel, string(src))
		if isGo {
			if found, err = scanGo(rel, src); err != nil {
				return err
			}
		}
		tags = append(tags, found...)
		return nil
	})
	return tags, err
}

// scanText reads a ladder file, in which a line of text is a comment with or without a mark.
func scanText(file, src string) []tag {
	var tags []tag
	for i, line := range strings.Split(src, "\n") {
		ids, prose := idsOf(strings.TrimLeft(line, "#;/ \t"))
		for _, id := range ids {
			tags = append(tags, tag{id: id, file: file, line: i + 1, test: true})
		}
		for _, id := range prose {
			tags = append(tags, tag{id: id, file: file, line: i + 1, test: true, prose: true})
		}
	}
	return tags
}

func scanGo(file string, src []byte) ([]tag, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, file, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	test := strings.HasSuffix(file, "_test.go")
	var tags []tag
	for _, group := range syntax.Comments {
		for _, c := range group.List {
			symbol := symbolOf(fset, syntax, group, c)
			line := fset.Position(c.Pos()).Line
			for i, text := range commentLines(c.Text) {
				ids, prose := idsOf(text)
				for _, id := range ids {
					tags = append(tags, tag{id: id, file: file, line: line + i, symbol: symbol, test: test})
				}
				for _, id := range prose {
					tags = append(tags, tag{id: id, file: file, line: line + i, symbol: symbol, test: test, prose: true})
				}
			}
		}
	}
	return tags, nil
}

// commentLines returns the lines of a comment without its marks.
func commentLines(text string) []string {
	if rest, ok := strings.CutPrefix(text, "//"); ok {
		return []string{rest}
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/"), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " \t*")
	}
	return lines
}

// symbolOf names the declaration that the comment stands in, beside or before: "Conn.Close",
// "Config.MSL", "TestFigure6". A comment before the package clause is about the file.
func symbolOf(fset *token.FileSet, syntax *ast.File, group *ast.CommentGroup, c *ast.Comment) string {
	line := func(p token.Pos) int { return fset.Position(p).Line }
	if c.Pos() < syntax.Package {
		return ""
	}
	for _, decl := range syntax.Decls {
		// The first declaration that ends on the comment's line or later is the one: the
		// comment is inside it, at the end of its last line, or before it.
		if line(decl.End()) < line(c.Pos()) {
			continue
		}
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			return funcName(decl)
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if line(spec.End()) >= line(c.Pos()) {
					return specName(line, spec, group, c)
				}
			}
			if n := len(decl.Specs); n > 0 {
				return specName(line, decl.Specs[n-1], group, c)
			}
		}
	}
	return ""
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch u := t.(type) {
		case *ast.StarExpr:
			t = u.X
		case *ast.IndexExpr:
			t = u.X
		case *ast.IndexListExpr:
			t = u.X
		case *ast.Ident:
			return u.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// specName names a type, a constant, a variable, or the field of a type.
func specName(line func(token.Pos) int, spec ast.Spec, group *ast.CommentGroup, c *ast.Comment) string {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		return spec.Names[0].Name
	case *ast.TypeSpec:
		var fields *ast.FieldList
		switch t := spec.Type.(type) {
		case *ast.StructType:
			fields = t.Fields
		case *ast.InterfaceType:
			fields = t.Methods
		}
		if fields == nil || c.Pos() < fields.Opening {
			return spec.Name.Name
		}
		for _, f := range fields.List {
			if line(f.End()) >= line(c.Pos()) && len(f.Names) > 0 && (f.Doc == group || line(f.Pos()) <= line(c.Pos())) {
				return spec.Name.Name + "." + f.Names[0].Name
			}
		}
		return spec.Name.Name
	}
	return ""
}
