package stack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vitro-net/vitro/tcp"
)

// A reference for the wheel, slow and obvious: a list of what is armed.
type reference struct{ armed []armedTimer }

type armedTimer struct {
	t    *timer
	when tcp.Time
}

func (r *reference) arm(t *timer, when tcp.Time) {
	r.disarm(t)
	if when != tcp.Never {
		r.armed = append(r.armed, armedTimer{t, when})
	}
}

func (r *reference) disarm(t *timer) {
	r.armed = slices.DeleteFunc(r.armed, func(x armedTimer) bool { return x.t == t })
}

func (r *reference) earliest() tcp.Time {
	d := tcp.Never
	for _, t := range r.armed {
		d = min(d, t.when)
	}
	return d
}

// expire returns the timers that have run out.
func (r *reference) expire(now tcp.Time) map[*timer]tcp.Time {
	due := map[*timer]tcp.Time{}
	for _, t := range r.armed {
		if t.when <= now {
			due[t.t] = t.when
		}
	}
	r.armed = slices.DeleteFunc(r.armed, func(x armedTimer) bool { return x.when <= now })
	return due
}

// play runs a script of six octets a step on both and compares them: which timer, what to
// do, and a number that is a time on a scale from 1 ns to decades.
func play(t *testing.T, script []byte) {
	var w wheel
	var r reference
	timers := make([]timer, 16)
	now := tcp.Time(1)
	for ; len(script) >= 6 && now < 1<<61; script = script[6:] {
		x := &timers[script[0]%16]
		d := tcp.Time(binary.LittleEndian.Uint16(script[2:])) << (script[4] % 45)
		switch script[1] % 8 {
		case 0, 1, 2, 3:
			w.arm(x, now+d)
			r.arm(x, now+d)
		case 4:
			w.disarm(x)
			r.disarm(x)
		case 5: // an instant that has passed already
			w.arm(x, max(now-d, 0))
			r.arm(x, max(now-d, 0))
		case 6: // exactly to the next deadline
			if next := w.earliest(); next != tcp.Never {
				now = max(now, next)
			}
			compareExpiry(t, &w, &r, now)
		case 7:
			now += d / 2
			compareExpiry(t, &w, &r, now)
		}
		if got, want := w.earliest(), r.earliest(); got != want {
			t.Fatalf("the wheel's earliest is %d; want %d", got, want)
		}
		if w.count != len(r.armed) {
			t.Fatalf("%d are armed; want %d", w.count, len(r.armed))
		}
	}
}

func compareExpiry(t *testing.T, w *wheel, r *reference, now tcp.Time) {
	t.Helper()
	began := w.now
	got := w.expire(now, nil)
	want := r.expire(now)
	if len(got) != len(want) {
		t.Fatalf("%d timers have run out at %d; want %d", len(got), now, len(want))
	}
	last := uint64(0)
	for _, x := range got {
		when, ok := want[x]
		if !ok || when > now || x.armed {
			t.Fatalf("a timer of %d has run out at %d", x.when, now)
		}
		if k := max(tick(when), began); k < last {
			t.Fatalf("a timer of tick %d runs out after one of tick %d", k, last)
		} else {
			last = k
		}
	}
}

func TestWheelIsTheList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		script := make([]byte, 6*60)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		play(t, script)
	}
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3, 4, 1, 6, 0, 0, 0, 0})
	f.Add([]byte{240, 0, 255, 255, 255, 255, 1, 0, 0, 0, 16, 0, 240, 7, 255, 255, 255, 255})
	f.Fuzz(play)
}

// Whatever stands in the wheel, arming costs the same: here 100,000 timers far away.
func TestWheelOfMany(t *testing.T) {
	var w wheel
	timers := make([]timer, 100_000)
	for i := range timers {
		w.arm(&timers[i], tcp.Time(2*time.Hour)+tcp.Time(i))
	}
	if got := w.earliest(); got != tcp.Time(2*time.Hour) {
		t.Fatalf("the earliest is %d", got)
	}
	var rto timer
	for i := range 100_000 { // if each turn looked at the far timers, this would not end
		w.arm(&rto, tcp.Time(200*time.Millisecond)+tcp.Time(i))
		w.earliest()
		w.disarm(&rto)
		w.earliest()
	}
	if due := w.expire(tcp.Time(3*time.Hour), nil); len(due) != len(timers) {
		t.Errorf("%d have run out", len(due))
	}
}

// A busy connection moves its timer with each segment, and each time the deadline is asked for:
// that costs the same whether 100,000 timers share its slot or none, and whether its own is the
// first of them or the last.
func TestWheelBesideMany(t *testing.T) {
	var w wheel
	timers := make([]timer, 100_000)
	at := func(i int) tcp.Time { return tcp.Time(time.Second) + tcp.Time(i) } // within one tick
	for i := range timers {
		w.arm(&timers[i], at(2*i+1_000))
	}
	var busy timer
	for i := range 100_000 { // nor this, if each looked at all timers of the slot
		want := at(i % 1_000) // the first of all
		if i%2 == 0 {
			want = at(300_000)
		}
		w.arm(&busy, want)
		if got := w.earliest(); got != min(want, timers[0].when) {
			t.Fatalf("turn %d: the earliest is %d", i, got)
		}
	}
}

func BenchmarkWheel(b *testing.B) {
	for _, n := range []int{0, 1_000, 1_000_000} {
		b.Run(fmt.Sprintf("beside=%d", n), func(b *testing.B) {
			var w wheel
			for i := range n {
				w.arm(new(timer), tcp.Time(time.Second)+tcp.Time(i))
			}
			var busy timer
			for i := 0; b.Loop(); i++ {
				w.arm(&busy, tcp.Time(time.Second)-tcp.Time(i&0xffff))
				w.earliest()
			}
		})
	}
}
