package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// pty returns both ends of a new terminal of so many columns.
func pty(t *testing.T, columns uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED, COLOURS ARE NOT TESTED: no terminal to be had: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		t.Cleanup(func() { theirs.Close() })
		err = unix.IoctlSetWinsize(int(theirs.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: columns})
	}
	if err != nil {
		t.Skipf("SKIPPED, COLOURS ARE NOT TESTED: %v", err)
	}
	return ours, theirs
}

// On a terminal there are colours, unless NO_COLOR is set, and no row is longer than it.
func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, noColor := range []string{"", "1"} {
		t.Setenv("NO_COLOR", noColor)
		ours, theirs := pty(t, 100)
		text := make(chan string)
		go func() {
			b, _ := io.ReadAll(ours) // ends with EIO when the other end is closed
			text <- string(b)
		}()
		if code := run([]string{"demo", "--isn", "1000,2000", "--why"}, nil, theirs, io.Discard); code != exitOK {
			t.Fatal(code)
		}
		theirs.Close()
		got := <-text
		if color := strings.Contains(got, "\x1b["); color != (noColor == "") {
			t.Errorf("NO_COLOR=%q: colours: %v", noColor, color)
		}
		if noColor == "" {
			continue
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > 100 {
				t.Errorf("%d columns on a terminal of 100: %s", n, line)
			}
		}
		if !strings.Contains(got, "RFC 9293 3.10.7.4 fifth") {
			t.Error("no reasons")
		}
	}
}
