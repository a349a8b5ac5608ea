// Package tcp is RFC 9293: the machine of one connection, pure. It does no I/O, reads no
// clock, starts no goroutine and takes no lock; equal inputs give equal outputs. Its shape
// is that of section 3.10, Event Processing:
//
//	3.10.1 OPEN               Conn.Open
//	3.10.2 SEND               Conn.Send
//	3.10.3 RECEIVE            Conn.Receive
//	3.10.4 CLOSE              Conn.Close
//	3.10.5 ABORT              Conn.Abort
//	3.10.6 STATUS             Conn.Status
//	3.10.7 SEGMENT ARRIVES    Conn.Arrive
//	3.10.8 Timeouts           Conn.Timeout
//
// and two outlets: Conn.Output, called until it returns false after any of the above,
// gives the segments to send; Conn.Deadline says when Timeout must be called.
//
// A Conn is used by one goroutine at a time; whoever owns it brings the lock.
package tcp
