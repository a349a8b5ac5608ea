// Package programs has no code: its tests run programs and libraries of others over package lab, in
// virtual time, on a path that loses packets.
package programs
