package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file is there whole or not at all: until all is written, and after a failure, what was
// there before is, and nothing else.
func TestWriteTo(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	want := func(what, content string, names ...string) {
		t.Helper()
		if b, err := os.ReadFile(path); string(b) != content || (err != nil) != (content == "") {
			t.Errorf("%s: the file has %q, %v; want %q", what, b, err, content)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(names) {
			t.Errorf("%s: there are %v; want %v", what, entries, names)
		}
	}
	write := func(path, text string, fails error) error {
		return writeTo(path, nil, func(w io.Writer) error {
			io.WriteString(w, text)
			return fails
		})
	}
	failure := errors.New("no more")
	if err := write(path, "half", failure); !errors.Is(err, failure) || err.Error() != path+": no more" {
		t.Errorf("a failure: %v", err)
	}
	want("a failure", "")
	err := writeTo(path, nil, func(w io.Writer) error {
		io.WriteString(w, "first")
		want("while it is written", "", "part")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want("written", "first", "file")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o400 == 0 || info.Mode()&0o111 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	write(path, "half", failure)
	want("a failure over another file", "first", "file")
	if err := os.Symlink("file", link); err == nil {
		if err := write(link, "second", nil); err != nil {
			t.Error(err)
		}
		want("through a link", "second", "file", "link")
		if target, err := os.Readlink(link); target != "file" {
			t.Errorf("the link is gone: %q, %v", target, err)
		}
	}
	if err := write(os.DevNull, "third", nil); err != nil {
		t.Errorf("a device: %v", err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is replaced: %v, %v", info, err)
	}
	var out bytes.Buffer
	for path, text := range map[string]string{"-": "out", "": "nowhere"} {
		err := writeTo(path, &out, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil {
			t.Error(err)
		}
	}
	if out.String() != "out" {
		t.Errorf("the standard output has %q", &out)
	}
}
