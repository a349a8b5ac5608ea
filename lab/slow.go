package lab

import (
	"net"
	"time"
)

// Slow returns c with a receiver that reads no faster than r bits a second, so that the window closes
// on whoever sends more. Its other methods are c's.
func Slow(c net.Conn, r Rate) net.Conn { return &slow{Conn: c, rate: r} }

type slow struct {
	net.Conn
	rate Rate
}

// Read reads up to a kilobyte, and takes as long as that takes at the rate.
func (s *slow) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p[:min(len(p), 1024)])
	if n > 0 && s.rate > 0 {
		time.Sleep(time.Duration(n) * 8 * time.Second / time.Duration(s.rate))
	}
	return n, err
}
