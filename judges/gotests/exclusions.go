package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// exclusion is a test that is left out.
type exclusion struct {
	pkg, test, reason string
	impaired          bool // only where VITRO_LINK is set
}

type exclusions []exclusion

// readExclusions reads lines of a package, a test, when, and the reason. Empty ones and those that
// begin with # say nothing.
func readExclusions(name string) (list exclusions, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "always" && f[2] != "impaired" {
			return nil, fmt.Errorf("%s:%d: a package, a test, always or impaired, and a reason are needed", name, i+1)
		}
		list = append(list, exclusion{pkg: f[0], test: f[1], impaired: f[2] == "impaired", reason: strings.Join(f[3:], " ")})
	}
	return list, nil
}

// of returns those of a package.
func (x exclusions) of(pkg string, impaired bool) (list exclusions) {
	for _, e := range x {
		if e.pkg == pkg && (impaired || !e.impaired) {
			list = append(list, e)
		}
	}
	return list
}

// pattern is what go test's flag -skip wants.
func (x exclusions) pattern() string {
	var tests []string
	for _, e := range x {
		parts := strings.Split(e.test, "/")
		for i, p := range parts {
			parts[i] = "^" + regexp.QuoteMeta(p) + "$"
		}
		tests = append(tests, strings.Join(parts, "/"))
	}
	return strings.Join(tests, "|")
}

// stale returns those whose test is not among names.
func (x exclusions) stale(names map[string]bool) (list []string) {
	for _, e := range x {
		test, _, _ := strings.Cut(e.test, "/")
		if !names[test] {
			list = append(list, e.test)
		}
	}
	return list
}
