package policy

import (
	"path"
	"slices"
	"strings"
)

// Row says what one package of the root module may import, and why not the rest.
type Row struct {
	// Vitro lists the packages of this module by directory, "." for the root.
	Vitro []string
	// Std lists packages of the standard library and of golang.org/x/sys.
	Std []string
	// Why gives the reason for what is not listed: by directory or import path, or by
	// "*" for whatever package of this module has no reason of its own.
	Why map[string]string
}

// Table has a row for each package of the root module, by directory.
type Table map[string]Row

// Imports finds the imports that table forbids, in files that are not tests. everywhere
// gives reasons for import paths that no row gives, "*" being for all others; a reason for
// "net" is also one for "net/http". A package without a row is a finding.
func Imports(pkgs []*Package, table Table, everywhere map[string]string) []Finding {
	var found []Finding
	for _, pkg := range pkgs {
		if pkg.Module != "." {
			continue
		}
		row, listed := table[pkg.Dir]
		for _, f := range pkg.Files {
			if f.Test {
				continue
			}
			if !listed {
				found = append(found, f.finding(f.AST, "package %s is not in the import table: say there what it may import, and why no more", pkg.Dir))
				break
			}
			for _, spec := range f.AST.Imports {
				p := importPath(spec)
				if dir, ok := vitroDir(p); ok {
					if !slices.Contains(row.Vitro, dir) {
						found = append(found, f.finding(spec, "%s may not import %s: %s", pkg.Dir, dir, why(dir, row.Why["*"], row.Why)))
					}
					continue
				}
				if !slices.Contains(row.Std, p) {
					found = append(found, f.finding(spec, "%s may not import %s: %s", pkg.Dir, p, why(p, everywhere["*"], row.Why, everywhere)))
				}
			}
		}
	}
	return found
}

// vitroDir returns the directory of a package of this project.
func vitroDir(importPath string) (string, bool) {
	if importPath == Root {
		return ".", true
	}
	return strings.CutPrefix(importPath, Root+"/")
}

// why looks p up in each of the maps, then its parents, then takes orElse.
func why(p string, orElse string, maps ...map[string]string) string {
	for _, m := range maps {
		for q := p; ; q = path.Dir(q) {
			if r, ok := m[q]; ok {
				return r
			}
			if q == "." || q == path.Dir(q) {
				break
			}
		}
	}
	return orElse
}
