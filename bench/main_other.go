//go:build !linux

// Command bench measures vitro beside gVisor's netstack and the Linux kernel: on Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: the Linux kernel is one of the peers: this runs on Linux alone")
	os.Exit(1)
}
