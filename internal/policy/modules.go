package policy

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is one go.mod or go.work, as far as the laws ask about it.
type Module struct {
	Dir      string   // from the root of the tree, with slashes
	Path     string   // the module directive
	Go       string   // the go directive
	Requires []string // module paths, direct and indirect
	Replaces []string // module paths
	Uses     []string // go.work alone: directories
}

// Modules reads every go.mod under root, sorted by directory, and the go.work at root.
func Modules(root string) (mods []*Module, work *Module, err error) {
	src, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, nil, err
	}
	work = ParseModule(".", src)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && p != root && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if base != "go.mod" {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		mods = append(mods, ParseModule(filepath.ToSlash(rel), src))
		return nil
	})
	slices.SortFunc(mods, func(a, b *Module) int { return cmp.Compare(a.Dir, b.Dir) })
	return mods, work, err
}

// ParseModule reads a go.mod or go.work that the go command has accepted.
func ParseModule(dir string, src []byte) *Module {
	m := &Module{Dir: dir}
	block := ""
	for line := range strings.Lines(string(src)) {
		line, _, _ = strings.Cut(line, "//")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case words[0] == ")":
			block = ""
			continue
		case block != "":
			words = append([]string{block}, words...)
		case words[len(words)-1] == "(":
			block = words[0]
			continue
		}
		if len(words) < 2 {
			continue
		}
		arg := strings.Trim(words[1], `"`)
		switch words[0] {
		case "module":
			m.Path = arg
		case "go":
			m.Go = arg
		case "require":
			m.Requires = append(m.Requires, arg)
		case "replace":
			m.Replaces = append(m.Replaces, arg)
		case "use":
			m.Uses = append(m.Uses, path.Clean(arg))
		}
	}
	return m
}

// CheckModules finds what breaks the law of modules: the root requires nothing but
// rootRequires and replaces nothing; each module is known, has the path of its directory, asks for no
// other Go than the root, and is joined by go.work.
func CheckModules(mods []*Module, work *Module, known, rootRequires []string) []Finding {
	var found []Finding
	say := func(m *Module, file, format string, args ...any) {
		found = append(found, Finding{path.Join(m.Dir, file), 0, fmt.Sprintf(format, args...)})
	}
	var dirs []string
	for _, m := range mods {
		dirs = append(dirs, m.Dir)
		if m.Dir != "." && !slices.ContainsFunc(known, func(pattern string) bool {
			ok, _ := path.Match(pattern, m.Dir)
			return ok
		}) {
			say(m, "go.mod", "module %s is not known: list it in policy_test.go, or make it a package of one that is", m.Dir)
		}
		if want := path.Join(Root, m.Dir); m.Path != want {
			say(m, "go.mod", "module %s; want %s, where its directory is", m.Path, want)
		}
		if language(m.Go) != language(work.Go) {
			say(m, "go.mod", "go %s; go.work says %s", m.Go, work.Go)
		}
		if !slices.Contains(work.Uses, m.Dir) {
			say(work, "go.work", "no use of %s: its tests would not run beside the rest", m.Dir)
		}
		if m.Dir != "." {
			continue
		}
		for _, r := range m.Requires {
			if !slices.Contains(rootRequires, r) {
				say(m, "go.mod", "requires %s: who imports vitro gets the standard library and golang.org/x/sys, no more; what needs a library is a nested module", r)
			}
		}
		for _, r := range m.Replaces {
			say(m, "go.mod", "replaces %s: a replace in a library is not seen by those who import it", r)
		}
	}
	for _, u := range work.Uses {
		if !slices.Contains(dirs, u) {
			say(work, "go.work", "uses %s, where there is no go.mod", u)
		}
	}
	return found
}

// language returns the first two numbers of a version of Go.
func language(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}
