package main

import (
	"net/netip"
	"testing"
)

// The kernel's end gets the first address of the subnet that a host can have and this end
// has not.
func TestNeighbour(t *testing.T) {
	for own, want := range map[string]string{
		"10.1.0.2/24":   "10.1.0.1/24",
		"10.1.0.1/24":   "10.1.0.2/24",
		"10.1.0.201/30": "10.1.0.202/30",
		"10.1.0.4/31":   "10.1.0.5/31", // RFC 3021
		"10.1.0.5/31":   "10.1.0.4/31",
		"10.1.0.5/32":   "-",
		"fd00::2/64":    "fd00::1/64",
		"fd00::1/64":    "fd00::2/64",
		"fd00::4/127":   "fd00::5/127", // RFC 6164
		"fd00::5/128":   "-",
	} {
		got, ok := neighbour(netip.MustParsePrefix(own))
		if ok != (want != "-") || ok && got.String() != want {
			t.Errorf("%s: %v, %v; want %s", own, got, ok, want)
		}
	}
}
