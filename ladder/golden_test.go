package ladder

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (write it anew with -update)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// The ladders of the runs, as the command prints them: first in the RFC's convention, then a line
// an event.
func TestRecorderGolden(t *testing.T) {
	o := PrintOptions{Times: TimesAbsolute, Round: time.Millisecond, Brief: true, Why: WhysFull}
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			rec := r.run()
			golden(t, r.name+".ladder", rec.Ladder().Print(o))
			golden(t, r.name+"-split.ladder", rec.Split().Print(o))
		})
	}
}
