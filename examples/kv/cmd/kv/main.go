// Command kv serves and asks over the kernel's network.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vitro-net/vitro/examples/kv"
)

const usage = `usage: kv serve ADDRESS
       kv get ADDRESS KEY
       kv put ADDRESS KEY VALUE`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New(usage)
	}
	client := kv.Client{Dial: new(net.Dialer).DialContext, Address: args[1]}
	switch {
	case len(args) == 2 && args[0] == "serve":
		l, err := net.Listen("tcp", args[1])
		if err != nil {
			return err
		}
		s := kv.Server{Store: new(kv.Store)}
		return s.Serve(l)
	case len(args) == 3 && args[0] == "get":
		v, err := client.Get(context.Background(), args[2])
		if err == nil {
			fmt.Println(v)
		}
		return err
	case len(args) == 4 && args[0] == "put":
		return client.Put(context.Background(), args[2], args[3])
	}
	return errors.New(usage)
}
