// Package loopback is the network that vitro overlay puts beneath the toolchain's package net:
// 127.0.0.0/8 and ::1, of which each address is a host, over package host. The copies that
// package net imports are made of this package and of those that it imports, so none of them may
// import package net, or anything that does.
package loopback
