package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What go test says is counted by tests of the first level; a test that never ends, and a build
// that fails, are told.
func TestCount(t *testing.T) {
	r, names, failed, err := count(bufio.NewScanner(strings.NewReader(`{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"a\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB/x","Output":"b/x is wrong\n"}
{"Action":"fail","Package":"p","Test":"TestB/x"}
{"Action":"pass","Package":"p","Test":"TestB/y"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestD","Output":"d hangs\n"}
{"Action":"output","Package":"p","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
no JSON
`)))
	if err != nil {
		t.Fatal(err)
	}
	if r.run != 2 || r.passed != 1 || r.failed != 1 || r.skipped != 1 || strings.Join(names, " ") != "TestB" {
		t.Errorf("one passed, one failed, one skipped are counted as %+v, failed %v", r, names)
	}
	for _, want := range []string{"b/x is wrong", "d hangs", "panic: test timed out", "no JSON"} {
		if !strings.Contains(failed, want) {
			t.Errorf("the output of what failed lacks %q:\n%s", want, failed)
		}
	}
	if strings.Contains(failed, "a\n") {
		t.Error("the output of a test that passed is told")
	}
}

func TestExclusions(t *testing.T) {
	name := filepath.Join(t.TempDir(), "list")
	write := func(text string) exclusions {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		x, err := readExclusions(name)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := write("# no\n\nnet TestA/x_(y) always it cannot be\nnet TestB impaired too slow\nnet/http TestC always no\n")
	if got := x.of("net", false).pattern(); got != `^TestA$/^x_\(y\)$` {
		t.Errorf("left out of net: %s", got)
	}
	if got := x.of("net", true); len(got) != 2 || got.pattern() != `^TestA$/^x_\(y\)$|^TestB$` {
		t.Errorf("left out of net over a bad link: %s", got.pattern())
	}
	if got := x.of("net", true).stale(map[string]bool{"TestA": true}); len(got) != 1 || got[0] != "TestB" {
		t.Errorf("not there any more: %v", got)
	}
	for _, bad := range []string{"net TestA always", "net TestA sometimes it fails"} {
		if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readExclusions(name); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Every entry of the committed list has a suite that is run, and stands there once.
func TestListOfExclusions(t *testing.T) {
	x, err := readExclusions("excluded.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range x {
		key := e.pkg + " " + e.test
		if seen[key] {
			t.Errorf("%s is left out twice", key)
		}
		seen[key] = true
		found := false
		for _, p := range packages {
			found = found || p == e.pkg
		}
		if !found {
			t.Errorf("%s: no such suite is run", key)
		}
	}
}
