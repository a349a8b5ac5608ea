package policy

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// stateNames are the eleven states of RFC 9293 section 3.3.2 as package tcp names them.
var stateNames = []string{
	"Closed", "Listen", "SynSent", "SynReceived", "Established", "FinWait1", "FinWait2",
	"CloseWait", "Closing", "LastAck", "TimeWait",
}

// Funnel finds, in package tcp, where a state changes otherwise than by Conn.become
// called from event.go. With machine set, the package has its machine and the one
// assignment must be there.
func Funnel(pkg *Package, machine bool) []Finding {
	var found []Finding
	var assigned []Finding // the assignments in become
	for _, f := range pkg.Files {
		if f.Test {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, _ := decl.(*ast.FuncDecl)
			inBecome := fn != nil && fn.Name.Name == "become"
			ast.Inspect(decl, func(n ast.Node) bool {
				if at := stateWrite(n); at != nil {
					if a, ok := n.(*ast.AssignStmt); inBecome && ok && a.Tok == token.ASSIGN {
						assigned = append(assigned, f.finding(at, "the state is assigned a second time in become"))
					} else {
						found = append(found, f.finding(at, "the state changes here: it changes in become alone, which says by which rule (if this field is no state of a connection, give it another name)"))
					}
				}
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "become" && path.Base(f.Name) != "event.go" {
					found = append(found, f.finding(sel, "become is called outside event.go: decisions about states stand in event.go, where the RFC's section 3.10 is"))
				}
				return true
			})
		}
	}
	if len(assigned) > 1 {
		found = append(found, assigned[1:]...)
	}
	if machine && len(assigned) == 0 {
		found = append(found, Finding{pkg.Dir, 0, "no `c.state =` in a function become: this check no longer sees where the state changes"})
	}
	return found
}

// stateWrite returns where n writes a field named state, takes its address, or makes a
// struct with it set; nil if it does not.
func stateWrite(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, lhs := range n.Lhs {
			if isStateField(lhs) {
				return lhs
			}
		}
	case *ast.IncDecStmt:
		if isStateField(n.X) {
			return n
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND && isStateField(n.X) {
			return n
		}
	case *ast.RangeStmt:
		for _, e := range []ast.Expr{n.Key, n.Value} {
			if isStateField(e) {
				return e
			}
		}
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && id.Name == "state" && id.Obj == nil {
			return n
		}
	}
	return nil
}

func isStateField(e ast.Expr) bool {
	sel, ok := ast.Unparen(orNil(e)).(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "state"
}

// orNil lets a missing expression be asked about like any other.
func orNil(e ast.Expr) ast.Expr {
	if e == nil {
		return &ast.BadExpr{}
	}
	return e
}

// partial is golangci-lint's directive for a switch that does not name every value. This
// test wants a reason after it.
const partial = "//exhaustive:ignore"

// Switches finds switches over a connection's state that have a default clause, or that do
// not name all eleven states and have no directive with a reason on the line before:
//
//	//exhaustive:ignore only these three have a peer's FIN to wait for
//
// The linter exhaustive proves the same with types; what it cannot say is that a default
// has no place even beside all eleven.
func Switches(pkg *Package) []Finding {
	var found []Finding
	for _, f := range pkg.Files {
		if f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if sw, ok := n.(*ast.SwitchStmt); ok && sw.Tag != nil {
				found = append(found, f.stateSwitch(sw)...)
			}
			return true
		})
	}
	return found
}

func (f *File) stateSwitch(sw *ast.SwitchStmt) []Finding {
	var named []string
	var def *ast.CaseClause
	for _, stmt := range sw.Body.List {
		clause, ok := stmt.(*ast.CaseClause)
		if !ok {
			continue
		}
		if clause.List == nil {
			def = clause
		}
		for _, e := range clause.List {
			if name, ok := f.stateName(e); ok {
				named = append(named, name)
			}
		}
	}
	overState := len(named) > 0
	if sel, ok := ast.Unparen(sw.Tag).(*ast.SelectorExpr); ok && sel.Sel.Name == "state" && path.Dir(f.Name) == "tcp" {
		overState = true
	}
	if !overState {
		return nil
	}
	var found []Finding
	if def != nil {
		found = append(found, f.finding(def, "default in a switch over a state swallows the states it does not name: name each"))
	}
	var missing []string
	for _, s := range stateNames {
		if !slices.Contains(named, s) {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return found
	}
	why, ok := f.directiveBefore(sw)
	switch {
	case !ok:
		found = append(found, f.finding(sw, "switch over a state does not name %s: name each, or write %s and the reason on the line before", strings.Join(missing, ", "), partial))
	case why == "":
		found = append(found, f.finding(sw, "%s without a reason: say why %s need not be named", partial, strings.Join(missing, ", ")))
	}
	return found
}

// stateName returns which state e names: Listen in package tcp, tcp.Listen elsewhere.
func (f *File) stateName(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, f.AST.Name.Name == "tcp" && slices.Contains(stateNames, e.Name)
	case *ast.SelectorExpr:
		id, ok := e.X.(*ast.Ident)
		return e.Sel.Name, ok && f.imports()[id.Name] == Root+"/tcp" && slices.Contains(stateNames, e.Sel.Name)
	}
	return "", false
}

// directiveBefore looks for the directive in the comment group that ends on the line before
// sw, and returns the reason after it.
func (f *File) directiveBefore(sw *ast.SwitchStmt) (string, bool) {
	for _, g := range f.AST.Comments {
		if f.line(g.End()) != f.line(sw.Pos())-1 {
			continue
		}
		for _, c := range g.List {
			if rest, ok := strings.CutPrefix(c.Text, partial); ok {
				return strings.TrimSpace(rest), true
			}
		}
	}
	return "", false
}
