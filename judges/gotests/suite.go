package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suite is the tests of a package.
type suite struct {
	pkg, overlay string
	race         bool
	timeout      time.Duration
	stats        string // where its processes leave their counters
	excluded     exclusions
}

// result counts tests, those of the first level; what they run within them counts with them.
type result struct {
	run, passed, failed, excluded, skipped int
	again                                  int // of those passed, at the second try
	connections                            int
}

func (r *result) add(o result) {
	r.run += o.run
	r.passed += o.passed
	r.failed += o.failed
	r.excluded += o.excluded
	r.skipped += o.skipped
	r.again += o.again
	r.connections += o.connections
}

func (r result) String() string {
	again := ""
	if r.again > 0 {
		again = fmt.Sprintf("%d passed at the second try, alone; ", r.again)
	}
	return fmt.Sprintf("%d run, %d passed, %d failed, %d excluded (%s%d more skipped themselves; %d connections over vitro)",
		r.run, r.passed, r.failed, r.excluded, again, r.skipped, r.connections)
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

func (s *suite) run() (r result, err error) {
	if err := s.checkExclusions(); err != nil {
		return r, err
	}
	if err := os.Mkdir(s.stats, 0o755); err != nil {
		return r, err
	}
	r, names, err := s.test("-skip", s.excluded.pattern())
	if err != nil {
		return r, err
	}
	// Some tests measure how long they take. On a machine that does something else beside it what
	// has failed gets a second try, alone, and the sum says so.
	if n := len(names); n > 0 && n == r.failed && n <= secondTries {
		again, _, err := s.test("-run", "^("+strings.Join(names, "|")+")$", "-skip", s.excluded.pattern())
		if err != nil {
			return r, err
		}
		if again.run == n {
			r.again, r.passed, r.failed = again.passed, r.passed+again.passed, again.failed
		}
	}
	r.excluded = len(s.excluded)
	r.connections, err = s.connections()
	return r, err
}

// secondTries is how many failures of a suite may be for want of time.
const secondTries = 3

// test runs go test, and returns which tests have failed, of which it prints the output.
func (s *suite) test(flags ...string) (r result, names []string, err error) {
	args := append([]string{"test", "-json", "-count=1", "-timeout", s.timeout.String()}, flags...)
	if s.race {
		args = append(args, "-race")
	}
	cmd := s.command(args...)
	cmd.Env = append(os.Environ(), "VITRO_STATS="+filepath.Join(s.stats, "*"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, nil, err
	}
	if err := cmd.Start(); err != nil {
		return r, nil, err
	}
	r, names, failed, err := count(bufio.NewScanner(out))
	if err != nil {
		return r, nil, err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return r, nil, err
	} else if err != nil && r.failed == 0 {
		r.failed++ // it was none of the tests
	}
	if r.failed > 0 {
		fmt.Print(failed)
	}
	return r, names, nil
}

func (s *suite) command(args ...string) *exec.Cmd {
	args = append(args, "-overlay", s.overlay, s.pkg)
	return exec.Command("go", args...)
}

// checkExclusions returns an error when what is to be left out is not there: it may have another
// name, and be run.
func (s *suite) checkExclusions() error {
	if len(s.excluded) == 0 {
		return nil
	}
	out, err := s.command("test", "-list", ".").Output()
	if err != nil {
		return fmt.Errorf("go test -list: %w", err)
	}
	names := map[string]bool{}
	for _, name := range strings.Fields(string(out)) {
		names[name] = true
	}
	if stale := s.excluded.stale(names); len(stale) > 0 {
		return fmt.Errorf("to be left out, but not there: %s", strings.Join(stale, ", "))
	}
	return nil
}

// count reads what go test says, and returns the names and the output of what has failed.
func count(in *bufio.Scanner) (r result, names []string, failed string, err error) {
	in.Buffer(nil, 16<<20)
	output := map[string]*strings.Builder{} // by test of the first level, "" the package's
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			failed += in.Text() + "\n" // of the build
			continue
		}
		test, _, within := strings.Cut(e.Test, "/")
		if output[test] == nil {
			output[test] = &strings.Builder{}
		}
		switch e.Action {
		case "output", "build-output":
			output[test].WriteString(e.Output)
		case "pass", "fail", "skip":
			if within || test == "" {
				continue
			}
			switch e.Action {
			case "pass":
				r.run++
				r.passed++
			case "fail":
				r.run++
				r.failed++
				names = append(names, test)
				failed += output[test].String()
			case "skip":
				r.skipped++
			}
			delete(output, test)
		}
	}
	for _, left := range output { // the package's, and of tests that have not ended
		failed += left.String()
	}
	return r, names, failed, in.Err()
}

// connections sums what the processes of the suite have put down.
func (s *suite) connections() (sum int, err error) {
	files, err := os.ReadDir(s.stats)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(s.stats, f.Name()))
		if err != nil {
			return 0, err
		}
		var n int
		if _, err := fmt.Sscanf(string(text), "%d connected", &n); err != nil {
			return 0, fmt.Errorf("%s: %q: %w", f.Name(), text, err)
		}
		sum += n
	}
	return sum, nil
}
