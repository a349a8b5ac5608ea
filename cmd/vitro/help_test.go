package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help says of each command what it does, with an example where it takes anything, and of
// each flag what it is without the flag: a default that cobra adds, or our word for it.
func TestHelpIsComplete(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Short == "" {
			t.Errorf("%s: no word of what it does", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Value.Type() == "bool" && f.DefValue == "false" {
				return // without it, it is not so
			}
			if strings.Contains(f.Usage, "default") {
				return
			}
			switch f.DefValue {
			case "", "0", "0s", "[]":
				t.Errorf("%s --%s: %q says nothing of a default", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
		usage := cmd.UsageString()
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "duration" && !strings.Contains(f.Usage, "as ") {
				t.Errorf("%s --%s: %q gives no example of a time", cmd.CommandPath(), f.Name, f.Usage)
			}
			if !strings.Contains(usage, "--"+f.Name) {
				t.Errorf("%s --%s is not in the help", cmd.CommandPath(), f.Name)
			}
		})
	}
	visit(newRoot())
}
