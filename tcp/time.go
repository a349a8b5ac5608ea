package tcp

import (
	"math"
	"time"
)

// Time is an instant in nanoseconds on a clock that the caller owns. The machine never
// reads a clock: every call says what time it is, and a later call must not say an
// earlier time. Only differences matter, except that 0 is no instant at all: the first
// call may say 1 or more.
type Time int64

// Never is the deadline of a connection that waits for nothing but segments and calls.
const Never Time = math.MaxInt64

// Add returns the instant d after t. Never plus anything is Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never || d >= 0 && t > Never-Time(d) {
		return Never
	}
	return t + Time(d)
}

// Sub returns the time from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }
