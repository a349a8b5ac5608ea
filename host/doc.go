// Package host is the layer that waits. Beneath it, package stack is driven: it is told
// what time it is and which packets came, and gives the packets to send. This package
// brings the lock, the clock, the timer and the links, and makes of events what a program
// calls: Read, Write, Accept and Dial that block, with errors as a kernel gives them.
//
// It does not import package net, so that it can stand beneath it; package vitro is the
// door that speaks net's types.
//
// # How it runs
//
// A Host has one lock and no goroutine. Work is done by whoever brings it: a link's
// goroutine that delivers packets, a caller of Write or Read, the timer of the stack's next
// deadline; beside that one there are timers for calls with deadlines, and one for reports.
// Each takes
// the lock, does its piece, and then sees to it that what the stack has to send is sent:
// it becomes the transmitter, unless somebody is. The transmitter takes packets from the
// stack in batches and sends each without the lock; between two batches anybody who has
// work for it may take its place. So packets leave in the order of the stack, no lock is
// held while a link sends, and two hosts joined in memory answer each other without
// recursion: when a packet comes back while a host's transmitter is at work further up, the
// answer is left to it.
//
// A call that waits does so in a sync.Cond on the lock, a deadline is a timer and a
// broadcast, and a context is watched by context.AfterFunc. Nothing waits while it holds
// a mutex. For that a Host runs unchanged in a testing/synctest bubble.
package host
