package link_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/vitro-net/vitro/link"
	"github.com/vitro-net/vitro/wire"
)

// mourner is a DownReceiver.
type mourner struct{ told []error }

func (m *mourner) Receive([]wire.Packet) {}
func (m *mourner) Down(err error)        { m.told = append(m.told, err) }

// Whoever has an end of a pair is told that the other end is closed, once, whichever comes
// first, Attach or Close, and through all that stands between; of his own Close he is not.
func TestPairEnds(t *testing.T) {
	for name, around := range map[string]func(link.Link) link.Link{
		"plain": func(l link.Link) link.Link { return l },
		"tap":   func(l link.Link) link.Link { return link.Tap(l, func(link.View) {}) },
		"fault": func(l link.Link) link.Link { return link.Fault(l, link.FaultConfig{}) },
		"both": func(l link.Link) link.Link {
			return link.Tap(link.Fault(l, link.FaultConfig{}), func(link.View) {})
		},
	} {
		for _, late := range []bool{false, true} {
			a, b := link.Pair(0)
			mine, theirs := new(mourner), new(mourner)
			here, there := around(a), around(b)
			there.Attach(theirs)
			if late {
				there.Close()
				here.Attach(mine)
			} else {
				here.Attach(mine)
				if len(mine.told) != 0 {
					t.Errorf("%s: told before anything has happened: %v", name, mine.told)
				}
				there.Close()
			}
			there.Close()
			if len(mine.told) != 1 || !errors.Is(mine.told[0], link.ErrClosed) {
				t.Errorf("%s, attached late: %v: told %v; want once, ErrClosed", name, late, mine.told)
			}
			here.Close()
			if len(theirs.told) != 0 {
				t.Errorf("%s: who has closed is told %v", name, theirs.told)
			}
		}
	}
	a, b := link.Pair(0)
	attach(t, a, func([]wire.Packet) { t.Error("received") }) // no DownReceiver: it need not be one
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// slow is a DownReceiver that takes its time.
type slow struct {
	in   chan struct{}
	done atomic.Bool
}

func (d *slow) Receive([]wire.Packet) {}
func (d *slow) Down(error) {
	close(d.in)
	for range 100 {
		runtime.Gosched()
	}
	d.done.Store(true)
}

// Close waits for Down as it does for Receive.
func TestCloseWaitsForDown(t *testing.T) {
	for range 100 {
		a, b := link.Pair(0)
		d := &slow{in: make(chan struct{})}
		a.Attach(d)
		go b.Close()
		<-d.in
		a.Close()
		if !d.done.Load() {
			t.Fatal("Close has returned during Down")
		}
	}
}
