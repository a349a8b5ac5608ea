package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminal returns how many columns out has, 0 for any number, and whether it shows colours:
// it is a terminal, and NO_COLOR (https://no-color.org) is not set.
func terminal(out io.Writer) (width int, color bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	if w, _, err := term.GetSize(int(file.Fd())); err == nil {
		width = w
	}
	return width, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
