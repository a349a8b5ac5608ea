package tun_test

import (
	"fmt"
	"log"
	"net/http"
	"net/netip"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/link/tun"
)

// HTTP is served on a TUN: after this, curl http://10.1.0.2/ on the same machine gets an
// answer. The example has no Output and is compiled only: to make a TUN needs root.
func Example() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })

	device, err := tun.Open(tun.Config{
		Name:  "vitro0",
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}, // of the kernel's end
	})
	if err != nil {
		log.Fatal(err) // it says what to do about it
	}
	s, err := vitro.New(vitro.Config{})
	if err != nil {
		log.Fatal(err)
	}
	err = s.Attach(device, vitro.LinkConfig{
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.2/24")}, // of the Stack
		Routes:    []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},   // all the rest, by the kernel
		Down:      func(err error) { log.Fatal(err) },                   // the TUN was deleted
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := s.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, handler))
}
