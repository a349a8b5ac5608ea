package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitro-net/vitro/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vitro": main})
}

// The scripts run the command as its users do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "overlaid": overlaid, "captured": captured},
		Setup:               goEnv,
	})
}

// goEnv lets scripts run go with the caches of who runs the test.
func goEnv(env *testscript.Env) error {
	out, _ := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOTOOLCHAIN").Output()
	f := strings.Fields(string(out))
	if len(f) != 3 {
		return nil // the scripts that need go look whether it is there
	}
	env.Setenv("GOCACHE", f[0])
	env.Setenv("GOMODCACHE", f[1])
	env.Setenv("GOTOOLCHAIN", f[2])
	env.Setenv("GOWORK", "off")
	env.Setenv("HOME", env.WorkDir)
	return nil
}

// overlaid runs a go command with the overlay whose path the file overlay has: overlaid go test .
func overlaid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: overlaid go COMMAND ARGS...")
	}
	path := strings.TrimSpace(ts.ReadFile("overlay"))
	err := ts.Exec(args[0], append([]string{args[1], "-overlay", path}, args[2:]...)...)
	if !neg {
		ts.Check(err)
	} else if err == nil {
		ts.Fatalf("it did not fail")
	}
}

// exits runs a command and wants an exit code: exits 2 vitro demo --part x.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d; want %d", got, want)
	}
}

// captured wants a packet of TCP or of UDP in a capture from one address to another: captured FILE FROM
// TO [udp].
func captured(ts *testscript.TestScript, neg bool, args []string) {
	proto := uint8(wire.ProtoTCP)
	if len(args) == 4 && args[3] == "udp" {
		args, proto = args[:3], wire.ProtoUDP
	}
	if len(args) != 3 {
		ts.Fatalf("usage: captured FILE FROM TO [udp]")
	}
	r, err := pcapgo.NewNgReader(strings.NewReader(ts.ReadFile(args[0])), pcapgo.DefaultNgReaderOptions)
	ts.Check(err)
	for {
		data, _, err := r.ReadPacketData()
		if err != nil && neg {
			return
		}
		if err != nil {
			ts.Fatalf("%s has no packet from %s to %s: %v", args[0], args[1], args[2], err)
		}
		var ip wire.IP
		if f := wire.ParseIP(data, &ip); f != wire.FaultNone {
			ts.Fatalf("%s: %v", args[0], f)
		}
		if ip.Proto == proto && ip.Src.Netip().String() == args[1] && ip.Dst.Netip().String() == args[2] {
			if neg {
				ts.Fatalf("%s has a packet from %s to %s", args[0], args[1], args[2])
			}
			return
		}
	}
}
