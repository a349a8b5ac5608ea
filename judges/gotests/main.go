// Command gotests runs the toolchain's own tests over vitro, by the file that vitro overlay
// prints, and counts. What it leaves out stands in excluded.txt, with the reason.
//
//	go run ./judges/gotests -overlay $(vitro overlay) [-race] [PACKAGE...]
//
// VITRO_LINK in the environment is what the tests run over. The last line is the sum; the exit
// code is 1 when a test has failed, or when nothing went over vitro at all.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// packages are the suites that use the network, small ones first.
var packages = []string{
	"net/textproto", "net/smtp", "net/rpc", "log/syslog", "net/http/httptest",
	"net/http/httputil", "crypto/tls", "net", "net/http",
}

func main() {
	overlay := flag.String("overlay", "", "the `file` that vitro overlay prints")
	list := flag.String("excluded", "judges/gotests/excluded.txt", "the `file` of what is left out")
	race := flag.Bool("race", false, "with the race detector")
	timeout := flag.Duration("timeout", 20*time.Minute, "for each package")
	flag.Parse()
	if err := run(*overlay, *list, *race, *timeout, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gotests:", err)
		os.Exit(1)
	}
}

func run(overlay, list string, race bool, timeout time.Duration, which []string) error {
	if overlay == "" {
		return errors.New("-overlay is missing")
	}
	excluded, err := readExclusions(list)
	if err != nil {
		return err
	}
	if len(which) == 0 {
		which = packages
	}
	tmp, err := os.MkdirTemp("", "gotests-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	link := os.Getenv("VITRO_LINK")
	fmt.Printf("the toolchain's tests over vitro, VITRO_LINK=%q, race detector %v\n", link, race)
	var sum result
	for i, pkg := range which {
		s := suite{
			pkg: pkg, overlay: overlay, race: race, timeout: timeout,
			stats: filepath.Join(tmp, fmt.Sprint(i)), excluded: excluded.of(pkg, link != ""),
		}
		r, err := s.run()
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		fmt.Printf("%-20s %v\n", pkg, r)
		sum.add(r)
	}
	fmt.Printf("%-20s %v\n", "all", sum)
	switch {
	case sum.failed > 0:
		return fmt.Errorf("%d failed", sum.failed)
	case sum.connections == 0:
		return errors.New("no connection went over vitro")
	}
	return nil
}
