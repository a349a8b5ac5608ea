// Package overlay makes the file for go build -overlay that puts vitro beneath the toolchain's
// package net: copies of some of the toolchain's files with statements of our own put in, and
// copies of vitro's packages under paths of the standard library. The toolchain itself is only
// read.
package overlay

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Toolchain is what is to be overlaid.
type Toolchain struct {
	GOROOT, GOVERSION, GOOS, GOARCH string
}

// known are the toolchains whose package net has been looked at.
var known = regexp.MustCompile(`^go1\.26($|[^0-9])`)

// Known says them.
const Known = "Go 1.26"

var systems = []string{"linux", "darwin", "freebsd", "netbsd", "dragonfly", "openbsd"}

//go:embed beneath
var beneath embed.FS

// glues are our files of package net: their names there, of which Go builds one or the other by the
// system, and what they are here.
var glues = []struct{ name, from, constraint string }{
	{"vitro.go", "net.go", ""},
	{"vitroudp.go", "udp.go", ""},
	{"vitro_linux.go", "raw_linux.go", ""},
	{"vitroudp_linux.go", "rawudp_linux.go", ""},
	{"vitro_other.go", "raw_other.go", "//go:build !linux\n"},
}

// Write makes an overlay in a directory of its own below cache, if there is none for the same
// sources, and returns the path of its JSON file. Of an unknown toolchain, and of one that is not as
// it is known, the error says so.
func Write(t Toolchain, cache string) (string, error) {
	if !known.MatchString(t.GOVERSION) {
		return "", unknown("it is %s, and the overlay knows %s", t.GOVERSION, Known)
	}
	if !slices.Contains(systems, t.GOOS) {
		return "", unknown("the overlay is for %s, and not for %s", strings.Join(systems, ", "), t.GOOS)
	}
	src := filepath.Join(t.GOROOT, "src")
	for _, g := range glues {
		if _, err := os.Stat(filepath.Join(src, "net", g.name)); err == nil {
			return "", unknown("its package net has a file %s", g.name)
		}
	}
	files, err := patchNet(filepath.Join(src, "net"), t.GOOS, t.GOARCH)
	if err != nil {
		return "", err
	}
	overlay := map[string][]byte{}
	if err := glue(filepath.Join(src, "net"), overlay); err != nil {
		return "", err
	}
	for name, text := range files {
		overlay[filepath.Join(src, "net", name)] = text
	}
	if err := copies(src, overlay); err != nil {
		return "", err
	}
	return store(overlay, cache)
}

// glue adds our files of package net, without the constraint that keeps them from being built here.
func glue(net string, overlay map[string][]byte) error {
	for _, g := range glues {
		text, err := beneath.ReadFile("beneath/" + g.from)
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(text), "\n")
		overlay[filepath.Join(net, g.name)] = []byte(g.constraint + rest)
	}
	return nil
}

// store writes the files and the JSON file that says which is instead of which, into a directory
// whose name is made of all of them. It is there as a whole, or not at all.
func store(overlay map[string][]byte, cache string) (string, error) {
	sum := sha256.New()
	paths := make([]string, 0, len(overlay))
	for path := range overlay {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		fmt.Fprintf(sum, "%d %s %d ", len(path), path, len(overlay[path]))
		sum.Write(overlay[path])
	}
	dir := filepath.Join(cache, hex.EncodeToString(sum.Sum(nil))[:20])
	result := filepath.Join(dir, "overlay.json")
	if _, err := os.Stat(result); err == nil {
		return result, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	replace := map[string]string{}
	for i, path := range paths {
		name := fmt.Sprintf("%03d-%s", i, filepath.Base(path))
		if err := os.WriteFile(filepath.Join(tmp, name), overlay[path], 0o644); err != nil {
			return "", err
		}
		replace[path] = filepath.Join(dir, name)
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(tmp, "overlay.json"), text, 0o644); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(result); there != nil { // somebody else has not made it meanwhile
			return "", err
		}
	}
	return result, nil
}
