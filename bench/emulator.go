//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitro-net/vitro/sim"
	"github.com/vitro-net/vitro/tcp"
)

// emulator is two sim.Paths, there and back, in real time. What enters at a side comes out at
// the other, when the path says so: a packet's arrival does not depend on how late the emulator
// is, and it counts how late that has been.
type emulator struct {
	*wires
	outlets [2]*outlet // by side
}

// wires are the paths of an emulator, which several may share.
type wires struct {
	start time.Time
	ways  [2]*way // by the side that sends
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
}

// way is one direction.
type way struct {
	mu    sync.Mutex
	path  *sim.Path
	until tcp.Time // when the goroutine wakes by itself
	wake  chan struct{}
	begin sync.Once
	late  []time.Duration // of each delivery
}

// outlet is where packets come out for whoever shares the paths.
type outlet struct {
	deliver func([][]byte)
	batch   [][]byte
}

// newEmulator makes an emulator whose time begins now. Equal seeds lose the same packets, by
// number.
func newEmulator(there, back sim.PathConfig, seed uint64) (*emulator, error) {
	e := newOutlets(&wires{start: time.Now(), done: make(chan struct{})})
	for i, c := range []sim.PathConfig{there, back} {
		path, err := sim.NewPath(c, 0, rand.New(rand.NewPCG(seed, uint64(i))))
		if err != nil {
			return nil, err
		}
		e.ways[i] = &way{path: path, wake: make(chan struct{}, 1)}
	}
	return e, nil
}

func newOutlets(w *wires) *emulator { return &emulator{w, [2]*outlet{{}, {}}} }

// partner returns an emulator for others across the same paths and queues. Closing one closes both.
func (e *emulator) partner() *emulator { return newOutlets(e.wires) }

func (e *wires) now() tcp.Time { return tcp.Time(time.Since(e.start)) }

// attach says who gets what comes out at a side, and starts that way. The slice is in force for
// the call, the packets are the receiver's.
func (e *emulator) attach(side int, deliver func([][]byte)) {
	w := e.ways[1-side]
	w.mu.Lock()
	e.outlets[side].deliver = deliver
	w.mu.Unlock()
	w.begin.Do(func() { e.wg.Go(func() { e.run(w) }) })
}

// send lets a packet in, of which it makes a copy.
func (e *emulator) send(side int, packet []byte) {
	w := e.ways[side]
	p := &sim.Parcel{Bytes: slices.Clone(packet), Tag: e.outlets[1-side]}
	w.mu.Lock()
	p.Fate = w.path.Draw()
	w.path.Put(e.now(), p)
	sooner := w.path.Deadline() < w.until
	w.mu.Unlock()
	if sooner {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// nap is how long before a deadline the goroutine stops to wait for a timer, which is late by up
// to a millisecond, and has the kernel wake it.
const nap = 1200 * time.Microsecond

// grain is how often the goroutine looks at most, so that it leaves the processor to the peers.
const grain = 200 * time.Microsecond

func (e *wires) run(w *way) {
	var busy []*outlet // those with something in their batch
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.mu.Lock()
		now := e.now()
		for d, ok := w.path.Take(now); ok; d, ok = w.path.Take(now) {
			if d.Loss == sim.NotLost {
				// A kernel says something as soon as its device is up; who is not there yet misses it.
				if p, is := d.Tag.(*outlet); is && p.deliver != nil {
					if len(p.batch) == 0 {
						busy = append(busy, p)
					}
					p.batch = append(p.batch, d.Bytes)
				}
				w.late = append(w.late, now.Sub(d.At))
			}
		}
		w.until = w.path.Deadline()
		wait := w.until.Sub(now)
		w.mu.Unlock()
		if len(busy) > 0 {
			for _, p := range busy {
				p.deliver(p.batch)
				clear(p.batch)
				p.batch = p.batch[:0]
			}
			busy = busy[:0]
			continue // that took its time
		}
		if wait <= nap {
			t := unix.NsecToTimespec(int64(max(wait, grain)))
			_ = unix.Nanosleep(&t, nil) // woken early it looks again
			select {
			case <-e.done:
				return
			default:
			}
			continue
		}
		timer.Reset(wait - nap)
		select {
		case <-e.done:
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// close stops the emulator and waits until nothing is delivered any more.
func (e *wires) close() {
	e.once.Do(func() { close(e.done) })
	e.wg.Wait()
}

// lateness returns how late 99 of 100 deliveries were at most. The emulator is closed.
func (e *wires) lateness() time.Duration {
	all := slices.Concat(e.ways[0].late, e.ways[1].late)
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}
